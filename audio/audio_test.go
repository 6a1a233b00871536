package audio

import (
	"math"
	"slices"
	"testing"
	"time"
)

func TestSamplesAndDuration(t *testing.T) {
	t.Parallel()
	if n := Samples(FrameTime, 8000); n != 160 {
		t.Errorf("a frame is %d samples", n)
	}
	if d := Duration(441, 22050); d != FrameTime {
		t.Errorf("441 samples last %v", d)
	}
	if d := Duration(441, 0); d != 0 {
		t.Errorf("at no rate they last %v", d)
	}
}

func TestPower(t *testing.T) {
	t.Parallel()
	pcm := sine(8000, 1600, 425, 0.5)
	if p := Power(pcm, 8000, 425); math.Abs(p-0.125) > 0.001 {
		t.Errorf("power at 425 Hz is %.4f, want 0.125", p)
	}
	if p := Power(pcm, 8000, 1000); p > 1e-5 {
		t.Errorf("power at 1000 Hz is %g", p)
	}
	if Power(nil, 8000, 425) != 0 || Power(pcm, 0, 425) != 0 {
		t.Error("nothing has power")
	}
}

func TestTones(t *testing.T) {
	t.Parallel()
	for _, key := range []byte("0123456789*#ABCD") {
		tone, ok := DTMF(key, 100*time.Millisecond, 50*time.Millisecond)
		if !ok {
			t.Fatalf("no key %c", key)
		}
		pcm := tone.PCM(8000)
		if len(pcm) != 1200 || RMS(pcm[800:]) != 0 {
			t.Fatalf("key %c: %d samples, %.3f after 100 ms", key, len(pcm), RMS(pcm[800:]))
		}
		a, b := Power(pcm[:800], 8000, tone.Hz[0]), Power(pcm[:800], 8000, tone.Hz[1])
		if total := math.Pow(RMS(pcm[:800]), 2); a+b < 0.97*total || math.Abs(10*math.Log10(a/b)) > 0.5 {
			t.Errorf("key %c: %.4f and %.4f of %.4f", key, a, b, total)
		}
		if got := 10 * math.Log10(2*a); math.Abs(got+10) > 0.5 {
			t.Errorf("key %c is at %.1f dB", key, got)
		}
	}
	if _, ok := DTMF('E', 0, 0); ok {
		t.Error("there is a key E")
	}
	s := RingbackEU.Source(8000, 0)
	dst := make([]int16, 8000)
	for second, want := range []bool{true, false, false, false, false, true} {
		if !s.Next(dst) || (RMS(dst) > 0.01) != want {
			t.Errorf("second %d of a ringback has RMS %.3f", second, RMS(dst))
		}
	}
	beep := Beep.Source(16000, 2)
	n := 0
	for dst = dst[:320]; beep.Next(dst); n++ {
		if n > 100 {
			t.Fatal("two beeps never end")
		}
	}
	if n != 25 {
		t.Errorf("two beeps are %d frames, want 25", n)
	}
}

// An oscillator does not drift: an hour later it is the same tone.
func TestToneDoesNotDrift(t *testing.T) {
	t.Parallel()
	s := Tone{Hz: [2]float64{440}, Level: -6}.Source(8000, 0)
	dst := make([]int16, 8000)
	for range 600 {
		s.Next(dst)
	}
	if got := purity(dst, 8000, 440); got < 80 {
		t.Errorf("after ten minutes it has %.1f dB", got)
	}
}

func TestMixAndScale(t *testing.T) {
	t.Parallel()
	dst := []int16{1, 30000, -30000, 7}
	Mix(dst, []int16{2, 30000, -30000})
	if !slices.Equal(dst, []int16{3, 32767, -32768, 7}) {
		t.Errorf("mix is %v", dst)
	}
	Scale(dst, -2)
	if !slices.Equal(dst, []int16{-6, -32768, 32767, -14}) {
		t.Errorf("scaled it is %v", dst)
	}
}

func TestLeveler(t *testing.T) {
	t.Parallel()
	for _, amplitude := range []float64{0.04, 0.2, 0.9} {
		l := NewLeveler(8000, -20)
		pcm := sine(8000, 16000, 300, amplitude)
		l.Apply(pcm)
		if got := DB(RMS(pcm[8000:])); math.Abs(got+20) > 0.3 {
			t.Errorf("amplitude %.2f becomes %.1f dB", amplitude, got)
		}
	}
	l := NewLeveler(8000, -20)
	for range 100 {
		l.Apply(make([]int16, 160)) // a pause changes nothing
	}
	if l.Gain() != 1 {
		t.Errorf("silence made the gain %.2f", l.Gain())
	}
	whisper := sine(8000, 8000, 300, 0.02)
	l.Apply(whisper)
	shout := sine(8000, 800, 300, 0.9)
	l.Apply(shout)
	for _, v := range shout {
		if v > ceiling+1 || v < -ceiling-1 {
			t.Fatalf("a peak of %d came through", v)
		}
	}
}

func TestClip(t *testing.T) {
	t.Parallel()
	dst := make([]int16, 4)
	c := NewClip([]int16{1, 2, 3, 4, 5}, false)
	c.Next(dst)
	if !c.Next(dst) || !slices.Equal(dst, []int16{5, 0, 0, 0}) || c.Next(dst) {
		t.Errorf("a clip ends with %v", dst)
	}
	c = NewClip([]int16{1, 2, 3}, true)
	c.Next(dst)
	if !c.Next(dst) || !slices.Equal(dst, []int16{2, 3, 1, 2}) {
		t.Errorf("a loop goes on with %v", dst)
	}
	if NewClip(nil, true).Next(dst) {
		t.Error("nothing makes a sound")
	}
}

type sinkFunc func(Frame)

func (f sinkFunc) Hear(fr Frame) { f(fr) }

func TestTeeAndTap(t *testing.T) {
	t.Parallel()
	var heard []string
	Tee(sinkFunc(func(Frame) { heard = append(heard, "a") }), sinkFunc(func(Frame) { heard = append(heard, "b") })).Hear(Frame{})
	src := Tap(NewClip([]int16{7}, false), func(pcm []int16, ok bool) {
		if ok && pcm[0] == 7 {
			heard = append(heard, "c")
		}
	})
	src.Next(make([]int16, 2))
	src.Next(make([]int16, 2))
	if !slices.Equal(heard, []string{"a", "b", "c"}) {
		t.Errorf("heard %v", heard)
	}
}

func BenchmarkTone(b *testing.B) {
	s := RingbackUS.Source(8000, 0)
	dst := make([]int16, 160)
	b.ReportAllocs()
	for b.Loop() {
		s.Next(dst)
	}
}

func BenchmarkMix(b *testing.B) {
	x, y := make([]int16, 160), make([]int16, 160)
	b.ReportAllocs()
	for b.Loop() {
		Mix(x, y)
	}
}

func BenchmarkLeveler(b *testing.B) {
	l, pcm := NewLeveler(8000, -20), sine(8000, 160, 300, 0.2)
	b.ReportAllocs()
	for b.Loop() {
		l.Apply(pcm)
	}
}

func BenchmarkPower(b *testing.B) {
	pcm := sine(8000, 160, 300, 0.2)
	b.ReportAllocs()
	for b.Loop() {
		Power(pcm, 8000, 1000)
	}
}
