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

// Those who wake a little late, as on a machine with other work to do, lose nothing
// of the rate, also once they were held up.
func TestWakingLateCostsNoRate(t *testing.T) {
	t.Parallel()
	const cps, calls, late, held = 20, 400, 15 * time.Millisecond, 400 * time.Millisecond
	begun := time.Unix(1_800_000_000, 0)
	var p pace
	now := begun.Add(held)
	for i := range calls {
		turn := p.slot(begun.Add(time.Duration(i)*time.Second/cps), cps)
		for again, ok := p.leave(turn, now, cps); !ok; again, ok = p.leave(turn, now, cps) {
			now = again.Add(late)
		}
	}
	if took, want := now.Sub(begun), calls*time.Second/cps; took > want {
		t.Errorf("%d calls took %v, want %v", calls, took, want)
	}
}

// Calls that wait for the same instant leave one by one.
func TestThoseWhoWakeTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const cps, calls = 9, 50
		l := &line{}
		begun, out := time.Now(), make(chan time.Time, calls)
		for range calls {
			go func() {
				x := try{l: l, c: Campaign{CPS: cps}, at: begun}
				out <- x.leave(t.Context())
			}()
		}
		left := make([]time.Time, calls)
		for i := range left {
			left[i] = <-out
			if i > 0 && left[i].Sub(left[i-1]) < time.Second/cps/2 {
				t.Errorf("%v after the one before", left[i].Sub(left[i-1]))
			}
			if i > cps && left[i].Sub(left[i-cps-1]) < time.Second {
				t.Errorf("%d calls within %v", cps+2, left[i].Sub(left[i-cps-1]))
			}
		}
		if took := left[calls-1].Sub(begun); took > calls*time.Second/cps {
			t.Errorf("all left after %v", took)
		}
	})
}

// A turn is what is left to it, whatever the ledger's clock says and whoever sets ours.
func TestATurnGoesByNoClock(t *testing.T) {
	t.Parallel()
	const ahead = 400 * time.Millisecond
	begun := time.Now()
	end := begun.Add(10 * time.Millisecond)
	for _, c := range []struct{ claimed, want time.Duration }{
		{-2 * time.Hour, 0}, {0, 0}, {4 * time.Millisecond, 4 * time.Millisecond}, {2 * time.Hour, 10 * time.Millisecond},
	} {
		claimed := begun.Add(c.claimed).Round(0) // as a database tells it
		at := turnOf(Attempt{Claimed: claimed, Slot: claimed.Add(ahead)}, begun, end)
		if got := at.Sub(begun); got != c.want+ahead {
			t.Errorf("claimed %v after it was asked for: its turn is after %v, want %v", c.claimed, got, c.want+ahead)
		}
		if at == at.Round(0) { //nolint:staticcheck // whether it has the time that no clock shows
			t.Errorf("claimed %v after it was asked for: its turn goes by the clock", c.claimed)
		}
	}
}
