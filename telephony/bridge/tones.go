package bridge

import "math"

const (
	keyLevel = 104  // -50 dB of full scale: less is no key
	keyCrest = 2.6  // a key's peak is no more than so often its level: two tones have 2, a voice 3 to 5
	keyShare = 0.75 // of a frame's power that is a key's two tones
	keyTwist = 0.06 // one tone has no less than this of the other's power, -12 dB
)

// coefficients are those of Goertzel's filter for the tones of keys (ITU-T
// Q.23), four rows and four columns, at one rate.
type coefficients [8]float32

var keysAt8k, keysAt16k = coefficientsAt(8000), coefficientsAt(16000)

func coefficientsAt(rate float64) (c coefficients) {
	for i, hz := range [...]float64{697, 770, 852, 941, 1209, 1336, 1477, 1633} {
		c[i] = float32(2 * math.Cos(2*math.Pi*hz/rate))
	}
	return c
}

// keyTone tells whether a frame is the tones of a key and hardly anything else.
// One frame must do: with a second one the far end would hear the key.
func keyTone(pcm []int16, rate int) bool {
	c := &keysAt8k
	if rate == 16000 {
		c = &keysAt16k
	}
	var sum, peak int64
	for _, v := range pcm {
		square := int64(v) * int64(v)
		sum += square
		peak = max(peak, square)
	}
	n := float32(len(pcm))
	if power := float32(sum); power < keyLevel*keyLevel*n || float32(peak)*n > keyCrest*keyCrest*power {
		return false // as nearly all of speech does, at little cost
	}
	// In two halves: four filters fit the registers of a processor.
	row, column := strongest(pcm, c[:4]), strongest(pcm, c[4:])
	return (row+column)*2 >= keyShare*n*float32(sum) && min(row, column) >= keyTwist*max(row, column)
}

// strongest is the greatest of four frequencies' powers in a frame.
func strongest(pcm []int16, c []float32) float32 {
	c0, c1, c2, c3 := c[0], c[1], c[2], c[3]
	var a1, a2, b1, b2, d1, d2, e1, e2 float32
	for _, v := range pcm {
		x := float32(v)
		a1, a2 = x+c0*a1-a2, a1
		b1, b2 = x+c1*b1-b2, b1
		d1, d2 = x+c2*d1-d2, d1
		e1, e2 = x+c3*e1-e2, e1
	}
	return max(a1*a1+a2*a2-c0*a1*a2, b1*b1+b2*b2-c1*b1*b2, d1*d1+d2*d2-c2*d1*d2, e1*e1+e2*e2-c3*e1*e2)
}
