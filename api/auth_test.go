package api

import (
	"testing"
	"time"
)

// SEC-13, T-24: keys open what their scopes say, and agents that are not
// theirs do not exist.
func TestKeysAndScopes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	support, sales := f.started("support"), f.started("sales")
	f.key = ""
	for _, tc := range []struct {
		name, method, path, header, value string
		status                            int
	}{
		{"no key", "GET", "/v1/calls", "Accept", "*/*", 401},
		{"a wrong key", "GET", "/v1/calls", "X-API-Key", "nope", 401},
		{"a key's beginning", "GET", "/v1/calls", "X-API-Key", opsKey[:10], 401},
		{"a key as bearer", "GET", "/v1/calls", "Authorization", "Bearer " + opsKey, 200},
		{"a key in its header", "GET", "/v1/calls", "X-API-Key", opsKey, 200},
		{"basic auth is none", "GET", "/v1/calls", "Authorization", "Basic " + opsKey, 401},
		{"a scope it has", "GET", "/v1/calls", "X-API-Key", readKey, 200},
		{"a scope it lacks", "GET", "/v1/agents", "X-API-Key", readKey, 403},
		{"reading does not control", "POST", "/v1/calls/" + string(support) + "/control", "X-API-Key", readKey, 403},
		{"writing includes reading", "GET", "/v1/calls/" + string(sales), "X-API-Key", salesKey, 200},
		{"another's call does not exist", "GET", "/v1/calls/" + string(support), "X-API-Key", salesKey, 404},
		{"nor its transcript", "GET", "/v1/calls/" + string(support) + "/transcript", "X-API-Key", salesKey, 404},
		{"nor its events", "GET", "/v1/calls/" + string(support) + "/events", "X-API-Key", salesKey, 404},
		{"nor its recording", "GET", "/v1/calls/" + string(support) + "/recording", "X-API-Key", salesKey, 404},
		{"nor its agent", "GET", "/v1/agents/support", "X-API-Key", salesKey, 404},
		{"health needs none", "GET", "/healthz", "Accept", "*/*", 200},
		{"readiness needs none", "GET", "/readyz", "Accept", "*/*", 200},
		{"nor does the document", "GET", "/openapi.json", "Accept", "*/*", 200},
	} {
		a := f.do(tc.method, tc.path, "", tc.header, tc.value)
		if a.StatusCode != tc.status {
			t.Errorf("%s: %d %s", tc.name, a.StatusCode, a.text)
		}
		if tc.status >= 400 {
			a.problem(t)
		}
		if tc.status == 401 && a.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: no WWW-Authenticate", tc.name)
		}
	}
	f.key = salesKey
	var page Page[Call]
	f.do("GET", "/v1/calls", "").into(t, &page)
	if len(page.Data) != 1 || page.Data[0].ID != string(sales) {
		t.Errorf("sales sees %+v", page.Data)
	}
	if f.do("GET", "/v1/calls?agent_id=support", "").into(t, &page); len(page.Data) != 0 {
		t.Errorf("sales sees %+v", page.Data)
	}
	if a := f.do("POST", "/v1/calls", `{"agent_id":"support","to":"+49"}`); a.StatusCode != 422 || len(f.engine.dialed) != 0 {
		t.Errorf("sales dials as support: %d", a.StatusCode)
	}
	var agents Page[Agent]
	f.do("GET", "/v1/agents", "").into(t, &agents)
	if len(agents.Data) != 1 || agents.Data[0].ID != "sales" {
		t.Errorf("%+v", agents)
	}
}

// SEC-13: without a key nothing but this machine is served.
func TestNoKeyMeansThisMachineOnly(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) { c.Keys = nil })
	f.key = ""
	for _, tc := range []struct {
		name   string
		header []string
		status int
	}{
		{"a program here", nil, 200},
		{"a name that leads here by DNS", []string{"Host", "evil.example:8080"}, 403},
		{"a page of another site", []string{"Origin", "https://evil.example"}, 403},
		{"a page of another site, told by the browser", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"our own page", []string{"Sec-Fetch-Site", "same-origin"}, 200},
	} {
		if a := f.do("GET", "/v1/calls", "", tc.header...); a.StatusCode != tc.status {
			t.Errorf("%s: %d %s", tc.name, a.StatusCode, a.text)
		}
	}
	for _, listen := range []string{"0.0.0.0:8080", ":8080", "192.0.2.1:80", "[::]:80", "voice.example:80", "nonsense"} {
		cfg := f.srv.cfg
		cfg.Listen = listen
		if _, err := New(cfg); err == nil {
			t.Errorf("%s without a key is accepted", listen)
		}
	}
	for _, k := range []Key{{Name: "x", Hash: HashKey("")}, {Hash: HashKey("x")}} {
		cfg := f.srv.cfg
		cfg.Keys = []Key{k}
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v is accepted", k)
		}
	}
}

// T-21: a key that has expired or was deactivated opens nothing.
func TestKeysEnd(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) {
		c.Keys[0].Expires = time.Now().Add(time.Hour)
		c.Keys[1].Expires = time.Now()
		c.Keys[2].Revoked = true
	})
	for key, want := range map[string]string{opsKey: "", readKey: "api_key_expired", salesKey: "api_key_revoked"} {
		a := f.do("GET", "/v1/calls", "", "X-API-Key", key)
		if want == "" && a.StatusCode != 200 || want != "" && (a.StatusCode != 401 || a.problem(t) != want) {
			t.Errorf("%s: %d %s", key, a.StatusCode, a.text)
		}
	}
}

// T-23: the scopes of another platform are names of ours.
func TestScopesHaveOtherNames(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		has, need string
		may       bool
	}{
		{"kb:read", "knowledge:read", true},
		{"kb:read", "knowledge:write", false},
		{"kb:write", "knowledge:read", true},
		{"forwarding:write", "numbers:write", true},
		{"calls:read", "calls:read", true},
		{"agents:write", "agents:read", true},
		{"tools:read", "tools:read", true},
		{"employees:write", "agents:write", false},
		{"organization:read", "numbers:read", false},
	} {
		if k := (&Key{Scopes: []string{tc.has}}); k.may(tc.need) != tc.may {
			t.Errorf("%s opens %s: %v", tc.has, tc.need, !tc.may)
		}
	}
}
