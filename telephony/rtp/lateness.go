package rtp

import (
	"math/bits"
	"time"
)

const (
	lateUnit = 64 * time.Microsecond
	lateBins = 64 // up to 8 s, four per octave
)

// lateness counts how late things happened, with an error of a quarter at most.
type lateness struct {
	count [lateBins]uint32
	n     uint32
}

func (l *lateness) add(d time.Duration) {
	v := uint(max(d, 0) / lateUnit) //nolint:gosec // not negative
	bin := v
	if v >= 8 {
		shift := uint(bits.Len(v)) - 3 //nolint:gosec // at least 1
		bin = min(4*shift+v>>shift, lateBins-1)
	}
	l.count[bin]++
	l.n++
}

func (l *lateness) reset() { *l = lateness{} }

// edge is the upper edge of a bin.
func edge(bin int) time.Duration {
	if bin < 8 {
		return time.Duration(bin+1) * lateUnit
	}
	shift := bin/4 - 1
	return time.Duration((bin%4+5)<<shift) * lateUnit
}

// percentile99 of the given together; 0 while nothing was counted.
func percentile99(of ...*lateness) time.Duration {
	total := uint32(0)
	for _, l := range of {
		total += l.n
	}
	above := total / 100 // how many may be later
	seen := uint32(0)
	for bin := lateBins - 1; bin >= 0; bin-- {
		for _, l := range of {
			seen += l.count[bin]
		}
		if seen > above {
			return edge(bin)
		}
	}
	return 0
}
