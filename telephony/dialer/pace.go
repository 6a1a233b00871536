package dialer

import (
	"sync"
	"time"
)

// pace spaces the calls of a campaign on this node. Over all nodes the ledger's
// slots do; what is spaced here is what came late, behind a store that held
// everything up.
type pace struct {
	mu   sync.Mutex
	turn time.Time   // of the last call
	left []time.Time // when those of the last second did leave
}

// slot is when a call may leave that the ledger would let leave at a time.
func (p *pace) slot(at time.Time, cps float64) time.Time {
	if cps <= 0 {
		return at
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if next := p.turn.Add(time.Duration(float64(time.Second) / cps)); at.Before(next) {
		at = next
	}
	p.turn = at
	return at
}

// leave says whether a call leaves now whose turn it is at a time, else when to ask
// again. However many were held up, by a store or by a machine that stood still
// while they waited, no second sees more than one beyond the rate, and none leaves
// sooner behind another than in half the time between two turns. That is less than
// the whole of it, or what is late once would be late from then on: each of them
// wakes a little behind the time at which it may leave.
func (p *pace) leave(at, now time.Time, cps float64) (again time.Time, ok bool) {
	if now.Before(at) {
		return at, false
	}
	if cps <= 0 {
		return now, true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.left); n > 0 {
		again = p.left[n-1].Add(time.Duration(float64(time.Second) / cps / 2))
	}
	if most := int(cps) + 1; len(p.left) >= most {
		p.left = p.left[len(p.left)-most:]
		if free := p.left[0].Add(time.Second); again.Before(free) {
			again = free
		}
	}
	if now.Before(again) {
		return again, false
	}
	p.left = append(p.left, now)
	return now, true
}

// turnOf is when a slot comes, of a claim that was asked for at begun and there at
// end. The ledger's clock stood at claimed in between: as far as both may agree they
// do. Whoever sets a clock meanwhile or later does not move it.
func turnOf(a Attempt, begun, end time.Time) time.Time {
	if a.Slot.IsZero() {
		return end
	}
	claimed := min(max(0, a.Claimed.Sub(begun)), end.Sub(begun))
	return begun.Add(claimed + a.Slot.Sub(a.Claimed))
}
