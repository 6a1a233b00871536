package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// Number is a number as it is kept: in E.164 where it is such a number. Agent
// is the id of the agent that answers it, Trunk a trunk's name.
type Number struct {
	ID string
	trunk.Number
	Meta
}

type numberRow struct {
	bun.BaseModel `bun:"table:numbers"`

	ID      string `bun:",pk"`
	Number  string
	Trunk   string
	AgentID agent.ID `bun:"agent_id"`
	metaRow
}

// CreateNumber keeps a new number. Its agent may be named by id or name. One
// agent answers a number of a trunk.
func (s *Store) CreateNumber(ctx context.Context, by string, n trunk.Number) (Number, error) {
	var out Number
	err := s.change(ctx, func(ctx context.Context, tx Tx) error {
		n, err := lockTargets(ctx, tx, n)
		if err == nil {
			out, err = saveNumber(ctx, tx, by, numberRow{}, n)
		}
		return err
	}, "create number %s", n.Number)
	return out, err
}

// lockTargets keeps what a number names as it is, and gives the number as it is
// kept: normalized, its agent by id. Who locks several objects does it in the
// order trunk, agent, tool, number: two who did not would wait for each other.
func lockTargets(ctx context.Context, tx Tx, n trunk.Number) (trunk.Number, error) {
	country := ""
	if n.Trunk != "" {
		var tr trunkRow
		err := tx.forUpdate(tx.NewSelect().Model(&tr).Where("name = ?", n.Trunk)).Scan(ctx)
		if err != nil {
			return n, missing(err, "trunk", n.Trunk)
		}
		t, err := tr.trunk(tx.vault)
		if err != nil {
			return n, err
		}
		country = t.Country
	}
	var a agentRow
	err := tx.forUpdate(tx.NewSelect().Model(&a).Column("id").Where("id = ? OR name = ?", n.Agent, n.Agent)).Scan(ctx)
	if err != nil {
		return n, missing(err, "agent", n.Agent)
	}
	n.Number, n.Agent = trunk.Normalize(n.Number, country), string(a.ID)
	if n.Number == "" {
		return n, fmt.Errorf("no number: %w", ErrInvalid)
	}
	return n, nil
}

// saveNumber writes a number that lockTargets gave. row is what is there.
func saveNumber(ctx context.Context, tx Tx, by string, row numberRow, n trunk.Number) (Number, error) {
	row.Number, row.Trunk, row.AgentID = n.Number, n.Trunk, agent.ID(n.Agent)
	isNew := row.CreatedAt == 0
	if isNew {
		id, err := newUUID()
		if err != nil {
			return Number{}, err
		}
		row.ID = id
	}
	tx.touch(KindNumber, row.ID)
	row.metaRow = row.next(by, time.Now())
	var err error
	if isNew {
		_, err = tx.NewInsert().Model(&row).Exec(ctx)
	} else {
		_, err = tx.NewUpdate().Model(&row).WherePK().Exec(ctx)
	}
	return row.number(), taken(err)
}

func missing(err error, what, name string) error {
	if err := none(err); !errors.Is(err, ErrNotFound) {
		return err
	}
	return fmt.Errorf("there is no %s %q: %w", what, name, ErrMissing)
}

// Number is a number by its id.
func (s *Store) Number(ctx context.Context, id string) (Number, error) {
	var row numberRow
	if err := s.read.NewSelect().Model(&row).Where("id = ?", id).Scan(ctx); err != nil {
		return Number{}, fmt.Errorf("store: number %s: %w", id, none(err))
	}
	return row.number(), nil
}

// NumberFilter chooses numbers.
type NumberFilter struct {
	Agents []agent.ID // who answers, nil: all
	Page
}

// Numbers are the numbers that a filter chooses, and the cursor of the next
// page, "" after the last.
func (s *Store) Numbers(ctx context.Context, f NumberFilter) ([]Number, string, error) {
	var rows []numberRow
	q, err := f.apply(s.read.NewSelect().Model(&rows))
	if err != nil {
		return nil, "", err
	}
	if f.Agents != nil {
		q = q.Where("agent_id IN (?)", bun.List(f.Agents))
	}
	if err := q.Scan(ctx); err != nil {
		return nil, "", fmt.Errorf("store: list numbers: %w", err)
	}
	rows, next := cut(f.Page, rows, func(r *numberRow) (int64, string) { return r.CreatedAt, r.ID })
	out := make([]Number, 0, len(rows))
	for _, r := range rows {
		out = append(out, r.number())
	}
	return out, next, nil
}

// UpdateNumber puts n in the place of the number of its id.
func (s *Store) UpdateNumber(ctx context.Context, by string, n Number) (Number, error) {
	var out Number
	err := s.change(ctx, func(ctx context.Context, tx Tx) error {
		to, bad := lockTargets(ctx, tx, n.Number)
		if bad != nil && !errors.Is(bad, ErrMissing) && !errors.Is(bad, ErrInvalid) {
			return bad
		}
		row, err := lockNumber(ctx, tx, n.ID)
		if err == nil {
			err = row.check(n.Revision)
		}
		if err = cmp.Or(err, bad); err != nil {
			return err
		}
		out, err = saveNumber(ctx, tx, by, row, to)
		return err
	}, "change number %s", n.ID)
	return out, err
}

// DeleteNumber deletes a number.
func (s *Store) DeleteNumber(ctx context.Context, _ string, id string) error {
	return s.change(ctx, func(ctx context.Context, tx Tx) error {
		row, err := lockNumber(ctx, tx, id)
		if err != nil {
			return err
		}
		return dropNumber(ctx, tx, row)
	}, "delete number %s", id)
}

func dropNumber(ctx context.Context, tx Tx, row numberRow) error {
	tx.touch(KindNumber, row.ID)
	_, err := tx.NewDelete().Model(&row).WherePK().Exec(ctx)
	return err
}

func lockNumber(ctx context.Context, tx Tx, id string) (numberRow, error) {
	var row numberRow
	err := tx.forUpdate(tx.NewSelect().Model(&row).Where("id = ?", id)).Scan(ctx)
	return row, none(err)
}

func (r *numberRow) number() Number {
	return Number{r.ID, trunk.Number{Number: r.Number, Trunk: r.Trunk, Agent: string(r.AgentID)}, r.meta()}
}
