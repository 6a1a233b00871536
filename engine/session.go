package engine

import (
	"context"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/playout"
	"github.com/patchcord/patchcord/audio/record"
	"github.com/patchcord/patchcord/audio/stt"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/engine/replay"
	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/tools"
)

// Capacities of the mailboxes.
const (
	ctlItems   = 64 // control, legs' events: full means the call cannot be kept up with
	edgeItems  = 64 // edges of the caller's voice: a few a second
	workItems  = 0  // model, voice, recogniser, tools: no bound, a lost one would be a word or a result
	statsEvery = 10 * time.Second
)

// session is one call. Every field belongs to the goroutine in serve; other
// goroutines reach it only through the mailboxes.
type session struct {
	e      *Engine
	id     telephony.CallID
	leg    telephony.Leg
	agent  *agent.Agent
	log    *zap.Logger
	given  map[string]any // variables the call was started with
	vars   map[string]any // all variables, for placeholders
	region string         // of numbers without a country code, "" is the language's
	start  time.Time

	ctx    context.Context //nolint:containedctx // the call's own, made and ended in serve
	cancel context.CancelCauseFunc

	ctl   *mailbox // commands and the leg's events
	edges *mailbox // of the caller's voice; poked by those of the playout
	work  *mailbox

	m            *turn.Machine
	journal      *replay.Writer // nil: none is kept
	out          *playout.Playout
	rate         int // Hz
	listen       *listener
	sound        audio.Source // of ours, as the leg pulls it
	ears         *recogniser
	earsOff      func() <-chan struct{} // stops it, and tells when it has; nil: none listens
	responder    responder
	server       *realtime // nil: the agent has no speech-to-speech model
	hearer       string    // the name of who listens
	deaf         bool      // no recogniser listens
	rec          *record.Recorder
	unrecorded   <-chan error // why rec ended early; nil: there is none
	monitor      monitor      // who listens in
	model        llm.Provider
	tongues      []tongue // that the call can be held in; the first is the agent's own
	tongue       *tongue  // the one it is held in
	hears        stt.Options
	spare        *spare     // nil: none is open or opened
	doubting     bool       // last words are put off: they may be our echo
	behind       []sttEvent // what came behind them
	lastWords    lastWords
	odds         turnModel
	hold         bed                   // heard while the caller waits
	holding      bool                  // it is asked for
	underruns    int                   // sentences that made the caller wait
	speaking     atomic.Pointer[voice] // of the reply in front: the playout pokes it
	tools        *toolbox
	guard        tools.Guard
	refusal      *Refusal // nil: the call is taken
	consent      consent
	transfers    int // by tools
	flow         flow
	replies      map[turn.Gen]*reply
	calls        map[string]*toolCall
	front        turn.Gen
	frontStarted bool
	transcript   transcript
	digest       digest
	recent       recent
	stages       stages
	account      account   // of the turn
	total        account   // of the turns before it
	v2v          []float64 // from the caller's last word to our first sound, ms
	lastFinal    time.Duration
	ahead        *reply         // the speculative one, nil: none
	secret       []byte         // keys of no turn yet that the machine has as turn.KeyMask
	keysOf       map[int][]byte // … and those of the turns
	secrets      []string       // entries of them, to be found again in what is kept
	stale        int            // deltas of replies that were gone
	firstSound   time.Duration  // of ours after the answer, 0 while there was none

	order       Outbound    // of a call that was placed
	over        chan Ending // capacity 1: told once, perhaps to nobody
	cause       telephony.Cause
	greeted     time.Time // when the other party's first words had ended
	messaged    bool      // a machine was to get a message
	optedOut    bool      // the other party wants no more calls
	callback    time.Time // … or one then
	disposition string    // what the agent made of the call

	detect bool     // who answers is to be told
	amd    *amd     // nil: nobody asks, or any more
	far    bool     // the far end of the leg has still to play what we said
	moving handover // the transfer at work

	notes          int         // from outside, so far
	starting       []*toolCall // begun in this step
	preCall        []preCallResult
	preCallPending int

	record   Record
	seq      int
	ended    bool
	answered bool
	wg       sync.WaitGroup // everything that ends with ctx
	detached sync.WaitGroup // tools: effects may outlive the call
}

// commands from outside.
type (
	sayCommand   struct{ text string }
	endCommand   struct{ goodbye string }
	turnCommand  struct{ ev turn.Event } // one that means the same to the machine
	drainCommand struct{}
	legEvent     struct{ ev telephony.Event }
	overload     struct{}
	panicMail    struct{} // a fault of our own, for tests
)

func newSession(e *Engine, leg telephony.Leg, a *agent.Agent, given map[string]any) *session {
	info := leg.Info()
	given = withHeaders(info.Headers, given)
	s := &session{
		e: e, id: info.ID, leg: leg, agent: a, given: given, start: time.Now(),
		log:     e.log.With(zap.String("call_id", string(info.ID)), zap.String("trunk", string(info.Trunk))),
		ctl:     newMailbox(ctlItems),
		edges:   newMailbox(edgeItems),
		work:    newMailbox(workItems),
		replies: map[turn.Gen]*reply{},
		calls:   map[string]*toolCall{},
		keysOf:  map[int][]byte{},
		over:    make(chan Ending, 1),
	}
	s.record = Record{
		ID: info.ID, Direction: info.Direction, From: info.From, To: info.To, Trunk: info.Trunk,
		Agent: a.ID, SIPCallID: info.SIPCallID, Variables: given, Started: s.start, Status: StatusRinging,
	}
	if info.Direction == telephony.Outbound {
		s.record.Status = StatusDialing
	}
	if s.record.Agent == "" {
		s.record.Agent = agent.ID(a.Name)
	}
	s.vars = map[string]any{
		"call_id": string(info.ID), "phone_number": s.phone(), "caller_phone": s.phone(),
		"direction": string(info.Direction), "agent_name": a.Name, "called_number": info.To,
	}
	s.told(info)
	maps.Copy(s.vars, a.Variables)
	maps.Copy(s.vars, given)
	s.region = regionOf(a.Language, s.ours())
	return s
}

// told sets what the call tells of its caller, beside the number.
func (s *session) told(info telephony.Info) {
	s.vars["caller_anonymous"] = info.From == telephony.Anonymous
	s.vars["caller_uri"], s.vars["called_uri"] = info.FromURI, info.ToURI
	s.vars["diverted_from"], s.vars["diversion_reason"] = "", ""
	if len(info.Diverted) > 0 { // who was called first is whom the caller meant
		s.vars["diverted_from"], s.vars["diversion_reason"] = info.Diverted[0].Number, info.Diverted[0].Reason
	}
}

// mostDiversions are told of a call that is passed on.
const mostDiversions = 10

// passedOn are the numbers that an inbound call was for before it goes on from
// here: ours is the last.
func passedOn(info telephony.Info) []telephony.Diversion {
	if info.Direction != telephony.Inbound || info.To == "" {
		return nil
	}
	before := slices.Clone(info.Diverted[:min(len(info.Diverted), mostDiversions-1)])
	return append(before, telephony.Diversion{Number: info.To, Reason: "deflection"})
}

// withHeaders are the variables that a call was given and, below them, those of
// its headers.
func withHeaders(headers map[string]string, given map[string]any) map[string]any {
	if len(headers) == 0 {
		return given
	}
	all := make(map[string]any, len(headers)+len(given))
	for name, value := range headers {
		all[headerVariable(name)] = value
	}
	maps.Copy(all, given)
	return all
}

// headerVariable is the variable that a header of the call becomes: X-Order-Id
// is x_order_id.
func headerVariable(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '.' {
			return '_'
		}
		return r
	}, strings.ToLower(name))
}

// language is that which the call is held in.
func (s *session) language() string {
	if s.tongue == nil {
		return s.agent.Language
	}
	return s.tongue.language
}

// phone is the other party's number.
func (s *session) phone() string {
	if s.record.Direction == telephony.Outbound {
		return s.record.To
	}
	return s.record.From
}

// ours is the number of this side of the call.
func (s *session) ours() string {
	if s.record.Direction == telephony.Outbound {
		return s.record.From
	}
	return s.record.To
}

func (s *session) clock() time.Time   { return time.Now() }
func (s *session) now() time.Duration { return s.clock().Sub(s.start) }

// render puts the call's variables into a text of the agent's.
func (s *session) render(text string) string { return tools.Sentence(text, s.env()) }

// command leaves a command for a live call.
func (s *session) command(cmd any) error {
	if !s.ctl.put(cmd) {
		return fmt.Errorf("call %s: too many commands wait", s.id)
	}
	return nil
}

// event writes one event of the call.
func (s *session) event(name string, fields ...Field) {
	s.seq++
	ev := Event{
		Time: s.clock(), Level: "info", Name: name, CallID: s.id, Seq: s.seq, Fields: fields,
	}
	if len(s.secrets) > 0 {
		for i := range ev.Fields {
			ev.Fields[i].Value = s.scrub(ev.Fields[i].Value)
		}
	}
	switch name {
	case EventProviderFailed, EventProviderFallback, EventDeadAir, EventSpeechUnderrun, EventRecordingFailed:
		ev.Level = "warn"
	}
	if s.out != nil {
		ev.At = s.out.Now()
	}
	s.e.cfg.Journal.Event(ev)
}

// serve runs the call until it is over. It is its one goroutine.
func (s *session) serve(ctx context.Context) {
	defer s.e.forget(s)
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	reason := EndPanic
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("call panicked", zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
		}
		s.finish(reason)
	}()
	s.started()
	reason = s.run()
}

// started tells of the call.
func (s *session) started() {
	s.log.Info("call started", zap.String("direction", string(s.record.Direction)))
	s.e.cfg.Journal.Started(s.record)
	info := s.leg.Info()
	s.event(EventCallStarted, F("direction", string(info.Direction)), F("from", info.From), F("to", info.To),
		F("agent", string(s.record.Agent)), F("trunk", string(info.Trunk)), F("transport", info.Transport))
}

// decide makes the call's machine. It is no part of run: a policy is a kilobyte,
// and the stack under the loop is kept as long as the call is.
func (s *session) decide() {
	policy := s.agent.Policy()
	policy.MaxCall, policy.Language = time.Duration(s.agent.MaxCallDuration), s.agent.Language
	policy.Languages = s.agent.Tags()
	if t := s.begins(); t != "" {
		policy.Language = t
	}
	s.m = turn.New(policy)
	p := s.m.Policy()
	s.guard.Limits = tools.Limits{Same: p.SameCalls, Burst: p.BurstCalls, Window: p.BurstWindow}
}

// run is the call: set up, answered, its loop.
func (s *session) run() EndReason {
	s.decide()
	s.openJournal()
	s.wg.Go(s.pumpLeg)
	if err := s.open(); err != nil {
		s.log.Warn("call cannot be served", zap.Error(err))
		_ = s.leg.Hangup(s.ctx, telephony.Cause{Reason: telephony.ReasonFailed, Status: 500})
		return EndFailed
	}
	s.startPreCall()
	if reason, ok := s.connect(); !ok {
		return reason
	}
	return s.loop()
}

// loop takes what comes, most urgent first, until the call has ended.
func (s *session) loop() EndReason {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	stats := time.NewTicker(statsEvery)
	defer stats.Stop()
	for !s.ended {
		s.sync()
		s.farPlayed()
		s.judge()
		if s.takeAll() {
			continue
		}
		timer.Reset(s.untilNext())
		select {
		case <-s.ctl.wake:
		case <-s.edges.wake:
		case <-s.work.wake:
		case <-timer.C:
			s.sync()
			s.impatient(s.clock())
			s.responder.tick(s.clock())
			s.step(turn.Tick{})
		case <-stats.C:
			s.logStats()
		case err := <-s.unrecorded:
			s.recordingFailed(err)
		case <-s.ctx.Done():
			s.legEnded(causeOf(s.ctx))
		}
	}
	return s.record.EndReason
}

// takeAll takes one round of mail: commands first, then edges, then one piece
// of work. It reports whether there was any.
func (s *session) takeAll() bool {
	for _, box := range []*mailbox{s.ctl, s.edges, s.work} {
		if item, ok := box.take(); ok {
			s.receive(item)
			return true
		}
	}
	return false
}

// untilNext is how long nothing has to be done by itself.
func (s *session) untilNext() time.Duration {
	wait := time.Hour
	if at, ok := s.m.Next(); ok {
		wait = min(wait, at-s.now())
	}
	if s.amd != nil {
		if at := s.amd.next(s.now()); at > 0 {
			wait = min(wait, at-s.now())
		}
	}
	if s.far {
		wait = min(wait, audio.FrameTime)
	}
	for _, r := range s.replies {
		if !r.patient.IsZero() {
			wait = min(wait, r.patient.Sub(s.clock()))
		}
	}
	if at := s.responder.next(); !at.IsZero() {
		wait = min(wait, at.Sub(s.clock()))
	}
	return max(0, wait)
}

// receive turns mail into events of the machine.
func (s *session) receive(item any) {
	if s.keepBack(item) {
		return
	}
	switch m := item.(type) {
	case legEvent:
		s.legEvent(m.ev)
	case sayCommand:
		s.step(turn.SayText{Text: m.text})
	case injectCommand:
		s.injected(m)
	case pressCommand:
		s.presses(m)
	case endCommand:
		s.step(turn.End{Goodbye: m.goodbye, Reason: turn.EndAPI})
	case turnCommand:
		s.step(m.ev)
	case transferCommand:
		s.transferAsked(m)
	case whisperCommand:
		s.whispers(m)
	case referred:
		s.referred(m)
	case joinNow:
		if m.id == s.moving.id {
			s.join()
		}
	case consultNews:
		s.consulted(m)
	case drainCommand:
		s.step(turn.End{Reason: turn.EndDrained})
	case overload:
		s.log.Warn("the call cannot be kept up with")
		s.hangUp(EndOverload)
	case panicMail:
		panic("asked for")
	case serverUp:
		s.server.up(m)
	case serverSays:
		s.server.says(m)
	case voiceEdge:
		s.edge(m)
	case sttEvent:
		s.recognised(m)
	case turnOdds:
		s.judged(m)
	case spareOpen:
		s.spareOpened(m)
	case spareOld:
		if m.sp == s.spare && !m.sp.wanted {
			s.dropSpare()
		}
	case modelDelta:
		s.delta(m)
	case modelEnd:
		s.completed(m)
	case voiceFirst:
		if s.m.Live(m.g) {
			s.stages.sounded(s.now())
			s.step(turn.Audio{G: m.g})
		}
	case voiceFed:
		s.step(turn.Fed{G: m.g, Sound: m.sound})
	case voiceDry:
		s.voiceWaits(m)
	case voiceErr:
		s.voiceFailed(m)
	case toolResult:
		s.toolDone(m)
	case keysSent:
		s.event(EventDTMFSent, F("digits", m.keys), F("as", m.as))
	case takeOver:
		s.takeOver(m)
	case preCallResult:
		s.preCallDone(m)
	case foundLater:
		s.tellLater(m)
	case summary:
		s.summarised(m)
	}
}

// sync tells the machine what the playout knows: what sounds is a fact there,
// whenever its edges are read.
func (s *session) sync() {
	if s.front == 0 {
		return
	}
	g := s.front
	if !s.frontStarted && s.out.Position(uint64(g)).Samples > 0 {
		s.frontStarted = true
		if s.firstSound == 0 {
			s.firstSound = s.clock().Sub(s.record.Answered)
		}
		if r := s.replies[g]; r != nil {
			s.account.sounds(s.now())
			if fields, ok := s.stages.heard(r.kind, s.now()); ok {
				s.took(fields)
				s.event(EventTurnMetrics, fields...)
			}
		}
		s.step(turn.Started{G: g})
	}
	if s.front == g && s.frontStarted && s.out.Foreground() != uint64(g) {
		_, s.far = s.leg.(telephony.Flusher)
		s.step(turn.Played{G: g})
		return
	}
	if r := s.replies[g]; r != nil && s.frontStarted && !r.ended && r.stop != nil {
		if dry := s.out.Queued(uint64(g)) == 0 && r.voice.idle(); dry != r.dry {
			r.dry = dry
			s.step(turn.Dry{G: g, On: dry})
		}
	}
}
