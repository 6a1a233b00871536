package sip

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/rtp"
)

// races is how many calls of a kind are raced, over how many peers at a time,
// and how far apart answer and CANCEL may be.
const (
	races       = 500
	racers      = 10
	raceWithin  = 4 * time.Millisecond
	raceSeed    = 20240607 // of the instants; the machine adds its own
	afterwards  = 2 * testT1
	raceWaitTag = "X-Wait"
)

// instant is a random time within raceWithin; one in four is none.
func instant(draw *rand.Rand) time.Duration {
	if draw.IntN(4) == 0 {
		return 0
	}
	return time.Duration(draw.Int64N(int64(raceWithin)))
}

// ends collects what the user of each call was told, by the SIP Call-ID.
type ends struct {
	mu  sync.Mutex
	all map[string][]telephony.Event
}

// follow reads a leg's events to the end of them.
func (e *ends) follow(leg telephony.Leg) {
	for ev := range leg.Events() {
		switch ev.(type) {
		case telephony.Answered, telephony.Ended:
			e.mu.Lock()
			e.all[leg.Info().SIPCallID] = append(e.all[leg.Info().SIPCallID], ev)
			e.mu.Unlock()
		}
	}
}

func (e *ends) of(callID string) []telephony.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.all[callID]
}

// manyPorts is media for calls that follow each other so fast that the ports of
// the first are not free again (SEC-15), with room for another run beside this one.
func manyPorts(c *Config) {
	var err error
	if c.Media, err = rtp.New(rtp.Config{PortMin: 20000, PortMax: 29998, Shards: 1}); err != nil {
		panic(err)
	}
}

// nothingLeft waits until a server holds nothing of any call.
func (s *server) nothingLeft(t testing.TB) {
	t.Helper()
	s.idle(t)
	eventually(t, "no INVITE, no media session is left", func() bool {
		return s.Stats().Transactions == 0 && s.media.Load().Sessions == 0
	})
	s.peers.mu.Lock()
	defer s.peers.mu.Unlock()
	if n := len(s.peers.n); n != 0 {
		t.Errorf("%d peers", n)
	}
	if n := s.Stats().RecoveredPanics; n != 0 {
		t.Errorf("%d panics", n)
	}
}

// sip:P1: the caller's CANCEL comes about when we answer: either 487, or a call
// that stands and is ended by BYE. Whoever has the call is told one end, the same.
func TestCancelRacesOfCallers(t *testing.T) { // not beside others: T1 is 25 ms
	told := &ends{all: map[string][]telephony.Event{}}
	s := newServer(t, handler(func(ctx context.Context, leg telephony.Leg) {
		_ = leg.Progress(ctx, false)
		us, _ := strconv.Atoi(leg.Info().Headers[raceWaitTag])
		select {
		case <-time.After(time.Duration(us) * time.Microsecond):
		case <-ctx.Done():
		}
		_ = leg.Answer(ctx)
		told.follow(leg)
	}), manyPorts)
	var wg sync.WaitGroup
	var mu sync.Mutex
	count := map[int]int{}
	for racer := range racers {
		draw := rand.New(rand.NewPCG(raceSeed, uint64(racer))) //nolint:gosec // a choice of the test
		p := newUDPPeer(t, s.udp)
		if racer%4 == 0 {
			p = newTCPPeer(t, s.tcp)
		}
		wg.Go(func() {
			for call := range races / racers {
				d := p.dialogue()
				rings := instant(draw)
				if call%8 == 0 { // there are some of either kind however fast the machine is
					rings = time.Hour
				}
				d.extra = []string{fmt.Sprintf("%s: %d", raceWaitTag, rings.Microseconds())}
				d.invite(testSDP)
				<-time.After(instant(draw))
				var m *wire
				if call%8 == 1 {
					m = d.final("INVITE")
				}
				d.send("", d.lines("CANCEL", d.seq, d.branch)...)
				if m == nil {
					m = d.final("INVITE")
				}
				raceOfCaller(t, d, m)
				status := m.status()
				mu.Lock()
				count[status]++
				mu.Unlock()
				eventually(t, "its end is told", func() bool { return len(told.of(d.callID)) > 0 })
				for i, ev := range told.of(d.callID) {
					end, ok := ev.(telephony.Ended)
					want := map[int]telephony.Reason{487: telephony.ReasonCancelled, 200: telephony.ReasonNormal}[status]
					if i > 0 || !ok || end.Cause.Reason != want || !end.Cause.Remote {
						t.Errorf("%s is answered %d and its user told %+v", d.callID, status, told.of(d.callID))
					}
				}
			}
		})
	}
	wg.Wait()
	t.Logf("answers: %v", count)
	if count[487] < races/10 || count[200] < races/10 {
		t.Errorf("answers %v: want both kinds", count)
	}
	s.nothingLeft(t)
}

// raceOfCaller plays a caller who has sent CANCEL to the end of the call, from the
// answer to its INVITE on.
func raceOfCaller(t *testing.T, d *dialogue, m *wire) {
	t.Helper()
	switch m.status() {
	case 487:
		d.ackRefusal(m)
	case 200:
		d.learn(m)
		d.extra = nil
		d.ack("")
		d.bye()
	}
	for _, more := range d.drain(afterwards) {
		if more.get("Call-Id") == d.callID && (more.method() != "" || more.of() == "INVITE" && more.status() != m.status() &&
			more.status() >= 200) {
			t.Errorf("behind %s: %s", m.start, more.start)
		}
	}
}

// sip:P1: our CANCEL crosses the callee's answer: either 487 and no more, or a 200
// that is acknowledged and ended by one BYE. Whoever placed the call is told one
// end.
func TestCancelRacesOfOurs(t *testing.T) { // not beside others: T1 is 25 ms
	told := &ends{all: map[string][]telephony.Event{}}
	s := newServer(t, answerAll, manyPorts)
	var wg sync.WaitGroup
	var mu sync.Mutex
	count := map[string]int{}
	for racer := range racers {
		draw := rand.New(rand.NewPCG(raceSeed, uint64(racers+racer))) //nolint:gosec // a choice of the test
		p := newUDPPeer(t, "")
		wg.Go(func() {
			for call := range races / racers {
				leg, err := s.Dial(t.Context(), telephony.Destination{To: "sip:far@" + p.addr()})
				if err != nil {
					t.Error(err)
					return
				}
				done := make(chan struct{})
				go func() {
					defer close(done)
					told.follow(leg)
				}()
				invite := p.next(fmt.Sprintf("INVITE of %s, call %d", leg.Info().SIPCallID, call), func(m *wire) bool {
					return m.method() == "INVITE" && m.get("Call-Id") == leg.Info().SIPCallID
				})
				p.reply(invite, 180, "Ringing", "far", "")
				callee := &racedCallee{peer: p, invite: invite, after: instant(draw), late: draw.IntN(2) == 0}
				hangUp := func() { _ = leg.Hangup(context.Background(), telephony.Cause{Reason: telephony.ReasonCancelled}) }
				cancel := instant(draw)
				switch call % 8 { // there are some of either kind however fast the machine is
				case 0:
					callee.after, callee.late = time.Hour, false
				case 1:
					callee.up, cancel = hangUp, time.Hour
				}
				cancels := time.AfterFunc(cancel, hangUp)
				how := callee.race(t)
				cancels.Stop()
				<-done
				answered, over := 0, 0
				for _, ev := range told.of(leg.Info().SIPCallID) {
					switch ev := ev.(type) {
					case telephony.Answered:
						answered++
					case telephony.Ended:
						if over++; ev.Cause.Reason != telephony.ReasonCancelled {
							t.Errorf("%s: ended %v", how, ev.Cause)
						}
					}
				}
				if over != 1 || answered > 1 || answered == 1 && how == "487" {
					t.Errorf("%s: told %d answers and %d ends", how, answered, over)
				}
				if answered == 1 {
					how = "answered"
				}
				mu.Lock()
				count[how]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	t.Logf("outcomes: %v", count)
	for _, how := range []string{"487", "crossed", "answered"} {
		if count[how] < races/50 {
			t.Errorf("outcomes %v: want all three", count)
		}
	}
	s.nothingLeft(t)
}

// racedCallee is a callee of one call.
type racedCallee struct {
	*peer
	invite *wire
	after  time.Duration // of ringing
	late   bool          // it answers though it was cancelled
	up     func()        // called when its answer is acknowledged; nil: not
}

// race plays the call to its end. It gives "487", or "crossed" where the callee
// answered.
func (p *racedCallee) race(t *testing.T) (how string) {
	t.Helper()
	invite, callID := p.invite, p.invite.get("Call-Id")
	picksUp := time.NewTimer(p.after)
	defer picksUp.Stop()
	limit := time.NewTimer(5 * time.Second)
	defer limit.Stop()
	cancelled, acks := false, 0
	for {
		select {
		case <-picksUp.C:
			if cancelled && !p.late {
				continue
			}
			how = "crossed"
			p.reply(invite, 200, "OK", "far", testSDP)
		case m := <-p.in:
			if m.get("Call-Id") != callID {
				continue // of the call before, sent again
			}
			switch m.method() {
			case "CANCEL":
				p.reply(m, 200, "OK", "far", "")
				if how == "" && !p.late && !cancelled {
					how = "487"
					p.reply(invite, 487, "Request Terminated", "far", "")
				}
				cancelled = true
			case "ACK":
				if acks++; how == "487" {
					finish(t, p.peer, invite, invite)
					return how
				}
				if acks == 1 && p.up != nil {
					p.up()
				}
			case "BYE":
				p.reply(m, 200, "OK", "", "")
				if acks == 0 || how != "crossed" {
					t.Errorf("BYE behind %d ACKs, %q", acks, how)
				}
				finish(t, p.peer, invite, m)
				return how
			}
		case <-limit.C:
			t.Errorf("cancelled %v, %q: %d ACKs, no BYE", cancelled, how, acks)
			return how
		}
	}
}

// finish sees that nothing more comes of a call but what is sent again, of its
// INVITE and of the last request.
func finish(t *testing.T, p *peer, invite, last *wire) {
	t.Helper()
	for _, m := range p.drain(afterwards) {
		again := m.get("Via") == invite.get("Via") || m.get("Via") == last.get("Via") || m.method() == "ACK"
		if m.get("Call-Id") == invite.get("Call-Id") && !again {
			t.Errorf("behind the end of the call: %s", m.start)
		}
	}
}
