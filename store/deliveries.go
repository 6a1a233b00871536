package store

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/telephony"
)

// DeliveryState is what has become of a delivery.
type DeliveryState string

// The states.
const (
	DeliveryPending DeliveryState = "pending"
	Delivered       DeliveryState = "delivered"
	DeliveryDead    DeliveryState = "dead" // given up; it may be replayed
)

// DeliveryLife is how long a delivery is tried, counted from when it, or its
// replay, was asked for.
const DeliveryLife = 24 * time.Hour

// Delivery is one webhook of a call. Those of one call arrive in the order in
// which they were queued: the next is tried when the one before has arrived, or
// is given up.
type Delivery struct {
	ID     string // UUID version 7; the same however often it is tried
	Call   telephony.CallID
	Agent  agent.ID
	N      int // of the call's, from 1
	Event  string
	URL    string
	Single bool            // sent once only
	Ends   bool            // tells of the call's end: kept room for where much waits; not kept itself
	Source json.RawMessage // what the body is made of besides the call's record
	Body   json.RawMessage // nil until it was first sent

	State     DeliveryState
	Attempts  int
	Status    int    // HTTP, of the last attempt; 0: no answer
	Error     string // of the last attempt
	Created   time.Time
	Begun     time.Time // when it, or its latest replay, was asked for
	Attempted time.Time // zero: not yet
	round     int
}

// Attempt is what came of one.
type Attempt struct {
	Body   json.RawMessage // what was sent
	Status int             // HTTP, 0: no answer
	Err    error           // nil: it has arrived
	Final  bool            // another attempt would change nothing
	Unsent bool            // nothing was sent: one that is sent once is tried again
}

type deliveryRow struct {
	bun.BaseModel `bun:"table:deliveries,alias:delivery_row"`

	ID          string `bun:",pk"`
	CallID      string
	N           int
	Agent       string
	Event       string
	URL         string `bun:"url"`
	Single      int
	Source      string
	Body        string
	State       string
	Round       int
	Attempts    int
	Status      int
	Error       string
	CreatedAt   int64
	BegunAt     int64
	AttemptedAt int64
}

func (r *deliveryRow) delivery() Delivery {
	d := Delivery{
		ID: r.ID, Call: telephony.CallID(r.CallID), Agent: agent.ID(r.Agent), N: r.N, Event: r.Event, URL: r.URL,
		Single: r.Single == 1, State: DeliveryState(r.State), Attempts: r.Attempts, Status: r.Status, Error: r.Error,
		Created: at(r.CreatedAt), Begun: at(r.BegunAt), Attempted: at(r.AttemptedAt), round: r.Round,
	}
	if r.Source != "" {
		d.Source = json.RawMessage(r.Source)
	}
	if r.Body != "" {
		d.Body = json.RawMessage(r.Body)
	}
	return d
}

// Deliver queues a webhook. It never blocks; once the queue is on the disk it
// is tried until it arrives. Where the disk takes nothing and too many wait
// (Config.MaxQueuedWebhooks) it is dropped and counted.
func (s *Store) Deliver(d Delivery) {
	id, err := newUUID()
	if err != nil {
		s.log.Error("a webhook has no id", zap.Error(err))
		return
	}
	now := ms(time.Now())
	row := &deliveryRow{
		ID: id, CallID: string(d.Call), Agent: string(d.Agent), Event: d.Event, URL: d.URL, Source: string(d.Source),
		State: string(DeliveryPending), Round: 1, CreatedAt: now, BegunAt: now,
	}
	if d.Single {
		row.Single = 1
	}
	s.push(item{delivery: row, ends: d.Ends})
}

// PendingDeliveries is how many have not arrived, and are not given up.
func (s *Store) PendingDeliveries(ctx context.Context) (int64, error) {
	n, err := s.read.NewSelect().Model((*deliveryRow)(nil)).Where("state = ?", DeliveryPending).Count(ctx)
	if err != nil {
		return 0, fmt.Errorf("store: count deliveries: %w", err)
	}
	return n, nil
}

// saveDelivery keeps a new delivery behind the others of its call.
func (s *Store) saveDelivery(ctx context.Context, tx Tx, row *deliveryRow) error {
	if err := lockCall(ctx, tx, row.CallID); err != nil {
		return err
	}
	err := tx.NewSelect().Model((*deliveryRow)(nil)).ColumnExpr("COALESCE(MAX(n), 0)").
		Where("call_id = ?", row.CallID).Scan(ctx, &row.N)
	if err != nil {
		return fmt.Errorf("webhook of call %s: %w", row.CallID, err)
	}
	row.N++
	// It is there already when it was kept and the answer to that got lost.
	if _, err := tx.NewInsert().Model(row).On("CONFLICT (id) DO NOTHING").Exec(ctx); err != nil {
		return fmt.Errorf("webhook of call %s: %w", row.CallID, err)
	}
	return s.next(ctx, tx, row.CallID)
}

// lockCall keeps two transactions from choosing the next delivery of one call
// at the same time.
func lockCall(ctx context.Context, tx Tx, call string) error {
	var id string
	err := tx.forUpdate(tx.NewSelect().Model((*callRow)(nil)).Column("id").Where("id = ?", call)).Scan(ctx, &id)
	if err = none(err); err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("webhook of call %s: %w", call, err)
	}
	return nil
}

// next has a job run for the first pending delivery of a call. A job that is
// there already is enough.
func (s *Store) next(ctx context.Context, tx Tx, call string) error {
	row, err := firstPending(ctx, tx, call)
	if err != nil || row == nil {
		return err
	}
	if err := s.jobs.insert(ctx, tx, deliverArgs{row.ID, row.Round}); err != nil {
		return fmt.Errorf("job of webhook %s: %w", row.ID, err)
	}
	return nil
}

func firstPending(ctx context.Context, db bun.IDB, call string) (*deliveryRow, error) {
	var rows []deliveryRow
	err := db.NewSelect().Model(&rows).Where("call_id = ? AND state = ?", call, DeliveryPending).Order("n").Limit(1).
		Scan(ctx)
	if err != nil {
		return nil, fmt.Errorf("webhooks of call %s: %w", call, err)
	}
	if len(rows) == 0 {
		return nil, nil
	}
	return &rows[0], nil
}

// settle keeps what came of an attempt, and lets the next delivery of the call
// begin when this one is done. again tells that it is to be tried again.
func (s *Store) settle(ctx context.Context, d Delivery, a Attempt, last bool) (again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	err = s.InTx(ctx, func(ctx context.Context, tx Tx) error {
		if err := lockCall(ctx, tx, string(d.Call)); err != nil {
			return err
		}
		state, text := Delivered, ""
		if a.Err != nil {
			state, text = DeliveryPending, clean(a.Err.Error())
			if a.Final || last || d.Single && !a.Unsent {
				state = DeliveryDead
			}
		}
		again = state == DeliveryPending
		_, err := tx.NewUpdate().Model((*deliveryRow)(nil)).Set("state = ?", state).Set("attempts = attempts + 1").
			Set("status = ?", a.Status).Set("error = ?", text).Set("attempted_at = ?", ms(time.Now())).
			Set("body = ?", cmp.Or(string(a.Body), string(d.Body))).
			Where("id = ? AND round = ?", d.ID, d.round).Exec(ctx)
		if err != nil || again {
			return err
		}
		return s.next(ctx, tx, string(d.Call))
	})
	if err != nil {
		return true, fmt.Errorf("store: keep an attempt at webhook %s: %w", d.ID, err)
	}
	return again, nil
}

// DeliveryFilter chooses deliveries. Zero fields choose all.
type DeliveryFilter struct {
	Call   telephony.CallID
	Agents []agent.ID
	State  DeliveryState
	Event  string
	Page
}

// Deliveries are those that a filter chooses, the oldest first, and the cursor
// of the next page, "" after the last.
func (s *Store) Deliveries(ctx context.Context, f DeliveryFilter) ([]Delivery, string, error) {
	s.fresh(ctx)
	var rows []deliveryRow
	q, err := f.apply(s.read.NewSelect().Model(&rows))
	if err != nil {
		return nil, "", err
	}
	for col, v := range map[string]string{"call_id": string(f.Call), "state": string(f.State), "event": f.Event} {
		if v != "" {
			q = q.Where("? = ?", bun.Ident(col), v)
		}
	}
	if f.Agents != nil {
		q = q.Where("agent IN (?)", bun.List(f.Agents))
	}
	if err := q.Scan(ctx); err != nil {
		return nil, "", fmt.Errorf("store: list webhook deliveries: %w", err)
	}
	rows, next := cut(f.Page, rows, func(r *deliveryRow) (int64, string) { return r.CreatedAt, r.ID })
	out := make([]Delivery, 0, len(rows))
	for i := range rows {
		out = append(out, rows[i].delivery())
	}
	return out, next, nil
}

// Delivery is one of them.
func (s *Store) Delivery(ctx context.Context, id string) (Delivery, error) {
	s.fresh(ctx)
	var row deliveryRow
	if err := none(s.read.NewSelect().Model(&row).Where("id = ?", id).Scan(ctx)); err != nil {
		return Delivery{}, fmt.Errorf("store: webhook delivery %s: %w", id, err)
	}
	return row.delivery(), nil
}

// ErrPending tells that a delivery is under way.
var ErrPending = errors.New("it has neither arrived nor been given up yet")

// Replay sends a delivery again that has arrived or was given up: the same
// body, under the same id.
func (s *Store) Replay(ctx context.Context, id string) (Delivery, error) {
	var out Delivery
	err := s.change(ctx, func(ctx context.Context, tx Tx) error {
		var row deliveryRow
		if err := none(tx.NewSelect().Model(&row).Where("id = ?", id).Scan(ctx)); err != nil {
			return err
		}
		if err := lockCall(ctx, tx, row.CallID); err != nil {
			return err
		}
		res, err := tx.NewUpdate().Model((*deliveryRow)(nil)).Set("state = ?", DeliveryPending).
			Set("round = round + 1").Set("begun_at = ?", ms(time.Now())).
			Where("id = ? AND round = ? AND state <> ?", id, row.Round, DeliveryPending).Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err == nil && n == 0 {
			return ErrPending
		}
		row.Round++
		row.State = string(DeliveryPending)
		out = row.delivery()
		return s.next(ctx, tx, row.CallID)
	}, "replay webhook delivery %s", id)
	return out, err
}

// KeepReport adds to an ended call what it came to: a summary, and the object
// that its agent asked for, nil for none.
func (s *Store) KeepReport(ctx context.Context, id telephony.CallID, summary string, data json.RawMessage) error {
	_, err := s.write.NewUpdate().Model((*callRow)(nil)).Set("summary = ?", clean(summary)).
		Set("structured_data = ?", string(data)).Where("id = ?", id).Exec(ctx)
	if err != nil {
		return fmt.Errorf("store: keep the report of call %s: %w", id, err)
	}
	return nil
}
