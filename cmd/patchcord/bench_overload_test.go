package main

import (
	"strings"
	"testing"
	"time"

	"github.com/patchcord/patchcord/internal/load"
)

// The callers offer what the load says, from enough addresses, and the figures are
// of the window.
func TestBenchOverload(t *testing.T) {
	t.Parallel()
	b := &bench{
		benchCmd: benchCmd{Calls: 40, Each: 10 * time.Second, Duration: 20 * time.Second}, part: 10,
		decisions: newDecisions(),
	}
	c := b.flood(load.Config{})
	if c.Rate < 38 || c.Rate > 38.2 || c.Calls != 1180 || c.Sources != 4 || c.Ramp != 11*time.Second || c.Each != b.Each {
		t.Errorf("%+v", c)
	}
	const s = int64(time.Second)
	b.report = &load.Report{
		From: 100 * s, To: 110 * s, CallSeconds: 380,
		Calls: []load.Call{
			{ID: "served", Placed: 101 * s, Answered: 102 * s},
			{ID: "refused", Placed: 103 * s, Refused: 103*s + 2e6, Status: 503, After: 12, Fault: "the call was answered with 503"},
			{ID: "before", Placed: 90 * s, Refused: 90*s + 4e6, Status: 503, After: 30, Fault: "the call was answered with 503"},
			{ID: "unclear", Placed: 104 * s, Refused: 104*s + 6e6, Status: 480, Fault: "the call was answered with 480"},
			{ID: "lost", Placed: 105 * s, Fault: "no answer to INVITE"},
		},
	}
	b.next = &load.Report{Calls: []load.Call{{Placed: 120 * s, Answered: 120*s + 5e6}}}
	run := b.overloaded(b.result())
	if run.Offered != 4 || run.Served != 0.95 || run.Refused != 3 || run.Unclear != 1 || run.Failed != 1 ||
		run.RefusalMS.P50 != 4 || run.NextMS != 5 || run.BackMS != 0 {
		t.Errorf("%+v", run)
	}
	b.next = nil
	if again := b.overloaded(b.result()); again.Failed != 2 {
		t.Errorf("a call behind it that never came is %d failures", again.Failed)
	}
	var table strings.Builder
	printOverload(&table, 40, []overloadRun{run, {Load: 2}})
	for _, want := range []string{"load, of 40 calls", "10 C", "95.0 %", "refusal, ms", "2 C"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, table.String())
		}
	}
}
