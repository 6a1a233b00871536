// Package dial connects to providers: their names, their addresses and the
// handshake of their WebSockets.
//
// It guarantees that a lookup takes no call longer than a second, that a name
// which was found once is reached for a day without its servers of names, that
// no call waits for another's lookup, that an address which does not answer
// holds the next up for 250 ms only, and that who gives up in the middle of a
// handshake is free at once. Nothing of a connection that was given up is left.
package dial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

const (
	connectWait = 3 * time.Second        // for a connection, the lookup included
	lookupWait  = time.Second            // for the addresses of a name
	lookupKept  = 24 * time.Hour         // that the last good ones are used without new ones
	stagger     = 250 * time.Millisecond // from one address to the next
)

// Dialer connects by name. The zero value is ready.
type Dialer struct {
	// Lookup finds the addresses of a name, nil for the system's way.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	// Connect connects to an address, nil for the system's way.
	Connect func(ctx context.Context, network, address string) (net.Conn, error)

	mu   sync.Mutex // guards what follows
	last map[string]found
}

// found are the addresses of a name as they were last told. Names come from
// the configuration: there are few.
type found struct {
	addrs []netip.Addr
	at    time.Time
}

// Providers is what all providers are connected to with.
var Providers Dialer

// DialContext connects to host:port within three seconds.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectWait)
	defer cancel()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	if _, err := netip.ParseAddr(host); err == nil || host == "" {
		return d.connect(ctx, network, address)
	}
	addrs, err := d.find(ctx, host)
	if err != nil {
		return nil, err
	}
	return d.race(ctx, network, addrs, port)
}

func (d *Dialer) connect(ctx context.Context, network, address string) (net.Conn, error) {
	if d.Connect != nil {
		return d.Connect(ctx, network, address)
	}
	return (&net.Dialer{KeepAlive: 15 * time.Second}).DialContext(ctx, network, address)
}

// find looks a name up, and falls back on what was found before.
func (d *Dialer) find(ctx context.Context, host string) ([]netip.Addr, error) {
	lookup := d.Lookup
	if lookup == nil {
		lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	looking, cancel := context.WithTimeout(ctx, lookupWait)
	defer cancel()
	addrs, err := lookup(looking, host)
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil && len(addrs) > 0 {
		if d.last == nil {
			d.last = map[string]found{}
		}
		addrs = alternate(addrs)
		d.last[host] = found{addrs, time.Now()}
		return addrs, nil
	}
	if known, ok := d.last[host]; ok && time.Since(known.at) < lookupKept && ctx.Err() == nil {
		return known.addrs, nil
	}
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(looking.Err(), context.DeadlineExceeded):
		return nil, fmt.Errorf("look up %s: no answer in %v", host, lookupWait)
	case err == nil:
		return nil, fmt.Errorf("look up %s: no addresses", host)
	}
	return nil, fmt.Errorf("look up %s: %w", host, err)
}

// alternate takes turns between the two families, the first one's first: a
// network without one of them costs one wait.
func alternate(addrs []netip.Addr) []netip.Addr {
	var same, other []netip.Addr
	for _, a := range addrs {
		a = a.Unmap()
		if a.Is4() == addrs[0].Unmap().Is4() {
			same = append(same, a)
		} else {
			other = append(other, a)
		}
	}
	out := make([]netip.Addr, 0, len(addrs))
	for i := range max(len(same), len(other)) {
		if i < len(same) {
			out = append(out, same[i])
		}
		if i < len(other) {
			out = append(out, other[i])
		}
	}
	return out
}

type attempt struct {
	conn net.Conn
	err  error
}

// race tries address after address, a moment apart or when one has failed, and
// takes the first that connects.
func (d *Dialer) race(ctx context.Context, network string, addrs []netip.Addr, port string) (net.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	results := make(chan attempt, len(addrs)) // one of each: nobody waits to leave it
	next, running := 0, 0
	defer func() {
		cancel()
		for range running { // a dial that is cancelled comes back at once
			if r := <-results; r.conn != nil {
				r.conn.Close()
			}
		}
	}()
	pause := time.NewTimer(0)
	defer pause.Stop()
	var first error
	for {
		select {
		case <-pause.C:
			if next < len(addrs) {
				to := net.JoinHostPort(addrs[next].String(), port)
				go func() {
					c, err := d.connect(ctx, network, to)
					results <- attempt{c, err}
				}()
				next, running = next+1, running+1
				pause.Reset(stagger)
			}
		case r := <-results:
			running--
			if r.err == nil {
				return r.conn, nil
			}
			if first == nil {
				first = r.err
			}
			if next == len(addrs) && running == 0 {
				return nil, first
			}
			pause.Reset(0)
		}
	}
}

// WebSocket opens a connection. Its own handshake heeds a deadline but nobody
// who gives up before, so the connection below is taken from under it.
func WebSocket(
	ctx context.Context, d *websocket.Dialer, address string, header http.Header,
) (*websocket.Conn, *http.Response, error) {
	dialer := *d
	open := d.NetDialContext
	if open == nil {
		open = Providers.DialContext
	}
	stop := func() bool { return true }
	dialer.NetDialContext = func(inner context.Context, network, address string) (net.Conn, error) {
		c, err := open(inner, network, address)
		if err == nil {
			stop = context.AfterFunc(ctx, func() { _ = c.Close() }) // the handshake says that it failed
		}
		return c, err
	}
	ws, res, err := dialer.DialContext(ctx, address, header)
	if !stop() {
		if ws != nil {
			_ = ws.Close() // it is closed below already
		}
		return nil, nil, context.Cause(ctx)
	}
	return ws, res, err
}
