package engine

import (
	"sync/atomic"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/vad"
)

// sound is what the media plane knows of the line that tells a caller's words
// from those of our echo: where voices were, and where an echo. The media plane
// writes, the session reads.
type sound struct {
	kind  atomic.Int32 // vad.Echo of the last frame
	end   atomic.Int64 // the next frame
	voice stretch      // the last voice, up to now while there is one
	last  stretch      // the one before it
	echo  stretch      // the last echo

	speaking, echoing bool // in the last frame: the media plane's own
}

// stretch is some frames in a row, counted since the call's first: its first one
// and the one behind its last, 0 for none.
type stretch struct{ v atomic.Uint64 }

func (p *stretch) set(from, to int64) {
	p.v.Store(uint64(from)<<32 | uint64(to)&(1<<32-1)) //nolint:gosec // not below 0
}

func (p *stretch) get() (from, to int64) {
	v := p.v.Load()
	return int64(v >> 32), int64(v & (1<<32 - 1)) //nolint:gosec // 32 bits
}

// holds says whether some of the frames from one to another lie there, or near.
func (p *stretch) holds(from, to, near int64) bool {
	a, b := p.get()
	return b > 0 && from < b+near && to > a-near
}

// until is how many frames before now it ended; there is none where none was.
func (p *stretch) until(now int64) (frames int64, was bool) {
	_, b := p.get()
	return now - b, b > 0
}

const (
	// about is how many frames the place of a word, as recognisers tell it, may
	// be off by.
	about = int64(300 * time.Millisecond / audio.FrameTime)
	// unknown is how many frames there may be of an echo until it is known.
	unknown = int64(time.Second / audio.FrameTime)
	// voiceWords is how many frames after a voice or an echo its words may come,
	// where a recogniser does not tell their place.
	voiceWords = int64(3 * time.Second / audio.FrameTime)
)

// push takes what the detector made of a frame.
func (l *sound) push(speaking bool, echo vad.Echo) {
	at := l.end.Load()
	if speaking {
		from, to := l.voice.get()
		if !l.speaking {
			l.last.set(from, to)
			from = at
		}
		l.voice.set(from, at+1)
	}
	if echo == vad.Known {
		from, _ := l.echo.get()
		if !l.echoing {
			from = max(0, at-unknown)
		}
		l.echo.set(from, at+1)
	}
	l.speaking, l.echoing = speaking, echo == vad.Known
	l.kind.Store(int32(echo))
	l.end.Store(at + 1)
}

// unmask takes the last voice back: it was an echo.
func (l *sound) unmask() {
	l.voice.set(l.last.get())
	l.speaking = false
}

// alike says whether the sound of this moment may be our echo.
func (l *sound) alike() bool { return vad.Echo(l.kind.Load()) == vad.Alike || l.likely() }

// likely says whether it soon turns out to be our echo, or not to be.
func (l *sound) likely() bool { return vad.Echo(l.kind.Load()) == vad.Likely }

// Words of a sound that is likely our echo are not judged before it is known:
// they are looked at again every doubtEvery, doubtMost times.
const (
	doubtEvery = 100 * time.Millisecond
	doubtMost  = 5
)

// echoed says whether words are of an echo: there was one where they lie, and
// no voice. Both times are 0 where a recogniser does not tell.
func (l *sound) echoed(start, end time.Duration) bool {
	if end > 0 {
		from, to := int64(start/audio.FrameTime), int64(end/audio.FrameTime)
		return l.echo.holds(from, to, about) && !l.voice.holds(from, to, about) && !l.last.holds(from, to, about)
	}
	now := l.end.Load()
	echo, known := l.echo.until(now)
	voice, spoke := l.voice.until(now)
	return known && echo <= voiceWords && (!spoke || voice > voiceWords)
}
