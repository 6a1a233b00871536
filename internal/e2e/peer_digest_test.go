//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/patchcord/patchcord/internal/secret"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/rtp"
	"github.com/patchcord/patchcord/telephony/sip"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// known makes a line know one trunk.
func known(t *testing.T, c trunk.Config) func(*sip.Config, *rtp.Config) {
	t.Helper()
	table, err := trunk.NewTable([]trunk.Config{c}, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	return func(cfg *sip.Config, _ *rtp.Config) { cfg.Trunks = table }
}

// TestPeerSIPpDigest: SIPp proves its password over UDP and TCP; with another it
// does not, and is locked out (SEC-4).
func TestPeerSIPpDigest(t *testing.T) {
	t.Parallel()
	phone := known(t, trunk.Config{
		Name: "phone", Allow: []string{ourNet}, Auth: "inbound", Username: "alice", Password: "s3cret",
		Digest: []string{"MD5", "SHA-256"}, // SIPp reads the first alone
	})
	for name, tcp := range map[string]bool{"UDP": false, "TCP": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			line := openLine(t, 440, phone)
			sipp(t, sippRun{scenario: "digest", to: line.addr, tcp: tcp, calls: 10, rate: 10, extra: []string{"-au", "alice", "-ap", "s3cret"}})
			for _, c := range line.take(t, 10, 5*time.Second) {
				if c.cause.Reason != telephony.ReasonNormal || c.info.Trunk != "phone" {
					t.Errorf("call of %q ended %v", c.info.Trunk, c.cause)
				}
			}
			line.quiet(t, 10*time.Second)
		})
	}
	for name, user := range map[string]string{"a wrong password": "alice", "an unknown user": "eve"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			line := openLine(t, 440, phone)
			sipp(t, sippRun{scenario: "digestwrong", to: line.addr, calls: 5, rate: 5, extra: []string{"-au", user, "-ap", "guess"}})
			if n := line.ua.Stats().Unproven; n != 5 {
				t.Errorf("%d wrong passwords counted, want 5", n)
			}
			line.quiet(t, 10*time.Second)
		})
	}
}

// TestPeerSIPpAsksForPassword: SIPp asks first in a way that nobody knows and
// then by MD5, and holds our answer to be right, or wrong (sip:P14).
func TestPeerSIPpAsksForPassword(t *testing.T) {
	t.Parallel()
	program := needs(t, "sipp", "sip-tester")
	scenario, err := filepath.Abs("testdata/sipp/digestasks.xml")
	if err != nil {
		t.Fatal(err)
	}
	for password, want := range map[string]telephony.Cause{
		"s3cret": {Reason: telephony.ReasonNormal}, "wrong": {Reason: telephony.ReasonRejected, Status: 403},
	} {
		t.Run(password, func(t *testing.T) {
			t.Parallel()
			host := ourAddr()
			p := start(t, 30*time.Second, t.TempDir(), program, "-sf", scenario, "-i", host, "-p", "5060", "-mi", host, "-mp", "6000",
				"-m", "1", "-nostdin", "-timeout", "20", "-timeout_error")
			line := openLine(t, 440, known(t, trunk.Config{
				Name: "carrier", Gateways: []string{"sip:" + host + ":5060"}, Username: "alice", Password: secret.Text(password),
				Probe: "off", // the scenario knows INVITE only
			}))
			leg, err := line.ua.Dial(t.Context(), telephony.Destination{To: "+4930987654", Trunk: "carrier"})
			if err != nil {
				t.Fatal(err)
			}
			for ev := range leg.Events() {
				switch ev := ev.(type) {
				case telephony.Answered:
					_ = leg.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonNormal})
				case telephony.Ended:
					if ev.Cause.Reason != want.Reason || ev.Cause.Status != want.Status {
						t.Errorf("call ended %v, want %v", ev.Cause, want)
					}
				}
			}
			if code, err := p.wait(); err != nil || code != 0 {
				t.Errorf("sipp: exit %d, %v", code, err)
			}
		})
	}
}

// TestPeerSIPp3PCC: a controller calls one line of ours without an offer, gives
// the offer in our answer to the other, and that one's answer to the first with
// its ACK (RFC 3725): the two hear each other.
func TestPeerSIPp3PCC(t *testing.T) {
	t.Parallel()
	program := needs(t, "sipp", "sip-tester")
	a, b := openLine(t, 440, nil), openLine(t, 700, nil)
	host := ourAddr()
	port := freePorts(t, host, 1)
	const calls = 3
	controller := func(side, at, to string) *process {
		return start(t, 30*time.Second, t.TempDir(), program, "-sn", side, to, "-s", "4930123456", "-i", host, "-p", at,
			"-3pcc", net.JoinHostPort(host, strconv.Itoa(port)), "-m", strconv.Itoa(calls), "-r", "5", "-nostdin", "-timeout", "20",
			"-timeout_error", "-trace_err")
	}
	second := controller("3pcc-C-B", "5062", b.addr)
	eventually(t, 10*time.Second, "the second controller listens", func() bool { return !portsFree(host, port, 1) })
	first := controller("3pcc-C-A", "5063", a.addr)
	for _, p := range []*process{first, second} {
		if code, err := p.wait(); err != nil || code != 0 {
			t.Errorf("exit %d, %v: not every call went by the script", code, err)
		}
	}
	for _, side := range []struct {
		line *toneLine
		tone float64
	}{{a, 700}, {b, 440}} {
		for _, c := range side.line.take(t, calls, 5*time.Second) {
			if c.cause.Reason != telephony.ReasonNormal {
				t.Errorf("call ended %v", c.cause)
			}
			if h := listen(c.pcm, c.rate, side.tone, 1140-side.tone); h.tone < 500*time.Millisecond || h.other > 0.01 {
				t.Errorf("%.0f Hz for %v, %.2f %% of the own tone in it", side.tone, h.tone, 100*h.other)
			}
		}
		side.line.quiet(t, 10*time.Second)
	}
}

// TestPeerSIPVicious: the scanners of SIPVicious find nothing where no trunk
// names them, and no extension where callers are asked for a password (SEC-3,
// SEC-4).
func TestPeerSIPVicious(t *testing.T) {
	t.Parallel()
	war, scanner := needs(t, "svwar", "sipvicious"), needs(t, "svmap", "sipvicious")
	run := func(argv ...string) string {
		p := start(t, 30*time.Second, t.TempDir(), argv...)
		_, _ = p.wait() // its status says nothing
		return p.out.String()
	}
	closed := openLine(t, 440, known(t, trunk.Config{Name: "far", Allow: []string{"203.0.113.0/24"}}))
	if said := run(scanner, "-m", "INVITE", closed.host); strings.Contains(said, closed.host+":") {
		t.Errorf("svmap found:\n%s", said)
	}
	if closed.ua.Stats().DroppedUnknown == 0 {
		t.Error("svmap did not reach us")
	}
	line := openLine(t, 440, known(t, trunk.Config{
		Name: "phone", Allow: []string{"127.0.0.0/8"}, Auth: "inbound", Username: "100", Password: "s3cret",
	}))
	for _, method := range []string{"REGISTER", "INVITE", "OPTIONS"} {
		said := run(war, "-m", method, "-e", "98-102", "--maximumtime", "2", line.host)
		for ext := 98; ext <= 102; ext++ {
			if strings.Contains(said, fmt.Sprintf("| %d ", ext)) {
				t.Errorf("svwar -m %s tells %d from others:\n%s", method, ext, said)
				break
			}
		}
		t.Logf("svwar -m %s: %s", method, tail(strings.TrimSpace(said), 300))
	}
	line.quiet(t, 5*time.Second)
}
