package dialer

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// SEC-5: dialing.per_day.
func TestADayHasItsLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // a bubble begins at midnight UTC
		kept := 0
		var since time.Time
		d := NewDay(3, func(_ context.Context, s time.Time) (int, error) { since = s; return kept, nil })
		take := func(want bool) {
			t.Helper()
			err := d.Take(t.Context(), "+49301")
			var denied *Denied
			if got := err == nil; got != want || err != nil && (!errors.As(err, &denied) || !denied.Spent) {
				t.Errorf("taken: %v, want %v: %v", got, want, err)
			}
		}
		take(true)
		take(true)
		kept = 3 // another process dialled as well
		take(false)
		kept = 2
		take(true)
		take(false)
		kept = 0
		d.Return() // the last one found no room on its trunk
		take(true)
		take(false)
		time.Sleep(24 * time.Hour)
		d.Return() // of the day before
		take(true)
		if want := time.Now().UTC().Truncate(24 * time.Hour); !since.Equal(want) {
			t.Errorf("counted since %v, want %v", since, want)
		}
		d.kept = func(context.Context, time.Time) (int, error) { return 0, errors.New("no database") }
		if err := d.Take(t.Context(), "+49301"); err == nil {
			t.Error("dialled though nobody knows how many were")
		}
		if err := NewDay(0, d.kept).Take(t.Context(), "+49301"); err != nil {
			t.Errorf("without a limit: %v", err)
		}
	})
}
