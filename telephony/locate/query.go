package locate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// A question is asked again each repeat, of the next name server, until one
// answers or the look-up's second is over.
const (
	repeat = 300 * time.Millisecond
	tries  = 3
)

// payload is the size of answers we take over UDP, bytes (RFC 6891): what
// passes every path in one piece.
const payload = 1232

// hostsTTL is how long a line of /etc/hosts serves.
const hostsTTL = 30 * time.Second

// addresses are the A and AAAA records of a host: of /etc/hosts, else of the
// name servers, tried with the suffixes of /etc/resolv.conf.
func (r *Resolver) addresses(ctx context.Context, host string) answers {
	if list, err := r.hosts.LookupNetIP(ctx, "ip", host); err == nil {
		a := answers{ttl: hostsTTL}
		for _, ip := range list {
			if ip = ip.Unmap(); ip.Is4() {
				a.records = append(a.records, &dns.A{A: ip.AsSlice()})
			} else {
				a.records = append(a.records, &dns.AAAA{AAAA: ip.AsSlice()})
			}
		}
		return a
	}
	names := []string{host + "."}
	if r.system != nil && r.cfg.Servers == nil {
		names = r.system.NameList(host)
	}
	var a answers
	for _, name := range names {
		four, six := make(chan answers, 1), make(chan answers, 1) // one answer each
		go func() { four <- r.query(ctx, name, dns.TypeA) }()
		go func() { six <- r.query(ctx, name, dns.TypeAAAA) }()
		a = both(<-four, <-six)
		if len(a.records) > 0 || a.err != nil {
			break
		}
	}
	return a
}

// both joins the answers about IPv4 and IPv6. A failure of one is none where
// the other has addresses: many name servers fail over AAAA.
func both(four, six answers) answers {
	switch {
	case len(four.records) > 0 && len(six.records) > 0:
		return answers{records: append(four.records, six.records...), ttl: min(four.ttl, six.ttl)}
	case len(four.records) > 0:
		return four
	case len(six.records) > 0:
		return six
	case four.err != nil:
		return four
	}
	return six
}

func addrsOf(records []dns.RR, port uint16, transport string) []Addr {
	var out []Addr
	for _, rr := range records {
		var raw net.IP
		switch rr := rr.(type) {
		case *dns.A:
			raw = rr.A
		case *dns.AAAA:
			raw = rr.AAAA
		}
		if ip, ok := netip.AddrFromSlice(raw); ok {
			out = append(out, Addr{netip.AddrPortFrom(ip.Unmap(), port), transport})
		}
	}
	return out
}

// query asks for the records of one type. None is no error.
func (r *Resolver) query(ctx context.Context, name string, kind uint16) answers {
	servers := r.cfg.Servers
	if servers == nil && r.system != nil {
		for _, s := range r.system.Servers {
			servers = append(servers, net.JoinHostPort(s, r.system.Port))
		}
	}
	if len(servers) == 0 {
		return answers{err: errors.New("no name server: /etc/resolv.conf names none")}
	}
	if _, ok := dns.IsDomainName(name); !ok {
		return answers{err: fmt.Errorf("%q is no name", name)}
	}
	replies := make(chan reply, tries) // one of each try
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	next := 0
	try := func() {
		server := servers[next%len(servers)]
		next++
		r.wg.Add(1)
		go func() {
			defer r.wg.Done()
			m, err := r.exchange(ctx, server, name, kind)
			replies <- reply{m, err}
		}()
	}
	try()
	tick := time.NewTicker(r.cfg.repeat)
	defer tick.Stop()
	var last error
	for open := 1; ; {
		select {
		case a := <-replies:
			if a.err == nil {
				return read(a.msg, kind)
			}
			last = a.err
			if open--; next < tries {
				try()
				open++
			} else if open == 0 {
				return answers{err: last}
			}
		case <-tick.C:
			if next < tries {
				try()
				open++
			}
		case <-ctx.Done():
			if last == nil {
				last = fmt.Errorf("no answer of a name server within %s", r.cfg.limit)
			}
			return answers{err: last}
		}
	}
}

type reply struct {
	msg *dns.Msg
	err error
}

// exchange asks one name server once, over TCP too where the answer is too
// long for a datagram.
func (r *Resolver) exchange(ctx context.Context, server, name string, kind uint16) (*dns.Msg, error) {
	ask := new(dns.Msg)
	ask.SetQuestion(name, kind)
	ask.SetEdns0(payload, false)
	for _, network := range []string{"udp", "tcp"} {
		c := dns.Client{Net: network, Timeout: r.cfg.limit, UDPSize: payload}
		m, _, err := c.ExchangeContext(ctx, ask, server)
		switch {
		case err != nil:
			return nil, fmt.Errorf("name server %s: %w", server, err)
		case len(m.Question) != 1 || !strings.EqualFold(m.Question[0].Name, name) || m.Question[0].Qtype != kind:
			return nil, fmt.Errorf("name server %s: answers another question", server)
		case m.Truncated && network == "udp":
			continue
		case m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError:
			return nil, fmt.Errorf("name server %s: %s", server, dns.RcodeToString[m.Rcode])
		}
		return m, nil
	}
	return nil, fmt.Errorf("name server %s: its answer is cut off", server)
}

// mostRecords of one question are taken, and mostAddrs told of one target: more
// than any carrier has. A host is whatever a caller's Contact names, and each
// record is a question or an address to try.
const (
	mostRecords = 16
	mostAddrs   = 32
)

// read takes the records of a type off an answer. Their time is the shortest of
// all that led to them, CNAMEs too; of none, that of the SOA (RFC 2308).
func read(m *dns.Msg, kind uint16) answers {
	a := answers{ttl: longest}
	for _, rr := range m.Answer {
		switch rr.Header().Rrtype {
		case kind:
			if len(a.records) < mostRecords {
				a.records = append(a.records, rr)
			}
		case dns.TypeCNAME, dns.TypeDNAME:
		default:
			continue
		}
		a.ttl = min(a.ttl, time.Duration(rr.Header().Ttl)*time.Second)
	}
	if len(a.records) > 0 {
		return a
	}
	a.ttl = retryKnown
	for _, rr := range m.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			a.ttl = min(longest, time.Duration(min(soa.Minttl, soa.Hdr.Ttl))*time.Second)
		}
	}
	return a
}
