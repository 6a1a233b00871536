package api

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/telephony"
)

// FlireoCall is a call as Flireo lists it (F-24).
type FlireoCall struct {
	ID           string     `json:"id"`
	CallerPhone  string     `json:"caller_phone"`
	AgentPhone   string     `json:"agent_phone"`
	Status       string     `json:"status" enum:"connecting,in-progress,ended,failed"`
	Seconds      int        `json:"duration_seconds"`
	Summary      *string    `json:"summary" doc:"null: none is made"`
	AgentName    string     `json:"agent_name"`
	BusinessName *string    `json:"business_name" doc:"Always null: there is no such thing here"`
	StartedAt    time.Time  `json:"started_at"`
	EndedAt      *time.Time `json:"ended_at"`
	CreatedAt    time.Time  `json:"created_at"`
}

// FlireoCalls is its page.
type FlireoCalls struct {
	Calls      []FlireoCall `json:"calls"`
	Pagination Pagination   `json:"pagination"`
}

// Pagination says which part of a list a page is.
type Pagination struct {
	Total  int `json:"total"`
	Limit  int `json:"limit"`
	Offset int `json:"offset"`
}

type flireoListInput struct {
	Limit  int `query:"limit" minimum:"1" maximum:"100" default:"50"`
	Offset int `query:"offset" minimum:"0" maximum:"100000" default:"0"`
}

// flireo are the paths of another platform that have another shape than ours:
// its base is /api/v1 (F-20).
func (s *Server) flireo() {
	huma.Register(s.api, huma.Operation{
		OperationID: "flireo-list-calls", Method: http.MethodGet, Path: "/api/v1/calls",
		Summary: "List calls in Flireo's shape, the latest first", Tags: []string{"flireo"}, Security: scope("calls:read"),
	}, s.flireoCalls)
	huma.Register(s.api, huma.Operation{
		OperationID: "flireo-dial", Method: http.MethodPost, Path: "/api/v1/calls",
		Summary: "Place a call, answered in Flireo's shape", Tags: []string{"flireo"}, Security: scope("calls:write"),
		MaxBodyBytes: maxBody, Metadata: once,
	}, s.flireoDial)
	huma.Register(s.api, huma.Operation{
		OperationID: flireoCommandID, Method: http.MethodPost, Path: "/api/v1/calls/{id}/control",
		Summary: "Tell a live call what to do, as Flireo does", Tags: []string{"flireo"}, Security: scope("calls:control"),
		MaxBodyBytes: maxBody, Middlewares: huma.Middlewares{badCommand},
	}, s.command)
}

const flireoCommandID = "flireo-control-call"

// badCommand answers 400 to an invalid command and to a call that is not
// active (F-17).
func badCommand(ctx huma.Context, next func(huma.Context)) { next(&commandContext{ctx}) }

type inner huma.Context // embedded below under a name that hides no method

type commandContext struct{ inner }

func (c *commandContext) Unwrap() huma.Context { return c.inner }

func (c *commandContext) SetStatus(code int) {
	if code == http.StatusConflict || code == http.StatusUnprocessableEntity {
		code = http.StatusBadRequest
	}
	c.inner.SetStatus(code)
}

func (s *Server) flireoCalls(ctx context.Context, in *flireoListInput) (*body[FlireoCalls], error) {
	f := store.Filter{Limit: in.Limit, Offset: in.Offset}
	if who := caller(ctx); len(who.Agents) > 0 {
		f.Agents = who.Agents
	}
	total, err := s.cfg.Calls.CountCalls(ctx, f)
	if err != nil {
		return nil, internal(err)
	}
	records, _, err := s.cfg.Calls.Calls(ctx, f)
	if err != nil {
		return nil, internal(err)
	}
	names, err := s.agentNames(ctx, records)
	if err != nil {
		return nil, internal(err)
	}
	page := FlireoCalls{Calls: []FlireoCall{}, Pagination: Pagination{Total: total, Limit: in.Limit, Offset: in.Offset}}
	for _, r := range records {
		page.Calls = append(page.Calls, flireoCall(r, names[r.Agent]))
	}
	return &body[FlireoCalls]{page}, nil
}

func flireoCall(r engine.Record, agentName string) FlireoCall {
	c := FlireoCall{
		ID: string(r.ID), CallerPhone: r.From, AgentPhone: r.To, Status: "connecting", Seconds: int(r.Duration().Seconds()),
		AgentName: agentName, StartedAt: r.Started, CreatedAt: r.Started,
	}
	if r.Direction == telephony.Outbound {
		c.CallerPhone, c.AgentPhone = r.To, r.From
	}
	switch {
	case r.Status == engine.StatusEnded && r.Answered.IsZero():
		c.Status = "failed"
	case r.Status == engine.StatusEnded:
		c.Status = "ended"
	case r.Status == engine.StatusInProgress:
		c.Status = "in-progress"
	}
	if !r.Ended.IsZero() {
		c.EndedAt = &r.Ended
	}
	return c
}

// agentNames are the names of the agents of calls, by their ids.
func (s *Server) agentNames(ctx context.Context, of []engine.Record) (map[agent.ID]string, error) {
	ids := make([]agent.ID, 0, len(of))
	for _, r := range of {
		ids = append(ids, r.Agent)
	}
	slices.Sort(ids)
	all, _, err := s.cfg.Objects.Agents(ctx, store.AgentFilter{IDs: slices.Compact(ids), Page: everything})
	if err != nil {
		return nil, err
	}
	names := make(map[agent.ID]string, len(all))
	for _, a := range all {
		names[a.ID] = a.Name
	}
	return names, nil
}
