package load

import (
	"math"
	"slices"
)

// Percentile is the smallest value that at least the share q of all are not
// above (nearest rank); 0 of none. It sorts xs.
func Percentile(xs []float64, q float64) float64 {
	if len(xs) == 0 {
		return 0
	}
	slices.Sort(xs)
	at := int(math.Ceil(q*float64(len(xs)))) - 1
	return xs[min(max(at, 0), len(xs)-1)]
}
