package trunk

import (
	"strings"

	"github.com/nyaruka/phonenumbers"
)

// Normalize writes a dialled number in E.164: "+4930123456". It takes what
// trunks send: +49…, 0049… and 030… of a country, spaces, dashes, a tel:
// prefix, parameters behind a semicolon. What is no such number stays as it
// is, without those. country is an ISO 3166 code, "" for none.
func Normalize(dialled, country string) string {
	n := bare(dialled)
	if n == "" || len(n) > 40 || strings.Trim(n, "+0123456789") != "" {
		return n
	}
	if country == "" && strings.HasPrefix(n, "00") {
		n = "+" + n[2:]
	}
	if country == "" && !strings.HasPrefix(n, "+") {
		return n
	}
	p, err := phonenumbers.Parse(n, strings.ToUpper(country))
	if err != nil || !phonenumbers.IsPossibleNumber(p) {
		return n
	}
	e164 := phonenumbers.Format(p, phonenumbers.E164)
	if again, err := phonenumbers.Parse(e164, ""); err != nil || phonenumbers.Format(again, phonenumbers.E164) != e164 {
		return n // nobody's number: one that changes each time it is read
	}
	return e164
}

// bare is the user part of a number without tel:, parameters and separators.
func bare(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > 4 && strings.EqualFold(s[:4], "tel:") {
		s = s[4:]
	}
	s, _, _ = strings.Cut(s, ";")
	s = strings.TrimSpace(s)
	if strings.Trim(s, "+0123456789-. ()/") != "" {
		return s // a name
	}
	return separators.Replace(s)
}

var separators = strings.NewReplacer("-", "", ".", "", " ", "", "(", "", ")", "", "/", "")

// Dial is how the trunk's gateway wants a number that is called. 00 before it is
// the + of the gate that let it pass, whatever it is in the trunk's country: a
// number that is judged as one of one country is not dialled as another's
// (SEC-5).
func (t *Trunk) Dial(number string) string { return t.Prefix + t.Written(Normalize(number, "")) }

// Written is how the trunk's gateway wants a number that is told, as a caller
// ID is.
func (t *Trunk) Written(number string) string {
	n := Normalize(number, t.Country)
	if !strings.HasPrefix(n, "+") {
		return n
	}
	switch t.NumberFormat {
	case formatPlain:
		return n[1:]
	case formatNational:
		return national(n, t.Country)
	}
	return n
}

// national is a number of the country as it is dialled there: with its
// national prefix. Numbers of other countries are 00 and the number.
func national(e164, country string) string {
	p, err := phonenumbers.Parse(e164, "")
	if err != nil {
		return e164
	}
	country = strings.ToUpper(country)
	if int(p.GetCountryCode()) != phonenumbers.GetCountryCodeForRegion(country) {
		return "00" + e164[1:]
	}
	return phonenumbers.GetNddPrefixForRegion(country, true) + phonenumbers.GetNationalSignificantNumber(p)
}
