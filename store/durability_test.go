package store

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/tools"
)

// childURL makes the test binary a process that writes to this store.
const childURL = "PATCHCORD_TEST_WRITE_TO"

// writeUntilKilled tells each object once its method has returned.
func writeUntilKilled(url string) {
	ctx := context.Background()
	s, err := Open(ctx, Config{URL: url, Node: "test"})
	for i := 0; err == nil; i++ {
		var a Agent
		a, err = s.CreateAgent(ctx, "child", agent.Agent{
			Name: fmt.Sprint(os.Getpid(), "-", i), Prompt: strings.Repeat("x", 2000), Tools: []tools.Definition{{Type: tools.EndCall}},
		})
		if err == nil {
			a.Greeting = "Hello."
			a, err = s.UpdateAgent(ctx, "child", a)
		}
		if err == nil {
			fmt.Println(a.ID, a.Revision)
		}
	}
	fmt.Println("fault", err)
	os.Exit(1)
}

// A process that is killed while it writes loses nothing that it was told is
// kept, and leaves nothing by halves.
func TestKilledWhileItWrites(t *testing.T) {
	t.Parallel()
	eachURL(t, func(t *testing.T, url string) {
		kept := map[agent.ID]int64{}
		for round := range 5 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			c := exec.CommandContext(ctx, os.Args[0]) //nolint:gosec // this test
			c.Env = append(os.Environ(), childURL+"="+url)
			out, err := c.StdoutPipe()
			if err == nil {
				err = c.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			for n := 0; lines.Scan(); n++ {
				var id agent.ID
				var revision int64
				if _, err := fmt.Sscan(lines.Text(), &id, &revision); err != nil {
					t.Errorf("the child says %s", lines.Text())
					break
				}
				kept[id] = revision
				if n == 10+3*round {
					_ = c.Process.Kill() // what it told before is still read
				}
			}
			_ = c.Wait() // killed
			cancel()
		}
		if len(kept) < 5*10 {
			t.Fatalf("%d agents were told", len(kept))
		}
		s := reopened(t, url)
		defer closed(t, s)
		for id, revision := range kept {
			a, err := s.Agent(t.Context(), id)
			if err != nil || a.Revision < revision || a.Greeting != "Hello." || len(a.Tools) != 1 {
				t.Errorf("%+v, %v", a.Meta, err)
			}
			if v, err := s.Versions(t.Context(), KindAgent, string(id), 0); err != nil || int64(len(v)) != a.Revision {
				t.Errorf("%d versions, %v", len(v), err)
			}
		}
		if s.postgres {
			return
		}
		var whole string
		if err := s.read.NewRaw("PRAGMA integrity_check").Scan(t.Context(), &whole); err != nil || whole != "ok" {
			t.Errorf("%s, %v", whole, err)
		}
	})
}

// reopened opens a store whose process was killed: PostgreSQL may need a
// moment to see that its connections are gone.
func reopened(t *testing.T, url string) *Store {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		s, err := Open(t.Context(), Config{URL: url, Node: "test"})
		if err == nil {
			return s
		}
		if !strings.Contains(err.Error(), "another process") || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// A full disk refuses changes with a clear error; calls go on, and are written
// when there is room again.
func TestAFullDisk(t *testing.T) {
	t.Parallel()
	s := open(t, "sqlite:"+filepath.Join(t.TempDir(), "x.db"))
	defer closed(t, s)
	ctx := t.Context()
	pages := 0
	if err := s.write.NewRaw("PRAGMA page_count").Scan(ctx, &pages); err != nil {
		t.Fatal(err)
	}
	limit := func(n int) {
		if _, err := s.write.ExecContext(ctx, fmt.Sprint("PRAGMA max_page_count = ", n)); err != nil {
			t.Fatal(err)
		}
	}
	limit(pages)
	_, err := s.CreateAgent(ctx, "", agent.Agent{Name: "a", Prompt: strings.Repeat("x", 100_000)})
	if err == nil || !Unavailable(err) || !strings.Contains(err.Error(), "full") {
		t.Errorf("%v", err)
	}
	var ids []string
	for range 50 {
		id := newID(t)
		r := started(id, day)
		r.Variables = map[string]any{"x": strings.Repeat("x", 10_000)}
		s.Started(r)
		ids = append(ids, string(id))
	}
	if list, _, err := s.Calls(ctx, Filter{}); err != nil || len(list) != 0 {
		t.Errorf("%d calls, %v", len(list), err)
	}
	limit(1 << 30)
	waitFor(t, s)
	if list, _, err := s.Calls(ctx, Filter{Limit: 100}); err != nil || len(list) != len(ids) {
		t.Errorf("%d calls, %v", len(list), err)
	}
}

// waitFor waits until what was refused before is written.
func waitFor(t *testing.T, s *Store) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	if err := s.Flush(ctx); err != nil {
		t.Fatal(err)
	}
}

// Another program that holds the database refuses changes with a clear error,
// and reads go on; calls are written when it lets go.
func TestALockedDatabase(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	s := open(t, "sqlite:"+path)
	defer closed(t, s)
	ctx := t.Context()
	if _, err := s.write.ExecContext(ctx, "PRAGMA busy_timeout = 20"); err != nil {
		t.Fatal(err)
	}
	other, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	tx, err := other.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.CreateAgent(ctx, "", agent.Agent{Name: "a"})
	if err == nil || !Unavailable(err) || !strings.Contains(err.Error(), "locked") {
		t.Errorf("%v", err)
	}
	id := newID(t)
	s.Started(started(id, day))
	s.Event(event(id, 1, engine.EventCallStarted))
	if _, _, err := s.Agents(ctx, AgentFilter{}); err != nil {
		t.Errorf("reading: %v", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, s)
	if _, err := s.Call(ctx, id); err != nil {
		t.Error(err)
	}
}
