package jitter

import "time"

const (
	binWidth = 2 * time.Millisecond
	bins     = 128 // up to 256 ms
	history  = 256 // packets
	memory   = 4 * time.Second

	// initialTarget holds until there is something to judge by: three packets
	// of 20 ms, the bunching mobile callers show, less the one being played.
	initialTarget = 40 * time.Millisecond
	minSamples    = 25

	// maxOvertaken is the most that one overtaken packet makes all others wait.
	maxOvertaken = 100 * time.Millisecond
)

// spread measures how unevenly packets come: the transit time of the fastest
// packet of the last seconds, and how much slower the others were.
type spread struct {
	known           bool
	least, previous time.Duration // least transit of this window and the one before
	since           time.Duration // when this window began

	recent [history]uint8 // bin of each packet, newest at head-1
	count  [bins]uint16
	head   int
	filled int
	length int // of recent in use: the packets of memory

	p95 time.Duration

	// How much slower packets overtaken by others were, at most, in the same
	// two windows. They are fewer than one in twenty and still not lost.
	overtaken, overtakenBefore time.Duration
}

func (s *spread) reset() { *s = spread{length: history} }

// begin is the first packet's transit.
func (s *spread) begin(at, transit time.Duration) {
	s.known, s.least, s.previous, s.since = true, transit, transit, at
}

// fastest is the least transit of the last two to four seconds.
func (s *spread) fastest() time.Duration { return min(s.least, s.previous) }

// add takes the transit of a packet that came at at, lasts dur and was perhaps
// overtaken by one sent after it.
func (s *spread) add(at, transit, dur time.Duration, overtaken bool) {
	if at-s.since >= memory/2 {
		s.previous, s.least, s.since = s.least, transit, at
		s.overtakenBefore, s.overtaken = s.overtaken, 0
	}
	s.least = min(s.least, transit)
	if overtaken {
		s.overtaken = max(s.overtaken, min(transit-s.fastest(), maxOvertaken))
	}
	if dur > 0 {
		s.resize(min(max(int(memory/dur), 2*minSamples), history))
	}
	bin := uint8(min(int((transit-s.fastest())/binWidth), bins-1)) //nolint:gosec // 0 to bins-1
	if s.filled == s.length {
		s.count[s.recent[s.head]]--
	} else {
		s.filled++
	}
	s.recent[s.head] = bin
	s.count[bin]++
	s.head = (s.head + 1) % s.length
	if s.filled < minSamples || s.head%4 == 0 {
		s.p95 = s.percentile()
	}
}

// resize forgets the history when packets have another length.
func (s *spread) resize(length int) {
	if length == s.length {
		return
	}
	s.count = [bins]uint16{}
	s.head, s.filled, s.length = 0, 0, length
}

// percentile is the 95th of the history, upper edge of its bin.
func (s *spread) percentile() time.Duration {
	above := s.filled / 20 // how many may be slower
	n := 0
	for k := bins - 1; k > 0; k-- {
		if n += int(s.count[k]); n > above {
			return time.Duration(k+1) * binWidth
		}
	}
	return 0
}

// target is the delay that all but very few packets need: one in twenty is too
// many to lose, so there is headroom of a fifth and at least 10 ms, and what
// came in the wrong order is waited for.
func (s *spread) target() time.Duration {
	t := max(s.p95, s.overtaken, s.overtakenBefore)
	t += max(10*time.Millisecond, t/5)
	if s.filled < minSamples {
		return max(t, initialTarget)
	}
	return t
}
