package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/telephony"
)

// flushWait is how long a read waits for what was queued before it: a disk
// that hangs makes reads stale, not stuck.
const flushWait = 2 * time.Second

// Event is an event as it is kept.
type Event struct {
	Seq  int
	Name string
	Body json.RawMessage
}

// Filter chooses calls. Zero fields choose all.
type Filter struct {
	Agents       []agent.ID
	Status       string
	Up           bool // only those that have not ended
	Direction    telephony.Direction
	Number       string // from or to
	EndReason    engine.EndReason
	Since, Until time.Time // of the start; Until itself is out
	Cursor       string    // next_cursor of the page before
	Limit        int       // 0: 50, at most 100
	Offset       int       // calls to leave out, for lists without a cursor
}

// ErrCursor tells that a cursor is none that a list gave.
var ErrCursor = errors.New("the cursor is not one that a list gave")

func (s *Store) fresh(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, flushWait)
	defer cancel()
	_ = s.Flush(ctx) // in time or not, the read goes on
}

// Call is a call by its id, without its transcript.
func (s *Store) Call(ctx context.Context, id telephony.CallID) (engine.Record, error) {
	s.fresh(ctx)
	var row callRow
	err := s.read.NewSelect().Model(&row).Where("id = ?", id).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return engine.Record{}, fmt.Errorf("store: call %s: %w", id, ErrNotFound)
	}
	if err != nil {
		return engine.Record{}, fmt.Errorf("store: read call %s: %w", id, err)
	}
	return row.record(), nil
}

// Calls are the calls that a filter chooses, the latest first, and the cursor
// of the next page, "" after the last.
func (s *Store) Calls(ctx context.Context, f Filter) ([]engine.Record, string, error) {
	s.fresh(ctx)
	limit := f.Limit
	if limit <= 0 {
		limit = 50
	}
	limit = min(limit, 100)
	var rows []callRow
	q := f.where(s.read.NewSelect().Model(&rows)).Order("started_at DESC", "id DESC").Limit(int64(limit) + 1)
	if f.Offset > 0 {
		q = q.Offset(int64(f.Offset))
	}
	if f.Cursor != "" {
		start, id, err := parseCursor(f.Cursor)
		if err != nil {
			return nil, "", err
		}
		q = q.Where("(started_at, id) < (?, ?)", start, id)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, "", fmt.Errorf("store: list calls: %w", err)
	}
	next := ""
	if len(rows) > limit {
		rows = rows[:limit]
		last := rows[limit-1]
		next = cursor(last.StartedAt, last.ID)
	}
	out := make([]engine.Record, 0, len(rows))
	for _, r := range rows {
		out = append(out, r.record())
	}
	return out, next, nil
}

// CountCalls is how many calls a filter chooses on all its pages.
func (s *Store) CountCalls(ctx context.Context, f Filter) (int, error) {
	s.fresh(ctx)
	n, err := f.where(s.read.NewSelect().Model((*callRow)(nil))).Count(ctx)
	if err != nil {
		return 0, fmt.Errorf("store: count calls: %w", err)
	}
	return int(n), nil
}

// where chooses the calls of all pages.
func (f Filter) where(q *bun.SelectQuery) *bun.SelectQuery {
	for col, v := range map[string]string{
		"status": f.Status, "direction": string(f.Direction), "end_reason": string(f.EndReason),
	} {
		if v != "" {
			q = q.Where(col+" = ?", v)
		}
	}
	if f.Up {
		q = q.Where("status <> ?", engine.StatusEnded)
	}
	if f.Number != "" {
		number := clean(f.Number)
		q = q.Where("(from_number = ? OR to_number = ?)", number, number)
	}
	if f.Agents != nil {
		q = q.Where("agent IN (?)", bun.List(f.Agents))
	}
	if !f.Since.IsZero() {
		q = q.Where("started_at >= ?", ms(f.Since))
	}
	if !f.Until.IsZero() {
		q = q.Where("started_at < ?", ms(f.Until))
	}
	return q
}

// Transcript is what was said in a call, so far while it is up.
func (s *Store) Transcript(ctx context.Context, id telephony.CallID) ([]engine.Item, error) {
	r, err := s.Call(ctx, id)
	if err != nil {
		return nil, err
	}
	if r.Status != engine.StatusEnded {
		var events []eventRow
		err := s.read.NewSelect().Model(&events).
			Where("call_id = ? AND name IN (?, ?)", id, engine.EventTurnUser, engine.EventTurnAgent).Order("seq").Scan(ctx)
		if err != nil {
			return nil, fmt.Errorf("store: read transcript of %s: %w", id, err)
		}
		return transcript(events), nil
	}
	var rows []itemRow
	if err := s.read.NewSelect().Model(&rows).Where("call_id = ?", id).Order("n").Scan(ctx); err != nil {
		return nil, fmt.Errorf("store: read transcript of %s: %w", id, err)
	}
	out := make([]engine.Item, 0, len(rows))
	for _, r := range rows {
		out = append(out, r.item())
	}
	return out, nil
}

// Events are the events of a call after one of them, at most limit.
func (s *Store) Events(ctx context.Context, id telephony.CallID, after, limit int) ([]Event, error) {
	s.fresh(ctx)
	var rows []eventRow
	err := s.read.NewSelect().Model(&rows).Where("call_id = ? AND seq > ?", id, after).Order("seq").
		Limit(int64(limit)).Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("store: read events of %s: %w", id, err)
	}
	out := make([]Event, 0, len(rows))
	for _, r := range rows {
		out = append(out, Event{Seq: r.Seq, Name: r.Name, Body: json.RawMessage(r.Body)})
	}
	return out, nil
}
