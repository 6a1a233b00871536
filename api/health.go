package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// Health is the answer of the health checks.
type Health struct {
	Status string `json:"status" enum:"ok,degraded"`
	// Away are parts that calls go on without.
	Away []string `json:"away,omitempty" doc:"What is away, that calls go on without: store"`
}

func (s *Server) health() {
	huma.Register(s.api, huma.Operation{
		OperationID: "healthz", Method: http.MethodGet, Path: "/healthz", Summary: "The process runs",
		Tags: []string{"health"},
	}, func(context.Context, *struct{}) (*body[Health], error) {
		return &body[Health]{Health{Status: "ok"}}, nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "readyz", Method: http.MethodGet, Path: "/readyz", Summary: "Calls can be taken",
		Tags: []string{"health"},
	}, func(context.Context, *struct{}) (*body[Health], error) {
		if s.cfg.Ready != nil {
			if err := s.cfg.Ready(); err != nil {
				return nil, fail(http.StatusServiceUnavailable, "not_ready", "", "Not ready: "+err.Error()+".")
			}
		}
		if s.cfg.Away != nil {
			if parts := s.cfg.Away(); len(parts) > 0 {
				return &body[Health]{Health{"degraded", parts}}, nil
			}
		}
		return &body[Health]{Health{Status: "ok"}}, nil
	})
}
