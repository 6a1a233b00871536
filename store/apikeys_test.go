package store

import (
	"errors"
	"reflect"
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
		k, err := s.AddKey(t.Context(), k)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.AddKey(t.Context(), k); err == nil {
			t.Error("a second key of the same name")
		}
		keys, err := s.Keys(t.Context())
		if err != nil || len(keys) != 1 || !reflect.DeepEqual(keys[0], k) {
			t.Errorf("%+v, %v", keys, err)
		}
		k.Name, k.Scopes, k.Agents, k.Revoked, k.Expires, k.PerMinute, k.Control = "crm", []string{"*"}, nil, day, day, 6000, -1
		if err := s.ChangeKey(t.Context(), k); err != nil {
			t.Fatal(err)
		}
		keys, err = s.Keys(t.Context())
		if err != nil || len(keys) != 1 || len(keys[0].Agents) != 0 {
			t.Fatalf("%+v, %v", keys, err)
		}
		if keys[0].Agents = nil; !reflect.DeepEqual(keys[0], k) {
			t.Errorf("%+v is not %+v", keys[0], k)
		}
		if err := s.DeleteKey(t.Context(), k.ID); err != nil {
			t.Fatal(err)
		}
		for _, err := range []error{s.DeleteKey(t.Context(), k.ID), s.ChangeKey(t.Context(), k)} {
			if !errors.Is(err, ErrNotFound) {
				t.Errorf("%v", err)
			}
		}
		if keys, err := s.Keys(t.Context()); err != nil || len(keys) != 0 {
			t.Errorf("%+v, %v", keys, err)
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
