//go:build e2e

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestPeerKamailioRollingRestart: three nodes are ended and started again in turn,
// each when its calls have ended, while SIPp calls five times a second through
// Kamailio. SIPp's verdict is that of every call.
func TestPeerKamailioRollingRestart(t *testing.T) {
	t.Parallel()
	needs(t, "sipp", "sip-tester")
	f := openFleet(t)
	const rate, lasts, calls = 5, 4 * time.Second, 300
	began := time.Now()
	verdict := caller(t, sippRun{
		scenario: "lasting", to: f.front + ":5060", calls: calls, rate: rate, limit: 150 * time.Second,
		extra: []string{"-d", fmt.Sprint(lasts.Milliseconds())},
	})
	eventually(t, 20*time.Second, "every node has calls", func() bool {
		all := f.list(0)
		return len(all) == 3 && all["node-a"].Calls > 0 && all["node-b"].Calls > 0 && all["node-c"].Calls > 0
	})
	type row struct {
		at, ready time.Time
		ended     time.Duration
		up        int // when it was told to end
	}
	rows := make([]row, len(f.nodes))
	for i := range f.nodes {
		r := row{at: time.Now(), up: f.list(i)[f.names[i]].Calls}
		r.ended = f.stop(i)
		f.start(i)
		r.ready = time.Now()
		rows[i] = r
		eventually(t, 20*time.Second, f.names[i]+" has calls again", func() bool { return f.list(i)[f.names[i]].Calls > 0 })
	}
	verdict()
	if t.Failed() {
		return
	}
	var table strings.Builder
	fmt.Fprintf(&table, "%d calls of %v at %d a second, %v\n", calls, lasts, rate, time.Since(began).Round(time.Second))
	fmt.Fprintf(&table, "%-8s %8s %8s %8s | %7s %7s %7s | %s\n", "node", "SIGTERM", "ended", "ready", "before", "draining", "after", "failed")
	sum := 0
	for i, r := range rows {
		var before, during, after, failed int
		for _, ev := range f.nodes[i].read(t) {
			ts, err := time.Parse(time.RFC3339, ev.text("ts"))
			if err != nil {
				t.Fatal(err)
			}
			switch ev.text("event") {
			case "call.started":
				sum++
				switch {
				case ts.Before(r.at):
					before++
				case ts.Before(r.ready):
					during++
				default:
					after++
				}
			case "call.ended":
				if ev.text("end_reason") != "hangup" {
					failed++
				}
			}
		}
		fmt.Fprintf(&table, "%-8s %8s %8s %8s | %7d %7d %7d | %d\n", f.names[i], since(began, r.at), since(began, r.at.Add(r.ended)),
			since(began, r.ready), before, r.up, after, failed)
		if failed != 0 || after == 0 {
			t.Errorf("%s: %d failed, %d after it was started again, %d begun while it drained", f.names[i], failed, after, during)
		}
	}
	if sum != calls {
		t.Errorf("%d calls began on nodes, of %d", sum, calls)
	}
	t.Log(table.String())
}

func since(begun, at time.Time) string { return at.Sub(begun).Round(100 * time.Millisecond).String() }

// TestPeerKamailioControlAnywhere: a call that one node has is commanded, and
// followed, at the two that have it not.
func TestPeerKamailioControlAnywhere(t *testing.T) {
	t.Parallel()
	needs(t, "sipp", "sip-tester")
	f := openFleet(t)
	watched := make([]<-chan event, len(f.nodes))
	for i, e := range f.nodes {
		watched[i] = e.stream(t, "/v1/events")
	}
	end := beginSIPp(t, sippRun{scenario: "lasting", to: f.front + ":5060", limit: time.Minute, extra: []string{"-d", "10000"}})
	owner, id := -1, ""
	eventually(t, 20*time.Second, "the call is up", func() bool {
		for i, e := range f.nodes {
			if _, err := os.Stat(e.events); err != nil {
				continue
			}
			if up := named(e.read(t), "call.answered"); len(up) == 1 {
				owner, id = i, up[0].text("call_id")
			}
		}
		return id != ""
	})
	var took []time.Duration
	for i, e := range f.nodes {
		if i == owner {
			continue
		}
		eventually(t, 5*time.Second, "the call is known at "+f.names[i], func() bool { // its answer is told a little before
			return e.told(t, id, `{"type":"mute","on":false}`) == http.StatusOK
		})
		for _, command := range []string{
			`{"type":"inject-context","content":"The caller is a friend."}`, `{"type":"say","content":"Across nodes."}`,
			`{"type":"whisper","content":"Be kind."}`, `{"type":"dtmf","digits":"1"}`, `{"type":"listen"}`,
		} {
			if got := e.told(t, id, command); got != http.StatusOK {
				t.Errorf("%s at %s: %d", command, f.names[i], got)
			}
		}
		for n := range 50 {
			begun := time.Now()
			if got := e.told(t, id, fmt.Sprintf(`{"type":"mute","on":%t}`, n%2 == 0)); got != http.StatusOK {
				t.Errorf("mute at %s: %d", f.names[i], got)
			}
			took = append(took, time.Since(begun))
		}
		if got := e.told(t, "0190", `{"type":"mute"}`); got != http.StatusNotFound {
			t.Errorf("a call that is nobody's: %d", got)
		}
	}
	slices.Sort(took)
	t.Logf("control at another node, over HTTP: p50 %v, p99 %v of %d", took[len(took)/2], took[len(took)*99/100], len(took))
	eventually(t, 10*time.Second, "the call's node has said it", func() bool {
		said := named(f.nodes[owner].read(t), "turn.agent")
		return slices.ContainsFunc(said, func(ev event) bool { return strings.Contains(ev.text("text"), "Across nodes.") })
	})
	end()
	for i, events := range watched {
		heard := map[string]bool{}
		for !heard["call.ended"] {
			select {
			case ev := <-events:
				heard[ev.text("event")] = true
			case <-time.After(10 * time.Second):
				t.Fatalf("%s heard %v", f.names[i], heard)
			}
		}
		if !heard["call.started"] || !heard["call.answered"] || !heard["context.injected"] {
			t.Errorf("%s heard %v", f.names[i], heard)
		}
	}
	for i, e := range f.nodes {
		if got := e.told(t, id, `{"type":"mute"}`); got != http.StatusConflict {
			t.Errorf("a call that has ended, at %s: %d", f.names[i], got)
		}
	}
}

// stream are the events of a stream of a node, until the test ends.
func (e *engine) stream(t *testing.T, path string) <-chan event {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, e.http+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", path, res.Status)
	}
	out := make(chan event, 1000) // more than a call has
	go func() {
		defer res.Body.Close()
		for s := bufio.NewScanner(res.Body); s.Scan(); {
			var ev event
			if data, ok := strings.CutPrefix(s.Text(), "data: "); ok && json.Unmarshal([]byte(data), &ev) == nil {
				out <- ev
			}
		}
	}()
	return out
}

// TestPeerKamailioNodeDies: a node is killed while SIPp calls. Its calls are lost,
// no other is, and the others see in seconds that it is gone.
func TestPeerKamailioNodeDies(t *testing.T) {
	t.Parallel()
	needs(t, "sipp", "sip-tester")
	f := openFleet(t)
	if err := f.nodes[1].cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-f.nodes[1].done
	died := time.Now()
	// From the first call on, which Kamailio may offer to the node that is dead.
	verdict := caller(t, sippRun{scenario: "lasting", to: f.front + ":5060", calls: 50, rate: 5, extra: []string{"-d", "1000"}})
	eventually(t, 10*time.Second, "it is gone from the list", func() bool { return len(f.list(0)) == 2 && len(f.list(2)) == 2 })
	gone := time.Since(died)
	verdict()
	f.start(1)
	eventually(t, 20*time.Second, "it is back", func() bool { return len(f.list(0)) == 3 && len(f.list(2)) == 3 })
	t.Logf("killed: 50 calls of 50 by the other two, gone from /v1/nodes after %v", gone.Round(10*time.Millisecond))
}
