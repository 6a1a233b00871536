package api

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/tools"
)

// ToolPath names a tool in a path.
type ToolPath struct {
	ID string `path:"id" maxLength:"100" doc:"Id of the tool, or its name in the library"`
}

type toolChange struct {
	ToolPath
	Match   string `header:"If-Match" maxLength:"32" doc:"The revision that is changed; any where it is not said"`
	RawBody []byte
}

// libraryTools are the paths of the tools that agents share.
func (s *Server) libraryTools() {
	huma.Register(s.api, huma.Operation{
		OperationID: "list-tools", Method: http.MethodGet, Path: "/v1/tools",
		Summary: "List the tools that agents share",
		Tags:    []string{"tools"}, Security: scope("tools:read"),
	}, s.listTools)
	huma.Register(s.api, huma.Operation{
		OperationID: "create-tool", Method: http.MethodPost, Path: "/v1/tools",
		Summary: "Create a tool that agents name in tool_ids", Tags: []string{"tools"}, Security: scope("tools:write"),
		DefaultStatus: http.StatusCreated, MaxBodyBytes: maxBody, SkipValidateBody: true,
		RequestBody: s.bodyOf(ToolInput{}), Metadata: once,
	}, func(ctx context.Context, in *struct{ RawBody []byte }) (*object[Tool], error) {
		if err := whole(ctx); err != nil {
			return nil, err
		}
		t, advice, err := s.createTool(ctx, in.RawBody, nil)
		if err != nil {
			return nil, err
		}
		return s.toolAnswer(ctx, t, advice, "/v1/tools/"+t.ID), nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "get-tool", Method: http.MethodGet, Path: "/v1/tools/{id}", Summary: "A tool",
		Tags: []string{"tools"}, Security: scope("tools:read"),
	}, func(ctx context.Context, in *ToolPath) (*object[Tool], error) {
		t, err := s.tool(ctx, in.ID)
		if err != nil {
			return nil, kept(err, "tool")
		}
		return s.toolAnswer(ctx, t, nil, ""), nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "change-tool", Method: http.MethodPatch, Path: "/v1/tools/{id}",
		Summary: "Change a tool: what is sent replaces what was there, null takes it away", Tags: []string{"tools"},
		Security: scope("tools:write"), MaxBodyBytes: maxBody, SkipValidateBody: true, RequestBody: s.partOf(ToolInput{}),
	}, func(ctx context.Context, in *toolChange) (*object[Tool], error) {
		t, advice, err := s.changeTool(ctx, in.ID, in.Match, in.RawBody)
		if err != nil {
			return nil, err
		}
		return s.toolAnswer(ctx, t, advice, ""), nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "delete-tool", Method: http.MethodDelete, Path: "/v1/tools/{id}",
		Summary: "Delete a tool; agents that name it go on without it", Tags: []string{"tools"},
		Security: scope("tools:write"),
	}, func(ctx context.Context, in *ToolPath) (*struct{}, error) {
		t, err := s.tool(ctx, in.ID)
		if err != nil {
			return nil, kept(err, "tool")
		}
		return nil, s.deleteTool(ctx, t)
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "test-tool", Method: http.MethodPost, Path: "/v1/tools/{id}/test",
		Summary: "Run a tool as a call would, and tell what went out and came back", Tags: []string{"tools"},
		Security: scope("tools:write"), MaxBodyBytes: maxBody,
	}, s.testTool)
}

// toolAnswer is one tool, in both of its forms.
func (s *Server) toolAnswer(ctx context.Context, t store.Tool, advice []Fault, location string) *object[Tool] {
	v := shownTool(ctx, t)
	v.Warnings, v.Resolved = advice, s.resolved(ctx, t)
	return &object[Tool]{ETag: etag(t.Revision), Location: location, Body: v}
}

func (s *Server) listTools(ctx context.Context, in *PageQuery) (*body[Page[Tool]], error) {
	if len(caller(ctx).Agents) > 0 {
		all, err := s.shared(ctx)
		if err != nil {
			return nil, err
		}
		page := Page[Tool]{Data: make([]Tool, 0, len(all))}
		for _, t := range all {
			page.Data = append(page.Data, shownTool(ctx, t))
		}
		return &body[Page[Tool]]{page}, nil
	}
	list, next, err := s.cfg.Objects.Tools(ctx, "", in.page())
	if err != nil {
		return nil, kept(err, "tool")
	}
	page := Page[Tool]{Data: make([]Tool, 0, len(list)), NextCursor: next}
	for _, t := range list {
		page.Data = append(page.Data, shownTool(ctx, t))
	}
	return &body[Page[Tool]]{page}, nil
}

// shared are the tools of the library that the agents of a limited key name.
func (s *Server) shared(ctx context.Context) ([]store.Tool, error) {
	named, err := s.namedByOwn(ctx)
	if err != nil {
		return nil, err
	}
	var out []store.Tool
	for _, id := range named {
		t, err := s.cfg.Objects.Tool(ctx, id)
		if err == nil && t.Agent == "" && !slices.ContainsFunc(out, func(o store.Tool) bool { return o.ID == t.ID }) {
			out = append(out, t)
		}
	}
	return out, nil
}

// namedByOwn are the ids and names of tools of the library that the agents of a
// limited key name.
func (s *Server) namedByOwn(ctx context.Context) ([]string, error) {
	f := store.AgentFilter{IDs: caller(ctx).Agents, Page: everything}
	agents, _, err := s.cfg.Objects.Agents(ctx, f)
	if err != nil {
		return nil, internal(err)
	}
	var out []string
	for _, a := range agents {
		out = append(out, sharedRefs(a.Agent)...)
	}
	return out, nil
}

// sharedRefs are the tools of the library that an agent names.
func sharedRefs(a agent.Agent) []string {
	own := func(id string) bool { return ownTool(a, id) }
	return slices.Concat(a.ToolIDs, slices.DeleteFunc(toolRefs(nil, a.PreCallTools, a.Flow), own))
}

// ownTool tells whether an agent names a tool of its own by an id or name, as
// it may everywhere but in tool_ids.
func ownTool(a agent.Agent, id string) bool {
	return slices.ContainsFunc(slices.Concat(a.Tools, a.LLM.Tools), func(d tools.Definition) bool {
		return id == d.ID || id == cmp.Or(d.Name, string(d.Type))
	})
}

// staysOwn keeps a limited key from taking away what its agent names while the
// library has a tool of that name: the agent would name that one then.
func (s *Server) staysOwn(ctx context.Context, t store.Tool, name string) error {
	if len(caller(ctx).Agents) == 0 || t.Agent == "" || t.Name == "" || t.Name == name {
		return nil
	}
	a, err := s.cfg.Objects.Agent(ctx, t.Agent)
	if err != nil {
		return kept(err, "agent")
	}
	if !slices.Contains(toolRefs(nil, a.PreCallTools, a.Flow), t.Name) {
		return nil
	}
	_, err = s.cfg.Objects.Tool(ctx, t.Name)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return cmp.Or(kept(err, "tool"), error(fail(http.StatusConflict, "in_use", "body.name",
		"The tool is in use: the agent names it in pre_call_tool_ids or its flow. Take it out there first.")))
}

// toolRefs are the tools that an agent names.
func toolRefs(ids, preCall []string, flow agent.Flow) []string {
	out := slices.Concat(ids, preCall)
	for _, n := range flow.Nodes {
		out = append(out, n.ToolIDs...)
		for _, a := range slices.Concat(n.PreActions, n.PostActions) {
			out = append(out, a.Tool)
		}
	}
	return out
}

// tool is a tool that the caller may see: an agent's own with the agent, and
// of the library, for a limited key, what its agents name.
func (s *Server) tool(ctx context.Context, id string) (store.Tool, error) {
	t, err := s.cfg.Objects.Tool(ctx, id)
	who := caller(ctx)
	if err != nil || len(who.Agents) == 0 {
		return t, err
	}
	var named []string
	if t.Agent == "" {
		if named, err = s.namedByOwn(ctx); err != nil {
			return t, err
		}
	}
	if !visible(ctx, t, named) {
		return store.Tool{}, store.ErrNotFound
	}
	return t, nil
}

// visible tells whether the caller may see a tool; named are those of the
// library that the agents of a limited key name.
func visible(ctx context.Context, t store.Tool, named []string) bool {
	who := caller(ctx)
	if t.Agent != "" {
		return who.sees(t.Agent)
	}
	return len(who.Agents) == 0 || slices.Contains(named, t.ID) || slices.Contains(named, t.Name)
}

// nameable are the tools of the library that the caller's agents may name.
func (s *Server) nameable(ctx context.Context) ([]tools.Definition, error) {
	out := []tools.Definition{}
	if len(caller(ctx).Agents) > 0 {
		all, err := s.shared(ctx)
		for _, t := range all {
			out = append(out, t.Definition)
		}
		return out, err
	}
	list, _, err := s.cfg.Objects.Tools(ctx, "", everything)
	if err != nil {
		return nil, internal(err)
	}
	for _, t := range list {
		out = append(out, t.Definition)
	}
	return out, nil
}

// createTool keeps a tool of an agent's own, or of the library. need are
// members that must be sent besides those that every tool needs.
func (s *Server) createTool(ctx context.Context, sent []byte, of *store.Agent, need ...string) (
	t store.Tool, advice []Fault, err error,
) {
	members, err := fields(sent)
	if err != nil {
		return t, nil, err
	}
	text, err := without(sent, ofTool)
	if err != nil {
		return t, nil, err
	}
	var owner *agent.Agent
	if of != nil {
		t.Agent, owner = of.ID, &of.Agent
	}
	d, faults := s.cfg.Reader.ReadTool(text, owner)
	advice, err = split(faults, sent, "")
	if err := missing(err, members, need); err != nil {
		return t, nil, err
	}
	t.Definition = d
	t, err = s.cfg.Objects.CreateTool(ctx, caller(ctx).Name, t)
	return t, advice, kept(err, "tool")
}

// changeTool puts what was sent in the place of what was there.
func (s *Server) changeTool(ctx context.Context, id, match string, sent []byte) (store.Tool, []Fault, error) {
	want, err := revision(match)
	if err != nil {
		return store.Tool{}, nil, err
	}
	var advice []Fault
	t, err := again(&s.writes, want, func() (store.Tool, error) {
		was, err := s.tool(ctx, id)
		if err != nil {
			return was, err
		}
		if was.Agent == "" {
			if err := whole(ctx); err != nil {
				return was, err
			}
		}
		text, err := onto(was.Definition, sent, ofTool)
		if err != nil {
			return was, err
		}
		t := was
		if t.Definition, advice, err = s.readTool(ctx, text, sent, was.Agent); err != nil {
			return was, err
		}
		if err := s.staysOwn(ctx, was, t.Name); err != nil {
			return was, err
		}
		t.ID = was.ID
		if want != 0 {
			t.Revision = want
		}
		return s.cfg.Objects.UpdateTool(ctx, caller(ctx).Name, t)
	})
	return t, advice, kept(err, "tool")
}

func (s *Server) readTool(ctx context.Context, text, sent []byte, of agent.ID) (tools.Definition, []Fault, error) {
	var owner *agent.Agent
	if of != "" {
		a, err := s.cfg.Objects.Agent(ctx, of)
		if err != nil {
			return tools.Definition{}, nil, err
		}
		owner = &a.Agent
	}
	d, faults := s.cfg.Reader.ReadTool(text, owner)
	advice, err := split(faults, sent, "")
	return d, advice, err
}

func (s *Server) deleteTool(ctx context.Context, t store.Tool) error {
	if t.Agent == "" {
		if err := whole(ctx); err != nil {
			return err
		}
	}
	if err := s.staysOwn(ctx, t, ""); err != nil {
		return err
	}
	return kept(s.cfg.Objects.DeleteTool(ctx, caller(ctx).Name, t.ID), "tool")
}
