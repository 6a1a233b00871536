package audio

import (
	"math"
	"time"
)

// KeyDetector finds telephone keys in sound (ITU-T Q.23, Q.24). A key counts
// when it lasts 40 ms and never when it lasts less than 23; a pause ends it
// from 40 ms on, and none of less than 20 does. Push allocates nothing.
//
// Voices have no two clean tones that keep to the rules below; music may, so it
// should listen only where keys come in no other way.
type KeyDetector struct {
	rate       int
	window     int // samples that are looked at: 12.75 ms, whose resolution parts the rows
	hop        int // from one look to the next: 10 ms
	tone, over [8]float64
	buf        [2*160 + 204]float64 // what the last look left, and a frame at 16 kHz
	have       int

	key    byte // that is down, 0: none
	looks  int  // that saw it, in a row before it counts
	down   bool // it counts
	length int  // hops since it began
	missed int  // looks since that did not see it
}

// The rules of Q.24 with what real lines add to them.
const (
	keyFloor    = 8e-5 // mean square of the weaker tone: -38 dB of full scale is none
	keyShare    = 0.78 // of all power is in the two tones
	keyApart    = 6.3  // times the power of any other tone of its group (8 dB)
	keyTwist    = 4.0  // times the row's power, for the column at most (4 dB, and 2 for the window)
	keyReverse  = 13.0 // times the column's power, for the row at most (8 dB, and 3)
	keyHarmonic = 0.06 // of a tone's power that its double may have (-12 dB): a voice has more
	keyLooks    = 3    // in a row: 40 ms hold three, 22 ms two
	keyMisses   = 4    // a pause of 40 ms holds five, one of 20 three
)

var keyTones = [8]float64{697, 770, 852, 941, 1209, 1336, 1477, 1633} // Hz

// NewKeyDetector listens at 8000 or 16000 Hz.
func NewKeyDetector(rate int) *KeyDetector {
	k := &KeyDetector{rate: rate, window: 102 * rate / 8000, hop: rate / 100}
	for i, hz := range keyTones {
		k.tone[i] = 2 * math.Cos(2*math.Pi*hz/float64(rate))
		k.over[i] = 2 * math.Cos(4*math.Pi*hz/float64(rate))
	}
	return k
}

// Push takes the next 20 ms at most and gives a key that has been released.
func (k *KeyDetector) Push(pcm []int16) (key byte, long time.Duration, ok bool) {
	if k.hop == 0 || k.have+len(pcm) > len(k.buf) {
		return 0, 0, false
	}
	for i, v := range pcm {
		k.buf[k.have+i] = float64(v) / (1 << 15)
	}
	k.have += len(pcm)
	at := 0
	for ; at+k.window <= k.have; at += k.hop {
		if c, d, is := k.step(k.look(k.buf[at : at+k.window])); is {
			key, long, ok = c, d, true
		}
	}
	k.have = copy(k.buf[:], k.buf[at:k.have])
	return key, long, ok
}

// step counts a look.
func (k *KeyDetector) step(seen byte) (key byte, long time.Duration, ok bool) {
	if k.down && seen != k.key {
		k.length++
		if k.missed++; k.missed < keyMisses {
			return 0, 0, false
		}
		key, ok = k.key, true
		// A look sees the key where four fifths of it are key: what it covers
		// beyond its first and last is about what is missing there.
		long = time.Duration(k.length-k.missed) * 10 * time.Millisecond
		k.down, k.key, k.looks = false, 0, 0
	}
	switch {
	case seen == 0:
		if !k.down {
			k.key, k.looks = 0, 0
		}
	case k.down:
		k.length, k.missed = k.length+1, 0
	case seen == k.key:
		if k.looks++; k.looks == keyLooks {
			k.down, k.length, k.missed = true, keyLooks, 0
		}
	default:
		k.key, k.looks = seen, 1
	}
	return key, long, ok
}

// look is the key whose tones a window holds, 0 for none.
func (k *KeyDetector) look(x []float64) byte {
	total := 0.0
	for _, v := range x {
		total += v * v
	}
	n := float64(len(x))
	if total /= n; total < 2*keyFloor {
		return 0
	}
	var p [8]float64
	for i := range p {
		p[i] = power(x, k.tone[i])
	}
	row, col := loudest(p[:4]), 4+loudest(p[4:])
	switch low, high := p[row], p[col]; {
	case min(low, high) < keyFloor, low+high < keyShare*total, high > keyTwist*low, low > keyReverse*high:
		return 0
	}
	for i := range p {
		if best := p[row]; i < 4 && i != row && p[i]*keyApart > best {
			return 0
		}
		if best := p[col]; i >= 4 && i != col && p[i]*keyApart > best {
			return 0
		}
	}
	if power(x, k.over[col]) > keyHarmonic*p[col] {
		return 0
	}
	// The double of a row lies too near the next column and the one behind it for
	// this window.
	if d := col - 4 - row; d != 1 && d != 2 && power(x, k.over[row]) > keyHarmonic*p[row] {
		return 0
	}
	return "123A456B789C*0#D"[4*row+col-4]
}

func loudest(p []float64) int {
	best := 0
	for i, v := range p {
		if v > p[best] {
			best = i
		}
	}
	return best
}

// power is the mean square of x at one frequency (Goertzel): c is twice the
// cosine of its step.
func power(x []float64, c float64) float64 {
	var s1, s2 float64
	for _, v := range x {
		s1, s2 = v+c*s1-s2, s1
	}
	n := float64(len(x))
	return 2 * (s1*s1 + s2*s2 - c*s1*s2) / (n * n)
}
