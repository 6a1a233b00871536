package store

import (
	"context"
	"slices"
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
	ends     bool          // it tells of its call's end
	wrote    chan struct{} // closed when all before it is written; a mark of Flush
}

// rowBytes is what a queued webhook takes besides what it is made of: its row,
// ids and URL. Rounded up.
const rowBytes = 1 << 10

// what and call say what an item is, for the log.
func (it item) what() string {
	switch {
	case it.event != nil:
		return "event " + it.event.Name
	case it.delivery != nil:
		return "webhook " + it.delivery.Event
	case it.ended:
		return "record of its end"
	}
	return "record of its beginning"
}

func (it item) call() string {
	switch {
	case it.event != nil:
		return it.event.CallID
	case it.delivery != nil:
		return it.delivery.CallID
	case it.record != nil:
		return string(it.record.ID)
	}
	return ""
}

// size is what a webhook takes of the queue's memory, 0 for anything else.
func (it item) size() int {
	if it.delivery == nil {
		return 0
	}
	return rowBytes + len(it.delivery.Source)
}

// Queued is what waits for the disk, or could not wait for it.
type Queued struct {
	Events       int // of calls
	Webhooks     int
	WebhookBytes int
	Records      int // a call has two, of its beginning and its end

	// Since the store was opened:
	EventsDropped   uint64 // too many waited
	WebhooksDropped uint64 // too many waited: they are never sent
	Latest          string // call of the webhook that was dropped last
	Refused         uint64 // what the database takes at no time, each with its line in the log
}

// queue holds what waits for the disk. Pushing never blocks.
type queue struct {
	wake chan struct{} // capacity 1: one token says that there is something

	mu       sync.Mutex // guards what follows
	items    []item
	n        Queued
	max      int // of events
	maxBytes int // of webhooks
	closed   bool
	gaveUp   bool
}

func (q *queue) init(events, webhookBytes int) {
	q.wake = make(chan struct{}, 1)
	q.max, q.maxBytes = events, webhookBytes
}

// push adds an item and tells whether it was taken: events and webhooks are not
// when too many wait, nothing is after close.
func (q *queue) push(it item) bool {
	q.mu.Lock()
	if q.closed || q.fullLocked(it) {
		switch {
		case it.event != nil:
			q.n.EventsDropped++
		case it.delivery != nil:
			q.n.WebhooksDropped++
			q.n.Latest = it.delivery.CallID
		}
		q.mu.Unlock()
		return false
	}
	q.countLocked(it, 1)
	q.items = append(q.items, it)
	q.mu.Unlock()
	q.signal()
	return true
}

// mark is closed when all is written that waits now; nil after close. Those who
// wait for the same share one: reads that give up leave no more behind.
func (q *queue) mark() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil
	}
	if n := len(q.items); n > 0 && q.items[n-1].wrote != nil {
		return q.items[n-1].wrote
	}
	it := item{wrote: make(chan struct{})}
	q.items = append(q.items, it)
	q.signal()
	return it.wrote
}

// fullLocked tells whether too many wait already. The last quarter of the
// webhooks' memory is for those that tell of a call's end.
func (q *queue) fullLocked(it item) bool {
	switch {
	case it.event != nil:
		return q.n.Events >= q.max
	case it.delivery != nil && it.ends:
		return q.n.WebhookBytes+it.size() > q.maxBytes
	case it.delivery != nil:
		return q.n.WebhookBytes+it.size() > q.maxBytes-q.maxBytes/4
	}
	return false
}

func (q *queue) countLocked(it item, n int) {
	switch {
	case it.event != nil:
		q.n.Events += n
	case it.delivery != nil:
		q.n.Webhooks += n
		q.n.WebhookBytes += n * it.size()
	case it.record != nil:
		q.n.Records += n
	}
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
	batch = slices.Clone(q.items[:n])
	if q.items = slices.Delete(q.items, 0, n); len(q.items) == 0 {
		q.items = nil // a long one is not kept for a short one's sake
	}
	for _, it := range batch {
		q.countLocked(it, -1)
	}
	if len(q.items) > 0 {
		q.signal()
	}
	return batch, q.closed && len(batch) == 0
}

// giveBack puts a batch that could not be written first again.
func (q *queue) giveBack(batch []item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, it := range batch {
		q.countLocked(it, 1)
	}
	if q.gaveUp {
		q.leaveLocked(batch)
		return
	}
	q.items = append(slices.Clone(batch), q.items...)
}

// refuse counts what the database takes at no time.
func (q *queue) refuse() {
	q.mu.Lock()
	q.n.Refused++
	q.mu.Unlock()
}

// over tells whether nothing is taken any more.
func (q *queue) over() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}

func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.signal()
}

// abandon makes the writer end, and what waits be left.
func (q *queue) abandon() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.gaveUp = true
	q.leaveLocked(q.items)
	q.items = nil
	q.signal()
}

// leaveLocked lets those go who wait for items that nobody writes.
func (q *queue) leaveLocked(items []item) {
	for _, it := range items {
		if it.wrote != nil {
			close(it.wrote)
		}
	}
}

// Flush waits until all that was queued before is written, or until ctx ends.
func (s *Store) Flush(ctx context.Context) error {
	wrote := s.queue.mark()
	if wrote == nil {
		return nil // closed: nothing is written any more
	}
	select {
	case <-wrote:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Queued is what waits for the disk now, and what had to be dropped so far.
func (s *Store) Queued() Queued {
	s.queue.mu.Lock()
	defer s.queue.mu.Unlock()
	return s.queue.n
}
