//go:build e2e

package e2e

import (
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/patchcord/patchcord/telephony"
)

func TestPeerSIPpBasic(t *testing.T) {
	t.Parallel()
	for _, tcp := range []bool{false, true} {
		name := map[bool]string{false: "UDP", true: "TCP"}[tcp]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			line := openLine(t, 440, nil)
			const calls = 100
			sipp(t, sippRun{scenario: "basic", to: line.addr, tcp: tcp, calls: calls, rate: 25})
			for _, c := range line.take(t, calls, 5*time.Second) {
				if c.answerErr != nil || c.cause.Reason != telephony.ReasonNormal || !c.cause.Remote {
					t.Fatalf("call ended %v, answer %v; want a BYE of the peer", c.cause, c.answerErr)
				}
			}
			line.quiet(t, 10*time.Second)
		})
	}
}

// Under 20 % loss CI dials fewer than a thousand, for the time it takes.
var lossyCalls = flag.Int("lossycalls", 200, "calls of the test that loses one SIP message in five")

// TestPeerSIPpLoss: one message in five is lost in either direction, and yet
// every call goes by the script, once.
func TestPeerSIPpLoss(t *testing.T) {
	t.Parallel()
	line := openLine(t, 440, nil)
	// A BYE that is lost six times over comes 16 s late: that is one call in a
	// few thousand, and no call without sound.
	line.noMedia = true
	calls := *lossyCalls
	limit := 80*time.Second + time.Duration(max(0, calls-200))*50*time.Millisecond
	sipp(t, sippRun{scenario: "basic", to: line.addr, calls: calls, rate: 20, lost: 20, limit: limit})
	ends := map[telephony.Reason]int{}
	for _, c := range line.take(t, calls, 40*time.Second) {
		ends[c.cause.Reason]++
	}
	if ends[telephony.ReasonNormal] != calls {
		t.Errorf("calls ended %v, want %d normal", ends, calls)
	}
	line.quiet(t, 40*time.Second)
}

// TestPeerSIPpPCMA30ms: PCMA in packets of 30 ms, eight seconds of speech.
func TestPeerSIPpPCMA30ms(t *testing.T) {
	t.Parallel()
	line := openLine(t, 440, nil)
	sipp(t, sippRun{scenario: "pcma30", to: line.addr})
	c := line.take(t, 1, 5*time.Second)[0]
	if c.info.Codec != "PCMA" {
		t.Errorf("codec %q, want PCMA", c.info.Codec)
	}
	loud := 0
	for at := 0; at+160 <= len(c.pcm); at += 160 {
		if rms(c.pcm[at:at+160]) > 300 {
			loud++
		}
	}
	t.Logf("heard %.1f s, %.1f s of it loud; %d packets, %d lost, %d late, %d concealed frames",
		float64(len(c.pcm))/8000, float64(loud)/50, c.stats.PacketsReceived, c.stats.PacketsLost, c.stats.PacketsLate,
		c.stats.Concealed)
	if c.stats.PacketsReceived < 200 || c.stats.PacketsLost > 2 {
		t.Errorf("%d packets, %d lost; the capture has more than 200 and none is lost", c.stats.PacketsReceived,
			c.stats.PacketsLost)
	}
	if loud < 100 {
		t.Errorf("%d loud frames of 20 ms, want at least 100: that is a recording of speech", loud)
	}
}

// TestPeerSIPpKeys: twelve telephone-events, each heard once (conv:D6).
func TestPeerSIPpKeys(t *testing.T) {
	t.Parallel()
	line := openLine(t, 440, nil)
	for scenario, want := range map[string]string{"dtmf": "123456789*#", "dtmf0": "0"} {
		sipp(t, sippRun{scenario: scenario, to: line.addr})
		if c := line.take(t, 1, 5*time.Second)[0]; c.digits != want {
			t.Errorf("heard the keys %q, want %q", c.digits, want)
		}
	}
}

// TestPeerSIPpScripts are scenarios whose whole verdict is the script's.
func TestPeerSIPpScripts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, scenario string
		check          func(*testing.T, toneCall)
	}{
		{name: "hold and unhold in every form", scenario: "hold", check: func(t *testing.T, c toneCall) {
			if c.held == 0 || c.held != c.resumed {
				t.Errorf("held %d times, resumed %d times", c.held, c.resumed)
			}
		}},
		{name: "a re-INVITE without an offer", scenario: "offerless"},
		{name: "an INVITE without an offer", scenario: "lateoffer"},
		{name: "a codec change", scenario: "codecchange", check: func(t *testing.T, c toneCall) {
			if len(c.codecs) != 1 || c.codecs[0] != "PCMA" {
				t.Errorf("codecs after the answer %v, want PCMA", c.codecs)
			}
		}},
		{name: "a key by INFO", scenario: "info", check: wantKey},
		{name: "sip:P4 an INFO overtakes the ACK", scenario: "ackinfo", check: wantKey},
	} {
		for _, tcp := range []bool{false, true} {
			name := map[bool]string{false: " over UDP", true: " over TCP"}[tcp]
			t.Run(c.name+name, func(t *testing.T) {
				t.Parallel()
				line := openLine(t, 440, nil)
				sipp(t, sippRun{scenario: c.scenario, to: line.addr, tcp: tcp, calls: 5, rate: 5})
				for _, call := range line.take(t, 5, 5*time.Second) {
					if call.cause.Reason != telephony.ReasonNormal {
						t.Errorf("call ended %v", call.cause)
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

func wantKey(t *testing.T, c toneCall) {
	if c.digits != "5" {
		t.Errorf("heard the keys %q, want 5", c.digits)
	}
}

// TestPeerSIPpNoCodec: an offer that we cannot take is refused, nobody is asked.
func TestPeerSIPpNoCodec(t *testing.T) {
	t.Parallel()
	line := openLine(t, 440, nil)
	sipp(t, sippRun{scenario: "nocodec", to: line.addr, calls: 5})
	line.quiet(t, 10*time.Second)
}

// TestPeerSIPpCancel: CANCEL at random times around the answer: exactly one
// of 487 or an answer that is acknowledged and ended; each call once (sip:P1
// is the same race on calls of ours).
func TestPeerSIPpCancel(t *testing.T) {
	t.Parallel()
	script, err := os.ReadFile("testdata/sipp/cancel.xml")
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	draw := rand.New(rand.NewPCG(seed, 0))
	line := openLine(t, 440, nil)
	line.answerAfter = 100 * time.Millisecond
	const rounds, calls = 10, 20
	ends := map[telephony.Reason]int{}
	for round := range rounds {
		delay := 1 + draw.IntN(200)
		switch {
		case round == 0:
			delay = 20 // surely before the answer
		case round == 1:
			delay = 180 // surely after it
		case round%2 == 0:
			delay = 95 + draw.IntN(15) // within a few milliseconds of it
		}
		file := filepath.Join(t.TempDir(), "cancel.xml")
		text := strings.ReplaceAll(string(script), "DELAY", strconv.Itoa(delay))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		sipp(t, sippRun{scenario: file, to: line.addr, calls: calls, rate: 50})
		for _, c := range line.take(t, calls, 10*time.Second) {
			ends[c.cause.Reason]++
			if c.cause.Reason != telephony.ReasonCancelled && c.cause.Reason != telephony.ReasonNormal {
				t.Errorf("CANCEL after %d ms: call ended %v", delay, c.cause)
			}
		}
	}
	t.Logf("ends: %v", ends)
	if ends[telephony.ReasonCancelled] < calls || ends[telephony.ReasonNormal] < calls {
		t.Errorf("calls ended %v: want both kinds", ends)
	}
	line.quiet(t, 10*time.Second)
}

// TestPeerSIPpLostAck: a 200 that nobody acknowledges comes again for 32 s,
// then the call ends with BYE (sip:P5).
func TestPeerSIPpLostAck(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 32 s of real time")
	}
	t.Parallel()
	line := openLine(t, 440, nil)
	messages := sipp(t, sippRun{
		scenario: "noack", to: line.addr, calls: 3, limit: 50 * time.Second,
		extra: []string{"-default_behaviors", "none"},
	})
	// At 0, 0.5, 1.5, 3.5, 7.5 and then every 4 s up to 31.5 s; one more is the script's own, to the BYE.
	if n := strings.Count(messages, "\nSIP/2.0 200 "); n < 3*11 || n > 3*12 {
		t.Errorf("%d times 200 for 3 calls, want 12 each", n)
	}
	for _, c := range line.take(t, 3, 5*time.Second) {
		if c.answerErr == nil || c.cause.Reason != telephony.ReasonNoAck {
			t.Errorf("call ended %v, answer %v; want %s", c.cause, c.answerErr, telephony.ReasonNoAck)
		}
	}
	line.quiet(t, 5*time.Second)
}

// TestPeerSIPpGone: the peer vanishes after its ACK; no packet for 15 s ends
// the call, and the BYE is answered when the peer is there again (conv:I7).
func TestPeerSIPpGone(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 15 s of real time")
	}
	t.Parallel()
	line := openLine(t, 440, nil)
	sipp(t, sippRun{scenario: "gone", to: line.addr, calls: 3, limit: 50 * time.Second})
	for _, c := range line.take(t, 3, 5*time.Second) {
		if c.cause.Reason != telephony.ReasonMediaTimeout || c.cause.Remote {
			t.Errorf("call ended %v, want %s by us", c.cause, telephony.ReasonMediaTimeout)
		}
	}
	line.quiet(t, 5*time.Second)
}
