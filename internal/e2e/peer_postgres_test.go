//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// database is a PostgreSQL server of the test's own.
type database struct {
	t    *testing.T
	bin  string
	data string
	addr string
	as   []string // what it is run by, where we are root: the server refuses to be
	*process
}

// openPostgres makes a server and starts it.
func openPostgres(t *testing.T) *database {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		t.Skip("PostgreSQL is not installed (apt-get install postgresql)")
	}
	dir, err := os.MkdirTemp("", "patchcord-postgres-") //nolint:usetesting // not below t.TempDir, which only we may enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	host := ourAddr()
	d := &database{
		t: t, bin: filepath.Dir(found[len(found)-1]), data: filepath.Join(dir, "data"),
		addr: net.JoinHostPort(host, strconv.Itoa(freePorts(t, host, 1))),
	}
	if os.Getuid() == 0 {
		d.as = []string{needs(t, "setpriv", "util-linux"), "--reuid", "postgres", "--regid", "postgres", "--clear-groups", "--"}
		if out, err := exec.Command("chown", "postgres", dir).CombinedOutput(); err != nil {
			t.Skipf("no user postgres: %s", out)
		}
	}
	argv := append(slices.Clone(d.as), filepath.Join(d.bin, "initdb"), "-D", d.data, "-A", "trust", "-U", "postgres",
		"-E", "UTF8", "--locale=C.UTF-8")
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = "/" // a folder that the server may read
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	d.open()
	return d
}

func (d *database) url() string { return "postgres://postgres@" + d.addr + "/postgres" }

// open starts the server and waits until it answers.
func (d *database) open() {
	d.t.Helper()
	host, port, _ := net.SplitHostPort(d.addr)
	argv := append(slices.Clone(d.as), filepath.Join(d.bin, "postgres"), "-D", d.data, "-c", "listen_addresses="+host,
		"-p", port, "-c", "unix_socket_directories=", "-c", "fsync=off")
	d.process = start(d.t, 10*time.Minute, "/", argv...)
	eventually(d.t, 30*time.Second, "PostgreSQL answers", func() bool {
		select {
		case <-d.done:
			d.t.Fatalf("PostgreSQL ended:\n%s", tail(d.out.String(), 3000))
		default:
		}
		ctx, cancel := context.WithTimeout(d.t.Context(), time.Second)
		defer cancel()
		conn, err := pgx.Connect(ctx, d.url())
		if err != nil {
			return false
		}
		return conn.Close(ctx) == nil
	})
}

// server is the process id of the server.
func (d *database) server() int {
	d.t.Helper()
	text, err := os.ReadFile(filepath.Join(d.data, "postmaster.pid"))
	if err != nil {
		d.t.Fatal(err)
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	pid, err := strconv.Atoi(string(line))
	if err != nil {
		d.t.Fatal(err)
	}
	return pid
}

// shut ends the server as a power cut would.
func (d *database) shut() {
	d.t.Helper()
	if err := syscall.Kill(d.server(), syscall.SIGQUIT); err != nil {
		d.t.Fatal(err)
	}
	<-d.done
}

// signal is for the server and each of its processes.
func (d *database) signal(s syscall.Signal) {
	d.t.Helper()
	pid := d.server()
	_ = syscall.Kill(pid, s)
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range stats {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		_, after, _ := strings.Cut(string(text), ") ") // behind the name: state, parent
		if f := strings.Fields(after); len(f) > 1 && f[1] == strconv.Itoa(pid) {
			child, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			_ = syscall.Kill(child, s)
		}
	}
}

// count is the number that a query gives.
func (d *database) count(query string) (n int) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 10*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, d.url())
	if err != nil {
		d.t.Fatal(err)
	}
	defer conn.Close(ctx)
	if err := conn.QueryRow(ctx, query).Scan(&n); err != nil {
		d.t.Fatalf("%s: %v", query, err)
	}
	return n
}

// TestPeerSIPpWithoutPostgres: calls come and go while the database hangs, and
// again while it is not there. None of them notices, what is asked of the store is
// refused meanwhile, and all they leave is written after (reliability.md 5.2).
func TestPeerSIPpWithoutPostgres(t *testing.T) {
	t.Parallel()
	needs(t, "sipp", "sip-tester")
	const calls, rate, outage = 90, 2, 12 * time.Second
	db := openPostgres(t)
	e := serve(t, fmt.Sprintf("store: {url: %q, spool: %q}\n", db.url(), filepath.Join(t.TempDir(), "spool"))+silent,
		map[string]string{"support.yaml": silentAgent})
	verdict := caller(t, sippRun{
		scenario: held(t, 10*time.Second), to: e.sip, calls: calls, rate: rate, limit: 2 * time.Minute,
	})
	eventually(t, 20*time.Second, "calls are up", func() bool { return e.records(t)["in_progress "] > 10 })
	for _, away := range []struct {
		what       string
		begin, end func()
	}{
		{"hangs", func() { db.signal(syscall.SIGSTOP) }, func() { db.signal(syscall.SIGCONT) }},
		{"is shut", db.shut, db.open},
	} {
		written := db.count("SELECT count(*) FROM calls")
		away.begin()
		begun := time.Now()
		up := len(named(e.read(t), "call.answered"))
		eventually(t, 30*time.Second, "readyz tells of it", func() bool {
			status, body := e.get(t, "/readyz")
			if status != 200 {
				t.Fatalf("readyz: %d %v", status, body)
			}
			return body["status"] == "degraded"
		})
		t.Logf("the database %s: degraded after %v", away.what, time.Since(begun))
		asked := time.Now()
		status, body := e.posts(t, "/v1/agents", `{"name":"late","prompt":"Answer."}`, 25*time.Second)
		if status != 503 {
			t.Errorf("an agent is made while the database %s: %d %v", away.what, status, body)
		}
		t.Logf("a change is refused after %v", time.Since(asked))
		eventually(t, time.Minute, "the outage has lasted", func() bool { return time.Since(begun) >= outage })
		if now := len(named(e.read(t), "call.answered")); now < up+int(outage.Seconds())*rate/2 {
			t.Errorf("%d calls were answered while the database %s", now-up, away.what)
		}
		away.end()
		back := time.Now()
		eventually(t, 40*time.Second, "readyz is well", func() bool {
			_, body := e.get(t, "/readyz")
			return body["status"] == "ok"
		})
		eventually(t, 40*time.Second, "records are written", func() bool {
			return db.count("SELECT count(*) FROM calls") > written+int(outage.Seconds())*rate/2
		})
		t.Logf("it is back: well and written after %v", time.Since(back))
	}
	verdict() // no call was harmed
	eventually(t, 30*time.Second, "every record is written", func() bool {
		return db.count("SELECT count(*) FROM calls WHERE status = 'ended' AND end_reason = 'hangup'") == calls
	})
	if n := db.count("SELECT count(*) FROM calls"); n != calls {
		t.Errorf("%d records of %d calls", n, calls)
	}
	told := 0
	for _, ev := range e.read(t) {
		if ev.text("call_id") != "" {
			told++
		}
	}
	eventually(t, 20*time.Second, "every event is written", func() bool {
		return db.count("SELECT count(*) FROM call_events") == told
	})
	t.Logf("%d calls, %d events, all of them written", calls, told)
	e.stop(t)
}
