package tools_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/patchcord/patchcord/tools"
)

const good = `
name: check-Order_1
description: Looks up an order. Call this when the caller asks for one.
tool_type: http_request
config: {url: "https://crm.example.com/orders"}
`

func TestDefinitionFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, want string }{
		{"a good one, with every character that a name may have (C-04)", good, ""},
		{"T-01 an unknown type", strings.Replace(good, "http_request", "http_requests", 1), `tool_type: unknown tool type "http_requests"; did you mean "http_request"?`},
		{"T-01 no type", strings.Replace(good, "tool_type: http_request\n", "", 1), "tool_type: missing"},
		{"T-02 everything as long as it may be", strings.NewReplacer(
			"check-Order_1", strings.Repeat("n", 100), "Looks up an order. Call this when the caller asks for one.", strings.Repeat("ü", 2000),
		).Replace(good) + "display_name: " + strings.Repeat("ü", 255), ""},
		{"T-03 a name of 101", strings.Replace(good, "check-Order_1", strings.Repeat("n", 101), 1), "name: 101 characters; 100 at most"},
		{"T-03 a display name of 256", good + "display_name: " + strings.Repeat("ü", 256), "display_name: 256 characters; 255 at most"},
		{"T-03 a description of 2001", strings.Replace(good, "Looks up", strings.Repeat("x", 2001), 1), "characters; 2000 at most"},
		{"no name", strings.Replace(good, "name: check-Order_1\n", "", 1), "name: missing"},
		{"a space in a name", strings.Replace(good, "check-Order_1", "check order", 1), "name: ' ' in a name"},
		{"no description", strings.Replace(good, "description: Looks up an order. Call this when the caller asks for one.\n", "", 1), "description: missing"},
		{"an unknown class", good + "class: reed", `did you mean "read"?`},
		{"more than a minute", good + "timeout: 61", "timeout: 61 s; a tool may take 60 s at most"},
		{"more than a minute, in the seed's place", strings.Replace(good, "orders\"", "orders\", timeout: 90", 1), "timeout: 90 s"},
		{"max_calls", good + "max_calls: -1", "max_calls: -1"},
		{"an unknown way to have it again", good + "dedupe: {mode: comfirm}", `dedupe.mode: unknown mode "comfirm"; did you mean "confirm"`},
		{"an unknown reach", good + "dedupe: {scope: day}", `dedupe.scope: unknown scope "day"`},
		{"a time of speech", good + "speech: {second_after: 90}", "speech.second_after: 90 s"},
		{"no URL", strings.Replace(good, `{url: "https://crm.example.com/orders"}`, "{method: GET}", 1), "config.url: missing"},
		{"C-07 no TLS", strings.Replace(good, "https:", "http:", 1), "http without TLS"},
		{"T-09 an internal address", strings.Replace(good, "crm.example.com", "192.168.1.7", 1), "5:15: tool check-Order_1: config.url: an internal address"},
		{"a password in the URL", strings.Replace(good, "crm.", "u:p@crm.", 1), "put credentials into a header"},
		{"a placeholder for the host", strings.Replace(good, "crm.example.com", "{{host}}", 1), "only {{secret.…}} may stand there"},
		{"an unknown key", strings.Replace(good, "{url:", "{metod: GET, url:", 1), `5:10: tool check-Order_1: config.metod: unknown key; did you mean "method"?`},
		{"an unknown method", strings.Replace(good, "{url:", "{method: PATCH, url:", 1), `config.method: method "PATCH"`},
		{"an odd header", strings.Replace(good, "{url:", "{headers: [{key: \"X Y\", value: z}], url:", 1), `config.headers[0].key: "X Y" is no name of a header`},
		{"a header of the transport's", strings.Replace(good, "{url:", "{headers: [{key: host, value: z}], url:", 1), "host is written by the transport"},
		{"an open placeholder", strings.Replace(good, "{url:", "{headers: [{key: A, value: \"{{x\"}], url:", 1), "config.headers[0].value: {{ without }}"},
		{"an unknown secret", strings.Replace(good, "orders\"", "orders?k={{secret.crm_keys}}\"", 1), "no secret of the name crm_keys"},
		{"a body with GET", strings.Replace(good, "{url:", "{body: {a: 1}, url:", 1), "a body with GET"},
		{"a body that is no JSON", strings.Replace(good, "{url:", "{method: POST, body: \"{a: {{x}}\", url:", 1), "config.body: not JSON"},
		{"no JSON Schema", good + "parameters: {properties: {a: {type: txt}}}", "parameters: "},
		{"a schema of no object", good + "parameters: {type: string}", `the arguments are of type "string"`},
		{"a reference outside", good + "parameters: {properties: {a: {$ref: \"https://127.0.0.1/x.json\"}}}", "only references inside the schema are followed"},
		{"a dialect of no webhook", good + "dialect: dariet", "a dialect is of a webhook"},
		{"no dialect", strings.Replace(good, "http_request", "webhook", 1), "dialect: missing"},
		{"an unknown dialect", strings.Replace(good, "http_request", "webhook\ndialect: darjet", 1), `did you mean "dariet"?`},
		{"a condition that is none", good + "speech: {success: [{when: \"result.x ==\", say: a}]}", "speech.success[0].when: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d, dd := define(t, c.text), deps(t)
			var err error
			if dd.Client, err = tools.NewClient(tools.HTTPConfig{}); err != nil {
				t.Fatal(err)
			}
			err = d.Validate(dd).Err()
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

// A name that a variable of the call and a secret both have could be the one
// or the other.
func TestNameOfVariableAndSecret(t *testing.T) {
	t.Parallel()
	d := define(t, strings.Replace(good, "orders\"", "orders?k={{API_KEY}}\"", 1))
	dd := deps(t)
	if err := d.Validate(dd).Err(); err != nil {
		t.Errorf("a secret alone: %v", err)
	}
	dd.Vars = []string{"API_KEY"}
	if err := d.Validate(dd).Err(); err == nil || !strings.Contains(err.Error(), "{{API_KEY}} is a variable of the call and a secret") {
		t.Errorf("got %v", err)
	}
}

// The whole of a definition is accepted; what is not built yet is a warning.
func TestDefinitionReadsTheSameFromJSON(t *testing.T) {
	t.Parallel()
	const text = `
name: lookup
description: d
tool_type: http_request
priority: 3
is_enabled: false
parameters: {required: [b], properties: {b: {type: string}, a: {type: integer}}}
config: {url: "https://x.example/y", query_params: [{key: phone, value: "{{caller_phone}}"}], timeout: 30, speak_during_execution: true}
speech: {success: [{when: result.found, say: Found.}, {say: Done.}]}
`
	a := define(t, text)
	j, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	var b tools.Definition
	if err := json.Unmarshal(j, &b); err != nil {
		t.Fatal(err)
	}
	j2, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	if string(j) != string(j2) {
		t.Errorf("\n%s\n%s", j, j2)
	}
	if !strings.Contains(string(j), `"parameters":{"required":["b"],"properties":{"b":{"type":"string"},"a":{"type":"integer"}}}`) {
		t.Errorf("keys lost their order: %s", j)
	}
	y, err := yaml.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	c := define(t, string(y))
	j3, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if string(j) != string(j3) {
		t.Errorf("by YAML:\n%s\n%s", j, j3)
	}
	if fs := b.Validate(deps(t)); fs.Err() != nil {
		t.Error(fs.Err())
	}
	var one tools.SuccessSpeech
	if err := json.Unmarshal([]byte(`"Thank you."`), &one); err != nil || !reflect.DeepEqual(one, tools.SuccessSpeech{{Say: "Thank you."}}) {
		t.Errorf("one sentence: %+v, %v", one, err)
	}
}

func TestSetOffersByPriority(t *testing.T) {
	t.Parallel()
	defs := []tools.Definition{
		define(t, "{name: c, description: d, tool_type: http_request, priority: 5, config: {url: \"https://x.example\"}}"),
		define(t, "{name: b, description: d, tool_type: http_request, config: {url: \"https://x.example\"}}"),
		define(t, "{name: off, description: d, tool_type: http_request, is_enabled: false, config: {url: \"https://x.example\"}}"),
		define(t, "{id: 0192, name: a, description: d, tool_type: http_request, config: {url: \"https://x.example\", method: POST}}"),
		define(t, "{tool_type: end_call, priority: -1}"),
	}
	set, faults := tools.Build(defs, deps(t))
	if faults.Err() != nil {
		t.Fatal(faults.Err())
	}
	var names, classes []string
	for _, o := range set.Offered("b") {
		names = append(names, o.Name)
		tool, ok := set.Get(o.Name)
		if !ok {
			t.Errorf("%s is offered and not found", o.Name)
		}
		classes = append(classes, string(tool.Definition().Class))
	}
	// T-02: lower is first; T-04: a disabled tool is not offered.
	if got := strings.Join(names, " "); got != "end_call a c" {
		t.Errorf("offered %s", got)
	}
	if got := strings.Join(classes, " "); got != "terminal effect read" {
		t.Errorf("classes %s", got)
	}
	if _, ok := set.Get("off"); ok {
		t.Error("a disabled tool can be called (T-04)")
	}
	if tool, ok := set.Get("0192"); !ok || tool.Definition().Name != "a" {
		t.Error("a tool is not found by its id")
	}
	if r := set.Unknown("x"); r.Status != tools.Refused || string(r.JSON) == "" {
		t.Errorf("unknown: %+v", r)
	}
	_, faults = tools.Build(append(defs, defs[1]), deps(t))
	if err := faults.Err(); err == nil || !strings.Contains(err.Error(), `a second tool of the name "b"`) {
		t.Errorf("got %v", err)
	}
}

func FuzzDefinition(f *testing.F) {
	f.Add([]byte(`{"name":"a","description":"d","tool_type":"http_request","config":{"url":"https://x.example/{{a.b}}?c={{secret.d}}"}}`))
	f.Add([]byte(`{"tool_type":"end_call","config":{"goodbye_message":"Bye {{x}}"},"speech":{"success":[{"when":"result.a > 1","say":"b"}]}}`))
	f.Add([]byte(`{"name":"a","tool_type":"webhook","dialect":"dariet","config":{"headers":{"A":"{{x}}"},"webhook_url":"https://x"},"parameters":{"$ref":"#/a"}}`))
	client, err := tools.NewClient(tools.HTTPConfig{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var d tools.Definition
		if json.Unmarshal(b, &d) != nil {
			return
		}
		faults := d.Validate(tools.Deps{Client: client, Dialects: deps(t).Dialects})
		for _, fault := range faults {
			if fault.Error() == "" {
				t.Error("a fault that says nothing")
			}
		}
		if _, err := json.Marshal(d); err != nil {
			t.Errorf("cannot be written again: %v", err)
		}
	})
}
