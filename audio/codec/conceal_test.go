package codec

import (
	"math"
	"testing"
)

func level(pcm []int16) float64 {
	sum := 0.0
	for _, v := range pcm {
		sum += float64(v) * float64(v)
	}
	return 10 * math.Log10(sum/float64(len(pcm))/fullScale)
}

func TestNoiseHasTheLevelTold(t *testing.T) {
	t.Parallel()
	var n Noise
	pcm := make([]int16, 8000)
	n.Fill(pcm)
	if level(pcm) > -100 {
		t.Fatalf("noise of no level is %.1f dBov", level(pcm))
	}
	for _, want := range []float64{30, 50, 70} {
		n.Set([]byte{byte(want) | 0x80, 1, 2}) // the top bit is not the level's
		n.Set(nil)
		n.Fill(pcm)
		if got := level(pcm); math.Abs(got+want) > 0.5 {
			t.Errorf("noise is %.1f dBov, want %.0f", got, -want)
		}
	}
}

// A lost frame of a voice sounds like the voice, at either rate.
func TestConcealGoesOnWithTheVoice(t *testing.T) {
	t.Parallel()
	for _, rate := range []int{8000, 16000} {
		c := NewConcealer(rate)
		pcm := voice(rate, rate)
		n := rate / 50
		worst := math.Inf(1)
		for k := 0; k*n < len(pcm); k++ {
			f := pcm[k*n : (k+1)*n]
			if k%7 != 6 {
				c.Good(append([]int16(nil), f...))
				continue
			}
			made := make([]int16, n)
			c.Conceal(made)
			worst = min(worst, snr(f, made))
		}
		if worst < 8 {
			t.Errorf("%d Hz: the worst made-up frame has %.1f dB", rate, worst)
		}
	}
}

func TestConcealFadesIntoTheBackground(t *testing.T) {
	t.Parallel()
	c := NewConcealer(8000)
	var n Noise
	n.SetLevel(-60)
	quiet := make([]int16, 160)
	for range 20 {
		n.Fill(quiet)
		c.Good(quiet)
	}
	pcm := voice(8000, 1600)
	for at := 0; at < len(pcm); at += 160 {
		c.Good(pcm[at : at+160])
	}
	var levels []float64
	for range 10 {
		f := make([]int16, 160)
		c.Conceal(f)
		levels = append(levels, level(f))
	}
	if levels[0] < -25 || levels[2] > levels[0]-8 {
		t.Fatalf("frames made up have %.0f dBov", levels)
	}
	for _, l := range levels[3:] {
		if math.Abs(l+60) > 3 {
			t.Fatalf("after 60 ms the background is %.0f, want -60 dBov", levels)
		}
	}
}

// No join jumps further than the voice itself does.
func TestConcealDoesNotClick(t *testing.T) {
	t.Parallel()
	steepest := func(pcm []int16) (d float64) {
		for i := 1; i < len(pcm); i++ {
			d = max(d, math.Abs(float64(pcm[i])-float64(pcm[i-1])))
		}
		return d
	}
	c := NewConcealer(8000)
	pcm := voice(8000, 16000)
	var out []int16
	for k := 0; k*160 < len(pcm); k++ {
		f := append([]int16(nil), pcm[k*160:(k+1)*160]...)
		if k%9 > 6 {
			c.Conceal(f)
		} else {
			c.Good(f)
		}
		out = append(out, f...)
	}
	if got, own := steepest(out), steepest(pcm); got > 1.3*own {
		t.Fatalf("a step of %.0f, the voice's own are up to %.0f", got, own)
	}
}

func TestConcealAfterNothing(t *testing.T) {
	t.Parallel()
	c := NewConcealer(8000)
	f := make([]int16, 160)
	c.Conceal(f)
	c.Good(f)
	c.Good(nil)
	c.Good(voice(8000, 4000))
	c.Conceal(f)
	c.Reset()
	c.Conceal(f)
	if level(f) > -85 {
		t.Fatalf("after Reset %.0f dBov", level(f))
	}
}

func BenchmarkConceal(b *testing.B) {
	c, pcm := NewConcealer(8000), voice(8000, 160)
	for range 4 {
		c.Good(pcm)
	}
	b.Run("good", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c.Good(pcm)
		}
	})
	b.Run("lost", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c.lost = 0
			c.Conceal(pcm)
		}
	})
}
