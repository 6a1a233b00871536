package sip

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// datagrams is the UDP socket as the transport below sees it: only messages
// that passed ingress come out of it.
type datagrams struct {
	net.PacketConn
	u     *UserAgent
	local netip.AddrPort

	buf []byte // of the reading goroutine: the largest datagram there is
	// remotes are the addresses the transport below has been shown. It keeps
	// one entry for each, about 250 bytes, and never forgets one (sip:P8), so
	// it is started afresh before they are more than Config.maxRemotes.
	remotes map[netip.AddrPort]struct{}
	last    time.Time   // of the reading goroutine: when it read the last message
	fresh   atomic.Bool // the transport's loop was ended to be started afresh
	up      sync.Once
	reading chan struct{} // closed when the transport has the socket
}

// settle is how long after the last message the transport's loop may end: when
// it does, the layer below forgets the way back to those who sent it, and opens
// a socket of its own to answer.
const settle = 20 * time.Millisecond

func (d *datagrams) ReadFrom(b []byte) (int, net.Addr, error) {
	d.up.Do(func() { close(d.reading) })
	for {
		if len(d.remotes) >= d.u.cfg.maxRemotes {
			time.Sleep(settle)
			d.fresh.Store(true)
			return 0, nil, net.ErrClosed
		}
		n, addr, err := d.PacketConn.ReadFrom(d.buf)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				time.Sleep(settle - min(settle, time.Since(d.last)))
				return 0, nil, err
			}
			// An ICMP error or a short resource: the socket is still good.
			time.Sleep(time.Millisecond)
			continue
		}
		from := addrPort(addr)
		out := d.u.ingress(d.buf[:n], from, d.local, "UDP", false, func(v via, answer []byte) {
			_, _ = d.WriteTo(answer, net.UDPAddrFromAddrPort(replyAddr(v, from)))
		})
		if out == nil || len(out) > len(b) {
			continue
		}
		d.remotes[from], d.last = struct{}{}, time.Now()
		return copy(b, out), addr, nil
	}
}

// reopen reports whether the loop on the socket shall be started again.
func (d *datagrams) reopen() bool {
	if !d.fresh.Swap(false) {
		return false
	}
	clear(d.remotes)
	return true
}

func (d *datagrams) WriteTo(b []byte, addr net.Addr) (int, error) {
	out := restoreBranch(b)
	n, err := d.PacketConn.WriteTo(out, addr)
	if n == len(out) {
		n = len(b)
	}
	return n, err
}

// addrPort is the address of a UDP or TCP peer.
func addrPort(a net.Addr) netip.AddrPort {
	var ap netip.AddrPort
	switch a := a.(type) {
	case *net.UDPAddr:
		ap = a.AddrPort()
	case *net.TCPAddr:
		ap = a.AddrPort()
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
