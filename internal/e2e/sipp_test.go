//go:build e2e

package e2e

import (
	"cmp"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// sippRun is one run of SIPp as a caller.
type sippRun struct {
	scenario string // file below testdata/sipp without .xml, or a whole path
	to       string // host:port of the server
	from     string // address of its own, "": any
	tcp      bool
	calls    int // 0: 1
	rate     int // calls per second, 0: 10
	most     int // calls at once, 0: 400
	lost     int // percent of SIP messages dropped on purpose
	limit    time.Duration
	extra    []string
}

// sipp runs a scenario and fails the test unless every call went by the
// script: SIPp's exit status is the verdict. It returns the messages of both
// directions.
func sipp(t *testing.T, r sippRun) (messages string) {
	t.Helper()
	return beginSIPp(t, r)()
}

// caller is a SIPp that calls beside the test; verdict waits for its end.
func caller(t *testing.T, r sippRun) (verdict func()) {
	t.Helper()
	end := beginSIPp(t, r)
	return func() {
		t.Helper()
		end()
	}
}

func beginSIPp(t *testing.T, r sippRun) (end func() (messages string)) {
	t.Helper()
	program := needs(t, "sipp", "sip-tester")
	if r.limit == 0 {
		r.limit = 30 * time.Second
	}
	scenario := r.scenario
	if !filepath.IsAbs(scenario) {
		var err error
		if scenario, err = filepath.Abs(filepath.Join("testdata/sipp", scenario+".xml")); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	transport := "u1"
	if r.tcp {
		transport = "t1"
	}
	addr := cmp.Or(r.from, ourAddr())
	argv := []string{
		program, r.to, "-sf", scenario, "-s", "4930123456", "-t", transport,
		"-i", addr, "-p", "5060", "-mi", addr, "-mp", "6000",
		"-m", strconv.Itoa(max(1, r.calls)), "-r", strconv.Itoa(max(1, r.rate)), "-nostdin",
		"-timeout", strconv.Itoa(int(r.limit.Seconds())), "-timeout_error",
		"-trace_err", "-error_file", "errors", "-trace_msg", "-message_file", "messages",
	}
	most := 400
	if r.most > 0 {
		most = r.most
	}
	argv = append(argv, "-l", strconv.Itoa(most))
	if r.lost > 0 {
		// As often as RFC 3261 has it (17.1.2.1, 11 times in 32 s); SIPp by itself
		// gives a BYE up after 8, which is one call in a few thousand.
		argv = append(argv, "-lost", strconv.Itoa(r.lost), "-max_retrans", "10")
	}
	p := start(t, r.limit+10*time.Second, dir, append(argv, r.extra...)...)
	return func() string {
		t.Helper()
		code, err := p.wait()
		if err != nil {
			t.Fatalf("sipp %s: %v", r.scenario, err)
		}
		b, err := os.ReadFile(filepath.Join(dir, "messages"))
		if err != nil {
			t.Errorf("sipp %s: %v", r.scenario, err)
		}
		if code != 0 {
			why, _ := os.ReadFile(filepath.Join(dir, "errors")) // there is none without errors
			t.Errorf("sipp %s: exit %d: not every call went by the script\n%s", r.scenario, code, firstFailure(string(why), string(b)))
		}
		return string(b)
	}
}

// failure finds the call of SIPp's complaint.
var failure = regexp.MustCompile(`(?:Call-Id '|for call: |Dead call )([^' ]+)`)

// firstFailure is SIPp's first complaint and the messages of the call it is
// about.
func firstFailure(why, messages string) string {
	m := failure.FindStringSubmatch(why)
	if m == nil {
		return why[:min(len(why), 1500)] + "\n" + tail(messages, 4000)
	}
	var b strings.Builder
	b.WriteString(why[:min(len(why), 800)])
	for part := range strings.SplitSeq(messages, "-----------------------------------------------") {
		if strings.Contains(part, "\nCall-ID: "+m[1]+"\r") {
			b.WriteString("\n---" + part)
		}
	}
	return b.String()
}
