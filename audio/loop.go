package audio

import (
	"math"
	"math/rand/v2"
	"time"
)

// loops are the sounds without words that are made here, so that no file is
// needed for them. Each is a whole number of its own periods long and can be
// played again and again without a seam; the same every time.
var loops = []struct {
	name   string
	length time.Duration
	level  float64 // RMS, dB of full scale
	make   func(sound []float64, rate int)
}{
	{"music", 16 * time.Second, -26, music},      // four slow chords, plucked: to wait by
	{"comfort", 4 * time.Second, -32, comfort},   // two soft tones now and then: the line is there
	{"office", 20 * time.Second, -44, roomSound}, // a room with people at work, under the whole call
}

// LoopNames are the sounds that [Loop] makes.
func LoopNames() []string {
	names := make([]string, 0, len(loops))
	for _, l := range loops {
		names = append(names, l.name)
	}
	return names
}

// Loop is one round of a sound without words at a rate, to be played again and
// again; nil where there is none of that name. Making it takes some 20 ms.
func Loop(name string, rate int) []int16 {
	for _, l := range loops {
		if l.name != name || rate < 50 {
			continue
		}
		sound := make([]float64, Samples(l.length, rate))
		l.make(sound, rate)
		return leveled(sound, l.level)
	}
	return nil
}

// leveled is a sound brought to a loudness.
func leveled(sound []float64, level float64) []int16 {
	var sum float64
	for _, v := range sound {
		sum += v * v
	}
	gain := math.Pow(10, level/20) / math.Sqrt(sum/float64(len(sound))) * math.MaxInt16
	pcm := make([]int16, len(sound))
	for i, v := range sound {
		pcm[i] = round(float32(v * gain))
	}
	return pcm
}

// note adds a tone that is plucked and fades away, around the end of the loop
// into its beginning.
func note(sound []float64, rate int, at time.Duration, hz, amplitude float64, fade time.Duration) {
	from, n := Samples(at, rate), Samples(4*fade, rate)
	rise := float64(max(Samples(15*time.Millisecond, rate), 1))
	last := float64(max(Samples(50*time.Millisecond, rate), 1))
	for i := range min(n, len(sound)) {
		t := float64(i) / float64(rate)
		v := math.Sin(2*math.Pi*hz*t) + 0.25*math.Sin(4*math.Pi*hz*t) + 0.08*math.Sin(6*math.Pi*hz*t)
		v *= amplitude * math.Exp(-t/fade.Seconds()) * min(1, float64(i)/rise, float64(n-i)/last)
		sound[(from+i)%len(sound)] += v
	}
}

// music is four chords of four seconds, one note after the other, over a low
// one. All notes lie between 196 and 660 Hz, where a telephone carries them.
func music(sound []float64, rate int) {
	const beat = 500 * time.Millisecond
	chords := [4][5]float64{ // Hz: the low note, then those above
		{261.63, 329.63, 392.00, 523.25, 392.00}, // C
		{220.00, 329.63, 440.00, 523.25, 440.00}, // A minor
		{349.23, 440.00, 523.25, 659.26, 523.25}, // F
		{196.00, 293.66, 392.00, 493.88, 392.00}, // G
	}
	for c, chord := range chords {
		start := time.Duration(c) * 8 * beat
		note(sound, rate, start, chord[0], 0.6, time.Second)
		for i := range 8 {
			note(sound, rate, start+time.Duration(i)*beat, chord[1+i%4], 0.4, 350*time.Millisecond)
		}
	}
}

// comfort is a pair of soft tones at the start of each round.
func comfort(sound []float64, rate int) {
	note(sound, rate, 0, 392, 0.5, 120*time.Millisecond)
	note(sound, rate, 180*time.Millisecond, 523.25, 0.5, 160*time.Millisecond)
}

// roomSound is a dull murmur that comes and goes, and keys that are typed.
func roomSound(sound []float64, rate int) {
	r := rand.New(rand.NewPCG(0x6f6666696365, 20)) //nolint:gosec // a sound, and the same one every time
	blend := Samples(time.Second, rate)
	murmur := make([]float64, len(sound)+blend)
	var dull, hum float64
	cut := 1 - math.Exp(-2*math.Pi*700/float64(rate)) // above 700 Hz it is softer
	base := 1 - math.Exp(-2*math.Pi*120/float64(rate))
	for i := range murmur {
		dull += cut * (r.NormFloat64() - dull)
		hum += base * (dull - hum)
		murmur[i] = dull - hum
	}
	for i := range sound {
		v := murmur[i]
		if i < blend { // the end goes over into the beginning
			at := float64(i) / float64(blend)
			v = v*math.Sqrt(at) + murmur[len(sound)+i]*math.Sqrt(1-at)
		}
		turn := 2 * math.Pi * float64(i) / float64(len(sound))
		sound[i] = v * (1 + 0.25*math.Sin(3*turn) + 0.15*math.Sin(7*turn+1))
	}
	var peak float64
	for _, v := range sound {
		peak = max(peak, math.Abs(v))
	}
	for range 40 {
		key(sound, r, rate, r.IntN(len(sound)), peak*(0.3+0.5*r.Float64()))
	}
}

// key adds one key being hit: 12 ms of noise that dies away.
func key(sound []float64, r *rand.Rand, rate, at int, amplitude float64) {
	n := Samples(12*time.Millisecond, rate)
	for i := range n {
		v := amplitude * r.NormFloat64() / 2 * math.Exp(-5*float64(i)/float64(n)) * min(1, float64(i)/4)
		sound[(at+i)%len(sound)] += v
	}
}
