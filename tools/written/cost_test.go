package written

import (
	"strings"
	"testing"
)

// What is said is read in time that grows with its length, whatever it is.
func TestDoublesAreReadOnce(t *testing.T) {
	cost := func(n int) float64 {
		ts := tokens(strings.Repeat("double ", n))
		l := langOf("en")
		return testing.AllocsPerRun(1, func() { l.spell(ts, true) })
	}
	if few, many := cost(100), cost(800); many > 16*few {
		t.Errorf("%v allocations for 800 words, %v for 100", many, few)
	}
}
