//go:build e2e

package e2e

import (
	"net"
	"sync"
	"testing"
)

// The states of a route.
const (
	routeUp   = iota
	routeShut // what goes over it is closed, what comes is refused
	routeMute // nothing passes, and nobody is told of it: a firewall that drops
)

// route is a way over TCP that can be cut.
type route struct {
	t        *testing.T
	addr, to string

	mu    sync.Mutex // guards what follows
	is    int
	turns *sync.Cond // is has changed
	l     net.Listener
	conns map[net.Conn]struct{}
}

// openRoute opens a way to a place, until the test ends.
func openRoute(t *testing.T, to string) *route {
	t.Helper()
	r := &route{t: t, addr: net.JoinHostPort(ourAddr(), "6222"), to: to, conns: map[net.Conn]struct{}{}}
	r.turns = sync.NewCond(&r.mu)
	r.listen()
	t.Cleanup(func() { r.turn(routeShut) })
	return r
}

func (r *route) listen() {
	l, err := net.Listen("tcp", r.addr)
	if err != nil {
		r.t.Error(err)
		return
	}
	r.l = l
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go r.carry(conn)
		}
	}()
}

// turn cuts the route, or heals it.
func (r *route) turn(to int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.is == routeShut && to != routeShut {
		r.listen()
	}
	if r.is != routeShut && to == routeShut {
		r.l.Close()
		for c := range r.conns {
			c.Close()
		}
	}
	r.is = to
	r.turns.Broadcast()
}

func (r *route) muted() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.is == routeMute
}

// passes waits while nothing does; false: the route is shut.
func (r *route) passes() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.is == routeMute {
		r.turns.Wait()
	}
	return r.is == routeUp
}

func (r *route) add(c net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.is == routeShut {
		c.Close()
		return false
	}
	r.conns[c] = struct{}{}
	return true
}

func (r *route) carry(a net.Conn) {
	if !r.add(a) {
		return
	}
	if r.muted() { // nobody over there has heard of it
		r.passes()
		a.Close()
		return
	}
	b, err := net.Dial("tcp", r.to)
	if err != nil {
		a.Close()
		return
	}
	if r.add(b) {
		go r.copy(a, b)
		r.copy(b, a)
	}
}

// copy carries what one says to the other, its end too.
func (r *route) copy(to, from net.Conn) {
	buf := make([]byte, 1<<16)
	for {
		n, err := from.Read(buf)
		if r.passes() && err == nil {
			_, err = to.Write(buf[:n])
		}
		if err != nil {
			break
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range []net.Conn{to, from} {
		c.Close()
		delete(r.conns, c)
	}
}
