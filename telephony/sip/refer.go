package sip

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/patchcord/patchcord/telephony"
)

// ErrReferRefused is a transfer that the peer does not do by REFER.
var ErrReferRefused = errors.New("sip: the peer refuses REFER")

// referral is a REFER of ours whose outcome is not known yet.
type referral struct {
	seq      uint32
	status   int // of the last sipfrag, 0 before the first
	accepted bool
	stop     func() // timer
}

// plausible reports whether a BYE now is the peer's way of saying that it
// worked: behind the 202, with no failure told.
func (r *referral) plausible() bool {
	return r.accepted && (r.status == 0 || r.status >= 180 && r.status < 300)
}

// The patience with a REFER: for its answer, for the first NOTIFY, and for the
// end of the far call, which may ring for a minute.
const (
	referAnswer = 10 * time.Second
	referNotify = 15 * time.Second
	referEnd    = 70 * time.Second
)

// Refer asks the peer to call somebody else. It returns when the peer has
// agreed to try; what becomes of it is told by ReferProgress.
func (g *leg) Refer(ctx context.Context, to telephony.ReferTo) error {
	target, err := g.referTarget(to)
	if err != nil {
		return err
	}
	return g.ask(ctx, func(done func(error)) {
		switch {
		case g.state != stateUp:
			done(errors.New("sip: refer: the call is not up"))
			return
		case g.refer != nil:
			done(errors.New("sip: refer: another transfer is under way"))
			return
		case g.trunk != nil && g.trunk.Refer == "off":
			done(fmt.Errorf("%w: trunk %q has refer: off", ErrReferRefused, g.trunk.ID))
			return
		case g.peerCan != "" && !strings.Contains(strings.ToUpper(g.peerCan), "REFER"):
			done(fmt.Errorf("%w: its Allow has no REFER", ErrReferRefused))
			return
		}
		req := g.dialog.request("REFER")
		req.AppendHeader(sip.NewHeader("Refer-To", "<"+target+">"))
		if to.ReferredBy != "" {
			req.AppendHeader(sip.NewHeader("Referred-By", "<"+to.ReferredBy+">"))
		}
		req.AppendHeader(sip.NewHeader("Contact", g.contact()))
		for name, value := range to.Headers {
			req.AppendHeader(sip.NewHeader(name, value))
		}
		r := &referral{seq: req.CSeq().SeqNo}
		g.refer = r
		r.stop = g.after(g.scaled(referAnswer), func() { g.referDone(r, 408, "no answer to REFER"); done(errNoResponse) })
		g.do(&g.dialog, req, func(res *sip.Response, err error) { g.referAnswered(r, res, err, done) })
	})
}

// referTarget is the Refer-To URI.
func (g *leg) referTarget(to telephony.ReferTo) (string, error) {
	parts := telephony.Destination{To: to.Target, From: to.ReferredBy, Headers: to.Headers}
	if err := checkDestination(&parts); err != nil {
		return "", err
	}
	if to.ReferredBy != "" {
		if _, err := parseURI(to.ReferredBy); err != nil {
			return "", err
		}
	}
	target := to.Target
	if !strings.HasPrefix(lower(target), "sip:") {
		host := g.dialogHost()
		number := target
		if g.trunk != nil {
			number = g.trunk.Dial(target)
		}
		target = "sip:" + escapeUser(number) + "@" + host
	}
	uri, err := parseURI(target)
	if err != nil {
		return "", err
	}
	uri.Headers = nil // what a caller wants in there goes through Replaces
	target = uri.String()
	if to.Replaces == nil {
		return target, nil
	}
	consult, ok := to.Replaces.(*leg)
	if !ok {
		return "", errors.New("sip: refer: the leg to replace is not a SIP leg")
	}
	consult.mu.Lock()
	remote := consult.remoteTag
	consult.mu.Unlock()
	// Seen from the target: its own tag is to-tag.
	replaces := consult.callID + ";to-tag=" + remote + ";from-tag=" + consult.localTag
	return target + "?Replaces=" + url.QueryEscape(replaces), nil
}

// dialogHost is where a number at the leg's trunk is.
func (g *leg) dialogHost() string {
	if g.trunk != nil && len(g.trunk.Gateways) > 0 {
		return hostPort(g.trunk.Gateways[0].Host, g.trunk.Gateways[0].Port)
	}
	if g.first != nil {
		return hostPort(g.first.from.Addr().String(), 0)
	}
	return "invalid"
}

func (g *leg) referAnswered(r *referral, res *sip.Response, err error, done func(error)) {
	if g.refer != r {
		return
	}
	r.stop()
	switch {
	case err != nil:
		g.refer = nil
		done(err)
	case res.StatusCode >= 300:
		g.refer = nil
		done(fmt.Errorf("%w: %d %s", ErrReferRefused, res.StatusCode, clean(res.Reason)))
	default:
		r.accepted = true
		done(nil)
		wait := referNotify
		if r.status != 0 { // the NOTIFY was faster
			wait = referEnd
		}
		r.stop = g.after(g.scaled(wait), func() { g.referDone(r, 408, "no word of the transfer") })
	}
}

// onNotify is the progress of a REFER (RFC 3515): 200 at once, then what the
// fragment says.
func (g *leg) onNotify(in incoming) {
	event := ""
	if h := in.req.GetHeader("Event"); h != nil {
		event = h.Value()
	}
	kind, params, _ := strings.Cut(event, ";")
	r := g.refer
	if lower(strings.TrimSpace(kind)) != "refer" {
		g.respond(in, 489, "Bad Event", field{"Allow-Events", "refer"})
		return
	}
	id, named := strings.CutPrefix(strings.TrimSpace(params), "id=")
	if named && r != nil && id != strconv.FormatUint(uint64(r.seq), 10) {
		g.respond(in, 481, "Subscription Does Not Exist")
		return
	}
	g.respond(in, 200, "OK")
	if r == nil {
		return
	}
	status, reason := sipfrag(in.req.Body())
	over := false
	if h := in.req.GetHeader("Subscription-State"); h != nil {
		over = strings.HasPrefix(lower(strings.TrimSpace(h.Value())), "terminated")
	}
	switch {
	case status >= 200:
		g.referDone(r, status, reason)
	case over: // no final code: unknown, which is no success
		g.referDone(r, 500, "the peer stopped telling")
	case status >= 100:
		r.status = status
		r.stop()
		r.stop = g.after(g.scaled(referEnd), func() { g.referDone(r, 408, "the transfer did not end") })
		g.emit(telephony.ReferProgress{Status: status, Reason: reason})
	}
}

// referDone is the outcome. A transfer that worked ends this call at once:
// a peer that waits for our BYE would leave the caller half deaf.
func (g *leg) referDone(r *referral, status int, reason string) {
	if g.refer != r {
		return
	}
	r.stop()
	r.status = status
	g.refer = nil
	g.emit(telephony.ReferProgress{Status: status, Reason: reason, Final: true})
	if status < 300 {
		cause := telephony.Cause{Reason: telephony.ReasonTransferred}
		g.bye(cause)
		g.end(cause)
	}
}

// endReferral tells the outcome of a transfer that the call's end cut short.
func (g *leg) endReferral(c telephony.Cause) {
	r := g.refer
	if r == nil {
		return
	}
	g.refer = nil
	r.stop()
	p := telephony.ReferProgress{Status: 487, Reason: "the call ended", Final: true}
	if c.Reason == telephony.ReasonTransferred {
		p = telephony.ReferProgress{Status: 200, Reason: "the peer hung up", Final: true}
	}
	g.state = stateUp // emit tells nothing of an ended leg
	g.emit(p)
	g.state = stateEnded
}

// sipfrag reads the status line of a message/sipfrag body, 0 if it has none.
func sipfrag(body []byte) (status int, reason string) {
	line, _, _ := strings.Cut(string(body), "\n")
	parts := strings.SplitN(strings.TrimSpace(line), " ", 3)
	if len(parts) < 2 || !strings.EqualFold(parts[0], "SIP/2.0") {
		return 0, ""
	}
	n, err := strconv.Atoi(parts[1])
	if err != nil || n < 100 || n > 699 {
		return 0, ""
	}
	if len(parts) == 3 {
		reason = clean(parts[2])
	}
	return n, reason
}
