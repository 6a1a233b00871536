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
func (s *Store) Started(r engine.Record) { s.push(item{record: &r, weight: recordSize(&r)}) }

// Ended keeps how a call ended, and its transcript.
func (s *Store) Ended(r engine.Record) { s.push(item{record: &r, ended: true, weight: recordSize(&r)}) }

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

// push queues an item, and tells whether it was taken.
func (s *Store) push(it item) bool {
	// What is one too many is counted, and told by the writer.
	if s.queue.push(it) {
		return true
	}
	if !s.queue.over() {
		return false
	}
	switch {
	case it.record != nil:
		s.log.Error("record of a call after the store was closed", zap.String("call_id", string(it.record.ID)))
	case it.delivery != nil:
		s.log.Error("webhook of a call after the store was closed", zap.String("call_id", it.delivery.CallID),
			zap.String("webhook", it.delivery.Event))
	case it.settled != nil:
		s.log.Error("end of an attempt after the store was closed", zap.String("contact", it.settled.Attempt.Contact))
	}
	return false
}

// writer empties the spool, and the queue until it is closed. While the database
// takes nothing, what has no place in memory goes to the spool.
func (s *Store) writer(ctx context.Context) {
	var told Queued
	for {
		items, behind, err := s.spool.next(batch)
		from := !s.spool.empty()
		if !from {
			var over bool
			if items, over = s.queue.take(batch); over {
				s.tellDropped(told)
				return
			}
			if len(items) == 0 {
				<-s.queue.wake
				continue
			}
		} else if s.queue.abandoned() {
			s.tellDropped(told)
			return
		}
		var rest []item
		if err == nil {
			rest, err = s.saveAll(ctx, items)
		}
		if err == nil && from {
			err = s.spool.advance(behind)
		}
		s.away.Store(err != nil)
		if err != nil {
			if !from {
				s.queue.giveBack(rest)
			}
			s.spill()
			n := s.Queued()
			s.log.Error("calls cannot be written; trying again", zap.Error(err), zap.Int("events", n.Events),
				zap.Int("webhooks", n.Webhooks), zap.Int("records", n.Records), zap.Int64("spooled_bytes", n.Spooled))
			s.pause()
		}
		told = s.tellDropped(told)
	}
}

// spill moves the oldest of what waits from memory into the spool, where it is
// too much. Half of the spool's room is kept for records and webhooks.
func (s *Store) spill() {
	if s.spool == nil {
		return
	}
	items := s.queue.overflow(s.spool.tail < s.spool.size/2)
	if len(items) == 0 {
		return
	}
	n, err := s.spool.append(items)
	if err != nil {
		s.queue.giveBack(items[n:])
		s.log.Error("parts of calls stay in memory", zap.Int("parts", len(items)-n), zap.Error(err))
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
	if n.RecordsDropped > told.RecordsDropped {
		s.log.Error("records of calls dropped: too many wait for the store",
			zap.Uint64("records", n.RecordsDropped-told.RecordsDropped), zap.Uint64("in_all", n.RecordsDropped),
			zap.Int("waiting_bytes", n.RecordBytes), zap.Int64("spooled_bytes", n.Spooled),
			zap.String("latest_call_id", n.Latest))
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
			if it.wrote != nil {
				it.settled.stale = true
				close(it.wrote)
			}
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
		if err := saveSettled(ctx, tx, items); err != nil {
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
		"agent", "trunk", "codec", "srtp", "sip_call_id", "variables", "status", "answered_at", "ended_at", "duration_ms",
		"end_reason", "turns", "tool_calls", "barge_ins", "mos", "loss", "packets_lost", "recording",
		"answered_by", "answered_cause",
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
