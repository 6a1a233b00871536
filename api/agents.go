package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/tools"
)

// Agent is an agent as the API shows it: as its file is written, without its
// webhook secret.
type Agent struct {
	agent.Agent
	Turn      map[string]any     `json:"turn,omitempty" doc:"How turns are taken; durations as text: 200ms"`
	Tools     []tools.Definition `json:"tools" doc:"Its own tools; /v1/agents/{id}/tools changes one of them"`
	HasSecret bool               `json:"has_webhook_secret,omitempty"`
	CreatedAt time.Time          `json:"created_at"`
	UpdatedAt time.Time          `json:"updated_at"`
	UpdatedBy string             `json:"updated_by,omitempty" doc:"Name of the API key that changed it last"`
	Revision  int64              `json:"revision" doc:"Counts its changes from 1"`
	Source    string             `json:"source,omitempty" doc:"The file that it comes from"`
	Warnings  []Fault            `json:"warnings,omitempty" doc:"Advice: it works, but perhaps not as meant"`
}

// AgentInput is an agent as it is sent.
type AgentInput struct {
	agent.Agent
	WebhookSecret string `json:"webhook_secret,omitempty" doc:"Signs its webhooks; never shown again"`
}

// ofAgent are what answers have besides the agent; bodies may repeat it.
var ofAgent = []string{
	"id", "has_webhook_secret", "created_at", "updated_at", "updated_by", "revision", "source", "warnings",
}

func agentView(a store.Agent) Agent {
	v := Agent{
		Agent: a.Agent, Turn: asWritten(a.Turn), Tools: a.Tools, HasSecret: a.WebhookSecret != "", CreatedAt: a.Created,
		UpdatedAt: a.Updated, UpdatedBy: a.By, Revision: a.Revision, Source: a.Source,
	}
	if v.Tools == nil {
		v.Tools = []tools.Definition{}
	}
	return v
}

// shownAgent is an agent as the caller sees it: who may not change it sees no
// credentials in its webhook and its tools (SEC-10).
func shownAgent(ctx context.Context, a store.Agent) Agent {
	v := agentView(a)
	if caller(ctx).may("agents:write") {
		return v
	}
	v.WebhookURL = tools.MaskURL(v.WebhookURL)
	v.Tools = slices.Clone(v.Tools)
	for i, d := range v.Tools {
		v.Tools[i] = d.Shown()
	}
	return v
}

// AgentPath names an agent in a path.
type AgentPath struct {
	ID string `path:"id" maxLength:"255" doc:"Id or name of the agent"`
}

type agentChange struct {
	AgentPath
	Match   string `header:"If-Match" maxLength:"32" doc:"The revision that is changed; any where it is not said"`
	RawBody []byte
}

func (s *Server) agents() {
	huma.Register(s.api, huma.Operation{
		OperationID: "list-agents", Method: http.MethodGet, Path: "/v1/agents", Summary: "List agents",
		Tags: []string{"agents"}, Security: scope("agents:read"),
	}, s.listAgents)
	huma.Register(s.api, huma.Operation{
		OperationID: "create-agent", Method: http.MethodPost, Path: "/v1/agents", Summary: "Create an agent",
		Tags: []string{"agents"}, Security: scope("agents:write"), DefaultStatus: http.StatusCreated, MaxBodyBytes: maxBody,
		SkipValidateBody: true, RequestBody: s.bodyOf(AgentInput{}), Metadata: once,
	}, s.createAgent)
	huma.Register(s.api, huma.Operation{
		OperationID: "get-agent", Method: http.MethodGet, Path: "/v1/agents/{id}", Summary: "An agent",
		Tags: []string{"agents"}, Security: scope("agents:read"),
	}, func(ctx context.Context, in *AgentPath) (*object[Agent], error) {
		a, err := s.agent(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		return &object[Agent]{ETag: etag(a.Revision), Body: shownAgent(ctx, a)}, nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "change-agent", Method: http.MethodPatch, Path: "/v1/agents/{id}",
		Summary: "Change an agent: what is sent replaces what was there, null takes it away", Tags: []string{"agents"},
		Security: scope("agents:write"), MaxBodyBytes: maxBody, SkipValidateBody: true, RequestBody: s.partOf(AgentInput{}),
	}, s.changeAgent)
	huma.Register(s.api, huma.Operation{
		OperationID: "delete-agent", Method: http.MethodDelete, Path: "/v1/agents/{id}",
		Summary: "Delete an agent with its own tools and documents", Tags: []string{"agents"},
		Security: scope("agents:write"),
	}, func(ctx context.Context, in *AgentPath) (*struct{}, error) {
		a, err := s.agent(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		return nil, kept(s.cfg.Objects.DeleteAgent(ctx, caller(ctx).Name, a.ID), "agent")
	})
}

func (s *Server) listAgents(ctx context.Context, in *PageQuery) (*body[Page[Agent]], error) {
	f := store.AgentFilter{Page: in.page()}
	if who := caller(ctx); len(who.Agents) > 0 {
		f.IDs = who.Agents
	}
	all, next, err := s.cfg.Objects.Agents(ctx, f)
	if err != nil {
		return nil, kept(err, "agent")
	}
	page := Page[Agent]{Data: make([]Agent, 0, len(all)), NextCursor: next}
	for _, a := range all {
		page.Data = append(page.Data, shownAgent(ctx, a))
	}
	return &body[Page[Agent]]{page}, nil
}

// agent is an agent that the caller may see (T-24).
func (s *Server) agent(ctx context.Context, id string) (store.Agent, error) {
	a, err := s.cfg.Objects.Agent(ctx, agent.ID(id))
	if err == nil && !caller(ctx).sees(a.ID) {
		err = store.ErrNotFound
	}
	return a, kept(err, "agent")
}

func (s *Server) createAgent(ctx context.Context, in *struct{ RawBody []byte }) (*object[Agent], error) {
	if err := whole(ctx); err != nil {
		return nil, err
	}
	text, err := without(in.RawBody, ofAgent)
	if err != nil {
		return nil, err
	}
	a, advice, err := s.readAgent(ctx, text, in.RawBody, nil, "")
	if err != nil {
		return nil, err
	}
	a.ID = "" // the store gives one; a name is no id
	made, err := s.cfg.Objects.CreateAgent(ctx, caller(ctx).Name, a)
	if err := kept(err, "agent"); err != nil {
		return nil, err
	}
	v := agentView(made)
	v.Warnings = advice
	return &object[Agent]{ETag: etag(made.Revision), Location: "/v1/agents/" + string(made.ID), Body: v}, nil
}

func (s *Server) changeAgent(ctx context.Context, in *agentChange) (*object[Agent], error) {
	want, err := revision(in.Match)
	if err != nil {
		return nil, err
	}
	var advice []Fault
	made, err := again(&s.writes, want, func() (made store.Agent, err error) {
		was, err := s.agent(ctx, in.ID)
		if err != nil {
			return made, err
		}
		v := agentView(was)
		sent, err := fields(in.RawBody)
		if err != nil {
			return made, err
		}
		if _, ok := sent["first_message"]; ok { // another name of it
			v.Greeting = ""
		}
		text, err := onto(v, in.RawBody, ofAgent)
		if err != nil {
			return made, err
		}
		a, more, err := s.readAgent(ctx, text, in.RawBody, &was.Agent, "")
		if err != nil {
			return made, err
		}
		advice = more
		a.ID = was.ID
		if _, ok := sent["webhook_secret"]; !ok {
			a.WebhookSecret = was.WebhookSecret
		}
		rev := was.Revision
		if want != 0 {
			rev = want
		}
		return s.cfg.Objects.UpdateAgent(ctx, caller(ctx).Name, store.Agent{Agent: a, Meta: store.Meta{Revision: rev}})
	})
	if err := kept(err, "agent"); err != nil {
		return nil, err
	}
	v := agentView(made)
	v.Warnings = advice
	return &object[Agent]{ETag: etag(made.Revision), Body: v}, nil
}

// readAgent reads an agent and checks it with the tools that it names. sent
// is what the caller sent of it; where within is given, only faults of that
// part count, and are told from there.
func (s *Server) readAgent(ctx context.Context, text, sent []byte, was *agent.Agent, within string) (
	agent.Agent, []Fault, error,
) {
	library, err := s.named(ctx, text)
	if err != nil {
		return agent.Agent{}, nil, err
	}
	a, faults := s.cfg.Reader.ReadAgent(text, library, was)
	if within != "" {
		var of tools.Faults
		for _, f := range faults {
			if pathIn(f.Path, within) {
				of = append(of, f)
			}
		}
		faults = of
	}
	advice, err := split(faults, sent, within)
	return a, advice, err
}

// named are the tools of the library that an agent names, and all of them
// where one is missing: a fault then says which there are.
func (s *Server) named(ctx context.Context, text []byte) ([]tools.Definition, error) {
	var refs struct {
		IDs     []string   `json:"tool_ids"`
		PreCall []string   `json:"pre_call_tool_ids"`
		Flow    agent.Flow `json:"flow"`
	}
	_ = json.Unmarshal(text, &refs) // what is wrong with it is told by its reader
	ids := toolRefs(refs.IDs, refs.PreCall, refs.Flow)
	out := make([]tools.Definition, 0, len(ids))
	for _, id := range ids {
		t, err := s.tool(ctx, id)
		switch {
		case errors.Is(err, store.ErrNotFound) || err == nil && t.Agent != "":
			return s.nameable(ctx)
		case err != nil:
			return nil, internal(err)
		}
		out = append(out, t.Definition)
	}
	return out, nil
}

// knows tells whether an agent exists for a key.
func (s *Server) knows(ctx context.Context, id agent.ID) (bool, error) {
	_, err := s.agent(ctx, string(id))
	var p *Problem
	if errors.As(err, &p) && p.Status == http.StatusNotFound {
		return false, nil
	}
	return err == nil, err
}
