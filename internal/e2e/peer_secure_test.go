//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/patchcord/patchcord/internal/testkit/authority"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/rtp"
	"github.com/patchcord/patchcord/telephony/sip"
	"github.com/patchcord/patchcord/telephony/trunk"
)

const sipOverTLS = "5061"

// securePhone is a baresip that speaks SIP over TLS, at the port above its own,
// and takes no call without SRTP.
func securePhone(t *testing.T, ca *authority.Authority, tone float64) (p *phone, tlsAddr string) {
	t.Helper()
	dir := t.TempDir()
	cert, key := ca.Issue(t, "127.0.0.1")
	certFile, caFile := filepath.Join(dir, "phone.pem"), filepath.Join(dir, "ca.pem")
	for file, text := range map[string][]byte{certFile: append(key, cert...), caFile: ca.PEM()} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p = startPhone(t, "PCMA", tone, phoneKeys{
		config:  fmt.Sprintf("sip_certificate %s\nsip_cafile %s\nmodule srtp.so\n", certFile, caFile),
		account: ";mediaenc=srtp-mand",
	})
	host, port, err := net.SplitHostPort(strings.TrimPrefix(p.aor, "sip:phone@"))
	if err != nil {
		t.Fatal(err)
	}
	n, _ := strconv.Atoi(port)
	return p, net.JoinHostPort(host, strconv.Itoa(n+1))
}

// openSecureLine is a line over TLS with SRTP or nothing; gateway is where it
// calls.
func openSecureLine(t *testing.T, ca *authority.Authority, tone float64, gateway string) *toneLine {
	t.Helper()
	return openLine(t, tone, func(c *sip.Config, _ *rtp.Config) {
		host, _, _ := net.SplitHostPort(strings.TrimPrefix(c.Listen[0], "udp://"))
		caFile, cert, key := ca.Files(t, host)
		c.Listen, c.Cert, c.Key = []string{"tls://" + net.JoinHostPort(host, sipOverTLS)}, cert, key
		table, err := trunk.NewTable([]trunk.Config{{
			Name: "phone", Allow: []string{"127.0.0.1"}, Gateways: []string{"sip:" + gateway + ";transport=tls"},
			SRTP: "required", TLS: trunk.Security{CA: caFile},
		}}, nil, "")
		if err != nil {
			t.Fatal(err)
		}
		c.Trunks = table
	})
}

// wantSecured judges a call that both heard, over TLS and SRTP (SEC-14).
func wantSecured(t *testing.T, call toneCall, phone *phone, ours, theirs float64) {
	t.Helper()
	if call.info.Transport != "sip/tls" || call.info.SRTP != "AES_CM_128_HMAC_SHA1_80" || call.cause.Reason != telephony.ReasonNormal {
		t.Errorf("over %s with %q, ended %v; want sip/tls, AES_CM_128_HMAC_SHA1_80 and a normal end",
			call.info.Transport, call.info.SRTP, call.cause)
	}
	if s := call.stats; s.PacketsLost != 0 || s.PacketsForged != 0 || s.PacketsReceived < 150 || s.PacketsSent < 150 {
		t.Errorf("%d packets in, %d lost, %d forged, %d out", s.PacketsReceived, s.PacketsLost, s.PacketsForged, s.PacketsSent)
	}
	pcm, rate := phone.quit()
	wantTone(t, "baresip", pcm, rate, ours, theirs, 3500*time.Millisecond)
	wantTone(t, "patchcord", call.pcm, call.rate, theirs, ours, 3500*time.Millisecond)
	if out := phone.out.String(); !strings.Contains(out, "AES_CM_128_HMAC_SHA1_80") {
		t.Errorf("baresip does not tell of SRTP")
	}
}

// TestPeerBaresipCallsSecured: baresip dials over TLS and demands SRTP, as we do.
func TestPeerBaresipCallsSecured(t *testing.T) {
	t.Parallel()
	const ours, theirs = 700, 2500
	ca := authority.New(t)
	phone, at := securePhone(t, ca, theirs)
	line := openSecureLine(t, ca, ours, at)
	phone.do("dial", "sip:4930123456@"+net.JoinHostPort(line.host, sipOverTLS)+";transport=tls")
	phone.await(5*time.Second, "CALL_ESTABLISHED")
	talk(4 * time.Second)
	phone.do("hangup", "")
	call := line.take(t, 1, 5*time.Second)[0]
	wantSecured(t, call, phone, ours, theirs)
	line.quiet(t, 10*time.Second)
}

// TestPeerBaresipIsCalledSecured: we dial baresip over TLS with SRTP required.
func TestPeerBaresipIsCalledSecured(t *testing.T) {
	t.Parallel()
	const ours, theirs = 700, 2500
	ca := authority.New(t)
	phone, at := securePhone(t, ca, theirs)
	line := openSecureLine(t, ca, ours, at)
	leg, err := line.ua.Dial(t.Context(), telephony.Destination{
		To: "sip:phone@" + at + ";transport=tls", From: "4930123456", Trunk: "phone", Codecs: []string{"PCMA"},
	})
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
	phone.await(5*time.Second, "CALL_CLOSED")
	wantSecured(t, call, phone, ours, theirs)
	line.quiet(t, 10*time.Second)
}
