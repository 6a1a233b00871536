package load

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// socket is a call's RTP port. All but local and close belong to one thread.
type socket struct {
	fd      int
	addr    netip.AddrPort
	buf     [packetRoom]byte
	control [64]byte // one SCM_TIMESTAMPNS: a header and a timespec
}

func openSocket(peer netip.Addr) (*socket, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("load: open socket: %w", err)
	}
	s := &socket{fd: fd}
	if err := s.bind(peer); err != nil {
		s.close()
		return nil, fmt.Errorf("load: open socket: %w", err)
	}
	return s, nil
}

func (s *socket) bind(peer netip.Addr) error {
	if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return err
	}
	var here unix.SockaddrInet4
	if peer.IsLoopback() {
		here.Addr = [4]byte{127, 0, 0, 1}
	}
	if err := unix.Bind(s.fd, &here); err != nil {
		return err
	}
	sa, err := unix.Getsockname(s.fd)
	if err != nil {
		return err
	}
	bound, ok := sa.(*unix.SockaddrInet4)
	if !ok {
		return errors.New("the socket has no IPv4 address")
	}
	s.addr = netip.AddrPortFrom(netip.AddrFrom4(bound.Addr), uint16(bound.Port))
	return nil
}

func (s *socket) local() netip.AddrPort { return s.addr }

func (s *socket) close() { _ = unix.Close(s.fd) }

// connect makes the peer the only one that is heard and sent to.
func (s *socket) connect(peer netip.AddrPort) error {
	if err := unix.Connect(s.fd, &unix.SockaddrInet4{Addr: peer.Addr().As4(), Port: int(peer.Port())}); err != nil {
		return fmt.Errorf("load: connect to %v: %w", peer, err)
	}
	return nil
}

// read hands over all that has come, with the kernel's time of each.
func (s *socket) read(take func(b []byte, at int64)) {
	for {
		n, nc, _, _, err := unix.Recvmsg(s.fd, s.buf[:], s.control[:], unix.MSG_DONTWAIT)
		if err != nil {
			return
		}
		at := stamp(s.control[:nc])
		if at == 0 {
			at = time.Now().UnixNano()
		}
		take(s.buf[:n], at)
	}
}

// stamp reads SCM_TIMESTAMPNS, Unix time in ns; 0 if there is none.
func stamp(control []byte) int64 {
	all, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return 0
	}
	for _, c := range all {
		if c.Header.Level == unix.SOL_SOCKET && c.Header.Type == unix.SCM_TIMESTAMPNS && len(c.Data) >= 16 {
			return int64(binary.NativeEndian.Uint64(c.Data))*1e9 + int64(binary.NativeEndian.Uint64(c.Data[8:]))
		}
	}
	return 0
}

func (s *socket) write(b []byte) { _, _ = unix.Write(s.fd, b) } // what cannot be sent is lost, as on any network

// clock is the pump's: time since it was made, and sleep to a point of it.
type clock struct {
	start time.Time
	base  int64 // of CLOCK_MONOTONIC at start, ns
}

// newClock is called by the thread that will sleep: it also asks for wake-ups
// as exact as the kernel can (the default slack is 50 µs).
func newClock() clock {
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return clock{start: time.Now(), base: ts.Nano()}
}

func (c clock) now() time.Duration { return time.Since(c.start) }

func (c clock) sleepUntil(t time.Duration) {
	ts := unix.NsecToTimespec(c.base + int64(t))
	for {
		err := unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &ts, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}
