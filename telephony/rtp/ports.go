package rtp

import (
	"errors"
	"fmt"
	"math/rand/v2"
)

// errNoPorts means every pair is in use or in quarantine.
var errNoPorts = errors.New("rtp: no free port")

// ports hands out even ports, each the lower of a pair (RTP, RTCP). The search
// starts anywhere, so the next port cannot be guessed. It is not safe for
// concurrent use.
type ports struct {
	min  int
	used []bool // by (port-min)/2
	free int
}

// newPorts covers the even ports from lo whose odd neighbour is at most hi+1:
// the port after an even hi belongs to the range as its RTCP port.
func newPorts(lo, hi int) (*ports, error) {
	lo += lo & 1
	if lo < 1024 || hi > 65534 || hi < lo {
		return nil, fmt.Errorf("rtp: ports %d to %d: need at least one even port between 1024 and 65534", lo, hi)
	}
	n := (hi-lo)/2 + 1
	return &ports{min: lo, used: make([]bool, n), free: n}, nil
}

// take reserves a free port.
func (p *ports) take() (int, error) {
	if p.free == 0 {
		return 0, errNoPorts
	}
	n := len(p.used)
	start := rand.IntN(n) //nolint:gosec // spreads the ports; the source lock is what protects a call
	for i := range n {
		k := (start + i) % n
		if !p.used[k] {
			p.used[k] = true
			p.free--
			return p.min + 2*k, nil
		}
	}
	return 0, errNoPorts
}

// release gives port back.
func (p *ports) release(port int) {
	k := (port - p.min) / 2
	if k < 0 || k >= len(p.used) || !p.used[k] {
		panic(fmt.Sprintf("rtp: release of port %d, which is not taken", port))
	}
	p.used[k] = false
	p.free++
}
