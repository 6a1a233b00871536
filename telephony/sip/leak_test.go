package sip

import (
	"context"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/patchcord/patchcord/telephony"
)

// Whatever becomes of calls, nothing of them stays: goroutines, legs, INVITEs,
// connections are back where they were. TestMain holds the goroutines of the
// whole run to zero.
func TestNothingStays(t *testing.T) {
	t.Parallel()
	s := newServer(t, handler(func(ctx context.Context, leg telephony.Leg) {
		_ = leg.Progress(ctx, rand.IntN(2) == 0) //nolint:gosec // a choice of the test
		select {
		case <-time.After(time.Duration(rand.IntN(20)) * time.Millisecond): //nolint:gosec // see above
		case <-ctx.Done():
		}
		if leg.Answer(ctx) == nil {
			<-ctx.Done()
		}
	}))
	base := runtime.NumGoroutine()
	for round := range 60 {
		p := newUDPPeer(t, s.udp)
		if round%3 == 0 {
			p.close()
			p = newTCPPeer(t, s.tcp)
		}
		d := p.dialogue()
		d.invite(testSDP)
		switch round % 6 {
		case 0: // CANCEL at some time
			<-time.After(time.Duration(rand.IntN(25)) * time.Millisecond) //nolint:gosec // see above
			d.send("", d.lines("CANCEL", d.seq, d.branch)...)
			d.response("CANCEL", 200)
			if m := d.final("INVITE"); m.status() == 200 { // it crossed the answer
				d.learn(m)
				d.ack("")
				d.bye()
			} else {
				d.ackRefusal(m)
			}
		case 1: // no ACK at all
			d.ok()
		case 2: // no BYE: we hang up, and nobody answers that either
			d.ok()
			d.ack("")
		case 3: // BYE before the ACK
			d.ok()
			d.bye()
		case 4: // BYE before the answer
			d.learn(d.next("a provisional with a tag", func(m *wire) bool { return m.status() > 100 }))
			d.do("BYE", "")
		case 5:
			d.ok()
			d.ack("")
			d.bye()
		}
		if round%6 != 1 && round%6 != 2 {
			p.drain(testT1)
		}
		p.close()
	}
	// The calls whose peer is gone without a word: what ends them is above us.
	s.legs.mu.Lock()
	var left []*leg
	for _, g := range s.legs.byTag {
		left = append(left, g)
	}
	s.legs.mu.Unlock()
	for _, g := range left {
		_ = g.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonMediaTimeout})
	}
	s.idle(t)
	eventually(t, "no INVITE, connection or goroutine is left", func() bool {
		st := s.Stats()
		return st.Transactions == 0 && st.Connections == 0
	})
	s.peers.mu.Lock()
	if n := len(s.peers.n); n != 0 {
		t.Errorf("%d peers", n)
	}
	s.peers.mu.Unlock()
	t.Logf("%d goroutines before, %d after", base, runtime.NumGoroutine())
}

// A CANCEL of the caller at any time leaves exactly one of 487 or a call.
func TestInboundCancel(t *testing.T) {
	t.Parallel()
	causes := make(chan telephony.Cause, 10)
	eachTransport(t, func(t *testing.T, s *server, p *peer) {
		d := p.dialogue()
		d.invite(testSDP)
		ringing := d.response("INVITE", 180)
		d.send("", d.lines("CANCEL", d.seq, d.branch)...)
		c := d.response("CANCEL", 200)
		m := d.final("INVITE")
		if m.status() != 487 {
			t.Errorf("%s", m.start)
		}
		for _, r := range []*wire{c, m} {
			if tagOf(r.get("To")) != tagOf(ringing.get("To")) {
				t.Errorf("To tags: %q, %q", ringing.get("To"), r.get("To"))
			}
		}
		d.ackRefusal(m)
		if c := <-causes; c.Reason != telephony.ReasonCancelled || !c.Remote {
			t.Errorf("cause %v", c)
		}
		s.idle(t)
		d.send("", d.lines("CANCEL", d.seq+1, freshBranch())...)
		if m := d.final("CANCEL"); m.status() != 481 {
			t.Errorf("CANCEL of nothing: %s", m.start)
		}
		// In one go with the INVITE: it may be handled first.
		d = p.dialogue()
		d.invite(testSDP)
		d.send("", d.lines("CANCEL", d.seq, d.branch)...)
		if m = d.final("INVITE"); m.status() != 487 {
			t.Errorf("%s", m.start)
		}
		d.ackRefusal(m)
		s.idle(t)
	}, handler(func(ctx context.Context, leg telephony.Leg) {
		_ = leg.Progress(ctx, false)
		<-ctx.Done()
		for e := range leg.Events() {
			if e, ok := e.(telephony.Ended); ok {
				causes <- e.Cause
			}
		}
	}))
}

// A CANCEL behind the answer changes nothing (RFC 3261 section 9.2).
func TestCancelBehindAnswer(t *testing.T) {
	t.Parallel()
	legs := make(chan telephony.Leg, 2)
	eachTransport(t, func(t *testing.T, s *server, p *peer) {
		d := p.dialogue()
		d.invite(testSDP)
		d.ok()
		to := d.toTag
		d.toTag = ""
		cancel := d.lines("CANCEL", d.seq, d.branch)
		cancel[0] = "CANCEL sip:+4930123456@127.0.0.1 SIP/2.0"
		d.send("", cancel...)
		d.response("CANCEL", 200)
		d.toTag = to
		d.ack("")
		select {
		case <-legs:
		case <-time.After(5 * time.Second):
			t.Fatal("Answer has not returned well")
		}
		d.bye()
		s.idle(t)
	}, handOver(legs))
}

// The ACK of an old client has the branch of its INVITE.
func TestAckWithBranchOfInvite(t *testing.T) {
	t.Parallel()
	legs := make(chan telephony.Leg, 2)
	eachTransport(t, func(t *testing.T, s *server, p *peer) {
		d := p.dialogue()
		d.invite(testSDP)
		d.ok()
		d.send("", d.lines("ACK", d.seq, d.branch)...)
		<-legs // Answer has returned
		d.bye()
		s.idle(t)
	}, handOver(legs))
}

// A BYE that is sent again when its call is gone gets its 200 again.
func TestByeAgain(t *testing.T) {
	t.Parallel()
	s := newServer(t, answerAll)
	p := newUDPPeer(t, s.udp)
	d := p.call()
	d.seq++
	bye := d.lines("BYE", d.seq, freshBranch())
	d.send("", bye...)
	d.response("BYE", 200)
	s.idle(t)
	d.send("", bye...)
	d.response("BYE", 200)
	d.do("BYE", "")
	if m := d.final("BYE"); m.status() != 481 {
		t.Errorf("another BYE: %s", m.start)
	}
}

// A retransmitted or merged INVITE is not another call.
func TestInviteAgain(t *testing.T) {
	t.Parallel()
	s := newServer(t, answerAll)
	p := newUDPPeer(t, s.udp)
	d := p.dialogue()
	d.invite(testSDP)
	ok := d.ok()
	to := d.toTag
	d.toTag = ""
	for range 5 {
		d.sendInvite(testSDP)
	}
	d.branch = freshBranch() // by another way: RFC 3261 section 8.2.2.2
	d.sendInvite(testSDP)
	if m := d.next("482", func(m *wire) bool { return m.status() >= 300 }); m.status() != 482 {
		t.Error(m.start)
	}
	d.toTag = to
	d.ack("")
	d.bye()
	if n := s.Stats().Legs; n > 1 {
		t.Errorf("%d legs", n)
	}
	_ = ok
	s.idle(t)
	d.toTag = ""
	d.seq--
	d.sendInvite(testSDP) // late: its call is over
	for _, m := range p.drain(4 * testT1) {
		if m.status() >= 200 && m.status() != 482 && m.of() == "INVITE" {
			t.Errorf("a late retransmission: %s", m.start)
		}
	}
}
