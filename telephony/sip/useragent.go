package sip

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/singleflight"

	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/locate"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// UserAgent is a telephone line: it answers and places calls.
type UserAgent struct {
	cfg     Config
	log     *zap.Logger
	limits  Limits
	public  netip.Addr // zero: none
	listens []listenAddr
	trunks  trunk.Live
	answers *answerer
	callers *challenger
	stack   stack

	known     *sources // rates of sources we do business with
	strangers *sources // and of all others, so that these cannot push those out
	peers     peers
	count     counters
	served    atomic.Bool
	draining  atomic.Bool
	deaf      atomic.Bool // all calls are over: nothing is let in any more

	names    *locate.Resolver
	keepers  keepers
	capacity trunk.Capacity

	conns   conns
	dialing singleflight.Group  // one connection per address at a time
	out     map[string]*streams // the connections that we open, by transport
	server  *tls.Config         // of connections over TLS that come to us

	legs       legs
	unanswered unanswered
	wg         sync.WaitGroup // legs, handlers, the watchers of client transactions

	ready chan struct{} // closed when all sockets are bound
	stop  chan struct{} // closed when Serve ends: calls are hung up

	mu    sync.Mutex
	addrs []net.Addr
	udp   []*datagrams
	ports map[string]uint16 // where connections come to us, by transport
	over  bool              // no new calls any more
}

var _ telephony.Dialer = (*UserAgent)(nil)

// New checks cfg and does nothing else.
func New(cfg Config) (*UserAgent, error) {
	cfg = cfg.withDefaults()
	u := &UserAgent{
		cfg: cfg, log: cfg.Log, limits: cfg.Limits, answers: newAnswerer(cfg.Name),
		known: newSources(cfg.Limits, time.Now), strangers: newSources(cfg.Limits, time.Now),
		ready: make(chan struct{}), stop: make(chan struct{}),
		conns: conns{bySrc: map[netip.Addr]int{}, open: map[endpoint]*stream{}},
		ports: map[string]uint16{},
	}
	u.callers = newChallenger(cfg.Limits.Sources, time.Now, &u.count, cfg.Log)
	u.legs.init()
	if cfg.Media == nil {
		return nil, errors.New("sip: Config.Media is needed")
	}
	if len(cfg.Listen) == 0 {
		return nil, errors.New("sip: Config.Listen is empty, want at least one address such as udp://0.0.0.0:5060")
	}
	for _, s := range cfg.Listen {
		l, err := parseListen(s)
		if err != nil {
			return nil, err
		}
		u.listens = append(u.listens, l)
	}
	if err := u.serverTLS(); err != nil {
		return nil, err
	}
	if cfg.PublicIP != "" {
		var err error
		if u.public, err = netip.ParseAddr(cfg.PublicIP); err != nil {
			return nil, fmt.Errorf("sip: public IP %q: %w", cfg.PublicIP, err)
		}
	}
	if strings.ContainsAny(cfg.Name, "\r\n") {
		return nil, errors.New("sip: Config.Name has a line break")
	}
	// TLS is spoken where it is asked for: what a name server says is no reason
	// to need a certificate.
	u.names = locate.New(locate.Config{Servers: cfg.names, Transports: []string{locate.UDP, locate.TCP}})
	u.keepers = keepers{
		u: u, by: map[telephony.TrunkID]*keeper{}, leaving: map[telephony.TrunkID]<-chan struct{}{},
	}
	u.keepers.set(cfg.Trunks)
	u.out = map[string]*streams{"TCP": newStreams(u, "TCP", nil), "TLS": newStreams(u, "TLS", nil)}
	u.stack = newSipgo(u)
	return u, nil
}

// SetTrunks puts another table into use; calls that are up stay up.
func (u *UserAgent) SetTrunks(t *trunk.Table) { u.keepers.set(t) }

// Ready is closed when every address is bound.
func (u *UserAgent) Ready() <-chan struct{} { return u.ready }

// Addrs are the addresses bound, in the order of Config.Listen.
func (u *UserAgent) Addrs() []net.Addr {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]net.Addr(nil), u.addrs...)
}

// Drain on refuses new calls and OPTIONS with 503 and Retry-After, and ends the
// registrations; calls that are up go on.
func (u *UserAgent) Drain(on bool) {
	u.draining.Store(on)
	u.keepers.renew()
}

// scaled is a time of the real world as tests let it pass.
func (u *UserAgent) scaled(d time.Duration) time.Duration {
	return time.Duration(float64(d) * u.cfg.second.Seconds())
}

// Stats are the figures of this moment; the counters only rise.
type Stats struct {
	Legs            int    // calls and what is left of those just ended
	Transactions    int    // INVITEs open or just answered
	Connections     int    // TCP and TLS
	DroppedUnknown  uint64 // messages of sources that no trunk names
	DroppedLimited  uint64 // requests over their rate, connections over their number
	Malformed       uint64 // messages refused or dropped by the checks
	Refused         uint64 // requests answered statelessly with a failure
	Unproven        uint64 // wrong passwords of callers
	FailedTLS       uint64 // handshakes of peers that did not come to an end, or not to a good one
	RecoveredPanics uint64
}

// Stats are the figures of this moment.
func (u *UserAgent) Stats() Stats {
	u.conns.mu.Lock()
	total := u.conns.total
	u.conns.mu.Unlock()
	legs, invites := u.legs.size()
	return Stats{
		Legs: legs, Transactions: invites, Connections: total,
		DroppedUnknown: u.count.unknown.Load(), DroppedLimited: u.count.limited.Load(),
		Malformed: u.count.malformed.Load(), Refused: u.count.refused.Load(), Unproven: u.count.unproven.Load(),
		FailedTLS: u.count.tls.Load(), RecoveredPanics: u.count.panics.Load(),
	}
}

// Serve binds and serves until ctx ends, then hangs up what is still up and
// returns when all is gone.
func (u *UserAgent) Serve(ctx context.Context) error {
	if u.served.Swap(true) {
		return errors.New("sip: Serve may be called once")
	}
	var run sync.WaitGroup
	listeners, err := u.bind(ctx)
	if err != nil {
		return err
	}
	for _, s := range u.out {
		listeners = append(listeners, s)
	}
	closeAll := func() {
		for _, s := range listeners {
			_ = s.Close()
		}
		for _, d := range u.udp {
			_ = d.Close()
		}
	}
	for _, s := range listeners {
		run.Go(func() {
			if s.transport == "TLS" {
				_ = u.stack.serveTLS(s)
			} else {
				_ = u.stack.serveTCP(s)
			}
		})
	}
	for _, d := range u.udp {
		run.Go(func() { u.serveUDP(ctx, d) })
	}
	for _, d := range u.udp {
		<-d.reading
	}
	keeping, stopKeeping := context.WithCancel(ctx)
	defer stopKeeping()
	u.keepers.start(keeping)
	close(u.ready)
	run.Go(u.endLeft)
	u.log.Debug("sip: listening", zap.Strings("listen", u.cfg.Listen))
	<-ctx.Done()

	u.mu.Lock()
	u.over = true
	u.mu.Unlock()
	close(u.stop)
	u.wg.Wait()
	u.keepers.running.Wait() // each ends its registration
	u.names.Close()
	u.deaf.Store(true)
	time.Sleep(5 * settle) // what is on its way up ends there
	closeAll()
	u.stack.close()
	run.Wait()
	return nil
}

// bind opens every address of Config.Listen, or none.
func (u *UserAgent) bind(ctx context.Context) ([]*streams, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	var listeners []*streams
	var lc net.ListenConfig
	fail := func(l listenAddr, err error) ([]*streams, error) {
		for _, s := range listeners {
			_ = s.Close()
		}
		for _, d := range u.udp {
			_ = d.Close()
		}
		return nil, fmt.Errorf("sip: listen on %s://%s: %w", l.network, l.addr, err)
	}
	for _, l := range u.listens {
		if l.network == "udp" {
			conn, err := lc.ListenPacket(ctx, network("udp", l.addr), l.addr)
			if err != nil {
				return fail(l, err)
			}
			if c, ok := conn.(*net.UDPConn); ok {
				_ = c.SetReadBuffer(udpBuffer) // as far as the system allows
			}
			u.udp = append(u.udp, &datagrams{
				PacketConn: conn, u: u, local: addrPort(conn.LocalAddr()),
				remotes: map[netip.AddrPort]struct{}{}, reading: make(chan struct{}), buf: make([]byte, 65536),
			})
			u.addrs = append(u.addrs, conn.LocalAddr())
			continue
		}
		ln, err := lc.Listen(ctx, network("tcp", l.addr), l.addr)
		if err != nil {
			return fail(l, err)
		}
		transport := strings.ToUpper(l.network)
		listeners = append(listeners, newStreams(u, transport, ln))
		if u.ports[transport] == 0 {
			u.ports[transport] = addrPort(ln.Addr()).Port()
		}
		u.addrs = append(u.addrs, ln.Addr())
	}
	return listeners, nil
}

// udpBuffer is what the system may keep for us of a burst, bytes.
const udpBuffer = 4 << 20

// serveUDP runs the transport's loop on d, again each time it has to forget
// the addresses it was shown.
func (u *UserAgent) serveUDP(ctx context.Context, d *datagrams) {
	for {
		_ = u.stack.serveUDP(d)
		if !d.reopen() {
			if ctx.Err() == nil {
				u.log.Error("sip: socket lost", zap.Stringer("local", d.local))
			}
			return
		}
	}
}

// enter counts a goroutine in that Serve waits for; false once Serve ends.
func (u *UserAgent) enter() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.over {
		return false
	}
	u.wg.Add(1)
	return true
}

// trunkOf is the trunk that names addr, calling or called.
func (u *UserAgent) trunkOf(addr netip.Addr) (telephony.TrunkID, bool) {
	t, ok := u.trunks.Load().Peer(addr)
	if !ok {
		return "", false
	}
	return t.ID, true
}

// network holds a socket to the family of its address.
func network(base, addr string) string {
	if ap, err := netip.ParseAddrPort(addr); err == nil && ap.Addr().Is4() {
		return base + "4"
	}
	return base
}

// retryAfter is when a refused peer may come back, seconds: spread, so that
// all do not come back at once.
func retryAfter() field { return field{"Retry-After", strconv.Itoa(5 + rand.IntN(26))} } //nolint:gosec // no secret
