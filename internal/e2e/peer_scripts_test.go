//go:build e2e

package e2e

import (
	"testing"
	"time"

	"github.com/patchcord/patchcord/telephony"
)

// TestPeerSIPpDialogs are scripts of what happens within a dialog, of calls that
// SIPp places; its script is the first verdict.
func TestPeerSIPpDialogs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, scenario string
		datagrams      bool // SIPp can do it over UDP alone
		with           func(*toneHandler)
		ends           telephony.Reason // "": normal
		check          func(*testing.T, toneCall)
	}{
		{name: "provisional responses are confirmed by PRACK", scenario: "prack", datagrams: true},
		{name: "UPDATE renews the session and holds the call", scenario: "update", check: func(t *testing.T, c toneCall) {
			if c.held != 1 || c.resumed != 1 {
				t.Errorf("held %d times, resumed %d times", c.held, c.resumed)
			}
			wantLoud(t, c, 200*time.Millisecond)
		}},
		{
			name: "offers cross", scenario: "glare", with: func(h *toneHandler) { h.holds = true },
			check: func(t *testing.T, c toneCall) {
				// RFC 3261 section 14.1: who did not make the Call-ID waits 2 s at most.
				if c.holdErr != nil || c.holding > 2500*time.Millisecond {
					t.Errorf("our hold took %v: %v", c.holding, c.holdErr)
				}
			},
		},
		{
			name: "BYE of a call that rings", scenario: "earlybye", ends: telephony.ReasonCancelled,
			with: func(h *toneHandler) { h.answerAfter = 2 * time.Second },
		},
		{name: "a late ACK brings the answer", scenario: "lateack", datagrams: true, check: func(t *testing.T, c toneCall) {
			if c.info.Codec != "PCMA" {
				t.Errorf("codec %q, want the answer's PCMA", c.info.Codec)
			}
			wantLoud(t, c, 200*time.Millisecond)
		}},
		{name: "a session timer that is too short", scenario: "sessionbrief"},
	} {
		for _, tcp := range []bool{false, true} {
			if tcp && c.datagrams {
				continue
			}
			name := map[bool]string{false: " over UDP", true: " over TCP"}[tcp]
			t.Run(c.name+name, func(t *testing.T) {
				t.Parallel()
				line := openLine(t, 440, nil)
				if c.with != nil {
					c.with(line.toneHandler)
				}
				const calls = 3
				sipp(t, sippRun{scenario: c.scenario, to: line.addr, tcp: tcp, calls: calls, rate: 5})
				want := c.ends
				if want == "" {
					want = telephony.ReasonNormal
				}
				for _, call := range line.take(t, calls, 5*time.Second) {
					if call.cause.Reason != want || !call.cause.Remote {
						t.Errorf("call ended %v, want %s by the peer", call.cause, want)
					}
					if c.check != nil {
						c.check(t, call)
					}
				}
				line.quiet(t, 10*time.Second)
			})
		}
	}
}

// wantLoud sees that speech was heard for a while.
func wantLoud(t *testing.T, c toneCall, least time.Duration) {
	t.Helper()
	var loud time.Duration
	frame := max(1, c.rate/50)
	for at := 0; at+frame <= len(c.pcm); at += frame {
		if rms(c.pcm[at:at+frame]) > 300 {
			loud += 20 * time.Millisecond
		}
	}
	t.Logf("heard %.1f s, %v of it loud", float64(len(c.pcm))/float64(max(1, c.rate)), loud)
	if loud < least {
		t.Errorf("speech for %v, want %v", loud, least)
	}
}

// TestPeerSIPpDialled are scripts of telephones that we call.
func TestPeerSIPpDialled(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, scenario string
		slow           bool // takes half a minute of real time
		with           func(*toneHandler)
		ends           telephony.Reason // "": normal
		check          func(*testing.T, toneCall)
	}{
		{name: "early sound is confirmed by PRACK", scenario: "uasprack"},
		{name: "sip:P1 two answers", scenario: "uasfork"},
		{
			name: "offers cross", scenario: "uasglare",
			with: func(h *toneHandler) { h.holds, h.lasts = true, 5*time.Second },
			check: func(t *testing.T, c toneCall) {
				// RFC 3261 section 14.1: who made the Call-ID waits 2.1 to 4 s.
				if c.holdErr != nil || c.holding < 2100*time.Millisecond || c.holding > 4500*time.Millisecond {
					t.Errorf("our hold took %v: %v", c.holding, c.holdErr)
				}
			},
		},
		{
			name: "a session that the peer does not refresh", scenario: "uasexpires", slow: true, ends: telephony.ReasonSession,
			with: func(h *toneHandler) { h.lasts = time.Minute },
			check: func(t *testing.T, c toneCall) {
				// 45 s less a third (RFC 4028 section 10).
				if off := c.up - 30*time.Second; off < -500*time.Millisecond || off > 2*time.Second {
					t.Errorf("ended %v behind the answer, want 30 s", c.up)
				}
			},
		},
		{
			name: "a session that we refresh", scenario: "uasrefresh", slow: true,
			with: func(h *toneHandler) { h.lasts = 24 * time.Second },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.slow && testing.Short() {
				t.Skip("takes half a minute of real time")
			}
			t.Parallel()
			line := openLine(t, 440, nil)
			line.noMedia, line.lasts = true, time.Second
			if c.with != nil {
				c.with(line.toneHandler)
			}
			phone := ourAddr()
			verdict := telephone(t, c.scenario, phone)
			leg, err := line.ua.Dial(t.Context(), telephony.Destination{To: "sip:far@" + phone + ":5060"})
			if err != nil {
				t.Fatal(err)
			}
			go line.ServeCall(t.Context(), leg)
			verdict()
			want := c.ends
			if want == "" {
				want = telephony.ReasonNormal
			}
			call := line.take(t, 1, 5*time.Second)[0]
			if call.cause.Reason != want || call.cause.Remote {
				t.Errorf("call ended %v, want %s by us", call.cause, want)
			}
			if c.check != nil {
				c.check(t, call)
			}
			line.quiet(t, 10*time.Second)
		})
	}
}
