package sip

import (
	"crypto/md5" //nolint:gosec // what RFC 2617 says
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/trunk"
)

func hexMD5(s string) string {
	sum := md5.Sum([]byte(s)) //nolint:gosec // see above
	return hex.EncodeToString(sum[:])
}

func hexSHA256(s string) string { sum := sha256.Sum256([]byte(s)); return hex.EncodeToString(sum[:]) }

var digestParam = regexp.MustCompile(`(\w+)="?([^",]*)"?`)

// digestOK computes the response of RFC 7616 section 3.4.1 from the request as
// it came and holds the credentials against it.
func digestOK(t *testing.T, m *wire, header, algorithm string, hash func(string) string) {
	t.Helper()
	p := map[string]string{}
	for _, kv := range digestParam.FindAllStringSubmatch(strings.TrimPrefix(m.get(header), "Digest "), -1) {
		p[kv[1]] = kv[2]
	}
	uri := strings.Fields(m.start)[1]
	if p["uri"] != uri {
		t.Errorf("signed %q, the Request-URI is %q", p["uri"], uri)
	}
	if p["algorithm"] != algorithm {
		t.Errorf("algorithm %q, want %q", p["algorithm"], algorithm)
	}
	want := hash(hash("ann:"+p["realm"]+":s3cret") + ":" + p["nonce"] + ":" + p["nc"] + ":" + p["cnonce"] + ":" + p["qop"] + ":" +
		hash(m.method()+":"+uri))
	if p["response"] != want {
		t.Errorf("response %q, want %q of %v", p["response"], want, p)
	}
}

// sip:P14: all challenges are looked at, the best that we know is answered,
// and the Request-URI is signed with its parameters.
func TestP14Challenges(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		status    int
		challenge []string
		algorithm string
		hash      func(string) string
	}{
		{"an unknown algorithm first, MD5 behind it", 401, []string{
			`WWW-Authenticate: Digest realm="r", nonce="n1", algorithm=AKAv1-MD5, qop="auth"`,
			`WWW-Authenticate: Digest realm="r", nonce="n2", algorithm=MD5, qop="auth"`,
		}, "MD5", hexMD5},
		{"MD5 first, SHA-256 behind it", 407, []string{
			`Proxy-Authenticate: Digest realm="r", nonce="n2", algorithm=MD5, qop="auth"`,
			`Proxy-Authenticate: Digest realm="r", nonce="n3", algorithm=SHA-256, qop="auth,auth-int"`,
		}, "SHA-256", hexSHA256},
		{"two in one field, lower case", 401, []string{
			`WWW-Authenticate: Digest realm="r", nonce="a,b", algorithm=whirlpool, qop="auth", Digest realm="r", nonce="n4", algorithm=md5, qop="auth"`,
		}, "MD5", hexMD5},
		{"auth-int first, with a space behind it", 401, []string{
			`WWW-Authenticate: Digest realm="r", nonce="n5", algorithm=MD5, qop="auth-int, auth"`,
		}, "MD5", hexMD5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newUDPPeer(t, "")
			s := newServer(t, answerAll, trunkTo(p))
			leg, err := s.Dial(t.Context(), telephony.Destination{To: "sip:bob@" + p.addr() + ";user=phone;x=1", Trunk: "gw"})
			if err != nil {
				t.Fatal(err)
			}
			first := p.request("INVITE")
			p.reply(first, tt.status, "Who are you", "far", "", tt.challenge...)
			p.request("ACK")
			second := p.request("INVITE")
			header := "Authorization"
			if tt.status == 407 {
				header = "Proxy-Authorization"
			}
			if !strings.Contains(second.start, ";user=phone;x=1") {
				t.Errorf("the URI lost its parameters: %s", second.start)
			}
			digestOK(t, second, header, tt.algorithm, tt.hash)
			if second.get("Call-Id") != first.get("Call-Id") || tagOf(second.get("From")) != tagOf(first.get("From")) ||
				second.seq() <= first.seq() || second.get("Via") == first.get("Via") || strings.Contains(second.get("To"), "tag=") {
				t.Errorf("second INVITE: %q %q %q %q %q", second.get("Call-Id"), second.get("From"), second.get("Cseq"),
					second.get("Via"), second.get("To"))
			}
			p.reply(second, 200, "OK", "far", testSDP)
			p.request("ACK")
			await[telephony.Answered](t, leg)
			_ = leg.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonNormal})
			bye := p.request("BYE")
			p.reply(bye, tt.status, "Who are you", "", "", tt.challenge...) // an own request of an own call
			again := p.next("BYE with credentials", func(m *wire) bool { return m.method() == "BYE" && m.get(header) != "" })
			digestOK(t, again, header, tt.algorithm, tt.hash)
			p.reply(again, tt.status, "Too old", "", "", tt.challenge[len(tt.challenge)-1]+`, stale=true`)
			again = p.next("BYE again", func(m *wire) bool { return m.method() == "BYE" && m.seq() > again.seq() })
			digestOK(t, again, header, tt.algorithm, tt.hash)
			p.reply(again, 200, "OK", "", "")
			s.idle(t)
		})
	}
}

func TestChallengesNotAnswered(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		trunk     trunk.Config
		challenge string
		times     int // challenges until we give up
	}{
		{
			"a wrong password is not tried for ever",
			trunk.Config{Username: "ann", Password: "no"},
			`WWW-Authenticate: Digest realm="r", nonce="n%d", algorithm=MD5, qop="auth"`, 2,
		},
		{
			"a stale nonce is tried once more",
			trunk.Config{Username: "ann", Password: "s3cret"},
			`WWW-Authenticate: Digest realm="r", nonce="n%d", algorithm=MD5, qop="auth", stale=true`, 3,
		},
		{
			"another realm than the trunk's (SEC-4)",
			trunk.Config{Username: "ann", Password: "s3cret", Realm: "carrier"},
			`WWW-Authenticate: Digest realm="r%d", nonce="n", algorithm=MD5, qop="auth"`, 1,
		},
		{
			"auth-int only",
			trunk.Config{Username: "ann", Password: "s3cret"},
			`WWW-Authenticate: Digest realm="r%d", nonce="n", algorithm=MD5, qop="auth-int"`, 1,
		},
		{"no password", trunk.Config{}, `WWW-Authenticate: Digest realm="r%d", nonce="n"`, 1},
		{
			"a password that only callers are asked for",
			trunk.Config{Username: "ann", Password: "s3cret", Auth: "inbound"},
			`WWW-Authenticate: Digest realm="r%d", nonce="n", algorithm=MD5, qop="auth"`, 1,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newUDPPeer(t, "")
			s := newServer(t, answerAll, trunkToWith(tt.trunk, p))
			leg := s.dial(t.Context(), t)
			for i := range tt.times {
				invite := p.request("INVITE")
				p.reply(invite, 401, "Unauthorized", "far", "", fmt.Sprintf(tt.challenge, i))
				p.request("ACK")
			}
			if c := await[telephony.Ended](t, leg).Cause; c.Reason != telephony.ReasonRejected || c.Status != 401 {
				t.Errorf("cause %v", c)
			}
			for _, m := range p.drain(4 * testT1) {
				if m.method() == "INVITE" {
					t.Errorf("another INVITE: %v", m.head)
				}
			}
			s.idle(t)
		})
	}
}

// SEC-4: a challenge within a call that the peer placed is not answered.
func TestInboundCallAnswersNoChallenge(t *testing.T) {
	t.Parallel()
	s := newServer(t, answerOnce, trunkToWith(trunk.Config{Username: "ann", Password: "s3cret"}))
	p := newUDPPeer(t, s.udp)
	p.call()
	bye := p.request("BYE")
	p.reply(bye, 401, "Unauthorized", "", "", `WWW-Authenticate: Digest realm="r", nonce="n", algorithm=MD5, qop="auth"`)
	s.idle(t)
	for _, m := range p.drain(4 * testT1) {
		if m.get("Authorization") != "" {
			t.Errorf("credentials for a caller: %q", m.get("Authorization"))
		}
	}
}
