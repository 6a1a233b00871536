package agent

import (
	"slices"
	"strings"

	"github.com/patchcord/patchcord/llm"
)

// Uses says whether a tool of the library is assigned to this agent (C-02): it
// is offered to the model, or runs by itself.
func (a *Agent) Uses(nameOrID string) bool {
	if slices.Contains(a.ToolIDs, nameOrID) || slices.Contains(a.PreCallTools, nameOrID) {
		return true
	}
	for _, n := range a.Flow.Nodes {
		if slices.Contains(n.ToolIDs, nameOrID) {
			return true
		}
		for _, act := range slices.Concat(n.PreActions, n.PostActions) {
			if act.Tool == nameOrID {
				return true
			}
		}
	}
	return false
}

// Instructions is all that the model is told to do: the prompt, and that of
// each node.
func (a *Agent) Instructions() string {
	parts := []string{a.Prompt}
	add := func(ms []llm.Message) {
		for _, m := range ms {
			if m.Role == llm.System {
				parts = append(parts, m.Content)
			}
		}
	}
	add(a.LLM.Messages)
	for _, n := range a.Flow.Nodes {
		parts = append(parts, n.Prompt)
		add(n.RoleMessages)
		add(n.TaskMessages)
	}
	return strings.Join(parts, "\n")
}
