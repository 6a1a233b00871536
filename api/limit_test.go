package api

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

// clock is a time that a test sets.
type clock struct{ now time.Time }

func limited(t *testing.T, change ...func(*Config)) (*fixture, *clock) {
	t.Helper()
	f := newFixture(t, change...)
	c := &clock{day}
	f.srv.limiter.now = func() time.Time { return c.now }
	return f, c
}

func rateHeaders(a answer) string {
	h := a.Header
	return strings.Join([]string{h.Get("X-RateLimit-Limit"), h.Get("X-RateLimit-Remaining"), h.Get("X-RateLimit-Reset")}, " ")
}

// T-25: 60 requests a minute and 1000 an hour where a key sets nothing else,
// with the headers that tell what is left.
func TestKeysHaveLimits(t *testing.T) {
	t.Parallel()
	f, clock := limited(t)
	reset := func(d time.Duration) string { return strconv.FormatInt(day.Add(d).Unix(), 10) }
	for i := range 60 {
		a := f.do("GET", "/v1/agents/sales", "")
		if want := "60 " + strconv.Itoa(59-i) + " " + reset(time.Minute); a.StatusCode != 200 || rateHeaders(a) != want {
			t.Fatalf("request %d: %d %q, not %q", i, a.StatusCode, rateHeaders(a), want)
		}
	}
	clock.now = day.Add(42 * time.Second)
	a := f.do("GET", "/v1/agents/sales", "")
	if a.StatusCode != 429 || a.problem(t) != "rate_limited" || a.Header.Get("Retry-After") != "18" ||
		rateHeaders(a) != "60 0 "+reset(time.Minute) || !strings.Contains(a.text, "Rate limit exceeded. Try again in 18 seconds.") {
		t.Errorf("%d %v %s", a.StatusCode, a.Header, a.text)
	}
	if a := f.do("GET", "/v1/agents/sales", "", "X-API-Key", salesKey); a.StatusCode != 200 {
		t.Errorf("another key has its own limit: %d", a.StatusCode)
	}
	if a := f.do("GET", "/healthz", ""); a.StatusCode != 200 || a.Header.Get("X-RateLimit-Limit") != "" {
		t.Errorf("health has no limit: %d %v", a.StatusCode, a.Header)
	}
	sent := 60
	for m := 1; sent < 1000; m++ { // refused requests do not count
		clock.now = day.Add(time.Duration(m) * time.Minute)
		for range min(60, 1000-sent) {
			if a := f.do("GET", "/v1/agents/sales", ""); a.StatusCode != 200 {
				t.Fatalf("after %d requests: %d", sent, a.StatusCode)
			}
			sent++
		}
	}
	clock.now = day.Add(50*time.Minute + 300*time.Millisecond)
	a = f.do("GET", "/v1/agents/sales", "")
	if a.StatusCode != 429 || a.Header.Get("Retry-After") != "600" || rateHeaders(a) != "1000 0 "+reset(time.Hour) {
		t.Errorf("%d %v", a.StatusCode, a.Header)
	}
	clock.now = day.Add(time.Hour)
	if a := f.do("GET", "/v1/agents/sales", ""); a.StatusCode != 200 {
		t.Errorf("the next hour: %d", a.StatusCode)
	}
}

// T-25: limits are settings, of all keys and of one.
func TestLimitsAreSettings(t *testing.T) {
	t.Parallel()
	f, _ := limited(t, func(c *Config) {
		c.Limits = Limits{PerMinute: 2}
		c.Keys[1].Limits = Limits{PerMinute: 3, PerHour: -1}
		c.Keys[2].Limits = Limits{PerMinute: -1, PerHour: -1}
	})
	for key, want := range map[string]int{opsKey: 2, readKey: 3, salesKey: 200} {
		took := 0
		for range 200 {
			if a := f.do("GET", "/v1/calls/nobody", "", "X-API-Key", key); a.StatusCode == 404 {
				took++
			}
		}
		if took != want {
			t.Errorf("%s may ask %d times, not %d", key, took, want)
		}
	}
	local, _ := limited(t, func(c *Config) { c.Keys = nil })
	for range 100 {
		if a := local.do("GET", "/v1/agents/sales", ""); a.StatusCode != 200 || a.Header.Get("X-RateLimit-Limit") != "" {
			t.Fatalf("without keys there is no limit: %d %v", a.StatusCode, a.Header)
		}
	}
	local, _ = limited(t, func(c *Config) { c.Keys, c.Limits.PerMinute = nil, 1 })
	local.do("GET", "/v1/agents/sales", "")
	if a := local.do("GET", "/v1/agents/sales", ""); a.StatusCode != 429 {
		t.Errorf("but where one is configured: %d", a.StatusCode)
	}
}

// F-18: on Flireo's paths a key that sets no limit may ask 100 times a minute,
// counted by itself; a limit that is set counts everything.
func TestFlireoHasItsOwnLimit_F18(t *testing.T) {
	t.Parallel()
	f, clock := limited(t, func(c *Config) { c.Keys[2].Limits = Limits{PerMinute: 3} })
	for range 60 {
		f.do("GET", "/v1/agents/sales", "")
	}
	if a := f.do("GET", "/v1/agents/sales", ""); a.StatusCode != 429 {
		t.Fatalf("ours: %d", a.StatusCode)
	}
	for i := range 100 {
		a := f.do("GET", "/api/v1/calls", "", "X-API-Key", "", "Authorization", "Bearer "+opsKey)
		if want := "100 " + strconv.Itoa(99-i); a.StatusCode != 200 || !strings.HasPrefix(rateHeaders(a), want+" ") {
			t.Fatalf("request %d: %d %q, not %q", i, a.StatusCode, rateHeaders(a), want)
		}
	}
	clock.now = day.Add(15 * time.Second)
	a := f.do("GET", "/api/v1/calls", "")
	if a.StatusCode != 429 || a.Header.Get("Retry-After") != "45" || !strings.Contains(a.text, `"code":"rate_limit_exceeded"`) {
		t.Errorf("%d %v %s", a.StatusCode, a.Header, a.text)
	}
	took := 0
	for _, path := range []string{"/v1/calls", "/api/v1/calls", "/v1/calls", "/api/v1/calls"} {
		if a := f.do("GET", path, "", "X-API-Key", salesKey); a.StatusCode == 200 {
			took++
		}
	}
	if took != 3 {
		t.Errorf("a key with a limit of 3 may ask %d times", took)
	}
}

// F-18: a live call takes 10 commands a minute.
func TestCommandsHaveALimit_F18(t *testing.T) {
	t.Parallel()
	f, clock := limited(t)
	one, two := string(f.started("support")), string(f.started("support"))
	say := func(call string) answer {
		return f.do("POST", "/api/v1/calls/"+call+"/control", `{"type":"say","content":"Hello."}`)
	}
	for range 10 {
		if a := say(one); a.StatusCode != 200 {
			t.Fatalf("%d %s", a.StatusCode, a.text)
		}
	}
	clock.now = day.Add(15 * time.Second)
	a := say(one)
	want := `{"error":{"code":"rate_limit_exceeded","message":"Too many requests. Please retry after 45 seconds.","type":"rate_limit_error"}}`
	if a.StatusCode != 429 || strings.TrimSpace(a.text) != want || a.Header.Get("Retry-After") != "45" || a.Header.Get("X-RateLimit-Limit") != "10" {
		t.Errorf("%d %v %s", a.StatusCode, a.Header, a.text)
	}
	if a := f.do("POST", "/v1/calls/"+one+"/control", `{"type":"say","content":"Hello."}`); a.StatusCode != 429 {
		t.Errorf("another path is no way round: %d", a.StatusCode)
	}
	if a := say(two); a.StatusCode != 200 {
		t.Errorf("another call: %d", a.StatusCode)
	}
	clock.now = day.Add(time.Minute)
	if a := say(one); a.StatusCode != 200 {
		t.Errorf("a minute later: %d", a.StatusCode)
	}
}

// T-24: a key that does not see a call does not use up its commands.
func TestCommandsOfOthersDoNotCount_F18(t *testing.T) {
	t.Parallel()
	f, _ := limited(t)
	one := string(f.started("support"))
	say := func(key string) answer {
		return f.do("POST", "/v1/calls/"+one+"/control", `{"type":"say","content":"Hello."}`, "X-API-Key", key)
	}
	for range 10 {
		if a := say(salesKey); a.StatusCode != 404 {
			t.Fatalf("%d %s", a.StatusCode, a.text)
		}
	}
	if a := say(opsKey); a.StatusCode != 200 {
		t.Errorf("%d %s", a.StatusCode, a.text)
	}
}

func TestWindowsThatAreOverGo(t *testing.T) {
	t.Parallel()
	now := day
	l := newLimiter()
	l.now = func() time.Time { return now }
	for i := range mostWindows {
		l.take("call "+strconv.Itoa(i), 10, -1)
	}
	now = now.Add(time.Minute)
	if l.take("call x", 10, -1); len(l.minute) != 1 || len(l.hours) != 0 {
		t.Errorf("%d and %d windows are kept", len(l.minute), len(l.hours))
	}
}
