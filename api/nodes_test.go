package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/patchcord/patchcord/cluster"
	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/dialer"
	"github.com/patchcord/patchcord/tools"
)

// joined runs a node of a cluster until the test ends.
func joined(t *testing.T, name string, routes ...string) *cluster.Node {
	t.Helper()
	n, err := cluster.Open(cluster.Config{
		Node: name, Version: "test", Listen: "127.0.0.1:0", Routes: routes, User: "nodes", Password: "s3cret",
		Status: func() cluster.Status { return cluster.Status{Calls: len(name)} },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var wg sync.WaitGroup
	wg.Go(func() { _ = n.Serve(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		n.Close()
	})
	return n
}

// two are two nodes with one store: the API of each, and a call that a has and b
// has not.
type two struct {
	a, b      *fixture
	atA, atB  *cluster.Node
	callbacks *tools.Callbacks // of a
}

func newTwo(t *testing.T) *two {
	t.Helper()
	w := &two{}
	w.atA = joined(t, "a")
	w.atB = joined(t, "node-b", "nats://"+w.atA.Addr())
	w.callbacks = tools.NewCallbacks(w.atA.ID())
	w.a = newFixture(t, func(c *Config) {
		c.Nodes, c.Callbacks = w.atA, w.callbacks
		c.Hub.Join(w.atA)
		c.Engine = w.atA.Calls(c.Engine, nil)
	})
	w.b = newFixture(t, func(c *Config) {
		c.Nodes, c.Callbacks = w.atB, tools.NewCallbacks(w.atB.ID())
		c.Hub.Join(w.atB)
		c.Calls, c.Once, c.Objects, c.KeyStore = w.a.store, w.a.store, w.a.store, w.a.store
		c.Engine = w.atB.Calls(&fakeEngine{live: engine.ErrNoCall}, nil)
	})
	w.until(t, "the nodes see each other", func() bool { return len(w.atA.Nodes()) == 2 && len(w.atB.Nodes()) == 2 })
	return w
}

func (w *two) until(t *testing.T, what string, is func() bool) {
	t.Helper()
	limit := time.After(20 * time.Second)
	for !is() {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-limit:
			t.Fatalf("not within 20 s: %s", what)
		}
	}
}

// begin begins a call of a.
func (w *two) begin(t *testing.T, id telephony.CallID) {
	t.Helper()
	r := engine.Record{ID: id, Agent: "support", Status: engine.StatusInProgress, Started: time.Now()}
	for _, j := range []engine.Journal{w.a.store, w.a.hub, w.atA} {
		j.Started(r)
	}
	if err := w.a.store.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.until(t, "the call is reached", func() bool {
		return w.b.do("POST", "/v1/calls/"+string(id)+"/control", `{"type":"mute"}`).StatusCode == 200
	})
	w.a.engine.answer(nil)
}

// A call is controlled at a node that does not have it, with the same answers.
func TestControlAtAnotherNode_F17(t *testing.T) {
	t.Parallel()
	w := newTwo(t)
	w.begin(t, "0190")
	path := "/v1/calls/0190/control"
	if a := w.b.do("POST", path, `{"type":"say","content":"hello"}`); a.StatusCode != 200 || w.a.engine.asked() != "say hello" {
		t.Errorf("%d %s, asked %s", a.StatusCode, a.text, w.a.engine.asked())
	}
	w.a.engine.answer(engine.ErrNoCall)
	if a := w.b.do("POST", path, `{"type":"say","content":"x"}`); a.StatusCode != 409 || !strings.Contains(a.text, "call_not_active") {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	w.a.engine.answer(errors.New("too many commands wait"))
	if a := w.b.do("POST", path, `{"type":"say","content":"x"}`); a.StatusCode != 503 {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
}

// The nodes are listed at any of them.
func TestNodesAreListed(t *testing.T) {
	t.Parallel()
	w := newTwo(t)
	var page Page[NodeView]
	if a := w.b.do("GET", "/v1/nodes", ""); a.StatusCode != 200 || json.Unmarshal([]byte(a.text), &page) != nil {
		t.Fatalf("%d %s", a.StatusCode, a.text)
	}
	if len(page.Data) != 2 || page.Data[0].Name != "a" || page.Data[0].Self || page.Data[0].Calls != 1 ||
		page.Data[1].Name != "node-b" || !page.Data[1].Self || page.Data[1].Calls != 6 || page.Data[1].Version != "test" {
		t.Errorf("%+v", page.Data)
	}
}

// sse reads a stream of events as lines, until the test ends.
func sse(t *testing.T, f *fixture, path string) <-chan string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.http.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-API-Key", f.key)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 1000)
	go func() { // ends with the test
		defer close(lines)
		defer res.Body.Close()
		for s := bufio.NewScanner(res.Body); s.Scan(); {
			if name, ok := strings.CutPrefix(s.Text(), "event: "); ok {
				lines <- name
			}
		}
	}()
	return lines
}

// The events of a call reach who watches at a node that does not have it: those of
// before, those that were told while nobody knew of the watcher, and its end.
func TestEventsAtAnotherNode(t *testing.T) {
	t.Parallel()
	w := newTwo(t)
	const id = telephony.CallID("0190")
	w.begin(t, id)
	seq := 0
	happen := func(name string, told bool) {
		seq++
		e := engine.Event{Time: day, Level: "info", Name: name, CallID: id, Seq: seq}
		w.a.store.Event(e)
		if told {
			w.atA.Event(e)
		}
	}
	happen("call.started", true)
	if err := w.a.store.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	all, one := sse(t, w.b, "/v1/events"), sse(t, w.b, "/v1/calls/0190/events")
	if got := <-one; got != "call.started" {
		t.Errorf("first %s", got)
	}
	w.until(t, "all are watched", func() bool { // until the interest is known everywhere
		happen("turn.user", true)
		select {
		case got := <-all:
			return got == "turn.user"
		case <-time.After(20 * time.Millisecond):
			return false
		}
	})
	happen("turn.agent", false) // lost on the way
	happen("turn.metrics", true)
	for _, want := range []string{"turn.agent", "turn.metrics"} {
		got := <-one
		for got == "turn.user" {
			got = <-one
		}
		if got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	}
	happen("call.ended", true)
	if got := <-one; got != "call.ended" {
		t.Errorf("%s", got)
	} else if _, ok := <-one; ok {
		t.Error("the stream goes on")
	}
}

// What becomes of a campaign is told where somebody watches, at whichever node it
// happens; its agent is told with it, for those who may not hear of it.
func TestCampaignEventsAtAnotherNode(t *testing.T) {
	t.Parallel()
	w := newTwo(t)
	c := w.a.draft("spring", "support")
	news := func(name string, call telephony.CallID) { // of the runner at a
		n := dialer.News{Name: name, Campaign: dialer.Campaign{ID: c.ID, Name: "spring", Agent: "support"}}
		n.Attempt.Call = call
		w.a.hub.News(n)
	}
	heard := map[string]<-chan string{
		"all at b":         sse(t, w.b, "/v1/events"),
		"the agent's at b": sse(t, w.b, "/v1/events?agent_id=support&event=campaign,attempt"),
		"all at a":         sse(t, w.a, "/v1/events"),
	}
	others := w.b.srv.cfg.Hub.Subscribe("", watchBuffer, func(m Message) bool { return m.Agent != "support" })
	defer others.Close()
	heard["the call's at b"] = sse(t, w.b, "/v1/events?call_id=0190") // its attempt alone
	for who, lines := range heard {
		w.until(t, who+" is there", func() bool {
			news("attempt.finished", "0190")
			select {
			case got := <-lines:
				return got == "attempt.finished"
			case <-time.After(20 * time.Millisecond):
				return false
			}
		})
	}
	delete(heard, "the call's at b")
	for _, to := range []string{"start", "pause", "resume", "cancel"} {
		if a := w.a.do("POST", "/v1/campaigns/"+c.ID+"/"+to, ""); a.StatusCode != 200 {
			t.Fatalf("%s: %d %s", to, a.StatusCode, a.text)
		}
	}
	news(dialer.EventCompleted, "")
	for who, lines := range heard {
		for _, name := range []string{"started", "paused", "resumed", "cancelled", "completed"} {
			name = "campaign." + name
			got := "attempt.finished"
			for got == "attempt.finished" {
				select {
				case got = <-lines:
				case <-time.After(20 * time.Second):
					t.Fatalf("%s: no %s", who, name)
				}
			}
			if got != name {
				t.Errorf("%s: %s, want %s", who, got, name)
			}
		}
	}
	select {
	case m := <-others.C:
		t.Errorf("told of the agent %q: %s", m.Agent, m.Name)
	default:
	}
}

// A result is brought at any node (H-28).
func TestCallbackAtAnotherNode_H28(t *testing.T) {
	t.Parallel()
	w := newTwo(t)
	id := w.callbacks.ID(tools.Call{ID: "1", Name: "x"})
	path := "/automation/v4/actions/callbacks/" + id + "/complete"
	if a := w.b.do("POST", path, `{"outputFields":{"a":1}}`); a.StatusCode != 404 {
		t.Errorf("before it is awaited: %d", a.StatusCode)
	}
	w.callbacks.Expect(id)
	if a := w.b.do("POST", path, `{"outputFields":{"a":1}}`); a.StatusCode != 204 {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	if got, err := w.callbacks.Wait(t.Context(), id, time.Second); err != nil || string(got) != `{"a":1}` {
		t.Errorf("%s, %v", got, err)
	}
	if a := w.b.do("POST", path, `{"outputFields":{"a":2}}`); a.StatusCode != 404 {
		t.Errorf("a second time: %d", a.StatusCode)
	}
}

// A page calls at another node than the one that made its token: once, and it may
// follow and end that call.
func TestTokenAtAnotherNode(t *testing.T) {
	t.Parallel()
	w := newTwo(t)
	var made WebTokenMade
	a := w.a.do("POST", "/v1/calls/web/token", `{"agent_id":"support","from":"+4930"}`)
	if err := json.Unmarshal([]byte(a.text), &made); err != nil || a.StatusCode != 201 {
		t.Fatalf("%d %s", a.StatusCode, a.text)
	}
	w.b.key = ""
	bearer := []string{"Authorization", "Bearer " + made.Token}
	offer := append([]string{"Content-Type", "application/sdp"}, bearer...)
	call := w.b.do("POST", "/v1/calls/web", "v=0", offer...)
	if call.StatusCode != 201 {
		t.Fatalf("%d %s", call.StatusCode, call.text)
	}
	for _, f := range []*fixture{w.a, w.b} {
		f.key = ""
		if again := f.do("POST", "/v1/calls/web", "v=0", offer...); again.StatusCode != 401 {
			t.Errorf("a second call: %d %s", again.StatusCode, again.text)
		}
	}
	if end := w.a.do("DELETE", call.Header.Get("Location"), "", bearer...); end.StatusCode != 204 {
		t.Errorf("the end: %d %s", end.StatusCode, end.text)
	}
	if end := w.b.do("DELETE", "/v1/calls/web/0190", "", bearer...); end.StatusCode != 404 {
		t.Errorf("the end of another call: %d %s", end.StatusCode, end.text)
	}
	unknown := "pcw_" + w.atA.ID() + strings.Repeat("A", 32)
	if a := w.b.do("POST", "/v1/calls/web", "v=0", "Content-Type", "application/sdp", "Authorization", "Bearer "+unknown); a.StatusCode != 401 {
		t.Errorf("a token that is none: %d %s", a.StatusCode, a.text)
	}
}

// A call is heard at a node that does not have it, by an address that a third
// request gave.
func TestListenAtAnotherNode(t *testing.T) {
	t.Parallel()
	w := newTwo(t)
	c := talk(t, w.a)
	if err := w.a.store.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.atA.Started(engine.Record{ID: c.id})
	path := "/v1/calls/" + string(c.id) + "/control"
	var done Done
	w.until(t, "it can be listened to", func() bool {
		a := w.b.do("POST", path, `{"type":"listen"}`)
		return a.StatusCode == 200 && json.Unmarshal([]byte(a.text), &done) == nil
	})
	var conn *websocket.Conn
	for i, f := range []*fixture{w.b, w.a} { // the pass is b's; a asks b
		if i > 0 {
			a := w.b.do("POST", path, `{"type":"listen"}`)
			if err := json.Unmarshal([]byte(a.text), &done); err != nil {
				t.Fatalf("%v: %s", err, a.text)
			}
		}
		ws, res, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(f.http.URL, "http")+done.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		var start Heard
		if err := ws.ReadJSON(&start); err != nil || start.CallID != c.id || start.Rate == 0 {
			t.Errorf("%+v, %v", start, err)
		}
		if i == 0 {
			conn = ws
		} else {
			ws.Close()
		}
	}
	defer conn.Close()
	heard := 0
	for heard < 16000 {
		kind, b, err := conn.ReadMessage()
		if err != nil || kind != websocket.BinaryMessage {
			t.Fatalf("%d %v", kind, err)
		}
		heard += len(b)
	}
	c.hangUp()
	for {
		kind, b, err := conn.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		if kind == websocket.TextMessage {
			if !strings.Contains(string(b), "call_ended") {
				t.Errorf("the end: %s", b)
			}
			return
		}
	}
}

// A key that is made or ended at one node counts at the others at once.
func TestKeysAtAnotherNode(t *testing.T) {
	t.Parallel()
	w := newTwo(t)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { w.b.srv.followKeys(ctx) })
	defer wg.Wait()
	defer stop()
	var made APIKey
	if a := w.a.do("POST", "/v1/api-keys", `{"name":"n","scopes":["calls:read"]}`); json.Unmarshal([]byte(a.text), &made) != nil {
		t.Fatalf("%d %s", a.StatusCode, a.text)
	}
	all := w.b.key
	opens := func(status int) func() bool {
		return func() bool {
			w.b.key = made.Key
			defer func() { w.b.key = all }()
			return w.b.do("GET", "/v1/nodes", "").StatusCode == status
		}
	}
	w.until(t, "it opens", opens(200))
	if a := w.a.do("DELETE", "/v1/api-keys/"+made.ID, ""); a.StatusCode != 204 {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	w.until(t, "it opens nothing", opens(401))
}

// answering keeps what answers other processes.
type answering struct {
	oneNode

	by map[string]func([]byte) []byte
}

func (a answering) Answer(what string, f func([]byte) []byte) error {
	a.by[what] = f
	return nil
}

// FuzzQuestions answers whatever other processes may ask.
func FuzzQuestions(f *testing.F) {
	for _, s := range []string{
		``, `{}`, `null`, `{"do":"find","hash":[1,2]}`, `{"do":"used","hash":[],"call":"0190"}`, `{"hash":[0],"call":"0190"}`,
		`{"id":"ap-0123456789ab","result":{"a":1}}`, `{"id":7}`,
	} {
		f.Add([]byte(s))
	}
	by := map[string]func([]byte) []byte{}
	newFixture(f, func(c *Config) { c.Nodes, c.Callbacks = answering{by: by}, tools.NewCallbacks("") })
	f.Fuzz(func(t *testing.T, b []byte) {
		for what, answer := range by {
			if a := answer(b); a != nil && !json.Valid(a) {
				t.Errorf("%s: %q", what, a)
			}
		}
	})
}
