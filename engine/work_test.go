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

// report is a model that starts a slow report and tells of it when it is there.
func report(r llm.Request) (string, []llm.ToolCall, error) {
	last := r.Messages[len(r.Messages)-1]
	switch {
	case last.Data:
		return "Your report is there now.", nil, nil
	case last.Role == llm.ToolRole:
		return "It has been started.", nil, nil
	case strings.Contains(last.Content, "report"):
		return "", []llm.ToolCall{{ID: "r1", Name: "report", Args: json.RawMessage(`{}`)}}, nil
	}
	return "Alright.", nil, nil
}

func reportTool(d time.Duration) *tool {
	return &tool{def: tools.Definition{Name: "report", Class: tools.Async, TimeoutSecs: 60}, d: d, json: `{"pages":12}`}
}

// conv:W15: the model has its answer at once, and the caller the result when
// it is there and both are quiet.
func TestAsyncToolIsToldOfLater_convW15(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := dial(t, &agent.Agent{Name: "a"}, report, reportTool(6*time.Second))
		k.wait(500*ms).say("send me the report.", time.Second).wait(4 * time.Second)
		k.want(`"heard_text":"It has been started."`).not(`"event":"tool.finished"`)
		if got := results(k.llm.Asked()[1]); len(got) != 1 || got[0] != `{"id":"r1","status":"started"}` {
			t.Errorf("the model was told %q", got)
		}
		k.wait(7*time.Second).want(`"event":"tool.finished"`, `"status":"ok","ms":6000`, `"heard_text":"Your report is there now."`)
		asked := k.llm.Asked()
		if len(asked) != 3 {
			t.Fatalf("asked %d times", len(asked))
		}
		last := asked[2].Messages[len(asked[2].Messages)-1]
		if want := `In the meantime: {"id":"r1","tool":"report","status":"finished","result":{"pages":12}}`; last.Content != want || !last.Data {
			t.Errorf("asked with %+v", last)
		}
		k.hangUp()
		n := 0
		for _, it := range k.log.last.Transcript {
			if it.Tool == "report" && it.Text == `{"pages":12}` {
				n++
			}
		}
		if n != 1 {
			t.Errorf("the record has it %d times", n)
		}
	})
}

// conv:W15, conv:W16: a hang-up lets it finish, and the record has what it came to.
func TestHangUpLetsAsyncToolsFinish_convW16(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := dial(t, &agent.Agent{Name: "a"}, report, reportTool(20*time.Second))
		k.wait(500*ms).say("send me the report.", time.Second).wait(5 * time.Second).hangUp()
		k.want(`"tool":"report","tool_call_id":"r1","status":"ok","ms":20000`, `"end_reason":"hangup"`)
	})
}

// conv:W10: what is still at work is not begun again, however the model writes
// its arguments; the caller is told when it is done.
func TestRunningEffectIsNotBegunAgain_convW10(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, n := bookTool(8*time.Second), 0
		k := dial(t, &agent.Agent{Name: "a"}, func(r llm.Request) (string, []llm.ToolCall, error) {
			last := r.Messages[len(r.Messages)-1]
			if last.Data {
				return "It is booked now.", nil, nil
			}
			if n++; n < 3 {
				return "", []llm.ToolCall{{ID: "b", Name: "book", Args: json.RawMessage(fmt.Sprintf(`{"n":%d}`, n))}}, nil
			}
			return "I am on it.", nil, nil
		}, b)
		k.wait(500*ms).say("book it.", time.Second).wait(2 * time.Second)
		k.say("for two people, please.", 1500*ms).wait(14 * time.Second)
		k.want(`"reason":"already_running`, `"heard_text":"I am on it."`, `"heard_text":"It is booked now."`).hangUp()
		if len(b.runs) != 1 {
			t.Errorf("booked %d times", len(b.runs))
		}
		asked := k.llm.Asked()
		if got := results(asked[len(asked)-1]); len(got) != 2 || got[0] != `{"booked":true}` {
			t.Errorf("told with %q", got)
		}
	})
}

// INV29, aplisay llm-agent #181: 337 hang-up calls in 148 s. A model that does
// nothing else ends the call once; where the caller keeps it from that, it is
// refused before it is a flood.
func TestModelThatOnlyHangsUp_INV29(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := &tool{def: tools.Definition{Name: "end_call", Type: tools.EndCall, Class: tools.Terminal}, json: `{}`}
		hang := func(llm.Request) (string, []llm.ToolCall, error) {
			return "", []llm.ToolCall{{ID: "e", Name: "end_call", Args: json.RawMessage(`{}`)}}, nil
		}
		k := dial(t, &agent.Agent{Name: "a"}, hang, end)
		k.wait(500*ms).say("hello?", time.Second).over().want(`"end_reason":"agent_done"`)
		if n := len(k.llm.Asked()); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		end := &tool{def: tools.Definition{Name: "end_call", Type: tools.EndCall, Class: tools.Terminal}, json: `{}`}
		k := dial(t, &agent.Agent{Name: "a"}, func(llm.Request) (string, []llm.ToolCall, error) {
			return "Goodbye then, and have a very nice day.", []llm.ToolCall{{ID: "e", Name: "end_call", Args: json.RawMessage(`{}`)}}, nil
		}, end)
		k.wait(500 * ms)
		for range 40 { // never let it finish
			k.say("wait, what about my order?", time.Second).wait(3500 * ms)
		}
		if n := k.log.last.ToolCalls; n > 45 || len(k.llm.Asked()) > 60 {
			t.Errorf("%d calls, asked %d times", n, len(k.llm.Asked()))
		}
		k.not(`"end_reason"`).hangUp()
	})
}

// INV32: a call that ends at any moment of a tool's life leaves nothing running
// and one record, with the effect's result.
func TestHangUpAtAnyMomentOfATool_INV32(t *testing.T) {
	for at := time.Duration(0); at < 12*time.Second; at += 400 * ms {
		t.Run(at.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, r, a := bookTool(3*time.Second), checkTool(3*time.Second), reportTool(5*time.Second)
				n := 0
				k := dial(t, &agent.Agent{Name: "a"}, func(llm.Request) (string, []llm.ToolCall, error) {
					if n++; n > 1 {
						return "That is done.", nil, nil
					}
					return "Let me see.", []llm.ToolCall{
						{ID: "b", Name: "book"}, {ID: "c", Name: "check"}, {ID: "r", Name: "report"},
					}, nil
				}, b, r, a)
				time.AfterFunc(500*ms, func() { k.say("book it.", time.Second) })
				k.wait(at)
				before := time.Now()
				k.hangUp()
				if d := time.Since(before); d > 31*time.Second {
					t.Errorf("closed after %v", d)
				}
				all := k.lines()
				if started, finished := strings.Count(all, `"tool.started"`), strings.Count(all, `"tool.finished"`); started != finished {
					t.Errorf("%d were started, %d finished (INV26):\n%s", started, finished, all)
				}
				if len(b.runs) == 1 && !strings.Contains(all, `"tool":"book","tool_call_id":"b","status":"ok"`) {
					t.Errorf("the effect's result is lost:\n%s", all)
				}
			})
		})
	}
}

// conv:W2, conv:W8: a failure is told by its own sentence, and the model goes on.
func TestFailureSentenceThenTheModelGoesOn_convW8(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		look := checkTool(10 * ms)
		look.json = "<html>"
		look.def.Speech.Failure = "I could not check that just now."
		two := 2
		look.def.MaxFailures = &two
		k := dial(t, &agent.Agent{Name: "a"}, func(r llm.Request) (string, []llm.ToolCall, error) {
			if r.Messages[len(r.Messages)-1].Role == llm.ToolRole {
				return "Let us go on with your name.", nil, nil
			}
			return "", []llm.ToolCall{{ID: "c", Name: "check", Args: json.RawMessage(`{}`)}}, nil
		}, look)
		k.wait(500*ms).say("where is it?", time.Second).wait(9 * time.Second)
		k.want(`"heard_text":"I could not check that just now."`, `"heard_text":"Let us go on with your name."`).hangUp()
		asked := k.llm.Asked()
		if m := asked[1].Messages; !strings.HasSuffix(m[1].Content, "I could not check that just now.") {
			t.Errorf("the model does not know what was said: %+v", m)
		}
	})
}

// Words beside a call stay in the context as they were heard, not as they were
// written (livekit #3407).
func TestWordsBesideACallAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := dial(t, &agent.Agent{Name: "a"}, func(r llm.Request) (string, []llm.ToolCall, error) {
			if len(results(r)) > 0 {
				return "Shipped yesterday.", nil, nil
			}
			return "I am looking it up for you.", []llm.ToolCall{{ID: "c", Name: "check", Args: json.RawMessage(`{}`)}}, nil
		}, checkTool(3*time.Second))
		k.wait(500*ms).say("where is it?", time.Second).wait(9 * time.Second).hangUp()
		m := k.llm.Asked()[1].Messages
		if m[1].Content != "I am looking it up for you." || len(m[1].ToolCalls) != 1 {
			t.Errorf("the model was asked with %+v", m)
		}
	})
}

// promiser is an effect whose result, when it comes, is a promise.
type promiser struct {
	*tool
	later func(context.Context) tools.Result
}

func (p *promiser) Run(ctx context.Context, c tools.Call) tools.Result {
	r := p.tool.Run(ctx, c)
	r.Later = p.later
	return r
}

// A promise that comes when the call is over may fail or never end: the record
// of the call is closed all the same (INV32).
func TestAPromiseAfterTheEndClosesNoRecordLate_INV32(t *testing.T) {
	for name, later := range map[string]func(context.Context) tools.Result{
		"panics":     func(context.Context) tools.Result { panic("a tool's own fault") },
		"is no JSON": func(context.Context) tools.Result { return tools.Result{} },
		"is slow to end": func(context.Context) tools.Result {
			time.Sleep(time.Hour)
			return tools.Result{}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &promiser{tool: checkTool(8 * time.Second), later: later}
				p.def.Class = tools.Effect
				c := dial(t, &agent.Agent{Name: "a"}, order, p)
				c.wait(500*ms).say("where is my order", time.Second).wait(4 * time.Second)
				began := time.Now()
				c.hangUp().want(`"event":"call.ended"`)
				if took := time.Since(began); took > time.Minute {
					t.Errorf("its record was closed after %v", took)
				}
				time.Sleep(2 * time.Hour) // the slow one ends
			})
		})
	}
}
