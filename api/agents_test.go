package api

import (
	"strings"
	"testing"
)

// faults are those of a problem, by their places.
func (a answer) faults(t *testing.T) map[string]string {
	t.Helper()
	var p ProblemBody
	a.into(t, &p)
	out := map[string]string{}
	for _, f := range p.Errors {
		out[f.Param] = f.Message
	}
	return out
}

func TestAgentsAreKept(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	a := f.do("POST", "/v1/agents", `{"name":"desk","prompt":"Help.","first_message":"Hello.","webhook_secret":"canary",
		"turn":{"onset_confirm":"150ms","min_words":2},"max_call_duration":"20m","variables":{"amount":4500},
		"tools":[{"name":"find","description":"Finds. Call this when asked.","tool_type":"http_request","config":{"url":"https://crm.example.com"}}]}`)
	var made Agent
	a.into(t, &made)
	if a.StatusCode != 201 || a.Header.Get("ETag") != `"1"` || a.Header.Get("Location") != "/v1/agents/"+string(made.ID) || made.ID == "desk" ||
		made.Greeting != "Hello." || made.Turn["onset_confirm"] != "150ms" || len(made.Tools) != 1 || !made.HasSecret || made.UpdatedBy != "ops" ||
		strings.Contains(a.text, "canary") {
		t.Fatalf("%d %v %s", a.StatusCode, a.Header, a.text)
	}
	path := a.Header.Get("Location")
	// What an answer has may be sent again as it is.
	if again := f.do("PATCH", path, a.text); again.StatusCode != 200 {
		t.Errorf("%d %s", again.StatusCode, again.text)
	}
	a = f.do("PATCH", path, `{"first_message":"Good day.","voice":"kal","turn":null}`)
	var changed Agent
	a.into(t, &changed)
	if a.StatusCode != 200 || changed.Greeting != "Good day." || changed.Voice != "kal" || changed.Turn != nil || changed.Prompt != "Help." ||
		changed.Revision != 3 || len(changed.Tools) != 1 || changed.Tools[0].ID != made.Tools[0].ID {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	if kept, err := f.store.Agent(t.Context(), made.ID); err != nil || kept.WebhookSecret != "canary" || kept.Variables["amount"] != int64(4500) {
		t.Errorf("%+v, %v", kept, err)
	}
	if a = f.do("PATCH", path, `{"voice":"x"}`, "If-Match", `"1"`); a.StatusCode != 412 || a.problem(t) != "stale" {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	if a = f.do("PATCH", path, `{"voice":"x"}`, "If-Match", `"3"`); a.StatusCode != 200 || a.Header.Get("ETag") != `"4"` {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	if a = f.do("POST", "/v1/agents", `{"name":"desk"}`); a.StatusCode != 409 || a.problem(t) != "conflict" {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	if a = f.do("GET", "/v1/agents/desk", ""); a.StatusCode != 200 {
		t.Errorf("by name: %d", a.StatusCode)
	}
	if a = f.do("DELETE", path, ""); a.StatusCode != 204 || a.text != "" {
		t.Errorf("%d %q", a.StatusCode, a.text)
	}
	for _, method := range []string{"GET", "PATCH", "DELETE"} {
		if a = f.do(method, path, map[bool]string{true: `{"voice":"x"}`}[method == "PATCH"]); a.StatusCode != 404 || a.problem(t) != "not_found" {
			t.Errorf("%s: %d %s", method, a.StatusCode, a.text)
		}
	}
	// It is there again, by its history.
	var page Page[Version[Agent]]
	f.do("GET", path+"/versions", "").into(t, &page)
	if len(page.Data) != 5 || page.Data[0].Op != "delete" || page.Data[4].Op != "create" || page.Data[4].Object.Greeting != "Hello." || page.Data[4].By != "ops" {
		t.Errorf("%+v", page)
	}
	a = f.do("POST", path+"/versions/1/restore", "")
	var back Agent
	a.into(t, &back)
	if a.StatusCode != 200 || back.Greeting != "Hello." || back.ID != made.ID {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	if a = f.do("POST", path+"/versions/99/restore", ""); a.StatusCode != 404 {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
}

func TestFaultsOfAgentsAreToldAtOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	a := f.do("POST", "/v1/agents", `{"language":"very english","llm_config":{"temperature":9},"tool_ids":["canary-tool"],"stt":"canary-stt",
		"ambience":{"file":"/etc/canary"},"webhook_url":"ftp://canary.example","tools":[{"name":"c","description":"d","tool_type":"canary_type"}]}`)
	got := a.faults(t)
	for _, path := range []string{"name", "language", "llm_config.temperature", "tool_ids[0]", "stt", "ambience.file", "webhook_url", "tools[0].tool_type"} {
		if got["body."+path] == "" {
			t.Errorf("nothing of %s in %v", path, got)
		}
	}
	if a.StatusCode != 422 || strings.Contains(a.text, "canary") || strings.Contains(a.text, "very english") {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	for text, status := range map[string]int{``: 400, `{`: 400, `[]`: 400, `null`: 400, `{"name":"x"} {}`: 400, `{"name":7}`: 422, `{"nmae":"x"}`: 422} {
		if a := f.do("POST", "/v1/agents", text); a.StatusCode != status {
			t.Errorf("%s: %d %s", text, a.StatusCode, a.text)
		} else {
			a.problem(t)
		}
	}
	if a := f.do("POST", "/v1/agents", `{"nmae":"x"}`); !strings.Contains(a.text, `did you mean \"name\"?`) {
		t.Errorf("%s", a.text)
	}
}

// SEC-10: no value that was sent comes back in an error, wherever it stands.
func TestNoErrorRepeatsAValue(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var at []string
	for _, member := range []string{
		"language", "stt", "tts", "realtime", "webhook_url", "max_call_duration", "voice", "recording", "turn", "flow", "tool_ids", "tools", "variables",
	} {
		at = append(at, `{"name":"a","`+member+`":"sk-canary-1"}`, `{"name":"a","`+member+`":["sk-canary-1"]}`, `{"name":"a","`+member+`":{"x":"sk-canary-1"}}`)
	}
	for _, tool := range []string{
		`"tool_type":"sk-canary-1"`, `"config":"sk-canary-1"`, `"tool_type":"http_request","config":{"url":"sk-canary-1"}`,
		`"tool_type":"http_request","config":{"url":"http://sk-canary-1.example","method":"sk-canary-1","headers":[{"key":"sk-canary-1 x","value":"y"}]}`,
		`"tool_type":"http_request","when":"sk-canary-1 ==","parameters":{"type":"sk-canary-1"},"config":{"url":"https://x.example/{{secret.sk-canary-1}}"}`,
		`"tool_type":"webhook","dialect":"sk-canary-1","class":"sk-canary-1","phase":"sk-canary-1","dedupe":{"mode":"sk-canary-1"}`,
	} {
		at = append(at, `{"name":"a","tools":[{"name":"t","description":"d",`+tool+`}]}`)
	}
	for _, text := range at {
		if a := f.do("POST", "/v1/agents", text, "X-API-Key", opsKey); strings.Contains(a.text, "canary") && a.StatusCode != 201 {
			t.Errorf("%s: %d %s", text, a.StatusCode, a.text)
		}
		f.srv.limiter = newLimiter()
	}
	for path, text := range map[string]string{
		"/v1/trunks":   `{"name":"sk-canary-1 x","gateways":["sk-canary-1:99999999"],"nat":"sk-canary-1","country":"sk-canary-1","password":"sk-canary-1"}`,
		"/v1/numbers":  `{"number":"sk-canary-1","agent_id":"sk-canary-1","trunk":"sk-canary-1"}`,
		"/v1/api-keys": `{"name":"x","scopes":["sk-canary-1"],"allowed_agent_ids":["sk-canary-1"]}`,
		"/api/tools":   `{"name":"sk-canary-1","description":"d","webhook_url":"sk-canary-1","webhook_method":"sk-canary-1","parameters":"sk-canary-1"}`,
	} {
		if a := f.do("POST", path, text); a.StatusCode != 422 || strings.Contains(a.text, "canary") {
			t.Errorf("%s: %d %s", path, a.StatusCode, a.text)
		}
	}
}

// T-24: a key that is limited to agents changes nothing that is all agents'.
func TestALimitedKeyChangesItsAgentsOnly(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) { c.Keys[2].Scopes = []string{"*"} })
	lib := f.do("POST", "/v1/tools", toolText("shared_one"))
	other := f.do("POST", "/v1/tools", toolText("shared_two"))
	var one, two Tool
	lib.into(t, &one)
	other.into(t, &two)
	if a := f.do("PATCH", "/v1/agents/sales", `{"tool_ids":["`+one.ID+`"]}`); a.StatusCode != 200 {
		t.Fatalf("%d %s", a.StatusCode, a.text)
	}
	f.do("POST", "/v1/numbers", `{"number":"+4930111","agent_id":"support"}`)
	f.do("POST", "/v1/numbers", `{"number":"+4930222","agent_id":"sales"}`)
	f.key = salesKey
	for _, tc := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", "/v1/agents", `{"name":"mine"}`, 403},
		{"GET", "/v1/agents/support", "", 404},
		{"PATCH", "/v1/agents/support", `{"voice":"x"}`, 404},
		{"DELETE", "/v1/agents/support", "", 404},
		{"PATCH", "/v1/agents/sales", `{"voice":"x"}`, 200},
		{"PATCH", "/v1/agents/sales", `{"tool_ids":["shared_two"]}`, 422},
		{"GET", "/v1/agents/support/tools", "", 404},
		{"POST", "/v1/agents/support/tools", toolText("x"), 404},
		{"GET", "/v1/agents/support/flow", "", 404},
		{"PUT", "/api/agents/support/flow", `{"nodes":[]}`, 404},
		{"GET", "/v1/agents/support/versions", "", 404},
		{"POST", "/v1/agents/support/versions/1/restore", "", 404},
		{"POST", "/v1/tools", toolText("x"), 403},
		{"POST", "/api/tools", "{}", 403},
		{"GET", "/v1/tools/" + one.ID, "", 200},
		{"GET", "/v1/tools/" + two.ID, "", 404},
		{"PATCH", "/v1/tools/" + one.ID, `{"priority":3}`, 403},
		{"DELETE", "/v1/tools/" + one.ID, "", 403},
		{"POST", "/v1/tools/" + two.ID + "/test", `{}`, 404},
		{"GET", "/v1/tools/" + two.ID + "/versions", "", 404},
		{"GET", "/v1/trunks", "", 403},
		{"POST", "/v1/trunks", `{"name":"x","allow":["203.0.113.1"]}`, 403},
		{"POST", "/v1/numbers", `{"number":"+4930333","agent_id":"support"}`, 422},
		{"POST", "/v1/numbers", `{"number":"+4930333","agent_id":"sales"}`, 201},
		{"GET", "/v1/api-keys", "", 403},
		{"POST", "/v1/api-keys", `{"name":"x","scopes":["*"]}`, 403},
	} {
		if a := f.do(tc.method, tc.path, tc.body); a.StatusCode != tc.status {
			t.Errorf("%s %s: %d %s", tc.method, tc.path, a.StatusCode, a.text)
		}
	}
	var tools Page[Tool]
	if f.do("GET", "/v1/tools", "").into(t, &tools); len(tools.Data) != 1 || tools.Data[0].ID != one.ID {
		t.Errorf("%+v", tools)
	}
	var numbers Page[Number]
	if f.do("GET", "/v1/numbers", "").into(t, &numbers); len(numbers.Data) != 2 || numbers.Data[0].AgentID != "sales" {
		t.Errorf("%+v", numbers)
	}
	var stats Stats
	if f.do("GET", "/v1/stats", "").into(t, &stats); len(stats.Agents) != 1 || stats.Agents[0].AgentID != "sales" {
		t.Errorf("%+v", stats)
	}
}

func toolText(name string) string {
	return `{"name":"` + name + `","description":"Looks up a customer. Call this first.","tool_type":"http_request",` +
		`"config":{"url":"https://crm.example.com/api/customers","method":"GET"}}`
}

// T-24: a tool of an agent's own opens none of the library that has the same name.
func TestALimitedKeySeesNoToolByTheNameOfItsOwn(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) { c.Keys[2].Scopes = []string{"*"} })
	if a := f.do("POST", "/v1/tools", toolText("shared")); a.StatusCode != 201 {
		t.Fatalf("%d %s", a.StatusCode, a.text)
	}
	f.key = salesKey
	var own Tool
	f.do("POST", "/v1/agents/sales/tools", toolText("shared")).into(t, &own)
	if a := f.do("PATCH", "/v1/agents/sales", `{"pre_call_tool_ids":["shared"]}`); a.StatusCode != 200 {
		t.Fatalf("%d %s", a.StatusCode, a.text)
	}
	hidden := func() {
		t.Helper()
		if a := f.do("GET", "/v1/tools/shared", ""); a.StatusCode != 404 {
			t.Errorf("%d %s", a.StatusCode, a.text)
		}
		if a := f.do("GET", "/v1/tools", ""); strings.Contains(a.text, `"shared"`) {
			t.Error(a.text)
		}
		if a := f.do("PATCH", "/v1/agents/sales", `{"tool_ids":["shared"]}`); a.StatusCode != 422 {
			t.Errorf("%d %s", a.StatusCode, a.text)
		}
	}
	hidden()
	path := "/v1/agents/sales/tools/" + own.ID
	if a := f.do("PATCH", path, `{"name":"mine"}`); a.StatusCode != 409 {
		t.Errorf("its name stays with the library's: %d %s", a.StatusCode, a.text)
	}
	if a := f.do("DELETE", path, ""); a.StatusCode != 409 {
		t.Errorf("it goes, its name stays with the library's: %d %s", a.StatusCode, a.text)
	}
	hidden()
	if a := f.do("PATCH", "/v1/agents/sales", `{"pre_call_tool_ids":null}`); a.StatusCode != 200 {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	if a := f.do("DELETE", path, ""); a.StatusCode != 204 {
		t.Errorf("nobody names it: %d %s", a.StatusCode, a.text)
	}
}

// T-24: what was taken from an agent does not come back with an older version.
func TestALimitedKeyRestoresNoToolOfOthers(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) { c.Keys[2].Scopes = []string{"*"} })
	f.do("POST", "/v1/tools", toolText("shared"))
	f.do("PATCH", "/v1/agents/sales", `{"tool_ids":["shared"]}`)
	f.do("PATCH", "/v1/agents/sales", `{"tool_ids":null}`)
	f.key = salesKey
	if a := f.do("POST", "/v1/agents/sales/versions/2/restore", ""); a.StatusCode != 403 {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	if a := f.do("GET", "/v1/tools/shared", ""); a.StatusCode != 404 {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	if a := f.do("POST", "/v1/agents/sales/versions/1/restore", ""); a.StatusCode != 200 {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	f.key = opsKey
	if a := f.do("POST", "/v1/agents/sales/versions/2/restore", ""); a.StatusCode != 200 {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
}
