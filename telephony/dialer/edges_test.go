package dialer

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// The hours are those of the moment at which the call leaves, not of the moment at
// which it was asked.
func TestACallWhoseTurnIsTheEndOfTheHoursDoesNotLeave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		camp := calling("c", 5, 0.1) // a call each 10 s
		camp.Zone = "UTC"
		closing := begun.Truncate(24 * time.Hour).Add(21 * time.Hour)
		camp.Hours = Hours{Windows: []Window{{From: "09:00", To: "21:00"}}}
		b := newBooks(camp)
		b.add(camp, 10)
		for _, k := range b.contacts["c"] {
			k.Zone = "UTC"
		}
		time.Sleep(time.Until(closing.Add(-20 * time.Second)))
		far := &carrier{b: b, becomes: always(time.Second, OutcomePerson)}
		o := b.opens(t, "node", 5, far, nil) // its turns are at -20 s, -10 s and 0
		time.Sleep(time.Minute)
		o.stop()
		for _, at := range far.times() {
			if !at.Before(closing) {
				t.Errorf("a call left at %v, the hours end at %v", at, closing)
			}
		}
	})
}

// A pause is told once, by however many nodes it is seen.
func TestAPauseIsToldOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		camp := calling("c", 50, 20)
		b := newBooks(camp)
		b.add(camp, 400)
		far := &carrier{b: b, becomes: always(time.Second, OutcomeCongestion)}
		var all []*office
		for _, n := range []string{"one", "two", "three"} {
			all = append(all, b.opens(t, n, 50, far, nil))
		}
		time.Sleep(30 * time.Second)
		told := 0
		for _, o := range all {
			o.stop()
			told += len(o.told(EventPaused))
		}
		if b.now(camp).Status != Paused || told != 1 {
			t.Errorf("%s, told %d times", b.now(camp).Status, told)
		}
	})
}

// What was before somebody let a campaign go on is not held against it by a node
// that begins later.
func TestANodeThatBeginsLaterKnowsOfTheResume(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		camp := calling("c", 50, 5)
		b := newBooks(camp)
		b.add(camp, 400)
		far := &carrier{b: b}
		var good bool
		far.becomes = func(Attempt) (time.Duration, Result) {
			b.mu.Lock()
			defer b.mu.Unlock()
			if good {
				return time.Second, Result{Outcome: OutcomePerson, SIP: 200}
			}
			return time.Second, Result{Outcome: OutcomeCongestion, SIP: 503}
		}
		one := b.opens(t, "one", 50, far, nil)
		time.Sleep(30 * time.Second)
		if b.now(camp).Status != Paused {
			t.Fatal("it is not paused")
		}
		one.stop()
		b.set(func() { camp.Status, camp.Resumed, good = Running, time.Now(), true })
		two := b.opens(t, "two", 50, far, nil)
		time.Sleep(30 * time.Second)
		two.stop()
		if c := b.now(camp); c.Status != Running {
			t.Errorf("%s: %s", c.Status, c.Reason)
		}
	})
}

// A campaign that has nobody to call, at night, leaves the seats to those who call
// in, however long the store takes to say so.
func TestACampaignWithoutContactsTakesNoSeats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		camp := calling("c", 50, 50)
		b := newBooks(camp)
		b.add(camp, 100)
		for _, k := range b.contacts["c"] {
			k.Due = time.Now().Add(12 * time.Hour)
		}
		var slow atomic.Bool
		b.slow = func() {
			if slow.Load() {
				time.Sleep(300 * time.Millisecond)
			}
		}
		far := &carrier{b: b, becomes: always(time.Second, OutcomePerson)}
		o := b.opens(t, "node", 10, far, nil)
		time.Sleep(time.Minute) // it has asked, and knows
		o.seats.mu.Lock()
		o.seats.top = 0
		o.seats.mu.Unlock()
		slow.Store(true)
		time.Sleep(time.Minute)
		if _, top := o.seats.used(); top > 1 {
			t.Errorf("%d of 10 seats were taken to look for contacts", top)
		}
		slow.Store(false)
		time.Sleep(12 * time.Hour)
		o.stop()
		if s := b.states(camp); s[Reached] != 100 {
			t.Errorf("%v in the morning", s)
		}
	})
}
