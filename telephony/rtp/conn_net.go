//go:build !linux || race || portable

package rtp

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// netConn is a port on any system and under the race detector: a goroutine
// reads into a ring that read empties.
type netConn struct {
	udp  *net.UDPConn
	addr netip.AddrPort
	done chan struct{}

	mu   sync.Mutex
	ring [ringSize]arrived
	head int // the oldest
	n    int
}

// ringSize is 64 packets: more than come in the 20 ms between reads, unless
// it is a flood.
const ringSize = 64

type arrived struct {
	size int
	from netip.AddrPort
	wall int64
	buf  [packetSize]byte
}

var _ conn = (*netConn)(nil)

type batchSys struct{}

func newBatch() *batch { return new(batch) }

func listen(addr netip.AddrPort, tos, receiveBuffer int) (conn, error) {
	network := "udp4"
	if addr.Addr().Is6() {
		network = "udp6"
		if addr.Addr().IsUnspecified() {
			network = "udp"
		}
	}
	udp, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return nil, fmt.Errorf("rtp: bind %v: %w", addr, err)
	}
	// What follows only makes it better: a kernel that refuses is fine.
	_ = udp.SetReadBuffer(receiveBuffer)
	if addr.Addr().Is4() {
		_ = ipv4.NewConn(udp).SetTOS(tos)
	} else {
		_ = ipv6.NewConn(udp).SetTrafficClass(tos)
	}
	c := &netConn{udp: udp, addr: addr, done: make(chan struct{})}
	go c.receive()
	return c, nil
}

func (c *netConn) receive() {
	defer close(c.done)
	var buf [packetSize + 1]byte
	for {
		n, from, err := c.udp.ReadFromUDPAddrPort(buf[:])
		if err != nil {
			if c.closed(err) {
				return
			}
			continue
		}
		if n > packetSize {
			n = 0
		}
		c.mu.Lock()
		if c.n < ringSize {
			a := &c.ring[(c.head+c.n)%ringSize]
			a.size, a.from, a.wall = n, unmap(from), time.Now().UnixNano()
			copy(a.buf[:], buf[:n])
			c.n++
		}
		c.mu.Unlock()
	}
}

// closed tells the end from an error that a packet we sent has caused (an ICMP
// message, on some systems).
func (c *netConn) closed(err error) bool {
	ne, ok := err.(net.Error) //nolint:errorlint // net's own errors are not wrapped
	return !ok || !ne.Timeout() && c.udp.SetReadDeadline(time.Time{}) != nil
}

func (c *netConn) read(in *batch) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(c.n, batchSize)
	for i := range n {
		a := &c.ring[c.head]
		in.size[i], in.from[i], in.at[i] = a.size, a.from, in.arrival(a.wall)
		copy(in.buf[i][:], a.buf[:a.size])
		c.head = (c.head + 1) % ringSize
	}
	c.n -= n
	return n
}

func (c *netConn) write(p []byte, to netip.AddrPort) bool {
	_, err := c.udp.WriteToUDPAddrPort(p, to)
	return err == nil
}

func (c *netConn) local() netip.AddrPort { return c.addr }

func (c *netConn) close() {
	_ = c.udp.Close()
	<-c.done
}
