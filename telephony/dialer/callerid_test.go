package dialer

import (
	"testing"
	"time"
)

func TestCallerID(t *testing.T) {
	t.Parallel()
	c := Campaign{Zone: "America/New_York", CallerIDs: []CallerID{
		{Number: "+18005550199"},
		{Number: "+12125550101", Areas: []string{"+1212", "+1646"}, PerDay: 10},
		{Number: "+12125550102", Areas: []string{"+1212"}, PerDay: 10},
		{Number: "+13105550103", Areas: []string{"+1310"}, PerDay: 10},
		{Number: "+12125550104", Areas: []string{"+1"}},
	}}
	now := time.Date(2026, 3, 2, 15, 0, 0, 0, time.UTC)
	tomorrow := time.Date(2026, 3, 3, 5, 0, 0, 0, time.UTC) // midnight in New York
	capped := Campaign{CallerIDs: []CallerID{{Number: "+4930100", PerDay: 2}, {Number: "+4930101", PerDay: 1, Areas: []string{"+49"}}}}
	for _, x := range []struct {
		name  string
		c     Campaign
		k     Contact
		shown map[string]int
		from  string
		until time.Time
		why   string
	}{
		{name: "the trunk's own", k: Contact{Number: "+12125550188"}},
		{name: "of the callee's area", c: c, k: Contact{Number: "+13105550188"}, from: "+13105550103"},
		{name: "the first of those alike", c: c, k: Contact{Number: "+12125550188"}, from: "+12125550101"},
		{name: "the one shown least", c: c, k: Contact{Number: "+12125550188"}, shown: map[string]int{"+12125550101": 3, "+12125550102": 2}, from: "+12125550102"},
		{name: "a longer prefix goes first", c: c, k: Contact{Number: "+16465550188"}, shown: map[string]int{"+12125550101": 9}, from: "+12125550101"},
		{name: "the area's are used up", c: c, k: Contact{Number: "+13105550188"}, shown: map[string]int{"+13105550103": 10}, from: "+12125550104"},
		{name: "of no area for one abroad", c: c, k: Contact{Number: "+4930123456"}, shown: map[string]int{"+18005550199": 500}, from: "+18005550199"},
		{name: "of another area rather than none", c: capped, k: Contact{Number: "+33123456789"}, shown: map[string]int{"+4930100": 2}, from: "+4930101"},
		{name: "it keeps its own", c: c, k: Contact{Number: "+12125550188", From: "+13105550103"}, from: "+13105550103"},
		{name: "its own is no more", c: c, k: Contact{Number: "+12125550188", From: "+19995550100"}, from: "+12125550101"},
		{
			name: "its own is used up", c: c, k: Contact{Number: "+12125550188", From: "+13105550103"}, shown: map[string]int{"+13105550103": 10},
			until: tomorrow, why: "caller ID +13105550103, from which it was called before, was shown in 10 calls today",
		},
		{
			name: "all are used up", c: capped, k: Contact{Number: "+4930123456"}, shown: map[string]int{"+4930100": 2, "+4930101": 1},
			until: time.Date(2026, 3, 3, 0, 0, 0, 0, time.UTC), why: "every caller ID was shown as often as it may be today",
		},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			from, until, why := x.c.CallerID(x.k, x.shown, now)
			if from != x.from || !until.Equal(x.until) || why != x.why {
				t.Errorf("%q, %v (%s), want %q, %v (%s)", from, until, why, x.from, x.until, x.why)
			}
		})
	}
}

// A day in which the clock is changed has 23 or 25 hours.
func TestDayOfACampaign(t *testing.T) {
	t.Parallel()
	c := Campaign{Zone: "Europe/Berlin"}
	for at, hours := range map[string]float64{"2026-03-29": 23, "2026-10-25": 25, "2026-06-01": 24} {
		d, err := time.Parse(time.DateOnly, at)
		if err != nil {
			t.Fatal(err)
		}
		now := d.Add(10 * time.Hour)
		since, until := c.Day(now)
		if until.Sub(since).Hours() != hours || since.After(now) || !until.After(now) {
			t.Errorf("%s is from %v to %v", at, since, until)
		}
	}
}
