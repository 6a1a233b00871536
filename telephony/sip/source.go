package sip

import (
	"container/list"
	"net/netip"
	"sync"
	"time"
)

// kind is what a request costs a source.
type kind int

const (
	kindInvite kind = iota
	kindOptions
	kindRegister
	kindFault // an answer to a message that is not well formed
	kinds
)

// sources keeps a token bucket per address and kind, for the most recent ones
// only: a flood of forged sources cannot make it grow.
type sources struct {
	now  func() time.Time
	max  int
	rate [kinds]float64 // tokens per second
	top  [kinds]float64 // burst

	gate gate // of log lines about all of them

	mu   sync.Mutex
	byIP map[netip.Addr]*list.Element // of *source
	lru  *list.List                   // front: last seen
}

type source struct {
	addr   netip.Addr
	tokens [kinds]float64
	seen   time.Time
	logged time.Time // the last log line about it
	muted  int       // messages dropped since
}

// logEvery is how often one source may make a log line (SEC-3).
const logEvery = 10 * time.Second

func newSources(l Limits, now func() time.Time) *sources {
	return &sources{
		now: now, max: l.Sources,
		rate: [kinds]float64{l.Invite, l.Options, l.Register, l.Invite},
		top:  [kinds]float64{l.InviteBurst, l.Options, l.Register, l.InviteBurst},
		byIP: map[netip.Addr]*list.Element{}, lru: list.New(),
	}
}

// allow takes one token of that kind.
func (s *sources) allow(addr netip.Addr, k kind) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	src := s.getLocked(addr)
	if src.tokens[k] < 1 {
		return false
	}
	src.tokens[k]--
	return true
}

// mayLog reports whether a line about addr may be written now, and how many
// messages went by without one.
func (s *sources) mayLog(addr netip.Addr) (muted int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	src := s.getLocked(addr)
	if !src.logged.IsZero() && src.seen.Sub(src.logged) < logEvery {
		src.muted++
		return 0, false
	}
	muted, src.muted, src.logged = src.muted, 0, src.seen
	return muted, true
}

func (s *sources) getLocked(addr netip.Addr) *source {
	now := s.now()
	if e, ok := s.byIP[addr]; ok {
		s.lru.MoveToFront(e)
		src := e.Value.(*source)
		passed := now.Sub(src.seen).Seconds()
		for k := range src.tokens {
			src.tokens[k] = min(s.top[k], src.tokens[k]+passed*s.rate[k])
		}
		src.seen = now
		return src
	}
	if s.lru.Len() >= s.max {
		last := s.lru.Back()
		delete(s.byIP, last.Value.(*source).addr)
		s.lru.Remove(last)
	}
	src := &source{addr: addr, tokens: s.top, seen: now}
	s.byIP[addr] = s.lru.PushFront(src)
	return src
}

// peers are the addresses we have business with though no trunk names them:
// the far ends of calls dialled to a URI. They may answer and speak within
// their dialogs, never call.
type peers struct {
	mu sync.Mutex
	n  map[netip.Addr]int
}

func (p *peers) add(a netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n == nil {
		p.n = map[netip.Addr]int{}
	}
	p.n[a]++
}

func (p *peers) remove(a netip.Addr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.n[a]--; p.n[a] <= 0 {
		delete(p.n, a)
	}
}

func (p *peers) has(a netip.Addr) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.n[a] > 0
}
