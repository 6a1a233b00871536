package dialer

import (
	"slices"
	"testing"
)

func TestZonesOfAContact(t *testing.T) {
	t.Parallel()
	c := Campaign{Zone: "Europe/Vienna"}
	for _, x := range []struct {
		name string
		c    Campaign
		k    Contact
		want []string
	}{
		{"its own field", c, Contact{Number: "+12125550100", Zone: "Asia/Tokyo"}, []string{"Asia/Tokyo"}},
		{"a fixed line", c, Contact{Number: "+12125550100"}, []string{"America/New_York"}},
		{"a mobile of a country of one zone", c, Contact{Number: "+4915112345678"}, []string{"Europe/Berlin"}},
		{"a field that is no zone is none", c, Contact{Number: "+12125550100", Zone: "Mars/Olympus"}, []string{"America/New_York"}},
		{"a number of no country", c, Contact{Number: "+883510012345678"}, []string{"Europe/Vienna"}},
		{"no number", c, Contact{Number: "alice"}, []string{"Europe/Vienna"}},
		{"nothing is known", Campaign{}, Contact{Number: "+883510012345678"}, nil},
		{"the zone of this machine is none", Campaign{Zone: "Local"}, Contact{}, nil},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, z := range x.c.Zones(x.k) {
				got = append(got, z.String())
			}
			if !slices.Equal(got, x.want) {
				t.Errorf("%v, want %v", got, x.want)
			}
		})
	}
	// A toll-free number of North America may ring anywhere from Newfoundland to Guam.
	var names []string
	for _, z := range c.Zones(Contact{Number: "+18005550100"}) {
		names = append(names, z.String())
	}
	for _, name := range []string{"America/St_Johns", "America/New_York", "America/Los_Angeles", "Pacific/Honolulu", "Pacific/Guam"} {
		if !slices.Contains(names, name) {
			t.Errorf("%s is not among %v", name, names)
		}
	}
}
