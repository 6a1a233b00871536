//go:build e2e

package e2e

import (
	"testing"
	"time"

	"github.com/patchcord/patchcord/telephony"
)

// codecTones are the codecs with a tone for each direction; 5.5 kHz proves
// that G.722 and Opus are wideband at both ends.
var codecTones = []struct {
	codec       string
	ours, phone float64 // Hz
}{
	{"PCMU", 440, 1000},
	{"PCMA", 700, 2500},
	{"G722", 1000, 5500},
	{"opus", 1300, 5000},
}

// TestPeerBaresipCalls: baresip dials, both ends hear the other's tone and
// nothing else.
func TestPeerBaresipCalls(t *testing.T) {
	t.Parallel()
	for _, c := range codecTones {
		for _, transport := range []string{"udp", "tcp"} {
			if c.codec == "opus" && transport == "tcp" {
				continue // its sound goes over UDP as well
			}
			t.Run(c.codec+" over "+transport, func(t *testing.T) {
				t.Parallel()
				phone := startPhone(t, c.codec, c.phone)
				line := openLine(t, c.ours, nil)
				phone.do("dial", line.uri(transport))
				phone.await(5*time.Second, "CALL_ESTABLISHED")
				talk(4 * time.Second)
				phone.do("hangup", "")
				call := line.take(t, 1, 5*time.Second)[0]
				if call.info.Codec != c.codec || call.info.Transport != "sip/"+transport {
					t.Errorf("codec %s over %s, want %s over sip/%s", call.info.Codec, call.info.Transport, c.codec, transport)
				}
				if call.cause.Reason != telephony.ReasonNormal || !call.cause.Remote {
					t.Errorf("call ended %v, want the phone's BYE", call.cause)
				}
				if call.stats.PacketsLost != 0 || call.stats.PacketsReceived < 150 || call.stats.PacketsSent < 150 {
					t.Errorf("%d packets in, %d lost, %d out; want about 200 and none lost",
						call.stats.PacketsReceived, call.stats.PacketsLost, call.stats.PacketsSent)
				}
				pcm, rate := phone.quit()
				wantTone(t, "baresip", pcm, rate, c.ours, c.phone, 3500*time.Millisecond)
				wantTone(t, "patchcord", call.pcm, call.rate, c.phone, c.ours, 3500*time.Millisecond)
				t.Logf("in: jitter %v, MOS %.2f; out: jitter %v, lost %d, RTT %v", call.stats.Jitter, call.stats.MOS,
					call.stats.RemoteJitter, call.stats.RemoteLost, call.stats.RTT)
				line.quiet(t, 10*time.Second)
			})
		}
	}
}

// TestPeerBaresipIsCalled: we dial baresip, it answers by itself.
func TestPeerBaresipIsCalled(t *testing.T) {
	t.Parallel()
	for _, c := range codecTones {
		t.Run(c.codec, func(t *testing.T) {
			t.Parallel()
			phone := startPhone(t, c.codec, c.phone)
			line := openLine(t, c.ours, nil)
			leg, err := line.ua.Dial(t.Context(), telephony.Destination{To: phone.aor, From: "4930123456", Codecs: []string{c.codec}})
			if err != nil {
				t.Fatal(err)
			}
			go line.ServeCall(t.Context(), leg)
			phone.await(5*time.Second, "CALL_ESTABLISHED")
			talk(4 * time.Second)
			if err := leg.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonNormal}); err != nil {
				t.Errorf("hang up: %v", err)
			}
			call := line.take(t, 1, 5*time.Second)[0]
			if call.info.Codec != c.codec || call.cause.Reason != telephony.ReasonNormal || call.cause.Remote {
				t.Errorf("codec %s, ended %v; want %s and our BYE", call.info.Codec, call.cause, c.codec)
			}
			phone.await(5*time.Second, "CALL_CLOSED")
			pcm, rate := phone.quit()
			wantTone(t, "baresip", pcm, rate, c.ours, c.phone, 3500*time.Millisecond)
			wantTone(t, "patchcord", call.pcm, call.rate, c.phone, c.ours, 3500*time.Millisecond)
		})
	}
}

// TestPeerBaresipHolds: hold and resume by the phone; keys pressed on it.
func TestPeerBaresipHolds(t *testing.T) {
	t.Parallel()
	phone := startPhone(t, "PCMU", 1000)
	line := openLine(t, 440, nil)
	phone.do("dial", line.uri("udp"))
	phone.await(5*time.Second, "CALL_ESTABLISHED")
	talk(time.Second)
	phone.do("hold", "")
	talk(1500 * time.Millisecond)
	phone.do("resume", "")
	talk(1500 * time.Millisecond)
	for _, key := range []string{"4", "2", "#"} {
		phone.do("sndcode", key)
		talk(400 * time.Millisecond)
	}
	phone.do("hangup", "")
	call := line.take(t, 1, 5*time.Second)[0]
	if call.held != 1 || call.resumed != 1 {
		t.Errorf("held %d times, resumed %d times, want once each", call.held, call.resumed)
	}
	if call.digits != "42#" {
		t.Errorf("heard the keys %q, want 42#", call.digits)
	}
	if call.cause.Reason != telephony.ReasonNormal {
		t.Errorf("call ended %v", call.cause)
	}
}

// TestPeerBaresipReports: after two rounds of RTCP both ends know what the
// other received.
func TestPeerBaresipReports(t *testing.T) {
	t.Parallel()
	phone := startPhone(t, "PCMU", 1000)
	line := openLine(t, 440, nil)
	phone.do("dial", line.uri("udp"))
	phone.await(5*time.Second, "CALL_ESTABLISHED")
	talk(14 * time.Second)
	phone.do("hangup", "")
	s := line.take(t, 1, 5*time.Second)[0].stats
	t.Logf("in: %d packets, %d lost, jitter %v, MOS %.2f; out: %d packets, %d lost, jitter %v, MOS %.2f; RTT %v",
		s.PacketsReceived, s.PacketsLost, s.Jitter, s.MOS, s.PacketsSent, s.RemoteLost, s.RemoteJitter, s.RemoteMOS, s.RTT)
	if s.RTT <= 0 || s.RTT > time.Second || s.RemoteMOS < 3.5 || s.MOS < 3.5 || s.RemoteLost != 0 || s.PacketsLost != 0 {
		t.Errorf("%+v: want a round trip, no loss and a MOS of 3.5 at least on loopback", s)
	}
}
