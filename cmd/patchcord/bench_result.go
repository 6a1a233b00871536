package main

import (
	"fmt"
	"io"
	"math"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/patchcord/patchcord/internal/load"
)

// voiceHang is how long the detector of audio/vad waits in silence before it
// tells that a voice has ended: the endpoint wait of a
// recogniser that goes by it. voiceSettled is the least of one that knows better.
const (
	voiceHang    = 200 * time.Millisecond
	voiceSettled = 100 * time.Millisecond
)

// jitterLeast is the least delay of the jitter buffer (audio/jitter): like the
// packets' own 20 ms it is owed to networks, not to the engine.
const jitterLeast = 20 * time.Millisecond

// benchResult is the last line of bench. Latencies are of turns that began in
// the window, from the callers' packets: from the last one with speech to
// leave the caller, to the first of 60 ms of speech to come back, dated by the
// kernel.
type benchResult struct {
	Profile   string `json:"profile"`
	Providers string `json:"providers,omitempty"` // as --providers has them
	Calls     int    `json:"calls"`
	Failed    int    `json:"failed"`
	Turns     int    `json:"turns"`
	// Unanswered are utterances that nothing came back to.
	Unanswered          int     `json:"unanswered"`
	CallSeconds         float64 `json:"call_seconds"`
	CoreMSPerCallSecond float64 `json:"core_ms_per_call_second"` // user and system, less what the idle engine takes
	CPUShare            float64 `json:"cpu_share"`               // of one core
	PacingMS            extent  `json:"pacing_ms"`               // between packets of a call
	Packets             int     `json:"packets"`
	Lost                int     `json:"lost"`
	TimestampJumps      int     `json:"timestamp_jumps"`
	V2VMS               middles `json:"v2v_ms"`
	ProvidersMS         float64 `json:"providers_ms"`
	EndpointMS          float64 `json:"endpoint_ms"`
	JitterBufferMS      float64 `json:"jitter_buffer_ms"`
	// EngineAddedMS is what is ours of V2VMS: it less ProvidersMS, EndpointMS
	// and JitterBufferMS. Both waits for the media plane's ticks are in it: up
	// to 20 ms for the last packet to be heard, at least 4 ms from that to the
	// next that leaves.
	EngineAddedMS middles `json:"engine_added_ms"`
	// EngineReportedMS is the same by the engine's own account (turn.metrics),
	// which begins where the end of speech is heard: without the first wait.
	EngineReportedMS middles `json:"engine_reported_ms"`
	// HopMS is that without the wait for the tick on which the first packet
	// leaves, in whole ms.
	HopMS middles `json:"hop_ms"`
	// CommitLateMS is how long after its time a turn was taken.
	CommitLateMS middles `json:"commit_late_ms"`
	// From the answer's arrival at the caller.
	FirstPacketMS middles `json:"first_packet_ms"`
	GreetingMS    middles `json:"greeting_ms"`
	// GoodbyeMS is from the goodbye's last packet with sound to the BYE.
	GoodbyeMS middles `json:"goodbye_ms"`
	// PacingErrorMS is how far the times between packets are from 20 ms.
	PacingErrorMS middles `json:"pacing_error_ms"`
	BargeIns      int     `json:"barge_ins"`
	// BargeInMissed are answers that went on.
	BargeInMissed int `json:"barge_in_missed"`
	// BargeInStopMS is from the engine's decision to the last packet of the old
	// answer; 0 where that had left already.
	BargeInStopMS middles `json:"barge_in_stop_ms"`
	// OnsetToSilenceMS is from the caller's first packet with speech to the
	// last of the old answer.
	OnsetToSilenceMS middles `json:"onset_to_silence_ms"`
	Holes            int     `json:"holes_60ms"` // silences within an answer
	RSSPerCallKB     float64 `json:"rss_kb_per_call"`
	Goroutines       levels  `json:"goroutines"`
	FDs              levels  `json:"fds"`
	RSSMB            levels  `json:"rss_mb"`
	HeapMB           levels  `json:"heap_mb"` // of objects, at most with garbage
	StacksMB         levels  `json:"stacks_mb"`
	CallersLateMS    extent  `json:"callers_late_ms"` // of the callers' own packets: the noise of this machine
	Machine          machine `json:"machine"`
}

type (
	extent struct {
		P50 float64 `json:"p50"`
		P99 float64 `json:"p99"`
		Max float64 `json:"max"`
	}
	middles struct {
		P50  float64 `json:"p50"`
		P90  float64 `json:"p90"`
		P95  float64 `json:"p95"`
		P99  float64 `json:"p99"`
		P999 float64 `json:"p999"`
	}
	// levels are before the first call, at most, and after the last.
	levels struct {
		Base  int64 `json:"base"`
		Peak  int64 `json:"peak"`
		After int64 `json:"after"`
	}
	machine struct {
		CPUs int    `json:"cpus"`
		Go   string `json:"go"`
	}
)

func middlesOf(ms []float64) middles {
	return middles{
		round(load.Percentile(ms, 0.5)), round(load.Percentile(ms, 0.9)), round(load.Percentile(ms, 0.95)),
		round(load.Percentile(ms, 0.99)), round(load.Percentile(ms, 0.999)),
	}
}

func spreadOf(s load.Spread) middles {
	return middles{round(s.P50), round(s.P90), round(s.P95), round(s.P99), round(s.P999)}
}

func extentOf(s load.Spread) extent { return extent{round(s.P50), round(s.P99), round(s.Max)} }

// round keeps what was measured: 10 µs, and of memory 10 bytes.
func round(x float64) float64 { return math.Round(x*100) / 100 }

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// providers is what the model and the voice take of a turn: to the model's
// first clause, which is what the voice is first asked for, and to its first
// sound.
func (d delays) providers() time.Duration {
	clause, _, _ := strings.Cut(benchText, ", ")
	return d.LLMFirst + time.Duration(len(strings.Fields(clause))-1)*d.LLMWord + d.TTSFirst
}

// endpoint is the wait for the end of the caller's turn: the recogniser's where
// it knows it, which the detector only takes after 100 ms of silence, else the
// detector's.
func (d delays) endpoint() time.Duration {
	if d.STTFinal == 0 {
		return voiceHang
	}
	return max(d.STTFinal, voiceSettled)
}

// result puts the figures together.
func (b *bench) result() *benchResult {
	r := &benchResult{
		Profile: b.Profile, Providers: b.Providers, Calls: b.Calls,
		Unanswered: b.report.Unanswered, CallSeconds: round(b.report.CallSeconds),
		PacingErrorMS: spreadOf(b.report.Pacing), PacingMS: extentOf(b.report.Gaps), CallersLateMS: extentOf(b.report.Late),
		Packets: b.report.Packets, Lost: b.report.Lost, TimestampJumps: b.report.Jumps, Holes: b.report.Holes,
		ProvidersMS: milliseconds(b.wait.providers()), EndpointMS: milliseconds(b.wait.endpoint()),
		JitterBufferMS: milliseconds(jitterLeast),
		Machine:        machine{runtime.GOMAXPROCS(0), runtime.Version()},
	}
	window := b.end.since(b.begin)
	cpu := float64(window.cpu) - b.idle.share()*float64(window.took)
	if r.CallSeconds > 0 {
		r.CoreMSPerCallSecond = round(cpu / 1e6 / r.CallSeconds)
	}
	r.CPUShare = round(window.share())
	b.latencies(r)
	b.memory(r)
	return r
}

func (b *bench) latencies(r *benchResult) {
	var v2v, added, stop, silence, packet, greeting, goodbye, commit []float64
	since := func(list *[]float64, from, to int64) {
		if from != 0 && to != 0 {
			*list = append(*list, max(0, float64(to-from)/1e6))
		}
	}
	known := b.wait.providers() + b.wait.endpoint() + jitterLeast
	for _, c := range b.report.Calls {
		if c.Fault != "" {
			r.Failed++
		}
		since(&packet, c.Answered, c.FirstPacket)
		since(&greeting, c.Answered, c.FirstSpeech)
		since(&goodbye, c.LastSpeech, c.Byed)
		for _, t := range c.Turns {
			r.Turns++
			if t.Reply != 0 {
				v2v = append(v2v, float64(t.Reply-t.Last)/1e6)
				added = append(added, float64(t.Reply-t.Last-int64(known))/1e6)
			}
			if !t.Barge {
				continue
			}
			r.BargeIns++
			if t.Old == 0 {
				r.BargeInMissed++
				continue
			}
			silence = append(silence, float64(t.Old-t.First)/1e6)
			if at, ok := b.decisions.stop(c.ID, t.First, t.Last); ok {
				stop = append(stop, max(0, float64(t.Old-at)/1e6))
			}
		}
	}
	r.V2VMS, r.EngineAddedMS = middlesOf(v2v), middlesOf(added)
	r.BargeInStopMS, r.OnsetToSilenceMS = middlesOf(stop), middlesOf(silence)
	for _, wait := range b.decisions.commits {
		commit = append(commit, wait-milliseconds(b.wait.endpoint()))
	}
	r.EngineReportedMS, r.HopMS = middlesOf(b.decisions.reported), middlesOf(b.decisions.hops)
	r.CommitLateMS = middlesOf(commit)
	r.FirstPacketMS, r.GreetingMS, r.GoodbyeMS = middlesOf(packet), middlesOf(greeting), middlesOf(goodbye)
}

func (b *bench) memory(r *benchResult) {
	levelsOf := func(of func(sample) int64) levels { return levels{of(b.base), of(b.peak), of(b.after)} }
	r.Goroutines = levelsOf(func(s sample) int64 { return int64(s.Goroutines) })
	r.FDs = levelsOf(func(s sample) int64 { return int64(s.Descriptors) })
	r.RSSMB = levelsOf(func(s sample) int64 { return s.RSS >> 20 })
	r.HeapMB = levelsOf(func(s sample) int64 { return s.Heap >> 20 })
	r.StacksMB = levelsOf(func(s sample) int64 { return s.Stacks >> 20 })
	if b.alone.RSS > 0 && b.Calls > 1 {
		r.RSSPerCallKB = round(float64(b.peak.RSS-b.alone.RSS) / 1024 / float64(b.Calls-1))
	}
}

// faults are the first few calls that failed, and why.
func (b *bench) faults(most int) []string {
	var out []string
	for _, c := range b.report.Calls {
		if c.Fault != "" && len(out) < most {
			out = append(out, c.ID+": "+c.Fault)
		}
	}
	return out
}

// print writes the figures for people.
func (r *benchResult) print(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(t, name+"\t"+format+"\n", args...) }
	three := func(name string, m middles) { row(name, "%.1f\t%.1f\t%.1f", m.P50, m.P90, m.P99) }
	row("profile "+r.Profile, "%d calls, %d failed, %d turns in %.0f call-seconds, %d CPUs, %s",
		r.Calls, r.Failed, r.Turns, r.CallSeconds, r.Machine.CPUs, r.Machine.Go)
	row("processor", "%.2f core-ms per call-second, %.0f %% of a core", r.CoreMSPerCallSecond, 100*r.CPUShare)
	row("packets", "%d, %d lost, %d timestamp jumps, %d holes of 60 ms", r.Packets, r.Lost, r.TimestampJumps, r.Holes)
	row("memory", "%.0f kB per call, MB %s", r.RSSPerCallKB, r.RSSMB)
	row("heap", "MB %s", r.HeapMB)
	row("stacks", "MB %s", r.StacksMB)
	row("goroutines", "%s", r.Goroutines)
	row("descriptors", "%s", r.FDs)
	_ = t.Flush()
	fmt.Fprintln(w)
	row("ms", "p50\tp90\tp99")
	three("voice to voice", r.V2VMS)
	row("  endpoint wait", "%.0f", r.EndpointMS)
	row("  providers", "%.0f", r.ProvidersMS)
	row("  jitter buffer", "%.0f", r.JitterBufferMS)
	three("  engine", r.EngineAddedMS)
	three("  by its own account", r.EngineReportedMS)
	three("  without the wire's tick", r.HopMS)
	three(fmt.Sprintf("decision to last packet (%d of %d)", r.BargeIns-r.BargeInMissed, r.BargeIns), r.BargeInStopMS)
	three("onset to silence", r.OnsetToSilenceMS)
	three("answer to first packet", r.FirstPacketMS)
	three("answer to greeting", r.GreetingMS)
	three("goodbye to BYE", r.GoodbyeMS)
	three("commit after its time", r.CommitLateMS)
	three("pacing error", r.PacingErrorMS)
	row("between packets", "%.1f\t\t%.1f\tmax %.1f", r.PacingMS.P50, r.PacingMS.P99, r.PacingMS.Max)
	row("callers late", "%.1f\t\t%.1f\tmax %.1f", r.CallersLateMS.P50, r.CallersLateMS.P99, r.CallersLateMS.Max)
	_ = t.Flush()
}

// String is how a table shows levels.
func (l levels) String() string {
	return fmt.Sprintf("%d before, %d at most, %d after", l.Base, l.Peak, l.After)
}
