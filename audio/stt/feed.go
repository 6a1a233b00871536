package stt

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

var errClosed = errors.New("the stream is closed")

// Feed is what every [Stream] is made of: the events it delivers, and how it
// ends. A provider embeds one: it is the Events, Err and Close of its stream.
// What works for the stream runs in Run and Go and ends with Context; Close
// waits for it. Deliver never waits longer than the stream lives.
type Feed struct {
	provider string
	outer    context.Context // the caller's
	ctx      context.Context // ends with outer, with Close and with Fail
	cancel   context.CancelFunc
	wg       sync.WaitGroup // what Run and Go started
	events   chan Event
	seen     atomic.Int64 // when the provider was last heard of, ns of the wall clock

	mu     sync.Mutex // guards what follows
	err    error      // the first
	over   bool       // events is closed: Err tells why
	closed bool
}

// NewFeed begins a stream of the caller's ctx. waiting is how many events are
// kept for a reader that is busy. Run is to follow: it ends the events.
func NewFeed(ctx context.Context, provider string, waiting int) *Feed {
	f := &Feed{provider: provider, outer: ctx, events: make(chan Event, waiting)}
	f.ctx, f.cancel = context.WithCancel(ctx)
	f.Alive()
	return f
}

// Context ends when the stream does.
func (f *Feed) Context() context.Context { return f.ctx }

// Run starts what delivers the events, once. They are over when it returns,
// and its error is why, where nothing failed before it.
func (f *Feed) Run(work func() error) {
	f.wg.Go(func() {
		_ = f.Fail(work())
		f.mu.Lock()
		defer f.mu.Unlock()
		f.over = true
		close(f.events)
	})
}

// Go starts something else that Close waits for.
func (f *Feed) Go(work func()) { f.wg.Go(work) }

// Deliver hands an event to the reader, or drops it when the stream ends first.
func (f *Feed) Deliver(ev Event) {
	f.Alive()
	select {
	case f.events <- ev:
	case <-f.ctx.Done():
	}
}

// Alive notes that the provider was heard of, words or none.
func (f *Feed) Alive() { f.seen.Store(time.Now().UnixNano()) }

// Seen implements [Watched].
func (f *Feed) Seen() time.Time { return time.Unix(0, f.seen.Load()) }

// Fail ends the stream because of err, or of what ended the caller's ctx where
// that was first, and returns which it is. The first failure stays.
func (f *Feed) Fail(err error) error {
	if cause := context.Cause(f.outer); cause != nil {
		err = cause
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
	f.cancel()
	return err
}

// Over is why nothing can be sent any more, nil while it can.
func (f *Feed) Over() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed:
		return &Error{Provider: f.provider, Op: "send", Err: errClosed}
	case f.err != nil:
		return f.err
	}
	return context.Cause(f.ctx)
}

// Events implements [Stream].
func (f *Feed) Events() <-chan Event { return f.events }

// Err implements [Stream].
func (f *Feed) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || !f.over {
		return nil
	}
	return f.err
}

// Close implements [Stream].
func (f *Feed) Close() error {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.cancel()
	f.wg.Wait()
	return nil
}
