package sip

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// newInbound makes the leg of an INVITE that ingress let in.
func (u *UserAgent) newInbound(m *message) *leg {
	g := u.newLeg(telephony.Inbound)
	g.first, g.callID, g.remoteTag = m, m.callID, m.fromTag
	g.befriend(m.from.Addr())
	g.announced, g.hasSeq = m.cseq, true
	g.trunk, g.counted, g.fresh = m.placed, true, true
	if m.transport != "UDP" {
		g.conn = m.from
	}
	g.info = u.inboundInfo(g, m)
	g.log = u.log.With(zap.String("call_id", string(g.info.ID)), zap.String("trunk", string(g.info.Trunk)))
	// The INVITE itself is on its way up, a CANCEL may be faster. A transaction
	// that never comes up leaves nothing to answer.
	g.hold()
	g.lost = g.after(5*time.Second, func() {
		g.release()
		g.end(telephony.Cause{Reason: telephony.ReasonFailed, Text: "transaction lost"})
	})
	return g
}

func newID() telephony.CallID {
	id, err := uuid.NewV7()
	if err != nil {
		id = uuid.New()
	}
	return telephony.CallID(id.String())
}

// inboundInfo is what the INVITE tells of the call.
func (u *UserAgent) inboundInfo(g *leg, m *message) telephony.Info {
	who := m.caller(m.head.from, g.trunk)
	info := telephony.Info{
		ID: m.id, Direction: telephony.Inbound, Trunk: g.trunk.ID,
		Transport: "sip/" + strings.ToLower(m.transport), SIPCallID: clean(m.callID), Received: time.Now(),
		From: who.number, FromName: who.name, FromURI: who.uri, ToURI: clean(m.uri),
		Diverted: m.diversions(g.trunk.Country), Headers: m.headers(g.trunk), Passports: m.passports(),
	}
	// What was dialled is the Request-URI; a trunk that sends there our own
	// account has it in To.
	if info.To = numberIn(m.uri, g.trunk.Country); info.To == "" || m.isForContact(g.trunk) {
		info.To = m.dialled(g.trunk, info.To)
	}
	return info
}

// isForContact reports whether the Request-URI is what the trunk registered, and
// so says nothing of what was dialled.
func (m *message) isForContact(t *trunk.Trunk) bool {
	var uri sip.Uri
	return t.Register && sip.ParseUri(m.uri, &uri) == nil && unescape(uri.User) == t.ContactUser()
}

// dialled is what was dialled where the Request-URI does not tell it: what a
// proxy found there before (RFC 7315 section 4.2), else To, else what is known.
func (m *message) dialled(t *trunk.Trunk, known string) string {
	if value, ok := m.get("P-Called-Party-ID"); ok {
		if a, ok := parseAddress(value); ok {
			if n := numberIn(a.uri, t.Country); n != "" {
				return n
			}
		}
	}
	if n := numberIn(m.head.to.uri, t.Country); n != "" {
		return n
	}
	return known
}

// onInvite begins an inbound call.
func (g *leg) onInvite(in incoming) {
	g.lost()
	g.release()
	g.invite = in
	if g.state == stateEnded { // cancelled, or the server ended, before it came up
		g.respond(in, 487, "Request Terminated")
		g.tellCancelled()
		return
	}
	g.state = stateRinging
	if tx, ok := in.tx.(interface{ Acks() <-chan *sip.Request }); ok {
		g.acks = tx.Acks()
	}
	g.dialog = uasDialog(in.req, g.localTag, g.first)
	if h := in.req.GetHeader("Allow"); h != nil {
		g.peerCan = h.Value()
	}
	g.trace("in", sip.INVITE, 0, in.req.CSeq().SeqNo)
	_ = g.answerWith(in, 100, "Trying", nil)

	switch {
	case g.victim != nil: // no further call
		if !g.claimPlace() {
			return
		}
	case !g.admitted():
		return
	}
	if briefer(in.req) {
		short := telephony.Cause{Reason: telephony.ReasonFailed, Status: 422, Text: "the session timer is too short"}
		g.reject(short, field{"Min-SE", strconv.Itoa(leastExpires)})
		return
	}
	g.early.required = lists(in.req, "Require", "100rel")
	if err := g.openMedia(g.first.from.Addr(), g.first.local.Addr(), g.trunk.Codecs); err != nil {
		g.log.Warn("sip: call refused", zap.Error(err))
		g.reject(telephony.Cause{Reason: telephony.ReasonOverload, Text: "no media port"})
		return
	}
	if body := in.req.Body(); len(body) > 0 {
		_, n, err := g.media.neg.Answer(body)
		if err != nil {
			g.rejectOffer(err)
			return
		}
		g.agree(n)
	} else { // late offer: ours goes out with the answer
		g.mu.Lock()
		if g.info.Format.Rate == 0 {
			g.info.Format = audio.Format{Encoding: audio.MuLaw, Rate: 8000}
		}
		g.mu.Unlock()
	}
	if g.victim != nil {
		g.takePlace()
		return
	}
	g.startHandler()
}

// admitted asks whether the call may come, and refuses it where not.
func (g *leg) admitted() bool {
	if g.u.cfg.Accept != nil {
		if cause, ok := g.u.cfg.Accept(g.Info()); !ok {
			g.reject(cause)
			return false
		}
	}
	if g.u.cfg.Handler == nil {
		g.reject(telephony.Cause{Reason: telephony.ReasonNoAnswer, Status: 480, Text: "nobody is here"})
		return false
	}
	return true
}

// rejectOffer refuses a call whose description cannot be taken.
func (g *leg) rejectOffer(err error) {
	cause := mediaCause(err)
	if f, ok := g.warning(err); ok {
		g.reject(cause, f)
		return
	}
	g.reject(cause)
}

// startHandler runs the handler; when it returns the call is over.
func (g *leg) startHandler() {
	if !g.u.enter() {
		g.reject(telephony.Cause{Reason: telephony.ReasonDraining})
		return
	}
	g.runHandler()
}

// tellCancelled has the handler know of a call whose CANCEL was faster than its
// INVITE: the leg is over, and whoever keeps calls keeps this one too.
func (g *leg) tellCancelled() {
	if g.u.cfg.Handler == nil || g.cause.Reason != telephony.ReasonCancelled || !g.u.enter() {
		return
	}
	g.mu.Lock()
	g.info.Format = audio.Format{Encoding: audio.MuLaw, Rate: 8000}
	g.mu.Unlock()
	g.runHandler()
}

// runHandler runs the handler in a goroutine that Serve waits for.
func (g *leg) runHandler() {
	g.log.Debug("sip: call started", zap.String("direction", string(g.direction)),
		zap.String("transport", g.Info().Transport), zap.String("sip_call_id", g.callID))
	face, ctx := g.face()
	go func() {
		defer g.u.wg.Done()
		cause := telephony.Cause{Reason: telephony.ReasonNormal}
		defer func() {
			if r := recover(); r != nil {
				g.u.count.panics.Add(1)
				g.log.Error("sip: handler panicked", zap.Any("panic", r), zap.Stack("stack"))
				cause = telephony.Cause{Reason: telephony.ReasonFailed, Status: 500, Text: "internal error"}
			}
			last := g
			if p := g.party.Load(); p != nil {
				last = p.quit(cause)
			}
			last.post(func() { last.leave(cause) })
		}()
		g.u.cfg.Handler.ServeCall(ctx, face)
	}()
}

// reject answers the INVITE with a failure.
func (g *leg) reject(c telephony.Cause, fields ...field) {
	status := c.StatusCode()
	if status < 300 || status > 699 {
		status = 480
	}
	if status == 503 {
		fields = append(fields, retryAfter())
	}
	if g.invite.tx != nil {
		g.respond(g.invite, status, reasonPhrase(status), fields...)
	}
	c.Status = status
	g.end(c)
}

// onCancel is a CANCEL of the INVITE that began the call. It is answered
// already; where a final answer is out it has no effect.
func (g *leg) onCancel() {
	g.trace("in", sip.CANCEL, 0, g.first.cseq)
	if g.state > stateRinging {
		return
	}
	if g.invite.tx != nil {
		g.respond(g.invite, 487, "Request Terminated")
	}
	g.end(telephony.Cause{Reason: telephony.ReasonCancelled, Status: 487, Remote: true})
}

// onBye is the peer's end of the call.
func (g *leg) onBye(in incoming) {
	g.respond(in, 200, "OK")
	cause := telephony.Cause{Reason: telephony.ReasonNormal, Remote: true, Text: byeText(in.req)}
	if g.state == stateRinging && g.direction == telephony.Inbound {
		g.respond(g.invite, 487, "Request Terminated") // RFC 3261 section 15.1.2
		cause.Reason = telephony.ReasonCancelled
	}
	if g.uas != nil {
		g.uas.stop()
		g.uas = nil
	}
	if g.refer != nil && g.refer.plausible() {
		cause.Reason = telephony.ReasonTransferred
	}
	g.end(cause)
}

// byeText is the Reason field of a BYE (RFC 3326).
func byeText(req *sip.Request) string {
	if h := req.GetHeader("Reason"); h != nil {
		return clean(h.Value())
	}
	return ""
}

// Progress tells the caller that it rings, or with early that sound comes
// before the answer.
func (g *leg) Progress(ctx context.Context, early bool) error {
	return g.ask(ctx, func(done func(error)) {
		if g.direction != telephony.Inbound || g.state != stateRinging {
			done(nil)
			return
		}
		var body []byte
		switch {
		case !g.media.agreed && g.early.required && g.early.seq == 0:
			body = g.media.neg.Offer() // in the first reliable response: RFC 3262 section 5
		case early && g.media.agreed: // without their description there is nobody to send to yet
			body = g.media.neg.Body()
			if err := g.apply(); err != nil {
				done(err)
				return
			}
		}
		if early && body != nil {
			g.provisional(183, "Session Progress", body, done)
			return
		}
		g.provisional(180, "Ringing", body, done)
	})
}

// Answer takes the call. It returns when the caller has confirmed it.
func (g *leg) Answer(ctx context.Context) error {
	return g.ask(ctx, func(done func(error)) {
		switch {
		case g.direction != telephony.Inbound, g.state == stateUp:
			done(nil)
			return
		case g.state == stateAnswered:
			g.uas.waiting = append(g.uas.waiting, done)
			return
		}
		g.take200(done)
	})
}

// take200 sends the answer, behind a provisional response that waits for its
// PRACK (RFC 3262 section 3).
func (g *leg) take200(done func(error)) {
	if r := g.early.open; r != nil {
		r.then = append(r.then, func() { g.take200(done) })
		return
	}
	switch g.state {
	case stateRinging:
	case stateAnswered: // asked twice meanwhile
		g.uas.waiting = append(g.uas.waiting, done)
		return
	default:
		done(g.ended())
		return
	}
	late := !g.media.agreed
	body := g.media.neg.Body()
	switch {
	case late:
		body = g.media.neg.Offer()
	case g.early.settled:
		body = nil // offer and answer are complete: RFC 6337 section 3.1.1
	}
	if err := g.apply(); err != nil {
		g.reject(telephony.Cause{Reason: telephony.ReasonFailed, Text: err.Error()})
		done(err)
		return
	}
	g.state = stateAnswered
	g.accept(g.invite, body, late)
	g.uas.waiting = append(g.uas.waiting, done)
}
