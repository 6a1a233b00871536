package api

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// Trunk is a trunk as the API shows it: as it is written, without its
// password.
type Trunk struct {
	trunk.Config
	ID          string      `json:"id" format:"uuid"`
	RingTimeout string      `json:"ring_timeout,omitempty" example:"30s"`
	HasPassword bool        `json:"has_password,omitempty"`
	Status      TrunkStatus `json:"status"`
	CreatedAt   time.Time   `json:"created_at"`
	UpdatedAt   time.Time   `json:"updated_at"`
	UpdatedBy   string      `json:"updated_by,omitempty"`
	Revision    int64       `json:"revision"`
	Source      string      `json:"source,omitempty" doc:"The file that it comes from"`
}

// TrunkStatus is what is known of a trunk now.
type TrunkStatus struct {
	Registered  *bool      `json:"registered" doc:"null: no registration is kept for it"`
	LastOptions *time.Time `json:"last_options" doc:"When it last answered OPTIONS; null: it is not asked"`
	Calls       int        `json:"calls" doc:"That are up"`
}

// TrunkInput is a trunk as it is sent.
type TrunkInput struct {
	trunk.Config
	Password string `json:"password,omitempty" doc:"Of digest; never shown again"`
}

// ofTrunk are what answers have besides the trunk; bodies may repeat it.
var ofTrunk = []string{"id", "has_password", "status", "created_at", "updated_at", "updated_by", "revision", "source"}

// TrunkPath names a trunk in a path.
type TrunkPath struct {
	ID string `path:"id" maxLength:"255" doc:"Id or name of the trunk"`
}

type trunkChange struct {
	TrunkPath
	Match   string `header:"If-Match" maxLength:"32"`
	RawBody []byte
}

func trunkView(t store.Trunk, calls map[string]store.Tally) Trunk {
	v := Trunk{
		Config: t.Config, ID: t.ID, HasPassword: t.Password != "", CreatedAt: t.Created, UpdatedAt: t.Updated,
		UpdatedBy: t.By, Revision: t.Revision, Source: t.Source, Status: TrunkStatus{Calls: calls[t.Name].Active},
	}
	if t.RingTimeout > 0 {
		v.RingTimeout = t.RingTimeout.String()
	}
	return v
}

func (s *Server) trunks() {
	huma.Register(s.api, huma.Operation{
		OperationID: "list-trunks", Method: http.MethodGet, Path: "/v1/trunks", Summary: "List trunks",
		Tags: []string{"trunks"}, Security: scope("trunks:read"),
	}, func(ctx context.Context, in *pageInput) (*body[Page[Trunk]], error) {
		if err := whole(ctx); err != nil {
			return nil, err
		}
		list, next, err := s.cfg.Objects.Trunks(ctx, in.page())
		if err != nil {
			return nil, kept(err, "trunk")
		}
		calls, err := s.callsOfTrunks(ctx)
		if err != nil {
			return nil, err
		}
		page := Page[Trunk]{Data: make([]Trunk, 0, len(list)), NextCursor: next}
		for _, t := range list {
			page.Data = append(page.Data, trunkView(t, calls))
		}
		return &body[Page[Trunk]]{page}, nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "create-trunk", Method: http.MethodPost, Path: "/v1/trunks", Summary: "Create a trunk",
		Tags: []string{"trunks"}, Security: scope("trunks:write"), DefaultStatus: http.StatusCreated, MaxBodyBytes: maxBody,
		SkipValidateBody: true, RequestBody: s.bodyOf(TrunkInput{}), Metadata: once,
	}, s.createTrunk)
	huma.Register(s.api, huma.Operation{
		OperationID: "get-trunk", Method: http.MethodGet, Path: "/v1/trunks/{id}", Summary: "A trunk and its state",
		Tags: []string{"trunks"}, Security: scope("trunks:read"),
	}, func(ctx context.Context, in *TrunkPath) (*object[Trunk], error) {
		t, err := s.trunk(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		return s.trunkAnswer(ctx, t, "")
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "change-trunk", Method: http.MethodPatch, Path: "/v1/trunks/{id}",
		Summary: "Change a trunk: what is sent replaces what was there, null takes it away", Tags: []string{"trunks"},
		Security: scope("trunks:write"), MaxBodyBytes: maxBody, SkipValidateBody: true, RequestBody: s.partOf(TrunkInput{}),
	}, s.changeTrunk)
	huma.Register(s.api, huma.Operation{
		OperationID: "delete-trunk", Method: http.MethodDelete, Path: "/v1/trunks/{id}",
		Summary: "Delete a trunk that brings no numbers", Tags: []string{"trunks"}, Security: scope("trunks:write"),
	}, func(ctx context.Context, in *TrunkPath) (*struct{}, error) {
		t, err := s.trunk(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		return nil, kept(s.cfg.Objects.DeleteTrunk(ctx, caller(ctx).Name, t.ID), "trunk")
	})
}

// trunk is a trunk that the caller may see.
func (s *Server) trunk(ctx context.Context, id string) (store.Trunk, error) {
	if err := whole(ctx); err != nil {
		return store.Trunk{}, err
	}
	t, err := s.cfg.Objects.Trunk(ctx, id)
	return t, kept(err, "trunk")
}

func (s *Server) trunkAnswer(ctx context.Context, t store.Trunk, location string) (*object[Trunk], error) {
	calls, err := s.callsOfTrunks(ctx)
	if err != nil {
		return nil, err
	}
	return &object[Trunk]{ETag: etag(t.Revision), Location: location, Body: trunkView(t, calls)}, nil
}

// callsOfTrunks are the calls that are up, by the names of trunks.
func (s *Server) callsOfTrunks(ctx context.Context) (map[string]store.Tally, error) {
	t, err := s.cfg.Calls.Tally(ctx, store.ByTrunk, store.Filter{Up: true})
	if err != nil {
		return nil, internal(err)
	}
	return t, nil
}

func (s *Server) createTrunk(ctx context.Context, in *struct{ RawBody []byte }) (*object[Trunk], error) {
	if err := whole(ctx); err != nil {
		return nil, err
	}
	text, err := without(in.RawBody, ofTrunk)
	if err != nil {
		return nil, err
	}
	c, faults := s.cfg.Reader.ReadTrunk(text)
	if _, err := split(faults, in.RawBody, ""); err != nil {
		return nil, err
	}
	t, err := s.cfg.Objects.CreateTrunk(ctx, caller(ctx).Name, c)
	if err := trunkKept(err, in.RawBody); err != nil {
		return nil, err
	}
	return s.trunkAnswer(ctx, t, "/v1/trunks/"+t.ID)
}

func (s *Server) changeTrunk(ctx context.Context, in *trunkChange) (*object[Trunk], error) {
	want, err := revision(in.Match)
	if err != nil {
		return nil, err
	}
	made, err := again(&s.writes, want, func() (store.Trunk, error) {
		was, err := s.trunk(ctx, in.ID)
		if err != nil {
			return was, err
		}
		text, err := onto(asWritten(was.Config), in.RawBody, ofTrunk)
		if err != nil {
			return was, err
		}
		c, faults := s.cfg.Reader.ReadTrunk(text)
		if _, err := split(faults, in.RawBody, ""); err != nil {
			return was, err
		}
		if sent, err := fields(in.RawBody); err == nil && sent["password"] == nil {
			c.Password = was.Password
		}
		now := was
		now.Config, now.Revision = c, cmp.Or(want, was.Revision)
		return s.cfg.Objects.UpdateTrunk(ctx, caller(ctx).Name, now)
	})
	if err := trunkKept(err, in.RawBody); err != nil {
		return nil, err
	}
	return s.trunkAnswer(ctx, made, "")
}

// trunkKept says what the store says of a trunk, and nothing that was sent.
func trunkKept(err error, sent []byte) error {
	err = kept(err, "trunk")
	var p *Problem
	if errors.As(err, &p) {
		quiet := values(sent)
		for i := range p.Faults {
			p.Faults[i].Message = quiet.Replace(p.Faults[i].Message)
		}
	}
	return err
}
