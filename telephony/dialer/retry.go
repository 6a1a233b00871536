package dialer

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"time"
)

// DefaultRetries are those of a campaign that has none.
func DefaultRetries() map[Outcome]Retry {
	return map[Outcome]Retry{
		OutcomeBusy:       {After: 10 * time.Minute, Most: 3},
		OutcomeNoAnswer:   {After: 2 * time.Hour, OtherDaypart: true, Most: 3},
		OutcomeVoicemail:  {After: 4 * time.Hour, OtherDaypart: true, Most: 2},
		OutcomeScreening:  {After: 4 * time.Hour, OtherDaypart: true, Most: 2},
		OutcomeCongestion: {After: time.Minute, Most: 3},
		OutcomeFailed:     {After: 30 * time.Minute, Most: 1},
	}
}

// maxCallback is how far ahead a callback is believed.
const maxCallback = 366 * 24 * time.Hour

// Decide says where a contact goes after an attempt, when it is due again if it
// does, and why.
//
// Who asked not to be called is blocked, whatever else was said. Who asked to be
// called back is due then, or as soon after as the hours allow: it is their
// wish, so no number of attempts stands against it. Who was talked to, or has
// our message, is reached. Everybody else is called again by the rule of the
// outcome as long as attempts are left, in the next hours that are open. The end
// of the campaign is the end of all of it.
func Decide(c Campaign, p Profile, a Attempt, r Result, now time.Time) (next State, due time.Time, why string) {
	switch {
	case r.OptOut:
		return Blocked, time.Time{}, "asked not to be called again"
	case r.Outcome == OutcomeUnknown:
		return Review, time.Time{}, "perhaps dialled when a node died"
	case !r.Callback.IsZero() && r.Callback.Sub(now) < maxCallback:
		return c.due(p, a.Contact, when{at: later(r.Callback, now)}, "asked to be called back")
	case r.Outcome == OutcomePerson:
		return Reached, time.Time{}, ""
	case r.MessageLeft:
		return Reached, time.Time{}, "a message was left"
	}
	by := c.Retries.By
	if len(by) == 0 {
		by = DefaultRetries()
	}
	rule, ok := by[r.Outcome]
	if !ok {
		return Failed, time.Time{}, final(r)
	}
	if total := strictest(cmp.Or(c.Retries.Total, 6), p.Total); a.N >= total {
		return Failed, time.Time{}, fmt.Sprintf("%s; that was attempt %d of %d", r.Outcome, a.N, total)
	}
	if in := a.Same[r.Outcome]; in >= rule.Most {
		return Failed, time.Time{}, fmt.Sprintf("%s, %d times in a row", r.Outcome, in+1)
	}
	at := now.Add(rule.After + spread(a, rule.After/2))
	why = string(r.Outcome)
	if full := a.full(c, p, r); full.After(at) {
		at, why = full, why+"; no attempt is left today"
	}
	w := when{at: at, spread: spread(a, 10*time.Minute)}
	if rule.OtherDaypart {
		w.not = a.Claimed
	}
	return c.due(p, a.Contact, w, why)
}

// final says why an outcome ends it.
func final(r Result) string {
	if r.Why == "" {
		return string(r.Outcome)
	}
	return string(r.Outcome) + ": " + r.Why
}

// full is when the next attempt is allowed that rings, if the day is used up
// with this one; else zero.
func (a Attempt) full(c Campaign, p Profile, r Result) time.Time {
	used := a.Today
	if r.Outcome.Rings() {
		used++
	}
	most := strictest(cmp.Or(c.Retries.PerDay, 2), p.PerDay)
	switch {
	case used < most:
		return time.Time{}
	case used == most && !a.First.IsZero() && a.Today > 0:
		return a.First.Add(24 * time.Hour)
	}
	return a.Claimed.Add(24 * time.Hour)
}

// strictest is the lesser of two limits; 0 is none.
func strictest(own, profile int) int {
	if profile > 0 {
		return min(own, profile)
	}
	return own
}

// when is what a time to call has to be like.
type when struct {
	at     time.Time     // at the earliest
	spread time.Duration // after the start of the hours it had to wait for
	not    time.Time     // in another part of the day than this, zero: in any
}

// due puts a contact into the first hours that are open. Where none within a
// week are in another part of the day, it is any.
func (c Campaign) due(p Profile, contact Contact, w when, why string) (State, time.Time, string) {
	zones := c.Zones(contact)
	at := later(w.at, c.Starts)
	t := next(at, zones, c.Hours, p.Hours)
	if !w.not.IsZero() {
		if other := otherPart(t, w.not, zones, c.Hours, p.Hours); !other.IsZero() {
			t = other
		}
	}
	if t.After(at) {
		s := t.Add(w.spread)
		if open(s, zones, c.Hours, p.Hours) && (w.not.IsZero() || samePart(s, w.not, zones) == samePart(t, w.not, zones)) {
			t = s
		}
	}
	return c.placed(zones, t, why)
}

// placed is where a contact is that is due at a time; zero: never.
func (c Campaign) placed(zones []*time.Location, due time.Time, why string) (State, time.Time, string) {
	switch {
	case due.IsZero() && len(zones) == 0:
		return Blocked, due, "its time zone is not known: give it or the campaign one"
	case due.IsZero():
		return Blocked, due, "there is no time within 60 days at which it may be called: it may be in several zones, " +
			"give it one"
	case !c.Ends.IsZero() && !due.Before(c.Ends):
		return Expired, time.Time{}, "the campaign ends before it may be called again"
	}
	return Pending, due, why
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// spread is a part of a duration that is always the same for an attempt and
// different for others, so that what failed together does not return together.
func spread(a Attempt, d time.Duration) time.Duration {
	h := fnv.New32a()
	_, _ = fmt.Fprintf(h, "%s %d", a.Contact.ID, a.N)
	return d / 1024 * time.Duration(h.Sum32()%1024)
}
