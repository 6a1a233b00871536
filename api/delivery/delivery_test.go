package delivery

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/patchcord/patchcord/api/webhook"
	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/tools"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// secret signs what is sent. Agents name it by sealed, as their makers do.
const (
	secret = "secret123"
	sealed = "{{secret.hooks}}"
)

// secrets are those of the configuration.
var secrets = tools.Deps{Secrets: func(name string) (string, bool) { return secret, name == "hooks" }}

// request is a webhook that has arrived.
type request struct {
	header http.Header
	body   []byte
}

// receiver is an HTTPS endpoint that keeps what arrives.
type receiver struct {
	url, ca string
	status  func(n int) int // of the n-th request; nil: 200
	got     chan request    // capacity 64

	mu sync.Mutex
	n  int
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{got: make(chan request, 64)}
	web := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err != nil || q.Method != http.MethodPost {
			t.Errorf("%s: %v", q.Method, err)
		}
		r.mu.Lock()
		r.n++
		status := http.StatusOK
		if r.status != nil {
			status = r.status(r.n)
		}
		r.mu.Unlock()
		r.got <- request{q.Header.Clone(), body}
		w.WriteHeader(status)
	}))
	t.Cleanup(web.Close)
	r.url, r.ca = web.URL+"/hook", filepath.Join(t.TempDir(), "ca.pem")
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})
	if err := os.WriteFile(r.ca, cert, 0o600); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *receiver) next(t *testing.T) request {
	t.Helper()
	select {
	case q := <-r.got:
		return q
	case <-time.After(30 * time.Second):
		t.Fatal("no webhook came")
		return request{}
	}
}

// open makes deliveries over a store of their own for one agent, and works.
func open(t *testing.T, r *receiver, a agent.Agent, m llm.Provider) (*Deliveries, *store.Store) {
	t.Helper()
	s, err := store.Open(t.Context(), store.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "p.db")})
	if err != nil {
		t.Fatal(err)
	}
	client, err := tools.NewClient(tools.HTTPConfig{AllowCIDRs: []string{"127.0.0.0/8"}, CAFile: r.ca})
	if err != nil {
		t.Fatal(err)
	}
	a.ID, a.Name, a.WebhookURL = "a-1", "support", r.url
	d := New(Config{
		Store: s, Client: client, Secret: secrets.Resolve, NumberName: func(string) string { return "Main line" },
		Agent: func(_ context.Context, id agent.ID) (*agent.Agent, error) {
			if id != a.ID {
				return nil, errors.New("no such agent")
			}
			return &a, nil
		},
		Model: func(*agent.Agent) (llm.Provider, string) { return m, "" },
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Work(ctx, time.Second) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		client.Close()
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return d, s
}

// play is a call: answered, one turn, ended.
func play(d *Deliveries, s *store.Store) {
	r := call(engine.StatusInProgress, "").Record
	r.Transcript, r.Turns = nil, 0
	js := []engine.Journal{s, d}
	each := func(f func(engine.Journal)) {
		for _, j := range js {
			f(j)
		}
	}
	event := func(seq int, name string, fields ...engine.Field) {
		e := engine.Event{Time: began.Add(time.Duration(seq) * time.Second), Level: "info", Name: name, CallID: r.ID, Seq: seq, Fields: fields}
		each(func(j engine.Journal) { j.Event(e) })
	}
	each(func(j engine.Journal) { j.Started(r) })
	event(1, engine.EventCallStarted)
	event(2, engine.EventCallAnswered)
	event(3, engine.EventTurnUser, engine.F("text", "Where is my <order>?"))
	event(4, engine.EventCallEnded, engine.F("end_reason", "hangup"))
	over := call(engine.StatusEnded, "hangup").Record
	each(func(j engine.Journal) { j.Ended(over) })
}

// TestACall: what is asked for arrives, signed, in its order, and nothing else
// does (F-10, F-11, F-12, F-14, F-15, SEC-8).
func TestACall(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	d, s := open(t, r, agent.Agent{
		WebhookSecret: sealed, WebhookEvents: []string{"status-update", "end-of-call-report", "turn.user", "tool-calls"},
	}, &model{texts: []string{"He asked for his order."}})
	play(d, s)
	v := webhook.Verifier{Secrets: []string{secret}}
	ids := map[string]bool{}
	for i, want := range []struct{ event, status string }{
		{"status-update", "in-progress"}, {"turn.user", ""}, {"status-update", "ended"}, {"end-of-call-report", "ended"},
	} {
		q := r.next(t)
		if err := v.Verify(q.header, q.body); err != nil {
			t.Errorf("%d: %v", i, err)
		}
		var m struct {
			flireo
			Event string `json:"event"`
			Text  string `json:"text"`
		}
		if err := json.Unmarshal(q.body, &m); err != nil {
			t.Fatal(err)
		}
		event := q.header.Get("X-Webhook-Event")
		if event != want.event || m.Message.Call.Status != want.status || q.header.Get("Content-Type") != "application/json" {
			t.Errorf("%d: %s %s", i, event, q.body)
		}
		agentWant := flireoAgent
		if want.event == "turn.user" {
			agentWant = "Patchcord"
			if m.Event != "turn.user" || m.Text != "Where is my <order>?" {
				t.Errorf("%d: %s", i, q.body)
			}
		}
		if got := q.header.Get("User-Agent"); got != agentWant {
			t.Errorf("%d: User-Agent %s", i, got)
		}
		if want.event == "end-of-call-report" && (*m.Message.Summary != "He asked for his order." || *m.Message.Seconds != 42 || len(m.Message.Messages) != 4) {
			t.Errorf("%d: %s", i, q.body)
		}
		ids[q.header.Get("webhook-id")] = true
	}
	if len(ids) != 4 {
		t.Errorf("ids: %v", ids)
	}
	rec, err := s.Call(t.Context(), "0198c5f2-0000-7000-8000-000000000001")
	if err != nil || rec.Summary != "He asked for his order." {
		t.Errorf("the call's summary is %q, %v", rec.Summary, err)
	}
	select {
	case q := <-r.got:
		t.Errorf("one too many: %s", q.body)
	default:
	}
}

// TestOtherPlatforms: Dariet's and TalkPilot's are unsigned and tried once
// (D-22, T-27), our own end holds the record.
func TestOtherPlatforms(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	r.status = func(n int) int {
		if n == 2 {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	}
	d, s := open(t, r, agent.Agent{
		WebhookSecret: sealed, WebhookEvents: []string{"call_started", "call_ended", "call.completed", "call.ended"},
	}, nil)
	play(d, s)
	var events []string
	for range 4 {
		q := r.next(t)
		event := q.header.Get("X-Webhook-Event")
		events = append(events, event)
		if signed := q.header.Get("X-Webhook-Signature") != ""; signed != (event == "call.ended") {
			t.Errorf("%s signed: %v", event, signed)
		}
		if event == "call.ended" {
			var m struct {
				Seq  int           `json:"seq"`
				Call engine.Record `json:"call"`
			}
			if err := json.Unmarshal(q.body, &m); err != nil || m.Seq != 4 || len(m.Call.Transcript) != 4 {
				t.Errorf("%s %v", q.body, err)
			}
		}
	}
	if want := []string{"call_started", "call_ended", "call.completed", "call.ended"}; !slices.Equal(events, want) {
		t.Errorf("arrived: %v, want each of %v once", events, want)
	}
	ds, _, err := s.Deliveries(t.Context(), store.DeliveryFilter{Event: "call_ended"})
	if err != nil || len(ds) != 1 || ds[0].State != store.DeliveryDead || ds[0].Attempts != 1 {
		t.Errorf("%+v, %v", ds, err)
	}
}

// TestTriedAgain: the same id and body, a signature of its own.
func TestTriedAgain(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	r.status = func(n int) int {
		if n == 1 {
			return http.StatusBadGateway
		}
		return http.StatusAccepted
	}
	d, s := open(t, r, agent.Agent{WebhookSecret: sealed, WebhookEvents: []string{"end-of-call-report"}}, nil)
	play(d, s)
	first, second := r.next(t), r.next(t)
	if string(first.body) != string(second.body) || first.header.Get("webhook-id") != second.header.Get("webhook-id") {
		t.Errorf("%s\n%s", first.body, second.body)
	}
	for _, q := range []request{first, second} {
		if err := (webhook.Verifier{Secrets: []string{secret}}).Verify(q.header, q.body); err != nil {
			t.Error(err)
		}
	}
}

// What cannot be sent ends with its reason: the guard's, the receiver's, the
// agent's that is gone.
func TestWhatCannotBeSent(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	r.status = func(int) int { return http.StatusGone }
	d, _ := open(t, r, agent.Agent{WebhookEvents: []string{"call.ended"}}, nil)
	for _, c := range []struct {
		name, url string
		agent     agent.ID
		want      string
	}{
		{"an address that is not public (SEC-7)", "https://10.0.0.1/hook", "a-1", "blocked by the guard for outgoing requests"},
		{"a receiver that wants no more", r.url, "a-1", "410 Gone"},
		{"an agent that is gone", r.url, "a-2", "its agent is gone, and the secret that would sign it"},
	} {
		a := d.attempt(t.Context(), store.Delivery{ID: "1", URL: c.url, Agent: c.agent, Body: []byte("{}"), Event: "call.ended"})
		if a.Err == nil || a.Err.Error() != c.want || !a.Final {
			t.Errorf("%s: %v (final %v)", c.name, a.Err, a.Final)
		}
	}
}

// TestSecretThatIsNotThere_SEC8: nothing is sent unsigned or signed with the words of
// a placeholder, and it is tried again, for the configuration may be mended.
func TestSecretThatIsNotThere_SEC8(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	d, _ := open(t, r, agent.Agent{WebhookSecret: "{{secret.hoks}}", WebhookEvents: []string{"call.ended"}}, nil)
	a := d.attempt(t.Context(), store.Delivery{ID: "1", URL: r.url, Agent: "a-1", Body: []byte("{}"), Event: "call.ended"})
	if want := "webhook_secret of agent support: nothing for {{secret.hoks}}"; a.Err == nil || a.Err.Error() != want || a.Final {
		t.Errorf("%v (final %v), want %s", a.Err, a.Final, want)
	}
	if len(r.got) > 0 {
		t.Error("it was sent")
	}
}

// failing is a store that cannot give a call, and one from which it is gone.
type failing struct {
	Store
	err error
}

func (f failing) Call(context.Context, telephony.CallID) (engine.Record, error) {
	return engine.Record{}, f.err
}

// A webhook that is sent once is tried again where its body could not be formed:
// nothing of it was sent. What can be formed at no time says why.
func TestABodyThatCannotBeFormed(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	d, s := open(t, r, agent.Agent{WebhookEvents: []string{"call_ended"}}, nil)
	for _, c := range []struct {
		name, source, want string
		err                error
		final              bool
	}{
		{"the store is busy", `{"ended":true}`, "form the body: database is locked", errors.New("database is locked"), false},
		{"the call is gone", `{"ended":true}`, "form the body: call c: not found", fmt.Errorf("call c: %w", store.ErrNotFound), true},
		{"a source that is no JSON", `{`, "form the body: what it is made of cannot be read: unexpected end of JSON input", nil, true},
	} {
		cfg := d.cfg
		cfg.Store = failing{s, c.err}
		a := New(cfg).attempt(t.Context(), store.Delivery{
			ID: "1", URL: r.url, Agent: "a-1", Single: true, Event: "call_ended", Source: []byte(c.source),
		})
		if a.Err == nil || a.Err.Error() != c.want || a.Final != c.final || !a.Unsent {
			t.Errorf("%s: %v (final %v, unsent %v)", c.name, a.Err, a.Final, a.Unsent)
		}
	}
	if n := len(r.got); n != 0 {
		t.Errorf("%d webhooks came", n)
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	names := Events()
	for _, want := range []string{"status-update", "tool-calls", "call_started", "call.completed", "turn.user"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is missing in %v", want, names)
		}
	}
	if !slices.IsSorted(names) {
		t.Error(fmt.Sprint(names))
	}
}
