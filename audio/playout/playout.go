// Package playout is what a call has to say, waiting to be said: the Source a
// leg pulls the agent's speech from, one per call.
//
// It guarantees that only one reply sounds at a time, that what was handed to
// the wire is counted to the sample and each sample once, that after
// [Playout.Cancel] has returned no sample of that reply comes out, and that a
// pause and its resume leave no gap. Next neither allocates nor waits for
// anything but one mutex, held for about the time of copying a frame.
//
// Speech belongs to a reply and in it to a segment, one request to the voice.
// The segments of a reply are numbered from 0 and sound in that order: one
// waits until those before it have ended, so a voice may be asked for the next
// sentence while the present one is still coming in. A reply waits until it is
// made the foreground.
//
//	Push(7, 0, …) Push(7, 0, …) EndSegment(7, 0) Push(7, 1, …) EndSegment(7, 1) EndReply(7)
//	Play(7)   Next Next Next …  Started, SegPlayed 0, SegPlayed 1, Played
package playout

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/patchcord/patchcord/audio"
)

const (
	maxSegments = 1 << 12 // of a reply; a segment beyond it is refused
	maxEdges    = 8       // told by one Next; the rest wait for the next one
	keptPlayed  = 4       // replies played to their end, kept for Position and Cancel
	rememberEnd = 64      // cancelled or forgotten replies whose late sound is known as such
)

// Keep is how much of what was said is kept for [Playout.Resume] to go back.
const Keep = 400 * time.Millisecond

// Playout is the speech of one call. Next belongs to the media plane and is
// called by one goroutine; everything else may be called by any.
type Playout struct {
	rate   int
	keep   int // samples kept behind the position
	notify func(Edge)

	mu      sync.Mutex // guards what follows, up to the blank line
	replies []*reply   // live ones, few
	front   *reply     // the one that sounds, nil when none does
	said    uint64     // the reply that sounded last
	moved   bool       // the place in it is another than that
	paused  bool
	pulled  int64 // samples asked for by Next since the start
	stats   Stats
	bed     bed                 // as it shall be
	hold    bed                 // in its place while no reply is in front
	beds    uint64              // set so far
	ended   [rememberEnd]uint64 // ring of ids that are over
	endedN  int
	floor   uint64 // ids up to here that are not live are over

	edges    [maxEdges]Edge // told after the lock is given back; media plane only
	nedges   int
	sounding sounding // the bed as it is; media plane only
	seam     seam     // media plane only
	envelope envelope
	head     atomic.Uint64 // the reply the last frame held sound of
}

// Stats counts what Next handed out.
type Stats struct {
	Speech    int64 // samples of replies, those said twice by a rewind counted twice
	Silence   int64 // samples without speech, a bed or nothing
	Underruns int   // times a reply that had begun had nothing to say
}

// New makes the playout of a call whose leg takes samples at rate Hz (8000 if
// it is not positive). notify, which may be nil, is called by Next without any
// lock held: it must not block, and may call back into the playout.
func New(rate int, notify func(Edge)) *Playout {
	if rate <= 0 {
		rate = 8000
	}
	if notify == nil {
		notify = func(Edge) {}
	}
	p := &Playout{rate: rate, keep: audio.Samples(Keep, rate), notify: notify}
	p.sounding.step = 1 / float32(max(audio.Samples(fade, rate), 1))
	p.seam = newSeam(rate)
	return p
}

var _ audio.Source = (*Playout)(nil)

// Push appends sound to a segment and takes ownership of pcm: the caller does
// not touch it again. It reports false, and drops pcm, when the reply is over
// or the segment has ended.
func (p *Playout) Push(id uint64, seg int, pcm []int16) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.replyLocked(id)
	if r == nil {
		return false
	}
	return r.push(seg, pcm)
}

// EndSegment says that no more sound of the segment comes. A segment without
// any sound must be ended as well, for the next one waits for it.
func (p *Playout) EndSegment(id uint64, seg int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.replyLocked(id); r != nil {
		r.end(seg)
	}
}

// EndReply says that no more sound of the reply comes and ends its segments.
func (p *Playout) EndReply(id uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.replyLocked(id); r != nil {
		r.endAll()
	}
}

// Shorten ends the reply with the segment that sounds, as soon as that is said.
// It reports whether anything behind it is left out by that.
func (p *Playout) Shorten(id uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.findLocked(id)
	return r != nil && r.shorten()
}

// Play makes the reply the foreground, the only one that sounds; what was
// pushed before sounds from the next frame on. A reply that was the foreground
// falls silent where it is until it is played again or cancelled. It reports
// false when the reply is over. Playing another reply ends a pause.
func (p *Playout) Play(id uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.replyLocked(id)
	if r == nil || r.played {
		return false
	}
	if p.front != r {
		p.front, p.paused = r, false
	}
	return true
}

// Pause silences the foreground reply from the next frame on, within 5 ms. Its
// position stays. Without a foreground it does nothing, so a pause can not outlive what
// it paused. It reports whether something is paused now.
func (p *Playout) Pause() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.paused = p.front != nil
	return p.paused
}

// Resume goes on after a Pause, from the last quiet spot at most rewind (and at
// most [Keep]) back, so that a word that was cut is said whole. Samples said
// again are not counted as heard again. It returns how far it went back.
func (p *Playout) Resume(rewind time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.paused {
		return 0
	}
	p.paused, p.moved = false, true
	limit := min(audio.Samples(rewind, p.rate), p.keep)
	return audio.Duration(p.front.rewind(limit, p.rate), p.rate)
}

// Paused reports whether the foreground reply is paused.
func (p *Playout) Paused() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.paused
}

// Cancel drops all sound of the reply, at once, and returns what of it was
// handed to the wire. When it has returned, at most the frame Next gave out
// before can still be on its way, and the 5 ms in which its last sample falls
// to nothing. Sound pushed for the reply later is refused.
func (p *Playout) Cancel(id uint64) Heard {
	p.mu.Lock()
	r := p.findLocked(id)
	p.forgetLocked(id)
	p.mu.Unlock()
	if r == nil {
		return Heard{Reply: id}
	}
	return r.heard() // nobody else has it any more
}

// Position is what of the reply was handed to the wire so far.
func (p *Playout) Position(id uint64) Heard {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.findLocked(id); r != nil {
		return r.heard()
	}
	return Heard{Reply: id}
}

// Queued is how long the sound lasts that was pushed and is not yet said.
func (p *Playout) Queued(id uint64) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.findLocked(id); r != nil {
		return audio.Duration(r.queued(), p.rate)
	}
	return 0
}

// Foreground is the reply that sounds, is paused, or waits for its sound; 0
// when there is none. It falls back to 0 when the reply is played to its end.
func (p *Playout) Foreground() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.front == nil {
		return 0
	}
	return p.front.id
}

// Sounding is the reply the last frame held sound of, 0 if it held none.
func (p *Playout) Sounding() uint64 { return p.head.Load() }

// Now is the media time of the playout: the time of all frames pulled so far.
func (p *Playout) Now() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.timeLocked(0)
}

// Stats is what was handed out so far.
func (p *Playout) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// timeLocked is the media time n samples after what was pulled so far.
func (p *Playout) timeLocked(n int) time.Duration {
	return time.Duration((p.pulled + int64(n)) * int64(time.Second) / int64(p.rate))
}

// findLocked is the live reply of that id, or nil.
func (p *Playout) findLocked(id uint64) *reply {
	for _, r := range p.replies {
		if r.id == id {
			return r
		}
	}
	return nil
}

// replyLocked is findLocked, but begins a reply that is new; nil: it is over.
func (p *Playout) replyLocked(id uint64) *reply {
	if r := p.findLocked(id); r != nil {
		return r
	}
	if p.overLocked(id) {
		return nil
	}
	r := &reply{id: id}
	p.replies = append(p.replies, r)
	return r
}

// overLocked reports whether a reply that is not live has been.
func (p *Playout) overLocked(id uint64) bool {
	if id <= p.floor {
		return true
	}
	for _, e := range p.ended[:min(p.endedN, rememberEnd)] {
		if e == id {
			return true
		}
	}
	return false
}

// forgetLocked takes the reply out of the live ones and remembers it as over.
// Numbers are never used again, so one that is pushed out of the memory raises
// the floor under which everything is over.
func (p *Playout) forgetLocked(id uint64) {
	for i, r := range p.replies {
		if r.id != id {
			continue
		}
		p.replies = append(p.replies[:i], p.replies[i+1:]...)
		if p.front == r {
			p.front, p.paused = nil, false
		}
		break
	}
	if p.overLocked(id) {
		return
	}
	slot := &p.ended[p.endedN%rememberEnd]
	if p.endedN >= rememberEnd {
		p.floor = max(p.floor, *slot)
	}
	*slot = id
	p.endedN++
}

// playedLocked retires the foreground reply, which is said to its end. Its
// figures stay for a while.
func (p *Playout) playedLocked() {
	p.front.played = true
	p.front.drop()
	p.front, p.paused = nil, false
	kept := 0
	for i := len(p.replies) - 1; i >= 0; i-- {
		if !p.replies[i].played {
			continue
		}
		if kept++; kept > keptPlayed {
			p.forgetLocked(p.replies[i].id)
			return
		}
	}
}
