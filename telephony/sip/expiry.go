package sip

import (
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/patchcord/patchcord/telephony"
)

// maxBrief is how often a 422 is followed: one is for a peer, and one for each of
// the proxies before it.
const maxBrief = 3

// Seconds of RFC 4028 that are not negotiated.
const (
	leastExpires = 90   // of Session-Expires: sections 4 and 5
	wholeExpires = 1800 // what we ask for where the trunk says nothing
	grantedLeast = 45   // no shorter session is kept, whatever a peer grants: a refresh in 22 s
	expiryMargin = 32   // so much before the end, a third at most, who waits for a refresh hangs up: section 10
)

// expiry is when the session ends without a word of either side (RFC 4028). It
// belongs to the leg's goroutine.
type expiry struct {
	seconds  int  // of Session-Expires in force, 0: the session lasts
	least    int  // the greatest Min-SE that the peer told
	asked    int  // what our last request asked for
	brief    int  // times that this was too short, since a timer was granted
	ours     bool // we refresh
	noUpdate bool // the peer refused an UPDATE

	stopRefresh, stopEnd func()
}

func (e *expiry) stop() {
	for _, stop := range []func(){e.stopRefresh, e.stopEnd} {
		if stop != nil {
			stop()
		}
	}
	e.stopRefresh, e.stopEnd = nil, nil
}

// parseExpires reads a Session-Expires or Min-SE value.
//
//	1800;refresher=uas
func parseExpires(value string) (seconds int, refresher string, ok bool) {
	number, params, _ := strings.Cut(value, ";")
	n, err := strconv.ParseUint(strings.TrimSpace(number), 10, 31)
	if err != nil || n == 0 {
		return 0, "", false
	}
	for p := range strings.SplitSeq(params, ";") {
		name, v, _ := strings.Cut(p, "=")
		if v = lower(strings.TrimSpace(v)); lower(strings.TrimSpace(name)) == "refresher" && (v == "uac" || v == "uas") {
			refresher = v
		}
	}
	return int(n), refresher, true
}

// fielded is a request or a response.
type fielded interface {
	GetHeader(name string) sip.Header
	GetHeaders(name string) []sip.Header
}

func expires(m fielded, name string) (seconds int, refresher string, ok bool) {
	h := m.GetHeader(name)
	if h == nil {
		return 0, "", false
	}
	return parseExpires(h.Value())
}

// lists reports whether one of the comma-separated fields of that name has
// the token.
func lists(m fielded, name, token string) bool {
	for _, h := range m.GetHeaders(name) {
		for v := range strings.SplitSeq(h.Value(), ",") {
			if strings.EqualFold(strings.TrimSpace(v), token) {
				return true
			}
		}
	}
	return false
}

// wantedExpires is the Session-Expires that we ask for.
func (g *leg) wantedExpires() int {
	if g.trunk != nil && g.trunk.SessionExpires > 0 {
		return int(g.trunk.SessionExpires / time.Second)
	}
	return wholeExpires
}

// seconds is a time that RFC 4028 counts in.
func (g *leg) seconds(n int) time.Duration { return time.Duration(n) * g.u.cfg.second }

// propose puts our wish for a session timer on an INVITE or UPDATE. Within the
// dialog that is the timer in force, with the roles as they are (RFC 4028
// section 7.4).
func (g *leg) propose(req *sip.Request) {
	e := &g.expiry
	for _, name := range []string{"Session-Expires", "Min-SE", "Supported"} {
		for req.RemoveHeader(name) {
		}
	}
	req.AppendHeader(sip.NewHeader("Supported", g.supports()))
	least := max(leastExpires, e.least)
	e.asked = max(g.wantedExpires(), least)
	role := ""
	if g.state >= stateAnswered {
		switch e.asked = max(e.seconds, least); {
		case e.seconds == 0:
			return // the peer did not want one
		case e.ours:
			role = ";refresher=uac"
		default:
			role = ";refresher=uas"
		}
	}
	req.AppendHeader(sip.NewHeader("Session-Expires", strconv.Itoa(e.asked)+role))
	req.AppendHeader(sip.NewHeader("Min-SE", strconv.Itoa(least)))
}

// granted takes the timer of a 2xx to an INVITE or UPDATE of ours.
func (g *leg) granted(res *sip.Response) {
	g.expiry.brief = 0
	n, refresher, ok := expires(res, "Session-Expires")
	if !ok {
		g.expiry.stop()
		g.expiry.seconds = 0
		return
	}
	g.expireIn(max(n, grantedLeast), refresher != "uas")
}

// tooBrief takes the Min-SE of a 422; false if it asks for nothing more, or for
// more each time.
func (g *leg) tooBrief(res *sip.Response) bool {
	n, _, ok := expires(res, "Min-SE")
	if !ok || n <= g.expiry.asked || g.expiry.brief >= maxBrief {
		return false
	}
	g.expiry.brief++
	g.expiry.least = n
	return true
}

// briefer reports whether an INVITE or UPDATE asks for a shorter session than
// we take. A caller that knows no timer cannot lengthen it: there we do.
func briefer(req *sip.Request) bool {
	n, _, ok := expires(req, "Session-Expires")
	return ok && n < leastExpires && knowsTimer(req)
}

func knowsTimer(m fielded) bool {
	return lists(m, "Supported", "timer") || lists(m, "Require", "timer")
}

// grant decides the timer by an INVITE or UPDATE of the peer and gives the
// fields of our 2xx (RFC 4028 section 9).
func (g *leg) grant(req *sip.Request) []field {
	e, knows := &g.expiry, knowsTimer(req)
	if n, _, ok := expires(req, "Min-SE"); ok {
		e.least = max(e.least, n)
	}
	least := max(leastExpires, e.least)
	n, refresher, asked := expires(req, "Session-Expires")
	switch {
	case asked:
		n = max(min(n, g.wantedExpires()), least)
	case knows:
		n, refresher = max(g.wantedExpires(), least), "uas"
	case e.seconds > 0 && e.ours:
		n = max(e.seconds, least)
	default:
		e.stop()
		e.seconds = 0
		return nil
	}
	switch {
	case !knows, refresher == "" && e.seconds > 0 && e.ours:
		refresher = "uas"
	case refresher == "":
		refresher = "uac" // who asks for a timer can keep it
	}
	g.expireIn(n, refresher == "uas")
	out := []field{{"Session-Expires", strconv.Itoa(n) + ";refresher=" + refresher}}
	if refresher == "uac" {
		out = append(out, field{"Require", "timer"})
	}
	return out
}

// expireIn starts the timer anew.
func (g *leg) expireIn(n int, ours bool) {
	e := &g.expiry
	e.stop()
	e.seconds, e.ours = n, ours
	whole := g.seconds(n)
	if ours {
		e.stopRefresh = g.after(whole/2, g.refresh)
		e.stopEnd = g.after(whole, g.expired)
		return
	}
	e.stopEnd = g.after(whole-min(g.seconds(expiryMargin), whole/3), g.expired)
}

// expired is a session that nobody refreshed.
func (g *leg) expired() {
	g.hangup(telephony.Cause{Reason: telephony.ReasonSession, Text: "the session was not refreshed"})
}

// refresh renews the session: by UPDATE where the peer takes it, else by an
// INVITE with the description it has already.
func (g *leg) refresh() {
	e := &g.expiry
	switch {
	case g.state != stateUp || g.uas != nil || g.offering != nil: // what is under way renews it too, or fails
		g.refreshLater()
		return
	case e.noUpdate || !strings.Contains(strings.ToUpper(g.peerCan), "UPDATE"):
		g.offering = &offering{refresh: true}
		g.sendOffer()
		return
	}
	req := g.dialog.request(sip.UPDATE)
	req.AppendHeader(sip.NewHeader("Contact", g.contact()))
	req.AppendHeader(sip.NewHeader("Allow", allow))
	g.propose(req)
	g.do(&g.dialog, req, g.refreshed)
}

// refreshLater tries again while the session lasts.
func (g *leg) refreshLater() {
	e := &g.expiry
	if e.seconds > 0 && e.ours && g.state != stateEnded {
		e.stopRefresh = g.after(g.seconds(e.seconds)/16, g.refresh)
	}
}

// refreshed is the answer to our UPDATE.
func (g *leg) refreshed(res *sip.Response, err error) {
	switch {
	case g.state != stateUp:
	case err != nil:
		g.hangup(telephony.Cause{Reason: telephony.ReasonSession, Text: "no answer to the refresh of the session"})
	case res.StatusCode < 300:
		g.dialog.refresh(res.Contact())
		g.granted(res)
	default:
		g.notRefreshed(res)
	}
}

// notRefreshed is a refusal of our refresh, by UPDATE or INVITE.
func (g *leg) notRefreshed(res *sip.Response) {
	switch {
	case res.StatusCode == 481 || res.StatusCode == 408:
		g.lostPeer(res)
	case res.StatusCode == 422 && g.tooBrief(res):
		g.refresh()
	case !g.expiry.noUpdate && (res.StatusCode == 405 || res.StatusCode == 501) && res.CSeq() != nil &&
		res.CSeq().MethodName == sip.UPDATE:
		g.expiry.noUpdate = true
		g.refresh()
	default:
		g.refreshLater()
	}
}

// lostPeer ends a call that the peer does not know any more (RFC 3261 section
// 12.2.1.2).
func (g *leg) lostPeer(res *sip.Response) {
	cause := telephony.Cause{
		Reason: telephony.ReasonFailed, Status: res.StatusCode, Remote: true, Text: "the peer lost the call",
	}
	g.bye(cause)
	g.end(cause)
}
