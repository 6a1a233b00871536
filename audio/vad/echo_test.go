//go:build !race

// One goroutine hears each of these calls: there is nothing to race, and
// thousands of them under the detector take minutes.

package vad

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/patchcord/patchcord/audio"
)

// talk is a voice: syllables of 100 to 300 ms with gaps, in sentences with
// pauses, as the loudness of its frames (RMS, of 32768).
func talk(rng *rand.Rand, frames int, level float64) []float64 {
	out := make([]float64, 0, frames)
	put := func(n int, f func(i int) float64) {
		for i := 0; i < n && len(out) < frames; i++ {
			out = append(out, f(i))
		}
	}
	for len(out) < frames {
		for range 6 + rng.IntN(15) { // syllables of a sentence
			n, loud := 5+rng.IntN(10), level*(0.4+0.9*rng.Float64())
			put(n, func(i int) float64 { return loud * math.Sin(math.Pi*(float64(i)+0.7)/(float64(n)+0.4)) })
			put(rng.IntN(4), func(int) float64 { return level * 0.02 })
		}
		put(20+rng.IntN(60), func(int) float64 { return 0 })
	}
	return out
}

// frameOf is noise of a loudness.
func frameOf(rng *rand.Rand, rms float64, at int) audio.Frame {
	pcm := make([]int16, 160)
	for i := range pcm {
		pcm[i] = int16(min(max(rng.NormFloat64()*rms, -32000), 32000))
	}
	return audio.Frame{PCM: pcm, Rate: 8000, At: time.Duration(at) * audio.FrameTime}
}

// overlap is what a detector hears of a caller beside our echo: how often a voice
// began, and how often one was long enough to pause our speech.
func overlap(rng *rand.Rand, ours, caller []float64, gain float64, lag int, told bool) (starts, long int, first []int) {
	d := New()
	waiting := false
	for i := range ours {
		echo, theirs := 0.0, 0.0
		if i >= lag {
			echo = gain * ours[i-lag]
		}
		if i < len(caller) {
			theirs = caller[i]
		}
		if told {
			d.Sent(float32(ours[i] / 32768))
		}
		e, is := d.Push(frameOf(rng, math.Sqrt(echo*echo+theirs*theirs+20*20), i))
		if is && e.Kind == Start {
			starts++
			waiting = true
		}
		if waiting && d.Speaking() && d.Voiced() >= 200*time.Millisecond {
			waiting = false
			long++
			first = append(first, i)
		}
	}
	return starts, long, first
}

// Ten minutes of our own speech that comes back 12 dB quieter after 200 ms, and
// other such lines, pause nothing but at the first word, before it is known.
func TestOwnEchoIsNoVoice_convE1(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		db   float64
		lag  int // frames
	}{
		{"-12 dB, 200 ms", -12, 10}, {"-12 dB, 60 ms", -12, 3}, {"-20 dB, 400 ms", -20, 20}, {"-9 dB, 300 ms", -9, 15},
	} {
		rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test
		ours := talk(rng, 30000, 3500)     // -20 dB of full scale
		gain := math.Pow(10, c.db/20)
		_, deaf, _ := overlap(rng, ours, nil, gain, c.lag, false)
		starts, long, _ := overlap(rng, ours, nil, gain, c.lag, true)
		t.Logf("%s: %d voices, %d of 200 ms; %d of 200 ms by a detector that is not told", c.name, starts, long, deaf)
		if long > 1 || deaf < 100 {
			t.Errorf("%s: the echo was taken %d times for a voice that pauses us", c.name, long)
		}
	}
}

// A sound that neither rises nor falls is no echo found late: it is like anything.
func TestSteadySoundIsNoEcho(t *testing.T) {
	t.Parallel()
	d := New()
	rng := rand.New(rand.NewPCG(1, 4)) //nolint:gosec // a test
	for i := range 300 {
		ours, theirs := 0.0, 20.0
		if i%60 < 20 {
			ours = 6000
		}
		if i%60 >= 12 && i%60 < 32 {
			theirs = 2000
		}
		d.Sent(float32(ours / 32768))
		if e, is := d.Push(frameOf(rng, theirs, i)); is && e.Echo {
			t.Fatalf("a steady sound of 400 ms was taken for our echo at frame %d", i)
		}
	}
}

// A caller who speaks over us is heard as soon as on a line without echo.
func TestCallerOverOurEchoIsHeard_convE3(t *testing.T) {
	t.Parallel()
	for _, gain := range []float64{0, 0.25} {
		heard, late := 0, 0
		for seed := range uint64(200) {
			rng := rand.New(rand.NewPCG(seed, 3)) //nolint:gosec // a test
			ours := talk(rng, 900, 3500)
			caller := make([]float64, 900)
			from := 400 + rng.IntN(300)
			for i, x := range talk(rng, 150, 3500) {
				caller[from+i] = x
			}
			_, _, at := overlap(rng, ours, caller, gain, 10, true)
			for _, i := range at {
				if i >= from && i < from+100 {
					heard++
					if i > from+40 {
						late++
					}
					break
				}
			}
		}
		t.Logf("gain %v: %d of 200 callers heard within 2 s, %d of them after 0.8 s", gain, heard, late)
		if heard < 195 || late > 10 {
			t.Errorf("gain %v: %d of 200 callers were heard over our speech, %d late", gain, heard, late)
		}
	}
}

func TestEchoAllocatesNothing(t *testing.T) {
	d := New()
	f := audio.Frame{PCM: make([]int16, 160), Rate: 8000}
	if n := testing.AllocsPerRun(200, func() { d.Sent(0.1); d.Push(f) }); n != 0 {
		t.Fatalf("%v allocations a frame", n)
	}
}

func BenchmarkEcho(b *testing.B) {
	b.ReportAllocs()
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a benchmark
	ours := talk(rng, 4096, 3500)
	e := newEcho()
	i := 0
	for b.Loop() {
		e.push(ours[i&4095], ours[(i+4086)&4095]/4, quietest, 20)
		i++
	}
}

// masked is how many voices a detector took an echo for, and how many of them
// it did not take back. Our speech stops 200 ms into a voice, as it does in a
// call, and goes on 500 ms after it. from is the frame the echo begins at.
func masked(rng *rand.Rand, ours []float64, gain float64, from int, lag func(i int) int) (voices, kept int) {
	d := New()
	sent := make([]float64, len(ours))
	next, paused, open := 0, 0, false
	for i := range ours {
		if paused > 0 {
			paused--
		} else {
			sent[i] = ours[next]
			next++
		}
		heard := 0.0
		if l := lag(i); i >= max(l, from) {
			heard = gain * sent[i-l]
		}
		d.Sent(float32(sent[i] / 32768))
		e, is := d.Push(frameOf(rng, math.Sqrt(heard*heard+20*20), i))
		switch {
		case is && e.Kind == Start:
			voices++
			open = true
		case is && e.Echo && open:
			open = false
		case is && e.Echo: // it had ended
			kept--
		case is:
			open = false
			kept++
		}
		if open && d.Voiced() >= 200*time.Millisecond || paused > 0 && d.Speaking() {
			paused = 25
		}
	}
	return voices, kept
}

// An echo that is first heard long after a call began, when a caller turns a
// loudspeaker on, is known by its first two sounds: a line that had none is
// doubted to have one, or else a caller who speaks as we do is lost.
func TestLateEchoIsNoVoice_convE1(t *testing.T) {
	t.Parallel()
	for _, from := range []int{0, 60, 500, 3000} {
		voices, kept := 0, 0
		for seed := range uint64(50) {
			rng := rand.New(rand.NewPCG(seed, 5)) //nolint:gosec // a test
			v, k := masked(rng, talk(rng, from+1500, 3500), 0.25, from, func(int) int { return 10 })
			voices, kept = voices+v, kept+k
		}
		t.Logf("echo from frame %d: %d voices in 50 calls, %d of them kept", from, voices, kept)
		most := 0
		if from > 0 {
			most = 12
		}
		if kept > most || voices > 60 {
			t.Errorf("an echo was taken for a voice %d times, want %d at most", kept, most)
		}
	}
}

// What a caller says over us is not taken for our echo, on a line that has none
// and on one that has.
func TestCallerIsNoEcho_convE3(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		at   int // our speech begins at 0
		gain float64
	}{{5, 0}, {20, 0}, {60, 0}, {400, 0}, {400, 0.25}} {
		for _, length := range []int{15, 30, 60, 150} {
			taken, echoes := 0, 0
			for seed := range uint64(500) {
				rng := rand.New(rand.NewPCG(seed, 3)) //nolint:gosec // a test
				theirsToo := false
				ours, d := talk(rng, c.at+300, 3500), New()
				theirs := talk(rng, length, 3500)
				for i := range ours {
					caller, echo := 0.0, c.gain*ours[max(i-10, 0)]
					if i >= c.at && i < c.at+length {
						caller = theirs[i-c.at]
					}
					d.Sent(float32(ours[i] / 32768))
					e, is := d.Push(frameOf(rng, math.Sqrt(caller*caller+echo*echo+20*20), i))
					switch {
					case is && e.Kind == Start:
						theirsToo = i >= c.at && i < c.at+length
					case is && theirsToo:
						taken++
						if e.Echo {
							echoes++
						}
					}
				}
			}
			// Before our first words are over nobody knows the line: then a syllable may
			// be lost, what follows it is not.
			most := 1
			switch {
			case c.at <= 20:
				most = 40
			case c.gain > 0: // of a voice that began with theirs, the end may be our echo
				most = 20
			}
			t.Logf("a caller of %d frames at frame %d, echo %v: %d voices, %d taken for an echo", length, c.at, c.gain, taken, echoes)
			if echoes > most {
				t.Errorf("%d of 500 callers at frame %d were taken for our echo, want %d at most", echoes, c.at, most)
			}
		}
	}
}

// A phone's buffer grows and shrinks: the echo comes up to 60 ms later or
// sooner from one second to the next, and pauses nothing.
func TestEchoThatMovesIsNoVoice_convE1(t *testing.T) {
	t.Parallel()
	for _, most := range []int{1, 3} { // frames
		rng := rand.New(rand.NewPCG(1, 6)) //nolint:gosec // a test
		ours, d := talk(rng, 30000, 3500), New()
		voices, long, waiting, lag := 0, 0, false, 10
		for i := range ours {
			if i%150 == 0 {
				lag = min(max(lag+rng.IntN(2*most+1)-most, 3), 25)
			}
			heard := 0.0
			if i >= lag {
				heard = 0.25 * ours[i-lag]
			}
			d.Sent(float32(ours[i] / 32768))
			if e, is := d.Push(frameOf(rng, math.Sqrt(heard*heard+20*20), i)); is && e.Kind == Start {
				voices++
				waiting = true
			}
			if waiting && d.Speaking() && d.Voiced() >= 200*time.Millisecond {
				waiting = false
				long++
			}
		}
		t.Logf("by %d ms at most: %d voices in ten minutes, %d of 200 ms", 20*most, voices, long)
		if long > 1 {
			t.Errorf("an echo that moves by %d ms was taken %d times for a voice that pauses us", 20*most, long)
		}
	}
}

// The echo of a phone whose machine stood still comes much later from then on,
// or much sooner: what it was taken for until that is known is taken back.
func TestEchoThatJumpsIsNoVoice_convE1(t *testing.T) {
	t.Parallel()
	for _, jump := range []int{5, 8, 12, 16, -6, -9} { // frames
		voices, kept := 0, 0
		for seed := range uint64(50) {
			rng := rand.New(rand.NewPCG(seed, 7)) //nolint:gosec // a test
			at := 500 + rng.IntN(400)
			v, k := masked(rng, talk(rng, 2000, 3500), 0.25, 0, func(i int) int {
				if i >= at {
					return 10 + jump
				}
				return 10
			})
			voices, kept = voices+v, kept+k
		}
		t.Logf("later by %d ms: %d voices in 50 calls, %d of them kept", 20*jump, voices, kept)
		if kept > 2 {
			t.Errorf("an echo that jumped by %d ms was taken for a voice %d times", 20*jump, kept)
		}
	}
}
