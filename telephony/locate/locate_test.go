package locate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func resolver(t testing.TB, transports []string, zones ...*zone) (*Resolver, *clock) {
	t.Helper()
	c := &clock{at: time.Unix(1e9, 0)}
	// The questions are counted: none is asked again for a name server here that is
	// late because the machine is busy.
	cfg := Config{Transports: transports, now: c.now, limit: 3 * time.Second, repeat: time.Second}
	for _, z := range zones {
		cfg.Servers = append(cfg.Servers, z.addr)
	}
	r := New(cfg)
	t.Cleanup(r.Close)
	return r, c
}

func find(t testing.TB, r *Resolver, target Target) string {
	t.Helper()
	addrs, err := r.Lookup(t.Context(), target)
	if err != nil {
		return "error: " + err.Error()
	}
	return list(addrs)
}

func list(addrs []Addr) string {
	var out []string
	for _, a := range addrs {
		out = append(out, a.String())
	}
	return strings.Join(out, " ")
}

// What RFC 3263 section 4 says of transport, port and address.
func TestLookup(t *testing.T) {
	t.Parallel()
	z := newZone(t,
		"full.example. 300 IN NAPTR 20 10 \"s\" \"SIP+D2U\" \"\" _sip._udp.full.example.",
		"full.example. 300 IN NAPTR 10 20 \"S\" \"sip+d2t\" \"\" _sip._tcp.full.example.",
		"full.example. 300 IN NAPTR 10 10 \"s\" \"SIPS+D2T\" \"\" _sips._tcp.full.example.",
		"full.example. 300 IN NAPTR 5 1 \"s\" \"SIP+D2S\" \"\" _sip._sctp.full.example.",
		"full.example. 300 IN NAPTR 1 1 \"u\" \"E2U+sip\" \"!^.*$!sip:x@y!\" .",
		srv("_sip._udp.full.example", 1, 1, 5060, "a.example"),
		srv("_sip._tcp.full.example", 20, 1, 5070, "b.example"),
		srv("_sip._tcp.full.example", 10, 1, 5072, "a.example"),
		srv("_sips._tcp.full.example", 1, 1, 5061, "a.example"),
		"elsewhere.example. 300 IN NAPTR 10 10 \"s\" \"SIP+D2U\" \"\" hosted.example.",
		srv("hosted.example", 1, 1, 6000, "a.example"),
		srv("_sip._tcp.onlytcp.example", 1, 1, 5060, "a.example"),
		srv("_sip._udp.none.example", 0, 0, 0, ""),
		srv("_sip._udp.lost.example", 1, 1, 5060, "nowhere.example"),
		a("lost.example", "192.0.2.9", 300),
		a("a.example", "192.0.2.1", 300), a("a.example", "2001:db8::1", 300),
		a("b.example", "192.0.2.2", 300), a("b.example", "192.0.2.3", 300),
		"alias.example. 300 IN CNAME b.example.",
	)
	for _, tt := range []struct {
		name       string
		transports []string
		target     Target
		want       string
	}{
		{
			"NAPTR picks the transport, SRV the order, every address counts", nil,
			Target{Host: "full.example"},
			"tcp:192.0.2.1:5072 tcp:[2001:db8::1]:5072 tcp:192.0.2.2:5070 tcp:192.0.2.3:5070",
		},
		{
			"with TLS at hand NAPTR picks it",
			[]string{UDP, TCP, TLS},
			Target{Host: "FULL.example."},
			"tls:192.0.2.1:5061 tls:[2001:db8::1]:5061",
		},
		{
			"a transport that is said leaves NAPTR out", nil,
			Target{Host: "full.example", Transport: UDP},
			"udp:192.0.2.1:5060 udp:[2001:db8::1]:5060",
		},
		{"TLS by its SRV", nil, Target{Host: "full.example", Transport: TLS}, "tls:192.0.2.1:5061 tls:[2001:db8::1]:5061"},
		{"a port that is said leaves SRV out", nil, Target{Host: "b.example", Port: 5099}, "udp:192.0.2.2:5099 udp:192.0.2.3:5099"},
		{"NAPTR may point elsewhere", nil, Target{Host: "elsewhere.example"}, "udp:192.0.2.1:6000 udp:[2001:db8::1]:6000"},
		{
			"without NAPTR, the transport that has SRV", nil,
			Target{Host: "onlytcp.example"},
			"tcp:192.0.2.1:5060 tcp:[2001:db8::1]:5060",
		},
		{"without any, UDP and 5060", nil, Target{Host: "b.example"}, "udp:192.0.2.2:5060 udp:192.0.2.3:5060"},
		{"of TLS 5061", nil, Target{Host: "b.example", Transport: TLS}, "tls:192.0.2.2:5061 tls:192.0.2.3:5061"},
		{"behind an alias", nil, Target{Host: "alias.example", Transport: TCP}, "tcp:192.0.2.2:5060 tcp:192.0.2.3:5060"},
		{"SRV names a host without an address", nil, Target{Host: "lost.example"}, "udp:192.0.2.9:5060"},
		{"an address is its own answer", nil, Target{Host: "192.0.2.7", Port: 5070, Transport: TCP}, "tcp:192.0.2.7:5070"},
		{"IPv6 too", nil, Target{Host: "[2001:db8::7]"}, "udp:[2001:db8::7]:5060"},
		{
			"SRV says no", nil,
			Target{Host: "none.example"},
			"error: locate: look up none.example: its SRV record says that it offers no SIP",
		},
		{"nobody knows it", nil, Target{Host: "nobody.example"}, "error: locate: look up nobody.example: " + errNone.Error()},
		{
			"no name at all", nil,
			Target{Host: strings.Repeat("x", 64) + ".example"},
			"error: locate: look up " + strings.Repeat("x", 64) + ".example: \"" + strings.Repeat("x", 64) + ".example.\" is no name",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r, _ := resolver(t, tt.transports, z)
			if got := find(t, r, tt.target); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// Weights: a server of twice the weight comes first twice as often, and every
// caller draws anew though the answer is kept.
func TestWeights(t *testing.T) {
	t.Parallel()
	z := newZone(t,
		srv("_sip._udp.w.example", 10, 2, 1, "a.example"), srv("_sip._udp.w.example", 10, 1, 2, "a.example"),
		srv("_sip._udp.w.example", 10, 0, 3, "a.example"), srv("_sip._udp.w.example", 5, 0, 4, "a.example"),
		a("a.example", "192.0.2.1", 300))
	r, _ := resolver(t, nil, z)
	second := map[uint16]int{}
	const draws = 6000
	for range draws {
		addrs, err := r.Lookup(t.Context(), Target{Host: "w.example", Transport: UDP})
		if err != nil || len(addrs) != 4 || addrs[0].Port() != 4 {
			t.Fatal(addrs, err)
		}
		second[addrs[1].Port()]++
	}
	if n := second[1]; n < draws*60/100 || n > draws*73/100 {
		t.Errorf("weight 2 of 3 came first %d of %d times", n, draws)
	}
	if second[3] != 0 {
		t.Errorf("weight 0 came before others %d times", second[3])
	}
	if n := z.times("_sip._udp.w.example", dns.TypeSRV); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// An answer is kept as long as its records say, then asked for again; when the
// name servers fail or know the name no more, the last good one serves a day.
func TestKept(t *testing.T) {
	t.Parallel()
	for name, breakIt := range map[string]func(*testing.T, *zone){
		"SERVFAIL":   func(_ *testing.T, z *zone) { z.do(func() { z.fail["*"] = dns.RcodeServerFailure }) },
		"NXDOMAIN":   func(_ *testing.T, z *zone) { z.do(func() { z.fail["*"] = dns.RcodeNameError }) },
		"no records": func(t *testing.T, z *zone) { z.set(t) },
		"silence":    func(_ *testing.T, z *zone) { z.do(func() { z.silent = true }) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			z := newZone(t, a("gw.example", "192.0.2.1", 60))
			r, c := resolver(t, nil, z)
			target := Target{Host: "gw.example", Port: 5060, Transport: UDP}
			const first, second = "udp:192.0.2.1:5060", "udp:192.0.2.2:5060"
			if got := find(t, r, target); got != first {
				t.Fatal(got)
			}
			z.set(t, a("gw.example", "192.0.2.2", 60))
			c.pass(59 * time.Second)
			if got := find(t, r, target); got != first || z.times("gw.example", dns.TypeA) != 1 {
				t.Errorf("before its time: %s", got)
			}
			c.pass(2 * time.Second)
			if got := find(t, r, target); got != second {
				t.Errorf("after its time: %s", got)
			}
			breakIt(t, z)
			c.pass(time.Hour)
			if got := find(t, r, target); got != second {
				t.Errorf("while the name server fails: %s", got)
			}
			asked := z.times("gw.example", dns.TypeA)
			c.pass(retryKnown - time.Second)
			if got := find(t, r, target); got != second || z.times("gw.example", dns.TypeA) != asked {
				t.Errorf("asked again too soon: %s", got)
			}
			c.pass(24 * time.Hour)
			if got := find(t, r, target); !strings.HasPrefix(got, "error") {
				t.Errorf("after a day: %s", got)
			}
			z.do(func() { clear(z.fail); z.silent = false })
			z.set(t, a("gw.example", "192.0.2.3", 60))
			c.pass(retryNew + time.Second)
			if got := find(t, r, target); got != "udp:192.0.2.3:5060" {
				t.Errorf("when the name server is back: %s", got)
			}
		})
	}
}

// A name server that answers nothing ends a look-up within its second, and a
// dead one is no reason to fail where another one answers.
func TestSlowNameServer(t *testing.T) {
	t.Parallel()
	dead := newZone(t)
	dead.do(func() { dead.silent = true })
	good := newZone(t, a("gw.example", "192.0.2.1", 60))
	r := New(Config{Servers: []string{dead.addr}})
	t.Cleanup(r.Close)
	begun := time.Now()
	if got := find(t, r, Target{Host: "gw.example", Port: 5060}); !strings.Contains(got, "no answer of a name server within 1s") &&
		!strings.Contains(got, "i/o timeout") {
		t.Error(got)
	}
	if took := time.Since(begun); took > 5*limit {
		t.Errorf("took %s", took)
	}
	if n := dead.times("gw.example", dns.TypeA); n < 2 || n > tries {
		t.Errorf("asked %d times", n)
	}
	r, _ = resolver(t, nil, dead, good)
	if got := find(t, r, Target{Host: "gw.example", Port: 5060}); got != "udp:192.0.2.1:5060" {
		t.Error(got)
	}
	failing := newZone(t)
	failing.do(func() { failing.fail["*"] = dns.RcodeRefused })
	r, _ = resolver(t, nil, failing, good)
	if got := find(t, r, Target{Host: "gw.example", Port: 5060}); got != "udp:192.0.2.1:5060" {
		t.Error(got)
	}
}

// No call waits for another's look-up: of another name never, of the same name
// not where an answer of before is at hand; where none is, one question serves
// all who ask, and each may leave.
func TestNobodyWaitsForAnother(t *testing.T) {
	t.Parallel()
	z := newZone(t, a("slow.example", "192.0.2.1", 60), a("fast.example", "192.0.2.2", 60))
	r, c := resolver(t, nil, z)
	slow := Target{Host: "slow.example", Port: 5060}
	if got := find(t, r, slow); got != "udp:192.0.2.1:5060" {
		t.Fatal(got)
	}
	c.pass(time.Minute + time.Second)
	z.do(func() { z.held = make(chan struct{}) })
	first := make(chan string, 1)
	go func() { first <- find(t, r, slow) }()
	for z.times("slow.example", dns.TypeA) < 2 { // the second question is out
		<-time.After(time.Millisecond)
	}
	if got := find(t, r, slow); got != "udp:192.0.2.1:5060" {
		t.Error(got)
	}
	select {
	case got := <-first:
		t.Errorf("the one who asks did not wait: %s", got)
	default:
	}
	if got := find(t, r, Target{Host: "fast.example", Port: 5060}); got != "udp:192.0.2.2:5060" {
		t.Error(got)
	}
	z.release()
	if got := <-first; got != "udp:192.0.2.1:5060" {
		t.Error(got)
	}
}

func TestOneQuestionServesAll(t *testing.T) {
	t.Parallel()
	z := newZone(t, a("gw.example", "192.0.2.1", 60))
	z.do(func() { z.held = make(chan struct{}) })
	r, _ := resolver(t, nil, z)
	target := Target{Host: "gw.example", Port: 5060}
	results := make(chan string, 10)
	for range 10 {
		go func() { results <- find(t, r, target) }()
	}
	gone, cancel := context.WithCancelCause(t.Context())
	left := make(chan error, 1)
	go func() {
		_, err := r.Lookup(gone, target)
		left <- err
	}()
	for z.times("gw.example", dns.TypeA) == 0 {
		<-time.After(time.Millisecond)
	}
	hungUp := errors.New("hung up")
	cancel(hungUp)
	if err := <-left; !errors.Is(err, hungUp) {
		t.Error(err)
	}
	z.release()
	for range 10 {
		if got := <-results; got != "udp:192.0.2.1:5060" {
			t.Error(got)
		}
	}
	if n := z.times("gw.example", dns.TypeA); n > 1+tries {
		t.Errorf("asked %d times", n)
	}
}

// An answer that a datagram cannot hold comes over TCP.
func TestLongAnswer(t *testing.T) {
	t.Parallel()
	var lines []string
	for i := range 100 {
		lines = append(lines, a("many.example", fmt.Sprintf("192.0.2.%d", i+1), 60))
	}
	z := newZone(t, lines...)
	z.do(func() { z.cut = true })
	r, _ := resolver(t, nil, z)
	addrs, err := r.Lookup(t.Context(), Target{Host: "many.example", Port: 5060})
	if err != nil || len(addrs) != mostRecords {
		t.Errorf("%d addresses, %v", len(addrs), err)
	}
}

// A name server that fails over NAPTR and SRV, as some routers do, is no reason
// not to call; but a last good answer of a whole look-up is better.
func TestPartialAnswer(t *testing.T) {
	t.Parallel()
	z := newZone(t, srv("_sip._udp.gw.example", 1, 1, 5070, "a.example"), a("a.example", "192.0.2.1", 60),
		a("gw.example", "192.0.2.9", 60))
	break1 := func() {
		z.do(func() { z.fail[keyOf("_sip._udp.gw.example", dns.TypeSRV)] = dns.RcodeServerFailure })
	}
	r, c := resolver(t, nil, z)
	target := Target{Host: "gw.example"}
	if got := find(t, r, target); got != "udp:192.0.2.1:5070" {
		t.Error(got)
	}
	break1()
	c.pass(time.Hour)
	if got := find(t, r, target); got != "udp:192.0.2.1:5070" {
		t.Error(got)
	}
	r, c = resolver(t, nil, z)
	if got := find(t, r, target); got != "udp:192.0.2.9:5060" {
		t.Error(got)
	}
	z.set(t, a("gw.example", "192.0.2.10", 60))
	c.pass(retryPart + time.Second)
	if got := find(t, r, target); got != "udp:192.0.2.10:5060" {
		t.Error(got)
	}
}

// What is kept has a bound.
// SEC-12: a name server that answers with dozens of records has us ask, and
// try, no more than a carrier has.
func TestManyRecordsAreBounded(t *testing.T) {
	t.Parallel()
	var lines []string
	for i := range 60 {
		host := fmt.Sprintf("h%d.example", i)
		lines = append(lines, srv("_sip._udp.many.example", i%3, 1, 5060, host), a("many.example", fmt.Sprintf("192.0.2.%d", i), 60))
		for k := range 20 {
			lines = append(lines, a(host, fmt.Sprintf("10.0.%d.%d", i, k+1), 60))
		}
	}
	z := newZone(t, lines...)
	z.do(func() { z.cut = true }) // no datagram holds them
	r, _ := resolver(t, nil, z)
	addrs, err := r.Lookup(t.Context(), Target{Host: "many.example", Transport: UDP})
	if err != nil || len(addrs) != mostAddrs {
		t.Errorf("%d addresses, want %d: %v", len(addrs), mostAddrs, err)
	}
	asked := 0
	z.do(func() {
		for key := range z.asked {
			if strings.HasPrefix(key, "h") {
				asked++
			}
		}
	})
	if most := 2 * mostRecords; asked == 0 || asked > most { // A and AAAA of each
		t.Errorf("%d questions about hosts, want %d at most", asked, most)
	}
	if addrs, err = r.Lookup(t.Context(), Target{Host: "many.example", Port: 5060, Transport: UDP}); len(addrs) != mostRecords {
		t.Errorf("%d addresses of a host, want %d: %v", len(addrs), mostRecords, err)
	}
}

func TestPlacesAreBounded(t *testing.T) {
	t.Parallel()
	z := newZone(t)
	z.do(func() { z.fail["*"] = dns.RcodeNameError })
	r, _ := resolver(t, nil, z)
	for i := range maxPlaces + 20 {
		r.mu.Lock()
		r.makeRoomLocked()
		r.places[Target{Host: fmt.Sprint(i)}] = &place{until: r.cfg.now().Add(time.Hour)}
		r.mu.Unlock()
	}
	if n := len(r.places); n > maxPlaces {
		t.Errorf("%d places", n)
	}
}

// /etc/hosts goes before the name servers.
func TestHostsFile(t *testing.T) {
	t.Parallel()
	r, _ := resolver(t, nil, newZone(t))
	if got := find(t, r, Target{Host: "localhost", Port: 5060}); !strings.HasPrefix(got, "udp:127.0.0.1:5060") {
		t.Error(got)
	}
}
