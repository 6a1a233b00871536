package dialer

import (
	"fmt"
	"time"
)

// MayDial is asked by the claim and again at the moment of dialling, right before
// the fence. Claimed says that the contact may be called now; any other state is
// where it goes instead, with when it is due and why.
func MayDial(c Campaign, p Profile, contact Contact, now time.Time) (next State, due time.Time, why string) {
	zones := c.Zones(contact)
	switch {
	case !c.Ends.IsZero() && !now.Before(c.Ends):
		return Expired, time.Time{}, "the campaign has ended"
	case p.Consent && contact.Consent == "":
		return Blocked, time.Time{}, "the profile " + p.Name + " asks for consent, and none was imported"
	case now.Before(c.Starts):
		why = "the campaign has not begun"
	case !open(now, zones, c.Hours, p.Hours):
		why = "it is outside of the hours at the callee's place"
	default:
		return Claimed, time.Time{}, ""
	}
	return c.due(p, contact, when{at: now}, why)
}

// meanwhile is how long a contact waits whose number another campaign calls.
const meanwhile = 5 * time.Minute

// shared says until when a contact waits for what other campaigns do with its number,
// and why; zero: for nothing. Nobody is called twice at once, and a profile counts all
// calls of a person.
func (a Attempt) shared(p Profile, now time.Time) (until time.Time, why string) {
	e := a.Elsewhere
	switch {
	case e.Open:
		return now.Add(meanwhile), "another campaign calls this number"
	case p.PerDay > 0 && e.Today > 0 && a.Today+e.Today >= p.PerDay:
		until = e.First.Add(24 * time.Hour)
		if !a.First.IsZero() && a.First.Before(e.First) {
			until = a.First.Add(24 * time.Hour)
		}
		return later(until, now), fmt.Sprintf("the profile %s allows %d calls in 24 hours, and other campaigns have made %d",
			p.Name, p.PerDay, e.Today)
	}
	return time.Time{}, ""
}
