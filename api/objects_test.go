package api

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestNumbersAndTrunks(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	a := f.do("POST", "/v1/trunks", `{"name":"carrier","gateways":["sip:203.0.113.9"],"username":"u","password":"canary","country":"DE","ring_timeout":"30s"}`)
	var tr Trunk
	a.into(t, &tr)
	if a.StatusCode != 201 || tr.Name != "carrier" || !tr.HasPassword || tr.RingTimeout != "30s" || strings.Contains(a.text, "canary") ||
		!strings.Contains(a.text, `"status":{"registered":null,"last_options":null,"calls":0}`) {
		t.Fatalf("%d %s", a.StatusCode, a.text)
	}
	if again := f.do("PATCH", "/v1/trunks/"+tr.ID, a.text); again.StatusCode != 200 {
		t.Errorf("what was answered, sent again: %d %s", again.StatusCode, again.text)
	}
	if a = f.do("PATCH", "/v1/trunks/carrier", `{"from":"+4930"}`); a.StatusCode != 200 || !strings.Contains(a.text, `"from":"+4930"`) {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	if kept, err := f.store.Trunk(t.Context(), tr.ID); err != nil || kept.Password.Reveal() != "canary" || kept.RingTimeout.Seconds() != 30 {
		t.Errorf("%+v, %v", kept, err)
	}
	if a = f.do("POST", "/v1/trunks", `{"name":"carrier","gateways":["sip:203.0.113.8"]}`); a.StatusCode != 409 {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	a = f.do("POST", "/v1/trunks", `{"name":"other","gateways":["sip:203.0.113.9"],"nat":"some","codecs":["G729"]}`)
	got := a.faults(t)
	for _, at := range []string{"body.nat", "body.codecs[0]", "body.gateways[0]"} {
		if got[at] == "" {
			t.Errorf("nothing of %s: %d %s", at, a.StatusCode, a.text)
		}
	}
	a = f.do("POST", "/v1/numbers", `{"number":"030 123456","trunk":"carrier","agent_id":"sales"}`)
	var n Number
	a.into(t, &n)
	if a.StatusCode != 201 || n.Number != "+4930123456" || n.AgentID != "sales" || n.Trunk != "carrier" {
		t.Fatalf("%d %s", a.StatusCode, a.text)
	}
	if a = f.do("POST", "/v1/numbers", `{"number":"+4930123456","trunk":"carrier","agent_id":"support"}`); a.StatusCode != 409 || !strings.Contains(a.text, "body.number") {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	a = f.do("PATCH", "/v1/numbers/"+n.ID, `{"agent_id":"support"}`)
	if a.into(t, &n); a.StatusCode != 200 || n.AgentID != "support" || n.Number != "+4930123456" || n.Revision != 2 {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	for body, at := range map[string]string{
		`{}`: "body.number body.agent_id", `{"number":"+491","agent_id":"nobody"}`: "body.agent_id", `{"number":"+491","agent_id":"sales","trunk":"none"}`: "body.trunk",
	} {
		a := f.do("POST", "/v1/numbers", body)
		for _, at := range strings.Fields(at) {
			if a.StatusCode != 422 || a.faults(t)[at] == "" {
				t.Errorf("%s: %d %s", body, a.StatusCode, a.text)
			}
		}
	}
	for path, what := range map[string]string{"/v1/trunks/carrier": "brings", "/v1/agents/support": "answers"} {
		if a = f.do("DELETE", path, ""); a.StatusCode != 409 || a.problem(t) != "in_use" || !strings.Contains(a.text, what) {
			t.Errorf("%d %s", a.StatusCode, a.text)
		}
	}
	for _, path := range []string{"/v1/numbers/" + n.ID, "/v1/trunks/carrier"} {
		if a = f.do("DELETE", path, ""); a.StatusCode != 204 {
			t.Errorf("%d %s", a.StatusCode, a.text)
		}
		if a = f.do("GET", path, ""); a.StatusCode != 404 || a.problem(t) != "not_found" {
			t.Errorf("%d %s", a.StatusCode, a.text)
		}
	}
}

// Lists are read page by page; a cursor is not one that somebody made up.
func TestListsHavePages(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, n := range []string{"a", "b", "c", "d", "e"} {
		f.do("POST", "/v1/tools", toolText(n))
	}
	var names []string
	next := ""
	for range 10 {
		var page Page[Tool]
		f.do("GET", "/v1/tools?limit=2&cursor="+next, "").into(t, &page)
		for _, tool := range page.Data {
			names = append(names, tool.Name)
		}
		if next = page.NextCursor; next == "" {
			break
		}
	}
	if strings.Join(names, "") != "abcde" {
		t.Errorf("%v", names)
	}
	for _, path := range []string{"/v1/agents", "/v1/tools", "/v1/numbers", "/v1/trunks", "/v1/calls"} {
		for _, q := range []string{"limit=101", "limit=0", "limit=x", "cursor=nonsense", "cursor=MQ"} {
			if a := f.do("GET", path+"?"+q, ""); a.StatusCode != 422 {
				t.Errorf("%s?%s: %d %s", path, q, a.StatusCode, a.text)
			}
		}
	}
}

// SEC-13: an Idempotency-Key makes sure that one thing is made of one request,
// on every POST that makes something.
func TestIdempotencyKeysMakeOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for path, body := range map[string]string{
		"/v1/agents":             `{"name":"desk"}`,
		"/v1/tools":              toolText("one"),
		"/v1/agents/sales/tools": toolText("own"),
		"/api/tools":             `{"name":"two","description":"d","parameters":{},"webhook_url":"https://x.example"}`,
		"/v1/trunks":             `{"name":"carrier","allow":["203.0.113.1"]}`,
		"/v1/numbers":            `{"number":"+4930","agent_id":"sales"}`,
		"/v1/api-keys":           `{"name":"crm","scopes":["calls:read"]}`,
	} {
		first := f.do("POST", path, body, "Idempotency-Key", "k")
		again := f.do("POST", path, body, "Idempotency-Key", "k")
		var one, two struct{ ID, Key string }
		first.into(t, &one)
		again.into(t, &two)
		if first.StatusCode != 201 || again.StatusCode != 201 || one.ID == "" || one.ID != two.ID || again.Header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("%s: %d %s / %d %s", path, first.StatusCode, first.text, again.StatusCode, again.text)
		}
		for _, h := range []string{"Location", "ETag"} {
			if again.Header.Get(h) != first.Header.Get(h) {
				t.Errorf("%s: %s %q, and then %q", path, h, first.Header.Get(h), again.Header.Get(h))
			}
		}
		if first.Header.Get("Location") == "" && path != "/api/tools" && path != "/v1/api-keys" {
			t.Errorf("%s: no Location: %v", path, first.Header)
		}
		if two.Key != "" {
			t.Errorf("a key is told twice: %s", again.text)
		}
		other := f.do("POST", path, strings.Replace(body, "{", "{ ", 1), "Idempotency-Key", "k")
		if other.StatusCode != 422 || !strings.Contains(strings.ToLower(other.text), "idempotency_key_reused") {
			t.Errorf("%s: %d %s", path, other.StatusCode, other.text)
		}
		if a := f.do("POST", path, `{}`, "Idempotency-Key", "bad"); a.StatusCode != 422 || strings.Contains(a.text, "reused") {
			t.Errorf("%s: %d %s", path, a.StatusCode, a.text)
		}
		if a := f.do("POST", path, `{"x":1}`, "Idempotency-Key", "bad"); a.StatusCode != 422 || strings.Contains(a.text, "reused") {
			t.Errorf("%s: what was refused may be sent in another way: %d %s", path, a.StatusCode, a.text)
		}
	}
	if a := f.do("POST", "/v1/tools", toolText("x"), "Idempotency-Key", strings.Repeat("k", 256)); a.StatusCode != 422 {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
}

// FuzzCursor: no cursor does harm, and none that was made up is taken for one
// of ours without being checked.
func FuzzCursor(f *testing.F) {
	fx := newFixture(f)
	for _, seed := range []string{"", "MQ", "MTIzIGFiYw", "%00", "\xd1", "a\x00", strings.Repeat("A", 300)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, cursor string) {
		fx.srv.limiter = newLimiter()
		text := utf8.ValidString(cursor) && !strings.Contains(cursor, "\x00")
		for _, path := range []string{"/v1/agents", "/v1/calls", "/v1/agents/sales/versions"} {
			rec := fx.serve("GET", path+"?cursor="+query(cursor), "")
			if judged := rec.Code == 200 || rec.Code == 422; judged != text || !text && rec.Code != 400 {
				t.Errorf("%s %q: %d %s", path, cursor, rec.Code, rec.Body)
			}
		}
	})
}

// FuzzPatch: no body of a change does harm, and what is refused is not told.
func FuzzPatch(f *testing.F) {
	fx := newFixture(f)
	tool := fx.serve("POST", "/api/tools", `{"name":"two","description":"d","parameters":{},"webhook_url":"https://x.example"}`)
	id := answerID(f, tool.Body.String())
	for _, seed := range []string{
		`{"voice":"x"}`, `{"tools":null}`, `{"turn":{"onset_confirm":1}}`, `{"name":{}}`, `[]`, `{"a":1,"a":2}`, "{\"name\":\"\xff\"}",
		`{"flow":{"nodes":[{"node_key":"a"}]}}`, `{"headers":{"a":["b"]}}`, `{"limits":{"per_minute":-9}}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		fx.srv.limiter = newLimiter()
		for _, path := range []string{"/v1/agents/sales", "/v1/tools/" + id, "/api/tools/" + id, "/v1/numbers/nobody"} {
			if rec := fx.serve("PATCH", path, body); rec.Code >= 500 {
				t.Errorf("%s %q: %d %s", path, body, rec.Code, rec.Body)
			}
		}
		if rec := fx.serve("PUT", "/v1/agents/sales/flow", body); rec.Code >= 500 {
			t.Errorf("%q: %d %s", body, rec.Code, rec.Body)
		}
	})
}

// Changes at the same time that name no revision all count.
func TestChangesComeOneAfterTheOther(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) { c.Keys[0].Limits = Limits{PerMinute: -1, PerHour: -1} })
	codes := make(chan int, 40) // one for each change below
	for range cap(codes) {
		go func() { codes <- f.serve("PATCH", "/v1/agents/sales", `{"voice":"kal"}`).Code }()
	}
	for range cap(codes) {
		if code := <-codes; code != 200 {
			t.Errorf("%d", code)
		}
	}
}

// T-24: a limited key takes no calls from an agent that is not its own: a number
// of one trunk goes before that of any, one with a plus before one without.
func TestALimitedKeyTakesNoNumberOfOthers(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) { c.Keys[2].Scopes = []string{"*"} })
	f.do("POST", "/v1/trunks", `{"name":"carrier","gateways":["sip:203.0.113.9"],"country":"DE"}`)
	f.do("POST", "/v1/trunks", `{"name":"other","gateways":["sip:203.0.113.8"]}`)
	f.do("POST", "/v1/numbers", `{"number":"+4930111","agent_id":"support"}`)
	f.do("POST", "/v1/numbers", `{"number":"100","trunk":"other","agent_id":"support"}`)
	f.key = salesKey
	for body, want := range map[string]int{
		`{"number":"030 111","trunk":"carrier","agent_id":"sales"}`:  409,
		`{"number":"+4930111","trunk":"other","agent_id":"sales"}`:   409,
		`{"number":"4930111","agent_id":"sales"}`:                    409,
		`{"number":"+100","agent_id":"sales"}`:                       409,
		`{"number":"100","trunk":"carrier","agent_id":"sales"}`:      201,
		`{"number":"+4930112","trunk":"carrier","agent_id":"sales"}`: 201,
	} {
		if a := f.do("POST", "/v1/numbers", body); a.StatusCode != want {
			t.Errorf("%s: %d %s", body, a.StatusCode, a.text)
		}
	}
	var own Page[Number]
	f.do("GET", "/v1/numbers", "").into(t, &own)
	for _, n := range own.Data {
		if n.Number != "+4930112" {
			continue
		}
		if a := f.do("PATCH", "/v1/numbers/"+n.ID, `{"number":"+4930111"}`); a.StatusCode != 409 {
			t.Errorf("%d %s", a.StatusCode, a.text)
		}
		if a := f.do("PATCH", "/v1/numbers/"+n.ID, `{"trunk":""}`); a.StatusCode != 200 {
			t.Errorf("its own: %d %s", a.StatusCode, a.text)
		}
	}
}

// Text that no store keeps is refused where it arrives, the same with every store.
func TestTextThatIsNone(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, path := range []string{
		"/v1/calls?number=%00", "/v1/calls?number=a%ffb", "/v1/agents/%00", "/v1/tools/a%fe/versions", "/v1/webhook-deliveries?call_id=%00",
	} {
		if a := f.do("GET", path, ""); a.StatusCode != 400 {
			t.Errorf("%s: %d %s", path, a.StatusCode, a.text)
		}
	}
	if a := f.do("POST", "/v1/agents", `{"name":"x"}`, "Idempotency-Key", "a\xff"); a.StatusCode != 422 {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	if a := f.do("GET", "/v1/calls?number=%C3%A4", ""); a.StatusCode != 200 {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
}

// A zero byte is no text in a body or a cursor either; its escape that is
// written out is.
func TestZeroBytesAreRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.do("POST", "/v1/tools", toolText("known"))
	for path, body := range map[string]string{
		"/v1/api-keys": `{"name":"a\u0000b","scopes":["*"]}`, "/v1/numbers": `{"number":"a\u0000","agent_id":"sales"}`,
		"/v1/agents": `{"name":"a\u0000b"}`, "/v1/calls": `{"agent_id":"a\u0000b","to":"+49"}`,
		"/v1/tools/known/test": `{"agent_id":"\\\u0000"}`,
	} {
		if a := f.do("POST", path, body); a.StatusCode != 422 {
			t.Errorf("%s: %d %s", path, a.StatusCode, a.text)
		}
	}
	if a := f.do("PATCH", "/v1/agents/sales", `{"prompt":"Say \\u0000."}`); a.StatusCode != 200 {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
	for _, path := range []string{"/v1/calls", "/v1/agents", "/v1/webhook-deliveries"} {
		if a := f.do("GET", path+"?cursor=MSAA", ""); a.StatusCode != 422 { // "1 " and a zero byte
			t.Errorf("%s: %d %s", path, a.StatusCode, a.text)
		}
	}
	if a := f.do("POST", "/v1/agents", `{"prompt":"`+strings.Repeat("x", maxBody)+`"}`); a.StatusCode != 413 {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
}
