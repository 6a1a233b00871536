package audio

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// press is a key as a telephone of the field makes it.
type press struct {
	key   byte
	on    time.Duration
	level float64 // dB of full scale, of the row's tone
	twist float64 // dB, of the column over the row
	off   float64 // of the frequencies: 0.015 is 1.5 % high
	begin int     // samples of silence before
}

// pcm is the press with a second of silence behind, and noise.
func (p press) pcm(rate int, noise float64) []int16 {
	tone, _ := DTMF(p.key, 0, 0)
	n := Samples(p.on, rate)
	out := make([]int16, p.begin+n+rate/5)
	r := rand.New(rand.NewPCG(uint64(p.begin), uint64(n))) //nolint:gosec // noise
	for i := range out {
		v := r.NormFloat64() * math.Pow(10, noise/20)
		if i >= p.begin && i < p.begin+n {
			at := 2 * math.Pi * float64(i-p.begin) / float64(rate) * (1 + p.off)
			v += math.Pow(10, p.level/20)*math.Sin(at*tone.Hz[0]) + math.Pow(10, (p.level+p.twist)/20)*math.Sin(at*tone.Hz[1])
		}
		out[i] = int16(max(-1, min(1, v)) * math.MaxInt16)
	}
	return out
}

// keysIn is what a detector hears, in frames of 20 ms.
func keysIn(pcm []int16, rate int) (keys string, long []time.Duration) {
	k := NewKeyDetector(rate)
	n := Samples(FrameTime, rate)
	for ; len(pcm) >= n; pcm = pcm[n:] {
		if key, d, ok := k.Push(pcm[:n]); ok {
			keys, long = keys+string(key), append(long, d)
		}
	}
	return keys, long
}

// Every key is heard once, by Q.24: from 40 ms on, within 1.5 % of its
// frequencies, with 4 dB more in the column and 8 dB more in the row, from full
// scale to -34 dB, wherever it falls between the frames.
func TestKeysAreHeard(t *testing.T) {
	t.Parallel()
	for _, rate := range []int{8000, 16000} {
		for i, key := range []byte("0123456789*#ABCD") {
			for _, p := range []press{
				{on: 40 * time.Millisecond, level: -16},
				{on: 50 * time.Millisecond, level: -6.1},
				{on: 100 * time.Millisecond, level: -34},
				{on: 60 * time.Millisecond, level: -20, off: 0.015},
				{on: 60 * time.Millisecond, level: -20, off: -0.015},
				{on: 60 * time.Millisecond, level: -20, twist: 3.8},
				{on: 60 * time.Millisecond, level: -20, twist: -7.5},
				{on: 500 * time.Millisecond, level: -12},
			} {
				for begin := i; begin < rate/50; begin += rate / 200 {
					p.key, p.begin = key, begin
					got, long := keysIn(p.pcm(rate, -60), rate)
					if got != string(key) {
						t.Fatalf("%d Hz: %+v heard as %q", rate, p, got)
					}
					if d := long[0] - p.on; d < -35*time.Millisecond || d > 35*time.Millisecond {
						t.Fatalf("%d Hz: %+v: %v long", rate, p, long[0])
					}
				}
			}
		}
	}
}

// Noise 15 dB below a tone does not hide it.
func TestKeysInNoise(t *testing.T) {
	t.Parallel()
	for _, key := range []byte("0123456789*#ABCD") {
		for begin := range 40 {
			p := press{key: key, on: 80 * time.Millisecond, level: -15, begin: 4 * begin}
			if got, _ := keysIn(p.pcm(8000, -33), 8000); got != string(key) {
				t.Fatalf("%+v heard as %q", p, got)
			}
		}
	}
}

// Less than 23 ms is no key, nor is one frequency alone, nor what is far off,
// nor two that a voice's double accompanies.
func TestWhatIsNoKey(t *testing.T) {
	t.Parallel()
	for begin := range 160 {
		p := press{key: '5', on: 22 * time.Millisecond, level: -10, begin: begin}
		if got, _ := keysIn(p.pcm(8000, -60), 8000); got != "" {
			t.Fatalf("22 ms at %d heard as %q", begin, got)
		}
	}
	for name, hz := range map[string][]float64{
		"one tone": {852}, "another": {1336}, "off by 5 %": {894, 1403}, "two of a group": {697, 852},
		"with its octave": {770, 1336, 1540, 2672}, "a chord": {697, 1209, 1000}, "dial tone": {350, 440}, "ringback": {440, 480},
	} {
		pcm := make([]int16, 8000)
		for i := range pcm {
			v := 0.0
			for _, f := range hz {
				v += 0.15 * math.Sin(2*math.Pi*f*float64(i)/8000)
			}
			pcm[i] = int16(v * math.MaxInt16)
		}
		if got, _ := keysIn(pcm, 8000); got != "" {
			t.Errorf("%s heard as %q", name, got)
		}
	}
}

// A pause of 40 ms parts two presses, a break of 10 ms does not.
func TestKeysApart(t *testing.T) {
	t.Parallel()
	for begin := range 160 {
		for gap, want := range map[time.Duration]string{40 * time.Millisecond: "77", 10 * time.Millisecond: "7"} {
			one := press{key: '7', on: 60 * time.Millisecond, level: -15, begin: begin}.pcm(8000, -70)
			one = one[:begin+480+Samples(gap, 8000)]
			pcm := append(one, press{key: '7', on: 60 * time.Millisecond, level: -15}.pcm(8000, -70)...)
			if got, _ := keysIn(pcm, 8000); got != want {
				t.Fatalf("a gap of %v at %d: %q, want %q", gap, begin, got, want)
			}
		}
	}
	var dialled []int16
	const number = "0123456789*#ABCD"
	for i := range len(number) { // 50 ms on and off, as telephones dial
		p := press{key: number[i], on: 50 * time.Millisecond, level: -10}.pcm(8000, -70)
		dialled = append(dialled, p[:800]...)
	}
	if got, _ := keysIn(append(dialled, make([]int16, 8000)...), 8000); got != number {
		t.Errorf("dialled %q, heard %q", number, got)
	}
}

// Music that is played while one waits has no keys.
func TestNoKeysInMusic(t *testing.T) {
	t.Parallel()
	for _, tone := range []Tone{RingbackUS, RingbackEU, Beep} {
		if got, _ := keysIn(tone.PCM(8000), 8000); got != "" {
			t.Errorf("%+v: %q", tone, got)
		}
	}
}

func BenchmarkKeyDetector(b *testing.B) {
	k := NewKeyDetector(8000)
	pcm := press{key: '5', on: 20 * time.Millisecond, level: -10}.pcm(8000, -40)[:160]
	b.ReportAllocs()
	for b.Loop() {
		k.Push(pcm)
	}
}
