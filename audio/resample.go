package audio

import (
	"math"
	"sync"
	"time"
)

// The filter: 48 taps a phase of the slower rate, the edge at 0.94 of half the
// slower rate so that 3.4 kHz passes to a telephone (-0.09 dB), and a Kaiser
// window. Its beta is the least that keeps every alias under -100 dB: with 9
// they reach -94 dB.
const (
	taps      = 48
	beta      = 9.6
	rolloff   = 0.94
	maxPhases = 480 // of a table; ratios that need more are rounded, by less than 1 in 100,000
	maxTables = 64  // kept for ever
	batch     = 240 // samples taken in at a time
)

// Resampler turns a stream of samples of one rate into another, of any two
// rates, by a polyphase filter. It is of one stream and used by one goroutine.
// Once made it allocates nothing but what Append's dst needs.
type Resampler struct {
	table *filterTable
	in    []float32 // input not yet used up: the taps before the next output, and after it
	n     int       // samples in it
	at    int       // where the next output's taps begin
	phase int       // of the next output
	from  int
}

// NewResampler makes a resampler from one rate to another, in Hz. Equal rates,
// and one that no sound has (1 to 192 kHz), leave the samples as they are.
func NewResampler(from, to int) *Resampler {
	if from == to || min(from, to) < 1000 || max(from, to) > 192000 {
		return &Resampler{from: from}
	}
	t := tableFor(from, to)
	return &Resampler{table: t, in: make([]float32, t.taps+max(batch, t.down/t.up+1)), n: t.taps - 1, from: from}
}

// Append appends src at the new rate to dst and returns it.
func (r *Resampler) Append(dst, src []int16) []int16 {
	if r.table == nil {
		return append(dst, src...)
	}
	for len(src) > 0 {
		k := min(len(src), len(r.in)-r.n)
		for i, v := range src[:k] {
			r.in[r.n+i] = float32(v)
		}
		r.n, src = r.n+k, src[k:]
		for r.at+r.table.taps <= r.n {
			dst = append(dst, round(r.next()))
		}
		r.shift()
	}
	return dst
}

// Flush appends what the filter still holds of the stream, and makes the
// resampler ready for another one.
func (r *Resampler) Flush(dst []int16) []int16 {
	if r.table == nil {
		return dst
	}
	var zeros [batch]int16
	for left := r.table.taps / 2; left > 0; left -= batch {
		dst = r.Append(dst, zeros[:min(left, batch)])
	}
	clear(r.in)
	r.n, r.at, r.phase = r.table.taps-1, 0, 0
	return dst
}

// next is the next output.
func (r *Resampler) next() float32 {
	t := r.table
	v := dot(t.phases[r.phase*t.taps:][:t.taps], r.in[r.at:][:t.taps])
	r.at += t.skip
	if r.phase += t.rest; r.phase >= t.up {
		r.phase -= t.up
		r.at++
	}
	return v
}

// shift gives up the input that no output needs any more.
func (r *Resampler) shift() {
	k := min(r.at, r.n)
	copy(r.in, r.in[k:r.n])
	r.n -= k
	r.at -= k
}

// Delay is how much later a sound comes out than it went in.
func (r *Resampler) Delay() time.Duration {
	if r.table == nil {
		return 0
	}
	return Duration(r.table.taps/2, r.from)
}

// dot is the inner product; four sums keep the processor busy.
func dot(a, b []float32) float32 {
	var s, t, u, v float32
	for len(a) >= 4 && len(b) >= 4 {
		s += a[0] * b[0]
		t += a[1] * b[1]
		u += a[2] * b[2]
		v += a[3] * b[3]
		a, b = a[4:], b[4:]
	}
	return s + t + (u + v)
}

// filterTable is the filter of one pair of rates, cut into phases.
type filterTable struct {
	up, down   int // output rate : input rate
	skip, rest int // down divided by up: how far the input moves on with each output
	taps       int // of a phase, a multiple of 4
	phases     []float32
}

// tables keeps the filters, which depend on nothing but the rates.
var tables struct {
	sync.Mutex
	of map[[2]int]*filterTable
}

func tableFor(from, to int) *filterTable {
	up, down := ratio(to, from)
	tables.Lock()
	defer tables.Unlock()
	key := [2]int{up, down}
	t := tables.of[key]
	if t != nil {
		return t
	}
	t = newTable(up, down)
	if tables.of == nil {
		tables.of = map[[2]int]*filterTable{}
	}
	if len(tables.of) < maxTables {
		tables.of[key] = t
	}
	return t
}

// ratio is a/b in lowest terms, or what comes nearest to it with a numerator of
// at most maxPhases: the last convergent of its continued fraction that is.
func ratio(a, b int) (up, down int) {
	p0, q0, p1, q1 := 0, 1, 1, 0
	for b != 0 {
		k := a / b
		p2, q2 := k*p1+p0, k*q1+q0
		if p2 > maxPhases && p1 > 0 {
			break
		}
		p0, q0, p1, q1 = p1, q1, p2, q2
		a, b = b, a%b
	}
	return p1, max(q1, 1)
}

func newTable(up, down int) *filterTable {
	slower := min(1, float64(up)/float64(down)) // of the input rate
	n := (int(math.Ceil(taps/slower)) + 3) &^ 3
	t := &filterTable{
		up: up, down: down, skip: down / up, rest: down % up,
		taps: n, phases: make([]float32, up*n),
	}
	cut := rolloff * slower / 2 // cycles per input sample
	half := float64(n) / 2
	for phase := range up {
		row := t.phases[phase*n : (phase+1)*n]
		sum := 0.0
		for i := range row {
			x := float64(i) - half + 1 - float64(phase)/float64(up) // input samples from the middle
			v := kaiser(x/half) * sinc(2*cut*x)
			row[i] = float32(v)
			sum += v
		}
		for i := range row { // each phase passes a constant unchanged
			row[i] = float32(float64(row[i]) / sum)
		}
	}
	return t
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}

// kaiser is the Kaiser window at x, -1 to 1.
func kaiser(x float64) float64 {
	if x <= -1 || x >= 1 {
		return 0
	}
	return bessel(beta*math.Sqrt(1-x*x)) / bessel(beta)
}

// bessel is the modified Bessel function of the first kind, order 0.
func bessel(x float64) float64 {
	sum, term := 1.0, 1.0
	for k := 1.0; term > 1e-12*sum; k++ {
		term *= x / (2 * k) * x / (2 * k)
		sum += term
	}
	return sum
}

// round is the nearest sample.
func round(v float32) int16 {
	if v < 0 {
		return int16(max(v-0.5, math.MinInt16))
	}
	return int16(min(v+0.5, math.MaxInt16))
}
