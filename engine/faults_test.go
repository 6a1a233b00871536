package engine

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/codec"
	"github.com/patchcord/patchcord/audio/stt"
	"github.com/patchcord/patchcord/audio/tts"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/internal/testkit"
	"github.com/patchcord/patchcord/llm"
)

var errDown = errors.New("provider is down")

func word(text string) testkit.Cue[llm.Delta] {
	return testkit.Cue[llm.Delta]{After: 20 * ms, Give: llm.Delta{Kind: llm.Text, Text: text}}
}

func called(id, name, args string) testkit.Cue[llm.Delta] {
	return testkit.Cue[llm.Delta]{Give: llm.Delta{
		Kind: llm.ToolReady, ToolCall: llm.ToolCall{ID: id, Name: name, Args: json.RawMessage(args)},
	}}
}

var (
	finished = testkit.Cue[llm.Delta]{Give: llm.Delta{Kind: llm.Done, Finish: "stop"}}
	stall    = testkit.Cue[llm.Delta]{After: testkit.Never}
	broken   = testkit.Cue[llm.Delta]{After: 50 * ms, Err: errDown}
	sentence = word("Your order was shipped yesterday by train. ")
)

// model follows cues; every request gets the same.
func model(cues ...testkit.Cue[llm.Delta]) llm.Provider {
	return testkit.Model(func(ctx context.Context, _ llm.Request) (llm.Stream, error) {
		return testkit.Perform(ctx, cues...), nil
	})
}

func TestModelFaultsNeverLeaveTheCallerAlone_INV37(t *testing.T) {
	for _, c := range []struct {
		name  string
		model llm.Provider
		want  []string
	}{
		{
			"refuses", testkit.Model(func(context.Context, llm.Request) (llm.Stream, error) { return nil, errDown }),
			[]string{`"kind":"apology"`, `"event":"provider.failed"`},
		},
		{
			"panics", testkit.Model(func(context.Context, llm.Request) (llm.Stream, error) { panic("nil map") }),
			[]string{`"kind":"apology"`, `"error":"panic: nil map"`},
		},
		{"says nothing", model(finished), []string{`"kind":"apology"`}},
		{"says only marks", model(word("*** "), finished), []string{`"kind":"apology"`}},
		{"stalls at once", model(stall), []string{`"event":"dead_air"`, `"kind":"filler"`, `"kind":"apology"`}},
		{"is cut before words", model(broken), []string{`"kind":"apology"`}},
		{
			"is cut after words", model(sentence, broken),
			[]string{`"heard_text":"Your order was shipped yesterday by train."`, `"kind":"apology"`},
		},
		{
			"stalls after words", model(sentence, stall),
			[]string{`"heard_text":"Your order was shipped yesterday by train."`, `"error":"stalled"`, `"kind":"apology"`},
		},
		{"is cut after a tool's arguments (conv:L7)", model(called("a", "check", `{}`), broken), []string{`"kind":"apology"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				effect := checkTool(time.Second)
				k := prepare(t, &agent.Agent{Name: "a"}, nil, effect)
				k.cfg.LLM[""] = c.model
				k.start().wait(500*ms).say("where is my order?", time.Second).wait(25 * time.Second)
				k.want(c.want...).say("hello?", time.Second).wait(5 * time.Second)
				k.want(`"text":"hello?","turn":2`).hangUp().want(`"end_reason":"hangup"`)
				if len(effect.runs) != 0 {
					t.Error("a tool ran whose completion was cut")
				}
			})
		})
	}
}

func TestModelThatFailsThriceEndsTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := prepare(t, &agent.Agent{Name: "a"}, nil)
		k.cfg.LLM[""] = model(broken)
		k.start().wait(500 * ms)
		for range 3 {
			k.say("where is my order?", time.Second).wait(8 * time.Second)
		}
		k.over().want(`"end_reason":"vendor_failed"`, `"kind":"goodbye"`)
	})
}

func TestReplyIsAMinuteAtMost_convL8(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := prepare(t, &agent.Agent{Name: "a"}, nil)
		k.cfg.LLM[""] = testkit.Model(func(ctx context.Context, _ llm.Request) (llm.Stream, error) {
			return &endless{ctx}, nil
		})
		k.start().wait(500*ms).say("tell me all.", time.Second).wait(90 * time.Second)
		bursts := k.leg.Spoken()
		if d := bursts[0].To - bursts[0].From; d < 55*time.Second || d > 70*time.Second {
			t.Errorf("spoke for %v", d)
		}
		k.hangUp()
	})
}

// endless is a model that never ends.
type endless struct {
	ctx context.Context //nolint:containedctx // the stream's own
}

func (e *endless) Next() (llm.Delta, error) {
	select {
	case <-time.After(10 * ms):
		return llm.Delta{Kind: llm.Text, Text: "And then it went on for a while. "}, nil
	case <-e.ctx.Done():
		return llm.Delta{}, e.ctx.Err()
	}
}

func (e *endless) Close() error { return nil }

// humming is some sound of a voice at 8 kHz.
func humming(d time.Duration) testkit.Cue[tts.Chunk] {
	pcm := make([]int16, d*8000/time.Second)
	for i := range pcm {
		pcm[i] = int16(8000 * (1 - 2*(i/8%2)))
	}
	return testkit.Cue[tts.Chunk]{Give: tts.Chunk{PCM: pcm, Rate: 8000}}
}

// voice follows cues for every sentence.
func voiceOf(cues ...testkit.Cue[tts.Chunk]) tts.Provider {
	return testkit.Voice(func(ctx context.Context, _ tts.Request) (tts.Stream, error) {
		return testkit.Perform(ctx, cues...), nil
	})
}

func TestVoiceFaults_INV38(t *testing.T) {
	dead := testkit.Cue[tts.Chunk]{After: testkit.Never}
	for _, c := range []struct {
		name     string
		voice    tts.Provider
		want     []string
		fallback bool
	}{
		{
			"refuses", testkit.Voice(func(context.Context, tts.Request) (tts.Stream, error) { return nil, errDown }),
			[]string{`"event":"provider.failed"`},
			false,
		},
		{
			"panics", testkit.Voice(func(context.Context, tts.Request) (tts.Stream, error) { panic("oh") }),
			[]string{`"error":"panic: oh"`},
			false,
		},
		{"gives no sound (conv:S11)", voiceOf(), []string{`"error":"the voice answered without any sound"`}, false},
		{"stalls at once", voiceOf(dead), []string{`"error":"the voice gave no sound in time"`}, false},
		{"refuses, and another speaks", testkit.Voice(func(context.Context, tts.Request) (tts.Stream, error) {
			return nil, errDown
		}), []string{`"event":"provider.fallback"`, `"heard_text":"Your order was shipped yesterday by train."`}, true},
		{
			"stalls in a sentence, and another says the rest (conv:S10)", voiceOf(humming(time.Second), dead),
			[]string{`"event":"provider.failed"`, `"heard_text":"Your order was shipped yesterday by train."`},
			true,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &agent.Agent{Name: "a"}
				k := prepare(t, a, says("Your order was shipped yesterday by train."))
				k.cfg.TTS[""] = c.voice
				if c.fallback {
					a.TTS = "first"
					k.cfg.TTS["first"], k.cfg.TTS[""] = c.voice, k.tts
				}
				k.start().wait(500*ms).say("where is my order?", time.Second).wait(12 * time.Second)
				k.want(c.want...).hangUp().want(`"end_reason":"hangup"`)
				if !c.fallback {
					k.not(`"heard_text":"Your order`)
				}
			})
		})
	}
}

func TestHalfASentenceIsNotHeardWhole_INV19(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := prepare(t, &agent.Agent{Name: "a"}, says("Your order was shipped yesterday by train from the north."))
		k.cfg.TTS[""] = voiceOf(humming(time.Second), testkit.Cue[tts.Chunk]{Err: errDown})
		k.start().wait(500*ms).say("where is my order?", time.Second).wait(8 * time.Second).hangUp()
		for _, it := range k.log.last.Transcript {
			if it.Role == "agent" && it.HeardText != "Your order train from" { // a second of each piece, at 15 characters a second
				t.Errorf("%q counts as heard", it.HeardText)
			}
		}
		k.want(`"heard_ms":2000`)
	})
}

// flaky is a recogniser that refuses for the first n times.
func flaky(n int, s *testkit.STT) stt.Provider {
	return testkit.Recogniser(func(ctx context.Context, o stt.Options) (stt.Stream, error) {
		if n--; n >= 0 {
			return nil, errDown
		}
		return s.Open(ctx, o)
	})
}

func TestRecogniserThatFailsAtFirstIsHeardLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := prepare(t, &agent.Agent{Name: "a"}, says("Hello."))
		k.cfg.STT[""] = flaky(3, k.stt)
		k.start().wait(3*time.Second).say("where is my order?", time.Second).wait(4 * time.Second)
		k.want(`"kind":"stt"`, `"text":"where is my order?"`, `"heard_text":"Hello."`).hangUp()
	})
}

func TestRecogniserThatNeverOpensIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := prepare(t, &agent.Agent{Name: "a", Greeting: strings.Repeat("I talk and talk. ", 30)}, says("x"))
		k.cfg.STT[""] = testkit.Recogniser(func(ctx context.Context, _ stt.Options) (stt.Stream, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		k.start().wait(7 * time.Second).want(`"error":"the recogniser did not open in time"`)
		k.leg.Speak(2 * time.Second) // proof by force: a deaf agent can still be stopped
		k.wait(3 * time.Second).want(`"proof":"force"`).hangUp()
	})
}

func TestRecogniserThatDropsLosesNothing_INV8(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := dial(t, &agent.Agent{Name: "a"}, says("Hello."))
		k.wait(500 * ms)
		k.stt.Hear("where is my order?")
		k.leg.Speak(time.Second)
		k.wait(300 * ms)
		k.stt.Cut(io.ErrUnexpectedEOF) // in the middle of the caller's words
		k.wait(5*time.Second).want(`"kind":"stt"`, `"text":"where is my order?"`, `"heard_text":"Hello."`)
		// What was said is heard a second time, from 600 ms before it on at most.
		if got, want := k.stt.Heard(), k.leg.Frames()*160; got < want || got > want+8000 {
			t.Errorf("the recogniser got %d samples of %d", got, want)
		}
		if n := strings.Count(k.lines(), `"event":"turn.user"`); n != 1 {
			t.Errorf("%d turns came of it", n)
		}
		k.hangUp()
	})
}

// sluggish is a stream whose connection stands still for a while.
type sluggish struct {
	stt.Stream
	wait time.Duration
}

func (s *sluggish) Send(pcm []int16) error {
	time.Sleep(s.wait)
	s.wait = 0
	return s.Stream.Send(pcm)
}

func TestSlowRecogniserMissesNothing_INV8(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := prepare(t, &agent.Agent{Name: "a"}, says("Hello."))
		k.cfg.STT[""] = testkit.Recogniser(func(ctx context.Context, o stt.Options) (stt.Stream, error) {
			s, err := k.stt.Open(ctx, o)
			return &sluggish{s, 6 * time.Second}, err
		})
		k.start().wait(2*time.Second).say("where is my order?", time.Second).wait(8 * time.Second)
		if got, want := k.stt.Heard(), k.leg.Frames()*160; got != want {
			t.Errorf("the recogniser got %d samples of %d", got, want)
		}
		k.want(`"text":"where is my order?"`).hangUp()
	})
}

func TestRecogniserHearsTheVerySamples_INV8(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		f    audio.Format
		code func(dst []byte, pcm []int16) int
		back func(dst []int16, b []byte) int
	}{
		{audio.Format{Encoding: audio.MuLaw, Rate: 8000}, codec.EncodeMuLaw, codec.DecodeMuLaw},
		{audio.Format{Encoding: audio.ALaw, Rate: 8000}, codec.EncodeALaw, codec.DecodeALaw},
		{audio.Format{Encoding: audio.PCM16, Rate: 16000}, nil, nil}, // G.722
	} {
		l := newListener(c.f, time.Second, newMailbox(0), nil)
		n := audio.Samples(audio.FrameTime, c.f.Rate)
		for i := range 40 {
			pcm, got := make([]int16, n), make([]int16, n)
			for j := range pcm {
				pcm[j] = int16((i*n+j)*7919) >> 1 //nolint:gosec // any value will do
			}
			if c.code != nil { // as it came over the wire
				b := make([]byte, n)
				c.code(b, pcm)
				c.back(pcm, b)
			}
			l.keep(pcm, true, true, time.Now())
			if i == 30 {
				l.grow()
			}
			if m, _, _, _ := l.take(got); m != n || !slices.Equal(got, pcm) {
				t.Fatalf("%s: frame %d is another", c.f.Encoding, i)
			}
		}
	}
}
