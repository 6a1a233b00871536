package wsmedia

import (
	"encoding/binary"
	"strings"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/codec"
)

// codecNamed is a codec that a stream may have, at a rate of its samples (0:
// the codec's own).
func codecNamed(name string, rate int) (codec.Spec, bool) {
	if strings.EqualFold(name, "L16") {
		if rate == 0 {
			rate = 16000
		}
		return codec.Spec{Name: "L16", ClockRate: rate, Rate: rate, Encoding: audio.PCM16}, rate == 8000 || rate == 16000
	}
	c, ok := codec.Lookup(name)
	// Who tells the rate of G.722 may tell that of its RTP clock (RFC 3551 section 4.5.2).
	return c, ok && !c.Frames && (rate == 0 || rate == c.Rate || rate == c.ClockRate)
}

// coder makes a codec for one direction of one stream.
func coder(c codec.Spec) codec.Codec {
	if c.Name == "L16" {
		return l16{c}
	}
	return c.New()
}

// bytesOf is the size of samples as they are sent.
func bytesOf(c codec.Spec, samples int) int {
	if c.Name == "L16" {
		return 2 * samples
	}
	return c.Bytes(samples)
}

// samplesOf is how many samples so many bytes hold.
func samplesOf(c codec.Spec, bytes int) int {
	if c.Name == "L16" {
		return bytes / 2
	}
	return bytes * c.Rate / c.ClockRate
}

// l16 is 16-bit samples in network byte order (RFC 3551 section 4.5.11).
type l16 struct{ spec codec.Spec }

func (l l16) Spec() codec.Spec { return l.spec }

func (l l16) Encode(dst []byte, pcm []int16) int {
	n := min(len(pcm), len(dst)/2)
	for i, v := range pcm[:n] {
		binary.BigEndian.PutUint16(dst[2*i:], uint16(v))
	}
	return 2 * n
}

func (l l16) Decode(dst []int16, payload []byte) int {
	n := min(len(dst), len(payload)/2)
	for i := range dst[:n] {
		dst[i] = int16(binary.BigEndian.Uint16(payload[2*i:]))
	}
	return n
}
