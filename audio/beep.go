package audio

import (
	"math"
	"time"
)

// BeepDetector finds the tone after which a mailbox records: one frequency between 350
// and 2200 Hz that stands still, and silence behind it. Push takes the caller's
// frames and allocates nothing. Music and voices have such tones too, so it
// should listen only where a mailbox is expected.
type BeepDetector struct {
	rate   int
	step   float64 // Hz between two places of the bank
	coeff  []float64
	window []float64
	gain   float64 // of the window: power of a sine as it is found, over its own

	hz    float64 // of the tone so far
	tone  int     // frames it lasts
	level float64 // its power, at its loudest
	quiet int     // frames since
	odd   int     // frames in it that do not fit
}

const (
	beepLow, beepHigh = 350.0, 2200.0 // Hz
	beepDrift         = 25.0          // Hz that it may stray
	beepShare         = 0.7           // of a frame's power that is the tone's
	beepFloor         = 1e-5          // mean square of -50 dB: less is no tone
	beepFall          = 0.25          // of the power at the tone (-6 dB): less is silence
	beepTone          = 200 * time.Millisecond
	beepLongest       = 2500 * time.Millisecond
	beepSilence       = 100 * time.Millisecond
)

// NewBeepDetector listens at a rate, Hz.
func NewBeepDetector(rate int) *BeepDetector {
	n := Samples(FrameTime, rate)
	b := &BeepDetector{rate: rate, step: 50, window: make([]float64, n)}
	sum := 0.0
	for i := range b.window {
		b.window[i] = 0.5 - 0.5*math.Cos(2*math.Pi*(float64(i)+0.5)/float64(n))
		sum += b.window[i]
	}
	b.gain = 2 / (sum * sum)
	for hz := beepLow - b.step; hz <= beepHigh+b.step; hz += b.step {
		b.coeff = append(b.coeff, 2*math.Cos(2*math.Pi*hz/float64(rate)))
	}
	return b
}

// Push takes the next 20 ms and tells whether a beep has just ended.
func (b *BeepDetector) Push(pcm []int16) bool {
	if len(pcm) != len(b.window) {
		return false
	}
	power := 0.0
	for _, v := range pcm {
		x := float64(v) / (1 << 15)
		power += x * x
	}
	power /= float64(len(pcm))
	if b.tone >= int(beepTone/FrameTime) && power < b.level*beepFall {
		if b.quiet++; b.quiet < int(beepSilence/FrameTime) {
			return false
		}
		long := b.tone
		b.forget()
		return long <= int(beepLongest/FrameTime)
	}
	hz, share := 0.0, 0.0
	if power > beepFloor {
		hz, share = b.peak(pcm, power)
	}
	switch {
	case share < beepShare:
		// One frame may be cut, or spoilt by noise.
		if b.odd++; b.odd > 1 {
			b.forget()
		}
	case b.tone > 0 && math.Abs(hz-b.hz) <= beepDrift:
		b.tone++
		b.hz += (hz - b.hz) / float64(b.tone)
		b.level, b.quiet, b.odd = max(b.level, power), 0, 0
	default:
		b.forget()
		b.hz, b.tone, b.level = hz, 1, power // it moved: another one
	}
	return false
}

func (b *BeepDetector) forget() { b.hz, b.tone, b.level, b.quiet, b.odd = 0, 0, 0, 0, 0 }

// peak is the strongest frequency of a frame and its share of the power.
func (b *BeepDetector) peak(pcm []int16, power float64) (hz, share float64) {
	best, at := 0.0, 0
	var before, after, last float64
	for i, c := range b.coeff {
		var s1, s2 float64
		for j, v := range pcm {
			s1, s2 = float64(v)*b.window[j]/(1<<15)+c*s1-s2, s1
		}
		p := s1*s1 + s2*s2 - c*s1*s2
		if i == at+1 && best > 0 {
			after = p
		}
		if p > best {
			best, at, before, after = p, i, last, 0
		}
		last = p
	}
	if at == 0 || at == len(b.coeff)-1 {
		return 0, 0
	}
	// Between the places of the bank: the peak of a parabola through the amplitudes.
	x, y, z := math.Sqrt(before), math.Sqrt(best), math.Sqrt(after)
	off := 0.0
	if d := x - 2*y + z; d < 0 {
		off = 0.5 * (x - z) / d
	}
	hz = beepLow - b.step + b.step*(float64(at)+off)
	return hz, best * b.gain / power
}
