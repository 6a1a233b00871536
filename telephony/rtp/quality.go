package rtp

import "time"

// reception counts what came from one SSRC after another, as RFC 3550
// appendix A.1, A.3 and A.8 do.
type reception struct {
	known    bool
	ssrc     uint32
	first    uint32 // extended sequence number
	highest  uint32 // extended sequence number
	received uint32 // of this SSRC, each once
	closed   struct{ expected, received uint64 }

	clock  int
	last   time.Duration // transit of the last packet
	jitter time.Duration
	timed  bool // last is known

	reported struct{ expected, received uint64 } // at the last report
}

// packet counts one packet. transit is its arrival minus its timestamp; it
// counts for the jitter where moves is set (the timestamp of a telephone-event
// stands still).
func (r *reception) packet(ssrc uint32, seq uint16, transit time.Duration, moves bool) {
	if r.known && ssrc == r.ssrc {
		step := int16(seq - uint16(r.highest)) //nolint:gosec // wraps on purpose
		switch {
		case step > 0 && step < 3000: // RFC 3550: MAX_DROPOUT
			r.highest += uint32(step)
		case step < -100 || step >= 3000: // the sender has started over
			r.restart(ssrc, seq)
		}
	} else {
		r.restart(ssrc, seq)
	}
	r.received++
	if !moves {
		return
	}
	if r.timed {
		d := transit - r.last
		if d < 0 {
			d = -d
		}
		if d < time.Second { // more is a jump of the timestamps
			r.jitter += (d - r.jitter) / 16
		}
	}
	r.last, r.timed = transit, true
}

// again takes back one that was counted and turned out a duplicate.
func (r *reception) again() { r.received-- }

func (r *reception) restart(ssrc uint32, seq uint16) {
	expected, received := r.total()
	r.closed.expected, r.closed.received = expected, received
	r.known, r.ssrc, r.timed = true, ssrc, false
	r.first, r.highest, r.received = uint32(seq), uint32(seq), 0
}

// total is over all SSRCs.
func (r *reception) total() (expected, received uint64) {
	if r.known {
		expected = uint64(r.highest-r.first) + 1
		received = uint64(r.received)
	}
	return r.closed.expected + expected, r.closed.received + min(received, expected)
}

func (r *reception) lost() uint64 {
	expected, received := r.total()
	return expected - min(received, expected)
}

// interval is the fraction lost since the last call, in 1/256 (RFC 3550
// section 6.4.1).
func (r *reception) interval() uint8 {
	expected, received := r.total()
	e, g := expected-r.reported.expected, received-r.reported.received
	r.reported.expected, r.reported.received = expected, received
	if e == 0 || g >= e {
		return 0
	}
	return uint8(min((e-g)*256/e, 255)) //nolint:gosec // at most 255
}
