package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/tools"
)

// Kind is what an object is.
type Kind string

// The kinds of objects. Agents and tools have versions.
const (
	KindAgent  Kind = "agent"
	KindTool   Kind = "tool"
	KindTrunk  Kind = "trunk"
	KindNumber Kind = "number"
)

// op is what made a version.
type op string

const (
	opCreate  op = "create"
	opUpdate  op = "update"
	opDelete  op = "delete"
	opRestore op = "restore"
	opSeed    op = "seed" // out of a file
)

// keepsIDs tells whether own tools that are made have ids already.
func (o op) keepsIDs() bool { return o == opRestore || o == opSeed }

// Version is an object as it was after one change, or when it was deleted.
type Version struct {
	Kind     Kind
	ID       string
	Agent    agent.ID // whose own a tool is, "" for the library's
	Revision int64
	Op       string // create, update, delete, restore, seed
	By       string
	At       time.Time
	Body     json.RawMessage // an agent.Agent or a tools.Definition; no secrets
}

type versionRow struct {
	bun.BaseModel `bun:"table:versions"`

	Kind      Kind   `bun:",pk"`
	ObjectID  string `bun:",pk"`
	AgentID   agent.ID
	Revision  int64 `bun:",pk"`
	Op        op
	ChangedBy string
	ChangedAt int64
	Body      string
}

func (r *versionRow) version() Version {
	return Version{
		Kind: r.Kind, ID: r.ObjectID, Agent: r.AgentID, Revision: r.Revision, Op: string(r.Op), By: r.ChangedBy,
		At: at(r.ChangedAt), Body: json.RawMessage(r.Body),
	}
}

func addVersion(ctx context.Context, tx Tx, row versionRow, m metaRow, body any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	row.Revision, row.ChangedBy, row.ChangedAt, row.Body = m.Revision, m.UpdatedBy, m.UpdatedAt, string(b)
	_, err = tx.NewInsert().Model(&row).Exec(ctx)
	return err
}

func (r *agentRow) version(o op) versionRow {
	return versionRow{Kind: KindAgent, ObjectID: string(r.ID), Op: o}
}

func (r *toolRow) version(o op) versionRow {
	return versionRow{Kind: KindTool, ObjectID: r.ID, AgentID: r.AgentID, Op: o}
}

// lastRevision is that of an object which was there before, 0 for a new one.
func lastRevision(ctx context.Context, tx Tx, k Kind, id string) (rev int64, err error) {
	err = tx.NewSelect().Model((*versionRow)(nil)).ColumnExpr("COALESCE(MAX(revision), 0)").
		Where("kind = ? AND object_id = ?", k, id).Scan(ctx, &rev)
	return rev, err
}

// Versions are those of an object, the latest first and at most 100, before a
// revision; 0 for the latest.
func (s *Store) Versions(ctx context.Context, k Kind, id string, before int64) ([]Version, error) {
	var rows []versionRow
	q := s.read.NewSelect().Model(&rows).Where("kind = ? AND object_id = ?", k, id).Order("revision DESC").Limit(100)
	if before > 0 {
		q = q.Where("revision < ?", before)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, fmt.Errorf("store: versions of %s %s: %w", k, id, err)
	}
	out := make([]Version, 0, len(rows))
	for _, r := range rows {
		out = append(out, r.version())
	}
	return out, nil
}

// Version is one of an object's.
func (s *Store) Version(ctx context.Context, k Kind, id string, revision int64) (Version, error) {
	v, err := version(ctx, s.read, k, id, revision)
	if err != nil {
		return v, fmt.Errorf("store: version %d of %s %s: %w", revision, k, id, err)
	}
	return v, nil
}

func version(ctx context.Context, db bun.IDB, k Kind, id string, revision int64) (Version, error) {
	var row versionRow
	err := db.NewSelect().Model(&row).Where("kind = ? AND object_id = ? AND revision = ?", k, id, revision).Scan(ctx)
	return row.version(), none(err)
}

// RestoreAgent makes an agent what it was at a revision, as a new change. Its
// webhook secret stays. A deleted agent is there again, with the same id, and
// without the secret and the documents that it had.
func (s *Store) RestoreAgent(ctx context.Context, by string, id agent.ID, revision int64) (Agent, error) {
	var out Agent
	err := s.change(ctx, func(ctx context.Context, tx Tx) error {
		v, err := version(ctx, tx, KindAgent, string(id), revision)
		if err != nil {
			return err
		}
		var was agent.Agent
		if err := decodeBody(string(v.Body), &was); err != nil {
			return err
		}
		row, err := lockAgent(ctx, tx, id)
		if errors.Is(err, ErrNotFound) {
			out, err = insertAgent(ctx, tx, by, was, opRestore)
			return err
		}
		if err != nil {
			return err
		}
		if err := freeName(ctx, tx, id, was.Name); err != nil {
			return err
		}
		if was.WebhookSecret, err = tx.vault.open(KindAgent, string(id), row.Secret); err != nil {
			return err
		}
		out, err = saveAgent(ctx, tx, by, row, was, opRestore)
		return err
	}, "restore agent %s at %d", id, revision)
	return out, err
}

// RestoreTool makes a tool what it was at a revision, as a new change. A
// deleted one is there again, with the same id and owner.
func (s *Store) RestoreTool(ctx context.Context, by, id string, revision int64) (Tool, error) {
	var out Tool
	err := s.change(ctx, func(ctx context.Context, tx Tx) error {
		v, err := version(ctx, tx, KindTool, id, revision)
		if err != nil {
			return err
		}
		var was tools.Definition
		if err := json.Unmarshal(v.Body, &was); err != nil {
			return err
		}
		was.ID = id
		out, err = updateTool(ctx, tx, by, Tool{Definition: was}, opRestore)
		if errors.Is(err, ErrNotFound) {
			out, err = insertTool(ctx, tx, by, Tool{Definition: was, Agent: v.Agent}, opRestore)
		}
		return err
	}, "restore tool %s at %d", id, revision)
	return out, err
}
