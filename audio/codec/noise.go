package codec

import "math"

// Noise makes the comfort noise of RFC 3389: white noise of the level that the
// peer tells. The spectrum it may tell as well is left out. The zero value is
// silent.
type Noise struct {
	scale float32 // of the generator's 32 bits
	seed  uint32
}

// Set takes the payload of a comfort noise packet: its first byte is the
// level, 0 to 127 dB below the overload point (RFC 3389 section 3.1). An empty
// one changes nothing.
func (n *Noise) Set(payload []byte) {
	if len(payload) > 0 {
		n.SetLevel(-float64(payload[0] & 0x7F))
	}
}

// SetLevel sets the level in dBov: 0 is a square wave at full scale.
func (n *Noise) SetLevel(dBov float64) {
	// Even noise of amplitude a has the power a²/3.
	n.scale = float32(math.Sqrt(3) * math.Pow(10, min(dBov, 0)/20) / (1 << 16))
}

// Fill fills dst with noise.
func (n *Noise) Fill(dst []int16) {
	for i := range dst {
		dst[i] = clip(n.next())
	}
}

func (n *Noise) next() float32 {
	n.seed = n.seed*1664525 + 1013904223 // Numerical Recipes' generator: its upper bits are noise enough
	return n.scale * float32(int32(n.seed))
}

// clip rounds to a sample.
func clip(v float32) int16 {
	if v < 0 {
		return int16(max(v-0.5, math.MinInt16))
	}
	return int16(min(v+0.5, math.MaxInt16))
}
