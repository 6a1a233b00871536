package api

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// Number is a number and who answers it.
type Number struct {
	ID        string    `json:"id" format:"uuid"`
	Number    string    `json:"number" example:"+4930123456"`
	Trunk     string    `json:"trunk,omitempty" doc:"Name; absent: any"`
	AgentID   string    `json:"agent_id"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
	UpdatedBy string    `json:"updated_by,omitempty"`
	Revision  int64     `json:"revision"`
	Source    string    `json:"source,omitempty" doc:"The file that it comes from"`
}

// NumberInput is a number as it is sent; what a change leaves out stays.
type NumberInput struct {
	Number  *string `json:"number,omitempty" minLength:"1" maxLength:"255" doc:"E.164, or as it is dialled"`
	Trunk   *string `json:"trunk,omitempty" maxLength:"255" doc:"Name; empty: any"`
	AgentID *string `json:"agent_id,omitempty" minLength:"1" maxLength:"255" doc:"Id or name"`
}

// NumberPath names a number in a path.
type NumberPath struct {
	ID string `path:"id" maxLength:"64" doc:"Id of the number"`
}

type numberChange struct {
	NumberPath
	Match string `header:"If-Match" maxLength:"32"`
	Body  NumberInput
}

func numberView(n store.Number) Number {
	return Number{
		ID: n.ID, Number: n.Number.Number, Trunk: n.Trunk, AgentID: n.Agent, CreatedAt: n.Created, UpdatedAt: n.Updated,
		UpdatedBy: n.By, Revision: n.Revision, Source: n.Source,
	}
}

func (s *Server) numbers() {
	huma.Register(s.api, huma.Operation{
		OperationID: "list-numbers", Method: http.MethodGet, Path: "/v1/numbers", Summary: "List numbers",
		Tags: []string{"numbers"}, Security: scope("numbers:read"),
	}, func(ctx context.Context, in *PageQuery) (*body[Page[Number]], error) {
		f := store.NumberFilter{Page: in.page()}
		if who := caller(ctx); len(who.Agents) > 0 {
			f.Agents = who.Agents
		}
		list, next, err := s.cfg.Objects.Numbers(ctx, f)
		if err != nil {
			return nil, kept(err, "number")
		}
		page := Page[Number]{Data: make([]Number, 0, len(list)), NextCursor: next}
		for _, n := range list {
			page.Data = append(page.Data, numberView(n))
		}
		return &body[Page[Number]]{page}, nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "create-number", Method: http.MethodPost, Path: "/v1/numbers", Summary: "Have an agent answer a number",
		Tags: []string{"numbers"}, Security: scope("numbers:write"), DefaultStatus: http.StatusCreated,
		MaxBodyBytes: maxBody, Metadata: once,
	}, func(ctx context.Context, in *struct{ Body NumberInput }) (*object[Number], error) {
		n, err := s.numberOf(ctx, in.Body, trunk.Number{})
		if err != nil {
			return nil, numberKept(err)
		}
		made, err := s.cfg.Objects.CreateNumber(ctx, caller(ctx).Name, n)
		if err := numberKept(err); err != nil {
			return nil, err
		}
		v := numberView(made)
		return &object[Number]{ETag: etag(v.Revision), Location: "/v1/numbers/" + v.ID, Body: v}, nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "get-number", Method: http.MethodGet, Path: "/v1/numbers/{id}", Summary: "A number",
		Tags: []string{"numbers"}, Security: scope("numbers:read"),
	}, func(ctx context.Context, in *NumberPath) (*object[Number], error) {
		n, err := s.number(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		return &object[Number]{ETag: etag(n.Revision), Body: numberView(n)}, nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "change-number", Method: http.MethodPatch, Path: "/v1/numbers/{id}", Summary: "Change a number",
		Tags: []string{"numbers"}, Security: scope("numbers:write"), MaxBodyBytes: maxBody,
	}, s.changeNumber)
	huma.Register(s.api, huma.Operation{
		OperationID: "delete-number", Method: http.MethodDelete, Path: "/v1/numbers/{id}", Summary: "Delete a number",
		Tags: []string{"numbers"}, Security: scope("numbers:write"),
	}, func(ctx context.Context, in *NumberPath) (*struct{}, error) {
		n, err := s.number(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		return nil, numberKept(s.cfg.Objects.DeleteNumber(ctx, caller(ctx).Name, n.ID))
	})
}

func (s *Server) changeNumber(ctx context.Context, in *numberChange) (*object[Number], error) {
	want, err := revision(in.Match)
	if err != nil {
		return nil, err
	}
	made, err := again(&s.writes, want, func() (store.Number, error) {
		was, err := s.number(ctx, in.ID)
		if err != nil {
			return was, err
		}
		now := was
		if now.Number, err = s.numberOf(ctx, in.Body, was.Number); err != nil {
			return was, err
		}
		now.Revision = cmp.Or(want, was.Revision)
		return s.cfg.Objects.UpdateNumber(ctx, caller(ctx).Name, now)
	})
	if err := numberKept(err); err != nil {
		return nil, err
	}
	return &object[Number]{ETag: etag(made.Revision), Body: numberView(made)}, nil
}

// numberOf puts what was sent in the place of what was there.
func (s *Server) numberOf(ctx context.Context, in NumberInput, n trunk.Number) (trunk.Number, error) {
	p := &Problem{Status: http.StatusUnprocessableEntity}
	for _, f := range []struct {
		sent *string
		to   *string
		name string
	}{{in.Number, &n.Number, "number"}, {in.Trunk, &n.Trunk, "trunk"}, {in.AgentID, &n.Agent, "agent_id"}} {
		if f.sent != nil {
			*f.to = *f.sent
		}
		if *f.to == "" && f.name != "trunk" {
			p.Faults = append(p.Faults, Fault{Param: "body." + f.name, Message: "missing"})
		}
	}
	if n.Agent != "" {
		known, err := s.knows(ctx, agent.ID(n.Agent))
		if err != nil {
			return n, err
		}
		if !known {
			p.Faults = append(p.Faults, Fault{Param: "body.agent_id", Message: "there is no such agent"})
		}
	}
	if n.Trunk != "" && len(caller(ctx).Agents) == 0 {
		if _, err := s.cfg.Objects.Trunk(ctx, n.Trunk); err != nil {
			p.Faults = append(p.Faults, Fault{Param: "body.trunk", Message: "there is no such trunk"})
		}
	}
	if p.Faults != nil {
		return n, p
	}
	return n, s.notOthers(ctx, n)
}

// notOthers keeps a limited key from a number that an agent answers which is
// not its own. The number of another trunk is another one; of any trunk, or
// without its plus, it would take the calls of the other.
func (s *Server) notOthers(ctx context.Context, n trunk.Number) error {
	if len(caller(ctx).Agents) == 0 {
		return nil
	}
	country := ""
	if n.Trunk != "" {
		t, err := s.cfg.Objects.Trunk(ctx, n.Trunk)
		if errors.Is(err, store.ErrNotFound) {
			return nil // the store tells
		}
		if err != nil {
			return internal(err)
		}
		country = t.Country
	}
	all, _, err := s.cfg.Objects.Numbers(ctx, store.NumberFilter{Page: everything})
	if err != nil {
		return internal(err)
	}
	digits := strings.TrimPrefix(trunk.Normalize(n.Number, country), "+")
	for _, o := range all {
		meets := o.Trunk == "" || n.Trunk == "" || o.Trunk == n.Trunk
		if meets && strings.TrimPrefix(o.Number.Number, "+") == digits && !caller(ctx).sees(agent.ID(o.Agent)) {
			return store.ErrExists
		}
	}
	return nil
}

// number is a number of an agent that the caller may see.
func (s *Server) number(ctx context.Context, id string) (store.Number, error) {
	n, err := s.cfg.Objects.Number(ctx, id)
	if err == nil && !caller(ctx).sees(agent.ID(n.Agent)) {
		err = store.ErrNotFound
	}
	return n, numberKept(err)
}

// numberKept says what the store says of a number.
func numberKept(err error) error {
	err = kept(err, "number")
	var p *Problem
	if errors.As(err, &p) && p.Code == "conflict" {
		p.Param, p.Detail = "body.number", "An agent answers this number of this trunk already."
	}
	return err
}
