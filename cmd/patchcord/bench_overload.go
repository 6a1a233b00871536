package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/patchcord/patchcord/internal/load"
)

// overloads are what the overload profile offers, as parts of what the engine
// takes (limits.max_calls, --calls here).
var overloads = []float64{1, 2, 10}

const (
	// overloadGap is what a call takes of its place beside its length: it is set
	// up, and it is over some time after its BYE.
	overloadGap = 500 * time.Millisecond
	// perSource keeps the callers below what telephony/sip takes of one address.
	perSource = 10.0 // calls per second
)

// overloadRun is one line of the table.
type overloadRun struct {
	Load    float64 `json:"load"`    // calls offered at a time, as a part of capacity
	Offered int     `json:"offered"` // calls placed in the window
	Served  float64 `json:"served"`  // calls up at a time in the window, of those that can be: capacity, or what is offered
	Failed  int     `json:"failed"`  // neither served nor refused
	Refused int     `json:"refused"`
	// Unclear are refusals other than 503 with a Retry-After of 5 to 30 s.
	Unclear   int     `json:"unclear"`
	RefusalMS middles `json:"refusal_ms"` // from the INVITE to the 503
	V2VMS     middles `json:"v2v_ms"`
	Turns     int     `json:"turns"`
	PacingMS  extent  `json:"pacing_ms"` // between packets of a call
	Packets   int     `json:"packets"`
	Lost      int     `json:"lost"`
	CPUShare  float64 `json:"cpu_share"` // of one core
	// BackMS is until the media plane was in time for good once the load was
	// over; NextMS is until the first call behind it was answered.
	BackMS        float64 `json:"back_ms"`
	NextMS        float64 `json:"next_ms"`
	CallersLateMS extent  `json:"callers_late_ms"`
	RSSMB         levels  `json:"rss_mb"`
}

// overload runs the profile and prints its table. It fails when a call does, or
// is refused otherwise than it should be.
func (c *benchCmd) overload(ctx context.Context, out *output) error {
	var runs []overloadRun
	var failed error
	for _, part := range overloads {
		one := *c
		one.Profile = "overload"
		r, b, err := one.once(ctx, out, part)
		if err != nil {
			return err
		}
		run := b.overloaded(r)
		if run.Failed > 0 || run.Unclear > 0 {
			failed = errFaults
			for _, f := range b.faults(5) {
				fmt.Fprintln(out.err, "patchcord bench:", f)
			}
		}
		runs = append(runs, run)
	}
	if !c.JSON {
		printOverload(out.out, c.capacity(), runs)
	}
	line, err := json.Marshal(map[string]any{"capacity": c.capacity(), "overload": runs})
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	fmt.Fprintf(out.out, "%s\n", line)
	return failed
}

// capacity is how many calls the engine takes.
func (c *benchCmd) capacity() int {
	if c.Calls == 0 {
		return benchProfiles["overload"].calls
	}
	return c.Calls
}

// flood is what the callers do in the overload profile.
func (b *bench) flood(cfg load.Config) load.Config {
	cfg.Rate = b.part * float64(b.Calls) / (b.Each + overloadGap).Seconds()
	cfg.Ramp = b.Each + time.Second
	cfg.Calls = int(cfg.Rate * (cfg.Ramp + b.Duration).Seconds())
	cfg.Sources = int(math.Ceil(cfg.Rate / perSource))
	cfg.Alone, cfg.Each, cfg.Goodbye = 0, b.Each, 0
	cfg.Talk = load.Talk{Say: 500 * time.Millisecond, Wait: 300 * time.Millisecond}
	return cfg
}

// overloaded puts the figures of one run together.
func (b *bench) overloaded(r *benchResult) overloadRun {
	run := overloadRun{
		Load: b.part, V2VMS: r.V2VMS, Turns: r.Turns, PacingMS: r.PacingMS, Packets: r.Packets, Lost: r.Lost,
		CPUShare: r.CPUShare, BackMS: milliseconds(b.back.took()), CallersLateMS: r.CallersLateMS, RSSMB: r.RSSMB,
	}
	window := float64(b.report.To-b.report.From) / 1e9
	if window > 0 {
		can := float64(b.Calls) * min(1, b.part*float64(b.Each)/float64(b.Each+overloadGap))
		run.Served = round(r.CallSeconds / window / can)
	}
	var refusals []float64
	for _, c := range b.report.Calls {
		if c.Placed >= b.report.From && c.Placed <= b.report.To {
			run.Offered++
		}
		switch {
		case c.Status != 0:
			run.Refused++
			refusals = append(refusals, float64(c.Refused-c.Placed)/1e6)
			if c.Status != 503 || c.After < 5 || c.After > 30 {
				run.Unclear++
			}
		case c.Fault != "":
			run.Failed++
		}
	}
	run.RefusalMS = middlesOf(refusals)
	if b.next != nil && len(b.next.Calls) == 1 && b.next.Calls[0].Answered != 0 {
		run.NextMS = round(float64(b.next.Calls[0].Answered-b.next.Calls[0].Placed) / 1e6)
	} else {
		run.Failed++
	}
	return run
}

// comeback watches the media plane from the end of a load on.
type comeback struct {
	wg sync.WaitGroup

	mu         sync.Mutex // guards what follows
	begun, bad time.Time  // bad: late for the last time
}

// start begins to look; ctx ends it.
func (c *comeback) start(ctx context.Context, late func() bool) {
	c.mu.Lock()
	c.begun = time.Now()
	c.bad = c.begun
	c.mu.Unlock()
	c.wg.Go(func() {
		t := time.NewTicker(100 * time.Millisecond)
		defer t.Stop()
		for {
			if late() {
				c.mu.Lock()
				c.bad = time.Now()
				c.mu.Unlock()
			}
			select {
			case <-t.C:
			case <-ctx.Done():
				return
			}
		}
	})
}

func (c *comeback) took() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bad.Sub(c.begun)
}

// printOverload writes the runs side by side.
func printOverload(w io.Writer, capacity int, runs []overloadRun) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	cells := func(name, aim string, of func(overloadRun) string) {
		fmt.Fprintf(t, "%s\t%s", name, aim)
		for _, r := range runs {
			fmt.Fprint(t, "\t"+of(r))
		}
		fmt.Fprintln(t)
	}
	three := func(m middles) string { return fmt.Sprintf("%.1f / %.1f / %.1f", m.P50, m.P95, m.P99) }
	cells(fmt.Sprintf("load, of %d calls", capacity), "aim", func(r overloadRun) string {
		return fmt.Sprintf("%g C", r.Load)
	})
	cells("calls offered", "", func(r overloadRun) string { return fmt.Sprint(r.Offered) })
	cells("served, of what can be", ">= 95 %", func(r overloadRun) string { return fmt.Sprintf("%.1f %%", 100*r.Served) })
	cells("refused", "", func(r overloadRun) string { return fmt.Sprint(r.Refused) })
	cells("  not by 503 with Retry-After 5-30", "0", func(r overloadRun) string { return fmt.Sprint(r.Unclear) })
	cells("failed", "0", func(r overloadRun) string { return fmt.Sprint(r.Failed) })
	cells("refusal, ms: p50 / p95 / p99", "<= 50", func(r overloadRun) string { return three(r.RefusalMS) })
	cells("voice to voice, ms", "p95 <= +20 %", func(r overloadRun) string { return three(r.V2VMS) })
	cells("  p95 against the first", "", func(r overloadRun) string {
		if runs[0].V2VMS.P95 == 0 {
			return "-"
		}
		return fmt.Sprintf("%+.1f %%", 100*(r.V2VMS.P95/runs[0].V2VMS.P95-1))
	})
	cells("between packets, ms: p99", "<= 30", func(r overloadRun) string { return fmt.Sprintf("%.1f", r.PacingMS.P99) })
	cells("packets lost", "0", func(r overloadRun) string { return fmt.Sprintf("%d of %d", r.Lost, r.Packets) })
	cells("in time again, ms", "<= 5000", func(r overloadRun) string { return fmt.Sprintf("%.0f", r.BackMS) })
	cells("the next call answered, ms", "", func(r overloadRun) string { return fmt.Sprintf("%.0f", r.NextMS) })
	cells("callers late, ms: p99", "", func(r overloadRun) string { return fmt.Sprintf("%.1f", r.CallersLateMS.P99) })
	cells("of a core", "", func(r overloadRun) string { return fmt.Sprintf("%.0f %%", 100*r.CPUShare) })
	_ = t.Flush()
}
