package tools_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/patchcord/patchcord/tools"
)

type searchFor struct {
	Query string `json:"query" jsonschema:"what to look for"`
}

type found struct {
	Pages []string `json:"pages"`
}

// mcpServer is a real server of the SDK over loopback HTTP.
func mcpServer(t *testing.T, asked *atomic.Int32) *httptest.Server {
	t.Helper()
	s := mcp.NewServer(&mcp.Implementation{Name: "docs", Version: "1"}, nil)
	mcp.AddTool(s, &mcp.Tool{
		Name: "search", Description: "Searches the manual. Use it for questions.",
		Annotations: &mcp.ToolAnnotations{ReadOnlyHint: true},
	}, func(_ context.Context, _ *mcp.CallToolRequest, in searchFor) (*mcp.CallToolResult, found, error) {
		return nil, found{[]string{"about " + in.Query, "with key topsecret1"}}, nil
	})
	mcp.AddTool(s, &mcp.Tool{Name: "open.ticket", Description: "Opens a ticket."},
		func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
			return nil, nil, fmt.Errorf("no tickets today")
		})
	mcp.AddTool(s, &mcp.Tool{Name: "slow", Description: "Takes its time."},
		func(ctx context.Context, _ *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
			select {
			case <-ctx.Done():
			case <-time.After(5 * time.Second):
			}
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "done"}}}, nil, nil
		})
	h := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, nil)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		if bytes.Contains(body, []byte(`"tools/list"`)) {
			asked.Add(1)
		}
		if r.Header.Get("Authorization") != "Bearer topsecret1" {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	return srv
}

func mcpDeps(t *testing.T) tools.Deps {
	t.Helper()
	d := deps(t)
	d.Client = local(t)
	d.Secrets = func(name string) (string, bool) { return "topsecret1", name == "docs" }
	d.Servers = tools.NewServers(d.Client)
	t.Cleanup(d.Servers.Close)
	return d
}

func docsOf(url string) string {
	return `{name: docs, tool_type: mcp, timeout: 2, config: {url: "` + url +
		`/mcp", headers: [{key: Authorization, value: "Bearer {{secret.docs}}"}]}}`
}

func names(s *tools.Set) string {
	var out []string
	for _, o := range s.Offered() {
		out = append(out, o.Name)
	}
	return strings.Join(out, " ")
}

func TestToolsOfAnMCPServer(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	srv := mcpServer(t, &asked)
	d := mcpDeps(t)
	const own = `{name: search, description: d, tool_type: http_request, config: {url: "https://crm.example.com/x"}}`
	set, faults := tools.Build([]tools.Definition{define(t, docsOf(srv.URL)), define(t, own)}, d)
	if faults != nil {
		t.Fatal(faults)
	}
	if got := names(set); got != "search open_ticket docs_search slow" {
		t.Errorf("offered: %s", got)
	}
	search, ok := set.Get("docs_search")
	if !ok {
		t.Fatal("no search")
	}
	if search.Definition().Class != tools.Read || !strings.Contains(string(search.Schema()), "what to look for") {
		t.Errorf("class %s, arguments %s", search.Definition().Class, search.Schema())
	}
	if _, _, ok := tools.Arguments(search, json.RawMessage(`{"query":1}`)); ok {
		t.Error("a number is taken for a text")
	}
	slow, _ := set.Get("slow")
	run := func(name, args string) tools.Result {
		tool, _ := set.Get(name)
		return tool.Run(t.Context(), tools.Call{Name: name, Args: json.RawMessage(args)})
	}
	r := run("docs_search", `{"query":"lamps"}`)
	if want := `{"pages":["about lamps","with key ***"]}`; string(r.JSON) != want || r.Status != tools.OK {
		t.Errorf("got %s %s %s, want %s", r.Status, r.JSON, r.Err, want)
	}
	if r := run("open_ticket", `{}`); r.Status != tools.Failed || string(r.JSON) != `{"error":"tool_error","message":"no tickets today"}` {
		t.Errorf("an error: %s %s", r.Status, r.JSON)
	}
	before := asked.Load()
	if set, _ = tools.Build([]tools.Definition{define(t, docsOf(srv.URL))}, d); names(set) != "open_ticket search slow" || asked.Load() != before {
		t.Errorf("the next call: %s, asked %d times more", names(set), asked.Load()-before)
	}
	only := strings.Replace(docsOf(srv.URL), "headers:", "include: [search, nothing], headers:", 1)
	set, faults = tools.Build([]tools.Definition{define(t, only)}, d)
	if names(set) != "search" || faults.Err() != nil || len(faults) != 1 || !strings.Contains(faults[0].Error(), "no tool nothing") {
		t.Errorf("include: %s, %v", names(set), faults)
	}
	srv.CloseClientConnections() // the call that meets it may fail, the next one is carried out
	run("search", `{"query":"x"}`)
	if r := run("search", `{"query":"x"}`); r.Status != tools.OK {
		t.Errorf("after the connection was lost: %s %s %s", r.Status, r.JSON, r.Err)
	}
	// Last of all: in doubt the server is asked again, beside what goes on.
	if r := slow.Run(t.Context(), tools.Call{Name: "slow", Args: json.RawMessage(`{}`)}); r.Status != tools.TimedOut ||
		string(r.JSON) != `{"error":"timeout"}` {
		t.Errorf("a slow one: %s %s", r.Status, r.JSON)
	}
}

// TestAgentsWorkWithoutTheirMCPServer: a server that is down, refuses or may not
// be reached is a warning.
func TestAgentsWorkWithoutTheirMCPServer(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	srv := mcpServer(t, &asked)
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	for name, text := range map[string]string{
		"down":      docsOf(closed.URL),
		"refused":   strings.Replace(docsOf(srv.URL), "Bearer {{secret.docs}}", "Bearer {{secret.docs}}{{secret.docs}}", 1),
		"forbidden": docsOf("https://192.0.2.1"),
	} {
		d := mcpDeps(t)
		start := time.Now()
		set, faults := tools.Build([]tools.Definition{define(t, text), define(t, good)}, d)
		if name == "forbidden" { // told before anybody is asked
			if faults.Err() == nil {
				t.Errorf("%s: %v", name, faults)
			}
			continue
		}
		if len(set.Offered()) != 1 || faults.Err() != nil || len(faults) != 1 || time.Since(start) > 5*time.Second {
			t.Errorf("%s: offered %s after %v, %v", name, names(set), time.Since(start), faults)
		}
		if strings.Contains(fmt.Sprint(faults), "127.0.0.1") || strings.Contains(fmt.Sprint(faults), "topsecret1") {
			t.Errorf("%s: told too much: %v", name, faults)
		}
	}
	for text, want := range map[string]string{
		`{tool_type: mcp, config: {}}`:                                                          "config.url",
		`{tool_type: mcp, config: {url: "https://x/{{caller_phone}}"}}`:                         "a placeholder",
		`{tool_type: mcp, config: {url: "https://x/mcp", headers: [{key: A, value: "{{b}}"}]}}`: "no secret",
		`{tool_type: mcp, config: {url: "https://x/mcp", tools: [a]}}`:                          "unknown key",
	} {
		_, faults := tools.Build([]tools.Definition{define(t, text)}, deps(t))
		if err := faults.Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}
