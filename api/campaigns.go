package api

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/telephony/dialer"
)

// Campaigns keeps campaigns with their contacts and attempts, and who is not to
// be called: *store.Store.
type Campaigns interface {
	CreateCampaign(ctx context.Context, by string, c dialer.Campaign) (store.Campaign, error)
	Campaign(ctx context.Context, id string) (store.Campaign, error)
	Campaigns(ctx context.Context, f store.CampaignFilter) ([]store.Campaign, string, error)
	UpdateCampaign(ctx context.Context, by string, c store.Campaign) (store.Campaign, error)
	DeleteCampaign(ctx context.Context, by, id string) error
	StartCampaign(ctx context.Context, by, id string) (store.Campaign, error)
	PauseCampaign(ctx context.Context, by, id, reason string) (store.Campaign, error)
	ResumeCampaign(ctx context.Context, by, id string) (store.Campaign, error)
	CancelCampaign(ctx context.Context, by, id, reason string) (store.Campaign, error)
	CampaignStats(ctx context.Context, id string) (store.CampaignStats, error)

	AddContacts(ctx context.Context, campaign string, list []dialer.Contact) (duplicates []int, err error)
	Contacts(ctx context.Context, f store.ContactFilter) ([]store.Contact, string, error)
	Contact(ctx context.Context, id string) (store.Contact, error)
	MoveContact(ctx context.Context, id string, to dialer.State, due time.Time, why string,
		from ...dialer.State) (store.Contact, error)
	Dials(ctx context.Context, contact string) ([]store.Dial, error)
	Results(ctx context.Context, campaign string) iter.Seq2[store.Dialled, error]

	AddDNC(ctx context.Context, by, campaign string, list []store.DNC) (added int, err error)
	DNCs(ctx context.Context, f store.DNCFilter) ([]store.DNC, string, error)
	RemoveDNC(ctx context.Context, campaign, number string) error
}

var _ Campaigns = (*store.Store)(nil)

// Campaign is a campaign as the API shows it.
type Campaign struct {
	ID string `json:"id" format:"uuid"`
	CampaignInput
	Status    dialer.Status  `json:"status" enum:"draft,running,paused,completed,cancelled"`
	Reason    string         `json:"reason,omitempty" doc:"Why it is paused or cancelled"`
	CreatedAt time.Time      `json:"created_at"`
	UpdatedAt time.Time      `json:"updated_at"`
	UpdatedBy string         `json:"updated_by,omitempty" doc:"Name of the API key that changed it last"`
	Revision  int64          `json:"revision" doc:"Counts its changes from 1"`
	Stats     *CampaignStats `json:"stats,omitempty" doc:"Where it is now; lists have none"`
}

// CampaignPath names a campaign in a path.
type CampaignPath struct {
	ID string `path:"id" maxLength:"255" doc:"Id or name of the campaign"`
}

type campaignChange struct {
	CampaignPath
	Match   string `header:"If-Match" maxLength:"32" doc:"The revision that is changed; any where it is not said"`
	RawBody []byte
}

type campaignList struct {
	PageQuery
	Status dialer.Status `query:"status" enum:"draft,running,paused,completed,cancelled"`
}

type campaignReason struct {
	CampaignPath
	Body *struct {
		Reason string `json:"reason,omitempty" maxLength:"500" doc:"For people"`
	} `required:"false"`
}

func (s *Server) campaigns() {
	if s.cfg.Campaigns == nil {
		return
	}
	const path = "/v1/campaigns"
	tags := []string{"campaigns"}
	huma.Register(s.api, huma.Operation{
		OperationID: "list-campaigns", Method: http.MethodGet, Path: path, Summary: "List campaigns", Tags: tags,
		Security: scope("campaigns:read"),
	}, s.listCampaigns)
	huma.Register(s.api, huma.Operation{
		OperationID: "create-campaign", Method: http.MethodPost, Path: path, Summary: "Create a campaign, as a draft",
		Tags: tags, Security: scope("campaigns:write"), DefaultStatus: http.StatusCreated, MaxBodyBytes: maxBody,
		SkipValidateBody: true, RequestBody: s.bodyOf(CampaignInput{}), Metadata: once,
	}, s.createCampaign)
	huma.Register(s.api, huma.Operation{
		OperationID: "get-campaign", Method: http.MethodGet, Path: path + "/{id}",
		Summary: "A campaign, and where it is now", Tags: tags, Security: scope("campaigns:read"),
	}, func(ctx context.Context, in *CampaignPath) (*object[Campaign], error) {
		c, err := s.campaign(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		stats, err := s.campaignStats(ctx, c.ID)
		if err != nil {
			return nil, err
		}
		v := campaignOf(c)
		v.Stats = &stats
		return &object[Campaign]{ETag: etag(c.Revision), Body: v}, nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "change-campaign", Method: http.MethodPatch, Path: path + "/{id}",
		Summary:     "Change a campaign that is a draft or paused: what is sent replaces what was there, null takes it away",
		Description: "What contacts have waits is not counted anew: their next attempts follow the new rules.",
		Tags:        tags, Security: scope("campaigns:write"), MaxBodyBytes: maxBody, SkipValidateBody: true,
		RequestBody: s.partOf(CampaignInput{}),
	}, s.changeCampaign)
	huma.Register(s.api, huma.Operation{
		OperationID: "delete-campaign", Method: http.MethodDelete, Path: path + "/{id}",
		Summary: "Delete a campaign that does not run, with its contacts and what became of them", Tags: tags,
		Security: scope("campaigns:write"),
	}, func(ctx context.Context, in *CampaignPath) (*struct{}, error) {
		c, err := s.campaign(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		return nil, campaignKept(s.cfg.Campaigns.DeleteCampaign(ctx, caller(ctx).Name, c.ID))
	})
	s.turns(path, tags)
	s.contacts(path, tags)
	s.results(path, tags)
	s.dnc()
}

// turns are the paths that change the status of a campaign.
func (s *Server) turns(path string, tags []string) {
	st := s.cfg.Campaigns
	for _, t := range []struct {
		name, summary, event string
		do                   func(ctx context.Context, by, id, reason string) (store.Campaign, error)
	}{
		{
			"start", "Start a draft: its contacts are called", dialer.EventStarted,
			func(ctx context.Context, by, id, _ string) (store.Campaign, error) {
				return st.StartCampaign(ctx, by, id)
			},
		},
		{
			"pause", "Pause: nobody further is called, calls that are up end in their own time", dialer.EventPaused,
			st.PauseCampaign,
		},
		{
			"resume", "Go on after a pause", dialer.EventResumed,
			func(ctx context.Context, by, id, _ string) (store.Campaign, error) {
				return st.ResumeCampaign(ctx, by, id)
			},
		},
		{
			"cancel", "End for good: contacts that wait expire, calls that are up end in their own time", dialer.EventCancelled,
			st.CancelCampaign,
		},
	} {
		huma.Register(s.api, huma.Operation{
			OperationID: t.name + "-campaign", Method: http.MethodPost, Path: path + "/{id}/" + t.name, Summary: t.summary,
			Tags: tags, Security: scope("campaigns:write"), MaxBodyBytes: maxBody, Metadata: once,
		}, func(ctx context.Context, in *campaignReason) (*object[Campaign], error) {
			c, err := s.campaign(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			reason := "by " + cmp.Or(caller(ctx).Name, "nobody")
			if in.Body != nil && in.Body.Reason != "" {
				reason += ": " + in.Body.Reason
			}
			c, err = t.do(ctx, caller(ctx).Name, c.ID, reason)
			if err := campaignKept(err); err != nil {
				return nil, err
			}
			s.tell(dialer.News{Name: t.event, Campaign: c.Campaign, Reason: c.Reason})
			return &object[Campaign]{ETag: etag(c.Revision), Body: campaignOf(c)}, nil
		})
	}
}

// tell tells those who watch what was asked of a campaign here.
func (s *Server) tell(n dialer.News) {
	if s.cfg.News != nil {
		s.cfg.News(n)
		return
	}
	s.cfg.Hub.News(n)
}

func (s *Server) listCampaigns(ctx context.Context, in *campaignList) (*body[Page[Campaign]], error) {
	f := store.CampaignFilter{Page: in.page(), Agents: caller(ctx).Agents}
	if in.Status != "" {
		f.Statuses = []dialer.Status{in.Status}
	}
	all, next, err := s.cfg.Campaigns.Campaigns(ctx, f)
	if err != nil {
		return nil, campaignKept(err)
	}
	page := Page[Campaign]{Data: make([]Campaign, 0, len(all)), NextCursor: next}
	for _, c := range all {
		page.Data = append(page.Data, campaignOf(c))
	}
	return &body[Page[Campaign]]{page}, nil
}

// campaign is a campaign of an agent that the caller may see (T-24).
func (s *Server) campaign(ctx context.Context, id string) (store.Campaign, error) {
	c, err := s.cfg.Campaigns.Campaign(ctx, id)
	if err == nil && !caller(ctx).sees(agent.ID(c.Agent)) {
		err = store.ErrNotFound
	}
	return c, campaignKept(err)
}

func (s *Server) createCampaign(ctx context.Context, in *struct{ RawBody []byte }) (*object[Campaign], error) {
	sent, err := without(in.RawBody, ofCampaign)
	if err != nil {
		return nil, err
	}
	c, err := s.checkedCampaign(ctx, sent)
	if err != nil {
		return nil, err
	}
	made, err := s.cfg.Campaigns.CreateCampaign(ctx, caller(ctx).Name, c)
	if err := campaignKept(err); err != nil {
		return nil, err
	}
	v := campaignOf(made)
	return &object[Campaign]{ETag: etag(v.Revision), Location: "/v1/campaigns/" + v.ID, Body: v}, nil
}

func (s *Server) changeCampaign(ctx context.Context, in *campaignChange) (*object[Campaign], error) {
	want, err := revision(in.Match)
	if err != nil {
		return nil, err
	}
	made, err := again(&s.writes, want, func() (store.Campaign, error) {
		was, err := s.campaign(ctx, in.ID)
		if err != nil {
			return was, err
		}
		sent, err := onto(inputOf(&was.Campaign), in.RawBody, ofCampaign)
		if err != nil {
			return was, err
		}
		now := was
		if now.Campaign, err = s.checkedCampaign(ctx, sent); err != nil {
			return was, err
		}
		now.ID, now.Revision = was.ID, cmp.Or(want, was.Revision)
		return s.cfg.Campaigns.UpdateCampaign(ctx, caller(ctx).Name, now)
	})
	if err := campaignKept(err); err != nil {
		return nil, err
	}
	return &object[Campaign]{ETag: etag(made.Revision), Body: campaignOf(made)}, nil
}

// checkedCampaign is a campaign that was sent, with the id of its agent. All its
// faults are told, those of what it names too.
func (s *Server) checkedCampaign(ctx context.Context, sent []byte) (dialer.Campaign, error) {
	c, err := s.readCampaign(sent)
	p := &Problem{Status: http.StatusUnprocessableEntity}
	if err != nil && !errors.As(err, &p) {
		return c, err
	}
	if c.Agent != "" {
		a, err := s.cfg.Objects.Agent(ctx, agent.ID(c.Agent))
		switch {
		case err == nil && caller(ctx).sees(a.ID):
			c.Agent = string(a.ID)
		case err == nil, errors.Is(err, store.ErrNotFound):
			p.Faults = append(p.Faults, Fault{
				Param: "body.agent_id", Message: "there is no such agent; GET /v1/agents lists those there are",
			})
		default:
			return c, internal(err)
		}
	}
	if c.Trunk != "" {
		_, err := s.cfg.Objects.Trunk(ctx, string(c.Trunk))
		switch {
		case err == nil:
		case errors.Is(err, store.ErrNotFound):
			p.Faults = append(p.Faults, Fault{
				Param: "body.trunk", Message: "there is no such trunk; GET /v1/trunks lists those there are",
			})
		default:
			return c, internal(err)
		}
	}
	if p.Faults != nil || err != nil {
		return c, p
	}
	return c, nil
}

// campaignKept says what the store says of a campaign.
func campaignKept(err error) error {
	if errors.Is(err, store.ErrStatus) {
		return fail(http.StatusConflict, "wrong_status", "", "The campaign does not take this now: "+statusIn(err)+".")
	}
	return kept(err, "campaign")
}
