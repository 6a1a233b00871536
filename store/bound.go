package store

import (
	"context"
	"time"

	"github.com/uptrace/bun"
)

// How long one statement may take, the beginning of a transaction too, and all of a
// transaction: a PostgreSQL server may be there and answer to nothing.
const (
	statementTime   = 10 * time.Second
	transactionTime = time.Minute
)

// bounded gives each statement a time where who asks has set none, or more, and its
// rows are read before AfterQuery: not those of QueryContext and QueryRowContext,
// which come without an IQuery.
type bounded struct{ limit time.Duration }

var _ bun.QueryHook = bounded{}

type boundKey struct{}

// BeforeQuery begins it.
func (b bounded) BeforeQuery(ctx context.Context, q *bun.QueryEvent) context.Context {
	if at, set := ctx.Deadline(); set && time.Until(at) <= b.limit || q.IQuery == nil {
		return ctx
	}
	ctx, cancel := context.WithTimeout(ctx, b.limit)
	if q.Stash == nil {
		q.Stash = map[any]any{}
	}
	q.Stash[boundKey{}] = cancel
	return ctx
}

// AfterQuery ends it.
func (bounded) AfterQuery(_ context.Context, q *bun.QueryEvent) {
	if cancel, ok := q.Stash[boundKey{}].(context.CancelFunc); ok {
		cancel()
	}
}
