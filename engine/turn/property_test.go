package turn

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// steps is how many steps TestMillionsOfSteps takes: a million in CI, ten
// million before a release.
var (
	stepsFlag = flag.Int("turn.steps", 1_000_000, "steps of random calls to check")
	traceFlag = flag.Bool("turn.trace", false, "print what happens in them")
	seedFlag  = flag.Uint64("turn.seed", 1, "where the random calls begin")
)

// drawn is rapid as a source: what it chooses can be shrunk.
type drawn struct{ t *rapid.T }

func (d drawn) intN(n int) int { return rapid.IntRange(0, n-1).Draw(d.t, "n") }

// Any order of events keeps the invariants, and ends when it is left alone:
// INV3, INV4, INV6, INV7, INV9 to INV17, INV22, INV24, INV25, INV29 to INV31,
// INV33, INV34, INV36, INV42 and INV46, as checker has them.
func TestMachineHoldsUnderAnyEvents_INV46(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		newWorld(drawn{t}, t.Fatalf).run(rapid.IntRange(1, 120).Draw(t, "events"))
	})
}

// seeded is a generator as a source.
type seeded struct{ *rand.Rand }

func (s seeded) intN(n int) int { return s.IntN(n) }

// The same on a fast driver, millions of steps of it: a failure names the seed
// of its call.
func TestMillionsOfSteps_INV46(t *testing.T) {
	t.Parallel()
	began := time.Now()
	steps, calls, commits, bargeIns, resumed, adopted := 0, 0, 0, 0, 0, 0
	for seed := *seedFlag; steps < *stepsFlag; seed++ {
		src := seeded{rand.New(rand.NewPCG(seed, 0))} //nolint:gosec // a test
		w := newWorld(src, func(format string, args ...any) {
			t.Helper()
			t.Fatalf("-turn.seed %d -turn.steps 1: "+format, append([]any{seed}, args...)...)
		})
		w.trace = *traceFlag
		w.run(50 + src.intN(200))
		steps += w.steps
		calls, commits, bargeIns = calls+1, commits+w.commits, bargeIns+w.bargeIns
		resumed, adopted = resumed+w.resumed1, adopted+w.adoped
	}
	took := time.Since(began)
	t.Logf("%d steps of %d calls, %.0f a second with the checks: %d turns, %d interruptions, %d pauses resumed, "+
		"%d prepared replies adopted, 0 violations", steps, calls, float64(steps)/took.Seconds(),
		commits, bargeIns, resumed, adopted)
}
