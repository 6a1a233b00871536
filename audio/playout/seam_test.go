package playout

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// wave is a loud voice of 300 Hz: its steepest step at 8 kHz is 4700.
func wave(from, n int) []int16 {
	pcm := make([]int16, n)
	for i := range pcm {
		pcm[i] = int16(20000 * math.Sin(2*math.Pi*300*float64(from+i)/8000))
	}
	return pcm
}

// However speech is paused, resumed, cancelled, overtaken or late, no step of
// the sound is steeper than the voice's own, and what was heard is counted as
// without mending. A voice that ends or begins in the middle of a wave is one
// that was cut.
func TestNoClickIsHeard(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p, bare := New(8000, nil), exact(nil)
		both := func(f func(*Playout)) { f(p); f(bare) }
		id, pushed, last := uint64(1), 0, int16(0)
		open := func() {
			both(func(p *Playout) {
				p.Push(id, 0, wave(0, 400)) // a reply begins at nothing
				p.Play(id)
			})
			pushed = 400
		}
		open()
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				n := rapid.IntRange(1, 900).Draw(t, "n")
				both(func(p *Playout) { p.Push(id, 0, wave(pushed, n)) })
				pushed += n
			},
			"pause":  func(*rapid.T) { both(func(p *Playout) { p.Pause() }) },
			"resume": func(*rapid.T) { both(func(p *Playout) { p.Resume(Keep) }) },
			"cancel": func(*rapid.T) {
				if a, b := p.Cancel(id), bare.Cancel(id); a.Samples != b.Samples {
					t.Fatalf("heard %d, want %d", a.Samples, b.Samples)
				}
				id++
				open()
			},
			"": func(t *rapid.T) {
				dst, want := make([]int16, frame), make([]int16, frame)
				p.Next(dst)
				bare.Next(want)
				for i, v := range dst {
					if d := int(v) - int(last); d > 5300 || d < -5300 {
						t.Fatalf("a step of %d at sample %d: %v", d, i, dst)
					}
					last = v
				}
				if a, b := p.Position(id), bare.Position(id); a.Samples != b.Samples || p.Stats() != bare.Stats() {
					t.Fatalf("heard %d, want %d", a.Samples, b.Samples)
				}
				same := 0
				for i := range dst {
					if dst[i] == want[i] {
						same++
					}
				}
				if same < frame-2*p.seam.length {
					t.Fatalf("only %d samples of a frame are as they were pushed", same)
				}
			},
		})
	})
}
