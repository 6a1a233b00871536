package vad

import "math"

const (
	fullScale    = 1 << 30
	window       = 150 // frames: 3 s
	percentile   = 10
	binsPerBel   = 20     // half a dB each
	bins         = 184    // up to 92 dB over 1, full scale is at 90.3
	early        = 25     // frames: 500 ms
	highestEarly = 107374 // mean square of -40 dB of full scale
)

// binPower is the mean square in the middle of each bin.
var binPower = func() (t [bins]float64) {
	for i := range t {
		t[i] = math.Pow(10, (float64(i)+0.5)/binsPerBel)
	}
	return t
}()

// floor is the background: the 10th percentile of the loudness of the last
// 3 s, kept in a histogram. Before 500 ms were heard it is taken no higher than
// -40 dB of full scale, so that a call that begins with a voice is not taken
// for a noisy line.
type floor struct {
	hist  [bins]uint8
	ring  [window]uint8 // the bins of the last frames
	n     int           // of them in use
	at    int           // where the next one goes
	bin   int           // the percentile lies in it
	below int           // frames in the bins under it
}

// power is the background's mean square.
func (f *floor) power() float64 {
	p := binPower[f.bin]
	if f.n < early {
		p = min(p, highestEarly)
	}
	return p
}

// add takes the mean square of a frame.
func (f *floor) add(power float64) {
	b := 0
	if power > 1 {
		b = min(int(binsPerBel*math.Log10(power)), bins-1)
	}
	if f.n == window {
		old := int(f.ring[f.at])
		f.hist[old]--
		if old < f.bin {
			f.below--
		}
	} else {
		f.n++
	}
	f.ring[f.at] = uint8(b)
	f.hist[b]++
	if b < f.bin {
		f.below++
	}
	if f.at++; f.at == window {
		f.at = 0
	}
	rank := f.n * percentile / 100
	for f.below > rank {
		f.bin--
		f.below -= int(f.hist[f.bin])
	}
	for f.below+int(f.hist[f.bin]) <= rank {
		f.below += int(f.hist[f.bin])
		f.bin++
	}
}
