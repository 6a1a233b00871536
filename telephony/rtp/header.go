package rtp

import "encoding/binary"

// headerSize is a header without contributing sources, bytes.
const headerSize = 12

// header is the fixed part of a packet.
type header struct {
	marker bool
	pt     uint8
	seq    uint16
	ts     uint32
	ssrc   uint32
}

// parseHeader reads a packet and gives its payload, without contributing
// sources, extension and padding. It is pion/rtp's Packet.Unmarshal without
// its allocations; a fuzz test holds the two together.
func parseHeader(b []byte) (h header, payload []byte, ok bool) {
	if len(b) < headerSize || b[0]>>6 != 2 {
		return h, nil, false
	}
	h = header{
		marker: b[1]&0x80 != 0,
		pt:     b[1] & 0x7f,
		seq:    binary.BigEndian.Uint16(b[2:]),
		ts:     binary.BigEndian.Uint32(b[4:]),
		ssrc:   binary.BigEndian.Uint32(b[8:]),
	}
	n := headerSize + 4*int(b[0]&0x0f)
	if b[0]&0x10 != 0 { // extension, section 5.3.1
		if len(b) < n+4 {
			return h, nil, false
		}
		n += 4 + 4*int(binary.BigEndian.Uint16(b[n+2:]))
	}
	end := len(b)
	if b[0]&0x20 != 0 && end > 0 { // padding: the last byte is its length
		pad := int(b[end-1])
		if pad == 0 {
			return h, nil, false
		}
		end -= pad
	}
	if n > end {
		return h, nil, false
	}
	return h, b[n:end], true
}

// put writes h to the first headerSize bytes of b.
func (h header) put(b []byte) {
	_ = b[headerSize-1]
	b[0] = 2 << 6
	b[1] = h.pt
	if h.marker {
		b[1] |= 0x80
	}
	binary.BigEndian.PutUint16(b[2:], h.seq)
	binary.BigEndian.PutUint32(b[4:], h.ts)
	binary.BigEndian.PutUint32(b[8:], h.ssrc)
}

// isRTCP tells a report from a packet on a shared port (RFC 5761 section 4).
func isRTCP(b []byte) bool { return len(b) >= 8 && b[0]>>6 == 2 && b[1] >= 192 && b[1] <= 223 }
