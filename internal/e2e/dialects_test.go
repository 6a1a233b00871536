//go:build e2e

package e2e

import (
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// What every caller says, and what the model makes of it: it looks the order
// up, tells what it found, asks a slow endpoint beside that, and takes leave when
// nothing came of it.
const (
	dialectCaller = "+491701234567"
	dialectWords  = "my order is four seven one one"
	dialectRules  = `not_understood: Pardon?
otherwise: Alright.
rules:
  - {when: "order * {digits:order_id:3-8}", call: [{tool: NAME_lookup, args: {order_id: "${order_id}"}}, {tool: NAME_tickets}]}
  - {when: "order * {digits:order_id:3-8}", call: {tool: NAME_lookup, args: {order_id: "${order_id}"}}}
  - after: NAME_lookup
    if: result.status == "shipped"
    say: "Order {{args.order_id | digits}} was shipped{{context.dariet_caller.name | prepend: ', '}}."
    call: {tool: NAME_slow, args: {order_id: "${order_id}"}}
  - {after: NAME_tickets, if: result.tickets == 2, say: There are two tickets.}
  - {after: NAME_slow, if: result.error == "timeout", say: That took too long. Goodbye., end: true}
`
	dialectBridge = "One moment, I am looking that up."
)

// TestDialectsLive: for each dialect a call over SIP in which the model calls
// its tools after what the caller said (C-01). Of every request to an HTTPS
// endpoint method, URL, headers, signature and body are checked, and when it
// came: after the turn, and before the answer. The lookup takes as long as a
// bridging sentence needs to begin (C-17), the other tool never has a reply: the
// timeout becomes a result. No secret is found in anything that is kept of the
// calls (SEC-10).
func TestDialectsLive(t *testing.T) {
	t.Parallel()
	l := &dialectLine{t: t, got: map[string][]asked{}}
	endpoint := httptest.NewTLSServer(l)
	t.Cleanup(endpoint.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	write(t, ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: endpoint.Certificate().Raw})))
	var models, numbers, secrets string
	files := map[string]string{}
	for i, d := range dialects {
		models += fmt.Sprintf("  %[1]s: {type: rules, file: agents/%[1]s.rules}\n", d.name)
		numbers += fmt.Sprintf("  - {number: %q, trunk: local, agent: %s}\n", dialectNumber(i), d.name)
		secrets += "  " + d.name + ": " + canary(d.name) + "\n"
		files[d.name+".rules"] = strings.ReplaceAll(dialectRules, "NAME", d.name)
		files[d.name+".yaml"] = fmt.Sprintf("name: %[1]s\nprompt: Look orders up.\ngreeting: Hello and welcome.\n"+
			"llm_config: {provider: %[1]s}\n", d.name) + strings.ReplaceAll(d.agent, "URL", endpoint.URL+"/"+d.name)
	}
	l.engine = serve(t, "llm:\n"+models+"  default: "+dialects[0].name+"\n"+
		"stt: {default: plain, plain: {type: \"null\", text: "+dialectWords+", delay: 700ms}}\n"+
		"tts: {default: plain, plain: {type: \"null\", first_byte: 50ms, word: 150ms, tone: 440}}\n"+
		"numbers:\n"+numbers+"secrets:\n"+secrets+
		`tools: {allow_cidrs: ["127.0.0.0/8"], ca_file: "`+ca+`"}`+"\n", files)

	script := filepath.Join(t.TempDir(), "caller.yaml")
	write(t, script, "from: \""+dialectCaller+"\"\nsteps:\n  - wait_quiet: {for: 700ms, within: 30s}\n  - mumble: 900ms\n  - expect_hangup: {within: 90s}\n")
	for i, d := range dialects {
		t.Run(d.name, func(t *testing.T) {
			before := len(named(l.engine.read(t), "call.ended"))
			to := "sip:" + strings.TrimPrefix(dialectNumber(i), "+") + "@" + l.engine.sip
			p := start(t, 3*time.Minute, t.TempDir(), command(t, "callprobe"), script, "--to", to)
			if code, err := p.wait(); err != nil || code != 0 {
				t.Errorf("callprobe: exit %d, %v", code, err)
			}
			eventually(t, 30*time.Second, "the call has ended", func() bool {
				return len(named(l.engine.read(t), "call.ended")) > before
			})
			l.judge(t, d, l.engine.read(t))
		})
	}
	l.noSecret(t)
}

func dialectNumber(i int) string { return fmt.Sprintf("+493012345%02d", i) }

// dialectLine is the endpoint of all dialects, and the engine whose calls ask it.
type dialectLine struct {
	t      *testing.T
	engine *engine

	mu  sync.Mutex // guards got
	got map[string][]asked
}

// ServeHTTP answers as the dialect's exchanges say: a lookup when the bridging
// sentence has begun, so that it is one that takes its time; what has no answer
// never.
func (l *dialectLine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		l.t.Errorf("%s: %v", r.URL, err)
	}
	a := asked{time.Now(), r.Method, r.Host, r.RequestURI, r.Header.Clone(), string(b)}
	name, tool, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	l.mu.Lock()
	l.got[name] = append(l.got[name], a)
	l.mu.Unlock()
	i := slices.IndexFunc(dialects, func(d dialect) bool { return d.name == name })
	if i < 0 {
		http.NotFound(w, r)
		return
	}
	for _, x := range dialects[i].calls {
		if !strings.HasSuffix(x.tool, "_"+tool) {
			continue
		}
		if x.answer == "" {
			<-r.Context().Done() // of the platform, which gives up
			return
		}
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for tool == "lookup" && !l.bridged(name) {
			select {
			case <-tick.C:
			case <-r.Context().Done():
				return
			}
		}
		answer := strings.ReplaceAll(x.answer, "CANARY", canary(name)) // an endpoint that tells secrets back
		for i, id := range callIDs.FindAllStringSubmatch(a.body, -1) {
			answer = strings.ReplaceAll(answer, fmt.Sprint("ID", i), id[1])
		}
		fmt.Fprint(w, answer)
		return
	}
	http.NotFound(w, r)
}

// bridged tells whether the caller of a dialect hears that it takes its time.
func (l *dialectLine) bridged(name string) bool {
	log, err := os.ReadFile(l.engine.events) // which is being written
	if err != nil {
		l.t.Error(err)
		return true
	}
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, `"event":"speech.bridge"`) && strings.Contains(line, `"tool":"`+name+`_`) {
			return true
		}
	}
	return false
}

// judge compares what came of one dialect's call with what had to.
func (l *dialectLine) judge(t *testing.T, d dialect, all []event) {
	id := ""
	for _, ev := range named(all, "call.started") {
		if ev.text("agent") == d.name {
			id = ev.text("call_id")
		}
	}
	mine := slices.DeleteFunc(slices.Clone(all), func(ev event) bool { return ev.text("call_id") != id })
	for _, ev := range mine {
		switch name := ev.text("event"); name {
		case "turn.user", "turn.agent", "speech.bridge", "tool.started", "tool.finished", "call.ended":
			delete(ev, "call_id")
			delete(ev, "level")
			t.Log(ev)
		}
	}
	l.mu.Lock()
	got := l.got[d.name]
	l.mu.Unlock()
	for i, a := range got {
		t.Logf("%s %s %s %v %s", a.at.UTC().Format("15:04:05.000"), a.method, a.uri, slices.Sorted(maps.Keys(a.header)), a.body)
		if i >= len(d.calls) {
			t.Errorf("one request too many: %s %s", a.method, a.uri)
		} else if diff := d.calls[i].differs(d.name, id, a); diff != "" {
			t.Errorf("%s: %s", d.calls[i].tool, diff)
		}
	}
	if len(got) < len(d.calls) {
		t.Errorf("%d requests, want %d", len(got), len(d.calls))
	}

	// The order of things: the turn, the call of the tool, its request, the
	// bridging sentence, the result, the answer.
	first := func(name, key, value string) event {
		t.Helper()
		for _, ev := range mine {
			if ev.text("event") == name && strings.Contains(ev.text(key), value) {
				return ev
			}
		}
		t.Errorf("no %s with %s %q", name, key, value)
		return event{}
	}
	turn := first("turn.user", "text", "four seven one one")
	for i, c := range d.calls {
		began, ended := first("tool.started", "tool", c.tool), first("tool.finished", "tool", c.tool)
		status := "ok"
		if c.answer == "" {
			status = "timeout"
		}
		if ended.text("status") != status {
			t.Errorf("%s ended with %v", c.tool, ended)
		}
		if i < len(got) {
			at := event{"ts": got[i].at.UTC().Format("2006-01-02T15:04:05.000Z")}
			inOrder(t, "ts", began, at, ended)
		}
		if c.answer == "" {
			if ms, _ := ended["ms"].(float64); ms < dialectPatience*1000 {
				t.Errorf("%s was given up after %v ms", c.tool, ms)
			}
		}
		if d.byItself(c) {
			inOrder(t, "seq", began, turn)
			inOrder(t, "seq", began, ended)
			continue
		}
		inOrder(t, "seq", turn, began, ended)
	}
	looked := first("tool.finished", "tool", d.name+"_lookup")
	inOrder(t, "seq", turn, first("speech.bridge", "text", dialectBridge), looked) // C-17
	last := looked
	for _, said := range d.said {
		now := first("turn.agent", "heard_text", said)
		inOrder(t, "seq", last, now)
		last = now
	}
	inOrder(t, "seq", first("tool.finished", "tool", d.name+"_slow"), last, first("call.ended", "end_reason", "agent_done"))
}

// inOrder checks that events came one after the other, by a field of theirs.
func inOrder(t *testing.T, key string, evs ...event) {
	t.Helper()
	for i := 1; i < len(evs); i++ {
		a, b := evs[i-1], evs[i]
		wrong := a.text(key) > b.text(key) // times of one length
		if key == "seq" {
			from, _ := a[key].(float64)
			to, _ := b[key].(float64)
			wrong = from > to || from == 0
		}
		if wrong {
			t.Errorf("%v\nis not before\n%v", a, b)
		}
	}
}

// noSecret looks for the canaries in all that is kept of the calls.
func (l *dialectLine) noSecret(t *testing.T) {
	e := l.engine
	if _, body := e.get(t, "/v1/calls"); strings.Contains(fmt.Sprint(body), "canary") {
		t.Errorf("the API tells a secret: %v", body)
	}
	e.stop(t)
	if strings.Contains(e.out.String(), "canary") {
		t.Errorf("the log tells a secret:\n%s", tail(e.out.String(), 2000))
	}
	err := filepath.WalkDir(e.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || path == filepath.Join(e.dir, "patchcord.yaml") {
			return err
		}
		b, err := os.ReadFile(path) //nolint:gosec // of our own folder
		if strings.Contains(string(b), "canary") {
			t.Errorf("%s holds a secret", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
