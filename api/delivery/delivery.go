// Package delivery tells the outside of calls by webhooks: those of an agent's
// webhook_events, in the form of the platform that the event's name is from.
//
// It is a journal of the engine: what happens becomes a delivery in the store
// at once, which a job of its own sends until it arrives. An event is never
// lost once the store has it, arrives at least once under one id, after those
// of its call before it, signed (package webhook). A call never waits for it.
//
//	status-update, end-of-call-report   Flireo's (F-14, F-15)
//	assistant-request                   Flireo's, answered before the call is (F-13)
//	call_started, call_ended            Dariet's (D-22): once, unsigned
//	call.completed                      TalkPilot's (T-27): once, unsigned
//	call.ended, turn.user, …            our own: the event as it stands in the log
package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/api/webhook"
	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/tools"
)

const (
	// replyTime is how long a receiver may take to answer. F-07 and D-22 have
	// the same.
	replyTime = 10 * time.Second
	// flireoAgent is what Flireo's receivers know its requests by (F-11).
	flireoAgent = "HMS-Sovereign/1.0"
)

// Store keeps deliveries and calls.
type Store interface {
	Deliver(store.Delivery)
	Call(ctx context.Context, id telephony.CallID) (engine.Record, error)
	Transcript(ctx context.Context, id telephony.CallID) ([]engine.Item, error)
	KeepReport(ctx context.Context, id telephony.CallID, summary string, data json.RawMessage) error
	Work(ctx context.Context, stop time.Duration, send func(context.Context, store.Delivery) store.Attempt) error
}

// Config is what deliveries are made with.
type Config struct {
	Store Store
	// Agent is an agent as it is now, by its id or name.
	Agent func(ctx context.Context, id agent.ID) (*agent.Agent, error)
	// KnowsModel, KnowsSTT and KnowsTTS tell whether a model, a recogniser or a voice
	// has this name in the configuration; nil: none.
	KnowsModel, KnowsSTT, KnowsTTS func(name string) bool
	// Account is asked about calls whose agent has no webhook of its own, and about
	// those to numbers that are nobody's; without a URL nobody is.
	Account tools.WebhookTo
	// Model writes the reports of an agent's calls; a nil provider writes none.
	Model func(a *agent.Agent) (p llm.Provider, model string)
	// Secret puts the values of {{secret.name}} into an agent's webhook_secret;
	// nil: it is taken as it stands.
	Secret func(text string) (string, error)
	// Elsewhere asks the other nodes for an agent of one call alone: what their Tell
	// gives. May be nil.
	Elsewhere func(ctx context.Context, id agent.ID) ([]byte, error)
	// NumberName is what a number of ours is called, "" for nothing. May be nil.
	NumberName func(number string) string
	Client     *tools.Client       // reaches public addresses only (SEC-7)
	Attempted  func(store.Attempt) // is told of every attempt; may be nil
	Log        *zap.Logger
}

// Deliveries are the webhooks of all calls.
type Deliveries struct {
	cfg      Config
	kinds    map[string][]kind
	reporter reporter

	mu    sync.Mutex                               // guards what follows
	calls map[telephony.CallID]*hearers            // those that are up
	plans map[telephony.CallID]*agent.AnalysisPlan // of calls that have one of their own
	asked []telephony.CallID                       // those of plans, the oldest first

	transients transients
}

// hearers are who hears of a call.
type hearers struct {
	agent *agent.Agent  // nil: nobody
	end   *engine.Event // call.ended, which waits for the record
}

var _ engine.Journal = (*Deliveries)(nil)

// New makes deliveries; Work sends them.
func New(cfg Config) *Deliveries {
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	for _, knows := range []*func(string) bool{&cfg.KnowsModel, &cfg.KnowsSTT, &cfg.KnowsTTS} {
		if *knows == nil {
			*knows = func(string) bool { return false }
		}
	}
	if cfg.Attempted == nil {
		cfg.Attempted = func(store.Attempt) {}
	}
	if cfg.Secret == nil {
		cfg.Secret = func(text string) (string, error) { return text, nil }
	}
	if cfg.NumberName == nil {
		cfg.NumberName = func(string) string { return "" }
	}
	return &Deliveries{
		cfg: cfg, kinds: kinds(), reporter: reporter{cfg.Model}, calls: map[telephony.CallID]*hearers{},
		plans: map[telephony.CallID]*agent.AnalysisPlan{},
	}
}

// errSource is a delivery whose body can be formed at no time.
var errSource = errors.New("what it is made of cannot be read")

// source is what a body is made of besides the record of the call.
type source struct {
	At    time.Time       `json:"at"`
	Event json.RawMessage `json:"event,omitempty"` // of our own
	Ended bool            `json:"ended,omitempty"`
	// Plan is what is made of this call, nil: what its agent says.
	Plan *agent.AnalysisPlan `json:"plan,omitempty"`
}

// Started notes who hears of the call. It is told again when the record changes.
func (d *Deliveries) Started(r engine.Record) {
	a, err := d.agent(context.Background(), r.Agent) // which agents there are is in memory
	if err != nil || a.WebhookURL == "" || len(a.WebhookEvents) == 0 {
		a = nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls[r.ID] = &hearers{agent: a}
}

// Event queues what is asked for at this event.
func (d *Deliveries) Event(e engine.Event) {
	d.mu.Lock()
	h := d.calls[e.CallID]
	if h != nil && e.Name == engine.EventCallEnded {
		h.end = &e
	}
	d.mu.Unlock()
	if h == nil || h.agent == nil || e.Name == engine.EventCallEnded {
		return
	}
	if e.Name == engine.EventCallAnswered {
		d.queue(h.agent, e.CallID, answered, e.Time)
	}
	if slices.Contains(h.agent.WebhookEvents, e.Name) {
		d.own(h.agent, e, false)
	}
}

// Ended queues what is asked for at the end of a call.
func (d *Deliveries) Ended(r engine.Record) {
	d.mu.Lock()
	h := d.calls[r.ID]
	delete(d.calls, r.ID)
	d.mu.Unlock()
	defer d.planned(r.ID, nil)
	end := engine.Event{
		Time: r.Ended, Level: "warn", Name: engine.EventCallEnded, CallID: r.ID, At: r.Ended.Sub(r.Started),
		Fields: []engine.Field{engine.F("end_reason", r.EndReason), engine.F("duration_ms", r.Duration())},
	}
	if h != nil && h.end != nil {
		end = *h.end
	}
	if h == nil || h.agent == nil { // it had no agent when it began, or an earlier process ran it
		d.Started(r)
		d.mu.Lock()
		h = d.calls[r.ID]
		delete(d.calls, r.ID)
		d.mu.Unlock()
	}
	if h.agent == nil {
		return
	}
	d.queue(h.agent, r.ID, ended, end.Time)
	if slices.Contains(h.agent.WebhookEvents, engine.EventCallEnded) {
		d.own(h.agent, end, true)
	}
}

func (d *Deliveries) own(a *agent.Agent, e engine.Event, over bool) {
	body, err := encode(e)
	if err != nil { // the engine's tests forbid values that are no JSON
		d.cfg.Log.Error("event that is no JSON", zap.String("event", e.Name), zap.Error(err))
		return
	}
	d.deliver(a, e.CallID, e.Name, false, source{At: e.Time, Event: body, Ended: over})
}

func (d *Deliveries) queue(a *agent.Agent, id telephony.CallID, at moment, now time.Time) {
	for _, name := range a.WebhookEvents {
		for _, k := range d.kinds[name] {
			if k.at == at {
				d.deliver(a, id, name, k.once, source{At: now, Ended: at == ended})
			}
		}
	}
}

func (d *Deliveries) deliver(a *agent.Agent, id telephony.CallID, event string, once bool, s source) {
	if s.Ended {
		d.mu.Lock()
		s.Plan = d.plans[id]
		d.mu.Unlock()
	}
	b, err := json.Marshal(s)
	if err != nil {
		d.cfg.Log.Error("webhook that is no JSON", zap.String("webhook", event), zap.Error(err))
		return
	}
	d.cfg.Store.Deliver(store.Delivery{
		Call: id, Agent: a.ID, Event: event, URL: a.WebhookURL, Single: once, Ends: s.Ended, Source: b,
	})
}

// Work sends deliveries until ctx ends; what is being sent then has stop to
// arrive.
func (d *Deliveries) Work(ctx context.Context, stop time.Duration) error {
	return d.cfg.Store.Work(ctx, stop, func(ctx context.Context, del store.Delivery) store.Attempt {
		a := d.attempt(ctx, del)
		d.cfg.Attempted(a)
		return a
	})
}

// attempt makes one attempt at a delivery.
func (d *Deliveries) attempt(ctx context.Context, del store.Delivery) store.Attempt {
	a, err := d.agent(ctx, del.Agent)
	if err != nil {
		return store.Attempt{Final: true, Err: errors.New("its agent is gone, and the secret that would sign it")}
	}
	body := del.Body
	if body == nil {
		if body, err = d.body(ctx, a, del); err != nil {
			// A store that is busy or away has it later; a call that is gone, or
			// a source that is no event, stays so.
			gone := errors.Is(err, store.ErrNotFound) || errors.Is(err, errSource)
			return store.Attempt{Err: fmt.Errorf("form the body: %w", err), Final: gone, Unsent: true}
		}
	}
	out := d.post(ctx, a, del, body)
	out.Body = body
	return out
}

// kindOf is the event of another platform that a delivery is, nil for one of
// our own.
func (d *Deliveries) kindOf(event string, over bool) *kind {
	at := answered
	if over {
		at = ended
	}
	for i, k := range d.kinds[event] {
		if k.at == at {
			return &d.kinds[event][i]
		}
	}
	return nil
}

// body forms what a delivery says. It stays the same for all its attempts.
func (d *Deliveries) body(ctx context.Context, a *agent.Agent, del store.Delivery) (json.RawMessage, error) {
	var s source
	if err := json.Unmarshal(del.Source, &s); err != nil {
		return nil, fmt.Errorf("%w: %w", errSource, err)
	}
	k := d.kindOf(del.Event, s.Ended)
	if k == nil && !s.Ended {
		return s.Event, nil
	}
	c, err := d.call(ctx, a, del.Call, s)
	if err != nil {
		return nil, err
	}
	if k == nil || k.report {
		if s.Plan != nil {
			own := *a
			own.AnalysisPlan, a = *s.Plan, &own
		}
		d.addReport(ctx, a, c)
	}
	if k != nil {
		return encode(k.form(c))
	}
	return withRecord(s.Event, c)
}

func (d *Deliveries) call(ctx context.Context, a *agent.Agent, id telephony.CallID, s source) (*Call, error) {
	r, err := d.cfg.Store.Call(ctx, id)
	if err != nil {
		return nil, err
	}
	if s.Ended {
		if r.Transcript, err = d.cfg.Store.Transcript(ctx, id); err != nil {
			return nil, err
		}
	} else { // as it was then: it may be over by now
		r.Status, r.Ended, r.EndReason = engine.StatusInProgress, time.Time{}, ""
	}
	c := &Call{Record: r, Agent: a.Name, At: s.At}
	c.Number = d.cfg.NumberName(c.ours())
	return c, nil
}

// addReport adds what the call came to, made once.
func (d *Deliveries) addReport(ctx context.Context, a *agent.Agent, c *Call) {
	if c.Record.Summary == "" {
		report, err := d.reporter.report(ctx, a, c)
		log := d.cfg.Log.With(zap.String("call_id", string(c.Record.ID)))
		if err != nil {
			log.Warn("report of a call", zap.Error(err))
		}
		if err := d.cfg.Store.KeepReport(ctx, c.Record.ID, report.Summary, report.Data); err != nil {
			log.Warn("report of a call", zap.Error(err))
		}
		c.Record.Summary, c.Record.Data = report.Summary, report.Data
	}
	c.Report = Report{c.Record.Summary, c.Record.Data}
	c.Record.Summary, c.Record.Data = "", nil // each body has it in its own place
}

// post sends a body and says what came of it.
func (d *Deliveries) post(ctx context.Context, a *agent.Agent, del store.Delivery, body json.RawMessage) store.Attempt {
	ctx, cancel := context.WithTimeout(ctx, replyTime)
	defer cancel()
	secret, err := d.cfg.Secret(a.WebhookSecret)
	switch {
	case del.Single: // unsigned
		secret = ""
	case err != nil:
		return store.Attempt{Err: fmt.Errorf("webhook_secret of agent %s: %w", a.Name, err)}
	}
	k := d.kindOf(del.Event, true)
	req, err := signed(del.URL, del.ID, del.Event, secret, body, k != nil && k.flireo)
	if err != nil {
		return store.Attempt{Final: true, Err: err}
	}
	reply, err := d.cfg.Client.Do(ctx, req)
	out := store.Attempt{Status: reply.Status}
	switch {
	case errors.Is(err, tools.ErrTooLarge): // whatever it says beside 2xx is nobody's
	case errors.Is(err, tools.ErrBlocked):
		out.Err, out.Final = err, true
		return out
	case err != nil && ctx.Err() != nil:
		out.Err = fmt.Errorf("no answer within %v", replyTime)
		return out
	case err != nil:
		out.Err = err
		return out
	}
	switch {
	case reply.Status >= 200 && reply.Status < 300:
	case reply.Status == http.StatusGone: // the receiver wants no more of them
		out.Err, out.Final = errors.New("410 Gone"), true
	default:
		out.Err = fmt.Errorf("%d %s", reply.Status, http.StatusText(reply.Status))
	}
	return out
}

// signed is the request that brings a body, with a signature where there is a
// secret.
func signed(url, id, event, secret string, body []byte, asFlireo bool) (tools.Request, error) {
	req := tools.Request{Method: http.MethodPost, URL: url, Body: body}
	var secrets []string
	if secret != "" {
		secrets = append(secrets, secret)
	}
	h := http.Header{}
	if err := webhook.Sign(h, id, event, time.Now(), body, secrets...); err != nil {
		return req, err
	}
	h.Set("Content-Type", "application/json")
	if asFlireo {
		h.Set("User-Agent", flireoAgent)
	}
	for name := range h {
		req.Header = append(req.Header, tools.KV{Key: name, Value: h.Get(name)})
	}
	return req, nil
}
