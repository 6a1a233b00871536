package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/telephony/dialer"
)

// DNC is a number that is not to be called.
type DNC struct {
	ID         string    `json:"id" format:"uuid"`
	Number     string    `json:"number" doc:"E.164"`
	CampaignID string    `json:"campaign_id,omitempty" doc:"By which campaign; absent: by any"`
	Why        string    `json:"why,omitempty"`
	AddedBy    string    `json:"added_by,omitempty" doc:"Name of an API key; absent: a call"`
	CreatedAt  time.Time `json:"created_at"`
}

// DNCInput are numbers that are not to be called.
type DNCInput struct {
	Numbers []string `json:"numbers" minItems:"1" maxItems:"1000" doc:"In international form, or as the country writes them"`
	Country string   `json:"country,omitempty" maxLength:"2" example:"DE" doc:"Of numbers without a country code, ISO 3166; absent: the campaign's"`
	Why     string   `json:"why,omitempty" maxLength:"500" doc:"For people"`
}

// DNCAdded tells what was taken of a list.
type DNCAdded struct {
	Added      int `json:"added"`
	Duplicates int `json:"duplicates" doc:"Numbers that were on the list already"`
}

// DNCCheck tells whether a number may be called.
type DNCCheck struct {
	Number  string `json:"number" doc:"E.164"`
	Listed  bool   `json:"listed" doc:"true: it is not called"`
	Entries []DNC  `json:"entries" doc:"On which lists it is"`
}

func dncView(d store.DNC) DNC {
	return DNC{
		ID: d.ID, Number: d.Number, CampaignID: d.Campaign, Why: d.Why, AddedBy: d.By, CreatedAt: d.Created,
	}
}

// DNCOf says whose list is meant.
type DNCOf struct {
	Campaign string `query:"campaign" maxLength:"255" doc:"Id or name: its own list; absent: that of all campaigns"`
}

type dncNumber struct {
	DNCOf
	Number string `path:"number" maxLength:"32" doc:"In international form" example:"+4930123456"`
}

type dncList struct {
	DNCOf
	PageQuery
}

func (s *Server) dnc() {
	const path = "/v1/dnc"
	tags := []string{"dnc"}
	huma.Register(s.api, huma.Operation{
		OperationID: "list-dnc", Method: http.MethodGet, Path: path, Summary: "List who is not to be called", Tags: tags,
		Security: scope("campaigns:read"),
	}, func(ctx context.Context, in *dncList) (*body[Page[DNC]], error) {
		id, _, err := s.dncCampaign(ctx, in.Campaign)
		if err != nil {
			return nil, err
		}
		all, next, err := s.cfg.Campaigns.DNCs(ctx, store.DNCFilter{Campaign: id, Page: in.page()})
		if err != nil {
			return nil, kept(err, "number")
		}
		page := Page[DNC]{Data: make([]DNC, 0, len(all)), NextCursor: next}
		for _, d := range all {
			page.Data = append(page.Data, dncView(d))
		}
		return &body[Page[DNC]]{page}, nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "add-dnc", Method: http.MethodPost, Path: path, Summary: "Let numbers be called no more",
		Description: "At once: of contacts that wait, of those that are about to be dialled, and of all that are imported " +
			"later. All numbers are taken or, where one is none, no one.",
		Tags: tags, Security: scope("campaigns:write"), DefaultStatus: http.StatusCreated, MaxBodyBytes: maxBody,
		Metadata: once,
	}, s.addDNC)
	s.dncImport(path, tags)
	huma.Register(s.api, huma.Operation{
		OperationID: "check-dnc", Method: http.MethodGet, Path: path + "/{number}",
		Summary: "Whether a number may be called, by a campaign or at all", Tags: tags, Security: scope("campaigns:read"),
	}, s.checkDNC)
	huma.Register(s.api, huma.Operation{
		OperationID: "remove-dnc", Method: http.MethodDelete, Path: path + "/{number}",
		Summary:     "Let a number be called again",
		Description: "Contacts that were blocked stay it; PATCH of a contact lets one of them be called.",
		Tags:        tags, Security: scope("campaigns:write"),
	}, func(ctx context.Context, in *dncNumber) (*struct{}, error) {
		id, country, err := s.dncCampaign(ctx, in.Campaign)
		if err != nil {
			return nil, err
		}
		number, err := dialer.Number(in.Number, country)
		if err != nil {
			return nil, fail(http.StatusUnprocessableEntity, "", "path.number", "It is no number: "+err.Error()+".")
		}
		err = s.cfg.Campaigns.RemoveDNC(ctx, id, number)
		if errors.Is(err, store.ErrNotFound) {
			return nil, fail(http.StatusNotFound, "not_found", "", "The number is not on this list.")
		}
		return nil, kept(err, "number")
	})
}

// dncCampaign is the campaign whose list is meant and its country; the list of
// all is not for a key that is limited to some agents.
func (s *Server) dncCampaign(ctx context.Context, name string) (id, country string, err error) {
	if name == "" {
		return "", "", whole(ctx)
	}
	c, err := s.campaign(ctx, name)
	return c.ID, c.Country, err
}

func (s *Server) addDNC(ctx context.Context, in *struct {
	DNCOf
	Body DNCInput
},
) (*body[DNCAdded], error) {
	id, country, err := s.dncCampaign(ctx, in.Campaign)
	if err != nil {
		return nil, err
	}
	if in.Body.Country != "" {
		country = in.Body.Country
	}
	p := &Problem{Status: http.StatusUnprocessableEntity}
	list := make([]store.DNC, 0, len(in.Body.Numbers))
	for i, n := range in.Body.Numbers {
		number, err := dialer.Number(n, country)
		if err != nil {
			p.Faults = append(p.Faults, Fault{Param: at("body.numbers", i), Message: err.Error()})
			continue
		}
		list = append(list, store.DNC{Number: number, Why: in.Body.Why})
	}
	if p.Faults != nil {
		return nil, p
	}
	added, err := s.cfg.Campaigns.AddDNC(ctx, caller(ctx).Name, id, list)
	if err != nil {
		return nil, campaignKept(err)
	}
	return &body[DNCAdded]{DNCAdded{Added: added, Duplicates: len(list) - added}}, nil
}

// checkDNC looks into the list of all, and that of the campaign that is named.
func (s *Server) checkDNC(ctx context.Context, in *dncNumber) (*body[DNCCheck], error) {
	id, country, err := s.dncCampaign(ctx, in.Campaign)
	if err != nil {
		return nil, err
	}
	out := DNCCheck{Entries: []DNC{}}
	if out.Number, err = dialer.Number(in.Number, country); err != nil {
		return nil, fail(http.StatusUnprocessableEntity, "", "path.number", "It is no number: "+err.Error()+".")
	}
	lists := []string{""}
	if id != "" {
		lists = append(lists, id)
	}
	for _, list := range lists {
		found, _, err := s.cfg.Campaigns.DNCs(ctx, store.DNCFilter{Campaign: list, Number: out.Number, Page: everything})
		if err != nil {
			return nil, kept(err, "number")
		}
		for _, d := range found {
			out.Entries = append(out.Entries, dncView(d))
		}
	}
	out.Listed = len(out.Entries) > 0
	return &body[DNCCheck]{out}, nil
}
