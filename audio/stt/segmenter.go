package stt

import (
	"time"

	"github.com/patchcord/patchcord/audio"
)

// PreRoll is how far back [Stream.Speech] may place the beginning of a voice.
const PreRoll = 600 * time.Millisecond

// MaxUtterance is how long an utterance is before a [Segmenter] cuts it: a
// detector that music keeps open makes no utterance without end.
const MaxUtterance = 30 * time.Second

// Segmenter cuts the sound of a call into utterances at the edges that its
// voice detector found, for providers that recognise whole utterances. Each
// begins with the 600 ms before its edge, none of which belonged to the one
// before. It is used by the goroutine that calls Send and Speech.
type Segmenter struct {
	rate int
	pos  int64 // samples taken so far
	on   bool
	from int64 // where the open utterance begins

	ring []int16 // the sound between utterances, the last PreRoll of it
	next int     // where the ring's next sample goes
	held int     // samples in the ring
}

// NewSegmenter makes one for sound of rate Hz.
func NewSegmenter(rate int) *Segmenter {
	return &Segmenter{rate: rate, ring: make([]int16, audio.Samples(PreRoll, rate))}
}

// Send takes the next samples and returns those of the open utterance: all or
// none. cut says that this utterance is now MaxUtterance long: the provider
// ends it and begins another.
func (s *Segmenter) Send(pcm []int16) (voice []int16, cut bool) {
	s.pos += int64(len(pcm))
	if s.on {
		return pcm, s.pos-s.from >= int64(audio.Samples(MaxUtterance, s.rate))
	}
	keep := pcm[max(0, len(pcm)-len(s.ring)):]
	for len(keep) > 0 {
		n := copy(s.ring[s.next:], keep)
		keep = keep[n:]
		s.next = (s.next + n) % len(s.ring)
		s.held = min(s.held+n, len(s.ring))
	}
	return nil, false
}

// Begin opens an utterance and returns its first samples, those before the
// edge. opened is false where one is open already.
func (s *Segmenter) Begin() (before []int16, opened bool) {
	if s.on {
		return nil, false
	}
	s.on, s.from = true, s.pos-int64(s.held)
	start := (s.next - s.held + len(s.ring)) % len(s.ring)
	for i := range s.held {
		before = append(before, s.ring[(start+i)%len(s.ring)])
	}
	s.held, s.next = 0, 0
	return before, true
}

// End closes the utterance and tells where it lies in the stream. closed is
// false where none is open.
func (s *Segmenter) End() (start, end time.Duration, closed bool) {
	if !s.on {
		return 0, 0, false
	}
	s.on = false
	return s.at(s.from), s.at(s.pos), true
}

// Start is where the open utterance begins, stream time.
func (s *Segmenter) Start() time.Duration { return s.at(s.from) }

// On tells whether an utterance is open.
func (s *Segmenter) On() bool { return s.on }

func (s *Segmenter) at(n int64) time.Duration { return audio.Duration(int(n), s.rate) }
