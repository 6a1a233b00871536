package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/patchcord/patchcord/telephony/dialer"
)

// Contact is a contact as it is kept.
type Contact struct {
	dialer.Contact
	Created, Updated time.Time
}

type contactRow struct {
	bun.BaseModel `bun:"table:contacts"`

	ID         string `bun:",pk"`
	CampaignID string
	Number     string
	Name       string
	Zone       string
	Consent    string
	Record     bool
	Variables  string
	State      dialer.State
	Why        string
	Tries      int
	DueAt      int64
	CallerID   string
	CreatedAt  int64
	UpdatedAt  int64

	Listed *string `bun:",scanonly"` // why it is not to be called, where that was asked for
}

// insertRows is how many rows one statement inserts.
const insertRows = 500

// AddContacts keeps new contacts of a campaign that has not ended, due at once
// unless they say when. A number that the campaign has already is left as it is:
// duplicates are the places of these in list. A list is kept whole or not at all;
// who has many cuts them, since nothing else is written meanwhile on SQLite.
func (s *Store) AddContacts(ctx context.Context, campaign string, list []dialer.Contact) (duplicates []int, err error) {
	rows := make([]contactRow, 0, len(list))
	now := ms(time.Now())
	for i := range list {
		row, err := rowOfContact(&list[i], campaign, now)
		if err != nil {
			return nil, fmt.Errorf("store: contact %d of campaign %s: %w", i+1, campaign, err)
		}
		rows = append(rows, row)
	}
	err = s.change(ctx, func(ctx context.Context, tx Tx) error {
		status, err := keepStatus(ctx, tx, campaign)
		if err != nil {
			return err
		}
		if over(status) {
			return fmt.Errorf("it is %s: %w", status, ErrStatus)
		}
		for part := range slices.Chunk(rows, insertRows) {
			var ids []string
			_, err := tx.NewInsert().Model(&part).On("CONFLICT DO NOTHING").Returning("id").Exec(ctx, &ids)
			if err != nil && !errors.Is(err, sql.ErrNoRows) { // none is new
				return err
			}
			if len(ids) == len(part) {
				continue
			}
			kept := make(map[string]bool, len(ids))
			for _, id := range ids {
				kept[id] = true
			}
			for i := range part {
				if !kept[part[i].ID] {
					duplicates = append(duplicates, slices.IndexFunc(rows, func(r contactRow) bool { return r.ID == part[i].ID }))
				}
			}
		}
		return nil
	}, "add contacts to campaign %s", campaign)
	if err != nil {
		return nil, err
	}
	return duplicates, nil
}

func rowOfContact(c *dialer.Contact, campaign string, now int64) (contactRow, error) {
	id, err := newUUID()
	if err != nil {
		return contactRow{}, err
	}
	number, err := e164(c.Number)
	if err != nil {
		return contactRow{}, err
	}
	vars, err := object(c.Variables)
	if err != nil {
		return contactRow{}, err
	}
	return contactRow{
		ID: id, CampaignID: campaign, Number: number, Name: clean(c.Name), Zone: clean(c.Zone), Consent: clean(c.Consent),
		Record: c.Record, Variables: vars, State: dialer.Pending, DueAt: ms(c.Due), CallerID: clean(c.From),
		CreatedAt: now, UpdatedAt: now,
	}, nil
}

// e164 refuses what is no number in international form.
func e164(number string) (string, error) {
	if len(number) < 3 || len(number) > 16 || number[0] != '+' ||
		slices.ContainsFunc([]byte(number[1:]), func(b byte) bool { return b < '0' || b > '9' }) {
		return "", fmt.Errorf("%q is no number in international form, +4930123456: %w", number, ErrInvalid)
	}
	return number, nil
}

// object is a JSON object, "{}" for nil.
func object(m map[string]any) (string, error) {
	if len(m) == 0 {
		return "{}", nil
	}
	b, err := json.Marshal(m)
	if err != nil {
		return "", errors.Join(ErrInvalid, err)
	}
	return string(b), nil
}

// ContactFilter chooses contacts of a campaign. Zero fields choose all.
type ContactFilter struct {
	Campaign string
	States   []dialer.State
	Number   string
	Page
}

// Contacts are the contacts that a filter chooses, and the cursor of the next
// page, "" after the last.
func (s *Store) Contacts(ctx context.Context, f ContactFilter) ([]Contact, string, error) {
	s.fresh(ctx)
	var rows []contactRow
	q, err := f.apply(s.read.NewSelect().Model(&rows).Where("campaign_id = ?", f.Campaign))
	if err != nil {
		return nil, "", err
	}
	if f.States != nil {
		q = q.Where("state IN (?)", bun.List(f.States))
	}
	if f.Number != "" {
		q = q.Where("number = ?", clean(f.Number))
	}
	if err := q.Scan(ctx); err != nil {
		return nil, "", fmt.Errorf("store: list contacts of campaign %s: %w", f.Campaign, err)
	}
	rows, next := cut(f.Page, rows, func(r *contactRow) (int64, string) { return r.CreatedAt, r.ID })
	out := make([]Contact, 0, len(rows))
	for i := range rows {
		out = append(out, rows[i].kept())
	}
	return out, next, nil
}

// Contact is a contact by its id.
func (s *Store) Contact(ctx context.Context, id string) (Contact, error) {
	s.fresh(ctx)
	var row contactRow
	if err := none(s.read.NewSelect().Model(&row).Where("id = ?", id).Scan(ctx)); err != nil {
		return Contact{}, fmt.Errorf("store: contact %s: %w", id, err)
	}
	return row.kept(), nil
}

// MoveContact puts a contact that is not being called into another state, such as
// one that was up for review back to pending. In a campaign that has ended none
// becomes pending. With from only one that is in one of these states is moved;
// another is ErrState, and told as it is.
func (s *Store) MoveContact(ctx context.Context, id string, to dialer.State, due time.Time, why string,
	from ...dialer.State,
) (Contact, error) {
	var row contactRow
	err := s.change(ctx, func(ctx context.Context, tx Tx) error {
		var campaign string
		q := tx.NewSelect().Model((*contactRow)(nil)).Column("campaign_id").Where("id = ?", id)
		if err := none(q.Scan(ctx, &campaign)); err != nil {
			return err
		}
		status, err := keepStatus(ctx, tx, campaign)
		if err == nil {
			err = none(tx.forUpdate(tx.NewSelect().Model(&row).Where("id = ?", id)).Scan(ctx))
		}
		switch {
		case err != nil:
			return err
		case to == dialer.Claimed || to == dialer.Dialing:
			return fmt.Errorf("a contact is not made %s: %w", to, ErrInvalid)
		case row.State == dialer.Claimed || row.State == dialer.Dialing:
			return fmt.Errorf("it is being called: %w", ErrInUse)
		case from != nil && !slices.Contains(from, row.State):
			return fmt.Errorf("it is %s: %w", row.State, ErrState)
		case to == dialer.Pending && over(status):
			return fmt.Errorf("%s: %w", endOf(status), ErrStatus)
		}
		row.State, row.Why, row.DueAt, row.UpdatedAt = to, clean(why), ms(due), ms(time.Now())
		_, err = tx.NewUpdate().Model(&row).Column("state", "why", "due_at", "updated_at").WherePK().Exec(ctx)
		return err
	}, "contact %s: %s", id, to)
	return row.kept(), err
}

func (r *contactRow) contact() dialer.Contact {
	c := dialer.Contact{
		ID: r.ID, Campaign: r.CampaignID, Number: r.Number, Name: r.Name, Zone: r.Zone, Consent: r.Consent, Record: r.Record,
		State: r.State, Why: r.Why, Tries: r.Tries, Due: at(r.DueAt), From: r.CallerID,
	}
	if r.Variables != "{}" {
		_ = json.Unmarshal([]byte(r.Variables), &c.Variables) // written by object
	}
	return c
}

func (r *contactRow) kept() Contact { return Contact{r.contact(), at(r.CreatedAt), at(r.UpdatedAt)} }
