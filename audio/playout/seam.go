package playout

import (
	"time"

	"github.com/patchcord/patchcord/audio"
)

// seamTime is how long speech takes to fall silent where it is stopped and to
// rise where it goes on: too short to be heard as a fade, long enough not to
// be heard as a click.
const seamTime = 5 * time.Millisecond

// seam mends the places where speech was cut: by a pause, a cancel, another
// reply, a rewind, or sound that comes late. What falls is the last sample
// alone, so no sound of a reply that is over comes out and none is said that is
// not counted; what rises are the samples themselves. The media plane owns it.
type seam struct {
	length int     // samples of a rise or a fall; 0: nothing is mended
	last   int16   // the last sample, of a frame that was full of speech
	full   bool    // the last frame was
	from   float32 // where the fall began
	fall   int     // samples of it left
	rise   int     // samples of the rise left
}

func newSeam(rate int) seam { return seam{length: audio.Samples(seamTime, rate)} }

// mend makes dst whole, whose first n samples are speech, and reports whether
// any sound is in the rest of it. cut tells that the speech does not follow
// what was said last, first that it is the beginning of a reply.
func (s *seam) mend(dst []int16, n int, cut, first bool) bool {
	cut = cut || n == 0
	if cut && s.full {
		s.begin(s.last)
	}
	if n > 0 && (cut || !s.full) && !first {
		s.rise = s.length
	}
	for i := 0; i < n && s.rise > 0; i++ {
		dst[i] = int16(int(dst[i]) * (s.length - s.rise + 1) / (s.length + 1)) //nolint:gosec // it grows smaller
		s.rise--
	}
	clear(dst[n:])
	s.add(dst[:n])
	s.last, s.full = 0, n == len(dst)
	if n > 0 {
		s.last = dst[n-1]
	}
	if n > 0 && n < len(dst) {
		s.begin(s.last)
	}
	return s.add(dst[n:])
}

func (s *seam) begin(from int16) {
	if s.length > 0 && from != 0 {
		s.from, s.fall = float32(from), s.length
	}
}

// add lets the fall go on over dst and reports whether there was any.
func (s *seam) add(dst []int16) bool {
	n := min(len(dst), s.fall)
	for i := range dst[:n] {
		dst[i] = clip(float32(dst[i]) + s.from*float32(s.fall)/float32(s.length+1))
		s.fall--
	}
	return n > 0
}
