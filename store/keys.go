package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"
)

// Answer is what a request with an Idempotency-Key was answered.
type Answer struct {
	Status int
	Header map[string]string // those that tell of what was made: Location, ETag
	Body   json.RawMessage
}

// The faults of an Idempotency-Key.
var (
	ErrKeyReused  = errors.New("the Idempotency-Key was used with another request")
	ErrKeyRunning = errors.New("the first request with this Idempotency-Key is still running")
)

// keyLife is how long an Idempotency-Key is remembered.
const keyLife = 24 * time.Hour

type idempotencyRow struct {
	bun.BaseModel `bun:"table:idempotency_keys"`

	Owner     string `bun:",pk"`
	Key       string `bun:",pk"`
	Hash      string
	Status    int
	Response  string
	Headers   map[string]string `bun:"type:text"`
	CreatedAt int64
}

// Once claims an Idempotency-Key for a request. A nil answer means that the
// request is new and must be answered with Answered or given up with Forget.
func (s *Store) Once(ctx context.Context, owner, key, hash string) (*Answer, error) {
	var got *Answer
	err := s.InTx(ctx, func(ctx context.Context, tx Tx) error {
		now := time.Now()
		_, err := tx.NewDelete().Model((*idempotencyRow)(nil)).
			Where("created_at < ?", now.Add(-keyLife).UnixMilli()).Exec(ctx)
		if err != nil {
			return err
		}
		row := idempotencyRow{Owner: owner, Key: key, Hash: hash, CreatedAt: now.UnixMilli()}
		res, err := tx.NewInsert().Model(&row).On("CONFLICT DO NOTHING").Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 1 {
			return err
		}
		err = tx.NewSelect().Model(&row).WherePK().Scan(ctx)
		switch {
		case err != nil:
			return err
		case row.Hash != hash:
			return ErrKeyReused
		case row.Status == 0:
			return ErrKeyRunning
		}
		got = &Answer{Status: row.Status, Header: row.Headers, Body: json.RawMessage(row.Response)}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("store: idempotency key: %w", err)
	}
	return got, nil
}

// Answered keeps what a request was answered, for when it comes again.
func (s *Store) Answered(ctx context.Context, owner, key string, a Answer) error {
	row := idempotencyRow{Owner: owner, Key: key, Status: a.Status, Response: string(a.Body), Headers: a.Header}
	_, err := s.write.NewUpdate().Model(&row).Column("status", "response", "headers").WherePK().Exec(ctx)
	if err != nil {
		return fmt.Errorf("store: keep an answer: %w", err)
	}
	return nil
}

// Forget gives up a request that did nothing: it may be sent again.
func (s *Store) Forget(ctx context.Context, owner, key string) error {
	_, err := s.write.NewDelete().Model((*idempotencyRow)(nil)).Where("owner = ? AND key = ?", owner, key).Exec(ctx)
	if err != nil {
		return fmt.Errorf("store: forget an idempotency key: %w", err)
	}
	return nil
}
