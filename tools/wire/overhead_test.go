package wire_test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/patchcord/patchcord/tools"
)

const (
	atOnce    = 50                    // calls that are under way
	ownLeast  = 20 * time.Millisecond // an endpoint's own time, least
	ownSpread = 40 * time.Millisecond // and how much more it may be
)

// plainRequest is an http_request in the form of the recorded exchanges.
const plainRequest = `
tool:
  name: open_ticket
  description: Opens a ticket
  tool_type: http_request
  parameters: {properties: {title: {type: string}}, required: [title]}
  config: {url: "URL/tickets?from={{caller_phone}}", method: POST, headers: [{key: Authorization, value: "Bearer {{secret.key}}"}]}
calls: [{id: c1, args: '{"title":"No dial tone"}'}]
reply: {status: 201, body: '{"id":7,"state":"open"}'}
`

// BenchmarkOverhead prints what a call of a tool takes beyond the endpoint's
// own time, with 50 calls under way, over connections that are up: from the
// model's arguments to the result for the model, less what passes at the
// endpoint between a request's last byte read and the answer's first written.
func BenchmarkOverhead(b *testing.B) {
	var plain exchange
	if err := yaml.UnmarshalWithOptions([]byte(plainRequest), &plain, yaml.Strict()); err != nil {
		b.Fatal(err)
	}
	forms := map[string]exchange{"http_request": plain}
	dirs := map[string]string{}
	for dir, all := range exchanges(b) {
		forms[filepath.Base(dir)], dirs[filepath.Base(dir)] = all[0], dir
	}
	names := make([]string, 0, len(forms))
	for name := range forms {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, scheme := range []string{"http", "https"} {
		for _, name := range names {
			x := forms[name]
			b.Run(name+"/"+scheme, func(b *testing.B) { x.overhead(b, dirs[name], scheme == "https") })
		}
	}
}

func (x *exchange) overhead(b *testing.B, dir string, secure bool) {
	at, deps := x.endpoint(b, secure)
	tool, env := x.build(b, dir, at.URL, deps)
	env.Vars = map[string]any{"caller_phone": env.Phone}
	var n atomic.Int64
	call := func() time.Duration {
		env := env
		env.CallID = fmt.Sprint(n.Add(1))
		start := time.Now()
		args, refused, ok := tools.Arguments(tool, json.RawMessage(x.Calls[0].Args))
		if !ok {
			b.Error(refused.Err)
			return 0
		}
		r := tool.Run(b.Context(), tools.Call{ID: x.Calls[0].ID, Name: tool.Definition().Name, Args: args, Env: env})
		took := time.Since(start)
		own, ok := at.own.LoadAndDelete(env.CallID + "-" + x.Calls[0].ID)
		if r.Status != tools.OK || !ok {
			b.Errorf("%s: %s", r.Status, r.Err)
			return 0
		}
		return took - own.(time.Duration) //nolint:errcheck // stored as one
	}
	call() // over TLS all the others go by the same connection
	var wg sync.WaitGroup
	for range atOnce {
		wg.Go(func() { call() })
	}
	wg.Wait()
	var mu sync.Mutex // guards all
	var all []time.Duration
	dialled := at.connections.Load()
	b.SetParallelism((atOnce + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		var own []time.Duration
		for pb.Next() {
			own = append(own, call())
		}
		mu.Lock()
		defer mu.Unlock()
		all = append(all, own...)
	})
	slices.Sort(all)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(ms(all[len(all)/2]), "p50_ms")
	b.ReportMetric(ms(all[len(all)*99/100]), "p99_ms")
	b.ReportMetric(float64(at.connections.Load()-dialled), "new_connections")
	b.ReportMetric(0, "ns/op") // the endpoint's own time for the most part
}

// timed is an endpoint that tells its own time.
type timed struct {
	*httptest.Server
	own         sync.Map // of each request, by its Idempotency-Key
	connections atomic.Int64
}

// endpoint answers as the exchange does; over TLS in HTTP/2.
func (x *exchange) endpoint(b *testing.B, secure bool) (*timed, tools.Deps) {
	b.Helper()
	at := &timed{}
	at.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		start := time.Now()
		<-time.After(ownLeast + rand.N(ownSpread)) //nolint:gosec // no secret
		w.Header().Set("Content-Type", "application/json")
		at.own.Store(r.Header.Get("Idempotency-Key"), time.Since(start))
		w.WriteHeader(x.Reply.Status)
		_, _ = io.WriteString(w, x.Reply.Body)
	}))
	at.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			at.connections.Add(1)
		}
	}
	b.Cleanup(at.Close)
	if !secure {
		at.Start()
		return at, deps(b)
	}
	at.EnableHTTP2 = true
	at.StartTLS()
	file := filepath.Join(b.TempDir(), "ca.pem")
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: at.Certificate().Raw})
	if err := os.WriteFile(file, cert, 0o600); err != nil {
		b.Fatal(err)
	}
	c, err := tools.NewClient(tools.HTTPConfig{AllowCIDRs: []string{"127.0.0.0/8"}, CAFile: file})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.Close)
	d := deps(b)
	d.Client = c
	return at, d
}
