package audio

// Clip is a piece of sound as a [Source]: once, or again and again.
type Clip struct {
	pcm  []int16
	at   int
	loop bool
}

// NewClip makes a source of samples, at the rate of the leg that pulls it. The
// samples are not copied: several clips may share them.
func NewClip(pcm []int16, loop bool) *Clip { return &Clip{pcm: pcm, loop: loop} }

// Next fills dst; what is missing after the end is silence.
func (c *Clip) Next(dst []int16) bool {
	n := 0
	for n < len(dst) {
		k := copy(dst[n:], c.pcm[c.at:])
		n, c.at = n+k, c.at+k
		if c.at < len(c.pcm) {
			break
		}
		if !c.loop || len(c.pcm) == 0 {
			break
		}
		c.at = 0
	}
	clear(dst[n:])
	return n > 0
}

// Tee is a sink that hands each frame to all of the sinks, in order.
func Tee(sinks ...Sink) Sink { return tee(sinks) }

type tee []Sink

func (t tee) Hear(f Frame) {
	for _, s := range t {
		s.Hear(f)
	}
}

// Tap is a source whose frames are shown to heard on their way, ok telling
// whether there was anything. heard runs on the media plane and does not keep
// pcm.
func Tap(s Source, heard func(pcm []int16, ok bool)) Source { return tap{s, heard} }

type tap struct {
	src   Source
	heard func([]int16, bool)
}

func (t tap) Next(dst []int16) bool {
	ok := t.src.Next(dst)
	t.heard(dst, ok)
	return ok
}
