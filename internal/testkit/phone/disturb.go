package phone

import (
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/internal/testkit/scenario"
	"github.com/patchcord/patchcord/internal/testkit/tracks"
)

// room is what the phone picks up besides its mouth: noise, and the agent's
// voice from its own loudspeaker. hear and mix belong to the media plane and
// allocate nothing.
type room struct {
	noise atomic.Pointer[[]int16] // played round and round
	echo  atomic.Pointer[echo]

	at   int     // of the noise
	past []int16 // what the agent said, the last second
	now  int     // samples heard
}

type echo struct {
	lag  int // samples
	gain float64
}

func newRoom(rate int) *room { return &room{past: make([]int16, rate)} }

// hear keeps what the agent says.
func (r *room) hear(pcm []int16) {
	for _, x := range pcm {
		r.past[r.now%len(r.past)] = x
		r.now++
	}
}

// mix adds what the room adds to what is said, and reports whether there was
// any.
func (r *room) mix(dst []int16, said bool) bool {
	if n := r.noise.Load(); n != nil {
		said = true
		for i := range dst {
			dst[i] = add(dst[i], float64((*n)[r.at%len(*n)]))
			r.at++
		}
	}
	if e := r.echo.Load(); e != nil && r.now > e.lag+len(dst) {
		said = true
		for i := range dst {
			dst[i] = add(dst[i], e.gain*float64(r.past[(r.now-e.lag-len(dst)+i)%len(r.past)]))
		}
	}
	return said
}

func add(a int16, b float64) int16 {
	return int16(max(math.MinInt16, min(math.MaxInt16, float64(a)+b)))
}

// noiseRound is how long the noise is until it begins again.
const noiseRound = 7 * time.Second

// set turns a step's noise or echo on or off. voice is the level of what is
// said, which noise is measured by.
func (r *room) set(s *scenario.Step, rate int, voice float64) {
	switch {
	case s.Verb == scenario.Noise && s.Off:
		r.noise.Store(nil)
	case s.Verb == scenario.Noise:
		pcm := tracks.Noise(1, noiseRound, rate, voice*math.Pow(10, s.DB/20))
		r.noise.Store(&pcm)
	case s.Off:
		r.echo.Store(nil)
	default:
		lag := min(audio.Samples(s.After, rate), rate/2)
		r.echo.Store(&echo{lag: lag, gain: math.Pow(10, s.DB/20)})
	}
}

// disturbance is the sound of a step that is no speech, always the same for
// the same step.
func disturbance(verb string, d time.Duration, rate int) []int16 {
	rnd := rand.New(rand.NewPCG(uint64(len(verb)), uint64(d))) //nolint:gosec // a sound, not a secret
	var pcm []int16
	switch verb {
	case scenario.Cough:
		pcm = tracks.Cough(rnd, d)
	case scenario.Knock:
		pcm = tracks.Knock(d)
	case scenario.Hum:
		pcm = tracks.Hum(rnd, d)
	case scenario.Mumble: // syllables, each a hum
		for d > 0 {
			pcm = append(pcm, tracks.Hum(rnd, min(d, 220*time.Millisecond))...)
			d -= 220 * time.Millisecond
		}
	}
	if rate == tracks.Rate {
		return pcm
	}
	r := audio.NewResampler(tracks.Rate, rate)
	return r.Flush(r.Append(nil, pcm))
}
