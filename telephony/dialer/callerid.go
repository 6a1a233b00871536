package dialer

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// Day is the day of a campaign, in its zone: since when the calls of a caller
// ID are counted, and when they are counted anew.
func (c Campaign) Day(now time.Time) (since, until time.Time) {
	z, err := Zone(c.Zone)
	if err != nil {
		z = time.UTC
	}
	y, m, d := now.In(z).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, z), time.Date(y, m, d+1, 0, 0, 0, 0, z)
}

// CallerID chooses the number that a contact sees: the one it was called from
// before; else that with the longest prefix of its area, then one for no area,
// then any; of those alike the one that was shown least. shown counts the calls
// of the day (see Day) by number. "" is the trunk's own, of a campaign without
// any. Where none may be shown any more today, why says so and until is when
// one may again.
func (c Campaign) CallerID(contact Contact, shown map[string]int, now time.Time) (from string, until time.Time,
	why string,
) {
	if len(c.CallerIDs) == 0 {
		return "", time.Time{}, ""
	}
	_, tomorrow := c.Day(now)
	var best *CallerID
	for i := range c.CallerIDs {
		id := &c.CallerIDs[i]
		spent := id.PerDay > 0 && shown[id.Number] >= id.PerDay
		if id.Number == contact.From {
			if spent {
				return "", tomorrow, fmt.Sprintf("caller ID %s, from which it was called before, was shown in %d calls today",
					id.Number, shown[id.Number])
			}
			return id.Number, time.Time{}, ""
		}
		if !spent && (best == nil || id.before(best, contact.Number, shown)) {
			best = id
		}
	}
	if best == nil {
		return "", tomorrow, "every caller ID was shown as often as it may be today"
	}
	return best.Number, time.Time{}, ""
}

// before tells whether a caller ID is better than another for a number.
func (id *CallerID) before(other *CallerID, number string, shown map[string]int) bool {
	return cmp.Or(cmp.Compare(other.near(number), id.near(number)), cmp.Compare(shown[id.Number], shown[other.Number])) < 0
}

// near is how well a caller ID fits a number: the length of the prefix that it
// is in, 0 for an ID of no area, -1 for one of other areas.
func (id *CallerID) near(number string) int {
	if len(id.Areas) == 0 {
		return 0
	}
	n := -1
	for _, a := range id.Areas {
		if a != "" && strings.HasPrefix(number, a) {
			n = max(n, len(a))
		}
	}
	return n
}
