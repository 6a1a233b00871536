package codec

import "math"

// Concealer makes up for lost frames in the manner of ITU-T G.711 Appendix I:
// it goes on with the last pitch period of the voice, lets it fade over 60 ms,
// and gives noise as loud as the background after that. The first frame that
// arrives again is blended with what would have come. It adds no delay.
type Concealer struct {
	history  []int16 // played last, oldest first; three of the longest pitch periods
	buf      []int16 // room for one period
	period   []int16 // what is repeated, in buf
	at       int     // place in period
	lost     int     // samples made up since the last frame that arrived
	step     float32 // jump between the last sample and the period, taken away
	minPitch int
	maxPitch int
	perMs    int     // samples
	floor    float32 // mean square of the background
	noise    Noise
}

const (
	shortestPitch = 40  // samples at 8 kHz: 200 Hz
	longestPitch  = 120 // 66 Hz
	holdTime      = 10  // ms until a made-up voice begins to fade
	fadeTime      = 60  // ms until it is gone
	smoothTime    = 1   // ms in which a jump at the start is taken away
	loudestNoise  = -45 // dBov: background is never made up louder
	fullScale     = 1 << 30
)

// NewConcealer makes the concealer of one stream of samples at rate Hz, 8000
// to 48000.
func NewConcealer(rate int) *Concealer {
	rate = min(max(rate, 8000), 48000)
	c := &Concealer{
		minPitch: shortestPitch * rate / 8000,
		maxPitch: longestPitch * rate / 8000,
		perMs:    rate / 1000,
	}
	buf := make([]int16, 4*c.maxPitch)
	c.history, c.buf = buf[:3*c.maxPitch], buf[3*c.maxPitch:]
	return c
}

// Good takes a frame that arrived. After a loss its start is blended, in
// place, with what was made up.
func (c *Concealer) Good(pcm []int16) {
	c.background(pcm)
	if c.lost > 0 {
		n := min(len(pcm), min(4+c.lost/c.perMs/4, 10)*c.perMs) // 4 to 10 ms, as in Appendix I
		for i := range pcm[:n] {
			w := float32(i+1) / float32(n+1)
			pcm[i] = clip(w*float32(pcm[i]) + (1-w)*c.next())
		}
		c.lost = 0
	}
	c.remember(pcm)
}

// Conceal fills dst with what may have been in a frame that is lost.
func (c *Concealer) Conceal(dst []int16) {
	if c.lost == 0 {
		c.begin()
	}
	for i := range dst {
		dst[i] = clip(c.next())
	}
	c.remember(dst)
}

// Reset forgets all, for a stream that begins anew.
func (c *Concealer) Reset() {
	clear(c.history)
	c.lost, c.floor = 0, 0
}

// next is the next sample made up.
func (c *Concealer) next() float32 {
	gain := 1 - float32(c.lost-holdTime*c.perMs)/float32((fadeTime-holdTime)*c.perMs)
	gain = min(max(gain, 0), 1)
	v := float32(0)
	if gain > 0 {
		v = gain * float32(c.period[c.at])
		if c.at++; c.at == len(c.period) {
			c.at = 0
		}
		if n := smoothTime * c.perMs; c.lost < n {
			v += c.step * float32(n-c.lost) / float32(n+1)
		}
	}
	if gain < 1 {
		v += (1 - gain) * c.noise.next()
	}
	c.lost++
	return v
}

// begin takes the last pitch period. Its end is blended into what came before
// it, so that it can be repeated without a seam.
func (c *Concealer) begin() {
	h := c.history
	p := c.pitch()
	c.period = c.buf[:copy(c.buf, h[len(h)-p:])]
	blend := p / 4
	before := h[len(h)-p-blend : len(h)-p]
	for i, v := range before {
		w := float32(i+1) / float32(blend+1)
		at := p - blend + i
		c.period[at] = clip((1-w)*float32(c.period[at]) + w*float32(v))
	}
	c.at = 0
	c.step = float32(h[len(h)-1]) - float32(h[len(h)-p-1])
	c.noise.SetLevel(min(10*math.Log10(float64(c.floor)/fullScale+1e-12), loudestNoise))
}

// pitch is the period of the last 20 ms: the lag at which they resemble what
// came before the most. It is looked for in coarse steps first.
func (c *Concealer) pitch() int {
	coarse := c.perMs / 4 // 2 samples at 8 kHz
	best, score := c.maxPitch, float32(-1)
	for lag := c.minPitch; lag <= c.maxPitch; lag += coarse {
		if s := c.resemblance(lag, coarse); s > score {
			best, score = lag, s
		}
	}
	score = -1
	from, to := max(best-coarse+1, c.minPitch), min(best+coarse-1, c.maxPitch)
	for lag := from; lag <= to; lag++ {
		if s := c.resemblance(lag, max(coarse/2, 1)); s > score {
			best, score = lag, s
		}
	}
	return best
}

// resemblance is the squared correlation of the last 20 ms with those lag
// samples before, for positive ones, normalised; every stride-th sample.
func (c *Concealer) resemblance(lag, stride int) float32 {
	n := 20 * c.perMs
	now := c.history[len(c.history)-n:]
	then := c.history[len(c.history)-n-lag:]
	then = then[:len(now)]
	var both, power float32
	for i := 0; i < len(now); i += stride {
		a, b := float32(now[i]), float32(then[i])
		both += a * b
		power += b * b
	}
	if both <= 0 {
		return 0
	}
	return both * both / (power + 1)
}

// remember appends to the history.
func (c *Concealer) remember(pcm []int16) {
	h := c.history
	if len(pcm) >= len(h) {
		copy(h, pcm[len(pcm)-len(h):])
		return
	}
	copy(h, h[len(pcm):])
	copy(h[len(h)-len(pcm):], pcm)
}

// background follows the quietest frames: down at once, up by 2 dB a second.
func (c *Concealer) background(pcm []int16) {
	if len(pcm) == 0 {
		return
	}
	var sum int64
	for _, v := range pcm {
		sum += int64(v) * int64(v)
	}
	power := max(float32(sum)/float32(len(pcm)), 1) // digital silence is -90 dBov
	if power < c.floor || c.floor == 0 {
		c.floor = power
		return
	}
	c.floor *= 1.01
}
