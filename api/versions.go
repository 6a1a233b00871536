package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/tools"
)

// Version is an object as it was after one change, or when it was deleted.
type Version[T any] struct {
	Revision int64     `json:"revision"`
	Op       string    `json:"op" enum:"create,update,delete,restore,seed"`
	By       string    `json:"changed_by,omitempty" doc:"Name of the API key"`
	At       time.Time `json:"changed_at"`
	Object   T         `json:"object" doc:"As it was, without secrets"`
}

type versionsInput struct {
	ID     string `path:"id" maxLength:"255" doc:"Id of the object, a deleted one's too"`
	Cursor string `query:"cursor" maxLength:"20" pattern:"^[0-9]*$" doc:"next_cursor of the page before"`
}

type restoreInput struct {
	ID       string `path:"id" maxLength:"255" doc:"Id of the object, a deleted one's too"`
	Revision int64  `path:"revision" minimum:"1" doc:"What it shall be again"`
}

func (s *Server) versions() {
	huma.Register(s.api, huma.Operation{
		OperationID: "list-agent-versions", Method: http.MethodGet, Path: "/v1/agents/{id}/versions",
		Summary: "What an agent was, the latest first", Tags: []string{"agents"}, Security: scope("agents:read"),
	}, func(ctx context.Context, in *versionsInput) (*body[Page[Version[Agent]]], error) {
		return versions(ctx, s, store.KindAgent, in, func(v store.Version) (Agent, bool, error) {
			var a agent.Agent
			err := json.Unmarshal(v.Body, &a)
			a.ID = agent.ID(v.ID)
			return shownAgent(ctx, store.Agent{Agent: a, Meta: store.Meta{Revision: v.Revision, Updated: v.At, By: v.By}}),
				caller(ctx).sees(a.ID), err
		})
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "restore-agent", Method: http.MethodPost, Path: "/v1/agents/{id}/versions/{revision}/restore",
		Summary: "Make an agent what it was, as a new change", Tags: []string{"agents"}, Security: scope("agents:write"),
	}, func(ctx context.Context, in *restoreInput) (*object[Agent], error) {
		if !caller(ctx).sees(agent.ID(in.ID)) {
			return nil, notFound("agent")
		}
		if err := s.mayRestore(ctx, in); err != nil {
			return nil, err
		}
		a, err := s.cfg.Objects.RestoreAgent(ctx, caller(ctx).Name, agent.ID(in.ID), in.Revision)
		if err := kept(err, "agent or revision"); err != nil {
			return nil, err
		}
		return &object[Agent]{ETag: etag(a.Revision), Body: shownAgent(ctx, a)}, nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "list-tool-versions", Method: http.MethodGet, Path: "/v1/tools/{id}/versions",
		Summary: "What a tool was, the latest first", Tags: []string{"tools"}, Security: scope("tools:read"),
	}, func(ctx context.Context, in *versionsInput) (*body[Page[Version[Tool]]], error) {
		return versions(ctx, s, store.KindTool, in, func(v store.Version) (Tool, bool, error) {
			t := store.Tool{Agent: v.Agent, Meta: store.Meta{Revision: v.Revision, Updated: v.At, By: v.By}}
			err := json.Unmarshal(v.Body, &t.Definition)
			t.ID = v.ID
			return shownTool(ctx, t), s.ownVersion(ctx, v), err
		})
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "restore-tool", Method: http.MethodPost, Path: "/v1/tools/{id}/versions/{revision}/restore",
		Summary: "Make a tool what it was, as a new change", Tags: []string{"tools"}, Security: scope("tools:write"),
	}, func(ctx context.Context, in *restoreInput) (*object[Tool], error) {
		v, err := s.cfg.Objects.Version(ctx, store.KindTool, in.ID, in.Revision)
		if err == nil && !s.ownVersion(ctx, v) {
			err = store.ErrNotFound
		}
		if err != nil {
			return nil, kept(err, "tool or revision")
		}
		if now, err := s.cfg.Objects.Tool(ctx, in.ID); err == nil {
			var was tools.Definition
			if err := json.Unmarshal(v.Body, &was); err != nil {
				return nil, internal(err)
			}
			if err := s.staysOwn(ctx, now, was.Name); err != nil {
				return nil, err
			}
		}
		t, err := s.cfg.Objects.RestoreTool(ctx, caller(ctx).Name, in.ID, in.Revision)
		if err := kept(err, "tool"); err != nil {
			return nil, err
		}
		return s.toolAnswer(ctx, t, nil, ""), nil
	})
}

// mayRestore keeps a limited key from a version of its agent that names tools of
// the library which were taken from it.
func (s *Server) mayRestore(ctx context.Context, in *restoreInput) error {
	if len(caller(ctx).Agents) == 0 {
		return nil
	}
	v, err := s.cfg.Objects.Version(ctx, store.KindAgent, in.ID, in.Revision)
	if err != nil {
		return kept(err, "agent or revision")
	}
	var was agent.Agent
	if err := json.Unmarshal(v.Body, &was); err != nil {
		return internal(err)
	}
	for _, id := range sharedRefs(was) {
		switch _, err := s.tool(ctx, id); {
		case errors.Is(err, store.ErrNotFound):
			return fail(http.StatusForbidden, "forbidden", "revision",
				"This revision names a shared tool that is not this key's.")
		case err != nil:
			return kept(err, "tool")
		}
	}
	return nil
}

// ownVersion tells whether a version of a tool exists for the caller: of an
// agent's own for whom sees the agent, of the library for whom nothing limits.
func (s *Server) ownVersion(ctx context.Context, v store.Version) bool {
	who := caller(ctx)
	if v.Agent != "" {
		return who.sees(v.Agent)
	}
	return len(who.Agents) == 0
}

// versions lists those that the caller may see; an object without any does
// not exist.
func versions[T any](ctx context.Context, s *Server, k store.Kind, in *versionsInput,
	view func(store.Version) (T, bool, error),
) (*body[Page[Version[T]]], error) {
	var before int64
	if in.Cursor != "" {
		n, err := strconv.ParseInt(in.Cursor, 10, 64)
		if err != nil || n < 1 {
			return nil, kept(store.ErrCursor, "")
		}
		before = n
	}
	list, err := s.cfg.Objects.Versions(ctx, k, in.ID, before)
	if err != nil {
		return nil, internal(err)
	}
	page := Page[Version[T]]{Data: []Version[T]{}}
	for _, v := range list {
		o, own, err := view(v)
		if err != nil {
			return nil, internal(err)
		}
		if own {
			page.Data = append(page.Data, Version[T]{Revision: v.Revision, Op: v.Op, By: v.By, At: v.At, Object: o})
		}
	}
	if len(page.Data) == 0 && before == 0 {
		return nil, notFound(string(k))
	}
	if n := len(list); n == versionsOfPage && list[n-1].Revision > 1 {
		page.NextCursor = strconv.FormatInt(list[n-1].Revision, 10)
	}
	return &body[Page[Version[T]]]{page}, nil
}

// versionsOfPage is how many the store gives at a time.
const versionsOfPage = 100
