package engine

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/stt"
	"github.com/patchcord/patchcord/audio/tts"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/internal/testkit"
	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/telephony"
)

// idle is a leg without a clock of its own: the bench moves it.
type idle struct {
	*testkit.Leg
	events chan telephony.Event // 1: its end
	joined chan struct{}        // closed when it has its sound
	sink   audio.Sink
	source audio.Source
}

func (l *idle) Answer(context.Context) error                  { return nil }
func (l *idle) Events() <-chan telephony.Event                { return l.events }
func (l *idle) Hangup(context.Context, telephony.Cause) error { return nil }

func (l *idle) Connect(in audio.Sink, out audio.Source) {
	if l.sink == nil {
		l.sink, l.source = in, out
		close(l.joined)
	}
}

// BenchmarkIdleCalls is what a call that is up and quiet keeps: heap and stack
// bytes and goroutines, of the engine alone, after each has heard 4 s.
func BenchmarkIdleCalls(b *testing.B) {
	const calls = 200
	for b.Loop() {
		e, err := New(Config{
			Directory: directory{a: &agent.Agent{Name: "a", Prompt: "You help."}}, Journal: &journal{},
			STT: map[string]stt.Provider{"": &testkit.STT{}}, TTS: map[string]tts.Provider{"": &testkit.TTS{}},
			LLM: map[string]llm.Provider{"": &testkit.LLM{}},
		})
		if err != nil {
			b.Fatal(err)
		}
		heap, stack, routines := memory()
		legs := make([]*idle, calls)
		for i := range legs {
			legs[i] = &idle{
				Leg: testkit.NewLeg(telephony.CallID(fmt.Sprint("call-", i))), events: make(chan telephony.Event, 1),
				joined: make(chan struct{}),
			}
			go e.ServeCall(b.Context(), legs[i])
		}
		for _, l := range legs {
			<-l.joined
		}
		pcm := make([]int16, 160)
		for at := time.Duration(0); at < 4*time.Second; at += audio.FrameTime {
			for _, l := range legs {
				l.sink.Hear(audio.Frame{PCM: pcm, Rate: 8000, At: at})
				l.source.Next(pcm)
			}
			time.Sleep(2 * time.Millisecond) // the recognisers keep up
		}
		time.Sleep(200 * time.Millisecond)
		heap2, stack2, routines2 := memory()
		b.ReportMetric(float64(heap2-heap)/calls, "heap-B/call")
		b.ReportMetric(float64(stack2-stack)/calls, "stack-B/call")
		b.ReportMetric(float64(routines2-routines)/calls, "goroutines/call")
		for _, l := range legs {
			l.events <- telephony.Ended{}
			close(l.events)
		}
		for e.Calls() > 0 {
			time.Sleep(10 * time.Millisecond)
		}
		e.wg.Wait()
	}
}

func memory() (heap, stack int64, goroutines int) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc), int64(m.StackInuse), runtime.NumGoroutine() //nolint:gosec // far below 2^63
}

// BenchmarkCall is a whole call on a virtual clock: greeting, a question, a
// tool with its bridging sentence, the answer, the end; some 15 s of it. It
// tells what the engine and the fakes around it cost together.
func BenchmarkCall(b *testing.B) {
	b.ReportAllocs()
	call := testing.InternalTest{Name: "call", F: func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			k := dial(t, &agent.Agent{Name: "a", Greeting: "Hello, how can I help?"}, order, checkTool(1500*ms))
			k.wait(3*time.Second).say("where is my order?", time.Second).wait(11 * time.Second).hangUp()
			k.want(`"kind":"bridge"`, `It says {`)
		})
	}}
	for b.Loop() { // a bubble needs a test
		if !testing.RunTests(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{call}) {
			b.Fatal("the call failed")
		}
	}
}

func BenchmarkChunks(b *testing.B) {
	words := strings.SplitAfter(story+" "+story+" "+story, " ")
	b.ReportAllocs()
	for b.Loop() {
		c := testChunker("en")
		for _, w := range words {
			c.add(w)
		}
	}
}
