package rtp

import (
	"net/netip"
	"time"
)

// Wire carries the packets of a session that has no port of its own: those of
// a peer connection, which knows its peer by keys and not by an address. None
// of its methods waits.
type Wire interface {
	// Read moves the oldest packet that has come, RTP or RTCP, to b and tells
	// its bytes and when it came; 0: there is none. The shard calls it.
	Read(b []byte) (n int, at time.Time)
	// Write sends a packet: RTP by the shard, RTCP by another goroutine.
	Write(b []byte) bool
	// Close is called once, after the last Write.
	Close()
}

// wirePeer stands for the peer of a Wire, for what asks for addresses.
var wirePeer = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 9)

// wireConn is a Wire as a port. Reports come and go with the sound (RFC 5761).
type wireConn struct{ Wire }

var _ conn = wireConn{}

func (w wireConn) read(in *batch) int {
	for i := range batchSize {
		n, at := w.Read(in.buf[i][:])
		if n == 0 {
			return i
		}
		in.size[i], in.from[i], in.at[i] = n, wirePeer, in.arrival(at.UnixNano())
	}
	return batchSize
}

func (w wireConn) write(p []byte, _ netip.AddrPort) bool { return w.Write(p) }
func (w wireConn) local() netip.AddrPort                 { return wirePeer }
func (w wireConn) close()                                { w.Close() }

// Attach makes a session whose packets w carries; ssrc names its stream.
func (m *Media) Attach(w Wire, ssrc uint32) (*Session, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.state == stopped {
		return nil, ErrClosed
	}
	m.open++
	s := newSession(m, wireConn{w}, nil, 0)
	s.wired, s.out.ssrc = true, ssrc
	return s, nil
}
