package main

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/dialer"
)

func TestWhatAContactsCallIsGiven(t *testing.T) {
	t.Parallel()
	c := dialer.Campaign{ID: "c1", Name: "spring"}
	a := dialer.Attempt{N: 2, Contact: dialer.Contact{
		ID: "k1", Name: "Anna", Variables: map[string]any{"amount": 4500.0, "campaign": "ours"},
	}}
	want := map[string]any{
		"campaign_id": "c1", "campaign": "ours", "contact_id": "k1", "attempt": 2, "contact_name": "Anna", "amount": 4500.0,
	}
	if got := given(c, a); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if len(a.Contact.Variables) != 2 {
		t.Errorf("the contact's own are changed: %v", a.Contact.Variables)
	}
}

func TestWhereAContactIs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, number, own, campaign, want string
	}{
		{"its own", "+4930123456", "America/New_York", "Europe/Paris", "America/New_York"},
		{"of its number", "+4930123456", "", "Europe/Paris", "Europe/Berlin"},
		{"of its campaign, where the number may be in several", "+18005550100", "", "America/Denver", "America/Denver"},
		{"not known", "+18005550100", "", "", ""},
	} {
		got := ""
		if z := placeOf(dialer.Campaign{Zone: c.campaign}, dialer.Contact{Number: c.number, Zone: c.own}); z != nil {
			got = z.String()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestACallThatDidNotLeave(t *testing.T) {
	t.Parallel()
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		ctx  context.Context //nolint:containedctx // of the case
		err  error
		want dialer.Outcome
	}{
		{t.Context(), fmt.Errorf("dial: %w", &telephony.FullError{Trunk: "t", Limit: "max_cps", RetryAfter: time.Second}), dialer.OutcomeCongestion},
		{t.Context(), engine.ErrFull, dialer.OutcomeCongestion},
		{t.Context(), errors.New("no trunk is named t"), dialer.OutcomeFailed},
		{over, context.Canceled, dialer.OutcomeUnknown},
	} {
		if r := unplaced(c.ctx, c.err); r.Outcome != c.want || r.Why == "" || r.SIP != 0 {
			t.Errorf("%v: %+v, want %s", c.err, r, c.want)
		}
	}
}
