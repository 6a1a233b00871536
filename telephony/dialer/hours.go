package dialer

import (
	"slices"
	"strings"
	"time"
)

// horizon is how far ahead a time to call is looked for.
const horizon = 60 * 24 * time.Hour

// Open tells whether people may be called at a time in every one of the zones
// they may be in. It goes by the clock on the wall there: an hour that a clock
// repeats is open twice, one that it leaves out is not there. What cannot be
// judged is closed: no zone at all, a window that is none.
func (h Hours) Open(at time.Time, zones []*time.Location) bool {
	if h.always() {
		return true
	}
	for _, z := range zones {
		if !h.open(wall(at.In(z))) {
			return false
		}
	}
	return len(zones) > 0
}

// Next is the first moment, not before at, at which it is open in all of the
// zones; zero where there is none within 60 days.
func (h Hours) Next(at time.Time, zones []*time.Location) time.Time {
	return next(at, zones, h)
}

// next is the first moment from at on at which all hours are open in all zones;
// zero where there is none.
func next(at time.Time, zones []*time.Location, all ...Hours) time.Time {
	all = slices.DeleteFunc(slices.Clone(all), Hours.always)
	if len(all) == 0 {
		return at
	}
	if len(zones) == 0 {
		return time.Time{}
	}
	limit := at.Add(horizon)
	t := at
	for settled := false; !settled; {
		settled = true
		for _, z := range zones {
			for _, h := range all {
				n := h.reopens(t, z, limit)
				if n.IsZero() {
					return n
				}
				if n.After(t) { // earlier ones may be closed by now
					t, settled = n, false
				}
			}
		}
	}
	return t
}

// open tells it for all hours at once.
func open(at time.Time, zones []*time.Location, all ...Hours) bool {
	for _, h := range all {
		if !h.Open(at, zones) {
			return false
		}
	}
	return true
}

// always tells that these hours never close.
func (h Hours) always() bool { return len(h.Windows) == 0 && len(h.Holidays) == 0 }

// reopens is the first moment from t on at which these hours are open in a
// zone; zero where there is none before the limit. It goes from one change of
// the zone's offset to the next: between them wall and world run alike.
func (h Hours) reopens(t time.Time, z *time.Location, limit time.Time) time.Time {
	for t.Before(limit) {
		local := t.In(z)
		_, offset := local.Zone()
		end := limit
		if _, change := local.ZoneBounds(); !change.IsZero() && change.Before(limit) {
			end = change
		}
		shift := time.Duration(offset) * time.Second
		if w, ok := h.from(wall(local), end.UTC().Add(shift)); ok {
			return w.Add(-shift).In(t.Location())
		}
		t = end
	}
	return time.Time{}
}

// from is the first time on the wall from w on, and before end, that is open.
func (h Hours) from(w, end time.Time) (time.Time, bool) {
	if h.open(w) {
		return w, w.Before(end)
	}
	for day := midnight(w); day.Before(end); day = day.AddDate(0, 0, 1) {
		best := time.Time{}
		try := func(at time.Time) {
			if at.After(w) && (best.IsZero() || at.Before(best)) && h.open(at) {
				best = at
			}
		}
		try(day) // where a holiday ends that a window of the night goes beyond
		for _, win := range h.Windows {
			if start, ok := clock(win.From); ok {
				try(day.Add(start))
			}
		}
		if !best.IsZero() {
			return best, best.Before(end)
		}
	}
	return time.Time{}, false
}

// open judges a time on the wall.
func (h Hours) open(w time.Time) bool {
	if slices.Contains(h.Holidays, w.Format(time.DateOnly)) {
		return false
	}
	day := midnight(w)
	since := w.Sub(day)
	for _, win := range h.Windows {
		from, ok1 := clock(win.From)
		to, ok2 := clock(win.To)
		switch {
		case !ok1 || !ok2 || from == to:
		case from < to:
			if win.on(day) && since >= from && since < to {
				return true
			}
		case win.on(day) && since >= from, win.on(day.AddDate(0, 0, -1)) && since < to: // over midnight
			return true
		}
	}
	return len(h.Windows) == 0
}

// on tells whether a window begins on a day.
func (w Window) on(day time.Time) bool {
	return len(w.Days) == 0 || slices.Contains(w.Days, day.Weekday())
}

// clock reads "08:00" as the time since midnight; "24:00" is its end.
func clock(s string) (time.Duration, bool) {
	hh, mm, ok := strings.Cut(s, ":")
	h, ok1 := twoDigits(hh)
	m, ok2 := twoDigits(mm)
	d := time.Duration(h)*time.Hour + time.Duration(m)*time.Minute
	return d, ok && ok1 && ok2 && m < 60 && d <= 24*time.Hour
}

func twoDigits(s string) (int, bool) {
	if len(s) != 2 || s[0] < '0' || s[0] > '9' || s[1] < '0' || s[1] > '9' {
		return 0, false
	}
	return int(s[0]-'0')*10 + int(s[1]-'0'), true
}

// wall is what the clock on the wall shows, as if it were UTC: every day has
// 24 hours, and no hour is left out or comes twice.
func wall(t time.Time) time.Time {
	y, m, d := t.Date()
	return time.Date(y, m, d, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

// midnight is where the day of a time on the wall begins.
func midnight(w time.Time) time.Time { return w.Truncate(24 * time.Hour) }
