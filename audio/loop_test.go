package audio

import (
	"math"
	"slices"
	"testing"
)

// A loop is the same every time, as loud as said, never cut, and its end joins
// its beginning as any two of its samples join.
func TestLoops(t *testing.T) {
	t.Parallel()
	for _, l := range loops {
		for _, rate := range []int{8000, 16000} {
			pcm := Loop(l.name, rate)
			if len(pcm) != Samples(l.length, rate) || !slices.Equal(pcm, Loop(l.name, rate)) {
				t.Fatalf("%s at %d Hz: %d samples, or not the same twice", l.name, rate, len(pcm))
			}
			if level := DB(RMS(pcm)); math.Abs(level-l.level) > 0.5 {
				t.Errorf("%s at %d Hz: %.1f dB, want %v", l.name, rate, level, l.level)
			}
			step := 0
			for i := 1; i < len(pcm); i++ {
				step = max(step, distance(pcm[i], pcm[i-1]))
				if v := pcm[i]; v == math.MaxInt16 || v == math.MinInt16 {
					t.Fatalf("%s at %d Hz: sample %d is cut", l.name, rate, i)
				}
			}
			if seam := distance(pcm[0], pcm[len(pcm)-1]); seam > step {
				t.Errorf("%s at %d Hz: the seam is a step of %d, the largest inside is %d", l.name, rate, seam, step)
			}
		}
	}
	if Loop("siren", 8000) != nil || len(LoopNames()) != len(loops) {
		t.Error("a sound that is not in the list")
	}
}

func distance(a, b int16) int { return max(int(a)-int(b), int(b)-int(a)) }

func BenchmarkLoop(b *testing.B) {
	for _, name := range LoopNames() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Loop(name, 8000)
			}
		})
	}
}
