//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// fleet are three nodes with one PostgreSQL behind a Kamailio, by the files of
// configs/examples/cluster.
type fleet struct {
	t     *testing.T
	dir   string
	db    string // URL
	front string // where Kamailio is: UDP and TCP 5060
	nodes []*engine
	names []string
	addrs []string
	proxy *process
}

func openFleet(t *testing.T) *fleet {
	t.Helper()
	kamailio := needs(t, "kamailio", "kamailio")
	f := &fleet{t: t, dir: t.TempDir(), db: newDatabase(t), front: ourAddr()}
	f.names = []string{"node-a", "node-b", "node-c"}
	swap := []string{"/etc/kamailio", filepath.Join(f.dir, "examples", "cluster"), "127.0.1.10", f.front}
	for i := range f.names {
		f.addrs = append(f.addrs, ourAddr())
		swap = append(swap, fmt.Sprintf("127.0.1.1%d", i+1), f.addrs[i])
	}
	here := strings.NewReplacer(swap...)
	const from = "../../configs"
	for _, name := range []string{"kamailio.cfg", "dispatcher.list", "patchcord.yaml"} {
		text, err := os.ReadFile(filepath.Join(from, "examples/cluster", name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(f.dir, "examples", "cluster", name), here.Replace(string(text)))
	}
	if err := os.CopyFS(filepath.Join(f.dir, "agents"), os.DirFS(filepath.Join(from, "agents"))); err != nil {
		t.Fatal(err)
	}
	f.nodes = make([]*engine, len(f.names))
	for i := range f.nodes {
		f.start(i)
	}
	config := filepath.Join(f.dir, "examples", "cluster", "kamailio.cfg")
	f.proxy = start(t, 10*time.Minute, f.dir, kamailio, "-f", config, "-DD", "-E", "-m", "32", "-M", "4", "-w", f.dir, "-Y", f.dir,
		"-P", filepath.Join(f.dir, "pid"))
	eventually(t, 15*time.Second, "kamailio listens", func() bool {
		select {
		case <-f.proxy.done:
			t.Fatalf("kamailio ended:\n%s", tail(f.proxy.out.String(), 3000))
		default:
		}
		conn, err := net.DialTimeout("tcp", f.front+":5060", time.Second)
		if err != nil {
			return false
		}
		conn.Close()
		return true
	})
	eventually(t, 20*time.Second, "the nodes see each other", func() bool { return len(f.list(0)) == len(f.nodes) })
	return f
}

// start starts a node, or starts it again, and waits until it takes calls.
func (f *fleet) start(i int) {
	f.t.Helper()
	dir := filepath.Join(f.dir, f.names[i])
	if err := os.MkdirAll(dir, 0o700); err != nil {
		f.t.Fatal(err)
	}
	e := &engine{
		dir: dir, sip: net.JoinHostPort(f.addrs[i], "5060"), http: "http://" + net.JoinHostPort(f.addrs[i], "8080"),
		events: filepath.Join(dir, "events.jsonl"),
	}
	env := []string{
		"NODE=" + f.names[i], "ADDR=" + f.addrs[i], fmt.Sprintf("RTP=2%d000-2%d998", i+1, i+1), "EVENTS=" + e.events,
		"DATABASE_URL=" + f.db, "PATCHCORD_CLUSTER_PASSWORD=s3cret", "SPEECH=silent",
	}
	argv := append(append([]string{"env"}, env...), command(f.t, "patchcord"), "serve", "--drain", "20s", "-c",
		filepath.Join(f.dir, "examples", "cluster", "patchcord.yaml"))
	e.process = start(f.t, 10*time.Minute, dir, argv...)
	f.nodes[i] = e
	eventually(f.t, 30*time.Second, f.names[i]+" is ready", func() bool {
		select {
		case <-e.done:
			f.t.Fatalf("%s ended:\n%s", f.names[i], tail(e.out.String(), 4000))
		default:
		}
		return e.logged("ready")
	})
}

// seen is a node in /v1/nodes.
type seen struct {
	Name     string
	Calls    int
	Draining bool
}

// list is what a node sees of all.
func (f *fleet) list(i int) map[string]seen {
	_, body := f.nodes[i].get(f.t, "/v1/nodes")
	b, err := json.Marshal(body["data"])
	if err != nil {
		f.t.Fatal(err)
	}
	var all []seen
	if err := json.Unmarshal(b, &all); err != nil {
		f.t.Fatal(err)
	}
	out := map[string]seen{}
	for _, s := range all {
		out[s.Name] = s
	}
	return out
}

// stop ends a node as an operator would, and tells how long its calls took.
func (f *fleet) stop(i int) time.Duration {
	f.t.Helper()
	e, begun := f.nodes[i], time.Now()
	if err := e.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		f.t.Fatal(err)
	}
	other := (i + 1) % len(f.nodes)
	eventually(f.t, 10*time.Second, f.names[i]+" drains", func() bool {
		s, ok := f.list(other)[f.names[i]]
		return !ok || s.Draining
	})
	select {
	case <-e.done:
		if e.err != nil {
			f.t.Errorf("%s ended: %v", f.names[i], e.err)
		}
	case <-time.After(40 * time.Second):
		f.t.Fatalf("%s does not end on SIGTERM", f.names[i])
	}
	return time.Since(begun)
}

// told posts a command for a call at a node.
func (e *engine) told(t *testing.T, id, command string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.http+"/v1/calls/"+id+"/control", bytes.NewBufferString(command))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	_, _ = new(bytes.Buffer).ReadFrom(res.Body) // so that the connection is used again
	return res.StatusCode
}

// newDatabase is the URL of a new database at the server of TEST_PG_DSN.
func newDatabase(t *testing.T) string {
	t.Helper()
	dsn := os.Getenv("TEST_PG_DSN")
	u, err := url.Parse(dsn)
	if dsn == "" || err != nil {
		t.Skip("TEST_PG_DSN is not set: run this beside a server by .ci/postgres")
	}
	name := strings.TrimPrefix(u.Path, "/") + fmt.Sprintf("_fleet_%d_%d", os.Getpid(), lastAddr.Add(1))
	do := func(text string) {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		c, err := pgx.Connect(ctx, dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(ctx)
		if _, err := c.Exec(ctx, text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	do("CREATE DATABASE " + name)
	t.Cleanup(func() { do("DROP DATABASE " + name + " WITH (FORCE)") })
	u.Path = "/" + name
	return u.String()
}
