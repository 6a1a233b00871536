package dialer

import (
	"testing"
	"time"
)

// A person is on the lists of two campaigns: nobody is called twice at once, and a
// profile's limit is that of all calls of the person.
func TestWhatOtherCampaignsDo(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 3, 12, 0, 0, 0, time.UTC)
	strict := Profile{Name: "eu", PerDay: 2}
	for _, c := range []struct {
		name  string
		a     Attempt
		p     Profile
		until time.Duration // from now, 0: it is called
		why   string
	}{
		{name: "nothing", p: strict},
		{"it is called", Attempt{Elsewhere: Elsewhere{Open: true}}, Profile{}, 5 * time.Minute, "another campaign calls this number"},
		{name: "calls that nobody counts", a: Attempt{Elsewhere: Elsewhere{Today: 7, First: now.Add(-time.Hour)}}},
		{name: "one more", a: Attempt{Elsewhere: Elsewhere{Today: 1, First: now.Add(-time.Hour)}}, p: strict},
		{
			"none left",
			Attempt{Elsewhere: Elsewhere{Today: 2, First: now.Add(-time.Hour)}},
			strict, 23 * time.Hour,
			"the profile eu allows 2 calls in 24 hours, and other campaigns have made 2",
		},
		{
			"none left beside our own",
			Attempt{
				Today: 1, First: now.Add(-3 * time.Hour), Elsewhere: Elsewhere{Today: 1, First: now.Add(-time.Hour)},
			},
			strict, 21 * time.Hour,
			"the profile eu allows 2 calls in 24 hours, and other campaigns have made 1",
		},
	} {
		until, why := c.a.shared(c.p, now)
		want := time.Time{}
		if c.until > 0 {
			want = now.Add(c.until)
		}
		if !until.Equal(want) || why != c.why {
			t.Errorf("%s: %v, %q; want %v, %q", c.name, until, why, want, c.why)
		}
	}
}

// Who has no right to be called is told so, whatever others do.
func TestTheRulesComeBeforeOtherCampaigns(t *testing.T) {
	t.Parallel()
	r := &Runner{cfg: RunnerConfig{Rules: Profiles{"": {}, "eu": {Name: "eu", Consent: true}}}}
	c := Campaign{Profile: "eu", Zone: "UTC"}
	a := Attempt{Contact: Contact{Number: "+4930111"}, Elsewhere: Elsewhere{Open: true}}
	if next, _, why := r.judge(c, time.Time{})(a); next != Blocked {
		t.Errorf("%s: %s", next, why)
	}
	a.Contact.Consent = "form"
	if next, due, why := r.judge(c, time.Time{})(a); next != Pending || time.Until(due) > meanwhile || why == "" {
		t.Errorf("%s, due %v: %s", next, due, why)
	}
}
