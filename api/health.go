package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// Health is the answer of the health checks.
type Health struct {
	Status string `json:"status" enum:"ok"`
}

func (s *Server) health() {
	huma.Register(s.api, huma.Operation{
		OperationID: "healthz", Method: http.MethodGet, Path: "/healthz", Summary: "The process runs",
		Tags: []string{"health"},
	}, func(context.Context, *struct{}) (*body[Health], error) {
		return &body[Health]{Health{"ok"}}, nil
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
		return &body[Health]{Health{"ok"}}, nil
	})
}
