package engine

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/internal/testkit"
	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/tools"
)

// booking is an agent whose conversation has three parts.
func booking() *agent.Agent {
	a := &agent.Agent{
		Name: "booking", Prompt: "You book tables.", Greeting: "Hello.",
		Flow: agent.Flow{Nodes: []agent.Node{
			{
				Key: "welcome", Initial: true, Prompt: "Ask what they want.", PostActions: []agent.Action{{Tool: "note"}},
				Functions: []agent.Function{{
					Name: "to_booking", Description: "Leads on. Call this when they want a table.", Next: "book",
					Properties: tools.Schema(`{"people":{"type":"integer"}}`), Required: []string{"people"},
				}},
			},
			{
				Key: "book", Prompt: "Book for {{collected.people}}.", ToolIDs: []string{"book"}, SlowInput: true,
				PreActions: []agent.Action{{Type: agent.ToolCall, Tool: "free"}}, OnError: "sorry",
				Transitions: []agent.Transition{{When: "results.book.booked == true", Next: "done"}},
			},
			{Key: "done", Terminal: true, TaskMessages: []llm.Message{{Role: llm.System, Content: "Say goodbye."}}},
			{Key: "sorry", Terminal: true, Prompt: "Apologise."},
		}},
	}
	return a
}

// offered are the names of the tools of a request.
func offered(r llm.Request) (out []string) {
	for _, t := range r.Tools {
		out = append(out, t.Name)
	}
	slices.Sort(out)
	return out
}

func system(r llm.Request) string {
	var out []string
	for _, m := range r.Messages {
		if m.Role == llm.System {
			out = append(out, m.Content)
		}
	}
	return strings.Join(out, " | ")
}

func flowTools(free *tool) []tools.Tool {
	note := &tool{def: tools.Definition{Name: "note"}, d: 10 * ms, json: `{"noted":true}`}
	end := &tool{def: tools.Definition{Name: "end_call", Type: tools.EndCall, Class: tools.Terminal}, json: `{}`}
	return []tools.Tool{free, note, bookTool(100 * ms), end}
}

func freeTool(d time.Duration) *tool {
	return &tool{def: tools.Definition{Name: "free"}, d: d, json: `{"free":["19:00"]}`}
}

// goes is a model that books a table.
func goes(r llm.Request) (string, []llm.ToolCall, error) {
	last := r.Messages[len(r.Messages)-1]
	switch names := offered(r); {
	case slices.Contains(names, "to_booking"):
		return "", []llm.ToolCall{{ID: "go", Name: "to_booking", Args: json.RawMessage(`{"people":4}`)}}, nil
	case slices.Contains(names, "book") && last.Role != llm.ToolRole && strings.Contains(last.Content, "seven"):
		return "", []llm.ToolCall{{ID: "b", Name: "book", Args: json.RawMessage(`{}`)}}, nil
	case slices.Contains(names, "book"):
		return "At what time?", nil, nil
	}
	return "You are welcome.", nil, nil
}

// INV18, INV28, conv:W18, D-13, D-17: a flow from its first node to its last.
func TestFlowFromNodeToNode_INV18_convW18(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := freeTool(800 * ms)
		k := dial(t, booking(), goes, flowTools(free)...)
		k.wait(3*time.Second).say("a table, please.", time.Second).wait(7 * time.Second)
		k.say("at seven.", time.Second).wait(10 * time.Second)
		k.want(`"node":"welcome","from":"","by":"start"`, `"node":"book","from":"welcome","by":"function"`,
			`"node":"done","from":"book","by":"condition"`, `"heard_text":"At what time?"`, `"heard_text":"You are welcome."`,
			`"tool":"free","tool_call_id":"enter-book-free"`, `"tool":"note","tool_call_id":"leave-welcome-note"`)
		k.hangUp()
		asked := k.llm.Asked()
		var steps [][]string
		for _, r := range asked {
			steps = append(steps, offered(r))
		}
		first, second, last := asked[0], asked[1], asked[len(asked)-1]
		if !slices.Equal(steps[0], []string{"to_booking"}) || !slices.Equal(steps[1], []string{"book"}) ||
			!slices.Equal(steps[len(steps)-1], []string{"end_call"}) {
			t.Errorf("offered %v", steps)
		}
		if got := system(first); got != "You book tables. | Ask what they want." {
			t.Errorf("first node: %q", got)
		}
		if got := system(second); got != "You book tables. | Book for 4." {
			t.Errorf("second node: %q", got)
		}
		if got := system(last); got != "You book tables. | Say goodbye." {
			t.Errorf("last node: %q", got)
		}
		// The caller's words stand before the change that they caused, and what
		// the action found before the first reply in the node.
		var order []string
		for _, m := range second.Messages {
			switch {
			case m.Data:
				order = append(order, m.Content)
			case len(m.ToolCalls) > 0:
				order = append(order, m.ToolCalls[0].Name)
			case m.Role == llm.User:
				order = append(order, m.Content)
			}
		}
		if want := []string{"a table, please.", "to_booking", `Caller context: {"free":{"free":["19:00"]}}`}; !slices.Equal(order, want) {
			t.Errorf("asked with %q, want %q", order, want)
		}
		if env := free.runs[0].Env; !env.PreAction || env.Phone != "+4930111" {
			t.Errorf("the action ran with %+v", env)
		}
	})
}

// conv:W18: an action that fails leads to its node's on_error.
func TestFailedActionOfANode_convW18(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := freeTool(100 * ms)
		free.json = "<html>"
		k := dial(t, booking(), goes, flowTools(free)...)
		k.wait(3*time.Second).say("a table, please.", time.Second).wait(7 * time.Second)
		k.want(`"node":"sorry","from":"book","by":"error"`, `"heard_text":"You are welcome."`).not(`"At what time?"`).hangUp()
		asked := k.llm.Asked()
		if got := system(asked[len(asked)-1]); got != "You book tables. | Apologise." {
			t.Errorf("asked with %q", got)
		}
	})
}

// conv:W19, INV28, pipecat #1567: the caller speaks into the change of a node at
// any moment; it completes once, and the reply comes from the new node.
func TestCallerSpeaksIntoAChangeOfNode_convW19(t *testing.T) {
	for at := 2500 * ms; at < 6*time.Second; at += 250 * ms {
		t.Run(at.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := dial(t, booking(), goes, flowTools(freeTool(1500*ms))...)
				time.AfterFunc(time.Second, func() { k.say("a table, please.", time.Second) })
				time.AfterFunc(at, func() { k.say("for tomorrow evening.", 700*ms) })
				k.wait(14 * time.Second).want(`"heard_text":"At what time?"`).hangUp()
				all := k.lines()
				if strings.Count(all, `"node":"book"`) != 1 || strings.Count(all, `"flow.entered"`) != 2 {
					t.Errorf("entered more or less than once:\n%s", all)
				}
				if n := strings.Count(all, `"tool.started"`); n != strings.Count(all, `"tool.finished"`) {
					t.Errorf("a tool is left in progress (INV26):\n%s", all)
				}
			})
		})
	}
}

// D-13: a tool of another node is not there, whatever the model believes.
func TestToolOfAnotherNodeIsNotThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := dial(t, booking(), func(r llm.Request) (string, []llm.ToolCall, error) {
			if r.Messages[len(r.Messages)-1].Role == llm.ToolRole {
				return "I cannot do that yet.", nil, nil
			}
			return "", []llm.ToolCall{{ID: "b", Name: "book", Args: json.RawMessage(`{}`)}}, nil
		}, flowTools(freeTool(10*ms))...)
		k.wait(3*time.Second).say("a table, please.", time.Second).wait(5 * time.Second)
		k.want(`"event":"tool.refused"`, "unknown_tool", `"heard_text":"I cannot do that yet."`).hangUp()
	})
}

// bookingFlow is the example of seed 004: what one node collects is booked on
// entering the next, before the model speaks there.
const bookingFlow = `{"nodes": [
	{"node_key": "collect_details", "is_initial": true,
	 "task_messages": [{"role": "system", "content": "Ask for name and slot."}],
	 "functions": [{"name": "details_collected", "description": "Leads to the booking. Call this when both are known.",
	   "properties": {"customer_name": {"type": "string"}, "people": {"type": "integer"}, "slot": {"type": "string"}},
	   "required": ["customer_name"], "next_node_key": "confirm_booking"}]},
	{"node_key": "confirm_booking", "is_terminal": false,
	 "pre_actions": [{"type": "tool_call", "tool_id": "book_appointment"COLLECTED}],
	 "task_messages": [{"role": "system", "content": "The booking was just placed. Read the pre_action result."}],
	 "functions": [{"name": "booking_confirmed", "description": "Leads to the end. Call this when it is confirmed.",
	   "next_node_key": "goodbye"}]},
	{"node_key": "goodbye", "is_terminal": true, "task_messages": [{"role": "system", "content": "Say goodbye."}]}]}`

// books is a model that collects a name, tells the booking and confirms it.
func books(r llm.Request) (string, []llm.ToolCall, error) {
	last := r.Messages[len(r.Messages)-1]
	switch names := offered(r); {
	case slices.Contains(names, "details_collected"):
		args := json.RawMessage(`{"customer_name":"Laura","people":4}`)
		return "", []llm.ToolCall{{ID: "d", Name: "details_collected", Args: args}}, nil
	case slices.Contains(names, "booking_confirmed") && strings.Contains(last.Content, "thank you"):
		return "", []llm.ToolCall{{ID: "c", Name: "booking_confirmed", Args: json.RawMessage(`{}`)}}, nil
	case slices.Contains(names, "booking_confirmed"):
		return "It is booked.", nil, nil
	}
	return "Goodbye then.", nil, nil
}

// What an action is told: of the call, and of the parameters of the functions
// before only those that it asks for.
func TestWhatAnActionIsTold_D18(t *testing.T) {
	const of = `{"phone_number":"+4930111","direction":"inbound","call_id":"0190"`
	for _, c := range []struct{ name, collected, args string }{
		{"D-18 not what the caller was asked for", ``, of + `}`},
		{"D-18 what it asks for, typed", `, "collected": ["customer_name", "people"]`, of + `,"customer_name":"Laura","people":4}`},
		{"D-18 what was not said is left out", `, "collected": ["slot", "customer_name"]`, of + `,"customer_name":"Laura"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := &agent.Agent{Name: "a", Prompt: "You book."}
				if err := json.Unmarshal([]byte(strings.Replace(bookingFlow, "COLLECTED", c.collected, 1)), &a.Flow); err != nil {
					t.Fatal(err)
				}
				if err := a.Validate(); err != nil {
					t.Fatal(err)
				}
				book := &tool{def: tools.Definition{Name: "book_appointment"}, d: 300 * ms, json: `{"number":"B-7"}`}
				dial(t, a, books, book).wait(500*ms).say("laura, for four.", time.Second).wait(5 * time.Second).hangUp()
				if len(book.runs) != 1 {
					t.Fatalf("booked %d times", len(book.runs))
				}
				if got := string(tools.Metadata(book.runs[0].Env)); got != c.args {
					t.Errorf("told %s, want %s", got, c.args)
				}
			})
		})
	}
}

// On a call that it places itself an action has the context variables too, and
// what the callee says counts for more than what the call was started with.
func TestWhatAnActionIsToldOnAnOutboundCall_D18(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &agent.Agent{Name: "a"}
		flow := strings.Replace(bookingFlow, "COLLECTED", `, "collected": ["customer_name"]`, 1)
		if err := json.Unmarshal([]byte(flow), &a.Flow); err != nil {
			t.Fatal(err)
		}
		book := &tool{def: tools.Definition{Name: "book_appointment"}, d: 300 * ms, json: `{"number":"B-7"}`}
		k := prepare(t, a, books, book)
		k.leg = testkit.NewOutbound("0190", "+4940222")
		k.cfg.Dialer = dialer{k.leg}
		k.engine()
		close(k.ended)
		given := map[string]any{"customer_name": "L.", "invoice_amount": 4500}
		if _, err := k.e.Call(t.Context(), Outbound{Agent: "a", To: "+4940222", Variables: given}); err != nil {
			t.Fatal(err)
		}
		k.leg.PickUp()
		k.wait(2*time.Second).say("laura, for four.", time.Second).wait(5 * time.Second)
		k.leg.Close(telephony.Cause{Reason: telephony.ReasonNormal, Remote: true})
		k.wait(time.Second)
		if len(book.runs) != 1 {
			t.Fatalf("booked %d times:\n%s", len(book.runs), k.lines())
		}
		const want = `{"phone_number":"+4940222","direction":"outbound","call_id":"0190","customer_name":"Laura","invoice_amount":4500}`
		if got := string(tools.Metadata(book.runs[0].Env)); got != want {
			t.Errorf("told %s, want %s", got, want)
		}
	})
}

// A node in the shape of the seed: its messages are the model's task, its
// functions the ways out that the model may take, its pre-actions are done
// before the model is asked there.
func TestANodeOfTheSeed_D19(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &agent.Agent{Name: "a", Prompt: "You book."}
		if err := json.Unmarshal([]byte(strings.Replace(bookingFlow, "COLLECTED", "", 1)), &a.Flow); err != nil {
			t.Fatal(err)
		}
		book := &tool{def: tools.Definition{Name: "book_appointment"}, d: 800 * ms, json: `{"number":"B-7"}`}
		end := &tool{def: tools.Definition{Name: "end_call", Type: tools.EndCall, Class: tools.Terminal}, json: `{}`}
		k := dial(t, a, books, book, end)
		k.wait(500*ms).say("laura, for four.", time.Second).wait(6*time.Second).say("thank you.", time.Second).wait(6 * time.Second)
		k.want(`"node":"confirm_booking","from":"collect_details","by":"function"`, `"tool":"book_appointment"`,
			`"heard_text":"It is booked."`, `"node":"goodbye","from":"confirm_booking","by":"function"`, `"heard_text":"Goodbye then."`)
		k.hangUp()
		var steps []string
		for _, r := range k.llm.Asked() {
			steps = append(steps, system(r)+": "+strings.Join(offered(r), " "))
		}
		want := []string{
			"You book. | Ask for name and slot.: details_collected",
			"You book. | The booking was just placed. Read the pre_action result.: booking_confirmed",
			"You book. | The booking was just placed. Read the pre_action result.: booking_confirmed",
			"You book. | Say goodbye.: end_call",
		}
		if !slices.Equal(steps, want) {
			t.Errorf("asked with %q, want %q", steps, want)
		}
		found := false
		for _, m := range k.llm.Asked()[1].Messages {
			found = found || m.Data && m.Content == `Caller context: {"book_appointment":{"number":"B-7"}}`
		}
		if !found {
			t.Error("the model speaks in the node before it knows what the action came to")
		}
	})
}
