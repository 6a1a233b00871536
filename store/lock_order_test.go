package store

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// numbered makes the trunks a and b, and a number of a.
func numbered(t *testing.T, s *Store) (Trunk, Number) {
	t.Helper()
	ctx := t.Context()
	must(s.CreateAgent(ctx, "", agent.Agent{Name: "support"}))(t)
	a := must(s.CreateTrunk(ctx, "", trunk.Config{Name: "a", Allow: []string{"203.0.113.0/24"}}))(t)
	must(s.CreateTrunk(ctx, "", trunk.Config{Name: "b", Allow: []string{"198.51.100.0/24"}}))(t)
	return a, must(s.CreateNumber(ctx, "", trunk.Number{Number: "030123456", Trunk: "a", Agent: "support"}))(t)
}

// waitedFor returns when another waits for what a transaction has locked. How
// the other ends comes through over, which has room for it.
func waitedFor(ctx context.Context, s *Store, tx Tx, over chan error) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var pid, waiting int
	err := tx.NewRaw("SELECT pg_backend_pid()").Scan(ctx, &pid)
	for err == nil && waiting == 0 {
		select {
		case end := <-over:
			return fmt.Errorf("the other ended and had not to wait: %w", end)
		case <-ctx.Done():
			return fmt.Errorf("nobody waits: %w", ctx.Err())
		case <-tick.C:
		}
		err = s.read.NewRaw("SELECT count(*) FROM pg_stat_activity WHERE ? = ANY(pg_blocking_pids(pid))", pid).
			Scan(ctx, &waiting)
	}
	return err
}

// Who changes a trunk with its numbers and who changes one of these lock both in
// one order: neither waits for the other, who waits for it.
func TestATrunkAndItsNumberChangeAtOnce(t *testing.T) {
	t.Parallel()
	s := open(t, schema(t))
	t.Cleanup(func() { closed(t, s) })
	a, n := numbered(t, s)
	other := make(chan error, 1) // how the number's change ended
	err := s.InTx(t.Context(), func(ctx context.Context, tx Tx) error {
		row, err := lockTrunk(ctx, tx, a.ID)
		if err != nil {
			return err
		}
		go func() {
			_, err := s.UpdateNumber(t.Context(), "", n)
			other <- err
		}()
		if err := waitedFor(ctx, s, tx, other); err != nil {
			return err
		}
		a.Country = "DE"
		_, err = saveTrunk(ctx, tx, "", row, a.Config)
		return err
	})
	if err != nil {
		t.Fatalf("the trunk: %v", err)
	}
	if err := <-other; !errors.Is(err, ErrStale) {
		t.Errorf("the number, which its trunk's country has changed meanwhile: %v", err)
	}
}

func TestATrunkDoesNotTakeANumberBack(t *testing.T) {
	t.Parallel()
	s := open(t, schema(t))
	t.Cleanup(func() { closed(t, s) })
	a, n := numbered(t, s)
	other := make(chan error, 1) // how the trunk's change ended
	err := s.InTx(t.Context(), func(ctx context.Context, tx Tx) error {
		to, err := lockTargets(ctx, tx, trunk.Number{Number: n.Number.Number, Trunk: "b", Agent: "support"})
		if err != nil {
			return err
		}
		row, err := lockNumber(ctx, tx, n.ID)
		if err != nil {
			return err
		}
		go func() {
			a.Name = "c"
			_, err := s.UpdateTrunk(t.Context(), "", a)
			other <- err
		}()
		if err := waitedFor(ctx, s, tx, other); err != nil {
			return err
		}
		_, err = saveNumber(ctx, tx, "", row, to)
		return err
	})
	if err != nil {
		t.Fatalf("the number: %v", err)
	}
	if err := <-other; err != nil {
		t.Errorf("the trunk: %v", err)
	}
	if n := must(s.Number(t.Context(), n.ID))(t); n.Trunk != "b" {
		t.Errorf("the number is of the trunk %s", n.Trunk)
	}
}

func TestNumbersThatGoWithTheirTrunkAreChanged(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		a, n := numbered(t, s)
		a.Country = "DE"
		a = must(s.UpdateTrunk(ctx, "ops", a))(t)
		now := must(s.Number(ctx, n.ID))(t)
		if now.Number.Number != "+4930123456" || now.Revision != 2 || now.By != "ops" {
			t.Errorf("of a country: %+v", now)
		}
		a.Name = "c"
		a = must(s.UpdateTrunk(ctx, "ops", a))(t)
		if now = must(s.Number(ctx, n.ID))(t); now.Trunk != "c" || now.Revision != 3 {
			t.Errorf("renamed: %+v", now)
		}
		n.Trunk = "c"
		if _, err := s.UpdateNumber(ctx, "", n); !errors.Is(err, ErrStale) {
			t.Errorf("a change of what was read before: %v", err)
		}
		a.Username = "u"
		must(s.UpdateTrunk(ctx, "ops", a))(t)
		if same := must(s.Number(ctx, n.ID))(t); same.Revision != 3 {
			t.Errorf("a change of its trunk that is none of its: %+v", same)
		}
	})
}
