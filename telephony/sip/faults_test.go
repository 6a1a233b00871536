package sip

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// The tests of this file hold the fourteen faults that were found
// in the dialog layer of the library below. Each is made by a raw peer.

// trunkTo makes a trunk named "gw" whose gateway is the peer.
func trunkTo(gateways ...*peer) func(*Config) {
	return trunkToWith(trunk.Config{Username: "ann", Password: "s3cret"}, gateways...)
}

func trunkToWith(c trunk.Config, gateways ...*peer) func(*Config) {
	return func(cfg *Config) {
		c.Name = "gw"
		for _, g := range gateways {
			c.Gateways = append(c.Gateways, "sip:"+g.addr()+";transport="+strings.ToLower(g.transport()))
		}
		c.Allow = []string{"127.0.0.0/8"}
		table, err := trunk.NewTable([]trunk.Config{c}, nil, "agent")
		if err != nil {
			panic(err)
		}
		cfg.Trunks = table
	}
}

// dial places a call to the trunk "gw".
func (s *server) dial(ctx context.Context, t testing.TB) telephony.Leg {
	t.Helper()
	leg, err := s.Dial(ctx, telephony.Destination{To: "+4930987654", From: "+4930111111", Trunk: "gw"})
	if err != nil {
		t.Fatal(err)
	}
	return leg
}

// await reads events until one of type T comes.
func await[T telephony.Event](t testing.TB, leg telephony.Leg) T {
	t.Helper()
	deadline := time.NewTimer(5 * time.Second)
	defer deadline.Stop()
	var seen []string
	for {
		select {
		case e, ok := <-leg.Events():
			if v, is := e.(T); is {
				return v
			}
			if !ok {
				t.Fatalf("events ended without %T; seen %q", *new(T), seen)
			}
			if _, trace := e.(telephony.SignalTrace); !trace {
				seen = append(seen, fmt.Sprintf("%T%+v", e, e))
			}
		case <-deadline.C:
			t.Fatalf("no %T; seen %q", *new(T), seen)
		}
	}
}

// sip:P1: a 200 that crosses our CANCEL is acknowledged and ended.
func TestP1CancelCrossesAnswer(t *testing.T) {
	t.Parallel()
	for _, late := range []time.Duration{0, 10 * testT1} {
		t.Run(late.String(), func(t *testing.T) {
			t.Parallel()
			p := newUDPPeer(t, "")
			s := newServer(t, answerAll, trunkTo(p))
			ctx, cancel := context.WithCancel(t.Context())
			leg := s.dial(ctx, t)
			invite := p.request("INVITE")
			p.reply(invite, 180, "Ringing", "far", "")
			await[telephony.Ringing](t, leg)
			cancel()
			if c := await[telephony.Ended](t, leg).Cause; c.Reason != telephony.ReasonCancelled {
				t.Errorf("cause %v", c)
			}
			c := p.request("CANCEL")
			p.reply(c, 200, "OK", "far", "")
			<-time.After(late)
			p.reply(invite, 200, "OK", "far", testSDP)
			ack := p.request("ACK")
			if ack.seq() != invite.seq() {
				t.Errorf("ACK has CSeq %d, INVITE %d", ack.seq(), invite.seq())
			}
			bye := p.request("BYE")
			if tagOf(bye.get("To")) != "far" || bye.seq() <= invite.seq() {
				t.Errorf("BYE To %q CSeq %d", bye.get("To"), bye.seq())
			}
			p.reply(bye, 200, "OK", "", "")
			s.idle(t)
		})
	}
}

// sip:P2: any number of provisional responses is taken.
func TestP2ManyProvisionals(t *testing.T) {
	t.Parallel()
	p := newUDPPeer(t, "")
	s := newServer(t, answerAll, trunkTo(p))
	leg := s.dial(t.Context(), t)
	invite := p.request("INVITE")
	for i := range 30 {
		p.reply(invite, 180+3*(i%2), "Progress", "far", "")
	}
	await[telephony.Ringing](t, leg)
	p.reply(invite, 200, "OK", "far", testSDP)
	p.request("ACK")
	await[telephony.Answered](t, leg)
	_ = leg.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonNormal})
	p.reply(p.request("BYE"), 200, "OK", "", "")
	s.idle(t)
}

// sip:P3: a response leaves over UDP however long it is.
func TestP3LongAnswerOverUDP(t *testing.T) {
	t.Parallel()
	s := newServer(t, answerAll)
	p := newUDPPeer(t, s.udp)
	d := p.dialogue()
	for i := range 12 {
		d.extra = append(d.extra, fmt.Sprintf("Record-Route: <sip:proxy%d-%s.example.com;lr>", i, strings.Repeat("x", 180)))
	}
	d.invite(testSDP)
	if ok := d.ok(); ok.size < 2000 {
		t.Errorf("the 200 has %d bytes, the test wants a long one", ok.size)
	}
	d.extra = nil
	d.ack("")
	d.bye()
	s.idle(t)
}

// sip:P4: the ACK belongs to the INVITE of its number, whatever came between.
func TestP4AckBehindInfo(t *testing.T) {
	t.Parallel()
	answered := make(chan error, 1)
	s := newServer(t, handler(func(ctx context.Context, leg telephony.Leg) {
		answered <- leg.Answer(ctx)
		<-ctx.Done()
	}))
	p := newUDPPeer(t, s.udp)
	d := p.dialogue()
	d.invite(testSDP)
	d.ok()
	inviteSeq := d.seq
	d.do("INFO", "Signal=5\r\n", "Content-Type: application/dtmf-relay")
	d.response("INFO", 200)
	d.seq, inviteSeq = inviteSeq, d.seq
	d.ack("")
	if err := <-answered; err != nil {
		t.Fatalf("Answer: %v", err)
	}
	d.seq = inviteSeq
	d.do("INFO", "")
	d.response("INFO", 200) // behind all that left before the ACK was there
	for _, m := range p.drain(10 * testT1) {
		if m.status() == 200 && m.of() == "INVITE" {
			t.Fatal("the 200 is repeated behind its ACK")
		}
	}
	d.bye()
	s.idle(t)
}

// sip:P5: without an ACK the 200 is repeated as RFC 3261 13.3.1.4 says, then
// the call is ended with BYE.
func TestP5NoAck(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"udp", "tcp"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			answered := make(chan error, 1)
			waits := make(chan time.Duration, 100)
			s := newServer(t, handler(func(ctx context.Context, leg telephony.Leg) { answered <- leg.Answer(ctx) }),
				func(c *Config) { c.onTimer = func(d time.Duration) { waits <- d } })
			p := newUDPPeer(t, s.udp)
			if network == "tcp" {
				p = newTCPPeer(t, s.tcp)
			}
			d := p.dialogue()
			d.invite(testSDP)
			d.ok()
			sent := 1
			for {
				m := p.next("200 or BYE", func(m *wire) bool { return m.status() == 200 || m.method() == "BYE" })
				if m.method() == "BYE" {
					d.reply(m, 200, "OK", "", "")
					break
				}
				sent++
			}
			if sent < 4 || sent > 12 {
				t.Errorf("the 200 was sent %d times in 64*T1", sent)
			}
			var hangup *telephony.HangupError
			if err := <-answered; !errors.As(err, &hangup) || hangup.Cause.Reason != telephony.ReasonNoAck {
				t.Errorf("Answer: %v", err)
			}
			s.idle(t)
			close(waits)
			var got []time.Duration // in T1
			for d := range waits {
				if d != 5*time.Second { // of the INVITE on its way up
					got = append(got, d/testT1)
				}
			}
			want := []time.Duration{1, 64, 2, 4, 8, 8, 8, 8, 8, 8, 8, 8}
			if len(got) > len(want) || !slices.Equal(got, want[:len(got)]) {
				t.Errorf("waits of %d T1, want %d", got, want)
			}
		})
	}
}

// sip:P6: requests of one dialog are handled in the order they came in.
func TestP6Order(t *testing.T) {
	t.Parallel()
	keys := make(chan string, 100)
	s := newServer(t, handler(func(ctx context.Context, leg telephony.Leg) {
		_ = leg.Answer(ctx)
		var got strings.Builder
		for e := range leg.Events() {
			if d, ok := e.(telephony.Digit); ok {
				got.WriteByte(d.Key)
			}
		}
		keys <- got.String()
	}))
	p := newUDPPeer(t, s.udp)
	for range 40 {
		d := p.dialogue()
		d.invite(testSDP)
		d.ok()
		d.ack("")
		d.invite(testSDP)
		reinvite := d.seq
		for _, key := range "12345" {
			d.do("INFO", fmt.Sprintf("Signal=%c\r\n", key), "Content-Type: application/dtmf-relay")
		}
		d.seq, reinvite = reinvite, d.seq
		if m := d.final("INVITE"); m.status() != 200 {
			t.Fatalf("re-INVITE behind the ACK: %s", m.start)
		}
		d.ack("")
		d.seq = reinvite
		d.bye()
		if got := <-keys; got != "12345" {
			t.Fatalf("keys %q", got)
		}
	}
	s.idle(t)
}

// sip:P6: a re-INVITE that overtook the ACK waits for it; without one it is
// answered 491.
func TestP6ReinviteBeforeAck(t *testing.T) {
	t.Parallel()
	s := newServer(t, answerAll)
	p := newUDPPeer(t, s.udp)
	for _, acked := range []bool{true, false} {
		d := p.dialogue()
		d.invite(testSDP)
		d.ok()
		first := d.seq
		d.invite(testSDP)
		want := 491
		if acked {
			for _, m := range p.drain(2 * testT1) {
				if m.seq() == d.seq && m.status() >= 200 {
					t.Errorf("answered before the ACK: %s", m.start)
				}
			}
			second := d.seq
			d.seq = first
			d.ack("")
			d.seq, want = second, 200
		}
		m := p.next("answer to the re-INVITE", func(m *wire) bool { return m.status() >= 200 && m.of() == "INVITE" && m.seq() == d.seq })
		if m.status() != want {
			t.Errorf("acked %v: %s", acked, m.start)
		}
		if acked {
			d.ack("")
		} else {
			d.ackRefusal(m)
			d.seq--
			d.ack("")
			d.seq++
		}
		d.bye()
	}
	s.idle(t)
}

// sip:P7: no two requests of ours in a dialog have one number.
func TestP7NumbersRise(t *testing.T) {
	t.Parallel()
	const senders, each = 8, 5
	s := newServer(t, handler(func(ctx context.Context, leg telephony.Leg) {
		_ = leg.Answer(ctx)
		var wg sync.WaitGroup
		for range senders {
			wg.Go(func() {
				for range each {
					if err := leg.SendDigits(ctx, "5", telephony.Tone{Duration: time.Millisecond, Gap: time.Millisecond}); err != nil {
						t.Errorf("SendDigits: %v", err)
					}
				}
			})
		}
		wg.Wait()
	}), trunkToWith(trunk.Config{DTMF: "info"}))
	p := newUDPPeer(t, s.udp)
	d := p.dialogue()
	d.invite(testSDP)
	d.ok()
	d.ack("")
	last := 0
	seen := map[string]bool{}
	for n := 0; n < senders*each; {
		m := p.request("INFO")
		p.reply(m, 200, "OK", "", "")
		if seen[m.get("Via")] {
			continue // retransmitted
		}
		seen[m.get("Via")] = true
		n++
		if m.seq() <= last {
			t.Errorf("CSeq %d behind %d", m.seq(), last)
		}
		last = m.seq()
	}
	bye := p.request("BYE")
	if bye.seq() <= last {
		t.Errorf("BYE has CSeq %d behind %d", bye.seq(), last)
	}
	p.reply(bye, 200, "OK", "", "")
	s.idle(t)
}
