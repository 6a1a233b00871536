package dialer

import "time"

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
