package tools_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/patchcord/patchcord/tools"
)

// A secret goes to its own hosts only, whatever a tool's URL says and wherever a
// host redirects to; what is refused says why, without the value (SEC-10).
func TestASecretGoesToItsHostsOnly_SEC10(t *testing.T) {
	t.Parallel()
	const canary = "canary-5e0c1a"
	var got [2]atomic.Int32
	var web [2]*httptest.Server
	for i := range web {
		web[i] = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got[i].Add(1)
			if i == 0 {
				http.Redirect(w, r, web[1].URL+"/?k="+r.Header.Get("X-Key"), http.StatusTemporaryRedirect)
			}
		}))
		t.Cleanup(web[i].Close)
	}
	ours, foreign := strings.TrimPrefix(web[0].URL, "http://"), strings.TrimPrefix(web[1].URL, "http://")
	core, logs := observer.New(zap.DebugLevel)
	d := deps(t)
	d.Client, d.Log = local(t), zap.New(core)
	secrets := map[string]string{"key": canary, "free": canary, "where": foreign}
	d.Secrets = func(name string) (string, bool) { v, ok := secrets[name]; return v, ok }
	d.SecretHosts = func(name string) []string { return map[string][]string{"key": {"*.example.com", ours}}[name] }
	for _, c := range []struct {
		name, url, value string
		want             string // of the result
		ours, foreign    int32  // requests
	}{
		{"its own host, which redirects to another", "http://" + ours, "{{secret.key}}", "http_307", 1, 0},
		{"another host", "http://" + foreign, "{{secret.key}}", "blocked_secret", 0, 0},
		{"a bare name", "http://" + foreign, "{{key}}", "blocked_secret", 0, 0},
		{"another host by a placeholder", "http://{{secret.where}}", "{{secret.key}}", "blocked_secret", 0, 0},
		{"in the query", "http://" + foreign + "/?k={{secret.key}}", "x", "blocked_secret", 0, 0},
		{"a secret without hosts", "http://" + foreign, "{{secret.free}}", "", 0, 1},
		{"a name that only ends like its own", "http://" + foreign + "/" + ours, "{{secret.key}}", "blocked_secret", 0, 0},
	} {
		got[0].Store(0)
		got[1].Store(0)
		set, faults := tools.Build([]tools.Definition{define(t, fmt.Sprintf(`{name: x, description: d, tool_type: http_request,
			config: {url: %q, method: POST, headers: [{key: X-Key, value: %q}]}}`, c.url, c.value))}, d)
		tool, ok := set.Get("x")
		if !ok {
			t.Fatalf("%s: %v", c.name, faults)
		}
		r := tool.Run(t.Context(), tools.Call{Name: "x", Args: json.RawMessage(`{}`)})
		var said struct {
			Error string `json:"error"`
		}
		if err := json.Unmarshal(r.JSON, &said); err != nil || said.Error != c.want {
			t.Errorf("%s: %s %s, want %s", c.name, r.JSON, r.Err, c.want)
		}
		if got[0].Load() != c.ours || got[1].Load() != c.foreign {
			t.Errorf("%s: %d requests to its host and %d to another", c.name, got[0].Load(), got[1].Load())
		}
		if strings.Contains(string(r.JSON)+r.Err, canary) {
			t.Errorf("%s: told the secret: %s %s", c.name, r.JSON, r.Err)
		}
	}
	told := fmt.Sprint(logs.All())
	if strings.Contains(told, canary) || logs.FilterMessageSnippet("may not be sent").Len() != 5 {
		t.Errorf("log: %s", told)
	}
}

// The secret of an MCP server's headers keeps to its hosts too.
func TestAnMCPServerGetsNoForeignSecret_SEC10(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	srv := mcpServer(t, &asked)
	d := mcpDeps(t)
	d.SecretHosts = func(string) []string { return []string{"mcp.example.com"} }
	set, faults := tools.Build([]tools.Definition{define(t, docsOf(srv.URL))}, d)
	if len(set.Offered()) != 0 || asked.Load() != 0 || len(faults) != 1 ||
		!strings.Contains(faults[0].Error(), "{{secret.docs}} goes to mcp.example.com only") {
		t.Errorf("%s, asked %d times: %v", names(set), asked.Load(), faults)
	}
}

func TestHostsOfASecret(t *testing.T) {
	t.Parallel()
	for host, ok := range map[string]bool{
		"crm.example.com": true, "crm.example.com:8443": true, "*.example.com": true, "10.0.0.1": true,
		"": false, "*": false, "*.": false, "https://crm.example.com": false, "crm.example.com/x": false,
		"a.*.com": false, "a b": false, "*..com": false,
		"*.example.com:8443": true, "[::1]": true, "[::1]:8443": true, "::1": true, "crm.example.com:": false,
		"crm.example.com:0": false, "crm.example.com:99999": false, "crm.example.com:https": false, "a@b": false,
		"*.[::1]": false, "[::1": false, "a?b": false, "*.10.0.0.1": false,
	} {
		if fault := tools.CheckSecretHost(host); (fault == "") != ok {
			t.Errorf("%q: %q", host, fault)
		}
	}
}

// SEC-10: every host that is taken is one that a URL can have, whatever its
// spelling, and no other.
func TestAHostMatchesItsURLs_SEC10(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		host, url string
		ok        bool
	}{
		{"crm.example.com:443", "https://crm.example.com", true},
		{"crm.example.com:443", "https://crm.example.com:443", true},
		{"crm.example.com:443", "http://crm.example.com", false},
		{"crm.example.com:80", "http://crm.example.com", true},
		{"crm.example.com:8443", "https://crm.example.com", false},
		{"CRM.example.com.", "https://crm.EXAMPLE.com./a", true},
		{"*.example.com:8443", "https://a.example.com:8443", true},
		{"*.example.com:8443", "https://a.example.com", false},
		{"*.example.com:8443", "https://example.com:8443", false},
		{"*.example.com:443", "https://a.example.com", true},
		{"*.example.com", "https://a.b.example.com:9", true},
		{"*.example.com", "https://badexample.com", false},
		{"[::1]", "https://[::1]/x", true},
		{"[0:0::1]:8443", "https://[::1]:8443", true},
		{"::1", "https://[::1]:8443", true},
		{"[::1]:8443", "https://[::1]", false},
	} {
		d := tools.Deps{SecretHosts: func(string) []string { return []string{tc.host} }}
		if err := tools.MayCarry(d, tc.url); (err == nil) != tc.ok {
			t.Errorf("%s for %s: %v", tc.host, tc.url, err)
		}
	}
}
