package rtp

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// ErrClosed is the answer of a Media or Session that has ended.
var ErrClosed = errors.New("rtp: closed")

const (
	bindTries  = 64 // ports that others may hold before Open gives up
	sweepEvery = 500 * time.Millisecond
)

// Config is how a Media behaves. The zero value works.
type Config struct {
	// PortMin and PortMax bound the even ports of sessions, 20000 to 29998;
	// each session also has the odd port above its own.
	PortMin, PortMax int
	Shards           int    // 0: GOMAXPROCS-1, at least 1
	TOS              int    // IP type of service; 0: 0xB8, expedited forwarding
	ReceiveBuffer    int    // SO_RCVBUF, bytes, 64 to 256 kB; 0: 128 kB
	CNAME            string // of RTCP; "": random, so that it tells nothing (RFC 7022)
	Log              *zap.Logger
}

func (c Config) withDefaults() Config {
	if c.PortMin == 0 && c.PortMax == 0 {
		c.PortMin, c.PortMax = 20000, 29998
	}
	if c.Shards <= 0 {
		c.Shards = max(1, runtime.GOMAXPROCS(0)-1)
	}
	if c.TOS == 0 {
		c.TOS = 0xB8
	}
	if c.ReceiveBuffer == 0 {
		c.ReceiveBuffer = 128 << 10
	}
	c.ReceiveBuffer = min(max(c.ReceiveBuffer, 64<<10), 256<<10)
	if c.CNAME == "" {
		var id [12]byte
		_, _ = rand.Read(id[:]) // never fails
		c.CNAME = hex.EncodeToString(id[:])
	}
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	return c
}

// Load is how busy a Media is, for admission.
type Load struct {
	Sessions   int
	FreePorts  int
	OverrunP99 time.Duration // how late ticks began, over the last 2 s
}

// Media carries the sessions of one process.
type Media struct {
	cfg    Config
	log    *zap.Logger
	shards []*shard
	start  time.Time

	due     chan report        // capacity 1024: the reports of 2,500 sessions for a second
	arrived chan arrivedReport // capacity 64: the next one will do, if they are full
	faults  chan fault         // capacity 16: what is more is counted
	failed  atomic.Uint64      // sessions whose Sink or Source panicked

	badReports atomic.Uint64

	// mu guards the ports and who holds them.
	mu      sync.Mutex
	ports   *ports
	open    int // sessions
	state   state
	empty   chan struct{} // closed when state becomes stopped
	leavers []*leaver     // not yet seen by the sweep
}

type state uint8

const (
	fresh   state = iota
	serving       // Serve runs
	ending        // its ctx has ended
	stopped       // no sessions any more
)

// fault is a panic of a Sink or Source.
type fault struct {
	port  int
	what  any
	stack []byte
}

// New makes a Media; Serve runs it.
func New(cfg Config) (*Media, error) {
	cfg = cfg.withDefaults()
	p, err := newPorts(cfg.PortMin, cfg.PortMax)
	if err != nil {
		return nil, err
	}
	m := &Media{
		cfg: cfg, log: cfg.Log, ports: p, start: time.Now(),
		due:     make(chan report, 1024),
		arrived: make(chan arrivedReport, 64),
		faults:  make(chan fault, 16),
		empty:   make(chan struct{}),
	}
	for range cfg.Shards {
		m.shards = append(m.shards, newShard(m))
	}
	return m, nil
}

// Serve runs the shards until ctx ends and every session is closed. Sessions
// may be opened until then.
func (m *Media) Serve(ctx context.Context) error {
	m.mu.Lock()
	if m.state != fresh {
		m.mu.Unlock()
		return errors.New("rtp: Serve was called before")
	}
	m.state = serving
	m.mu.Unlock()

	var wg sync.WaitGroup
	for _, sh := range m.shards {
		wg.Go(func() { sh.run(m.empty) })
	}
	wg.Go(m.control)
	<-ctx.Done()
	m.mu.Lock()
	m.state = ending
	m.endLocked()
	m.mu.Unlock()
	wg.Wait()
	return nil
}

// endLocked stops everything once ctx has ended and nobody is left.
func (m *Media) endLocked() {
	if m.state == ending && m.open == 0 {
		m.state = stopped
		close(m.empty)
	}
}

// Open binds a pair of ports at local; the invalid Addr is 0.0.0.0.
func (m *Media) Open(local netip.Addr) (*Session, error) {
	if !local.IsValid() {
		local = netip.IPv4Unspecified()
	}
	var last error
	for range bindTries {
		m.mu.Lock()
		if m.state == stopped {
			m.mu.Unlock()
			return nil, ErrClosed
		}
		port, err := m.ports.take()
		if err != nil {
			m.mu.Unlock()
			return nil, errors.Join(err, last)
		}
		m.open++
		m.mu.Unlock()
		rtp, rtcp, err := m.bind(local.Unmap(), port)
		if err == nil {
			return newSession(m, rtp, rtcp, port), nil
		}
		last = err
		m.release(port)
	}
	return nil, fmt.Errorf("rtp: no port of %d to %d could be bound: %w", m.cfg.PortMin, m.cfg.PortMax, last)
}

func (m *Media) bind(local netip.Addr, port int) (rtp, rtcp conn, err error) {
	at := func(p int) netip.AddrPort { return netip.AddrPortFrom(local, uint16(p)) } //nolint:gosec // below 65536
	if rtp, err = listen(at(port), m.cfg.TOS, m.cfg.ReceiveBuffer); err != nil {
		return nil, nil, err
	}
	if rtcp, err = listen(at(port+1), m.cfg.TOS, m.cfg.ReceiveBuffer); err != nil {
		rtp.close()
		return nil, nil, err
	}
	return rtp, rtcp, nil
}

// release gives up a port that Open has taken.
func (m *Media) release(port int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ports.release(port)
	m.open--
	m.endLocked()
}

// leave puts the ports of a closed session in quarantine; a Wire has none.
func (m *Media) leave(s *Session) {
	if s.wired {
		s.rtp.close()
		m.mu.Lock()
		defer m.mu.Unlock()
		m.open--
		m.endLocked()
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.open--
	m.leavers = append(m.leavers, &leaver{rtp: s.rtp, rtcp: s.rtcp, port: s.port})
	m.endLocked()
}

// place is the shard with the fewest sessions.
func (m *Media) place() *shard {
	best := m.shards[0]
	for _, sh := range m.shards[1:] {
		if sh.sessionCount() < best.sessionCount() {
			best = sh
		}
	}
	return best
}

// Load tells how busy the Media is.
func (m *Media) Load() Load {
	var l Load
	for _, sh := range m.shards {
		l.OverrunP99 = max(l.OverrunP99, time.Duration(sh.load.Load()))
		if beat := time.Duration(sh.beat.Load()); beat != 0 { // it may be late at this moment
			l.OverrunP99 = max(l.OverrunP99, time.Since(m.start)-beat-longestNap)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	l.Sessions, l.FreePorts = m.open, m.ports.free
	return l
}

// Failed is how many sessions ended by a panic of their Sink or Source.
func (m *Media) Failed() uint64 { return m.failed.Load() }

// fault notes a panic; it does not wait.
func (m *Media) fault(f fault) {
	m.failed.Add(1)
	select {
	case m.faults <- f:
	default:
	}
}

// control sends and reads reports, logs faults and frees ports, off the
// shards, until the Media stops.
func (m *Media) control() {
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	in := newBatch()
	var quarantine []*leaver
	for {
		select {
		case r := <-m.due:
			m.sendReport(r, false)
		case a := <-m.arrived:
			a.s.readReport(a.b[:a.n], a.at)
		case f := <-m.faults:
			m.log.Error("rtp: sink or source panicked", zap.Int("port", f.port), zap.Any("panic", f.what),
				zap.ByteString("stack", f.stack))
		case <-sweep.C:
			quarantine = m.sweep(quarantine, time.Since(m.start), in)
		case <-m.empty:
			for _, l := range append(quarantine, m.left(0)...) {
				l.close()
			}
			return
		}
	}
}

// left takes the ports that sessions have left since the last call.
func (m *Media) left(now time.Duration) []*leaver {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.leavers
	m.leavers = nil
	for _, l := range l {
		l.left, l.heard = now, now
	}
	return l
}

// sweep frees the ports whose quarantine is over.
func (m *Media) sweep(quarantine []*leaver, now time.Duration, in *batch) []*leaver {
	in.now, in.wall = now, time.Now().UnixNano()
	kept := quarantine[:0]
	for _, l := range append(quarantine, m.left(now)...) {
		if !l.over(now, in) {
			kept = append(kept, l)
			continue
		}
		l.close()
		m.mu.Lock()
		m.ports.release(l.port)
		m.mu.Unlock()
	}
	return kept
}
