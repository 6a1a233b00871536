//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/telephony/dialer"
)

// TestPeerSIPpRouteCut: the route between two nodes that dial one campaign is cut
// and healed, once with a word and once without. Calls and campaign go on, a command
// to a call over there has its answer in time, and the log of each tells it once.
// Healed, commands and events go over again by themselves; who follows one call has
// missed nothing, and nobody was dialled twice.
func TestPeerSIPpRouteCut(t *testing.T) {
	t.Parallel()
	const contacts, cps, lasts = 700, 10, 10 * time.Second
	db := openPostgres(t)
	script, err := filepath.Abs("testdata/sipp/campaign.xml")
	if err != nil {
		t.Fatal(err)
	}
	gateway := ourAddr()
	invites := gatewayOf(t, script, gateway, nil)
	nodes := make([]*engine, 2)
	buses := []string{net.JoinHostPort(ourAddr(), "6222"), net.JoinHostPort(ourAddr(), "6222")}
	ways := []*route{openRoute(t, buses[1]), openRoute(t, buses[0])}
	for i := range nodes {
		more := fmt.Sprintf("store: {url: %q, spool: %q}\n", db.url(), filepath.Join(t.TempDir(), "spool")) +
			fmt.Sprintf("cluster: {node: node-%d, listen: %q, routes: [\"nats://%s\"], user: nodes, password: s3cret}\n", i, buses[i],
				ways[i].addr) + silent + "dialing: {allow: [\"+4930\"]}\n"
		nodes[i] = serve(t, more, map[string]string{"support.yaml": silentAgent})
	}
	nodes[0].wants(t, "/v1/trunks", fmt.Sprintf(`{"name":"carrier","gateways":["sip:%s"],"probe":"off"}`, gateway))
	sees := func(n int) bool { return nodes[0].peers(t) == n && nodes[1].peers(t) == n }
	eventually(t, 20*time.Second, "the nodes see each other", func() bool { return sees(2) })
	s, err := store.Open(t.Context(), store.Config{URL: db.url()})
	if err != nil {
		t.Fatal(err)
	}
	id := listedIn(t, s, contacts, cps)
	nodes[0].shut(t, s)
	line := openLine(t, 0, nil)
	calls := []*crossed{openCrossed(t, line, nodes[0], nodes[1], "4930300000"), openCrossed(t, line, nodes[1], nodes[0], "4930300001")}
	for _, c := range calls {
		c.works(t)
	}
	dialled := func(e *engine) int { return strings.Count(e.out.String(), "contact is dialled") }

	for _, cut := range []struct {
		how     string
		to      int
		noticed time.Duration // by docs/scaling.md, and what a busy machine adds
	}{
		{"closed", routeShut, 5 * time.Second},
		{"mute", routeMute, 10 * time.Second},
	} {
		marks := []int{len(nodes[0].out.String()), len(nodes[1].out.String())}
		before := []int{dialled(nodes[0]), dialled(nodes[1])}
		for _, w := range ways {
			w.turn(cut.to)
		}
		begun := time.Now()
		var noticed, slowest time.Duration
		for _, c := range calls {
			eventually(t, cut.noticed, "the call is out of reach", func() bool {
				asked := time.Now()
				status, code := c.inject(t, c.far)
				slowest = max(slowest, time.Since(asked))
				if status != http.StatusConflict && code != "node_no_answer" {
					t.Errorf("%s: a command over there: %d %s", cut.how, status, code)
				}
				return status == http.StatusConflict
			})
			noticed = max(noticed, time.Since(begun))
		}
		if slowest > 5*time.Second {
			t.Errorf("%s: an answer took %v", cut.how, slowest)
		}
		eventually(t, 10*time.Second, "each is alone", func() bool { return sees(1) })
		gone := time.Since(begun)
		eventually(t, lasts, "the cut has lasted", func() bool { return time.Since(begun) > lasts })
		for i, e := range nodes {
			if status, code := calls[i].inject(t, e); status != http.StatusOK {
				t.Errorf("%s: a command at the call's own node: %d %s", cut.how, status, code)
			}
			if status, body := e.get(t, "/readyz"); status != http.StatusOK || body["status"] != "ok" {
				t.Errorf("%s: readyz: %d %v", cut.how, status, body)
			}
			if dialled(e) == before[i] {
				t.Errorf("%s: node-%d dialled nobody", cut.how, i)
			}
			// The first try to connect is told, and that the other is out of reach.
			if told := warned(e.out.String()[marks[i]:], "cluster: ", "nats: "); len(told) == 0 || len(told) > 2 {
				t.Errorf("%s: node-%d told of it %d times:\n%s", cut.how, i, len(told), strings.Join(told, ""))
			}
		}
		for _, w := range ways {
			w.turn(routeUp)
		}
		begun = time.Now()
		for _, c := range calls {
			c.works(t)
		}
		healed := time.Since(begun)
		eventually(t, 10*time.Second, "the nodes see each other again", func() bool { return sees(2) })
		t.Logf("%s: noticed after %v, gone from /v1/nodes after %v, an answer took %v at most; healed after %v", cut.how,
			round(noticed), round(gone), round(slowest), round(healed))
	}

	for _, c := range calls {
		if got := c.far.told(t, c.id, `{"type":"end-call"}`); got != http.StatusOK {
			t.Errorf("end-call over there: %d", got)
		}
		c.caller.ended(t, "the caller", 20*time.Second)
		c.missedNothing(t)
	}
	eventually(t, 2*time.Minute, "the campaign is completed", func() bool {
		return nodes[0].logged("campaign completed") || nodes[1].logged("campaign completed")
	})
	for _, e := range nodes {
		e.stop(t)
	}
	if s, err = store.Open(t.Context(), store.Config{URL: db.url()}); err != nil {
		t.Fatal(err)
	}
	defer nodes[0].shut(t, s)
	all, _, err := s.Contacts(t.Context(), store.ContactFilter{Campaign: id, Page: store.Page{Limit: store.All}})
	if err != nil {
		t.Fatal(err)
	}
	tried, states := invites(), map[dialer.State]int{}
	for _, k := range all {
		states[k.State]++
		dials, err := s.Dials(t.Context(), k.ID)
		if err != nil {
			t.Fatal(err)
		}
		if tried[k.Number] != 1 || len(dials) != 1 {
			t.Errorf("%s is %s: %d INVITEs in %d attempts, want one of each", k.Number, k.State, tried[k.Number], len(dials))
		}
	}
	t.Logf("%d contacts: %v", len(all), states)
	if states[dialer.Reached]+states[dialer.Failed] != contacts || len(all) != contacts {
		t.Errorf("the states add up to %v of %d contacts", states, contacts)
	}
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Millisecond) }

// peers is how many nodes a node sees.
func (e *engine) peers(t *testing.T) int {
	t.Helper()
	_, body := e.get(t, "/v1/nodes")
	data, _ := body["data"].([]any)
	return len(data)
}

// warned are the lines of a log that a person is to look at and that begin so.
func warned(log string, begin ...string) (lines []string) {
	for line := range strings.Lines(log) {
		var entry struct{ Level, Msg string }
		if json.Unmarshal([]byte(line), &entry) != nil || entry.Level == "info" {
			continue
		}
		if slices.ContainsFunc(begin, func(s string) bool { return strings.HasPrefix(entry.Msg, s) }) {
			lines = append(lines, line)
		}
	}
	return lines
}

// crossed is a call of one node that is commanded and followed at another.
type crossed struct {
	id       string
	own, far *engine
	caller   *party
	told     []string // that it took, by the answer
	tries    int
	followed <-chan event // of the call alone

	mu    sync.Mutex // guards heard
	heard []string   // of the call, by who listens to all
}

func openCrossed(t *testing.T, line *toneLine, own, far *engine, from string) *crossed {
	t.Helper()
	c := &crossed{own: own, far: far, caller: line.calls(t, own, from)}
	c.caller.talks.Store(true)
	c.id = own.callOf(t, from)
	eventually(t, 20*time.Second, "the other node knows the call", func() bool {
		status, _ := far.get(t, "/v1/calls/"+c.id)
		return status == http.StatusOK
	})
	c.followed = far.stream(t, "/v1/calls/"+c.id+"/events")
	all := far.stream(t, "/v1/events")
	go func() {
		for {
			select {
			case ev := <-all:
				if ev.text("call_id") == c.id {
					c.mu.Lock()
					c.heard = append(c.heard, ev.text("text"))
					c.mu.Unlock()
				}
			case <-t.Context().Done():
				return
			}
		}
	}()
	return c
}

// inject tells the call something new, at a node.
func (c *crossed) inject(t *testing.T, at *engine) (status int, code string) {
	t.Helper()
	c.tries++
	text := fmt.Sprintf("Word %d.", c.tries)
	status, answer := at.post(t, "/v1/calls/"+c.id+"/control", map[string]string{"type": "inject-context", "content": text})
	if status == http.StatusOK {
		c.told = append(c.told, text)
	}
	fault, _ := answer["error"].(map[string]any)
	code, _ = fault["code"].(string)
	return status, code
}

// works waits until a command goes over, and the event of it comes back at once.
func (c *crossed) works(t *testing.T) {
	t.Helper()
	eventually(t, 20*time.Second, "a command goes over and its event comes back", func() bool {
		if status, _ := c.inject(t, c.far); status != http.StatusOK {
			return false
		}
		text := c.told[len(c.told)-1]
		for range 10 {
			c.mu.Lock()
			got := slices.Contains(c.heard, text)
			c.mu.Unlock()
			if got {
				return true
			}
			talk(20 * time.Millisecond)
		}
		return false
	})
}

// missedNothing sees that who follows the call heard all of it, each once and in order.
func (c *crossed) missedNothing(t *testing.T) {
	t.Helper()
	var heard []string
	last := 0.0
	for limit := time.After(20 * time.Second); ; {
		select {
		case ev := <-c.followed:
			seq, _ := ev["seq"].(float64)
			if last++; seq != last {
				t.Fatalf("event %v of call %s follows %v", seq, c.id, last-1)
			}
			switch ev.text("event") {
			case "context.injected":
				heard = append(heard, ev.text("text"))
			case "call.ended":
				for _, text := range c.told {
					if !slices.Contains(heard, text) {
						t.Errorf("the call took %q, and who follows it heard %q", text, heard)
					}
				}
				return
			}
		case <-limit:
			t.Fatalf("call %s has no end for who follows it: %q", c.id, heard)
		}
	}
}
