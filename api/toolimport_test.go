package api

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/patchcord/patchcord/configs"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/store"
)

// importFixture knows the secrets that the recorded files name.
func importFixture(t *testing.T) *fixture {
	t.Helper()
	return newFixture(t, func(c *Config) {
		cfg, _, err := configs.Load("")
		if err != nil {
			t.Fatal(err)
		}
		cfg.Secrets = map[string]configs.Secret{"crm": {Value: "canary-secret"}, "hubspot": {Value: "canary-client"}}
		c.Reader = cfg.Reader()
	})
}

func recordedTool(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile("../testdata/tools/" + file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (i ToolImport) names() string {
	var out []string
	for _, t := range i.Data {
		out = append(out, t.Op+":"+t.Name)
	}
	return strings.Join(out, " ")
}

// The platforms' own examples become tools of the library, JSON or YAML; a
// trial run keeps none.
func TestToolsAreImported(t *testing.T) {
	t.Parallel()
	f := importFixture(t)
	for _, tc := range []struct{ file, form, tools, warns string }{
		{"callin/consulter-contact-crm.json", "callin", "consulter-contact-crm", ""},
		{"callin/creer-lead-crm.yaml", "callin", "Creer_Lead_CRM", ""},
		{"hubspot/book-slot-hsmeta.json", "hubspot", "book_slot", "body.config.client_secret"},
		{"talkpilot/lookup_customer.json", "talkpilot", "lookup_customer", ""},
		{"talkpilot/list.json", "talkpilot", "end_call get_email press_one docs to_human to_monitored", "body.data[4].config.phone_number"},
		{"dariet/check_order_status.json", "dariet", "check_order_status", "body.config.headers.Authorization"},
	} {
		body := recordedTool(t, tc.file)
		want := "create:" + strings.ReplaceAll(tc.tools, " ", " create:")
		var trial, got ToolImport
		a := f.do("POST", "/v1/tools/import?dry_run=true", body)
		a.into(t, &trial)
		if a.StatusCode != 200 || !trial.DryRun || trial.Form != tc.form || trial.names() != want || trial.Data[0].ID != "" {
			t.Errorf("%s, a trial: %d %s", tc.file, a.StatusCode, a.text)
		}
		for _, tool := range trial.Data {
			if b := f.do("GET", "/v1/tools/"+tool.Name, ""); b.StatusCode != 404 {
				t.Errorf("%s: the trial kept %s", tc.file, tool.Name)
			}
		}
		a = f.do("POST", "/v1/tools/import", body, "Content-Type", "application/yaml")
		a.into(t, &got)
		if a.StatusCode != 201 || got.DryRun || got.Form != tc.form || got.names() != want ||
			!strings.Contains(a.text, tc.warns) {
			t.Errorf("%s: %d %s", tc.file, a.StatusCode, a.text)
		}
		for _, tool := range got.Data {
			kept, err := f.store.Tool(t.Context(), tool.Name)
			if err != nil || kept.ID != tool.ID || kept.Revision != 1 || kept.Agent != "" || kept.By != "ops" {
				t.Errorf("%s: %s is kept as %+v, %v", tc.file, tool.Name, kept, err)
			}
		}
	}
	// Of an agent's file its tools are taken; the rest is told.
	a := f.do("POST", "/v1/tools/import?replace=true", recordedTool(t, "flireo/agent.json"))
	var got ToolImport
	a.into(t, &got)
	const want = "create:lookup_customer create:check_order_status create:log_interest create:end_call create:transfer_call"
	if a.StatusCode != 201 || strings.ReplaceAll(got.names(), "replace:", "create:") != want || !strings.Contains(a.text, "body.webhook_url") {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
}

// One tool that cannot be used keeps the whole file out; each fault tells where
// in the file it is and what to do, and nothing of what was sent.
func TestImportIsWholeOrNot(t *testing.T) {
	t.Parallel()
	f := importFixture(t)
	good := toolText("good")
	a := f.do("POST", "/v1/tools/import", `{"tools":[`+good+`,`+
		strings.Replace(toolText("plain"), "https://", "http://", 1)+`,`+toolText("good")+`,`+
		strings.Replace(toolText("needs_key"), `"method":"GET"`, `"method":"GET","headers":[{"key":"X-Key","value":"{{secret.nowhere}}"}]`, 1)+
		`,{"name":"canary-odd","description":"d","tool_type":"canary-type","config":{}}]}`)
	got := a.faults(t)
	for at, want := range map[string]string{
		"body.tools[1].config.url": "https", "body.tools[2].name": "rename", "body.tools[3].config.headers[0].value": "secrets:",
		"body.tools[4].tool_type": "",
	} {
		if msg, ok := got[at]; !ok || !strings.Contains(msg, want) {
			t.Errorf("%s: %q in %s", at, msg, a.text)
		}
	}
	if a.StatusCode != 422 || a.problem(t) != "invalid_request" || strings.Contains(a.text, "canary") {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	if list, _, err := f.store.Tools(t.Context(), "", store.Page{}); err != nil || len(list) != 0 {
		t.Errorf("%d tools are kept, %v", len(list), err)
	}
	for body, want := range map[string]string{
		`{"hello":"canary"}`:                   "unknown_form",
		`[` + good + `,{"hello":"x"}]`:         "unknown_form",
		`[]`:                                   "invalid_request",
		"a: [":                                 "bad_request",
		`"x"`:                                  "unknown_form",
		"":                                     "bad_request",
		`{"name":"a","description":"\u0000x"}`: "invalid_request",
	} {
		if a := f.do("POST", "/v1/tools/import", body); a.StatusCode < 400 || a.StatusCode > 422 || a.problem(t) != want || strings.Contains(a.text, "canary") {
			t.Errorf("%q: %d %s", body, a.StatusCode, a.text)
		}
	}
	if a := f.do("POST", "/v1/tools/import", `{"description":"`+strings.Repeat("x", maxBody)+`"}`); a.StatusCode != 413 {
		t.Errorf("a large file: %d", a.StatusCode)
	}
}

// A name that the library has is a conflict, unless the tool shall take the
// other's place: then it keeps its id.
func TestImportReplaces(t *testing.T) {
	t.Parallel()
	f := importFixture(t)
	const path = "/v1/tools/import"
	f.do("POST", path, toolText("find"))
	was, err := f.store.Tool(t.Context(), "find")
	if err != nil {
		t.Fatal(err)
	}
	body := `[` + toolText("find") + `,` + toolText("more") + `]`
	if a := f.do("POST", path, body); a.StatusCode != 409 || a.problem(t) != "conflict" || !strings.Contains(a.faults(t)["body[0].name"], "replace=true") {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	if _, err := f.store.Tool(t.Context(), "more"); err == nil {
		t.Error("half of it is kept")
	}
	var got ToolImport
	if a := f.do("POST", path+"?replace=true&dry_run=true", body); a.StatusCode != 200 || !strings.Contains(a.text, `"op":"replace"`) {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	f.do("POST", path+"?replace=true", body).into(t, &got)
	if got.names() != "replace:find create:more" || got.Data[0].ID != was.ID || got.Data[0].Revision != 2 {
		t.Errorf("%+v", got)
	}

	// H-19: an action goes on from its version; what was published stays.
	action := recordedTool(t, "hubspot/book-slot-hsmeta.json")
	f.do("POST", path, action)
	if a := f.do("POST", path+"?replace=true", action); a.StatusCode != 201 || !strings.Contains(a.text, `"version":2`) {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	changed := strings.Replace(action, `"name": "day"`, `"name": "date"`, 1)
	if a := f.do("POST", path+"?replace=true", changed); a.StatusCode != 422 || !strings.Contains(a.text, "was published and is gone") {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}

	// The same request is carried out once; a trial is another request.
	again := toolText("once")
	first := f.do("POST", path, again, "Idempotency-Key", "k")
	if a := f.do("POST", path, again, "Idempotency-Key", "k"); a.StatusCode != 201 || a.text != first.text || a.Header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	if a := f.do("POST", path+"?dry_run=true", again, "Idempotency-Key", "k"); a.StatusCode != 422 || a.problem(t) != "idempotency_key_reused" {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
}

// A built-in without a name goes by its type, and takes no other's place; an
// extraction without one goes by its variable.
func TestImportOfBuiltInsWithoutNames(t *testing.T) {
	t.Parallel()
	f := importFixture(t)
	const path = "/v1/tools/import"
	var other Tool
	f.do("POST", "/v1/tools", `{"tool_type":"transfer_call","config":{"phone_number":"+491234567"}}`).into(t, &other)
	body := `[{"tool_type":"end_call"},{"tool_type":"play_tone","config":{"dtmf_digit":"1"}},
		{"tool_type":"extract_variable","config":{"variable_name":"a","variable_type":"custom"}},
		{"tool_type":"extract_variable","config":{"variable_name":"b","variable_type":"custom"}}]`
	var first, again ToolImport
	a := f.do("POST", path, body)
	a.into(t, &first)
	if a.StatusCode != 201 || first.names() != "create:end_call create:play_tone create: create:" {
		t.Fatalf("%d %s", a.StatusCode, a.text)
	}
	if a := f.do("POST", path, `[{"tool_type":"end_call"}]`); a.StatusCode != 409 {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	f.do("POST", path+"?replace=true", `[{"tool_type":"end_call"}]`).into(t, &again)
	if again.names() != "replace:end_call" || again.Data[0].ID != first.Data[0].ID {
		t.Errorf("%+v", again)
	}
	if kept, err := f.store.Tool(t.Context(), other.ID); err != nil || kept.Type != other.Type || kept.Revision != 1 {
		t.Errorf("another is %+v, %v", kept, err)
	}
	if a := f.do("POST", path, `[{"tool_type":"end_call"},{"tool_type":"end_call"}]`); a.StatusCode != 422 && a.StatusCode != 409 {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
}

// H-19: an action in our own form says what stands beside it; its version goes
// on. HubSpot's file says nothing of that, and leaves it.
func TestImportOfAnActionInOurForm_H19(t *testing.T) {
	t.Parallel()
	f := importFixture(t)
	const path = "/v1/tools/import?replace=true"
	action := recordedTool(t, "hubspot/book-slot-hsmeta.json")
	ours := func(beside string) string {
		return `{"name":"book_slot","tool_type":"webhook","dialect":"hubspot"` + beside + `,"hsmeta":` + action + `}}`
	}
	for i, tc := range []struct{ body, secret, signature, enabled string }{
		{ours(`,"config":{"client_secret":"{{secret.hubspot}}","signature":"v1"`), "{{secret.hubspot}}", "v1", "true"},
		{ours(`,"is_enabled":false,"config":{"client_secret":"{{secret.crm}}","signature":"v3","version":1`), "{{secret.crm}}", "v3", "false"},
		{action, "{{secret.crm}}", "v3", "false"},
		{ours(`,"config":{"client_secret":"{{secret.hubspot}}"`), "{{secret.hubspot}}", "", "true"},
	} {
		if a := f.do("POST", path, tc.body); a.StatusCode != 201 {
			t.Fatalf("%d: %d %s", i, a.StatusCode, a.text)
		}
		kept, err := f.store.Tool(t.Context(), "book_slot")
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			Secret    string `yaml:"client_secret"`
			Signature string `yaml:"signature"`
			Version   int    `yaml:"version"`
			Meta      any    `yaml:"hsmeta"`
		}
		if fs := kept.Config.Decode(&got); fs != nil {
			t.Fatal(fs)
		}
		want := i + 1
		if i == 0 {
			want = 0 // not told: 1
		}
		if got.Secret != tc.secret || got.Signature != tc.signature || got.Version != want ||
			strconv.FormatBool(kept.IsEnabled()) != tc.enabled {
			t.Errorf("%d: %+v, enabled %t", i, got, kept.IsEnabled())
		}
	}
}

// Who is limited to some agents does not fill the library of all.
func TestImportNeedsTheWholeLibrary(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) {
		c.Keys[1].Scopes = []string{"tools:read"}
		c.Keys[2].Scopes, c.Keys[2].Agents = []string{"tools:write"}, []agent.ID{"sales"}
	})
	for _, key := range []string{readKey, salesKey} {
		if a := f.do("POST", "/v1/tools/import", toolText("x"), "X-API-Key", key); a.StatusCode != 403 || a.problem(t) != "forbidden" {
			t.Errorf("%s: %d %s", key, a.StatusCode, a.text)
		}
	}
}
