package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/cluster"
)

// Nodes are the processes that act as one: *cluster.Node.
type Nodes interface {
	ID() string // of this process, 12 hex digits
	Nodes() []cluster.Presence
	// Answer answers what other processes ask this one; Ask asks them.
	Answer(what string, f func(question []byte) []byte) error
	Ask(ctx context.Context, id, what string, question []byte) ([]byte, error)
	// Changed tells them what was changed in the store; OnChange hears it of them.
	Changed(kind string)
	OnChange(f func(kind string))
}

var _ Nodes = (*cluster.Node)(nil)

// NodeView is one process that takes calls.
type NodeView struct {
	ID       string    `json:"id" doc:"Of the process: another one after a restart"`
	Name     string    `json:"name" doc:"cluster.node" example:"node-a"`
	Version  string    `json:"version"`
	Calls    int       `json:"calls" doc:"That are up there"`
	Draining bool      `json:"draining" doc:"It takes no further calls: it will end when those that are up have"`
	Since    time.Time `json:"since" doc:"When the process began"`
	Self     bool      `json:"self" doc:"It is the one that answers this"`
	Seen     time.Time `json:"seen" doc:"When it was heard last; it is left out where that is four seconds ago"`
}

// nodes lists the processes.
func (s *Server) nodes() {
	if s.cfg.Nodes == nil {
		return
	}
	huma.Register(s.api, huma.Operation{
		OperationID: "list-nodes", Method: http.MethodGet, Path: "/v1/nodes",
		Summary: "The nodes that are there, as far as this one sees", Tags: []string{"health"}, Security: scope("calls:read"),
	}, func(context.Context, *struct{}) (*body[Page[NodeView]], error) {
		page := Page[NodeView]{Data: []NodeView{}}
		for _, p := range s.cfg.Nodes.Nodes() {
			page.Data = append(page.Data, NodeView{
				ID: p.ID, Name: p.Name, Version: p.Version, Calls: p.Calls, Draining: p.Draining, Since: p.Since.UTC(),
				Self: p.Self, Seen: p.Seen.UTC(),
			})
		}
		return &body[Page[NodeView]]{page}, nil
	})
}

// What processes ask each other: of things that one of them alone knows.
const (
	askTicket   = "ticket"
	askPass     = "pass"
	askCallback = "callback"
)

// idLength is that of a process's id.
const idLength = 12

// process is the id of this process, which stands in what it alone knows.
func (s *Server) process() string {
	if s.cfg.Nodes == nil {
		return ""
	}
	return s.cfg.Nodes.ID()
}

// answerOthers answers what other processes ask of this one.
func (s *Server) answerOthers() error {
	if s.cfg.Nodes == nil {
		return nil
	}
	return errors.Join(
		answers(s, askTicket, s.tickets.answer),
		answers(s, askPass, func(q passQuestion) passAnswer { return passAnswer{s.passes.takeHash(q.Hash, q.Call)} }),
		answers(s, askCallback, func(q callbackQuestion) callbackAnswer {
			return callbackAnswer{s.cfg.Callbacks != nil && s.cfg.Callbacks.Complete(q.ID, q.Result)}
		}),
	)
}

func answers[Q, A any](s *Server, what string, f func(Q) A) error {
	return s.cfg.Nodes.Answer(what, func(question []byte) []byte {
		var q Q
		if json.Unmarshal(question, &q) != nil {
			return nil
		}
		b, err := json.Marshal(f(q))
		if err != nil {
			return nil
		}
		return b
	})
}

// askOther asks the process of an id. False: there is none, it knows nothing of
// it, or it does not answer, which is logged.
func askOther[A any](ctx context.Context, s *Server, id, what string, question any) (a A, ok bool) {
	if s.cfg.Nodes == nil || id == s.process() {
		return a, false
	}
	b, err := json.Marshal(question)
	if err == nil {
		b, err = s.cfg.Nodes.Ask(ctx, id, what, b)
	}
	if err == nil && json.Unmarshal(b, &a) != nil {
		err = fmt.Errorf("an answer that cannot be read: are all nodes of one version?")
	}
	if err != nil && !errors.Is(err, cluster.ErrNobody) {
		s.log.Warn("another node could not be asked", zap.String("about", what), zap.Error(err))
	}
	return a, err == nil
}
