package trunk

import (
	"sync"
	"time"

	"github.com/patchcord/patchcord/telephony"
)

// paceMax is how long a call may wait for its turn by max_cps.
const paceMax = 2 * time.Second

// Capacity counts the calls of trunks against their max_calls, and spaces those
// we place by their max_cps. It is safe for many goroutines; its zero value has
// counted nothing.
type Capacity struct {
	mu    sync.Mutex
	lines map[telephony.TrunkID]*line
}

// line is what is counted of one trunk.
type line struct {
	Load

	next time.Time // when the next call may leave
}

// Load is what goes on at a trunk, and what was refused since the start.
type Load struct {
	In, Out            int    // calls that ring or are up
	FullIn, FullOut    uint64 // refused for max_calls
	TooFast            uint64 // refused for max_cps
	StartedIn, Started uint64 // calls that came, calls that were placed
}

func (c *Capacity) lineLocked(id telephony.TrunkID) *line {
	l := c.lines[id]
	if l == nil {
		if c.lines == nil {
			c.lines = map[telephony.TrunkID]*line{}
		}
		l = &line{}
		c.lines[id] = l
	}
	return l
}

// Enter takes room for a call that came in, until Leave; false where max_calls
// are up.
func (c *Capacity) Enter(t *Trunk) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.lineLocked(t.ID)
	if t.MaxCalls > 0 && l.In+l.Out >= t.MaxCalls {
		l.FullIn++
		return false
	}
	l.In++
	l.StartedIn++
	return true
}

// Take takes room for a call that came in the place of another, until Leave: the
// other's is given back as soon as it is there.
func (c *Capacity) Take(t *Trunk) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.lineLocked(t.ID)
	l.In++
	l.StartedIn++
}

// Place takes room for a call that is to be placed, until Leave, and a turn by
// max_cps: wait is how long until then. The error is a *telephony.FullError.
//
// Turns are spaced evenly, so that no second sees more than max_cps calls,
// wherever the carrier begins to count it. A burst waits in line for 2 s at
// most: short enough that whoever asked for one call does not notice, and a
// dialler that asks for more is told at once, and when to come again.
func (c *Capacity) Place(t *Trunk, now time.Time) (wait time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.lineLocked(t.ID)
	if t.MaxCalls > 0 && l.In+l.Out >= t.MaxCalls {
		l.FullOut++
		return 0, &telephony.FullError{Trunk: t.ID, Limit: "max_calls", RetryAfter: fullRetry}
	}
	if t.MaxCPS > 0 {
		if wait = l.next.Sub(now); wait < 0 {
			wait = 0
		}
		if wait > paceMax {
			l.TooFast++
			return 0, &telephony.FullError{Trunk: t.ID, Limit: "max_cps", RetryAfter: wait - paceMax}
		}
		l.next = now.Add(wait + time.Duration(float64(time.Second)/t.MaxCPS))
	}
	l.Out++
	l.Started++
	return wait, nil
}

// fullRetry is when a trunk whose calls are all in use may have room again.
const fullRetry = 5 * time.Second

// Leave gives back the room of a call.
func (c *Capacity) Leave(id telephony.TrunkID, d telephony.Direction) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.lineLocked(id)
	if d == telephony.Inbound {
		l.In--
	} else {
		l.Out--
	}
}

// Load is what goes on at a trunk now.
func (c *Capacity) Load(id telephony.TrunkID) Load {
	c.mu.Lock()
	defer c.mu.Unlock()
	if l := c.lines[id]; l != nil {
		return l.Load
	}
	return Load{}
}
