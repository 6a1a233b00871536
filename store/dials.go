package store

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"github.com/uptrace/bun"

	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/dialer"
)

// Dial is an attempt at a contact as it is kept. Next and Due are not: they are
// the contact's.
type Dial struct {
	Contact  string
	Campaign string
	N        int
	Node     string
	Call     telephony.CallID // "" until it is dialled
	State    DialState
	Claimed  time.Time
	Dialed   time.Time // when its INVITE was let out, zero: not yet
	dialer.Result
}

// DialState is where an attempt is.
type DialState string

// The states of an attempt. One that is given back is none.
const (
	dialClaimed DialState = "claimed"
	dialDialing DialState = "dialing"
	dialEnded   DialState = "ended"
)

type dialRow struct {
	bun.BaseModel `bun:"table:attempts"`

	ContactID   string `bun:",pk"`
	N           int    `bun:",pk"`
	CampaignID  string
	Node        string
	CallID      string
	State       DialState
	Outcome     dialer.Outcome
	SIP         int `bun:"sip"`
	Why         string
	CallerID    string
	AnsweredBy  string
	MessageLeft bool
	OptOut      bool
	Disposition string
	Data        string
	ClaimedAt   int64
	DialedAt    int64
	AnsweredAt  int64
	EndedAt     int64
	CallbackAt  int64

	Now int64 `bun:",scanonly"` // the database's clock, us, where it was asked for
}

// Dials are the attempts at a contact, the first one first.
func (s *Store) Dials(ctx context.Context, contact string) ([]Dial, error) {
	s.fresh(ctx)
	all, err := s.dials(ctx, "contact_id = ?", contact)
	if err != nil {
		return nil, fmt.Errorf("store: attempts at contact %s: %w", contact, err)
	}
	return all, nil
}

// DialOf is the attempt that a call was placed for.
func (s *Store) DialOf(ctx context.Context, call telephony.CallID) (Dial, error) {
	s.fresh(ctx)
	all, err := s.dials(ctx, "call_id = ? AND call_id <> ''", clean(string(call)))
	if err == nil && len(all) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Dial{}, fmt.Errorf("store: attempt of call %s: %w", call, err)
	}
	return all[0], nil
}

func (s *Store) dials(ctx context.Context, where string, args ...any) ([]Dial, error) {
	var rows []dialRow
	if err := s.read.NewSelect().Model(&rows).Where(where, args...).Order("contact_id", "n").Scan(ctx); err != nil {
		return nil, err
	}
	out := make([]Dial, 0, len(rows))
	for i := range rows {
		out = append(out, rows[i].dial())
	}
	return out, nil
}

// Dialled is a contact with the attempts at it.
type Dialled struct {
	Contact
	Dials []Dial
}

// Results are the contacts of a campaign with what became of them, in the order in
// which they were added. They are read in parts: a long list takes no more memory
// than a short one, and holds nobody up.
func (s *Store) Results(ctx context.Context, campaign string) iter.Seq2[Dialled, error] {
	return func(yield func(Dialled, error) bool) {
		f := ContactFilter{Campaign: campaign, Page: Page{Limit: 100}}
		for {
			part, next, err := s.results(ctx, f)
			if err != nil {
				yield(Dialled{}, err)
				return
			}
			for _, d := range part {
				if !yield(d, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			f.Cursor = next
		}
	}
}

func (s *Store) results(ctx context.Context, f ContactFilter) ([]Dialled, string, error) {
	contacts, next, err := s.Contacts(ctx, f)
	if err != nil || len(contacts) == 0 {
		return nil, "", err
	}
	out := make([]Dialled, 0, len(contacts))
	place := make(map[string]int, len(contacts))
	ids := make([]string, 0, len(contacts))
	for i, c := range contacts {
		out = append(out, Dialled{Contact: c})
		place[c.ID] = i
		ids = append(ids, c.ID)
	}
	all, err := s.dials(ctx, "contact_id IN (?)", bun.List(ids))
	if err != nil {
		return nil, "", fmt.Errorf("store: results of campaign %s: %w", f.Campaign, err)
	}
	for _, d := range all {
		r := &out[place[d.Contact]]
		r.Dials = append(r.Dials, d)
	}
	return out, next, nil
}

// CampaignStats is where a campaign is.
type CampaignStats struct {
	Contacts map[dialer.State]int
	Outcomes map[dialer.Outcome]int // of attempts that ended
	Dialing  int                    // attempts whose call is up or about to be
	// LastMinute counts the attempts that were dialled in the last minute.
	LastMinute int
	Waits      bool      // a contact is to be called
	Due        time.Time // when the first of them is due, zero: at once
}

// CampaignStats counts what became of a campaign's contacts and attempts.
func (s *Store) CampaignStats(ctx context.Context, id string) (CampaignStats, error) {
	s.fresh(ctx)
	out := CampaignStats{Contacts: map[dialer.State]int{}, Outcomes: map[dialer.Outcome]int{}}
	var groups []struct {
		Name string
		N    int
	}
	count := func(model any, column string) error {
		groups = groups[:0]
		return s.read.NewSelect().Model(model).ColumnExpr("? AS name", bun.Ident(column)).ColumnExpr("COUNT(*) AS n").
			Where("campaign_id = ?", id).GroupExpr("?", bun.Ident(column)).Scan(ctx, &groups)
	}
	err := count((*contactRow)(nil), "state")
	for _, g := range groups {
		out.Contacts[dialer.State(g.Name)] = g.N
	}
	if err == nil {
		err = count((*dialRow)(nil), "outcome")
	}
	for _, g := range groups {
		if g.Name == "" {
			out.Dialing = g.N
			continue
		}
		out.Outcomes[dialer.Outcome(g.Name)] = g.N
	}
	if err == nil {
		var n int64
		n, err = s.read.NewSelect().Model((*dialRow)(nil)).
			Where("campaign_id = ? AND dialed_at > ?", id, ms(time.Now().Add(-time.Minute))).Count(ctx)
		out.LastMinute = int(n)
	}
	var due *int64
	if err == nil {
		err = s.read.NewSelect().Model((*contactRow)(nil)).ColumnExpr("MIN(due_at)").
			Where("campaign_id = ? AND state = ?", id, dialer.Pending).Scan(ctx, &due)
	}
	if err != nil {
		return out, fmt.Errorf("store: count campaign %s: %w", id, err)
	}
	if due != nil {
		out.Waits, out.Due = true, at(*due)
	}
	return out, nil
}

// is tells whether an attempt is the one of a claim.
func (r *dialRow) is(a *dialRef) bool {
	return r.ContactID == a.Contact && r.N == a.N && r.Node == a.Node && r.ClaimedAt == a.ClaimedAt
}

func (r *dialRow) dial() Dial {
	d := Dial{
		Contact: r.ContactID, Campaign: r.CampaignID, N: r.N, Node: r.Node, Call: telephony.CallID(r.CallID), State: r.State,
		Claimed: at(r.ClaimedAt), Dialed: at(r.DialedAt),
		Result: dialer.Result{
			Outcome: r.Outcome, SIP: r.SIP, Why: r.Why, From: r.CallerID, AnsweredBy: r.AnsweredBy, MessageLeft: r.MessageLeft,
			Answered: at(r.AnsweredAt), Ended: at(r.EndedAt), Disposition: r.Disposition, Callback: at(r.CallbackAt),
			OptOut: r.OptOut,
		},
	}
	if r.Data != "{}" {
		_ = json.Unmarshal([]byte(r.Data), &d.Data) // written by object
	}
	return d
}
