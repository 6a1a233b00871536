// Package engine runs one call: it listens, lets the turn machine decide,
// asks the model, runs tools, speaks, and keeps what was heard.
//
// One goroutine owns a call (session.go). It knows no transport, provider or
// store: legs, recognisers, voices, models, the directory of agents and the
// journal are handed to it. When ServeCall returns nothing of the call is left
// running but effects whose results are still to be kept, for 30 s at most.
//
// Where to look:
//
//   - one call: session owns it, leg tells of its other end, setup prepares and
//     greets, do carries out what the machine decides; mailbox, events, record, metrics and files keep it
//   - who hears: listen (voice edges, on the media plane), recognise and ring (a
//     recogniser through its outages), waits, recent (our own echo), turnmodel,
//     keys, language
//   - who answers: responder is either cascade (reply, speculate) or realtime (a
//     speech-to-speech model, with ledger and serverear)
//   - what is said: chunk cuts words into pieces, speak queues them, utter has a
//     voice say one; phrases and warm keep sound ready, sounds is what waits are
//     filled with
//   - what was heard: heard; transcript, context and digest are what the model
//     is told of it
//   - what is done: toolbox, toolrun, flow, handover
//   - outbound calls: answering, amd, amdwords
package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/audio/stt"
	"github.com/patchcord/patchcord/audio/tts"
	"github.com/patchcord/patchcord/audio/vad"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/tools"
)

// Directory knows the agents.
type Directory interface {
	// ForCall is the agent that answers an inbound call; an error rejects it. With
	// a *Refusal the agent that comes with it tells the caller why.
	ForCall(ctx context.Context, info telephony.Info) (*agent.Agent, error)
	// Agent is an agent by its id or name.
	Agent(ctx context.Context, id agent.ID) (*agent.Agent, error)
	// Tool is a tool of the library by its id or name.
	Tool(ctx context.Context, id string) (*tools.Definition, error)
}

// Refusal is why a call is not taken: it is answered, the caller is told, and it
// ends (F-13).
type Refusal struct{ Say string }

func (*Refusal) Error() string { return "the call is refused" }

// Journal keeps calls. It is called on the call's goroutine and never blocks.
type Journal interface {
	Started(Record)
	Event(Event)
	Ended(Record)
}

// Config is what an engine works with.
type Config struct {
	Directory Directory
	Journal   Journal
	Dialer    telephony.Dialer // of outbound calls; may be nil

	STT map[string]stt.Provider // by name; "" is the default
	TTS map[string]tts.Provider
	LLM map[string]llm.Provider
	// Realtime are the speech-to-speech models. An agent that names one needs
	// none of the others; those it has are what the call goes on with when the
	// model is lost.
	Realtime map[string]llm.Realtime

	// A neural voice detector for each call and a turn model for all; nil, the
	// default, is none (docs/decisions/011).
	Classifier func() vad.Classifier
	TurnModel  vad.TurnModel

	Tools tools.Deps
	// Carry takes a caller where a transfer tool leads, nil: transfers are
	// refused with a result. TransfersPerCall bounds them, 0 for no limit.
	Carry            func(ctx context.Context, leg telephony.Leg, to tools.Transfer) error
	TransfersPerCall int

	RecordingDir string // "" records nothing
	JournalDir   string // where calls' journals are kept (package replay), "" keeps none
	MaxCalls     int    // 0: no limit
	Log          *zap.Logger
}

// Engine runs calls. Its methods may be called by any goroutine.
type Engine struct {
	cfg     Config
	log     *zap.Logger
	phrases *phrases
	waits   waits
	sounds  *sounds
	pace    *pace
	seen    func([]llm.Message)                                             // the context after a change, for tests
	build   func([]tools.Definition, tools.Deps) (*tools.Set, tools.Faults) // tools.Build but in tests

	mu       sync.Mutex
	calls    map[telephony.CallID]*session
	draining bool
	wg       sync.WaitGroup
}

// ErrNoCall tells that no live call has that id.
var ErrNoCall = errors.New("no live call with this id")

// New makes an engine.
func New(cfg Config) (*Engine, error) {
	switch {
	case cfg.Directory == nil:
		return nil, errors.New("engine: no Directory: it says which agent answers a call")
	case cfg.Journal == nil:
		return nil, errors.New("engine: no Journal: it keeps the calls")
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	return &Engine{
		cfg: cfg, log: cfg.Log, phrases: newPhrases(phraseBytes), sounds: newSounds(), pace: newPace(),
		build: tools.Build,
		calls: map[telephony.CallID]*session{},
	}, nil
}

var _ telephony.Handler = (*Engine)(nil)

// ServeCall runs an inbound call.
func (e *Engine) ServeCall(ctx context.Context, leg telephony.Leg) {
	info := leg.Info()
	a, err := e.cfg.Directory.ForCall(ctx, info)
	var refusal *Refusal
	if errors.As(err, &refusal) && a != nil {
		a, err = refusing(a), nil
	}
	if err != nil {
		e.log.Info("call rejected", zap.String("call_id", string(info.ID)), zap.Error(err))
		cause := telephony.Cause{Reason: telephony.ReasonBadNumber, Text: "no agent answers this number"}
		_ = leg.Hangup(ctx, cause) // the leg is over either way
		return
	}
	s := e.session(leg, a, nil)
	if s == nil {
		_ = leg.Hangup(ctx, telephony.Cause{Reason: telephony.ReasonOverload})
		return
	}
	s.refusal = refusal
	s.serve(ctx)
}

// refusing is an agent that does nothing but tell a refusal. It says no
// disclosure, so it records nothing.
func refusing(a *agent.Agent) *agent.Agent {
	b, off := *a, false
	b.Tools, b.ToolIDs, b.PreCallTools, b.Flow, b.Disclosure, b.Recording = nil, nil, nil, agent.Flow{}, "", &off
	return &b
}

// Outbound is a call to place.
type Outbound struct {
	Agent       agent.ID
	To, From    string
	Trunk       telephony.TrunkID
	Variables   map[string]any
	RingTimeout time.Duration // 0: 60 s
	AMD         *bool         // whether it is told who answers; nil: as the agent has it
}

// Call dials and runs the call in a goroutine of its own until it ends; it
// returns as soon as the call is on its way.
func (e *Engine) Call(ctx context.Context, o Outbound) (telephony.CallID, error) {
	if e.cfg.Dialer == nil {
		return "", errors.New("engine: dial: no telephony to dial with")
	}
	a, err := e.cfg.Directory.Agent(ctx, o.Agent)
	if err != nil {
		return "", fmt.Errorf("engine: dial: %w", err)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("engine: dial: %w", err)
	}
	e.mu.Lock()
	full := e.draining || e.cfg.MaxCalls > 0 && len(e.calls) >= e.cfg.MaxCalls
	e.mu.Unlock()
	if full {
		return "", ErrFull
	}
	run := context.WithoutCancel(ctx)
	leg, err := e.cfg.Dialer.Dial(run, telephony.Destination{
		To: o.To, From: o.From, Trunk: o.Trunk, CallID: telephony.CallID(id.String()), RingTimeout: o.RingTimeout,
	})
	if err != nil {
		return "", fmt.Errorf("engine: dial %s: %w", o.To, err)
	}
	s := e.session(leg, a, o.Variables)
	if s == nil {
		_ = leg.Hangup(run, telephony.Cause{Reason: telephony.ReasonOverload})
		return "", ErrFull
	}
	if s.detect = a.VoicemailDetection; o.AMD != nil {
		s.detect = *o.AMD
	}
	e.wg.Go(func() {
		s.serve(run)
		_ = leg.Hangup(run, telephony.Cause{Reason: telephony.ReasonNormal})
	})
	return leg.Info().ID, nil
}

// ErrFull tells that no further call can be taken now.
var ErrFull = errors.New("the engine takes no further calls now")

// session registers a call, nil when there is no room.
func (e *Engine) session(leg telephony.Leg, a *agent.Agent, vars map[string]any) *session {
	s := newSession(e, leg, a, vars)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.draining || e.cfg.MaxCalls > 0 && len(e.calls) >= e.cfg.MaxCalls {
		return nil
	}
	e.calls[s.id] = s
	return s
}

func (e *Engine) forget(s *session) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.calls, s.id)
}

// Calls is how many calls are up.
func (e *Engine) Calls() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.calls)
}

// Room says whether another call may come (admission, before any work).
func (e *Engine) Room() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return !e.draining && (e.cfg.MaxCalls == 0 || len(e.calls) < e.cfg.MaxCalls)
}

// Say makes a live call say something.
func (e *Engine) Say(id telephony.CallID, text string) error {
	return e.control(id, sayCommand{text})
}

// End ends a live call politely: goodbye is said first, "" for the agent's.
func (e *Engine) End(id telephony.CallID, goodbye string) error {
	return e.control(id, endCommand{goodbye})
}

// CollectKeys awaits keys from the caller of a live call by rules of its own;
// what it leaves open is as in the agent's turn.keys. The keys become the
// caller's turn.
func (e *Engine) CollectKeys(id telephony.CallID, k turn.Keys) error {
	return e.control(id, turnCommand{turn.CollectKeys{Keys: k}})
}

// StopKeys awaits keys no longer.
func (e *Engine) StopKeys(id telephony.CallID) error {
	return e.control(id, turnCommand{turn.StopKeys{}})
}

// Mute lets the caller of a live call not be heard for turns, or again. Sound
// goes on both ways.
func (e *Engine) Mute(id telephony.CallID, on bool) error {
	return e.control(id, turnCommand{turn.Mute{On: on}})
}

// HandOver lets somebody else have the caller of a live call: the announcement
// is said to its end, then carry runs and takes the caller there. It returns
// nil when they are, and the call ends; else why not, and the agent goes on with
// the line for a failure, "" for the policy's. Its context ends with the call,
// and when it takes more than the policy's hold_cap.
func (e *Engine) HandOver(id telephony.CallID, announcement, failure string, carry Carry) error {
	return e.control(id, handOverCommand{announcement: announcement, failure: failure, carry: carry})
}

func (e *Engine) control(id telephony.CallID, cmd any) error {
	e.mu.Lock()
	s := e.calls[id]
	e.mu.Unlock()
	if s == nil {
		return ErrNoCall
	}
	return s.command(cmd)
}

// Drain takes no further calls and lets those that are up end in their own
// time, until ctx ends; then they say goodbye and end.
func (e *Engine) Drain(ctx context.Context) {
	e.mu.Lock()
	e.draining = true
	e.mu.Unlock()
	done := make(chan struct{})
	go func() { // waited for below
		e.waitIdle()
		close(done)
	}()
	select {
	case <-done:
		return
	case <-ctx.Done():
	}
	e.mu.Lock()
	for _, s := range e.calls {
		_ = s.command(drainCommand{}) // full means it is ending already
	}
	e.mu.Unlock()
	<-done
}

// waitIdle returns when no call is up and none is being dialled.
func (e *Engine) waitIdle() {
	t := time.NewTicker(20 * time.Millisecond)
	defer t.Stop()
	for e.Calls() > 0 {
		<-t.C
	}
	e.wg.Wait()
}
