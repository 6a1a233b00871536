package tools_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/patchcord/patchcord/tools"
)

// run builds one http_request with the keys of its configuration and calls it.
func run(t *testing.T, config, args string, env tools.Env) tools.Result {
	t.Helper()
	tool := make1(t, deps(t), "{name: crm, description: d, tool_type: http_request, parameters: {properties: {phone_number: {}}}, config: "+config+"}")
	return tool.Run(t.Context(), tools.Call{ID: "1", Name: "crm", Args: json.RawMessage(args), Env: env})
}

// T-05, T-06: URL, method, headers, query parameters and both kinds of
// placeholders, each escaped for its place.
func TestHTTPRequestOnTheWire_T05_T06(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, config, args string
		method, url, body  string
		header             string // "Name: value"
	}{
		{
			name:   "the seed's example",
			config: `{url: "%s/api/customers", method: GET, headers: [{key: Authorization, value: "Bearer {{API_KEY}}"}], query_params: [{key: phone, value: "{{caller_phone}}"}], timeout: 30, speak_during_execution: true, speak_after_execution: true}`,
			args:   `{}`,
			method: "GET", url: "/api/customers?phone=%2B4930123456", header: "Authorization: Bearer canary-0815",
		},
		{
			name:   "GET is the default, the model's arguments go into the query (C-06)",
			config: `{url: "%s/a?fixed=1"}`, args: `{"b":"x y","c":[1,2],"d":{"e":null},"f":true,"g":null}`,
			method: "GET", url: "/a?fixed=1&b=x+y&c=1&c=2&d=%7B%22e%22%3Anull%7D&f=true",
		},
		{
			name:   "SEC-9 an argument overrides nothing that the definition fixes",
			config: `{url: "%s/a?tenant=7", query_params: [{key: phone, value: "{{caller_phone}}"}]}`,
			args:   `{"tenant":"8","phone":"0900","q":"1"}`,
			method: "GET", url: "/a?tenant=7&phone=%2B4930123456&q=1",
		},
		{
			name:   "POST sends a flat object (C-06), field names to the letter (C-09)",
			config: `{url: "%s/leads", method: post}`, args: `{"nom_complet":"Z <a>","Email":"a@b.c"}`,
			method: "POST", url: "/leads", body: `{"nom_complet":"Z <a>","Email":"a@b.c"}`, header: "Content-Type: application/json",
		},
		{
			name:   "DELETE has a query",
			config: `{url: "%s/a", method: DELETE}`, args: `{"id":5}`,
			method: "DELETE", url: "/a?id=5",
		},
		{
			name:   "values in a path stay in their segment",
			config: `{url: "%s/{{args.id}}/{{city}}?c={{city}}", method: PUT}`, args: `{"id":"../a?b#c/d"}`,
			method: "PUT", url: "/..%2Fa%3Fb%23c%2Fd/K%C3%B6ln%20&%20Bonn?c=K%C3%B6ln+%26+Bonn", body: `{"id":"../a?b#c/d"}`,
		},
		{
			name:   "an argument that stands in the path is not sent twice",
			config: `{url: "%s/orders/{{args.id}}", headers: [{key: X-Lang, value: "{{args.lang}}"}]}`, args: `{"id":5,"lang":"de","full":true}`,
			method: "GET", url: "/orders/5?full=true", header: "X-Lang: de",
		},
		{
			name:   "a body of text: escaped inside strings, typed outside",
			config: `{url: "%s/a", method: POST, body: "{\"note\":\"say {{note}}!\",\"n\":{{args.n}},\"s\":{{note}},\"c\":{{customer}}}"}`, args: `{"n":12345678901234567890}`,
			method: "POST", url: "/a", body: `{"note":"say a \"b\"\nc!","n":12345678901234567890,"s":"a \"b\"\nc","c":{"id":17}}`,
		},
		{
			name:   "a body of keys: a placeholder alone keeps its type",
			config: `{url: "%s/a", method: POST, body: {id: "{{customer.id}}", list: ["{{args.x}}", "no {{customer.id}}"], fixed: 1.50}}`, args: `{"x":[1,"a"]}`,
			method: "POST", url: "/a", body: `{"id":17,"list":[[1,"a"],"no 17"],"fixed":1.50}`,
		},
		{
			name:   "a form",
			config: `{url: "%s/a", method: POST, headers: [{key: Content-Type, value: application/x-www-form-urlencoded}], body: "city={{city}}&n={{args.n}}"}`, args: `{"n":"a&b=c"}`,
			method: "POST", url: "/a", body: `city=K%C3%B6ln+%26+Bonn&n=a%26b%3Dc`, header: "Content-Type: application/x-www-form-urlencoded",
		},
		{
			name:   "what a model writes is no template",
			config: `{url: "%s/a", method: POST, body: {said: "{{args.said}}"}}`, args: `{"said":"{{secret.crm_key}} {{caller_phone}}"}`,
			method: "POST", url: "/a", body: `{"said":"{{secret.crm_key}} {{caller_phone}}"}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := serve(t, answer(`{"ok":true}`))
			r := run(t, fmt.Sprintf(c.config, e.URL), c.args, inbound())
			if r.Status != tools.OK || string(r.JSON) != `{"ok":true}` || r.HTTP != 200 {
				t.Fatalf("result %s %s (%s)", r.Status, r.JSON, r.Err)
			}
			got := e.last(t)
			name, value, _ := strings.Cut(c.header, ": ")
			if got.Method != c.method || got.URL != c.url || got.Body != c.body || got.Header.Get(name) != value {
				t.Errorf("got  %s %s %s %v\nwant %s %s %s %s", got.Method, got.URL, got.Body, got.Header, c.method, c.url, c.body, c.header)
			}
		})
	}
}

func TestHTTPRequestThatIsNotSent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, config, args, want string }{
		{"a variable that nobody set", `{url: "%s/{{nobody}}"}`, `{}`, `{"error":"missing_variable"}`},
		{"a variable that nobody set, in a header", `{url: "%s", headers: [{key: A, value: "{{nobody}}"}]}`, `{}`, `{"error":"missing_variable"}`},
		{"a variable that nobody set, in a body", `{url: "%s", method: POST, body: {a: "{{nobody}}"}}`, `{}`, `{"error":"missing_variable"}`},
		{"an argument that the model left out", `{url: "%s/{{args.x}}"}`, `{}`, `{"error":"missing_variable"}`},
		{"a way up in a path", `{url: "%s/{{args.x}}/y"}`, `{"x":".."}`, `{"error":"invalid_arguments","details":["a path may not hold . or .. as a value"]}`},
		{
			"a line break in a header (SEC-7)", `{url: "%s", headers: [{key: A, value: "{{args.x}}"}]}`, `{"x":"b\r\nX-Evil: 1"}`,
			`{"error":"invalid_arguments","details":["header with a character that is not allowed"]}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := serve(t, answer("{}"))
			r := run(t, fmt.Sprintf(c.config, e.URL), c.args, inbound())
			if string(r.JSON) != c.want || r.Status == tools.OK || e.asked() != 0 {
				t.Errorf("got %s %s (%s), %d requests", r.Status, r.JSON, r.Err, e.asked())
			}
		})
	}
}

// conv:W4: whatever an endpoint does is a result.
func TestWhatAnEndpointDoes(t *testing.T) {
	t.Parallel()
	big, err := json.Marshal(map[string]any{"a": 1, "list": strings.Split(strings.Repeat("word ", 50000), " ")})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		status tools.Status
		want   string
		http   int
	}{
		{"an object", answer(` {"a": 1, "b": [1, 2]} `), tools.OK, `{"a":1,"b":[1,2]}`, 200},
		{"a list", answer(`[1,2]`), tools.OK, `{"result":[1,2]}`, 200},
		{"a word", answer(`"yes"`), tools.OK, `{"result":"yes"}`, 200},
		{"an error of its own (D-11)", answer(`{"error":"Order not found"}`), tools.OK, `{"error":"Order not found"}`, 200},
		{"nothing, and 204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, tools.OK, `{"result":null}`, 204},
		{"500", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, tools.Failed, `{"error":"http_500"}`, 500},
		{
			"404 with a reason", func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(404)
				_, _ = io.WriteString(w, `{"error":{"code":1,"message":"no such order"}}`)
			}, tools.Failed, `{"error":"http_404","message":"no such order"}`, 404,
		},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/else", http.StatusTemporaryRedirect)
		}, tools.Failed, `{"error":"http_307"}`, 307},
		{"a web page", answer("<html>Login</html>"), tools.Failed, `{"error":"invalid_response"}`, 200},
		{"half an object", answer(`{"a":`), tools.Failed, `{"error":"invalid_response"}`, 200},
		{"10 MB", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"a":"`+strings.Repeat("x", 10<<20)+`"}`)
		}, tools.Failed, `{"error":"invalid_response"}`, 200},
		{"a line cut", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, tools.Failed, `{"error":"unreachable"}`, 0},
		{"more than 64 KiB", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(big) }, tools.OK, "", 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := serve(t, c.answer)
			r := run(t, `{url: "`+e.URL+`"}`, `{}`, inbound())
			if r.Status != c.status || c.want != "" && string(r.JSON) != c.want || r.HTTP != c.http {
				t.Errorf("got %s %.200s %d (%s)", r.Status, r.JSON, r.HTTP, r.Err)
			}
			if c.want == "" {
				var o struct {
					A         int
					List      []string
					Truncated bool
				}
				if err := json.Unmarshal(r.JSON, &o); err != nil || len(r.JSON) > 64<<10 || len(r.JSON) < 60<<10 || !o.Truncated || o.A != 1 || o.List[0] != "word" {
					t.Errorf("%d bytes, truncated %v, %v", len(r.JSON), o.Truncated, err)
				}
			}
		})
	}
}

func TestTimeoutAndCancel(t *testing.T) {
	t.Parallel()
	e := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"a":`) // the reply begins, and does not end
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	// conv:W3, D-12.
	r := run(t, `{url: "`+e.URL+`", timeout: 0.05}`, `{}`, inbound())
	if r.Status != tools.TimedOut || string(r.JSON) != `{"error": "timeout"}` || r.Took < 50*time.Millisecond {
		t.Errorf("timeout: %+v", r)
	}
	tool := make1(t, deps(t), `{name: crm, description: d, tool_type: http_request, config: {url: "`+e.URL+`"}}`)
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(20*time.Millisecond, func() { cancel(errors.New("the caller spoke")) })
	r = tool.Run(ctx, tools.Call{Env: inbound()})
	if r.Status != tools.Cancelled || string(r.JSON) != `{"error":"cancelled"}` {
		t.Errorf("cancel: %+v", r)
	}
}

// SEC-7, T-09: an internal address is refused at the time of the call too.
func TestBlockedURL(t *testing.T) {
	t.Parallel()
	e := serve(t, answer("{}"))
	d := deps(t)
	var err error
	if d.Client, err = tools.NewClient(tools.HTTPConfig{AllowInsecureHosts: []string{"localhost"}}); err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(strings.TrimPrefix(e.URL, "http://"), ":")
	d.Secrets = func(string) (string, bool) { return "localhost", true }
	tool := make1(t, d, `{name: crm, description: d, tool_type: http_request, config: {url: "http://{{secret.host}}:`+port+`/"}}`)
	r := tool.Run(t.Context(), tools.Call{Env: inbound()})
	if r.Status != tools.Failed || string(r.JSON) != `{"error":"blocked_url"}` || e.asked() != 0 || strings.Contains(r.Err, "127.") {
		t.Errorf("got %+v", r)
	}
}

// SEC-10, T-06: a secret is in no result, no error and no log line, even when
// the endpoint sends it back.
func TestSecretsStayInTheRequest_SEC10(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zapcore.DebugLevel)
	d := deps(t)
	d.Log = zap.New(core)
	for _, status := range []int{200, 400} {
		e := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			b, _ := json.Marshal(map[string]string{"error": "bad key " + r.Header.Get("Authorization"), "odd": r.Header.Get("X-Odd")})
			_, _ = w.Write(b)
		})
		tool := make1(t, d, `{name: crm, description: d, tool_type: http_request, config: {url: "`+e.URL+`/{{secret.crm_key}}?k={{secret.crm_key}}", `+
			`headers: [{key: Authorization, value: "Bearer {{secret.crm_key}}"}, {key: X-Odd, value: "{{secret.odd}}"}]}}`)
		r := tool.Run(t.Context(), tools.Call{Args: json.RawMessage(`{}`), Env: inbound()})
		if e.last(t).Header.Get("Authorization") != "Bearer canary-4711" {
			t.Error("the endpoint did not get the secret")
		}
		e.Close() // and again, with nobody there
		gone := tool.Run(t.Context(), tools.Call{Args: json.RawMessage(`{}`), Env: inbound()})
		var all strings.Builder
		for _, l := range logs.All() {
			fmt.Fprint(&all, l.Message, l.ContextMap())
		}
		for _, text := range []string{string(r.JSON), r.Err, string(gone.JSON), gone.Err, all.String()} {
			if strings.Contains(text, "canary") || strings.Contains(text, "127.0.0.1") {
				t.Errorf("told: %s", text)
			}
		}
	}
	if logs.Len() == 0 {
		t.Error("nothing was logged")
	}
}

func TestSeedsSpeechKeys(t *testing.T) {
	t.Parallel()
	tool := make1(t, deps(t), `{name: crm, description: d, tool_type: http_request, config: {url: "https://x.example", timeout: 30, `+
		`speak_during_execution: false, speak_after_execution: true, bridging_sentence: One moment.}}`)
	d := tool.Definition()
	if d.Timeout() != 30*time.Second || *d.Speech.During || !*d.Speech.After || d.Speech.Bridging != "One moment." {
		t.Errorf("got %+v", d)
	}
}

// A tool that runs by itself is told of the call what its schema asks for.
func TestHTTPRequestBeforeTheCall(t *testing.T) {
	t.Parallel()
	e := serve(t, answer("{}"))
	env := inbound()
	env.PreCall, env.Context = true, map[string]any{"invoice": 4500}
	run(t, `{url: "`+e.URL+`/a"}`, `{}`, env)
	if u := e.last(t).URL; u != "/a?phone_number=%2B4930123456" {
		t.Errorf("asked %s", u)
	}
}

// An endpoint can tell a request that it has had already: the phone call's id
// and the tool call's, unless the definition has a key of its own (conv:W6).
func TestRequestsHaveAnIdempotencyKey(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, headers, id, want string }{
		{"its own", `[]`, "call_0", "call-1-call_0"},
		{"an id with what a header may not hold", `[]`, "a\r\nB: c", "call-1-a--B:-c"},
		{"the definition's", `[{key: idempotency-key, value: "order-{{args.n}}"}]`, "call_0", "order-7"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := serve(t, answer("{}"))
			text := `{name: a, description: d, tool_type: http_request, config: {method: POST, url: "` + e.URL + `", headers: ` + c.headers + `}}`
			make1(t, deps(t), text).Run(t.Context(), tools.Call{ID: c.id, Args: json.RawMessage(`{"n":7}`), Env: inbound()})
			if got := e.last(t).Header.Values("Idempotency-Key"); len(got) != 1 || got[0] != c.want {
				t.Errorf("sent %q, want %q", got, c.want)
			}
		})
	}
}
