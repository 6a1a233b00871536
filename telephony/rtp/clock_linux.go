//go:build linux && !race && !portable

package rtp

import (
	"time"

	"golang.org/x/sys/unix"
)

const (
	shortSlice = 200 * time.Microsecond
	mediaNice  = -10
)

// clock is a shard's: time since it was made, and sleep to a point of it.
type clock struct {
	start time.Time
	base  int64 // of CLOCK_MONOTONIC at start, ns
}

func newClock() clock {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return clock{start: time.Now(), base: ts.Nano()}
}

// urgent makes the calling thread's wake-ups exact beside busy threads, as far
// as the kernel lets it: no timer slack (50 µs otherwise), short slices (from
// Linux 6.12 on a short one is served sooner), and a better nice value, which
// needs CAP_SYS_NICE. A scheduler chosen from outside (chrt) is left as it is.
// The thread must be locked and must end with its goroutine.
func urgent() {
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	if is, err := unix.SchedGetAttr(0, 0); err != nil || is.Policy != unix.SCHED_NORMAL {
		return // whoever started us has chosen something better
	}
	if a, err := unix.SchedGetAttr(0, 0); err != nil || a.Policy != unix.SCHED_NORMAL {
		return
	}
	_ = unix.SchedSetAttr(0, &unix.SchedAttr{
		Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL, Runtime: uint64(shortSlice),
	}, 0)
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), mediaNice)
}

func (c clock) now() time.Duration { return time.Since(c.start) }

// sleepUntil returns at t or soon after; at once if t has passed.
func (c clock) sleepUntil(t time.Duration) {
	ts := unix.NsecToTimespec(c.base + int64(t))
	for {
		err := unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &ts, nil)
		if err != unix.EINTR { //nolint:errorlint // an errno
			return
		}
	}
}

// threadID names the calling thread, for measuring its processor time.
func threadID() int { return unix.Gettid() }
