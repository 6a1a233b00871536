package wire_test

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/goccy/go-yaml"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/tools"
	"github.com/patchcord/patchcord/tools/wire"
)

// TestImport reads the platforms' own examples.
func TestImport(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, file, form string
		tools            string
		configs          []string // of the tools, in their order
		notes            string
	}{
		{
			"C-03, C-08 the fields of the form", "callin/consulter-contact-crm.json", "callin", "consulter-contact-crm",
			[]string{
				`{"method":"GET","url":"https://crm.exemple.com/contacts","body_parameters":[` +
					`{"type":"texte","identifier":"email","required":true,"description":"Email valide"},` +
					`{"type":"texte","identifier":"telephone","required":true,"description":"Téléphone au format international"}]}`,
			},
			"",
		},
		{
			"C-03, C-04, C-11 … in French, with headers", "callin/creer-lead-crm.yaml", "callin", "Creer_Lead_CRM",
			[]string{
				`{"method":"POST","url":"https://crm.exemple.com/leads","headers":[{"key":"Authorization","value":"Bearer {{secret.crm}}"}],"body_parameters":[` +
					`{"type":"texte","identifier":"nom_complet","required":true,"description":"Prénom et nom"},` +
					`{"type":"email","identifier":"email","required":true,"description":"Email valide"},` +
					`{"type":"texte","identifier":"telephone","required":true,"description":"Téléphone au format international"},` +
					`{"type":"texte","identifier":"motif","description":"Une phrase courte"},` +
					`{"type":"vrai/faux","identifier":"rappel","description":"Le client veut être rappelé"},{"type":"nombre","identifier":"budget"}]}`,
			},
			"",
		},
		{"H-01 an action", "hubspot/book-slot-hsmeta.json", "hubspot", "book_slot", nil, "client_secret"},
		{"T-02 a tool as the API gives it", "talkpilot/lookup_customer.json", "talkpilot", "lookup_customer", nil, ""},
		{
			"T-01 the others, as a list", "talkpilot/list.json", "talkpilot", "end_call get_email press_one docs to_human to_monitored", nil, "",
		},
		{
			"F-01, F-08, F-09 an agent's tools", "flireo/agent.json", "flireo", "lookup_customer check_order_status log_interest end_call transfer_call",
			[]string{
				`{}`, `{"url":"https://crm.example.com/api/lookup"}`, `{"async":true,"async_response":"Interest noted for follow-up."}`, `{}`,
				`{"destinations":[{"type":"number","number":"+31612345678","description":"Sales team - for pricing questions and quotes",` +
					`"message":"Ik verbind u door met sales."},{"type":"number","number":"+31687654321","description":"Technical support - for product issues"}]}`,
			},
			"webhook_url",
		},
		{
			"F-05 the older casing", "flireo/legacy.json", "flireo", "log_interest end_call transfer_call",
			[]string{`{"url":"https://crm.example.com/log","async":true,"async_response":"Noted."}`, `{}`, `{"destinations":[{"type":"number","number":"+31612345678","description":"Human support"}]}`},
			"",
		},
		{
			"D-02 a tool", "dariet/check_order_status.json", "dariet", "check_order_status",
			[]string{`{"headers":{"Authorization":"Bearer your-api-key"},"timeout_secs":8,"webhook_method":"POST","webhook_url":"https://your-api.com/orders/status"}`},
			"",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b, err := os.ReadFile(recorded + "/" + c.file)
			if err != nil {
				t.Fatal(err)
			}
			in, err := wire.Import(c.file, b)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for i, d := range in.Tools {
				names = append(names, d.Name)
				cfg, err := json.Marshal(d.Config)
				if err != nil {
					t.Fatal(err)
				}
				if c.configs != nil && string(cfg) != c.configs[i] {
					t.Errorf("%s:\ngot  %s\nwant %s", d.Name, cfg, c.configs[i])
				}
			}
			if in.Form != c.form || strings.Join(names, " ") != c.tools {
				t.Errorf("%s: %s", in.Form, names)
			}
			var notes []string
			for _, n := range in.Notes {
				notes = append(notes, n.String())
				if n.Refused {
					t.Errorf("refused: %s", n)
				}
			}
			if !strings.Contains(strings.Join(notes, "\n"), c.notes) {
				t.Errorf("notes %q", notes)
			}
		})
	}
}

// What is written is read again as it was.
func TestImportedToolsAreFilesOfOurs(t *testing.T) {
	t.Parallel()
	all, err := wire.ImportFS(os.DirFS(recorded))
	if err != nil || len(all) < 2 {
		t.Fatal(err, len(all))
	}
	seen := 0
	for _, file := range []string{"callin/creer-lead-crm.yaml", "hubspot/book-slot-hsmeta.json", "flireo/agent.json", "dariet/lookup_caller.json"} {
		b, err := os.ReadFile(recorded + "/" + file)
		if err != nil {
			t.Fatal(err)
		}
		in, err := wire.Import(file, b)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range in.Tools {
			first, err := json.Marshal(d)
			if err != nil {
				t.Fatal(err)
			}
			text, err := yaml.JSONToYAML(first)
			if err != nil {
				t.Fatal(err)
			}
			again := define(t, string(text))
			second, err := json.Marshal(again)
			if err != nil || string(first) != string(second) {
				t.Errorf("%s\nis not\n%s (%v)", second, first, err)
			}
			seen++
		}
	}
	if seen != 8 {
		t.Errorf("%d tools", seen)
	}
}

func TestImportRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, want string }{
		{"nothing", ``, "empty"},
		{"no tool", `{"a": 1}`, "no tool in a form that is known"},
		{"a text", `hello`, "no tool in a form that is known"},
		{"no JSON and no YAML", "{\"a\": [}", "neither JSON nor YAML"},
		{"an empty list", `[]`, "an empty list"},
		{"an agent without tools", `{"name": "a", "llm_config": {"tools": []}}`, "no tools in this agent"},
		{"forms mixed", `[{"name":"a","description":"d","webhook_url":"https://x.example"},{"name":"b","description":"d","url":"https://x.example"}]`, "files of their own"},
		{"C-07 http", `{"Name":"a","Description":"d","Method":"POST","URL":"ftp://x"}`, "a: config.url: not a URL"},
		{"C-06 another method", `{"Name":"a","Description":"d","Method":"PATCH","URL":"https://x.example"}`, `config.method: method "PATCH"; GET to ask, POST to send`},
		{"C-08 a type that is none", `{"Name":"a","Description":"d","Method":"POST","URL":"https://x.example","Body parameters":[{"Type":"txte","Identifier":"e"}]}`, `config.body_parameters[0].type: unknown type "txte"; did you mean "text"?`},
		{"C-08 no identifier", `{"Name":"a","Description":"d","Method":"POST","URL":"https://x.example","Body parameters":[{"Type":"text"}]}`, "config.body_parameters[0].identifier: missing"},
		{"C-08 neither yes nor no", `{"Name":"a","Description":"d","Method":"POST","URL":"https://x.example","Body parameters":[{"Identifier":"e","Required":"perhaps"}]}`, "neither yes nor no"},
		{"C-05 no description", `{"Name":"a","Method":"POST","URL":"https://x.example"}`, "description: missing"},
		{"C-04 a name that is none", `{"Name":"créer lead","Description":"d","Method":"POST","URL":"https://x.example"}`, "letters, digits, _ and - only"},
		{"a field that is none", `{"Name":"a","Description":"d","Method":"POST","URL":"https://x.example","Colour":"red"}`, "Colour: this field is not known"},
		{"T-01 an eighth type", `{"name":"a","description":"d","tool_type":"send_sms","config":{}}`, `unknown tool type "send_sms"`},
		{"F-01 a key that is none", `{"llm_config":{"tools":[{"name":"a","description":"d","url":"https://x.example","sync":true}]}}`, `unknown field "sync"`},
		{"F-09 a built-in that is none", `{"tools":[{"type":"play","name":"x"}]}`, `unknown type "play"`},
		{"D-02 a key that is none", `{"name":"a","description":"d","webhook_url":"https://x.example","retries":3}`, "retries: this key is not known"},
		{"H-03 another type", `{"uid":"a","type":"workflow-actions","config":{"actionUrl":"https://x.example"}}`, "a tool is of the type workflow-action"},
	} {
		in, err := wire.Import("f", []byte(c.text))
		var told []string
		if err != nil {
			told = append(told, err.Error())
		}
		for _, n := range in.Notes {
			told = append(told, n.String())
		}
		if !strings.Contains(strings.Join(told, "\n"), c.want) {
			t.Errorf("%s: %q", c.name, told)
		}
	}
}

// H-01: a project: its platform version, and where its actions lie.
func TestImportHubSpotProject_H01(t *testing.T) {
	t.Parallel()
	all, err := wire.ImportFS(os.DirFS(recorded + "/hubspot/project"))
	if err != nil || len(all) != 1 || len(all[0].Tools) != 1 || all[0].Tools[0].Name != "agent_tool_action" {
		t.Fatalf("%v: %+v", err, all)
	}
	action, err := os.ReadFile(recorded + "/hubspot/project/src/app/workflow-actions/agent-tool-action-hsmeta.json")
	if err != nil {
		t.Fatal(err)
	}
	all, err = wire.ImportFS(fstest.MapFS{
		"src/hsproject.json":         {Data: []byte(`{"platformVersion":"2025.1"}`)},
		"src/app/x-hsmeta.json":      {Data: action},
		"src/app/app-hsmeta.json":    {Data: []byte(`{"uid":"app","type":"app","config":{}}`)},
		"src/app/package.json":       {Data: []byte(`{"name":"x","description":"y"}`)},
		"node_modules/y-hsmeta.json": {Data: action},
	})
	if err != nil || len(all) != 1 {
		t.Fatalf("%v: %+v", err, all)
	}
	var told []string
	for _, n := range all[0].Notes {
		told = append(told, n.String())
	}
	for _, want := range []string{`"2025.1": agent tools need 2025.2`, "outside of the folder workflow-actions"} {
		if !slices.ContainsFunc(told, func(s string) bool { return strings.Contains(s, want) }) {
			t.Errorf("%q is not among %q", want, told)
		}
	}
	if _, err := wire.ImportFS(fstest.MapFS{"a.txt": {Data: []byte("x")}}); err == nil {
		t.Error("a folder without tools was taken")
	}
}

// F-01, F-09: an agent with its tools in Flireo's form, and some in our own, as
// a file and through the API.
func TestAgentWithFlireoTools_F01_F09(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(recorded + "/flireo/agent.json")
	if err != nil {
		t.Fatal(err)
	}
	own := strings.Replace(string(b), `{"type": "end_call"},`, `{"type": "end_call"},
{"name": "own", "description": "d", "tool_type": "http_request", "config": {"url": "https://x.example"}},`, 1)
	var fromJSON, fromYAML agent.Agent
	if err := json.Unmarshal([]byte(own), &fromJSON); err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalWithOptions([]byte(own), &fromYAML, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	for form, a := range map[string]*agent.Agent{"JSON": &fromJSON, "YAML": &fromYAML} {
		a.Normalize()
		var got []string
		for _, d := range a.Tools {
			got = append(got, string(d.Type)+":"+d.Dialect+":"+d.Name)
		}
		const want = "webhook:flireo:lookup_customer webhook:flireo:check_order_status webhook:flireo:log_interest " +
			"end_call::end_call http_request::own transfer_call::transfer_call"
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %s", form, got)
		}
		set, faults := tools.Build(a.Tools, a.ToolDeps(deps(t)))
		if faults.Err() != nil {
			t.Errorf("%s: %v", form, faults.Err())
		}
		if log, ok := set.Get("log_interest"); !ok || log.Definition().Class != tools.Async ||
			string(tools.Acknowledged(log)) != `{"result":"Interest noted for follow-up."}` { // F-08
			t.Errorf("%s: log_interest %v", form, ok)
		}
		if look, ok := set.Get("lookup_customer"); !ok || look.Definition().Timeout().Seconds() != 10 { // F-07
			t.Errorf("%s: lookup_customer %v", form, ok)
		}
	}
	for _, bad := range []string{
		`{"name":"a","llm_config":{"tools":[{"name":"x","description":"d","ulr":"https://x"}]}}`,
		`{"name":"a","llm_config":{"tools":{"name":"x"}}}`,
		`{"name":"a","llm_config":{"tools":[{"type":"hold"}]}}`,
	} {
		var a agent.Agent
		if json.Unmarshal([]byte(bad), &a) == nil {
			t.Errorf("JSON: %s is taken", bad)
		}
		if yaml.UnmarshalWithOptions([]byte(bad), &a, yaml.Strict()) == nil {
			t.Errorf("YAML: %s is taken", bad)
		}
	}
}

// F-02: no webhook anywhere is a fault of an agent's tool, not of the library's.
func TestFlireoWithoutURL_F02(t *testing.T) {
	t.Parallel()
	d := define(t, `{name: a, description: d, tool_type: webhook, dialect: flireo}`)
	dep := deps(t)
	if err := d.Validate(dep).Err(); err != nil {
		t.Errorf("in the library: %v", err)
	}
	dep.Agent = &tools.Agent{Name: "a"}
	if err := d.Validate(dep).Err(); err == nil || !strings.Contains(err.Error(), "neither the tool nor its agent nor the account has a webhook") {
		t.Errorf("of an agent: %v", err)
	}
}

func FuzzImport(f *testing.F) {
	for _, file := range []string{
		"callin/creer-lead-crm.yaml", "hubspot/book-slot-hsmeta.json", "talkpilot/list.json", "flireo/legacy.json",
		"dariet/lookup_caller.json",
	} {
		b, err := os.ReadFile(recorded + "/" + file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := wire.Import("f", b)
		if err != nil && len(in.Tools) > 0 && errors.Is(err, wire.ErrNoForm) {
			t.Log("some were taken before it")
		}
		for _, d := range in.Tools {
			if _, err := json.Marshal(d); err != nil {
				t.Errorf("cannot be written: %v", err)
			}
			if err := d.Validate(tools.Deps{Dialects: wire.Dialects()}).Err(); err != nil {
				t.Errorf("was taken: %v", err)
			}
		}
	})
}
