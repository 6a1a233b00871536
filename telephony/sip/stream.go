package sip

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/patchcord/patchcord/telephony/trunk"
)

// streams is a TCP listener as the transport below sees it. It accepts only
// from known sources, holds the bounds on connections, and also hands over the
// connections that we open ourselves, so that both kinds are read alike.
type streams struct {
	u         *UserAgent
	transport string       // "TCP", "TLS"
	inner     net.Listener // nil: only connections that we open
	opened    chan opened  // unbuffered: the opener waits for the hand-over
	done      chan struct{}
	once      sync.Once
	wait      chan struct{} // closed when the connection handed over last is registered
}

// opened is a connection of ours on its way to the transport below.
type opened struct {
	conn  net.Conn
	known chan struct{} // closed when the transport can find it
}

func newStreams(u *UserAgent, transport string, inner net.Listener) *streams {
	return &streams{u: u, transport: transport, inner: inner, opened: make(chan opened), done: make(chan struct{})}
}

// Accept is called by the transport below. Its next call tells that it has
// registered the connection before.
func (s *streams) Accept() (net.Conn, error) {
	if s.wait != nil {
		close(s.wait)
		s.wait = nil
	}
	if s.inner == nil {
		select {
		case o := <-s.opened:
			s.wait = o.known
			return o.conn, nil
		case <-s.done:
			return nil, net.ErrClosed
		}
	}
	for {
		conn, err := s.inner.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return nil, err
			}
			time.Sleep(5 * time.Millisecond) // out of descriptors: some will be closed
			continue
		}
		if s.transport == "TLS" {
			conn = tls.Server(conn, s.u.server)
		}
		if c := s.u.take(conn, s.transport, false, nil); c != nil {
			return c, nil
		}
		_ = conn.Close()
	}
}

func (s *streams) Close() error {
	s.once.Do(func() { close(s.done) })
	if s.inner != nil {
		return s.inner.Close()
	}
	return nil
}

func (s *streams) Addr() net.Addr {
	if s.inner != nil {
		return s.inner.Addr()
	}
	return &net.TCPAddr{IP: net.IPv4zero}
}

// conns are the open connections.
type conns struct {
	mu    sync.Mutex
	total int
	bySrc map[netip.Addr]int
	open  map[endpoint]*stream
	lost  map[endpoint]error // why those over TLS that we opened have ended, mostLost at most
}

// mostLost is how many reasons are kept: a gateway may tell its own, such as
// that it wanted a certificate, only after it seemed content (RFC 8446 section 2).
const mostLost = 64

// endpoint is the far end of a connection.
type endpoint struct {
	transport string
	addr      netip.AddrPort
}

// take makes conn one of ours, nil where its source is unknown or has too many.
// trust is that of TLS which we opened.
func (u *UserAgent) take(conn net.Conn, transport string, dialled bool, trust *trunk.Trust) *stream {
	from := addrPort(conn.RemoteAddr())
	if _, listed := u.trunkOf(from.Addr()); !listed && !dialled && !u.peers.has(from.Addr()) {
		u.stranger(nil, from, nil)
		return nil
	}
	c := &u.conns
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.total >= u.limits.Conns || c.bySrc[from.Addr()] >= u.limits.ConnsPerSource {
		u.count.limited.Add(1)
		return nil
	}
	s := &stream{Conn: conn, u: u, transport: transport, from: from, dialled: dialled, trust: trust}
	s.over, s.end = context.WithCancelCause(context.Background())
	c.total++
	c.bySrc[from.Addr()]++
	c.open[endpoint{transport, from}] = s
	delete(c.lost, endpoint{transport, from})
	return s
}

func (u *UserAgent) release(s *stream, why error) {
	c := &u.conns
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total--
	if c.bySrc[s.from.Addr()]--; c.bySrc[s.from.Addr()] <= 0 {
		delete(c.bySrc, s.from.Addr())
	}
	at := endpoint{s.transport, s.from}
	if c.open[at] != s {
		return
	}
	delete(c.open, at)
	if s.trust == nil {
		return
	}
	if c.lost == nil || len(c.lost) >= mostLost {
		c.lost = map[endpoint]error{}
	}
	c.lost[at] = why
}

// lost is why the last connection to that address has ended, nil where that is
// not known.
func (u *UserAgent) lost(transport string, to netip.AddrPort) error {
	u.conns.mu.Lock()
	defer u.conns.mu.Unlock()
	return u.conns.lost[endpoint{transport, to}]
}

// connection is the one that is open to that address, nil if none is.
func (u *UserAgent) connection(transport string, to netip.AddrPort) *stream {
	u.conns.mu.Lock()
	defer u.conns.mu.Unlock()
	return u.conns.open[endpoint{transport, to}]
}

// stream is one connection as the transport below sees it: each Read is one
// whole message that passed ingress.
type stream struct {
	net.Conn
	u         *UserAgent
	transport string // "TCP", "TLS"
	from      netip.AddrPort
	dialled   bool
	trust     *trunk.Trust // of TLS that we opened
	once      sync.Once
	over      context.Context // ends, with why, when it is no connection any more
	end       context.CancelCauseFunc
	why       atomic.Pointer[error] // what it ended by, of whoever saw it first

	// Of the reading goroutine only.
	greeted bool // by TLS
	buf     []byte
	pending []byte // of a message longer than the reader's buffer
	began   time.Time
}

func (s *stream) Close() error {
	s.once.Do(func() {
		why := net.ErrClosed
		if err := s.why.Load(); err != nil {
			why = *err
		}
		s.u.release(s, why)
		s.u.keepers.cut(s.from)
		s.end(why)
	})
	return s.Conn.Close()
}

// Write sends one message. A connection that did not take the whole of one is
// closed: whatever followed would be read as the rest of it, and over TLS no
// write may follow one that timed out.
func (s *stream) Write(b []byte) (int, error) {
	_ = s.SetWriteDeadline(time.Now().Add(s.u.limits.Write))
	out := restoreBranch(b)
	n, err := s.Conn.Write(out)
	if err != nil {
		s.why.CompareAndSwap(nil, &err)
		_ = s.Close()
		return min(n, len(b)), err
	}
	return len(b), nil
}

func (s *stream) Read(b []byte) (int, error) {
	if !s.greeted {
		if err := s.greet(); err != nil {
			_ = s.Close()
			return 0, io.EOF
		}
		s.greeted = true
	}
	for len(s.pending) == 0 {
		msg, ok := s.next()
		if msg != nil {
			s.pending = s.u.ingress(msg, s.from, addrPort(s.LocalAddr()), s.transport, s.dialled,
				func(_ via, answer []byte) { _, _ = s.Write(answer) })
		}
		if !ok {
			_ = s.Close()
			if len(s.pending) == 0 {
				return 0, io.EOF
			}
		}
	}
	n := copy(b, s.pending)
	s.pending = s.pending[n:]
	return n, nil
}

// next is the next whole message. ok false: the connection has ended, or no
// message boundary can be found any more; what there is of a message is
// returned so that it can be refused.
func (s *stream) next() (msg []byte, ok bool) {
	for {
		s.keepAlive()
		if n, whole, fault := frame(s.buf, s.u.limits.Message); fault {
			msg, s.buf = s.buf, nil
			return msg, false
		} else if whole {
			msg = append([]byte(nil), s.buf[:n]...)
			s.buf = append(s.buf[:0], s.buf[n:]...)
			s.began = time.Time{}
			return msg, true
		}
		if !s.fill() {
			return nil, false
		}
	}
}

// fill reads more. It ends a connection that idles or that is slow with a
// message (SEC-12), unless a call lives on it.
func (s *stream) fill() bool {
	chunk := make([]byte, 4096)
	for {
		deadline := time.Now().Add(s.u.limits.Idle)
		if len(s.buf) > 0 {
			if s.began.IsZero() {
				s.began = time.Now()
			}
			deadline = s.began.Add(s.u.limits.Partial)
		}
		_ = s.SetReadDeadline(deadline)
		n, err := s.Conn.Read(chunk)
		s.buf = append(s.buf, chunk[:n]...)
		switch {
		case n > 0:
			return true
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded) && len(s.buf) == 0 && (s.u.legs.on(s.from) || s.u.keepers.on(s.from)):
		default:
			s.why.CompareAndSwap(nil, &err)
			return false
		}
	}
}

// keepAlive takes the CRLFs off between messages and answers a ping
// (RFC 5626 section 3.5.1).
func (s *stream) keepAlive() {
	rest := bytes.TrimLeft(s.buf, "\r\n\x00")
	if ping := len(s.buf) - len(rest); ping > 0 {
		if ping == 4 && len(rest) == 0 {
			_, _ = s.Write([]byte("\r\n"))
		}
		s.buf = append(s.buf[:0], rest...)
	}
	if len(s.buf) == 0 {
		s.began = time.Time{}
	}
}

// frame finds the end of the first message in buf by its Content-Length
// (RFC 3261 section 18.3). fault: there is none that could be trusted.
func frame(buf []byte, limit int) (n int, whole, fault bool) {
	end := headerEnd(buf)
	if end < 0 {
		return 0, false, len(buf) > limit
	}
	length := -1
	for _, line := range strings.Split(strings.ReplaceAll(string(buf[:end]), "\r\n ", " "), "\r\n")[1:] {
		name, value, _ := strings.Cut(line, ":")
		name = strings.ToLower(strings.TrimRight(name, " \t"))
		if name != "content-length" && name != "l" {
			continue
		}
		v, err := strconv.ParseUint(strings.TrimSpace(value), 10, 31)
		if err != nil || (length >= 0 && int(v) != length) {
			return 0, false, true
		}
		length = int(v)
	}
	switch {
	case length < 0, end+length > limit:
		return 0, false, true
	case len(buf) < end+length:
		return 0, false, false
	}
	return end + length, true, false
}
