package cluster

import (
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/patchcord/patchcord/telephony"
)

// BenchmarkControlAcrossNodes is a command to a call of another node and its
// answer: p99 is to be 5 ms at most.
func BenchmarkControlAcrossNodes(b *testing.B) {
	a, o := pair(b)
	id := a.begin(b, o)
	took := make([]time.Duration, 0, b.N)
	b.ReportAllocs()
	for b.Loop() {
		begun := time.Now()
		if err := o.calls.Mute(id, true); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(begun))
	}
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// BenchmarkEventsOverARoute is how many events a second of a hundred calls reach
// one who watches at another node. None is dropped: it goes as fast as they are
// heard.
func BenchmarkEventsOverARoute(b *testing.B) {
	a, o := pair(b)
	var heard atomic.Int64
	stop, err := o.Watch("", func(Event) { heard.Add(1) })
	if err != nil {
		b.Fatal(err)
	}
	defer stop()
	ids := make([]telephony.CallID, 100)
	for i := range ids {
		ids[i] = a.begin(b, o)
	}
	eventually(b, "events are heard", func() bool {
		a.happen(ids[0], "probe")
		return heard.Load() > 0
	})
	eventually(b, "the probes are heard", func() bool { return heard.Load() == int64(a.seq[ids[0]]) })
	first := heard.Load()
	sent := int64(0)
	b.ReportAllocs()
	for b.Loop() {
		for sent-(heard.Load()-first) > mostEvents/2 { // what is on its way is bounded
			runtime.Gosched()
		}
		a.happen(ids[sent%100], "turn.user")
		sent++
	}
	eventually(b, "all are heard", func() bool { return heard.Load()-first == sent })
	b.ReportMetric(float64(sent)/b.Elapsed().Seconds(), "events/s")
	if d := a.Stats().Dropped; d != 0 {
		b.Errorf("%d were dropped", d)
	}
}
