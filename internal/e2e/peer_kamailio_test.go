//go:build e2e

package e2e

import (
	"testing"
	"time"

	"github.com/patchcord/patchcord/internal/testkit/authority"
	"github.com/patchcord/patchcord/telephony"
)

// TestPeerKamailioRegistrar: registered by digest, over UDP and TCP, called
// through the registrar, which is killed and knows nobody when it is back: the
// registration is found again without anybody's help.
func TestPeerKamailioRegistrar(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			line, c := openRegistered(t, 440, transport, registrarKeys{})
			for round := range 2 {
				sipp(t, sippRun{scenario: "basic", to: c.host + ":5060", extra: []string{"-s", "alice"}})
				call := line.take(t, 1, 5*time.Second)[0]
				if call.info.Trunk != "carrier" || call.cause.Reason != telephony.ReasonNormal {
					t.Errorf("round %d: a call of trunk %q, ended %v", round, call.info.Trunk, call.cause)
				}
				if round == 0 {
					since := line.ua.TrunkStatus("carrier").Registration.Until
					c.restart()
					eventually(t, 20*time.Second, "registered again", func() bool {
						r := line.ua.TrunkStatus("carrier").Registration
						return r.Registered && r.Until.After(since)
					})
				}
			}
			line.quiet(t, 10*time.Second)
		})
	}
}

// TestPeerKamailioCalls: a telephone behind the proxy calls us and is called by
// us; the proxy asks us for the password (407). Both hear each other.
func TestPeerKamailioCalls(t *testing.T) {
	t.Parallel()
	line, c := openRegistered(t, 440, "udp", registrarKeys{})
	calls(t, line, c, true, false)
}

// TestPeerRTPEngineRelays: the first of these with a relay that has another address than
// whoever signals.
func TestPeerRTPEngineRelays(t *testing.T) {
	t.Parallel()
	needs(t, "kamailio", "kamailio")
	line, c := openRegistered(t, 440, "udp", registrarKeys{relay: openRelay(t)})
	for _, call := range calls(t, line, c, true) {
		if call.info.Transport != "sip/udp" || call.info.SRTP != "" {
			t.Errorf("over %s with %q, want sip/udp in the clear", call.info.Transport, call.info.SRTP)
		}
	}
}

// TestPeerKamailioBorder: we speak TLS to a border, certificates shown by both
// ends, that speaks UDP to a telephone behind it: registered by digest, called
// over a connection of the border's, and calling over ours.
func TestPeerKamailioBorder(t *testing.T) {
	t.Parallel()
	line, c := openRegistered(t, 440, "tls", registrarKeys{tls: authority.New(t)})
	for _, call := range calls(t, line, c, true, false) {
		if call.info.Transport != "sip/tls" || call.info.SRTP != "" {
			t.Errorf("over %s with %q, want sip/tls and media in the clear", call.info.Transport, call.info.SRTP)
		}
	}
}

// TestPeerBorderDecrypts is that with a relay which ends our SRTP: what the
// telephone behind it hears and says is RTP (SEC-14).
func TestPeerBorderDecrypts(t *testing.T) {
	t.Parallel()
	needs(t, "kamailio", "kamailio")
	line, c := openRegistered(t, 440, "tls", registrarKeys{tls: authority.New(t), relay: openRelay(t)})
	for _, call := range calls(t, line, c, true, false) {
		if call.info.Transport != "sip/tls" || call.info.SRTP == "" || call.stats.PacketsForged != 0 {
			t.Errorf("over %s with %q, %d packets forged; want sip/tls, a suite and none", call.info.Transport,
				call.info.SRTP, call.stats.PacketsForged)
		}
		t.Logf("encrypted by %s", call.info.SRTP)
	}
}

// calls are placed by a telephone behind the registrar, or to it.
func calls(t *testing.T, line *toneLine, c *registrar, incoming ...bool) (ended []toneCall) {
	t.Helper()
	for _, incoming := range incoming {
		phone := startPhone(t, "PCMU", 1000, phoneKeys{registers: "sip:bob@" + c.host})
		phone.await(10*time.Second, "REGISTER_OK")
		if incoming {
			phone.do("dial", "sip:alice@"+c.host)
		} else {
			leg, err := line.ua.Dial(t.Context(), telephony.Destination{To: "bob", Trunk: "carrier"})
			if err != nil {
				t.Fatal(err)
			}
			go line.ServeCall(t.Context(), leg)
		}
		phone.await(5*time.Second, "CALL_ESTABLISHED")
		talk(3 * time.Second)
		phone.do("hangup", "")
		call := line.take(t, 1, 5*time.Second)[0]
		if call.info.Trunk != "carrier" || call.cause.Reason != telephony.ReasonNormal || !call.cause.Remote {
			t.Errorf("a call of trunk %q, ended %v; want carrier and the phone's BYE", call.info.Trunk, call.cause)
		}
		pcm, rate := phone.quit()
		wantTone(t, "baresip", pcm, rate, 440, 1000, 2500*time.Millisecond)
		wantTone(t, "patchcord", call.pcm, call.rate, 1000, 440, 2500*time.Millisecond)
		ended = append(ended, call)
	}
	line.quiet(t, 10*time.Second)
	return ended
}

// TestPeerKamailioForks: a call of ours rings at two telephones. Where one
// answers the other is cancelled; where both do, the first is the call and the
// other gets ACK and BYE. The scripts of both are the verdict.
func TestPeerKamailioForks(t *testing.T) {
	t.Parallel()
	for name, second := range map[string]string{"one answers": "uasringing", "both answer": "uas"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			line, c := openRegistered(t, 440, "udp", registrarKeys{})
			line.lasts = time.Second
			other := telephone(t, second, c.two)
			first := telephone(t, "uas", c.one)
			leg, err := line.ua.Dial(t.Context(), telephony.Destination{To: "fork", Trunk: "carrier"})
			if err != nil {
				t.Fatal(err)
			}
			go line.ServeCall(t.Context(), leg)
			if call := line.take(t, 1, 20*time.Second)[0]; call.cause.Reason != telephony.ReasonNormal || call.cause.Remote {
				t.Errorf("ended %v, want our BYE", call.cause)
			}
			first()
			other()
			line.quiet(t, 10*time.Second)
		})
	}
}
