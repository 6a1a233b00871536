package store

import (
	"context"
	"errors"
	"io/fs"
	"reflect"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/telephony"
)

// A second node of the same store leaves the calls of the first alone; the
// first ends them when it comes again.
func TestNodesOfOneStore(t *testing.T) {
	t.Parallel()
	url := schema(t)
	node := func(name string) *Store {
		s, err := Open(t.Context(), Config{URL: url, Node: name})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	a := node("a")
	id := newID(t)
	a.Started(started(id, day))
	if _, err := a.Call(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	b := node("b")
	defer closed(t, b)
	if c, err := b.Call(t.Context(), id); err != nil || c.Status != engine.StatusRinging {
		t.Errorf("the call of another node: %+v, %v", c, err)
	}
	other := newID(t)
	b.Started(started(other, day))
	closed(t, a) // without Ended: what a kill leaves behind
	a = node("a")
	defer closed(t, a)
	for id, want := range map[string]string{string(id): engine.StatusEnded, string(other): engine.StatusRinging} {
		if c, err := a.Call(t.Context(), telephony.CallID(id)); err != nil || c.Status != want {
			t.Errorf("%+v, %v", c, err)
		}
	}
}

// Several processes may find an empty database at the same time.
func TestNodesThatStartTogether(t *testing.T) {
	t.Parallel()
	url := schema(t)
	done := make(chan error, 4) // one of each node
	for _, name := range []string{"a", "b", "c", "d"} {
		go func() {
			s, err := Open(context.Background(), Config{URL: url, Node: name})
			if err == nil {
				_, err = s.CreateAgent(context.Background(), name, agent.Agent{Name: name})
				err = errors.Join(err, s.Close(context.Background()))
			}
			done <- err
		}()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestTheNameOfANodeIsTakenAgain(t *testing.T) {
	t.Parallel()
	url := schema(t)
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	l, err := lockNode(t.Context(), &nodeLock{cfg: cfg, node: "a", log: zap.NewNop(), every: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	watcher, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = watcher.Close(context.Background()) }()
	holder := func() (pid int) { // 0 for nobody
		err := watcher.QueryRow(t.Context(), "SELECT COALESCE(MAX(pid), 0) FROM pg_locks WHERE locktype = 'advisory'"+
			" AND ((classid::bigint << 32) | objid::bigint) = $1",
			lockID("node", cfg.RuntimeParams["search_path"], "a")).Scan(&pid)
		if err != nil {
			t.Fatal(err)
		}
		return pid
	}
	first := holder()
	if first == 0 {
		t.Fatal("nobody has the name")
	}
	if _, err := watcher.Exec(t.Context(), "SELECT pg_terminate_backend($1)", first); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; {
		if now := holder(); now != 0 && now != first {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the name was not taken again")
		}
	}
}

// The server sees the end of a process a little later than the next one starts.
func TestTheNameOfANodeIsWaitedFor(t *testing.T) {
	t.Parallel()
	cfg, err := pgx.ParseConfig(schema(t))
	if err != nil {
		t.Fatal(err)
	}
	lock := func() (*nodeLock, error) {
		return lockNode(t.Context(), &nodeLock{cfg: cfg, node: "a", log: zap.NewNop(), every: time.Minute})
	}
	before := must(lock())(t)
	next := make(chan error, 1)
	go func() {
		l, err := lock()
		if err == nil {
			err = l.Close()
		}
		next <- err
	}()
	watcher, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = watcher.Close(context.Background()) }()
	for waits := 0; waits == 0; {
		if err := watcher.QueryRow(t.Context(), "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"+
			" AND ((classid::bigint << 32) | objid::bigint) = $1",
			lockID("node", cfg.RuntimeParams["search_path"], "a")).Scan(&waits); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(before.Close(), <-next); err != nil {
		t.Error(err)
	}
	holds := must(lock())(t)
	defer func() { _ = holds.Close() }()
	if _, err := lock(); !errors.Is(err, errNodeTaken) {
		t.Errorf("%v, want that the name is taken", err)
	}
}

func TestBothKindsHaveTheSameMigrations(t *testing.T) {
	t.Parallel()
	list := func(folder string) (out []string) {
		files, err := fs.ReadDir(migrations, "migrations/"+folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			out = append(out, f.Name())
		}
		return out
	}
	if s, p := list("sqlite"), list("postgres"); !reflect.DeepEqual(s, p) {
		t.Errorf("%v\n%v", s, p)
	}
}

// What is written beside the store's own, in its transaction, is kept or lost
// together with it.
func TestATransactionCanBeShared(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *Store) {
		ctx := t.Context()
		raw := func(ctx context.Context, tx Tx, text string) (err error) {
			if (tx.PGX() == nil) == (tx.SQL() == nil) {
				t.Fatal("one of both is the transaction")
			}
			if tx.PGX() != nil {
				_, err = tx.PGX().Exec(ctx, text)
				return err
			}
			_, err = tx.SQL().ExecContext(ctx, text)
			return err
		}
		create := "CREATE TABLE jobs (id INTEGER PRIMARY KEY)"
		if err := s.InTx(ctx, func(ctx context.Context, tx Tx) error { return raw(ctx, tx, create) }); err != nil {
			t.Fatal(err)
		}
		no := errors.New("no")
		both := func(name, job string, then error) error {
			return s.InTx(ctx, func(ctx context.Context, tx Tx) error {
				if _, err := insertAgent(ctx, tx, "", agent.Agent{Name: name}, opCreate); err != nil {
					return err
				}
				if err := raw(ctx, tx, "INSERT INTO jobs VALUES ("+job+")"); err != nil {
					return err
				}
				return then
			})
		}
		if err := both("kept", "1", nil); err != nil {
			t.Error(err)
		}
		if err := both("lost", "2", no); !errors.Is(err, no) {
			t.Error(err)
		}
		if err := both("lost", "1", nil); err == nil {
			t.Error("the same job twice")
		}
		cancelled, cancel := context.WithCancel(ctx)
		err := s.InTx(cancelled, func(ctx context.Context, tx Tx) error {
			if err := raw(ctx, tx, "INSERT INTO jobs VALUES (3)"); err != nil {
				return err
			}
			cancel()
			return raw(ctx, tx, "INSERT INTO jobs VALUES (4)")
		})
		if err == nil {
			t.Error("a transaction without its context")
		}
		func() {
			defer func() { _ = recover() }()
			_ = s.InTx(ctx, func(ctx context.Context, tx Tx) error {
				_ = raw(ctx, tx, "INSERT INTO jobs VALUES (5)")
				panic("ours")
			})
		}()
		agents, _, err := s.Agents(ctx, AgentFilter{})
		if err != nil || len(agents) != 1 || agents[0].Name != "kept" {
			t.Errorf("%+v, %v", agents, err)
		}
		var jobs []int
		if err := s.read.NewRaw("SELECT id FROM jobs").Scan(ctx, &jobs); err != nil || len(jobs) != 1 {
			t.Errorf("jobs %v, %v", jobs, err)
		}
		if _, err := s.read.NewRaw("DELETE FROM jobs").Exec(ctx); err == nil {
			t.Error("a reader wrote")
		}
	})
}
