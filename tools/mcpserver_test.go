package tools

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// rig is a server of the SDK that is reached without a network, so that the time
// of a test is virtual.
type rig struct {
	server  *mcp.Server
	handler http.Handler
	hangs   atomic.Bool  // takes requests and answers none
	refuses atomic.Value // func(http.ResponseWriter): how it answers for its list, nil: as it should
	lists   atomic.Int32 // that were asked for
	opened  atomic.Int32 // connections
	closed  atomic.Int32
}

func (r *rig) RoundTrip(req *http.Request) (*http.Response, error) {
	var m struct {
		Method string `json:"method"`
	}
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, err
		}
		_ = json.NewDecoder(body).Decode(&m)
	}
	switch {
	case req.Method == http.MethodDelete:
		r.closed.Add(1)
	case m.Method == "tools/list":
		r.lists.Add(1)
	case m.Method == "initialize":
		r.opened.Add(1)
	}
	if r.hangs.Load() {
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
	w := httptest.NewRecorder()
	if refuse, _ := r.refuses.Load().(func(http.ResponseWriter)); refuse != nil && m.Method == "tools/list" {
		refuse(w)
	} else {
		r.handler.ServeHTTP(w, req)
	}
	resp := w.Result()
	resp.Request = req
	return resp, nil
}

func newRig(t *testing.T) (r *rig, d Deps, def Definition) {
	t.Helper()
	r = &rig{server: mcp.NewServer(&mcp.Implementation{Name: "docs", Version: "1"}, nil)}
	r.server.AddTool(&mcp.Tool{Name: "search", Description: "Searches.", InputSchema: json.RawMessage(`{"type":"object"}`)},
		func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "found"}}}, nil
		})
	r.handler = mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return r.server },
		&mcp.StreamableHTTPOptions{JSONResponse: true})
	d.Client = &Client{open: &http.Client{Transport: r}}
	d.Servers = NewServers(d.Client)
	config, err := NewConfig(map[string]any{"url": "https://docs.example.com/mcp"})
	if err != nil {
		t.Fatal(err)
	}
	return r, d, Definition{Type: MCP, Name: "docs", Config: config}
}

// end closes the servers within a bound, whatever the other end does.
func (r *rig) end(t *testing.T, s *Servers, bound time.Duration) {
	t.Helper()
	start := time.Now()
	s.Close()
	if took := time.Since(start); took > bound {
		t.Errorf("closed after %v", took)
	}
	for session := range r.server.Sessions() {
		_ = session.Close()
	}
}

// callStarts is what a call's start does; it tells how long that took.
func callStarts(t *testing.T, d Deps, def Definition) (offered int, took time.Duration) {
	t.Helper()
	start := time.Now()
	set, faults := Build([]Definition{def}, d)
	if faults.Err() != nil {
		t.Error(faults)
	}
	return len(set.Offered()), time.Since(start)
}

// A server that hangs is waited for once, by its first call; the next ones go on
// without it, and have its tools when it is back.
func TestAnMCPServerThatHangsIsWaitedForOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, d, def := newRig(t)
		r.hangs.Store(true)
		if n, took := callStarts(t, d, def); n != 0 || took != mcpPatience {
			t.Errorf("the first call: %d tools after %v", n, took)
		}
		for range 200 { // while it hangs, after it was given up, when it is asked again
			if n, took := callStarts(t, d, def); n != 0 || took != 0 {
				t.Fatalf("a later call: %d tools after %v", n, took)
			}
			time.Sleep(time.Second)
		}
		if n := r.opened.Load(); n < 3 || n > 8 { // 5, 10, 20, 40, 60 s of peace after 10 s each
			t.Errorf("it was asked %d times in 200 s", n)
		}
		r.hangs.Store(false)
		time.Sleep(mcpAwayMost + mcpList)
		callStarts(t, d, def)
		synctest.Wait()
		if n, took := callStarts(t, d, def); n != 1 || took != 0 {
			t.Errorf("when it is back: %d tools after %v", n, took)
		}
		r.end(t, d.Servers, 0)
	})
}

// Servers that do not answer are waited for together, not one after the other.
func TestMCPServersAreAskedAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, d, def := newRig(t)
		r.hangs.Store(true)
		defs := make([]Definition, 3)
		for i := range defs {
			config, err := NewConfig(map[string]any{"url": fmt.Sprintf("https://docs.example.com/%d", i)})
			if err != nil {
				t.Fatal(err)
			}
			defs[i] = def
			defs[i].Name, defs[i].Config = fmt.Sprintf("docs%d", i), config
		}
		start := time.Now()
		_, faults := Build(defs, d)
		if took := time.Since(start); len(faults) != len(defs) || faults.Err() != nil || took != mcpPatience {
			t.Errorf("%v after %v", faults, took)
		}
		r.end(t, d.Servers, mcpClose)
	})
}

// A server that is there, but does not tell its list again, goes on being called
// with the tools that are known, and is asked for the list ever more seldom.
func TestAnMCPListThatFailsIsNoCallsFailure(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		refuse func(http.ResponseWriter)
		opened int32
	}{
		"429": {func(w http.ResponseWriter) { http.Error(w, "slow down", http.StatusTooManyRequests) }, 1},
		"500": {func(w http.ResponseWriter) { http.Error(w, "oh no", http.StatusInternalServerError) }, 1},
		"403": {func(w http.ResponseWriter) { http.Error(w, "not you", http.StatusForbidden) }, 2}, // it ends the session
		"JSON-RPC": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"oh no"}}`)
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r, d, def := newRig(t)
				set, faults := Build([]Definition{def}, d)
				tool, ok := set.Get("search")
				if !ok {
					t.Fatal(faults)
				}
				r.refuses.Store(c.refuse)
				time.Sleep(mcpFresh + time.Second)
				synctest.Wait()
				if n := r.lists.Load(); n != 2 {
					t.Fatalf("%d lists", n)
				}
				if res := tool.Run(t.Context(), Call{Name: "search", Args: json.RawMessage(`{}`)}); res.Status != OK {
					t.Errorf("%s %s", res.Status, res.Err)
				}
				if n := r.opened.Load(); n != c.opened {
					t.Errorf("%d connections, want %d", n, c.opened)
				}
				if n, took := callStarts(t, d, def); n != 1 || took != 0 {
					t.Errorf("a new phone call: %d tools after %v", n, took)
				}
				synctest.Wait()
				if n := r.lists.Load(); n != 2 { // not so soon
					t.Errorf("%d lists", n)
				}
				r.end(t, d.Servers, 0)
			})
		})
	}
}

// A server that begins to hang costs the call that meets it its own timeout, and
// the next ones nothing (INV26).
func TestAnMCPServerThatBeginsToHang_INV26(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, d, def := newRig(t)
		set, faults := Build([]Definition{def}, d)
		tool, ok := set.Get("search")
		if !ok {
			t.Fatal(faults)
		}
		run := func() (Result, time.Duration) {
			start := time.Now()
			return tool.Run(t.Context(), Call{Name: "search", Args: json.RawMessage(`{}`)}), time.Since(start)
		}
		if res, _ := run(); res.Status != OK {
			t.Fatalf("%s %s", res.Status, res.Err)
		}
		r.hangs.Store(true)
		if res, took := run(); res.Status != TimedOut || took != tool.Definition().Timeout() {
			t.Errorf("the call that meets it: %s after %v", res.Status, took)
		}
		time.Sleep(mcpList) // the list that was asked in doubt
		synctest.Wait()
		for range 3 {
			if res, took := run(); res.Status != Failed || took != 0 || res.Err != "no_connection: it failed a moment ago" {
				t.Errorf("a later call: %s %s after %v", res.Status, res.Err, took)
			}
		}
		if n, took := callStarts(t, d, def); n != 1 || took != 0 { // the old list goes on being used
			t.Errorf("a new phone call: %d tools after %v", n, took)
		}
		time.Sleep(mcpAway)
		if res, took := run(); res.Status != Failed || took != mcpConnect {
			t.Errorf("the next try: %s after %v", res.Status, took)
		}
		r.hangs.Store(false)
		time.Sleep(mcpAwayMost)
		if res, took := run(); res.Status != OK || took != 0 {
			t.Errorf("when it is back: %s %s after %v", res.Status, res.Err, took)
		}
		r.end(t, d.Servers, 0)
	})
}

// One connection serves all calls, the list is asked again beside them; when
// nobody calls any more the connection is closed and at last the server forgotten,
// but not for those who have its tools.
func TestMCPConnectionsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, d, def := newRig(t)
		set, _ := Build([]Definition{def}, d)
		for range 30 {
			callStarts(t, d, def)
			time.Sleep(20 * time.Second)
		}
		synctest.Wait()
		if n := r.lists.Load(); r.opened.Load() != 1 || n < 8 || n > 12 {
			t.Errorf("in ten minutes %d connections and %d lists", r.opened.Load(), n)
		}
		time.Sleep(mcpIdle + 2*mcpFresh)
		synctest.Wait()
		if n := r.lists.Load(); r.closed.Load() != 1 || n > 24 {
			t.Errorf("idle: %d connections closed, %d lists", r.closed.Load(), n)
		}
		before := r.lists.Load()
		if n, took := callStarts(t, d, def); n != 1 || took != 0 {
			t.Errorf("after the pause: %d tools after %v", n, took)
		}
		synctest.Wait()
		if r.lists.Load() != before+1 {
			t.Error("the list was not asked again")
		}
		time.Sleep(mcpForget + 2*mcpFresh)
		synctest.Wait()
		d.Servers.mu.Lock()
		if n := len(d.Servers.by); n != 0 {
			t.Errorf("%d servers are known still", n)
		}
		d.Servers.mu.Unlock()
		tool, _ := set.Get("search") // a phone call that has lasted all that time
		if res := tool.Run(t.Context(), Call{Name: "search", Args: json.RawMessage(`{}`)}); res.Status != OK {
			t.Errorf("%s %s", res.Status, res.Err)
		}
		if r.opened.Load() != r.closed.Load()+1 {
			t.Errorf("%d connections, %d closed", r.opened.Load(), r.closed.Load())
		}
		r.end(t, d.Servers, 0)
	})
}

// Ending waits a second for servers that hang, not one after the other.
func TestMCPServersAreClosedWithinASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, d, def := newRig(t)
		for _, path := range []string{"a", "b", "c", "d"} {
			config, err := NewConfig(map[string]any{"url": "https://docs.example.com/" + path})
			if err != nil {
				t.Fatal(err)
			}
			def.Config = config
			if n, _ := callStarts(t, d, def); n != 1 {
				t.Fatalf("%d tools", n)
			}
		}
		r.hangs.Store(true)
		callStarts(t, d, def)
		r.end(t, d.Servers, mcpClose)
		if n := r.closed.Load(); n != 4 {
			t.Errorf("%d goodbyes", n)
		}
		if n, took := callStarts(t, d, def); n != 0 || took != 0 { // nothing begins after it
			t.Errorf("after it: %d tools after %v", n, took)
		}
	})
}
