package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/patchcord/patchcord/telephony/dialer"
)

// DNC is a number that is not to be called.
type DNC struct {
	ID       string // UUID version 7
	Campaign string // by which campaign, "" by any
	Number   string // E.164
	Why      string
	By       string // name of an API key, "" for the dialer
	Created  time.Time
}

type dncRow struct {
	bun.BaseModel `bun:"table:do_not_call"`

	ID         string `bun:",pk"`
	CampaignID string
	Number     string
	Why        string
	AddedBy    string
	CreatedAt  int64
}

// AddDNC puts numbers on the list of a campaign, or of all where campaign is "",
// and gives how many were not there. From then on they are not dialled: contacts
// that wait or are claimed are blocked, and an INVITE that has not left does not.
func (s *Store) AddDNC(ctx context.Context, by, campaign string, list []DNC) (added int, err error) {
	rows := make([]dncRow, 0, len(list))
	for i, d := range list {
		row, err := newDNC(by, campaign, d)
		if err != nil {
			return 0, fmt.Errorf("store: do not call: entry %d: %w", i+1, err)
		}
		rows = append(rows, row)
	}
	// Each number is locked in the same order by all who do this.
	slices.SortFunc(rows, func(a, b dncRow) int { return strings.Compare(a.Number, b.Number) })
	block := func(ctx context.Context, tx Tx) error {
		added = 0
		if campaign != "" {
			if _, err := keepStatus(ctx, tx, campaign); err != nil {
				return err
			}
		}
		for part := range slices.Chunk(rows, insertRows) {
			n, err := tx.block(ctx, campaign, part)
			if err != nil {
				return err
			}
			added += n
		}
		return nil
	}
	for range 3 { // who waits in a circle is let go, and the others pass
		err = s.change(ctx, block, "do not call %d numbers", len(list))
		if !isPG(err, pgDeadlock) {
			break
		}
	}
	if err != nil {
		return 0, err
	}
	return added, nil
}

func newDNC(by, campaign string, d DNC) (dncRow, error) {
	number, err := e164(d.Number)
	if err != nil {
		return dncRow{}, err
	}
	id, err := newUUID()
	return dncRow{
		ID: id, CampaignID: campaign, Number: number, Why: clean(d.Why), AddedBy: by, CreatedAt: ms(time.Now()),
	}, err
}

// block keeps numbers from being dialled. Who is about to dial one changes its
// contact, as this does, and comes before or after it.
func (t Tx) block(ctx context.Context, campaign string, rows []dncRow) (added int, err error) {
	numbers := make([]string, 0, len(rows))
	for i := range rows {
		numbers = append(numbers, rows[i].Number)
	}
	theirs := func(q bun.QueryBuilder) bun.QueryBuilder {
		q = q.Where("number IN (?)", bun.List(numbers))
		if campaign != "" {
			q = q.Where("campaign_id = ?", campaign)
		}
		return q
	}
	var ids []string
	q := t.NewSelect().Model((*contactRow)(nil)).Column("id").ApplyQueryBuilder(theirs).Order("id")
	if err := t.forUpdate(q).Scan(ctx, &ids); err != nil {
		return 0, err
	}
	res, err := t.NewInsert().Model(&rows).On("CONFLICT DO NOTHING").Exec(ctx)
	if err != nil {
		return 0, err
	}
	n, err := res.RowsAffected()
	if err != nil || len(ids) == 0 {
		return int(n), err
	}
	// A claim is given up; one that is dialled goes on.
	_, err = t.NewDelete().Model((*dialRow)(nil)).Where("contact_id IN (?) AND state = ?", bun.List(ids),
		dialClaimed).Exec(ctx)
	if err != nil {
		return 0, err
	}
	_, err = t.NewUpdate().Model((*contactRow)(nil)).Set("state = ?", dialer.Blocked).Set("why = ?", blocked(rows[0].Why)).
		Set("updated_at = ?", ms(time.Now())).
		Where("id IN (?) AND state IN (?, ?)", bun.List(ids), dialer.Pending, dialer.Claimed).Exec(ctx)
	return int(n), err
}

// blocked says why a contact is not called whose number is on a list.
func blocked(why string) string {
	if why == "" {
		return "do not call"
	}
	return "do not call: " + why
}

// DNCFilter chooses numbers that are not to be called.
type DNCFilter struct {
	Campaign string // whose list, "" for the one of all
	Every    bool   // all lists, whatever Campaign says
	Number   string
	Page
}

// DNCs are those that a filter chooses, and the cursor of the next page, "" after
// the last.
func (s *Store) DNCs(ctx context.Context, f DNCFilter) ([]DNC, string, error) {
	var rows []dncRow
	q, err := f.apply(s.read.NewSelect().Model(&rows))
	if err != nil {
		return nil, "", err
	}
	if !f.Every {
		q = q.Where("campaign_id = ?", f.Campaign)
	}
	if f.Number != "" {
		q = q.Where("number = ?", clean(f.Number))
	}
	if err := q.Scan(ctx); err != nil {
		return nil, "", fmt.Errorf("store: list who is not to be called: %w", err)
	}
	rows, next := cut(f.Page, rows, func(r *dncRow) (int64, string) { return r.CreatedAt, r.ID })
	out := make([]DNC, 0, len(rows))
	for _, r := range rows {
		out = append(out, DNC{r.ID, r.CampaignID, r.Number, r.Why, r.AddedBy, at(r.CreatedAt)})
	}
	return out, next, nil
}

// RemoveDNC takes a number off the list of a campaign, or of all where campaign is
// "". Contacts that are blocked stay it.
func (s *Store) RemoveDNC(ctx context.Context, campaign, number string) error {
	res, err := s.write.NewDelete().Model((*dncRow)(nil)).
		Where("number = ? AND campaign_id = ?", clean(number), campaign).Exec(ctx)
	if err == nil {
		var n int64
		if n, err = res.RowsAffected(); err == nil && n == 0 {
			err = ErrNotFound
		}
	}
	if err != nil {
		return fmt.Errorf("store: call %s again: %w", number, err)
	}
	return nil
}

// notCalled is why numbers are not to be called, by campaign and number; the
// campaign of the list of all is "".
type notCalled map[[2]string]string

// of is why a campaign does not call a number; ok tells that it is on a list.
func (n notCalled) of(campaign, number string) (why string, ok bool) {
	if why, ok = n[[2]string{"", number}]; !ok {
		why, ok = n[[2]string{campaign, number}]
	}
	return why, ok
}

// listed are those of numbers that are on a list.
func listed(ctx context.Context, tx Tx, numbers []string) (notCalled, error) {
	if len(numbers) == 0 {
		return nil, nil
	}
	var rows []dncRow
	err := tx.NewSelect().Model(&rows).Column("campaign_id", "number", "why").
		Where("number IN (?)", bun.List(numbers)).Scan(ctx)
	out := make(notCalled, len(rows))
	for _, r := range rows {
		out[[2]string{r.CampaignID, r.Number}] = r.Why
	}
	return out, err
}
