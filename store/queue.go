package store

import (
	"context"
	"sync"

	"github.com/patchcord/patchcord/engine"
)

// item is one thing to write: a record, an event or a webhook.
type item struct {
	record *engine.Record
	ended  bool
	event  *eventRow
	// delivery is a webhook that is to arrive.
	delivery *deliveryRow
	wrote    chan struct{} // closed when all before it is written; a mark of Flush
}

// queue holds what waits for the disk. Pushing never blocks.
type queue struct {
	wake chan struct{} // capacity 1: one token says that there is something

	mu      sync.Mutex
	items   []item
	events  int // of items
	max     int // of events
	dropped uint64
	closed  bool
	gaveUp  bool
}

func (q *queue) init(limit int) {
	q.wake = make(chan struct{}, 1)
	q.max = limit
}

// push adds an item and tells whether it was taken: events are not when too
// many wait, nothing is after close.
func (q *queue) push(it item) bool {
	q.mu.Lock()
	if q.closed || it.event != nil && q.events >= q.max {
		q.dropped++
		q.mu.Unlock()
		return false
	}
	if it.event != nil {
		q.events++
	}
	q.items = append(q.items, it)
	q.mu.Unlock()
	q.signal()
	return true
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default: // a token is there already
	}
}

// take is what waits, at most n; over says that nothing will come any more.
func (q *queue) take(n int) (batch []item, over bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.gaveUp {
		return nil, true
	}
	n = min(n, len(q.items))
	batch = append(batch, q.items[:n]...)
	q.items = append(q.items[:0], q.items[n:]...)
	for _, it := range batch {
		if it.event != nil {
			q.events--
		}
	}
	if len(q.items) > 0 {
		q.signal()
	}
	return batch, q.closed && len(batch) == 0
}

// giveBack puts the records and webhooks of a batch that could not be written
// first again; its events are lost.
func (q *queue) giveBack(batch []item) (lost int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	kept := make([]item, 0, len(batch)+len(q.items))
	for _, it := range batch {
		if it.event != nil {
			lost++
			continue
		}
		kept = append(kept, it)
	}
	q.dropped += uint64(lost)
	q.items = append(kept, q.items...)
	return lost
}

func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.signal()
}

// abandon makes the writer end with what it has and tells how many records
// were left.
func (q *queue) abandon() (records int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.gaveUp = true
	for _, it := range q.items {
		if it.record != nil {
			records++
		}
		if it.wrote != nil {
			close(it.wrote)
		}
	}
	q.items = nil
	q.signal()
	return records
}

// Flush waits until all that was queued before is written, or until ctx ends.
func (s *Store) Flush(ctx context.Context) error {
	mark := item{wrote: make(chan struct{})}
	if !s.queue.push(mark) {
		return nil // closed: nothing is written any more
	}
	select {
	case <-mark.wrote:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Dropped is how many events could not be kept.
func (s *Store) Dropped() uint64 {
	s.queue.mu.Lock()
	defer s.queue.mu.Unlock()
	return s.queue.dropped
}
