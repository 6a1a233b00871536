package engine

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/patchcord/patchcord/audio/stt"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/llm"
)

const story = "Once upon a time there was a small shop that sold lamps of every kind to people from all over the " +
	"country, and its owner knew each of them by name."

// find is all events of a name.
func (c *call) find(name string) (out []Event) {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	for _, e := range c.log.events {
		if e.Name == name {
			out = append(out, e)
		}
	}
	return out
}

func TestNothingOfACancelledReplyIsHeard_INV1(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		k := dial(t, &agent.Agent{Name: "a"}, func(llm.Request) (string, []llm.ToolCall, error) {
			if n++; n > 1 {
				time.Sleep(2 * time.Second)
			}
			return story, nil, nil
		})
		k.wait(500*ms).say("tell me a story.", time.Second).wait(4 * time.Second)
		k.leg.Speak(1200 * ms)
		k.stt.Hear("no, another one please")
		k.wait(300 * ms)
		k.stt.Interim("no, another")
		k.wait(2 * time.Second)
		stop := k.find(EventSpeechInterupted)
		if len(stop) != 1 {
			t.Fatalf("interrupted %d times:\n%s", len(stop), k.lines())
		}
		for _, b := range k.leg.Spoken() {
			if b.To > stop[0].At+40*ms && b.From < stop[0].At+1500*ms {
				t.Errorf("heard from %v to %v, cancelled at %v", b.From, b.To, stop[0].At)
			}
		}
		k.hangUp()
	})
}

func TestTwoInterruptionsInARow_INV20_INV21(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := dial(t, &agent.Agent{Name: "a"}, says(story))
		k.wait(500*ms).say("tell me a story.", time.Second).wait(5 * time.Second)
		k.say("no, another one.", time.Second).wait(5 * time.Second)
		k.say("stop, tell me a shorter one.", time.Second).wait(14 * time.Second).hangUp()
		var said []Item
		for _, it := range k.log.last.Transcript {
			if it.Role == "agent" {
				said = append(said, it)
			}
		}
		if len(said) != 3 || !said[0].Interrupted || !said[1].Interrupted || said[2].Interrupted || k.log.last.BargeIns != 2 {
			t.Fatalf("said %+v", said)
		}
		for i, e := range k.find(EventTurnAgent)[:2] {
			played := float64(e.Get("heard_ms").(int64))/1000 - lag.Seconds() //nolint:forcetypeassert // F makes it so
			exact := len(strings.Fields(story[:int(played*15)]))
			if got := len(strings.Fields(said[i].HeardText)); got > exact+1 || got < exact-3 {
				t.Errorf("%d words are kept of %d heard", got, exact)
			}
		}
		last := k.llm.Asked()[2].Messages
		want := []llm.Role{llm.User, llm.Assistant, llm.User, llm.Assistant, llm.User}
		for i, m := range last {
			if i >= len(want) || m.Role != want[i] || m.Role == llm.Assistant && !strings.HasSuffix(m.Content, cutMark) {
				t.Errorf("message %d is %+v", i, m)
			}
		}
	})
}

func TestEveryReplyEndsInTheLog_INV22(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, seen := observer.New(zapcore.DebugLevel)
		k := prepare(t, &agent.Agent{Name: "a", Greeting: "Hello."}, says("Yes."))
		k.cfg.Log = zap.New(core)
		k.start().wait(3 * time.Second)
		k.llm.First = 1900 * ms
		k.say("my order is late.", time.Second).wait(1800 * ms) // its reply is thought …
		k.say("it is number four.", time.Second).wait(4 * time.Second).hangUp()
		if n := len(k.find(EventTurnAgent)); n != 2 {
			t.Errorf("%d replies were heard:\n%s", n, k.lines())
		}
		if n := seen.FilterMessage("reply over").FilterField(zap.String("reason", "absorbed")).Len(); n != 1 {
			t.Errorf("%d replies were absorbed", n)
		}
		for _, e := range seen.FilterMessage("call ended").All() {
			if ms := e.ContextMap()["first_audio_ms"]; ms == int64(0) {
				t.Error("no first_audio_ms")
			}
		}
	})
}

func TestGreetingSoundsWithTheAnswer_convH1(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := prepare(t, &agent.Agent{Name: "a", Greeting: "Hello, how can I help?"}, says("x"))
		k.tts.Delay = time.Second
		k.start().wait(4 * time.Second).hangUp()
		first := k.leg // the phrase is kept now
		k.leg = newLegLike(first)
		k.ended = make(chan struct{})
		go func() {
			k.e.ServeCall(t.Context(), k.leg)
			close(k.ended)
		}()
		k.wait(2 * time.Second)
		if b := k.leg.Spoken(); len(b) == 0 || b[0].From > 100*ms {
			t.Errorf("the greeting was heard at %v", b)
		}
		k.log.ends = 0
		k.hangUp()
	})
}

func TestAgentWithoutPromptOrGreeting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, a := range []*agent.Agent{{}, {Name: "a", Greeting: " ", Prompt: "  "}} {
			k := dial(t, a, says("Yes."))
			k.wait(2*time.Second).say("hello?", time.Second).wait(4 * time.Second).want(`"heard_text":"Yes."`).hangUp()
			if m := k.llm.Asked()[0].Messages; len(m) != 1 || m[0].Role != llm.User {
				t.Errorf("asked with %+v", m)
			}
		}
	})
}

func TestMoreWordsAfterAWordOfOursComeLast_INV23(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := dial(t, &agent.Agent{Name: "a"}, says("Yes I see that you are here, go on."))
		k.wait(500*ms).say("my name is John.", time.Second).wait(1730 * ms)
		k.leg.Speak(700 * ms) // the agent has just begun
		k.stt.Hear("Doe.")
		k.wait(300 * ms)
		k.stt.Interim("Doe")
		k.wait(4*time.Second).want(`"text":"my name is John. Doe."`, `"rev":1`).hangUp()
		last := k.llm.Asked()[1].Messages
		if m := last[len(last)-1]; m.Role != llm.User || m.Content != "my name is John. Doe." {
			t.Errorf("asked with %+v", last)
		}
	})
}

// The recogniser's events, told twice or late, make the same turns.
func TestLateAndDoubledEventsChangeNoWords_INV17_convB11(t *testing.T) {
	run := func(t *testing.T, delay func() time.Duration, twice bool) (turns []string) {
		synctest.Test(t, func(t *testing.T) {
			k := dial(t, &agent.Agent{Name: "a"}, says("I see."))
			k.wait(500 * ms)
			for _, text := range []string{"where is my order?", "it was a lamp.", "thank you very much."} {
				k.leg.Speak(time.Second)
				k.wait(700 * ms)
				k.stt.Interim(text[:6])
				k.wait(600*ms + delay())
				final := stt.Event{Kind: stt.Final, Text: text, Confidence: 0.9}
				k.stt.Give(final)
				if twice {
					k.wait(delay())
					k.stt.Give(final)
				}
				k.wait(4 * time.Second)
			}
			k.hangUp()
			seen := map[int]bool{}
			for _, it := range k.log.last.Transcript {
				if it.Role == "user" {
					turns = append(turns, it.Text)
					if seen[it.Turn] {
						t.Errorf("two items of turn %d", it.Turn)
					}
					seen[it.Turn] = true
				}
			}
		})
		return turns
	}
	want := []string{"where is my order?", "it was a lamp.", "thank you very much."}
	for i := range 12 {
		rnd := rand.New(rand.NewPCG(1, uint64(i))) //nolint:gosec // a small number
		got := run(t, func() time.Duration { return time.Duration(rnd.IntN(1200)) * ms }, i%2 == 1)
		if !slices.Equal(got, want) {
			t.Errorf("delays of run %d: the caller said %q", i, got)
		}
	}
}

func TestReplyWaitsForNoEffectOfItsOwn_INV27(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bookTool(100 * ms)
		b.def.Speech.Success = nil
		k := dial(t, &agent.Agent{Name: "a"}, func(r llm.Request) (string, []llm.ToolCall, error) {
			if len(results(r)) > 0 {
				return "All done.", nil, nil
			}
			return "Let me do that for you right now.", []llm.ToolCall{{ID: "b", Name: "book"}}, nil
		}, b)
		k.wait(500*ms).say("book it.", time.Second).wait(2 * time.Second)
		k.say("stop, what was that?", time.Second).wait(6 * time.Second) // in the words beside the call
		k.want(`"event":"speech.interrupted"`, `"heard_text":"All done."`).hangUp()
	})
}
