package dialer

import (
	"math"
	"slices"
	"testing"
	"time"
)

func TestCheckCampaign(t *testing.T) {
	t.Parallel()
	ps := Profiles{"us": {Name: "us", Ring: 15 * time.Second, Hours: Hours{Windows: []Window{{From: "08:00", To: "21:00"}}}}}
	good := Campaign{
		Name: "Spring", Agent: "sales", Concurrency: 10, CPS: 2, Zone: "Europe/Berlin", Country: "de", Profile: "us",
		RingTimeout: 30 * time.Second,
		CallerIDs:   []CallerID{{Number: "+4930100", Areas: []string{"+4930"}, PerDay: 100}},
		Hours:       Hours{Windows: []Window{{Days: []time.Weekday{1}, From: "09:00", To: "24:00"}}, Holidays: []string{"2026-12-25"}},
		Retries:     Retries{By: map[Outcome]Retry{OutcomeBusy: {After: time.Minute, Most: 3}}, PerDay: 1, Total: 3},
		Variables:   []Variable{{Name: "amount", Type: "number"}},
		Starts:      monday, Ends: monday.Add(90 * 24 * time.Hour),
	}
	for _, c := range []struct {
		name   string
		change func(*Campaign)
		want   []string
	}{
		{"nothing is wrong", func(*Campaign) {}, nil},
		{
			"everything is missing", func(c *Campaign) { *c = Campaign{} },
			[]string{
				"name: is missing; name the campaign", "agent_id: is missing; name the agent that talks",
				"concurrency: is 0; write how many calls may be up at once, 1 to 10000",
				"cps: is 0; write how many calls may begin in a second, more than 0 and at most 1000",
			},
		},
		{
			"calls a second that are no number", func(c *Campaign) { c.CPS = math.NaN() },
			[]string{"cps: is NaN; write how many calls may begin in a second, more than 0 and at most 1000"},
		},
		{
			"a profile that is none", func(c *Campaign) { c.Profile = "su" },
			[]string{`profile: "su" is none; did you mean "us"?`},
		},
		{
			"zone and country", func(c *Campaign) { c.Zone, c.Country = "Berlin", "Germany" },
			[]string{
				`zone: "Berlin" is no time zone; write an IANA name such as Europe/Berlin`,
				`country: "Germany" is no country; write its ISO 3166 code such as DE`,
			},
		},
		{
			"it rings shorter than the profile allows", func(c *Campaign) { c.RingTimeout = 10 * time.Second },
			[]string{"ring_timeout: is 10s; the profile us asks for 15s at least"},
		},
		{
			"it rings for too long", func(c *Campaign) { c.RingTimeout = time.Hour },
			[]string{"ring_timeout: is 1h0m0s; write at most 3m0s, or 0 for 60s"},
		},
		{"it ends first", func(c *Campaign) { c.Ends = monday.Add(-1) }, []string{"ends_at: is not after starts_at"}},
		{
			"hours", func(c *Campaign) {
				c.Hours = Hours{
					Windows:  []Window{{From: "9", To: "17:00"}, {From: "24:00", To: "25:00"}, {From: "08:00", To: "08:00"}, {Days: []time.Weekday{7}, From: "08:00", To: "09:00"}},
					Holidays: []string{"25.12.2026"},
				}
			},
			[]string{
				`hours.windows[0].from: "9" is no time of day; write it as "08:00"`,
				`hours.windows[1].from: "24:00" is no time of day; write it as "08:00"`,
				`hours.windows[1].to: "25:00" is no time of day; write it as "21:00", or "24:00" for the end of the day`,
				`hours.windows[2]: is empty; for a whole day write from "00:00" to "24:00"`,
				`hours.windows[3].days: 7 is no day of the week`,
				`hours.holidays[0]: "25.12.2026" is no date; write it as "2026-12-25"`,
			},
		},
		{
			"hours that the profile forbids", func(c *Campaign) { c.Hours = Hours{Windows: []Window{{From: "22:00", To: "23:00"}}} },
			[]string{"hours: leave no time to call; see what the profile allows, and the holidays"},
		},
		{
			"hours that are after the end", func(c *Campaign) { c.Starts, c.Ends = monday.Add(24*time.Hour), monday.Add(48*time.Hour) },
			[]string{"hours: leave no time to call between starts_at and ends_at"},
		},
		{
			"retries", func(c *Campaign) {
				c.Retries = Retries{By: map[Outcome]Retry{"bussy": {}, OutcomeFailed: {After: -1, Most: -1}, OutcomeUnknown: {}}, PerDay: -1, Total: 1000}
			},
			[]string{
				`retries.bussy: is no outcome; did you mean "busy"?`,
				`retries.failed.after: is -1ns; write a time up to 1440h`,
				`retries.failed.most: is -1; write 0 to 100`,
				`retries.per_day: is -1; write 1 to 100, or 0 for 2`,
				`retries.total: is 1000; write 1 to 100, or 0 for 6`,
				`retries.unknown: is no outcome; known: person, voicemail, screening, abandoned, busy, no_answer, rejected, invalid, congestion, failed`,
			},
		},
		{
			"breakers", func(c *Campaign) { c.Breakers = Breakers{Abandoned: 3, Failed: math.NaN(), Least: -1, Window: -1} },
			[]string{
				"breakers.abandoned: is 3; write a share such as 0.03", "breakers.failed: is NaN; write a share such as 0.03",
				"breakers.least: is -1; write a number of attempts, or 0 for 20", "breakers.window: is -1ns; write a time, or 0 for 1h",
			},
		},
		{
			"caller IDs", func(c *Campaign) {
				c.CallerIDs = []CallerID{{Number: "030 100"}, {Number: "+4930100", Areas: []string{"4930"}, PerDay: -1}, {Number: "+4930100"}}
			},
			[]string{
				`caller_ids[0].number: "030 100" is no number in E.164; write +, the country code and the number`,
				`caller_ids[1].per_day: is -1; write calls a day, or 0 for no limit`,
				`caller_ids[1].areas[0]: "4930" is no prefix of a number; write it as "+4930"`,
				`caller_ids[2].number: "+4930100" is there twice; leave one of them out`,
			},
		},
		{
			"variables", func(c *Campaign) {
				c.Variables = []Variable{{Name: "a b", Type: "string"}, {Name: "a", Type: "text"}, {Name: "a", Type: "date"}}
			},
			[]string{
				`variables[0].name: "a b" is no name; write letters, digits and _, a letter first`,
				`variables[1].type: "text" is no type; known: string, number, integer, boolean, date`,
				`variables[2].name: "a" is there twice; leave one of them out`,
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			x := good
			c.change(&x)
			p := ps
			if x.Profile == "" {
				p = Profiles{"": {}}
			}
			var got []string
			for _, f := range x.Check(p) {
				got = append(got, f.Error())
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got:\n%q\nwant:\n%q", got, c.want)
			}
		})
	}
}

// Whatever the retries are, faults come in the same order.
func TestChecksAreInOrder(t *testing.T) {
	t.Parallel()
	c := Campaign{Retries: Retries{By: map[Outcome]Retry{"a": {}, "b": {}, "c": {}, "d": {Most: -1}, "e": {}}}}
	first := c.Check(nil)
	for range 50 {
		if again := c.Check(nil); !slices.Equal(first, again) {
			t.Fatalf("%v, then %v", first, again)
		}
	}
}
