package dialer

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var zoneNames = []string{
	"Europe/Berlin", "America/New_York", "America/Los_Angeles", "Australia/Sydney", "Australia/Lord_Howe", "Asia/Kolkata", "Asia/Kathmandu",
	"Pacific/Auckland", "Pacific/Chatham", "Pacific/Apia", "Pacific/Honolulu", "Africa/Casablanca", "Asia/Beirut", "America/Sao_Paulo",
	"America/St_Johns", "Antarctica/Troll", "UTC",
}

func anyHours(t *rapid.T, label string) Hours {
	var h Hours
	of := func(label string) string {
		return fmt.Sprintf("%02d:%02d", rapid.IntRange(0, 23).Draw(t, label+" h"), rapid.SampledFrom([]int{0, 1, 15, 30, 59}).Draw(t, label+" m"))
	}
	for i := range rapid.IntRange(0, 3).Draw(t, label+" windows") {
		w := Window{From: of(fmt.Sprintf("%s %d from", label, i)), To: of(fmt.Sprintf("%s %d to", label, i))}
		for d := time.Sunday; d <= time.Saturday; d++ {
			if rapid.Bool().Draw(t, d.String()) {
				w.Days = append(w.Days, d)
			}
		}
		h.Windows = append(h.Windows, w)
	}
	for range rapid.IntRange(0, 2).Draw(t, label+" holidays") {
		d := time.Date(2026, 1, rapid.IntRange(1, 365).Draw(t, label+" holiday"), 0, 0, 0, 0, time.UTC)
		h.Holidays = append(h.Holidays, d.Format(time.DateOnly))
	}
	return h
}

func anyTime(t *rapid.T, label string) time.Time {
	// Half of them are near a change of some clock.
	near := rapid.SampledFrom([]string{"", "2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z", "2026-03-08T07:00:00Z", "2026-11-01T06:00:00Z", "2026-04-04T15:00:00Z"}).Draw(t, label+" near")
	if near == "" {
		return time.Unix(rapid.Int64Range(1767225600, 1798761600).Draw(t, label), rapid.Int64Range(0, 1e9-1).Draw(t, label+" ns")).UTC()
	}
	at, err := time.Parse(time.RFC3339, near)
	if err != nil {
		t.Fatal(err)
	}
	return at.Add(time.Duration(rapid.Int64Range(-2*86400, 2*86400).Draw(t, label)) * time.Second)
}

func anyZones(t *rapid.T) []*time.Location {
	var out []*time.Location
	for _, n := range rapid.SliceOfNDistinct(rapid.SampledFrom(zoneNames), 1, 3, rapid.ID).Draw(t, "zones") {
		z, err := Zone(n)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, z)
	}
	return out
}

// Next is open, not before, and there is nothing open between.
func TestNextIsTheFirstThatIsOpen(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		h, at, zones := anyHours(t, "hours"), anyTime(t, "at"), anyZones(t)
		got := h.Next(at, zones)
		if !got.IsZero() && (got.Before(at) || !h.Open(got, zones)) {
			t.Fatalf("%v after %v: open %v", got, at, h.Open(got, zones))
		}
		if h.Open(at, zones) != got.Equal(at) {
			t.Fatalf("open at %v: %v, next %v", at, h.Open(at, zones), got)
		}
		end := got
		if end.IsZero() || end.Sub(at) > 2*24*time.Hour {
			end = at.Add(2 * 24 * time.Hour)
		}
		// Clocks and windows change at full minutes, of which these are all.
		for m := at.Truncate(time.Minute).Add(time.Minute); m.Before(end); m = m.Add(time.Minute) {
			if h.Open(m, zones) {
				t.Fatalf("open at %v, next after %v is %v", m, at, got)
			}
		}
	})
}

// A contact that is called again and again: never outside of the hours, never more
// often in a day or in all than is allowed, and it comes to an end.
func TestDecideKeepsTheRules(t *testing.T) {
	t.Parallel()
	outcomes := []Outcome{
		OutcomeVoicemail, OutcomeScreening, OutcomeBusy, OutcomeNoAnswer, OutcomeCongestion, OutcomeFailed, OutcomeRejected,
		OutcomeAbandoned,
	}
	rapid.Check(t, func(t *rapid.T) {
		c := Campaign{Hours: anyHours(t, "own"), Zone: "Europe/Berlin"}
		p := Profile{PerDay: rapid.IntRange(0, 3).Draw(t, "profile per day"), Total: rapid.IntRange(0, 9).Draw(t, "profile total")}
		if rapid.Bool().Draw(t, "profile hours") {
			p.Hours = Hours{Windows: []Window{{From: "08:00", To: "21:00"}}}
		}
		c.Retries.PerDay, c.Retries.Total = rapid.IntRange(0, 3).Draw(t, "per day"), rapid.IntRange(0, 9).Draw(t, "total")
		if rapid.Bool().Draw(t, "own retries") {
			c.Retries.By = map[Outcome]Retry{}
			for _, o := range outcomes {
				c.Retries.By[o] = Retry{
					After:        time.Duration(rapid.IntRange(0, 48*60).Draw(t, string(o))) * time.Minute,
					OtherDaypart: rapid.Bool().Draw(t, "other"), Most: rapid.IntRange(0, 9).Draw(t, "most"),
				}
			}
		}
		if rapid.Bool().Draw(t, "ends") {
			c.Ends = anyTime(t, "end")
		}
		k := Contact{
			ID:     rapid.StringN(1, 8, -1).Draw(t, "id"),
			Number: rapid.SampledFrom([]string{"+4930123456", "+12125550100", "+18005550100", "+61291234567", "+883510012345678"}).Draw(t, "number"),
		}
		zones := c.Zones(k)
		perDay, total := strictest(or(c.Retries.PerDay, 2), p.PerDay), strictest(or(c.Retries.Total, 6), p.Total)

		now := anyTime(t, "begin")
		var rung []time.Time // attempts that may have rung
		run, last := 0, Outcome("")
		for n := 1; ; n++ {
			if n > total {
				t.Fatalf("attempt %d of %d", n, total)
			}
			a := Attempt{Contact: k, N: n, Claimed: now, Same: map[Outcome]int{}}
			if run > 0 {
				a.Same[last] = run
			}
			rung = slices.DeleteFunc(rung, func(at time.Time) bool { return !at.After(now.Add(-24 * time.Hour)) })
			if a.Today = len(rung); a.Today > 0 {
				a.First = rung[0]
			}
			o := rapid.SampledFrom(outcomes).Draw(t, "outcome")
			if o.Rings() {
				if rung = append(rung, now); len(rung) > perDay {
					t.Fatalf("%d attempts in 24 h, %d are allowed", len(rung), perDay)
				}
			}
			ended := now.Add(time.Duration(rapid.IntRange(0, 3600).Draw(t, "took")) * time.Second)
			next, due, why := Decide(c, p, a, Result{Outcome: o}, ended)
			if next != Pending {
				if !due.IsZero() {
					t.Fatalf("%s is due at %v", next, due)
				}
				return
			}
			if due.Before(ended) || !open(due, zones, c.Hours, p.Hours) || !c.Ends.IsZero() && !due.Before(c.Ends) {
				t.Fatalf("due %v (%s) after %v, open: %v", due, why, ended, open(due, zones, c.Hours, p.Hours))
			}
			if run++; o != last {
				run, last = 1, o
			}
			now = due
			if next, _, why := MayDial(c, p, k, now); next != Claimed {
				t.Fatalf("due %v, and then it is %s: %s", due, next, why)
			}
		}
	})
}

func or(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}

// A caller ID is never shown more often than it may be, and as long as one is left
// a contact that was not called yet gets one.
func TestCallerIDsKeepTheirCaps(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var c Campaign
		for i := range rapid.IntRange(1, 5).Draw(t, "IDs") {
			id := CallerID{Number: fmt.Sprintf("+49301%d", i), PerDay: rapid.IntRange(0, 4).Draw(t, "cap")}
			id.Areas = rapid.SliceOfN(rapid.SampledFrom([]string{"+1", "+1212", "+49", "+4930", "+33"}), 0, 2).Draw(t, "areas")
			c.CallerIDs = append(c.CallerIDs, id)
		}
		shown := map[string]int{}
		var had []string
		for range 30 {
			k := Contact{Number: rapid.SampledFrom([]string{"+4930123456", "+12125550100", "+33123456789"}).Draw(t, "number")}
			if len(had) > 0 && rapid.Bool().Draw(t, "again") {
				k.From = rapid.SampledFrom(had).Draw(t, "from")
			}
			from, until, why := c.CallerID(k, shown, monday)
			if (why == "") != until.IsZero() || (why == "") != (from != "") || !until.IsZero() && !until.After(monday) {
				t.Fatalf("%q until %v (%s)", from, until, why)
			}
			if why != "" {
				for _, id := range c.CallerIDs {
					if spent := id.PerDay > 0 && shown[id.Number] >= id.PerDay; !spent && (k.From == "" || k.From == id.Number) {
						t.Fatalf("%s, but %s was shown %d times of %d", why, id.Number, shown[id.Number], id.PerDay)
					}
				}
				continue
			}
			if k.From != "" && from != k.From {
				t.Fatalf("called from %s, before from %s", from, k.From)
			}
			shown[from]++
			had = append(had, from)
		}
		for _, id := range c.CallerIDs {
			if id.PerDay > 0 && shown[id.Number] > id.PerDay {
				t.Fatalf("%s was shown %d times of %d", id.Number, shown[id.Number], id.PerDay)
			}
		}
	})
}
