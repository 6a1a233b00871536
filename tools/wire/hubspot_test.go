package wire_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/tools"
	"github.com/patchcord/patchcord/tools/wire"
)

const (
	seedAction = recorded + "/hubspot/project/src/app/workflow-actions/agent-tool-action-hsmeta.json"
	bookSlot   = recorded + "/hubspot/book-slot-hsmeta.json"
)

// action is a tool of a file, after changes to its JSON.
func action(t testing.TB, file string, change func(m, config map[string]any)) tools.Definition {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(m, m["config"].(map[string]any)) //nolint:errcheck // of our own files
	}
	cfg, err := tools.NewConfig(map[string]any{"hsmeta": m, "client_secret": "{{secret.key}}"})
	if err != nil {
		t.Fatal(err)
	}
	return tools.Definition{Type: tools.Webhook, Dialect: "hubspot", Config: cfg}
}

// The platform's own example: what it says, and what its own rules miss in it
// (H-02, H-05, H-06, H-10, H-11, H-13, H-14, H-20).
func TestHubSpotExample_H02_H06_H13_H14_H20(t *testing.T) {
	t.Parallel()
	yes := true
	d := action(t, seedAction, nil)
	d.Enabled = &yes
	set, faults := tools.Build([]tools.Definition{d}, deps(t))
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	tool, ok := set.Get("agent_tool_action") // H-02: the uid is the function's name
	if !ok {
		t.Fatal("not there")
	}
	got := tool.Definition()
	if got.Class != tools.Read || got.DisplayName != "My custom agent tool" || // H-05: GET_DATA
		got.Description != "My custom agent tool: A description that helps the LLM understand what this tool does." {
		t.Errorf("got %+v", got)
	}
	// H-11: textarea and select; H-10: values with their labels beside.
	const want = `{"type":"object","properties":{` +
		`"message":{"type":"string","title":"Notification Message","description":"Enter the message to be sent in the notification"},` +
		`"priority":{"type":"string","title":"Priority Level","enum":["high","normal","low"],` +
		`"description":"Select the priority level for this notification (high: High Priority, normal: Normal Priority, low: Low Priority)"}},` +
		`"required":["message","priority"]}`
	if string(tool.Schema()) != want {
		t.Errorf("schema\ngot  %s\nwant %s", tool.Schema(), want)
	}
	var told []string
	for _, f := range faults.Warnings() {
		told = append(told, f.Path)
	}
	// H-14: required by the table, left out by the example.
	for _, path := range []string{"config.hsmeta.config.labels.en.appDisplayName", "config.hsmeta.config.labels.en.inputFieldOptionLabels.priority"} {
		if !strings.Contains(strings.Join(told, " "), path) {
			t.Errorf("no warning of %s: %v", path, told)
		}
	}
}

func TestHubSpotSchema_H09_H12(t *testing.T) {
	t.Parallel()
	tool := mustBuild(t, action(t, bookSlot, nil))
	for _, want := range []string{
		`"day":{"type":"string","format":"date"}`,
		`"guests":{"type":"number"}`,
		`"unit":{"type":"string","enum":["p","t"],"description":"(p: People, t: tables)"}`,
		`"extras":{"type":"array","items":{"type":"string","enum":["music","cake"]},"description":"(music: Music, cake: A cake)"}`,
		`"remind":{"type":"boolean"}`, `"required":["day"]`,
		`"allOf":[{"dependentSchemas":{"unit":{"required":["guests"]}}},` +
			`{"dependentSchemas":{"extras":{"properties":{"unit":{"const":"t"}},"required":["unit"]}}}]`,
	} {
		if !strings.Contains(string(tool.Schema()), want) {
			t.Errorf("%s is not in %s", want, tool.Schema())
		}
	}
	if tool.Definition().Class != tools.Effect { // H-05: TAKE_ACTION
		t.Errorf("class %s", tool.Definition().Class)
	}
}

func mustBuild(t testing.TB, d tools.Definition) tools.Tool {
	t.Helper()
	set, faults := tools.Build([]tools.Definition{d}, deps(t))
	if faults.Err() != nil || len(set.Tools()) != 1 {
		t.Fatal(faults)
	}
	return set.Tools()[0]
}

func inputs(n int) []any {
	var out []any
	for i := range n {
		out = append(out, map[string]any{"typeDefinition": map[string]any{
			"name": fmt.Sprintf("f%d", i), "type": "string", "fieldType": "text",
		}})
	}
	return out
}

func TestHubSpotFaults(t *testing.T) {
	t.Parallel()
	set := func(key string, v any) func(m, c map[string]any) { return func(_, c map[string]any) { c[key] = v } }
	for _, c := range []struct {
		name, want string
		change     func(m, config map[string]any)
	}{
		{"H-02 no uid", "hsmeta.uid: missing", func(m, _ map[string]any) { delete(m, "uid") }},
		{"H-03 another type", `hsmeta.type: "card"; a tool is of the type workflow-action`, func(m, _ map[string]any) { m["type"] = "card" }},
		{"H-04 no actionUrl", "hsmeta.config.actionUrl: missing", set("actionUrl", "")},
		{"H-04 not public", "config.actionUrl: http without TLS", set("actionUrl", "http://example.com/x")},
		{"H-04 a function of the project", "config.actionUrl: a serverless function", set("actionUrl", "https://x.hs-sites.com/_hcms/api/f")},
		{"H-05 another kind of tool", `config.toolType: "GETDATA"; did you mean "GET_DATA"?`, set("toolType", "GETDATA")},
		{"H-06 no description for the model", "config.llmDescription: missing", set("llmDescription", "")},
		{"H-08 no clients", "config.supportedClients: missing", set("supportedClients", []any{})},
		{
			"H-08 a client that is none", `supportedClients[0].client: "AGENT"; did you mean "AGENTS"?`,
			set("supportedClients", []any{map[string]any{"client": "AGENT"}}),
		},
		{"H-10 an enumeration without options", "options: missing", set("inputFields", []any{map[string]any{
			"typeDefinition": map[string]any{"name": "a", "type": "enumeration"},
		}})},
		{"H-11 a type that is none", `unknown type "strng"; did you mean "string"?`, set("inputFields", []any{map[string]any{
			"typeDefinition": map[string]any{"name": "a", "type": "strng"},
		}})},
		{"H-12 a dependency on nothing", `no input field "b"`, set("inputFieldDependencies", []any{map[string]any{
			"dependencyType": "SINGLE_FIELD", "controllingFieldName": "message", "dependentFieldNames": []any{"b"},
		}})},
		{"H-12 a dependency of another kind", `unknown dependency "SINGLE"`, set("inputFieldDependencies", []any{map[string]any{
			"dependencyType": "SINGLE", "controllingFieldName": "message", "dependentFieldNames": []any{"priority"},
		}})},
		{"H-13 no English labels", "config.labels.en: missing", set("labels", map[string]any{"fr": map[string]any{"actionName": "a"}})},
		{"H-13 no action's name", "labels.en.actionName: missing", set("labels", map[string]any{"en": map[string]any{}})},
		{"H-18 27 input fields", "27 input fields; 26 at most", set("inputFields", inputs(27))},
		{"H-18 two of one name", `a second input field "f0"`, set("inputFields", append(inputs(2), inputs(1)...))},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := action(t, seedAction, c.change)
			open := deps(t)
			client, err := tools.NewClient(tools.HTTPConfig{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(client.Close)
			open.Client = client
			if err := d.Validate(open).Err(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
	d := action(t, seedAction, set("inputFields", inputs(26)))
	if err := d.Validate(deps(t)).Err(); err != nil {
		t.Errorf("26 input fields: %v", err)
	}
}

// H-07, H-08, H-15: what is not offered, and why.
func TestHubSpotNotOffered_H07_H08_H15(t *testing.T) {
	t.Parallel()
	yes := true
	published := func(_, c map[string]any) { c["isPublished"] = true }
	for _, c := range []struct {
		name, because string
		enabled       *bool
		object        string
		change        func(m, c map[string]any)
	}{
		{"H-07 not published", "not published", nil, "", nil},
		{"H-07 published", "", nil, "", published},
		{"H-07 tried by its maker", "", &yes, "", nil},
		{"H-08 for workflows only", "AGENTS is not among them", &yes, "", func(m, c map[string]any) {
			published(m, c)
			c["supportedClients"] = []any{map[string]any{"client": "WORKFLOWS"}}
		}},
		{"H-15 for another kind of record", "not for TICKET", nil, "TICKET", published},
		{"H-15 for every kind of record", "", nil, "TICKET", func(m, c map[string]any) {
			published(m, c)
			c["objectTypes"] = []any{}
		}},
	} {
		d := action(t, seedAction, c.change)
		d.Enabled = c.enabled
		deps := deps(t)
		deps.Agent = &tools.Agent{HubSpot: tools.HubSpot{ObjectType: c.object}}
		set, faults := tools.Build([]tools.Definition{d}, deps)
		if faults.Err() != nil {
			t.Fatal(faults)
		}
		if offered := len(set.Offered()) == 1; offered != (c.because == "") {
			t.Errorf("%s: offered %v", c.name, offered)
		}
		if all := fmt.Sprint(faults.Warnings()); !strings.Contains(fmt.Sprint(texts(faults)), c.because) {
			t.Errorf("%s: %s", c.name, all)
		}
	}
}

func texts(fs tools.Faults) (out []string) {
	for _, f := range fs {
		out = append(out, f.Error())
	}
	return out
}

// H-28: a blocked action is completed once, by who knows its callback.
func TestCallbacks_H28(t *testing.T) {
	t.Parallel()
	url, got := webhook(t, reply(`{"outputFields":{"hs_execution_state":"BLOCK"}}`))
	deps := deps(t)
	deps.Callbacks = tools.NewCallbacks("")
	set, faults := tools.Build([]tools.Definition{action(t, bookSlot, func(_, c map[string]any) { c["actionUrl"] = url })}, deps)
	if faults.Err() != nil {
		t.Fatal(faults)
	}
	call := tools.Call{ID: "c1", Args: json.RawMessage(`{"day":"2026-12-01"}`), Env: tools.Env{CallID: "k"}}
	r := set.Tools()[0].Run(t.Context(), call)
	var sent struct {
		CallbackID string `json:"callbackId"`
	}
	if err := json.Unmarshal([]byte((<-got).body), &sent); err != nil || r.Later == nil {
		t.Fatalf("%v, result %+v", err, r)
	}
	cb := deps.Callbacks
	if cb.Complete("ap-guessed", json.RawMessage(`{}`)) {
		t.Error("a callback that nobody waits for was completed")
	}
	if !cb.Complete(sent.CallbackID, json.RawMessage(`{"booking_id":"B9","hs_execution_state":"SUCCESS"}`)) ||
		cb.Complete(sent.CallbackID, json.RawMessage(`{"booking_id":"twice"}`)) {
		t.Error("it is completed once")
	}
	late := r.Later(t.Context())
	if late.Status != tools.OK || string(late.JSON) != `{"booking_id":"B9"}` || late.Vars["booking_id"] != "B9" {
		t.Errorf("got %+v", late)
	}
	if cb.Complete(sent.CallbackID, json.RawMessage(`{}`)) {
		t.Error("a callback that is over was completed")
	}
	// A result that came at once leaves nothing to be completed.
	url, got = webhook(t, reply(`{"outputFields":{"booking_id":"B1"}}`))
	tool := action(t, bookSlot, func(_, c map[string]any) { c["actionUrl"] = url })
	set, _ = tools.Build([]tools.Definition{tool}, deps)
	set.Tools()[0].Run(t.Context(), call)
	if err := json.Unmarshal([]byte((<-got).body), &sent); err != nil || cb.Complete(sent.CallbackID, json.RawMessage(`{}`)) {
		t.Error("an action that was not blocked was completed")
	}
}

// H-28: ten minutes where the action names no time, its own where it does.
func TestCallbackExpires_H28(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"": 10 * time.Minute, "PT30S": 30 * time.Second, "P1DT2H3M4S": 24 * time.Hour, "PT1H30M": 90 * time.Minute,
		"P": 10 * time.Minute, "ten": 10 * time.Minute, "PT0S": 10 * time.Minute,
	} {
		synctest.Test(t, func(t *testing.T) {
			cb := tools.NewCallbacks("")
			d := action(t, bookSlot, nil)
			w, faults := wire.HubSpot{}.Open(&d, tools.Deps{Callbacks: cb})
			if faults.Err() != nil {
				t.Fatal(faults)
			}
			c := tools.Call{ID: text}
			cb.Expect(cb.ID(c))
			r := w.Reply(c, tools.Reply{Status: http.StatusOK, Body: []byte(
				`{"outputFields":{"hs_execution_state":"BLOCK","hs_expiration_duration":"` + text + `"}}`)})
			start := time.Now()
			late := r.Later(t.Context())
			if took := time.Since(start); late.Status != tools.TimedOut || took != want || string(late.JSON) != `{"error":"timeout"}` {
				t.Errorf("%q: %s after %v, want %v", text, late.Status, took, want)
			}
		})
	}
}

// H-19: what a published action may not change.
func TestHubSpotCompatible_H19(t *testing.T) {
	t.Parallel()
	old := action(t, bookSlot, nil)
	change := func(from, to string) tools.Definition {
		b, err := old.Config.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(b, []byte(from)) {
			t.Fatalf("%s is not in it", from)
		}
		d := old
		if err := d.Config.UnmarshalJSON(bytes.Replace(b, []byte(from), []byte(to), 1)); err != nil {
			t.Fatal(err)
		}
		return d
	}
	for _, c := range []struct {
		name string
		next tools.Definition
		want string
	}{
		{"the same", old, ""},
		{"a new description", change(`Books a slot.`, `Books a slot now.`), ""},
		{"an optional field has another type", change(`"fieldType":"number","name":"guests","type":"number"`, `"fieldType":"text","name":"guests","type":"string"`), ""},
		{"a required field is renamed", change(`"name":"day"`, `"name":"date"`), "day"},
		{"a required field has another type", change(`"name":"day","type":"date"`, `"name":"day","type":"string"`), "day"},
		{"a required field is required no more", change(`"isRequired":true`, `"isRequired":false`), "day"},
	} {
		err := wire.HubSpotCompatible(&old, &c.next)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	draft := change(`"isPublished":true`, `"isPublished":false`)
	other := change(`"name":"day"`, `"name":"date"`)
	if err := wire.HubSpotCompatible(&draft, &other); err != nil {
		t.Errorf("what was not published yet: %v", err)
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	read := func(name string) ([]byte, error) {
		if name != "a.json" {
			return nil, errors.New("no such file")
		}
		return []byte(`{"uid":"from_file","type":"workflow-action"}`), nil
	}
	d := define(t, `{tool_type: webhook, dialect: hubspot, config: {file: a.json, client_secret: x}}`)
	if err := wire.Resolve(&d, read); err != nil || d.Name != "from_file" {
		t.Fatalf("%v, %+v", err, d)
	}
	b, err := json.Marshal(d.Config)
	if err != nil || string(b) != `{"client_secret":"x","hsmeta":{"uid":"from_file","type":"workflow-action"}}` {
		t.Errorf("%s, %v", b, err)
	}
	d = define(t, `{name: own, tool_type: webhook, dialect: hubspot, config: {hsmeta: {uid: inline}}}`)
	if err := wire.Resolve(&d, read); err != nil || d.Name != "own" {
		t.Errorf("%v, %+v", err, d)
	}
	for _, bad := range []string{
		`{tool_type: webhook, dialect: hubspot, config: {file: b.json}}`,
		`{tool_type: webhook, dialect: hubspot, config: {file: a.json, hsmeta: {uid: a}}}`,
	} {
		d := define(t, bad)
		if err := wire.Resolve(&d, read); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

func FuzzHSMeta(f *testing.F) {
	for _, file := range []string{seedAction, bookSlot} {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	d := deps(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		cfg, err := tools.NewConfig(map[string]json.RawMessage{"hsmeta": b})
		if err != nil {
			return
		}
		def := tools.Definition{Type: tools.Webhook, Dialect: "hubspot", Config: cfg}
		def.Validate(d)
	})
}

func FuzzReplies(f *testing.F) {
	f.Add(200, []byte(`{"results":[{"tool_call_id":"a","result":{}},{"toolCallId":"b","error":"x"}]}`))
	f.Add(200, []byte(`{"outputFields":{"hs_execution_state":"BLOCK","hs_expiration_duration":"P9999W"}}`))
	f.Add(500, []byte(`{"outputFields":null,"results":null,"error":{}}`))
	deps := deps(f)
	for _, d := range []tools.Definition{
		action(f, bookSlot, nil),
		define(f, `{name: a, description: d, tool_type: webhook, dialect: flireo, config: {url: "https://x.example"}}`),
		define(f, `{name: a, description: d, tool_type: webhook, dialect: callin, config: {url: "https://x.example"}}`),
		define(f, `{name: a, description: d, tool_type: webhook, dialect: talkpilot, config: {url: "https://x.example"}}`),
		define(f, `{name: a, description: d, tool_type: webhook, dialect: dariet, config: {webhook_url: "https://x.example"}}`),
	} {
		_ = mustBuild(f, d)
	}
	hub := action(f, bookSlot, nil)
	w, _ := wire.HubSpot{}.Open(&hub, deps)
	fl := define(f, `{name: a, description: d, tool_type: webhook, dialect: flireo, config: {url: "https://x.example"}}`)
	fw, _ := wire.Flireo{}.Open(&fl, deps)
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		calls := []tools.Call{{ID: "a"}, {ID: "b"}}
		results := fw.(tools.Batcher).ReplyAll(calls, tools.Reply{Status: status, Body: body}) //nolint:errcheck // it is one
		for _, r := range append(results, w.Reply(calls[0], tools.Reply{Status: status, Body: body})) {
			if !json.Valid(r.JSON) || len(r.JSON) == 0 || r.JSON[0] != '{' {
				t.Errorf("no object: %q", r.JSON)
			}
			if status >= 300 && r.Status == tools.OK {
				t.Errorf("status %d is a success", status)
			}
		}
	})
}
