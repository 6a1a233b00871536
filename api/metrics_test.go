package api

import (
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/store"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// samples are the values of a scrape by their names with labels.
func samples(text string) map[string]string {
	out := map[string]string{}
	for _, line := range strings.Split(text, "\n") {
		if i := strings.LastIndexByte(line, ' '); i > 0 && line[0] != '#' {
			out[line[:i]] = line[i+1:]
		}
	}
	return out
}

// What happened is what a scrape tells.
func TestMetricsAreScraped(t *testing.T) {
	t.Parallel()
	m := NewMetrics()
	f := newFixture(t, func(c *Config) { c.Metrics = m })
	m.Gauge("rtp_sessions", "Media sessions.", func() float64 { return 7 })
	call := func(id telephony.CallID, status string) engine.Record {
		return engine.Record{ID: id, Direction: telephony.Inbound, Status: status, Started: day}
	}
	m.Started(call("1", engine.StatusRinging))
	m.Started(call("1", engine.StatusInProgress))
	m.Started(call("2", engine.StatusRinging))
	m.Started(call("3", engine.StatusRinging))
	over := call("3", engine.StatusEnded)
	over.Answered, over.Ended, over.EndReason, over.MOS, over.Lost = day, day.Add(90*time.Second), "hangup", 4.2, 3
	m.Ended(over)
	for _, e := range []engine.Event{
		{Name: engine.EventTurnMetrics, Fields: []engine.Field{engine.F("v2v_ms", 740*time.Millisecond), engine.F("engine_added_ms", 20*time.Millisecond)}},
		{Name: engine.EventToolFinished, Fields: []engine.Field{engine.F("tool", "canary"), engine.F("status", "ok"), engine.F("ms", 300*time.Millisecond)}},
		{Name: engine.EventProviderFailed, Fields: []engine.Field{engine.F("kind", "stt"), engine.F("provider", "local"), engine.F("error", "canary")}},
		{Name: engine.EventProviderFallback, Fields: []engine.Field{engine.F("kind", "stt"), engine.F("from", "local"), engine.F("to", "other")}},
		{Name: engine.EventCallAnswered, Fields: []engine.Field{engine.F("srtp", "AEAD_AES_128_GCM")}},
		{Name: engine.EventCallAnswered, Fields: []engine.Field{engine.F("srtp", "")}},
		{Name: "canary.event"},
	} {
		m.Event(e)
	}
	for _, a := range []store.Attempt{{Status: 200}, {Err: errors.New("canary")}, {Err: errors.New("410"), Final: true}} {
		m.Attempted(a)
	}
	f.do("GET", "/v1/agents/sales", "")
	f.do("GET", "/v1/agents/canary", "")
	f.do("GET", "/canary", "")
	f.do("CANARY", "/v1/agents", "")
	a := f.do("GET", "/metrics", "")
	if a.StatusCode != 200 || !strings.HasPrefix(a.Header.Get("Content-Type"), "text/plain") {
		t.Fatalf("%d %v %s", a.StatusCode, a.Header, a.text)
	}
	got := samples(a.text)
	for name, want := range map[string]string{
		`patchcord_calls_started_total{direction="inbound"}`:                         "3",
		`patchcord_calls_ended_total{direction="inbound",end_reason="hangup"}`:       "1",
		`patchcord_calls_answered_total{srtp="AEAD_AES_128_GCM"}`:                    "1",
		`patchcord_calls_answered_total{srtp="none"}`:                                "1",
		`patchcord_calls_in_progress`:                                                "1",
		`patchcord_calls_ringing`:                                                    "1",
		`patchcord_call_duration_seconds_sum`:                                        "90",
		`patchcord_call_mos_count`:                                                   "1",
		`patchcord_rtp_packets_lost_total`:                                           "3",
		`patchcord_turn_stage_seconds_sum{stage="v2v"}`:                              "0.74",
		`patchcord_turn_stage_seconds_bucket{stage="engine_added",le="0.05"}`:        "1",
		`patchcord_call_events_total{event="tool.finished"}`:                         "1",
		`patchcord_tool_duration_seconds_count{status="ok"}`:                         "1",
		`patchcord_provider_failures_total{kind="stt",provider="local"}`:             "1",
		`patchcord_provider_fallbacks_total{from="local",kind="stt",to="other"}`:     "1",
		`patchcord_webhook_attempts_total{result="delivered"}`:                       "1",
		`patchcord_webhook_attempts_total{result="failed"}`:                          "1",
		`patchcord_webhook_attempts_total{result="refused"}`:                         "1",
		`patchcord_rtp_sessions`:                                                     "7",
		`patchcord_http_requests_total{code="200",route="GET /v1/agents/{id}"}`:      "1",
		`patchcord_http_requests_total{code="404",route="GET /v1/agents/{id}"}`:      "1",
		`patchcord_http_requests_total{code="404",route="none"}`:                     "1",
		`patchcord_http_requests_total{code="405",route="none"}`:                     "1",
		`patchcord_http_request_duration_seconds_count{route="GET /v1/agents/{id}"}`: "2",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, not %s", name, got[name], want)
		}
	}
	if strings.Contains(strings.ToLower(a.text), "canary") {
		t.Error("a name that somebody outside chose is a label")
	}
	if got["go_goroutines"] == "" {
		t.Error("nothing of the process is told")
	}
	m.Ended(call("1", engine.StatusEnded))
	m.Ended(call("1", engine.StatusEnded)) // told again
	if got := samples(f.do("GET", "/metrics", "").text); got["patchcord_calls_in_progress"] != "0" {
		t.Errorf("%s calls are in progress", got["patchcord_calls_in_progress"])
	}
}

// docs/metrics.md names every metric of the API.
func TestMetricsAreDocumented(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	all := make(chan *prometheus.Desc, 100) // more than there are
	m := NewMetrics()
	m.Trunks(func() []trunk.Status { return nil })
	m.registry.Describe(all)
	close(all)
	for d := range all {
		name := regexp.MustCompile(`fqName: "([^"]*)"`).FindStringSubmatch(d.String())[1]
		if strings.HasPrefix(name, namespace) && !strings.Contains(string(doc), "`"+name+"`") {
			t.Errorf("docs/metrics.md does not name %s", name)
		}
	}
}

// Labels stay few: whatever calls bring, no more series are made than there are
// names of our own.
func TestMetricsHaveFewLabels(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	labels := regexp.MustCompile(`([a-z_]+)="`)
	known := " direction end_reason le stage event status kind provider from to result route code quantile version "
	for _, m := range labels.FindAllStringSubmatch(f.do("GET", "/metrics", "").text, -1) {
		if !strings.Contains(known, " "+m[1]+" ") {
			t.Errorf("a label %s", m[1])
		}
	}
}

// They are of all agents, and of nobody without a key.
func TestMetricsNeedAKey(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) { c.Keys[2].Agents = []agent.ID{"sales"} })
	for key, want := range map[string]int{"": 401, opsKey: 200, readKey: 200, salesKey: 403} {
		if a := f.do("GET", "/metrics", "", "X-API-Key", key); a.StatusCode != want {
			t.Errorf("%q: %d %s", key, a.StatusCode, a.text)
		}
	}
	f = newFixture(t, func(c *Config) { c.Metrics = nil })
	if a := f.do("GET", "/metrics", ""); a.StatusCode != 404 {
		t.Errorf("without metrics: %d", a.StatusCode)
	}
}
