package tools_test

import (
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/patchcord/patchcord/tools"
)

const createLead = `{name: creer-lead, description: "Call this once e-mail is confirmed.", tool_type: http_request, ` +
	`parameters: {properties: {email: {type: string}, n: {type: integer}}, required: [email]}, config: {method: POST, url: "%URL%/lead", ` +
	`headers: [{key: Authorization, value: "Bearer {{secret.crm_key}}"}, {key: X-Api-Key, value: plain-4712}]}}`

func tryIt(t *testing.T, text, args string, users []tools.User) tools.Trial {
	t.Helper()
	c := tools.Call{Args: json.RawMessage(args), Env: inbound()}
	r, err := tools.Try(t.Context(), define(t, text), deps(t), c, users)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// C-20: the request as the endpoint got it and its answer, secrets masked.
func TestTryShowsTheExchange_C20_SEC10(t *testing.T) {
	t.Parallel()
	e := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"id":7,"echo":"`+r.Header.Get("Authorization")+`"}`)
	})
	got := tryIt(t, strings.ReplaceAll(createLead, "%URL%", e.URL), `{"email":"a@b.example"}`, nil)
	if r := e.last(t); r.Body != `{"email":"a@b.example"}` || r.Header.Get("Authorization") != "Bearer canary-4711" {
		t.Errorf("the endpoint got %+v", r)
	}
	if got.Request == nil || got.Request.Method != "POST" || got.Request.URL != e.URL+"/lead" ||
		got.Request.Body != `{"email":"a@b.example"}` || got.Response == nil || got.Response.Status != 200 || got.Status != tools.OK {
		t.Fatalf("got %+v", got)
	}
	b, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	for _, hidden := range []string{"canary-4711", "plain-4712"} {
		if strings.Contains(string(b), hidden) {
			t.Errorf("%s is told: %s", hidden, b)
		}
	}
	for _, told := range []string{`{"key":"Authorization","value":"Bearer ***"}`, `{"key":"Content-Type","value":"application/json"}`} {
		if !strings.Contains(string(b), told) {
			t.Errorf("%s is not told: %s", told, b)
		}
	}
	if len(got.Hints) != 1 || !strings.Contains(got.Hints[0].Problem, "a credential as it is") { // X-Api-Key
		t.Errorf("hints %+v", got.Hints)
	}
}

// C-21: the usual faults, each told by its cause.
func TestTryTellsTheUsualFaults_C21(t *testing.T) {
	t.Parallel()
	e := serve(t, answer(`OK`))
	status := func(n int) string {
		return serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(n) }).URL
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // a port that nothing listens on
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + l.Addr().String()
	l.Close()
	plain := strings.Replace(e.URL, "http:", "https:", 1)
	tlsOnly := httptest.NewTLSServer(answer(`{}`))
	t.Cleanup(tlsOnly.Close)
	slow := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	for _, c := range []struct {
		name, url, args, problem, cause string
		change                          func(string) string
	}{
		{name: "an address that is not public", url: "https://localhost.example.invalid", args: `{"email":"a"}`, problem: "no information", cause: "name is not known"},
		{name: "nothing listens", url: closed, args: `{"email":"a"}`, problem: "no information", cause: "nothing listens"},
		{name: "no TLS", url: plain, args: `{"email":"a"}`, problem: "no information", cause: "does not speak TLS"},
		{name: "a stranger's certificate", url: tlsOnly.URL, args: `{"email":"a"}`, problem: "no information", cause: "not trusted"},
		{name: "a URL that is not there", url: status(404), args: `{"email":"a"}`, problem: "no information", cause: "status 404"},
		{name: "a redirect", url: status(302), args: `{"email":"a"}`, problem: "no information", cause: "status 302"},
		{name: "a required field", url: e.URL, args: `{"n":1}`, problem: "fields are missing", cause: "email"},
		{name: "a wrong identifier", url: e.URL, args: `{"email":"a","mail":"b"}`, problem: "fields are missing", cause: "no parameters of the tool: mail"},
		{name: "the endpoint wants others", url: status(422), args: `{"email":"a"}`, problem: "fields are missing", cause: "status 422"},
		{name: "no key", url: status(401), args: `{"email":"a"}`, problem: "refuses", cause: "status 401"},
		{name: "its own fault", url: status(500), args: `{"email":"a"}`, problem: "fails", cause: "status 500"},
		{name: "no JSON", url: e.URL, args: `{"email":"a"}`, problem: "cannot use", cause: "not JSON"},
		{
			name: "too slow", url: slow.URL, args: `{"email":"a"}`, problem: "in time", cause: "50ms",
			change: func(s string) string { return strings.Replace(s, "config:", "timeout: 0.05, config:", 1) },
		},
		{
			name: "disabled", url: e.URL, args: `{"email":"a"}`, problem: "does not run", cause: "is_enabled",
			change: func(s string) string { return strings.Replace(s, "config:", "is_enabled: false, config:", 1) },
		},
		{
			name: "a placeholder without a value", url: e.URL, args: `{"email":"a"}`, problem: "does not run", cause: "{{nobody}}",
			change: func(s string) string { return strings.Replace(s, "plain-4712", `"{{nobody}}"`, 1) },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			text := strings.ReplaceAll(createLead, "%URL%", c.url)
			if c.change != nil {
				text = c.change(text)
			}
			got := tryIt(t, text, c.args, nil)
			for _, h := range got.Hints {
				if strings.Contains(h.Problem, c.problem) && strings.Contains(h.Cause, c.cause) && h.Solution != "" {
					return
				}
			}
			t.Errorf("hints %+v, result %s (%s)", got.Hints, got.Result, got.Error)
		})
	}
}

// C-02, C-21: created, assigned, and the prompt says when: all three.
func TestTryTellsOfAgents_C02_C21(t *testing.T) {
	t.Parallel()
	e := serve(t, answer(`{"ok":true}`))
	text := strings.NewReplacer("%URL%", e.URL, "plain-4712", `"{{secret.crm_key}}"`).Replace(createLead)
	vague := strings.Replace(text, "Call this once e-mail is confirmed.", "Creates a lead.", 1)
	for _, c := range []struct {
		name, text string
		users      []tools.User
		want       string
	}{
		{"assigned to nobody", text, []tools.User{}, "not assigned to an agent"},
		{"nobody says when", vague, []tools.User{{Agent: "a", Prompt: "Be kind."}}, "neither the prompt of a"},
		{"the prompt says when", vague, []tools.User{{Agent: "a", Prompt: "At the end use Creer-Lead."}}, ""},
		{"the description says when", text, []tools.User{{Agent: "a"}}, ""},
		{"not known", vague, nil, ""},
	} {
		got := tryIt(t, c.text, `{"email":"a"}`, c.users)
		all, err := json.Marshal(got.Hints)
		if err != nil {
			t.Fatal(err)
		}
		if (c.want == "") != (len(got.Hints) == 0) || !strings.Contains(string(all), c.want) {
			t.Errorf("%s: %s", c.name, all)
		}
	}
	if _, err := tools.Try(t.Context(), define(t, `{name: a, description: d, tool_type: http_request, config: {url: "ftp://x"}}`),
		deps(t), tools.Call{}, nil); err == nil {
		t.Error("a broken definition was run")
	}
}

// An authority of one's own is trusted when it is named, and not else.
func TestCAFile(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(answer(`{"ok":true}`))
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	s.StartTLS()
	t.Cleanup(s.Close)
	file := filepath.Join(t.TempDir(), "ca.pem")
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	for ca, want := range map[string]tools.Status{file: tools.OK, "": tools.Failed} {
		c, err := tools.NewClient(tools.HTTPConfig{AllowCIDRs: []string{"127.0.0.0/8"}, CAFile: ca})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		tool := make1(t, tools.Deps{Client: c}, `{name: a, description: d, tool_type: http_request, config: {url: "`+s.URL+`"}}`)
		if r := tool.Run(t.Context(), tools.Call{}); r.Status != want {
			t.Errorf("with %q: %s %s", ca, r.Status, r.Err)
		}
	}
	if err := os.WriteFile(file, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{file, file + "-not-there"} {
		if _, err := tools.NewClient(tools.HTTPConfig{CAFile: bad}); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}
