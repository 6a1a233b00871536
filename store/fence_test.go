package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/patchcord/patchcord/telephony/dialer"
)

// Of those that come to the fence together each passes or not by itself.
func TestTogetherAtTheFence(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		ctx, l := t.Context(), s.Ledger()
		c := running(t, s, dialer.Campaign{}, 6)
		all := claimed(t, l, c.ID, 6)
		if err := l.Block(ctx, "", all[1].Contact.Number, "asked"); err != nil {
			t.Fatal(err)
		}
		if err := l.Release(ctx, all[2], dialer.Pending, time.Now().Add(time.Hour), ""); err != nil {
			t.Fatal(err)
		}
		other := all[3]
		other.Claimed = other.Claimed.Add(-time.Second) // an older claim
		paused := running(t, s, dialer.Campaign{Name: "paused"}, 1)
		stopped := claimed(t, l, paused.ID, 1)[0]
		must(s.PauseCampaign(ctx, "", paused.ID, ""))(t)
		var batch []*passing
		for i, a := range []dialer.Attempt{all[0], all[1], all[2], other, stopped, all[4], all[4], all[5]} {
			batch = append(batch, &passing{dialRef: refOf(a), call: fmt.Sprint("call-", i), done: make(chan struct{})})
		}
		s.passAll(batch)
		passed := map[string]int{}
		for _, p := range batch {
			<-p.done
			switch {
			case p.err == nil:
				passed[p.Contact]++
			case !errors.Is(p.err, dialer.ErrNotClaimed):
				t.Error(p.err)
			}
		}
		want := map[string]int{all[0].Contact.ID: 1, all[4].Contact.ID: 1, all[5].Contact.ID: 1}
		if fmt.Sprint(passed) != fmt.Sprint(want) {
			t.Errorf("passed %v, want %v", passed, want)
		}
		states(t, s, c.ID, map[dialer.State]int{
			dialer.Dialing: 3, dialer.Blocked: 1, dialer.Pending: 1, dialer.Claimed: 1,
		})
		if d := must(s.DialOf(ctx, "call-7"))(t); d.Contact != all[5].Contact.ID || d.State != dialDialing {
			t.Errorf("%+v", d)
		}
	})
}

// Numbers are put on a list while all of them come to the fence: who passed is in a
// call, who did not is blocked, and nobody waits in a circle.
func TestListsWhileTheyPass(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		const n = 100
		ctx, l := t.Context(), s.Ledger()
		c := running(t, s, dialer.Campaign{}, n)
		all := claimed(t, l, c.ID, n)
		var wg sync.WaitGroup
		var mu sync.Mutex
		passed := 0
		for i, a := range all {
			wg.Go(func() {
				err := l.Dialing(ctx, a, newID(t), "+4930100")
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					passed++
				} else if !errors.Is(err, dialer.ErrNotClaimed) {
					t.Error(err)
				}
			})
			if i%4 == 0 {
				wg.Go(func() {
					if err := l.Block(ctx, "", all[n-1-i].Contact.Number, "asked"); err != nil {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		got := must(s.CampaignStats(ctx, c.ID))(t).Contacts
		if got[dialer.Dialing] != passed || got[dialer.Blocked] != n-passed || passed < n*3/4 {
			t.Errorf("%d passed, %v", passed, got)
		}
	})
}

// After the store is closed nobody passes, and nobody waits.
func TestFenceOfAClosedStore(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		c := running(t, s, dialer.Campaign{}, 1)
		a := claimed(t, s.Ledger(), c.ID, 1)[0]
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		s.fence.close()
		if err := s.Ledger().Dialing(ctx, a, newID(t), ""); !errors.Is(err, errClosed) {
			t.Error(err)
		}
		waitFor(t, s)
		states(t, s, c.ID, map[dialer.State]int{dialer.Pending: 1}) // it was given back
	})
}
