// Package codec turns samples into the payloads of RTP and back: G.711 µ-law
// and A-law, G.722, Opus, comfort noise (RFC 3389), and what is made up for
// frames that were lost.
//
// Nothing here allocates once it is made, any bytes decode to some sound, and
// G.711 is bit exact with ITU-T G.191: a frame decoded and encoded again by the
// same law is the same bytes, but for the second zero of µ-law (0x7F), which
// becomes the first (0xFF). A codec holds state of one stream:
// each leg has one for either direction.
package codec

import (
	"fmt"
	"strings"

	"github.com/patchcord/patchcord/audio"
)

// ComfortNoise is the static payload type of comfort noise (RFC 3389).
const ComfortNoise = 13

// Codec is one stream's coder or decoder. It is used for one direction only,
// by one goroutine at a time.
type Codec interface {
	// Spec is the codec's line of the table.
	Spec() Spec
	// Encode codes pcm into dst, which has room for Spec.Bytes(len(pcm)), and
	// returns how many bytes it wrote. Samples without room are left out.
	Encode(dst []byte, pcm []int16) int
	// Decode decodes a payload into dst, which has room for
	// Spec.Samples(payload), and returns how many samples it wrote. Bytes
	// without room are left out, and so is a packet that cannot be read.
	Decode(dst []int16, payload []byte) int
}

// Recoverer is a codec that makes up for lost frames better than a
// [Concealer] can, which knows the sound alone.
type Recoverer interface {
	// Recover fills dst with what was lost before the payload next, nil where
	// that has not come. False: it cannot, and dst is as good as empty.
	Recover(dst []int16, next []byte) bool
}

// Spec is what is known of a codec before it is made.
type Spec struct {
	Name        string         // of the SDP's rtpmap: "PCMU"
	PayloadType uint8          // static one (RFC 3551, table 4); from 96 on what we call a dynamic one
	ClockRate   int            // Hz of the RTP timestamp
	Rate        int            // Hz of the samples
	Encoding    audio.Encoding // how the wire carries it, for providers; PCM16 where no provider takes it
	MaxPayload  int            // bytes of the largest packet that is taken
	Frames      bool           // it codes frames of 2.5, 5, 10, 20, 40 and 60 ms alone
	build       func(Spec) Codec
	samples     func(rate int, payload []byte) int // nil: a fixed number for each byte
}

// mostBytes is 60 ms of G.711 or G.722 and some.
const mostBytes = 500

// table is every codec, in our order of preference.
var table = [...]Spec{
	{"PCMU", 0, 8000, 8000, audio.MuLaw, mostBytes, false, newG711, nil},
	{"PCMA", 8, 8000, 8000, audio.ALaw, mostBytes, false, newG711, nil},
	// The RTP clock of G.722 is 8000 Hz by an old mistake (RFC 3551 section 4.5.2).
	{"G722", 9, 8000, 16000, audio.PCM16, mostBytes, false, newG722, nil},
	// Its RTP clock is always 48 kHz (RFC 7587 section 4.1).
	{"opus", 111, 48000, 16000, audio.PCM16, opusFrame, true, newOpus, opusSamples},
}

// All is every codec in our order of preference.
func All() []Spec { return append([]Spec(nil), table[:]...) }

// Lookup finds a codec by its name, in capitals or not.
func Lookup(name string) (Spec, bool) {
	for _, s := range table {
		if strings.EqualFold(s.Name, name) {
			return s, true
		}
	}
	return Spec{}, false
}

// ByPayloadType finds a codec by its static payload type.
func ByPayloadType(pt uint8) (Spec, bool) {
	for _, s := range table {
		if s.PayloadType == pt && pt < firstDynamic {
			return s, true
		}
	}
	return Spec{}, false
}

// firstDynamic is the first payload type whose meaning is negotiated (RFC 3551
// section 6).
const firstDynamic = 96

// New makes a codec for one direction of one stream.
func New(name string) (Codec, error) {
	s, ok := Lookup(name)
	if !ok {
		return nil, fmt.Errorf("codec: %q is not one of PCMU, PCMA, G722, opus", name)
	}
	return s.New(), nil
}

// New makes a codec of the spec for one direction of one stream.
func (s Spec) New() Codec { return s.build(s) }

// Format is what the frames of a leg with this codec are like.
func (s Spec) Format() audio.Format { return audio.Format{Encoding: s.Encoding, Rate: s.Rate} }

// Bytes is the most that samples are coded into.
func (s Spec) Bytes(samples int) int {
	if s.samples != nil {
		return s.MaxPayload
	}
	return samples * s.ClockRate / s.Rate
}

// Samples is how many samples a payload holds, 0 where it is none.
func (s Spec) Samples(payload []byte) int {
	if s.samples != nil {
		return s.samples(s.Rate, payload)
	}
	return len(payload) * s.Rate / s.ClockRate
}

// MaxSamples is the most that a payload holds.
func (s Spec) MaxSamples() int {
	if s.samples != nil {
		return s.Rate * opusMost / 1000
	}
	return s.MaxPayload * s.Rate / s.ClockRate
}

// Ticks is how far the RTP timestamp advances over samples.
func (s Spec) Ticks(samples int) uint32 { return uint32(samples * s.ClockRate / s.Rate) }
