//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// held is a script with other pauses than a second: a caller that hangs up after
// that long.
func held(t *testing.T, d time.Duration) string {
	t.Helper()
	text, err := os.ReadFile("testdata/sipp/basic.xml")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "held.xml")
	write(t, file, strings.Replace(string(text), `milliseconds="1000"`, fmt.Sprintf(`milliseconds="%d"`, d.Milliseconds()), 1))
	return file
}

// signal tells the engine to end.
func (e *engine) signal(t *testing.T) {
	t.Helper()
	if err := e.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// ends waits for the end of the process and wants exit status 0; at is when.
func (e *engine) ends(t *testing.T, within time.Duration) (at time.Time) {
	t.Helper()
	select {
	case <-e.done:
		if e.err != nil {
			t.Errorf("patchcord serve ended: %v", e.err)
		}
	case <-time.After(within):
		t.Fatalf("patchcord serve does not end within %v", within)
	}
	return time.Now()
}

// answer sends a request without a transaction and returns the response and how
// long it took, again each 100 ms.
func (e *engine) answer(t *testing.T, method string) (text string, took time.Duration) {
	t.Helper()
	host := ourAddr()
	conn, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.ParseIP(host)}, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(e.sip)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	at := conn.LocalAddr().String()
	request := fmt.Sprintf("%[1]s sip:4930123456@%[2]s SIP/2.0\r\nVia: SIP/2.0/UDP %[3]s;branch=z9hG4bK%[4]d;rport\r\n"+
		"Max-Forwards: 70\r\nFrom: <sip:a@%[3]s>;tag=%[4]d\r\nTo: <sip:4930123456@%[2]s>\r\nCall-ID: %[4]d@%[3]s\r\n"+
		"CSeq: 1 %[1]s\r\nContact: <sip:a@%[3]s>\r\nContent-Length: 0\r\n\r\n", method, e.sip, at, time.Now().UnixNano())
	begun := time.Now()
	buf := make([]byte, 4096)
	for range 20 {
		_ = conn.SetDeadline(time.Now().Add(100 * time.Millisecond))
		if _, err := conn.Write([]byte(request)); err != nil {
			t.Fatal(err)
		}
		if n, err := conn.Read(buf); err == nil {
			return string(buf[:n]), time.Since(begun)
		}
	}
	t.Fatalf("no answer to %s", method)
	return "", 0
}

// unready waits for readyz to say no.
func (e *engine) unready(t *testing.T, since time.Time) time.Duration {
	t.Helper()
	for time.Since(since) < 5*time.Second {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.http+"/readyz", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode == http.StatusServiceUnavailable {
			return time.Since(since)
		}
	}
	t.Fatal("readyz does not say no")
	return 0
}

// TestPeerSIPpDrain: SIGTERM with 50 calls up. What is new is refused at once and
// without a transaction, no call is cut, and the process ends with the last of
// them, its records and webhooks kept (reliability.md 5.2).
func TestPeerSIPpDrain(t *testing.T) {
	t.Parallel()
	needs(t, "sipp", "sip-tester")
	const calls = 50
	e := serve(t, silent, map[string]string{"support.yaml": silentAgent})
	verdict := caller(t, sippRun{
		scenario: held(t, 8*time.Second), to: e.sip, calls: calls, rate: 10, limit: 40 * time.Second,
	})
	eventually(t, 15*time.Second, "all calls are up", func() bool { return e.records(t)["in_progress "] == calls })
	e.signal(t)
	begun := time.Now()
	// 100 ms is what is wanted of a machine that does nothing else.
	t.Logf("readyz says no %v after the signal", e.unready(t, begun))
	eventually(t, 10*time.Second, "OPTIONS is refused", func() bool {
		text, _ := e.answer(t, "OPTIONS")
		return strings.HasPrefix(text, "SIP/2.0 503 ") && strings.Contains(text, "\r\nRetry-After: ")
	})
	t.Logf("OPTIONS is refused %v after the signal", time.Since(begun))
	text, took := e.answer(t, "INVITE")
	if !strings.HasPrefix(text, "SIP/2.0 503 ") || !strings.Contains(text, "\r\nRetry-After: ") {
		t.Errorf("an INVITE: %s", text)
	}
	t.Logf("an INVITE is refused after %v", took)
	verdict() // each BYE is SIPp's own
	t.Logf("the last call ended %v after the signal", time.Since(begun))
	e.ends(t, 15*time.Second)
	ends := map[string]int{}
	for _, ev := range named(e.read(t), "call.ended") {
		ends[ev.text("end_reason")]++
	}
	if ends["hangup"] != calls || len(ends) != 1 {
		t.Errorf("calls ended %v, want %d by their callers", ends, calls)
	}
}

// TestPeerSIPpDrainLimit: behind --drain calls say goodbye and end by our BYE.
func TestPeerSIPpDrainLimit(t *testing.T) {
	t.Parallel()
	const calls = 10
	e := serveWith(t, silent, map[string]string{"support.yaml": silentAgent}, "--drain", "2s")
	verdict := caller(t, sippRun{scenario: "gone", to: e.sip, calls: calls, rate: 10, limit: 40 * time.Second})
	eventually(t, 15*time.Second, "all calls are up", func() bool { return e.records(t)["in_progress "] == calls })
	e.signal(t)
	begun := time.Now()
	verdict()
	t.Logf("the last BYE came %v after the signal", time.Since(begun))
	if took := time.Since(begun); took < 2*time.Second {
		t.Errorf("a call was cut %v after the signal", took)
	}
	e.ends(t, 15*time.Second)
	if n := len(e.drained(t)); n != calls {
		t.Errorf("%d calls ended drained, want %d", n, calls)
	}
}

// drained are the calls that were ended by us because we end.
func (e *engine) drained(t *testing.T) (out []event) {
	t.Helper()
	for _, ev := range named(e.read(t), "call.ended") {
		if ev.text("end_reason") == "drained" {
			out = append(out, ev)
		}
	}
	return out
}

// TestPeerSIPpSecondSignal: another SIGTERM ends all calls within 3 s.
func TestPeerSIPpSecondSignal(t *testing.T) {
	t.Parallel()
	const calls = 50
	e := serve(t, silent, map[string]string{"support.yaml": silentAgent})
	verdict := caller(t, sippRun{scenario: "gone", to: e.sip, calls: calls, rate: 10, limit: 40 * time.Second})
	eventually(t, 15*time.Second, "all calls are up", func() bool { return e.records(t)["in_progress "] == calls })
	e.signal(t)
	e.unready(t, time.Now())
	e.signal(t)
	begun := time.Now()
	verdict()
	took := time.Since(begun)
	t.Logf("the last BYE came %v after the second signal", took)
	if took > 3500*time.Millisecond { // SIPp itself ends up to half a second after its last call
		t.Errorf("the last BYE came %v after the second signal, want 3 s", took)
	}
	t.Logf("the process ended %v after it", e.ends(t, 10*time.Second).Sub(begun))
	if n := len(named(e.read(t), "call.ended")); n != calls {
		t.Errorf("%d calls ended, want %d", n, calls)
	}
}

// TestPeerKamailioDrain: what was registered is removed at the registrar while
// calls go on: it answers 404 then.
func TestPeerKamailioDrain(t *testing.T) {
	t.Parallel()
	e := serve(t, silent, map[string]string{"support.yaml": silentAgent})
	host, _, _ := net.SplitHostPort(e.sip)
	c := openRegistrar(t, host, registrarKeys{})
	e.wants(t, "/v1/trunks", fmt.Sprintf(
		`{"name":"carrier","gateways":["sip:%s:5060;transport=udp"],"username":"alice","password":"s3cret","register":true}`, c.host))
	eventually(t, 15*time.Second, "registered", func() bool { return e.logged("sip: registered") })
	sipp(t, sippRun{scenario: "basic", to: c.host + ":5060", extra: []string{"-s", "alice"}})
	verdict := caller(t, sippRun{scenario: held(t, 6*time.Second), to: e.sip, limit: 40 * time.Second})
	eventually(t, 15*time.Second, "a call is up, and the one before is over", func() bool {
		got := e.records(t)
		return got["in_progress "] == 1 && got["ended hangup"] == 1
	})
	e.signal(t)
	begun := time.Now()
	eventually(t, 10*time.Second, "unregistered", func() bool { return e.logged("sip: unregistered") })
	t.Logf("unregistered %v after the signal", time.Since(begun))
	sipp(t, sippRun{scenario: "notfound", to: c.host + ":5060", extra: []string{"-s", "alice"}})
	if time.Since(begun) > 5*time.Second {
		t.Log("the registrar was asked too late to tell") // its registrations last for 8 s
	}
	verdict()
	e.ends(t, 15*time.Second)
}
