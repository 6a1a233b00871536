package store

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/patchcord/patchcord/telephony/dialer"
)

// dialled claims n contacts and dials them.
func dialled(t *testing.T, l *Ledger, campaign string, n int) []dialer.Attempt {
	t.Helper()
	all := claimed(t, l, campaign, n)
	for _, a := range all {
		if err := l.Dialing(t.Context(), a, newID(t), ""); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// While the database takes nothing, what becomes of attempts waits, and no attempt
// is stuck when it is back.
func TestResultsWhileTheStoreIsAway(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		l := s.Ledger()
		c := running(t, s, dialer.Campaign{}, 6)
		all := dialled(t, l, c.ID, 4)
		open := claimed(t, l, c.ID, 2)
		alter(t, s, "ALTER TABLE attempts RENAME TO away")
		ended := make(chan error, 6) // one of each attempt
		for _, a := range all {
			go func() {
				ended <- l.Finish(t.Context(), a, dialer.Result{Outcome: dialer.OutcomePerson, Next: dialer.Reached})
			}()
		}
		go func() { ended <- l.Release(t.Context(), open[0], dialer.Pending, time.Time{}, "no seat") }()
		go func() {
			if err := l.Dialing(t.Context(), open[1], newID(t), ""); err == nil || errors.Is(err, dialer.ErrNotClaimed) {
				t.Errorf("the fence of a store that is away: %v", err)
			}
			ended <- nil
		}()
		for range cap(ended) {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		alter(t, s, "ALTER TABLE away RENAME TO attempts")
		waitFor(t, s)
		states(t, s, c.ID, map[dialer.State]int{dialer.Reached: 4, dialer.Pending: 2})
	})
}

// What is unwritten when the process ends is written by the next one, before it
// puts anything up for review.
func TestTheNextProcessWritesResults(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	url, path := "sqlite:"+filepath.Join(dir, "x.db"), filepath.Join(dir, "x.spool")
	s := open(t, url)
	c := running(t, s, dialer.Campaign{}, 3)
	closed(t, s)
	s, err := Open(t.Context(), Config{URL: url, Node: "test", Spool: path, SpoolBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	all := dialled(t, s.Ledger(), c.ID, 2)
	alter(t, s, "ALTER TABLE contacts RENAME TO away")
	r := dialer.Result{
		Outcome: dialer.OutcomePerson, Next: dialer.Pending, Due: day, OptOut: true,
		Data: map[string]any{"amount": 9007199254740993, "bad": "a\x00b\xff"},
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := s.Ledger().Finish(ctx, all[0], r); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(ctx); err != nil {
		t.Errorf("it is no loss: %v", err)
	}
	db, err := connectSQLite(filepath.Join(dir, "x.db"), "", 1)
	if err == nil {
		_, err = db.ExecContext(t.Context(), "ALTER TABLE away RENAME TO contacts")
	}
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(t.Context(), Config{URL: url, Node: "test", Spool: path, SpoolBytes: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	defer closed(t, s)
	states(t, s, c.ID, map[dialer.State]int{dialer.Blocked: 1, dialer.Review: 1, dialer.Pending: 1})
	d := must(s.Dials(t.Context(), all[0].Contact.ID))(t)
	if len(d) != 1 || d[0].Outcome != dialer.OutcomePerson || d[0].Data["amount"] != 9007199254740993.0 || !d[0].OptOut {
		t.Errorf("%+v", d)
	}
}

func TestAResultThatIsNoJSON(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		l := s.Ledger()
		c := running(t, s, dialer.Campaign{}, 1)
		a := dialled(t, l, c.ID, 1)[0]
		r := dialer.Result{
			Outcome: dialer.OutcomePerson, Next: dialer.Reached, Why: "a\x00b\xff", Data: map[string]any{"f": func() {}},
		}
		if err := l.Finish(t.Context(), a, r); err != nil {
			t.Error(err)
		}
		states(t, s, c.ID, map[dialer.State]int{dialer.Reached: 1})
	})
}
