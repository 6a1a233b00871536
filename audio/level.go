package audio

import "math"

// RMS is the root of the mean square of pcm, where full scale is 1.
func RMS(pcm []int16) float64 {
	if len(pcm) == 0 {
		return 0
	}
	var sum int64
	for _, v := range pcm {
		sum += int64(v) * int64(v)
	}
	return math.Sqrt(float64(sum)/float64(len(pcm))) / (1 << 15)
}

// DB is a ratio of amplitudes in decibels: DB(RMS(pcm)) is the loudness of pcm
// in dB of full scale. Silence is -120.
func DB(ratio float64) float64 { return 20 * math.Log10(max(ratio, 1e-6)) }

// Scale multiplies pcm by a gain. What goes beyond full scale is cut.
func Scale(pcm []int16, gain float64) {
	g := float32(gain)
	for i, v := range pcm {
		pcm[i] = round(float32(v) * g)
	}
}

// Mix adds src to dst, as far as both reach. What goes beyond full scale is
// cut.
func Mix(dst, src []int16) {
	n := min(len(dst), len(src))
	dst = dst[:n]
	for i, v := range src[:n] {
		dst[i] = int16(min(max(int32(dst[i])+int32(v), math.MinInt16), math.MaxInt16))
	}
}

// Leveler brings a voice to one loudness and keeps its peaks from being cut. A
// voice's own changes of loudness stay: the gain follows slowly. One Leveler is
// kept for a voice through a call, so that it need not be found anew with each
// sentence.
type Leveler struct {
	target  float64 // mean square, full scale 1
	block   int     // samples of 20 ms
	sum     float64 // of squares of the block so far
	n       int     // samples of it
	power   float64 // mean square of the voice; 0: none yet
	gain    float32 // as it is now
	want    float32 // as it shall be
	limit   float32 // what the limiter lets through now
	release float32 // of limit, per sample
}

const (
	maxGain   = 4.0     // 12 dB
	minGain   = 0.1     // -20 dB
	ceiling   = 29204.0 // -1 dB of full scale
	quiet     = 1e-5    // mean square of -50 dB: less is a pause
	follow    = 0.05    // of the way to a block's power, each: 400 ms
	glide     = 0.002   // of the way to the gain wanted, each sample: 60 ms at 8 kHz
	releaseMs = 50      // until the limiter lets all through again
)

// NewLeveler brings speech at rate Hz to a loudness in dB of full scale; -20
// is right for a telephone.
func NewLeveler(rate int, target float64) *Leveler {
	rate = max(rate, 50)
	return &Leveler{
		target: math.Pow(10, target/10), block: rate / 50, gain: 1, want: 1, limit: 1,
		release: 1 / float32(releaseMs*rate/1000),
	}
}

// Apply brings the next samples of the voice to the loudness, in place.
func (l *Leveler) Apply(pcm []int16) {
	for i, v := range pcm {
		l.measure(float64(v) / (1 << 15))
		l.gain += (l.want - l.gain) * glide
		out := float32(v) * l.gain
		if peak := max(out, -out); peak*l.limit > ceiling {
			l.limit = ceiling / peak
		}
		pcm[i] = round(out * l.limit)
		l.limit = min(l.limit+l.release, 1)
	}
}

// Gain is by how much the voice is made louder now.
func (l *Leveler) Gain() float64 { return float64(l.gain) }

func (l *Leveler) measure(v float64) {
	l.sum += v * v
	if l.n++; l.n < l.block {
		return
	}
	power := l.sum / float64(l.n)
	l.sum, l.n = 0, 0
	switch {
	case power < quiet:
		return
	case l.power == 0: // the first word: at once
		l.power = power
	default:
		l.power += (power - l.power) * follow
	}
	l.want = float32(min(max(math.Sqrt(l.target/l.power), minGain), maxGain))
}
