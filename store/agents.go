package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/uptrace/bun"

	"github.com/patchcord/patchcord/engine/agent"
)

// Agent is an agent as it is kept. Its own tools are in Tools, each with its
// id; a change of one is a change of the agent. WebhookSecret is as it was
// written; the versions of an agent have none.
type Agent struct {
	agent.Agent
	Meta
}

type agentRow struct {
	bun.BaseModel `bun:"table:agents"`

	ID     agent.ID `bun:",pk"`
	Name   string
	Body   string
	Secret string
	metaRow
}

// AgentFilter chooses agents.
type AgentFilter struct {
	IDs []agent.ID // nil: all
	Page
}

// CreateAgent keeps a new agent with its own tools. It gets an id unless it
// has one. No two agents have the same name.
func (s *Store) CreateAgent(ctx context.Context, by string, a agent.Agent) (Agent, error) {
	var out Agent
	err := s.change(ctx, func(ctx context.Context, tx Tx) (err error) {
		out, err = insertAgent(ctx, tx, by, a, opCreate)
		return err
	}, "create agent %s", a.Name)
	return out, err
}

func insertAgent(ctx context.Context, tx Tx, by string, a agent.Agent, o op) (Agent, error) {
	if a.ID == "" {
		id, err := newUUID()
		if err != nil {
			return Agent{}, err
		}
		a.ID = agent.ID(id)
	}
	if err := freeName(ctx, tx, a.ID, a.Name); err != nil {
		return Agent{}, err
	}
	row := agentRow{ID: a.ID}
	rev, err := lastRevision(ctx, tx, KindAgent, string(a.ID))
	if err != nil {
		return Agent{}, err
	}
	row.Revision = rev
	return saveAgent(ctx, tx, by, row, a, o)
}

// freeName refuses a name that would lead to two agents: agents are named by
// id or name.
func freeName(ctx context.Context, tx Tx, id agent.ID, name string) error {
	if name == "" {
		return fmt.Errorf("an agent without a name: %w", ErrInvalid)
	}
	is, err := tx.NewSelect().Model((*agentRow)(nil)).
		Where("id <> ? AND (id = ? OR name = ? OR name = ?)", id, name, name, id).Exists(ctx)
	if err == nil && is {
		return ErrExists
	}
	return err
}

// saveAgent writes an agent, its tools and its version. row is what is there.
func saveAgent(ctx context.Context, tx Tx, by string, row agentRow, a agent.Agent, o op) (Agent, error) {
	now, isNew := time.Now(), row.CreatedAt == 0
	a.ID = row.ID
	a.Normalize()
	own := a.Tools
	a.Tools = nil
	body, err := json.Marshal(withoutID(a))
	if err != nil {
		return Agent{}, err
	}
	row.Name, row.Body = a.Name, string(body)
	if row.Secret, err = tx.vault.seal(KindAgent, string(row.ID), a.WebhookSecret); err != nil {
		return Agent{}, err
	}
	row.metaRow = row.next(by, now)
	tx.touch(KindAgent, string(row.ID))
	if isNew {
		_, err = tx.NewInsert().Model(&row).Exec(ctx)
	} else {
		_, err = tx.NewUpdate().Model(&row).WherePK().Exec(ctx)
	}
	if err != nil {
		return Agent{}, taken(err)
	}
	if a.Tools, err = syncTools(ctx, tx, by, row, own, o, now); err != nil {
		return Agent{}, err
	}
	out := Agent{a, row.meta()}
	return out, addVersion(ctx, tx, row.version(o), row.metaRow, a)
}

func withoutID(a agent.Agent) agent.Agent {
	a.ID = ""
	return a
}

// Agent is an agent by its id or name.
func (s *Store) Agent(ctx context.Context, id agent.ID) (Agent, error) {
	var row agentRow
	err := s.read.NewSelect().Model(&row).Where("id = ? OR name = ?", id, string(id)).Scan(ctx)
	if err != nil {
		return Agent{}, fmt.Errorf("store: agent %s: %w", id, none(err))
	}
	list, err := withTools(ctx, s.read, s.vault, []agentRow{row})
	if err != nil {
		return Agent{}, fmt.Errorf("store: agent %s: %w", id, err)
	}
	return list[0], nil
}

// Agents are the agents that a filter chooses, and the cursor of the next
// page, "" after the last.
func (s *Store) Agents(ctx context.Context, f AgentFilter) ([]Agent, string, error) {
	var rows []agentRow
	q, err := f.apply(s.read.NewSelect().Model(&rows))
	if err != nil {
		return nil, "", err
	}
	if f.IDs != nil {
		q = q.Where("id IN (?)", bun.List(f.IDs))
	}
	if err := q.Scan(ctx); err != nil {
		return nil, "", fmt.Errorf("store: list agents: %w", err)
	}
	rows, next := cut(f.Page, rows, func(r *agentRow) (int64, string) { return r.CreatedAt, string(r.ID) })
	list, err := withTools(ctx, s.read, s.vault, rows)
	if err != nil {
		return nil, "", fmt.Errorf("store: list agents: %w", err)
	}
	return list, next, nil
}

// UpdateAgent puts a in the place of the agent of its id, its own tools too:
// those of the same id or name are changed, others made, the rest deleted.
func (s *Store) UpdateAgent(ctx context.Context, by string, a Agent) (Agent, error) {
	var out Agent
	err := s.change(ctx, func(ctx context.Context, tx Tx) error {
		row, err := lockAgent(ctx, tx, a.ID)
		if err != nil {
			return err
		}
		if err := row.check(a.Revision); err != nil {
			return err
		}
		if err := freeName(ctx, tx, a.ID, a.Name); err != nil {
			return err
		}
		out, err = saveAgent(ctx, tx, by, row, a.Agent, opUpdate)
		return err
	}, "change agent %s", a.ID)
	return out, err
}

// DeleteAgent deletes an agent with its own tools and its documents. An agent that answers a
// number is ErrInUse.
func (s *Store) DeleteAgent(ctx context.Context, by string, id agent.ID) error {
	return s.change(ctx, func(ctx context.Context, tx Tx) error {
		row, err := lockAgent(ctx, tx, id)
		if err != nil {
			return err
		}
		return dropAgent(ctx, tx, by, row)
	}, "delete agent %s", id)
}

func dropAgent(ctx context.Context, tx Tx, by string, row agentRow) error {
	var number numberRow
	err := tx.NewSelect().Model(&number).Where("agent_id = ?", row.ID).Limit(1).Scan(ctx)
	if err == nil {
		return fmt.Errorf("it answers %s: %w", number.Number, ErrInUse)
	}
	if err := none(err); !errors.Is(err, ErrNotFound) {
		return err
	}
	if err := unused(ctx, tx, "agent_id", string(row.ID)); err != nil {
		return err
	}
	tx.touch(KindAgent, string(row.ID))
	a, err := withTools(ctx, tx, tx.vault, []agentRow{row})
	if err != nil {
		return err
	}
	if _, err := tx.NewDelete().Model((*toolRow)(nil)).Where("agent_id = ?", row.ID).Exec(ctx); err != nil {
		return err
	}
	if _, err := tx.NewDelete().Model((*documentRow)(nil)).Where("agent_id = ?", row.ID).Exec(ctx); err != nil {
		return err
	}
	if _, err := tx.NewDelete().Model(&row).WherePK().Exec(ctx); err != nil {
		return err
	}
	return addVersion(ctx, tx, row.version(opDelete), row.next(by, time.Now()), a[0].Agent)
}

// lockAgent reads an agent that is going to be changed.
func lockAgent(ctx context.Context, tx Tx, id agent.ID) (agentRow, error) {
	var row agentRow
	err := tx.forUpdate(tx.NewSelect().Model(&row).Where("id = ?", id)).Scan(ctx)
	return row, none(err)
}

// touchAgent notes that a tool of the agent's own was changed.
func touchAgent(ctx context.Context, tx Tx, by string, row agentRow, now time.Time) error {
	tx.touch(KindAgent, string(row.ID))
	row.metaRow = row.next(by, now)
	if _, err := tx.NewUpdate().Model(&row).WherePK().Exec(ctx); err != nil {
		return err
	}
	a, err := withTools(ctx, tx, tx.vault, []agentRow{row})
	if err != nil {
		return err
	}
	return addVersion(ctx, tx, row.version(opUpdate), row.metaRow, a[0].Agent)
}

// withTools makes agents of their rows.
func withTools(ctx context.Context, db bun.IDB, v *vault, rows []agentRow) ([]Agent, error) {
	out := make([]Agent, 0, len(rows))
	ids, where := make([]agent.ID, 0, len(rows)), make(map[agent.ID]int, len(rows))
	for _, r := range rows {
		a, err := r.agent(v)
		if err != nil {
			return nil, err
		}
		ids, where[r.ID] = append(ids, r.ID), len(out)
		out = append(out, a)
	}
	if len(ids) == 0 {
		return out, nil
	}
	var own []toolRow
	q := db.NewSelect().Model(&own).Order("position", "id")
	if len(ids) <= 100 {
		q = q.Where("agent_id IN (?)", bun.List(ids))
	} else {
		q = q.Where("agent_id <> ''")
	}
	if err := q.Scan(ctx); err != nil {
		return nil, err
	}
	for _, r := range own {
		i, ok := where[r.AgentID]
		if !ok {
			continue
		}
		t, err := r.tool()
		if err != nil {
			return nil, err
		}
		out[i].Tools = append(out[i].Tools, t.Definition)
	}
	return out, nil
}

func (r *agentRow) agent(v *vault) (Agent, error) {
	a := Agent{Meta: r.meta()}
	if err := decodeBody(r.Body, &a.Agent); err != nil {
		return a, fmt.Errorf("the kept agent %s: %w", r.ID, err)
	}
	var err error
	if a.WebhookSecret, err = v.open(KindAgent, string(r.ID), r.Secret); err != nil {
		return a, err
	}
	a.ID = r.ID
	for k, v := range a.Variables {
		a.Variables[k] = plain(v)
	}
	return a, nil
}

func decodeBody(body string, into any) error {
	d := json.NewDecoder(bytes.NewReader([]byte(body)))
	d.UseNumber()
	return d.Decode(into)
}

// plain gives numbers the types that they have in YAML: whole ones stay whole.
func plain(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
		if f, err := v.Float64(); err == nil && !math.IsInf(f, 0) {
			return f
		}
		return v.String()
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = plain(v[k])
		}
	}
	return v
}
