// Package tracks makes what a caller's telephone picks up besides the caller:
// minutes of coughs, hums and knocks, of music and of other people's talk,
// between requests that are said with a real voice.
//
// The same seed and the same voices give the same track, sample by sample.
package tracks

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/patchcord/patchcord/audio"
)

// Rate of the tracks, Hz.
const Rate = 8000

// Voice says a text at Rate; by names one of several voices.
type Voice func(text, by string) ([]int16, error)

// Mark is something on a track.
type Mark struct {
	At, For time.Duration
	Kind    string // "request", "cough", "hum", "mm-hmm", "knock", "word", "music", "babble"
	Text    string // of a request or word
}

// Track is sound with what is on it.
type Track struct {
	PCM   []int16
	Marks []Mark
}

// builder adds to a track.
type builder struct {
	Track
	rnd   *rand.Rand
	voice Voice
	err   error
}

// Level is that of all voices, RMS, a common one on telephones.
const Level = 2400

func newBuilder(v Voice, d time.Duration, seed uint64) *builder {
	return &builder{
		Track: Track{PCM: make([]int16, audio.Samples(d, Rate))},
		rnd:   rand.New(rand.NewPCG(seed, 7)), voice: v, //nolint:gosec // noise, not a secret
	}
}

// add mixes sound in at a place, at a gain, and marks it.
func (b *builder) add(at time.Duration, kind, text string, pcm []int16, gain float64) time.Duration {
	from := audio.Samples(at, Rate)
	for i, x := range pcm {
		if from+i < len(b.PCM) {
			b.PCM[from+i] = clip(float64(b.PCM[from+i]) + gain*float64(x))
		}
	}
	d := audio.Duration(len(pcm), Rate)
	b.Marks = append(b.Marks, Mark{at, d, kind, text})
	return d
}

// say adds a text at the level of all voices.
func (b *builder) say(at time.Duration, kind, text, by string, gain float64) time.Duration {
	pcm, err := b.voice(text, by)
	if err != nil && b.err == nil {
		b.err = fmt.Errorf("tracks: say %q: %w", text, err)
	}
	return b.add(at, kind, text, pcm, gain*Level/max(1, RMS(pcm)))
}

func (b *builder) done() (*Track, error) { return &b.Track, b.err }

// between is a time in a range.
func (b *builder) between(least, most time.Duration) time.Duration {
	return least + time.Duration(b.rnd.Int64N(int64(most-least)))
}

// Every is how often a track's caller asks for more: the answer fills most of
// the time between.
const Every = 50 * time.Second

// first is when the caller asks for the first time: behind any greeting.
const first = 7 * time.Second

// Request is what the caller asks with.
const Request = "please go on"

// Signs are words that only say that the caller listens.
var Signs = []string{"okay", "uh huh", "right", "yeah"}

// Disturbances is a caller who asks for more every 50 s and in between coughs,
// hums, knocks on things and says "mm-hmm" and the like into the answer.
func Disturbances(v Voice, d time.Duration, seed uint64) (*Track, error) {
	b := newBuilder(v, d, seed)
	for start := first; start < d; start += Every {
		b.say(start, "request", Request, "rms", 1)
		end := min(d, start+Every-8*time.Second)
		for at := start + b.between(6*time.Second, 8*time.Second); at < end; at += b.between(3*time.Second, 6*time.Second) {
			switch b.rnd.IntN(6) {
			case 0, 1:
				b.add(at, "cough", "", Cough(b.rnd, b.between(250*time.Millisecond, 500*time.Millisecond)), 1)
			case 2:
				b.add(at, "hum", "", Hum(b.rnd, b.between(300*time.Millisecond, 900*time.Millisecond)), 1)
			case 3:
				pcm := append(Hum(b.rnd, 180*time.Millisecond), make([]int16, Rate/12)...)
				b.add(at, "mm-hmm", "", append(pcm, Hum(b.rnd, 240*time.Millisecond)...), 1)
			case 4:
				b.add(at, "knock", "", Knock(b.between(40*time.Millisecond, 90*time.Millisecond)), 1)
			case 5:
				b.say(at, "word", Signs[b.rnd.IntN(len(Signs))], "rms", 1)
			}
		}
	}
	return b.done()
}

// crowd is what other people in the room say.
var crowd = []string{
	"and then she told me that the train was late again and nobody knew why",
	"I would have the soup and after that the fish with a glass of water",
	"did you see what they have done to the old house on the corner",
	"it will rain in the afternoon but the evening should be fine",
}

// Crowd is a caller in a café: every 50 s a request, and in between music, or
// other people's talk, gain dB below the caller's voice.
func Crowd(v Voice, d time.Duration, seed uint64, gain float64) (*Track, error) {
	b := newBuilder(v, d, seed)
	share := math.Pow(10, gain/20)
	music := audio.Loop("music", Rate)
	others := []string{"slt", "awb", "kal16"}
	for start := first; start < d; start += Every {
		b.say(start, "request", Request, "rms", 1)
		at, end := start+6*time.Second, min(d, start+Every-8*time.Second)
		if at >= end {
			break
		}
		if (start/Every)%2 == 0 {
			n := min(audio.Samples(end-at, Rate), len(music))
			b.add(at, "music", "", music[:n], share*Level/RMS(music))
			continue
		}
		first := len(b.Marks)
		for i, by := range others {
			for t := at; t < end-4*time.Second; {
				t += b.between(200*time.Millisecond, 900*time.Millisecond)
				t += b.say(t, "talk", crowd[(i+b.rnd.IntN(len(crowd)))%len(crowd)], by, share)
			}
		}
		b.Marks = append(b.Marks[:first], Mark{at, end - at, "babble", ""})
	}
	return b.done()
}

// Cough is a burst of noise, then breath.
func Cough(rnd *rand.Rand, d time.Duration) []int16 {
	low := 0.0
	return sound(d, Level, func(t, part float64) float64 {
		low += 0.4 * (rnd.NormFloat64() - low)
		return low * (math.Exp(-9*t) + 0.25*math.Sin(math.Pi*part))
	})
}

// Hum is a closed mouth.
func Hum(rnd *rand.Rand, d time.Duration) []int16 {
	freq := 105 + 40*rnd.Float64()
	return sound(d, Level*0.7, func(t, part float64) float64 {
		f := freq * (1 + 0.06*math.Sin(math.Pi*part))
		v := math.Sin(2*math.Pi*f*t) + 0.5*math.Sin(4*math.Pi*f*t) + 0.25*math.Sin(6*math.Pi*f*t)
		return v * math.Sqrt(math.Sin(math.Pi*part))
	})
}

// Knock is a blow on the table.
func Knock(d time.Duration) []int16 {
	return sound(d, Level, func(t, _ float64) float64 { return math.Sin(2*math.Pi*190*t) * math.Exp(-55*t) })
}

// sound is a function of the time in seconds, and of the part of the whole, at
// an RMS level.
func sound(d time.Duration, rms float64, f func(t, part float64) float64) []int16 {
	v := make([]float64, audio.Samples(d, Rate))
	sum := 0.0
	for i := range v {
		v[i] = f(float64(i)/Rate, float64(i)/float64(len(v)))
		sum += v[i] * v[i]
	}
	pcm := make([]int16, len(v))
	for i := range v {
		pcm[i] = clip(v[i] * rms / math.Sqrt(max(1e-9, sum/float64(len(v)))))
	}
	return pcm
}

// Noise is noise of a room, its highs softer than its lows, at an RMS level.
func Noise(seed uint64, d time.Duration, rate int, rms float64) []int16 {
	rnd := rand.New(rand.NewPCG(seed, 9)) //nolint:gosec // noise, not a secret
	low, sum := 0.0, 0.0
	v := make([]float64, audio.Samples(d, rate))
	for i := range v {
		white := rnd.NormFloat64()
		low += 0.08 * (white - low)
		v[i] = low*3 + 0.3*white
		sum += v[i] * v[i]
	}
	pcm := make([]int16, len(v))
	scale := rms / math.Sqrt(sum/float64(len(v)))
	for i := range v {
		pcm[i] = clip(v[i] * scale)
	}
	return pcm
}

// RMS is the level of what is loud in a sound: its silences do not count.
func RMS(pcm []int16) float64 {
	sum, n := 0.0, 0
	for from := 0; from < len(pcm); from += Rate / 50 {
		frame := pcm[from:min(len(pcm), from+Rate/50)]
		e := 0.0
		for _, x := range frame {
			e += float64(x) * float64(x)
		}
		if e > 200*200*float64(len(frame)) {
			sum += e
			n += len(frame)
		}
	}
	if n == 0 {
		return 0
	}
	return math.Sqrt(sum / float64(n))
}

func clip(v float64) int16 { return int16(max(-32768, min(32767, v))) }
