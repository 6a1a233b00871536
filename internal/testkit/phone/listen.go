package phone

import (
	"context"
	"fmt"
	"time"

	"github.com/patchcord/patchcord/audio/stt"
	"github.com/patchcord/patchcord/internal/testkit/scenario"
	"github.com/patchcord/patchcord/telephony"
)

// wordsOwed is how long after the end of the call the recogniser's last words
// are waited for: a machine with much else to do takes seconds.
const wordsOwed = 10 * time.Second

// listener is the goroutine that turns what the leg brings into events.
type listener struct {
	p     *Phone
	words stt.Stream // nil: none
	voice voice
	base  time.Time   // when the media time was 0
	began []time.Time // starts of the utterances whose words are owed, oldest first
}

func (p *Phone) listen(ctx context.Context, words stt.Stream) {
	defer close(p.done)
	defer close(p.events)
	l := &listener{p: p, words: words}
	var recognised <-chan stt.Event
	if words != nil {
		defer func() { _ = words.Close() }()
		recognised = words.Events()
	}
	ended := scenario.Ended{Reason: "given up"}
	legEvents := p.leg.Events()
	for open := true; open; {
		select {
		case s := <-p.ear.sounds:
			l.sound(ctx, &s)
		case ev, ok := <-recognised:
			if !ok {
				recognised = nil
				l.fail(words.Err())
				continue
			}
			l.recognised(ctx, ev)
		case ev, ok := <-legEvents:
			if e, is := ev.(telephony.Ended); is {
				ended = scenario.Ended{Reason: e.Cause.String(), Remote: e.Cause.Remote}
			}
			if _, is := ev.(telephony.Ended); is || !ok {
				open = false
			}
		case <-ctx.Done():
			open = false
		}
	}
	ended.At = time.Now()
	close(p.over)
	l.drain(ctx, recognised)
	l.emit(ctx, ended)
}

// drain takes what was heard before the end, and the words that are owed.
func (l *listener) drain(ctx context.Context, recognised <-chan stt.Event) {
	for len(l.p.ear.sounds) > 0 {
		s := <-l.p.ear.sounds
		l.sound(ctx, &s)
	}
	if l.voice.on {
		at := l.voice.end
		if !l.voice.ending {
			at = time.Duration(l.p.ear.at.Load())
		}
		l.voice.on = false
		l.edge(ctx, edge{at: at, wire: l.voice.wire})
	}
	late := time.NewTimer(wordsOwed)
	defer late.Stop()
	for len(l.began) > 0 && recognised != nil {
		select {
		case ev, ok := <-recognised:
			if !ok {
				return
			}
			l.recognised(ctx, ev)
		case <-late.C:
			l.fail(fmt.Errorf("the words of %d utterances did not come within %s after the call", len(l.began), wordsOwed))
			return
		case <-ctx.Done():
			return
		}
	}
}

// sound goes on by one frame of the agent's sound.
func (l *listener) sound(ctx context.Context, s *sound) {
	if l.base.IsZero() {
		l.base = s.when.Add(-s.at)
	}
	if l.words != nil {
		if err := l.words.Send(s.pcm[:s.n]); err != nil {
			l.fail(err)
		}
	}
	if e, ok := l.voice.take(s); ok {
		l.edge(ctx, e)
	}
}

func (l *listener) edge(ctx context.Context, e edge) {
	l.emit(ctx, scenario.AgentSpeaks{On: e.on, At: l.base.Add(e.at), Wire: e.wire})
	if e.on {
		l.began = append(l.began, l.base.Add(e.at))
	}
	if l.words == nil {
		l.began = nil
		return
	}
	if err := l.words.Speech(e.on); err != nil {
		l.fail(err)
	}
}

// recognised passes words on. Where the recogniser does not say when they
// began, they are of the oldest utterance whose words are owed.
func (l *listener) recognised(ctx context.Context, ev stt.Event) {
	h := scenario.Heard{Text: ev.Text, Start: l.base.Add(ev.Start), Final: ev.Kind == stt.Final}
	if len(l.began) > 0 && ev.Start == 0 {
		h.Start = l.began[0]
	}
	switch ev.Kind {
	case stt.Final:
		if cut := l.voice.on && len(l.began) == 1; !cut && len(l.began) > 0 {
			l.began = l.began[1:]
		}
		if l.p.cfg.Heard != nil && ev.Text != "" {
			l.p.cfg.Heard(ev.Text)
		}
	case stt.Interim:
	case stt.Endpoint, stt.Resumed, stt.Eager:
		return
	}
	l.emit(ctx, h)
}

// emit tells the runner. Nobody reads any more when ctx has ended.
func (l *listener) emit(ctx context.Context, ev scenario.Event) {
	select {
	case l.p.events <- ev:
	case <-ctx.Done():
	}
}

func (l *listener) fail(err error) {
	if err != nil {
		err = fmt.Errorf("phone: recogniser: %w", err)
		l.p.failed.CompareAndSwap(nil, &err)
	}
}
