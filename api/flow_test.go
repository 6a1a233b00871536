package api

import (
	"strings"
	"testing"
)

// D-20: a flow is replaced as a whole, and read with all its members.
func TestAFlowIsReplaced(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	a := f.do("POST", "/api/tools", `{"name":"book_appointment","description":"Books. Call this when asked.","parameters":{},"webhook_url":"https://api.example.com/book"}`)
	var book DarietTool
	a.into(t, &book)
	const collect = `{"node_key":"collect_details","is_initial":true,"position":0,"task_messages":[{"role":"system","content":"Ask for name and slot."}],
		"functions":[{"name":"details_collected","description":"All is known.","properties":{"name":{"type":"string"}},"required":["name"],"next_node_key":"confirm_booking"}],
		"position_xy":{"x":10,"y":20}}`
	confirm := `{"node_key":"confirm_booking","is_terminal":true,"pre_actions":[{"type":"tool_call","tool_id":"` + book.ID + `"}],
		"post_actions":[],"tool_ids":[],"task_messages":[{"role":"system","content":"Confirm."}],"allow_interrupt":false}`
	for _, path := range []string{"/api/agents/sales/flow", "/v1/agents/sales/flow"} {
		a = f.do("PUT", path, `{"nodes":[`+collect+`,`+confirm+`]}`)
		var flow AgentFlow
		a.into(t, &flow)
		if a.StatusCode != 200 || len(flow.Nodes) != 2 || !flow.Nodes[0].Initial || !flow.Nodes[0].AllowInterrupt ||
			flow.Nodes[1].AllowInterrupt || len(flow.Nodes[0].Functions) != 1 ||
			flow.Nodes[1].PreActions[0].Tool != book.ID || flow.Nodes[0].PositionXY.Y != 20 {
			t.Fatalf("%d %s", a.StatusCode, a.text)
		}
		if got := flow.Nodes[1].BuiltinTools; len(got) != 1 || got[0] != "end_call" {
			t.Errorf("a terminal node ends the call: %v", got)
		}
		if again := f.do("PUT", path, a.text); again.StatusCode != 200 {
			t.Errorf("what was answered, sent again: %d %s", again.StatusCode, again.text)
		}
		a = f.do("PUT", path, `{"nodes":[{"node_key":"all","is_initial":true,"prompt":"Talk."}]}`)
		if a.into(t, &flow); a.StatusCode != 200 || len(flow.Nodes) != 1 {
			t.Errorf("the old nodes are gone: %d %s", a.StatusCode, a.text)
		}
		if got := f.do("GET", path, ""); strings.TrimSpace(got.text) != strings.TrimSpace(a.text) || got.Header.Get("ETag") == "" {
			t.Errorf("%s is not %s", got.text, a.text)
		}
		if a = f.do("PUT", path, `{"nodes":[]}`); a.StatusCode != 200 || !strings.Contains(a.text, `"nodes":[]`) {
			t.Errorf("%d %s", a.StatusCode, a.text)
		}
	}
}

// D-20: a flow that a call could get lost in is refused, and each fault named.
func TestBrokenFlowsAreRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	way := func(to string) string {
		return `"functions":[{"name":"go_on","description":"Goes on.","next_node_key":"` + to + `"}]`
	}
	for _, tc := range []struct{ name, nodes, at, says string }{
		{"no initial node", `{"node_key":"a","prompt":"x"}`, "body.nodes", "initial"},
		{"two of them", `{"node_key":"a","is_initial":true,"prompt":"x",` + way("b") + `},{"node_key":"b","is_initial":true,"prompt":"x"}`, "body.nodes[1].is_initial", "second initial"},
		{"a missing target", `{"node_key":"a","is_initial":true,"prompt":"x",` + way("nowhere") + `}`, "body.nodes[0].functions[0].next_node_key", "name one of: a"},
		{"an unreachable node", `{"node_key":"a","is_initial":true,"prompt":"x"},{"node_key":"b","prompt":"x"}`, "body.nodes[1]", "no way leads"},
		{"the same key twice", `{"node_key":"a","is_initial":true,"prompt":"x"},{"node_key":"a","prompt":"x"}`, "body.nodes[1].node_key", "second node"},
		{"a tool that is not there", `{"node_key":"a","is_initial":true,"prompt":"x","tool_ids":["nothing"]}`, "body.nodes[0].tool_ids[0]", "tool"},
		{"an action that is not there", `{"node_key":"a","is_initial":true,"prompt":"x","pre_actions":[{"type":"tool_call","tool_id":"nothing"}]}`, "body.nodes[0].pre_actions[0].tool_id", "tool"},
		{"an unknown member", `{"node_key":"a","is_initial":true,"promt":"x"}`, "body.nodes[0].promt", "did you mean"},
	} {
		a := f.do("PUT", "/v1/agents/sales/flow", `{"nodes":[`+tc.nodes+`]}`)
		if a.StatusCode != 422 {
			t.Errorf("%s: %d %s", tc.name, a.StatusCode, a.text)
			continue
		}
		if got := a.faults(t); !strings.Contains(got[tc.at], tc.says) {
			t.Errorf("%s: %s says %q: %s", tc.name, tc.at, got[tc.at], a.text)
		}
	}
	if a := f.do("PUT", "/v1/agents/sales/flow", `{}`); a.StatusCode != 422 || a.faults(t)["body.nodes"] == "" {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	if a := f.do("GET", "/v1/agents/sales/flow", ""); !strings.Contains(a.text, `"nodes":[]`) {
		t.Errorf("nothing was taken: %s", a.text)
	}
}
