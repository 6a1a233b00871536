package dialer

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestBreakers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		b      Breakers
		p      Profile
		failed Tally
		month  Tally
		why    string // its beginning, "": it goes on
	}{
		{name: "nothing was called"},
		{name: "all is well", failed: Tally{Attempts: 100, Failed: 10}, month: Tally{Attempts: 500, People: 200, Abandoned: 5}},
		{name: "too few to judge", failed: Tally{Attempts: 19, Failed: 19}, month: Tally{People: 19, Abandoned: 5}},
		{
			name: "3 % of people were abandoned", month: Tally{Attempts: 900, Answered: 700, People: 100, Abandoned: 3},
			why: "3 of 100 calls that people answered had no word of ours within 2 s, 3.0 %; at 3 % it is paused: look for a slow voice",
		},
		{name: "a little less", month: Tally{Attempts: 900, Answered: 700, People: 101, Abandoned: 3}},
		{
			name: "machines do not count", month: Tally{Attempts: 2000, Answered: 2000, People: 20, Abandoned: 1},
			why: "1 of 20 calls that people answered",
		},
		{
			name: "the campaign is stricter than the profile", b: Breakers{Abandoned: 0.01}, p: Profile{Abandoned: 0.03},
			month: Tally{People: 200, Abandoned: 2}, why: "2 of 200 calls that people answered had no word of ours within 2 s, 1.0 %; at 1 % it is paused",
		},
		{
			name: "the profile is stricter than the campaign", b: Breakers{Abandoned: 0.5}, p: Profile{Abandoned: 0.03},
			month: Tally{People: 100, Abandoned: 3}, why: "3 of 100 calls that people answered",
		},
		{
			name: "half of the attempts failed", failed: Tally{Attempts: 20, Failed: 10},
			why: "10 of 20 attempts failed, 50.0 %; at 50 % it is paused: look at the trunk and its gateways",
		},
		{name: "the own share", b: Breakers{Failed: 0.9, Least: 3}, failed: Tally{Attempts: 3, Failed: 2}},
		{name: "the own least", b: Breakers{Failed: 0.5, Least: 3}, failed: Tally{Attempts: 3, Failed: 2}, why: "2 of 3 attempts failed, 66.7 %"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			why, trip := c.b.Trip(c.p, c.failed, c.month)
			if trip != (c.why != "") || !strings.HasPrefix(why, c.why) || trip != (why != "") {
				t.Errorf("%v, %q, want %q", trip, why, c.why)
			}
		})
	}
}

func TestBreakersCountSince(t *testing.T) {
	t.Parallel()
	failed, abandoned := Breakers{}.Since(Profile{}, monday)
	if monday.Sub(failed) != time.Hour || monday.Sub(abandoned) != 30*24*time.Hour {
		t.Errorf("%v, %v", failed, abandoned)
	}
	failed, abandoned = Breakers{Window: time.Minute}.Since(Profile{AbandonedWindow: time.Hour}, monday)
	if monday.Sub(failed) != time.Minute || monday.Sub(abandoned) != time.Hour {
		t.Errorf("%v, %v", failed, abandoned)
	}
}

// The share of abandoned calls is that of the law's 30 days, also behind a pause: who
// resumes a campaign may bring it down, and the next abandoned call pauses it again.
func TestAbandonedCallsCountBehindAResume(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		camp := calling("c", 1, 1)
		b := newBooks(camp)
		b.add(camp, 400)
		var abandoned atomic.Int64 // calls that will be
		abandoned.Store(3)
		far := &carrier{b: b}
		far.becomes = func(Attempt) (time.Duration, Result) {
			if abandoned.Add(-1) >= 0 {
				return time.Second, Result{Outcome: OutcomeAbandoned, SIP: 200}
			}
			return time.Second, Result{Outcome: OutcomePerson, SIP: 200}
		}
		o := b.opens(t, "node", 100, far, nil)
		time.Sleep(time.Minute)
		first := b.now(camp)
		if first.Status != Paused || far.placed() > 25 {
			t.Fatalf("%s after %d calls", first.Status, far.placed())
		}
		resume := func() { b.set(func() { camp.Status, camp.Resumed = Running, time.Now() }) }
		resume()
		time.Sleep(10 * time.Second)
		if c := b.now(camp); c.Status != Running {
			t.Errorf("what was before the resume pauses it: %s", c.Reason)
		}
		abandoned.Store(1)
		time.Sleep(time.Minute)
		if c := b.now(camp); c.Status != Paused || !strings.HasPrefix(c.Reason, "4 of ") {
			t.Errorf("%s %q: the three before the resume are not counted", c.Status, c.Reason)
		}
		n := far.placed()
		o.stop()
		resume() // a node that begins later knows no more
		two := b.opens(t, "two", 100, far, nil)
		time.Sleep(10 * time.Second)
		two.stop()
		if c := b.now(camp); c.Status != Running || far.placed() == n {
			t.Errorf("%s %q", c.Status, c.Reason)
		}
	})
}
