package api

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/patchcord/patchcord/tools"
	"github.com/patchcord/patchcord/tools/wire"
)

func idOf(t *testing.T) string {
	t.Helper()
	id, err := uuid.NewV7()
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(id.String(), "-", "")
}

// D-01, D-02: the request of Dariet's documentation, but for host and token,
// run by curl as it stands there.
func TestDarietsOwnRequest(t *testing.T) {
	t.Parallel()
	curl, err := exec.LookPath("curl")
	if err != nil {
		t.Skip("curl is not installed")
	}
	f := newFixture(t)
	text, err := os.ReadFile(filepath.Join("testdata", "dariet-create-tool.sh"))
	if err != nil {
		t.Fatal(err)
	}
	script := strings.NewReplacer("https://your-domain.com", f.http.URL, "<token>", opsKey, "curl ", curl+" -sS ").Replace(string(text))
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var made DarietTool
	if err := json.Unmarshal(out, &made); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if _, err := uuid.Parse(made.ID); err != nil || made.Name != "check_order_status" || made.URL != "https://your-api.com/orders/status" ||
		made.Method != "POST" || made.Timeout != 8 || made.Headers["Authorization"] != "Bearer your-api-key" {
		t.Fatalf("%s", out)
	}
	// The id assigns it to an agent (D-13).
	if a := f.do("PATCH", "/v1/agents/sales", `{"tool_ids":["`+made.ID+`"],"pre_call_tool_ids":["`+made.ID+`"]}`); a.StatusCode != 200 {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	if kept, err := f.store.Tool(t.Context(), "check_order_status"); err != nil || kept.Dialect != "dariet" || string(kept.Type) != "webhook" {
		t.Errorf("%+v, %v", kept, err)
	}
}

// D-02: what is not said has its default.
func TestDarietDefaults(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	a := f.do("POST", "/api/tools", `{"name":"lookup","description":"Looks up. Call this when asked.","parameters":{},"webhook_url":"https://api.example.com/x"}`)
	var made DarietTool
	a.into(t, &made)
	if a.StatusCode != 201 || made.Method != "POST" || made.Timeout != 10 || made.Headers == nil || len(made.Headers) != 0 || string(made.Parameters) != "{}" {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	for body, at := range map[string]string{
		`{}`: "body.name body.description body.parameters body.webhook_url",
		`{"name":"Not-Snake","description":"d","parameters":{},"webhook_url":"https://x.example"}`:                          "body.name",
		`{"name":"a","description":"d","parameters":{},"webhook_url":"https://127.0.0.1"}`:                                  "body.webhook_url",
		`{"name":"a","description":"d","parameters":{},"webhook_url":"https://x.example","webhook_method":"PATCH"}`:         "body.webhook_method",
		`{"name":"a","description":"d","parameters":{"properties":{"x":{"type":"odd"}}},"webhook_url":"https://x.example"}`: "body.parameters",
		`{"name":"a","description":"d","parameters":{},"webhook_url":"https://x.example","timeout_secs":600}`:               "body.timeout",
		`{"name":"a","description":"d","parameters":{},"webhook_url":"https://x.example","webhook_uri":"x"}`:                "body.webhook_uri",
	} {
		a := f.do("POST", "/api/tools", body)
		got := a.faults(t)
		for _, at := range strings.Fields(at) {
			if got[at] == "" && a.StatusCode == 422 {
				t.Errorf("%s: nothing of %s: %s", body, at, a.text)
			}
		}
		if a.StatusCode != 422 {
			t.Errorf("%s: %d %s", body, a.StatusCode, a.text)
		}
	}
	if a := f.do("POST", "/api/tools", `{"name":"lookup","description":"d","parameters":{},"webhook_url":"https://x.example"}`); a.StatusCode != 409 || a.problem(t) != "conflict" {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
}

// D-21: a tool is changed but for its name, tried, and deleted.
func TestDarietToolsChange(t *testing.T) {
	t.Parallel()
	var got string
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got = string(b)
		switch {
		case strings.Contains(got, "unknown"):
			_, _ = io.WriteString(w, `{"error":"Order not found"}`)
		case strings.Contains(got, "broken"):
			w.WriteHeader(http.StatusInternalServerError)
		default:
			_, _ = io.WriteString(w, `{"status":"shipped"}`)
		}
	}))
	t.Cleanup(endpoint.Close)
	client, err := tools.NewClient(tools.HTTPConfig{AllowCIDRs: []string{"127.0.0.0/8"}})
	if err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, func(c *Config) {
		c.Tools = tools.Deps{Client: client, Dialects: wire.Dialects()}
		c.Reader = readerOf(t, "127.0.0.0/8")
	})
	a := f.do("POST", "/api/tools", `{"name":"check_order","description":"Checks. Call this when asked.","parameters":{"properties":{"order_id":{"type":"string"}},"required":["order_id"]},"webhook_url":"`+endpoint.URL+`/orders"}`)
	var made DarietTool
	a.into(t, &made)
	path := "/api/tools/" + made.ID
	for args, want := range map[string]string{
		`{"order_id":"ORD-1"}`:   `^{"status_code":200,"response":{"status":"shipped"},"duration_ms":\d+,"error":null}$`,
		`{"order_id":"unknown"}`: `^{"status_code":200,"response":{"error":"Order not found"},"duration_ms":\d+,"error":null}$`,
		`{"order_id":"broken"}`:  `^{"status_code":500,"response":{"error":"http_500"},"duration_ms":\d+,"error":"http_500"}$`,
		`{}`:                     `^{"status_code":null,"response":{"error":"invalid_arguments",.*},"duration_ms":0,"error":"invalid_arguments.*"}$`,
	} {
		a := f.do("POST", path+"/test", `{"args":`+args+`}`)
		if a.StatusCode != 200 || !regexp.MustCompile(want).MatchString(strings.TrimSpace(a.text)) {
			t.Errorf("%s: %d %s", args, a.StatusCode, a.text)
		}
	}
	f.do("POST", path+"/test", `{"args":{"order_id":"ORD-1"}}`)
	if !strings.HasPrefix(got, `{"tool":"check_order","args":{"order_id":"ORD-1"},"call_id":"`) {
		t.Errorf("the endpoint got %s", got)
	}
	// The same tool by our own path: what went out and came back.
	a = f.do("POST", "/v1/tools/"+made.ID+"/test", `{"args":{"order_id":"ORD-1"}}`)
	var trial tools.Trial
	a.into(t, &trial)
	if a.StatusCode != 200 || trial.Request == nil || trial.Response == nil || trial.Response.Status != 200 || trial.Request.Method != "POST" || len(trial.Hints) == 0 {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	a = f.do("PATCH", path, `{"description":"Looks. Call this when asked.","timeout_secs":5,"headers":{"X-A":"b"}}`)
	var changed DarietTool
	a.into(t, &changed)
	if a.StatusCode != 200 || changed.Description != "Looks. Call this when asked." || changed.Timeout != 5 || changed.URL != made.URL || changed.Headers["X-A"] != "b" ||
		!strings.Contains(string(changed.Parameters), "order_id") {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	if a = f.do("PATCH", path, `{"name":"other"}`); a.StatusCode != 422 || a.problem(t) != "name_immutable" {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	if a = f.do("PATCH", path, a.text); a.StatusCode != 422 {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	if a = f.do("PATCH", path, f.do("GET", path, "").text); a.StatusCode != 200 {
		t.Errorf("what was answered, sent again: %d %s", a.StatusCode, a.text)
	}
	var all []DarietTool
	f.do("POST", "/v1/tools", toolText("not_of_this_shape"))
	if f.do("GET", "/api/tools", "").into(t, &all); len(all) != 1 {
		t.Errorf("%+v", all)
	}
	if a = f.do("DELETE", path, ""); a.StatusCode != 204 {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	if a = f.do("GET", path, ""); a.StatusCode != 404 {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
}

// D-23: calls, counted by agent.
func TestStats(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.started("support")
	f.ended(f.started("support"), "support", "")
	var all []AgentStats
	f.do("GET", "/api/agents/stats", "").into(t, &all)
	want := []AgentStats{
		{AgentID: "sales", AgentName: "sales"},
		{AgentID: "support", AgentName: "support", Total: 2, Active: 1, Completed: 1, Average: 60},
	}
	if len(all) != 2 || all[0] != want[0] || all[1] != want[1] {
		t.Errorf("%+v", all)
	}
	var stats Stats
	f.do("GET", "/v1/stats?since=2026-11-01T00:00:00Z", "").into(t, &stats)
	if stats.Total != 2 || stats.Active != 1 || stats.Completed != 1 || stats.Average != 60 || len(stats.Agents) != 2 {
		t.Errorf("%+v", stats)
	}
	if f.do("GET", "/v1/stats?until=2026-11-01T00:00:00Z", "").into(t, &stats); stats.Total != 0 {
		t.Errorf("%+v", stats)
	}
}
