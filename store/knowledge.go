package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/uptrace/bun"

	"github.com/patchcord/patchcord/tools/knowledge"
)

var _ knowledge.Store = (*Store)(nil)

type documentRow struct {
	bun.BaseModel `bun:"table:knowledge_documents,alias:d"`

	ID        string `bun:",pk"`
	AgentID   string
	Name      string
	Title     string
	Type      knowledge.Type
	Language  string
	Bytes     int
	Hash      string
	Chunks    int
	CreatedAt int64
	Vectors   int `bun:",scanonly"`
}

type passageRow struct {
	bun.BaseModel `bun:"table:knowledge_passages"`

	DocumentID string `bun:",pk"`
	N          int    `bun:",pk"`
	Heading    string
	Text       string
	Model      string
	Vector     []byte
}

// passagesAtOnce is how many passages one statement keeps: SQLite takes 32,766
// values.
const passagesAtOnce = 500

// PutDocument keeps a document and its passages in place of one of the same
// agent and name.
func (s *Store) PutDocument(ctx context.Context, d knowledge.Document, chunks []knowledge.Chunk) error {
	err := s.InTx(ctx, func(ctx context.Context, tx Tx) error {
		_, err := tx.NewDelete().Model((*documentRow)(nil)).Where("agent_id = ? AND name = ?", d.Agent, d.Name).Exec(ctx)
		if err != nil {
			return err
		}
		row := documentRow{
			ID: d.ID, AgentID: d.Agent, Name: d.Name, Title: d.Title, Type: d.Type, Language: d.Language, Bytes: d.Bytes,
			Hash: d.Hash, Chunks: len(chunks), CreatedAt: ms(d.Created),
		}
		if _, err := tx.NewInsert().Model(&row).Exec(ctx); err != nil {
			return err
		}
		rows := make([]passageRow, 0, len(chunks))
		for i := range chunks {
			c := &chunks[i]
			rows = append(rows, passageRow{
				DocumentID: d.ID, N: c.N, Heading: c.Heading, Text: c.Text, Model: c.Model, Vector: bytesOf(c.Vector),
			})
		}
		for i := 0; i < len(rows); i += passagesAtOnce {
			part := rows[i:min(i+passagesAtOnce, len(rows))]
			if _, err := tx.NewInsert().Model(&part).Exec(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store: keep document %s: %w", d.Name, err)
	}
	return nil
}

// Documents are those of an agent, or of all agents for "", oldest first.
func (s *Store) Documents(ctx context.Context, agent string) ([]knowledge.Document, error) {
	var rows []documentRow
	q := s.read.NewSelect().Model(&rows).ColumnExpr("d.*").
		ColumnExpr("(SELECT count(*) FROM knowledge_passages AS p WHERE p.document_id = d.id AND p.model <> '') AS vectors").
		Order("created_at", "id")
	if agent != "" {
		q = q.Where("agent_id = ?", agent)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, fmt.Errorf("store: list documents: %w", err)
	}
	out := make([]knowledge.Document, 0, len(rows))
	for _, r := range rows {
		out = append(out, knowledge.Document{
			ID: r.ID, Agent: r.AgentID, Name: r.Name, Title: r.Title, Type: r.Type, Language: r.Language, Bytes: r.Bytes,
			Hash: r.Hash, Chunks: r.Chunks, Vectors: r.Vectors, Created: at(r.CreatedAt),
		})
	}
	return out, nil
}

// Passages are those of a document, in its order.
func (s *Store) Passages(ctx context.Context, document string) ([]knowledge.Chunk, error) {
	var rows []passageRow
	q := s.read.NewSelect().Model(&rows).Where("document_id = ?", document).Order("n")
	if s.vectors { // they stay where they are compared
		q = q.ExcludeColumn("vector")
	}
	if err := q.Scan(ctx); err != nil {
		return nil, fmt.Errorf("store: read document %s: %w", document, err)
	}
	out := make([]knowledge.Chunk, 0, len(rows))
	for _, r := range rows {
		out = append(out, knowledge.Chunk{
			N: r.N, Heading: r.Heading, Text: r.Text, Model: r.Model, Vector: floatsOf(r.Vector),
		})
	}
	return out, nil
}

// SetVectors keeps what a model made of passages of a document.
func (s *Store) SetVectors(ctx context.Context, document, model string, vectors map[int][]float32) error {
	var agent string
	if s.vectors {
		err := s.read.NewSelect().Model((*documentRow)(nil)).Column("agent_id").Where("id = ?", document).Scan(ctx, &agent)
		for _, v := range vectors {
			err = errors.Join(err, s.indexVectors(ctx, model, len(v)))
			break // they are all as long
		}
		if err != nil {
			return fmt.Errorf("store: keep vectors of document %s: %w", document, err)
		}
	}
	err := s.InTx(ctx, func(ctx context.Context, tx Tx) error {
		for n, v := range vectors {
			_, err := tx.NewUpdate().Model((*passageRow)(nil)).Set("model = ?", model).Set("vector = ?", bytesOf(v)).
				Where("document_id = ? AND n = ?", document, n).Exec(ctx)
			if err == nil && s.vectors {
				err = setVector(ctx, tx, document, agent, model, n, v)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("store: keep vectors of document %s: %w", document, err)
	}
	return nil
}

// DeleteDocument removes a document with its passages.
func (s *Store) DeleteDocument(ctx context.Context, agent, id string) error {
	res, err := s.write.NewDelete().Model((*documentRow)(nil)).Where("agent_id = ? AND id = ?", agent, id).Exec(ctx)
	if err != nil {
		return fmt.Errorf("store: delete document %s: %w", id, err)
	}
	if n, err := res.RowsAffected(); err == nil && n == 0 {
		return fmt.Errorf("store: delete document %s: %w", id, knowledge.ErrNotFound)
	}
	return nil
}

func bytesOf(v []float32) []byte {
	if v == nil {
		return nil
	}
	out := make([]byte, 0, 4*len(v))
	for _, f := range v {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(f))
	}
	return out
}

func floatsOf(b []byte) []float32 {
	if len(b) < 4 {
		return nil
	}
	out := make([]float32, len(b)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return out
}
