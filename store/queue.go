package store

import (
	"context"
	"encoding/json"
	"slices"
	"sync"

	"github.com/patchcord/patchcord/engine"
)

// item is one thing to write: a record, an event, a webhook or what became of an
// attempt.
type item struct {
	record *engine.Record
	ended  bool
	weight int // of the record or what became of an attempt, bytes
	// settled is what became of an attempt of the dialer. It waits as a record does.
	settled *settled
	event   *eventRow
	// delivery is a webhook that is to arrive.
	delivery *deliveryRow
	ends     bool          // it tells of its call's end
	wrote    chan struct{} // closed when it and all before it are written; a mark of Flush, or of Ledger.settle
}

// rowBytes is what a queued record or webhook takes besides what it is made of:
// its row, ids and URL. Rounded up.
const rowBytes = 1 << 10

// what and call say what an item is, for the log.
func (it item) what() string {
	switch {
	case it.event != nil:
		return "event " + it.event.Name
	case it.delivery != nil:
		return "webhook " + it.delivery.Event
	case it.settled != nil:
		return "end of an attempt at contact " + it.settled.Attempt.Contact
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

// isRecord tells whether an item is what became of a call, or of an attempt at one.
func (it item) isRecord() bool { return it.record != nil || it.settled != nil }

// size is what a record or a webhook takes of the queue's memory, 0 for anything
// else.
func (it item) size() int {
	switch {
	case it.delivery != nil:
		return rowBytes + len(it.delivery.Source)
	case !it.isRecord():
		return 0
	case it.weight == 0: // in a test
		return rowBytes
	}
	return it.weight
}

// recordSize is what a record takes of memory, about.
func recordSize(r *engine.Record) int {
	n := rowBytes + len(r.Summary) + len(r.Data)
	for i := range r.Transcript {
		n += 128 + len(r.Transcript[i].Text) + len(r.Transcript[i].HeardText)
	}
	if vars, err := json.Marshal(r.Variables); err == nil {
		n += 2 * len(vars)
	}
	return n
}

// Queued is what waits for the disk, or could not wait for it.
type Queued struct {
	Events       int // of calls
	Webhooks     int
	WebhookBytes int
	Records      int // a call has two, of its beginning and its end; an attempt of a campaign one
	RecordBytes  int
	Spooled      int64 // bytes of records and webhooks that wait in the spool

	// Since the store was opened:
	EventsDropped   uint64 // too many waited
	WebhooksDropped uint64 // too many waited: they are never sent
	RecordsDropped  uint64 // too many waited: what became of these calls is not kept
	Latest          string // call of the webhook or record that was dropped last
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
	maxCalls int // bytes of records
	closed   bool
	gaveUp   bool
	left     []item // what nobody writes any more
}

func (q *queue) init(events, webhookBytes, recordBytes int) {
	q.wake = make(chan struct{}, 1)
	q.max, q.maxBytes, q.maxCalls = events, webhookBytes, recordBytes
}

// push adds an item and tells whether it was taken: it is not when too many wait,
// and nothing is after close.
func (q *queue) push(it item) bool {
	q.mu.Lock()
	if q.closed || q.fullLocked(it) {
		switch {
		case it.event != nil:
			q.n.EventsDropped++
		case it.delivery != nil:
			q.n.WebhooksDropped++
			q.n.Latest = it.delivery.CallID
		case it.isRecord() && !q.closed:
			q.n.RecordsDropped++
			q.n.Latest = it.call()
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
	if n := len(q.items); n > 0 && q.items[n-1].wrote != nil && q.items[n-1].settled == nil {
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
	case it.isRecord():
		return q.n.RecordBytes+it.size() > q.maxCalls
	}
	return false
}

// overflow takes out what is better kept in a file: the oldest records and
// webhooks, and events where these are to be kept too, down to an eighth of what
// may wait, once they are a quarter of it.
func (q *queue) overflow(events bool) []item {
	q.mu.Lock()
	defer q.mu.Unlock()
	over := func(part int) bool {
		return q.n.RecordBytes > q.maxCalls/part || q.n.WebhookBytes > q.maxBytes/part || events && q.n.Events > q.max/part
	}
	if !over(4) {
		return nil
	}
	var out []item
	q.items = slices.DeleteFunc(q.items, func(it item) bool {
		if it.event != nil && !events || it.event == nil && !it.isRecord() && it.delivery == nil || !over(8) {
			return false
		}
		q.countLocked(it, -1)
		out = append(out, it)
		return true
	})
	return out
}

func (q *queue) countLocked(it item, n int) {
	switch {
	case it.event != nil:
		q.n.Events += n
	case it.delivery != nil:
		q.n.Webhooks += n
		q.n.WebhookBytes += n * it.size()
	case it.isRecord():
		q.n.Records += n
		q.n.RecordBytes += n * it.size()
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
		q.left = append(slices.Clone(batch), q.left...)
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

// abandoned tells whether nothing is written any more.
func (q *queue) abandoned() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.gaveUp
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
	q.items, q.left = nil, q.items
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
	n := s.queue.n
	if s.spool != nil {
		n.Spooled = s.spool.waiting.Load()
	}
	return n
}
