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
//   - what is done: toolbox, toolrun, flow
//   - who the caller is handed over to: handover decides, consult is the other
//     party's leg, briefing what they are told, joined the two of them talking
//   - outbound calls: place, answering, amd, amdwords; wishes, optout: what callees want of later ones
package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

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
	Dialer    telephony.Dialer // of outbound calls and transfers; nil: there are none

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
	// Claim counts a call that is about to be dialled, by a transfer or by Call, and
	// refuses it where a limit of all calls is reached; nil: none is. It may wait.
	Claim func(ctx context.Context, to string) error
	// Unclaim takes back a Claim whose call could not be placed; nil: nothing is
	// taken back.
	Unclaim          func()
	TransfersPerCall int // 0: no limit
	// DoNotCall keeps that a number is not to be called any more: its owner said so in
	// a call. It holds at once. nil: nobody keeps it.
	DoNotCall func(ctx context.Context, number string, call telephony.CallID, why string) error

	RecordingDir string // "" records nothing
	JournalDir   string // where calls' journals are kept (package replay), "" keeps none
	MaxCalls     int    // 0: no limit
	// Reserved of them are kept for calls that are placed, and for those that
	// Admit is told are urgent.
	Reserved int
	Log      *zap.Logger
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
	admitted map[telephony.CallID]struct{} // on their way, and not in calls yet
	draining bool
	closing  bool // and those that are up are told to end
	reserved int  // seats, of calls that are up or will be
	seated   int  // calls on them
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
		calls: map[telephony.CallID]*session{}, admitted: map[telephony.CallID]struct{}{},
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
	s := e.session(leg, a, Outbound{})
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

// ErrFull tells that no further call can be taken now.
var ErrFull = errors.New("the engine takes no further calls now")

// session registers a call, nil when there is no room.
func (e *Engine) session(leg telephony.Leg, a *agent.Agent, o Outbound) *session {
	s := newSession(e, leg, a, o.Variables)
	s.order = o
	kept := e.cfg.Reserved
	if leg.Info().Direction == telephony.Outbound {
		kept = 0
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	_, admitted := e.admitted[s.id]
	delete(e.admitted, s.id)
	if e.closing || !admitted && !o.Seated && !e.roomLocked(kept) {
		return nil
	}
	if o.Seated {
		e.seated++
	}
	e.calls[s.id] = s
	return s
}

func (e *Engine) forget(s *session) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, up := e.calls[s.id]; up && s.order.Seated {
		e.seated--
	}
	delete(e.calls, s.id)
}

// Calls is how many calls are up.
func (e *Engine) Calls() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.calls)
}

// Room says whether another call may come.
func (e *Engine) Room() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.roomLocked(e.cfg.Reserved)
}

// Draining says whether calls are let go.
func (e *Engine) Draining() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.draining
}

// Admit takes room for an inbound call that is on its way to ServeCall, false
// where there is none: before anything else is done for it. Leave gives it back.
func (e *Engine) Admit(id telephony.CallID, urgent bool) bool {
	kept := e.cfg.Reserved
	if urgent {
		kept = 0
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.roomLocked(kept) {
		return false
	}
	e.admitted[id] = struct{}{}
	return true
}

// Leave tells that a call that was admitted is over, or never came.
func (e *Engine) Leave(id telephony.CallID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.admitted, id)
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

// transferRings is how long the target of a transfer rings that names no time.
const transferRings = 30 * time.Second

// Transfer hands the caller of a live call over to somebody else, in the way of a
// tool and within the same limits; one of no kind is cold. An error tells that
// the number may not be dialled; what becomes of the transfer its events tell.
func (e *Engine) Transfer(id telephony.CallID, to tools.Transfer) error {
	if e.cfg.Tools.MayDial == nil {
		return errors.New("engine: transfer: nothing may be dialled here")
	}
	if err := e.cfg.Tools.MayDial(to.To); err != nil {
		return fmt.Errorf("engine: transfer: %w", err)
	}
	to.Kind, to.Timeout = cmp.Or(to.Kind, tools.Cold), cmp.Or(to.Timeout, transferRings)
	if to.Accept == "" {
		to.Accept = tools.AcceptNone
		if to.Kind == tools.Warm {
			to.Accept = tools.AcceptAny
		}
	}
	return e.control(id, transferCommand{to})
}

// Whisper says something to one of two who talk after a transfer, unheard by the
// other: the target of it, or the caller. While the caller talks with the agent
// it is the agent who is told, as by Inject.
func (e *Engine) Whisper(id telephony.CallID, text string, toCaller bool) error {
	return e.control(id, whisperCommand{toCaller, text})
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

// Drain takes no further calls and lets those that are up, and those that were
// admitted, end in their own time, until ctx ends; then they say goodbye and end.
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
	e.closing = true
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
	for e.busy() {
		<-t.C
	}
	e.wg.Wait()
}
