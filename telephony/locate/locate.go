// Package locate finds the addresses that a SIP name stands for (RFC 3263):
// its transport by NAPTR, its servers by SRV, their addresses by A and AAAA.
//
//	sip:carrier.example
//	  NAPTR carrier.example            → SIP+D2T: _sip._tcp.carrier.example
//	  SRV   _sip._tcp.carrier.example  → 10 sbc1 5060, 20 sbc2 5060
//	  A     sbc1, sbc2                 → 203.0.113.1:5060, 203.0.113.2:5060 over TCP
//
// What it guarantees:
//
//   - A look-up takes one second at most, and nobody waits for somebody else's
//     where an answer of before is at hand.
//   - An answer is kept as long as the name servers allow. When they fail, or
//     know a name no more, the last good answer serves for a day.
//   - Every address of a name is told, in the order to try: by priority, and by
//     chance within a priority as the weights say, drawn anew for each caller.
package locate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// The transports, as SIP writes them in a Via.
const (
	UDP = "UDP"
	TCP = "TCP"
	TLS = "TLS"
)

// Target is what is to be found.
type Target struct {
	Host      string // a name, or an address that is its own answer
	Port      int    // 0: by SRV, else 5060, of TLS 5061
	Transport string // "": by NAPTR or SRV, else UDP
}

// Addr is one place where a target is served.
type Addr struct {
	netip.AddrPort

	Transport string
}

func (a Addr) String() string { return strings.ToLower(a.Transport) + ":" + a.AddrPort.String() }

// Config is how a Resolver behaves; its zero value is that of the machine.
type Config struct {
	Servers    []string // of names, host:port; nil: those of /etc/resolv.conf
	Transports []string // those that can be spoken, the preferred first; nil: UDP, TCP

	// For tests; the zero value is what the constants say.
	now           func() time.Time
	limit, repeat time.Duration
}

// How long answers serve.
const (
	limit      = time.Second      // of a look-up
	stale      = 24 * time.Hour   // of the last good answer, when no other can be had
	shortest   = time.Second      // whatever the name server says
	longest    = time.Hour        // the same
	retryKnown = 10 * time.Second // after a failure, with a last good answer
	retryPart  = time.Minute      // after an answer that may not be the whole of it
	retryNew   = time.Second      // after a failure, without one
)

// maxPlaces bounds what is kept: the URIs of calls name hosts as they like.
const maxPlaces = 1000

// Resolver finds addresses. It is safe for many goroutines.
type Resolver struct {
	cfg    Config
	system *dns.ClientConfig // nil: no name server is known
	hosts  *net.Resolver     // of /etc/hosts alone
	ctx    context.Context   // of the look-ups under way: they serve more than one caller
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex // guards what follows
	places map[Target]*place
}

// place is what is known of one target.
type place struct {
	found  []server // of the last good answer
	whole  bool     // no name server failed for it
	at     time.Time
	err    error     // why the last look-up found nothing
	until  time.Time // found or err serve until then without asking again
	flight chan struct{}
}

var errNames = errors.New("not asked: the file /etc/hosts alone is wanted")

// New makes a resolver.
func New(cfg Config) *Resolver {
	if cfg.Transports == nil {
		cfg.Transports = []string{UDP, TCP}
	}
	if cfg.now == nil {
		cfg.now = time.Now
	}
	if cfg.limit == 0 {
		cfg.limit, cfg.repeat = limit, repeat
	}
	r := &Resolver{cfg: cfg, places: map[Target]*place{}}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.system, _ = dns.ClientConfigFromFile("/etc/resolv.conf") // without one, names of /etc/hosts are found
	r.hosts = &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errNames
	}}
	return r
}

// Close ends what is under way.
func (r *Resolver) Close() {
	r.cancel()
	r.wg.Wait()
}

// Lookup finds the addresses of a target in the order to try. It fails where
// there is none.
func (r *Resolver) Lookup(ctx context.Context, t Target) ([]Addr, error) {
	t.Host = strings.ToLower(strings.TrimSuffix(strings.Trim(t.Host, "[]"), "."))
	if a, err := netip.ParseAddr(t.Host); err == nil {
		transport := t.Transport
		if transport == "" {
			transport = UDP
		}
		return []Addr{{netip.AddrPortFrom(a.Unmap(), portOf(t.Port, transport)), transport}}, nil
	}
	found, err := r.servers(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("locate: look up %s: %w", t.Host, err)
	}
	return ordered(found), nil
}

// servers are those of a target: kept, or looked up.
func (r *Resolver) servers(ctx context.Context, t Target) ([]server, error) {
	r.mu.Lock()
	p := r.places[t]
	if p == nil {
		r.makeRoomLocked()
		p = &place{}
		r.places[t] = p
	}
	now := r.cfg.now()
	known := p.found != nil && now.Sub(p.at) < stale
	if now.Before(p.until) {
		defer r.mu.Unlock()
		return p.answerLocked(known)
	}
	flight := p.flight
	if flight != nil && known {
		defer r.mu.Unlock()
		return p.found, nil
	}
	if flight == nil {
		flight = make(chan struct{})
		p.flight = flight
		r.wg.Add(1)
		go r.refresh(t, p)
	}
	r.mu.Unlock()
	select {
	case <-flight:
	case <-ctx.Done():
		if !known {
			return nil, context.Cause(ctx)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return p.answerLocked(p.found != nil && r.cfg.now().Sub(p.at) < stale)
}

func (p *place) answerLocked(known bool) ([]server, error) {
	if known {
		return p.found, nil
	}
	return nil, p.err
}

// refresh looks a target up and keeps what it finds.
func (r *Resolver) refresh(t Target, p *place) {
	defer r.wg.Done()
	ctx, cancel := context.WithTimeout(r.ctx, r.cfg.limit)
	defer cancel()
	found, ttl, err := r.find(ctx, t)
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.cfg.now()
	var partial *partialError
	known := p.found != nil && now.Sub(p.at) < stale
	switch part := errors.As(err, &partial); {
	case err == nil, part && !(known && p.whole):
		p.found, p.whole, p.at, p.err = found, !part, now, nil
		p.until = now.Add(min(max(ttl, shortest), longest))
	case known:
		p.until = now.Add(retryKnown)
	default:
		p.found, p.err, p.until = nil, err, now.Add(retryNew)
	}
	close(p.flight)
	p.flight = nil
}

// makeRoomLocked forgets what was not asked for lately.
func (r *Resolver) makeRoomLocked() {
	if len(r.places) < maxPlaces {
		return
	}
	now := r.cfg.now()
	for t, p := range r.places {
		if p.flight == nil && now.After(p.until) {
			delete(r.places, t)
		}
	}
	for t, p := range r.places { // all are fresh: any will do
		if len(r.places) < maxPlaces {
			return
		}
		if p.flight == nil {
			delete(r.places, t)
		}
	}
}

// portOf is the port, or that of the transport (RFC 3261 section 19.1.2).
func portOf(port int, transport string) uint16 {
	switch {
	case port != 0:
		return uint16(port)
	case transport == TLS:
		return 5061
	}
	return 5060
}

// speaks reports whether a transport is one that we have.
func (r *Resolver) speaks(transport string) bool { return slices.Contains(r.cfg.Transports, transport) }
