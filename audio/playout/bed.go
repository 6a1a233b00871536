package playout

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/patchcord/patchcord/audio"
)

// fade is how long a bed takes to come and to go.
const fade = 50 * time.Millisecond

// bed is a sound without words: ambience under the speech, or what is heard in
// its place while the caller waits.
type bed struct {
	src  audio.Source // nil: none
	gain float32
	buf  []int16 // one frame, the bed's own
	turn uint64  // rises with each bed
	hold bool    // no speech goes over it
}

// SetBed mixes a source under the speech from the next frame on, at the given
// gain (1: as it is); nil ends it. Beds come and go within 50 ms, the old one
// before the new one. A bed never counts as speech. Its Next is called by the
// media plane.
func (p *Playout) SetBed(src audio.Source, gain float32) {
	p.setBed(&p.bed, bed{src: src, gain: max(gain, 0)})
}

// SetHold plays a source in the place of the bed while no reply is in front,
// until it is set to nil: the sound of waiting. It comes and goes within 50 ms
// like a bed, and speech does not go over it: a reply that comes to the front
// begins when it has gone, three frames later at most.
func (p *Playout) SetHold(src audio.Source, gain float32) {
	p.setBed(&p.hold, bed{src: src, gain: max(gain, 0), hold: true})
}

func (p *Playout) setBed(to *bed, b bed) {
	if b.src != nil {
		b.buf = make([]int16, audio.Samples(audio.FrameTime, p.rate))
	}
	p.mu.Lock()
	p.beds++
	b.turn = p.beds
	*to = b
	p.mu.Unlock()
}

// wantedLocked is the bed that shall be heard in a frame with n samples of
// speech.
func (p *Playout) wantedLocked(n int) bed {
	if p.hold.src != nil && p.front == nil && n == 0 {
		return p.hold
	}
	return p.bed
}

// holding reports that a sound of waiting is heard still.
func (s *sounding) holding() bool { return s.src != nil && s.hold && s.level > 0 }

// sounding is the bed that is heard now and how far it has faded in.
type sounding struct {
	bed
	level float32 // 0 to 1 of the gain
	step  float32 // of level, per sample
}

// mix adds the bed to dst and reports whether there was any.
func (s *sounding) mix(dst []int16, want bed) bool {
	if s.src == nil {
		if want.src == nil {
			return false
		}
		s.bed, s.level = want, 0
	}
	heard := false
	for len(dst) > 0 && s.src != nil {
		n := min(len(dst), len(s.buf))
		if s.src.Next(s.buf[:n]) {
			heard = true
		} else {
			clear(s.buf[:n])
		}
		s.add(dst[:n], s.turn == want.turn)
		if s.level == 0 && s.turn != want.turn { // gone: the next one comes
			s.bed = want
		}
		dst = dst[n:]
	}
	return heard
}

// add mixes one piece, fading in or out.
func (s *sounding) add(dst []int16, in bool) {
	step := s.step
	if !in {
		step = -step
	}
	for i, v := range s.buf[:len(dst)] {
		s.level = min(max(s.level+step, 0), 1)
		dst[i] = clip(float32(dst[i]) + float32(v)*s.gain*s.level)
	}
}

func clip(v float32) int16 {
	return int16(min(max(v, math.MinInt16), math.MaxInt16))
}

// envelopeSteps is how many frames the envelope reaches back: 600 ms.
const envelopeSteps = 30

// envelope is the loudness of the last frames handed out. The media plane
// writes it, anyone reads: a reader may see one step newer than the others.
type envelope struct {
	rms  [envelopeSteps]atomic.Uint32 // bits of a float32
	next atomic.Uint32
}

func (e *envelope) add(pcm []int16) {
	var sum int64
	for _, v := range pcm {
		sum += int64(v) * int64(v)
	}
	rms := math.Sqrt(float64(sum)/float64(max(len(pcm), 1))) / (1 << 15)
	e.put(float32(rms))
}

func (e *envelope) addSilence() { e.put(0) }

func (e *envelope) put(rms float32) {
	at := e.next.Load()
	e.rms[at%envelopeSteps].Store(math.Float32bits(rms))
	e.next.Store(at + 1)
}

// Envelope fills dst with the loudness (RMS, 0 to 1) of the last frames handed
// out, oldest first, at most 600 ms in steps of a frame, and returns how many
// there were.
func (p *Playout) Envelope(dst []float32) int {
	at := p.envelope.next.Load()
	n := min(uint32(len(dst)), at, envelopeSteps)
	for i := range n {
		dst[i] = math.Float32frombits(p.envelope.rms[(at-n+i)%envelopeSteps].Load())
	}
	return int(n)
}
