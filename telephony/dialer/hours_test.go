package dialer

import (
	"testing"
	"time"
)

// zoned are zones by name, of a test.
func zoned(t *testing.T, names ...string) []*time.Location {
	t.Helper()
	var out []*time.Location
	for _, n := range names {
		z, err := Zone(n)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, z)
	}
	return out
}

func TestHours(t *testing.T) {
	t.Parallel()
	day := Hours{Windows: []Window{{From: "08:00", To: "21:00"}}}
	week := Hours{Windows: []Window{
		{Days: []time.Weekday{1, 2, 3, 4, 5}, From: "09:00", To: "17:00"},
		{Days: []time.Weekday{6}, From: "10:00", To: "12:00"},
	}}
	night := Hours{Windows: []Window{{Days: []time.Weekday{time.Friday}, From: "22:00", To: "02:30"}}}
	for _, c := range []struct {
		name  string
		hours Hours
		zones []string
		at    string // RFC 3339
		next  string // "": none; as at: it is open
	}{
		{"without hours it is always open", Hours{}, nil, "2026-03-01T03:00:00Z", "2026-03-01T03:00:00Z"},
		{"without a zone nobody knows", day, nil, "2026-03-01T12:00:00Z", ""},
		{"inside", day, []string{"Europe/Berlin"}, "2026-01-05T12:00:00Z", "2026-01-05T12:00:00Z"},
		{"the start is in it", day, []string{"Europe/Berlin"}, "2026-01-05T07:00:00Z", "2026-01-05T07:00:00Z"},
		{"a moment before the start", day, []string{"Europe/Berlin"}, "2026-01-05T06:59:59.999Z", "2026-01-05T07:00:00Z"},
		{"the end is not in it", day, []string{"Europe/Berlin"}, "2026-01-05T20:00:00Z", "2026-01-06T07:00:00Z"},
		{"a moment before the end", day, []string{"Europe/Berlin"}, "2026-01-05T19:59:59.999Z", "2026-01-05T19:59:59.999Z"},
		{"after Friday comes Saturday's", week, []string{"Europe/Berlin"}, "2026-01-09T16:00:00Z", "2026-01-10T09:00:00Z"},
		{"after Saturday comes Monday", week, []string{"Europe/Berlin"}, "2026-01-10T11:00:00Z", "2026-01-12T08:00:00Z"},
		{"the day is that of the callee", week, []string{"Pacific/Auckland"}, "2026-01-11T20:30:00Z", "2026-01-11T20:30:00Z"},
		{"half an hour off", day, []string{"Asia/Kolkata"}, "2026-01-05T02:29:00Z", "2026-01-05T02:30:00Z"},
		{"three quarters off", day, []string{"Asia/Kathmandu"}, "2026-01-05T02:00:00Z", "2026-01-05T02:15:00Z"},

		{"the day the clock goes forward", day, []string{"Europe/Berlin"}, "2026-03-29T05:00:00Z", "2026-03-29T06:00:00Z"},
		{"the evening before it", day, []string{"Europe/Berlin"}, "2026-03-28T20:00:00Z", "2026-03-29T06:00:00Z"},
		{"the day it goes back", day, []string{"Europe/Berlin"}, "2026-10-25T06:30:00Z", "2026-10-25T07:00:00Z"},
		{"it goes back in spring down there", day, []string{"Australia/Sydney"}, "2026-04-04T20:30:00Z", "2026-04-04T22:00:00Z"},
		{"and forward in October", day, []string{"Australia/Sydney"}, "2026-10-03T20:30:00Z", "2026-10-03T21:00:00Z"},
		{
			"a start in the hour that is left out is its end",
			Hours{Windows: []Window{{From: "02:30", To: "05:00"}}},
			[]string{"Europe/Berlin"},
			"2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z",
		},
		{
			"a window in the hour that is left out is not there",
			Hours{Windows: []Window{{From: "02:10", To: "02:50"}}},
			[]string{"Europe/Berlin"},
			"2026-03-29T00:00:00Z", "2026-03-30T00:10:00Z",
		},
		{
			"a window in the hour that comes twice is there twice",
			Hours{Windows: []Window{{From: "02:10", To: "02:50"}}},
			[]string{"Europe/Berlin"},
			"2026-10-25T00:55:00Z", "2026-10-25T01:10:00Z",
		},
		{
			"half an hour that comes twice",
			Hours{Windows: []Window{{From: "01:40", To: "01:50"}}},
			[]string{"Australia/Lord_Howe"},
			"2026-04-04T14:55:00Z", "2026-04-04T15:10:00Z",
		},
		{
			"a clock that goes forward at midnight", // 00:00 is 01:00 in Beirut
			Hours{Windows: []Window{{From: "00:00", To: "02:00"}}},
			[]string{"Asia/Beirut"},
			"2026-03-28T21:00:00Z", "2026-03-28T22:00:00Z",
		},
		{
			"a day that is not there", // Samoa had no 30 December 2011
			Hours{Windows: []Window{{Days: []time.Weekday{time.Friday}, From: "08:00", To: "21:00"}}},
			[]string{"Pacific/Apia"},
			"2011-12-30T08:00:00Z", "2012-01-05T18:00:00Z",
		},

		{"over midnight", night, []string{"Europe/Berlin"}, "2026-01-09T23:30:00Z", "2026-01-09T23:30:00Z"},
		{"over midnight, in the evening", night, []string{"Europe/Berlin"}, "2026-01-09T20:00:00Z", "2026-01-09T21:00:00Z"},
		{"over midnight, its end", night, []string{"Europe/Berlin"}, "2026-01-10T01:30:00Z", "2026-01-16T21:00:00Z"},
		{"over midnight, not the night before", night, []string{"Europe/Berlin"}, "2026-01-08T23:30:00Z", "2026-01-09T21:00:00Z"},
		{
			"to the end of the day",
			Hours{Windows: []Window{{From: "20:00", To: "24:00"}}},
			[]string{"UTC"},
			"2026-01-05T23:59:59Z", "2026-01-05T23:59:59Z",
		},

		{
			"a holiday",
			Hours{Windows: day.Windows, Holidays: []string{"2026-12-25", "2026-12-26"}},
			[]string{"Europe/Berlin"},
			"2026-12-25T10:00:00Z", "2026-12-27T07:00:00Z",
		},
		{
			"a holiday is the callee's",
			Hours{Windows: day.Windows, Holidays: []string{"2026-12-25"}},
			[]string{"Pacific/Honolulu"},
			"2026-12-25T02:00:00Z", "2026-12-25T02:00:00Z", // 24 December, 16:00
		},
		{
			"a holiday without windows",
			Hours{Holidays: []string{"2026-12-25"}},
			[]string{"Europe/Berlin"},
			"2026-12-25T10:00:00Z", "2026-12-25T23:00:00Z",
		},
		{
			"a window of the night ends where a holiday begins",
			Hours{Windows: []Window{{From: "22:00", To: "02:00"}}, Holidays: []string{"2026-12-25"}},
			[]string{"UTC"},
			"2026-12-25T00:30:00Z", "2026-12-26T00:00:00Z",
		},

		{"all zones at once", day, []string{"America/New_York", "America/Los_Angeles"}, "2026-01-05T13:00:00Z", "2026-01-05T16:00:00Z"},
		{"all zones, the first one's end", day, []string{"America/New_York", "America/Los_Angeles"}, "2026-01-06T02:00:00Z", "2026-01-06T16:00:00Z"},
		{"all zones, in any order", day, []string{"America/Los_Angeles", "America/New_York"}, "2026-01-06T02:00:00Z", "2026-01-06T16:00:00Z"},
		{"zones that have nothing in common", week, []string{"America/Los_Angeles", "Asia/Kolkata"}, "2026-01-05T12:00:00Z", ""},
		{
			"weekdays that one zone has before the other",
			Hours{Windows: []Window{{Days: []time.Weekday{time.Monday}, From: "00:00", To: "24:00"}}},
			[]string{"Pacific/Auckland", "America/New_York"},
			"2026-01-05T00:00:00Z", "2026-01-05T05:00:00Z",
		},
		{"a window that is none is closed", Hours{Windows: []Window{{From: "8", To: "21:00"}}}, []string{"UTC"}, "2026-01-05T12:00:00Z", ""},
		{"a window without length is closed", Hours{Windows: []Window{{From: "08:00", To: "08:00"}}}, []string{"UTC"}, "2026-01-05T08:00:00Z", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			zones := zoned(t, c.zones...)
			at, err := time.Parse(time.RFC3339Nano, c.at)
			if err != nil {
				t.Fatal(err)
			}
			var want time.Time
			if c.next != "" {
				if want, err = time.Parse(time.RFC3339Nano, c.next); err != nil {
					t.Fatal(err)
				}
			}
			if got := c.hours.Next(at, zones); !got.Equal(want) {
				t.Errorf("next after %s is %v, want %v", c.at, got, want)
			}
			if got := c.hours.Open(at, zones); got != want.Equal(at) {
				t.Errorf("open at %s: %v", c.at, got)
			}
			if !want.IsZero() && !c.hours.Open(want, zones) {
				t.Errorf("not open at %v", want)
			}
		})
	}
}
