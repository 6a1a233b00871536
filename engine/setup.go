package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/playout"
	"github.com/patchcord/patchcord/audio/stt"
	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/telephony"
)

// greetWait is how long a greeting that names what a pre-call tool finds waits
// for it (conv:W17).
const greetWait = 800 * time.Millisecond

// open finds the call's providers and tools.
func (s *session) open() error {
	s.responder = cascade{s}
	err := s.openCascade()
	if s.agent.Realtime != "" {
		err = s.openRealtime() // the others are what it may fall back on
	}
	if err != nil {
		return err
	}
	s.openTools(s.ctx)
	return nil
}

// openCascade finds the recogniser, the model and the voice.
func (s *session) openCascade() error {
	tongues := s.openTongues()
	var err error
	if s.model, err = pick(s.e.cfg.LLM, s.agent.LLM.Provider, "llm"); err != nil {
		return err
	}
	return tongues
}

// pick is a provider by its name in the configuration.
func pick[P any](by map[string]P, name, kind string) (P, error) {
	p, ok := by[name]
	if !ok {
		return p, fmt.Errorf("%s %q: %w", kind, name, errNoProvider)
	}
	return p, nil
}

// orDefault is a provider's name in events.
func orDefault(name string) string {
	if name == "" {
		return "default"
	}
	return name
}

// connect answers the caller, or waits for the callee's answer, and joins the
// call's sound. The greeting is spoken into the playout before the answer
// (conv:H1).
func (s *session) connect() (EndReason, bool) {
	inbound := s.record.Direction != telephony.Outbound
	if inbound {
		if err := s.leg.Progress(s.ctx, false); err != nil {
			return s.neverAnswered(err)
		}
		s.prepare()
		if err := s.leg.Answer(s.ctx); err != nil {
			return s.neverAnswered(err)
		}
	} else if cause, ok := s.awaitAnswer(); !ok {
		s.cause = cause
		return endReason(cause, false), false
	}
	s.answered = true
	info := s.leg.Info()
	s.record.Codec, s.record.SRTP, s.record.Answered, s.record.Status = info.Codec, info.SRTP, s.clock(), StatusInProgress
	if s.out == nil || s.rate != info.Format.Rate {
		s.prepare()
	}
	s.sound = s.source()
	s.leg.Connect(s.listen, s.sound)
	s.monitor.open(s.rate)
	s.startListening(info)
	s.event(EventCallAnswered, F("codec", info.Codec), F("rate_hz", info.Format.Rate), F("srtp", info.SRTP))
	s.e.cfg.Journal.Started(s.record)
	s.greet()
	return "", true
}

func (s *session) neverAnswered(err error) (EndReason, bool) {
	var h *telephony.HangupError
	if errors.As(err, &h) {
		return endReason(h.Cause, false), false
	}
	if s.ctx.Err() != nil {
		return endReason(causeOf(s.ctx), false), false
	}
	s.log.Warn("call could not be answered", zap.Error(err))
	return EndFailed, false
}

// awaitAnswer follows a dialled leg until somebody answers.
func (s *session) awaitAnswer() (telephony.Cause, bool) {
	cancelled := false
	for {
		item, ok := s.ctl.take()
		if !ok {
			select {
			case <-s.ctl.wake:
				continue
			case <-s.ctx.Done():
				return causeOf(s.ctx), false
			}
		}
		switch m := item.(type) {
		case endCommand, drainCommand, overload:
			cancelled = true
			_ = s.leg.Hangup(s.ctx, telephony.Cause{Reason: telephony.ReasonCancelled}) // Ended follows
		case legEvent:
			switch e := m.ev.(type) {
			case telephony.Answered:
				if !cancelled { // else it crossed ours, and ends at once
					return telephony.Cause{}, true
				}
			case telephony.Ended:
				return e.Cause, false
			case telephony.Ringing:
				s.record.Status = StatusRinging
				s.e.cfg.Journal.Started(s.record)
			default:
				s.legEvent(m.ev)
			}
		}
	}
}

// prepare makes what holds the call's sound, at the leg's rate.
func (s *session) prepare() {
	s.rate = s.leg.Info().Format.Rate
	if s.rate == 0 {
		s.rate = 8000
	}
	s.out = playout.New(s.rate, func(playout.Edge) {
		s.edges.poke()
		if v := s.speaking.Load(); v != nil {
			v.poke()
		}
	})
	if s.rec == nil {
		s.openRecording()
	}
	format := audio.Format{Encoding: s.leg.Info().Format.Encoding, Rate: s.rate}
	s.listen = newListener(format, s.m.Policy().PauseAfter, s.edges, s.rec)
	s.listen.out, s.listen.also = s.out, &s.monitor
	s.modelled()
	if s.detect {
		s.listen.beep = audio.NewBeepDetector(s.rate)
	}
	s.openSounds()
	s.warm()
}

// warm speaks the call's fixed sentences into the cache, so that none of them
// is waited for.
func (s *session) warm() {
	p := s.m.Policy()
	own := append(texts(true, p.FillerPhrase), texts(false, p.ApologyPhrase)...)
	first := []string{s.render(s.agent.Disclosure), s.greeting()}
	if s.refusal != nil {
		first = []string{s.refusal.Say}
	}
	all := slices.Concat(texts(false, first...), own, texts(true, p.WaitPhrases...))
	offered := s.tools.set.Tools()
	if s.server != nil && s.agent.TTS == "" && s.refusal == nil { // the model says the others
		all, offered = own, nil
	}
	for _, t := range offered {
		sp := t.Definition().Speech
		all = append(all, texts(true, s.render(sp.Bridging), s.render(sp.Second))...)
		all = append(all, texts(false, s.render(sp.Failure))...)
	}
	ctx, rate := s.ctx, s.rate
	if w, ok := s.model.(llm.Warmer); ok {
		s.wg.Go(func() { _ = guarded(func() error { return w.Warm(ctx) }) }) // one that is not warm answers later
	}
	if len(s.tongue.voices) == 0 {
		return
	}
	s.warmVoice(ctx, s.tongue, rate, all)
	for i := range s.tongues { // so that a change of the language begins without a wait (conv:N4)
		if t := &s.tongues[i]; t != s.tongue && len(t.voices) > 0 {
			p := s.agent.Turn
			p.Language = t.language
			p = p.WithDefaults()
			s.warmVoice(ctx, t, rate, append(texts(true, p.FillerPhrase), texts(false, p.ApologyPhrase)...))
		}
	}
}

// warmVoice speaks sentences into the cache.
func (s *session) warmVoice(ctx context.Context, t *tongue, rate int, said []fixedText) {
	nv, req, p, a := t.voices[0], t.request(s.leg.Info().Format, s.id), s.m.Policy(), s.agent
	s.wg.Go(func() {
		for _, f := range said {
			for _, piece := range spokenPieces(p, speakerOf(a, req.Language), f) {
				_ = s.e.warm(ctx, nv, req, piece, []int{rate}) // it is said later then
			}
		}
	})
}

func (s *session) greeting() string {
	return s.render(s.tongue.greeting)
}

// greet starts the conversation.
func (s *session) greet() {
	if s.refusal != nil { // as it is: it is no template, and of no language of the agent's
		s.step(turn.Answered{Gate: s.gate(), Lag: lag, Node: s.startNode()})
		s.step(turn.End{Goodbye: s.refusal.Say, Reason: EndRejected})
		return
	}
	raw := s.tongue.greeting
	if s.preCallPending > 0 && strings.Contains(raw, "{{") && s.namesPreCall(raw) {
		s.awaitPreCall()
	}
	locked := s.agent.AllowGreetingInterruption != nil && !*s.agent.AllowGreetingInterruption
	_, far := s.leg.(telephony.Flusher)
	s.step(turn.Answered{
		Disclosure: s.render(s.agent.Disclosure), Greeting: s.greeting(), Locked: locked,
		PreCall: s.preCallPending > 0, Gate: s.gate(), FarBuffer: far, Lag: lag,
		Node: s.startNode(),
	})
}

func (s *session) namesPreCall(text string) bool {
	for _, t := range s.tools.preCall {
		if strings.Contains(text, t.Definition().Name) {
			return true
		}
	}
	return false
}

func (s *session) awaitPreCall() {
	deadline := time.After(greetWait)
	for s.preCallPending > 0 {
		if item, ok := s.work.takeIf(isPreCall); ok { // words wait until the call is live
			s.receive(item)
			continue
		}
		select {
		case <-s.work.wake:
		case <-deadline:
			return
		case <-s.ctx.Done():
			return
		}
	}
}

func isPreCall(item any) bool {
	_, is := item.(preCallResult)
	return is
}

// startListening opens the recogniser.
func (s *session) startListening(info telephony.Info) {
	s.hears = s.hearing(info)
	if s.server != nil {
		s.server.start(s.hears)
		return
	}
	done := make(chan struct{})
	close(done)
	s.listenWith(done)
}

// hearing is what a recogniser is told of the call.
func (s *session) hearing(info telephony.Info) stt.Options {
	o := stt.Options{Format: info.Format, Language: s.tongue.language, CallID: string(s.id)}
	if o.Format.Rate == 0 {
		o.Format = audio.Format{Encoding: audio.PCM16, Rate: s.rate}
	}
	return o
}

// listenWith opens the recogniser of the call's language, once what heard the
// call before has ended.
func (s *session) listenWith(ended <-chan struct{}) {
	s.hears = s.hearing(s.leg.Info())
	chain := stt.ChainOf(orDefault(s.tongue.stt), s.e.cfg.STT[s.tongue.stt])
	s.ears = newRecogniser(s.listen.ring, s.work, ears{chain: chain, options: s.hears})
	ctx, stop := context.WithCancel(s.ctx)
	r, over := s.ears, make(chan struct{})
	s.earsOff = func() <-chan struct{} {
		stop()
		return over
	}
	s.wg.Go(func() {
		defer close(over)
		defer stop()
		<-ended
		r.run(ctx)
	})
}

// listenAgain opens the recogniser again behind somebody else's conversation.
func (s *session) listenAgain() {
	if s.earsOff != nil {
		s.listenWith(s.earsOff())
	}
}

// source is what the leg pulls: the playout, with the taps of the recording and
// of those who listen in.
func (s *session) source() audio.Source { return &recorded{s.out, s.said()} }

// said keeps what the caller hears, on the clock of what they say.
func (s *session) said() func(pcm []int16) {
	rec, also, at := s.rec, &s.monitor, &s.listen.at
	return func(pcm []int16) {
		now := time.Duration(at.Load())
		if rec != nil {
			rec.Agent(pcm, now)
		}
		also.agent(pcm, now)
	}
}

// recorded is a source whose sound is kept.
type recorded struct {
	out  audio.Source
	keep func(pcm []int16)
}

func (r *recorded) Next(dst []int16) bool {
	ok := r.out.Next(dst)
	if ok {
		r.keep(dst)
	}
	return ok
}
