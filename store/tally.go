package store

import (
	"context"
	"fmt"

	"github.com/uptrace/bun"
)

// Group is what calls are counted by.
type Group string

// The groups.
const (
	ByAgent Group = "agent"
	ByTrunk Group = "trunk"
)

// Tally are calls counted.
type Tally struct {
	Total     int
	Active    int   // not ended
	Completed int   // answered and ended
	Failed    int   // ended, never answered
	AverageMS int64 // from the answer to the end, of those completed
}

// Tally counts the calls that a filter chooses, by their agent or trunk.
func (s *Store) Tally(ctx context.Context, by Group, f Filter) (map[string]Tally, error) {
	if by != ByAgent && by != ByTrunk {
		return nil, fmt.Errorf("store: count calls by %q", by)
	}
	s.fresh(ctx)
	var rows []struct {
		Name                             string
		Total, Active, Completed, Failed int
		Duration                         int64
	}
	q := f.where(s.read.NewSelect().Model((*callRow)(nil)))
	err := q.ColumnExpr("? AS name", bun.Ident(by)).ColumnExpr("COUNT(*) AS total").
		ColumnExpr("SUM(CASE WHEN status <> 'ended' THEN 1 ELSE 0 END) AS active").
		ColumnExpr("SUM(CASE WHEN status = 'ended' AND answered_at > 0 THEN 1 ELSE 0 END) AS completed").
		ColumnExpr("SUM(CASE WHEN status = 'ended' AND answered_at = 0 THEN 1 ELSE 0 END) AS failed").
		ColumnExpr("SUM(CASE WHEN status = 'ended' AND answered_at > 0 THEN duration_ms ELSE 0 END) AS duration").
		GroupExpr("?", bun.Ident(by)).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("store: count calls: %w", err)
	}
	out := make(map[string]Tally, len(rows))
	for _, r := range rows {
		t := Tally{Total: r.Total, Active: r.Active, Completed: r.Completed, Failed: r.Failed}
		if r.Completed > 0 {
			t.AverageMS = r.Duration / int64(r.Completed)
		}
		out[r.Name] = t
	}
	return out, nil
}
