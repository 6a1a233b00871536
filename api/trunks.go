package api

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// Trunk is a trunk as the API shows it: as it is written, without its
// password.
type Trunk struct {
	trunk.Config
	ID          string      `json:"id" format:"uuid"`
	RingTimeout string      `json:"ring_timeout,omitempty" example:"30s"`
	HasPassword bool        `json:"has_password,omitempty"`
	HasToken    bool        `json:"has_auth_token,omitempty"`
	Status      TrunkStatus `json:"status"`
	CreatedAt   time.Time   `json:"created_at"`
	UpdatedAt   time.Time   `json:"updated_at"`
	UpdatedBy   string      `json:"updated_by,omitempty"`
	Revision    int64       `json:"revision"`
	Source      string      `json:"source,omitempty" doc:"The file that it comes from"`
}

// TrunkStatus is what is known of a trunk now.
type TrunkStatus struct {
	Registered   *bool              `json:"registered" doc:"null: no registration is kept for it"`
	LastOptions  *time.Time         `json:"last_options" doc:"When it last answered OPTIONS; null: never, or it is not asked"`
	Calls        int                `json:"calls" doc:"That are up, of all processes of the store"`
	CallsIn      int                `json:"calls_in,omitempty" doc:"That ring or are up here, of max_calls"`
	CallsOut     int                `json:"calls_out,omitempty" doc:"The same, placed by us"`
	Registration *TrunkRegistration `json:"registration,omitempty"`
	Gateways     []TrunkGateway     `json:"gateways,omitempty" doc:"Every address of every gateway, in the order of the configuration"`
	Error        string             `json:"error,omitempty" doc:"What went wrong last, in words"`
	ErrorAt      *time.Time         `json:"error_at,omitempty"`
}

// TrunkRegistration is our being known to a registrar.
type TrunkRegistration struct {
	Registrar string     `json:"registrar,omitempty" doc:"The gateway that keeps it"`
	Contact   string     `json:"contact,omitempty" doc:"Where it sends calls to"`
	Since     *time.Time `json:"since,omitempty"`
	Until     *time.Time `json:"until,omitempty" doc:"When it ends unless it is renewed before"`
	Failures  uint64     `json:"failures" doc:"REGISTERs that failed since the start"`
}

// TrunkGateway is one address of a gateway.
type TrunkGateway struct {
	Gateway     string     `json:"gateway" doc:"As configured"`
	Address     string     `json:"address" example:"203.0.113.10:5060"`
	Transport   string     `json:"transport" enum:"udp,tcp,tls"`
	Up          bool       `json:"up" doc:"Not known to be down: calls go there first"`
	LastOptions *time.Time `json:"last_options" doc:"When it last answered OPTIONS; null: never, or it is not asked"`
	RoundTripMS float64    `json:"round_trip_ms,omitempty" doc:"Of that"`
	Error       string     `json:"error,omitempty" doc:"Of the OPTIONS or call last, where it failed"`
}

// statusOf adds what the line knows to what the store does.
func statusOf(calls store.Tally, s trunk.Status) TrunkStatus {
	out := TrunkStatus{
		Calls: calls.Active, CallsIn: s.Load.In, CallsOut: s.Load.Out, Error: s.Error, ErrorAt: timeOf(s.ErrorAt),
	}
	if r := s.Registration; r != nil {
		out.Registered = &r.Registered
		out.Registration = &TrunkRegistration{Registrar: r.Registrar, Contact: r.Contact, Failures: r.Failures}
		if r.Registered {
			out.Registration.Since, out.Registration.Until = timeOf(r.Since), timeOf(r.Until)
		}
	}
	for _, p := range s.Places {
		g := TrunkGateway{
			Gateway: p.Gateway, Address: p.Addr.String(), Transport: string(p.Transport), Up: p.Up,
			LastOptions: timeOf(p.Answered), RoundTripMS: float64(p.RoundTrip.Microseconds()) / 1000, Error: p.Error,
		}
		if g.LastOptions != nil && (out.LastOptions == nil || out.LastOptions.Before(*g.LastOptions)) {
			out.LastOptions = g.LastOptions
		}
		out.Gateways = append(out.Gateways, g)
	}
	return out
}

// timeOf is nil for what never was.
func timeOf(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// TrunkInput is a trunk as it is sent.
type TrunkInput struct {
	trunk.Config
	Password  string `json:"password,omitempty" doc:"Of digest; never shown again"`
	AuthToken string `json:"auth_token,omitempty" doc:"Of a carrier with WebSockets; never shown again"`
}

// ofTrunk are what answers have besides the trunk; bodies may repeat it.
var ofTrunk = []string{
	"id", "has_password", "has_auth_token", "status", "created_at", "updated_at", "updated_by", "revision", "source",
}

// TrunkPath names a trunk in a path.
type TrunkPath struct {
	ID string `path:"id" maxLength:"255" doc:"Id or name of the trunk"`
}

type trunkChange struct {
	TrunkPath
	Match   string `header:"If-Match" maxLength:"32"`
	RawBody []byte
}

func (s *Server) trunkView(t store.Trunk, calls map[string]store.Tally) Trunk {
	var line trunk.Status
	if s.cfg.Line != nil {
		line = s.cfg.Line(telephony.TrunkID(t.Name))
	}
	v := Trunk{
		Config: t.Config, ID: t.ID, HasPassword: t.Password != "", HasToken: t.AuthToken != "",
		CreatedAt: t.Created, UpdatedAt: t.Updated, UpdatedBy: t.By, Revision: t.Revision, Source: t.Source,
		Status: statusOf(calls[t.Name], line),
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
	}, func(ctx context.Context, in *PageQuery) (*body[Page[Trunk]], error) {
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
			page.Data = append(page.Data, s.trunkView(t, calls))
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
	return &object[Trunk]{ETag: etag(t.Revision), Location: location, Body: s.trunkView(t, calls)}, nil
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
	c, faults := s.cfg.Reader.ReadTrunk(text, nil)
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
		c, faults := s.cfg.Reader.ReadTrunk(text, &was.Config)
		if _, err := split(faults, in.RawBody, ""); err != nil {
			return was, err
		}
		key := c.CredentialKey()
		if sent, err := fields(in.RawBody); err == nil && sent[key] == nil && key == was.CredentialKey() {
			*c.Credential() = *was.Credential()
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
