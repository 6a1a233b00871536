package api

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/telephony/dialer"
)

// documented is a section of docs/events.md.
type documented struct {
	text   string
	fields map[string]json.RawMessage // of its example, the common ones left out
	later  bool                       // of a part that is not built yet
}

var (
	headings = regexp.MustCompile("(?m)^### `([a-z_.]+)`$")
	common   = []string{"ts", "level", "event", "call_id", "seq", "at_ms"}
)

func readDocs(t *testing.T) map[string]documented {
	t.Helper()
	raw, err := os.ReadFile("../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(raw)
	unbuilt := strings.Index(doc, "## Of parts that are not built yet")
	if unbuilt < 0 { // all are
		unbuilt = len(doc)
	}
	out := map[string]documented{}
	at := headings.FindAllStringSubmatchIndex(doc, -1)
	for i, m := range at {
		end := len(doc)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		name, section := doc[m[2]:m[3]], doc[m[1]:end]
		_, example, ok := strings.Cut(section, "```json\n")
		example, _, closed := strings.Cut(example, "\n```")
		var fields map[string]json.RawMessage
		if err := json.Unmarshal([]byte(example), &fields); !ok || !closed || err != nil {
			t.Errorf("%s has no example that is JSON: %v", name, err)
			continue
		}
		if string(fields["event"]) != strconv.Quote(name) {
			t.Errorf("the example of %s is of %s", name, fields["event"])
		}
		for _, f := range common {
			if _, ok := fields[f]; !ok {
				t.Errorf("the example of %s lacks %s", name, f)
			}
			delete(fields, f)
		}
		out[name] = documented{section, fields, m[0] > unbuilt}
	}
	return out
}

// The events of the engine are those of the documentation, and what it writes
// in them is in their examples.
func TestEventsAreAsDocumented(t *testing.T) {
	t.Parallel()
	docs := readDocs(t)
	for _, name := range engine.EventNames {
		if d, ok := docs[name]; !ok || d.later {
			t.Errorf("docs/events.md does not describe %s as built", name)
		}
	}
	ofCampaigns := campaignEvents(t)
	for name, d := range docs {
		if keys, ok := ofCampaigns[name]; ok {
			for k := range keys {
				if _, ok := d.fields[k]; !ok {
					t.Errorf("%s has %s; the example in docs/events.md lacks it", name, k)
				}
			}
			delete(ofCampaigns, name)
		} else if !d.later && !slices.Contains(engine.EventNames, name) {
			t.Errorf("docs/events.md describes %s, which nobody writes", name)
		}
		prose, _, _ := strings.Cut(d.text, "```")
		for f := range d.fields {
			// Fields that are explained once, at the first event that has them.
			if !strings.Contains(prose, "`"+f+"`") && !slices.Contains([]string{"text", "turn", "tool", "tool_call_id", "args"}, f) {
				t.Errorf("docs/events.md: %s does not explain %s", name, f)
			}
		}
	}
	for name := range ofCampaigns {
		t.Errorf("docs/events.md does not describe %s", name)
	}
	names := constants(t)
	for ev, keys := range written(t) {
		d, ok := docs[names[ev]]
		if !ok {
			t.Errorf("the engine writes %s, which docs/events.md lacks", ev)
			continue
		}
		for k := range keys {
			if _, ok := d.fields[k]; !ok {
				t.Errorf("the engine writes %s in %s; the example in docs/events.md lacks it", k, names[ev])
			}
		}
	}
}

// campaignEvents are those of campaigns, with all that each may have.
func campaignEvents(t *testing.T) map[string]map[string]json.RawMessage {
	t.Helper()
	all := map[string]map[string]json.RawMessage{}
	for _, name := range []string{
		dialer.EventStarted, dialer.EventPaused, dialer.EventResumed, dialer.EventCancelled, dialer.EventCompleted,
		dialer.EventAttempt,
	} {
		n := dialer.News{Name: name, Result: dialer.Result{
			Outcome: dialer.OutcomeBusy, SIP: 486, Why: "w", AnsweredBy: "human", MessageLeft: true, Disposition: "d", OptOut: true,
			Due: day,
		}}
		if name == dialer.EventPaused || name == dialer.EventCancelled {
			n.Reason = "r"
		}
		b, err := json.Marshal(EventOf(n))
		var fields map[string]json.RawMessage
		if err = errors.Join(err, json.Unmarshal(b, &fields)); err != nil {
			t.Fatal(err)
		}
		for _, f := range common {
			delete(fields, f)
		}
		all[name] = fields
	}
	return all
}

func sources(t *testing.T) []*ast.File {
	t.Helper()
	paths, err := filepath.Glob("../engine/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var out []*ast.File
	for _, p := range paths {
		if strings.HasSuffix(p, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), p, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, f)
	}
	return out
}

// constants are the values of the engine's Event… constants.
func constants(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, f := range sources(t) {
		ast.Inspect(f, func(n ast.Node) bool {
			if v, ok := n.(*ast.ValueSpec); ok && len(v.Names) == 1 && len(v.Values) == 1 {
				if lit, ok := v.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
					if s, err := strconv.Unquote(lit.Value); err == nil {
						out[v.Names[0].Name] = s
					}
				}
			}
			return true
		})
	}
	return out
}

// written are the fields that the engine's calls of event name: those given in
// the call, or, where a slice of fields is given, in the function around it.
func written(t *testing.T) map[string]map[string]bool {
	t.Helper()
	out := map[string]map[string]bool{}
	for _, f := range sources(t) {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			if fn.Name.Name == "heard" && len(fieldKeys(fn.Body)) > 0 { // what turn.metrics is made of
				out["EventTurnMetrics"] = fieldKeys(fn.Body)
			}
			ast.Inspect(fn.Body, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok || len(call.Args) == 0 {
					return true
				}
				sel, ok := call.Fun.(*ast.SelectorExpr)
				name, isName := call.Args[0].(*ast.Ident)
				if !ok || sel.Sel.Name != "event" || !isName || !strings.HasPrefix(name.Name, "Event") {
					return true
				}
				if out[name.Name] == nil {
					out[name.Name] = map[string]bool{}
				}
				keys := fieldKeys(call)
				if call.Ellipsis.IsValid() && len(keys) == 0 && name.Name != "EventTurnMetrics" {
					keys = fieldKeys(fn.Body)
				}
				maps.Copy(out[name.Name], keys)
				return true
			})
		}
	}
	if len(out) < 10 || len(out["EventTurnMetrics"]) == 0 {
		t.Errorf("only %d events found in the engine's source: has event been renamed?", len(out))
	}
	return out
}

// fieldKeys are the keys of the calls F("key", …) below a node.
func fieldKeys(n ast.Node) map[string]bool {
	out := map[string]bool{}
	ast.Inspect(n, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) != 2 {
			return true
		}
		fn, isIdent := call.Fun.(*ast.Ident)
		if lit, ok := call.Args[0].(*ast.BasicLit); ok && isIdent && fn.Name == "F" {
			if s, err := strconv.Unquote(lit.Value); err == nil {
				out[s] = true
			}
		}
		return true
	})
	return out
}
