package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/uptrace/bun"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/engine"
)

const (
	// batch is how many items one transaction takes: one sync of the disk
	// for all of them.
	batch = 512
	// retryAfter is the pause after a transaction that the disk refused.
	retryAfter = time.Second
	// writeTimeout bounds one transaction.
	writeTimeout = 30 * time.Second
)

// Started keeps a call that has begun.
func (s *Store) Started(r engine.Record) { s.push(item{record: &r}) }

// Ended keeps how a call ended, and its transcript.
func (s *Store) Ended(r engine.Record) { s.push(item{record: &r, ended: true}) }

// Event keeps one event of a call.
func (s *Store) Event(e engine.Event) {
	body, err := json.Marshal(e)
	if err != nil {
		s.log.Error("event that is no JSON", zap.String("event", e.Name), zap.String("call_id", string(e.CallID)),
			zap.Error(err))
		return
	}
	s.push(item{event: &eventRow{
		CallID: string(e.CallID), Seq: e.Seq, TS: ms(e.Time), Name: e.Name, Body: string(body),
	}})
}

func (s *Store) push(it item) {
	// What is one too many is counted, and told by the writer.
	if s.queue.push(it) || !s.queue.over() {
		return
	}
	switch {
	case it.record != nil:
		s.log.Error("record of a call after the store was closed", zap.String("call_id", string(it.record.ID)))
	case it.delivery != nil:
		s.log.Error("webhook of a call after the store was closed", zap.String("call_id", it.delivery.CallID),
			zap.String("webhook", it.delivery.Event))
	}
}

// writer empties the queue until it is closed.
func (s *Store) writer(ctx context.Context) {
	var told Queued
	for {
		items, over := s.queue.take(batch)
		if over {
			s.tellDropped(told)
			return
		}
		if len(items) == 0 {
			<-s.queue.wake
			continue
		}
		if rest, err := s.saveAll(ctx, items); err != nil {
			s.queue.giveBack(rest)
			n := s.Queued()
			s.log.Error("calls cannot be written; trying again", zap.Error(err), zap.Int("events", n.Events),
				zap.Int("webhooks", n.Webhooks), zap.Int("records", n.Records))
			s.pause()
		}
		told = s.tellDropped(told)
	}
}

// tellDropped logs what was dropped since it was told last.
func (s *Store) tellDropped(told Queued) Queued {
	n := s.Queued()
	if n.EventsDropped > told.EventsDropped {
		s.log.Warn("events dropped", zap.Uint64("events", n.EventsDropped-told.EventsDropped),
			zap.Uint64("in_all", n.EventsDropped))
	}
	if n.WebhooksDropped > told.WebhooksDropped {
		s.log.Error("webhooks dropped: too many wait for the store",
			zap.Uint64("webhooks", n.WebhooksDropped-told.WebhooksDropped), zap.Uint64("in_all", n.WebhooksDropped),
			zap.Int("waiting_bytes", n.WebhookBytes), zap.String("latest_call_id", n.Latest))
	}
	return n
}

// pause waits before another try, no longer than until the store gives up.
func (s *Store) pause() {
	t := time.NewTimer(retryAfter)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			return
		case <-s.queue.wake:
			s.queue.mu.Lock()
			gaveUp := s.queue.gaveUp
			s.queue.mu.Unlock()
			if gaveUp {
				return
			}
		}
	}
}

// saveAll writes a batch, and gives what could not be written when the database
// takes nothing. What it takes at no time is left out and told: it would hold
// all the others up.
func (s *Store) saveAll(ctx context.Context, items []item) (rest []item, err error) {
	err = s.save(ctx, items)
	switch {
	case err == nil:
		return nil, nil
	case !refused(err):
		return items, err
	}
	for i, it := range items {
		err := s.save(ctx, []item{it})
		switch {
		case err == nil:
		case !refused(err):
			return items[i:], err
		default:
			s.queue.refuse()
			s.log.Error("the store refuses a part of a call, which is lost", zap.String("what", it.what()),
				zap.String("call_id", it.call()), zap.Error(err))
		}
	}
	return nil, nil
}

// save writes a batch in one transaction.
func (s *Store) save(ctx context.Context, items []item) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	err := s.InTx(ctx, func(ctx context.Context, tx Tx) error {
		var events []*eventRow
		for _, it := range items {
			if it.event != nil {
				events = append(events, it.event)
			}
			if it.record == nil {
				continue
			}
			if err := saveRecord(ctx, tx, it.record, it.ended, s.cfg.Node); err != nil {
				return err
			}
		}
		if err := saveEvents(ctx, tx, events); err != nil {
			return err
		}
		for _, it := range items {
			if it.delivery == nil {
				continue
			}
			if err := s.saveDelivery(ctx, tx, it.delivery); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, it := range items {
		if it.wrote != nil {
			close(it.wrote)
		}
	}
	return nil
}

func saveRecord(ctx context.Context, tx Tx, r *engine.Record, ended bool, node string) error {
	row := rowOf(r, node)
	if ended {
		row.Status = engine.StatusEnded
	}
	q := tx.NewInsert().Model(row).On("CONFLICT (id) DO UPDATE")
	for _, col := range []string{
		"agent", "trunk", "codec", "sip_call_id", "variables", "status", "answered_at", "ended_at", "duration_ms",
		"end_reason", "turns", "tool_calls", "barge_ins", "mos", "loss", "packets_lost", "recording",
	} {
		q = q.Set("? = EXCLUDED.?", bun.Ident(col), bun.Ident(col))
	}
	if _, err := q.Exec(ctx); err != nil {
		return fmt.Errorf("call %s: %w", r.ID, err)
	}
	if !ended {
		return nil
	}
	if _, err := tx.NewDelete().Model((*itemRow)(nil)).Where("call_id = ?", r.ID).Exec(ctx); err != nil {
		return fmt.Errorf("transcript of %s: %w", r.ID, err)
	}
	rows := itemRows(r)
	if len(rows) == 0 {
		return nil
	}
	if _, err := tx.NewInsert().Model(&rows).Exec(ctx); err != nil {
		return fmt.Errorf("transcript of %s: %w", r.ID, err)
	}
	return nil
}

func saveEvents(ctx context.Context, tx Tx, events []*eventRow) error {
	if len(events) == 0 {
		return nil
	}
	// The same event twice is the same event.
	if _, err := tx.NewInsert().Model(&events).On("CONFLICT DO NOTHING").Exec(ctx); err != nil {
		return fmt.Errorf("events: %w", err)
	}
	for _, e := range events {
		if e.Name != engine.EventCallAnswered {
			continue
		}
		_, err := tx.NewUpdate().Model((*callRow)(nil)).Set("status = ?", engine.StatusInProgress).
			Set("answered_at = ?", e.TS).Where("id = ? AND answered_at = 0", e.CallID).Exec(ctx)
		if err != nil {
			return fmt.Errorf("call %s answered: %w", e.CallID, err)
		}
	}
	return nil
}
