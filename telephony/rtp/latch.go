package rtp

import (
	"net/netip"
	"slices"
	"time"
)

const (
	latchPackets = 3 // in order, one SSRC, before a source is believed
	// learnWithin is how long these may take, and how long a better source
	// that was heard of keeps a worse one out.
	learnWithin = 500 * time.Millisecond
	// A silent source may be followed by the address of the SDP after
	// silentAnnounced, by any other allowed one after silentLearned.
	silentAnnounced = time.Second
	silentLearned   = 2 * time.Second
	// oldAccepted is how long the old source is heard after the SDP moved.
	oldAccepted = 2 * time.Second
	// oldConfirmed is how long after it an old source that is still allowed
	// and still sends, while the new address is silent, gets our packets back:
	// the phone is behind NAT and its SDP tells an inside address.
	oldConfirmed = 500 * time.Millisecond

	maxStep = 16 // sequence numbers between two packets in order
)

// verdict is what to do with a packet.
type verdict uint8

const (
	stranger verdict = iota // drop it
	wait                    // keep it: its source may be latched soon
	latched                 // its source is latched now: what was kept is good, and this
	accept                  // from the locked source
)

// How well a source is known, best first: each has its own candidate, so that
// a flood from elsewhere cannot keep the right one out.
const (
	announcedPort = iota // address and port of the SDP, or of the locked source
	announcedIP          // address of the SDP, another port
	otherAllowed         // the trunk's, or anybody's where NAT is on
	classes
)

// latch locks a session to one source: address, port and SSRC (SEC-2). It is a pure state machine.
type latch struct {
	announced netip.AddrPort // of the SDP
	others    []netip.AddrPort
	allow     []netip.Prefix
	any       bool

	locked bool
	addr   netip.AddrPort
	ssrc   uint32
	last   time.Duration // its last packet

	moved   bool // the SDP changed while locked
	movedAt time.Duration

	candidates [classes]candidate
}

// candidate is a source that may be latched.
type candidate struct {
	addr        netip.AddrPort
	ssrc        uint32
	seq         uint16
	n           int
	first, last time.Duration
}

// set takes what was negotiated. A new address makes the latch learn again.
func (l *latch) set(p *Params, now time.Duration) {
	if l.locked && p.Remote != l.announced {
		l.moved, l.movedAt = p.Remote != l.addr, now
	}
	if p.Remote != l.announced {
		l.candidates = [classes]candidate{}
	}
	l.announced, l.others, l.allow, l.any = p.Remote, p.Others, p.Allow, p.NATAny
}

// class is how well an address is known; false: not at all.
func (l *latch) class(from netip.AddrPort) (int, bool) {
	switch {
	case from == l.announced:
		return announcedPort, true
	case from.Addr() == l.announced.Addr():
		return announcedIP, true
	case l.any, slices.Contains(l.others, from):
		return otherAllowed, true
	}
	for _, p := range l.allow {
		if p.Contains(from.Addr()) {
			return otherAllowed, true
		}
	}
	return 0, false
}

// packet judges a packet with a payload type that was negotiated.
func (l *latch) packet(from netip.AddrPort, ssrc uint32, seq uint16, now time.Duration) (verdict, int) {
	l.settle(now)
	if l.locked && from == l.addr {
		if ssrc == l.ssrc {
			l.last = now
			if c := &l.candidates[announcedPort]; c.addr == from {
				*c = candidate{} // two streams at once: the first stays
			}
			return accept, announcedPort
		}
		if !l.moved {
			return l.try(announcedPort, from, ssrc, seq, now)
		}
	}
	class, ok := l.class(from)
	if !ok || l.locked && !l.mayFollow(class, now) {
		return stranger, 0
	}
	return l.try(class, from, ssrc, seq, now)
}

// mayFollow is whether a source of that class may take the locked one's place.
func (l *latch) mayFollow(class int, now time.Duration) bool {
	silent := now - l.last
	switch {
	case l.moved, class == announcedPort && slices.Contains(l.others, l.addr):
		return true
	case class <= announcedIP:
		return silent >= silentAnnounced
	}
	return silent >= silentLearned
}

// try counts a packet of a candidate and latches it when there were enough.
func (l *latch) try(class int, from netip.AddrPort, ssrc uint32, seq uint16, now time.Duration) (verdict, int) {
	c := &l.candidates[class]
	same := c.n > 0 && c.addr == from && c.ssrc == ssrc
	if c.n > 0 && !same && now-c.last < learnWithin && now-c.first < learnWithin {
		return stranger, 0
	}
	step := seq - c.seq
	if same && step == 0 {
		return stranger, 0 // twice the same
	}
	if !same || step > maxStep || now-c.first > learnWithin {
		*c = candidate{addr: from, ssrc: ssrc, seq: seq, n: 1, first: now, last: now}
		return wait, class
	}
	c.seq, c.last = seq, now
	c.n = min(c.n+1, latchPackets)
	if c.n < latchPackets {
		return wait, class
	}
	for better := range class {
		if b := &l.candidates[better]; b.n > 0 && now-b.last < learnWithin {
			return wait, class
		}
	}
	l.locked, l.moved = true, false
	l.addr, l.ssrc, l.last = from, ssrc, now
	l.candidates = [classes]candidate{}
	return latched, class
}

// worth is whether an encrypted packet from there is looked into: while the
// locked source speaks, nobody whom nothing told of costs more than this.
func (l *latch) worth(from netip.AddrPort, now time.Duration) bool {
	if !l.locked || l.moved || from == l.addr {
		return true
	}
	_, known := l.class(from)
	return known || now-l.last >= silentAnnounced
}

// proven takes an encrypted packet that authenticated: nobody but the peer can
// have made it, so its source is believed at once and wherever it is. Who only
// copies the peer's packets to another address gets none of ours: a second
// source is followed once the locked one is not heard between its packets.
func (l *latch) proven(from netip.AddrPort, ssrc uint32, now time.Duration) {
	l.settle(now)
	c := &l.candidates[announcedPort]
	if l.locked && from == l.addr {
		l.ssrc, l.last = ssrc, now
		if !l.moved {
			*c = candidate{}
		}
		return
	}
	if l.locked && !l.moved {
		if c.addr != from {
			*c = candidate{addr: from}
		}
		c.n, c.last = c.n+1, now
		if c.n < latchPackets {
			return
		}
	}
	l.locked, l.moved = true, false
	l.addr, l.ssrc, l.last = from, ssrc, now
	l.candidates = [classes]candidate{}
}

// settle ends the time after a move.
func (l *latch) settle(now time.Duration) {
	if !l.moved {
		return
	}
	_, allowed := l.class(l.addr)
	switch since := now - l.movedAt; {
	case allowed && since >= oldConfirmed && now-l.last < oldConfirmed && l.candidates[announcedPort].n == 0:
		l.moved = false
	case since >= oldAccepted:
		l.moved = false
		l.locked = allowed && now-l.last < oldAccepted
	}
}

// destination is where our packets go: the SDP's address until a source is
// latched, then the source.
func (l *latch) destination(now time.Duration) netip.AddrPort {
	l.settle(now)
	if l.locked && !l.moved {
		return l.addr
	}
	return l.announced
}
