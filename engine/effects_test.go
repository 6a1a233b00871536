package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/tools"
)

// book is a model that books once and then talks.
func book(r llm.Request) (string, []llm.ToolCall, error) {
	last := r.Messages[len(r.Messages)-1]
	if last.Role == llm.ToolRole {
		return "Done, it is booked for you on Monday at nine.", nil, nil
	}
	for _, m := range r.Messages {
		if len(m.ToolCalls) > 0 {
			return "Your booking is still on its way.", nil, nil
		}
	}
	return "", []llm.ToolCall{{ID: "call_0", Name: "book", Args: json.RawMessage(`{}`)}}, nil
}

func bookTool(d time.Duration) *tool {
	return &tool{
		def: tools.Definition{
			Name: "book", Class: tools.Effect, Speech: tools.Speech{Bridging: "One moment, I am booking that for you now."},
		},
		d: d, json: `{"booked":true}`,
	}
}

func results(r llm.Request) (out []string) {
	for _, m := range r.Messages {
		if m.Role == llm.ToolRole {
			out = append(out, m.Content)
		}
	}
	return out
}

func TestModelThatCountsItsCallsFromZeroAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		look := checkTool(100 * ms)
		k := dial(t, &agent.Agent{Name: "a"}, func(r llm.Request) (string, []llm.ToolCall, error) {
			last := r.Messages[len(r.Messages)-1]
			if last.Role == llm.ToolRole {
				return "It says " + last.Content, nil, nil
			}
			args := json.RawMessage(fmt.Sprintf(`{"q":%q}`, last.Content))
			return "", []llm.ToolCall{{ID: "call_0", Name: "check", Args: args}}, nil
		}, look)
		k.wait(500*ms).say("first.", time.Second).wait(6 * time.Second)
		k.say("second.", time.Second).wait(6 * time.Second)
		k.want(`"tool_call_id":"call_0"`, `"tool_call_id":"call_0-2"`).hangUp()
		asked := k.llm.Asked()
		if len(asked) != 4 || len(look.runs) != 2 {
			t.Fatalf("asked %d times, ran %d times", len(asked), len(look.runs))
		}
		if got := results(asked[3]); len(got) != 2 || strings.Contains(got[1], "running") {
			t.Errorf("results %q", got)
		}
	})
}

// stubborn is a tool that does not end when it is told to.
type stubborn struct{ tool }

func (s *stubborn) Run(context.Context, tools.Call) tools.Result {
	time.Sleep(time.Minute)
	return tools.Result{JSON: json.RawMessage(`{"late":true}`), Status: tools.OK}
}

func TestToolEndsWithinItsTimeout_INV26_convW3(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stubborn{tool{def: tools.Definition{Name: "check", Class: tools.Read, TimeoutSecs: 3}}}
		k := dial(t, &agent.Agent{Name: "a"}, order, s)
		k.wait(500*ms).say("where is my order?", time.Second).wait(8 * time.Second)
		k.want(`"status":"timeout","ms":3100`, `It says {\"error\":\"timeout\"}`).not("late").hangUp()
		time.Sleep(time.Minute)
	})
}

// A tool that is told to end because its time is over may say so before the call
// has heard it: what counts is that nothing came of it in time, and its failure
// sentence is heard.
func TestToolThatIsToldToEndHasTimedOut_INV26(t *testing.T) {
	s := &session{work: newMailbox(0)}
	s.tooLate("t1", func() {
		s.work.put(toolResult{id: "t1", r: tools.ErrorResult(tools.Cancelled, "cancelled", "")})
	})
	item, _ := s.work.take()
	if first, ok := item.(toolResult); !ok || first.r.Status != tools.TimedOut || !first.late {
		t.Errorf("its result is %+v", item)
	}
}

func TestNonsenseOfAToolIsAResult_convW4(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := checkTool(100 * ms)
		n.json = "<html>"
		k := dial(t, &agent.Agent{Name: "a"}, order, n)
		k.wait(500*ms).say("where is my order?", time.Second).wait(6 * time.Second)
		k.want(`"status":"error"`, `It says {\"error\":\"invalid_response\"}`).hangUp()
	})
}

func TestModelInALoopIsStopped_convW5(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		look, n := checkTool(10*ms), 0
		k := dial(t, &agent.Agent{Name: "a"}, func(llm.Request) (string, []llm.ToolCall, error) {
			n++
			args := json.RawMessage(fmt.Sprintf(`{"q":%d}`, n))
			return "", []llm.ToolCall{{ID: "1", Name: "check", Args: args}}, nil
		}, look)
		k.wait(500*ms).say("where is my order?", time.Second).wait(10 * time.Second)
		asked := k.llm.Asked()
		if len(asked) != 6 || asked[5].ToolChoice != "none" || len(look.runs) > 5 {
			t.Errorf("asked %d times, ran %d times", len(asked), len(look.runs))
		}
		k.want(`"kind":"apology"`, `"event":"tool.refused"`).hangUp()
	})
}

func TestCallerSpeaksWhileAnEffectRuns_convW10(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bookTool(6 * time.Second)
		k := dial(t, &agent.Agent{Name: "a"}, book, b)
		k.wait(500*ms).say("book it.", time.Second).wait(2 * time.Second)
		k.say("and how is the weather?", 1500*ms).wait(4900 * ms)
		k.want(`"event":"speech.interrupted"`, `"text":"and how is the weather?","turn":2`,
			`"heard_text":"Your booking is still on its way."`)
		k.wait(5*time.Second).say("is it there?", time.Second).wait(4 * time.Second).hangUp()
		asked := k.llm.Asked()
		if got := results(asked[1]); len(got) != 1 || got[0] != `{"status":"running"}` {
			t.Errorf("asked with %q (INV24)", got)
		}
		if got := results(asked[len(asked)-1]); len(got) != 1 || got[0] != `{"booked":true}` {
			t.Errorf("asked with %q", got)
		}
		if len(b.runs) != 1 {
			t.Errorf("booked %d times", len(b.runs))
		}
	})
}

func TestMoreWordsDoNotBookTwice_convW6(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bookTool(8 * time.Second)
		b.def.Speech.Bridging = "" // nothing is heard: the words go into the same turn
		again := func(r llm.Request) (string, []llm.ToolCall, error) {
			if len(results(r)) > 1 {
				return "It is being booked.", nil, nil
			}
			return "", []llm.ToolCall{{ID: "c", Name: "book", Args: json.RawMessage(`{}`)}}, nil
		}
		k := dial(t, &agent.Agent{Name: "a"}, again, b)
		k.wait(500*ms).say("book it.", time.Second).wait(3 * time.Second)
		k.say("for two, please.", time.Second).wait(10 * time.Second)
		k.want(`"text":"book it. for two, please."`, `"event":"tool.refused"`).hangUp()
		if len(b.runs) != 1 {
			t.Errorf("booked %d times", len(b.runs))
		}
	})
}

func TestAnswerAfterAToolIsInterrupted_convW11(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := dial(t, &agent.Agent{Name: "a"}, book, bookTool(100*ms))
		k.wait(500*ms).say("book it.", time.Second).wait(2500 * ms)
		k.say("stop, wait.", time.Second).wait(5 * time.Second)
		k.want(`"event":"speech.interrupted"`).hangUp()
		asked := k.llm.Asked()
		if got := results(asked[len(asked)-1]); len(got) != 1 || got[0] != `{"booked":true}` {
			t.Errorf("the next request has %q", got)
		}
	})
}

func TestHangUpLetsEffectsFinish_convW16(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, look := bookTool(12*time.Second), checkTool(12*time.Second)
		b.def.TimeoutSecs = 20
		k := dial(t, &agent.Agent{Name: "a"}, func(llm.Request) (string, []llm.ToolCall, error) {
			return "", []llm.ToolCall{{ID: "b", Name: "book"}, {ID: "c", Name: "check"}}, nil
		}, b, look)
		k.wait(500*ms).say("book it.", time.Second).wait(3 * time.Second).hangUp()
		k.want(`"tool":"check","tool_call_id":"c","status":"cancelled"`,
			`"tool":"book","tool_call_id":"b","status":"ok","ms":12000`, `"end_reason":"hangup"`)
		found := false
		for _, it := range k.log.last.Transcript {
			found = found || it.Tool == "book" && it.Text == `{"booked":true}`
		}
		if !found {
			t.Errorf("the record has %+v", k.log.last.Transcript)
		}
		if d := k.log.last.Duration(); d > 10*time.Second {
			t.Errorf("the call lasted %v: the tool is no part of it", d)
		}
	})
}

func TestToolThatNeverEndsClosesTheRecord_INV32(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stubborn{*bookTool(0)}
		k := dial(t, &agent.Agent{Name: "a"}, book, s)
		k.wait(500*ms).say("book it.", time.Second).wait(2 * time.Second)
		before := time.Now()
		if k.hangUp(); time.Since(before) > 31*time.Second {
			t.Errorf("the record was closed after %v", time.Since(before))
		}
		time.Sleep(time.Minute)
	})
}

func TestPreCallToolIsFinishedInTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		look := &tool{def: tools.Definition{Name: "lookup_caller"}, d: 8 * time.Second, json: `{"name":"Priya"}`}
		a := &agent.Agent{Name: "a", Greeting: "Hello.", PreCallTools: []string{"lookup_caller"}}
		dial(t, a, says("x"), look).wait(time.Second).hangUp().
			want(`"event":"tool.finished"`, `"status":"cancelled"`)
	})
}

// The prompt and the greeting may speak of what the lookup found, and the model
// has all of it before its first reply (the seed's own example).
func TestPromptOverTheCallerContext_D25(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		look := &tool{
			def: tools.Definition{Name: "lookup_caller"}, d: 300 * ms,
			json: `{"name":"Priya","account_tier":"premium","open_tickets":1}`,
		}
		a := &agent.Agent{
			Name: "premium-support", PreCallTools: []string{"lookup_caller"}, Greeting: "Hello {{lookup_caller.name}}.",
			Prompt: "If they have open tickets, ask about them. Their tier is {{lookup_caller.account_tier}}.",
		}
		k := dial(t, a, func(r llm.Request) (string, []llm.ToolCall, error) { // it does as its prompt says
			for _, m := range r.Messages {
				if m.Data && strings.Contains(m.Content, `"open_tickets":1`) {
					return "Is it about your open ticket?", nil, nil
				}
			}
			return "How can I help?", nil, nil
		}, look)
		k.wait(3*time.Second).say("hello.", time.Second).wait(4 * time.Second)
		k.want(`"heard_text":"Hello Priya."`, `"heard_text":"Is it about your open ticket?"`).hangUp()
		const want = "If they have open tickets, ask about them. Their tier is premium."
		if got := system(k.llm.Asked()[0]); got != want {
			t.Errorf("asked with %q", got)
		}
	})
}

func TestWordsWhileTheGreetingWaitsAreKept_INV12(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		look := &tool{def: tools.Definition{Name: "lookup_caller"}, d: 2 * time.Second, json: `{"name":"Priya"}`}
		a := &agent.Agent{
			Name: "a", Greeting: "Hello {{lookup_caller.name}}.", PreCallTools: []string{"lookup_caller"},
		}
		k := dial(t, a, says("Fine."), look)
		k.stt.Interim("hello")
		k.say("hello there.", 300*ms).wait(6 * time.Second).want(`"text":"hello there."`).not(`"reason":"draining"`).hangUp()
	})
}

func TestBridgingSentenceThatWasHeardIsNotHeardAgain_convW7(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		look := checkTool(50 * ms)
		k := dial(t, &agent.Agent{Name: "a"}, order, look)
		k.wait(500*ms).say("where is it?", time.Second).wait(7 * time.Second)
		look.d = 3 * time.Second
		k.say("and the other?", time.Second).wait(10 * time.Second)
		k.say("and the third?", time.Second).wait(10 * time.Second).hangUp()
		k.want(`"heard_text":"One moment,"`, `"heard_text":"One moment, please."`, `"heard_text":"Just a second."`)
	})
}

func TestBridgingSentenceIsInterrupted_convW9(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		look := checkTool(8 * time.Second)
		k := dial(t, &agent.Agent{Name: "a"}, func(r llm.Request) (string, []llm.ToolCall, error) {
			if strings.Contains(r.Messages[len(r.Messages)-1].Content, "forget it") {
				return "Alright then.", nil, nil
			}
			return order(r)
		}, look)
		k.wait(500*ms).say("where is my order?", time.Second).wait(1900 * ms)
		k.say("no, forget it.", 800*ms).wait(4 * time.Second)
		k.want(`"kind":"bridge"`, `"proof":"stop"`, `"status":"cancelled"`, `"heard_text":"Alright then."`).hangUp()
		if asked := k.llm.Asked(); len(asked) != 2 {
			t.Errorf("asked %d times", len(asked))
		}
	})
}
