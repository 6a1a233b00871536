package dialer

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// A caller ID is shown in as many calls of a day as it may, whichever campaigns show
// it; who finds none left is called on the next day.
func TestCallerIDsOfADay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const first, second = "+4930111", "+4930222"
		small, camp := calling("small", 1, 1), calling("c", 5, 1)
		small.Priority = 1
		small.CallerIDs = []CallerID{{Number: first}}
		camp.CallerIDs = []CallerID{{Number: first, PerDay: 3}, {Number: second, PerDay: 2}}
		camp.Status = Paused
		b := newBooks(small, camp)
		b.add(small, 1)
		b.add(camp, 12)
		far := &carrier{b: b, becomes: always(time.Second, OutcomePerson)}
		o := b.opens(t, "node", 5, far, nil)
		time.Sleep(time.Minute)
		b.set(func() { camp.Status = Running })
		shown := func() string {
			b.mu.Lock()
			defer b.mu.Unlock()
			n := map[string]int{}
			for _, e := range b.attempts {
				if !e.dialed.IsZero() {
					n[e.from]++
				}
			}
			return fmt.Sprint(n[first], " ", n[second])
		}
		time.Sleep(time.Hour)
		for _, want := range []string{"3 2", "6 4", "8 5"} { // 1 of the other campaign; 4, 5 and 3 of this one
			if got := shown(); got != want {
				t.Errorf("shown %s times, want %s", got, want)
			}
			_, tomorrow := camp.Day(time.Now())
			time.Sleep(time.Until(tomorrow) + time.Hour)
		}
		o.stop()
		if s := b.states(camp); s[Reached] != 12 {
			t.Errorf("%v", s)
		}
	})
}

// Who is called again sees the number of the first call, or waits for the day on which
// it may be shown again.
func TestACallerIDStays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		camp := calling("c", 1, 1)
		camp.CallerIDs = []CallerID{{Number: "+4930111", PerDay: 1}, {Number: "+4930222"}}
		b := newBooks(camp)
		b.add(camp, 1)
		far := &carrier{b: b, becomes: func(a Attempt) (time.Duration, Result) {
			if a.N == 1 {
				return time.Second, Result{Outcome: OutcomeBusy, SIP: 486}
			}
			return time.Second, Result{Outcome: OutcomePerson, SIP: 200}
		}}
		o := b.opens(t, "node", 5, far, nil)
		time.Sleep(48 * time.Hour)
		o.stop()
		at := far.times()
		if len(at) != 2 {
			t.Fatalf("%d calls", len(at))
		}
		_, tomorrow := camp.Day(at[0])
		if k := b.contact(camp, 0); k.From != "+4930111" || k.State != Reached || at[1].Before(tomorrow) {
			t.Errorf("%s from %s, again at %v", k.State, k.From, at[1])
		}
	})
}
