package tools_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/patchcord/patchcord/tools"
	"github.com/patchcord/patchcord/tools/wire"
)

// request is one request as an endpoint got it.
type request struct {
	Method, URL, Body string
	Header            http.Header
}

// endpoint is a customer's system on loopback. It answers with answer and
// keeps what it was asked.
type endpoint struct {
	*httptest.Server
	mu  sync.Mutex // guards the field below
	got []request
}

func serve(t testing.TB, answer http.HandlerFunc) *endpoint {
	t.Helper()
	e := &endpoint{}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		e.mu.Lock()
		e.got = append(e.got, request{r.Method, r.URL.String(), string(b), r.Header.Clone()})
		e.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(func() {
		e.CloseClientConnections()
		e.Close()
	})
	return e
}

func answer(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s) }
}

// last is the latest request.
func (e *endpoint) last(t testing.TB) request {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.got) == 0 {
		t.Fatal("the endpoint was not asked")
	}
	return e.got[len(e.got)-1]
}

func (e *endpoint) asked() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.got)
}

// local may reach endpoints on loopback.
func local(t testing.TB) *tools.Client {
	t.Helper()
	c, err := tools.NewClient(tools.HTTPConfig{AllowCIDRs: []string{"127.0.0.0/8"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func deps(t testing.TB) tools.Deps {
	t.Helper()
	return tools.Deps{
		Client: local(t), Dialects: wire.Dialects(),
		Secrets: func(name string) (string, bool) {
			v, ok := map[string]string{"crm_key": "canary-4711", "API_KEY": "canary-0815", "odd": "a\"b\\c<canary>"}[name]
			return v, ok
		},
	}
}

// define reads one definition from YAML as a file has it.
func define(t testing.TB, text string) tools.Definition {
	t.Helper()
	var d tools.Definition
	if err := yaml.UnmarshalWithOptions([]byte(text), &d, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	return d
}

// make1 builds one tool.
func make1(t testing.TB, d tools.Deps, text string) tools.Tool {
	t.Helper()
	set, faults := tools.Build([]tools.Definition{define(t, text)}, d)
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	if len(set.Tools()) != 1 {
		t.Fatalf("no tool: %v", faults)
	}
	return set.Tools()[0]
}

// inbound is what a tool knows of a call from Berlin.
func inbound() tools.Env {
	return tools.Env{CallID: "call-1", AgentID: "support", Phone: "+4930123456", Direction: "inbound", Vars: map[string]any{
		"customer": map[string]any{"id": json.Number("17")}, "city": "Köln & Bonn", "note": "a \"b\"\nc",
	}}
}
