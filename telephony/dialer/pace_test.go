package dialer

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A machine that stands still lets nobody leave; those whose time came meanwhile
// wake together, and still leave one by one.
func TestNoBurstAfterAStandstill(t *testing.T) {
	t.Parallel()
	const cps = 20
	begun := time.Unix(1_800_000_000, 0)
	var p pace
	waiting := make([]time.Time, 60) // when each asks next: at its turn first
	turns := make([]time.Time, len(waiting))
	for i := range turns {
		turns[i] = p.slot(begun, cps)
		waiting[i] = turns[i]
	}
	var left []time.Time
	for now := begun; len(left) < len(turns); now = now.Add(time.Millisecond) {
		if now.Sub(begun) == 500*time.Millisecond {
			now = now.Add(700 * time.Millisecond) // nothing runs
		}
		for i, at := range waiting {
			if at.IsZero() || now.Before(at) {
				continue
			}
			again, ok := p.leave(turns[i], now, cps)
			if !ok && !again.After(now) {
				t.Fatalf("at %v: ask again at %v", now, again)
			}
			if waiting[i] = again; ok {
				waiting[i] = time.Time{}
				left = append(left, now)
			}
		}
	}
	if !slices.IsSortedFunc(left, time.Time.Compare) {
		t.Error("out of order")
	}
	for i, at := range left {
		if n := i + cps + 1; n < len(left) && left[n].Sub(at) < time.Second {
			t.Fatalf("%d calls within %v of %v", cps+2, left[n].Sub(at), at.Sub(begun))
		}
	}
	if took := left[len(left)-1].Sub(begun); took > 4*time.Second {
		t.Errorf("%d calls took %v", len(left), took)
	}
}

// Calls that wait for the same instant leave one by one.
func TestThoseWhoWakeTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const cps = 9
		l := &line{}
		begun, left := time.Now(), make(chan time.Time, 20)
		for range cap(left) {
			go func() {
				x := try{l: l, c: Campaign{CPS: cps}, at: begun}
				x.leave(t.Context())
				left <- time.Now()
			}()
		}
		last := begun.Add(-time.Second)
		for range cap(left) {
			at := <-left
			if gap := at.Sub(last); gap < time.Second/(cps+1) {
				t.Errorf("%v after the one before", gap)
			}
			last = at
		}
		if took := last.Sub(begun); took > 2*time.Second {
			t.Errorf("all left after %v", took)
		}
	})
}
