package store

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/patchcord/patchcord/telephony/dialer"
)

// node opens a store as one of the nodes of a PostgreSQL store, which tells that it
// is there as often as beat says.
func node(t *testing.T, url, name string, beat time.Duration) *Store {
	t.Helper()
	s, err := Open(t.Context(), Config{URL: url, Node: name, beat: beat})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What a node was at is left alone while it tells that it is there, and while it
// holds its name; then the others give its claims back and put up for review what
// it had dialled.
func TestANodeThatIsGone(t *testing.T) {
	t.Parallel()
	url := schema(t)
	a, b := node(t, url, "a", time.Hour), node(t, url, "b", time.Hour)
	defer closed(t, a)
	ctx := t.Context()
	c := running(t, a, dialer.Campaign{}, 3)
	all := claimed(t, b.Ledger(), c.ID, 3)
	if err := b.Ledger().Dialing(ctx, all[0], newID(t), ""); err != nil {
		t.Fatal(err)
	}
	recovered := func(when string, want ...int) {
		t.Helper()
		if back, review := must2(a.Ledger().Recover(ctx))(t); back != want[0] || review != want[1] {
			t.Errorf("%s: %d given back, %d up for review, want %v", when, back, review, want)
		}
	}
	recovered("it is there", 0, 0)
	alter(t, a, "UPDATE nodes SET since_at = 0 WHERE id = 'a'")
	recovered("it is there", 0, 0)
	alter(t, a, "UPDATE nodes SET expires_at = 0 WHERE id = 'b'")
	recovered("it holds its name", 0, 0)
	closed(t, b)
	nameless(t, a, "b")
	alter(t, a, "INSERT INTO nodes VALUES ('b', 0, "+pgNow+" + 3600000)") // as if it had not closed, and its time ran
	recovered("its time runs", 0, 0)
	alter(t, a, "UPDATE nodes SET expires_at = 0 WHERE id = 'b'")
	alter(t, a, "UPDATE nodes SET since_at = expires_at WHERE id = 'a'")
	recovered("the other has the database since a moment", 0, 0)
	alter(t, a, "UPDATE nodes SET since_at = 0 WHERE id = 'a'")
	recovered("it is gone", 2, 1)
	recovered("once more", 0, 0)
	states(t, a, c.ID, map[dialer.State]int{dialer.Pending: 2, dialer.Review: 1})
	// It comes back, and knows more than the others thought.
	b = node(t, url, "b", time.Hour)
	defer closed(t, b)
	if err := b.Ledger().Dialing(ctx, all[1], newID(t), ""); !errors.Is(err, dialer.ErrNotClaimed) {
		t.Errorf("dialled after it was given back: %v", err)
	}
	if err := b.Ledger().Finish(ctx, all[0], dialer.Result{
		Outcome: dialer.OutcomePerson,
		Next:    dialer.Reached,
	}); err != nil {
		t.Error(err)
	}
	states(t, a, c.ID, map[dialer.State]int{dialer.Pending: 2, dialer.Reached: 1})
}

// The database's clock is set back by hours: a node whose time would run for so long
// is gone all the same, and who looks after it need not wait for so long.
func TestTheDatabasesClockIsSetBack(t *testing.T) {
	t.Parallel()
	url := schema(t)
	a, b := node(t, url, "a", 100*time.Millisecond), node(t, url, "b", 100*time.Millisecond)
	defer closed(t, a)
	c := running(t, a, dialer.Campaign{}, 2)
	all := claimed(t, b.Ledger(), c.ID, 2)
	if err := b.Ledger().Dialing(t.Context(), all[0], newID(t), ""); err != nil {
		t.Fatal(err)
	}
	closed(t, b)
	nameless(t, a, "b")
	alter(t, a, "INSERT INTO nodes VALUES ('b', 0, "+pgNow+")") // as if it had been killed
	alter(t, a, "UPDATE nodes SET since_at = since_at + 7200000, expires_at = expires_at + 7200000")
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var back, review int
	for limit := time.After(20 * time.Second); back+review < 2; {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%d given back, %d up for review", back, review)
		}
		n, up := must2(a.Ledger().Recover(t.Context()))(t)
		back, review = back+n, review+up
	}
	states(t, a, c.ID, map[dialer.State]int{dialer.Pending: 1, dialer.Review: 1})
}

// A process is killed while the database lets an attempt of its pass: the next one of
// its name waits for that, and puts it up for review.
func TestAFenceThatIsPassedLate(t *testing.T) {
	t.Parallel()
	url := schema(t)
	a := node(t, url, "a", time.Hour)
	ctx := t.Context()
	c := running(t, a, dialer.Campaign{}, 2)
	all := claimed(t, a.Ledger(), c.ID, 2)
	late, err := pgx.ConnectConfig(ctx, a.conn) // the server has not missed it yet
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = late.Close(context.Background()) }()
	for _, statement := range []string{
		"BEGIN",
		"UPDATE contacts SET state = 'dialing', tries = 1 WHERE id = '" + all[0].Contact.ID + "'",
		"UPDATE attempts SET state = 'dialing', dialed_at = 1 WHERE contact_id = '" + all[0].Contact.ID + "'",
	} {
		if _, err := late.Exec(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	closed(t, a)
	next := make(chan *Store, 1)
	go func() {
		b, err := Open(ctx, Config{URL: url, Node: "a", beat: time.Hour})
		if err != nil {
			t.Error(err)
		}
		next <- b
	}()
	waits := false
	for limit := time.Now().Add(time.Minute); !waits; {
		if time.Now().After(limit) {
			t.Fatal("nobody waits for it")
		}
		if err := late.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted AND "+
			"pg_backend_pid() = ANY (pg_blocking_pids(pid)))").Scan(&waits); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := late.Exec(ctx, "COMMIT"); err != nil {
		t.Fatal(err)
	}
	b := <-next
	if b == nil {
		return
	}
	defer closed(t, b)
	states(t, b, c.ID, map[dialer.State]int{dialer.Pending: 1, dialer.Review: 1})
}

// nameless waits until the server has seen that nobody holds a name any more.
func nameless(t *testing.T, s *Store, name string) {
	t.Helper()
	var schema string
	if err := s.read.NewRaw("SELECT current_schema()").Scan(t.Context(), &schema); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(time.Minute); ; {
		var n int
		err := s.read.NewRaw("SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND "+
			"((classid::bigint << 32) | objid::bigint) = ?", lockID("node", schema, name)).Scan(t.Context(), &n)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("the name is held")
		}
	}
}

func TestANodeTellsThatItIsThere(t *testing.T) {
	t.Parallel()
	url := schema(t)
	s := node(t, url, "a", 5*time.Millisecond)
	read := func() (since, expires int64) {
		t.Helper()
		if err := s.read.NewRaw("SELECT since_at, expires_at FROM nodes WHERE id = 'a'").Scan(t.Context(), &since, &expires); err != nil {
			t.Fatal(err)
		}
		return since, expires
	}
	since, first := read()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	until := func(what string, told func(since, expires int64) bool) {
		t.Helper()
		for limit := time.After(time.Minute); !told(read()); {
			select {
			case <-tick.C:
			case <-limit:
				t.Fatal("it did not tell " + what)
			}
		}
	}
	until("again", func(_, e int64) bool { return e > first })
	alter(t, s, "UPDATE nodes SET expires_at = 0")
	until("that it is new after a break", func(now, e int64) bool { return e > 0 && now > since })
	closed(t, s)
	other := node(t, url, "b", time.Hour)
	defer closed(t, other)
	var n int
	if err := other.read.NewRaw("SELECT COUNT(*) FROM nodes WHERE id = 'a'").Scan(t.Context(), &n); err != nil || n != 0 {
		t.Errorf("it is there after its end: %d, %v", n, err)
	}
}
