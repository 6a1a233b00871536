package tools_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/patchcord/patchcord/tools"
)

// C-10: nothing is sent while an argument is missing or wrong; the model is
// told all of it at once.
func TestArguments(t *testing.T) {
	t.Parallel()
	tool := make1(t, deps(t), `{name: a, description: d, tool_type: http_request, config: {url: "https://x.example"}, parameters: {properties: `+
		`{email: {type: string, format: email}, n: {type: integer, minimum: 1}, kind: {enum: [x, y]}}, required: [email, n]}}`)
	for _, c := range []struct{ args, want string }{
		{`{"email":"a@b.example","n":1}`, ""},
		{"", "missing properties 'email', 'n'"},
		{`{"email":"nobody","n":0,"kind":"z"}`, "email: 'nobody' is not valid email"},
		{`{"email":"nobody","n":0,"kind":"z"}`, "n: minimum: got 0, want 1"},
		{`{"email":"nobody","n":0,"kind":"z"}`, "kind: value must be one of 'x', 'y'"},
		{`{"n":"1","email":"a@b.example"}`, "n: got string, want integer"},
		{`[1]`, "got array, want object"},
		{`{"broken`, "the arguments are not JSON"},
		{`{"email":"a@b.example","n":1} {}`, "the arguments are not JSON"},
	} {
		_, refused, ok := tools.Arguments(tool, json.RawMessage(c.args))
		if ok != (c.want == "") {
			t.Errorf("%s: ok %v", c.args, ok)
		}
		var r struct {
			Error   string
			Details []string
		}
		if !ok && (json.Unmarshal(refused.JSON, &r) != nil || r.Error != "invalid_arguments" || !strings.Contains(strings.Join(r.Details, "|"), c.want)) {
			t.Errorf("%s: told %s, want %s", c.args, refused.JSON, c.want)
		}
	}
	clean, _, ok := tools.Arguments(make1(t, deps(t), "{tool_type: end_call}"), nil)
	if !ok || string(clean) != "{}" {
		t.Errorf("no arguments at all: %s %v", clean, ok)
	}
}

func BenchmarkArguments(b *testing.B) {
	tool := make1(b, deps(b), `{name: a, description: d, tool_type: http_request, config: {url: "https://x.example"}, parameters: {properties: `+
		`{email: {type: string, format: email}, n: {type: integer, minimum: 1}}, required: [email, n]}}`)
	args := json.RawMessage(`{"email":"a@b.example","n":1}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, ok := tools.Arguments(tool, args); !ok {
			b.Fatal("refused")
		}
	}
}
