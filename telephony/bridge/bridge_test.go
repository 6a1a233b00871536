package bridge_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/telephony/bridge"
)

// join puts lines on a bridge, each speaking to all others.
func join(b *bridge.Bridge, lines ...*line) []*bridge.Party {
	var parties []*bridge.Party
	for _, l := range lines {
		parties = append(parties, b.Join(l, bridge.Taps{}))
	}
	for _, p := range parties {
		p.SpeakTo(parties...)
	}
	return parties
}

// run lets d pass on the clock of the test's bubble.
func run(d time.Duration, lines ...*line) {
	start := time.Now()
	for {
		first := lines[0]
		for _, l := range lines {
			if l.due.IsZero() {
				l.due = start.Add(l.after)
				l.at = l.due
			}
			if l.at.Before(first.at) {
				first = l
			}
		}
		if first.at.Sub(start) >= d {
			time.Sleep(time.Until(start.Add(d)))
			return
		}
		time.Sleep(time.Until(first.at))
		if first.away == nil || !first.away(time.Since(start)) {
			first.tick()
		}
		first.due = first.due.Add(first.period)
		first.at = first.due
		if first.late > 0 {
			first.at = first.at.Add(time.Duration(first.chance.Int64N(int64(first.late))))
		}
	}
}

// TestEachHearsTheOther holds level, purity and gaps of a tone each way, at
// every pair of rates.
func TestEachHearsTheOther(t *testing.T) {
	t.Parallel()
	for _, rates := range [][2]int{{8000, 8000}, {16000, 16000}, {8000, 16000}, {16000, 8000}} {
		synctest.Test(t, func(t *testing.T) {
			a := newLine(rates[0], tone(440, -20, rates[0], 0, 0))
			z := newLine(rates[1], tone(1000, -14, rates[1], 0, 0))
			z.after = 7 * time.Millisecond
			b := bridge.New(bridge.Config{})
			parties := join(b, a, z)
			run(10*time.Second, a, z)
			b.Close()
			for _, side := range []struct {
				l             *line
				hz, other, db float64
			}{{a, 1000, 440, -14}, {z, 440, 1000, -20}} {
				heard := side.l.heard[side.l.rate/10:] // without the first 100 ms
				near(t, "level, dB", level(heard, side.l.rate, side.hz), side.db, 0.2)
				if own := level(heard, side.l.rate, side.other); own > -70 {
					t.Errorf("%v Hz hears itself at %.1f dB", rates, own)
				}
				if n := gaps(heard, side.l.rate, side.hz, side.db); n > 0 {
					t.Errorf("%v Hz: %d gaps", rates, n)
				}
			}
			for _, p := range parties {
				if s := p.Stats(); s.Starved+s.Lost+s.Blended > 0 {
					t.Errorf("%v Hz: %+v", rates, s)
				}
			}
		})
	}
}

// TestSamplesStayAsTheyAre is what keeps G.711 bit-exact: at one rate and with
// one voice nothing is computed.
func TestSamplesStayAsTheyAre(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		var said []int16
		a := newLine(8000, func(pcm []int16) {
			for i := range pcm {
				pcm[i] = int16(r.Int())
			}
			said = append(said, pcm...)
		})
		z := newLine(8000, nil)
		z.after = 11 * time.Millisecond
		b := bridge.New(bridge.Config{})
		p := join(b, a, z)
		run(20*time.Second, a, z)
		b.Close()
		if n := len(z.heard); !slices.Equal(z.heard, said[:n]) {
			t.Errorf("what was heard is not what was said: %+v", p[1].Stats())
		}
	})
}

// TestClocksDriftApart lets two clocks differ by 200 ppm for ten minutes: six
// frames too many or too few. A voice loses and gains them in its pauses; in a
// tone without any they are blended in. The delay does not grow.
func TestClocksDriftApart(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		ppm   int64
		pause float64 // s
		late  time.Duration
	}{
		{"the listener is slow, a voice", 200, 0.5, 0},
		{"the listener is fast, a voice", -200, 0.5, 0},
		{"the listener is slow, a tone", 200, 0, 0},
		{"the listener is fast, a tone", -200, 0, 0},
		{"the listener is slow, ticks late by 4 ms", 200, 0.5, 4 * time.Millisecond},
		{"the listener is fast, ticks late by 4 ms", -200, 0.5, 4 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a, z := newLine(8000, tone(440, -20, 8000, 2-c.pause, c.pause)), newLine(8000, nil)
				z.period += time.Duration(20 * c.ppm) // ns
				z.after = 9 * time.Millisecond
				a.late, z.late = c.late, c.late
				b := bridge.New(bridge.Config{})
				p := join(b, a, z)
				run(10*time.Minute, a, z)
				b.Close()
				s := p[1].Stats()
				t.Logf("%+v", s)
				moved := s.Dropped + s.Inserted + s.Blended
				if moved < 5 || c.late == 0 && moved > 8 {
					t.Errorf("%d frames were left out or put in, want about 6", moved)
				}
				if s.MaxDelay > 60*time.Millisecond {
					t.Errorf("a frame waited %v", s.MaxDelay)
				}
				// A tick that is late may come after the frame it takes: a voice is blended then.
				if c.pause > 0 && s.Blended+s.Starved > uint64(c.late/time.Millisecond) || s.Lost > 0 {
					t.Errorf("a voice with pauses was cut: %+v", s)
				}
				if c.pause == 0 {
					if n := gaps(z.heard[1600:], 8000, 440, -20); n > int(moved) {
						t.Errorf("%d gaps in a tone of which %d frames were moved", n, moved)
					}
				}
			})
		})
	}
}

// TestAListenerWhoWasAwayHearsThePresent: what waited meanwhile is not heard.
func TestAListenerWhoWasAwayHearsThePresent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := int16(0)
		a := newLine(8000, func(pcm []int16) {
			for i := range pcm {
				pcm[i] = 1000 + n
			}
			n++
		})
		z := newLine(8000, nil)
		z.after = 5 * time.Millisecond
		z.away = func(at time.Duration) bool { return at > time.Second && at < 3*time.Second }
		b := bridge.New(bridge.Config{})
		p := join(b, a, z)
		run(5*time.Second, a, z)
		b.Close()
		if s := p[1].Stats(); s.MaxDelay > 60*time.Millisecond || s.Lost < 90 {
			t.Errorf("after two seconds away: %+v", s)
		}
		if last := z.heard[len(z.heard)-1]; last < 1000+n-3 {
			t.Errorf("frame %d is heard while %d is said", last-1000, n)
		}
	})
}

// TestWhoHearsWhom walks through a transfer with the agent and a supervisor on
// the line.
func TestWhoHearsWhom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const callerHz, targetHz, supervisorHz, agentHz, musicHz = 440, 700, 1000, 1300, 2000
		caller, target := newLine(8000, tone(callerHz, -20, 8000, 0, 0)), newLine(16000, tone(targetHz, -20, 16000, 0, 0))
		super := newLine(8000, tone(supervisorHz, -20, 8000, 0, 0))
		target.after, super.after = 6*time.Millisecond, 13*time.Millisecond
		var ear frames
		sent := 0
		b := bridge.New(bridge.Config{})
		c := b.Join(caller, bridge.Taps{Heard: &ear, Sent: func(pcm []int16, _ bool) { sent += len(pcm) }})
		g := b.Join(target, bridge.Taps{})
		s := b.Join(super, bridge.Taps{})
		pulled := 0
		say := tone(agentHz, -20, 8000, 0, 0)
		agent := b.Voice(source(func(pcm []int16) bool { pulled++; say(pcm); return true }), c)

		expect := func(what string, hears map[*line][]float64) {
			t.Helper()
			run(200*time.Millisecond, caller, target, super)
			for _, l := range []*line{caller, target, super} {
				l.heard = nil
			}
			run(time.Second, caller, target, super)
			for _, l := range []*line{caller, target, super} {
				for _, hz := range []float64{callerHz, targetHz, supervisorHz, agentHz, musicHz} {
					got, want := level(l.heard, l.rate, hz), slices.Contains(hears[l], hz)
					if want && (got < -21 || got > -19) || !want && got > -60 {
						t.Errorf("%s: %v Hz is heard at %.1f dB by the one at %v Hz, wanted: %v", what, hz, got, l.rate, want)
					}
				}
			}
		}
		expect("nobody speaks to anybody", nil)
		if pulled > 0 {
			t.Errorf("the agent was pulled %d times while he reached nobody", pulled)
		}
		c.SpeakTo(g)
		g.SpeakTo(c)
		expect("bridged", map[*line][]float64{caller: {targetHz}, target: {callerHz}})
		agent.SpeakTo(g)
		expect("the agent whispers", map[*line][]float64{caller: {targetHz}, target: {callerHz, agentHz}})
		before := pulled
		agent.SpeakTo(c, g)
		expect("the agent speaks to both", map[*line][]float64{caller: {targetHz, agentHz}, target: {callerHz, agentHz}})
		if n := pulled - before; n < 59 || n > 61 {
			t.Errorf("the agent was pulled %d times in 1.2 s by two listeners", n)
		}
		agent.SpeakTo()
		c.SpeakTo(g, s)
		g.SpeakTo(c, s)
		expect("a supervisor listens", map[*line][]float64{caller: {targetHz}, target: {callerHz}, super: {callerHz, targetHz}})
		s.SpeakTo(g)
		expect("… whispers", map[*line][]float64{caller: {targetHz}, target: {callerHz, supervisorHz}, super: {callerHz, targetHz}})
		s.SpeakTo(c, g)
		expect("… barges in", map[*line][]float64{
			caller: {targetHz, supervisorHz}, target: {callerHz, supervisorHz}, super: {callerHz, targetHz},
		})
		s.Leave()
		g.Mute(true)
		expect("… leaves, and the target is mute", map[*line][]float64{target: {callerHz}})
		g.Mute(false)
		g.SpeakTo()
		c.SpeakTo()
		music := tone(musicHz, -20, 8000, 0, 0)
		c.Play(source(func(pcm []int16) bool { music(pcm); return true }))
		agent.SpeakTo(g)
		expect("the caller on hold, the target with the agent", map[*line][]float64{caller: {musicHz}, target: {agentHz}})
		c.Play(nil)
		b.Close()
		expect("closed", nil)
		if sent == 0 || level(ear.pcm, 8000, callerHz) < -21 {
			t.Errorf("the taps of the caller: %d samples sent, %.1f dB heard", sent, level(ear.pcm, 8000, callerHz))
		}
		if p := b.Join(newLine(8000, nil), bridge.Taps{}); p.Stats().Frames != 0 || p.Next(make([]int16, 160)) {
			t.Error("a party of a closed bridge hears something")
		}
	})
}

type source func([]int16) bool

func (s source) Next(pcm []int16) bool { return s(pcm) }

type frames struct{ pcm []int16 }

func (f *frames) Hear(a audio.Frame) { f.pcm = append(f.pcm, a.PCM...) }

// TestTheMediaPlaneAllocatesNothing serves three parties, a voice and music.
func TestTheMediaPlaneAllocatesNothing(t *testing.T) {
	b := bridge.New(bridge.Config{})
	defer b.Close()
	a, z, s := newLine(8000, nil), newLine(16000, nil), newLine(8000, nil)
	p := join(b, a, z, s)
	p[0].KeysTo(p[1])
	p[2].Play(audio.RingbackEU.Source(8000, 0))
	b.Voice(audio.RingbackUS.Source(8000, 0), p[0]).SpeakTo(p[0], p[1])
	narrow, wide := make([]int16, 160), make([]int16, 320)
	tone(440, -20, 8000, 0, 0)(narrow)
	tone(440, -20, 16000, 0, 0)(wide)
	if n := testing.AllocsPerRun(200, func() {
		for _, q := range p {
			pcm, rate := narrow, 8000
			if q == p[1] {
				pcm, rate = wide, 16000
			}
			q.Hear(audio.Frame{PCM: pcm, Rate: rate})
			q.Next(pcm)
		}
	}); n > 0 {
		t.Errorf("%v allocations in three parties' frame", n)
	}
}

// BenchmarkFrame is a frame of one leg of two: what it says and what it hears.
func BenchmarkFrame(b *testing.B) {
	br := bridge.New(bridge.Config{})
	defer br.Close()
	p := join(br, newLine(8000, nil), newLine(8000, nil))
	p[0].KeysTo(p[1])
	p[1].KeysTo(p[0])
	pcm := make([]int16, 160)
	tone(440, -20, 8000, 0, 0)(pcm)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		p[i%2].Hear(audio.Frame{PCM: pcm, Rate: 8000})
		p[i%2].Next(pcm)
	}
}
