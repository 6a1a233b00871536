package api

import (
	"strings"
	"testing"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/telephony"
)

// F-20: the key comes as a bearer token to paths below /api/v1.
func TestFlireoKeysAreBearerTokens_F20(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	call := string(f.started("sales"))
	f.key = ""
	for _, tc := range []struct {
		name, authorization string
		status              int
	}{
		{"none", "", 401},
		{"a bearer token", "Bearer " + opsKey, 200},
		{"in any case", "bearer " + opsKey, 200},
		{"another scheme", "Basic " + opsKey, 401},
		{"no scheme", opsKey, 401},
		{"a token of nobody", "Bearer nope", 401},
		{"one that opens other things", "Bearer " + readKey, 403},
	} {
		a := f.do("POST", "/api/v1/calls/"+call+"/control", `{"type":"say","content":"Hello."}`, "Authorization", tc.authorization)
		if a.StatusCode != tc.status {
			t.Errorf("%s: %d %s", tc.name, a.StatusCode, a.text)
		}
		if tc.status == 401 && (a.Header.Get("WWW-Authenticate") == "" || !strings.Contains(a.text, `"code":"unauthorized"`)) {
			t.Errorf("%s: %v %s", tc.name, a.Header, a.text)
		}
	}
}

// F-24: the list of calls in Flireo's shape, with limit and offset.
func TestFlireoListsCalls(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var ids []telephony.CallID
	for range 3 {
		id := f.started("sales")
		f.ended(id, "sales", "")
		ids = append(ids, id)
	}
	f.started("support")
	var page FlireoCalls
	f.do("GET", "/api/v1/calls?limit=2&offset=1", "", "X-API-Key", "", "Authorization", "Bearer "+salesKey).into(t, &page)
	if page.Pagination != (Pagination{Total: 3, Limit: 2, Offset: 1}) || len(page.Calls) != 2 ||
		page.Calls[0].ID != string(ids[1]) {
		t.Fatalf("%+v", page)
	}
	a := f.do("GET", "/api/v1/calls?limit=1", "", "X-API-Key", salesKey)
	want := `{"calls":[{"id":"` + string(ids[2]) + `","caller_phone":"+4930123456","agent_phone":"+491","status":"ended","duration_seconds":60,"summary":null,` +
		`"agent_name":"sales","business_name":null,"started_at":"2026-11-20T12:00:00Z","ended_at":"2026-11-20T12:01:00Z","created_at":"2026-11-20T12:00:00Z"}],` +
		`"pagination":{"total":3,"limit":1,"offset":0}}`
	if strings.TrimSpace(a.text) != want {
		t.Errorf("%s\nis not\n%s", a.text, want)
	}
}

// F-24: the statuses of calls, and whose number is whose.
func TestFlireoCallStatuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		r              engine.Record
		status, caller string
	}{
		{engine.Record{Status: engine.StatusDialing, Direction: telephony.Outbound, From: "+1", To: "+2"}, "connecting", "+2"},
		{engine.Record{Status: engine.StatusInProgress, Answered: day, Direction: telephony.Inbound, From: "+1", To: "+2"}, "in-progress", "+1"},
		{engine.Record{Status: engine.StatusEnded, Answered: day, Ended: day, From: "+1"}, "ended", "+1"},
		{engine.Record{Status: engine.StatusEnded, Ended: day, From: "+1"}, "failed", "+1"},
	} {
		if c := flireoCall(tc.r, ""); c.Status != tc.status || c.CallerPhone != tc.caller {
			t.Errorf("%+v: %+v", tc.r, c)
		}
	}
}

// F-17, F-19: commands with Flireo's statuses and errors.
func TestFlireoCommands(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	live, over := string(f.started("support")), string(f.started("support"))
	f.ended(telephony.CallID(over), "support", "")
	for _, tc := range []struct {
		call, body string
		status     int
		answer     string
	}{
		{live, `{"type":"end-call","message":"Goodbye."}`, 200, `{"success":true,"message":"Command sent successfully"}`},
		{live, `{"type":"dance"}`, 400, `"code":"invalid_request"`},
		{live, `{"type":"say"}`, 400, `{"error":{"code":"missing_field","message":"say needs content: the words.","param":"body.content","type":"invalid_request_error"}}`},
		{live, `{`, 400, `"type":"invalid_request_error"`},
		{over, `{"type":"end-call"}`, 400, `"code":"call_not_active"`},
		{"nobody", `{"type":"end-call"}`, 404, `"type":"not_found_error"`},
	} {
		a := f.do("POST", "/api/v1/calls/"+tc.call+"/control", tc.body)
		if a.StatusCode != tc.status || !strings.Contains(a.text, tc.answer) || a.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s %s", tc.body, a.StatusCode, a.Header.Get("Content-Type"), a.text)
		}
	}
	for key, want := range map[string]string{"": "unauthorized", "nope": "unauthorized"} {
		a := f.do("GET", "/api/v1/calls", "", "X-API-Key", key)
		if a.StatusCode != 401 || !strings.Contains(a.text, `{"error":{"code":"`+want+`"`) || !strings.Contains(a.text, `"type":"authentication_error"`) {
			t.Errorf("%d %s", a.StatusCode, a.text)
		}
	}
	if a := f.do("GET", "/api/v1/nothing", ""); a.StatusCode != 404 || !strings.HasPrefix(a.text, `{"error":{"code":"not_found"`) {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
}
