package tools_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/patchcord/patchcord/tools"
)

// endless is a body that has no end.
type endless struct{ read atomic.Int64 }

// An MCP server's body is read to 1 MB and no further (SEC-7).
func TestAnMCPServerThatNeverEnds_SEC7(t *testing.T) {
	t.Parallel()
	var e endless
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		piece := []byte(strings.Repeat(" ", 64<<10))
		for e.read.Load() < 64<<20 {
			n, err := w.Write(piece)
			if e.read.Add(int64(n)); err != nil {
				return
			}
		}
	}))
	t.Cleanup(srv.Close)
	_, faults := tools.Build([]tools.Definition{define(t, docsOf(srv.URL))}, mcpDeps(t))
	if len(faults) != 1 || !faults[0].Warning {
		t.Errorf("got %v", faults)
	}
	if n := e.read.Load(); n > 32<<20 { // the rest is what the sockets hold
		t.Errorf("%d MB were taken", n>>20)
	}
}

// A call that the server refuses is that call's failure: the connection, and
// what others wait for on it, goes on.
func TestARefusedMCPCallIsItsOwn(t *testing.T) {
	t.Parallel()
	s := mcp.NewServer(&mcp.Implementation{Name: "docs", Version: "1"}, nil)
	began := make(chan struct{})
	s.AddTool(&mcp.Tool{Name: "long", Description: "d", InputSchema: json.RawMessage(`{"type":"object"}`)},
		func(ctx context.Context, _ *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			close(began)
			select {
			case <-ctx.Done():
			case <-time.After(300 * time.Millisecond):
			}
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "done"}}}, nil
		})
	s.AddTool(&mcp.Tool{Name: "gone", Description: "d", InputSchema: json.RawMessage(`{"type":"object"}`)},
		func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) { return nil, nil })
	srv := httptest.NewServer(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, nil))
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	set, faults := tools.Build([]tools.Definition{define(t, docsOf(srv.URL))}, mcpDeps(t))
	if faults != nil {
		t.Fatal(faults)
	}
	run := func(name string) tools.Result {
		tool, _ := set.Get(name)
		return tool.Run(t.Context(), tools.Call{Name: name, Args: json.RawMessage(`{}`)})
	}
	long := make(chan tools.Result, 1)
	go func() { long <- run("long") }()
	<-began
	s.RemoveTools("gone")
	if r := run("gone"); r.Status != tools.Failed || !strings.HasPrefix(r.Err, "tool_error") {
		t.Errorf("got %s %s %s", r.Status, r.JSON, r.Err)
	}
	if r := <-long; r.Status != tools.OK {
		t.Errorf("the other call: %s %s %s", r.Status, r.JSON, r.Err)
	}
}

// Tools of a server are effects unless it says that they only read, and of the
// class that their definition gives them (conv:W6).
func TestTheClassOfMCPTools(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	srv := mcpServer(t, &asked)
	for class, want := range map[string]string{"": "effect read", "class: async, ": "async async"} {
		text := strings.Replace(docsOf(srv.URL), "timeout", class+"timeout", 1)
		set, faults := tools.Build([]tools.Definition{define(t, text)}, mcpDeps(t))
		if faults != nil {
			t.Fatal(faults)
		}
		ticket, _ := set.Get("open_ticket")
		search, _ := set.Get("search")
		if got := string(ticket.Definition().Class + " " + search.Definition().Class); got != want {
			t.Errorf("%q: got %s, want %s", class, got, want)
		}
	}
}
