package dialer

import (
	"strings"
	"testing"
	"time"
)

// noon of a Monday in Berlin.
var monday = time.Date(2026, 3, 2, 11, 0, 0, 0, time.UTC)

// berlin is a campaign that calls Berlin from 8 to 21.
var berlin = Campaign{Hours: Hours{Windows: []Window{{From: "08:00", To: "21:00"}}}}

// again is an attempt at a contact in Berlin that follows n others.
func again(n int) Attempt {
	return Attempt{Contact: Contact{ID: "c1", Number: "+4930123456"}, N: n + 1, Claimed: monday.Add(-time.Minute)}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	hours := func(h float64) time.Time { return monday.Add(time.Duration(h * float64(time.Hour))) }
	busyDay := again(1)
	busyDay.Today, busyDay.First = 1, monday.Add(-4*time.Hour)
	unknownFirst := again(1)
	unknownFirst.Today = 1
	afterCongestion := again(2)
	afterCongestion.Same = map[Outcome]int{OutcomeCongestion: 2}
	same := func(o Outcome, n int) Attempt {
		a := again(n)
		a.Same = map[Outcome]int{o: n}
		return a
	}
	own := func(change func(*Campaign)) Campaign {
		c := berlin
		change(&c)
		return c
	}
	for _, c := range []struct {
		name        string
		c           Campaign
		p           Profile
		a           Attempt
		r           Result
		next        State
		early, late time.Time // when it is due, at most
		why         string
	}{
		{name: "somebody was talked to", r: Result{Outcome: OutcomePerson}, next: Reached},
		{name: "a message was left", r: Result{Outcome: OutcomeVoicemail, MessageLeft: true}, next: Reached, why: "a message was left"},
		{name: "asked not to be called", r: Result{Outcome: OutcomePerson, OptOut: true}, next: Blocked, why: "asked not to be called again"},
		{
			name: "asked not to be called, and to be called back",
			r:    Result{Outcome: OutcomePerson, OptOut: true, Callback: hours(2)}, next: Blocked, why: "asked not to be called again",
		},
		{name: "the node died", r: Result{Outcome: OutcomeUnknown}, next: Review, why: "perhaps dialled when a node died"},
		{name: "abandoned", r: Result{Outcome: OutcomeAbandoned}, next: Failed, why: "abandoned"},
		{name: "rejected", r: Result{Outcome: OutcomeRejected, Why: "603 Decline"}, next: Failed, why: "rejected: 603 Decline"},
		{name: "no such number", r: Result{Outcome: OutcomeInvalid, Why: "404"}, next: Failed, why: "invalid: 404"},

		{name: "busy", r: Result{Outcome: OutcomeBusy}, next: Pending, early: hours(1. / 6), late: hours(.25), why: "busy"},
		{name: "congestion", r: Result{Outcome: OutcomeCongestion}, next: Pending, early: hours(1. / 60), late: hours(1. / 40), why: "congestion"},
		{name: "no answer goes to another part of the day", r: Result{Outcome: OutcomeNoAnswer}, next: Pending, early: hours(2), late: hours(3), why: "no_answer"},
		{
			name: "no answer in the afternoon goes to the evening",
			a: func() Attempt {
				a := again(0)
				a.Claimed = hours(1) // 13:00
				return a
			}(),
			r: Result{Outcome: OutcomeNoAnswer}, next: Pending, early: hours(5), late: hours(5.2), why: "no_answer",
		},
		{
			name: "there is no other part of the day",
			c:    Campaign{Hours: Hours{Windows: []Window{{From: "08:00", To: "12:00"}}}},
			a: func() Attempt {
				a := again(0)
				a.Claimed = hours(-3)
				return a
			}(),
			r: Result{Outcome: OutcomeNoAnswer}, next: Pending, early: hours(20), late: hours(20.2), why: "no_answer",
		},
		{
			name: "voicemail goes to the evening", r: Result{Outcome: OutcomeVoicemail}, next: Pending,
			a:     func() Attempt { a := again(0); a.Claimed = hours(2); return a }(),
			early: hours(5), late: hours(6), why: "voicemail",
		},

		{name: "busy for the fourth time in a row", a: same(OutcomeBusy, 3), r: Result{Outcome: OutcomeBusy}, next: Failed, why: "busy, 4 times in a row"},
		{
			name: "busy for the third", a: same(OutcomeBusy, 2), r: Result{Outcome: OutcomeBusy}, next: Pending,
			early: hours(1. / 6), late: hours(.25), why: "busy",
		},
		{
			name: "busy again after others", a: same(OutcomeNoAnswer, 3), r: Result{Outcome: OutcomeBusy}, next: Pending,
			early: hours(1. / 6), late: hours(.25), why: "busy",
		},
		{name: "the last in all", a: again(5), r: Result{Outcome: OutcomeBusy}, next: Failed, why: "busy; that was attempt 6 of 6"},
		{
			name: "the profile allows fewer", a: again(3), p: Profile{Total: 4}, r: Result{Outcome: OutcomeBusy},
			next: Failed, why: "busy; that was attempt 4 of 4",
		},
		{
			name: "the profile allows more", a: again(5), p: Profile{Total: 8}, r: Result{Outcome: OutcomeBusy},
			next: Failed, why: "busy; that was attempt 6 of 6",
		},
		{
			name: "the second of a day waits for the first to be a day old", a: busyDay, r: Result{Outcome: OutcomeBusy},
			next: Pending, early: hours(20), late: hours(20.2), why: "busy; no attempt is left today",
		},
		{
			name: "when the first was is not known", a: unknownFirst, r: Result{Outcome: OutcomeBusy},
			next: Pending, early: hours(23.9), late: hours(24.2), why: "busy; no attempt is left today",
		},
		{
			name: "the profile allows one a day", a: again(0), p: Profile{PerDay: 1}, r: Result{Outcome: OutcomeBusy},
			next: Pending, early: hours(23.9), late: hours(24.2), why: "busy; no attempt is left today",
		},
		{
			name: "congestion does not use up the day", a: afterCongestion, r: Result{Outcome: OutcomeCongestion},
			next: Pending, early: hours(1. / 60), late: hours(1. / 40), why: "congestion",
		},

		{
			name: "a callback", r: Result{Outcome: OutcomePerson, Callback: hours(3)}, next: Pending,
			early: hours(3), late: hours(3), why: "asked to be called back",
		},
		{
			name: "a callback at night waits for the morning", r: Result{Outcome: OutcomePerson, Callback: hours(12)}, next: Pending,
			early: hours(20), late: hours(20), why: "asked to be called back",
		},
		{
			name: "a callback after all attempts", a: func() Attempt { a := again(9); a.Today = 5; return a }(),
			r: Result{Outcome: OutcomePerson, Callback: hours(3)}, next: Pending, early: hours(3), late: hours(3), why: "asked to be called back",
		},
		{
			name: "a callback that is over is made now", r: Result{Outcome: OutcomePerson, Callback: hours(-3)}, next: Pending,
			early: monday, late: monday, why: "asked to be called back",
		},
		{
			name: "a callback after the end", c: own(func(c *Campaign) { c.Ends = hours(24) }),
			r: Result{Outcome: OutcomePerson, Callback: hours(24)}, next: Expired, why: "the campaign ends before it may be called again",
		},
		{
			name: "a callback in years is none", r: Result{Outcome: OutcomePerson, Callback: hours(24 * 800)}, next: Reached,
		},
		{
			name: "the campaign ends before", c: own(func(c *Campaign) { c.Ends = hours(1) }),
			r: Result{Outcome: OutcomeNoAnswer}, next: Expired, why: "the campaign ends before it may be called again",
		},
		{
			name: "rules of one's own", c: own(func(c *Campaign) {
				c.Retries = Retries{By: map[Outcome]Retry{OutcomeRejected: {After: time.Hour, Most: 1}}}
			}),
			r: Result{Outcome: OutcomeRejected}, next: Pending, early: hours(1), late: hours(1.5), why: "rejected",
		},
		{
			name: "what those do not name is final", c: own(func(c *Campaign) {
				c.Retries = Retries{By: map[Outcome]Retry{OutcomeRejected: {After: time.Hour, Most: 1}}}
			}),
			r: Result{Outcome: OutcomeBusy}, next: Failed, why: "busy",
		},
		{
			name: "the profile's hours hold as well", p: Profile{Hours: Hours{Windows: []Window{{From: "14:00", To: "15:00"}}}},
			r: Result{Outcome: OutcomeBusy}, next: Pending, early: hours(2), late: hours(2.2), why: "busy",
		},
		{
			name: "nobody knows where it is", c: berlin, a: Attempt{Contact: Contact{ID: "c", Number: "+883510012345678"}, N: 1, Claimed: monday},
			r: Result{Outcome: OutcomeBusy}, next: Blocked, why: "its time zone is not known: give it or the campaign one",
		},
		{
			name: "no hour is open in all its zones",
			c:    Campaign{Hours: Hours{Windows: []Window{{From: "10:00", To: "12:00"}}}},
			a:    Attempt{Contact: Contact{ID: "c", Number: "+18005550100"}, N: 1, Claimed: monday},
			r:    Result{Outcome: OutcomeBusy}, next: Blocked,
			why: "there is no time within 60 days at which it may be called: it may be in several zones, give it one",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.a.N == 0 {
				c.a = again(0)
			}
			if c.c.Hours.Windows == nil {
				c.c = berlin
			}
			next, due, why := Decide(c.c, c.p, c.a, c.r, monday)
			if next != c.next || why != c.why {
				t.Errorf("%s (%s), want %s (%s)", next, why, c.next, c.why)
			}
			if due.Before(c.early) || due.After(c.late) {
				t.Errorf("due %v, want %v to %v", due, c.early, c.late)
			}
			if (next == Pending) == due.IsZero() {
				t.Errorf("%s is due at %v", next, due)
			}
		})
	}
}

// What failed together does not return together, and the same attempt always
// returns at the same time.
func TestRetriesAreSpread(t *testing.T) {
	t.Parallel()
	for _, now := range []time.Time{monday, monday.Add(12 * time.Hour)} { // by day; at night all wait for the morning
		at := map[time.Time]int{}
		for i := range 1000 {
			a := again(0)
			a.Contact.ID = strings.Repeat("x", i%7) + string(rune('a'+i%26)) + time.Duration(i).String()
			_, due, _ := Decide(berlin, Profile{}, a, Result{Outcome: OutcomeBusy}, now)
			_, same, _ := Decide(berlin, Profile{}, a, Result{Outcome: OutcomeBusy}, now)
			if !same.Equal(due) {
				t.Fatalf("%v, then %v", due, same)
			}
			at[due.Truncate(30*time.Second)]++
		}
		for when, n := range at {
			if n > 250 {
				t.Errorf("%d of 1000 are due at %v", n, when)
			}
		}
	}
}

func TestMayDial(t *testing.T) {
	t.Parallel()
	us := Profile{Name: "us", Consent: true, Hours: Hours{Windows: []Window{{From: "08:00", To: "21:00"}}}}
	ny := Contact{Number: "+12125550100", Consent: "form"}
	day := time.Date(2026, 3, 2, 15, 0, 0, 0, time.UTC) // 10:00 in New York
	for _, c := range []struct {
		name string
		c    Campaign
		p    Profile
		k    Contact
		now  time.Time
		next State
		due  time.Time
		why  string
	}{
		{name: "it may", p: us, k: ny, now: day, next: Claimed},
		{name: "no consent", p: us, k: Contact{Number: ny.Number}, now: day, next: Blocked, why: "the profile us asks for consent, and none was imported"},
		{name: "no consent is asked for", k: Contact{Number: ny.Number}, now: day, next: Claimed},
		{
			name: "at night there", p: us, k: ny, now: day.Add(-3 * time.Hour), next: Pending, due: day.Add(-2 * time.Hour),
			why: "it is outside of the hours at the callee's place",
		},
		{
			name: "its own zone goes before its number's", p: us, k: Contact{Number: ny.Number, Consent: "x", Zone: "Pacific/Honolulu"}, now: day,
			next: Pending, due: day.Add(3 * time.Hour), why: "it is outside of the hours at the callee's place",
		},
		{
			name: "the campaign's zone, where the number tells none", c: Campaign{Zone: "Europe/Berlin"}, p: us,
			k: Contact{Number: "+883510012345678", Consent: "x"}, now: day, next: Claimed,
		},
		{
			name: "a toll-free number may be anywhere", p: us, k: Contact{Number: "+18005550100", Consent: "x"}, now: day, next: Pending,
			due: time.Date(2026, 3, 2, 22, 0, 0, 0, time.UTC), // 8 in Guam on Tuesday
			why: "it is outside of the hours at the callee's place",
		},
		{name: "nobody knows where it is", p: us, k: Contact{Number: "+883510012345678", Consent: "x"}, now: day, next: Blocked, why: "its time zone is not known: give it or the campaign one"},
		{
			name: "nobody knows where it is, and there are no hours", k: Contact{Number: "+883510012345678"}, now: day, next: Claimed,
		},
		{name: "it has ended", c: Campaign{Ends: day}, k: ny, now: day, next: Expired, why: "the campaign has ended"},
		{name: "it ends in a moment", c: Campaign{Ends: day.Add(1)}, k: ny, now: day, next: Claimed},
		{
			name: "it begins later", c: Campaign{Starts: day.Add(time.Hour)}, k: ny, now: day, next: Pending, due: day.Add(time.Hour),
			why: "the campaign has not begun",
		},
		{
			name: "it begins at night", c: Campaign{Starts: day.Add(14 * time.Hour)}, p: us, k: ny, now: day, next: Pending, due: day.Add(22 * time.Hour),
			why: "the campaign has not begun",
		},
		{
			name: "it ends before the morning", c: Campaign{Ends: day.Add(-150 * time.Minute)}, p: us, k: ny, now: day.Add(-3 * time.Hour),
			next: Expired, why: "the campaign ends before it may be called again",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			next, due, why := MayDial(c.c, c.p, c.k, c.now)
			if next != c.next || !due.Equal(c.due) || why != c.why {
				t.Errorf("%s at %v (%s), want %s at %v (%s)", next, due, why, c.next, c.due, c.why)
			}
		})
	}
}
