package trunk

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/patchcord/patchcord/telephony"
)

// Table is all trunks and numbers at one time. It never changes. The nil
// Table matches nothing.
type Table struct {
	trunks       map[telephony.TrunkID]*Trunk
	order        []*Trunk
	callers      sources // who may call
	peers        sources // the same, and every gateway
	numbers      map[route]string
	defaultAgent string
	warnings     []Fault
}

type route struct {
	trunk  telephony.TrunkID // "": any
	number string
}

// Trunk is the trunk of that name.
func (t *Table) Trunk(id telephony.TrunkID) (*Trunk, bool) {
	if t == nil {
		return nil, false
	}
	tr, ok := t.trunks[id]
	return tr, ok
}

// Trunks are all of them, as configured.
func (t *Table) Trunks() []*Trunk {
	if t == nil {
		return nil
	}
	return slices.Clone(t.order)
}

// Match is the trunk that may call from this address: the longest prefix wins.
// Where several share it, it is the first of them.
func (t *Table) Match(src netip.Addr) (*Trunk, bool) {
	if t == nil {
		return nil, false
	}
	return t.callers.match(src)
}

// Callers are the trunks that may call from this address: one, or several that
// are told by who the caller proves to be. The slice is the table's own.
func (t *Table) Callers(src netip.Addr) []*Trunk {
	if t == nil {
		return nil
	}
	return t.callers.all(src)
}

// Peer is the trunk that an address belongs to, calling or called: Match, and
// every gateway, of those that are names what Found was told. Answers and
// requests inside a call may come from there.
func (t *Table) Peer(src netip.Addr) (*Trunk, bool) {
	if t == nil {
		return nil, false
	}
	return t.peers.match(src)
}

// Route says which agent answers what was dialled on a trunk: the number's
// own, else the default agent. number is the dialled one in E.164 where it is
// such a number, else as dialled. ok is false where nobody answers: 404.
func (t *Table) Route(id telephony.TrunkID, dialled string) (agent, number string, ok bool) {
	if t == nil {
		return "", dialled, false
	}
	country := ""
	if tr := t.trunks[id]; tr != nil {
		country = tr.Country
	}
	number = Normalize(dialled, country)
	for _, n := range []string{number, bare(dialled), "+" + bare(dialled)} {
		for _, trunk := range []telephony.TrunkID{id, ""} {
			if agent, ok := t.numbers[route{trunk, n}]; ok {
				return agent, n, true
			}
		}
	}
	return t.defaultAgent, number, t.defaultAgent != ""
}

// With is the table without some numbers and with others, which need a trunk
// of the table, or none, and an agent. The trunks are the same.
func (t *Table) With(drop, add []Number) *Table {
	out := *t
	out.numbers = maps.Clone(t.numbers)
	for _, n := range drop {
		delete(out.numbers, out.route(n))
	}
	for _, n := range add {
		out.numbers[out.route(n)] = n.Agent
	}
	return &out
}

// route is what a number is found by.
func (t *Table) route(n Number) route {
	country := ""
	if tr := t.trunks[telephony.TrunkID(n.Trunk)]; tr != nil {
		country = tr.Country
	}
	return route{telephony.TrunkID(n.Trunk), Normalize(n.Number, country)}
}

// Warnings are what is configured and has no effect yet, or weakens calls.
func (t *Table) Warnings() []Fault {
	if t == nil {
		return nil
	}
	return slices.Clone(t.warnings)
}

// sources finds the longest prefix that holds an address.
type sources struct {
	lengths  []int // prefix lengths in use, longest first
	prefixes map[netip.Prefix][]*Trunk
}

// add tells whose p is already, if it is somebody else's and cannot be shared.
func (s *sources) add(p netip.Prefix, tr *Trunk) (other *Trunk) {
	have := s.prefixes[p]
	for _, o := range have {
		if o == tr {
			return nil
		}
		if !o.Caller.besides(tr.Caller) && !o.Trust.besides(tr.Trust) && !o.registersBeside(tr) {
			return o
		}
	}
	if s.prefixes == nil {
		s.prefixes = map[netip.Prefix][]*Trunk{}
	}
	s.prefixes[p] = append(have, tr)
	if i, ok := slices.BinarySearchFunc(s.lengths, p.Bits(), func(a, b int) int { return cmp.Compare(b, a) }); !ok {
		s.lengths = slices.Insert(s.lengths, i, p.Bits())
	}
	return nil
}

func (s *sources) match(a netip.Addr) (*Trunk, bool) {
	if all := s.all(a); len(all) > 0 {
		return all[0], true
	}
	return nil, false
}

func (s *sources) all(a netip.Addr) []*Trunk {
	a = a.Unmap().WithZone("")
	for _, bits := range s.lengths {
		if bits > a.BitLen() {
			continue // of IPv6 prefixes, or no address at all
		}
		p, _ := a.Prefix(bits)
		if all, ok := s.prefixes[p]; ok {
			return all
		}
	}
	return nil
}

// Live is the table in use. Its zero value holds none.
type Live struct{ p atomic.Pointer[Table] }

// Load is the table in use, nil before the first Store.
func (l *Live) Load() *Table { return l.p.Load() }

// Store puts another table into use.
func (l *Live) Store(t *Table) { l.p.Store(t) }
