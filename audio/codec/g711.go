package codec

import (
	"encoding/binary"
	"errors"
	"math/bits"

	"github.com/patchcord/patchcord/audio"
)

// The tables of ITU-T G.711. µ-law keeps 14 bits of a sample and A-law 12, so
// an encoder looks up the upper ones: 16 KiB and 4 KiB stay in the cache where
// 64 KiB each would not. Negative samples are taken in one's complement, as
// the reference coder of ITU-T G.191 does.
var (
	muLawDecode = decodeTable(expandMuLaw)
	aLawDecode  = decodeTable(expandALaw)
	muLawEncode = muLawTable()
	aLawEncode  = aLawTable()
)

// muLawBias is added to 14-bit magnitudes.
const muLawBias = 33

func expandMuLaw(b byte) int16 {
	c := ^b
	segment := c >> 4 & 7
	v := (int(c&15)<<1+muLawBias)<<segment - muLawBias
	if c&0x80 != 0 {
		v = -v
	}
	return int16(v << 2)
}

func expandALaw(b byte) int16 {
	c := b ^ 0x55
	v := int(c&15)<<4 + 8
	if segment := c >> 4 & 7; segment > 0 {
		v = (v + 256) << (segment - 1)
	}
	if c&0x80 == 0 {
		v = -v
	}
	return int16(v)
}

func decodeTable(expand func(byte) int16) (t [256]int16) {
	for i := range t {
		t[i] = expand(byte(i))
	}
	return t
}

func muLawTable() (t [1 << 14]byte) {
	for i := range t {
		v, sign := i, byte(0x80)
		if i >= len(t)/2 { // negative
			v, sign = len(t)-1-i, 0
		}
		v = min(v+muLawBias, 0x1FFF)
		segment := max(bits.Len(uint(v))-6, 0)
		t[i] = sign | byte(segment<<4|v>>(segment+1)&15) ^ 0x7F
	}
	return t
}

func aLawTable() (t [1 << 12]byte) {
	for i := range t {
		v, sign := i, byte(0x80)
		if i >= len(t)/2 {
			v, sign = len(t)-1-i, 0
		}
		segment := max(bits.Len(uint(v))-4, 0)
		code := byte(v)
		if segment > 0 {
			code = byte(segment<<4 | v>>(segment-1)&15)
		}
		t[i] = (sign | code) ^ 0x55
	}
	return t
}

// EncodeMuLaw codes pcm as µ-law, one byte a sample, as many as dst has room
// for, and returns how many.
func EncodeMuLaw(dst []byte, pcm []int16) int {
	n := min(len(dst), len(pcm))
	dst = dst[:n]
	for i, s := range pcm[:n] {
		dst[i] = muLawEncode[uint16(s)>>2]
	}
	return n
}

// DecodeMuLaw decodes µ-law bytes, as many as dst has room for, and returns
// how many.
func DecodeMuLaw(dst []int16, src []byte) int { return decode711(&muLawDecode, dst, src) }

// EncodeALaw codes pcm as A-law, as EncodeMuLaw does.
func EncodeALaw(dst []byte, pcm []int16) int {
	n := min(len(dst), len(pcm))
	dst = dst[:n]
	for i, s := range pcm[:n] {
		dst[i] = aLawEncode[uint16(s)>>4]
	}
	return n
}

// DecodeALaw decodes A-law bytes, as DecodeMuLaw does.
func DecodeALaw(dst []int16, src []byte) int { return decode711(&aLawDecode, dst, src) }

func decode711(table *[256]int16, dst []int16, src []byte) int {
	n := min(len(dst), len(src))
	dst = dst[:n]
	for i, b := range src[:n] {
		dst[i] = table[b]
	}
	return n
}

// g711 is either law. It holds no state.
type g711 struct{ spec Spec }

func newG711(s Spec) Codec { return g711{s} }

func (g g711) Spec() Spec { return g.spec }

func (g g711) Encode(dst []byte, pcm []int16) int {
	if g.spec.Encoding == audio.MuLaw {
		return EncodeMuLaw(dst, pcm)
	}
	return EncodeALaw(dst, pcm)
}

func (g g711) Decode(dst []int16, payload []byte) int {
	if g.spec.Encoding == audio.MuLaw {
		return DecodeMuLaw(dst, payload)
	}
	return DecodeALaw(dst, payload)
}

var errEncoding = errors.New("codec: encoding is not one of pcm16, mulaw, alaw")

// AppendBytes appends pcm to dst in the given encoding, for providers that
// take sound as bytes.
func AppendBytes(dst []byte, e audio.Encoding, pcm []int16) ([]byte, error) {
	at := len(dst)
	switch e {
	case audio.MuLaw:
		dst = append(dst, make([]byte, len(pcm))...)
		EncodeMuLaw(dst[at:], pcm)
	case audio.ALaw:
		dst = append(dst, make([]byte, len(pcm))...)
		EncodeALaw(dst[at:], pcm)
	case audio.PCM16:
		for _, s := range pcm {
			dst = binary.LittleEndian.AppendUint16(dst, uint16(s))
		}
	default:
		return dst, errEncoding
	}
	return dst, nil
}

// AppendSamples appends the samples that src holds in the given encoding. Of
// pcm16 an odd last byte is left out: the caller keeps it for the next piece.
func AppendSamples(dst []int16, e audio.Encoding, src []byte) ([]int16, error) {
	at := len(dst)
	switch e {
	case audio.MuLaw:
		dst = append(dst, make([]int16, len(src))...)
		DecodeMuLaw(dst[at:], src)
	case audio.ALaw:
		dst = append(dst, make([]int16, len(src))...)
		DecodeALaw(dst[at:], src)
	case audio.PCM16:
		for ; len(src) >= 2; src = src[2:] {
			dst = append(dst, int16(binary.LittleEndian.Uint16(src)))
		}
	default:
		return dst, errEncoding
	}
	return dst, nil
}
