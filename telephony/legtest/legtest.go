// Package legtest is what the legs of every transport must do, as one suite: a
// transport opens calls between a handler and a caller of its own, and Run
// looks at them from both ends.
//
// Nothing in it sleeps or judges its own time: it waits for what must come, for
// half a minute of the clock it runs on, which may be that of testing/synctest.
package legtest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/telephony"
)

// Open places a call that h answers, and returns the caller's end of it, up:
// what is connected there hears what the leg says, and speaks to it. Everything
// it opens is closed with the test.
type Open func(t *testing.T, h telephony.Handler) telephony.Leg

// Run runs the suite. in runs each of its tests, where they need a clock of
// their own; nil: as it is.
func Run(t *testing.T, open Open, in func(t *testing.T, f func(t *testing.T))) {
	t.Helper()
	if in == nil {
		in = func(t *testing.T, f func(t *testing.T)) {
			t.Helper()
			f(t)
		}
	}
	for _, c := range []struct {
		name string
		f    func(*testing.T, Open)
	}{
		{"sound goes both ways, and is counted", sound},
		{"what is connected again is heard instead", again},
		{"each key of the caller is told once", pressed},
		{"keys of ours reach the caller", sent},
		{"hold and its end", held},
		{"a leg that cannot be sent elsewhere says so, and stays", referred},
		{"we hang up: the caller is told, and the leg ends once", weHangUp},
		{"the caller hangs up: the leg ends once", theyHangUp},
		{"the call is over when its handler returns", returns},
		{"an ended leg takes nothing any more", over},
	} {
		t.Run(c.name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				t.Helper()
				c.f(t, open)
			})
		})
	}
}

// call is one call of a test.
type call struct {
	leg    telephony.Leg
	caller telephony.Leg
	ctx    context.Context // the handler's
	ear    *ear            // of the caller
	heard  *ear            // of the leg
	leave  chan struct{}   // closed: the handler returns

	mu     sync.Mutex // guards what follows
	events []telephony.Event
	closed bool // the leg's events
	far    []telephony.Event
	gone   bool // the caller's events are closed
}

// Frequencies of the two ends, and the power of a tone that is heard.
const (
	ours   = 440
	theirs = 1000
	loud   = 0.005
)

func tone(hz float64, rate int) audio.Source {
	return audio.Tone{Hz: [2]float64{hz}, Level: -10}.Source(rate, 0)
}

// begin opens a call whose two ends play their tones.
func begin(t *testing.T, open Open) *call {
	t.Helper()
	c := &call{ear: &ear{}, heard: &ear{}, leave: make(chan struct{})}
	up := make(chan telephony.Leg, 1) // the one call
	var handler sync.WaitGroup
	handler.Add(1)
	c.caller = open(t, handle(func(ctx context.Context, leg telephony.Leg) {
		defer handler.Done()
		c.ctx = ctx
		leg.Connect(c.heard, tone(ours, leg.Info().Format.Rate))
		if err := leg.Answer(ctx); err != nil {
			t.Errorf("answer: %v", err)
		}
		up <- leg
		select {
		case <-c.leave:
		case <-ctx.Done():
		}
	}))
	var left sync.WaitGroup
	t.Cleanup(func() {
		_ = c.caller.Hangup(context.Background(), telephony.Cause{Reason: telephony.ReasonNormal})
		handler.Wait()
		left.Wait()
	})
	wait(t, "the handler has answered", func() bool {
		select {
		case c.leg = <-up:
		default:
		}
		return c.leg != nil
	})
	c.caller.Connect(c.ear, tone(theirs, c.caller.Info().Format.Rate))
	left.Go(func() { c.follow(c.leg, &c.events, &c.closed) })
	left.Go(func() { c.follow(c.caller, &c.far, &c.gone) })
	return c
}

func (c *call) follow(leg telephony.Leg, into *[]telephony.Event, closed *bool) {
	for e := range leg.Events() {
		if _, trace := e.(telephony.SignalTrace); trace {
			continue
		}
		c.mu.Lock()
		*into = append(*into, e)
		c.mu.Unlock()
	}
	c.mu.Lock()
	*closed = true
	c.mu.Unlock()
}

// ended is how the leg ended, once its events are closed; it fails the test
// where it did so more than once, or told something after it.
func (c *call) ended(t *testing.T) telephony.Cause {
	t.Helper()
	wait(t, "the leg's events are closed", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.closed
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.events) == 0 {
		t.Fatal("the events are closed, and the leg has not ended")
	}
	var out telephony.Cause
	for i, e := range c.events {
		end, ok := e.(telephony.Ended)
		if last := i == len(c.events)-1; ok != last {
			t.Fatalf("the events are %+v: Ended is the last, once", c.events)
		}
		out = end.Cause
	}
	return out
}

func (c *call) callerGone(t *testing.T) {
	t.Helper()
	wait(t, "the caller knows that the call is over", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.gone
	})
}

func sound(t *testing.T, open Open) {
	t.Helper()
	c := begin(t, open)
	wait(t, "the caller hears us", func() bool { return c.ear.hears(ours) })
	wait(t, "we hear the caller", func() bool { return c.heard.hears(theirs) })
	if c.ear.hears(theirs) || c.heard.hears(ours) {
		t.Error("somebody hears themself")
	}
	info := c.leg.Info()
	switch {
	case info.ID == "" || info.Direction != telephony.Inbound || info.Transport == "" || info.Codec == "":
		t.Errorf("the leg is %+v", info)
	case info.Format.Rate != 8000 && info.Format.Rate != 16000:
		t.Errorf("frames at %d Hz", info.Format.Rate)
	}
	if at, ok := c.heard.ordered(info.Format.Rate); !ok {
		t.Errorf("a frame out of step: %s", at)
	}
	wait(t, "the figures tell of it", func() bool {
		s := c.leg.Stats()
		return s.PacketsReceived > 10 && s.PacketsSent > 10 && s.MOS > 3 && s.MOS <= 4.5
	})
}

func again(t *testing.T, open Open) {
	t.Helper()
	const other = 620
	c := begin(t, open)
	wait(t, "the caller hears us", func() bool { return c.ear.hears(ours) })
	c.leg.Connect(nil, nil)
	wait(t, "the caller hears nothing", func() bool { return c.ear.silent() })
	second := &ear{}
	c.leg.Connect(second, tone(other, c.leg.Info().Format.Rate))
	wait(t, "the caller hears what is connected now", func() bool { return c.ear.hears(other) && !c.ear.hears(ours) })
	wait(t, "who is connected now hears the caller", func() bool { return second.hears(theirs) })
}

func pressed(t *testing.T, open Open) {
	t.Helper()
	c := begin(t, open)
	wait(t, "we hear the caller", func() bool { return c.heard.hears(theirs) })
	const keys = "1590*#"
	if err := c.caller.SendDigits(t.Context(), keys, telephony.Tone{}); err != nil {
		t.Fatalf("the caller presses keys: %v", err)
	}
	got := func() string {
		c.mu.Lock()
		defer c.mu.Unlock()
		var s []byte
		for _, e := range c.events {
			if d, ok := e.(telephony.Digit); ok {
				s = append(s, d.Key)
			}
		}
		return string(s)
	}
	wait(t, "all keys are told", func() bool { return len(got()) >= len(keys) })
	if got() != keys {
		t.Errorf("%q was pressed, %q is told", keys, got())
	}
}

func sent(t *testing.T, open Open) {
	t.Helper()
	c := begin(t, open)
	wait(t, "the caller hears us", func() bool { return c.ear.hears(ours) })
	c.leg.Connect(c.heard, nil)
	done := make(chan error, 1) // the one result
	go func() {
		done <- c.leg.SendDigits(context.Background(), "5", telephony.Tone{Duration: time.Second})
	}()
	told := func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, e := range c.far {
			if d, ok := e.(telephony.Digit); ok && d.Key == '5' {
				return true
			}
		}
		return false
	}
	// 5 is 770 and 1336 Hz (ITU-T Q.23).
	wait(t, "the caller gets the key, or hears its tones", func() bool {
		return told() || c.ear.hears(770) && c.ear.hears(1336)
	})
	if err := <-done; err != nil {
		t.Errorf("send a key: %v", err)
	}
	if err := c.leg.SendDigits(t.Context(), "5x", telephony.Tone{}); err == nil {
		t.Error("x is no key")
	}
}

func held(t *testing.T, open Open) {
	t.Helper()
	c := begin(t, open)
	wait(t, "the caller hears us", func() bool { return c.ear.hears(ours) })
	for _, on := range []bool{true, true, false} {
		if err := c.leg.Hold(t.Context(), on); err != nil {
			t.Fatalf("hold %v: %v", on, err)
		}
	}
	c.ear.forget()
	c.heard.forget()
	wait(t, "both hear each other again", func() bool { return c.ear.hears(ours) && c.heard.hears(theirs) })
}

func referred(t *testing.T, open Open) {
	t.Helper()
	c := begin(t, open)
	wait(t, "the caller hears us", func() bool { return c.ear.hears(ours) })
	err := c.leg.Refer(t.Context(), telephony.ReferTo{Target: "+4930123456"})
	switch {
	case err == nil:
		return // it is on its way
	case !errors.Is(err, telephony.ErrNoRefer):
		t.Errorf("refused by %v, which says nothing of a bridge", err)
	}
	c.ear.forget()
	wait(t, "the caller hears us as before", func() bool { return c.ear.hears(ours) })
}

func weHangUp(t *testing.T, open Open) {
	t.Helper()
	c := begin(t, open)
	wait(t, "we hear the caller", func() bool { return c.heard.hears(theirs) })
	for range 2 {
		if err := c.leg.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonNormal, Text: "done"}); err != nil {
			t.Errorf("hang up: %v", err)
		}
	}
	if got := c.ended(t); got.Reason != telephony.ReasonNormal || got.Remote {
		t.Errorf("the leg ended by %+v", got)
	}
	wait(t, "the handler's context has ended", func() bool { return c.ctx.Err() != nil })
	var h *telephony.HangupError
	if err := context.Cause(c.ctx); !errors.As(err, &h) || h.Cause.Remote {
		t.Errorf("the context ended by %v", err)
	}
	c.callerGone(t)
}

func theyHangUp(t *testing.T, open Open) {
	t.Helper()
	c := begin(t, open)
	wait(t, "we hear the caller", func() bool { return c.heard.hears(theirs) })
	if err := c.caller.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonNormal}); err != nil {
		t.Errorf("the caller hangs up: %v", err)
	}
	if got := c.ended(t); got.Reason != telephony.ReasonNormal || !got.Remote {
		t.Errorf("the leg ended by %+v", got)
	}
	if err := c.leg.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonFailed}); err != nil {
		t.Errorf("hang up what is over: %v", err)
	}
	var h *telephony.HangupError
	if err := context.Cause(c.ctx); !errors.As(err, &h) || !h.Cause.Remote {
		t.Errorf("the context ended by %v", err)
	}
}

func returns(t *testing.T, open Open) {
	t.Helper()
	c := begin(t, open)
	wait(t, "we hear the caller", func() bool { return c.heard.hears(theirs) })
	close(c.leave)
	if got := c.ended(t); got.Reason != telephony.ReasonNormal || got.Remote {
		t.Errorf("the leg ended by %+v", got)
	}
	c.callerGone(t)
}

func over(t *testing.T, open Open) {
	t.Helper()
	c := begin(t, open)
	_ = c.leg.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonNormal})
	c.ended(t)
	if err := c.leg.SendDigits(t.Context(), "1", telephony.Tone{}); err == nil {
		t.Error("an ended leg sends keys")
	}
	if err := c.leg.Refer(t.Context(), telephony.ReferTo{Target: "+4930123456"}); err == nil {
		t.Error("an ended leg is transferred")
	}
	c.leg.Connect(c.heard, nil)
	if f, ok := c.leg.(telephony.Flusher); ok {
		f.Flush()
		if d := f.Ahead(); d != 0 {
			t.Errorf("%s are ahead of an ended leg", d)
		}
	}
	_ = c.leg.Stats()
}

// handle is a handler of one function.
type handle func(ctx context.Context, leg telephony.Leg)

func (f handle) ServeCall(ctx context.Context, leg telephony.Leg) { f(ctx, leg) }

// earshot is what an ear keeps: enough to tell tones apart, and no longer than a
// busy machine plays without a gap now and then.
const earshot = 100 * time.Millisecond

// ear is a sink that keeps the last earshot.
type ear struct {
	mu    sync.Mutex // guards what follows
	pcm   []int16
	rate  int
	next  time.Duration // when the next frame has to be
	wrong string        // the first frame that was not as it has to be
}

// Hear implements [audio.Sink].
func (e *ear) Hear(f audio.Frame) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.wrong != "":
	case e.rate != 0 && (f.At < e.next || f.At%audio.FrameTime != 0): // a clock that was held up leaves some out
		e.wrong = f.At.String() + " where " + e.next.String() + " was due"
	case len(f.PCM) != audio.Samples(audio.FrameTime, f.Rate):
		e.wrong = f.At.String() + " is not 20 ms long"
	}
	e.rate, e.next = f.Rate, f.At+audio.FrameTime
	e.pcm = append(e.pcm, f.PCM...)
	if most := audio.Samples(earshot, f.Rate); len(e.pcm) > most {
		e.pcm = append(e.pcm[:0], e.pcm[len(e.pcm)-most:]...)
	}
}

func (e *ear) power(hz float64) float64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.pcm) < audio.Samples(earshot, max(e.rate, 8000)) {
		return 0
	}
	return audio.Power(e.pcm, e.rate, hz)
}

// forget lets count only what is heard from now on.
func (e *ear) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pcm = e.pcm[:0]
}

func (e *ear) hears(hz float64) bool { return e.power(hz) > loud }

// silent says that there is next to nothing to be heard.
func (e *ear) silent() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, v := range e.pcm {
		if v > 500 || v < -500 {
			return false
		}
	}
	return true
}

// ordered says whether frames came one behind the other, at the rate.
func (e *ear) ordered(rate int) (string, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.wrong, e.wrong == "" && e.rate == rate
}

// wait waits until ok holds.
func wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatalf("never: %s", what)
		}
	}
}
