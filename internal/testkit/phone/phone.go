// Package phone plays a scenario on any telephony.Leg: it speaks with a real
// voice or from files, finds the agent's voice by its energy, has it
// recognised, and records both sides.
//
// What it says is made before the call, so that a barge-in comes when the
// scenario says and not when the voice is ready. The media plane is never
// kept waiting: sound that the recogniser is too slow for is dropped and
// counted.
package phone

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/record"
	"github.com/patchcord/patchcord/audio/stt"
	"github.com/patchcord/patchcord/internal/testkit/scenario"
	"github.com/patchcord/patchcord/telephony"
)

// Config is what a phone works with. Prompts are needed, the rest may be zero.
type Config struct {
	Prompts *Prompts
	// Ear recognises what the agent says; nil: nothing is recognised, and
	// scenarios that expect words fail.
	Ear stt.Provider
	// Record makes the recorder of the call at the rate of the leg: what we
	// say left, what we hear right. Nil: none. Start closes it.
	Record func(rate int) (*record.Recorder, error)
	// Said and Heard are told as they happen, for people who watch; each may
	// be nil and must not block.
	Said  func(what string)
	Heard func(text string)
}

// Phone is one call.
type Phone struct {
	cfg    Config
	leg    telephony.Leg
	rate   int
	mouth  *mouth
	room   *room
	ear    *ear
	rec    *record.Recorder
	events chan scenario.Event // 256: more than happens while the runner looks away
	over   chan struct{}       // closed when the leg has ended
	done   chan struct{}       // closed when listen returns
	cancel context.CancelFunc
	failed atomic.Pointer[error]
}

var (
	_ scenario.Phone = (*Phone)(nil)
	_ scenario.Wired = (*Phone)(nil)
)

// Start begins to listen on a leg that is answered. ctx bounds the call. Close
// must follow.
func Start(ctx context.Context, leg telephony.Leg, cfg Config) (*Phone, error) {
	info := leg.Info()
	p := &Phone{
		cfg: cfg, leg: leg, rate: info.Format.Rate, mouth: newMouth(), ear: newEar(),
		room:   newRoom(info.Format.Rate),
		events: make(chan scenario.Event, 256), over: make(chan struct{}), done: make(chan struct{}),
	}
	ctx, p.cancel = context.WithCancel(ctx)
	var words stt.Stream
	var err error
	if cfg.Ear != nil {
		if words, err = cfg.Ear.Open(ctx, stt.Options{Format: info.Format, CallID: string(info.ID)}); err != nil {
			p.cancel()
			return nil, fmt.Errorf("phone: recogniser: %w", err)
		}
	}
	if cfg.Record != nil {
		if p.rec, err = cfg.Record(p.rate); err != nil {
			p.cancel()
			if words != nil {
				_ = words.Close()
			}
			return nil, fmt.Errorf("phone: recording: %w", err)
		}
	}
	leg.Connect(hearer{p}, speaker{p})
	go p.listen(ctx, words)
	return p, nil
}

// Close ends what is left of the call, and frees all of it. The error is that
// of the recogniser or the recording.
func (p *Phone) Close() error {
	p.cancel()
	<-p.done
	p.leg.Connect(nil, nil)
	var errs []error
	if e := p.failed.Load(); e != nil {
		errs = append(errs, *e)
	}
	if p.rec != nil {
		if _, err := p.rec.Close(); err != nil {
			errs = append(errs, err)
		}
	}
	if d := p.ear.dropped.Load(); d > 0 {
		errs = append(errs, fmt.Errorf("phone: %s of sound was not recognised in time", time.Duration(d)*audio.FrameTime))
	}
	return errors.Join(errs...)
}

// Events implements [scenario.Phone].
func (p *Phone) Events() <-chan scenario.Event { return p.events }

// Say implements [scenario.Phone].
func (p *Phone) Say(ctx context.Context, text, voice string) error {
	pcm, err := p.cfg.Prompts.text(text, voice, p.rate)
	if err != nil {
		return err
	}
	p.said(text)
	return p.speak(ctx, pcm)
}

// Onset implements [scenario.Wired].
func (p *Phone) Onset() time.Time { return p.mouth.began() }

// Play implements [scenario.Phone].
func (p *Phone) Play(ctx context.Context, file string) error {
	pcm, err := p.cfg.Prompts.file(file, p.rate)
	if err != nil {
		return err
	}
	p.said("plays " + file)
	return p.speak(ctx, pcm)
}

// Disturb implements [scenario.Phone] as far as a phone can: what a line does
// to sound it cannot.
func (p *Phone) Disturb(ctx context.Context, s *scenario.Step) error {
	p.said(s.String())
	switch s.Verb {
	case scenario.Cough, scenario.Knock, scenario.Hum, scenario.Mumble:
		return p.speak(ctx, disturbance(s.Verb, s.For, p.rate))
	case scenario.Noise, scenario.Echo:
		p.room.set(s, p.rate, p.cfg.Prompts.level())
		return nil
	case scenario.Hold:
		if err := p.leg.Hold(ctx, true); err != nil {
			return err
		}
		select {
		case <-time.After(s.For):
			return p.leg.Hold(ctx, false)
		case <-p.over:
			return scenario.ErrEnded
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return fmt.Errorf("a phone cannot make %s: it happens on the way", s.Verb)
}

func (p *Phone) speak(ctx context.Context, pcm []int16) error {
	select {
	case <-p.mouth.say(pcm):
		return nil
	case <-p.over:
		return scenario.ErrEnded
	case <-ctx.Done():
		p.mouth.say(nil)
		return context.Cause(ctx)
	}
}

// Press implements [scenario.Phone].
func (p *Phone) Press(ctx context.Context, digits string) error {
	p.said("presses " + digits)
	err := p.leg.SendDigits(ctx, digits, telephony.Tone{})
	if err == nil {
		return nil
	}
	// A leg that has ended refuses before its last event is read.
	select {
	case <-p.over:
		return scenario.ErrEnded
	case <-time.After(overWithin):
		return err
	}
}

// Hangup implements [scenario.Phone].
func (p *Phone) Hangup(ctx context.Context) error {
	return p.leg.Hangup(ctx, telephony.Cause{Reason: telephony.ReasonNormal})
}

// overWithin is how much later than a refusal the end of the call is told.
const overWithin = 200 * time.Millisecond

func (p *Phone) said(what string) {
	if p.cfg.Said != nil {
		p.cfg.Said(what)
	}
}

// hearer is the phone as the leg's sink, speaker as its source.
type (
	hearer  struct{ p *Phone }
	speaker struct{ p *Phone }
)

// Hear implements [audio.Sink].
func (h hearer) Hear(f audio.Frame) {
	h.p.ear.hear(f)
	h.p.room.hear(f.PCM)
	if h.p.rec != nil {
		h.p.rec.Agent(f.PCM, f.At)
	}
}

// Next implements [audio.Source].
func (s speaker) Next(dst []int16) bool {
	ok := s.p.mouth.next(dst)
	if !ok {
		clear(dst)
	}
	ok = s.p.room.mix(dst, ok)
	if ok && s.p.rec != nil {
		at := time.Duration(s.p.ear.at.Load())
		s.p.rec.Caller(audio.Frame{PCM: dst, Rate: s.p.rate, At: at})
	}
	return ok
}
