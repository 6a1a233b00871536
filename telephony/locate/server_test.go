package locate

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// zone is a name server on loopback, UDP and TCP, with the records it is given.
type zone struct {
	addr string

	mu      sync.Mutex // guards what follows
	records map[string][]dns.RR
	fail    map[string]int // status instead of records, by "name TYPE" or "*"
	silent  bool
	held    chan struct{} // answers wait until it is closed, but those of fast.example; nil: they do not
	cut     bool          // answers over UDP are cut off
	asked   map[string]int
}

// newZone serves records, as a zone file has them.
func newZone(t testing.TB, lines ...string) *zone {
	t.Helper()
	z := &zone{fail: map[string]int{}, asked: map[string]int{}}
	z.set(t, lines...)
	pc, ln := listenTwice(t)
	z.addr = pc.LocalAddr().String()
	for _, s := range []*dns.Server{{PacketConn: pc, Handler: z}, {Listener: ln, Handler: z}} {
		up := make(chan struct{})
		s.NotifyStartedFunc = func() { close(up) }
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = s.ActivateAndServe()
		}()
		<-up
		t.Cleanup(func() {
			z.release()
			_ = s.Shutdown()
			<-done
		})
	}
	return z
}

// listenTwice opens a port for UDP and TCP: one that is free for both.
func listenTwice(t testing.TB) (net.PacketConn, net.Listener) {
	t.Helper()
	for try := 0; ; try++ {
		pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ln, err := net.Listen("tcp4", pc.LocalAddr().String())
		if err == nil {
			return pc, ln
		}
		_ = pc.Close()
		if try == 20 {
			t.Fatal(err)
		}
	}
}

func (z *zone) set(t testing.TB, lines ...string) {
	t.Helper()
	records := map[string][]dns.RR{}
	for _, line := range lines {
		rr, err := dns.NewRR(line)
		if err != nil {
			t.Fatal(err)
		}
		key := keyOf(rr.Header().Name, rr.Header().Rrtype)
		records[key] = append(records[key], rr)
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	z.records = records
}

func (z *zone) do(f func()) {
	z.mu.Lock()
	defer z.mu.Unlock()
	f()
}

func (z *zone) release() {
	z.do(func() {
		if z.held != nil {
			close(z.held)
			z.held = nil
		}
	})
}

// times is how often a question was asked.
func (z *zone) times(name string, kind uint16) int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.asked[keyOf(name, kind)]
}

func keyOf(name string, kind uint16) string {
	return strings.ToLower(strings.TrimSuffix(name, ".")) + " " + dns.TypeToString[kind]
}

func (z *zone) ServeDNS(w dns.ResponseWriter, ask *dns.Msg) {
	q := ask.Question[0]
	key := keyOf(q.Name, q.Qtype)
	m := new(dns.Msg)
	m.SetReply(ask)
	z.mu.Lock()
	z.asked[key]++
	held, silent := z.held, z.silent
	_, udp := w.RemoteAddr().(*net.UDPAddr)
	switch code, fails := z.fail[key]; {
	case z.fail["*"] != 0:
		m.Rcode = z.fail["*"]
	case fails:
		m.Rcode = code
	case z.cut && udp:
		m.Truncated = true
	default:
		m.Answer = z.records[key]
		if c := z.records[keyOf(q.Name, dns.TypeCNAME)]; c != nil {
			target := c[0].(*dns.CNAME).Target
			m.Answer = append(append([]dns.RR(nil), c...), z.records[keyOf(target, q.Qtype)]...)
		}
		if len(m.Answer) == 0 {
			m.Ns = []dns.RR{&dns.SOA{
				Hdr: dns.RR_Header{Name: "example.", Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: 600},
				Ns:  "ns.example.", Mbox: "root.example.", Minttl: 600,
			}}
		}
	}
	z.mu.Unlock()
	if held != nil && q.Name != "fast.example." {
		<-held
	}
	if !silent {
		_ = w.WriteMsg(m)
	}
}

func a(name, addr string, ttl int) string {
	kind := "A"
	if strings.Contains(addr, ":") {
		kind = "AAAA"
	}
	return fmt.Sprintf("%s. %d IN %s %s", name, ttl, kind, addr)
}

func srv(name string, priority, weight, port int, target string) string {
	return fmt.Sprintf("%s. 300 IN SRV %d %d %d %s.", name, priority, weight, port, target)
}
