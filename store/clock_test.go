package store

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/patchcord/patchcord/telephony/dialer"
)

// A clock that is set moves no call of a campaign by more than its turn: it goes on
// at its rate, and what was claimed by the old clock is dialled or given back, never
// both.
func TestTheClockOfALedgerIsSet(t *testing.T) {
	t.Parallel()
	for _, by := range []time.Duration{-2 * time.Hour, -time.Second, time.Second, 2 * time.Hour} {
		t.Run(by.String(), func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, s *Store) {
				ctx, l := t.Context(), s.Ledger()
				now := time.Now().UTC().Truncate(time.Millisecond)
				l.clock = func() time.Time { return now }
				c := running(t, s, dialer.Campaign{CPS: 20}, 500)
				before := must(l.Claim(ctx, c.ID, 100, nil))(t)
				now = now.Add(by)
				var after []dialer.Attempt
				for range 20 { // 2 s
					for _, a := range must(l.Claim(ctx, c.ID, 100, nil))(t) {
						if ahead := a.Slot.Sub(now); ahead < 0 || ahead > slotsAhead {
							t.Errorf("a slot in %v", ahead)
						}
						after = append(after, a)
					}
					now = now.Add(100 * time.Millisecond)
				}
				ahead := int(20 * slotsAhead.Seconds())
				if n := len(after); n < 38 || n > 41+ahead {
					t.Errorf("%d slots within 2 s, and of what is claimed ahead", n)
				}
				back, _ := must2(l.Recover(ctx))(t)
				if want := 0; by.Abs() > claimLife && back != len(before) || by.Abs() < claimLife && back != want {
					t.Errorf("%d claims given back, of %d before", back, len(before))
				}
				again := must(l.Claim(ctx, c.ID, 100, nil))(t)
				dialled := map[string]int{}
				for _, a := range slices.Concat(before, after, again) {
					switch err := l.Dialing(ctx, a, newID(t), ""); {
					case err == nil:
						dialled[a.Contact.ID]++
					case !errors.Is(err, dialer.ErrNotClaimed):
						t.Fatal(err)
					}
				}
				for id, n := range dialled {
					if n != 1 {
						t.Errorf("%s was dialled %d times", id, n)
					}
				}
				if want := len(before) + len(after) + len(again) - back; len(dialled) != want {
					t.Errorf("%d dialled, want %d", len(dialled), want)
				}
			})
		})
	}
}
