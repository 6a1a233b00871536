package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/dialer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	opsKey   = "ops-key-0123456789abcdef"
	readKey  = "read-key-0123456789abcdef"
	salesKey = "sales-key-0123456789abcdef"
)

func TestACallIsPlaced(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	a := f.do("POST", "/v1/calls", `{"agent_id":"support","to":"+4930123456","from":"+491","trunk":"carrier","variables":{"name":"Ada"},"ring_timeout":"20s"}`)
	var d Dialed
	a.into(t, &d)
	if a.StatusCode != 201 || d.Status != "dialing" || d.ID == "" || a.Header.Get("Location") != "/v1/calls/"+d.ID {
		t.Errorf("%d %s %v", a.StatusCode, a.text, a.Header)
	}
	got := f.engine.dialed[0]
	if got.To != "+4930123456" || got.Agent != "support" || got.From != "+491" || got.Trunk != "carrier" || got.RingTimeout != 20*time.Second || got.Variables["name"] != "Ada" {
		t.Errorf("%+v", got)
	}
	if a = f.do("GET", a.Header.Get("Location"), ""); a.StatusCode != 200 {
		t.Errorf("the call cannot be read at once: %d %s", a.StatusCode, a.text)
	}
	if a = f.do("POST", "/v1/calls", `{"agent_id":"support","to":"+49","ring_timeout":45.5,"amd":true,"anonymous":true}`); a.StatusCode != 201 || !f.engine.dialed[1].Anonymous || f.engine.dialed[1].RingTimeout != 45500*time.Millisecond || !*f.engine.dialed[1].AMD {
		t.Errorf("%d %s %v", a.StatusCode, a.text, f.engine.dialed)
	}
}

func TestBadRequestsAreTold(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, tc := range []struct {
		name, body string
		status     int
		code       string
		says       string
	}{
		{"nothing", ``, 400, "bad_request", "body is required"},
		{"no JSON", `{`, 400, "bad_request", ""},
		{"everything missing", `{}`, 422, "invalid_request", "property to"},
		{"nobody who speaks", `{"to":"+49"}`, 422, "missing_field", "body.agent_id"},
		{"two who speak", `{"to":"+49","agent_id":"support","agent":{"prompt":"p"}}`, 422, "invalid_request", "body.agent"},
		{"an agent of this call with a fault", `{"to":"+49","agent":{"prompt":"p","flow":{"nodes":[{}]}}}`, 422, "invalid_request", "body.agent.flow"},
		{"an agent that is none", `{"to":"+49","agent":["support"]}`, 422, "invalid_request", "body.agent"},
		{"a header that is not ours to set", `{"agent_id":"support","to":"+49","headers":{"Route":"<sip:a>"}}`, 422, "invalid_request", "X-"},
		{"a header of two lines", `{"agent_id":"support","to":"+49","headers":{"X-A":"b\r\nVia: c"}}`, 422, "invalid_request", "body.headers"},
		{"an unknown property", `{"agent_id":"support","to":"+49","amdd":true}`, 422, "invalid_request", "body.amdd"},
		{"a wrong type", `{"agent_id":"support","to":7}`, 422, "invalid_request", "body.to"},
		{"an empty number", `{"agent_id":"support","to":""}`, 422, "invalid_request", "body.to"},
		{"an unknown agent", `{"agent_id":"nobody","to":"+49"}`, 422, "agent_not_found", "body.agent_id"},
		{"too long a ring", `{"agent_id":"support","to":"+49","ring_timeout":3600}`, 422, "invalid_request", "5 minutes"},
		{"a bad ring", `{"agent_id":"support","to":"+49","ring_timeout":"soon"}`, 422, "invalid_request", "ring_timeout"},
		{"a number that may not be dialled", `{"agent_id":"support","to":"+1900"}`, 403, "destination_not_allowed", "dialing.allow"},
		{"SEC-12: more than a megabyte", `{"agent_id":"` + strings.Repeat("x", 1<<20) + `"}`, 413, "too_large", ""},
	} {
		a := f.do("POST", "/v1/calls", tc.body)
		if code := a.problem(t); a.StatusCode != tc.status || code != tc.code || !strings.Contains(a.text, tc.says) {
			t.Errorf("%s: %d %s", tc.name, a.StatusCode, a.text)
		}
	}
	a := f.do("POST", "/v1/calls", `{"agent_id":"support","to":"+49"}`, "Content-Type", "application/x-canary")
	if a.problem(t) != "unsupported_media_type" || strings.Contains(a.text, "canary") || !strings.Contains(a.text, "application/json") {
		t.Errorf("%s", a.text)
	}
	if len(f.engine.dialed) != 0 {
		t.Errorf("dialled %v", f.engine.dialed)
	}
}

// SEC-10: what was submitted is not repeated, it may be a secret.
func TestErrorsDoNotRepeatWhatWasSubmitted(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, b := range []string{`{"agent_id":{"canary":1},"to":"+49"}`, `{"agent_id":["canary"],"to":["canary"],"variables":"canary"}`} {
		if a := f.do("POST", "/v1/calls", b); strings.Contains(a.text, "canary") {
			t.Errorf("%s", a.text)
		}
	}
}

func TestWhatTheEngineRefusesIsTold(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, tc := range []struct {
		err    error
		status int
		code   string
	}{
		{engine.ErrFull, 503, "no_capacity"},
		{
			fmt.Errorf("engine: dial: %w", &telephony.FullError{Trunk: "c", Limit: "max_cps", RetryAfter: 1200 * time.Millisecond}), 503,
			"no_capacity",
		},
		{errors.New("no trunk carries +49"), 422, "not_dialled"},
		{fmt.Errorf("dial: %w", &dialer.Denied{To: "+49", Why: "dialing.per_day", Spent: true}), 403, "dial_limit"},
	} {
		f.engine.call = func(engine.Outbound) (telephony.CallID, error) { return "", tc.err }
		a := f.do("POST", "/v1/calls", `{"agent_id":"support","to":"+49"}`)
		if code := a.problem(t); a.StatusCode != tc.status || code != tc.code {
			t.Errorf("%v: %d %s", tc.err, a.StatusCode, a.text)
		}
		var full *telephony.FullError
		if after := a.Header.Get("Retry-After"); errors.As(tc.err, &full) && after != "2" {
			t.Errorf("%v: to come again after %q s", tc.err, after)
		}
	}
}

func TestIdempotencyKeysDialOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const b = `{"agent_id":"support","to":"+49"}`
	first := f.do("POST", "/v1/calls", b, "Idempotency-Key", "k1")
	again := f.do("POST", "/v1/calls", b, "Idempotency-Key", "k1")
	if first.StatusCode != 201 || again.StatusCode != 201 ||
		strings.TrimSpace(first.text) != strings.TrimSpace(again.text) ||
		again.Header.Get("Idempotency-Replayed") != "true" || len(f.engine.dialed) != 1 {
		t.Errorf("%s / %d %s; dialled %d times", first.text, again.StatusCode, again.text, len(f.engine.dialed))
	}
	other := f.do("POST", "/v1/calls", `{"agent_id":"support","to":"+492"}`, "Idempotency-Key", "k1")
	if other.StatusCode != 422 || other.problem(t) != "idempotency_key_reused" {
		t.Errorf("%d %s", other.StatusCode, other.text)
	}
	f.engine.call = func(engine.Outbound) (telephony.CallID, error) { return "", engine.ErrFull }
	if a := f.do("POST", "/v1/calls", b, "Idempotency-Key", "k2"); a.StatusCode != 503 {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	f.engine.call = nil
	if a := f.do("POST", "/v1/calls", b, "Idempotency-Key", "k2"); a.StatusCode != 201 {
		t.Errorf("a refused request may be sent again: %d %s", a.StatusCode, a.text)
	}
}

func TestCallsAreReadBack(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	wav := filepath.Join(t.TempDir(), "x.wav")
	if err := os.WriteFile(wav, []byte("RIFF0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	id, bare := f.started("support"), f.started("support")
	f.ended(id, "support", wav)
	f.ended(bare, "support", "")
	var c Call
	f.do("GET", "/v1/calls/"+string(id), "").into(t, &c)
	if c.Status != "ended" || c.DurationMS != 60_000 || c.EndReason != "hangup" || c.Recording != "/v1/calls/"+c.ID+"/recording" || c.EndedAt == nil {
		t.Errorf("%+v", c)
	}
	var items Page[engine.Item]
	f.do("GET", "/v1/calls/"+string(id)+"/transcript", "").into(t, &items)
	if len(items.Data) != 1 || items.Data[0].Text != "Hello." {
		t.Errorf("%+v", items)
	}
	if a := f.do("GET", c.Recording, "", "Range", "bytes=4-7"); a.StatusCode != 206 || a.text != "0123" || a.Header.Get("Content-Type") != "audio/wav" {
		t.Errorf("%d %q %v", a.StatusCode, a.text, a.Header)
	}
	if a := f.do("GET", "/v1/calls/"+string(bare)+"/recording", ""); a.StatusCode != 404 || a.problem(t) != "no_recording" {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	var page Page[Call]
	f.do("GET", "/v1/calls?limit=1&status=ended", "").into(t, &page)
	if len(page.Data) != 1 || page.NextCursor == "" {
		t.Fatalf("%+v", page)
	}
	first := page.Data[0].ID
	page = Page[Call]{}
	f.do("GET", "/v1/calls?limit=1&status=ended&cursor="+page.NextCursor, "").into(t, &page)
	if len(page.Data) != 1 || first == "" {
		t.Errorf("%+v", page)
	}
	for path, status := range map[string]int{
		"/v1/calls?limit=0": 422, "/v1/calls?limit=101": 422, "/v1/calls?cursor=zzz": 422, "/v1/calls?status=odd": 422,
		"/v1/calls?since=yesterday": 422, "/v1/calls/nobody": 404, "/v1/nothing": 404,
	} {
		if a := f.do("GET", path, ""); a.StatusCode != status {
			t.Errorf("%s: %d %s", path, a.StatusCode, a.text)
		} else {
			a.problem(t)
		}
	}
	if a := f.do("DELETE", "/v1/calls", ""); a.StatusCode != 405 || a.problem(t) != "method_not_allowed" || !strings.Contains(a.Header.Get("Allow"), "POST") {
		t.Errorf("%d %s %v", a.StatusCode, a.text, a.Header)
	}
}

// F-17: the commands of a live call.
func TestCommands(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) { c.Limits.Control = -1 })
	live, over := f.started("support"), f.started("support")
	f.ended(over, "support", "")
	for _, tc := range []struct {
		id     telephony.CallID
		body   string
		status int
		code   string
	}{
		{live, `{"type":"say","content":"One moment."}`, 200, ""},
		{live, `{"type":"say","content":"Bye.","end_after":true}`, 200, ""},
		{live, `{"type":"end-call","message":"Goodbye."}`, 200, ""},
		{live, `{"type":"mute"}`, 200, ""},
		{live, `{"type":"mute","on":false}`, 200, ""},
		{live, `{"type":"inject-context","content":"She is a regular.","trigger_response":true}`, 200, ""},
		{live, `{"type":"whisper","content":"Offer ten percent."}`, 200, ""},
		{live, `{"type":"dtmf","digits":"12#"}`, 200, ""},
		{live, `{"type":"dtmf"}`, 422, "missing_field"},
		{live, `{"type":"dtmf","digits":"1w2"}`, 422, "invalid_request"},
		{live, `{"type":"inject-context"}`, 422, "missing_field"},
		{live, `{"type":"say"}`, 422, "missing_field"},
		{live, `{"type":"dance"}`, 422, "invalid_request"},
		{live, `{"type":"transfer","destination":"+4930","message":"One moment."}`, 200, ""},
		{live, `{"type":"transfer","destination":"+1900"}`, 403, "destination_not_allowed"},
		{live, `{"type":"transfer"}`, 422, "missing_field"},
		{live, `{"type":"listen","to":"sip:boss@example.com"}`, 422, "invalid_request"},
		{over, `{"type":"end-call"}`, 409, "call_not_active"},
		{"nobody", `{"type":"end-call"}`, 404, "not_found"},
	} {
		a := f.do("POST", "/v1/calls/"+string(tc.id)+"/control", tc.body)
		if a.StatusCode != tc.status || tc.code != "" && a.problem(t) != tc.code {
			t.Errorf("%s: %d %s", tc.body, a.StatusCode, a.text)
		}
	}
	if got := strings.Join(f.engine.said, "|"); got != "say One moment.|end Bye.|end Goodbye.|mute true|mute false|"+
		"inject She is a regular. true|whisper Offer ten percent. false|press 12#|transfer +4930 One moment." {
		t.Errorf("%s", got)
	}
	f.engine.live = engine.ErrNoCall
	if a := f.do("POST", "/v1/calls/"+string(live)+"/control", `{"type":"end-call"}`); a.StatusCode != 409 {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
}

func TestServeEndsWithItsContext(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1) // one value: Serve returns once
	go func() { done <- f.srv.Serve(ctx, l) }()
	f.http.URL = "http://" + l.Addr().String()
	w := f.watch("/v1/events")
	cancel()
	if got := w.next(); got != "stream.closed" {
		t.Errorf("%q", got)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestNotReady(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) { c.Ready = func() error { return errors.New("draining") } })
	if a := f.do("GET", "/readyz", ""); a.StatusCode != 503 || a.problem(t) != "not_ready" || !strings.Contains(a.text, "draining") {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
}

func TestAPanicEndsOneRequest(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.engine.call = func(engine.Outbound) (telephony.CallID, error) { panic("canary") }
	a := f.do("POST", "/v1/calls", `{"agent_id":"support","to":"+49"}`)
	if a.StatusCode != 500 || a.problem(t) != "internal" || strings.Contains(a.text, "canary") {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
}

func TestTheDocumentDescribesEveryOperation(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	a := f.do("GET", "/openapi.json", "")
	var doc struct {
		OpenAPI    string                                `json:"openapi"`
		Paths      map[string]map[string]json.RawMessage `json:"paths"`
		Components struct {
			Schemas map[string]json.RawMessage `json:"schemas"`
		} `json:"components"`
	}
	a.into(t, &doc)
	if !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Errorf("version %s", doc.OpenAPI)
	}
	for _, p := range []string{
		"/v1/calls", "/v1/calls/{id}", "/v1/calls/{id}/transcript", "/v1/calls/{id}/events", "/v1/calls/{id}/recording",
		"/v1/calls/{id}/control", "/v1/events", "/v1/agents", "/v1/agents/{id}", "/healthz", "/readyz",
	} {
		for method, op := range doc.Paths[p] {
			if !bytes.Contains(op, []byte("application/problem+json")) || !bytes.Contains(op, []byte("schemas/Problem")) {
				t.Errorf("%s %s does not describe its errors: %s", method, p, op)
			}
		}
		if doc.Paths[p] == nil {
			t.Errorf("%s is missing", p)
		}
	}
	for _, s := range []string{"ErrorModel", "ErrorDetail"} {
		if _, ok := doc.Components.Schemas[s]; ok {
			t.Errorf("schema %s is not ours", s)
		}
	}
}
