package tools

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// wish is a built-in tool as it is offered.
func wish(t *testing.T, typ Type) Tool {
	t.Helper()
	set, faults := Build([]Definition{{Type: typ}}, Deps{})
	if faults.Err() != nil {
		t.Fatal(faults)
	}
	tool, ok := set.Get(string(typ))
	if !ok {
		t.Fatalf("no tool is offered as %s", typ)
	}
	return tool
}

// D-24: a description starts with what the tool does, mentions what it returns,
// and states the trigger, in capitals where it is urgent.
func TestDescriptionsOfWishes_D24(t *testing.T) {
	t.Parallel()
	for typ, trigger := range map[Type]string{DoNotCall: "Call this IMMEDIATELY when ", ScheduleCallback: "Call this when "} {
		d := wish(t, typ).Definition().Description
		if !regexp.MustCompile(`^(Marks|Notes) .*\breturns\b`).MatchString(d) || !strings.Contains(d, trigger) {
			t.Errorf("%s: %q", typ, d)
		}
	}
}

func TestDoNotCallTool_D24(t *testing.T) {
	t.Parallel()
	tool := wish(t, DoNotCall)
	var told []string
	env := Env{DoNotCall: func(_ context.Context, why string) error { told = append(told, why); return nil }}
	r := tool.Run(t.Context(), Call{Args: json.RawMessage(`{"reason":" wants peace "}`), Env: env})
	if r.Status != OK || len(told) != 1 || told[0] != "wants peace" || !strings.Contains(string(r.JSON), `"status":"marked"`) {
		t.Errorf("%s %s, told %q", r.Status, r.JSON, told)
	}
	env.DoNotCall = func(context.Context, string) error { return errors.New("no database") }
	if r = tool.Run(t.Context(), Call{Args: json.RawMessage(`{}`), Env: env}); r.Status != Failed || !strings.Contains(string(r.JSON), "not_marked") {
		t.Errorf("%s %s", r.Status, r.JSON)
	}
	if r = tool.Run(t.Context(), Call{Args: json.RawMessage(`{}`)}); r.Status != Refused {
		t.Errorf("outside of a call: %s %s", r.Status, r.JSON)
	}
}

func TestScheduleCallbackTool(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args, zone string
		want       string // in UTC, or what the model is told
	}{
		{`{"at":"2000-01-03T15:30"}`, "Europe/Berlin", "2000-01-03T14:30:00Z"},
		{`{"at":"2000-01-03 15:30"}`, "", "2000-01-03T15:30:00Z"},
		{`{"at":"2000-01-03T15:30:00-05:00"}`, "Europe/Berlin", "2000-01-03T20:30:00Z"},
		{`{"at":"2000-03-26T02:30"}`, "Europe/Berlin", "2000-03-26T01:30:00Z"}, // an hour that is not there
		{`{"in_minutes":90}`, "America/New_York", "2000-01-01T01:30:00Z"},
		{`{"at":"1999-12-31T20:00"}`, "Europe/Berlin", "that time has passed; it is Saturday, 2000-01-01T01:00"},
		{`{"at":"2001-01-01T20:00"}`, "", "later than in half a year"},
		{`{"in_minutes":9000000000000}`, "", "later than in half a year"},
		{`{"at":"tomorrow"}`, "", `\"tomorrow\" is no day and time: write it as 2026-12-01T15:30; it is Saturday`},
		{`{}`, "", "write at, or in_minutes; it is Saturday"},
		{`{"in_minutes":0}`, "", "write at, or in_minutes"},
	} {
		t.Run(c.args, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { // a bubble begins at midnight UTC of Saturday, 2000-01-01
				env := Env{}
				if c.zone != "" {
					z, err := time.LoadLocation(c.zone)
					if err != nil {
						t.Fatal(err)
					}
					env.Zone = z
				}
				r := wish(t, ScheduleCallback).Run(t.Context(), Call{Args: json.RawMessage(c.args), Env: env})
				if got := r.Callback.Format(time.RFC3339); r.Status == OK && got != c.want {
					t.Errorf("%s, want %s", got, c.want)
				}
				if r.Status != OK && (!strings.Contains(string(r.JSON), c.want) || !r.Callback.IsZero()) {
					t.Errorf("%s %s", r.Status, r.JSON)
				}
			})
		})
	}
}

func FuzzCallbackTime(f *testing.F) {
	for _, s := range []string{"2026-12-01T15:30", "2026-12-01T15:30:00+01:00", "tomorrow", "0000-00-00T00:00", "9999-12-31T23:59Z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		args, err := json.Marshal(map[string]string{"at": s})
		if err != nil {
			t.Fatal(err)
		}
		r := (&scheduleCallback{}).Run(t.Context(), Call{Args: args})
		if !json.Valid(r.JSON) || (r.Status == OK) == r.Callback.IsZero() {
			t.Errorf("%q: %s %s %v", s, r.Status, r.JSON, r.Callback)
		}
	})
}
