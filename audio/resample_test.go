package audio

import (
	"fmt"
	"math"
	"testing"
	"time"
)

// sine is a tone of an amplitude, 1 being full scale.
func sine(rate, n int, hz, amplitude float64) []int16 {
	pcm := make([]int16, n)
	for i := range pcm {
		pcm[i] = round(float32(amplitude * math.MaxInt16 * math.Sin(2*math.Pi*hz*float64(i)/float64(rate))))
	}
	return pcm
}

// inFrames resamples pcm by frames of 20 ms.
func inFrames(r *Resampler, pcm []int16, rate int) (out []int16) {
	for n := rate / 50; len(pcm) > 0; pcm = pcm[min(n, len(pcm)):] {
		out = r.Append(out, pcm[:min(n, len(pcm))])
	}
	return out
}

// purity is the power of a tone over that of all else, in dB.
func purity(pcm []int16, rate int, hz float64) float64 {
	var re, im float64
	n := float64(len(pcm))
	for i, v := range pcm {
		s, c := math.Sincos(2 * math.Pi * hz * float64(i) / float64(rate))
		re += float64(v) * c * 2 / n
		im += float64(v) * s * 2 / n
	}
	var rest float64
	for i, v := range pcm {
		s, c := math.Sincos(2 * math.Pi * hz * float64(i) / float64(rate))
		d := float64(v) - re*c - im*s
		rest += d * d / n
	}
	return 10 * math.Log10((re*re+im*im)/2/rest)
}

var ratesHz = []int{8000, 16000, 22050, 24000, 44100, 48000}

// A tone of 1 kHz comes out as clean as 16 bits allow: half of full scale over
// the rounding of 16 bits is 92 dB, and the input is rounded as well.
func TestResampleKeepsATone(t *testing.T) {
	t.Parallel()
	for _, from := range ratesHz {
		for _, to := range ratesHz {
			if from == to {
				continue
			}
			out := inFrames(NewResampler(from, to), sine(from, from, 1000, 0.5), from)
			if d := len(out) - to; d < -1 || d > 1 {
				t.Errorf("%d to %d: a second is %d samples", from, to, len(out))
			}
			mid := out[to/10 : to/10+to/2]
			if got := purity(mid, to, 1000); got < 85 {
				t.Errorf("%d to %d: SNR %.1f dB", from, to, got)
			}
			if got := DB(RMS(mid)) - DB(0.5/math.Sqrt2); math.Abs(got) > 0.02 {
				t.Errorf("%d to %d: gain %.3f dB", from, to, got)
			}
		}
	}
}

// core runs the filter on samples that are not rounded, to see the filter alone.
func core(from, to int, hz float64) []float32 {
	r := NewResampler(from, to)
	var out []float32
	for i := range from / 2 {
		r.in[r.n] = float32(16000 * math.Sin(2*math.Pi*hz*float64(i)/float64(from)))
		r.n++
		for r.at+r.table.taps <= r.n {
			out = append(out, r.next())
		}
		r.shift()
	}
	return out[len(out)/4:]
}

// The figures that the filter was chosen for: SNR 108 dB, aliases at -100 dB,
// and 3.4 kHz through to a telephone.
func TestResampleFilter(t *testing.T) {
	t.Parallel()
	power := func(v []float32) (p float64) {
		for _, x := range v {
			p += float64(x) * float64(x) / float64(len(v))
		}
		return 10 * math.Log10(max(p, 1e-30)/(16000*16000/2))
	}
	for _, from := range []int{16000, 22050, 24000, 44100, 48000} {
		if got := power(core(from, 8000, 5000)); got > -100 {
			t.Errorf("%d to 8000: 5 kHz comes through at %.1f dB", from, got)
		}
		if got := power(core(from, 8000, 3400)); math.Abs(got) > 0.1 {
			t.Errorf("%d to 8000: 3.4 kHz has %.2f dB", from, got)
		}
	}
	out := core(8000, 16000, 1000)
	var re, im float64
	n := float64(len(out) / 16 * 16)
	for i, v := range out[:int(n)] {
		s, c := math.Sincos(2 * math.Pi * float64(i) / 16)
		re, im = re+float64(v)*c*2/n, im+float64(v)*s*2/n
	}
	rest := 0.0
	for i, v := range out[:int(n)] {
		s, c := math.Sincos(2 * math.Pi * float64(i) / 16)
		d := float64(v) - re*c - im*s
		rest += d * d / n
	}
	if got := 10 * math.Log10((re*re+im*im)/2/rest); got < 108 {
		t.Errorf("8000 to 16000: SNR %.1f dB", got)
	}
}

// However the stream is cut, the same samples come out.
func TestResampleInPieces(t *testing.T) {
	t.Parallel()
	pcm := sine(24000, 6000, 700, 0.4)
	want := NewResampler(24000, 8000).Append(nil, pcm)
	r := NewResampler(24000, 8000)
	var got []int16
	for i, n := 0, 1; i < len(pcm); i, n = i+n, n*5%97+1 {
		got = r.Append(got, pcm[i:min(i+n, len(pcm))])
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatal("pieces do not make the whole")
	}
	if d := r.Delay(); d != 3*time.Millisecond {
		t.Fatalf("delay %v", d)
	}
	tail := r.Flush(nil)
	if len(tail) != 24 {
		t.Fatalf("%d samples at the end, want 24", len(tail))
	}
	if again := r.Append(nil, pcm); fmt.Sprint(again) != fmt.Sprint(want) {
		t.Fatal("after Flush the stream does not begin anew")
	}
}

func TestResampleOddRates(t *testing.T) {
	t.Parallel()
	if got := NewResampler(8000, 8000).Append(nil, []int16{1, 2}); len(got) != 2 {
		t.Errorf("equal rates made %v", got)
	}
	if got := NewResampler(0, 8000).Append(nil, []int16{1, 2}); len(got) != 2 {
		t.Errorf("rate 0 made %v", got)
	}
	for _, from := range []int{1000, 11025, 12345, 44101, 96000, 192000} {
		r := NewResampler(from, 8000)
		if got := len(r.Append(nil, make([]int16, from))); got < 7999 || got > 8001 {
			t.Errorf("a second at %d Hz is %d samples at 8000", from, got)
		}
	}
}

func TestResampleDoesNotAllocate(t *testing.T) {
	r := NewResampler(24000, 8000)
	pcm, dst := sine(24000, 480, 700, 0.4), make([]int16, 0, 200)
	if n := testing.AllocsPerRun(100, func() { dst = r.Append(dst[:0], pcm) }); n != 0 {
		t.Fatalf("%v allocations a frame", n)
	}
}

func BenchmarkResample(b *testing.B) {
	for _, c := range [][2]int{{8000, 16000}, {16000, 8000}, {24000, 8000}, {22050, 8000}, {48000, 8000}, {44100, 16000}} {
		b.Run(fmt.Sprintf("%d-%d", c[0], c[1]), func(b *testing.B) {
			r := NewResampler(c[0], c[1])
			pcm, dst := sine(c[0], c[0]/50, 700, 0.4), make([]int16, 0, 1000)
			b.ReportAllocs()
			for b.Loop() {
				dst = r.Append(dst[:0], pcm)
			}
		})
	}
}
