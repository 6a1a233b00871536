package engine

import (
	"sync"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/codec"
)

// Sound is kept in blocks of 300 ms, as many as what a recogniser has not had or
// not settled takes, up to what an outage may last without a word being lost.
const (
	blockFrames = 15
	ringMost    = 10 * time.Second
	mostBlocks  = int(ringMost/audio.FrameTime)/blockFrames + 2 // the first and the last may not be whole
)

const (
	// unheard is how long after its end a voice that a recogniser had nothing to
	// say to counts as none: it is not replayed any more.
	unheard = 6 * time.Second / audio.FrameTime // frames
	// tail is how much longer than a provider's words a voice may sound: no word
	// is as short.
	tail = 100 * time.Millisecond / audio.FrameTime // frames
	// before is how much of the quiet before a voice is replayed with it.
	before = 600 * time.Millisecond / audio.FrameTime // frames
	// mayChange is how long words of a turn that was taken may still come
	// (conv:B12); what they belong to is not replayed after it.
	mayChange = 3 * time.Second
)

// ring is the sound of a call on its way to the recogniser: what was not sent
// yet, and what was sent and may have to be sent again, to another stream, since
// its words are not settled (conv:B7). Frames are numbered from the call's
// first. The media plane keeps, the goroutine of recognise takes, the one that
// reads its events settles, and the session makes room.
type ring struct {
	wire  audio.Encoding // of the call: how sound is kept
	frame int            // samples

	mu     sync.Mutex // guards what follows
	blocks []*block   // the oldest first; room for mostBlocks
	free   *block     // the next one, nil: to be made
	least  int64      // frames that are kept in any case
	first  int64      // the oldest frame that is kept, the first of a block
	next   int64      // the next one to be sent
	end    int64      // the next one to come
	last   time.Time
	until  int64 // frames before it are settled
	voiced int64 // the last frame with a voice that was loud in it, -1 before the first
	listen bool  // a recogniser has all that was kept, but for what is on its way
	asked  bool  // for a block
	lost   int64 // frames that no recogniser was sent

	taken int64     // the end of the turn taken last
	when  time.Time // it was taken

	signal chan struct{} // capacity 1: one signal stands for all frames that wait
}

// heardFrame is what is known of 20 ms of sound. The sound of a G.711 call is
// kept by its own law, which is half the size and gives the same samples back.
type heardFrame struct {
	n     uint16 // samples
	voice bool   // the call's detector hears one
}

// block is the sound of some frames.
type block struct {
	frames [blockFrames]heardFrame
	law    []byte  // of a G.711 call
	pcm    []int16 // of any other
}

func newRing(f audio.Format) *ring {
	r := &ring{
		wire: f.Encoding, frame: audio.Samples(audio.FrameTime, f.Rate), voiced: -1, signal: make(chan struct{}, 1),
		blocks: make([]*block, 0, mostBlocks), least: int64(before),
	}
	for range before/blockFrames + 1 { // all that a quiet line takes
		r.blocks = append(r.blocks, r.block())
	}
	return r
}

func (r *ring) block() *block {
	if r.wire == audio.MuLaw || r.wire == audio.ALaw {
		return &block{law: make([]byte, r.frame*blockFrames)}
	}
	return &block{pcm: make([]int16, r.frame*blockFrames)}
}

// grow makes room for another block. The session does it: the media plane
// allocates nothing.
func (r *ring) grow() {
	b := r.block()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.free, r.asked = b, false
}

// atLeast keeps that much sound in any case, for what judges by it.
func (r *ring) atLeast(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.least = max(r.least, int64(min(d, ringMost)/audio.FrameTime))
}

// at is the place of a frame.
func (r *ring) at(i int64) (*block, int) {
	n := int(i - r.first)
	return r.blocks[n/blockFrames], n % blockFrames
}

// room is how many frames there is place for.
func (r *ring) room() int64 { return int64(len(r.blocks) * blockFrames) }

// needed is the oldest frame that will be needed when the frame end comes next,
// with a recogniser that is as far behind as now.
func (r *ring) needed(end int64) int64 {
	from := min(end-r.least, end-(r.end-r.next))
	if r.unsettled() {
		from = min(from, r.until)
	}
	return from
}

// unsettled says whether there are words that may have to be heard again.
func (r *ring) unsettled() bool { return r.voiced >= r.until+int64(tail) }

// turnOver makes the next block the one that is kept in: one that nobody needs
// any more, or one that was made, or the oldest.
func (r *ring) turnOver() {
	n, from := 0, r.needed(r.end)
	for n < len(r.blocks) && r.first+int64((n+1)*blockFrames) <= from {
		n++
	}
	if n == 0 && (r.free == nil || len(r.blocks) == mostBlocks) {
		n = 1
	}
	next := r.free
	r.free = nil
	if n > 0 { // where one is not needed another is not, either
		next = r.blocks[0]
		r.first += int64(n * blockFrames)
		if r.next < r.first {
			r.lost += r.first - r.next
			r.next = r.first
		}
		rest := copy(r.blocks, r.blocks[n:])
		clear(r.blocks[rest:])
		r.blocks = r.blocks[:rest]
	}
	r.blocks = append(r.blocks, next)
}

// store puts sound into a place, load gets it back.
func (r *ring) store(b *block, at int, pcm []int16) {
	from := at * r.frame
	switch r.wire {
	case audio.MuLaw:
		codec.EncodeMuLaw(b.law[from:], pcm)
	case audio.ALaw:
		codec.EncodeALaw(b.law[from:], pcm)
	default:
		copy(b.pcm[from:], pcm)
	}
}

func (r *ring) load(dst []int16, b *block, at int) int {
	from := at * r.frame
	to := from + int(b.frames[at].n)
	switch r.wire {
	case audio.MuLaw:
		return codec.DecodeMuLaw(dst, b.law[from:to])
	case audio.ALaw:
		return codec.DecodeALaw(dst, b.law[from:to])
	default:
		return copy(dst, b.pcm[from:to])
	}
}

// keep takes a frame; the oldest go where there is no room. It reports, once for
// each, that another block is to be made.
func (r *ring) keep(pcm []int16, voice, loud bool, now time.Time) (low bool) {
	r.mu.Lock()
	if r.end == r.first+r.room() {
		r.turnOver()
	}
	n := min(len(pcm), r.frame)
	b, at := r.at(r.end)
	b.frames[at] = heardFrame{uint16(n), voice} //nolint:gosec // a frame has 320 samples at most
	r.store(b, at, pcm[:n])
	if voice && loud {
		r.voiced = r.end
	}
	r.end++
	r.last = now
	if r.listen && r.voiced >= r.until && r.end-r.voiced > int64(unheard) {
		r.until = r.voiced + 1
	}
	if r.listen && !r.unsettled() { // a voice that begins now is replayed from here
		r.until = max(r.until, min(r.next, r.end-int64(before)))
	}
	full := r.first + r.room()
	if r.free == nil && !r.asked && len(r.blocks) < mostBlocks && r.needed(full) < r.first+blockFrames {
		r.asked, low = true, true
	}
	r.mu.Unlock()
	select {
	case r.signal <- struct{}{}:
	default:
	}
	return low
}

// take copies the next frame into dst and tells its number and whether a voice
// is in it.
func (r *ring) take(dst []int16) (n int, i int64, voice, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next == r.end {
		r.listen = true
		return 0, r.next, false, false
	}
	b, at := r.at(r.next)
	n, voice = r.load(dst, b, at), b.frames[at].voice
	r.next++
	return n, r.next - 1, voice, true
}

// rewind lets a new stream begin where the words are not settled, with a bit of
// the quiet before them, and returns the frame it begins with.
func (r *ring) rewind(now time.Time) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.taken > r.until && now.Sub(r.when) > mayChange {
		r.until = r.taken
	}
	from := max(r.first, r.until)
	if r.voiced < from { // nobody has said anything since
		from = max(from, r.end-int64(before))
	} else {
		i := from
		for i < r.end && !r.voice(i) {
			i++
		}
		from = max(from, i-int64(before))
	}
	r.next, r.listen = min(from, r.next), false
	return r.next
}

func (r *ring) voice(i int64) bool {
	b, at := r.at(i)
	return b.frames[at].voice
}

// away tells that no recogniser listens.
func (r *ring) away() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listen = false
}

// settle tells that the words of the frames before i are settled.
func (r *ring) settle(i int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.until = max(r.until, min(i, r.next))
}

// turn tells that what was said before a time is a turn: its words are settled
// as soon as they cannot change any more.
func (r *ring) turn(end, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last.IsZero() {
		return
	}
	r.until = max(r.until, min(r.taken, r.next))
	r.taken, r.when = max(0, r.end-int64(r.last.Sub(end)/audio.FrameTime)), now
}

// heard is the sound up to now, as much as is asked for and kept.
func (r *ring) heard(d time.Duration) []int16 {
	r.mu.Lock()
	defer r.mu.Unlock()
	from := max(r.first, r.end-int64(d/audio.FrameTime))
	pcm := make([]int16, 0, int(r.end-from)*r.frame)
	for i := from; i < r.end; i++ {
		b, at := r.at(i)
		n := r.load(pcm[len(pcm):len(pcm)+r.frame], b, at)
		pcm = pcm[:len(pcm)+n]
	}
	return pcm
}

// bytes is how much memory the sound takes.
func (r *ring) bytes() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.blocks)
	if r.free != nil {
		n++
	}
	each := r.frame
	if r.wire != audio.MuLaw && r.wire != audio.ALaw {
		each *= 2
	}
	return n * blockFrames * (each + 4)
}
