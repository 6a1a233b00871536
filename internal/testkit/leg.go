// Package testkit is a call without a network: a leg, a recogniser, a model
// and a voice that follow a script, for tests on a virtual clock.
//
// Everything runs on the time package, so a testing/synctest bubble plays a
// call of minutes in milliseconds.
package testkit

import (
	"context"
	"sync"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/telephony"
)

// Leg is a party of a call that lives in memory: Speak puts the caller's sound
// on it, Heard tells what the agent said.
type Leg struct {
	info   telephony.Info
	events chan telephony.Event // 16: more than a test ever has waiting
	done   chan struct{}
	once   sync.Once

	mu      sync.Mutex // guards what follows
	sink    audio.Sink
	source  audio.Source
	voice   time.Duration // how much voice is still to be heard
	lost    bool
	spoken  []Burst
	hungUp  telephony.Cause
	refusal error // of Answer
	frames  int
	refers  func(telephony.ReferTo) error
	pressed string // keys that were sent
}

// Burst is a stretch of the agent's sound.
type Burst struct {
	From, To time.Duration // since the answer
}

// NewLeg makes an inbound leg at 8 kHz; its clock runs from the answer until
// Close or Hangup.
func NewLeg(id telephony.CallID) *Leg {
	return &Leg{
		info: telephony.Info{
			ID: id, Direction: telephony.Inbound, From: "+4930111", To: "+4930123456", Transport: "memory",
			Codec: "PCMU", Format: audio.Format{Encoding: audio.MuLaw, Rate: 8000},
		},
		events: make(chan telephony.Event, 16), done: make(chan struct{}),
	}
}

// NewOutbound makes a leg that is being dialled; PickUp answers it.
func NewOutbound(id telephony.CallID, to string) *Leg {
	l := NewLeg(id)
	l.info.Direction, l.info.From, l.info.To = telephony.Outbound, "+4930123456", to
	return l
}

var _ telephony.Leg = (*Leg)(nil)

// PickUp is the answer of a dialled leg.
func (l *Leg) PickUp() {
	go l.run()
	l.Send(telephony.Answered{})
}

// Refuse lets the answer fail.
func (l *Leg) Refuse(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refusal = err
}

// Frames is how many frames the sink was given.
func (l *Leg) Frames() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.frames
}

// Describe changes what is known of the leg, before the call.
func (l *Leg) Describe(change func(*telephony.Info)) *Leg {
	change(&l.info)
	return l
}

// Info is what is known of the leg.
func (l *Leg) Info() telephony.Info { return l.info }

// Progress does nothing: nobody waits for the ringing.
func (l *Leg) Progress(context.Context, bool) error { return nil }

// Answer starts the leg's clock.
func (l *Leg) Answer(context.Context) error {
	l.mu.Lock()
	err := l.refusal
	l.mu.Unlock()
	if err == nil {
		go l.run()
	}
	return err
}

// run is the clock: every 20 ms one frame each way.
func (l *Leg) run() {
	t := time.NewTicker(audio.FrameTime)
	defer t.Stop()
	in, out := make([]int16, 160), make([]int16, 160)
	for at := time.Duration(0); ; at += audio.FrameTime {
		select {
		case <-t.C:
		case <-l.done:
			return
		}
		l.mu.Lock()
		sink, source, voiced, lost := l.sink, l.source, l.voice > 0, l.lost
		l.voice = max(0, l.voice-audio.FrameTime)
		if sink != nil {
			l.frames++
		}
		l.mu.Unlock()
		for i := range in {
			in[i] = 0
			if voiced {
				in[i] = int16(4000 * (1 - 2*(i/8%2))) // a loud buzz
			}
		}
		if sink != nil {
			sink.Hear(audio.Frame{PCM: in, Rate: 8000, At: at, Lost: lost})
		}
		clear(out)
		if source != nil && source.Next(out) && loud(out) {
			l.note(at)
		}
	}
}

func loud(pcm []int16) bool {
	for _, x := range pcm {
		if x > 500 || x < -500 {
			return true
		}
	}
	return false
}

func (l *Leg) note(at time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.spoken) - 1; n >= 0 && at-l.spoken[n].To <= 2*audio.FrameTime {
		l.spoken[n].To = at + audio.FrameTime
		return
	}
	l.spoken = append(l.spoken, Burst{at, at + audio.FrameTime})
}

// Speak lets the caller's voice be heard for d, from now on.
func (l *Leg) Speak(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.voice = d
}

// Spoken is when the agent was heard.
func (l *Leg) Spoken() []Burst {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Burst(nil), l.spoken...)
}

// HungUp is the cause that ended the leg from our side, zero while it is up.
func (l *Leg) HungUp() telephony.Cause {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hungUp
}

// Send gives an event of the leg, unless it is over.
func (l *Leg) Send(ev telephony.Event) {
	select {
	case <-l.done:
	default:
		l.events <- ev
	}
}

// Close ends the leg from the far side.
func (l *Leg) Close(c telephony.Cause) {
	l.once.Do(func() {
		close(l.done)
		l.events <- telephony.Ended{Cause: c}
		close(l.events)
	})
}

// Connect joins the leg's sound.
func (l *Leg) Connect(in audio.Sink, out audio.Source) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sink, l.source = in, out
}

// Events are the leg's.
func (l *Leg) Events() <-chan telephony.Event { return l.events }

// SendDigits keeps the keys for Pressed.
func (l *Leg) SendDigits(_ context.Context, digits string, _ telephony.Tone) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pressed += digits
	return nil
}

// Pressed are the keys that were sent to the leg.
func (l *Leg) Pressed() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pressed
}

// Hold does nothing.
func (l *Leg) Hold(context.Context, bool) error { return nil }

// Refers sets what becomes of Refer.
func (l *Leg) Refers(f func(telephony.ReferTo) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refers = f
}

// Refer does what Refers has set, else it is refused.
func (l *Leg) Refer(_ context.Context, to telephony.ReferTo) error {
	l.mu.Lock()
	f := l.refers
	l.mu.Unlock()
	if f == nil {
		return telephony.ErrNoRefer
	}
	return f(to)
}

// Over says whether the leg has ended, from either side.
func (l *Leg) Over() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// Stats are those of a line without a fault.
func (l *Leg) Stats() telephony.Stats { return telephony.Stats{PacketsReceived: 1, MOS: 4.4} }

// Hangup ends the leg from our side.
func (l *Leg) Hangup(_ context.Context, c telephony.Cause) error {
	l.once.Do(func() {
		l.mu.Lock()
		l.hungUp = c
		l.mu.Unlock()
		close(l.done)
		l.events <- telephony.Ended{Cause: c}
		close(l.events)
	})
	return nil
}
