package dialer

import (
	"strings"
	"testing"
	"time"
)

func TestBreakers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		b      Breakers
		p      Profile
		failed Tally
		month  Tally
		why    string // its beginning, "": it goes on
	}{
		{name: "nothing was called"},
		{name: "all is well", failed: Tally{Attempts: 100, Failed: 10}, month: Tally{Attempts: 500, People: 200, Abandoned: 5}},
		{name: "too few to judge", failed: Tally{Attempts: 19, Failed: 19}, month: Tally{People: 19, Abandoned: 5}},
		{
			name: "3 % of people were abandoned", month: Tally{Attempts: 900, Answered: 700, People: 100, Abandoned: 3},
			why: "3 of 100 calls that people answered had no word of ours within 2 s, 3.0 %; at 3 % it is paused: look for a slow voice",
		},
		{name: "a little less", month: Tally{Attempts: 900, Answered: 700, People: 101, Abandoned: 3}},
		{
			name: "machines do not count", month: Tally{Attempts: 2000, Answered: 2000, People: 20, Abandoned: 1},
			why: "1 of 20 calls that people answered",
		},
		{
			name: "the campaign is stricter than the profile", b: Breakers{Abandoned: 0.01}, p: Profile{Abandoned: 0.03},
			month: Tally{People: 200, Abandoned: 2}, why: "2 of 200 calls that people answered had no word of ours within 2 s, 1.0 %; at 1 % it is paused",
		},
		{
			name: "the profile is stricter than the campaign", b: Breakers{Abandoned: 0.5}, p: Profile{Abandoned: 0.03},
			month: Tally{People: 100, Abandoned: 3}, why: "3 of 100 calls that people answered",
		},
		{
			name: "half of the attempts failed", failed: Tally{Attempts: 20, Failed: 10},
			why: "10 of 20 attempts failed, 50.0 %; at 50 % it is paused: look at the trunk and its gateways",
		},
		{name: "the own share", b: Breakers{Failed: 0.9, Least: 3}, failed: Tally{Attempts: 3, Failed: 2}},
		{name: "the own least", b: Breakers{Failed: 0.5, Least: 3}, failed: Tally{Attempts: 3, Failed: 2}, why: "2 of 3 attempts failed, 66.7 %"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			why, trip := c.b.Trip(c.p, c.failed, c.month)
			if trip != (c.why != "") || !strings.HasPrefix(why, c.why) || trip != (why != "") {
				t.Errorf("%v, %q, want %q", trip, why, c.why)
			}
		})
	}
}

func TestBreakersCountSince(t *testing.T) {
	t.Parallel()
	failed, abandoned := Breakers{}.Since(Profile{}, monday)
	if monday.Sub(failed) != time.Hour || monday.Sub(abandoned) != 30*24*time.Hour {
		t.Errorf("%v, %v", failed, abandoned)
	}
	failed, abandoned = Breakers{Window: time.Minute}.Since(Profile{AbandonedWindow: time.Hour}, monday)
	if monday.Sub(failed) != time.Minute || monday.Sub(abandoned) != time.Hour {
		t.Errorf("%v, %v", failed, abandoned)
	}
}
