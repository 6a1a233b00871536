package wire_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/patchcord/patchcord/tools"
	"github.com/patchcord/patchcord/tools/wire"
)

// asked is one request as the webhook got it.
type asked struct {
	method, url, body, contentType, authorization string
}

// webhook is an endpoint on loopback that answers with answer and tells what
// it was asked.
func webhook(t *testing.T, answer http.HandlerFunc) (url string, got chan asked) {
	t.Helper()
	got = make(chan asked, 4) // a test makes no more requests than that
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		got <- asked{r.Method, r.URL.String(), string(b), r.Header.Get("Content-Type"), r.Header.Get("Authorization")}
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL, got
}

func reply(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, s) }
}

func deps(t testing.TB) tools.Deps {
	t.Helper()
	c, err := tools.NewClient(tools.HTTPConfig{AllowCIDRs: []string{"127.0.0.0/8"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return tools.Deps{Client: c, Dialects: wire.Dialects(), Secrets: func(n string) (string, bool) { return "canary", n == "key" }}
}

func define(t testing.TB, text string) tools.Definition {
	t.Helper()
	var d tools.Definition
	if err := yaml.UnmarshalWithOptions([]byte(text), &d, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	return d
}

func build(t testing.TB, text string) tools.Tool {
	t.Helper()
	set, faults := tools.Build([]tools.Definition{define(t, text)}, deps(t))
	if faults.Err() != nil || len(set.Tools()) != 1 {
		t.Fatal(faults)
	}
	return set.Tools()[0]
}

const order = `{name: check_order_status, description: d, tool_type: webhook, dialect: dariet, ` +
	`parameters: {properties: {order_id: {type: string}}, required: [order_id]}, ` +
	`config: {webhook_url: "%s/orders/status", webhook_method: %s, headers: {Authorization: "Bearer {{secret.key}}"}, timeout_secs: 8}}`

// TestDarietOnTheWire holds every byte of what a webhook receives.
func TestDarietOnTheWire(t *testing.T) {
	t.Parallel()
	env := tools.Env{CallID: "550e8400-e29b-41d4-a716-446655440000", Phone: "+919876543210", Direction: "inbound"}
	outbound := env
	outbound.Direction = "outbound"
	outbound.Context = map[string]any{
		"customer_name": "Ravi Kumar", "invoice_amount": 4500, "phone_number": "+1900", "direction": "sideways", "call_id": "x",
	}
	with := func(e tools.Env, change func(*tools.Env)) tools.Env { change(&e); return e }
	pre := func(e *tools.Env) { e.PreCall = true }
	action := func(e *tools.Env) { e.PreAction = true }
	for _, c := range []struct {
		name, method, args string
		env                tools.Env
		url, body          string
	}{
		{
			"D-04 POST carries tool, args and call_id", "POST", `{"order_id":"ORD-12345"}`, env,
			"/orders/status", `{"tool":"check_order_status","args":{"order_id":"ORD-12345"},"call_id":"550e8400-e29b-41d4-a716-446655440000"}`,
		},
		{
			"D-05 GET carries them in the query", "GET", `{"order_id":"ORD-12345"}`, env,
			"/orders/status?order_id=ORD-12345&call_id=550e8400-e29b-41d4-a716-446655440000", "",
		},
		{
			"SEC-9 the model cannot give itself another call_id", "get", `{"call_id":"forged","order_id":"1"}`, env,
			"/orders/status?order_id=1&call_id=550e8400-e29b-41d4-a716-446655440000", "",
		},
		{
			"D-09 a call of the model's gets no merge", "POST", `{"order_id":"1"}`, outbound,
			"/orders/status", `{"tool":"check_order_status","args":{"order_id":"1"},"call_id":"550e8400-e29b-41d4-a716-446655440000"}`,
		},
		{
			"D-06, D-16 a pre-call tool gets exactly number and direction", "POST", "", with(env, pre),
			"/orders/status",
			`{"tool":"check_order_status","args":{"phone_number":"+919876543210","direction":"inbound"},"call_id":"550e8400-e29b-41d4-a716-446655440000"}`,
		},
		{
			"D-07 on outbound calls the context variables with their types; D-09 the call's own facts win", "POST", "", with(outbound, pre),
			"/orders/status",
			`{"tool":"check_order_status","args":{"phone_number":"+919876543210","direction":"outbound","customer_name":"Ravi Kumar",` +
				`"invoice_amount":4500},"call_id":"550e8400-e29b-41d4-a716-446655440000"}`,
		},
		{
			"D-08 a pre-action gets call_id among the arguments too", "POST", "", with(outbound, action),
			"/orders/status",
			`{"tool":"check_order_status","args":{"phone_number":"+919876543210","direction":"outbound","call_id":"550e8400-e29b-41d4-a716-446655440000",` +
				`"customer_name":"Ravi Kumar","invoice_amount":4500},"call_id":"550e8400-e29b-41d4-a716-446655440000"}`,
		},
		{
			"a pre-call tool by GET", "GET", "", with(env, pre),
			"/orders/status?phone_number=%2B919876543210&direction=inbound&call_id=550e8400-e29b-41d4-a716-446655440000", "",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			url, got := webhook(t, reply(`{"status":"shipped"}`))
			tool := build(t, fmt.Sprintf(order, url, c.method))
			r := tool.Run(t.Context(), tools.Call{Name: "check_order_status", Args: json.RawMessage(c.args), Env: c.env})
			if r.Status != tools.OK || string(r.JSON) != `{"status":"shipped"}` {
				t.Fatalf("result %+v", r)
			}
			a := <-got
			if a.method != strings.ToUpper(c.method) || a.url != c.url || a.body != c.body || a.authorization != "Bearer canary" {
				t.Errorf("got  %s %s %s\nwant %s %s %s", a.method, a.url, a.body, c.method, c.url, c.body)
			}
			if (a.contentType == "application/json") != (c.body != "") {
				t.Errorf("content type %q", a.contentType)
			}
		})
	}
}

func TestDarietReplies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		status tools.Status
		want   string
	}{
		{"D-10 the whole object", reply(`{"status":"shipped","items":["a","b"]}`), tools.OK, `{"status":"shipped","items":["a","b"]}`},
		{"D-10 a list is wrapped", reply(`[1]`), tools.OK, `{"result":[1]}`},
		{"D-10 no JSON", reply(`OK`), tools.Failed, `{"error":"invalid_response"}`},
		{"D-10 nothing", reply(``), tools.Failed, `{"error":"invalid_response"}`},
		{"D-11 an error object", reply(`{"error":"Order not found"}`), tools.OK, `{"error":"Order not found"}`},
		{"D-11 a bad status", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(500)
			_, _ = io.WriteString(w, `{"status":"success"}`)
		}, tools.Failed, `{"error":"http_500"}`},
		{"D-12 too late", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, tools.TimedOut, `{"error": "timeout"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			url, _ := webhook(t, c.answer)
			text := fmt.Sprintf(order, url, "POST")
			if c.status == tools.TimedOut {
				text = strings.Replace(text, "timeout_secs: 8", "timeout_secs: 0.05", 1)
			}
			r := build(t, text).Run(t.Context(), tools.Call{Name: "x", Args: json.RawMessage(`{}`)})
			if r.Status != c.status || string(r.JSON) != c.want {
				t.Errorf("got %s %s (%s)", r.Status, r.JSON, r.Err)
			}
		})
	}
}

// D-02: fields and defaults; D-03: type: object is added.
func TestDarietDefaults_D02_D03(t *testing.T) {
	t.Parallel()
	url, got := webhook(t, reply(`{}`))
	tool := build(t, `{name: a, description: d, tool_type: webhook, dialect: dariet, config: {webhook_url: "`+url+`"}}`)
	if tool.Definition().Timeout() != 10*time.Second || string(tool.Schema()) != `{"type":"object","properties":{}}` {
		t.Errorf("timeout %v, schema %s", tool.Definition().Timeout(), tool.Schema())
	}
	tool.Run(t.Context(), tools.Call{Name: "a", Env: tools.Env{CallID: "c"}})
	if a := <-got; a.method != "POST" || a.body != `{"tool":"a","args":{},"call_id":"c"}` || a.authorization != "" {
		t.Errorf("got %+v", a)
	}
}

// D-02: a definition in the platform's own form.
func TestReadDariet_D02(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../testdata/tools/dariet/check_order_status.json")
	if err != nil {
		t.Fatal(err)
	}
	d, err := wire.ReadDariet(b)
	if err != nil {
		t.Fatal(err)
	}
	set, faults := tools.Build([]tools.Definition{d}, deps(t))
	if faults.Err() != nil {
		t.Fatal(faults.Err())
	}
	tool, ok := set.Get("check_order_status")
	if !ok || tool.Definition().Timeout() != 8*time.Second || tool.Definition().Class != tools.Effect {
		t.Fatalf("got %+v", tool)
	}
	if o := set.Offered(); !strings.HasPrefix(string(o[0].Parameters), `{"type":"object","properties":{"order_id"`) {
		t.Errorf("offered %s", o[0].Parameters)
	}
	for _, bad := range []string{`{"nme":"a"}`, `[]`, `{"name":`} {
		if _, err := wire.ReadDariet([]byte(bad)); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

func TestDarietFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ config, want string }{
		{`{webhook_method: POST}`, "config.webhook_url: missing"},
		{`{webhook_url: "https://x.example", webhook_method: PUT}`, `1:`},
		{`{webhook_url: "https://x.example", webhook_method: PUT}`, `config.webhook_method: method "PUT"; POST or GET`},
		{`{webhook_url: "https://10.0.0.1/"}`, "config.webhook_url: an internal address"},
		{`{url: "https://x.example"}`, `config.url: unknown key; `},
		{`{webhook_url: "https://x.example", headers: {"A B": c}}`, `config.headers.A B: "A B" is no name of a header`},
		{`{webhook_url: "https://x.example", headers: {A: "{{secret.none}}"}}`, "config.headers.A: no secret of the name none"},
		{`{webhook_url: "https://x.example", timeout_secs: 100}`, "a tool may take 60 s at most"},
	} {
		d := define(t, "{name: a, description: d, tool_type: webhook, dialect: dariet, config: "+c.config+"}")
		if err := d.Validate(deps(t)).Err(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.config, err, c.want)
		}
	}
}

// D-15: what pre-call tools found, keyed by their names.
func TestCallerContext_D15(t *testing.T) {
	t.Parallel()
	got := tools.Contexts{
		{Tool: "lookup_caller", Result: json.RawMessage(`{"name":"Priya","account_tier":"premium","open_tickets":2}`)},
		{Tool: "fetch_invoice", Result: json.RawMessage(`{"error": "timeout"}`)},
		{Tool: "broken", Result: json.RawMessage(`{`)},
	}.Text()
	want := `Caller context: {"lookup_caller":{"name":"Priya","account_tier":"premium","open_tickets":2},` +
		`"fetch_invoice":{"error": "timeout"},"broken":{"error":"invalid_response"}}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := tools.Contexts(nil).Text(); got != "" {
		t.Errorf("nothing found: %q", got)
	}
}

func FuzzReadDariet(f *testing.F) {
	b, err := os.ReadFile("../../testdata/tools/dariet/check_order_status.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"name":"a","webhook_url":"https://{{x}}/","headers":{"":"{{"},"timeout_secs":-1e300,"parameters":null}`))
	d := deps(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		def, err := wire.ReadDariet(b)
		if err != nil {
			return
		}
		def.Validate(d)
		if _, err := json.Marshal(def); err != nil {
			t.Errorf("cannot be written again: %v", err)
		}
	})
}
