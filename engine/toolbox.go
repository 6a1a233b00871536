package engine

import (
	"context"
	"slices"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/tools"
)

// toolbox is the tools of the call's agent.
type toolbox struct {
	set     *tools.Set
	preCall []tools.Tool
	except  []string // run by themselves, not offered
	bound   []string // offered in nodes that name them, only
	nodes   map[string]*nodeTools
	here    *nodeTools // the present node's, nil without a flow
}

// nodeTools is what a node of the flow offers besides the agent's tools.
type nodeTools struct {
	node      *agent.Node
	names     []string // of bound tools
	functions []tools.Tool
	next      map[string]string // by a function's name, the node that it leads to
}

// Offer is what the model is told.
func (t *toolbox) Offer() []llm.Tool {
	except := t.except
	for _, name := range t.bound {
		if t.here == nil || !slices.Contains(t.here.names, name) {
			except = append(except[:len(except):len(except)], name)
		}
	}
	out := t.set.Offered(except...)
	if t.here == nil {
		return out
	}
	for _, f := range t.here.functions {
		d := f.Definition()
		out = append(out, llm.Tool{Name: d.Name, Description: d.Description, Parameters: f.Schema()})
	}
	return out
}

// get finds a tool that is offered now, and the node that it leads to, "" for
// none.
func (t *toolbox) get(name string) (tool tools.Tool, next string, ok bool) {
	if t.here != nil {
		for _, f := range t.here.functions {
			if f.Definition().Name == name {
				return f, t.here.next[name], true
			}
		}
	}
	tool, ok = t.set.Get(name)
	if ok && slices.Contains(t.bound, tool.Definition().Name) {
		ok = t.here != nil && slices.Contains(t.here.names, tool.Definition().Name)
	}
	return tool, "", ok
}

// openTools builds the agent's tools: its own, and those it names of the
// library (C-02: a tool that is not assigned is not offered).
func (s *session) openTools(ctx context.Context) {
	defs := append([]tools.Definition(nil), s.agent.Tools...)
	defs = append(defs, s.agent.LLM.Tools...)
	own := map[string]bool{}
	for i := range defs {
		own[defs[i].Name] = true
		if defs[i].ID != "" {
			own[defs[i].ID] = true
		}
	}
	if s.agent.AutonomousSilence && !slices.ContainsFunc(defs, isEndCall) {
		defs = append(defs, tools.Definition{Type: tools.EndCall})
	}
	offered := map[string]bool{}
	add := func(id string) {
		if own[id] {
			return
		}
		d, err := s.e.cfg.Directory.Tool(ctx, id)
		if err != nil {
			s.log.Warn("tool not found", zap.String("tool", id), zap.Error(err))
			return
		}
		own[id], own[d.Name] = true, true
		defs = append(defs, *d)
	}
	for _, id := range s.agent.ToolIDs {
		offered[id] = true
		add(id)
	}
	for _, id := range s.agent.PreCallTools {
		add(id)
	}
	for _, n := range s.agent.Flow.Nodes {
		for _, id := range n.ToolIDs {
			add(id)
		}
		for _, a := range slices.Concat(n.PreActions, n.PostActions) {
			add(a.Tool)
		}
		if n.EndsHere() && !slices.ContainsFunc(defs, isEndCall) {
			defs = append(defs, tools.Definition{Type: tools.EndCall})
		}
	}
	set, faults := s.e.build(defs, s.agent.ToolDeps(s.e.cfg.Tools))
	for _, f := range faults {
		s.log.Warn("tool left out", zap.Error(f))
	}
	s.tools = &toolbox{set: set}
	for _, id := range s.agent.PreCallTools {
		if t, ok := set.Get(id); ok {
			s.tools.preCall = append(s.tools.preCall, t)
			if !offered[id] {
				s.tools.except = append(s.tools.except, t.Definition().Name)
			}
		}
	}
	s.openFlow(offered)
}

func isEndCall(d tools.Definition) bool { return d.Type == tools.EndCall }
