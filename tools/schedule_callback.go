package tools

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// scheduleCallback notes when somebody wants to be called again. Who calls then is
// the dialer's to know.
type scheduleCallback struct{ base }

const callbackText = "Notes when the caller wants to be called again, and returns the time as it was noted, at " +
	"their place. " +
	"Call this when they ask to be called at another time; ask for day and time first if they named none, and say " +
	"the time " +
	"that it returned."

// Bounds of a callback.
const (
	soonestCallback = time.Minute
	latestCallback  = 180 * 24 * time.Hour
)

func newScheduleCallback(d *Definition, _ Deps) (Tool, Faults) {
	var cfg struct{}
	if fs := d.Config.Decode(&cfg); fs != nil {
		return nil, fs
	}
	var fs Faults
	if len(d.Parameters) > 0 && string(d.Parameters) != "null" && string(d.Parameters) != "{}" {
		fs.add(nil, "parameters", string(ScheduleCallback)+" has arguments of its own", "leave them out")
		return nil, fs
	}
	t := &scheduleCallback{base: base{def: d}}
	fs = t.own(`{"type":"object","properties":{` +
		`"at":{"type":"string","description":"day and time at the caller's place in ISO 8601, such as 2026-12-01T15:30; ` +
		`an offset such as +01:00 only where they named another place"},` +
		`"in_minutes":{"type":"integer","minimum":1,"description":"in the place of at, when they said in how long"}}}`)
	return t, fs
}

// take keeps the schema that the tool has of its own.
func (t *scheduleCallback) take(*schema) {}

// Run notes the time. It is in the zone of the caller's place, or with its own
// offset.
func (t *scheduleCallback) Run(_ context.Context, c Call) Result {
	var in struct {
		At string `json:"at"`
		In int    `json:"in_minutes"`
	}
	if json.Unmarshal(c.Args, &in) != nil {
		return ErrorResult(Refused, "invalid_arguments", "")
	}
	now := time.Now().In(c.Env.zone())
	there := "it is " + now.Format("Monday, 2006-01-02T15:04") + " at the caller's place now"
	var at time.Time
	switch {
	case in.At == "" && in.In <= 0:
		return ErrorResult(Refused, "no_time", "write at, or in_minutes; "+there)
	case in.At == "" && in.In > int(latestCallback/time.Minute):
		at = now.Add(2 * latestCallback)
	case in.At == "":
		at = now.Add(time.Duration(in.In) * time.Minute)
	default:
		var err error
		if at, err = localTime(in.At, now.Location()); err != nil {
			return ErrorResult(Refused, "invalid_time", err.Error()+"; "+there)
		}
	}
	switch {
	case at.Before(now.Add(soonestCallback)):
		return ErrorResult(Refused, "past", "that time has passed; "+there)
	case at.After(now.Add(latestCallback)):
		return ErrorResult(Refused, "too_late", "nobody is called later than in half a year; "+there)
	}
	out := struct {
		Status string `json:"status"`
		At     string `json:"at"`
		Day    string `json:"day"`
	}{"noted", at.Format(time.RFC3339), at.Weekday().String()}
	b, err := marshal(out)
	if err != nil {
		return ErrorResult(Refused, "internal", "")
	}
	return Result{JSON: b, Status: OK, Callback: at.UTC()}
}

// localTime reads ISO 8601 with or without seconds and offset; without one it is
// the time in a zone.
func localTime(text string, zone *time.Location) (time.Time, error) {
	text = strings.TrimSpace(text)
	for _, form := range []string{
		time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05", "2006-01-02T15:04",
		"2006-01-02 15:04:05", "2006-01-02 15:04",
	} {
		if at, err := time.ParseInLocation(form, text, zone); err == nil {
			return at.In(zone), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no day and time: write it as 2026-12-01T15:30", cutText(text))
}

// cutText is the beginning of what somebody wrote, for a message.
func cutText(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}
