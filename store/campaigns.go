package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/dialer"
)

// Campaign is a campaign as it is kept. Agent is the id of the agent that calls.
type Campaign struct {
	dialer.Campaign
	Meta
}

// ErrStatus tells that what was asked is not done to a campaign of this status.
var ErrStatus = errors.New("its status does not allow that")

// ErrState tells that a contact is in another state than was said.
var ErrState = errors.New("it is in another state")

type campaignRow struct {
	bun.BaseModel `bun:"table:campaigns"`

	ID          string `bun:",pk"`
	Name        string
	AgentID     string
	Trunk       string
	Body        string
	Status      dialer.Status
	Reason      string
	Priority    int
	Concurrency int
	CPS         float64 `bun:"cps"`
	StartsAt    int64
	EndsAt      int64
	NextSlot    int64
	ResumedAt   int64
	metaRow

	Now int64 `bun:",scanonly"` // the database's clock, us, where it was asked for
}

// CreateCampaign keeps a new campaign as a draft. Its agent may be named by id or
// name.
func (s *Store) CreateCampaign(ctx context.Context, by string, c dialer.Campaign) (Campaign, error) {
	var out Campaign
	err := s.change(ctx, func(ctx context.Context, tx Tx) error {
		id, err := newUUID()
		if err == nil {
			out, err = saveCampaign(ctx, tx, by, campaignRow{ID: id, Status: dialer.Draft}, c)
		}
		return err
	}, "create campaign %s", c.Name)
	return out, err
}

// saveCampaign writes what a campaign is told to do. row is what is there.
func saveCampaign(ctx context.Context, tx Tx, by string, row campaignRow, c dialer.Campaign) (Campaign, error) {
	if c.Name == "" {
		return Campaign{}, fmt.Errorf("a campaign without a name: %w", ErrInvalid)
	}
	var err error
	if c.Agent, err = callers(ctx, tx, c); err != nil {
		return Campaign{}, err
	}
	row.Name, row.AgentID, row.Trunk = c.Name, c.Agent, string(c.Trunk)
	row.Priority, row.Concurrency, row.CPS = c.Priority, c.Concurrency, c.CPS
	row.StartsAt, row.EndsAt = ms(c.Starts), ms(c.Ends)
	c.ID, c.Status, c.Reason, c.Resumed = "", "", "", time.Time{} // of columns
	body, err := json.Marshal(c)
	if err != nil {
		return Campaign{}, errors.Join(ErrInvalid, err)
	}
	row.Body = string(body)
	isNew := row.CreatedAt == 0
	row.metaRow = row.next(by, time.Now())
	if isNew {
		_, err = tx.NewInsert().Model(&row).Exec(ctx)
	} else {
		_, err = tx.NewUpdate().Model(&row).WherePK().Exec(ctx)
	}
	if err != nil {
		return Campaign{}, taken(err)
	}
	return row.campaign()
}

// callers keeps the trunk and the agent that a campaign names as they are, in the
// order of lockTargets, and gives the agent's id.
func callers(ctx context.Context, tx Tx, c dialer.Campaign) (string, error) {
	if c.Trunk != "" {
		var t trunkRow
		if err := tx.forUpdate(tx.NewSelect().Model(&t).Where("name = ?", c.Trunk)).Scan(ctx); err != nil {
			return "", missing(err, "trunk", string(c.Trunk))
		}
	}
	var a agentRow
	err := tx.forUpdate(tx.NewSelect().Model(&a).Column("id").Where("id = ? OR name = ?", c.Agent, c.Agent)).Scan(ctx)
	if err != nil {
		return "", missing(err, "agent", c.Agent)
	}
	return string(a.ID), nil
}

// unused refuses what a campaign calls with that has not ended.
func unused(ctx context.Context, tx Tx, column, name string) error {
	var row campaignRow
	err := tx.NewSelect().Model(&row).Column("name").Where("? = ?", bun.Ident(column), name).
		Where("status NOT IN (?, ?)", dialer.Completed, dialer.Cancelled).Limit(1).Scan(ctx)
	if err == nil {
		return fmt.Errorf("the campaign %s calls with it: %w", row.Name, ErrInUse)
	}
	if err := none(err); !errors.Is(err, ErrNotFound) {
		return err
	}
	return nil
}

// moveCampaigns brings the campaigns of a trunk to its new name.
func moveCampaigns(ctx context.Context, tx Tx, by, from, to string) error {
	_, err := tx.NewUpdate().Model((*campaignRow)(nil)).Set("trunk = ?", to).Set("revision = revision + 1").
		Set("updated_by = ?", by).Set("updated_at = ?", ms(time.Now())).Where("trunk = ?", from).Exec(ctx)
	return err
}

// Campaign is a campaign by its id or name.
func (s *Store) Campaign(ctx context.Context, id string) (Campaign, error) {
	var row campaignRow
	if err := s.read.NewSelect().Model(&row).Where("id = ? OR name = ?", id, id).Limit(1).Scan(ctx); err != nil {
		return Campaign{}, fmt.Errorf("store: campaign %s: %w", id, none(err))
	}
	return row.campaign()
}

// CampaignFilter chooses campaigns.
type CampaignFilter struct {
	Statuses []dialer.Status // nil: all
	Agents   []agent.ID      // who calls, nil: all
	Page
}

// Campaigns are the campaigns that a filter chooses, and the cursor of the next
// page, "" after the last.
func (s *Store) Campaigns(ctx context.Context, f CampaignFilter) ([]Campaign, string, error) {
	var rows []campaignRow
	q, err := f.apply(s.read.NewSelect().Model(&rows))
	if err != nil {
		return nil, "", err
	}
	if f.Statuses != nil {
		q = q.Where("status IN (?)", bun.List(f.Statuses))
	}
	if f.Agents != nil {
		q = q.Where("agent_id IN (?)", bun.List(f.Agents))
	}
	if err := q.Scan(ctx); err != nil {
		return nil, "", fmt.Errorf("store: list campaigns: %w", err)
	}
	rows, next := cut(f.Page, rows, func(r *campaignRow) (int64, string) { return r.CreatedAt, r.ID })
	out := make([]Campaign, 0, len(rows))
	for _, r := range rows {
		c, err := r.campaign()
		if err != nil {
			return nil, "", err
		}
		out = append(out, c)
	}
	return out, next, nil
}

// UpdateCampaign puts c in the place of the campaign of its id, which is a draft
// or paused: another status is ErrStatus. The status stays.
func (s *Store) UpdateCampaign(ctx context.Context, by string, c Campaign) (Campaign, error) {
	var out Campaign
	err := s.change(ctx, func(ctx context.Context, tx Tx) error {
		row, err := lockCampaign(ctx, tx, c.ID)
		if err == nil {
			err = row.check(c.Revision)
		}
		if err == nil {
			err = row.is(dialer.Draft, dialer.Paused)
		}
		if err != nil {
			return err
		}
		out, err = saveCampaign(ctx, tx, by, row, c.Campaign)
		return err
	}, "change campaign %s", c.ID)
	return out, err
}

// DeleteCampaign deletes a campaign that is not running, with its contacts, their
// attempts, and its list of those who are not to be called by it. One with calls
// that are up is ErrInUse.
func (s *Store) DeleteCampaign(ctx context.Context, _ string, id string) error {
	return s.change(ctx, func(ctx context.Context, tx Tx) error {
		row, err := lockCampaign(ctx, tx, id)
		if err == nil {
			err = row.is(dialer.Draft, dialer.Paused, dialer.Completed, dialer.Cancelled)
		}
		if err != nil {
			return err
		}
		up, err := active(ctx, tx, id)
		if err != nil {
			return err
		}
		if up > 0 {
			return fmt.Errorf("it has %d calls: %w", up, ErrInUse)
		}
		for _, model := range []any{(*dialRow)(nil), (*contactRow)(nil), (*dncRow)(nil)} {
			if _, err := tx.NewDelete().Model(model).Where("campaign_id = ?", id).Exec(ctx); err != nil {
				return err
			}
		}
		_, err = tx.NewDelete().Model(&row).WherePK().Exec(ctx)
		return err
	}, "delete campaign %s", id)
}

// StartCampaign lets a draft call its contacts.
func (s *Store) StartCampaign(ctx context.Context, by, id string) (Campaign, error) {
	return s.turn(ctx, by, id, "", dialer.Running, dialer.Draft)
}

// PauseCampaign lets nobody be called any more until ResumeCampaign. Calls that
// are up end in their own time.
func (s *Store) PauseCampaign(ctx context.Context, by, id, reason string) (Campaign, error) {
	return s.turn(ctx, by, id, reason, dialer.Paused, dialer.Running)
}

// ResumeCampaign lets a paused campaign go on.
func (s *Store) ResumeCampaign(ctx context.Context, by, id string) (Campaign, error) {
	return s.turn(ctx, by, id, "", dialer.Running, dialer.Paused)
}

// CancelCampaign ends a campaign for good: contacts that are not being called are
// not called any more.
func (s *Store) CancelCampaign(ctx context.Context, by, id, reason string) (Campaign, error) {
	return s.turn(ctx, by, id, reason, dialer.Cancelled, dialer.Draft, dialer.Running, dialer.Paused)
}

// turn changes the status of a campaign that has one of those in from.
func (s *Store) turn(
	ctx context.Context, by, id, reason string, to dialer.Status, from ...dialer.Status,
) (Campaign, error) {
	var out Campaign
	err := s.change(ctx, func(ctx context.Context, tx Tx) error {
		row, err := lockCampaign(ctx, tx, id)
		if err == nil {
			err = row.is(from...)
		}
		if err == nil {
			err = row.turn(ctx, tx, by, to, reason)
		}
		if err == nil {
			out, err = row.campaign()
		}
		return err
	}, "campaign %s: %s", id, to)
	return out, err
}

// turn changes the status of a campaign that is locked. What is not called any
// more when it has ended is expired.
func (r *campaignRow) turn(ctx context.Context, tx Tx, by string, to dialer.Status, reason string) error {
	if r.Status == dialer.Paused && to == dialer.Running {
		r.ResumedAt = ms(time.Now())
	}
	r.Status, r.Reason, r.metaRow = to, clean(reason), r.next(by, time.Now())
	if _, err := tx.NewUpdate().Model(r).WherePK().Exec(ctx); err != nil {
		return err
	}
	if !over(to) {
		return nil
	}
	_, err := tx.NewUpdate().Model((*contactRow)(nil)).Set("state = ?", dialer.Expired).Set("why = ?", endOf(to)).
		Set("updated_at = ?", r.UpdatedAt).Where("campaign_id = ? AND state = ?", r.ID, dialer.Pending).Exec(ctx)
	return err
}

// over tells whether nobody is called by a campaign of this status any more.
func over(s dialer.Status) bool { return s == dialer.Completed || s == dialer.Cancelled }

// endOf says why a contact of a campaign that has ended is not called.
func endOf(s dialer.Status) string { return "the campaign is " + string(s) }

// is tells whether a campaign has one of these statuses.
func (r *campaignRow) is(allowed ...dialer.Status) error {
	if slices.Contains(allowed, r.Status) {
		return nil
	}
	return fmt.Errorf("it is %s: %w", r.Status, ErrStatus)
}

// lockCampaign reads a campaign that is going to be changed.
func lockCampaign(ctx context.Context, tx Tx, id string) (campaignRow, error) {
	var row campaignRow
	err := tx.forUpdate(tx.NewSelect().Model(&row).Where("id = ?", id)).Scan(ctx)
	return row, none(err)
}

// keepStatus reads the status of a campaign and keeps it until the transaction
// ends. Claims go on meanwhile.
func keepStatus(ctx context.Context, tx Tx, id string) (dialer.Status, error) {
	var status dialer.Status
	q := tx.NewSelect().Model((*campaignRow)(nil)).Column("status").Where("id = ?", id)
	if tx.pgx != nil {
		q = q.For("KEY SHARE")
	}
	err := q.Scan(ctx, &status)
	return status, none(err)
}

func (r *campaignRow) campaign() (Campaign, error) {
	c := Campaign{Meta: r.meta()}
	if err := json.Unmarshal([]byte(r.Body), &c.Campaign); err != nil {
		return c, fmt.Errorf("the kept campaign %s: %w", r.Name, err)
	}
	c.ID, c.Name, c.Status, c.Reason = r.ID, r.Name, r.Status, r.Reason
	c.Agent, c.Trunk, c.Resumed = r.AgentID, telephony.TrunkID(r.Trunk), at(r.ResumedAt)
	return c, nil
}
