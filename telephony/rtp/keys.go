package rtp

import (
	"encoding/binary"
	"time"

	"github.com/patchcord/patchcord/telephony"
)

const (
	// keyOver is how long a key without an end packet may stay silent before
	// it counts as released: all its end packets were lost.
	keyOver = 200 * time.Millisecond
	// keyApart is the least distance of two presses of one key, from start to
	// start; what is nearer is a repeat (conv:D6).
	keyApart = 60 * time.Millisecond
	// segment is the longest duration one event can tell (RFC 4733 section
	// 2.5.1.3); a longer press goes on under the next timestamp.
	segment = 0xffff
	// misorder is how many packets late one may come; what lies further back is
	// a sender that began to count anew (RFC 3550 appendix A.1, MAX_MISORDER).
	misorder = 100
)

// The keys by event number (RFC 4733 section 3.2).
const keyNames = "0123456789*#ABCD"

// keyEvent is one telephone-event packet (RFC 4733 section 2.3):
//
//	 0                   1                   2                   3
//	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//	|     event     |E|R| volume    |          duration             |
//	+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
type keyEvent struct {
	event    uint8
	end      bool
	volume   uint8 // dBm0, sign dropped
	duration uint16
}

func parseKeyEvent(b []byte) (keyEvent, bool) {
	if len(b) < 4 {
		return keyEvent{}, false
	}
	return keyEvent{
		event:    b[0],
		end:      b[1]&0x80 != 0,
		volume:   b[1] & 0x3f,
		duration: binary.BigEndian.Uint16(b[2:]),
	}, true
}

func (e keyEvent) put(b []byte) {
	_ = b[3]
	b[0], b[1] = e.event, e.volume&0x3f
	if e.end {
		b[1] |= 0x80
	}
	binary.BigEndian.PutUint16(b[2:], e.duration)
}

// keyReader makes one Digit of the many packets of a key press. A press is
// known by its timestamp, so it matters neither which of its packets are lost
// nor in what order they come; a timestamp that lies before the last press's is
// another press where the sequence number went on, for senders that play each
// key from a file of its own. It is a pure state machine.
type keyReader struct {
	clock  int // Hz, of durations
	stamps int // Hz, of timestamps: the audio's, another only with a peer that mixes them

	known   bool // the fields below mean a press
	told    bool // its Digit was given
	key     byte
	ts      uint32 // timestamp of its present segment
	seq     uint16 // its newest packet
	before  uint32 // ticks in the segments before
	ticks   uint32 // ticks of the present segment
	touched time.Duration
}

// packet takes a telephone-event packet and gives what it completed: the press
// before it, whose end was lost, and its own.
func (k *keyReader) packet(
	seq uint16, ts uint32, marker bool, e keyEvent, now time.Duration,
) (done [2]telephony.Digit, n int) {
	if int(e.event) >= len(keyNames) {
		return done, 0 // flash, modem and fax tones
	}
	key := keyNames[e.event]
	newer := int16(seq - k.seq) //nolint:gosec // wraps on purpose
	late := newer <= 0 && newer > -misorder
	switch after := int32(ts - k.ts); { //nolint:gosec // wraps on purpose
	case !k.known:
		k.begin(key, seq, ts)
	case after == 0 && key == k.key:
	case after < 0 && after > -10*int32(k.stamps) && now-k.touched < time.Second && late: //nolint:gosec // a rate
		return done, 0 // out of order, from a press that is over
	case !k.told && key == k.key && after == segment:
		k.before += segment
		k.ts, k.ticks = ts, 0
	case !k.told && key == k.key && !marker && uint32(e.duration) > k.ticks &&
		after <= int32(k.stamps): //nolint:gosec // a rate
		k.ts = ts // a sender that counts the timestamp on in one press
	case key == k.key && max(after, -after) < int32(keyApart.Seconds()*float64(k.stamps)): //nolint:gosec // small
		k.ts = ts
	default:
		if d, ok := k.finish(); ok {
			done[0], n = d, 1
		}
		k.begin(key, seq, ts)
	}
	if !late {
		k.seq = seq
	}
	k.touched = now
	k.ticks = max(k.ticks, uint32(e.duration))
	if e.end {
		if d, ok := k.finish(); ok {
			done[n] = d
			n++
		}
	}
	return done, n
}

// over gives the press whose end packets were all lost.
func (k *keyReader) over(now time.Duration) (telephony.Digit, bool) {
	if !k.known || k.told || now-k.touched < keyOver {
		return telephony.Digit{}, false
	}
	return k.finish()
}

// restart is for a new SSRC, whose timestamps have nothing to do with the old
// ones. It gives the press that was not over.
func (k *keyReader) restart() (telephony.Digit, bool) {
	d, ok := k.finish()
	*k = keyReader{clock: k.clock, stamps: k.stamps}
	return d, ok
}

func (k *keyReader) begin(key byte, seq uint16, ts uint32) {
	*k = keyReader{clock: k.clock, stamps: k.stamps, known: true, key: key, seq: seq, ts: ts}
}

// finish gives the press, once.
func (k *keyReader) finish() (telephony.Digit, bool) {
	if !k.known || k.told {
		return telephony.Digit{}, false
	}
	k.told = true
	long := time.Duration(k.before+k.ticks) * time.Second / time.Duration(k.clock)
	return telephony.Digit{Key: k.key, Duration: long, Source: "rfc4733"}, true
}
