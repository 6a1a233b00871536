package main

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/internal/load"
)

func TestBenchProfiles(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		calls               int
		providers, endpoint time.Duration
	}{
		"null": {100, 0, 200 * time.Millisecond},
		// 200 ms to the first word, three more to the first clause, 150 ms to its sound.
		"real":     {20, 380 * time.Millisecond, 300 * time.Millisecond},
		"churn":    {2000, 0, 200 * time.Millisecond},
		"overload": {40, 0, 200 * time.Millisecond},
	} {
		c := benchCmd{
			Profile: name, Rate: 18, Duration: time.Second, Each: time.Second,
			STTFinal: -1, LLMFirst: -1, LLMWord: -1, TTSFirst: -1, TTSSpeed: -1,
		}
		d, err := c.settle()
		if err != nil || c.Calls != want.calls || d.providers() != want.providers || d.endpoint() != want.endpoint {
			t.Errorf("%s: %d calls, providers %v, endpoint %v, %v", name, c.Calls, d.providers(), d.endpoint(), err)
		}
	}
}

func TestBenchProviders(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]delays{
		"null":        {},
		"120,300,120": {STTFinal: 120 * time.Millisecond, LLMFirst: 300 * time.Millisecond, TTSFirst: 120 * time.Millisecond},
	} {
		d := benchProfiles["real"].delays
		if err := d.set(list); err != nil || d != want {
			t.Errorf("%s: %+v, %v", list, d, err)
		}
	}
	d := benchProfiles["real"].delays
	if d.set("") != nil || d != benchProfiles["real"].delays {
		t.Errorf("nothing changed it to %+v", d)
	}
}

func TestBenchUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"--calls", "-1"},
		{"--calls", "100000"},
		{"--rate", "-3"},
		{"--rate", "21"},
		{"--duration", "1ms"},
		{"--profile", "wild"},
		{"--providers", "1,2"},
		{"--providers", "fast"},
	} {
		r := runCommand(t, "", append([]string{"bench"}, args...)...)
		if r.code != exitUsage || !strings.Contains(r.err, "--help") {
			t.Errorf("%v: %+v", args, r)
		}
	}
	if r := runCommand(t, "", "bench", "--help"); r.code != 0 || !strings.Contains(r.out, "patchcord bench --calls 100") {
		t.Errorf("%+v", r)
	}
	if r := runCommand(t, "nothing", "bench-callers"); r.code != exitUsage {
		t.Errorf("%+v", r)
	}
}

// The engine of the bench, and its figures of a run that is written here.
func TestBenchResult(t *testing.T) {
	t.Parallel()
	c := benchCmd{
		Profile: "null", Calls: 2, Rate: 18, Duration: time.Second, Each: time.Second, Events: "off",
		STTFinal: -1, LLMFirst: -1, LLMWord: -1, TTSFirst: -1, TTSSpeed: -1,
	}
	d, err := c.settle()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{benchCmd: c, wait: d, dir: t.TempDir(), decisions: newDecisions()}
	n, err := b.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n.close()

	const ms = int64(time.Millisecond)
	b.decisions.Started(engine.Record{ID: "a", SIPCallID: "wire-a"})
	b.decisions.Event(engine.Event{CallID: "a", Name: engine.EventSpeechPaused, Time: time.Unix(0, 5200*ms)})
	b.decisions.Event(engine.Event{CallID: "a", Name: engine.EventSpeechInterupted, Time: time.Unix(0, 5400*ms)})
	b.decisions.Event(engine.Event{
		CallID: "a", Name: engine.EventTurnMetrics, Fields: []engine.Field{
			engine.F("engine_added_ms", 4*time.Millisecond), engine.F("first_packet_ms", 3*time.Millisecond),
			engine.F("endpoint_wait_ms", 202*time.Millisecond),
		},
	})
	b.decisions.Ended(engine.Record{ID: "a"})
	b.alone, b.peak = sample{RSS: 30 << 20}, sample{RSS: 31 << 20}
	b.begin, b.end = usage{wall: time.Unix(0, 0)}, usage{wall: time.Unix(10, 0), cpu: 30 * time.Millisecond}
	b.report = &load.Report{
		CallSeconds: 20,
		Calls: []load.Call{
			{ID: "wire-a", Turns: []load.Turn{
				{First: 1000 * ms, Last: 2000 * ms, Reply: 2235 * ms},
				{First: 5000 * ms, Last: 6000 * ms, Reply: 6225 * ms, Barge: true, Old: 5212 * ms},
				{First: 9000 * ms, Last: 9900 * ms, Barge: true},
			}},
			{ID: "wire-b", Fault: "no answer"},
			{
				ID: "wire-c", Answered: 1000 * ms, FirstPacket: 1011 * ms, FirstSpeech: 1031 * ms,
				LastSpeech: 9000 * ms, Byed: 9204 * ms,
			},
		},
	}
	r := b.result()
	if r.Failed != 1 || r.Turns != 3 || r.BargeIns != 2 || r.BargeInMissed != 1 || r.CoreMSPerCallSecond != 1.5 ||
		r.RSSPerCallKB != 1024 || r.V2VMS.P50 != 225 || r.EngineAddedMS.P99 != 15 || r.EngineReportedMS.P50 != 4 ||
		r.HopMS.P50 != 1 || r.CommitLateMS.P50 != 2 || r.FirstPacketMS.P50 != 11 || r.GreetingMS.P90 != 31 ||
		r.GoodbyeMS.P99 != 204 ||
		r.BargeInStopMS.P50 != 12 || r.OnsetToSilenceMS.P50 != 212 {
		t.Errorf("%+v", r)
	}
	if f := b.faults(5); len(f) != 1 || f[0] != "wire-b: no answer" {
		t.Errorf("faults %q", f)
	}
	var table strings.Builder
	r.print(&table)
	for _, want := range []string{"2 calls, 1 failed, 3 turns", "1024 kB per call", "212.0"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, table.String())
		}
	}
	table.Reset()
	printTable(&table, []*benchResult{r, {Providers: "120,300,120", Calls: 200}})
	for _, want := range []string{"engine-added per turn", "15 / 35", "5.0 / 15.0 / 15.0", "120,300,120", "204.0 / 204.0"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table of latencies lacks %q:\n%s", want, table.String())
		}
	}
	if line, err := json.Marshal(r); err != nil || !strings.Contains(string(line), `"barge_in_stop_ms":{"p50":12,`) {
		t.Errorf("%s, %v", line, err)
	}
	if r.PacingMS.Max != 0 || math.IsNaN(r.CPUShare) {
		t.Errorf("%+v", r)
	}
}

func TestUsageOfThisProcess(t *testing.T) {
	t.Parallel()
	before := usageNow()
	if u := usageNow().since(before); u.cpu < 0 || u.took < 0 || u.share() < 0 {
		t.Errorf("%+v", u)
	}
	if s := sampleNow(); s.Goroutines < 2 || s.RSS < 0 {
		t.Errorf("%+v", s)
	}
	if (usage{}).share() != 0 {
		t.Error("nothing in no time is a share")
	}
}
