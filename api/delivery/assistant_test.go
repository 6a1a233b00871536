package delivery

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/patchcord/patchcord/api/webhook"
	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/tools"
)

// only is a directory with one agent.
type only struct {
	engine.Directory
	a *agent.Agent
}

func (o only) ForCall(context.Context, telephony.Info) (*agent.Agent, error) { return o.a, nil }

// asker is a directory that asks a webhook which answers as it is told.
func asker(t *testing.T, a *agent.Agent, answer http.HandlerFunc) (engine.Directory, *Deliveries) {
	t.Helper()
	web := httptest.NewTLSServer(answer)
	t.Cleanup(web.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})
	if err := os.WriteFile(ca, cert, 0o600); err != nil {
		t.Fatal(err)
	}
	client, err := tools.NewClient(tools.HTTPConfig{AllowCIDRs: []string{"127.0.0.0/8"}, CAFile: ca})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	a.WebhookURL = web.URL
	named := func(want string) func(string) bool { return func(name string) bool { return name == want } }
	d := New(Config{
		Client: client, Secret: secrets.Resolve, KnowsModel: named("other"), KnowsSTT: named("ear"), KnowsTTS: named("mouth"),
		Account: tools.WebhookTo{URL: web.URL + "/account", Secret: sealed},
	})
	return d.Asking(only{a: a}), d
}

// F-02, F-13: an agent without a webhook of its own asks the account's, which is
// signed with the account's secret; one that does not want to ask does not.
func TestTheAccountsWebhookIsAsked_F02_F13(t *testing.T) {
	t.Parallel()
	a := reception()
	asked := make(chan string, 4) // more than there are questions
	dir, _ := asker(t, a, func(w http.ResponseWriter, r *http.Request) {
		if _, err := (webhook.Verifier{Secrets: []string{secret}}).Read(r); err != nil {
			t.Error(err)
		}
		asked <- r.URL.Path
		_, _ = io.WriteString(w, `{"assistant":{"first_message":"Hello Jan."}}`)
	})
	a.WebhookURL, a.WebhookSecret = "", ""
	if got, err := dir.ForCall(t.Context(), ringing); err != nil || got.Greeting != "Hello Jan." || <-asked != "/account" {
		t.Errorf("%+v, %v", got, err)
	}
	a.WebhookEvents = nil // F-10
	if got, err := dir.ForCall(t.Context(), ringing); err != nil || got != a || len(asked) > 0 {
		t.Errorf("%+v, %v, asked %d times", got, err, len(asked))
	}
}

// nobodys is a directory where no number has an agent.
type nobodys struct{ engine.Directory }

var errNobody = errors.New("the number is nobody's")

func (nobodys) ForCall(context.Context, telephony.Info) (*agent.Agent, error) { return nil, errNobody }

// F-02, F-13: the account's webhook is asked who takes a call to a number that
// has no agent.
func TestTheAccountsWebhookIsAskedAboutNobodysNumbers_F02_F13(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, answer string
		status       int
		taken        bool
		refused      string
	}{
		{"nothing", `{}`, 200, false, ""},
		{"a failure", `{"assistant":{"first_message":"Hello."}}`, 500, false, ""},
		{"an assistant", `{"assistant":{"first_message":"Hello.","llm_config":{"messages":[{"role":"system","content":"Help."}]}}}`, 200, true, ""},
		{"one that could not answer", `{"assistant":{"first_message":"Hello.","llm_config":{"temperature":99}}}`, 200, false, ""},
		{"a refusal", `{"error":"We are closed."}`, 200, false, "We are closed."},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, d := asker(t, reception(), func(w http.ResponseWriter, r *http.Request) {
				var got flireo
				body, err := webhook.Verifier{Secrets: []string{secret}}.Read(r)
				if err != nil || json.Unmarshal(body, &got) != nil || got.Message.Type != "assistant-request" || r.URL.Path != "/account" {
					t.Errorf("%v: %s %s", err, r.URL, body)
				}
				w.WriteHeader(tc.status)
				_, _ = io.WriteString(w, tc.answer)
			})
			dir := d.Asking(nobodys{})
			a, err := dir.ForCall(t.Context(), ringing)
			var no *engine.Refusal
			switch {
			case errors.As(err, &no) != (tc.refused != "") || no != nil && (no.Say != tc.refused || a == nil):
				t.Errorf("%v, %+v", err, a)
			case no != nil:
			case tc.taken && (err != nil || a.Greeting != "Hello." || a.Prompt != "Help." || a.ID == ""):
				t.Errorf("%v, %+v", err, a)
			case !tc.taken && !errors.Is(err, errNobody):
				t.Errorf("%v, %+v", err, a)
			}
			if tc.taken {
				if known, err := d.agent(t.Context(), a.ID); err != nil || known.WebhookURL != d.cfg.Account.URL {
					t.Errorf("its webhooks: %v, %+v", err, known)
				}
			}
			named := ringing
			named.Agent = "gone" // asked for by name
			if a, err := dir.ForCall(t.Context(), named); !errors.Is(err, errNobody) {
				t.Errorf("%v, %+v", err, a)
			}
		})
	}
}

func reception() *agent.Agent {
	return &agent.Agent{
		ID: "a-1", Name: "support", Prompt: "Help.", Greeting: "Hello.", Language: "en", WebhookSecret: sealed,
		WebhookEvents: []string{"assistant-request"}, MaxCallDuration: agent.Duration(15 * time.Minute),
		LLM:   agent.LLMConfig{Provider: "main", Model: "m1"},
		Tools: []tools.Definition{{Name: "end_call", Description: "Ends the call.", Type: tools.EndCall}},
	}
}

var ringing = telephony.Info{ID: "0190", Direction: telephony.Inbound, From: "+31612345678", To: "+31201234567"}

// F-13: the webhook is asked before the answer, with the status ringing, and
// signed; what it answers is how the call is taken.
func TestAssistantRequest_F13(t *testing.T) {
	t.Parallel()
	same := func(a *agent.Agent) bool {
		return a.Greeting == "Hello." && a.Prompt == "Help." && a.LLM.Model == "m1" && len(a.Tools) == 1 &&
			a.MaxCallDuration == agent.Duration(15*time.Minute)
	}
	for _, tc := range []struct {
		name, answer string
		status       int
		check        func(*agent.Agent) bool
		refused      string
	}{
		{"nothing", `{}`, 200, same, ""},
		{"no body", ``, 204, same, ""},
		{
			"a greeting, a prompt and tools",
			`{"assistant":{"first_message":"Hello Jan.","llm_config":{"model":"m2","messages":[{"role":"system","content":"Help Jan."}],
				"tools":[{"name":"lookup","description":"Looks up."},{"type":"end_call"}]},"metadata":{"tier":"gold"}}}`, 200,
			func(a *agent.Agent) bool {
				return a.Greeting == "Hello Jan." && a.Prompt == "Help Jan." && a.LLM.Provider == "main" && a.LLM.Model == "m2" &&
					len(a.Tools) == 2 && a.Tools[0].Name == "lookup" && a.Metadata["tier"] == "gold" && a.ID == "a-1"
			}, "",
		},
		{
			"the older casing", `{"assistant":{"firstMessage":"Hallo.","llmConfig":{"maxTokens":50}},"maxDurationSeconds":60}`, 200,
			func(a *agent.Agent) bool {
				return a.Greeting == "Hallo." && a.LLM.MaxTokens == 50 && a.MaxCallDuration == agent.Duration(time.Minute)
			}, "",
		},
		{
			"a duration", `{"max_duration_seconds":300}`, 200,
			func(a *agent.Agent) bool {
				return a.MaxCallDuration == agent.Duration(5*time.Minute) && a.Greeting == "Hello."
			}, "",
		},
		{
			"a provider of ours", `{"assistant":{"llm_config":{"provider":"other","model":"m3"}}}`, 200,
			func(a *agent.Agent) bool { return a.LLM.Provider == "other" && a.LLM.Model == "m3" }, "",
		},
		{"a provider that nobody knows", `{"assistant":{"llm_config":{"provider":"openai","model":"gpt-4o"}}}`, 200, same, ""},
		{
			"a recogniser, a language and a voice of ours",
			`{"assistant":{"stt_config":{"provider":"ear","language":"nl"},"tts_config":{"provider":"mouth","voice":"anna"}}}`, 200,
			func(a *agent.Agent) bool {
				return a.STT == "ear" && a.Language == "nl" && a.TTS == "mouth" && a.Voice == "anna" && a.Prompt == "Help."
			}, "",
		},
		{
			"those of nobody here, in the older casing",
			`{"assistant":{"sttConfig":{"provider":"deepgram","language":"de"},"ttsConfig":{"provider":"elevenlabs","voiceId":"x7"}}}`, 200,
			func(a *agent.Agent) bool { return a.STT == "" && a.Language == "de" && a.TTS == "" && a.Voice == "" }, "",
		},
		{
			"another voice of the same", `{"assistant":{"tts_config":{"voice_id":"bob"}}}`, 200,
			func(a *agent.Agent) bool { return a.TTS == "" && a.Voice == "bob" }, "",
		},
		{"a refusal", `{"error":"Sorry, we are currently closed."}`, 200, nil, "Sorry, we are currently closed."},
		{"a failure", `{"error":"boom"}`, 500, same, ""},
		{"no JSON", `<html>`, 200, same, ""},
		{"a list", `[]`, 200, same, ""},
		{"other types", `{"assistant":{"first_message":7}}`, 200, same, ""},
		{"an agent that could not answer", `{"assistant":{"llm_config":{"temperature":99}}}`, 200, same, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir, _ := asker(t, reception(), func(w http.ResponseWriter, r *http.Request) {
				var got flireo
				body, err := webhook.Verifier{Secrets: []string{secret}}.Read(r)
				if err != nil || json.Unmarshal(body, &got) != nil || r.Header.Get("X-Webhook-Event") != "assistant-request" ||
					r.Header.Get("User-Agent") != flireoAgent {
					t.Errorf("%v: %v %s", err, r.Header, body)
				}
				m := got.Message
				if m.Type != "assistant-request" || m.Call != (flireoCall{"0190", "inbound_phone_call", "ringing"}) ||
					m.Number.Number != "+31201234567" || m.Customer.Number != "+31612345678" {
					t.Errorf("%s", body)
				}
				w.WriteHeader(tc.status)
				_, _ = io.WriteString(w, tc.answer) // a 204 has none
			})
			a, err := dir.ForCall(t.Context(), ringing)
			var no *engine.Refusal
			if errors.As(err, &no) != (tc.refused != "") || no != nil && (no.Say != tc.refused || a == nil) {
				t.Fatalf("%v, %+v", err, a)
			}
			if tc.check != nil && (err != nil || !tc.check(a)) {
				t.Errorf("%v: %+v", err, a)
			}
		})
	}
}

// F-13: a webhook that does not answer within 5 s leaves the agent as it is; nor
// is one asked that does not want it.
func TestAssistantRequestWithoutAnAnswer_F13(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{}, 1)
	hang := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // so that its end is noticed
		asked <- struct{}{}
		<-r.Context().Done()
	}
	want := reception()
	dir, _ := asker(t, want, hang)
	if a, err := dir.ForCall(t.Context(), ringing); err != nil || a != want || len(asked) != 1 {
		t.Errorf("%v, %+v, asked %d times", err, a, len(asked))
	}
	<-asked
	for _, events := range [][]string{nil, {"tool-calls"}} { // F-10
		want := reception()
		want.WebhookEvents = events
		dir, _ := asker(t, want, hang)
		if a, err := dir.ForCall(t.Context(), ringing); err != nil || a != want || len(asked) != 0 {
			t.Errorf("%v, %+v, asked %d times", err, a, len(asked))
		}
	}
}

// F-13: an analysis_plan of one call is of this call only.
func TestAssistantRequestPlan_F13(t *testing.T) {
	t.Parallel()
	dir, d := asker(t, reception(), func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"assistant":{"analysis_plan":{"structured_data_plan":{"enabled":true,"schema":{"type":"object"}}}}}`)
	})
	if _, err := dir.ForCall(t.Context(), ringing); err != nil {
		t.Fatal(err)
	}
	if p := d.plans["0190"]; p == nil || !p.StructuredData.Enabled || string(p.StructuredData.Schema) != `{"type":"object"}` {
		t.Errorf("%+v", p)
	}
	d.planned("0190", nil)
	if len(d.plans) != 0 {
		t.Errorf("%d plans are kept", len(d.plans))
	}
}

// F-13: calls that asked and never came take no place from those that do.
func TestPlansOfCallsThatNeverCame_F13(t *testing.T) {
	t.Parallel()
	d := New(Config{Agent: func(context.Context, agent.ID) (*agent.Agent, error) { return reception(), nil }})
	p := &agent.AnalysisPlan{}
	d.planned("up", p)
	d.Started(engine.Record{ID: "up"})
	for i := range mostPlans + 1 {
		d.planned(telephony.CallID(strconv.Itoa(i)), p)
	}
	d.planned("last", p)
	d.planned("last", p)
	for id, want := range map[telephony.CallID]bool{"up": true, "last": true, "0": false, "1": false, "2": false, "3": true} {
		if (d.plans[id] != nil) != want {
			t.Errorf("the plan of %s is kept: %t", id, !want)
		}
	}
	d.planned("up", nil)
	if len(d.plans) != mostPlans-1 || len(d.asked) != len(d.plans) {
		t.Errorf("%d plans of %d calls", len(d.plans), len(d.asked))
	}
}

// FuzzAssistant: no answer does harm.
func FuzzAssistant(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `{"error":"closed"}`, `{"assistant":{"firstMessage":"x","llmConfig":{"tools":[{"type":"endCall"}]}}}`,
		`{"max_duration_seconds":1e300}`, `[1]`, `{"assistant":null}`, `{"assistant":{"llm_config":{"messages":[{"role":"x"}]}}}`,
	} {
		f.Add([]byte(seed))
	}
	d := New(Config{})
	f.Fuzz(func(t *testing.T, body []byte) {
		answer, err := readAssistant(body)
		if err != nil {
			return
		}
		if a, err := d.adjusted(reception(), answer); err == nil && (a.ID != "a-1" || a.MaxCallDuration > agent.Duration(longestCall)) {
			t.Errorf("%+v", a)
		}
	})
}
