package ttssocket

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/gorilla/websocket"
)

// conn is one connection. One goroutine reads it, one writes it, one closes
// its socket.
type conn struct {
	pool    *Pool
	address string
	ws      *websocket.Conn
	born    time.Time
	done    chan struct{} // closed when it is over
	said    chan struct{} // closed when its goodbye is said, or cannot be
	wake    chan struct{} // capacity 1: one signal stands for all that is to be written

	// Guarded by pool.mu.
	open  []*place // sentences the vendor is at
	begun []time.Time
	used  time.Time // when the last one ended
	queue [][]byte  // to be written
	err   error     // why it is over
	note  string    // what the vendor remarked
}

// place is a sentence of a connection.
type place struct {
	id    string
	s     *stream   // nil: given up
	since time.Time // … then
}

func (p *Pool) openLocked(address string, ws *websocket.Conn) *conn {
	now := time.Now()
	c := &conn{
		pool: p, address: address, ws: ws, born: now, used: now,
		done: make(chan struct{}), said: make(chan struct{}), wake: make(chan struct{}, 1),
	}
	ws.SetReadLimit(maxMessage)
	ws.SetReadDeadline(now.Add(deadAfter)) //nolint:errcheck // a closed connection says so at the next read
	ws.SetPongHandler(func(string) error { return ws.SetReadDeadline(time.Now().Add(deadAfter)) })
	p.conns[address] = append(p.conns[address], c)
	p.wg.Go(func() { c.over(c.read()) })
	p.wg.Go(c.write)
	p.wg.Go(c.hangUp)
	return c
}

// roomLocked reports whether one more sentence may be asked for.
func (c *conn) roomLocked() bool {
	now := time.Now()
	c.begun = slices.DeleteFunc(c.begun, func(t time.Time) bool { return now.Sub(t) >= time.Minute })
	most := c.pool.config.PerMinute
	return c.err == nil && len(c.open) < c.pool.config.Sentences && (most == 0 || len(c.begun) < most) &&
		now.Sub(c.born) < c.pool.config.Age && !c.stuckLocked(now)
}

// stuckLocked reports whether a sentence that was given up does not end.
func (c *conn) stuckLocked(now time.Time) bool {
	return slices.ContainsFunc(c.open, func(p *place) bool { return p.s == nil && now.Sub(p.since) > cancelWait })
}

func (c *conn) takeLocked(s *stream) {
	c.open = append(c.open, &place{id: s.id, s: s})
	c.begun = append(c.begun, time.Now())
}

// send queues messages. Whoever takes no place of the connection does not care
// whether they arrive.
func (c *conn) send(messages ...[]byte) {
	c.pool.mu.Lock()
	c.queue = append(c.queue, messages...)
	c.pool.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// leave gives a sentence up: what still comes of it is dropped.
func (c *conn) leave(s *stream) {
	c.pool.mu.Lock()
	at := slices.IndexFunc(c.open, func(p *place) bool { return p.s == s })
	if at < 0 || c.err != nil {
		c.pool.mu.Unlock()
		return
	}
	c.open[at].s, c.open[at].since = nil, time.Now()
	if c.pool.config.Frees {
		c.open = slices.Delete(c.open, at, at+1)
		c.used = time.Now()
	}
	c.pool.mu.Unlock()
	if m := c.pool.vendor.Cancel(s.id); m != nil {
		c.send(m)
	}
}

// read hands out messages until the connection ends.
func (c *conn) read() error {
	for {
		kind, data, err := c.ws.ReadMessage()
		if err != nil {
			return c.ended(err)
		}
		c.ws.SetReadDeadline(time.Now().Add(deadAfter)) //nolint:errcheck // a closed connection says so at the next read
		m, err := c.pool.vendor.Read(kind, data)
		if err != nil {
			return c.pool.fault("read", true, err)
		}
		if m.Err != nil && m.ID == "" {
			m.Err = c.pool.fault(m.Err.Op, m.Err.Temporary, m.Err.Err)
			return m.Err
		}
		c.hand(m)
	}
}

// hand gives a message to its sentence.
func (c *conn) hand(m Message) {
	c.pool.mu.Lock()
	if m.Note != "" {
		c.note = m.Note
	}
	at := slices.IndexFunc(c.open, func(p *place) bool { return p.id == m.ID })
	if m.ID == "" && len(c.open) == 1 {
		at = 0
	}
	if at < 0 {
		c.pool.mu.Unlock()
		return
	}
	s := c.open[at].s
	over := m.End != NotOver || m.Err != nil
	if s == nil && c.pool.config.Confirms && m.End == Done {
		over = false // it crossed our giving up
	}
	if over {
		c.open = slices.Delete(c.open, at, at+1)
		c.used = time.Now()
	}
	c.pool.mu.Unlock()
	if s != nil {
		s.put(m)
	}
}

// write sends what is queued, keeps the connection alive, and says goodbye.
func (c *conn) write() {
	defer c.bye()
	tick, ping := time.NewTicker(time.Second), time.NewTicker(pingEvery)
	defer tick.Stop()
	defer ping.Stop()
	for {
		select {
		case <-c.done:
			return
		case <-c.wake:
			c.pool.mu.Lock()
			queue := c.queue
			c.queue = nil
			c.pool.mu.Unlock()
			for _, m := range queue {
				c.ws.SetWriteDeadline(time.Now().Add(writeWait)) //nolint:errcheck // a closed connection says so below
				if err := c.ws.WriteMessage(websocket.TextMessage, m); err != nil {
					c.over(c.pool.fault("send", true, err))
					return
				}
			}
		case <-ping.C:
			_ = c.ws.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeWait)) // the answer counts
		case now := <-tick.C:
			c.pool.mu.Lock()
			spoken := slices.ContainsFunc(c.open, func(p *place) bool { return p.s != nil })
			old := len(c.open) == 0 && (now.Sub(c.used) >= c.pool.config.Idle || now.Sub(c.born) >= c.pool.config.Age)
			stuck := !spoken && c.stuckLocked(now)
			c.pool.mu.Unlock()
			if old || stuck {
				c.over(errUnused)
				return
			}
		}
	}
}

var errUnused = errors.New("nobody used the connection")

// over ends the connection once, and what is spoken over it.
func (c *conn) over(err error) {
	c.pool.mu.Lock()
	if c.err != nil {
		c.pool.mu.Unlock()
		return
	}
	c.err = err
	cs := c.pool.conns[c.address]
	if cs = slices.DeleteFunc(cs, func(x *conn) bool { return x == c }); len(cs) == 0 {
		delete(c.pool.conns, c.address)
	} else {
		c.pool.conns[c.address] = cs
	}
	open := c.open
	c.open = nil
	c.pool.mu.Unlock()
	close(c.done)
	for _, p := range open {
		if p.s != nil {
			p.s.lost(err)
		}
	}
}

// bye ends the connection on the wire.
func (c *conn) bye() {
	defer close(c.said)
	c.ws.SetWriteDeadline(time.Now().Add(byeWait)) //nolint:errcheck // a closed connection says so below
	if m := c.pool.vendor.Bye(); m != nil {
		_ = c.ws.WriteMessage(websocket.TextMessage, m)
	}
	_ = c.ws.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""))
}

// hangUp closes the socket when the goodbye is said, at the latest byeWait
// after the end: neither a write to a peer that is gone nor TLS's own goodbye
// to it holds up Close. It ends read.
func (c *conn) hangUp() {
	<-c.done
	select {
	case <-c.said:
	case <-time.After(byeWait):
	}
	socket := c.ws.NetConn()
	if secure, ok := socket.(*tls.Conn); ok {
		socket = secure.NetConn()
	}
	socket.Close()
}

// ended says why the connection ended.
func (c *conn) ended(err error) error {
	var closed *websocket.CloseError
	var timeout net.Error
	switch {
	case errors.As(err, &closed):
		again := closed.Code != websocket.ClosePolicyViolation && closed.Code != websocket.CloseProtocolError
		if c.pool.config.Fault != nil {
			again = c.pool.config.Fault(closed.Code, closed.Text)
		}
		return c.pool.fault("read", again, fmt.Errorf("the connection was closed: %d %s", closed.Code, closed.Text))
	case errors.As(err, &timeout) && timeout.Timeout():
		return c.pool.fault("read", true, fmt.Errorf("nothing came for %v: the connection is dead", deadAfter))
	}
	return c.pool.fault("read", true, err)
}
