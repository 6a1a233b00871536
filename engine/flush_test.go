package engine

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/internal/testkit"
	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/telephony"
)

// farLeg is a leg that buffers at its far end, as carriers' WebSockets do: what
// it was given is heard 120 ms later, but for what is flushed. Its far end may
// lag much further behind.
type farLeg struct {
	*testkit.Leg

	mu      sync.Mutex // guards what follows
	source  audio.Source
	queue   time.Duration // given and not yet heard
	late    time.Duration // that the far end is behind
	flushes []time.Duration
}

// Connect puts the far end between the source and the line.
func (l *farLeg) Connect(in audio.Sink, out audio.Source) {
	l.mu.Lock()
	l.source = out
	l.mu.Unlock()
	if out == nil {
		l.Leg.Connect(in, nil)
		return
	}
	l.Leg.Connect(in, l)
}

// Next is pulled once each 20 ms.
func (l *farLeg) Next(dst []int16) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.source == nil || !l.source.Next(dst) {
		l.queue = max(0, l.queue-audio.FrameTime)
		return false
	}
	l.queue = min(l.queue+audio.FrameTime, 120*ms+l.late)
	return true
}

func (l *farLeg) Ahead() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.queue
}

func (l *farLeg) Flush() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flushes = append(l.flushes, l.queue)
	n := l.queue
	l.queue = 0
	return n
}

func (l *farLeg) flushed() []time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]time.Duration(nil), l.flushes...)
}

var _ telephony.Flusher = (*farLeg)(nil)

// behind starts a call on such a leg.
func behind(t *testing.T, answer answers) (*call, *farLeg) {
	t.Helper()
	c := prepare(t, &agent.Agent{Name: "a"}, answer).engine()
	l := &farLeg{Leg: c.leg}
	go func() {
		c.e.ServeCall(t.Context(), l)
		close(c.ended)
	}()
	return c.wait(500 * ms), l
}

func TestWhatTheFarEndBuffersIsClearedAndNotHeard_INV2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, l := behind(t, says(story))
		c.say("tell me a story.", time.Second).wait(5 * time.Second)
		c.stt.Interim("no, another one") // in time: nothing has paused yet
		c.wait(100 * ms)
		stop := c.find(EventSpeechInterupted)
		if len(stop) != 1 || len(l.flushed()) != 1 || l.flushed()[0] != 120*ms {
			t.Fatalf("interrupted %d times, flushed %v:\n%s", len(stop), l.flushed(), c.lines())
		}
		bursts := c.leg.Spoken()
		given := bursts[0].To - bursts[0].From
		heard, _ := stop[0].Get("heard_ms").(int64)
		if unheard := given - time.Duration(heard)*time.Millisecond; unheard < 120*ms || unheard > 120*ms+audio.FrameTime {
			t.Errorf("%d ms were heard, %v was given", heard, given)
		}
		c.hangUp()
	})
}

// The reply is done for us, the carrier still has seconds of it (pipecat #366).
func TestTheEndOfAFinishedReplyIsClearedToo_INV2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, l := behind(t, says("Yes, we are open until six."))
		l.mu.Lock()
		l.late = 10 * time.Second
		l.mu.Unlock()
		c.say("are you open.", time.Second).wait(3600 * ms)
		if n := len(c.find(EventTurnAgent)); n != 1 || len(l.flushed()) != 0 || l.Ahead() < time.Second {
			t.Fatalf("%d replies are over, flushed %v, %v ahead", n, l.flushed(), l.Ahead())
		}
		c.say("stop.", 300*ms).wait(time.Second)
		if len(l.flushed()) != 1 {
			t.Errorf("flushed %v with %v ahead", l.flushed(), l.Ahead())
		}
		c.hangUp()
	})
}

// What was never given to the far end takes nothing of what is there.
func TestARepliesEndThatNobodyHeardClearsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, l := behind(t, func(r llm.Request) (string, []llm.ToolCall, error) {
			if strings.Contains(r.Messages[len(r.Messages)-1].Content, "five") {
				return "Then it is five.", nil, nil
			}
			time.Sleep(1500 * ms)
			return story, nil, nil
		})
		c.say("it is number four.", time.Second).wait(1200 * ms)
		c.say("no five.", 600*ms).wait(5 * time.Second)
		if len(l.flushed()) != 0 {
			t.Errorf("flushed %v", l.flushed())
		}
		c.hangUp()
	})
}

// leadLeg pulls its source 120 ms ahead, the most that a far end may be given,
// and keeps what it was given in step with real time.
type leadLeg struct {
	*farLeg
	lead  [][]int16
	given int // frames with sound
	first time.Time
	worst time.Duration // given beyond what could be heard by then
}

func (l *leadLeg) Connect(in audio.Sink, out audio.Source) {
	l.mu.Lock()
	l.source = out
	l.mu.Unlock()
	if out == nil {
		l.Leg.Connect(in, nil)
		return
	}
	l.Leg.Connect(in, l)
}

func (l *leadLeg) Next(dst []int16) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.source != nil && len(l.lead) <= 6 {
		frame := make([]int16, len(dst))
		if l.source.Next(frame) {
			if l.given == 0 {
				l.first = time.Now()
			}
			l.given++
			l.worst = max(l.worst, time.Duration(l.given)*audio.FrameTime-time.Since(l.first))
		}
		l.lead = append(l.lead, frame)
	}
	if len(l.lead) == 0 {
		return false
	}
	copy(dst, l.lead[0])
	l.lead = l.lead[1:]
	return true
}

// The engine's part of it: what waits in us goes out as it is pulled, never
// faster, however fast the voice gives it, through a pause and a barge-in. That
// a far end is not pulled for faster is its leg's.
func TestNothingIsHandedOverAheadOfRealTime_INV44(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := prepare(t, &agent.Agent{Name: "a"}, says(story+" "+story)).engine()
		l := &leadLeg{farLeg: &farLeg{Leg: c.leg}}
		go func() {
			c.e.ServeCall(t.Context(), l)
			close(c.ended)
		}()
		c.wait(500*ms).say("tell me a story.", time.Second).wait(4 * time.Second)
		c.leg.Speak(400 * ms) // a cough: paused and gone on with, a bit of it again
		c.wait(6*time.Second).say("no, another one.", time.Second).wait(25 * time.Second)
		l.mu.Lock()
		given, worst := time.Duration(l.given)*audio.FrameTime, l.worst
		l.mu.Unlock()
		if given < 15*time.Second || worst > 120*ms {
			t.Errorf("%v was given, at the worst %v ahead", given, worst)
		}
		for _, e := range c.find(EventTurnAgent) {
			heard, _ := e.Get("heard_ms").(int64)
			if time.Duration(heard)*time.Millisecond > given {
				t.Errorf("%d ms were heard of %v", heard, given)
			}
		}
		c.want(`"event":"speech.resumed"`, `"event":"speech.interrupted"`).hangUp()
	})
}
