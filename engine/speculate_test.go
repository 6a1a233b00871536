package engine

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/audio/stt"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/internal/testkit"
	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/tools"
)

func speculating(on, clause bool) *agent.Agent {
	s := turn.Speculation{Enabled: &on, TTSFirstClause: clause}
	return &agent.Agent{Name: "a", Turn: turn.Policy{Speculation: s}}
}

// utter lets the caller speak for a second, with an interim and a final of a
// streaming recogniser: late is from the end of the speech to the final.
func (c *call) utter(interim, final string, late time.Duration) *call {
	c.leg.Speak(time.Second)
	if interim != "" {
		c.wait(900 * ms)
		c.stt.Interim(interim)
		c.wait(100*ms + late)
	} else {
		c.wait(time.Second + late)
	}
	c.stt.Give(stt.Event{Kind: stt.Final, Text: final, Confidence: 0.9})
	return c
}

// metric is a field of the nth turn.metrics, -1 where there is none.
func (c *call) metric(n int, key string) int64 {
	c.t.Helper()
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	for _, e := range c.log.events {
		if e.Name != EventTurnMetrics {
			continue
		}
		if n--; n == 0 {
			if v, ok := e.Get(key).(int64); ok {
				return v
			}
		}
	}
	return -1
}

// What a reply that is prepared before the turn has ended gains, with a
// recogniser of 120 ms, a model of 300 and a voice of 120: the figures by which
// it is on.
func TestSpeculationGainsTime(t *testing.T) {
	for _, c := range []struct {
		name           string
		interim, final string
		off, on, ahead int64 // ms from the end of speech to the first sound
	}{
		{"a finished sentence", "", "Where is my order?", 740, 620, 620}, // no word is there yet to be spoken
		{"a finished sentence with interims", "Where is my order?", "Where is my order?", 740, 540, 540},
		{"words without an end", "", "where is my order", 1040, 740, 640},
		{"an unfinished phrase", "", "it is the order with", 1620, 1340, 1220},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, v := range []struct {
				on, clause bool
				want       int64
			}{{false, false, c.off}, {true, false, c.on}, {true, true, c.ahead}} {
				synctest.Test(t, func(t *testing.T) {
					k := prepare(t, speculating(v.on, v.clause), says("Yes."))
					k.llm.First, k.llm.Token, k.tts.Delay = 300*ms, 0, 120*ms
					k.start().wait(500*ms).utter(c.interim, c.final, 120*ms).wait(5 * time.Second)
					got := k.metric(1, "v2v_ms")
					t.Logf("on %v, first clause %v: voice to voice %d ms", v.on, v.clause, got)
					if diff := got - v.want; diff < -20 || diff > 20 { // a frame
						t.Errorf("voice to voice %d ms, want about %d", got, v.want)
					}
					k.want(`"heard_text":"Yes."`).hangUp()
					if n := len(k.llm.Asked()); n != 1 {
						t.Errorf("the model was asked %d times", n)
					}
				})
			}
		})
	}
}

// conv:G3, INV30: while the turn is open nothing of the reply is seen or heard:
// no sound, no tool, nothing in the context, no event; and when the caller goes
// on it is as if it had never been.
func TestNothingOfASpeculativeReplyIsObservable_convG3_INV30(t *testing.T) {
	for _, clause := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			tool := checkTool(10 * ms)
			n := 0
			k := prepare(t, speculating(true, clause), func(r llm.Request) (string, []llm.ToolCall, error) {
				if n++; n == 1 {
					return "Hello John, let me see what I can find. ", []llm.ToolCall{{ID: "x", Name: "check", Args: []byte(`{}`)}}, nil
				}
				return "Good morning.", nil, nil
			}, tool)
			k.llm.First = 10 * ms
			k.start().wait(500 * ms)
			before := k.lines()
			k.utter("", "my name is", 150*ms).wait(700 * ms) // unfinished: the turn stays open
			if len(k.llm.Asked()) != 1 || k.lines() != before || len(k.leg.Spoken()) != 0 || len(tool.runs) != 0 {
				t.Errorf("asked %d times, sound %v, runs %d, log:\n%s", len(k.llm.Asked()), k.leg.Spoken(), len(tool.runs), k.lines())
			}
			if slices.Contains(k.tts.Said(), "Hello John, let me see what I can find.") != clause {
				t.Errorf("the voice was asked for %q", k.tts.Said())
			}
			k.utter("", "John Doe.", 150*ms).wait(4 * time.Second)
			k.want(`"text":"my name is John Doe.","turn":1`, `"heard_text":"Good morning."`).not("Hello John", "tool.").hangUp()
			for _, r := range k.llm.Asked()[1:] {
				if len(r.Messages) != 1 || r.Messages[0].Content != "my name is John Doe." {
					t.Errorf("context %+v", r.Messages)
				}
			}
			if s := k.log.last.Speculation; s.Tries != 2 || s.Adopted != 1 || s.Wasted == 0 || len(tool.runs) != 0 {
				t.Errorf("%+v, %d runs", s, len(tool.runs))
			}
		})
	}
}

// What is prepared happens when the turn is taken, whole and once: words,
// tools, the answer to their results.
func TestAdoptedReplyRunsItsTools(t *testing.T) {
	for _, clause := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			tool := checkTool(10 * ms)
			k := prepare(t, speculating(true, clause), func(r llm.Request) (string, []llm.ToolCall, error) {
				if r.Messages[len(r.Messages)-1].Role == llm.ToolRole {
					return "It was shipped.", nil, nil
				}
				return "Let me have a look at that, please. It takes a moment.",
					[]llm.ToolCall{{ID: "x", Name: "check", Args: []byte(`{}`)}}, nil
			}, tool)
			k.llm.First = 10 * ms
			k.start().wait(500*ms).utter("", "where is my order", 150*ms).wait(9 * time.Second)
			k.want(`"heard_text":"Let me have a look at that, please. It takes a moment."`, `"heard_text":"It was shipped."`).hangUp()
			if len(tool.runs) != 1 || len(k.llm.Asked()) != 2 {
				t.Errorf("%d runs, asked %d times", len(tool.runs), len(k.llm.Asked()))
			}
			said := slices.DeleteFunc(k.tts.Said(), func(s string) bool { return !strings.HasPrefix(s, "Let me have") })
			if len(said) != 1 {
				t.Errorf("the first clause was spoken as %q", said)
			}
			if s := k.log.last.Speculation; s != (Speculation{Tries: 1, Adopted: 1}) {
				t.Errorf("%+v", s)
			}
		})
	}
}

// conv:G4, INV45: a discarded reply's work ends at once, and its tokens are
// counted: by the model's own count where it came to one.
func TestDiscardedReplyIsCancelledAndCounted_convG4_INV45(t *testing.T) {
	for _, c := range []struct {
		name string
		cues []testkit.Cue[llm.Delta]
		want int
	}{
		{"counted by the model", []testkit.Cue[llm.Delta]{
			word("Good morning. "), {Give: llm.Delta{Kind: llm.Done, Usage: llm.Usage{Prompt: 40, Completion: 2}}},
		}, 42},
		{"counted by length", []testkit.Cue[llm.Delta]{word("Good morning. "), stall}, 6}, // 24 bytes
		{"before it said anything", []testkit.Cue[llm.Delta]{stall}, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked, open atomic.Int32
				k := prepare(t, speculating(true, false), nil)
				k.cfg.LLM[""] = testkit.Model(func(ctx context.Context, r llm.Request) (llm.Stream, error) {
					cues := []testkit.Cue[llm.Delta]{sentence, finished}
					if r.Messages[0].Content == "my name is" {
						cues = c.cues
						asked.Add(1)
						open.Add(1)
						context.AfterFunc(ctx, func() { open.Add(-1) })
					}
					return testkit.Perform(ctx, cues...), nil
				})
				k.start().wait(500*ms).utter("", "my name is", 150*ms).wait(300 * ms)
				if asked.Load() != 1 {
					t.Error("nothing was prepared")
				}
				k.leg.Speak(500 * ms)
				k.wait(300 * ms).stt.Interim("my name is John")
				synctest.Wait()
				if open.Load() != 0 {
					t.Error("the model still works on what is discarded")
				}
				k.wait(300 * ms).stt.Give(stt.Event{Kind: stt.Final, Text: "John."})
				k.wait(4 * time.Second).hangUp()
				if s := k.log.last.Speculation; s.Wasted != c.want || s.Tries < 1 {
					t.Errorf("%+v, want %d tokens wasted", s, c.want)
				}
			})
		})
	}
}

// A prepared reply whose model fails leaves no trace: the turn is answered as
// if it had not been tried.
func TestSpeculativeFailureIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		k := prepare(t, speculating(true, false), func(llm.Request) (string, []llm.ToolCall, error) {
			if n++; n == 1 {
				return "", nil, errDown
			}
			return "It was shipped.", nil, nil
		})
		k.start().wait(500*ms).utter("", "where is my order", 150*ms).wait(4 * time.Second)
		k.want(`"heard_text":"It was shipped."`).not("provider.failed", "apology").hangUp()
	})
}

// conv:G5: what lands in the context while a reply is prepared makes it
// another question: it is thrown away.
func TestContextThatChangesVoidsWhatIsPrepared_convG5(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		look := checkTool(5 * time.Second) // longer than the first reply waits for it
		look.def.Name = "lookup_caller"
		a := speculating(true, false)
		a.PreCallTools = []string{"lookup_caller"}
		k := prepare(t, a, says("Hello."), look)
		k.start().wait(200*ms).utter("", "hello.", 150*ms).wait(1850 * ms)
		k.utter("", "and my name is", 150*ms).wait(4 * time.Second).hangUp()
		asked := k.llm.Asked()
		if s := k.log.last.Speculation; len(asked) != 3 || s.Tries != 1 || s.Adopted != 0 || s.Wasted == 0 {
			t.Fatalf("asked %d times, %+v:\n%s", len(asked), s, k.lines())
		}
		for i, want := range []bool{false, false, true} {
			knows := slices.ContainsFunc(asked[i].Messages, func(m llm.Message) bool {
				return strings.HasPrefix(m.Content, llm.ContextPrefix)
			})
			if knows != want {
				t.Errorf("question %d was %+v", i, asked[i].Messages)
			}
		}
	})
}

// What is held back is bounded: 4 KB of text, 3 s of sound.
func TestHoldingAreaIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := prepare(t, speculating(true, true), nil)
		k.cfg.LLM[""] = testkit.Model(func(ctx context.Context, r llm.Request) (llm.Stream, error) {
			if len(k.llm.Asked()) > 1 {
				return nil, errors.New("unused")
			}
			return testkit.Perform(ctx, word(strings.Repeat("All our shops are open. ", 8)), stall), nil
		})
		k.cfg.TTS[""] = voiceOf(humming(20*time.Second), humming(20*time.Second))
		k.start().wait(500*ms).utter("", "and my name is", 150*ms).wait(900 * ms)
		s := k.session()
		if q := s.out.Queued(uint64(s.ahead.g)); q != heldSound {
			t.Errorf("%v of sound are held back, want %v", q, heldSound)
		}
		k.wait(5 * time.Second)
		if sp := k.leg.Spoken(); len(sp) == 0 {
			t.Error("what was held back was not heard")
		}
		k.hangUp()

		k = prepare(t, speculating(true, false), nil)
		k.cfg.LLM[""] = model(word(strings.Repeat("All our shops are open. ", 300)), finished)
		k.start().wait(500*ms).utter("", "and my name is", 150*ms).wait(700 * ms)
		if s := k.session(); s.ahead != nil {
			t.Error("7 KB of words are held back")
		}
		k.hangUp()
	})
}

// session is the one call of the engine.
func (c *call) session() *session {
	c.e.mu.Lock()
	defer c.e.mu.Unlock()
	for _, s := range c.e.calls {
		return s
	}
	return nil
}

// preparing is a tool that begins before it is known whether it is called.
type preparing struct {
	*tool
	prepared []string
	dropped  int
}

func (p *preparing) Prepare(c tools.Call) func() {
	p.prepared = append(p.prepared, string(c.Args))
	return func() { p.dropped++ }
}

// What a tool would have to wait for begins while the turn is still open, and
// is dropped with the reply that wanted it.
func TestToolsOfASpeculativeReplyArePrepared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tool := &preparing{tool: checkTool(10 * ms)}
		k := prepare(t, speculating(true, false), func(r llm.Request) (string, []llm.ToolCall, error) {
			last := r.Messages[len(r.Messages)-1]
			if last.Role == llm.ToolRole {
				return "Good morning.", nil, nil
			}
			args, err := json.Marshal(map[string]string{"query": last.Content})
			return "", []llm.ToolCall{{ID: "x", Name: "check", Args: args}}, err
		}, tool)
		k.llm.First = 10 * ms
		k.start().wait(500*ms).utter("", "my name is", 150*ms).wait(700 * ms) // unfinished: the turn stays open
		if len(tool.prepared) != 1 || tool.prepared[0] != `{"query":"my name is"}` || tool.dropped != 0 || len(tool.runs) != 0 {
			t.Errorf("prepared %v, dropped %d, runs %d", tool.prepared, tool.dropped, len(tool.runs))
		}
		k.utter("", "John Doe.", 150*ms).wait(4 * time.Second)
		k.want(`"heard_text":"Good morning."`).hangUp()
		if len(tool.prepared) != 2 || tool.prepared[1] != `{"query":"my name is John Doe."}` || tool.dropped != 1 ||
			len(tool.runs) != 1 {
			t.Errorf("prepared %v, dropped %d, runs %d", tool.prepared, tool.dropped, len(tool.runs))
		}
	})
}
