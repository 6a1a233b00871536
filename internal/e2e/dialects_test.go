//go:build e2e

package e2e

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/patchcord/patchcord/tools/wire"
)

// dialectAgent has one tool of each platform's form; they run by themselves at
// the start of the call, so that no recogniser is needed. URL stands for the
// endpoint.
const dialectAgent = `name: support
greeting: "Hello and welcome, this is a line that answers with a tone and nothing else at all."
prompt: "Answer."
webhook_secret: "{{secret.flireo}}"
hubspot: {portal_id: 62515}
pre_call_tool_ids: [callin_tool, hubspot_tool, talkpilot_tool, flireo_tool, dariet_tool]
tools:
  - name: callin_tool
    description: Looks the caller up. Call this at the start.
    tool_type: webhook
    dialect: callin
    config: {method: POST, url: URL/callin, headers: [{key: X-Key, value: "{{secret.callin}}"}],
      body_parameters: [{identifier: phone_number, type: text}]}
  - tool_type: webhook
    dialect: hubspot
    config:
      client_secret: "{{secret.hubspot}}"
      hsmeta:
        uid: hubspot_tool
        type: workflow-action
        config:
          actionUrl: URL/hubspot
          toolType: GET_DATA
          llmDescription: Looks the caller up. Call this at the start.
          isPublished: true
          supportedClients: [{client: AGENTS}]
          inputFields: [{typeDefinition: {name: phone_number, type: string, fieldType: text}}]
          labels: {en: {actionName: Look up, appDisplayName: App}}
  - name: talkpilot_tool
    description: Looks the caller up. Call this at the start.
    tool_type: webhook
    dialect: talkpilot
    config: {url: URL/talkpilot, method: GET, headers: [{key: Authorization, value: "Bearer {{secret.talkpilot}}"}],
      query_params: [{key: phone, value: "{{caller_phone}}"}]}
  - name: flireo_tool
    description: Looks the caller up. Call this at the start.
    tool_type: webhook
    dialect: flireo
    config: {url: URL/flireo}
  - name: dariet_tool
    description: Looks the caller up. Call this at the start.
    tool_type: webhook
    dialect: dariet
    config: {webhook_url: URL/dariet, headers: {Authorization: "Bearer {{secret.dariet}}"}}
`

// canary is the secret of a dialect.
func canary(dialect string) string { return "canary-" + dialect + "-4711" }

// TestDialectsLive: in one call over SIP a tool of each dialect asks an HTTPS
// endpoint that checks method, headers, signature and body; no secret is found
// in anything that is kept of the call (SEC-10).
func TestDialectsLive(t *testing.T) {
	t.Parallel()
	needs(t, "sipp", "sip-tester")
	var mu sync.Mutex // guards seen
	seen := map[string]string{}
	endpoint := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		dialect := strings.TrimPrefix(r.URL.Path, "/")
		wrong := askedWrongly(dialect, r, b)
		if err != nil {
			wrong = err.Error()
		}
		mu.Lock()
		seen[dialect] += fmt.Sprintf("%s %s: %s;", r.Method, r.URL, wrong)
		if wrong == "" {
			seen[dialect] = "right"
		}
		mu.Unlock()
		fmt.Fprintf(w, `{"vip":true,"echo":%q}`, canary(dialect)) // an endpoint that tells secrets back
	}))
	t.Cleanup(endpoint.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	write(t, ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: endpoint.Certificate().Raw})))
	more := silent + `tools: {allow_cidrs: ["127.0.0.0/8"], ca_file: "` + ca + `"}` + "\nsecrets:\n"
	dialects := []string{"callin", "hubspot", "talkpilot", "flireo", "dariet"}
	for _, d := range dialects {
		more += "  " + d + ": " + canary(d) + "\n"
	}
	e := serve(t, more, map[string]string{"support.yaml": strings.ReplaceAll(dialectAgent, "URL", endpoint.URL)})
	sipp(t, sippRun{scenario: "basic", to: e.sip, calls: 1, rate: 1})
	eventually(t, 20*time.Second, "the call has ended", func() bool { return len(named(e.read(t), "call.ended")) == 1 })
	mu.Lock()
	for _, d := range dialects {
		if seen[d] != "right" {
			t.Errorf("%s: %s", d, seen[d])
		}
	}
	mu.Unlock()
	for _, ev := range named(e.read(t), "tool.finished") {
		if ev.text("status") != "ok" {
			t.Errorf("%v", ev)
		}
	}
	if _, body := e.get(t, "/v1/calls"); strings.Contains(fmt.Sprint(body), "canary") {
		t.Errorf("the API tells a secret: %v", body)
	}
	e.stop(t)
	if strings.Contains(e.out.String(), "canary") {
		t.Errorf("the log tells a secret:\n%s", tail(e.out.String(), 2000))
	}
	err := filepath.WalkDir(e.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || path == filepath.Join(e.dir, "patchcord.yaml") {
			return err
		}
		b, err := os.ReadFile(path) //nolint:gosec // of our own folder
		if strings.Contains(string(b), "canary") {
			t.Errorf("%s holds a secret", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// askedWrongly says what is wrong with a request of a dialect, "" for nothing.
func askedWrongly(dialect string, r *http.Request, body []byte) string {
	want := map[string]string{
		"callin": "POST", "hubspot": "POST", "talkpilot": "GET", "flireo": "POST", "dariet": "POST",
	}[dialect]
	if r.Method != want {
		return "method " + r.Method
	}
	var m map[string]any
	if want == "POST" {
		if r.Header.Get("Content-Type") != "application/json" || json.Unmarshal(body, &m) != nil {
			return "body " + string(body)
		}
	}
	bearer := r.Header.Get("Authorization") == "Bearer "+canary(dialect)
	switch dialect {
	case "callin":
		if r.Header.Get("X-Key") != canary(dialect) || len(m) != 1 || m["phone_number"] == nil {
			return string(body)
		}
	case "hubspot":
		inputs, _ := m["inputFields"].(map[string]any)
		if err := wire.VerifyHubSpot(canary(dialect), r.Method, "https://"+r.Host+r.RequestURI, r.Header, body, time.Now()); err != nil {
			return err.Error()
		}
		if r.Header.Get("X-HubSpot-Signature-Version") != "v2" || inputs["phone_number"] == nil {
			return string(body)
		}
	case "talkpilot":
		if !bearer || !r.URL.Query().Has("phone") || len(body) > 0 {
			return r.URL.String()
		}
	case "flireo":
		if err := wire.VerifyFlireo(canary(dialect), r.Header, body, time.Now()); err != nil {
			return err.Error()
		}
		msg, _ := m["message"].(map[string]any)
		if msg["type"] != "tool-calls" || r.UserAgent() != "HMS-Sovereign/1.0" || r.Header.Get("X-Webhook-Event") != "tool-calls" {
			return string(body)
		}
	case "dariet":
		args, _ := m["args"].(map[string]any)
		if !bearer || m["tool"] != "dariet_tool" || m["call_id"] == "" || args["direction"] != "inbound" {
			return string(body)
		}
	}
	return ""
}
