package locate

import (
	"testing"

	"github.com/miekg/dns"
)

// Whatever a name server sends is taken for what it is, or for nothing.
func FuzzAnswer(f *testing.F) {
	for _, lines := range [][]string{
		{a("gw.example", "192.0.2.1", 60), a("gw.example", "2001:db8::1", 60)},
		{srv("_sip._udp.gw.example", 1, 2, 5060, "a.example"), srv("_sip._udp.gw.example", 1, 0, 5060, "b.example")},
		{"gw.example. 300 IN NAPTR 20 10 \"s\" \"SIP+D2U\" \"\" _sip._udp.gw.example."},
		{"gw.example. 300 IN CNAME b.example.", a("b.example", "192.0.2.1", 60)},
	} {
		m := new(dns.Msg)
		for _, line := range lines {
			rr, err := dns.NewRR(line)
			if err != nil {
				f.Fatal(err)
			}
			m.Answer = append(m.Answer, rr)
		}
		packed, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m := new(dns.Msg)
		if m.Unpack(data) != nil {
			return
		}
		for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeSRV, dns.TypeNAPTR} {
			got := read(m, kind)
			if got.ttl < 0 || got.ttl > longest {
				t.Errorf("kept for %s", got.ttl)
			}
			for _, addr := range addrsOf(got.records, 5060, UDP) {
				if !addr.IsValid() {
					t.Errorf("address %v", addr)
				}
			}
			var list []server
			for _, rr := range got.records {
				if s, ok := rr.(*dns.SRV); ok {
					list = append(list, server{s.Priority, s.Weight, []Addr{{Transport: UDP}}})
				}
			}
			if got := ordered(list); len(got) > len(list) {
				t.Errorf("%d addresses of %d servers", len(got), len(list))
			}
		}
	})
}
