package locate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// server is one host that serves a target, with its addresses.
type server struct {
	priority, weight uint16
	addrs            []Addr
}

// partialError is an answer that may not be the whole of it: a name server
// failed where it could have said more.
type partialError struct{ err error }

func (e *partialError) Error() string { return e.err.Error() }
func (e *partialError) Unwrap() error { return e.err }

var (
	errNone    = errors.New("no address; check the name, and that it is found by the name servers of this machine")
	errOffered = errors.New("its SRV record says that it offers no SIP")
)

// services are the names of RFC 3263 for each transport: of NAPTR, of SRV.
var services = []struct{ transport, naptr, srv string }{
	{UDP, "sip+d2u", "_sip._udp."},
	{TCP, "sip+d2t", "_sip._tcp."},
	{TLS, "sips+d2t", "_sips._tcp."},
}

// answers are records and how long they may be kept.
type answers struct {
	records []dns.RR
	ttl     time.Duration
	err     error // nil where there are none
}

// find looks a target up. All that may be needed is asked for at once, so that
// the whole takes two rounds: what comes first by RFC 3263 counts.
func (r *Resolver) find(ctx context.Context, t Target) ([]server, time.Duration, error) {
	var wg sync.WaitGroup
	var naptr, host answers
	srv := map[string]*answers{}
	ask := func(into *answers, f func() answers) {
		wg.Go(func() { *into = f() })
	}
	ask(&host, func() answers { return r.addresses(ctx, t.Host) })
	if t.Port == 0 {
		for _, s := range services {
			if t.Transport == s.transport || t.Transport == "" && r.speaks(s.transport) {
				a := &answers{}
				srv[s.transport] = a
				ask(a, func() answers { return r.query(ctx, s.srv+t.Host+".", dns.TypeSRV) })
			}
		}
		if t.Transport == "" {
			ask(&naptr, func() answers { return r.query(ctx, t.Host+".", dns.TypeNAPTR) })
		}
	}
	wg.Wait()

	var failed error
	soon := longest // when a record that is not there may have come
	for _, s := range services {
		if a := srv[s.transport]; a != nil {
			failed, soon = cmp.Or(failed, a.err), min(soon, a.ttl)
		}
	}
	if t.Port == 0 && t.Transport == "" {
		failed, soon = cmp.Or(failed, naptr.err), min(soon, naptr.ttl)
	}
	for _, s := range r.chosen(ctx, t, naptr.records, srv) {
		found, ttl, err := r.targets(ctx, s.transport, s.answers)
		if errors.Is(err, errOffered) {
			return nil, 0, err
		}
		failed = cmp.Or(failed, err)
		if len(found) > 0 {
			return found, min(ttl, soon), nil
		}
	}
	transport := t.Transport
	if transport == "" {
		transport = UDP
	}
	own := server{addrs: addrsOf(host.records, portOf(t.Port, transport), transport)}
	switch {
	case len(own.addrs) == 0 && host.err != nil:
		return nil, 0, host.err
	case len(own.addrs) == 0 && failed != nil:
		return nil, 0, failed
	case len(own.addrs) == 0:
		return nil, 0, errNone
	case failed != nil:
		return []server{own}, min(host.ttl, retryPart), &partialError{failed}
	}
	return []server{own}, min(host.ttl, soon), nil
}

// choice is one transport with the SRV records of a target.
type choice struct {
	transport string
	answers   answers
}

// chosen are the transports in the order of the target's NAPTR records, else of
// ours (RFC 3263 section 4.1), those that have SRV records.
func (r *Resolver) chosen(ctx context.Context, t Target, naptr []dns.RR, srv map[string]*answers) []choice {
	var records []*dns.NAPTR
	for _, rr := range naptr {
		if n, ok := rr.(*dns.NAPTR); ok && strings.EqualFold(n.Flags, "s") {
			records = append(records, n)
		}
	}
	slices.SortStableFunc(records, func(a, b *dns.NAPTR) int {
		return cmp.Or(cmp.Compare(a.Order, b.Order), cmp.Compare(a.Preference, b.Preference))
	})
	var out []choice
	for _, n := range records {
		for _, s := range services {
			if !strings.EqualFold(n.Service, s.naptr) || !r.speaks(s.transport) {
				continue
			}
			a := srv[s.transport]
			if name := strings.ToLower(n.Replacement); name != s.srv+t.Host+"." {
				other := r.query(ctx, name, dns.TypeSRV)
				a = &other
			}
			if len(a.records) > 0 {
				out = append(out, choice{s.transport, *a})
			}
		}
	}
	if len(out) > 0 {
		return out
	}
	for _, transport := range append([]string{t.Transport}, r.cfg.Transports...) {
		if a := srv[transport]; a != nil && len(a.records) > 0 {
			out = append(out, choice{transport, *a})
		}
	}
	return out
}

// targets are the servers that SRV records name.
func (r *Resolver) targets(ctx context.Context, transport string, a answers) ([]server, time.Duration, error) {
	var records []*dns.SRV
	for _, rr := range a.records {
		if s, ok := rr.(*dns.SRV); ok {
			records = append(records, s)
		}
	}
	if len(records) == 1 && records[0].Target == "." {
		return nil, 0, errOffered // RFC 2782
	}
	hosts := make([]answers, len(records))
	var wg sync.WaitGroup
	for i, s := range records {
		wg.Go(func() { hosts[i] = r.addresses(ctx, strings.TrimSuffix(s.Target, ".")) })
	}
	wg.Wait()
	var out []server
	var failed error
	ttl := a.ttl
	for i, s := range records {
		if hosts[i].err != nil {
			failed = cmp.Or(failed, hosts[i].err)
			continue
		}
		if addrs := addrsOf(hosts[i].records, s.Port, transport); len(addrs) > 0 {
			ttl = min(ttl, hosts[i].ttl)
			out = append(out, server{s.Priority, s.Weight, addrs})
		}
	}
	if len(out) > 0 && failed != nil {
		ttl = min(ttl, retryKnown) // one of them is missing: look again soon
	}
	if len(out) == 0 && failed == nil {
		failed = fmt.Errorf("its SRV records name hosts without an address")
	}
	return out, ttl, failed
}

// ordered are the addresses of all servers: by priority, and within one by
// chance as RFC 2782 says: a server of twice the weight comes first twice as
// often, one of weight 0 hardly ever.
func ordered(all []server) []Addr {
	left := slices.Clone(all)
	slices.SortStableFunc(left, func(a, b server) int { return cmp.Compare(a.priority, b.priority) })
	var out []Addr
	for len(left) > 0 {
		n, sum := 0, 0
		for n < len(left) && left[n].priority == left[0].priority {
			sum += int(left[n].weight)
			n++
		}
		pick := 0
		if sum == 0 {
			pick = rand.IntN(n) //nolint:gosec // no secret
		} else {
			for draw := rand.IntN(sum); draw >= int(left[pick].weight); pick++ { //nolint:gosec // no secret
				draw -= int(left[pick].weight)
			}
		}
		out = append(out, left[pick].addrs...)
		left = slices.Delete(left, pick, pick+1)
	}
	out = slices.CompactFunc(out, func(a, b Addr) bool { return a == b })
	return out[:min(len(out), mostAddrs)]
}
