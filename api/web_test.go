package api

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/telephony"
)

// fakeBrowsers answers every offer that says v=0.
type fakeBrowsers struct {
	f *fixture

	mu     sync.Mutex
	calls  []string // agent and from of each
	ended  []telephony.CallID
	refuse error
}

func (b *fakeBrowsers) Answer(_ context.Context, a agent.ID, from, offer string) (telephony.CallID, string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuse != nil {
		return "", "", b.refuse
	}
	if !strings.HasPrefix(offer, "v=0") {
		return "", "", errors.New("no offer")
	}
	b.calls = append(b.calls, string(a)+" "+from)
	return b.f.started(a), "v=0 answer", nil
}

func (b *fakeBrowsers) Hangup(id telephony.CallID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = append(b.ended, id)
	return true
}

func withBrowsers(t *testing.T, change ...func(*Config)) (*fixture, *fakeBrowsers) {
	t.Helper()
	f := newFixture(t, change...)
	return f, f.srv.cfg.Browsers.(*fakeBrowsers) //nolint:errcheck // it is that of newFixture
}

// token asks for one with the fixture's key.
func (f *fixture) token(t *testing.T, body string) string {
	t.Helper()
	a := f.do("POST", webPath+"/token", body)
	if a.StatusCode != http.StatusCreated {
		t.Fatalf("token: %d %s", a.StatusCode, a.text)
	}
	var made WebTokenMade
	a.into(t, &made)
	return made.Token
}

// page asks as a page does: with a token and no key.
func (f *fixture) page(method, path, token, body string, header ...string) answer {
	f.t.Helper()
	key := f.key
	f.key = ""
	defer func() { f.key = key }()
	return f.do(method, path, body,
		append([]string{"Authorization", "Bearer " + token, "Content-Type", sdpType}, header...)...)
}

// TestPagesCall: a token makes one call of its agent, ends it, and opens nothing
// else.
func TestPagesCall(t *testing.T) {
	t.Parallel()
	f, b := withBrowsers(t)
	token := f.token(t, `{"agent_id": "sales", "from": "+4930123456"}`)
	if a := f.page("POST", webPath+"?agent_id=support", token, "v=0"); a.StatusCode != 403 || a.problem(t) != "forbidden" {
		t.Errorf("another agent: %d %s", a.StatusCode, a.text)
	}
	if a := f.page("POST", webPath, token, "hello"); a.StatusCode != 422 || a.problem(t) != "offer_not_answered" {
		t.Errorf("no offer: %d %s", a.StatusCode, a.text)
	}
	a := f.page("POST", webPath, token, "v=0")
	at := a.Header.Get("Location")
	if a.StatusCode != 201 || a.text != "v=0 answer" || a.Header.Get("Content-Type") != sdpType ||
		!strings.HasPrefix(at, webPath+"/") || len(b.calls) != 1 || b.calls[0] != "sales +4930123456" {
		t.Fatalf("%d %v %s, calls %q", a.StatusCode, a.Header, a.text, b.calls)
	}
	if a := f.page("POST", webPath, token, "v=0"); a.StatusCode != 401 || a.problem(t) != "token_used" {
		t.Errorf("a second call: %d %s", a.StatusCode, a.text)
	}
	other := string(f.started("sales"))
	for _, path := range []string{webPath + "/" + other, webPath + "/" + uuid.NewString()} {
		if a := f.page("DELETE", path, token, ""); a.StatusCode != 404 {
			t.Errorf("another call: %d %s", a.StatusCode, a.text)
		}
	}
	for _, path := range []string{"/v1/calls", "/v1/agents", "/v1/calls/" + strings.TrimPrefix(at, webPath+"/")} {
		if a := f.page("GET", path, token, ""); a.StatusCode != 401 {
			t.Errorf("%s with a token: %d", path, a.StatusCode)
		}
	}
	if a := f.page("DELETE", at, token, ""); a.StatusCode != 204 || len(b.ended) != 1 {
		t.Errorf("hang up: %d %s, ended %v", a.StatusCode, a.text, b.ended)
	}
}

// TestTokensAreRefused: unknown, expired, of a key that may not, for an agent
// that is not there, and too short or long a life.
func TestTokensAreRefused(t *testing.T) {
	t.Parallel()
	f, b := withBrowsers(t)
	for _, token := range []string{"", "pcw_", "pcw_nobody", readKey} {
		if a := f.page("POST", webPath, token, "v=0"); a.StatusCode != 401 && a.StatusCode != 403 {
			t.Errorf("token %q: %d", token, a.StatusCode)
		}
	}
	token := f.token(t, `{"agent_id": "sales", "expires_in": 10}`)
	f.srv.tickets.find(token).expires = time.Now()
	if a := f.page("POST", webPath, token, "v=0"); a.StatusCode != 401 || a.problem(t) != "unauthorized" {
		t.Errorf("expired: %d %s", a.StatusCode, a.text)
	}
	for body, want := range map[string]string{
		`{"agent_id": "nobody"}`: "agent_not_found", `{"agent_id": "sales", "expires_in": 1}`: "invalid_request",
		`{"agent_id": "sales", "expires_in": 601}`: "invalid_request", `{}`: "invalid_request",
	} {
		if a := f.do("POST", webPath+"/token", body); a.StatusCode != 422 || a.problem(t) != want {
			t.Errorf("%s: %d %s", body, a.StatusCode, a.text)
		}
	}
	if a := f.do("POST", webPath+"/token", `{"agent_id": "sales"}`, "X-API-Key", readKey); a.StatusCode != 403 {
		t.Errorf("a key that only reads: %d", a.StatusCode)
	}
	if a := f.do("POST", webPath+"/token", `{"agent_id": "support"}`, "X-API-Key", salesKey); a.StatusCode != 422 {
		t.Errorf("a key of another agent: %d", a.StatusCode)
	}
	b.refuse = &telephony.HangupError{Cause: telephony.Cause{Reason: telephony.ReasonOverload}}
	token = f.token(t, `{"agent_id": "sales"}`)
	if a := f.page("POST", webPath, token, "v=0"); a.StatusCode != 503 || a.problem(t) != "no_capacity" {
		t.Errorf("no room: %d %s", a.StatusCode, a.text)
	}
	b.refuse = nil
	if a := f.page("POST", webPath, token, "v=0"); a.StatusCode != 201 {
		t.Errorf("room again, with the same token: %d %s", a.StatusCode, a.text)
	}
	for i := range 30 {
		a := f.page("POST", webPath, token, "v=0")
		if a.StatusCode == 429 {
			break
		}
		if i == 29 {
			t.Error("a page may ask as often as it wants")
		}
	}
}

// TestOriginsOfPages: pages of other sites call where they are named, and
// browsers that ask before are answered.
func TestOriginsOfPages(t *testing.T) {
	t.Parallel()
	const shop = "https://shop.example.com"
	f, _ := withBrowsers(t, func(c *Config) { c.Origins = []string{shop} })
	token := f.token(t, `{"agent_id": "sales"}`)
	if a := f.page("POST", webPath, token, "v=0", "Origin", "https://evil.example"); a.StatusCode != 403 ||
		a.problem(t) != "origin_not_allowed" || a.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("another site: %d %v", a.StatusCode, a.Header)
	}
	a := f.page("OPTIONS", webPath, "", "", "Origin", shop, "Access-Control-Request-Method", "POST")
	if a.StatusCode != 204 || a.Header.Get("Access-Control-Allow-Origin") != shop ||
		!strings.Contains(a.Header.Get("Access-Control-Allow-Headers"), "Authorization") {
		t.Errorf("asked before: %d %v", a.StatusCode, a.Header)
	}
	a = f.page("POST", webPath, token, "v=0", "Origin", shop)
	if a.StatusCode != 201 || a.Header.Get("Access-Control-Allow-Origin") != shop ||
		a.Header.Get("Access-Control-Expose-Headers") != "Location" {
		t.Errorf("the shop: %d %v %s", a.StatusCode, a.Header, a.text)
	}
	if a := f.do("GET", "/v1/calls", "", "Origin", shop); a.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("other paths are open to it: %v", a.Header)
	}
	if a := f.page("GET", "/talk", "", ""); a.StatusCode != 200 ||
		!strings.Contains(a.Header.Get("Content-Security-Policy"), "frame-ancestors 'self' "+shop) {
		t.Errorf("the phone: %d %v", a.StatusCode, a.Header)
	}
}

// TestPagesAreTold: what was said, and nothing of tools and variables.
func TestPagesAreTold(t *testing.T) {
	t.Parallel()
	f, _ := withBrowsers(t)
	token := f.token(t, `{"agent_id": "sales"}`)
	at := f.page("POST", webPath, token, "v=0").Header.Get("Location")
	id := telephony.CallID(strings.TrimPrefix(at, webPath+"/"))
	f.event(id, 1, engine.EventCallAnswered, engine.F("codec", "opus"))
	f.event(id, 2, engine.EventTurnUser, engine.F("text", "hello"), engine.F("confidence", 0.5))
	f.event(id, 3, engine.EventToolStarted, engine.F("tool", "secret_tool"), engine.F("args", "canary"))
	req, err := http.NewRequestWithContext(t.Context(), "GET", f.http.URL+at+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // read only
	lines := bufio.NewScanner(res.Body)
	var all strings.Builder
	live := false
	for lines.Scan() {
		all.WriteString(lines.Text() + "\n")
		if !live && strings.Contains(lines.Text(), `"text":"hello"`) {
			live = true
			f.event(id, 4, engine.EventVariableSet, engine.F("name", "canary"))
			f.event(id, 5, engine.EventTurnAgent, engine.F("text", "Good day."), engine.F("heard_text", "Good"),
				engine.F("interrupted", true))
			f.event(id, 6, engine.EventCallEnded, engine.F("end_reason", "hangup"), engine.F("mos", 4.2))
		}
	}
	text := all.String()
	for _, want := range []string{"event: call.answered", `"heard_text":"Good"`, `"end_reason":"hangup"`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for _, unwanted := range []string{"secret_tool", "canary", "confidence", "mos"} {
		if strings.Contains(text, unwanted) {
			t.Errorf("%q in\n%s", unwanted, text)
		}
	}
}

// TestTicketsAreBounded: those that are over make room, and then there is none.
func TestTicketsAreBounded(t *testing.T) {
	t.Parallel()
	ts := newTickets("")
	for range mostTickets {
		if _, _, ok := ts.make(ticket{}, 0); !ok {
			t.Fatal("no ticket")
		}
	}
	for i := range mostTickets + 1 {
		if _, _, ok := ts.make(ticket{}, time.Minute); ok != (i < mostTickets) {
			t.Fatalf("ticket %d: %v", i, ok)
		}
	}
}
