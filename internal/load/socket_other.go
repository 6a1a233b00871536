//go:build !linux

package load

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// socket is a call's RTP port. Where there are no receive times by the kernel,
// a goroutine of each socket dates what comes.

type socket struct {
	conn *net.UDPConn
	done chan struct{}

	mu   sync.Mutex // guards what follows
	peer netip.AddrPort
	got  []stamped
}

type stamped struct {
	at int64
	b  []byte
}

func openSocket(peer netip.Addr) (*socket, error) {
	local := netip.IPv4Unspecified()
	if peer.IsLoopback() {
		local = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(local, 0)))
	if err != nil {
		return nil, fmt.Errorf("load: open socket: %w", err)
	}
	s := &socket{conn: conn, done: make(chan struct{})}
	go s.receive() // close waits for it
	return s, nil
}

func (s *socket) receive() {
	defer close(s.done)
	buf := make([]byte, packetRoom)
	for {
		n, from, err := s.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			if isClosed(err) {
				return
			}
			continue
		}
		at := time.Now().UnixNano()
		s.mu.Lock()
		if from == s.peer {
			s.got = append(s.got, stamped{at, append([]byte(nil), buf[:n]...)})
		}
		s.mu.Unlock()
	}
}

func (s *socket) local() netip.AddrPort {
	return s.conn.LocalAddr().(*net.UDPAddr).AddrPort() //nolint:forcetypeassert // a UDP socket has no other
}

func (s *socket) close() {
	_ = s.conn.Close()
	<-s.done
}

func (s *socket) connect(peer netip.AddrPort) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peer = peer
	return nil
}

func (s *socket) read(take func(b []byte, at int64)) {
	s.mu.Lock()
	got := s.got
	s.got = nil
	s.mu.Unlock()
	for _, p := range got {
		take(p.b, p.at)
	}
}

func (s *socket) write(b []byte) { _, _ = s.conn.WriteToUDPAddrPort(b, s.peer) }

// clock is the pump's: time since it was made, and sleep to a point of it.
type clock struct{ start time.Time }

func newClock() clock { return clock{time.Now()} }

func (c clock) now() time.Duration { return time.Since(c.start) }

func (c clock) sleepUntil(t time.Duration) { time.Sleep(t - c.now()) }
