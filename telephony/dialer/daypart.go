package dialer

import "time"

// dayparts are the hours at which the parts of a day end: morning, afternoon,
// evening.
var dayparts = [...]int{12, 17, 24}

// daypart is the part of the day it is on a wall, and when that ends.
func daypart(w time.Time) (part int, ends time.Time) {
	for part, h := range dayparts {
		if w.Hour() < h {
			return part, midnight(w).Add(time.Duration(h) * time.Hour)
		}
	}
	return 0, w // no hour is past 23
}

// samePart tells whether two times are in the same part of the day in any of
// the zones.
func samePart(a, b time.Time, zones []*time.Location) bool {
	for _, z := range zones {
		x, _ := daypart(wall(a.In(z)))
		if y, _ := daypart(wall(b.In(z))); x == y {
			return true
		}
	}
	return false
}

// otherPart is the first moment from t on that is open and in another part of
// the day than was, in all zones; zero where there is none within a week.
func otherPart(t, was time.Time, zones []*time.Location, all ...Hours) time.Time {
	limit := t.Add(7 * 24 * time.Hour)
	for !t.IsZero() && t.Before(limit) {
		moved := false
		for _, z := range zones {
			w := wall(t.In(z))
			part, ends := daypart(w)
			if before, _ := daypart(wall(was.In(z))); part == before {
				y, m, d := ends.Date()
				t, moved = time.Date(y, m, d, ends.Hour(), 0, 0, 0, z).In(t.Location()), true
			}
		}
		if !moved && open(t, zones, all...) {
			return t
		}
		t = next(t, zones, all...)
	}
	return time.Time{}
}
