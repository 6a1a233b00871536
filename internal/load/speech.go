package load

import (
	"math"
	"math/bits"
)

const (
	frameSamples = 160 // 20 ms of G.711
	frameTime    = 20e6
	loudEnough   = 250 // mean absolute sample, about -40 dB of full scale: speech, not noise
)

// silence is the hiss of a quiet line, about -75 dB of full scale.
var silence = func() (f [frameSamples]byte) {
	for i := range f {
		f[i] = muLaw(int16(8 - 16*(i*7919>>3&1)))
	}
	return f
}()

// utterance is n frames that a voice detector takes for a voice: the harmonics
// of a pitch that moves, in syllables of about 200 ms, every frame of it loud.
func utterance(n int) [][frameSamples]byte {
	out := make([][frameSamples]byte, n)
	phase := 0.0
	for i := range n * frameSamples {
		t := float64(i) / 8000
		phase += 2 * math.Pi * (120 + 15*math.Sin(2*math.Pi*0.7*t)) / 8000
		x := 0.0
		for k := 1; k <= 20; k++ {
			formant := 1/(1+math.Pow((float64(k)*120-600)/300, 2)) + 0.4/(1+math.Pow((float64(k)*120-1700)/400, 2))
			x += formant * math.Sin(float64(k)*phase)
		}
		x *= 0.7 + 0.3*math.Sin(2*math.Pi*5*t)
		out[i/frameSamples][i%frameSamples] = muLaw(int16(2500 * x))
	}
	return out
}

// muLaw encodes a sample (ITU-T G.711 table 2a).
func muLaw(x int16) byte {
	const bias, clip = 33 << 2, 8159<<2 - 1
	v, sign := int(x), byte(0)
	if v < 0 {
		v, sign = -v, 0x80
	}
	v = min(v, clip) + bias
	exp := max(0, bits.Len(uint(v))-8) //nolint:gosec // not negative
	return ^(sign | byte(exp)<<4 | byte(v>>(exp+3))&0x0F)
}

// amplitude is the absolute value of every µ-law code.
var amplitude = func() (a [256]int32) {
	for i := range a {
		u := ^byte(i)
		a[i] = (int32(u&0x0F)<<3+0x84)<<(u>>4&7) - 0x84
	}
	return a
}()

// loud tells whether a payload holds speech.
func loud(payload []byte) bool {
	sum := int32(0)
	for _, b := range payload {
		sum += amplitude[b]
	}
	return len(payload) > 0 && sum >= loudEnough*int32(len(payload))
}
