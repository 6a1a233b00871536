package api

import (
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/patchcord/patchcord/engine/agent"
)

// remembering is who is told of agents of one call alone.
type remembering struct {
	mu  sync.Mutex
	got []*agent.Agent
}

func (r *remembering) Remember(a *agent.Agent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, a)
}

// F-23: an outbound call in Flireo's shape, with an agent that exists or one of
// this call alone; the same key twice is one call.
func TestFlireoPlacesCalls_F23(t *testing.T) {
	t.Parallel()
	told := &remembering{}
	f := newFixture(t, func(c *Config) { c.Transients = told })
	answer := regexp.MustCompile(`^\{"success":true,"call_id":"([0-9a-f-]{28}([0-9a-f]{8}))","room_name":"outbound-([0-9a-f]{8})","status":"dialing"\}$`)
	body := `{"agent_id":"support","phone_number":"+4930123456","variables":{"name":"Ada"}}`
	first := f.do("POST", "/api/v1/calls", body, "Idempotency-Key", "k", "X-API-Key", "", "Authorization", "Bearer "+opsKey)
	m := answer.FindStringSubmatch(strings.TrimSpace(first.text))
	if first.StatusCode != 200 || m == nil || m[2] != m[3] {
		t.Fatalf("%d %s", first.StatusCode, first.text)
	}
	if again := f.do("POST", "/api/v1/calls", body, "Idempotency-Key", "k"); again.text != first.text || len(f.engine.dialed) != 1 {
		t.Errorf("%s; %d calls", again.text, len(f.engine.dialed))
	}
	if o := f.engine.dialed[0]; o.Agent != "support" || o.To != "+4930123456" || o.Variables["name"] != "Ada" || o.Transient != nil {
		t.Errorf("%+v", o)
	}
	a := f.do("POST", "/api/v1/calls", `{"to":"+4930123456","agent":{"name":"Once","first_message":"Hello {{name}}.",`+
		`"llm_config":{"messages":[{"role":"system","content":"Be brief."}]},"voicemail_detection":true,`+
		`"voicemail_message":"Please call back.","webhook_url":"https://example.com/hook"}}`)
	if a.StatusCode != 200 || answer.FindString(strings.TrimSpace(a.text)) == "" {
		t.Fatalf("%d %s", a.StatusCode, a.text)
	}
	own := f.engine.dialed[1].Transient
	if own == nil || own.ID == "" || own.Greeting != "Hello {{name}}." || !own.VoicemailDetection ||
		own.VoicemailMessage != "Please call back." || len(told.got) != 1 || told.got[0] != own {
		t.Errorf("%+v; told of %d", own, len(told.got))
	}
	for _, tc := range []struct {
		body   string
		status int
		says   string
	}{
		{`{"agent_id":"support"}`, 422, `"code":"missing_field"`},
		{`{"agent_id":"support","to":"+1900"}`, 403, `"code":"destination_not_allowed"`},
		{`{"agent_id":"nobody","to":"+49"}`, 422, `"code":"agent_not_found"`},
	} {
		if a := f.do("POST", "/api/v1/calls", tc.body); a.StatusCode != tc.status || !strings.Contains(a.text, tc.says) {
			t.Errorf("%s: %d %s", tc.body, a.StatusCode, a.text)
		}
	}
}

// TestAnAgentOfOneCall needs the right to write agents, and all of them: its
// tools may use the secrets that theirs do.
func TestAnAgentOfOneCall(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	body := `{"to":"+49","agent":{"prompt":"p"},"headers":{"X-Campaign":"spring"}}`
	for key, status := range map[string]int{opsKey: 201, salesKey: 403} {
		if a := f.do("POST", "/v1/calls", body, "X-API-Key", key); a.StatusCode != status {
			t.Errorf("%d, want %d: %s", a.StatusCode, status, a.text)
		}
	}
	if o := f.engine.dialed[0]; o.Transient.Name != "transient" || o.Headers["X-Campaign"] != "spring" || len(f.engine.dialed) != 1 {
		t.Errorf("%+v", f.engine.dialed)
	}
}
