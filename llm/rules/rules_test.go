package rules_test

import (
	"os"
	"strings"
	"testing"

	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/llm/rules"
)

func orders(t *testing.T) *rules.Rules {
	t.Helper()
	b, err := os.ReadFile("testdata/orders.yaml")
	if err != nil {
		t.Fatal(err)
	}
	r, err := rules.Parse("orders.yaml", b)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var offered = []llm.Tool{{Name: "check_order_status"}, {Name: "end_call"}}

func context(json string) llm.Message {
	return llm.Message{Role: llm.User, Data: true, Content: llm.ContextPrefix + json}
}

func user(s string) llm.Message { return llm.Message{Role: llm.User, Content: s} }
func bot(s string) llm.Message  { return llm.Message{Role: llm.Assistant, Content: s} }

func called(id, args string) llm.Message {
	return llm.Message{Role: llm.Assistant, ToolCalls: []llm.ToolCall{{ID: id, Name: "check_order_status", Args: []byte(args)}}}
}

func result(id, json string) llm.Message {
	return llm.Message{Role: llm.ToolRole, ToolCallID: id, Content: json}
}

// TestACallToTheOrderLine reads as the call it stands for.
func TestACallToTheOrderLine(t *testing.T) {
	t.Parallel()
	r := orders(t)
	for _, c := range []struct {
		name     string
		messages []llm.Message
		choice   string
		say      string
		calls    string
	}{
		{
			name:     "the caller is greeted by the name that was looked up",
			messages: []llm.Message{context(`{"lookup_caller":{"name":"Anna"}}`)},
			say:      "Hello Anna, how can I help you?",
		},
		{
			name:     "the greeting knows the name from the prompt as well",
			messages: []llm.Message{{Role: llm.System, Content: "Be kind.\n" + llm.ContextPrefix + `{"lookup_caller":{"name":"Anna"}}`}},
			say:      "Hello Anna, how can I help you?",
		},
		{
			name: "what was found later is no word of the caller's",
			messages: []llm.Message{
				user("order 4711"), context(`{"lookup_caller":{"name":"when are you open"}}`),
			},
			calls: `check_order_status {"order_id":"4711"}`,
		},
		{
			name: "nobody was found",
			say:  "Hello, how can I help you?",
		},
		{
			name:     "a number spoken digit by digit is looked up",
			messages: []llm.Message{user("Where is my order number four seven one one, please?")},
			calls:    `check_order_status {"order_id":"4711"}`,
		},
		{
			name:     "a number in pairs",
			messages: []llm.Message{user("my order is forty seven eleven")},
			calls:    `check_order_status {"order_id":"4711"}`,
		},
		{
			name:     "a number that was recognised as digits",
			messages: []llm.Message{user("order 47 11")},
			calls:    `check_order_status {"order_id":"4711"}`,
		},
		{
			name:     "double digits",
			messages: []llm.Message{user("it is order double four oh one")},
			calls:    `check_order_status {"order_id":"4401"}`,
		},
		{
			name:     "without a number it is asked for",
			messages: []llm.Message{user("Where's my parcel?")},
			say:      "Sure. What is your order number?",
		},
		{
			name:     "a bare number is one only after it was asked for",
			messages: []llm.Message{user("where is my order"), bot("Sure. What is your order number?"), user("uh seven one")},
			calls:    `check_order_status {"order_id":"71"}`,
		},
		{
			name:     "a bare number out of nowhere",
			messages: []llm.Message{user("uh seven one")},
			say:      "I can tell you where an order is, or our opening hours.",
		},
		{
			name: "the status is told with the number read back",
			messages: []llm.Message{
				user("order four seven one one"), called("c1", `{"order_id":"4711"}`),
				result("c1", `{"status":"shipped","estimated_delivery":"Friday"}`),
			},
			say: "Your order 4 7 1 1 is shipped, expected Friday.",
		},
		{
			name: "an unknown order is asked for again, and the state is right",
			messages: []llm.Message{
				user("order four seven one one"), called("c1", `{"order_id":"4711"}`),
				result("c1", `{"error":"Order not found"}`), bot("I cannot find it."), user("one two"),
			},
			calls: `check_order_status {"order_id":"12"}`,
		},
		{
			name: "a tool that failed",
			messages: []llm.Message{
				user("order four seven one one"), called("c1", `{"order_id":"4711"}`), result("c1", `{"error":"timeout"}`),
			},
			say: "I could not look that up just now. Is there anything else?",
		},
		{
			name:     "opening hours are a long sentence",
			messages: []llm.Message{user("What are your opening hours?")},
			say: "We are open from Monday to Friday from nine in the morning until six in the evening, on Saturday from ten " +
				"until two, and on Sunday and on public holidays we are closed.",
		},
		{
			name:     "words that were not understood",
			messages: []llm.Message{user(llm.NotUnderstood)},
			say:      "Sorry, I did not understand that. You can ask about an order or our opening hours.",
		},
		{
			name:     "a second time, in other words",
			messages: []llm.Message{user(llm.NotUnderstood), bot("Sorry"), user(llm.NotUnderstood)},
			say:      "I am sorry, could you say that again?",
		},
		{
			name:     "the hint of an interruption is nothing the caller said",
			messages: []llm.Message{user("[caller interrupted after: our opening hours] order 4711")},
			calls:    `check_order_status {"order_id":"4711"}`,
		},
		{
			name:     "goodbye ends the call",
			messages: []llm.Message{context(`{"lookup_caller":{"name":"Anna"}}`), user("Thank you, goodbye!")},
			say:      "Thank you for calling, Anna. Goodbye.", calls: `end_call {}`,
		},
		{
			name:     "without tools goodbye is said all the same",
			messages: []llm.Message{user("bye")}, choice: "none",
			say: "Thank you for calling. Goodbye.",
		},
		{
			name:     "a rule whose tool is not offered leaves the word to the next",
			messages: []llm.Message{user("where is order 4711")}, choice: "none",
			say: "Sure. What is your order number?",
		},
		{
			name: "a system note after the caller's words changes nothing",
			messages: []llm.Message{
				user("order 4711"), {Role: llm.System, Content: "One minute is left."},
			},
			calls: `check_order_status {"order_id":"4711"}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := r.Answer(llm.Request{Messages: c.messages, Tools: offered, ToolChoice: c.choice})
			var calls []string
			for _, k := range a.Calls {
				calls = append(calls, k.Name+" "+string(k.Args))
			}
			if a.Say != c.say || strings.Join(calls, "; ") != c.calls {
				t.Errorf("said %q and called %q, want %q and %q", a.Say, calls, c.say, c.calls)
			}
		})
	}
}
