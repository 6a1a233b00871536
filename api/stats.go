package api

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/store"
)

// AgentStats are the calls of an agent, counted (D-23).
type AgentStats struct {
	AgentID   string  `json:"agent_id"`
	AgentName string  `json:"agent_name,omitempty" doc:"Absent: the agent is gone"`
	Total     int     `json:"total"`
	Active    int     `json:"active"`
	Completed int     `json:"completed" doc:"Answered and ended"`
	Failed    int     `json:"failed" doc:"Ended without an answer"`
	Average   float64 `json:"avg_duration" doc:"Seconds from the answer to the end, of those completed"`
}

// Stats are the calls of a time.
type Stats struct {
	Total     int          `json:"total"`
	Active    int          `json:"active"`
	Completed int          `json:"completed"`
	Failed    int          `json:"failed"`
	Average   float64      `json:"avg_duration"`
	Agents    []AgentStats `json:"agents"`

	Campaigns []CampaignCount `json:"campaigns,omitempty" doc:"That run or are paused; for keys with campaigns:read"`
}

type statsInput struct {
	Since time.Time `query:"since" doc:"Started at this time or later"`
	Until time.Time `query:"until" doc:"Started before this time"`
}

func (s *Server) stats() {
	huma.Register(s.api, huma.Operation{
		OperationID: "get-stats", Method: http.MethodGet, Path: "/v1/stats",
		Summary: "Calls, counted, by agent; and campaigns",
		Tags:    []string{"calls"}, Security: scope("calls:read"),
	}, func(ctx context.Context, in *statsInput) (*body[Stats], error) {
		agents, err := s.agentStats(ctx, in)
		if err != nil {
			return nil, err
		}
		out := Stats{Agents: agents}
		seconds := 0.0
		for _, a := range agents {
			out.Total, out.Active = out.Total+a.Total, out.Active+a.Active
			out.Completed, out.Failed = out.Completed+a.Completed, out.Failed+a.Failed
			seconds += a.Average * float64(a.Completed)
		}
		if out.Completed > 0 {
			out.Average = seconds / float64(out.Completed)
		}
		if caller(ctx).may("campaigns:read") {
			if out.Campaigns, err = s.campaignCounts(ctx); err != nil {
				return nil, err
			}
		}
		return &body[Stats]{out}, nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "dariet-agent-stats", Method: http.MethodGet, Path: "/api/agents/stats",
		Summary: "Calls, counted, by agent", Tags: []string{dariet}, Security: scope("calls:read"),
	}, func(ctx context.Context, in *statsInput) (*body[[]AgentStats], error) {
		agents, err := s.agentStats(ctx, in)
		if err != nil {
			return nil, err
		}
		return &body[[]AgentStats]{agents}, nil
	})
}

// agentStats are those of every agent that the caller sees, without calls too.
func (s *Server) agentStats(ctx context.Context, in *statsInput) ([]AgentStats, error) {
	f, of := store.Filter{Since: in.Since, Until: in.Until}, store.AgentFilter{Page: everything}
	if who := caller(ctx); len(who.Agents) > 0 {
		f.Agents, of.IDs = who.Agents, who.Agents
	}
	counted, err := s.cfg.Calls.Tally(ctx, store.ByAgent, f)
	if err != nil {
		return nil, internal(err)
	}
	agents, _, err := s.cfg.Objects.Agents(ctx, of)
	if err != nil {
		return nil, internal(err)
	}
	names := map[agent.ID]string{}
	for _, a := range agents {
		names[a.ID] = a.Name
		if _, ok := counted[string(a.ID)]; !ok {
			counted[string(a.ID)] = store.Tally{}
		}
	}
	out := make([]AgentStats, 0, len(counted))
	for id, t := range counted {
		out = append(out, AgentStats{
			AgentID: id, AgentName: names[agent.ID(id)], Total: t.Total, Active: t.Active, Completed: t.Completed,
			Failed: t.Failed, Average: float64(t.AverageMS) / 1000,
		})
	}
	slices.SortFunc(out, func(a, b AgentStats) int {
		return cmp.Or(cmp.Compare(a.AgentName, b.AgentName), cmp.Compare(a.AgentID, b.AgentID))
	})
	return out, nil
}
