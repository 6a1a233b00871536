package dialer

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Day bounds how many legs leave in a day, from midnight to midnight UTC, so
// that what was taken over cannot ring up a bill (SEC-5).
type Day struct {
	limit int
	kept  func(ctx context.Context, since time.Time) (int, error)

	mu   sync.Mutex // guards what follows
	day  time.Time  // its midnight
	used int        // legs that left by this process
}

// NewDay bounds the legs of a day, 0 for no limit. kept counts the calls that
// were placed since a time, by whichever process; nil: none are kept.
func NewDay(limit int, kept func(ctx context.Context, since time.Time) (int, error)) *Day {
	return &Day{limit: limit, kept: kept}
}

// Take counts a leg that is about to leave, or says by a *Denied that the day
// has no more. What cannot be counted is not dialled.
func (d *Day) Take(ctx context.Context, to string) error {
	if d.limit <= 0 {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	today := time.Now().UTC().Truncate(24 * time.Hour)
	if !today.Equal(d.day) {
		d.day, d.used = today, 0
	}
	used := d.used
	if d.kept != nil {
		n, err := d.kept(ctx, today)
		if err != nil {
			return fmt.Errorf("dial %s: count the calls of today for dialing.per_day: %w", to, err)
		}
		used = max(used, n)
	}
	if used >= d.limit {
		return &Denied{To: to, Why: fmt.Sprintf("dialing.per_day: %d calls have left since midnight UTC", used), Spent: true}
	}
	d.used++
	return nil
}

// Return takes back what Take counted for a leg that did not leave after all:
// who is told to come again later would use up the day by asking.
func (d *Day) Return() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Now().UTC().Truncate(24 * time.Hour).Equal(d.day) {
		d.used = max(0, d.used-1)
	}
}
