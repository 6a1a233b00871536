package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/telephony/dialer"
)

// Contact is somebody to call, as the API shows it.
type Contact struct {
	ID        string         `json:"id" format:"uuid"`
	Number    string         `json:"number" doc:"E.164"`
	Name      string         `json:"name,omitempty"`
	Zone      string         `json:"zone,omitempty" doc:"Absent: as the number tells"`
	Consent   string         `json:"consent,omitempty" doc:"How and when it was given"`
	Record    bool           `json:"record" doc:"Consent to be recorded"`
	Variables map[string]any `json:"variables,omitempty"`
	State     dialer.State   `json:"state" enum:"pending,claimed,dialing,reached,failed,blocked,expired,review"`
	Why       string         `json:"why,omitempty" doc:"Of the state"`
	Tries     int            `json:"tries" doc:"Attempts that were dialled"`
	DueAt     *time.Time     `json:"due_at,omitempty"`
	From      string         `json:"from,omitempty" doc:"The caller ID that it keeps"`
	CreatedAt time.Time      `json:"created_at"`
	UpdatedAt time.Time      `json:"updated_at"`
	Attempts  []Attempt      `json:"attempts,omitempty" doc:"Of a single contact: the calls to it, the first one first"`
}

// Attempt is one call of a contact.
type Attempt struct {
	N           int            `json:"n" doc:"1, 2, 3, … of its contact"`
	Status      string         `json:"status" enum:"claimed,dialing,ended"`
	Outcome     dialer.Outcome `json:"outcome,omitempty" enum:"person,voicemail,screening,abandoned,busy,no_answer,rejected,invalid,congestion,failed,unknown"`
	CallID      string         `json:"call_id,omitempty" doc:"Absent until it is dialled"`
	Node        string         `json:"node"`
	From        string         `json:"from,omitempty" doc:"The caller ID that was shown"`
	SIP         int            `json:"sip,omitempty" doc:"Final status" example:"486"`
	Why         string         `json:"why,omitempty"`
	AnsweredBy  string         `json:"answered_by,omitempty" enum:"human,machine,screening,unsure"`
	MessageLeft bool           `json:"message_left,omitempty"`
	OptOut      bool           `json:"opt_out,omitempty" doc:"The callee asked not to be called again"`
	Disposition string         `json:"disposition,omitempty" doc:"What the agent made of it"`
	Data        map[string]any `json:"data,omitempty" doc:"Variables that were extracted"`
	ClaimedAt   time.Time      `json:"claimed_at"`
	DialedAt    *time.Time     `json:"dialed_at,omitempty"`
	AnsweredAt  *time.Time     `json:"answered_at,omitempty"`
	EndedAt     *time.Time     `json:"ended_at,omitempty"`
	CallbackAt  *time.Time     `json:"callback_at,omitempty" doc:"When the callee asked to be called again"`
}

func contactView(c store.Contact) Contact {
	return Contact{
		ID: c.ID, Number: c.Number, Name: c.Name, Zone: c.Zone, Consent: c.Consent, Record: c.Record, Variables: c.Variables,
		State: c.State, Why: c.Why, Tries: c.Tries, DueAt: someTime(c.Due), From: c.From, CreatedAt: c.Created,
		UpdatedAt: c.Updated,
	}
}

func attemptView(d store.Dial) Attempt {
	return Attempt{
		N: d.N, Status: string(d.State), Outcome: d.Outcome, CallID: string(d.Call), Node: d.Node, From: d.From, SIP: d.SIP,
		Why: d.Why, AnsweredBy: d.AnsweredBy, MessageLeft: d.MessageLeft, OptOut: d.OptOut, Disposition: d.Disposition,
		Data: d.Data, ClaimedAt: d.Claimed, DialedAt: someTime(d.Dialed), AnsweredAt: someTime(d.Answered),
		EndedAt: someTime(d.Ended), CallbackAt: someTime(d.Callback),
	}
}

type contactList struct {
	CampaignPath
	PageQuery
	State  dialer.State `query:"state" enum:"pending,claimed,dialing,reached,failed,blocked,expired,review"`
	Number string       `query:"number" maxLength:"32" doc:"E.164"`
}

// ContactPath names a contact in a path.
type ContactPath struct {
	CampaignPath
	ContactID string `path:"contactId" maxLength:"64"`
}

type contactChange struct {
	ContactPath
	Body struct {
		State dialer.State `json:"state" enum:"pending,reached,failed,blocked,expired,review" doc:"pending: it is called again"`
		From  dialer.State `json:"from,omitempty" enum:"pending,reached,failed,blocked,expired,review" doc:"Only if it is that; absent: whatever it is"`
		DueAt time.Time    `json:"due_at,omitempty" doc:"Of pending; absent: now"`
		Why   string       `json:"why,omitempty" maxLength:"500" doc:"For people"`
	}
}

func (s *Server) contacts(path string, tags []string) {
	path += "/{id}/contacts"
	s.contactImport(path, tags)
	huma.Register(s.api, huma.Operation{
		OperationID: "list-contacts", Method: http.MethodGet, Path: path, Summary: "List the contacts of a campaign",
		Tags: tags, Security: scope("campaigns:read"),
	}, func(ctx context.Context, in *contactList) (*body[Page[Contact]], error) {
		c, err := s.campaign(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		f := store.ContactFilter{Campaign: c.ID, Number: in.Number, Page: in.page()}
		if in.State != "" {
			f.States = []dialer.State{in.State}
		}
		all, next, err := s.cfg.Campaigns.Contacts(ctx, f)
		if err != nil {
			return nil, campaignKept(err)
		}
		page := Page[Contact]{Data: make([]Contact, 0, len(all)), NextCursor: next}
		for _, k := range all {
			page.Data = append(page.Data, contactView(k))
		}
		return &body[Page[Contact]]{page}, nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "get-contact", Method: http.MethodGet, Path: path + "/{contactId}",
		Summary: "A contact with its attempts", Tags: tags, Security: scope("campaigns:read"),
	}, func(ctx context.Context, in *ContactPath) (*body[Contact], error) {
		k, err := s.contact(ctx, in)
		if err != nil {
			return nil, err
		}
		dials, err := s.cfg.Campaigns.Dials(ctx, k.ID)
		if err != nil {
			return nil, internal(err)
		}
		v := contactView(k)
		for _, d := range dials {
			v.Attempts = append(v.Attempts, attemptView(d))
		}
		return &body[Contact]{v}, nil
	})
	huma.Register(s.api, huma.Operation{
		OperationID: "move-contact", Method: http.MethodPatch, Path: path + "/{contactId}",
		Summary: "Put a contact that is not being called into another state",
		Description: "What was up for review, since perhaps it was dialled when a node died, is called again as pending, " +
			"or is done with as reached or failed.",
		Tags: tags, Security: scope("campaigns:write"), MaxBodyBytes: maxBody,
	}, s.moveContact)
}

// contact is a contact of a campaign that the caller may see.
func (s *Server) contact(ctx context.Context, in *ContactPath) (store.Contact, error) {
	c, err := s.campaign(ctx, in.ID)
	if err != nil {
		return store.Contact{}, err
	}
	k, err := s.cfg.Campaigns.Contact(ctx, in.ContactID)
	if err == nil && k.Campaign != c.ID {
		err = store.ErrNotFound
	}
	return k, kept(err, "contact")
}

func (s *Server) moveContact(ctx context.Context, in *contactChange) (*body[Contact], error) {
	k, err := s.contact(ctx, &in.ContactPath)
	if err != nil {
		return nil, err
	}
	due := in.Body.DueAt
	if in.Body.State != dialer.Pending {
		due = time.Time{}
	} else if due.IsZero() {
		due = time.Now()
	}
	var from []dialer.State
	if in.Body.From != "" {
		from = append(from, in.Body.From)
	}
	k, err = s.cfg.Campaigns.MoveContact(ctx, k.ID, in.Body.State, due, in.Body.Why, from...)
	switch {
	case errors.Is(err, store.ErrState):
		return nil, fail(http.StatusConflict, "wrong_state", "body.from", "The contact is not in this state any more: it is "+
			string(k.State)+".")
	case errors.Is(err, store.ErrStatus):
		return nil, fail(http.StatusConflict, "wrong_status", "", "The campaign is over: nobody is called by it any more.")
	}
	if err := kept(err, "contact"); err != nil {
		return nil, err
	}
	return &body[Contact]{contactView(k)}, nil
}

// statusIn is what of an error of the store says which status something has.
func statusIn(err error) string {
	text := strings.TrimSuffix(err.Error(), ": "+store.ErrStatus.Error())
	if i := strings.LastIndex(text, ": "); i >= 0 {
		text = text[i+2:]
	}
	return text
}
