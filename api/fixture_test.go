package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/patchcord/patchcord/cluster"
	"github.com/patchcord/patchcord/configs"
	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/dialer"
	"github.com/patchcord/patchcord/tools"
)

// fakeEngine dials nowhere.
type fakeEngine struct {
	mu     sync.Mutex
	dialed []engine.Outbound
	said   []string
	call   func(engine.Outbound) (telephony.CallID, error)
	live   error
	store  *store.Store
	calls  *engine.Engine // whose calls are listened to
}

func (f *fakeEngine) Call(_ context.Context, o engine.Outbound) (telephony.CallID, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dialed = append(f.dialed, o)
	if f.call != nil {
		return f.call(o)
	}
	id := telephony.CallID(uuid.Must(uuid.NewV7()).String())
	go f.store.Started(engine.Record{ID: id, Agent: o.Agent, To: o.To, Status: engine.StatusDialing, Started: day})
	return id, nil
}

// note keeps what was asked, and answers as every command is answered.
func (f *fakeEngine) note(said string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.said = append(f.said, said)
	return f.live
}

// answer has every further command answered so, as if none had been asked yet.
func (f *fakeEngine) answer(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.said, f.live = nil, err
}

// asked are the commands since then.
func (f *fakeEngine) asked() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.said, "|")
}

func (f *fakeEngine) Say(_ telephony.CallID, text string) error {
	return f.note("say " + text)
}

func (f *fakeEngine) End(_ telephony.CallID, text string) error {
	return f.note("end " + text)
}

func (f *fakeEngine) Mute(_ telephony.CallID, on bool) error {
	return f.note(fmt.Sprint("mute ", on))
}

func (f *fakeEngine) Inject(_ telephony.CallID, text string, respond bool) error {
	return f.note(fmt.Sprint("inject ", text, " ", respond))
}

func (f *fakeEngine) Press(_ telephony.CallID, keys string) error {
	return f.note("press " + keys)
}

func (f *fakeEngine) Transfer(_ telephony.CallID, to tools.Transfer) error {
	return f.note("transfer " + to.To + " " + to.Message)
}

func (f *fakeEngine) Whisper(_ telephony.CallID, text string, toCaller bool) error {
	return f.note(fmt.Sprint("whisper ", text, " ", toCaller))
}

func (f *fakeEngine) Listen(id telephony.CallID) (*engine.Listening, error) {
	if f.calls == nil {
		return nil, engine.ErrNoCall
	}
	return f.calls.Listen(id)
}

// oneNode is a node that is alone.
type oneNode struct{}

func (oneNode) ID() string { return "0123456789ab" }
func (oneNode) Nodes() []cluster.Presence {
	return []cluster.Presence{{ID: "0123456789ab", Name: "one", Version: "test", Self: true}}
}
func (oneNode) Answer(string, func([]byte) []byte) error { return nil }
func (oneNode) Ask(context.Context, string, string, []byte) ([]byte, error) {
	return nil, cluster.ErrNobody
}
func (oneNode) Changed(string)        {}
func (oneNode) OnChange(func(string)) {}

type gate func(string) error

func (g gate) Check(to string) error { return g(to) }

// fixture is a server with a real store and no telephony.
type fixture struct {
	t      testing.TB
	srv    *Server
	http   *httptest.Server
	store  *store.Store
	hub    *Hub
	engine *fakeEngine
	key    string // sent with every request
}

func newFixture(t testing.TB, change ...func(*Config)) *fixture {
	t.Helper()
	st, err := store.Open(t.Context(), store.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "calls.db")})
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, store: st, hub: NewHub(), engine: &fakeEngine{store: st}, key: opsKey}
	for _, a := range []agent.Agent{{ID: "support", Name: "support", Prompt: "p"}, {ID: "sales", Name: "sales"}} {
		if _, err := st.CreateAgent(t.Context(), "", a); err != nil {
			t.Fatal(err)
		}
	}
	profiles, err := dialer.LoadProfiles()
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Listen: "127.0.0.1:0", Version: "test", Campaigns: st, Profiles: profiles, Engine: f.engine, Calls: st, Once: st, Deliveries: st, Hub: f.hub,
		Metrics: NewMetrics(), Nodes: oneNode{},
		Objects: st, Reader: reader(t), KeyStore: st, Scopes: configs.Scopes, Browsers: &fakeBrowsers{f: f},
		Gate: gate(func(to string) error {
			if strings.HasPrefix(to, "+49") {
				return nil
			}
			return errors.New("no prefix of dialing.allow fits")
		}),
		Keys: []Key{
			{Name: "ops", Hash: HashKey(opsKey), Scopes: []string{"*"}},
			{Name: "reader", Hash: HashKey(readKey), Scopes: []string{"calls:read"}},
			{Name: "sales", Hash: HashKey(salesKey), Scopes: []string{"calls:write", "calls:control", "agents:read"}, Agents: []agent.ID{"sales"}},
		},
	}
	for _, c := range change {
		c(&cfg)
	}
	if f.srv, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	f.http = httptest.NewServer(f.srv.Handler())
	t.Cleanup(func() {
		f.srv.endStreams()
		f.http.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := st.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return f
}

// reader is that of the built-in configuration, with a secret.
func reader(t testing.TB) *configs.Reader { return readerOf(t) }

// readerOf is one whose tools may reach some private addresses.
func readerOf(t testing.TB, allow ...string) *configs.Reader {
	t.Helper()
	c, _, err := configs.Load("")
	if err != nil {
		t.Fatal(err)
	}
	c.Tools.AllowCIDRs = allow
	c.Secrets = map[string]configs.Secret{"crm": {Value: "canary-secret"}}
	return c.Reader()
}

type answer struct {
	*http.Response
	text string
}

func (a answer) into(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.text), v); err != nil {
		t.Fatalf("%v in %s", err, a.text)
	}
}

// problem is the code of an error, with its form checked.
func (a answer) problem(t *testing.T) string {
	t.Helper()
	if ct := a.Header.Get("Content-Type"); ct != "application/problem+json" {
		t.Errorf("content type %q", ct)
	}
	var p ProblemBody
	a.into(t, &p)
	if p.Status != a.StatusCode || p.Type != "about:blank" || p.Error.RequestID == "" || p.Error.RequestID != a.Header.Get("X-Request-Id") ||
		p.Error.Message == "" || p.Error.Message != p.Detail || p.Instance == "" {
		t.Errorf("status %d: %s", a.StatusCode, a.text)
	}
	return p.Error.Code
}

func (f *fixture) do(method, path, body string, header ...string) answer {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), method, f.http.URL+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if f.key != "" {
		req.Header.Set("X-API-Key", f.key)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // read only
	text, err := io.ReadAll(res.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return answer{res, string(text)}
}

// serve asks without a socket.
func (f *fixture) serve(method, path, body string) *httptest.ResponseRecorder {
	req := httptest.NewRequestWithContext(context.Background(), method, path, strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-API-Key", f.key)
	rec := httptest.NewRecorder()
	f.srv.Handler().ServeHTTP(rec, req)
	return rec
}

func query(s string) string { return url.QueryEscape(s) }

func answerID(t testing.TB, text string) string {
	t.Helper()
	var o struct{ ID string }
	if err := json.Unmarshal([]byte(text), &o); err != nil || o.ID == "" {
		t.Fatalf("%v: %s", err, text)
	}
	return o.ID
}

var day = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func (f *fixture) started(agentID agent.ID) telephony.CallID {
	id := telephony.CallID(uuid.Must(uuid.NewV7()).String())
	r := engine.Record{ID: id, Direction: telephony.Inbound, From: "+4930123456", To: "+491", Agent: agentID, Status: engine.StatusRinging, Started: day}
	f.store.Started(r)
	f.hub.Started(r)
	return id
}

func (f *fixture) event(id telephony.CallID, seq int, name string, fields ...engine.Field) {
	e := engine.Event{Time: day, Level: "info", Name: name, CallID: id, Seq: seq, Fields: fields}
	f.store.Event(e)
	f.hub.Event(e)
}

func (f *fixture) ended(id telephony.CallID, agentID agent.ID, recording string) {
	r := engine.Record{
		ID: id, Direction: telephony.Inbound, Agent: agentID, Started: day, Answered: day, Ended: day.Add(time.Minute), EndReason: "hangup",
		Recording: recording, Transcript: []engine.Item{{Role: "agent", Text: "Hello."}},
	}
	f.store.Ended(r)
	f.hub.Ended(r)
}
