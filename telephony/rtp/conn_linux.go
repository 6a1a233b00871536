//go:build linux && !race && !portable

package rtp

import (
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// rawConn is a non-blocking socket used by raw system calls: no poller, no
// goroutine, no allocation.
type rawConn struct {
	fd   int
	addr netip.AddrPort
	v6   bool
}

var _ conn = (*rawConn)(nil)

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// batchSys is what recvmmsg is told: each header points at its own buffers.
// It lives in one allocation with them and is made once.
type batchSys struct {
	msg     [batchSize]mmsghdr
	iov     [batchSize]unix.Iovec
	name    [batchSize]unix.RawSockaddrInet6 // or Inet4, which is smaller
	control [batchSize][controlSize]byte
	dirty   int // headers the last call wrote to
}

// controlSize holds one SCM_TIMESTAMPNS: a header and a timespec, bytes.
const controlSize = 64

func newBatch() *batch {
	b := new(batch)
	for i := range batchSize {
		s := &b.sys
		s.iov[i].Base = &b.buf[i][0]
		s.iov[i].SetLen(packetSize)
		h := &s.msg[i].hdr
		h.Name = (*byte)(unsafe.Pointer(&s.name[i]))
		h.Iov = &s.iov[i]
		h.SetIovlen(1)
		h.Control = &s.control[i][0]
	}
	b.sys.dirty = batchSize
	return b
}

func listen(addr netip.AddrPort, tos, receiveBuffer int) (conn, error) {
	family := unix.AF_INET
	if addr.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("rtp: open socket: %w", err)
	}
	c := &rawConn{fd: fd, addr: addr, v6: family == unix.AF_INET6}
	if err := c.bind(); err != nil {
		c.close()
		return nil, fmt.Errorf("rtp: bind %v: %w", addr, err)
	}
	// What follows only makes it better: a kernel that refuses is fine.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, tos)
	if c.v6 {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, tos)
	}
	return c, nil
}

func (c *rawConn) bind() error {
	port := int(c.addr.Port())
	if !c.v6 {
		return unix.Bind(c.fd, &unix.SockaddrInet4{Port: port, Addr: c.addr.Addr().As4()})
	}
	only := 1
	if c.addr.Addr().IsUnspecified() {
		only = 0 // IPv4 too, as ::ffff:a.b.c.d
	}
	if err := unix.SetsockoptInt(c.fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only); err != nil {
		return err
	}
	return unix.Bind(c.fd, &unix.SockaddrInet6{Port: port, Addr: c.addr.Addr().As16()})
}

func (c *rawConn) local() netip.AddrPort { return c.addr }

func (c *rawConn) close() { _ = unix.Close(c.fd) }

func (c *rawConn) read(in *batch) int {
	s := &in.sys
	for i := range s.dirty {
		h := &s.msg[i].hdr
		h.Namelen = unix.SizeofSockaddrInet6
		h.SetControllen(controlSize)
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(c.fd),
		uintptr(unsafe.Pointer(&s.msg[0])), batchSize, unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		s.dirty = 1 // an error may still have written to the first
		return 0
	}
	s.dirty = min(int(n)+1, batchSize)
	for i := range int(n) {
		h := &s.msg[i].hdr
		in.size[i] = int(s.msg[i].n)
		if h.Flags&unix.MSG_TRUNC != 0 {
			in.size[i] = 0
		}
		in.from[i] = source(&s.name[i])
		in.at[i] = in.arrival(stamp(s.control[i][:h.Controllen]))
	}
	return int(n)
}

// source reads the address a packet came from.
func source(sa *unix.RawSockaddrInet6) netip.AddrPort {
	port := func(p *uint16) uint16 { // network byte order
		b := (*[2]byte)(unsafe.Pointer(p))
		return uint16(b[0])<<8 | uint16(b[1])
	}
	if sa.Family == unix.AF_INET {
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), port(&v4.Port))
	}
	return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), port(&sa.Port))
}

// stamp reads SCM_TIMESTAMPNS, Unix time in ns; 0 if there is none.
func stamp(control []byte) int64 {
	if len(control) < unix.SizeofCmsghdr+int(unsafe.Sizeof(unix.Timespec{})) {
		return 0
	}
	h := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
	if h.Level != unix.SOL_SOCKET || h.Type != unix.SCM_TIMESTAMPNS {
		return 0
	}
	t := (*unix.Timespec)(unsafe.Pointer(&control[unix.SizeofCmsghdr]))
	return t.Nano()
}

func (c *rawConn) write(p []byte, to netip.AddrPort) bool {
	if len(p) == 0 {
		return false
	}
	port := [2]byte{byte(to.Port() >> 8), byte(to.Port())}
	if c.v6 {
		sa := unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: to.Addr().As16()}
		sa.Port = *(*uint16)(unsafe.Pointer(&port))
		return c.sendto(p, unsafe.Pointer(&sa), unix.SizeofSockaddrInet6)
	}
	if !to.Addr().Is4() {
		return false
	}
	sa := unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: to.Addr().As4()}
	sa.Port = *(*uint16)(unsafe.Pointer(&port))
	return c.sendto(p, unsafe.Pointer(&sa), unix.SizeofSockaddrInet4)
}

func (c *rawConn) sendto(p []byte, sa unsafe.Pointer, size uintptr) bool {
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(c.fd), uintptr(unsafe.Pointer(&p[0])),
		uintptr(len(p)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, uintptr(sa), size)
	return errno == 0
}
