package engine

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/tools"
)

// flow is where the call is in its agent's flow.
type flow struct {
	role    []llm.Message   // of the last node that said who the agent is
	actions map[string]bool // calls of the present node's that have no result yet
	found   tools.Contexts  // what the others came to
	results map[string]any  // of tools, by their names: the latest
}

// openFlow finds what each node offers: tools that a node names are offered
// there and not elsewhere (D-13), but for those that the agent offers itself.
func (s *session) openFlow(offered map[string]bool) {
	s.flow.results = map[string]any{}
	t := s.tools
	t.nodes = map[string]*nodeTools{}
	for i := range s.agent.Flow.Nodes {
		n := &s.agent.Flow.Nodes[i]
		nt := &nodeTools{node: n, next: map[string]string{}}
		t.nodes[n.Key] = nt
		ids := n.ToolIDs
		if n.EndsHere() && !s.agent.AutonomousSilence { // which offers it everywhere
			ids = append(ids[:len(ids):len(ids)], s.endCallTool())
		}
		for _, id := range ids {
			tool, ok := t.set.Get(id)
			if !ok || offered[id] || offered[tool.Definition().Name] {
				continue
			}
			nt.names = append(nt.names, tool.Definition().Name)
			t.bound = append(t.bound, tool.Definition().Name)
		}
		for _, a := range slices.Concat(n.PreActions, n.PostActions) {
			if tool, ok := t.set.Get(a.Tool); ok && !offered[a.Tool] && !offered[tool.Definition().Name] {
				t.bound = append(t.bound, tool.Definition().Name)
			}
		}
		for j := range n.Functions {
			f, faults := n.Functions[j].Tool()
			for _, fault := range faults {
				s.log.Warn("a way of the flow is left out", zap.String("node", n.Key), zap.Error(fault))
			}
			if f != nil {
				nt.functions = append(nt.functions, f)
				nt.next[f.Definition().Name] = n.Functions[j].Next
			}
		}
	}
}

// endCallTool is the name of the agent's end_call.
func (s *session) endCallTool() string {
	for _, t := range s.tools.set.Tools() {
		if t.Definition().Type == tools.EndCall {
			return t.Definition().Name
		}
	}
	return agent.EndCallTool
}

// startNode is where the flow begins, nil without one.
func (s *session) startNode() *turn.Node {
	if n := s.agent.Flow.Start(); n != nil {
		return s.nodeAt(n.Key, "start")
	}
	return nil
}

// nodeAt is a node as the machine knows it, with a call made ready for each of
// its actions; nil when there is none of that key.
func (s *session) nodeAt(key, by string) *turn.Node {
	nt := s.tools.nodes[key]
	if nt == nil {
		return nil
	}
	n := nt.node
	out := &turn.Node{
		Name: key, By: by, Slow: n.SlowInput, Locked: n.AllowInterrupt != nil && !*n.AllowInterrupt,
	}
	for _, a := range n.PreActions {
		if id := s.action(a, "enter", key); id != "" {
			out.Actions = append(out.Actions, id)
		}
	}
	return out
}

// action makes a call ready that runs by itself, and returns its id.
func (s *session) action(a agent.Action, when, key string) string {
	t, ok := s.tools.set.Get(a.Tool)
	if !ok {
		s.log.Warn("tool of an action not found", zap.String("node", key), zap.String("tool", a.Tool))
		return ""
	}
	name := t.Definition().Name
	id := s.unused(fmt.Sprintf("%s-%s-%s", when, key, name))
	s.calls[id] = &toolCall{
		call: llm.ToolCall{ID: id, Name: name}, tool: t, args: json.RawMessage(`{}`), class: turn.ClassEffect,
		action: true, left: when == "leave", wants: a.Collected,
	}
	return id
}

// enteredNode is the change of a node, in one piece: what the model is told and
// offered from now on, and what was to be done on leaving the node before.
func (s *session) enteredNode(e turn.EnterNode) {
	f := &s.flow
	before := s.tools.here
	s.tools.here = s.tools.nodes[e.To]
	f.found, f.actions = nil, map[string]bool{}
	if n := s.tools.here.node; len(n.RoleMessages) > 0 {
		f.role = n.RoleMessages
	}
	for _, id := range e.Actions {
		f.actions[id] = true
	}
	if c := s.calls[e.Call]; c != nil && c.next != "" {
		s.collect(c.args)
	}
	s.event(EventFlowEntered, F("node", e.To), F("from", e.From), F("by", e.By))
	if before == nil {
		return
	}
	for _, a := range before.node.PostActions {
		if id := s.action(a, "leave", before.node.Key); id != "" {
			s.runTool(id)
		}
	}
}

// collect keeps what a function was called with: {{collected.name}}.
func (s *session) collect(args json.RawMessage) {
	var in map[string]any
	if json.Unmarshal(args, &in) != nil || len(in) == 0 {
		return
	}
	all := map[string]any{}
	if before, ok := s.vars["collected"].(map[string]any); ok {
		maps.Copy(all, before)
	}
	maps.Copy(all, in)
	s.setVar("collected", all)
}

// setVar sets a variable of the call; tools at work read the old ones.
func (s *session) setVar(name string, v any) {
	vars := maps.Clone(s.vars)
	vars[name] = v
	s.vars = vars
}

// keepResult keeps what a tool found, for conditions, and the variables that it
// sets, but for those that every call has.
func (s *session) keepResult(tool string, r tools.Result) any {
	for name, v := range r.Vars {
		if _, callers := s.consent.known[name]; !callers && !tools.EveryCall(name) { // the caller's word stands
			s.setVar(name, v)
		}
	}
	var v any
	if json.Unmarshal(r.JSON, &v) != nil {
		return nil
	}
	s.flow.results[tool] = v
	return v
}

// actionDone keeps the result of a node's action: all of them are known to the
// model before its first reply in the node (D-15, D-17).
func (s *session) actionDone(c *toolCall, r tools.Result) (next *turn.Node) {
	f := &s.flow
	if v := s.keepResult(c.call.Name, r); v != nil {
		s.setVar(c.call.Name, v)
	}
	if c.left {
		return nil
	}
	found := tools.Found{Tool: c.call.Name, Result: r.JSON}
	if !f.actions[c.call.ID] { // the node was left in the meantime
		s.tellContext(tools.Contexts{found})
		return nil
	}
	f.found = append(f.found, found)
	delete(f.actions, c.call.ID)
	if len(f.actions) == 0 {
		s.tellContext(f.found)
	}
	if to := s.tools.here.node.OnError; to != "" && r.Status != tools.OK {
		return s.nodeAt(to, "error")
	}
	return s.condition()
}

// tellContext adds what tools found that ran by themselves.
func (s *session) tellContext(found tools.Contexts) {
	s.transcript.context(found.Text())
	s.responder.know(found.Text())
}

// condition is where the results so far lead to, nil for nowhere.
func (s *session) condition() *turn.Node {
	if s.tools.here == nil {
		return nil
	}
	for _, t := range s.tools.here.node.Transitions {
		if tools.Holds(t.When, s.flow.results, s.env()) {
			return s.nodeAt(t.Next, "condition")
		}
	}
	return nil
}

// task is what the model is told in the present node.
func (s *session) task() []llm.Message {
	if s.tools.here == nil {
		return nil
	}
	n := s.tools.here.node
	out := slices.Clone(s.flow.role)
	if n.Prompt != "" {
		out = append(out, llm.Message{Role: llm.System, Content: n.Prompt})
	}
	return append(out, n.TaskMessages...)
}

// actionEnv is what an action may know of the call: not what functions were
// called with, but for what it wants of that (D-18).
func (s *session) actionEnv(c *toolCall) tools.Env {
	env := s.env()
	env.PreAction = true
	if s.record.Direction == telephony.Outbound {
		env.Context = s.given
	}
	collected, _ := s.vars["collected"].(map[string]any)
	for _, name := range c.wants {
		if v, ok := collected[name]; ok { // what the caller says now is newer than what the call was started with
			if env.Context = maps.Clone(env.Context); env.Context == nil {
				env.Context = map[string]any{}
			}
			env.Context[name] = v
		}
	}
	return env
}
