package api

import (
	"encoding/json"
	"strings"
	"testing"
)

// lookupCustomer is the example of TalkPilot's documentation, word for word.
const lookupCustomer = `{
    "name": "lookup_customer",
    "display_name": "Kunden-Lookup",
    "description": "Looks up customer info by phone number",
    "tool_type": "http_request",
    "config": {
      "url": "https://crm.example.com/api/customers",
      "method": "GET",
      "headers": [{"key": "Authorization", "value": "Bearer YOUR_KEY"}],
      "timeout": 30,
      "speak_during_execution": true,
      "speak_after_execution": true
    },
    "priority": 1,
    "is_enabled": true
  }`

// vendorError is the envelope of TalkPilot, and nothing beside it.
func (a answer) vendorError(t *testing.T) VendorErrorBody {
	t.Helper()
	var e struct {
		Error VendorErrorBody `json:"error"`
	}
	d := json.NewDecoder(strings.NewReader(a.text))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil || a.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%v: %s %s", err, a.Header.Get("Content-Type"), a.text)
	}
	return e.Error
}

// T-02, T-16, T-17, T-18, T-19, T-20: the tools of an agent, with TalkPilot's
// own request.
func TestToolsOfAnAgent(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const path = "/v1/agents/sales/tools"
	if a := f.do("GET", path, ""); a.StatusCode != 200 || strings.TrimSpace(a.text) != `{"data":[]}` {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	a := f.do("POST", path, lookupCustomer)
	var made map[string]any
	a.into(t, &made)
	for _, k := range []string{
		"id", "agent_id", "name", "display_name", "description", "tool_type", "config", "is_enabled", "priority", "created_at", "updated_at",
	} {
		if _, ok := made[k]; !ok {
			t.Errorf("no %s in %s", k, a.text)
		}
	}
	config, _ := made["config"].(map[string]any)
	if a.StatusCode != 201 || made["agent_id"] != "sales" || made["priority"] != 1.0 || made["is_enabled"] != true || config["timeout"] != 30.0 ||
		config["speak_after_execution"] != true {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	id, _ := made["id"].(string)
	if a = f.do("POST", path, lookupCustomer); a.StatusCode != 409 || a.vendorError(t).Code != "CONFLICT" {
		t.Errorf("a second of the name: %d %s", a.StatusCode, a.text)
	}
	if a = f.do("POST", "/v1/agents/support/tools", lookupCustomer); a.StatusCode != 201 {
		t.Errorf("another agent's: %d %s", a.StatusCode, a.text)
	}
	a = f.do("PATCH", path+"/"+id, `{"is_enabled":false,"priority":7}`)
	a.into(t, &made)
	if a.StatusCode != 200 || made["is_enabled"] != false || made["priority"] != 7.0 || made["description"] != "Looks up customer info by phone number" {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	if a = f.do("PATCH", path+"/"+id, a.text); a.StatusCode != 200 {
		t.Errorf("what was answered, sent again: %d %s", a.StatusCode, a.text)
	}
	for range 120 { // far more than a page
		name := "t" + strings.Repeat("x", len(made)%7) + idOf(t)
		if a := f.do("POST", path, toolText(name)); a.StatusCode != 201 && a.StatusCode != 429 {
			t.Fatalf("%d %s", a.StatusCode, a.text)
		}
		f.srv.limiter = newLimiter()
	}
	var all Page[Tool]
	if f.do("GET", path, "").into(t, &all); len(all.Data) != 121 || all.NextCursor != "" {
		t.Errorf("%d tools, next %q", len(all.Data), all.NextCursor)
	}
	if a = f.do("GET", path+"/"+id, ""); a.StatusCode != 200 || !strings.Contains(a.text, `"priority":7`) {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	for _, other := range []string{"/v1/agents/support/tools/" + id, path + "/lookup_customer", path + "/nothing", "/v1/agents/nobody/tools"} {
		if a = f.do("GET", other, ""); a.StatusCode != 404 || a.vendorError(t).Code != "NOT_FOUND" {
			t.Errorf("%s: %d %s", other, a.StatusCode, a.text)
		}
	}
	if a = f.do("DELETE", path+"/"+id, ""); a.StatusCode != 204 || a.text != "" {
		t.Errorf("%d %q", a.StatusCode, a.text)
	}
	if a = f.do("DELETE", path+"/"+id, ""); a.StatusCode != 404 {
		t.Errorf("%d", a.StatusCode)
	}
}

// T-01, T-03, T-18: what is too long, missing or unknown is refused, all of it
// at once.
func TestToolsThatAreRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	long := func(n int) string { return strings.Repeat("x", n) }
	tool := func(name, display, description, kind string) string {
		return `{"name":"` + name + `","display_name":"` + display + `","description":"` + description + `","tool_type":"` + kind + `","config":{}}`
	}
	for _, tc := range []struct {
		name, body string
		at         []string
	}{
		{"a name of 101 characters", tool(long(101), "", "d", "end_call"), []string{"body.name"}},
		{"a display name of 256", tool("a", long(256), "d", "end_call"), []string{"body.display_name"}},
		{"a description of 2001", tool("a", "", long(2001), "end_call"), []string{"body.description"}},
		{"all three", tool(long(101), long(256), long(2001), "end_call"), []string{"body.name", "body.display_name", "body.description"}},
		{"another type", tool("a", "", "d", "send_fax"), []string{"body.tool_type"}},
		{"nothing", `{}`, []string{"body.name", "body.description", "body.tool_type", "body.config"}},
		{"no config", `{"name":"a","description":"d","tool_type":"end_call"}`, []string{"body.config"}},
		{"an unknown member", `{"name":"a","description":"d","tool_type":"end_call","config":{},"prio":1}`, []string{"body.prio"}},
		{"a loopback address", `{"name":"a","description":"d","tool_type":"http_request","config":{"url":"https://127.0.0.1/x"}}`, []string{"body.config.url"}},
	} {
		a := f.do("POST", "/v1/agents/sales/tools", tc.body)
		e := a.vendorError(t)
		got := map[string]bool{}
		for _, d := range e.Details {
			got[d.Param] = true
		}
		for _, at := range tc.at {
			if !got[at] {
				t.Errorf("%s: nothing of %s: %s", tc.name, at, a.text)
			}
		}
		if a.StatusCode != 422 || e.Code != "INVALID_REQUEST" || e.RequestID == "" || len(a.text) > 1500 {
			t.Errorf("%s: %d %s", tc.name, a.StatusCode, a.text)
		}
	}
	if a := f.do("POST", "/v1/agents/sales/tools", tool(long(100), long(255), long(2000), "end_call")); a.StatusCode != 201 {
		t.Errorf("the longest of each: %d %s", a.StatusCode, a.text)
	}
}

// T-22, T-25: refusals in TalkPilot's words.
func TestRefusalsAreTalkPilots(t *testing.T) {
	t.Parallel()
	f, _ := limited(t, func(c *Config) { c.Keys[0].Limits.PerMinute = 1 })
	a := f.do("POST", "/v1/agents/sales/tools", lookupCustomer, "X-API-Key", readKey)
	e := a.vendorError(t)
	if a.StatusCode != 403 || e.Code != "FORBIDDEN" || e.Message != "API key lacks required permission: tools:write" || e.RequestID == "" || len(e.Details) > 0 {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	f.do("GET", "/v1/agents/sales/tools", "")
	a = f.do("GET", "/v1/agents/sales/tools", "")
	e = a.vendorError(t)
	if a.StatusCode != 429 || e.Code != "RATE_LIMITED" || e.Message != "Rate limit exceeded. Try again in 60 seconds." || a.Header.Get("Retry-After") != "60" {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	if a = f.do("GET", "/v1/agents/sales/tools", "", "X-API-Key", "nope"); a.StatusCode != 401 || a.vendorError(t).Code != "UNAUTHORIZED" {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	// T-24: another's agent does not exist.
	f.srv.cfg.Keys[2].Scopes = []string{"tools:read"}
	if err := f.srv.loadKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a = f.do("GET", "/v1/agents/support/tools", "", "X-API-Key", salesKey); a.StatusCode != 404 || a.vendorError(t).Code != "NOT_FOUND" {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
}
