package tools

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/patchcord/patchcord/llm"
)

// Set is the tools of an agent, ready to run. It does not change after Build
// and is safe for concurrent use.
type Set struct {
	tools  []Tool // by priority, then in the order they were written
	byName map[string]Tool
}

// NewSet is a set of tools that are made already.
func NewSet(ts ...Tool) *Set {
	s := &Set{tools: ts, byName: map[string]Tool{}}
	for _, t := range ts {
		s.byName[t.Definition().Name] = t
	}
	return s
}

// Build makes a set of definitions. All faults are told at once; the set holds
// the tools without one. Definitions whose part is not built yet are left out
// with a warning (Fault.NotYet). Err of the faults is nil when the set can be
// used as it was meant.
func Build(defs []Definition, d Deps) (*Set, Faults) {
	s := &Set{byName: map[string]Tool{}}
	var fs Faults
	if d.Client == nil {
		c, err := NewClient(HTTPConfig{})
		if err != nil {
			fs.add(nil, "tools", err.Error(), "")
			return s, fs
		}
		d.Client = c
	}
	defs = nameExtractions(defs)
	seen := map[string]bool{}
	for i := range defs {
		t, more := build(defs[i], d)
		fs = append(fs, more...)
		name := defs[i].Name
		if t != nil {
			name = t.Definition().Name
		}
		if name != "" && seen[name] {
			what := fmt.Sprintf("a second tool of the name %q", name)
			fs.add(nil, "name", what, "give each tool of an agent a name of its own").Tool = name
			continue
		}
		seen[name] = true
		if t != nil {
			s.tools = append(s.tools, t)
		}
	}
	if d.Servers != nil {
		ofServers := slices.DeleteFunc(slices.Clone(defs), func(of Definition) bool {
			return of.Type != MCP || !of.IsEnabled()
		})
		ts, more := d.Servers.toolsOf(ofServers, d, seen)
		s.tools, fs = append(s.tools, ts...), append(fs, more...)
	}
	slices.SortStableFunc(s.tools, func(a, b Tool) int {
		return cmp.Compare(a.Definition().Priority, b.Definition().Priority)
	})
	for _, t := range s.tools {
		s.byName[t.Definition().Name] = t
	}
	for _, t := range s.tools {
		if id := t.Definition().ID; id != "" && s.byName[id] == nil {
			s.byName[id] = t
		}
	}
	fs = append(fs, s.checkRequired()...)
	return s, fs
}

// nameExtractions gives each extract_variable tool without a name one of its
// own where there are several.
func nameExtractions(defs []Definition) []Definition {
	unnamed := func(d Definition) bool { return d.Type == ExtractVariable && d.Name == "" }
	n := 0
	for i := range defs {
		if unnamed(defs[i]) {
			n++
		}
	}
	if n < 2 {
		return defs
	}
	defs = slices.Clone(defs)
	for i := range defs {
		if v, ok := variableOf(defs[i].Config); ok && unnamed(defs[i]) {
			defs[i].Name = "extract_" + v
		}
	}
	return defs
}

// checkRequired warns of tools that wait for a confirmation that nothing here
// can bring.
func (s *Set) checkRequired() (fs Faults) {
	if len(s.tools) < 2 { // one of a library: who uses it, is not known
		return nil
	}
	for _, t := range s.tools {
		for i, r := range t.Definition().Requires {
			name, confirmed := strings.CutSuffix(r, "!")
			if x := s.Notes(name); confirmed && (x == nil || !x.Confirm) {
				f := fs.add(nil, fmt.Sprintf("requires[%d]", i), "nothing here has the caller confirm "+name,
					"add an extract_variable tool with variable_name: "+name+" and confirmation_enabled: true")
				f.Tool, f.Warning = t.Definition().Name, true
			}
		}
	}
	return fs
}

// Notes is the tool that notes a variable, nil for none.
func (s *Set) Notes(variable string) *Extraction {
	for _, t := range s.tools {
		if x, ok := t.(*Extraction); ok && x.Variable == variable && x.def.IsEnabled() {
			return x
		}
	}
	return nil
}

// Get finds an enabled tool by the name the model calls it by, or by its id.
func (s *Set) Get(nameOrID string) (Tool, bool) {
	t, ok := s.byName[nameOrID]
	return t, ok && t.Definition().IsEnabled()
}

// Tools are all tools, the disabled ones too, the most urgent first.
func (s *Set) Tools() []Tool { return slices.Clone(s.tools) }

// Offered is what the model is told: the enabled tools, the most urgent first
// (T-04). Those of except are left out: pre-call tools that only run by
// themselves.
func (s *Set) Offered(except ...string) []llm.Tool {
	var out []llm.Tool
	for _, t := range s.tools {
		d := t.Definition()
		if !d.IsEnabled() || slices.Contains(except, d.Name) || d.ID != "" && slices.Contains(except, d.ID) {
			continue
		}
		out = append(out, llm.Tool{Name: d.Name, Description: d.Description, Parameters: t.Schema()})
	}
	return out
}

// Unknown is the result of a call of a tool that is not there.
func (s *Set) Unknown(name string) Result {
	r := ErrorResult(Refused, "unknown_tool", "there is no tool of this name")
	r.Err = "unknown_tool: " + clip(name, 100)
	return r
}
