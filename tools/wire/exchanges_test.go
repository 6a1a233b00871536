package wire_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"github.com/patchcord/patchcord/tools"
	"github.com/patchcord/patchcord/tools/wire"
)

const recorded = "../../testdata/tools"

// exchange is one recorded exchange: what is called, what goes out, what comes
// back, and what the model is told.
type exchange struct {
	Name    string            `yaml:"name"`
	Tool    ast.Node          `yaml:"tool"`
	Replace map[string]string `yaml:"replace"` // in the file that the tool names
	Agent   *exchangeAgent    `yaml:"agent"`
	Account string            `yaml:"account"`
	Pre     string            `yaml:"pre"`
	Calls   []struct {
		ID   string `yaml:"id"`
		Args string `yaml:"args"`
	} `yaml:"calls"`
	Request *struct {
		Method   string            `yaml:"method"`
		Path     string            `yaml:"path"`
		Headers  map[string]string `yaml:"headers"`
		Body     string            `yaml:"body"`
		Contains string            `yaml:"contains"`
		Signed   string            `yaml:"signed"`
		Unsigned bool              `yaml:"unsigned"`
		Calls    []string          `yaml:"calls"`
	} `yaml:"request"`
	Reply struct {
		Status int    `yaml:"status"`
		Body   string `yaml:"body"`
	} `yaml:"reply"`
	Results []struct {
		Status tools.Status   `yaml:"status"`
		JSON   string         `yaml:"json"`
		Has    string         `yaml:"has"`
		Err    string         `yaml:"err"`
		Vars   map[string]any `yaml:"vars"`
		Later  bool           `yaml:"later"`
	} `yaml:"results"`
}

// exchangeAgent is what of an agent stands in an exchange; package agent makes
// the same of a whole one.
type exchangeAgent struct {
	Name     string         `yaml:"name"`
	Greeting string         `yaml:"greeting"`
	URL      string         `yaml:"webhook_url"`
	Secret   string         `yaml:"webhook_secret"`
	Metadata map[string]any `yaml:"metadata"`
	LLM      map[string]any `yaml:"llm_config"`
	HubSpot  tools.HubSpot  `yaml:"hubspot"`
}

func (a *exchangeAgent) tools(t testing.TB) *tools.Agent {
	t.Helper()
	if a == nil {
		return nil
	}
	out := &tools.Agent{Name: a.Name, Webhook: tools.WebhookTo{URL: a.URL, Secret: a.Secret}, HubSpot: a.HubSpot}
	if a.Metadata != nil {
		llm := fmt.Sprintf(`{"provider":%q,"model":%q}`, a.LLM["provider"], a.LLM["model"])
		meta, err := json.Marshal(a.Metadata)
		if err != nil {
			t.Fatal(err)
		}
		out.Assistant = json.RawMessage(fmt.Sprintf(`{"llm_config":%s,"stt_config":{},"tts_config":{},"first_message":%q,`+
			`"autonomous_silence_handling":false,"voicemail_detection":false,"metadata":%s}`, llm, a.Greeting, meta))
	}
	return out
}

// taken is a request as the endpoint got it.
type taken struct {
	*http.Request
	body string
}

// exchanges are those under testdata/tools, by the folder of their dialect.
func exchanges(t testing.TB) map[string][]exchange {
	t.Helper()
	files, err := filepath.Glob(recorded + "/*/exchanges.yaml")
	if err != nil || len(files) != len(wire.Dialects()) {
		t.Fatalf("%d files of exchanges for %d dialects: %v", len(files), len(wire.Dialects()), err)
	}
	out := map[string][]exchange{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var all []exchange
		if err := yaml.UnmarshalWithOptions(text, &all, yaml.Strict()); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		out[filepath.Dir(file)] = all
	}
	return out
}

// TestRecordedExchanges holds every byte of the exchanges under testdata/tools.
func TestRecordedExchanges(t *testing.T) {
	t.Parallel()
	for dir, all := range exchanges(t) {
		for _, x := range all {
			t.Run(filepath.Base(dir)+" "+x.Name, func(t *testing.T) {
				t.Parallel()
				x.play(t, dir)
			})
		}
	}
}

func (x *exchange) play(t *testing.T, dir string) {
	got := make(chan taken, 4) // more than one is a fault, told below
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		got <- taken{r, string(b)}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(x.Reply.Status)
		_, _ = io.WriteString(w, x.Reply.Body)
	}))
	t.Cleanup(s.Close)
	tool, env := x.build(t, dir, s.URL, deps(t))
	var calls []tools.Call
	var ts []tools.Tool
	var results []tools.Result
	for _, c := range x.Calls {
		args, refused, ok := tools.Arguments(tool, json.RawMessage(c.Args))
		if !ok {
			results = append(results, refused)
			continue
		}
		calls = append(calls, tools.Call{ID: c.ID, Name: tool.Definition().Name, Args: args, Env: env})
		ts = append(ts, tool)
	}
	switch {
	case len(calls) == 1:
		results = append(results, tool.Run(t.Context(), calls[0]))
	case len(calls) > 1:
		results = append(results, tools.RunTogether(t.Context(), ts, calls)...)
	}
	x.checkRequest(t, got, s.URL)
	x.checkResults(t, results)
}

// build makes the tool of an exchange, for an endpoint, and what it knows of
// its call.
func (x *exchange) build(t testing.TB, dir, endpoint string, deps tools.Deps) (tools.Tool, tools.Env) {
	t.Helper()
	here := func(text string) string { return strings.ReplaceAll(text, "URL", endpoint) }

	var d tools.Definition
	if err := yaml.NodeToValue(x.Tool, &d, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	if text, err := d.Config.MarshalJSON(); err != nil {
		t.Fatal(err)
	} else if err := d.Config.UnmarshalJSON([]byte(here(string(text)))); err != nil {
		t.Fatal(err)
	}
	if err := wire.Resolve(&d, func(name string) ([]byte, error) {
		b, err := os.ReadFile(filepath.Join(dir, name))
		for from, to := range x.Replace {
			b = []byte(strings.ReplaceAll(string(b), from, here(to)))
		}
		return b, err
	}); err != nil {
		t.Fatal(err)
	}
	deps.Secrets = func(n string) (string, bool) { return "canary", n == "key" || n == "API_KEY" }
	deps.Account = tools.WebhookTo{URL: here(x.Account), Secret: "canary"}
	if x.Account == "" {
		deps.Account = tools.WebhookTo{}
	}
	if deps.Agent = x.Agent.tools(t); deps.Agent != nil {
		deps.Agent.Webhook.URL = here(deps.Agent.Webhook.URL)
	}
	set, faults := tools.Build([]tools.Definition{d}, deps)
	if err := faults.Err(); err != nil || len(set.Tools()) != 1 {
		t.Fatalf("not built: %v", faults)
	}
	tool := set.Tools()[0]
	return tool, tools.Env{
		CallID: "550e8400-e29b-41d4-a716-446655440000", AgentID: "support", Phone: "+4930123456", Number: "+4930999",
		Direction: "inbound", PreCall: x.Pre == "call", PreAction: x.Pre == "action",
	}
}

var (
	isoTime    = regexp.MustCompile(`"timestamp":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)"`)
	callbackID = regexp.MustCompile(`"callbackId":"ap-[0-9a-f]{40}"`)
)

func (x *exchange) checkRequest(t *testing.T, got chan taken, origin string) {
	t.Helper()
	if x.Request == nil {
		if len(got) != 0 {
			t.Fatalf("asked: %s", (<-got).body)
		}
		return
	}
	if len(got) != 1 {
		t.Fatalf("%d requests, want one", len(got))
	}
	r, want := <-got, x.Request
	if r.Method != want.Method || r.URL.RequestURI() != want.Path {
		t.Errorf("got %s %s, want %s %s", r.Method, r.URL.RequestURI(), want.Method, want.Path)
	}
	for name, value := range want.Headers {
		have := r.Header.Get(name)
		if value == "NOW" {
			value, have = "now", nearNow(have)
		}
		if have != value {
			t.Errorf("%s: %q, want %q", name, have, value)
		}
	}
	body := callbackID.ReplaceAllString(r.body, `"callbackId":"ID"`)
	if m := isoTime.FindStringSubmatch(body); m != nil {
		at, err := time.Parse(time.RFC3339, m[1])
		if err != nil || time.Since(at).Abs() > time.Minute {
			t.Errorf("timestamp %s: %v", m[1], err)
		}
		body = isoTime.ReplaceAllString(body, `"timestamp":"NOW"`)
	}
	if want.Body != "" && body != want.Body || want.Method == "GET" && body != "" {
		t.Errorf("body\ngot  %s\nwant %s", body, want.Body)
	}
	if !strings.Contains(body, want.Contains) {
		t.Errorf("%s is not in %s", want.Contains, body)
	}
	if want.Calls != nil {
		var m struct {
			Message struct {
				Calls []struct {
					ID string `json:"id"`
				} `json:"tool_call_list"`
			} `json:"message"`
		}
		if err := json.Unmarshal([]byte(r.body), &m); err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, c := range m.Message.Calls {
			ids = append(ids, c.ID)
		}
		if !slices.Equal(ids, want.Calls) {
			t.Errorf("calls %v, want %v", ids, want.Calls)
		}
	}
	uri := origin + r.URL.RequestURI()
	switch {
	case want.Signed == "flireo":
		if err := wire.VerifyFlireo("canary", r.Header, []byte(r.body), time.Now()); err != nil {
			t.Error(err)
		}
	case want.Signed == "hubspot":
		if err := wire.VerifyHubSpot("canary", r.Method, uri, r.Header, []byte(r.body), time.Now()); err != nil {
			t.Error(err)
		}
	case want.Unsigned && r.Header.Get("X-Webhook-Signature") != "":
		t.Error("signed without a secret")
	}
}

func nearNow(text string) string {
	var n int64
	if _, err := fmt.Sscan(text, &n); err != nil {
		return text
	}
	at := time.Unix(n, 0)
	if n > 1e11 {
		at = time.UnixMilli(n)
	}
	if time.Since(at).Abs() > time.Minute {
		return text
	}
	return "now"
}

func (x *exchange) checkResults(t *testing.T, results []tools.Result) {
	t.Helper()
	if len(results) != len(x.Results) {
		t.Fatalf("%d results, want %d", len(results), len(x.Results))
	}
	for i, want := range x.Results {
		r := results[i]
		if r.Status != want.Status || want.JSON != "" && string(r.JSON) != want.JSON || !strings.Contains(string(r.JSON), want.Has) ||
			!strings.Contains(r.Err, want.Err) {
			t.Errorf("result %d: %s %s (%s), want %s %s%s", i, r.Status, r.JSON, r.Err, want.Status, want.JSON, want.Has)
		}
		if fmt.Sprint(r.Vars) != fmt.Sprint(want.Vars) || (r.Later != nil) != want.Later {
			t.Errorf("result %d: variables %v, later %v", i, r.Vars, r.Later != nil)
		}
	}
}
