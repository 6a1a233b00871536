package cluster

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestRoster(t *testing.T) {
	t.Parallel()
	at := func(s float64) time.Time { return time.Unix(0, 0).Add(time.Duration(s * float64(time.Second))) }
	here := func(id string) notice { return notice{Presence: Presence{ID: id}} }
	var r roster
	for i, s := range []struct {
		name string
		n    notice
		now  float64
		new  bool
		left []string
	}{
		{"a new one", here("a"), 0, true, []string{"a"}},
		{"the same", here("a"), 1, false, []string{"a"}},
		{"another", here("b"), 2, true, []string{"a", "b"}},
		{"one is not heard any more", here("b"), 4.6, false, []string{"b"}},
		{"it is back", here("a"), 5, true, []string{"a", "b"}},
		{"one leaves", notice{Presence: Presence{ID: "b"}, Gone: true}, 5, false, []string{"a"}},
		{"a stranger leaves", notice{Presence: Presence{ID: "c"}, Gone: true}, 5, false, []string{"a"}},
	} {
		if got := r.hear(s.n, at(s.now)); got != s.new {
			t.Errorf("%d %s: new %v", i, s.name, got)
		}
		var left []string
		for _, p := range r.list(at(s.now)) {
			left = append(left, p.ID)
		}
		slices.Sort(left)
		if !slices.Equal(left, s.left) {
			t.Errorf("%d %s: %v, want %v", i, s.name, left, s.left)
		}
	}
	if left := r.list(at(60)); len(left) != 0 {
		t.Errorf("after a minute %v", left)
	}
	if missed := r.miss(at(60)); len(missed) != 1 || missed[0].ID != "a" || len(r.miss(at(60))) != 0 {
		t.Errorf("missed after a minute: %v, and once", missed)
	}
}

// Strangers cannot fill the memory.
func TestRosterIsBounded(t *testing.T) {
	t.Parallel()
	var r roster
	now := time.Unix(0, 0)
	for i := range mostNodes + 10 {
		r.hear(notice{Presence: Presence{ID: fmt.Sprint(i)}}, now)
	}
	if got := len(r.list(now)); got != mostNodes {
		t.Errorf("%d", got)
	}
}
