package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/dialer"
)

// running makes a running campaign with contacts.
func running(t *testing.T, s *Store, c dialer.Campaign, contacts int) Campaign {
	t.Helper()
	return must(s.StartCampaign(t.Context(), "ops", draft(t, s, c, contacts).ID))(t)
}

// claimed claims n contacts.
func claimed(t *testing.T, l *Ledger, campaign string, n int) []dialer.Attempt {
	t.Helper()
	out := must(l.Claim(t.Context(), campaign, n, nil))(t)
	if len(out) != n {
		t.Fatalf("%d claimed, want %d", len(out), n)
	}
	return out
}

// states checks where the contacts of a campaign are.
func states(t *testing.T, s *Store, campaign string, want map[dialer.State]int) {
	t.Helper()
	if got := must(s.CampaignStats(t.Context(), campaign))(t).Contacts; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestAnAttempt(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		ctx, l := t.Context(), s.Ledger()
		c := running(t, s, dialer.Campaign{Concurrency: 2}, 3)
		all := must(l.Claim(ctx, c.ID, 10, nil))(t)
		if len(all) != 2 {
			t.Fatalf("%d claimed, want as many as may be up", len(all))
		}
		a := all[0]
		if a.N != 1 || a.Node != "test" || a.Contact.State != dialer.Claimed || a.Contact.Campaign != c.ID || a.Slot.IsZero() {
			t.Errorf("%+v", a)
		}
		call := newID(t)
		if err := l.Dialing(ctx, a, call, "+4930100"); err != nil {
			t.Fatal(err)
		}
		if err := l.Dialing(ctx, a, newID(t), "+4930100"); !errors.Is(err, dialer.ErrNotClaimed) {
			t.Errorf("dialled twice: %v", err)
		}
		states(t, s, c.ID, map[dialer.State]int{dialer.Pending: 1, dialer.Claimed: 1, dialer.Dialing: 1})
		due := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
		r := dialer.Result{
			Outcome: dialer.OutcomeBusy, SIP: 486, Why: "busy", AnsweredBy: "unsure", Disposition: "later",
			Data: map[string]any{"n": 1.0}, Ended: day, Callback: due, Next: dialer.Pending, Due: due,
		}
		if err := l.Finish(ctx, a, r); err != nil {
			t.Fatal(err)
		}
		if err := l.Finish(ctx, a, r); err != nil {
			t.Errorf("the same again: %v", err)
		}
		if err := l.Finish(ctx, all[1], r); !errors.Is(err, dialer.ErrNotClaimed) {
			t.Errorf("what was not dialled: %v", err)
		}
		got := must(s.Contact(ctx, a.Contact.ID))(t)
		if got.State != dialer.Pending || got.Tries != 1 || !got.Due.Equal(due) || got.From != "+4930100" {
			t.Errorf("%+v", got)
		}
		d := must(s.DialOf(ctx, call))(t)
		r.Next, r.Due, r.From = "", time.Time{}, "+4930100"
		if d.Contact != a.Contact.ID || d.State != dialEnded || fmt.Sprint(d.Result) != fmt.Sprint(r) || d.Dialed.IsZero() {
			t.Errorf("%+v, want %+v", d, r)
		}
		if err := l.Release(ctx, all[1], dialer.Pending, due, "no seat"); err != nil {
			t.Error(err)
		}
		if err := l.Dialing(ctx, all[1], newID(t), ""); !errors.Is(err, dialer.ErrNotClaimed) {
			t.Errorf("dialled after it was given back: %v", err)
		}
		if got := must(s.Contact(ctx, all[1].Contact.ID))(t); got.State != dialer.Pending || got.Tries != 0 || got.Why != "no seat" {
			t.Errorf("%+v", got)
		}
		if n := must(s.CampaignStats(ctx, c.ID))(t); n.Outcomes[dialer.OutcomeBusy] != 1 || n.Dialing != 0 ||
			n.LastMinute != 1 ||
			!n.Waits || !n.Due.IsZero() {
			t.Errorf("%+v", n)
		}
		for d, err := range s.Results(ctx, c.ID) {
			if err != nil || (d.ID == a.Contact.ID) != (len(d.Dials) == 1) {
				t.Errorf("%+v, %v", d, err)
			}
		}
		if shown := must(l.Shown(ctx, []string{"+4930100", "+4930101"}, day))(t); shown["+4930100"] != 1 || len(shown) != 1 {
			t.Errorf("%v", shown)
		}
		if n := must(l.Tally(ctx, c.ID, day))(t); n != (dialer.Tally{Attempts: 1}) {
			t.Errorf("%+v", n)
		}
	})
}

func TestSlotsOfACampaign(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		now := time.Now().UTC().Truncate(time.Millisecond)
		a, b := &Ledger{s: s, clock: func() time.Time { return now }}, &Ledger{s: s, clock: func() time.Time { return now }}
		c := running(t, s, dialer.Campaign{CPS: 20}, 500)
		var slots []time.Time
		for i := range 60 { // two claim in turn, for 6 s
			l := []*Ledger{a, b}[i%2]
			for _, at := range must(l.Claim(ctx, c.ID, 100, nil))(t) {
				slots = append(slots, at.Slot)
				if ahead := at.Slot.Sub(now); ahead < 0 || ahead > time.Second {
					t.Errorf("a slot in %v", ahead)
				}
			}
			now = now.Add(100 * time.Millisecond)
		}
		if n := len(slots); n < 118 || n > 141 { // 6 s at 20 a second, and what is claimed ahead
			t.Errorf("%d slots", n)
		}
		for i := 1; i < len(slots); i++ {
			if d := slots[i].Sub(slots[i-1]); d != 50*time.Millisecond {
				t.Errorf("slot %d is %v after the one before", i, d)
			}
		}
		now = now.Add(time.Minute)
		later := must(a.Claim(ctx, c.ID, 100, nil))(t)
		if len(later) != 21 || !later[0].Slot.Equal(now) {
			t.Errorf("%d slots after a pause, which is not made up for", len(later))
		}
	})
}

func TestTheJudgeOfAClaim(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		ctx, l := t.Context(), s.Ledger()
		c := running(t, s, dialer.Campaign{CPS: 0.5}, 20)
		tomorrow := time.Now().Add(24 * time.Hour).UTC().Truncate(time.Millisecond)
		asked := 0
		got := must(l.Claim(ctx, c.ID, 5, func(a dialer.Attempt) (dialer.State, time.Time, string) {
			switch asked++; {
			case asked == 1:
				return dialer.Blocked, time.Time{}, "no consent"
			case asked <= 10:
				return dialer.Pending, tomorrow, "outside its hours"
			}
			return dialer.Claimed, time.Time{}, ""
		}))(t)
		if len(got) != 1 || asked != 11 {
			t.Errorf("%d claimed of %d that were judged", len(got), asked)
		}
		states(t, s, c.ID, map[dialer.State]int{dialer.Pending: 18, dialer.Claimed: 1, dialer.Blocked: 1})
		list, _ := must2(s.Contacts(ctx, ContactFilter{Campaign: c.ID}))(t)
		if list[0].Why != "no consent" || list[1].Why != "outside its hours" || !list[1].Due.Equal(tomorrow) {
			t.Errorf("%+v", list[:2])
		}
	})
}

func TestWhatTheRulesLearnOfAContact(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		ctx, l := t.Context(), s.Ledger()
		c := running(t, s, dialer.Campaign{}, 1)
		var first time.Time
		for i, o := range []dialer.Outcome{
			dialer.OutcomeBusy, dialer.OutcomeNoAnswer, dialer.OutcomeCongestion, dialer.OutcomeBusy, dialer.OutcomeBusy,
			dialer.OutcomeFailed,
		} {
			a := claimed(t, l, c.ID, 1)[0]
			want := []map[dialer.Outcome]int{
				nil,
				{dialer.OutcomeBusy: 1},
				{dialer.OutcomeNoAnswer: 1},
				{dialer.OutcomeCongestion: 1},
				{dialer.OutcomeBusy: 1},
				{dialer.OutcomeBusy: 2},
			}[i]
			today := []int{0, 1, 2, 2, 3, 4}[i] // one was a congestion: it did not ring
			if a.N != i+1 || a.Today != today || fmt.Sprint(a.Same) != fmt.Sprint(want) {
				t.Errorf("attempt %d: %d today, %v, want %d, %v", a.N, a.Today, a.Same, today, want)
			}
			if i == 1 {
				first = a.First
			}
			if (i > 0) == a.First.IsZero() || !a.First.Equal(first) || a.First.After(a.Claimed) {
				t.Errorf("attempt %d: the first of the day was at %v, want %v", a.N, a.First, first)
			}
			if err := l.Dialing(ctx, a, newID(t), ""); err != nil {
				t.Fatal(err)
			}
			if err := l.Finish(ctx, a, dialer.Result{Outcome: o, Next: dialer.Pending}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestWhoWasCalledBeforeGoesFirst(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		ctx, l := t.Context(), s.Ledger()
		now := time.Now()
		l.clock = func() time.Time { return now }
		c := running(t, s, dialer.Campaign{}, 10)
		a := claimed(t, l, c.ID, 1)[0]
		if err := l.Dialing(ctx, a, newID(t), ""); err != nil {
			t.Fatal(err)
		}
		r := dialer.Result{Outcome: dialer.OutcomePerson, Next: dialer.Pending, Due: now.Add(time.Hour)}
		if err := l.Finish(ctx, a, r); err != nil {
			t.Fatal(err)
		}
		if b := claimed(t, l, c.ID, 1)[0]; b.Contact.ID == a.Contact.ID {
			t.Error("called before its time")
		}
		now = now.Add(time.Hour)
		if b := claimed(t, l, c.ID, 3)[0]; b.Contact.ID != a.Contact.ID {
			t.Error("not called at its time")
		}
	})
}

// D-24: who must not be called is not, from the moment that is known.
func TestANumberIsBlockedAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		ctx, l := t.Context(), s.Ledger()
		c := running(t, s, dialer.Campaign{}, 6)
		all := claimed(t, l, c.ID, 3)
		if err := l.Dialing(ctx, all[2], newID(t), ""); err != nil {
			t.Fatal(err)
		}
		for i, campaign := range []string{"", c.ID, c.ID} {
			if err := l.Block(ctx, campaign, all[i].Contact.Number, "said stop"); err != nil {
				t.Fatal(err)
			}
		}
		for _, a := range all[:2] {
			if err := l.Dialing(ctx, a, newID(t), ""); !errors.Is(err, dialer.ErrNotClaimed) {
				t.Errorf("dialled: %v", err)
			}
			if got := must(s.Contact(ctx, a.Contact.ID))(t); got.State != dialer.Blocked || got.Why != "do not call: said stop" {
				t.Errorf("%+v", got)
			}
			if err := l.Release(ctx, a, dialer.Pending, time.Time{}, ""); err != nil {
				t.Error(err)
			}
		}
		// The one whose call is up is not called again.
		if err := l.Finish(ctx, all[2], dialer.Result{Outcome: dialer.OutcomeBusy, Next: dialer.Pending}); err != nil {
			t.Fatal(err)
		}
		// Whom somebody has put on the list behind our back is found by the claim.
		rest, _ := must2(s.Contacts(ctx, ContactFilter{Campaign: c.ID, States: []dialer.State{dialer.Pending}}))(t)
		must(s.write.NewInsert().Model(&dncRow{ID: "x", Number: rest[0].Number, Why: "law"}).Exec(ctx))(t)
		a := claimed(t, l, c.ID, 2)
		must(s.write.NewInsert().Model(&dncRow{ID: "y", Number: a[0].Contact.Number}).Exec(ctx))(t)
		if err := l.Dialing(ctx, a[0], newID(t), ""); !errors.Is(err, dialer.ErrNotClaimed) {
			t.Errorf("dialled: %v", err)
		}
		// Who says so in the call is not called by any campaign.
		if err := l.Dialing(ctx, a[1], newID(t), ""); err != nil {
			t.Fatal(err)
		}
		err := l.Finish(ctx, a[1], dialer.Result{Outcome: dialer.OutcomePerson, OptOut: true, Next: dialer.Pending})
		if err != nil {
			t.Fatal(err)
		}
		if on, _ := must2(s.DNCs(ctx, DNCFilter{Number: a[1].Contact.Number}))(t); len(on) != 1 {
			t.Errorf("%v", on)
		}
		states(t, s, c.ID, map[dialer.State]int{dialer.Blocked: 5, dialer.Claimed: 1})
	})
}

func TestAClaimOfACampaignThatStopped(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		ctx, l := t.Context(), s.Ledger()
		c := running(t, s, dialer.Campaign{}, 5)
		all := claimed(t, l, c.ID, 3)
		if err := l.Dialing(ctx, all[0], newID(t), ""); err != nil {
			t.Fatal(err)
		}
		if paused, err := l.Pause(ctx, c.ID, "too many fail"); err != nil || !paused {
			t.Fatal(paused, err)
		}
		if got := must(s.Campaign(ctx, c.ID))(t); got.Status != dialer.Paused || got.Reason != "too many fail" {
			t.Errorf("%+v", got)
		}
		if paused, err := l.Pause(ctx, c.ID, "again"); err != nil || paused {
			t.Error(paused, err)
		}
		if err := l.Dialing(ctx, all[1], newID(t), ""); !errors.Is(err, dialer.ErrNotClaimed) {
			t.Errorf("dialled while paused: %v", err)
		}
		if got := must(l.Claim(ctx, c.ID, 1, nil))(t); len(got) != 0 {
			t.Errorf("claimed while paused: %v", got)
		}
		if err := l.Release(ctx, all[1], dialer.Pending, time.Time{}, ""); err != nil {
			t.Error(err)
		}
		if _, err := s.CancelCampaign(ctx, "ops", c.ID, ""); err != nil {
			t.Fatal(err)
		}
		if err := l.Release(ctx, all[2], dialer.Pending, time.Time{}, ""); err != nil {
			t.Error(err)
		}
		if err := l.Finish(ctx, all[0], dialer.Result{Outcome: dialer.OutcomeBusy, Next: dialer.Pending}); err != nil {
			t.Error(err)
		}
		states(t, s, c.ID, map[dialer.State]int{dialer.Expired: 5})
	})
}

func TestACampaignCompletes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		ctx, l := t.Context(), s.Ledger()
		now := time.Now()
		l.clock = func() time.Time { return now }
		c := running(t, s, dialer.Campaign{Name: "a", Priority: 1}, 1)
		late := running(t, s, dialer.Campaign{Name: "b", Priority: 2, Starts: now.Add(time.Minute), Ends: now.Add(time.Hour)}, 2)
		names := func() string {
			out := ""
			for _, c := range must(l.Running(ctx))(t) {
				out += c.Name
			}
			return out
		}
		if got := names(); got != "a" {
			t.Errorf("%s, want what has begun", got)
		}
		if got := must(l.Claim(ctx, late.ID, 1, nil))(t); len(got) != 0 {
			t.Error("claimed before its start")
		}
		a := claimed(t, l, c.ID, 1)[0]
		for range 2 {
			if done := must(l.Complete(ctx, c.ID))(t); done {
				t.Error("completed with a contact to call")
			}
			if err := l.Dialing(ctx, a, newID(t), ""); err != nil && !errors.Is(err, dialer.ErrNotClaimed) {
				t.Fatal(err)
			}
		}
		if err := l.Finish(ctx, a, dialer.Result{Outcome: dialer.OutcomePerson, Next: dialer.Reached}); err != nil {
			t.Fatal(err)
		}
		if done := must(l.Complete(ctx, c.ID))(t); !done {
			t.Error("not completed")
		}
		if done := must(l.Complete(ctx, c.ID))(t); done {
			t.Error("completed twice")
		}
		now = now.Add(2 * time.Minute)
		if got := names(); got != "b" {
			t.Errorf("%s, want what has begun", got)
		}
		claimed(t, l, late.ID, 1)
		now = now.Add(time.Hour)
		if got := names(); got != "b" {
			t.Errorf("%s, want what Complete ends", got)
		}
		if got := must(l.Claim(ctx, late.ID, 1, nil))(t); len(got) != 0 {
			t.Error("claimed after its end")
		}
		if done := must(l.Complete(ctx, late.ID))(t); !done {
			t.Error("not completed at its end")
		}
		states(t, s, late.ID, map[dialer.State]int{dialer.Claimed: 1, dialer.Expired: 1})
	})
}

// What a process leaves behind that was killed: claims are given back, and what it
// dialled is up for review.
func TestWhatIsLeftOfAProcess(t *testing.T) {
	t.Parallel()
	eachURL(t, func(t *testing.T, url string) {
		s := open(t, url)
		ctx, l := t.Context(), s.Ledger()
		c := running(t, s, dialer.Campaign{}, 4)
		all := claimed(t, l, c.ID, 3)
		for _, a := range all[:2] {
			if err := l.Dialing(ctx, a, newID(t), ""); err != nil {
				t.Fatal(err)
			}
		}
		closed(t, s)
		s = open(t, url)
		defer func() { closed(t, s) }()
		l = s.Ledger()
		states(t, s, c.ID, map[dialer.State]int{dialer.Pending: 2, dialer.Review: 2})
		if err := l.Dialing(ctx, all[2], newID(t), ""); !errors.Is(err, dialer.ErrNotClaimed) {
			t.Errorf("dialled after it was given back: %v", err)
		}
		if d := must(s.Dials(ctx, all[0].Contact.ID))(t); len(d) != 1 || d[0].Outcome != dialer.OutcomeUnknown ||
			d[0].Ended.IsZero() {
			t.Errorf("%+v", d)
		}
		// What its node knows after all is worth more.
		if err := l.Finish(ctx, all[0], dialer.Result{Outcome: dialer.OutcomePerson, Next: dialer.Reached}); err != nil {
			t.Error(err)
		}
		if got := must(s.MoveContact(ctx, all[1].Contact.ID, dialer.Pending, time.Time{}, ""))(t); got.State != dialer.Pending {
			t.Errorf("%+v", got)
		}
		states(t, s, c.ID, map[dialer.State]int{dialer.Pending: 3, dialer.Reached: 1})
		for _, a := range claimed(t, l, c.ID, 3) {
			if want := 1 + a.Contact.Tries; a.N != want {
				t.Errorf("attempt %d, want %d", a.N, want)
			}
		}
	})
}

func TestAClaimThatNobodyDialsIsGivenBack(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		ctx, l := t.Context(), s.Ledger()
		now := time.Now()
		l.clock = func() time.Time { return now }
		c := running(t, s, dialer.Campaign{}, 3)
		all := claimed(t, l, c.ID, 2)
		if err := l.Dialing(ctx, all[1], newID(t), ""); err != nil {
			t.Fatal(err)
		}
		now = now.Add(claimLife)
		if back, review := must2(l.Recover(ctx))(t); back != 0 || review != 0 {
			t.Errorf("%d given back, %d up for review", back, review)
		}
		now = now.Add(time.Second)
		if back, review := must2(l.Recover(ctx))(t); back != 1 || review != 0 {
			t.Errorf("%d given back, %d up for review", back, review)
		}
		if err := l.Dialing(ctx, all[0], newID(t), ""); !errors.Is(err, dialer.ErrNotClaimed) {
			t.Errorf("dialled after it was given back: %v", err)
		}
		states(t, s, c.ID, map[dialer.State]int{dialer.Pending: 2, dialer.Dialing: 1})
	})
}

// What cannot be known to have passed the fence has not left, and is given back.
func TestAFenceThatNobodyAnswered(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		l := s.Ledger()
		c := running(t, s, dialer.Campaign{}, 1)
		a := claimed(t, l, c.ID, 1)[0]
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := l.Dialing(gone, a, newID(t), ""); err == nil || errors.Is(err, dialer.ErrNotClaimed) {
			t.Errorf("%v", err)
		}
		if err := s.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		states(t, s, c.ID, map[dialer.State]int{dialer.Pending: 1})
		// The same where it did pass, and only the answer was lost.
		a = claimed(t, l, c.ID, 1)[0]
		if err := l.Dialing(t.Context(), a, telephony.CallID("x"), ""); err != nil {
			t.Fatal(err)
		}
		if err := l.Release(t.Context(), a, dialer.Pending, time.Time{}, ""); err != nil {
			t.Fatal(err)
		}
		if a = claimed(t, l, c.ID, 1)[0]; a.N != 1 || a.Contact.Tries != 0 {
			t.Errorf("%+v", a)
		}
	})
}

// Only calls that people answered are what the share of abandoned ones is of.
func TestTallyOfOutcomes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		outcomes := []dialer.Outcome{
			dialer.OutcomePerson, dialer.OutcomeVoicemail, dialer.OutcomeScreening, dialer.OutcomeAbandoned,
			dialer.OutcomeBusy, dialer.OutcomeCongestion, dialer.OutcomeFailed,
		}
		l := s.Ledger()
		c := running(t, s, dialer.Campaign{Concurrency: len(outcomes)}, len(outcomes))
		for i, a := range claimed(t, l, c.ID, len(outcomes)) {
			if err := l.Dialing(t.Context(), a, newID(t), ""); err != nil {
				t.Fatal(err)
			}
			r := dialer.Result{Outcome: outcomes[i], Ended: day, Next: dialer.Failed}
			if err := l.Finish(t.Context(), a, r); err != nil {
				t.Fatal(err)
			}
		}
		want := dialer.Tally{Attempts: 7, Answered: 4, People: 2, Abandoned: 1, Failed: 2}
		if got := must(l.Tally(t.Context(), c.ID, day))(t); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
}

// A claim knows what other campaigns do with the numbers of its contacts.
func TestNumbersOfTwoCampaigns(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		ctx, l := t.Context(), s.Ledger()
		spring, autumn := running(t, s, dialer.Campaign{}, 3), running(t, s, dialer.Campaign{Name: "autumn"}, 3)
		all := claimed(t, l, spring.ID, 3)
		look := func() (out [3]dialer.Elsewhere) {
			t.Helper()
			got := must(l.Claim(ctx, autumn.ID, 10, func(a dialer.Attempt) (dialer.State, time.Time, string) {
				for i := range all {
					if all[i].Contact.Number == a.Contact.Number {
						out[i] = a.Elsewhere
					}
				}
				return dialer.Pending, time.Time{}, ""
			}))(t)
			if len(got) != 0 {
				t.Fatalf("%d claimed", len(got))
			}
			return out
		}
		for i, e := range look() {
			if !e.Open {
				t.Errorf("%d: %+v", i, e)
			}
		}
		for i, outcome := range []dialer.Outcome{dialer.OutcomeBusy, dialer.OutcomeCongestion} {
			if err := l.Dialing(ctx, all[i], newID(t), ""); err != nil {
				t.Fatal(err)
			}
			if err := l.Finish(ctx, all[i], dialer.Result{Outcome: outcome, Next: dialer.Failed}); err != nil {
				t.Fatal(err)
			}
		}
		waitFor(t, s)
		alter(t, s, "UPDATE contacts SET due_at = 0")
		got := look()
		if got[0].Open || got[0].Today != 1 || got[0].First.IsZero() || got[1] != (dialer.Elsewhere{}) || !got[2].Open {
			t.Errorf("%+v", got)
		}
	})
}

// Two campaigns that claimed a number before either knew of the other: one of them
// calls it, and the other one is not let through. Those who pass beside them are not held up.
func TestANumberIsCalledOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		ctx, l := t.Context(), s.Ledger()
		a, b := running(t, s, dialer.Campaign{}, 3), running(t, s, dialer.Campaign{Name: "summer"}, 3)
		all := append(claimed(t, l, a.ID, 3), claimed(t, l, b.ID, 3)...)
		errs := make([]error, len(all))
		var wg sync.WaitGroup
		for i, c := range all {
			wg.Go(func() { errs[i] = l.Dialing(ctx, c, telephony.CallID(fmt.Sprint("call", i)), "") })
		}
		wg.Wait()
		for i := range 3 {
			won, lost := errs[i], errs[i+3]
			if won != nil {
				won, lost = lost, won
			}
			if won != nil || !errors.Is(lost, errCalled) {
				t.Errorf("%s: %v and %v", all[i].Contact.Number, errs[i], errs[i+3])
			}
		}
		sum := map[dialer.State]int{}
		for _, c := range []string{a.ID, b.ID} {
			for state, n := range must(s.CampaignStats(ctx, c))(t).Contacts {
				sum[state] += n
			}
		}
		if sum[dialer.Dialing] != 3 || sum[dialer.Claimed] != 3 {
			t.Errorf("%v", sum)
		}
	})
}
