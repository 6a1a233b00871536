package api

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"

	"github.com/google/uuid"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/tools"
)

// ToolTest is what a tool is tried with.
type ToolTest struct {
	Args      map[string]any `json:"args,omitempty" doc:"What the model would send"`
	Variables map[string]any `json:"variables,omitempty" doc:"Of the call, besides those of the agent"`
	AgentID   string         `json:"agent_id,omitempty" maxLength:"255" doc:"Whose call it is; its variables count"`
	From      string         `json:"from,omitempty" maxLength:"255" doc:"The caller's number"`
	To        string         `json:"to,omitempty" maxLength:"255" doc:"The called number"`
	Outbound  bool           `json:"outbound,omitempty"`
}

type testInput struct {
	ToolPath
	Body ToolTest
}

func (s *Server) testTool(ctx context.Context, in *testInput) (*body[tools.Trial], error) {
	trial, err := s.try(ctx, in.ID, in.Body)
	if err != nil {
		return nil, err
	}
	return &body[tools.Trial]{trial}, nil
}

// try runs a tool as a call would.
func (s *Server) try(ctx context.Context, id string, with ToolTest) (tools.Trial, error) {
	t, err := s.tool(ctx, id)
	if err != nil {
		return tools.Trial{}, kept(err, "tool")
	}
	c := tools.Call{}
	if with.Args != nil {
		if c.Args, err = json.Marshal(with.Args); err != nil {
			return tools.Trial{}, internal(err)
		}
	}
	deps := s.cfg.Tools
	if c.Env, err = s.callOf(ctx, t, with, &deps); err != nil {
		return tools.Trial{}, err
	}
	users, err := s.users(ctx, t)
	if err != nil {
		return tools.Trial{}, err
	}
	trial, err := tools.Try(ctx, t.Definition, deps, c, users)
	if err != nil {
		return trial, fail(http.StatusConflict, "tool_not_valid", "",
			"The tool is not valid; its faults are told where it is changed.")
	}
	return trial, nil
}

// callOf is the phone call that a tool is tried in. What the tool needs of its
// agent is added to deps.
func (s *Server) callOf(ctx context.Context, t store.Tool, with ToolTest, deps *tools.Deps) (tools.Env, error) {
	e := tools.Env{
		CallID: uuid.NewString(), Phone: with.From, Direction: string(telephony.Inbound), Vars: map[string]any{},
	}
	if with.Outbound {
		e.Phone, e.Direction = with.To, string(telephony.Outbound)
	}
	if t.Agent != "" {
		with.AgentID = string(t.Agent)
	}
	if with.AgentID != "" {
		a, err := s.agent(ctx, with.AgentID)
		if err != nil {
			return e, err
		}
		e.AgentID, *deps = string(a.ID), a.ToolDeps(*deps)
		maps.Copy(e.Vars, a.Variables)
	}
	maps.Copy(e.Vars, with.Variables)
	maps.Copy(e.Vars, map[string]any{
		"call_id": e.CallID, "agent_id": e.AgentID, "caller_phone": e.Phone, "phone_number": e.Phone,
		"direction": e.Direction,
	})
	return e, nil
}

// users are the agents that a tool is assigned to, as far as the caller sees
// them.
func (s *Server) users(ctx context.Context, t store.Tool) ([]tools.User, error) {
	out := []tools.User{}
	f := store.AgentFilter{Page: everything}
	if who := caller(ctx); len(who.Agents) > 0 {
		f.IDs = who.Agents
	}
	if t.Agent != "" {
		f.IDs = []agent.ID{t.Agent}
	}
	agents, _, err := s.cfg.Objects.Agents(ctx, f)
	if err != nil {
		return nil, internal(err)
	}
	for _, a := range agents {
		named := toolRefs(a.ToolIDs, a.PreCallTools, a.Flow)
		if a.ID == t.Agent || t.Agent == "" && (slices.Contains(named, t.ID) || slices.Contains(named, t.Name)) {
			out = append(out, tools.User{Agent: a.Name, Prompt: a.Prompt})
		}
	}
	return out, nil
}
