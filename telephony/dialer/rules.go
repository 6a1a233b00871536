package dialer

import "time"

// Hours are when people may be called, in their own time.
type Hours struct {
	Windows  []Window // none: at any time
	Holidays []string // dates without calls, "2026-12-25"
}

// Window is a time of day on some days of the week. Its end is not in it; an end
// before its start is on the next day.
type Window struct {
	Days     []time.Weekday // those it begins on; none: every day
	From, To string         // "08:00", "21:00"; "24:00" is the end of the day
}

// Retries say when a contact is called again.
type Retries struct {
	By     map[Outcome]Retry // an outcome that is not named is final; empty: DefaultRetries
	PerDay int               // attempts in 24 h that may have rung, 0: 2
	Total  int               // attempts in all, 0: 6
}

// Retry is the rule of one outcome.
type Retry struct {
	After        time.Duration // at the earliest; contacts are spread over half as long again
	OtherDaypart bool          // not in the part of the day it was (morning, afternoon, evening)
	Most         int           // retries in a row after this outcome
}

// Breakers pause a campaign that goes wrong.
type Breakers struct {
	Abandoned float64       // share of calls that people answered, 0: 0.03
	Failed    float64       // share of attempts, 0: 0.5
	Least     int           // attempts, or answers, before they judge, 0: 20
	Window    time.Duration // of attempts whose failures count, 0: 1 h
}
