package audio

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// line is sound with noise under it at a level, dB of full scale.
func line(r *rand.Rand, pcm []int16, noise float64) []int16 {
	out := make([]int16, len(pcm))
	a := math.Pow(10, noise/20) * (1 << 15)
	for i, v := range pcm {
		out[i] = int16(min(max(float64(v)+a*r.NormFloat64(), math.MinInt16), math.MaxInt16))
	}
	return out
}

func beeps(rate int, pcm []int16) (at []time.Duration) {
	b := NewBeepDetector(rate)
	n := Samples(FrameTime, rate)
	for i := 0; i+n <= len(pcm); i += n {
		if b.Push(pcm[i : i+n]) {
			at = append(at, Duration(i+n, rate))
		}
	}
	return at
}

// call is silence, a tone, silence.
func aBeep(rate int, hz float64, long time.Duration) []int16 {
	pcm := make([]int16, Samples(500*time.Millisecond, rate))
	pcm = append(pcm, Tone{Hz: [2]float64{hz}, Level: -14, On: long}.PCM(rate)...)
	return append(pcm, make([]int16, Samples(time.Second, rate))...)
}

func TestBeepIsFound_convM4(t *testing.T) {
	t.Parallel()
	for _, rate := range []int{8000, 16000} {
		for _, noise := range []float64{-90, -44, -29, -24} { // 27, 12 and 7 dB under the tone
			found := 0
			const tries = 40
			for i := range tries {
				r := rand.New(rand.NewPCG(uint64(i), uint64(rate)))
				hz := 400 + 1700*r.Float64()
				long := 250*time.Millisecond + time.Duration(r.Int64N(int64(time.Second)))
				at := beeps(rate, line(r, aBeep(rate, hz, long), noise))
				end := 500*time.Millisecond + long
				if len(at) == 1 && at[0] > end && at[0] <= end+200*time.Millisecond {
					found++
				}
			}
			t.Logf("%d Hz, noise at %v dB: %d of %d", rate, noise, found, tries)
			if noise < -24 && found < tries-1 { // at 7 dB it is told, not asked for
				t.Errorf("%d Hz, noise at %v dB: %d of %d", rate, noise, found, tries)
			}
		}
	}
}

func TestWhatIsNoBeep(t *testing.T) {
	t.Parallel()
	const rate = 8000
	sound := func(parts ...Tone) (pcm []int16) {
		for _, p := range parts {
			pcm = append(pcm, p.PCM(rate)...)
		}
		return append(pcm, make([]int16, rate)...)
	}
	tone := func(long time.Duration, hz ...float64) Tone {
		x := Tone{Level: -14, On: long}
		copy(x.Hz[:], hz)
		return x
	}
	ms := time.Millisecond
	sweep := make([]int16, rate)
	for i := range sweep {
		at := float64(i) / rate
		sweep[i] = int16(8000 * math.Sin(2*math.Pi*(400*at+600*at*at)))
	}
	voice := make([]int16, 2*rate) // many harmonics of a pitch
	for i := range voice {
		for h := 1.0; h <= 12; h++ {
			voice[i] += int16(2500 / h * math.Sin(2*math.Pi*140*h*float64(i)/rate))
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for name, pcm := range map[string][]int16{
		"silence":         make([]int16, 3*rate),
		"noise":           line(r, make([]int16, 20*rate), -20),
		"too short":       sound(tone(120*ms, 1000)),
		"two frequencies": sound(tone(500*ms, 440, 480)),
		"a key":           sound(tone(500*ms, 770, 1336)),
		"a melody":        sound(tone(150*ms, 600), tone(150*ms, 750), tone(150*ms, 900), tone(150*ms, 600)),
		"a sweep":         append(sweep, make([]int16, rate)...),
		"a vowel":         append(voice, make([]int16, rate)...),
		"too low":         sound(tone(500*ms, 200)),
		"too high":        sound(tone(500*ms, 3000)),
		"without an end":  sound(tone(4*time.Second, 1000)),
	} {
		if at := beeps(rate, pcm); len(at) > 0 {
			t.Errorf("%s: a beep at %v", name, at)
		}
	}
}

func BenchmarkBeep(b *testing.B) {
	d := NewBeepDetector(8000)
	pcm := Beep.PCM(8000)
	b.ReportAllocs()
	for b.Loop() {
		d.Push(pcm[:160])
	}
}
