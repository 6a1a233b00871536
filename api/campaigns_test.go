package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchcord/patchcord/telephony/dialer"
)

// spring is a campaign that says everything that one can.
const spring = `{"name":"spring","agent_id":"support","caller_ids":[{"number":"+4930123456","areas":["+4930","+4933"],"per_day":100},
	{"number":"+4989123456"}],"concurrency":20,"cps":2.5,"priority":3,"starts_at":"2026-12-01T08:00:00Z","ends_at":"2027-01-31T20:00:00Z",
	"hours":{"windows":[{"days":["mon","tue","wed","thu","fri"],"from":"08:00","to":"21:00"},{"days":["sat"],"from":"10:00","to":"16:00"}],
	"holidays":["2026-12-25","2026-12-26"]},"zone":"Europe/Berlin","country":"DE","profile":"eu",
	"retries":{"busy":{"after":"15m","most":3},"no_answer":{"after":"2h30m","other_daypart":true,"most":2},"per_day":2,"total":5},
	"ring_timeout":"45s","amd":true,"voicemail_message":"","variables":[{"name":"order","type":"string","required":true},
	{"name":"amount","type":"number"}],"breakers":{"abandoned":0.02,"failed":0.4,"least":50,"window":"1h"}}`

// draft is a campaign that says as little as one can.
func (f *fixture) draft(name, agent string) Campaign {
	f.t.Helper()
	a := f.do("POST", "/v1/campaigns", `{"name":"`+name+`","agent_id":"`+agent+`","concurrency":5,"cps":50,"country":"DE"}`)
	if a.StatusCode != 201 {
		f.t.Fatalf("%d %s", a.StatusCode, a.text)
	}
	var c Campaign
	if err := json.Unmarshal([]byte(a.text), &c); err != nil {
		f.t.Fatal(err)
	}
	return c
}

func TestCampaignsAreKept(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	a := f.do("POST", "/v1/campaigns", spring)
	var made Campaign
	a.into(t, &made)
	if a.StatusCode != 201 || a.Header.Get("ETag") != `"1"` || a.Header.Get("Location") != "/v1/campaigns/"+made.ID ||
		made.Status != dialer.Draft || made.UpdatedBy != "ops" || made.Stats != nil {
		t.Fatalf("%d %v %s", a.StatusCode, a.Header, a.text)
	}
	path := a.Header.Get("Location")
	// What was sent comes back as it was.
	var sent, back bytes.Buffer
	in, err := json.Marshal(made.CampaignInput)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Compact(&sent, []byte(spring)); err != nil {
		t.Fatal(err)
	}
	if back.Write(in); sent.String() != back.String() {
		t.Errorf("sent %s\n got %s", &sent, &back)
	}
	// What an answer has may be sent again as it is.
	if again := f.do("PATCH", path, a.text); again.StatusCode != 200 {
		t.Errorf("%d %s", again.StatusCode, again.text)
	}
	a = f.do("PATCH", path, `{"cps":5,"hours":null,"voicemail_message":null,"retries":{"busy":{"after":600,"most":1}}}`)
	var changed Campaign
	a.into(t, &changed)
	if a.StatusCode != 200 || changed.CPS != 5 || changed.Hours != nil || changed.Voicemail != nil ||
		changed.Concurrency != 20 ||
		changed.Retries.NoAnswer != nil || time.Duration(changed.Retries.Busy.After) != 10*time.Minute ||
		changed.Revision != 3 {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	if a = f.do("PATCH", path, `{"cps":6}`, "If-Match", `"1"`); a.StatusCode != 412 || a.problem(t) != "stale" {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	if a = f.do("POST", "/v1/campaigns", spring); a.StatusCode != 409 || a.problem(t) != "conflict" {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	if a = f.do("GET", "/v1/campaigns/spring", ""); a.StatusCode != 200 || !strings.Contains(a.text, `"stats":{"contacts":{"blocked":0,`) {
		t.Errorf("by name: %d %s", a.StatusCode, a.text)
	}
	f.draft("second", "sales")
	var page Page[Campaign]
	f.do("GET", "/v1/campaigns?limit=1", "").into(t, &page)
	if len(page.Data) != 1 || page.Data[0].Name != "spring" || page.NextCursor == "" {
		t.Errorf("%+v", page)
	}
	f.do("GET", "/v1/campaigns?cursor="+page.NextCursor, "").into(t, &page)
	if len(page.Data) != 1 || page.Data[0].Name != "second" {
		t.Errorf("%+v", page)
	}
	if a = f.do("DELETE", path, ""); a.StatusCode != 204 {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	for _, p := range []string{path, path + "/contacts", path + "/results"} {
		if a = f.do("GET", p, ""); a.StatusCode != 404 || a.problem(t) != "not_found" {
			t.Errorf("%s: %d %s", p, a.StatusCode, a.text)
		}
	}
}

// SEC-13: an Idempotency-Key makes one campaign of a request that comes twice.
func TestACampaignIsMadeOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	first := f.do("POST", "/v1/campaigns", spring, "Idempotency-Key", "k")
	again := f.do("POST", "/v1/campaigns", spring, "Idempotency-Key", "k")
	if first.StatusCode != 201 || again.StatusCode != 201 || again.text != first.text || again.Header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("%d %d %s", first.StatusCode, again.StatusCode, again.text)
	}
}

func TestFaultsOfCampaignsAreToldAtOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, tc := range []struct {
		name, body string
		want       map[string]string // what each place is told
	}{
		{"nothing", `{}`, map[string]string{
			"body": "expected required property", // one for each, told below
		}},
		{"words that are none", `{"name":"x","agent_id":"support","concurrency":1,"cps":1,"nmae":"y","retries":{"bussy":{}},
			"hours":{"windows":[{"days":["sunday"],"from":"8","to":"21:00"}]},"variables":[{"name":"a","type":"text"}]}`, map[string]string{
			"body.nmae":                     "unexpected property",
			"body.retries.bussy":            "unexpected property",
			"body.hours.windows[0].days[0]": "expected value to be one of",
			"body.variables[0].type":        "expected value to be one of",
		}},
		{"values that do not do", `{"name":" ","agent_id":"nobody-canary","trunk":"canary","concurrency":0,"cps":-1,
			"starts_at":"2026-12-02T00:00:00Z","ends_at":"2026-12-01T00:00:00Z","zone":"Mars/Canary","country":"ZZ","profile":"canary",
			"hours":{"windows":[{"from":"8","to":"21:00"},{"from":"09:00","to":"09:00"}],"holidays":["25 December"]},
			"retries":{"busy":{"after":-5}},"ring_timeout":"1h","caller_ids":[{"number":"030"}],
			"variables":[{"name":"a b"}],"breakers":{"abandoned":3}}`, map[string]string{
			"body.name":                  "is missing; name the campaign",
			"body.agent_id":              "there is no such agent; GET /v1/agents",
			"body.trunk":                 "there is no such trunk; GET /v1/trunks",
			"body.concurrency":           "write how many calls may be up at once",
			"body.cps":                   "write how many calls may begin in a second",
			"body.ends_at":               "is not after starts_at",
			"body.zone":                  "is no time zone; write an IANA name such as Europe/Berlin",
			"body.country":               "is no country; write its ISO 3166 code such as DE",
			"body.profile":               "is none; known: eu, us",
			"body.hours.windows[0].from": `is no time of day; write it as "08:00"`,
			"body.hours.windows[1]":      "is empty",
			"body.hours.holidays[0]":     `is no date; write it as "2026-12-25"`,
			"body.retries.busy.after":    "write a time up to",
			"body.ring_timeout":          "write at most 3m0s",
			"body.caller_ids[0].number":  "write +, the country code and the number",
			"body.variables[0].name":     "is no name; write letters, digits and _",
			"body.breakers.abandoned":    "write a share such as 0.03",
		}},
		{"durations that are none", `{"name":"x","agent_id":"support","concurrency":1,"cps":1,"ring_timeout":"soon"}`, map[string]string{
			"body.ring_timeout": "expected value to match exactly one schema",
		}},
		{"no time to call", `{"name":"x","agent_id":"support","concurrency":1,"cps":1,"profile":"eu",
			"hours":{"windows":[{"from":"01:00","to":"02:00"}]}}`, map[string]string{
			"body.hours": "leave no time to call; see what the profile allows",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			a := f.do("POST", "/v1/campaigns", tc.body)
			got := a.faults(t)
			for path, says := range tc.want {
				if !strings.Contains(got[path], says) {
					t.Errorf("%s: %q, want %q", path, got[path], says)
				}
			}
			if len(got) != len(tc.want) {
				t.Errorf("told %v", got)
			}
			if a.StatusCode != 422 || strings.Contains(a.text, "canary") || strings.Contains(a.text, "Canary") { // SEC-10
				t.Errorf("%d %s", a.StatusCode, a.text)
			}
		})
	}
	for body, status := range map[string]int{``: 400, `{`: 400, `[]`: 400, `null`: 400, `{"name":7}`: 422} {
		if a := f.do("POST", "/v1/campaigns", body); a.StatusCode != status {
			t.Errorf("%q: %d %s", body, a.StatusCode, a.text)
		}
	}
}

func TestACampaignGoesItsWay(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	path := "/v1/campaigns/" + f.draft("way", "support").ID
	w := f.watch("/v1/events?event=campaign&agent_id=support")
	for _, tc := range []struct {
		do, body string
		status   int
		is       dialer.Status
		reason   string
	}{
		{"pause", "", 409, "", ""},
		{"resume", "", 409, "", ""},
		{"start", "", 200, dialer.Running, ""},
		{"start", "", 409, "", ""},
		{"pause", `{"reason":"lunch"}`, 200, dialer.Paused, "by ops: lunch"},
		{"resume", "", 200, dialer.Running, ""},
		{"cancel", "", 200, dialer.Cancelled, "by ops"},
		{"resume", "", 409, "", ""},
		{"cancel", "", 409, "", ""},
	} {
		a := f.do("POST", path+"/"+tc.do, tc.body)
		if a.StatusCode != tc.status {
			t.Fatalf("%s: %d %s", tc.do, a.StatusCode, a.text)
		}
		if tc.status == 409 {
			if code := a.problem(t); code != "wrong_status" {
				t.Errorf("%s: %s", tc.do, a.text)
			}
			continue
		}
		var c Campaign
		if a.into(t, &c); c.Status != tc.is || c.Reason != tc.reason {
			t.Errorf("%s: %s %q", tc.do, c.Status, c.Reason)
		}
	}
	for _, want := range []string{"campaign.started", "campaign.paused", "campaign.resumed", "campaign.cancelled"} {
		if got := w.next(); got != want {
			t.Errorf("event %q, want %q", got, want)
		}
	}
	for _, tc := range []struct{ method, body, says string }{
		{"PATCH", `{"cps":2}`, "it is cancelled"},
	} {
		if a := f.do(tc.method, path, tc.body); a.StatusCode != 409 || !strings.Contains(a.text, tc.says) {
			t.Errorf("%s: %d %s", tc.method, a.StatusCode, a.text)
		}
	}
	if a := f.do("POST", path+"/contacts", "number\n+4930123456\n", "Content-Type", "text/csv"); a.StatusCode != 409 {
		t.Errorf("contacts of a campaign that is over: %d %s", a.StatusCode, a.text)
	}
}

// T-24: campaigns of agents that are not the key's do not exist, nor do their
// events; the list of all who are not to be called is not its own.
func TestALimitedKeySeesItsCampaignsOnly(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) { c.Keys[2].Scopes = []string{"campaigns:write", "calls:read"} })
	other, own := f.draft("other", "support"), f.draft("own", "sales")
	f.key = salesKey
	w := f.watch("/v1/events?event=campaign")
	for _, tc := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/v1/campaigns/" + own.ID, "", 200},
		{"GET", "/v1/campaigns/" + other.ID, "", 404},
		{"GET", "/v1/campaigns/other", "", 404},
		{"PATCH", "/v1/campaigns/other", `{"cps":2}`, 404},
		{"PATCH", "/v1/campaigns/own", `{"agent_id":"support"}`, 422},
		{"POST", "/v1/campaigns", `{"name":"x","agent_id":"support","concurrency":1,"cps":1}`, 422},
		{"POST", "/v1/campaigns", `{"name":"x","agent_id":"sales","concurrency":1,"cps":1}`, 201},
		{"POST", "/v1/campaigns/other/contacts", `[]`, 404},
		{"GET", "/v1/campaigns/other/contacts", "", 404},
		{"GET", "/v1/campaigns/other/results", "", 404},
		{"POST", "/v1/campaigns/other/start", "", 404},
		{"DELETE", "/v1/campaigns/other", "", 404},
		{"GET", "/v1/dnc", "", 403},
		{"POST", "/v1/dnc", `{"numbers":["+4930123456"]}`, 403},
		{"POST", "/v1/dnc?campaign=other", `{"numbers":["+4930123456"]}`, 404},
		{"POST", "/v1/dnc?campaign=own", `{"numbers":["+4930123456"]}`, 201},
		{"GET", "/v1/dnc/+4930123456?campaign=own", "", 200},
		{"DELETE", "/v1/dnc/+4930123456", "", 403},
		{"DELETE", "/v1/dnc/+4930123456?campaign=own", "", 204},
	} {
		if a := f.do(tc.method, tc.path, tc.body); a.StatusCode != tc.status {
			t.Errorf("%s %s: %d %s", tc.method, tc.path, a.StatusCode, a.text)
		}
	}
	var page Page[Campaign]
	if f.do("GET", "/v1/campaigns", "").into(t, &page); len(page.Data) != 2 {
		t.Errorf("%+v", page)
	}
	for _, id := range []string{other.ID, own.ID} {
		f.do("POST", "/v1/campaigns/"+id+"/start", "", "X-API-Key", opsKey)
	}
	if got := w.next(); got != "campaign.started" {
		t.Errorf("event %q", got)
	}
	var stats Stats
	if f.do("GET", "/v1/stats", "").into(t, &stats); len(stats.Campaigns) != 1 || stats.Campaigns[0].ID != own.ID {
		t.Errorf("%+v", stats)
	}
	f.key = readKey
	if a := f.do("GET", "/v1/campaigns", ""); a.StatusCode != 403 {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	var plain Stats
	if f.do("GET", "/v1/stats", "").into(t, &plain); plain.Campaigns != nil {
		t.Errorf("%+v", plain.Campaigns)
	}
}

// claim takes what is due of a campaign that runs, as the dialer does.
func (f *fixture) claim(campaign string, most int) []dialer.Attempt {
	f.t.Helper()
	var all []dialer.Attempt
	for len(all) < most {
		got, err := f.store.Ledger().Claim(f.t.Context(), campaign, most-len(all),
			func(dialer.Attempt) (dialer.State, time.Time, string) { return dialer.Claimed, time.Time{}, "" })
		if err != nil || len(got) == 0 {
			f.t.Fatalf("%d of %d claimed, %v", len(all), most, err)
		}
		all = append(all, got...)
	}
	return all
}

func TestWhereACampaignIs(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	c := f.draft("now", "support")
	path := "/v1/campaigns/" + c.ID
	f.contacts(c.ID, 5)
	f.do("POST", path+"/start", "")
	all := f.claim(c.ID, 5)
	l := f.store.Ledger()
	for i, r := range []dialer.Result{
		{Outcome: dialer.OutcomePerson, Answered: time.Now(), Next: dialer.Reached},
		{Outcome: dialer.OutcomeAbandoned, Answered: time.Now(), Next: dialer.Failed},
		{
			Outcome: dialer.OutcomeBusy, SIP: 486, Next: dialer.Pending,
			Due: time.Now().Add(time.Hour).UTC().Truncate(time.Second),
		},
		{},
	} {
		if err := l.Dialing(t.Context(), all[i], "", ""); err != nil {
			t.Fatal(err)
		}
		if r.Outcome == "" {
			break // it is up
		}
		r.Ended = time.Now()
		if err := l.Finish(t.Context(), all[i], r); err != nil {
			t.Fatal(err)
		}
	}
	var now Campaign
	f.do("GET", path, "").into(t, &now)
	s := now.Stats
	if s == nil || s.Total != 5 || s.Contacts[dialer.Reached] != 1 || s.Contacts[dialer.Failed] != 1 ||
		s.Contacts[dialer.Pending] != 1 ||
		s.Contacts[dialer.Dialing] != 1 || s.Contacts[dialer.Claimed] != 1 || s.Attempts != 3 ||
		s.Outcomes[dialer.OutcomeBusy] != 1 ||
		s.LastMinute != 4 || s.AbandonRate != 0.5 || s.NextDue == nil {
		t.Errorf("%+v", s)
	}
	var stats Stats
	f.do("GET", "/v1/stats", "").into(t, &stats)
	if len(stats.Campaigns) != 1 || stats.Campaigns[0].Name != "now" || stats.Campaigns[0].Total != 5 {
		t.Errorf("%+v", stats.Campaigns)
	}
}

// The document has the words that the dialer has.
func TestOutcomesAreThoseOfTheDialer(t *testing.T) {
	t.Parallel()
	have := (&CampaignRetries{}).byOutcome()
	for _, o := range dialer.Outcomes {
		if have[o] == nil {
			t.Errorf("retries have no %s", o)
		}
	}
	if len(have) != len(dialer.Outcomes) {
		t.Errorf("%d outcomes, want %d", len(have), len(dialer.Outcomes))
	}
	f := newFixture(t)
	for name, want := range map[string]int{"Contact": 8, "Result": 8, "Attempt": len(dialer.Outcomes) + 1} {
		prop := map[bool]string{true: "outcome", false: "state"}[name == "Attempt"]
		s := f.srv.api.OpenAPI().Components.Schemas.Map()[name].Properties[prop]
		if s == nil || len(s.Enum) != want || slices.Contains(s.Enum, any("")) {
			t.Errorf("%s.%s: %+v", name, prop, s)
		}
	}
}

// Whatever is sent as a campaign is refused with a place, or is the same when it
// is shown and sent again.
func FuzzCampaign(f *testing.F) {
	fx := newFixture(f)
	f.Add([]byte(spring))
	f.Fuzz(func(t *testing.T, sent []byte) {
		sent, err := without(sent, ofCampaign)
		if err != nil {
			return
		}
		c, err := fx.srv.readCampaign(sent)
		var p *Problem
		if errors.As(err, &p) {
			for _, fault := range p.Faults {
				if !strings.HasPrefix(fault.Param, "body") || fault.Message == "" {
					t.Errorf("%+v", fault)
				}
			}
			if p.Status != 422 {
				t.Errorf("%d: %v", p.Status, p)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		shown, err := json.Marshal(inputOf(&c))
		if err != nil {
			t.Fatal(err)
		}
		again, err := fx.srv.readCampaign(shown)
		if err != nil || !reflect.DeepEqual(again, c) {
			t.Errorf("%v: %s\n%+v\n%+v", err, shown, c, again)
		}
	})
}
