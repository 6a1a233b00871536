package store

import (
	"errors"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/telephony"
)

func TestKeysAreKeptAsHashes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		k := Key{Name: "ops", Prefix: "vk_live_", Hash: [32]byte{1, 2, 3}, Scopes: []string{"calls:read"}, Agents: []agent.ID{"support"}}
		k, err := s.AddKey(t.Context(), k, false)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.AddKey(t.Context(), k, false); err == nil {
			t.Error("a second key of the same name")
		}
		keys, err := s.Keys(t.Context())
		if err != nil || len(keys) != 1 || !reflect.DeepEqual(keys[0], k) {
			t.Errorf("%+v, %v", keys, err)
		}
		change := func(k *Key) {
			k.Name, k.Scopes, k.Agents, k.Revoked, k.Expires, k.PerMinute, k.Control = "crm", []string{"*"}, nil, day, day, 6000, -1
		}
		change(&k)
		if _, err := s.ChangeKey(t.Context(), k.ID, false, change); err != nil {
			t.Fatal(err)
		}
		keys, err = s.Keys(t.Context())
		if err != nil || len(keys) != 1 || len(keys[0].Agents) != 0 {
			t.Fatalf("%+v, %v", keys, err)
		}
		if keys[0].Agents = nil; !reflect.DeepEqual(keys[0], k) {
			t.Errorf("%+v is not %+v", keys[0], k)
		}
		if err := s.DeleteKey(t.Context(), k.ID, false); err != nil {
			t.Fatal(err)
		}
		_, err = s.ChangeKey(t.Context(), k.ID, false, change)
		for _, err := range []error{s.DeleteKey(t.Context(), k.ID, false), err} {
			if !errors.Is(err, ErrNotFound) {
				t.Errorf("%v", err)
			}
		}
		if keys, err := s.Keys(t.Context()); err != nil || len(keys) != 0 {
			t.Errorf("%+v, %v", keys, err)
		}
	})
}

// SEC-13: of two processes that each end one of the last two full keys, or make
// them less, one is refused, however they meet.
func TestOneFullKeyStays(t *testing.T) {
	t.Parallel()
	eachURL(t, func(t *testing.T, url string) {
		ctx := t.Context()
		first := open(t, url)
		t.Cleanup(func() { closed(t, first) })
		nodes := [2]*Store{first, first} // a file belongs to one process
		if first.postgres {
			nodes[1] = must(Open(t.Context(), Config{URL: url, Node: "other"}))(t)
			t.Cleanup(func() { closed(t, nodes[1]) })
		}
		add := func(i int) string {
			k := Key{Name: strconv.Itoa(i), Hash: [32]byte{byte(i), byte(i >> 8)}, Scopes: []string{"*"}}
			return must(nodes[i%2].AddKey(ctx, k, true))(t).ID
		}
		ends := []func(s *Store, id string) error{
			func(s *Store, id string) error { return s.DeleteKey(ctx, id, true) },
			func(s *Store, id string) error {
				_, err := s.ChangeKey(ctx, id, true, func(k *Key) { k.Revoked = day })
				return err
			},
		}
		left := add(0)
		for i := range 30 {
			ids := [2]string{left, add(i + 1)}
			var errs [2]error
			var wg sync.WaitGroup
			for j, s := range nodes {
				wg.Go(func() { errs[j] = ends[(i>>j)%2](s, ids[j]) })
			}
			wg.Wait()
			switch {
			case errs[0] == nil && errors.Is(errs[1], ErrLastKey):
				left = ids[1]
			case errs[1] == nil && errors.Is(errs[0], ErrLastKey):
				left = ids[0]
			default:
				t.Fatalf("round %d: %v", i, errs)
			}
		}
		keys := must(nodes[0].Keys(ctx))(t)
		if i := slices.IndexFunc(keys, Key.Full); i < 0 || keys[i].ID != left {
			t.Errorf("%+v, and not %s", keys, left)
		}
	})
}

// A key that one process ends stays ended though another changes its name.
func TestAChangeOfAKeyTakesNothingBack(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		k := must(s.AddKey(t.Context(), Key{Name: "crm", Scopes: []string{"*"}}, false))(t)
		for _, change := range []func(*Key){func(k *Key) { k.Revoked = day }, func(k *Key) { k.Name = "shop" }} {
			k = must(s.ChangeKey(t.Context(), k.ID, false, change))(t)
		}
		if k.Name != "shop" || !k.Revoked.Equal(day) {
			t.Errorf("%+v", k)
		}
	})
}

func TestCallsAreCounted(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		for _, r := range []engine.Record{
			{Agent: "a", Trunk: "x", Status: engine.StatusInProgress, Answered: day},
			{Agent: "a", Trunk: "x", Answered: day, Ended: day.Add(time.Minute)},
			{Agent: "a", Trunk: "y", Answered: day, Ended: day.Add(2 * time.Minute)},
			{Agent: "b", Trunk: "y", Ended: day},
		} {
			id, err := uuid.NewV7()
			if err != nil {
				t.Fatal(err)
			}
			r.ID, r.Started = telephony.CallID(id.String()), day
			if s.Started(r); !r.Ended.IsZero() {
				r.Status = engine.StatusEnded
				s.Ended(r)
			}
		}
		by, err := s.Tally(t.Context(), ByAgent, Filter{Since: day})
		want := map[string]Tally{"a": {Total: 3, Active: 1, Completed: 2, AverageMS: 90_000}, "b": {Total: 1, Failed: 1}}
		if err != nil || !reflect.DeepEqual(by, want) {
			t.Errorf("%+v, %v", by, err)
		}
		by, err = s.Tally(t.Context(), ByTrunk, Filter{Up: true})
		if err != nil || !reflect.DeepEqual(by, map[string]Tally{"x": {Total: 1, Active: 1}}) {
			t.Errorf("%+v, %v", by, err)
		}
		if _, err := s.Tally(t.Context(), "id", Filter{}); err == nil {
			t.Error("another group is taken")
		}
		if n, err := s.CountCalls(t.Context(), Filter{Agents: []agent.ID{"a"}}); n != 3 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		page, next, err := s.Calls(t.Context(), Filter{Limit: 2, Offset: 3})
		if len(page) != 1 || next != "" || err != nil {
			t.Errorf("%d calls, %q, %v", len(page), next, err)
		}
	})
}
