package agent

import (
	"strings"
	"testing"

	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/tools"
)

func way(name, to string) Function {
	return Function{Name: name, Description: "Leads on. Call this when all is said.", Next: to}
}

func collects(name, to string) Function {
	f := way("go", to)
	f.Properties = tools.Schema(`{"` + name + `":{"type":"string"}}`)
	return f
}

func TestFlowProblems(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		nodes []Node
		want  string // "" for none
	}{
		{"one node", []Node{{Key: "a", Initial: true}}, ""},
		{"a flow as it should be", []Node{
			{Key: "a", Initial: true, Functions: []Function{way("go", "b")}, OnError: "c"},
			{Key: "b", Transitions: []Transition{{When: "results.x.ok == true", Next: "c"}}},
			{Key: "c", Terminal: true, BuiltinTools: []string{"end_call"}},
		}, ""},
		{"no initial node", []Node{{Key: "a"}}, "flow.nodes: no node is initial"},
		{"two initial nodes", []Node{{Key: "a", Initial: true}, {Key: "b", Initial: true}}, `flow.nodes[1].is_initial: a second initial node (the first is "a")`},
		{"a node without a key", []Node{{Key: "a", Initial: true}, {}}, "flow.nodes[1].node_key: the node has no key"},
		{"two nodes of one key", []Node{{Key: "a", Initial: true}, {Key: "a"}}, `flow.nodes[1].node_key: a second node "a"`},
		{"a node that no way leads to", []Node{{Key: "a", Initial: true}, {Key: "b", Functions: []Function{way("go", "b")}}}, `flow.nodes[1]: no way leads to the node "b"`},
		{"a way to nowhere", []Node{{Key: "a", Initial: true, Functions: []Function{way("go", "")}}}, "flow.nodes[0].functions[0].next_node_key: it leads nowhere"},
		{"a way to a node that is not there", []Node{{Key: "a", Initial: true, Functions: []Function{way("go", "b")}}}, `flow.nodes[0].functions[0].next_node_key: no node "b"; name one of: a`},
		{"on_error to a node that is not there", []Node{{Key: "a", Initial: true, OnError: "b"}}, `flow.nodes[0].on_error: no node "b"`},
		{"on_error to itself", []Node{{Key: "a", Initial: true, OnError: "a"}}, "flow.nodes[0].on_error: a node whose actions fail would be entered again"},
		{"a condition that is none", []Node{{Key: "a", Initial: true, Transitions: []Transition{{When: "results.", Next: "b"}}}, {Key: "b"}}, "flow.nodes[0].transitions[0].when: "},
		{"a circle of one", []Node{{Key: "a", Initial: true, Transitions: []Transition{{When: "true", Next: "a"}}}}, "flow.nodes[0].transitions[0].next_node_key: it leads back"},
		{"a function without a name", []Node{{Key: "a", Initial: true, Functions: []Function{way("", "a")}}}, "flow.nodes[0].functions[0].name: missing"},
		{"a function that no model may call", []Node{{Key: "a", Initial: true, Functions: []Function{way("go on", "a")}}}, "flow.nodes[0].functions[0].name: ' ' in a name"},
		{"a function and a tool of one name", []Node{{Key: "a", Initial: true, ToolIDs: []string{"x"}, Functions: []Function{way("x", "a")}}}, `flow.nodes[0].functions[0].name: a second function or tool "x"`},
		{"properties that are no schema", []Node{{Key: "a", Initial: true, Functions: []Function{{Name: "x", Description: "d", Next: "a", Properties: tools.Schema(`{"a":7}`)}}}}, "flow.nodes[0].functions[0].parameters: "},
		{"a built-in that is none", []Node{{Key: "a", Initial: true, BuiltinTools: []string{"hang_up"}}}, `flow.nodes[0].builtin_tools[0]: no built-in tool "hang_up"`},
		{"an action that is none", []Node{{Key: "a", Initial: true, PreActions: []Action{{Type: "dance", Tool: "x"}}}}, `flow.nodes[0].pre_actions[0].type: no action "dance"`},
		{"an action without a tool", []Node{{Key: "a", Initial: true, PostActions: []Action{{}}}}, "flow.nodes[0].post_actions[0].tool_id: the action names no tool"},
		{"an action that asks for what is collected", []Node{{Key: "a", Initial: true, Functions: []Function{collects("slot", "a")}, PreActions: []Action{{Tool: "x", Collected: []string{"slot"}}}}}, ""},
		{"D-18 an action that asks for what no function collects", []Node{{Key: "a", Initial: true, Functions: []Function{collects("slot", "a")}, PreActions: []Action{{Tool: "x", Collected: []string{"slit"}}}}}, `flow.nodes[0].pre_actions[0].collected[0]: no function of the flow collects "slit"; did you mean "slot"?`},
		{"D-09 an action that would replace the call's own", []Node{{Key: "a", Initial: true, Functions: []Function{collects("call_id", "a")}, PostActions: []Action{{Tool: "x", Collected: []string{"call_id"}}}}}, `flow.nodes[0].post_actions[0].collected[0]: "call_id" is the call's own`},
		{"a message of nobody", []Node{{Key: "a", Initial: true, TaskMessages: []llm.Message{{Role: "robot"}}}}, `flow.nodes[0].task_messages[0].role: "robot" is no role`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := (&Agent{Name: "a", Flow: Flow{Nodes: c.nodes}}).Validate()
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
