package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/patchcord/patchcord/internal/secret"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// Trunk is a trunk as it is kept. Calls and numbers tell it by its name.
type Trunk struct {
	ID string
	trunk.Config
	Meta
}

type trunkRow struct {
	bun.BaseModel `bun:"table:trunks"`

	ID     string `bun:",pk"`
	Name   string
	Body   string
	Secret string
	metaRow
}

// CreateTrunk keeps a new trunk. What is wrong with it is ErrInvalid and a
// *trunk.Fault for each fault, whose path is that of the key.
func (s *Store) CreateTrunk(ctx context.Context, by string, c trunk.Config) (Trunk, error) {
	var out Trunk
	err := s.change(ctx, func(ctx context.Context, tx Tx) (err error) {
		if err = tx.lockTable(ctx, "trunks"); err == nil {
			out, err = saveTrunk(ctx, tx, by, trunkRow{}, c)
		}
		return err
	}, "create trunk %s", c.Name)
	return out, err
}

// saveTrunk writes a trunk. row is what is there.
func saveTrunk(ctx context.Context, tx Tx, by string, row trunkRow, c trunk.Config) (Trunk, error) {
	isNew, oldName := row.CreatedAt == 0, row.Name
	if isNew {
		id, err := newUUID()
		if err != nil {
			return Trunk{}, err
		}
		row.ID = id
	}
	if err := checkTrunk(ctx, tx, row.ID, c); err != nil {
		return Trunk{}, err
	}
	body, err := json.Marshal(c)
	if err != nil {
		return Trunk{}, err
	}
	tx.touch(KindTrunk, row.ID)
	row.Name, row.Body = c.Name, string(body)
	if row.Secret, err = tx.vault.seal(KindTrunk, row.ID, c.Credential().Reveal()); err != nil {
		return Trunk{}, err
	}
	row.metaRow = row.next(by, time.Now())
	if isNew {
		_, err = tx.NewInsert().Model(&row).Exec(ctx)
	} else {
		_, err = tx.NewUpdate().Model(&row).WherePK().Exec(ctx)
	}
	if err != nil {
		return Trunk{}, taken(err)
	}
	if !isNew {
		err = moveNumbers(ctx, tx, by, oldName, c)
	}
	if err == nil && oldName != "" && oldName != c.Name {
		err = moveCampaigns(ctx, tx, by, oldName, c.Name)
	}
	return Trunk{row.ID, c, row.meta()}, err
}

// checkTrunk looks at a trunk beside all others: an address belongs to one.
func checkTrunk(ctx context.Context, tx Tx, id string, c trunk.Config) error {
	var rows []trunkRow
	if err := tx.NewSelect().Model(&rows).Where("id <> ?", id).Order("created_at", "id").Scan(ctx); err != nil {
		return err
	}
	all := make([]trunk.Config, 0, len(rows)+1)
	for _, r := range rows {
		if r.Name == c.Name {
			return ErrExists
		}
		t, err := r.trunk(tx.vault)
		if err != nil {
			return err
		}
		all = append(all, t.Config)
	}
	_, err := trunk.NewTable(append(all, c), nil, "")
	return atKey(err, fmt.Sprintf("trunks[%d].", len(all)))
}

// atKey makes the faults of a table, whose paths begin with prefix, those of
// one object.
func atKey(err error, prefix string) error {
	joined, ok := err.(interface{ Unwrap() []error }) //nolint:errorlint // the joined error itself
	if !ok {
		return err
	}
	errs := []error{ErrInvalid}
	for _, e := range joined.Unwrap() {
		var f *trunk.Fault
		if errors.As(e, &f) {
			e = &trunk.Fault{Path: strings.TrimPrefix(f.Path, prefix), What: f.What, Do: f.Do}
		}
		errs = append(errs, e)
	}
	return errors.Join(errs...)
}

// moveNumbers brings the numbers of a trunk to its new name and country: a
// change of each, which who has read one before is told of. The trunk is locked;
// a number that somebody takes to another trunk meanwhile is not its any more.
func moveNumbers(ctx context.Context, tx Tx, by, from string, c trunk.Config) error {
	var rows []numberRow
	q := tx.NewSelect().Model(&rows).Where("trunk = ?", from).Order("id")
	if err := tx.forUpdate(q).Scan(ctx); err != nil {
		return err
	}
	for _, r := range rows {
		n := trunk.Normalize(r.Number, c.Country)
		if n == r.Number && from == c.Name {
			continue
		}
		r.Number, r.Trunk, r.metaRow = n, c.Name, r.next(by, time.Now())
		if _, err := tx.NewUpdate().Model(&r).WherePK().Exec(ctx); err != nil {
			return fmt.Errorf("number %s: %w", n, taken(err))
		}
	}
	return nil
}

// Trunk is a trunk by its id or name.
func (s *Store) Trunk(ctx context.Context, id string) (Trunk, error) {
	var row trunkRow
	err := s.read.NewSelect().Model(&row).Where("id = ? OR name = ?", id, id).Limit(1).Scan(ctx)
	if err != nil {
		return Trunk{}, fmt.Errorf("store: trunk %s: %w", id, none(err))
	}
	return row.trunk(s.vault)
}

// Trunks are the trunks, and the cursor of the next page, "" after the last.
func (s *Store) Trunks(ctx context.Context, p Page) ([]Trunk, string, error) {
	var rows []trunkRow
	q, err := p.apply(s.read.NewSelect().Model(&rows))
	if err != nil {
		return nil, "", err
	}
	if err := q.Scan(ctx); err != nil {
		return nil, "", fmt.Errorf("store: list trunks: %w", err)
	}
	rows, next := cut(p, rows, func(r *trunkRow) (int64, string) { return r.CreatedAt, r.ID })
	out := make([]Trunk, 0, len(rows))
	for _, r := range rows {
		t, err := r.trunk(s.vault)
		if err != nil {
			return nil, "", err
		}
		out = append(out, t)
	}
	return out, next, nil
}

// UpdateTrunk puts t in the place of the trunk of its id. Its numbers go with
// it to another name.
func (s *Store) UpdateTrunk(ctx context.Context, by string, t Trunk) (Trunk, error) {
	var out Trunk
	err := s.change(ctx, func(ctx context.Context, tx Tx) error {
		row, err := lockTrunk(ctx, tx, t.ID)
		if err != nil {
			return err
		}
		if err := row.check(t.Revision); err != nil {
			return err
		}
		out, err = saveTrunk(ctx, tx, by, row, t.Config)
		return err
	}, "change trunk %s", t.ID)
	return out, err
}

// DeleteTrunk deletes a trunk. One with numbers, or with a campaign that has not
// ended, is ErrInUse. Calls that are up
// go on.
func (s *Store) DeleteTrunk(ctx context.Context, _ string, id string) error {
	return s.change(ctx, func(ctx context.Context, tx Tx) error {
		row, err := lockTrunk(ctx, tx, id)
		if err != nil {
			return err
		}
		return dropTrunk(ctx, tx, row)
	}, "delete trunk %s", id)
}

func dropTrunk(ctx context.Context, tx Tx, row trunkRow) error {
	n, err := tx.NewSelect().Model((*numberRow)(nil)).Where("trunk = ?", row.Name).Count(ctx)
	if err != nil {
		return err
	}
	if n > 0 {
		return fmt.Errorf("it brings %d numbers: %w", n, ErrInUse)
	}
	if err := unused(ctx, tx, "trunk", row.Name); err != nil {
		return err
	}
	tx.touch(KindTrunk, row.ID)
	_, err = tx.NewDelete().Model(&row).WherePK().Exec(ctx)
	return err
}

// lockTrunk reads a trunk that is going to be changed, and keeps all others as
// they are: they are checked together.
func lockTrunk(ctx context.Context, tx Tx, id string) (trunkRow, error) {
	var row trunkRow
	if err := tx.lockTable(ctx, "trunks"); err != nil {
		return row, err
	}
	err := tx.forUpdate(tx.NewSelect().Model(&row).Where("id = ?", id)).Scan(ctx)
	return row, none(err)
}

func (r *trunkRow) trunk(v *vault) (Trunk, error) {
	t := Trunk{ID: r.ID, Meta: r.meta()}
	if err := json.Unmarshal([]byte(r.Body), &t.Config); err != nil {
		return t, fmt.Errorf("the kept trunk %s: %w", r.Name, err)
	}
	text, err := v.open(KindTrunk, r.ID, r.Secret)
	*t.Credential() = secret.Text(text)
	return t, err
}
