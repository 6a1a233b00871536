package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The token of a carrier is kept as a password is, and shown to nobody (SEC-10).
func TestACarriersTrunk(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	a := f.do("POST", "/v1/trunks", `{"name":"twilio","type":"twilio","account_sid":"AC1","auth_token":"canary"}`)
	var tr Trunk
	a.into(t, &tr)
	if a.StatusCode != 201 || !tr.HasToken || tr.HasPassword || tr.Type != "twilio" || strings.Contains(a.text, "canary") {
		t.Fatalf("%d %s", a.StatusCode, a.text)
	}
	token := func() string {
		t.Helper()
		kept, err := f.store.Trunk(t.Context(), tr.ID)
		if err != nil || kept.Password != "" {
			t.Errorf("%+v, %v", kept, err)
		}
		return kept.AuthToken.Reveal()
	}
	if a = f.do("PATCH", "/v1/trunks/twilio", `{"country":"DE"}`); a.StatusCode != 200 || token() != "canary" {
		t.Errorf("%d %s, the token is %q", a.StatusCode, a.text, token())
	}
	if a = f.do("PATCH", "/v1/trunks/twilio", `{"auth_token":"other"}`); a.StatusCode != 200 || token() != "other" {
		t.Errorf("%d %s, the token is %q", a.StatusCode, a.text, token())
	}
	// A secret of one kind becomes none of another.
	a = f.do("PATCH", "/v1/trunks/twilio", `{"type":null,"account_sid":null,"gateways":["sip:203.0.113.9"],"username":"u"}`)
	if a.StatusCode != 200 || strings.Contains(a.text, `"has_password":true`) || token() != "" {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	if a = f.do("POST", "/v1/trunks", `{"name":"bare","type":"telnyx"}`); a.StatusCode != 422 || a.faults(t)["body.public_key"] == "" {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
}

// What is mounted checks its own callers: they may be elsewhere where the API has
// no key and serves this machine only.
func TestMountedHandlersAreReachedFromElsewhere(t *testing.T) {
	t.Parallel()
	s := newFixture(t, func(c *Config) { c.Keys = nil }).srv
	s.Mount("POST /v1/trunks/{trunk}/voice", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTeapot)
	}))
	for path, want := range map[string]int{"/v1/trunks/twilio/voice": http.StatusTeapot, "/v1/trunks": http.StatusForbidden} {
		r := httptest.NewRequest(http.MethodPost, "http://voice.example.com"+path, nil)
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
}
