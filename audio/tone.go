package audio

import (
	"math"
	"time"
)

// Tone is a sound of one or two frequencies, on and off.
type Tone struct {
	Hz    [2]float64    // 0: not used
	Level float64       // dB of full scale of each frequency: 0 is a sine that reaches full scale
	On    time.Duration // 0: without end
	Off   time.Duration
}

// The tones of telephone lines.
var (
	RingbackUS = Tone{Hz: [2]float64{440, 480}, Level: -19, On: 2 * time.Second, Off: 4 * time.Second}
	RingbackEU = Tone{Hz: [2]float64{425}, Level: -16, On: time.Second, Off: 4 * time.Second} // ETSI TR 101 041-2
	Beep       = Tone{Hz: [2]float64{1000}, Level: -12, On: 250 * time.Millisecond}
)

// DTMF is the pair of a key (ITU-T Q.23), on for as long as said. False: there
// is no such key.
func DTMF(key byte, on, off time.Duration) (Tone, bool) {
	const keys = "123A456B789C*0#D"
	rows := [4]float64{697, 770, 852, 941}
	cols := [4]float64{1209, 1336, 1477, 1633}
	for i := range len(keys) {
		if keys[i] == key {
			return Tone{Hz: [2]float64{rows[i/4], cols[i%4]}, Level: -10, On: on, Off: off}, true
		}
	}
	return Tone{}, false
}

// Source is the tone at a rate, as often as said; times 0 goes on without end.
func (t Tone) Source(rate, times int) *ToneSource {
	s := &ToneSource{rate: rate, on: Samples(t.On, rate), off: Samples(t.Off, rate), left: times}
	for i, hz := range t.Hz {
		if hz > 0 {
			s.osc[i] = oscillator{step: 2 * math.Pi * hz / float64(max(rate, 1))}
			s.osc[i].amplitude = math.MaxInt16 * math.Pow(10, min(t.Level, 0)/20)
		}
	}
	return s
}

// PCM is the tone's samples, on and off once; nothing of one without end.
func (t Tone) PCM(rate int) []int16 {
	pcm := make([]int16, Samples(t.On+t.Off, rate))
	t.Source(rate, 1).Next(pcm)
	return pcm
}

// ToneSource is a [Tone] being played.
type ToneSource struct {
	rate    int
	osc     [2]oscillator
	on, off int // samples
	at      int // samples into the present on and off
	left    int // times, 0 for ever
	over    bool
}

// edge is how long a tone takes to rise and to fall, so that it does not click.
const edge = 3 * time.Millisecond

// Next fills dst; false when the tone has been played as often as said.
func (s *ToneSource) Next(dst []int16) bool {
	if s.over {
		return false
	}
	ramp := float64(max(Samples(edge, s.rate), 1))
	for i := range dst {
		v := 0.0
		if !s.over && (s.on == 0 || s.at < s.on) {
			v = s.osc[0].next() + s.osc[1].next()
			v *= min(1, float64(s.at+1)/ramp)
			if s.on > 0 {
				v *= min(1, float64(s.on-s.at)/ramp)
			}
		}
		dst[i] = round(float32(v))
		s.at++
		if s.on > 0 && s.at >= s.on+s.off {
			s.at = 0
			s.over = s.left == 1
			s.left = max(s.left-1, 0)
		}
	}
	return true
}

// oscillator is a sine. It turns a vector by a fixed angle and is set right
// now and then, for rounding lets the vector's length drift.
type oscillator struct {
	amplitude, step  float64
	phase            float64
	n                int
	re, im, cos, sin float64
}

func (o *oscillator) next() float64 {
	if o.amplitude == 0 {
		return 0
	}
	if o.n == 0 {
		o.sin, o.cos = math.Sincos(o.step)
		o.im, o.re = math.Sincos(o.phase)
		o.n = 512
		o.phase = math.Mod(o.phase+512*o.step, 2*math.Pi)
	}
	o.n--
	v := o.im
	o.re, o.im = o.re*o.cos-o.im*o.sin, o.re*o.sin+o.im*o.cos
	return o.amplitude * v
}

// Power is the mean square of the part of pcm at one frequency (Goertzel), where
// full scale is 1: a sine of amplitude a has a²/2, full scale 0.5.
func Power(pcm []int16, rate int, hz float64) float64 {
	if len(pcm) == 0 || rate <= 0 {
		return 0
	}
	c := 2 * math.Cos(2*math.Pi*hz/float64(rate))
	var s1, s2 float64
	for _, v := range pcm {
		s1, s2 = float64(v)/(1<<15)+c*s1-s2, s1
	}
	n := float64(len(pcm))
	return 2 * (s1*s1 + s2*s2 - c*s1*s2) / (n * n)
}
