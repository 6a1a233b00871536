package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
)

// benchTable is what --table runs: providers that take no time and providers
// that take what fast ones do, at one call, at some, and at many.
var benchTable = struct {
	providers []string
	calls     []int
}{[]string{"null", "120,300,120"}, []int{1, 50, 200}}

// table runs them all and prints one table. It fails when a call does.
func (c *benchCmd) table(ctx context.Context, out *output) error {
	var results []*benchResult
	var failed error
	for _, p := range benchTable.providers {
		for _, n := range benchTable.calls {
			one := *c
			one.Profile, one.Providers, one.Calls = "null", p, n
			r, b, err := one.once(ctx, out, 0)
			if err != nil {
				return err
			}
			if err := b.failed(r); err != nil {
				failed = err
			}
			results = append(results, r)
		}
	}
	if !c.JSON {
		printTable(out.out, results)
	}
	line, err := json.Marshal(map[string]any{"table": results})
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	fmt.Fprintf(out.out, "%s\n", line)
	return failed
}

// latencyRow is one line of the table: what is measured, what is aimed for
// (p50 and p99, ms), and the figures of a run.
type latencyRow struct {
	name string
	aim  string
	of   func(*benchResult) middles
}

var latencyRows = []latencyRow{
	{"engine-added per turn", "15 / 35", func(r *benchResult) middles { return r.EngineAddedMS }},
	{"  by its own account, without the wire's tick", "3 / 15", func(r *benchResult) middles { return r.HopMS }},
	{"barge-in decision to last old packet", "10 / 25", func(r *benchResult) middles { return r.BargeInStopMS }},
	{"speech onset to silence on the wire", "290 / 350", func(r *benchResult) middles { return r.OnsetToSilenceMS }},
	{"packet pacing error", "1 / 5", func(r *benchResult) middles { return r.PacingErrorMS }},
	{"answer to first RTP", "20 / 40", func(r *benchResult) middles { return r.FirstPacketMS }},
	{"answer to the greeting's speech", "60 / 120", func(r *benchResult) middles { return r.GreetingMS }},
	{"goodbye's last packet to BYE", "200 / 260", func(r *benchResult) middles { return r.GoodbyeMS }},
	{"commit after its time", "0 / 10", func(r *benchResult) middles { return r.CommitLateMS }},
}

// printTable writes the latencies of all runs side by side.
func printTable(w io.Writer, results []*benchResult) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	cells := func(name, aim string, of func(*benchResult) string) {
		fmt.Fprintf(t, "%s\t%s", name, aim)
		for _, r := range results {
			fmt.Fprint(t, "\t"+of(r))
		}
		fmt.Fprintln(t)
	}
	cells("providers, ms", "", func(r *benchResult) string { return r.Providers })
	cells("calls", "", func(r *benchResult) string { return fmt.Sprint(r.Calls) })
	cells("turns", "", func(r *benchResult) string { return fmt.Sprint(r.Turns) })
	cells("ms: p50 / p90 / p99", "aim p50 / p99", func(*benchResult) string { return "" })
	for _, row := range latencyRows {
		cells(row.name, row.aim, func(r *benchResult) string {
			m := row.of(r)
			return fmt.Sprintf("%.1f / %.1f / %.1f", m.P50, m.P90, m.P99)
		})
	}
	cells("pacing error p99.9", "15", func(r *benchResult) string { return fmt.Sprintf("%.1f", r.PacingErrorMS.P999) })
	cells("voice to voice p50", "", func(r *benchResult) string { return fmt.Sprintf("%.0f", r.V2VMS.P50) })
	cells("callers late p99", "", func(r *benchResult) string { return fmt.Sprintf("%.1f", r.CallersLateMS.P99) })
	cells("of a core", "", func(r *benchResult) string { return fmt.Sprintf("%.0f %%", 100*r.CPUShare) })
	_ = t.Flush()
}
