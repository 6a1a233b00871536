package virtual

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/patchcord/patchcord/internal/testkit/scenario"
	"github.com/patchcord/patchcord/telephony"
)

var errEnded = scenario.ErrEnded

// Manner is how a caller speaks.
type Manner struct {
	Name  string
	CPS   float64       // characters a second
	Pause time.Duration // after every third word
	Loss  float64       // share of packets that do not come
	Cough time.Duration // before every sentence
}

// Manners are the callers that every scenario is played by.
var Manners = []Manner{
	{Name: "brisk", CPS: 15},
	{Name: "hesitant", CPS: 11, Pause: 240 * time.Millisecond},
	{Name: "rough", CPS: 13, Loss: 0.03, Cough: 120 * time.Millisecond},
}

// Phone is the scripted caller's: it plays the steps of a scenario on a line.
type Phone struct {
	line   *Line
	manner Manner
	start  time.Time
	events chan scenario.Event // 1024: a scenario reads them as they come

	mu      sync.Mutex // guards what follows; the line's clock writes it
	talking bool
	last    time.Duration // the agent's last loud frame
	over    bool          // events are closed
	say     int           // the sentence that is being heard
	words   []string
	began   time.Time
}

// gap is a silence that ends an utterance of the agent's.
const gap = 300 * time.Millisecond

// NewPhone takes a line, whose events it follows from now on.
func NewPhone(l *Line, m Manner) *Phone {
	p := &Phone{line: l, manner: m, start: time.Now(), events: make(chan scenario.Event, 1024), say: -1}
	l.mu.Lock()
	l.loss, l.hear = m.Loss, p.heard
	l.mu.Unlock()
	return p
}

var _ scenario.Phone = (*Phone)(nil)

// heard takes the agent's sound, a frame at a time.
func (p *Phone) heard(at time.Duration, w *Word, loud bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return
	}
	now := time.Now()
	if w != nil {
		if w.Say != p.say {
			p.settleLocked()
			p.say, p.began = w.Say, now
		}
		p.words = append(p.words, w.Text)
		p.give(scenario.Heard{Text: strings.Join(p.words, " "), Start: p.began})
		return
	}
	switch {
	case loud:
		p.last = at
		if !p.talking {
			p.talking = true
			p.give(scenario.AgentSpeaks{On: true, At: now})
		}
	case p.talking && at-p.last >= gap:
		p.talking = false
		p.give(scenario.AgentSpeaks{At: now.Add(p.last - at)})
		p.settleLocked()
	}
}

func (p *Phone) settleLocked() {
	if len(p.words) > 0 {
		p.give(scenario.Heard{Text: strings.Join(p.words, " "), Start: p.began, Final: true})
	}
	p.words, p.say = nil, -1
}

func (p *Phone) give(ev scenario.Event) {
	select {
	case p.events <- ev:
	default: // the scenario is over and reads no more
	}
}

// Over tells the phone that the call has ended.
func (p *Phone) Over() {
	p.line.mu.Lock()
	cause, local := p.line.cause, p.line.local
	p.line.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return
	}
	p.settleLocked()
	p.give(scenario.Ended{At: time.Now(), Reason: string(cause.Reason), Remote: local})
	p.over = true
	close(p.events)
}

// Say speaks in the caller's manner.
func (p *Phone) Say(ctx context.Context, text, _ string) error {
	var parts []sound
	if p.manner.Cough > 0 {
		parts = append(parts, p.line.burst(p.manner.Cough, noiseTop), sound{pcm: make([]int16, Rate/2)})
	}
	for i, s := range p.line.words(text, p.manner.CPS) {
		if i > 0 && i%3 == 0 && p.manner.Pause > 0 {
			parts = append(parts, sound{pcm: make([]int16, int(p.manner.Pause*Rate/time.Second))})
		}
		parts = append(parts, s)
	}
	if len(parts) == 0 {
		return nil
	}
	return p.line.play(ctx, parts...)
}

// Play plays no files: nothing here could be understood of one.
func (p *Phone) Play(context.Context, string) error {
	return errors.New("no files are played on a virtual line; write say, mumble or cough")
}

// Press sends keys, 200 ms each.
func (p *Phone) Press(ctx context.Context, digits string) error {
	for _, d := range []byte(digits) {
		p.line.Send(telephony.Digit{Key: d, Source: "rfc4733"})
		if err := p.wait(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

// Disturb makes what is no speech.
func (p *Phone) Disturb(ctx context.Context, s *scenario.Step) error {
	l := p.line
	switch s.Verb {
	case scenario.Cough, scenario.Knock:
		return l.play(ctx, l.burst(s.For, noiseTop))
	case scenario.Hum, scenario.Mumble:
		return l.play(ctx, l.burst(s.For, noiseTop*2/3))
	case scenario.Hold:
		l.Send(telephony.Held{})
		err := p.wait(ctx, s.For)
		l.Send(telephony.Resumed{})
		return err
	case scenario.Mute:
		l.mu.Lock()
		l.mute = s.For
		l.mu.Unlock()
		return p.wait(ctx, s.For)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch s.Verb {
	case scenario.Noise:
		l.level = quiet
		if !s.Off {
			l.level = min(noiseTop, max(quiet, int(callerBand*math.Sqrt(3)*math.Pow(10, s.DB/20))))
		}
	case scenario.Echo:
		l.echo = s.After
	case scenario.Loss:
		l.loss = s.Share
	default:
		return fmt.Errorf("no disturbance %q", s.Verb)
	}
	return nil
}

func (p *Phone) wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-p.line.done:
		return errEnded
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Hangup ends the call from the caller's side.
func (p *Phone) Hangup(context.Context) error {
	p.line.end(telephony.Cause{Reason: telephony.ReasonNormal, Remote: true}, false)
	return nil
}

// Events tell what the agent does.
func (p *Phone) Events() <-chan scenario.Event { return p.events }
