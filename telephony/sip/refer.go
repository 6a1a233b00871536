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
	"github.com/patchcord/patchcord/telephony/trunk"
)

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
		case g.trunk != nil && g.trunk.Refer == trunk.ReferNever:
			done(fmt.Errorf("sip: refer: %w: trunk %q has refer: never", telephony.ErrNoRefer, g.trunk.ID))
			return
		case !g.mayRefer():
			done(fmt.Errorf("sip: refer: %w: the Allow of the peer has no REFER", telephony.ErrNoRefer))
			return
		}
		req := g.dialog.request("REFER")
		req.AppendHeader(sip.NewHeader("Refer-To", "<"+target+">"))
		by := to.ReferredBy
		if by == "" {
			by = uriOf(g.dialog.local)
		}
		req.AppendHeader(sip.NewHeader("Referred-By", "<"+by+">"))
		req.AppendHeader(sip.NewHeader("Contact", g.contact()))
		for name, value := range to.Headers {
			req.AppendHeader(sip.NewHeader(name, value))
		}
		r := &referral{seq: req.CSeq().SeqNo}
		g.refer = r
		r.stop = g.after(g.scaled(referAnswer), func() {
			g.refer = nil
			done(fmt.Errorf("sip: refer: %w: no answer", telephony.ErrNoRefer))
		})
		g.do(&g.dialog, req, func(res *sip.Response, err error) { g.referAnswered(r, res, err, done) })
	})
}

// mayRefer says whether the peer takes REFER, as far as it has told. A trunk with
// refer: on knows it better.
func (g *leg) mayRefer() bool {
	return g.peerCan == "" || g.trunk != nil && g.trunk.Refer == trunk.ReferOn ||
		strings.Contains(strings.ToUpper(g.peerCan), "REFER")
}

// uriOf is the URI of an address with its parameters.
func uriOf(address string) string {
	if _, rest, ok := strings.Cut(address, "<"); ok {
		uri, _, _ := strings.Cut(rest, ">")
		return uri
	}
	uri, _, _ := strings.Cut(address, ";")
	return strings.TrimSpace(uri)
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
	if err := g.u.gated(g.trunk, target); err != nil {
		return "", fmt.Errorf("sip: refer: %w: %w", telephony.ErrNoRefer, err)
	}
	if !strings.HasPrefix(lower(target), "sip:") {
		number, template := target, trunk.DefaultReferTo
		if g.trunk != nil {
			number, template = g.trunk.Dial(target), g.trunk.ReferTo
		}
		target = strings.NewReplacer("{number}", escapeUser(number), "{host}", g.dialogHost()).Replace(template)
	}
	if !strings.HasPrefix(lower(target), "tel:") {
		uri, err := parseURI(target)
		if err != nil {
			return "", err
		}
		uri.Headers = nil // what a caller wants in there goes through Replaces
		target = uri.String()
	}
	if to.Replaces == nil {
		return target, nil
	}
	consult, ok := legOf(to.Replaces)
	if !ok {
		return "", fmt.Errorf("sip: refer: %w: the leg to replace is not a SIP leg", telephony.ErrNoRefer)
	}
	consult.mu.Lock()
	remote, can := consult.remoteTag, consult.replaceable
	consult.mu.Unlock()
	switch {
	case g.trunk == nil || !g.trunk.Replaces || consult.trunk == nil || consult.trunk.ID != g.trunk.ID:
		return "", fmt.Errorf("sip: refer: %w: no trunk with replaces: true has both legs", telephony.ErrNoRefer)
	case !can:
		return "", fmt.Errorf("sip: refer: %w: the Supported of the target has no replaces", telephony.ErrNoRefer)
	}
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
	if g.refer != r || err != nil && r.accepted { // a NOTIFY said so, its 202 is lost
		return
	}
	r.stop()
	switch {
	case err != nil:
		g.refer = nil
		done(err)
	case res.StatusCode >= 300:
		g.refer = nil
		done(fmt.Errorf("sip: refer: %w: %d %s", telephony.ErrNoRefer, res.StatusCode, clean(res.Reason)))
	default:
		r.accepted = true
		done(nil)
		wait := referNotify
		if r.status != 0 { // the NOTIFY was faster
			wait = referEnd
		}
		r.stop = g.after(g.scaled(wait), func() { g.referUnknown(r, 408, "no word of the transfer") })
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
	if id, named := strings.CutPrefix(strings.TrimSpace(params), "id="); named && r != nil {
		// That of the REFER, or of the same with credentials, which has another.
		n, err := strconv.ParseUint(id, 10, 32)
		if err != nil || n < uint64(r.seq) || n > uint64(g.dialog.localSeq) {
			g.respond(in, 481, "Subscription Does Not Exist")
			return
		}
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
		g.referUnknown(r, 500, "the peer stopped telling")
	case status >= 100:
		r.status, r.accepted = status, true
		r.stop()
		r.stop = g.after(g.scaled(referEnd), func() { g.referUnknown(r, 408, "the transfer did not end") })
		g.emit(telephony.ReferProgress{Status: status, Reason: reason})
	}
}

// referUnknown is the end of what the peer tells, without the outcome.
func (g *leg) referUnknown(r *referral, status int, reason string) {
	if g.refer != r {
		return
	}
	r.stop()
	g.refer = nil
	g.emit(telephony.ReferProgress{Status: status, Reason: reason, Final: true, Unknown: true})
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
