package sip

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// transfer is a REFER of the peer that we follow (RFC 3515): we call whom it
// names, tell the peer how that goes, and the call goes on with them.
type transfer struct {
	g      *leg // that it came over
	p      *party
	id     string // of its subscription, "" of the first REFER
	silent bool   // the peer wants no NOTIFY (RFC 4488)
	told   int    // status told last
}

// referredTo is where a REFER leads.
type referredTo struct {
	ways     []gateway
	to       string // as it is called
	by       string // Referred-By, "" none
	replaces string // of the dialog there that is to be replaced, "" none
}

// How long the peer has to hang up when its transfer has worked, in T1: it knows
// when it has told its user. Later we do.
const byeGrace = 4

// onRefer is a REFER within the dialog.
func (g *leg) onRefer(in incoming) {
	p := g.party.Load()
	if p == nil {
		g.respond(in, 405, "Method Not Allowed") // SEC-6
		return
	}
	if g.state != stateUp || g.refer != nil {
		g.respond(in, 491, "Request Pending")
		return
	}
	to, refused, why := g.referred(in.req)
	if refused != nil {
		g.log.Warn("sip: transfer by the peer refused", zap.Int("status", refused.status), zap.String("why", why))
		g.respond(in, refused.status, refused.reason)
		return
	}
	t := &transfer{g: g, p: p}
	next := g.u.newLeg(telephony.Outbound)
	next.party.Store(p)
	status := 0
	switch {
	case !p.reserve(g, next):
		status = 491 // another one is at work
	case p.spent(g.u.cfg.PerCall):
		g.log.Warn("sip: transfer by the peer refused: dialing.per_call of this call have been made")
		p.failed(next)
		status = 403
	}
	if status != 0 {
		next.cancel(context.Canceled)
		g.respond(in, status, reasonPhrase(status))
		return
	}
	if g.referrals++; g.referrals > 1 {
		t.id = strconv.FormatUint(uint64(in.req.CSeq().SeqNo), 10)
	}
	fields := []field{{"Contact", g.contact()}}
	if h := in.req.GetHeader("Refer-Sub"); h != nil && strings.EqualFold(strings.TrimSpace(h.Value()), "false") {
		t.silent = true
		fields = append(fields, field{"Refer-Sub", "false"})
	}
	g.respond(in, 202, "Accepted", fields...)
	t.tell(100, "Trying")
	g.log.Info("sip: the peer transfers its side of the call")
	p.emit(telephony.ReferAsked{Target: to.to})
	if !g.u.enter() {
		t.fail(next, 503, "Service Unavailable")
		return
	}
	was := g.Info()
	go func() {
		defer g.u.wg.Done()
		t.run(next, to, was)
	}()
}

// spent counts a REFER that is followed; true where there were most of them.
func (p *party) spent(most int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if most > 0 && p.moved >= most {
		return true
	}
	p.moved++
	return false
}

// run calls whom the peer named and puts them in its place.
func (t *transfer) run(next *leg, to referredTo, was telephony.Info) {
	u, g := t.g.u, t.g
	if u.cfg.Claim != nil {
		ctx, cancel := context.WithTimeout(t.p.ctx, referAnswer)
		err := u.cfg.Claim(ctx, to.to)
		cancel()
		if err != nil {
			g.log.Warn("sip: transfer by the peer", zap.Error(err))
			t.fail(next, 603, "Decline")
			return
		}
	}
	dest := telephony.Destination{
		To: to.to, From: was.From, Trunk: g.trunk.ID, CallID: was.ID, Prefer: was.Codec,
	}
	if was.Direction == telephony.Inbound {
		dest.From = was.To
	}
	if checkDestination(&dest) != nil || dest.From == "" {
		dest.From = g.trunk.From
	}
	next.attempts.extra = to.fields()
	next.info.Format = was.Format // the frames keep their rate
	next.trunk = g.trunk
	if err := u.place(t.p.ctx, next, to.ways, &dest); err != nil {
		g.log.Warn("sip: transfer by the peer", zap.Error(err))
		if u.cfg.Unclaim != nil {
			u.cfg.Unclaim()
		}
		status := 500
		var full *telephony.FullError
		if errors.As(err, &full) {
			status = 503
		}
		t.fail(next, status, reasonPhrase(status))
		return
	}
	for e := range next.events {
		switch e := e.(type) {
		case telephony.SignalTrace:
			t.p.emit(e)
		case telephony.Ringing:
			t.tell(180, "Ringing")
		case telephony.EarlyMedia:
			t.tell(183, "Session Progress")
		case telephony.Answered:
			if !t.p.replace(next, "refer", t.done) {
				_ = next.Hangup(t.p.ctx, telephony.Cause{Reason: telephony.ReasonNormal})
			}
			return
		case telephony.Ended:
			status := e.Cause.StatusCode()
			t.fail(next, status, reasonPhrase(status))
			return
		}
	}
}

// fail tells the peer that nobody is there for the call, which goes on with it.
func (t *transfer) fail(next *leg, status int, reason string) {
	next.cancel(context.Canceled)
	t.tell(status, reason)
	t.p.failed(next)
}

// done tells the peer that its transfer has worked, and ends its dialog where it
// does not do so itself.
func (t *transfer) done(old *leg) {
	t.tell(200, "OK")
	old.post(func() {
		if old.state != stateUp {
			return
		}
		old.after(byeGrace*old.u.cfg.t1, func() { old.leave(telephony.Cause{Reason: telephony.ReasonTransferred}) })
	})
}

// tell sends the peer a NOTIFY of how the call goes (RFC 3515 section 2.4.4).
func (t *transfer) tell(status int, reason string) {
	g := t.g
	g.post(func() {
		if g.state != stateUp || t.silent || t.told >= 200 || status < 200 && status <= t.told {
			return
		}
		t.told = status
		req := g.dialog.request(sip.NOTIFY)
		event, state := "refer", fmt.Sprintf("active;expires=%d", int(referEnd/time.Second))
		if t.id != "" {
			event += ";id=" + t.id
		}
		if status >= 200 {
			state = "terminated;reason=noresource"
		}
		for _, f := range []field{
			{"Event", event},
			{"Subscription-State", state},
			{"Contact", g.contact()},
			{"Content-Type", "message/sipfrag;version=2.0"},
		} {
			req.AppendHeader(sip.NewHeader(f.name, f.value))
		}
		req.SetBody(fmt.Appendf(nil, "SIP/2.0 %d %s\r\n", status, reason))
		g.hold()
		g.do(&g.dialog, req, func(_ *sip.Response, err error) {
			if err != nil {
				g.log.Debug("sip: NOTIFY", zap.Error(err))
			}
			g.release()
		})
	})
}

// referred reads where a REFER leads, or why it leads nowhere: the gate of
// dialling is passed before anything is promised (SEC-5).
func (g *leg) referred(req *sip.Request) (to referredTo, r *refusal, why string) {
	targets := req.GetHeaders("Refer-To")
	if len(targets) != 1 { // RFC 3515 section 2.4.2
		return to, refuse(400, "Want One Refer-To"), fmt.Sprintf("%d fields Refer-To", len(targets))
	}
	var target string
	if target, to.replaces, r, why = readReferTo(targets[0].Value()); r != nil {
		return to, r, why
	}
	if by := req.GetHeaders("Referred-By"); len(by) == 1 {
		if a, ok := parseAddress(by[0].Value()); ok && phoneScheme(a.uri) && plainURI(a.uri) {
			to.by = "<" + a.uri + ">"
		}
	}
	var err error
	if to.ways, to.to, err = g.u.permitted(g.trunk, target); err != nil {
		return to, refuse(403, "Forbidden"), err.Error()
	}
	return to, nil, ""
}

// plainURI reports whether a URI of a peer's may stand in a field of ours.
func plainURI(uri string) bool {
	return printable(uri) && !strings.ContainsAny(uri, " \t<>\"\\") && len(uri) <= maxHeaderBytes
}

// readReferTo is the URI of a Refer-To without its headers, and the dialog that
// the INVITE shall replace; else the answer to the REFER, and why.
func readReferTo(value string) (target, replaces string, r *refusal, why string) {
	a, ok := parseAddress(value)
	switch {
	case !ok || !plainURI(a.uri):
		return "", "", refuse(400, "Bad Refer-To"), "a Refer-To that is no address"
	case !phoneScheme(a.uri):
		return "", "", refuse(416, "Unsupported URI Scheme"), "a Refer-To that is no telephone"
	}
	target, headers, _ := strings.Cut(a.uri, "?")
	var uri sip.Uri
	if sip.ParseUri(target, &uri) != nil {
		return "", "", refuse(400, "Bad Refer-To"), "a Refer-To that is no URI"
	}
	for _, p := range uri.UriParams {
		if strings.EqualFold(p.K, "method") && !strings.EqualFold(p.V, "INVITE") {
			return "", "", refuse(403, "Forbidden"), "a Refer-To for a request that is no call"
		}
	}
	for header := range strings.SplitSeq(headers, "&") {
		name, value, _ := strings.Cut(header, "=")
		if !strings.EqualFold(unescape(name), "Replaces") {
			continue // what a peer would write into our INVITE beside it is left out
		}
		d, ok := parseReplaces(unescape(value))
		if !ok || replaces != "" {
			return "", "", refuse(400, "Bad Replaces"), "a Refer-To with a Replaces that names no dialog"
		}
		replaces = d.String()
	}
	return target, replaces, nil, ""
}

// fields are what the INVITE carries of the REFER (RFC 3892, RFC 3891).
func (to *referredTo) fields() []field {
	var out []field
	if to.by != "" {
		out = append(out, field{"Referred-By", to.by})
	}
	if to.replaces != "" {
		out = append(out, field{"Replaces", to.replaces}, field{"Require", "replaces"})
	}
	return out
}

// mostExtension is how many digits a telephone of a PBX's own has at most; what has
// more is a number, which the PBX would dial for whoever is sent there.
const mostExtension = 6

// extension reports whether the user of a URI is a name, or so few digits that it
// is its host's own.
func extension(user string) bool {
	user = unescape(user)
	if strings.Trim(user, "+0123456789*#-.()") != "" {
		return true
	}
	digits := strings.Count(user, "+") * mostExtension
	for _, r := range user {
		if r >= '0' && r <= '9' {
			digits++
		}
	}
	return digits <= mostExtension
}

// permitted is how a target that a peer named is called, and under which name: a
// URI of a host that the gate lets calls go to, or a number, which stays on the
// trunk whatever host it stands at. A number at such a host has to pass as a number
// too: that calls may go to a PBX is no leave to dial through it (SEC-5).
func (u *UserAgent) permitted(t *trunk.Trunk, target string) (ways []gateway, to string, err error) {
	uri, err := parseURI(target)
	if err == nil && uri.User != "" && uri.Scheme == "sip" {
		bare := "sip:" + uri.User + "@" + hostPort(uri.Host, uri.Port)
		if u.cfg.MayDial(bare) == nil && (extension(uri.User) || u.cfg.MayDial(number(uri, t.Country)) == nil) {
			if ways = own(t, bare, &uri); ways != nil {
				return ways, bare, nil
			}
			if ways, err = gateways(nil, bare); err != nil {
				return nil, "", err
			}
			for i := range ways {
				ways[i].foreign = true
			}
			return ways, bare, nil
		}
	}
	n := numberIn(target, t.Country)
	if err := u.cfg.MayDial(n); err != nil {
		return nil, "", err
	}
	ways, err = gateways(t, n)
	return ways, n, err
}

// own are the trunk's gateways at the host of a URI: they are spoken to as any
// call of the trunk's is, by their transport and with its password.
func own(t *trunk.Trunk, bare string, uri *sip.Uri) []gateway {
	all, err := gateways(t, bare)
	if err != nil {
		return nil
	}
	var out []gateway
	for _, gw := range all {
		if strings.EqualFold(gw.host, uri.Host) && (uri.Port == 0 || gw.port == 0 || gw.port == uri.Port) {
			out = append(out, gw)
		}
	}
	return out
}
