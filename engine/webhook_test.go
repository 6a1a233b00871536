package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/tools"
)

// shared is a tool whose calls go together with those of others at one place.
type shared struct {
	*tool
	at  string
	log *sharedLog
}

type sharedLog struct {
	mu       sync.Mutex // guards requests
	requests []string   // the ids that went together
}

func (s *shared) Endpoint() string { return s.at }

func (s *shared) RunTogether(ctx context.Context, ts []tools.Tool, cs []tools.Call) []tools.Result {
	out := make([]tools.Result, len(cs))
	var ids []string
	for i, t := range ts {
		ids = append(ids, cs[i].ID)
		if d := t.(*shared).d; d > s.d { //nolint:errcheck // all are
			s.d = d
		}
	}
	s.log.mu.Lock()
	s.log.requests = append(s.log.requests, strings.Join(ids, "+"))
	s.log.mu.Unlock()
	select {
	case <-time.After(s.d):
	case <-ctx.Done():
	}
	for i, t := range ts {
		out[i] = tools.Result{JSON: json.RawMessage(t.(*shared).json), Status: tools.OK} //nolint:errcheck // the same
		if ctx.Err() != nil {
			out[i] = tools.ErrorResult(tools.Cancelled, "cancelled", "")
		}
	}
	return out
}

func (s *shared) Run(ctx context.Context, c tools.Call) tools.Result {
	return s.RunTogether(ctx, []tools.Tool{s}, []tools.Call{c})[0]
}

// F-06: calls of one reply that go to one place go together, others do not;
// each call has its own result, in the order of the calls.
func TestCallsOfOneReplyGoTogether_F06(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &sharedLog{}
		one := func(name, at string, class tools.Class) *shared {
			return &shared{&tool{def: tools.Definition{Name: name, Class: class}, d: time.Second, json: `{"of":"` + name + `"}`}, at, log}
		}
		k := dial(t, &agent.Agent{Name: "a"}, func(r llm.Request) (string, []llm.ToolCall, error) {
			if r.Messages[len(r.Messages)-1].Role == llm.ToolRole {
				return "All done.", nil, nil
			}
			return "", []llm.ToolCall{{ID: "1", Name: "a"}, {ID: "2", Name: "b"}, {ID: "3", Name: "c"}, {ID: "4", Name: "d"}}, nil
		}, one("a", "x", tools.Effect), one("b", "y", tools.Effect), one("c", "x", tools.Read), one("d", "", tools.Read))
		k.wait(500*ms).say("do it all.", time.Second).wait(6 * time.Second).hangUp()
		if got := fmt.Sprint(log.requests); !strings.Contains(got, "1+3") || len(log.requests) != 3 {
			t.Errorf("went as %s", got)
		}
		asked := k.llm.Asked()
		want := []string{`{"of":"a"}`, `{"of":"b"}`, `{"of":"c"}`, `{"of":"d"}`}
		if got := results(asked[len(asked)-1]); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("told %v", got)
		}
	})
}

// F-06: what went together goes on while somebody is interested: a read that
// the caller has interrupted takes no effect with it.
func TestInterruptedReadTakesNoEffectWithIt_F06(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &sharedLog{}
		book := &shared{&tool{def: tools.Definition{Name: "book", Class: tools.Effect}, d: 4 * time.Second, json: `{"booked":true}`}, "x", log}
		look := &shared{&tool{def: tools.Definition{Name: "look", Class: tools.Read}, d: 4 * time.Second, json: `{"found":true}`}, "x", log}
		n := 0
		k := dial(t, &agent.Agent{Name: "a"}, func(llm.Request) (string, []llm.ToolCall, error) {
			if n++; n > 1 {
				return "Alright.", nil, nil
			}
			return "", []llm.ToolCall{{ID: "1", Name: "book"}, {ID: "2", Name: "look"}}, nil
		}, book, look)
		k.wait(500*ms).say("book and look.", time.Second).wait(2 * time.Second)
		k.say("no wait, I want something else.", 2*time.Second).wait(9 * time.Second)
		k.want(`"tool":"look","tool_call_id":"2","status":"cancelled"`, `"tool":"book","tool_call_id":"1","status":"ok"`).hangUp()
	})
}

// acknowledged is a tool whose outcome is nobody's.
type acknowledged struct{ *tool }

func (acknowledged) Acknowledge() json.RawMessage {
	return json.RawMessage(`{"result":"Interest noted for follow-up."}`)
}

// F-08: the model has its sentence at once; what the tool comes to, and that it
// failed, never reaches the conversation.
func TestOutcomeOfAnAcknowledgedToolIsNobodys_F08(t *testing.T) {
	for _, body := range []string{`{"canary":1}`, ``} { // a success, and a tool that fails
		synctest.Test(t, func(t *testing.T) {
			note := acknowledged{&tool{def: tools.Definition{Name: "log_interest", Class: tools.Async}, d: 6 * time.Second, json: body}}
			k := dial(t, &agent.Agent{Name: "a"}, func(r llm.Request) (string, []llm.ToolCall, error) {
				if r.Messages[len(r.Messages)-1].Role == llm.ToolRole {
					return "I have noted it.", nil, nil
				}
				id := fmt.Sprint(len(r.Messages))
				return "", []llm.ToolCall{{ID: id, Name: "log_interest", Args: json.RawMessage(`{"n":"` + id + `"}`)}}, nil
			}, note)
			k.wait(500*ms).say("I like it.", time.Second).wait(4 * time.Second)
			k.want(`"heard_text":"I have noted it."`).not(`"event":"tool.finished"`)
			k.wait(5*time.Second).say("I like the other too.", time.Second).wait(10 * time.Second)
			k.want(`"event":"tool.finished"`).not(`"event":"tool.refused"`).hangUp()
			asked := k.llm.Asked()
			if len(asked) != 4 || len(note.runs) != 2 {
				t.Fatalf("asked %d times, ran %d times", len(asked), len(note.runs))
			}
			for _, r := range asked {
				for _, m := range r.Messages {
					if strings.Contains(m.Content, "canary") || strings.Contains(m.Content, "failed") || m.Data {
						t.Errorf("told: %s", m.Content)
					}
				}
			}
			if got := results(asked[3]); len(got) != 2 || got[0] != `{"result":"Interest noted for follow-up."}` || got[1] != got[0] {
				t.Errorf("told %v", got)
			}
			for _, it := range k.log.last.Transcript {
				if it.Role == "tool" && it.Text != `{"result":"Interest noted for follow-up."}` {
					t.Errorf("the record says %s", it.Text)
				}
			}
		})
	}
}

// promising is a tool that answers later: after d more.
type promising struct {
	*tool
	later time.Duration
	final tools.Result
}

func (p *promising) Run(ctx context.Context, c tools.Call) tools.Result {
	r := p.tool.Run(ctx, c)
	r.Later = func(ctx context.Context) tools.Result {
		select {
		case <-time.After(p.later):
			return p.final
		case <-ctx.Done():
			return tools.ErrorResult(tools.Cancelled, "cancelled", "")
		}
	}
	return r
}

func promise(later time.Duration) *promising {
	return &promising{
		&tool{def: tools.Definition{Name: "book", Class: tools.Effect}, d: 100 * ms, json: `{"status":"pending"}`}, later,
		tools.Result{
			JSON: json.RawMessage(`{"booking_id":"B9"}`), Status: tools.OK,
			Vars: map[string]any{"booking_id": "B9", "caller_phone": "+1900"},
		},
	}
}

func booker(r llm.Request) (string, []llm.ToolCall, error) {
	switch last := r.Messages[len(r.Messages)-1]; {
	case last.Data:
		return "It is booked now.", nil, nil
	case last.Role == llm.ToolRole:
		return "I have asked for it.", nil, nil
	case strings.Contains(last.Content, "book"):
		return "", []llm.ToolCall{{ID: "b", Name: "book", Args: json.RawMessage(`{}`)}}, nil
	}
	return "Alright.", nil, nil
}

// H-28: a result that comes later is pending for the model, and news when it is
// there; outputs are variables then (H-16), but not those of the call itself.
func TestDeferredResultIsNews_H28_H16(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := dial(t, &agent.Agent{Name: "a"}, booker, promise(7*time.Second))
		k.wait(500*ms).say("book it.", time.Second).wait(4 * time.Second)
		k.want(`"heard_text":"I have asked for it."`).not(`"event":"tool.finished"`)
		if got := results(k.llm.Asked()[1]); len(got) != 1 || got[0] != `{"status":"pending"}` {
			t.Errorf("told %q", got)
		}
		k.wait(8*time.Second).want(`"event":"tool.finished"`, `"status":"ok","ms":7100`, `"heard_text":"It is booked now."`)
		asked := k.llm.Asked()
		last := asked[len(asked)-1].Messages
		if want := `In the meantime: {"id":"b","tool":"book","status":"finished","result":{"booking_id":"B9"}}`; last[len(last)-1].Content != want {
			t.Errorf("asked with %+v", last[len(last)-1])
		}
		s := k.session()
		if v := s.env().Vars; v["booking_id"] != "B9" || v["caller_phone"] == "+1900" {
			t.Errorf("variables %v", v)
		}
		k.hangUp()
	})
}

// H-28: a promise ends with the call, at once.
func TestHangUpEndsAPromise_H28(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := dial(t, &agent.Agent{Name: "a"}, booker, promise(10*time.Minute))
		k.wait(500*ms).say("book it.", time.Second).wait(4 * time.Second)
		before := time.Now()
		k.hangUp()
		if d := time.Since(before); d > 2*time.Second {
			t.Errorf("ended after %v", d)
		}
		if n := strings.Count(k.lines(), `"event":"tool.finished"`); n != 1 {
			t.Errorf("finished %d times", n)
		}
	})
}

// H-28: a caller who has interrupted the question is told all the same.
func TestDeferredResultAfterAnInterruption_H28(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := promise(5 * time.Second)
		b.d = 3 * time.Second
		k := dial(t, &agent.Agent{Name: "a"}, booker, b)
		k.wait(500*ms).say("book it.", time.Second).wait(2 * time.Second)
		k.say("and what about the parking?", 2*time.Second).wait(14 * time.Second)
		k.want(`"heard_text":"It is booked now."`).hangUp()
		if n := strings.Count(k.lines(), `"heard_text":"It is booked now."`); n != 1 {
			t.Errorf("told %d times", n)
		}
	})
}

// H-28: what a pre-call tool has promised is told when it is there.
func TestPreCallToolMayAnswerLater_H28(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := dial(t, &agent.Agent{Name: "a", PreCallTools: []string{"book"}}, booker, promise(3*time.Second))
		k.wait(6*time.Second).say("hello there.", time.Second).wait(4 * time.Second).hangUp()
		asked := k.llm.Asked()
		var all []string
		for _, m := range asked[len(asked)-1].Messages {
			all = append(all, m.Content)
		}
		text := strings.Join(all, "\n")
		if !strings.Contains(text, `Caller context: {"book":{"status":"pending"}}`) || !strings.Contains(text, `Caller context: {"book":{"booking_id":"B9"}}`) {
			t.Errorf("told %s", text)
		}
	})
}

// H-28: what a pre-call tool brings while another is still waited for stands,
// whatever it had said before.
func TestPromiseKeptBeforeOtherPreCallTools_H28(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &tool{def: tools.Definition{Name: "look"}, d: 4 * time.Second, json: `{}`}
		k := dial(t, &agent.Agent{Name: "a", PreCallTools: []string{"book", "look"}}, booker, promise(time.Second), slow)
		k.wait(6*time.Second).say("hello there.", time.Second).wait(4 * time.Second)
		if v := fmt.Sprint(k.session().env().Vars["book"], k.session().flow.results["book"]); strings.Contains(v, "pending") {
			t.Errorf("it is still %s", v)
		}
		k.hangUp()
		asked := k.llm.Asked()
		if text := fmt.Sprint(asked[len(asked)-1].Messages); strings.Contains(text, "pending") || strings.Count(text, "B9") != 1 {
			t.Errorf("told %s", text)
		}
	})
}

// H-28: the timer of a call that has promised its result ends nothing, and a
// promise that comes too late is given back.
func TestTimeoutsBesideAPromise_H28(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := dial(t, &agent.Agent{Name: "a"}, booker, promise(7*time.Second))
		k.wait(500*ms).say("book it.", time.Second).wait(4 * time.Second)
		s := k.session()
		s.work.put(toolResult{id: "b", r: tools.ErrorResult(tools.TimedOut, "timeout", ""), late: true})
		k.wait(8 * time.Second).want(`"heard_text":"It is booked now."`).not(`"error":"timeout"`)
		var ended error
		promised := func(ctx context.Context) tools.Result {
			ended = ctx.Err()
			return tools.Result{}
		}
		s.work.put(toolResult{id: "b", r: tools.Result{JSON: json.RawMessage(`{}`), Later: promised}})
		k.wait(time.Second).hangUp()
		if ended == nil {
			t.Error("what was promised is waited for by nobody, and for ever")
		}
	})
}
