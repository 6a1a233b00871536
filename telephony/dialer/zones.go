package dialer

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/nyaruka/phonenumbers"
)

// Zones are the time zones a contact may be in: its own field, else those its
// number tells, else the campaign's. A toll-free number tells all zones of its
// country, and all of them have to be open. None: nobody knows where it is.
func (c Campaign) Zones(contact Contact) []*time.Location {
	if z, err := Zone(contact.Zone); err == nil {
		return []*time.Location{z}
	}
	if zones := numberZones(contact.Number); len(zones) > 0 {
		return zones
	}
	if z, err := Zone(c.Zone); err == nil {
		return []*time.Location{z}
	}
	return nil
}

// numberZones are the zones of a number in E.164, none where they are not known.
func numberZones(e164 string) []*time.Location {
	if !strings.HasPrefix(e164, "+") {
		return nil
	}
	names, err := phonenumbers.GetTimezonesForPrefix(e164)
	if err != nil {
		return nil
	}
	var out []*time.Location
	for _, name := range names {
		z, err := Zone(name)
		if err != nil { // Etc/Unknown; or one place of several that cannot be judged: none can
			return nil
		}
		out = append(out, z)
	}
	return out
}

// zones keeps what was read of the zone database.
var zones sync.Map // string → *time.Location

// Zone is a time zone by its IANA name, "Europe/Berlin". A name that depends on
// this machine is none.
func Zone(name string) (*time.Location, error) {
	if z, ok := zones.Load(name); ok {
		return z.(*time.Location), nil //nolint:forcetypeassert // nothing else is kept
	}
	if name == "" || name == "Local" || name == phonenumbers.UNKNOWN_TIMEZONE {
		return nil, fmt.Errorf("%q is no time zone: write one such as Europe/Berlin", name)
	}
	z, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("%q is no time zone: write one such as Europe/Berlin", name)
	}
	zones.Store(name, z)
	return z, nil
}

// Number writes a number as people write it in E.164. country is the ISO 3166
// code of numbers without a country code, "" for none. The error says what is
// wrong with it.
func Number(text, country string) (string, error) {
	n := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), unicode.Is(unicode.Cf, r), strings.ContainsRune("-./()'‐‑–", r): // as copied from a page
			return -1
		}
		return r
	}, text)
	n = strings.TrimPrefix(strings.ToLower(n), "tel:")
	switch digits := strings.TrimPrefix(n, "+"); {
	case digits == "":
		return "", errors.New("there is no number")
	case len(text) > 60:
		return "", errors.New("it is longer than any number")
	case strings.Contains(n, "e+"):
		return "", errors.New("a spreadsheet has rounded it: give its column the format text and export it again")
	case strings.Trim(digits, "0123456789") != "":
		return "", errors.New("it holds what no number has: write +, the country code and the number")
	}
	if country == "" && strings.HasPrefix(n, "00") {
		n = "+" + n[2:]
	}
	if country == "" && n[0] != '+' {
		return "", errors.New("it has no country code: write + and the country code before it, or give the campaign a " +
			"country")
	}
	p, err := phonenumbers.Parse(n, strings.ToUpper(country))
	if err != nil {
		return "", fmt.Errorf("it is no number: %w", err)
	}
	if !phonenumbers.IsValidNumber(p) {
		if where := phonenumbers.GetRegionCodeForCountryCode(int(p.GetCountryCode())); where != "ZZ" && where != "001" {
			return "", fmt.Errorf("no number of %s is like it: look for digits that are missing or too many", where)
		}
		return "", errors.New("no number is like it: look for digits that are missing or too many")
	}
	return phonenumbers.Format(p, phonenumbers.E164), nil
}
