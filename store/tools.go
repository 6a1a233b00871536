package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/tools"
)

// Tool is a tool as it is kept: one of the library, which agents name in
// tool_ids, or an agent's own.
type Tool struct {
	tools.Definition
	Agent agent.ID // whose own it is, "" for the library's
	Meta
}

type toolRow struct {
	bun.BaseModel `bun:"table:tools"`

	ID       string   `bun:",pk"`
	AgentID  agent.ID `bun:"agent_id"`
	Position int
	Name     string
	Body     string
	metaRow
}

// CreateTool keeps a new tool of the library, or of the agent it names, and
// gives it an id. Within one owner a name is used once.
func (s *Store) CreateTool(ctx context.Context, by string, t Tool) (Tool, error) {
	var out Tool
	err := s.change(ctx, func(ctx context.Context, tx Tx) (err error) {
		t.ID = ""
		out, err = insertTool(ctx, tx, by, t, opCreate)
		return err
	}, "create tool %s", t.Name)
	return out, err
}

// PutTools keeps several tools, all of them or none: one without an id is new,
// another takes the place of the tool of its id.
func (s *Store) PutTools(ctx context.Context, by string, ts []Tool) ([]Tool, error) {
	var out []Tool
	err := s.change(ctx, func(ctx context.Context, tx Tx) error {
		out = nil
		for _, t := range ts {
			put, o := insertTool, opCreate
			if t.ID != "" {
				put, o = updateTool, opUpdate
			}
			kept, err := put(ctx, tx, by, t, o)
			if err != nil {
				return fmt.Errorf("%s: %w", t.Name, err)
			}
			out = append(out, kept)
		}
		return nil
	}, "put %d tools", len(ts))
	return out, err
}

func insertTool(ctx context.Context, tx Tx, by string, t Tool, o op) (Tool, error) {
	now := time.Now()
	owner, err := lockOwner(ctx, tx, t.Agent)
	if err != nil {
		return Tool{}, err
	}
	row := toolRow{ID: t.ID, AgentID: t.Agent}
	if t.Agent != "" {
		err := tx.NewSelect().Model((*toolRow)(nil)).ColumnExpr("COALESCE(MAX(position), -1) + 1").
			Where("agent_id = ?", t.Agent).Scan(ctx, &row.Position)
		if err != nil {
			return Tool{}, err
		}
	}
	out, err := saveTool(ctx, tx, by, row, t.Definition, o, now)
	if err != nil || owner == nil {
		return out, err
	}
	return out, touchAgent(ctx, tx, by, *owner, now)
}

// lockOwner is the agent that owns a tool, nil for the library.
func lockOwner(ctx context.Context, tx Tx, id agent.ID) (*agentRow, error) {
	if id == "" {
		return nil, nil //nolint:nilnil // the library has no row
	}
	row, err := lockAgent(ctx, tx, id)
	if err != nil {
		return nil, fmt.Errorf("agent %s: %w", id, err)
	}
	return &row, nil
}

// saveTool writes a tool and its version. row is what is there.
func saveTool(ctx context.Context, tx Tx, by string, row toolRow, d tools.Definition, o op, now time.Time) (
	Tool, error,
) {
	isNew := row.CreatedAt == 0
	if isNew && row.ID == "" {
		id, err := newUUID()
		if err != nil {
			return Tool{}, err
		}
		row.ID = id
	}
	if isNew {
		rev, err := lastRevision(ctx, tx, KindTool, row.ID)
		if err != nil {
			return Tool{}, err
		}
		row.Revision = rev
	}
	body, err := toolBody(d)
	if err != nil {
		return Tool{}, err
	}
	if row.AgentID == "" {
		tx.touch(KindTool, row.ID)
	}
	row.Name, row.Body = d.Name, body
	row.metaRow = row.next(by, now)
	if isNew {
		_, err = tx.NewInsert().Model(&row).Exec(ctx)
	} else {
		_, err = tx.NewUpdate().Model(&row).WherePK().Exec(ctx)
	}
	if err != nil {
		return Tool{}, taken(err)
	}
	d.ID = row.ID
	return Tool{d, row.AgentID, row.meta()}, addVersion(ctx, tx, row.version(o), row.metaRow, d)
}

func toolBody(d tools.Definition) (string, error) {
	d.ID = ""
	b, err := json.Marshal(d)
	return string(b), err
}

// syncTools brings the own tools of an agent to what its body names, and
// gives them with their ids.
func syncTools(ctx context.Context, tx Tx, by string, a agentRow, want []tools.Definition, o op, now time.Time) (
	[]tools.Definition, error,
) {
	var have []toolRow
	err := tx.NewSelect().Model(&have).Where("agent_id = ?", a.ID).Order("position", "id").Scan(ctx)
	if err != nil {
		return nil, err
	}
	rows := match(have, want)
	kept := map[string]bool{}
	for _, r := range rows {
		kept[r.ID] = r.ID != ""
	}
	for _, r := range have {
		if kept[r.ID] {
			continue
		}
		if err := dropTool(ctx, tx, by, r, now); err != nil {
			return nil, err
		}
	}
	// Names that change places must not meet on the way.
	for i, d := range want {
		if r := rows[i]; r.ID != "" && r.Name != "" && r.Name != d.Name {
			_, err := tx.NewUpdate().Model((*toolRow)(nil)).Set("name = ''").Where("id = ?", r.ID).Exec(ctx)
			if err != nil {
				return nil, err
			}
		}
	}
	out := make([]tools.Definition, 0, len(want))
	for i, d := range want {
		r := rows[i]
		body, err := toolBody(d)
		if err != nil {
			return nil, err
		}
		if r.ID != "" && r.Body == body && r.Position == i {
			d.ID = r.ID
			out = append(out, d)
			continue
		}
		if r.ID == "" {
			r.AgentID, r.Source = a.ID, a.Source
			if o.keepsIDs() {
				r.ID = d.ID
			}
		}
		r.Position = i
		t, err := saveTool(ctx, tx, by, r, d, o, now)
		if err != nil {
			return nil, fmt.Errorf("tool %s: %w", d.Name, err)
		}
		out = append(out, t.Definition)
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

// match finds the row of each definition: by id, by name, and of those that
// have none by type. A row is used once; a new tool has the zero row.
func match(have []toolRow, want []tools.Definition) []toolRow {
	rows, used := make([]toolRow, len(want)), map[string]bool{}
	find := func(i int, is func(toolRow) bool) {
		for _, r := range have {
			if rows[i].ID == "" && !used[r.ID] && is(r) {
				rows[i], used[r.ID] = r, true
			}
		}
	}
	for i, d := range want {
		find(i, func(r toolRow) bool { return r.ID == d.ID })
	}
	for i, d := range want {
		find(i, func(r toolRow) bool { return d.Name != "" && r.Name == d.Name })
	}
	for i, d := range want {
		find(i, func(r toolRow) bool {
			t, err := r.tool()
			return d.Name == "" && r.Name == "" && err == nil && t.Type == d.Type
		})
	}
	return rows
}

// Tool is a tool by its id; of the library also by its name.
func (s *Store) Tool(ctx context.Context, id string) (Tool, error) {
	var rows []toolRow
	err := s.read.NewSelect().Model(&rows).Where("id = ? OR (agent_id = '' AND name = ?)", id, id).Scan(ctx)
	if err == nil && len(rows) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Tool{}, fmt.Errorf("store: tool %s: %w", id, err)
	}
	for i := range rows {
		if rows[i].ID == id {
			return rows[i].tool()
		}
	}
	return rows[0].tool()
}

// Tools are the own tools of an agent, or with "" those of the library, and
// the cursor of the next page, "" after the last.
func (s *Store) Tools(ctx context.Context, owner agent.ID, p Page) ([]Tool, string, error) {
	var rows []toolRow
	q, err := p.apply(s.read.NewSelect().Model(&rows).Where("agent_id = ?", owner))
	if err != nil {
		return nil, "", err
	}
	if err := q.Scan(ctx); err != nil {
		return nil, "", fmt.Errorf("store: list tools: %w", err)
	}
	rows, next := cut(p, rows, func(r *toolRow) (int64, string) { return r.CreatedAt, r.ID })
	out := make([]Tool, 0, len(rows))
	for _, r := range rows {
		t, err := r.tool()
		if err != nil {
			return nil, "", fmt.Errorf("store: list tools: %w", err)
		}
		out = append(out, t)
	}
	return out, next, nil
}

// UpdateTool puts t in the place of the tool of its id. Its owner stays.
func (s *Store) UpdateTool(ctx context.Context, by string, t Tool) (Tool, error) {
	var out Tool
	err := s.change(ctx, func(ctx context.Context, tx Tx) (err error) {
		out, err = updateTool(ctx, tx, by, t, opUpdate)
		return err
	}, "change tool %s", t.ID)
	return out, err
}

func updateTool(ctx context.Context, tx Tx, by string, t Tool, o op) (Tool, error) {
	now := time.Now()
	row, owner, err := lockTool(ctx, tx, t.ID)
	if err != nil {
		return Tool{}, err
	}
	if err := row.check(t.Revision); err != nil {
		return Tool{}, err
	}
	out, err := saveTool(ctx, tx, by, row, t.Definition, o, now)
	if err != nil || owner == nil {
		return out, err
	}
	return out, touchAgent(ctx, tx, by, *owner, now)
}

// DeleteTool deletes a tool. Agents that name one of the library go on
// without it.
func (s *Store) DeleteTool(ctx context.Context, by, id string) error {
	return s.change(ctx, func(ctx context.Context, tx Tx) error {
		now := time.Now()
		row, owner, err := lockTool(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := dropTool(ctx, tx, by, row, now); err != nil || owner == nil {
			return err
		}
		return touchAgent(ctx, tx, by, *owner, now)
	}, "delete tool %s", id)
}

func dropTool(ctx context.Context, tx Tx, by string, row toolRow, now time.Time) error {
	if row.AgentID == "" {
		tx.touch(KindTool, row.ID)
	}
	t, err := row.tool()
	if err != nil {
		return err
	}
	if _, err := tx.NewDelete().Model(&row).WherePK().Exec(ctx); err != nil {
		return err
	}
	return addVersion(ctx, tx, row.version(opDelete), row.next(by, now), t.Definition)
}

// lockTool reads a tool that is going to be changed, and its owner first: who
// changes the agent locks in the same order.
func lockTool(ctx context.Context, tx Tx, id string) (toolRow, *agentRow, error) {
	var row toolRow
	if err := tx.NewSelect().Model(&row).Where("id = ?", id).Scan(ctx); err != nil {
		return row, nil, none(err)
	}
	owner, err := lockOwner(ctx, tx, row.AgentID)
	if err != nil {
		return row, nil, err
	}
	err = tx.forUpdate(tx.NewSelect().Model(&row).WherePK()).Scan(ctx)
	return row, owner, none(err)
}

func (r *toolRow) tool() (Tool, error) {
	t := Tool{Agent: r.AgentID, Meta: r.meta()}
	if err := json.Unmarshal([]byte(r.Body), &t.Definition); err != nil {
		return t, fmt.Errorf("the kept tool %s: %w", r.ID, err)
	}
	t.ID = r.ID
	return t, nil
}
