package codec

import "github.com/gotranspile/g722"

// g722Codec is G.722 at 64 kbit/s: 16 kHz samples, two to a byte. Either state
// is made when it is first needed, for a codec is used for one direction.
type g722Codec struct {
	spec Spec
	enc  *g722.Encoder
	dec  *g722.Decoder
}

func newG722(s Spec) Codec { return &g722Codec{spec: s} }

func (g *g722Codec) Spec() Spec { return g.spec }

func (g *g722Codec) Encode(dst []byte, pcm []int16) int {
	if g.enc == nil {
		g.enc = g722.NewEncoder(g722.RateDefault, 0)
	}
	n := min(len(pcm), 2*len(dst)) &^ 1
	return g.enc.Encode(dst, pcm[:n])
}

func (g *g722Codec) Decode(dst []int16, payload []byte) int {
	if g.dec == nil {
		g.dec = g722.NewDecoder(g722.RateDefault, 0)
	}
	return g.dec.Decode(dst, payload[:min(len(payload), len(dst)/2)])
}
