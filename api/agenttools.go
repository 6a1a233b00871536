package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcord/patchcord/store"
)

// AgentToolPath names a tool of an agent in a path.
type AgentToolPath struct {
	AgentPath
	ToolID string `path:"toolId" maxLength:"64"`
}

type agentToolChange struct {
	AgentToolPath
	Match   string `header:"If-Match" maxLength:"32" doc:"The revision that is changed; any where it is not said"`
	RawBody []byte
}

type agentToolNew struct {
	AgentPath
	RawBody []byte
}

// agentTools are TalkPilot's paths: the tools of an agent's own (T-16 to T-20).
func (s *Server) agentTools() {
	const path = "/v1/agents/{id}/tools"
	huma.Register(s.api, huma.Operation{
		OperationID: "list-agent-tools", Method: http.MethodGet, Path: path, Summary: "All tools of an agent's own",
		Tags: []string{"agents"}, Security: scope("tools:read"),
	}, func(ctx context.Context, in *AgentPath) (*body[Page[Tool]], error) {
		a, err := s.agent(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		list, _, err := s.cfg.Objects.Tools(ctx, a.ID, everything)
		if err != nil {
			return nil, internal(err)
		}
		page := Page[Tool]{Data: make([]Tool, 0, len(list))}
		for _, t := range list {
			page.Data = append(page.Data, shownTool(ctx, t))
		}
		return &body[Page[Tool]]{page}, nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "create-agent-tool", Method: http.MethodPost, Path: path, Summary: "Give an agent a tool of its own",
		Tags: []string{"agents"}, Security: scope("tools:write"), DefaultStatus: http.StatusCreated, MaxBodyBytes: maxBody,
		SkipValidateBody: true, RequestBody: s.bodyOf(ToolInput{}), Metadata: once,
	}, s.createAgentTool)
	huma.Register(s.api, huma.Operation{
		OperationID: "get-agent-tool", Method: http.MethodGet, Path: path + "/{toolId}", Summary: "A tool of an agent's own",
		Tags: []string{"agents"}, Security: scope("tools:read"),
	}, func(ctx context.Context, in *AgentToolPath) (*object[Tool], error) {
		t, err := s.agentTool(ctx, in)
		if err != nil {
			return nil, err
		}
		return s.toolAnswer(ctx, t, nil, ""), nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "change-agent-tool", Method: http.MethodPatch, Path: path + "/{toolId}",
		Summary: "Change a tool of an agent's own: what is sent replaces what was there", Tags: []string{"agents"},
		Security: scope("tools:write"), MaxBodyBytes: maxBody, SkipValidateBody: true, RequestBody: s.partOf(ToolInput{}),
	}, func(ctx context.Context, in *agentToolChange) (*object[Tool], error) {
		t, err := s.agentTool(ctx, &in.AgentToolPath)
		if err != nil {
			return nil, err
		}
		t, advice, err := s.changeTool(ctx, t.ID, in.Match, in.RawBody)
		if err != nil {
			return nil, err
		}
		return s.toolAnswer(ctx, t, advice, ""), nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "delete-agent-tool", Method: http.MethodDelete, Path: path + "/{toolId}",
		Summary: "Take a tool of its own from an agent", Tags: []string{"agents"}, Security: scope("tools:write"),
	}, func(ctx context.Context, in *AgentToolPath) (*struct{}, error) {
		t, err := s.agentTool(ctx, in)
		if err != nil {
			return nil, err
		}
		return nil, s.deleteTool(ctx, t)
	})
}

// agentTool is a tool of an agent's own that the caller may see.
func (s *Server) agentTool(ctx context.Context, in *AgentToolPath) (store.Tool, error) {
	a, err := s.agent(ctx, in.ID)
	if err != nil {
		return store.Tool{}, err
	}
	t, err := s.cfg.Objects.Tool(ctx, in.ToolID)
	if err == nil && (t.Agent != a.ID || t.ID != in.ToolID) {
		err = store.ErrNotFound
	}
	return t, kept(err, "tool")
}

// needed are the members that a new tool has (T-18).
var needed = []string{"name", "description", "tool_type", "config"}

func (s *Server) createAgentTool(ctx context.Context, in *agentToolNew) (*object[Tool], error) {
	a, err := s.agent(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	t, advice, err := s.createTool(ctx, in.RawBody, &a, needed...)
	if err != nil {
		return nil, err
	}
	return s.toolAnswer(ctx, t, advice, "/v1/agents/"+string(a.ID)+"/tools/"+t.ID), nil
}

// missing adds the members that were not sent to what else is wrong.
func missing(err error, sent map[string]json.RawMessage, names []string) error {
	var p *Problem
	if err != nil && !errors.As(err, &p) {
		return err
	}
	for _, name := range names {
		if _, ok := sent[name]; ok {
			continue
		}
		if p == nil {
			p = &Problem{Status: http.StatusUnprocessableEntity}
		}
		p.Faults = told(p.Faults, Fault{Param: "body." + name, Message: "missing; every tool has one"})
	}
	if p == nil {
		return nil
	}
	return p
}

// told adds a fault where none of its place is told.
func told(have []Fault, f Fault) []Fault {
	for _, h := range have {
		if h.Param == f.Param {
			return have
		}
	}
	return append(have, f)
}
