package store

import (
	"context"
	"database/sql"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"

	"github.com/uptrace/bun"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/tools/knowledge"
)

var _ knowledge.Comparer = (*Store)(nil)

// The vectors of passages are bytes in knowledge_passages on every store. Where
// PostgreSQL has the extension pgvector they stand in knowledge_vectors too,
// which compares them and keeps them out of our memory. That table is made when
// the store opens, not by a migration: the extension may come later, or not be
// ours to make.

const (
	// indexedDims is how many dimensions an index of pgvector's takes, of type
	// vector and of type halfvec. Longer ones are compared one by one.
	indexedDims, indexedHalfDims = 2000, 4000
	// filledAtOnce is how many passages one statement brings to pgvector.
	filledAtOnce = 200
)

// iterate makes a search of an index go on until it has enough of one agent's
// passages: the index knows nothing of agents. It came with pgvector 0.8.
const iterate = "SELECT set_config('hnsw.iterative_scan', 'strict_order', true)"

var vectorTable = []string{`CREATE TABLE IF NOT EXISTS knowledge_vectors (
    document_id TEXT    NOT NULL,
    n           INTEGER NOT NULL,
    agent_id    TEXT    NOT NULL,
    model       TEXT    NOT NULL,
    embedding   vector  NOT NULL,
    PRIMARY KEY (document_id, n),
    FOREIGN KEY (document_id, n) REFERENCES knowledge_passages (document_id, n) ON DELETE CASCADE
)`, "CREATE INDEX IF NOT EXISTS knowledge_vectors_agent ON knowledge_vectors (agent_id, model)"}

// openVectors has the database compare vectors, where it can.
func (s *Store) openVectors(ctx context.Context) error {
	var version string
	err := s.write.NewRaw("SELECT default_version FROM pg_available_extensions WHERE name = 'vector'").Scan(ctx, &version)
	switch {
	case err == sql.ErrNoRows: //nolint:errorlint // as bun gives it
		return nil
	case err != nil:
		return err
	}
	err = s.vectorsTx(ctx, func(ctx context.Context, tx Tx) error {
		if _, err := tx.NewRaw("CREATE EXTENSION IF NOT EXISTS vector").Exec(ctx); err != nil {
			return err
		}
		if _, err := tx.NewRaw("SELECT '[1]'::vector").Exec(ctx); err != nil { // loads it
			return err
		}
		if _, err := tx.NewRaw(iterate).Exec(ctx); err != nil {
			return err
		}
		for _, text := range vectorTable {
			if _, err := tx.NewRaw(text).Exec(ctx); err != nil {
				return err
			}
		}
		return s.fillVectors(ctx, tx)
	})
	if err != nil {
		s.log.Warn("pgvector is there and cannot be used: vectors are compared in memory", zap.String("version", version),
			zap.Error(err))
		return nil
	}
	s.vectors = true
	s.log.Debug("pgvector compares the vectors of documents", zap.String("version", version))
	return nil
}

// vectorsTx is InTx for one process at a time: several may start at once.
func (s *Store) vectorsTx(ctx context.Context, f func(context.Context, Tx) error) error {
	return s.InTx(ctx, func(ctx context.Context, tx Tx) error {
		if _, err := tx.NewRaw("SELECT pg_advisory_xact_lock(?)", lockID("vectors")).Exec(ctx); err != nil {
			return err
		}
		return f(ctx, tx)
	})
}

// fillVectors brings over what was embedded before the extension came.
func (s *Store) fillVectors(ctx context.Context, tx Tx) error {
	var indexed []string
	for {
		var rows []struct {
			passageRow
			AgentID string
		}
		err := tx.NewRaw(`SELECT p.*, d.agent_id FROM knowledge_passages AS p
			JOIN knowledge_documents AS d ON d.id = p.document_id
			LEFT JOIN knowledge_vectors AS v ON v.document_id = p.document_id AND v.n = p.n AND v.model = p.model
			WHERE p.model <> '' AND v.n IS NULL LIMIT ?`, filledAtOnce).Scan(ctx, &rows)
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, r := range rows {
			v := floatsOf(r.Vector)
			if name, text := vectorIndex(r.Model, len(v)); !slices.Contains(indexed, name) {
				if _, err := tx.NewRaw(text).Exec(ctx); err != nil {
					return err
				}
				indexed = append(indexed, name)
			}
			if err := setVector(ctx, tx, r.DocumentID, r.AgentID, r.Model, r.N, v); err != nil {
				return err
			}
		}
	}
}

func setVector(ctx context.Context, tx Tx, document, agent, model string, n int, v []float32) error {
	_, err := tx.NewRaw(`INSERT INTO knowledge_vectors (document_id, n, agent_id, model, embedding)
		VALUES (?, ?, ?, ?, ?::vector)
		ON CONFLICT (document_id, n) DO UPDATE SET model = excluded.model, embedding = excluded.embedding`,
		document, n, agent, model, vectorText(v)).Exec(ctx)
	return err
}

// indexVectors makes the index of a model's vectors, if there is none yet. It is
// done before others of the model are kept: later it would hold up who writes.
func (s *Store) indexVectors(ctx context.Context, model string, dims int) error {
	name, text := vectorIndex(model, dims)
	if _, ok := s.indexed.Load(name); ok {
		return nil
	}
	var there sql.NullString
	if err := s.read.NewRaw("SELECT to_regclass(?)::text", name).Scan(ctx, &there); err != nil {
		return err
	}
	if !there.Valid {
		err := s.vectorsTx(ctx, func(ctx context.Context, tx Tx) error {
			_, err := tx.NewRaw(text).Exec(ctx)
			return err
		})
		if err != nil {
			return err
		}
	}
	s.indexed.Store(name, true)
	return nil
}

// vectorIndex is the name and the making of a model's index. Vectors that are
// too long for one have the agent's.
func vectorIndex(model string, dims int) (name, text string) {
	as := vectorType(dims)
	if as == "" {
		return "knowledge_vectors_agent", vectorTable[1]
	}
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%s %d", model, dims)
	name = fmt.Sprintf("knowledge_vectors_%x", h.Sum64())
	kind, _, _ := strings.Cut(as, "(")
	return name, fmt.Sprintf("CREATE INDEX IF NOT EXISTS %s ON knowledge_vectors "+
		"USING hnsw ((embedding::%s) %s_cosine_ops) WHERE model = %s AND vector_dims(embedding) = %d",
		name, as, kind, quoted(model), dims)
}

// quoted is a text as SQL writes it.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// vectorType is the type that an index keeps vectors in, "" for none.
func vectorType(dims int) string {
	switch {
	case dims <= indexedDims:
		return "vector(" + strconv.Itoa(dims) + ")"
	case dims <= indexedHalfDims:
		return "halfvec(" + strconv.Itoa(dims) + ")"
	}
	return ""
}

// vectorText is a vector as pgvector reads it: [1,2,3].
func vectorText(v []float32) string {
	b := append(make([]byte, 0, 12*len(v)), '[')
	for i, f := range v {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendFloat(b, float64(f), 'g', -1, 32)
	}
	return string(append(b, ']'))
}

// Compares says whether the database compares vectors.
func (s *Store) Compares() bool { return s.vectors }

// Nearest gives the cosines of the passages of an agent that are nearest to a
// vector of a model's, and of those of also.
func (s *Store) Nearest(
	ctx context.Context, agent, model string, v []float32, limit int, also []knowledge.Place,
) ([]knowledge.Near, error) {
	as := vectorType(len(v))
	if as == "" {
		as = "vector"
	}
	near := bun.SafeQuery("embedding::? <=> ?::?", bun.Safe(as), vectorText(v), bun.Safe(as))
	mine := bun.SafeQuery("agent_id = ? AND model = ? AND vector_dims(embedding) = ?", agent, model, len(v))
	var out []knowledge.Near
	err := s.read.RunInTx(ctx, &sql.TxOptions{ReadOnly: true}, func(ctx context.Context, tx bun.Tx) error {
		if _, err := tx.NewRaw(iterate).Exec(ctx); err != nil {
			return err
		}
		q := "(SELECT document_id AS document, n AS chunk, 1 - (?) AS cosine FROM knowledge_vectors " +
			"WHERE ? ORDER BY ? LIMIT ?)"
		args := []any{near, mine, near, limit}
		if len(also) > 0 {
			var places []string
			for _, p := range also {
				places = append(places, quoted(p.Document)+", "+strconv.Itoa(p.Chunk))
			}
			q += " UNION SELECT document_id, n, 1 - (?) FROM knowledge_vectors WHERE ? AND (document_id, n) IN ((?))"
			args = append(args, near, mine, bun.Safe(strings.Join(places, "), (")))
		}
		return tx.NewRaw(q, args...).Scan(ctx, &out)
	})
	if err != nil {
		return nil, fmt.Errorf("store: compare vectors: %w", err)
	}
	return out, nil
}
