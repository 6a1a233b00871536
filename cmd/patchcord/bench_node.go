package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/patchcord/patchcord/configs"
	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/telephony"
)

// benchAgent is who answers, and benchText what it says: a first clause and a
// rest, so that two pieces go to the voice.
const (
	benchAgent = "bench"
	benchText  = "Thank you very much, I have made a note of that for you."
)

const benchConfig = `http: {listen: "127.0.0.1:0"}
sip: {listen: ["udp://127.0.0.1:0"]}
store: {url: "sqlite:%[1]s"}
recording: {dir: "%[2]s", enabled: %[3]t}
log: {level: error, events: %[12]q}
llm: {default: bench, bench: {type: "null", first: %[4]v, word: %[5]v, text: %[6]q}}
stt: {default: bench, bench: {type: "null", delay: %[7]v, edges: %[11]t}}
tts: {default: bench, bench: {type: "null", first_byte: %[8]v, speed: %[9]v}}
trunks: [{name: bench, allow: ["127.0.0.0/8"]}]
default_agent: bench
limits: {max_calls: %[10]d}
`

const benchAgentFile = `name: bench
prompt: You are measured.
greeting: You are through to the bench.
turn: {goodbye_phrase: "Goodbye, and thank you.", speculation: {enabled: %t}}
`

// open writes the bench's configuration and makes its node.
func (b *bench) open(ctx context.Context) (*node, error) {
	w, speed := b.wait, b.wait.TTSSpeed
	if speed == 0 {
		speed = -1 // all at once
	}
	text := fmt.Sprintf(benchConfig, filepath.Join(b.dir, "bench.db"), filepath.Join(b.dir, "recordings"), b.Recording,
		w.LLMFirst, w.LLMWord, benchText, atLeast(w.STTFinal), atLeast(w.TTSFirst), speed, b.room(),
		w.STTFinal == 0, b.Events)
	path := filepath.Join(b.dir, "patchcord.yaml")
	if err := os.Mkdir(filepath.Join(b.dir, "agents"), 0o700); err != nil {
		return nil, err
	}
	for file, text := range map[string]string{
		path: text, filepath.Join(b.dir, "agents", "bench.yaml"): fmt.Sprintf(benchAgentFile, b.Speculate),
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	cfg, _, err := configs.Load(path)
	if err != nil {
		return nil, err
	}
	log, err := processLog("error")
	if err != nil {
		return nil, err
	}
	return openNode(ctx, cfg, log, nodeOptions{journal: b.decisions, version: version})
}

// room is how many calls the engine takes: those that are placed, and none more
// where it is to refuse some.
func (b *bench) room() int {
	if b.part > 0 {
		return b.Calls
	}
	return b.Calls + 100
}

// atLeast is a wait as the null providers take it: zero is their default.
func atLeast(d time.Duration) time.Duration { return max(d, 1) }

// decisions are when the engine decided to stop an answer, by the SIP Call-ID,
// and what it reports of its own latency.
type decisions struct {
	mu       sync.Mutex // guards what follows
	sip      map[telephony.CallID]string
	stops    map[string][]time.Time
	reported []float64 // engine_added_ms, ms
	hops     []float64 // … without the wait for the wire's tick
	commits  []float64 // endpoint_wait_ms
	ended    map[engine.EndReason]int
}

var _ engine.Journal = (*decisions)(nil)

func newDecisions() *decisions {
	return &decisions{
		sip: map[telephony.CallID]string{}, stops: map[string][]time.Time{}, ended: map[engine.EndReason]int{},
	}
}

// Started learns a call's name on the wire.
func (d *decisions) Started(r engine.Record) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sip[r.ID] = r.SIPCallID
}

// Event keeps what is measured with.
func (d *decisions) Event(e engine.Event) {
	switch e.Name {
	case engine.EventSpeechPaused, engine.EventSpeechInterupted:
		d.mu.Lock()
		defer d.mu.Unlock()
		id := d.sip[e.CallID]
		d.stops[id] = append(d.stops[id], e.Time)
	case engine.EventTurnMetrics:
		added, _ := e.Get("engine_added_ms").(int64)
		packet, _ := e.Get("first_packet_ms").(int64)
		wait, _ := e.Get("endpoint_wait_ms").(int64)
		d.mu.Lock()
		defer d.mu.Unlock()
		d.reported = append(d.reported, float64(added))
		d.hops = append(d.hops, float64(max(0, added-packet)))
		d.commits = append(d.commits, float64(wait))
	}
}

// up are the calls that have not ended.
func (d *decisions) up() []telephony.CallID {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Collect(maps.Keys(d.sip))
}

// Ended forgets a call's name; its decisions are still asked for.
func (d *decisions) Ended(r engine.Record) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.sip, r.ID)
	d.ended[r.EndReason]++
}

// stop is the first decision in a call between two moments, Unix time in ns.
func (d *decisions) stop(id string, from, to int64) (int64, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := slices.IndexFunc(d.stops[id], func(t time.Time) bool { return t.UnixNano() >= from && t.UnixNano() <= to })
	if i < 0 {
		return 0, false
	}
	return d.stops[id][i].UnixNano(), true
}
