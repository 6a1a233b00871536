package llm

import (
	"errors"
	"sync"
	"time"
)

// ErrLeftOut is why a provider was not asked: it had failed too often just
// before, and another stands behind it.
var ErrLeftOut = errors.New("left out after its last failures")

// breaker leaves a provider out that fails and fails, so that not every caller
// waits for it in every turn. All completions of a fallback share it.
type breaker struct {
	after  int           // failures
	within time.Duration // … in so long open it
	rest   time.Duration // then one completion tries it again

	mu    sync.Mutex // guards what follows
	fails []time.Time
	until time.Time // it is open; zero: closed
}

// allow says whether the provider may be asked: while the breaker is open, by
// one completion in each rest.
func (b *breaker) allow(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.until.IsZero():
		return true
	case now.Before(b.until):
		return false
	}
	b.until = now.Add(b.rest)
	return true
}

// fail counts a completion that the provider did not begin to answer.
func (b *breaker) fail(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fails = append(b.fails, now)
	if extra := len(b.fails) - b.after; extra > 0 {
		b.fails = append(b.fails[:0], b.fails[extra:]...)
	}
	if !b.until.IsZero() || len(b.fails) == b.after && now.Sub(b.fails[0]) <= b.within {
		b.until = now.Add(b.rest)
	}
}

// ok closes it: the provider answers.
func (b *breaker) ok() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fails, b.until = b.fails[:0], time.Time{}
}
