package sip

import (
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/patchcord/patchcord/telephony"
)

// answering is a 2xx of ours to an INVITE that has no ACK yet. The transaction
// below does not repeat it (RFC 6026), and its own idea of when was wrong
// (sip:P5): we do, over every transport, as RFC 3261 section 13.3.1.4 says.
type answering struct {
	in       incoming
	seq      uint32
	res      *sip.Response
	late     bool          // our 2xx made the offer, the ACK brings the answer
	interval time.Duration // until the next repetition
	waiting  []func(error)
	hungup   func() // what the leg's end waits for the ACK with

	stopResend, stopGiveUp func()
}

func (a *answering) stop() {
	if a.stopResend != nil {
		a.stopResend()
	}
	if a.stopGiveUp != nil {
		a.stopGiveUp()
	}
}

// finish tells those who wait for the ACK.
func (a *answering) finish(err error) {
	a.stop()
	for _, done := range a.waiting {
		done(err)
	}
	a.waiting = nil
}

// accept answers an INVITE with 200 and repeats it until the ACK comes.
func (g *leg) accept(in incoming, body []byte, late bool) {
	a := &answering{in: in, seq: in.req.CSeq().SeqNo, late: late, interval: g.u.cfg.t1}
	a.res = g.response(in.req, 200, "OK", body, g.grant(in.req)...)
	g.uas = a
	g.trace("out", sip.INVITE, 200, a.seq)
	_ = in.tx.Respond(a.res) // over a connection that is gone the ACK will be missing
	a.stopResend = g.after(a.interval, g.resend)
	a.stopGiveUp = g.after(64*g.u.cfg.t1, g.noAck)
}

// resend repeats the 2xx: after T1, 2*T1, 4*T1, then every 8*T1, which is T2.
func (g *leg) resend() {
	a := g.uas
	if a == nil {
		return
	}
	_ = a.in.tx.Respond(a.res)
	a.interval = min(2*a.interval, 8*g.u.cfg.t1)
	a.stopResend = g.after(a.interval, g.resend)
}

// noAck is 64*T1 without an ACK: the session is ended with BYE.
func (g *leg) noAck() {
	a := g.uas
	if a == nil {
		return
	}
	g.uas = nil
	cause := telephony.Cause{Reason: telephony.ReasonNoAck, Text: "our answer was never acknowledged"}
	if a.hungup != nil {
		a.finish(g.ended())
		a.hungup()
		return
	}
	g.bye(cause)
	g.end(cause)
	a.finish(g.ended())
}

// onAck is the ACK of a 2xx. It belongs to the INVITE of its number, whatever
// came in between (sip:P4).
func (g *leg) onAck(ack *sip.Request) {
	seq := ack.CSeq()
	a := g.uas
	if a == nil || seq == nil || seq.SeqNo != a.seq {
		return // repeated, or the ACK of a refusal
	}
	g.trace("in", sip.ACK, 0, seq.SeqNo)
	g.uas = nil
	a.stop()
	if a.hungup != nil {
		a.finish(g.ended())
		a.hungup()
		return
	}
	if a.late {
		n, err := g.media.neg.Accept(ack.Body())
		if err == nil {
			g.agree(n)
			err = g.apply()
		}
		if err != nil {
			cause := mediaCause(err)
			g.bye(cause)
			g.end(cause)
			a.finish(g.ended())
			return
		}
	}
	if g.state == stateAnswered {
		g.up()
	}
	a.finish(nil)
	g.hear()
	g.nextInvite()
}
