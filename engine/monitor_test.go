package engine

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/engine/turn"
)

// hearing is one who listens and keeps what they hear, until Sound is closed.
type hearing struct {
	*Listening

	done          chan struct{}
	caller, agent []int16
}

func listensTo(c *call) *hearing {
	c.t.Helper()
	l, err := c.e.Listen("0190")
	if err != nil {
		c.t.Fatal(err)
	}
	h := &hearing{Listening: l, done: make(chan struct{})}
	go func() {
		defer close(h.done)
		for b := range l.Sound {
			for ; len(b) >= 4; b = b[4:] {
				h.caller = append(h.caller, int16(uint16(b[0])|uint16(b[1])<<8))
				h.agent = append(h.agent, int16(uint16(b[2])|uint16(b[3])<<8))
			}
		}
	}()
	return h
}

// loudFor is how much of a side is loud.
func loudFor(pcm []int16) time.Duration {
	var d time.Duration
	for ; len(pcm) >= 160; pcm = pcm[160:] {
		if audio.Power(pcm[:160], 8000, 400)+audio.Power(pcm[:160], 8000, 500) > 0.001 {
			d += audio.FrameTime
		}
	}
	return d
}

// F-17: who listens in hears both sides, each in its channel, from then on to the
// end; who does not take what is heard is cut, and nobody else notices.
func TestListeningIn_F17(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, &agent.Agent{Name: "a", Prompt: "p", Greeting: "Hello there, how can I help?"}, says("It is open until six."))
		slow, err := c.e.Listen("0190")
		if err != nil {
			t.Fatal(err)
		}
		h := listensTo(c)
		c.wait(4*time.Second).say("when do you close", time.Second).wait(4 * time.Second)
		frames := c.leg.Frames()
		c.wait(time.Second)
		if n := c.leg.Frames() - frames; n != 50 {
			t.Errorf("the call has had %d frames in a second", n)
		}
		if !slow.Cut() {
			t.Error("who has read nothing for 10 s is not cut")
		}
		n := 0
		for b := range slow.Sound {
			n += len(b)
		}
		if got := audio.Duration(n/4, 8000); got < time.Second || got > 3*time.Second {
			t.Errorf("what waited for them was %v", got)
		}
		c.hangUp()
		<-h.done
		if h.Cut() {
			t.Error("who kept up was cut")
		}
		if got := loudFor(h.caller); got < 900*ms || got > 1100*ms {
			t.Errorf("the caller was heard for %v, and spoke for 1 s", got)
		}
		said := time.Duration(0)
		for _, b := range c.leg.Spoken() {
			said += b.To - b.From
		}
		if got := loudFor(h.agent); got < said-100*ms || got > said+100*ms || got < 2*time.Second {
			t.Errorf("the agent was heard for %v, and spoke for %v", got, said)
		}
		if got := audio.Duration(len(h.caller), 8000); got < 9*time.Second || got > 11*time.Second {
			t.Errorf("%v of a call of 10 s were heard", got)
		}
		if _, err := c.e.Listen("0190"); !errors.Is(err, ErrNoCall) {
			t.Errorf("after the end: %v", err)
		}
		h.Close()
		slow.Close()
	})
}

// So many may listen, and no more; when one goes there is room for another, and
// when the last one goes nothing is left of it.
func TestListenersAreBounded_F17(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, &agent.Agent{Name: "a", Prompt: "p", Greeting: "Hello."}, says("Yes."))
		var all []*hearing
		for range MostListeners {
			all = append(all, listensTo(c))
		}
		if _, err := c.e.Listen("0190"); !errors.Is(err, ErrListeners) {
			t.Errorf("one too many: %v", err)
		}
		all[0].Close()
		all[0].Close() // again changes nothing
		all[0] = listensTo(c)
		c.wait(time.Second)
		for _, h := range all {
			h.Close()
			<-h.done
			if len(h.caller) == 0 {
				t.Error("one has heard nothing")
			}
		}
		c.e.mu.Lock()
		s := c.e.calls["0190"]
		c.e.mu.Unlock()
		if s.monitor.taps.Load() != nil {
			t.Error("the call is tapped, and nobody listens")
		}
		h := listensTo(c)
		c.wait(time.Second).hangUp()
		<-h.done
		if len(h.caller) == 0 {
			t.Error("who came later has heard nothing")
		}
		h.Close()
	})
}

// conv:D5: while sensitive keys are collected that leave a gap in the recording,
// who listens in does not hear the caller either.
func TestListenersDoNotHearSensitiveKeys_convD5(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, &agent.Agent{Name: "a", Prompt: "p"}, says("Yes."))
		if err := c.e.CollectKeys("0190", turn.Keys{Sensitive: true, RecordingGap: true, Max: 4}); err != nil {
			t.Fatal(err)
		}
		c.wait(100 * ms)
		h := listensTo(c) // comes in the middle of it
		c.leg.Speak(time.Second)
		c.wait(1500 * ms)
		if err := c.e.StopKeys("0190"); err != nil {
			t.Fatal(err)
		}
		c.wait(500 * ms)
		h.Close()
		<-h.done
		if got := loudFor(h.caller); got > 0 {
			t.Errorf("%v of the caller", got)
		}
		again := listensTo(c)
		c.leg.Speak(time.Second)
		c.wait(1500 * ms)
		again.Close()
		<-again.done
		if got := loudFor(again.caller); got < 900*ms {
			t.Errorf("%v of the caller after it", got)
		}
		c.hangUp()
	})
}
