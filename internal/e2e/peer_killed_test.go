//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestPeerSIPpKilled: the engine is killed with calls up that SIPp placed and that
// it took, and with calls that ring there; started again it ends each by BYE, those
// that ring by CANCEL, and those that are answered in that moment by ACK and BYE, and
// each has its record. Over TCP SIPp
// answers nothing but what comes by the connection of the call: there and over TLS
// it is TestP15CallsOfAKilledProcess that sees to it (sip:P15).
func TestPeerSIPpKilled(t *testing.T) {
	t.Parallel()
	needs(t, "sipp", "sip-tester")
	const each, ring = 10, 5
	phones, ringing, late := ourAddr(), ourAddr(), ourAddr()
	e := serve(t, silent+"dialing: {allow: [\"+4930\"]}\n", map[string]string{"support.yaml": silentAgent})
	for name, addr := range map[string]string{"phones": phones, "ringing": ringing, "late": late} {
		e.wants(t, "/v1/trunks", fmt.Sprintf(`{"name":"%s","gateways":["sip:%s"],"probe":"off"}`, name, addr))
	}
	verdicts := []func(){
		telephone(t, "uas", phones, "-m", strconv.Itoa(each)),
		telephone(t, "uasringing", ringing, "-m", strconv.Itoa(ring)),
		telephone(t, "uaslate", late, "-m", strconv.Itoa(ring)),
		caller(t, sippRun{scenario: "gone", to: e.sip, calls: each, rate: 20, limit: 50 * time.Second}),
	}
	for trunk, n := range map[string]int{"phones": each, "ringing": ring, "late": ring} {
		for i := range n {
			e.wants(t, "/v1/calls", fmt.Sprintf(`{"agent_id":"support","trunk":"%s","to":"+4930123456%d"}`, trunk, i))
		}
	}
	eventually(t, 20*time.Second, "all calls are up or ring, in the store and in the file of dialogs", func() bool {
		up, rings := e.dialogs(t)
		all := e.records(t)
		return up == 2*each && rings == 2*ring && all["in_progress "] == 2*each && all["ringing "] == 2*ring
	})
	if err := e.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-e.done
	e.process = start(t, 2*time.Minute, e.dir, command(t, "patchcord"), "serve", "-c", filepath.Join(e.dir, "patchcord.yaml"))
	eventually(t, 20*time.Second, "the engine is ready again", func() bool { return e.logged("ready") })
	begun := time.Now()
	eventually(t, 10*time.Second, "every dialog is accounted for", func() bool {
		return strings.Count(e.out.String(), "a call of an earlier process") == 2*each+2*ring
	})
	t.Logf("%d calls were ended %v behind the start", 2*each+2*ring, time.Since(begun))
	if n := strings.Count(e.out.String(), "a call of an earlier process is ended"); n != 2*each+ring {
		t.Errorf("%d calls ended, want %d", n, 2*each+ring)
	}
	if n := strings.Count(e.out.String(), "a call of an earlier process is cancelled"); n != ring {
		t.Errorf("%d calls cancelled, want %d", n, ring)
	}
	for _, verdict := range verdicts {
		verdict()
	}
	if got := e.records(t); got["ended node_lost"] != 2*each+2*ring || len(got) != 1 {
		t.Errorf("records %v, want %d ended node_lost", got, 2*each+2*ring)
	}
	eventually(t, 5*time.Second, "every dialog is struck out", func() bool {
		up, rings := e.dialogs(t)
		return up == 0 && rings == 0
	})
	e.stop(t)
}

// dialogs counts those that the file of dialogs tells of: those that are up, and
// INVITEs that are under way.
func (e *engine) dialogs(t *testing.T) (up, rings int) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(e.dir, "calls.db.dialogs"))
	if err != nil {
		t.Fatal(err)
	}
	last := map[string]string{} // the branch of an INVITE, "" of what is up
	for line := range bytes.Lines(text) {
		var d struct {
			Tag, Branch string
			Over        bool
		}
		switch err := json.Unmarshal(line, &d); {
		case err != nil: // it is being written
		case d.Over:
			delete(last, d.Tag)
		default:
			last[d.Tag] = d.Branch
		}
	}
	for _, branch := range last {
		if branch == "" {
			up++
		} else {
			rings++
		}
	}
	return up, rings
}

// records counts the calls of the store by status and end reason.
func (e *engine) records(t *testing.T) map[string]int {
	t.Helper()
	_, body := e.get(t, "/v1/calls?limit=100")
	data, _ := body["data"].([]any)
	out := map[string]int{}
	for _, item := range data {
		if call, ok := item.(map[string]any); ok {
			reason, _ := call["end_reason"].(string)
			out[fmt.Sprint(call["status"], " ", reason)]++
		}
	}
	return out
}

// wants asks the HTTP API for something and wants it done.
func (e *engine) wants(t *testing.T, path, body string) {
	t.Helper()
	if status, answer := e.post(t, path, json.RawMessage(body)); status >= 300 {
		t.Fatalf("POST %s %s: %d %v", path, body, status, answer)
	}
}
