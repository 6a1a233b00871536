//go:build !linux || race || portable

package rtp

import "time"

// clock is a shard's: time since it was made, and sleep to a point of it.
type clock struct{ start time.Time }

func newClock() clock { return clock{start: time.Now()} }

// urgent would ask for exact wake-ups; here there is no way to.
func urgent() {}

func (c clock) now() time.Duration { return time.Since(c.start) }

// sleepUntil returns at t or soon after; at once if t has passed.
func (c clock) sleepUntil(t time.Duration) {
	if d := t - c.now(); d > 0 {
		time.Sleep(d)
	}
}

// threadID names the calling thread, for measuring its processor time.
func threadID() int { return 0 }
