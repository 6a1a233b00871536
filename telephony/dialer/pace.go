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
	turn time.Time // of the last call
	left time.Time // when it did leave
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
// while they waited, no second sees more than one beyond the rate.
func (p *pace) leave(at, now time.Time, cps float64) (again time.Time, ok bool) {
	if now.Before(at) {
		return at, false
	}
	if cps <= 0 {
		return now, true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	next := p.left.Add(time.Duration(float64(time.Second)/(cps+1)) + time.Nanosecond)
	if now.Before(next) {
		return next, false
	}
	p.left = now
	return now, true
}

// turnOf is when a slot comes by our clock, of a claim that was asked for at begun
// and there at end. The ledger's clock stood at claimed in between: as far as both
// may agree they do.
func turnOf(a Attempt, begun, end time.Time) time.Time {
	switch {
	case a.Slot.IsZero():
		return end
	case a.Claimed.Before(begun):
		return begun.Add(a.Slot.Sub(a.Claimed))
	case a.Claimed.After(end):
		return end.Add(a.Slot.Sub(a.Claimed))
	}
	return a.Slot
}
