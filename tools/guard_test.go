package tools_test

import (
	"cmp"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/patchcord/patchcord/tools"
)

// conv:W5, C-13: calls in a loop are refused.
func TestGuard(t *testing.T) {
	t.Parallel()
	type ask struct {
		tool   string
		args   string
		at     time.Duration
		status tools.Status // how it ends when it is allowed
		turn   bool         // a new turn begins before
		want   string       // "" allowed, or the refusal's code
	}
	two, none := 2, 0
	defs := map[string]*tools.Definition{
		"a": {Name: "a"}, "limited": {Name: "limited", MaxCalls: 2}, "two": {Name: "two", MaxFailures: &two}, "never": {Name: "never", MaxFailures: &none},
		"effect":  {Name: "effect", MaxFailures: &two, Class: tools.Effect},
		"once":    {Name: "once", Class: tools.Effect, Dedupe: tools.Dedupe{Scope: "call", Key: []string{"order"}}},
		"ask":     {Name: "ask", Class: tools.Effect, Dedupe: tools.Dedupe{Mode: tools.DedupeConfirm, Scope: "call"}},
		"again":   {Name: "again", Class: tools.Effect, Dedupe: tools.Dedupe{Mode: tools.DedupeAllow}},
		"lenient": {Name: "lenient", MaxFailures: &two, Class: tools.Effect},
	}
	for _, c := range []struct {
		name string
		asks []ask
	}{
		{"the same twice in a turn, not three times", []ask{
			{tool: "a", args: "{}"},
			{tool: "a", args: "{}"},
			{tool: "a", args: "{}", want: "repeated_call"},
			{tool: "a", args: `{"b":1}`},
			{tool: "a", args: "{}", turn: true},
		}},
		{"an effect is not done twice in a turn, a failed one may be tried again", []ask{
			{tool: "effect", args: "{}"},
			{tool: "effect", args: "{}", want: "repeated_call"},
			{tool: "effect", args: `{"b":1}`},
			{tool: "effect", args: "{}", turn: true, status: tools.Failed},
			{tool: "effect", args: "{}"},
		}},
		{"conv:W6 an effect is had once in a call where it says so, by its key", []ask{
			{tool: "once", args: `{"order":"1","note":"a"}`},
			{tool: "once", args: `{"note":"b","order":"1"}`, turn: true, want: "repeated_call"},
			{tool: "once", args: `{"order":"2"}`},
		}},
		{"conv:W6 the order of arguments makes no other call", []ask{
			{tool: "effect", args: `{"a":1,"b":2}`}, {tool: "effect", args: `{"b":2, "a":1}`, want: "repeated_call"},
		}},
		{"conv:W6 an effect is had again after the caller was asked", []ask{
			{tool: "ask", args: `{}`, turn: true},
			{tool: "ask", args: `{}`, want: "confirm_repeat"},
			{tool: "ask", args: `{}`, want: "confirm_repeat"},
			{tool: "ask", args: `{}`, turn: true},
			{tool: "ask", args: `{}`, turn: true, want: "confirm_repeat"},
		}},
		{"conv:W6 an effect may be allowed again, but in no loop", []ask{
			{tool: "again", args: `{}`}, {tool: "again", args: `{}`}, {tool: "again", args: `{}`, want: "repeated_call"},
		}},
		{"conv:W6 an effect that timed out may have been had", []ask{
			{tool: "lenient", args: `{}`, status: tools.TimedOut}, {tool: "lenient", args: `{}`, want: "repeated_call"},
		}},
		{"five in ten seconds", []ask{
			{tool: "a", args: "1"},
			{tool: "a", args: "2", at: time.Second},
			{tool: "a", args: "3", at: 2 * time.Second},
			{tool: "a", args: "4", at: 3 * time.Second},
			{tool: "a", args: "5", at: 4 * time.Second},
			{tool: "a", args: "6", at: 9 * time.Second, want: "too_many_calls"},
			{tool: "a", args: "6", at: 10 * time.Second},
		}},
		{"max_calls", []ask{
			{tool: "limited", args: "1"}, {tool: "limited", args: "2", turn: true}, {tool: "limited", args: "3", turn: true, want: "call_limit"},
		}},
		{"C-13 after a failure the call goes on without it", []ask{
			{tool: "a", args: "1", status: tools.TimedOut}, {tool: "a", args: "2", turn: true, want: "tool_disabled"}, {tool: "never", args: "1"},
		}},
		{"a success in between", []ask{
			{tool: "two", args: "1", status: tools.Failed},
			{tool: "two", args: "2"},
			{tool: "two", args: "3", status: tools.Failed},
			{tool: "two", args: "4", status: tools.Failed},
			{tool: "two", args: "5", want: "tool_disabled"},
		}},
		{"failures without a limit", []ask{
			{tool: "never", args: "1", status: tools.Failed}, {tool: "never", args: "2", status: tools.Failed}, {tool: "never", args: "3"},
		}},
		{"a cancelled call is no failure", []ask{
			{tool: "a", args: "1", status: tools.Cancelled}, {tool: "a", args: "2"},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var g tools.Guard
			for i, a := range c.asks {
				if a.turn {
					g.Turn()
				}
				r, ok := g.Allow(defs[a.tool], tools.Call{Name: a.tool, Args: json.RawMessage(a.args)}, a.at)
				if ok != (a.want == "") || !ok && !strings.Contains(string(r.JSON), `"error":"`+a.want+`"`) {
					t.Errorf("call %d: allowed %v, %s", i, ok, r.JSON)
				}
				if ok {
					g.Done(defs[a.tool], tools.Call{Args: json.RawMessage(a.args)}, cmp.Or(a.status, tools.OK))
				}
			}
		})
	}
}

// The model is told once in a turn what is wrong with its arguments.
func TestWrongArgumentsAreToldOnce(t *testing.T) {
	t.Parallel()
	var g tools.Guard
	first := tools.Result{JSON: json.RawMessage(`{"error":"invalid_arguments","details":["x"]}`), Status: tools.Refused}
	if r := g.Wrong("a", first); string(r.JSON) != string(first.JSON) {
		t.Errorf("first: %s", r.JSON)
	}
	if r := g.Wrong("a", first); strings.Contains(string(r.JSON), "details") || r.Status != tools.Refused {
		t.Errorf("again: %s", r.JSON)
	}
	g.Turn()
	if r := g.Wrong("a", first); string(r.JSON) != string(first.JSON) {
		t.Errorf("in the next turn: %s", r.JSON)
	}
}
