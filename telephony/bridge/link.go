package bridge

import (
	"sync/atomic"
	"time"

	"github.com/patchcord/patchcord/audio"
)

const (
	slots = 8 // frames of a ring; one is kept free, so that the last one taken can fade

	// A link is looked at over a window of so many frames, 1 s: what waited the
	// least tells how much more than needed all did.
	window = 50

	scarce   = 2 * time.Millisecond       // waiting less, a frame soon comes too late: in silence one is put in
	scarcest = scarce / 4                 // … and now wherever
	plenty   = audio.FrameTime + 3*scarce // waiting more, all of them: in silence one is left out
	tooMuch  = 2 * audio.FrameTime        // … and now wherever
	late     = 3 * audio.FrameTime        // waiting more, a frame is not heard at all
	fade     = 2500 * time.Microsecond    // of a voice that breaks off or sets in
)

// link brings what one says to another: a ring from the thread of the one's
// leg, the only writer, to that of the other's, the only reader.
type link struct {
	from  *Party // nil: a voice
	voice *Voice
	to    *Party

	head atomic.Uint64 // frames put
	tail atomic.Uint64 // frames taken
	ring [slots]frame
	full atomic.Uint64 // frames that found no room

	// The rest is the reader's.
	up, down *audio.Resampler // 8 to 16 kHz, 16 to 8 kHz
	least    time.Duration    // what a frame of this window waited
	most     time.Duration
	reads    int // of this window
	many     bool
	far      bool    // many, and it is time to blend
	playing  bool    // the last frame was there
	resumed  bool    // the next one sets in
	floor    float32 // mean level of what might be silence, samples
	made     [maxSamples]int16
	count    counts
}

// frame is 20 ms in a ring.
type frame struct {
	at  time.Duration // it was put
	n   int
	pcm [maxSamples]int16
}

func (f *frame) sound() []int16 { return f.pcm[:f.n] }

func newLink(from *Party, voice *Voice, to *Party) *link {
	return &link{
		from: from, voice: voice, to: to, least: late,
		up: audio.NewResampler(8000, 16000), down: audio.NewResampler(16000, 8000),
	}
}

// put takes a frame of the speaker's. Where the listener does not come for
// them the newest is lost: the others are too old soon.
func (l *link) put(pcm []int16, now time.Duration) {
	head := l.head.Load()
	if head-l.tail.Load() >= slots-1 {
		l.full.Add(1)
		return
	}
	f := &l.ring[head%slots]
	f.at, f.n = now, copy(f.pcm[:], pcm)
	l.head.Store(head + 1)
}

// next fills dst with the frame that is due; false: there is none.
func (l *link) next(dst []int16, now time.Duration) bool {
	head, tail := l.head.Load(), l.tail.Load()
	for ; tail != head && now-l.ring[tail%slots].at > late; tail++ {
		l.count.late.Add(1)
		l.resumed = l.playing
	}
	if tail == head {
		l.tail.Store(tail)
		return l.dry(dst, tail)
	}
	f := &l.ring[tail%slots]
	l.watch(now - f.at)
	pcm, taken := f.sound(), uint64(1)
	switch {
	case l.many && head-tail > 1 && l.quiet(pcm):
		pcm, taken = l.ring[(tail+1)%slots].sound(), 2
		l.settled(&l.count.dropped)
	case l.far && head-tail > 1:
		pcm, taken = l.blend(pcm, l.ring[(tail+1)%slots].sound()), 2
		l.settled(&l.count.blended)
	case now-f.at < scarce && l.quiet(pcm):
		taken = 0 // and it is heard once more
		l.settled(&l.count.inserted)
	case now-f.at < scarcest && l.playing && tail > 0:
		// Begins as what is due, after what was heard last, and ends as that.
		pcm, taken = l.blend(pcm, l.ring[(tail-1)%slots].sound()), 0
		l.settled(&l.count.blended)
	}
	if l.resumed {
		pcm = l.rise(pcm)
	}
	l.playing, l.resumed = true, false
	ok := l.fit(dst, pcm)
	l.tail.Store(tail + taken)
	return ok
}

// watch notes how long a frame waited.
func (l *link) watch(waited time.Duration) {
	l.least, l.most = min(l.least, waited), max(l.most, waited)
	if l.reads++; l.reads < window {
		return
	}
	l.many, l.far = l.least >= plenty, l.least >= tooMuch
	l.count.least.Store(int64(l.least))
	l.count.most.Store(max(int64(l.most), l.count.most.Load()))
	l.restart()
}

// settled counts a frame that was left out or put in; whether it was enough,
// another window tells.
func (l *link) settled(c *atomic.Uint64) {
	c.Add(1)
	l.many, l.far = false, false
	l.restart()
}

func (l *link) restart() { l.least, l.most, l.reads = late, 0, 0 }

// quiet tells whether a frame is no louder than the background of the line.
func (l *link) quiet(pcm []int16) bool {
	sum := int32(0)
	for _, v := range pcm {
		sum += max(int32(v), -int32(v))
	}
	level := float32(sum) / float32(max(len(pcm), 1))
	if level < l.floor {
		l.floor = level
	} else {
		l.floor += (level - l.floor) / 512 // up within some 10 s
	}
	return level <= max(100, 2*min(l.floor, 400))
}

// blend is one frame in place of two that follow each other.
func (l *link) blend(a, b []int16) []int16 {
	n := min(len(a), len(b))
	for i := range n {
		l.made[i] = int16((int(a[i])*(n-i) + int(b[i])*i) / n)
	}
	return l.made[:n]
}

// rise is a frame that sets in after one that was missing.
func (l *link) rise(pcm []int16) []int16 {
	n := copy(l.made[:], pcm)
	edge := n * int(fade) / int(audio.FrameTime)
	for i := range edge {
		l.made[i] = int16(int(l.made[i]) * i / edge)
	}
	return l.made[:n]
}

// dry is what is heard when a frame is missing: the last one dying away once,
// backwards so that it does not click, and nothing after it.
func (l *link) dry(dst []int16, tail uint64) bool {
	if !l.playing {
		return false
	}
	l.playing, l.resumed = false, true
	l.count.starved.Add(1)
	last := l.ring[(tail-1)%slots].sound()
	clear(l.made[:])
	edge := len(last) * int(fade) / int(audio.FrameTime)
	for i := range edge {
		l.made[i] = int16(int(last[len(last)-1-i]) * (edge - i) / edge)
	}
	return l.fit(dst, l.made[:len(last)])
}

// fit fills dst with a frame of whichever rate.
func (l *link) fit(dst, pcm []int16) bool {
	switch len(dst) {
	case len(pcm):
		copy(dst, pcm)
	case 2 * len(pcm):
		l.up.Append(dst[:0:len(dst)], pcm)
	case len(pcm) / 2:
		l.down.Append(dst[:0:len(dst)], pcm)
	default:
		return false
	}
	return true
}
