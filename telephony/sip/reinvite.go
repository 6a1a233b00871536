package sip

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/sdp"
)

// offering is our offer within a dialog while it is open: one at a time
// (RFC 3261 section 14.1).
type offering struct {
	direction sdp.Direction
	refresh   bool   // it changes nothing and renews the session
	next      func() // the change that waits for its end
	seq       uint32 // of the INVITE under way, 0 while we wait to try again
	stop      func() // timer of the next try
	done      []func(error)
}

// ackWait is how long a re-INVITE waits for the ACK of the one before it.
const ackWait = 500 * time.Millisecond

// onReinvite is an INVITE within the dialog.
func (g *leg) onReinvite(in incoming) {
	switch {
	case g.state == stateRinging:
		// A second INVITE before the final answer (RFC 3261 section 14.2).
		g.respond(in, 500, "Server Internal Error", field{"Retry-After", "1"})
	case g.uas != nil && g.parked.tx != nil:
		g.respond(in, 491, "Request Pending")
	case g.uas != nil:
		// The ACK of the INVITE before may still be on its way (sip:P6).
		g.parked = in
		g.unpark = g.after(min(ackWait, 16*g.u.cfg.t1), func() {
			if g.parked.tx != nil {
				g.respond(g.parked, 491, "Request Pending")
				g.parked = incoming{}
			}
		})
	case g.offering != nil && g.offering.seq != 0:
		g.respond(in, 491, "Request Pending") // glare
	default:
		g.reoffered(in)
	}
}

// nextInvite handles the re-INVITE that waited for an ACK.
func (g *leg) nextInvite() {
	if g.parked.tx == nil || g.state != stateUp {
		return
	}
	g.unpark()
	in := g.parked
	g.parked = incoming{}
	g.onReinvite(in)
}

// reoffered answers an INVITE within the dialog: an offer, or with no body the
// demand for one of ours.
func (g *leg) reoffered(in incoming) {
	if briefer(in.req) {
		g.tooShort(in)
		return
	}
	body := in.req.Body()
	if len(body) == 0 {
		g.dialog.refresh(in.req.Contact())
		g.accept(in, g.media.neg.Offer(), true)
		return
	}
	answer, n, err := g.media.neg.Answer(body)
	if err != nil {
		g.notAcceptable(in, err)
		return
	}
	g.dialog.refresh(in.req.Contact())
	g.accept(in, answer, false)
	g.agree(n)
	if err := g.apply(); err != nil {
		g.log.Warn(err.Error())
	}
	g.hear()
}

// tooShort refuses a session timer that is too short.
func (g *leg) tooShort(in incoming) {
	g.respond(in, 422, reasonPhrase(422), field{"Min-SE", strconv.Itoa(leastExpires)})
}

func (g *leg) notAcceptable(in incoming, err error) {
	if f, ok := g.warning(err); ok {
		g.respond(in, 488, "Not Acceptable Here", f)
		return
	}
	g.respond(in, 488, "Not Acceptable Here")
}

// onUpdate is an UPDATE within the dialog (RFC 3311): a target refresh, a
// refresh of the session, and an offer if it has a body. An offer before the
// answer is taken where the first one has been answered for good.
func (g *leg) onUpdate(in incoming) {
	body, d := in.req.Body(), g.dialogOf(in.req)
	up := g.state >= stateAnswered
	switch {
	case g.media == nil:
		g.respond(in, 500, "Server Internal Error", field{"Retry-After", "1"})
		return
	case up && briefer(in.req):
		g.tooShort(in)
		return
	case len(body) == 0 && up:
		d.refresh(in.req.Contact())
		g.respond(in, 200, "OK", g.grant(in.req)...)
		return
	case len(body) == 0:
		d.refresh(in.req.Contact())
		g.respond(in, 200, "OK")
		return
	case !up && g.direction == telephony.Outbound && !g.media.agreed: // ours has no answer yet
		g.respond(in, 491, "Request Pending")
		return
	case !up && g.direction == telephony.Inbound && !g.early.settled: // theirs has none
		g.respond(in, 500, "Server Internal Error", field{"Retry-After", "1"})
		return
	case g.offering != nil && g.offering.seq != 0, g.uas != nil && g.uas.late:
		g.respond(in, 491, "Request Pending")
		return
	}
	answer, n, err := g.media.neg.Answer(body)
	if err != nil {
		g.notAcceptable(in, err)
		return
	}
	d.refresh(in.req.Contact())
	var timer []field
	if up {
		timer = g.grant(in.req)
	}
	_ = g.answerWith(in, 200, "OK", answer, timer...)
	if b := g.branchFrom(in.req); b != nil {
		b.offers, b.media, g.attempts.early = true, n.Remote, b.remoteTag
	}
	g.agree(n)
	if err := g.apply(); err != nil {
		g.log.Warn(err.Error())
	}
	g.hear()
}

// Hold asks the peer to be quiet while it hears what we send, or ends that.
func (g *leg) Hold(ctx context.Context, on bool) error {
	return g.ask(ctx, func(done func(error)) {
		direction := sdp.SendRecv
		if on {
			direction = sdp.SendOnly
		}
		g.turn(direction, done)
	})
}

// turn offers another direction.
func (g *leg) turn(direction sdp.Direction, done func(error)) {
	o := g.offering
	switch {
	case g.state != stateUp:
		done(fmt.Errorf("sip: hold: the call is not up"))
	case o == nil:
		g.offering = &offering{direction: direction, done: []func(error){done}}
		g.sendOffer()
	case o.refresh && o.next == nil:
		o.next = func() { g.turn(direction, done) }
	case !o.refresh && o.direction == direction:
		o.done = append(o.done, done)
	default:
		done(fmt.Errorf("sip: hold: another change is under way"))
	}
}

// sendOffer sends the re-INVITE of the open offering, or waits while another
// INVITE is open (section 4.4).
func (g *leg) sendOffer() {
	o := g.offering
	if o == nil || g.state != stateUp {
		return
	}
	if g.uas != nil {
		o.stop = g.after(g.u.cfg.t1/5, g.sendOffer)
		return
	}
	req := g.dialog.request(sip.INVITE)
	req.AppendHeader(sip.NewHeader("Contact", g.contact()))
	req.AppendHeader(sip.NewHeader("Allow", allow))
	g.propose(req)
	req.AppendHeader(sip.NewHeader("Content-Type", "application/sdp"))
	if o.refresh {
		req.SetBody(g.media.neg.Again())
	} else {
		g.media.neg.SetDirection(o.direction)
		req.SetBody(g.media.neg.Offer())
	}
	o.seq = req.CSeq().SeqNo
	seq := func() uint32 { return g.dialog.localSeq } // of the try with credentials, if there is one
	g.do2xx(req, func(res *sip.Response, err error) {
		if g.offering != o || g.state == stateEnded {
			if err == nil && res.StatusCode < 300 {
				g.sendAck(&g.dialog, seqOf(res), nil)
			}
			return
		}
		o.seq = seq()
		g.offered(o, res, err)
	})
}

// do2xx is do for an INVITE: a 2xx that comes again is acknowledged again.
func (g *leg) do2xx(req *sip.Request, done func(*sip.Response, error)) {
	g.try(&g.dialog, req, maxChallenges, func(res *sip.Response) { g.sendAck(&g.dialog, seqOf(res), nil) }, done)
}

// offered is the answer to our re-INVITE.
func (g *leg) offered(o *offering, res *sip.Response, err error) {
	switch {
	case err != nil:
		g.media.neg.Withdraw()
		cause := telephony.Cause{Reason: telephony.ReasonCongestion, Text: "no answer to re-INVITE"}
		g.bye(cause)
		g.end(cause)
	case res.StatusCode < 300:
		g.dialog.refresh(res.Contact())
		g.sendAck(&g.dialog, seqOf(res), nil)
		g.granted(res)
		n, err := g.media.neg.Accept(res.Body())
		if err == nil {
			g.agree(n)
			err = g.apply()
		}
		g.hear()
		g.endOffering(err)
	case res.StatusCode == 491:
		// Glare (RFC 3261 section 14.1): who made the Call-ID waits longer.
		g.media.neg.Withdraw()
		o.seq = 0
		wait := 10 * time.Millisecond * time.Duration(rand.IntN(201)) //nolint:gosec // no secret
		if g.direction == telephony.Outbound {
			wait = 2100*time.Millisecond + 10*time.Millisecond*time.Duration(rand.IntN(191)) //nolint:gosec // no secret
		}
		o.stop = g.after(g.scaled(wait), g.sendOffer)
	case res.StatusCode == 481 || res.StatusCode == 408:
		g.lostPeer(res)
	case res.StatusCode == 422 && g.tooBrief(res):
		g.media.neg.Withdraw()
		g.sendOffer()
	case o.refresh:
		g.media.neg.Withdraw()
		g.endOffering(nil)
		g.notRefreshed(res)
	default:
		g.media.neg.Withdraw()
		g.endOffering(fmt.Errorf("sip: re-INVITE: %d %s", res.StatusCode, clean(res.Reason)))
	}
}

// endOffering tells those who wait for our offer.
func (g *leg) endOffering(err error) {
	o := g.offering
	if o == nil {
		return
	}
	g.offering = nil
	if o.stop != nil {
		o.stop()
	}
	for _, done := range o.done {
		done(err)
	}
	if o.next != nil {
		o.next()
	}
}

// scaled is a wait that RFC 3261 gives in seconds, by the T1 in use.
func (g *leg) scaled(d time.Duration) time.Duration {
	return time.Duration(float64(d) * float64(g.u.cfg.t1) / float64(500*time.Millisecond))
}
