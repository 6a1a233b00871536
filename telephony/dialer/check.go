package dialer

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/nyaruka/phonenumbers"

	"github.com/patchcord/patchcord/internal/yamlfault"
)

// Fault is one thing wrong with a campaign: in which field, what, and what to do.
type Fault struct {
	Field string // as the API names it: "hours.windows[0].from"
	What  string
	Do    string // "" where What says it all
}

func (f Fault) Error() string {
	s := f.Field + ": " + f.What
	if f.Do != "" {
		s += "; " + f.Do
	}
	return s
}

// Outcomes are those that a retry rule may be for.
var Outcomes = []Outcome{
	OutcomePerson, OutcomeVoicemail, OutcomeScreening, OutcomeAbandoned, OutcomeBusy, OutcomeNoAnswer,
	OutcomeRejected, OutcomeInvalid, OutcomeCongestion, OutcomeFailed,
}

// Types are the types a variable may have.
var Types = []string{"string", "number", "integer", "boolean", "date"}

// Bounds of a campaign.
const (
	mostName        = 200
	mostConcurrency = 10_000
	mostCPS         = 1_000
	mostRing        = 3 * time.Minute // where proxies give up (RFC 3261 section 16.6, timer C)
	mostCallerIDs   = 1_000
	mostVariables   = 100
	mostRetries     = 100 // attempts
)

// checker collects faults.
type checker struct{ faults []Fault }

func (k *checker) add(bad bool, field, what, do string) {
	if bad {
		k.faults = append(k.faults, Fault{field, what, do})
	}
}

// Check is everything that is wrong with a campaign. Whether its agent and its
// trunk are there is not known here.
func (c Campaign) Check(ps Profiles) []Fault {
	k := &checker{}
	p, known := ps[c.Profile]
	k.add(strings.TrimSpace(c.Name) == "", "name", "is missing", "name the campaign")
	k.add(len(c.Name) > mostName, "name", fmt.Sprintf("is longer than %d bytes", mostName), "")
	k.add(c.Agent == "", "agent_id", "is missing", "name the agent that talks")
	k.add(c.Concurrency <= 0 || c.Concurrency > mostConcurrency, "concurrency",
		fmt.Sprintf("is %d", c.Concurrency), fmt.Sprintf("write how many calls may be up at once, 1 to %d", mostConcurrency))
	k.add(!(c.CPS > 0 && c.CPS <= mostCPS), "cps", //nolint:staticcheck // not the negation: NaN is neither
		fmt.Sprintf("is %v", c.CPS), fmt.Sprintf("write how many calls may begin in a second, more than 0 and at most %d",
			mostCPS))
	k.add(!c.Ends.IsZero() && !c.Ends.After(c.Starts), "ends_at", "is not after starts_at", "")
	k.add(!known, "profile", fmt.Sprintf("%q is none", c.Profile), yamlfault.Suggest(c.Profile, ps.Names()))
	if c.Zone != "" {
		_, err := Zone(c.Zone)
		k.add(err != nil, "zone", fmt.Sprintf("%q is no time zone", c.Zone), "write an IANA name such as Europe/Berlin")
	}
	if c.Country != "" {
		k.add(phonenumbers.GetCountryCodeForRegion(strings.ToUpper(c.Country)) == 0, "country",
			fmt.Sprintf("%q is no country", c.Country), "write its ISO 3166 code such as DE")
	}
	k.add(c.RingTimeout < 0 || c.RingTimeout > mostRing, "ring_timeout",
		fmt.Sprintf("is %v", c.RingTimeout), fmt.Sprintf("write at most %v, or 0 for 60s", mostRing))
	k.add(c.RingTimeout > 0 && c.RingTimeout < p.Ring, "ring_timeout",
		fmt.Sprintf("is %v", c.RingTimeout), fmt.Sprintf("the profile %s asks for %v at least", p.Name, p.Ring))
	c.Hours.check(k)
	c.Retries.check(k)
	c.Breakers.check(k)
	c.checkCallerIDs(k)
	c.checkVariables(k)
	if len(k.faults) == 0 {
		c.checkTime(p, k)
	}
	return k.faults
}

// checkTime sees that the hours of campaign and profile have some in common.
func (c Campaign) checkTime(p Profile, k *checker) {
	z, err := Zone(c.Zone)
	if err != nil {
		z = time.UTC
	}
	from := later(time.Date(2026, 1, 1, 0, 0, 0, 0, z), c.Starts)
	t := next(from, []*time.Location{z}, c.Hours, p.Hours)
	k.add(t.IsZero(), "hours", "leave no time to call", "see what the profile allows, and the holidays")
	k.add(!t.IsZero() && !c.Starts.IsZero() && !c.Ends.IsZero() && !t.Before(c.Ends), "hours",
		"leave no time to call between starts_at and ends_at", "")
}

func (h Hours) check(k *checker) {
	for i, w := range h.Windows {
		at := fmt.Sprintf("hours.windows[%d]", i)
		from, ok1 := clock(w.From)
		to, ok2 := clock(w.To)
		k.add(!ok1 || from == 24*time.Hour, at+".from", strconv.Quote(w.From)+" is no time of day", `write it as "08:00"`)
		k.add(!ok2, at+".to", strconv.Quote(w.To)+" is no time of day",
			`write it as "21:00", or "24:00" for the end of the day`)
		k.add(ok1 && ok2 && from == to, at, "is empty", `for a whole day write from "00:00" to "24:00"`)
		for _, d := range w.Days {
			k.add(d < time.Sunday || d > time.Saturday, at+".days", fmt.Sprintf("%d is no day of the week", d), "")
		}
	}
	for i, d := range h.Holidays {
		_, err := time.Parse(time.DateOnly, d)
		k.add(err != nil, fmt.Sprintf("hours.holidays[%d]", i), strconv.Quote(d)+" is no date", `write it as "2026-12-25"`)
	}
}

func (r Retries) check(k *checker) {
	names := make([]string, len(Outcomes))
	for i, o := range Outcomes {
		names[i] = string(o)
	}
	for o, rule := range r.By {
		at := "retries." + string(o)
		k.add(!slices.Contains(Outcomes, o), at, "is no outcome", yamlfault.Suggest(string(o), names))
		k.add(rule.After < 0 || rule.After > horizon, at+".after", fmt.Sprintf("is %v", rule.After),
			"write a time up to 1440h")
		k.add(rule.Most < 0 || rule.Most > mostRetries, at+".most", fmt.Sprintf("is %d", rule.Most),
			fmt.Sprintf("write 0 to %d", mostRetries))
	}
	k.add(r.PerDay < 0 || r.PerDay > mostRetries, "retries.per_day", fmt.Sprintf("is %d", r.PerDay),
		fmt.Sprintf("write 1 to %d, or 0 for 2", mostRetries))
	k.add(r.Total < 0 || r.Total > mostRetries, "retries.total", fmt.Sprintf("is %d", r.Total),
		fmt.Sprintf("write 1 to %d, or 0 for 6", mostRetries))
	slices.SortStableFunc(k.faults, func(a, b Fault) int { // of a map, which has no order
		if strings.HasPrefix(a.Field, "retries.") && strings.HasPrefix(b.Field, "retries.") {
			return strings.Compare(a.Field, b.Field)
		}
		return 0
	})
}

func (b Breakers) check(k *checker) {
	share := func(field string, s float64) {
		k.add(math.IsNaN(s) || s < 0 || s > 1, "breakers."+field, fmt.Sprintf("is %v", s), "write a share such as 0.03")
	}
	share("abandoned", b.Abandoned)
	share("failed", b.Failed)
	k.add(b.Least < 0, "breakers.least", fmt.Sprintf("is %d", b.Least), "write a number of attempts, or 0 for 20")
	k.add(b.Window < 0, "breakers.window", fmt.Sprintf("is %v", b.Window), "write a time, or 0 for 1h")
}

func (c Campaign) checkCallerIDs(k *checker) {
	k.add(len(c.CallerIDs) > mostCallerIDs, "caller_ids", fmt.Sprintf("are %d", len(c.CallerIDs)),
		fmt.Sprintf("at most %d", mostCallerIDs))
	seen := map[string]bool{}
	for i, id := range c.CallerIDs {
		at := fmt.Sprintf("caller_ids[%d]", i)
		k.add(!isE164(id.Number), at+".number", strconv.Quote(id.Number)+" is no number in E.164",
			"write +, the country code and the number")
		k.add(seen[id.Number], at+".number", strconv.Quote(id.Number)+" is there twice", "leave one of them out")
		seen[id.Number] = true
		k.add(id.PerDay < 0, at+".per_day", fmt.Sprintf("is %d", id.PerDay), "write calls a day, or 0 for no limit")
		for j, a := range id.Areas {
			bad := len(a) < 2 || len(a) > 16 || a[0] != '+' || strings.Trim(a[1:], "0123456789") != ""
			k.add(bad, fmt.Sprintf("%s.areas[%d]", at, j), strconv.Quote(a)+" is no prefix of a number", `write it as "+4930"`)
		}
	}
}

// isE164 is the form alone: + and 2 to 15 digits (ITU-T E.164 section 6). What
// its own carrier lets a customer show is not for us to know.
func isE164(n string) bool {
	return len(n) >= 3 && len(n) <= 16 && n[0] == '+' && n[1] != '0' && strings.Trim(n[1:], "0123456789") == ""
}

func (c Campaign) checkVariables(k *checker) {
	k.add(len(c.Variables) > mostVariables, "variables", fmt.Sprintf("are %d", len(c.Variables)),
		fmt.Sprintf("at most %d", mostVariables))
	seen := map[string]bool{}
	for i, v := range c.Variables {
		at := fmt.Sprintf("variables[%d]", i)
		k.add(!isName(v.Name), at+".name", strconv.Quote(v.Name)+" is no name", "write letters, digits and _, a letter first")
		k.add(seen[v.Name], at+".name", strconv.Quote(v.Name)+" is there twice", "leave one of them out")
		seen[v.Name] = true
		k.add(!slices.Contains(Types, v.Type), at+".type", strconv.Quote(v.Type)+" is no type",
			yamlfault.Suggest(v.Type, Types))
	}
}

func isName(s string) bool {
	for i, r := range s {
		if r != '_' && !unicode.IsLetter(r) && (i == 0 || !unicode.IsDigit(r)) {
			return false
		}
	}
	return s != "" && len(s) <= 64
}
