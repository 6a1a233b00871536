package sip

import (
	"context"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/telephony"
)

// newInbound makes the leg of an INVITE that ingress let in.
func (u *UserAgent) newInbound(m *message) *leg {
	g := u.newLeg(telephony.Inbound)
	g.first, g.callID, g.remoteTag = m, m.callID, m.fromTag
	g.befriend(m.from.Addr())
	g.announced, g.hasSeq = m.cseq, true
	g.trunk, _ = u.trunks.Load().Match(m.from.Addr())
	if m.transport == "TCP" {
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

// inboundInfo is what the INVITE tells of the call.
func (u *UserAgent) inboundInfo(g *leg, m *message) telephony.Info {
	id, err := uuid.NewV7()
	if err != nil {
		id = uuid.New()
	}
	info := telephony.Info{
		ID: telephony.CallID(id.String()), Direction: telephony.Inbound, Trunk: g.trunk.ID,
		Transport: "sip/" + strings.ToLower(m.transport), SIPCallID: clean(m.callID), Received: time.Now(),
		FromName: clean(m.head.from.display), Headers: u.headers(m.packet),
	}
	var from, to sip.Uri
	if sip.ParseUri(m.head.from.uri, &from) == nil {
		info.From = number(from, g.trunk.Country)
	}
	// What was dialled is the Request-URI; a trunk that sends there our own
	// account has it in To.
	if sip.ParseUri(m.uri, &to) == nil {
		info.To = number(to, g.trunk.Country)
	}
	if info.To == "" && sip.ParseUri(m.head.to.uri, &to) == nil {
		info.To = number(to, g.trunk.Country)
	}
	return info
}

// headers are the allow-listed fields of a message.
func (u *UserAgent) headers(p *packet) map[string]string {
	out := map[string]string{}
	for _, f := range p.fields {
		for _, prefix := range u.cfg.HeadersFrom {
			if len(f.name) >= len(prefix) && strings.EqualFold(f.name[:len(prefix)], prefix) && len(out) < maxHeaders {
				out[clean(f.name)] = clean(f.value)
			}
		}
	}
	return out
}

// onInvite begins an inbound call.
func (g *leg) onInvite(in incoming) {
	g.lost()
	g.release()
	g.invite = in
	if g.state == stateEnded { // cancelled, or the server ended, before it came up
		g.respond(in, 487, "Request Terminated")
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

	info := g.Info()
	if g.u.cfg.Accept != nil {
		if cause, ok := g.u.cfg.Accept(info); !ok {
			g.reject(cause)
			return
		}
	}
	if g.u.cfg.Handler == nil {
		g.reject(telephony.Cause{Reason: telephony.ReasonNoAnswer, Status: 480, Text: "nobody is here"})
		return
	}
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
		g.info.Format = audio.Format{Encoding: audio.MuLaw, Rate: 8000}
		g.mu.Unlock()
	}
	g.startHandler()
}

// rejectOffer refuses a call whose description cannot be taken.
func (g *leg) rejectOffer(err error) {
	cause := telephony.Cause{Reason: telephony.ReasonNoCodec, Text: err.Error()}
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
	g.log.Debug("sip: call started", zap.String("direction", string(g.direction)),
		zap.String("transport", g.Info().Transport), zap.String("sip_call_id", g.callID))
	go func() {
		defer g.u.wg.Done()
		cause := telephony.Cause{Reason: telephony.ReasonNormal}
		defer func() {
			if r := recover(); r != nil {
				g.u.count.panics.Add(1)
				g.log.Error("sip: handler panicked", zap.Any("panic", r), zap.Stack("stack"))
				cause = telephony.Cause{Reason: telephony.ReasonFailed, Status: 500, Text: "internal error"}
			}
			g.post(func() {
				if g.state < stateAnswered && cause.Reason == telephony.ReasonNormal {
					cause.Status = 480
				}
				g.hangup(cause)
			})
		}()
		g.u.cfg.Handler.ServeCall(g.ctx, g)
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
		if !early || !g.media.agreed { // without their description there is nobody to send to yet
			done(g.answerWith(g.invite, 180, "Ringing", nil))
			return
		}
		if err := g.apply(); err != nil {
			done(err)
			return
		}
		done(g.answerWith(g.invite, 183, "Session Progress", g.media.neg.Body()))
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
		late := !g.media.agreed
		body := g.media.neg.Body()
		if late {
			body = g.media.neg.Offer()
		}
		if err := g.apply(); err != nil {
			g.reject(telephony.Cause{Reason: telephony.ReasonFailed, Text: err.Error()})
			done(err)
			return
		}
		g.state = stateAnswered
		g.accept(g.invite, body, late)
		g.uas.waiting = append(g.uas.waiting, done)
	})
}
