package rtp

import (
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/telephony"
)

const (
	tickTime = time.Millisecond
	slots    = int64(audio.FrameTime / tickTime) // 20

	// replySlots is from a session's incoming frame to its outgoing one, in
	// ticks: long enough for a decision to be made of the one (a pause, a first
	// sound that is there already), no longer. Served together, the answer to a
	// frame would wait for 20 ms, always.
	replySlots = 4

	// settleTicks is when a session's slot is chosen anew, in its own ticks:
	// late enough for the jitter buffer to know its network. What is moved by
	// less than leastEarlier ms stays, and no more than mostEarlier would still
	// leave after the answer that is due; spareLeft ms are left to a packet that
	// comes late.
	settleTicks  = 20
	leastEarlier = 3
	mostEarlier  = int(slots) - replySlots - 2
	spareLeft    = 2

	// catchUp is how far behind ticks are still made up for; more is skipped.
	catchUp = 2 * audio.FrameTime
	// longestNap bounds how late a new session is noticed.
	longestNap = 5 * time.Millisecond
	// lateWindow is half of what Load looks back over.
	lateWindow = time.Second
)

// shard is one thread that serves sessions.
type shard struct {
	media *Media
	wake  chan struct{} // capacity 1: one token says look again
	load  atomic.Int64  // p99 of the ticks' lateness, ns
	beat  atomic.Int64  // when it last woke with sessions to serve, ns since the Media began; 0: has none
	tid   atomic.Int64  // of its thread

	// mu guards what others leave for the thread.
	mu       sync.Mutex
	incoming []*Session
	placed   [slots]int // sessions by slot, the incoming too
	count    int
	mail     atomic.Bool // incoming is not empty

	// The rest belongs to the thread.
	clock       clock
	sessions    [slots][]*Session
	half        [slots]int // of those, how many also send between ticks
	live        int
	skips       uint32 // frames skipped since the beginning
	late        [2]lateness
	lateSince   time.Duration
	in          *batch
	frame, wire [audio.MaxFrameSamples]int16
	packet      [packetSize]byte
	clear       [packetSize]byte // of SRTP, decrypted
}

func newShard(m *Media) *shard {
	return &shard{media: m, wake: make(chan struct{}, 1)}
}

// add puts s into the emptiest slot.
func (sh *shard) add(s *Session) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	s.slot = 0
	for k := range sh.placed {
		if sh.placed[k] < sh.placed[s.slot] {
			s.slot = k
		}
	}
	sh.placed[s.slot]++
	sh.count++
	sh.incoming = append(sh.incoming, s)
	sh.mail.Store(true)
	sh.poke()
}

// drop lets s go at once if the thread has not taken it yet.
func (sh *shard) drop(s *Session) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if i := slices.Index(sh.incoming, s); i >= 0 {
		sh.incoming = slices.Delete(sh.incoming, i, i+1)
		sh.placed[s.slot]--
		sh.count--
		s.end()
	}
}

func (sh *shard) poke() {
	select {
	case sh.wake <- struct{}{}:
	default: // it will look anyway
	}
}

func (sh *shard) sessionCount() int {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.count
}

// run serves until stop ends; by then there are no sessions.
func (sh *shard) run(stop <-chan struct{}) {
	runtime.LockOSThread() // and never unlocked: urgent changes the thread, which ends with the goroutine
	urgent()
	sh.clock = newClock()
	sh.tid.Store(int64(threadID()))
	sh.in = newBatch()
	tick := int64(0)
	for {
		if sh.mail.Load() {
			sh.take()
		}
		if sh.live == 0 {
			sh.load.Store(0)
			sh.beat.Store(0)
			select {
			case <-sh.wake:
			case <-stop:
				return
			}
			tick = int64(sh.clock.now()/tickTime) + 1
			continue
		}
		next, busy := sh.nextBusy(tick)
		due := time.Duration(next) * tickTime
		sh.clock.sleepUntil(due)
		now := sh.clock.now()
		sh.beat.Store(int64(time.Since(sh.media.start)))
		if behind := now - due; behind > catchUp {
			frames := int64((behind-catchUp)/audio.FrameTime) + 1
			sh.skips += uint32(frames) //nolint:gosec // wraps, and is only compared
			next += frames * slots
			due = time.Duration(next) * tickTime
		}
		tick = next + 1
		if busy {
			sh.measure(now, now-due)
			sh.in.now, sh.in.wall = now, time.Now().UnixNano()
			sh.serve(next%slots, due)
		}
	}
}

// nextBusy is the next tick with something to do, or the longest nap.
func (sh *shard) nextBusy(tick int64) (int64, bool) {
	for k := range int64(longestNap / tickTime) {
		slot := (tick + k) % slots
		if len(sh.sessions[slot]) > 0 || len(sh.sessions[answers(slot)]) > 0 || sh.half[between(slot)] > 0 {
			return tick + k, true
		}
	}
	return tick + int64(longestNap/tickTime) - 1, false
}

// answers is the slot whose sessions send when slot is served, between that
// whose sessions also send in the middle of two answers.
func answers(slot int64) int64 { return (slot + slots - replySlots) % slots }
func between(slot int64) int64 { return (slot + slots - replySlots + slots/2) % slots }

// take takes new sessions over. With sessions to serve it does not wait for
// whoever is adding one; with none it must, or nobody would wake it again.
func (sh *shard) take() {
	if sh.live == 0 {
		sh.mu.Lock()
	} else if !sh.mu.TryLock() {
		return
	}
	defer sh.mu.Unlock()
	for _, s := range sh.incoming {
		s.skips = sh.skips
		sh.sessions[s.slot] = append(sh.sessions[s.slot], s)
		sh.live++
	}
	clear(sh.incoming)
	sh.incoming = sh.incoming[:0]
	sh.mail.Store(false)
}

// serve hears the sessions of a slot, and lets those speak whose time it is.
func (sh *shard) serve(slot int64, now time.Duration) {
	list := sh.sessions[slot]
	for i := 0; i < len(list); {
		s := list[i]
		if s.closing.Load() && sh.release(s) {
			last := len(list) - 1
			list[i], list[last] = list[last], nil
			list = list[:last]
			continue
		}
		sh.guard(s, now, (*Session).tick)
		i++
	}
	sh.sessions[slot] = list
	list = sh.sessions[answers(slot)]
	for i := 0; i < len(list); {
		s := list[i]
		sh.guard(s, now, (*Session).answer)
		if earlier := sh.earlier(s, now-replySlots*tickTime); earlier >= 0 {
			last := len(list) - 1
			list[i], list[last] = list[last], nil
			list = list[:last]
			sh.sessions[earlier] = append(sh.sessions[earlier], s)
			continue
		}
		i++
	}
	sh.sessions[answers(slot)] = list
	if other := between(slot); sh.half[other] > 0 {
		for _, s := range sh.sessions[other] {
			if s.out.half {
				sh.guard(s, now, (*Session).betweenTicks)
			}
		}
	}
}

// earlier is the slot that a session moves to, once, when it has been heard for
// a while: closer behind its packets' arrival, so that none waits for its tick
// for longer than the jitter buffer wants. -1: it stays. The next frame is
// served by so much earlier, and so is every one after it.
func (sh *shard) earlier(s *Session, heard time.Duration) int {
	if s.ticks != settleTicks || s.set == nil || s.dead || s.out.half || !s.set.Receive {
		return -1
	}
	most := min(int(s.set.buf.Spare(heard)/tickTime)-spareLeft, mostEarlier)
	if most < leastEarlier || !sh.mu.TryLock() {
		return -1
	}
	defer sh.mu.Unlock()
	full := 2*sh.count/int(slots) + 2 // calls of one sender may all come at once
	for ; most >= leastEarlier; most-- {
		to := (s.slot + int(slots) - most) % int(slots)
		if sh.placed[to] < full {
			sh.placed[s.slot]--
			sh.placed[to]++
			s.slot = to
			return to
		}
	}
	return -1
}

// release lets s go; false: later, somebody is adding a session.
func (sh *shard) release(s *Session) bool {
	if !sh.mu.TryLock() {
		return false
	}
	sh.placed[s.slot]--
	sh.count--
	sh.mu.Unlock()
	if s.out.half {
		sh.half[s.slot]--
	}
	sh.live--
	s.end()
	return true
}

// guard serves s so that a panic of its Sink or Source ends it and no other.
func (sh *shard) guard(s *Session, now time.Duration, serve func(*Session, *shard, time.Duration)) {
	if s.dead {
		s.refuseDigits()
		return
	}
	defer func() {
		if r := recover(); r != nil {
			s.dead = true
			s.refuseDigits()
			sh.media.fault(fault{port: s.port, what: r, stack: debug.Stack()})
			defer func() { _ = recover() }() // the one who is notified may be what panics
			s.tell(telephony.MediaFailed{})
		}
	}()
	serve(s, sh, now)
}

// measure counts how late a tick began.
func (sh *shard) measure(now, late time.Duration) {
	if now-sh.lateSince >= lateWindow {
		sh.late[1] = sh.late[0]
		sh.late[0].reset()
		sh.lateSince = now
	}
	sh.late[0].add(late)
	if n := sh.late[0].n; n%64 == 0 || late > 5*time.Millisecond {
		sh.load.Store(int64(percentile99(&sh.late[0], &sh.late[1])))
	}
}
