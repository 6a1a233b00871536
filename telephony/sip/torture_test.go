package sip

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/patchcord/patchcord/telephony"
)

// tortureDir is where the library below keeps the messages of RFC 4475.
func tortureDir(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/emiago/sipgo").Output()
	if err != nil {
		t.Skipf("go list: %v", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "sip", "testdata", "torture")
}

var topVia = regexp.MustCompile(`(?im)^(v|via)[ \t]*:[ \t]*SIP[ \t\r\n]*/[ \t\r\n]*[0-9.]+[ \t\r\n]*/[ \t\r\n]*[a-z]+[ \t\r\n]+[^ \t\r\n;,]+`)

// tortured is one message of the set, its topmost Via that of the peer.
func tortured(t testing.TB, dir, name string, p *peer) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name+".dat")) //nolint:gosec // a name of the table below
	if err != nil {
		t.Fatal(err)
	}
	version := "2.0"
	if name == "invalid/badvers" {
		version = "7.0"
	}
	done := false
	return topVia.ReplaceAllFunc(data, func(m []byte) []byte {
		if done {
			return m
		}
		done = true
		return []byte("Via: SIP/" + version + "/" + p.transport() + " " + p.addr())
	})
}

// The answers of SEC-16; 0 is none. What RFC 4475
// leaves open is answered as RFC 3261 would.
var tortureAnswers = map[string]int{
	"invalid/badaspec": 400, "invalid/badbranch": 200, "invalid/baddate": 200, "invalid/baddn": 400,
	"invalid/badinv01": 400, "invalid/badvers": 505, "invalid/bcast": 0, "invalid/bext01": 420,
	"invalid/bigcode": 0, "invalid/clerr": 400, "invalid/cparam01": 405, "invalid/cparam02": 405,
	"invalid/escruri": 400, "invalid/insuf": 400, "invalid/inv2543": 200, "invalid/invut": 415,
	"invalid/ltgtruri": 400, "invalid/lwsruri": 400, "invalid/lwsstart": 400, "invalid/mcl01": 400,
	"invalid/mismatch01": 400, "invalid/mismatch02": 400, "invalid/multi01": 400, "invalid/ncl": 400,
	"invalid/novelsc": 416, "invalid/quotbal": 400, "invalid/regaut01": 405, "invalid/regbadct": 405,
	"invalid/regescrt": 405, "invalid/scalar02": 400, "invalid/scalarlg": 0, "invalid/sdp01": 406,
	"invalid/test": 0, "invalid/trws": 400, "invalid/unkscm": 416, "invalid/unksm2": 416, "invalid/zeromf": 483,
	"valid/dblreq": 405, "valid/esc01": 200, "valid/esc02": 501, "valid/escnull": 405, "valid/intmeth": 501,
	"valid/longreq": 400, // 34 Vias: SEC-12
	"valid/lwsdisp": 200, "valid/mpart01": 405, "valid/noreason": 0, "valid/semiuri": 200,
	"valid/transports": 200, "valid/unreason": 0, "valid/wsinv": 481,
}

// answered is the final response to a message, nil for none. One that should
// come is waited for.
func answered(p *peer, data []byte, should bool) *wire {
	p.raw(string(data))
	patience := 12 * testT1
	if should {
		patience = 5 * time.Second
	}
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		select {
		case m := <-p.in:
			if m.status() >= 200 {
				return m
			}
		case <-deadline.C:
			return nil
		}
	}
}

// SEC-16, SEC-1: every message of RFC 4475 is answered as it ought to be, over
// UDP and TCP, and 20 calls that are up meanwhile stay up.
func TestTorture(t *testing.T) {
	t.Parallel()
	dir := tortureDir(t)
	for _, network := range []string{"udp", "tcp"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			torture(t, dir, network)
		})
	}
}

func torture(t *testing.T, dir, network string) {
	ended := make(chan telephony.Cause, 100)
	s := newServer(t, handler(func(ctx context.Context, leg telephony.Leg) {
		if leg.Answer(ctx) != nil {
			return // a call of the set, which nobody acknowledges
		}
		for e := range leg.Events() {
			if e, ok := e.(telephony.Ended); ok {
				ended <- e.Cause
			}
		}
	}))
	up := newUDPPeer(t, s.udp)
	var calls []*dialogue
	for range 20 {
		calls = append(calls, up.call())
	}
	probe := newUDPPeer(t, s.udp).dialogue()
	for name, want := range tortureAnswers {
		p := newUDPPeer(t, s.udp)
		if network == "tcp" {
			p.close()
			p = newTCPPeer(t, s.tcp)
			switch {
			case name == "invalid/clerr", name == "invalid/baddn": // the rest never comes
				want = 0
			case !hasLength(tortured(t, dir, name, p)) && want != 0:
				want = 400 // RFC 3261 section 18.3
			}
		}
		got, m := 0, answered(p, tortured(t, dir, name, p), want != 0)
		if m != nil {
			got = m.status()
		}
		if got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
		switch {
		case m == nil:
		case got == 420 && m.get("Unsupported") != "nothingSupportsThis, nothingSupportsThisEither",
			got == 405 && m.get("Allow") == "", got == 415 && m.get("Accept") == "", got == 406 && m.get("Accept") == "":
			t.Errorf("%s: %s without its field: %v", name, m.start, m.head)
		}
		p.close()
		probe.do("OPTIONS", "")
		probe.response("OPTIONS", 200) // alive
	}
	mutated(t, dir, network, s, probe)
	if n := s.Stats().RecoveredPanics; n != 0 {
		t.Errorf("%d panics", n)
	}
	if len(ended) != 0 {
		t.Errorf("a call ended: %v", <-ended)
	}
	for _, d := range calls {
		d.bye()
	}
}

// mutated sends what is left of the messages when bytes and lines of them are
// changed, dropped and doubled: always the same ones.
func mutated(t *testing.T, dir, network string, s *server, probe *dialogue) {
	t.Helper()
	random := rand.New(rand.NewPCG(4475, 2)) //nolint:gosec // the same each time
	p := newUDPPeer(t, s.udp)
	for name := range tortureAnswers {
		for range 12 {
			if network == "tcp" {
				p.close()
				p = newTCPPeer(t, s.tcp)
			}
			data := tortured(t, dir, name, p)
			for range 1 + random.IntN(4) {
				from := random.IntN(len(data))
				to := min(len(data), from+1+random.IntN(20))
				switch random.IntN(4) {
				case 0:
					data[from] = byte(random.IntN(256))
				case 1:
					data = append(data[:from:from], data[to:]...)
				case 2:
					data = append(data[:to:to], data[from:]...)
				case 3:
					lines := bytes.Split(data, []byte("\r\n"))
					i, j := random.IntN(len(lines)), random.IntN(len(lines))
					lines[i], lines[j] = lines[j], lines[i]
					data = bytes.Join(lines, []byte("\r\n"))
				}
				if len(data) == 0 {
					break
				}
			}
			p.raw(string(data))
		}
		p.drain(0)
		probe.do("OPTIONS", "")
		probe.response("OPTIONS", 200)
	}
}

func hasLength(data []byte) bool {
	return regexp.MustCompile(`(?im)^(l|content-length)[ \t]*:`).Match(data)
}

// The forms that are right though unusual are taken as calls.
func TestTortureTaken(t *testing.T) {
	t.Parallel()
	dir := tortureDir(t)
	s := newServer(t, answerAll)
	t.Run("wsinv: white space everywhere", func(t *testing.T) {
		t.Parallel()
		p := newUDPPeer(t, s.udp)
		data := tortured(t, dir, "valid/wsinv", p)
		data = bytes.Replace(data, []byte(" ;   tag    = 1918181833n"), nil, 1) // a dialog we do not have
		m := answered(p, data, true)
		if m == nil || m.status() != 200 || tagOf(m.get("From")) != "98asjd8" {
			t.Fatalf("%+v", m)
		}
		if via := m.head["Via"][0]; !strings.Contains(via, ";branch=390skdjuw") || strings.Contains(via, "rfc2543") {
			t.Errorf("Via %q", via)
		}
		if n := len(m.head["Via"]); n != 3 {
			t.Errorf("%d Vias, want 3: %q", n, m.head["Via"])
		}
	})
	t.Run("inv2543: no branch, no tag", func(t *testing.T) {
		t.Parallel()
		p := newUDPPeer(t, s.udp)
		data := tortured(t, dir, "invalid/inv2543", p)
		m := answered(p, data, true)
		if m == nil || m.status() != 200 {
			t.Fatalf("%+v", m)
		}
		if via := m.get("Via"); strings.Contains(via, "branch") {
			t.Errorf("Via %q", via)
		}
		tag := tagOf(m.get("To"))
		p.raw(string(data)) // the same INVITE again is the same call
		for _, again := range p.drain(4 * testT1) {
			if again.status() >= 200 && tagOf(again.get("To")) != tag {
				t.Errorf("a second call: %q", again.get("To"))
			}
		}
		if legs := s.Stats().Legs; legs > 2 {
			t.Errorf("%d legs", legs)
		}
	})
}
