package trunk

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/patchcord/patchcord/telephony"
)

func table(t *testing.T, trunks []Config, numbers []Number, agent string) *Table {
	t.Helper()
	tb, err := NewTable(trunks, numbers, agent)
	if err != nil {
		t.Fatal(err)
	}
	return tb
}

func TestMatchTakesTheLongestPrefix(t *testing.T) {
	t.Parallel()
	tb := table(t, []Config{
		{Name: "world", Allow: []string{"203.0.0.0/8", "2001:db8::/32"}},
		{Name: "carrier", Gateways: []string{"sip:192.0.2.1", "sip:pbx.example"}, Allow: []string{"203.0.113.0/24"}},
		{Name: "desk", Allow: []string{"203.0.113.9", "2001:db8::9"}},
		{Name: "gateway", Gateways: []string{"sip:198.51.100.4:5080;transport=tcp"}},
		{Name: "local", Allow: []string{"127.0.0.0/8"}},
	}, nil, "")
	for _, tt := range []struct{ src, caller, peer string }{
		{"203.0.113.9", "desk", "desk"},
		{"203.0.113.10", "carrier", "carrier"},
		{"203.1.2.3", "world", "world"},
		{"::ffff:203.0.113.9", "desk", "desk"},
		{"2001:db8::9", "desk", "desk"},
		{"2001:db8::9%eth0", "desk", "desk"},
		{"2001:db8::10", "world", "world"},
		{"127.0.0.1", "local", "local"},
		{"192.0.2.1", "", "carrier"}, // called, but calls come from elsewhere
		{"198.51.100.4", "gateway", "gateway"},
		{"198.51.100.5", "", ""},
		{"::1", "", ""},
	} {
		caller, ok := tb.Match(netip.MustParseAddr(tt.src))
		peer, known := tb.Peer(netip.MustParseAddr(tt.src))
		if ok != (tt.caller != "") || ok && string(caller.ID) != tt.caller || known != (tt.peer != "") || known && string(peer.ID) != tt.peer {
			t.Errorf("%s: called by %v, peer %v", tt.src, caller, peer)
		}
	}
	if _, ok := tb.Match(netip.Addr{}); ok {
		t.Error("no address matches")
	}
}

func TestMatchAllocatesNothing(t *testing.T) {
	tb := table(t, []Config{{Name: "x", Allow: []string{"10.0.0.0/8", "10.1.0.0/16", "2001:db8::/64"}}}, nil, "")
	known, unknown := netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("192.0.2.1")
	if n := testing.AllocsPerRun(100, func() { tb.Match(known); tb.Peer(unknown) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestNoTableMatchesNothing(t *testing.T) {
	t.Parallel()
	var live Live
	tb := live.Load()
	if _, ok := tb.Match(netip.MustParseAddr("127.0.0.1")); ok {
		t.Error("a source matches")
	}
	if _, ok := tb.Peer(netip.MustParseAddr("127.0.0.1")); ok {
		t.Error("a peer matches")
	}
	if _, ok := tb.Trunk("x"); ok || tb.Trunks() != nil || tb.Warnings() != nil {
		t.Error("a trunk is there")
	}
	if _, n, ok := tb.Route("x", "100"); ok || n != "100" {
		t.Error("a number is routed")
	}
	live.Store(table(t, []Config{{Name: "local", Allow: []string{"127.0.0.1"}}}, nil, ""))
	if _, ok := live.Load().Match(netip.MustParseAddr("127.0.0.1")); !ok {
		t.Error("the new table is not in use")
	}
}

// The longest prefix is found among any prefixes: compared with trying all.
func TestMatchIsTheLongestOfAll(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		addr := rapid.Custom(func(t *rapid.T) netip.Addr {
			b := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 127, 128, 255}), 4, 4).Draw(t, "address")
			return netip.AddrFrom4([4]byte(b))
		})
		var s sources
		trunks := map[netip.Prefix]*Trunk{}
		for range rapid.IntRange(0, 20).Draw(t, "prefixes") {
			p, _ := addr.Draw(t, "prefix").Prefix(rapid.IntRange(0, 32).Draw(t, "bits"))
			if trunks[p] == nil {
				trunks[p] = &Trunk{}
				s.add(p, trunks[p])
			}
		}
		src := addr.Draw(t, "source")
		var want *Trunk
		longest := -1
		for p, tr := range trunks {
			if p.Contains(src) && p.Bits() > longest {
				want, longest = tr, p.Bits()
			}
		}
		if got, ok := s.match(src); got != want || ok != (want != nil) {
			t.Fatalf("%s: %p, want %p", src, got, want)
		}
	})
}

func TestRoute(t *testing.T) {
	t.Parallel()
	trunks := []Config{
		{Name: "de", Allow: []string{"203.0.113.0/24"}, Country: "de"},
		{Name: "us", Allow: []string{"198.51.100.0/24"}, Country: "US"},
		{Name: "raw", Allow: []string{"192.0.2.0/24"}},
	}
	numbers := []Number{
		{Number: "+4930123456", Trunk: "de", Agent: "support"},
		{Number: "030 / 99 88-77", Trunk: "de", Agent: "sales"},
		{Number: "+4930123456", Agent: "overflow"},
		{Number: "4711", Agent: "desk"},
		{Number: "demo", Agent: "demo"},
		{Number: "(201) 555-0123", Trunk: "us", Agent: "america"},
	}
	tb := table(t, trunks, numbers, "reception")
	for _, tt := range []struct{ trunk, dialled, agent, number string }{
		{"de", "+4930123456", "support", "+4930123456"},
		{"de", "004930123456", "support", "+4930123456"},
		{"de", "030123456", "support", "+4930123456"},
		{"de", "4930123456", "support", "+4930123456"},
		{"de", "tel:+49-30-123456;phone-context=example", "support", "+4930123456"},
		{"de", "+4930123456;user=phone", "support", "+4930123456"},
		{"de", "030998877", "sales", "+4930998877"},
		{"us", "+4930123456", "overflow", "+4930123456"},
		{"us", "011 49 30 123456", "overflow", "+4930123456"},
		{"us", "12015550123", "america", "+12015550123"},
		{"us", "2015550123", "america", "+12015550123"},
		{"raw", "004930123456", "overflow", "+4930123456"},
		{"raw", "4930123456", "overflow", "+4930123456"},
		{"raw", "4711", "desk", "4711"},
		{"de", "4711", "desk", "4711"},
		{"raw", "demo", "demo", "demo"},
		{"raw", "nobody", "reception", "nobody"},
		{"de", "+4940123456", "reception", "+4940123456"},
		{"raw", "", "reception", ""},
	} {
		agent, number, ok := tb.Route(telephony.TrunkID(tt.trunk), tt.dialled)
		if !ok || agent != tt.agent || number != tt.number {
			t.Errorf("%q on %s: %s, %s, %v; want %s, %s", tt.dialled, tt.trunk, agent, number, ok, tt.agent, tt.number)
		}
	}
	if _, _, ok := table(t, trunks, numbers, "").Route("raw", "nobody"); ok {
		t.Error("without a default agent nobody answers nobody's number")
	}
}

func TestDial(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ format, country, prefix, number, want string }{
		{"", "DE", "", "030 123456", "+4930123456"},
		{"e164", "", "", "+4930123456", "+4930123456"},
		{"plain", "DE", "", "030123456", "4930123456"},
		{"national", "DE", "", "+4930123456", "030123456"},
		{"national", "DE", "", "+12015550123", "0012015550123"},
		{"national", "IT", "", "+390612345678", "0612345678"},
		{"plain", "", "9#", "+4930123456", "9#4930123456"},
		{"", "", "", "4711", "4711"},
		{"plain", "", "", "alice", "alice"},
		{"", "DE", "", "0044 20 79460000", "+442079460000"},
		// 001 and 0011 are the way abroad there: the gate has read +1.
		{"", "SG", "", "001 882 16123456", "+188216123456"},
		{"", "AU", "", "0011 44 2079460000", "+11442079460000"},
	} {
		tr := Trunk{NumberFormat: tt.format, Country: tt.country, Prefix: tt.prefix}
		if got := tr.Dial(tt.number); got != tt.want {
			t.Errorf("%+v: %s", tt, got)
		}
	}
}

func TestOrderTriesGatewaysThatAreUpFirst(t *testing.T) {
	t.Parallel()
	tb := table(t, []Config{{Name: "c", Gateways: []string{"sip:a.example", "b.example:5080", "sips:c.example"}}}, nil, "")
	tr, _ := tb.Trunk("c")
	var got []string
	for _, g := range Order(tr.Gateways, func(g *Gateway) bool { return g.Host != "a.example" }) {
		got = append(got, fmt.Sprintf("%s %d %s", g.Host, g.Port, g.Transport))
	}
	if s := strings.Join(got, ", "); s != "b.example 5080 udp, c.example 0 tls, a.example 0 " {
		t.Error(s)
	}
}

func TestParseGateway(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in   string
		want Gateway
	}{
		{"sip:203.0.113.10", Gateway{"sip:203.0.113.10", "203.0.113.10", 0, UDP}},
		{"SIP:pbx.example:5080;transport=TCP", Gateway{"sip:pbx.example:5080;transport=TCP", "pbx.example", 5080, TCP}},
		{"pbx.example:5061;lr;transport=tls", Gateway{"sip:pbx.example:5061;lr;transport=tls", "pbx.example", 5061, TLS}},
		{"sip:[2001:db8::1]:5062", Gateway{"sip:[2001:db8::1]:5062", "2001:db8::1", 5062, UDP}},
		{"sip:[2001:db8::1]", Gateway{"sip:[2001:db8::1]", "2001:db8::1", 0, UDP}},
		{"2001:db8::1", Gateway{"sip:[2001:db8::1]", "2001:db8::1", 0, UDP}},
	} {
		if g, err := ParseGateway(tt.in); err != nil || g != tt.want {
			t.Errorf("%s: %+v, %v", tt.in, g, err)
		}
	}
	for _, bad := range []string{
		"", "sip:", "sip:user@host", "sip:host:0", "sip:host:99999", "sip:host:x", "sip:[::1", "sip:[x]:5060",
		"sip:host;transport=sctp", "sip:a b", "sip:a\r\nb", "https://host",
	} {
		if g, err := ParseGateway(bad); err == nil {
			t.Errorf("%q is %+v", bad, g)
		}
	}
}

func TestFaultsNameFieldAndCure(t *testing.T) {
	t.Parallel()
	ok := Config{Name: "ok", Allow: []string{"192.0.2.1"}}
	for _, tt := range []struct {
		name    string
		trunks  []Config
		numbers []Number
		want    string
	}{
		{"no name", []Config{{Allow: []string{"192.0.2.1"}}}, nil, "trunks[0].name: a trunk without a name; give the trunk a name"},
		{"a name with a space", []Config{{Name: "a b", Allow: []string{"192.0.2.1"}}}, nil, "trunks[0].name"},
		{"a name twice", []Config{ok, {Name: "ok", Allow: []string{"192.0.2.2"}}}, nil, `trunks[1].name: a second trunk named "ok"`},
		{"nothing to call", []Config{{Name: "x"}}, nil, "trunks[0]: trunk \"x\" has neither gateways nor allow"},
		{"no address", []Config{{Name: "x", Allow: []string{"192.0.2.1", "example.com"}}}, nil, "trunks[0].allow[1]: \"example.com\" is neither"},
		{"bits behind the prefix", []Config{{Name: "x", Allow: []string{"203.0.113.9/24"}}}, nil, "203.0.113.0/24 is meant or 203.0.113.9"},
		{"IPv4 as IPv6", []Config{{Name: "x", Allow: []string{"::ffff:192.0.2.0/120"}}}, nil, "IPv4 written as IPv6"},
		{"an address of two trunks", []Config{ok, {Name: "x", Allow: []string{"192.0.2.1/32"}}}, nil, "trunks[1].allow[0]: 192.0.2.1/32 belongs to trunk \"ok\""},
		{"no gateway", []Config{{Name: "x", Gateways: []string{"sip:u@h"}}}, nil, "trunks[0].gateways[0]"},
		{"an unknown codec", []Config{{Name: "x", Allow: []string{"192.0.2.1"}, Codecs: []string{"g729"}}}, nil, "trunks[0].codecs[0]: no codec \"g729\"; write PCMU, PCMA, G722, opus"},
		{"a codec twice", []Config{{Name: "x", Allow: []string{"192.0.2.1"}, Codecs: []string{"pcmu", "PCMU"}}}, nil, "trunks[0].codecs[1]"},
		{"refer", []Config{{Name: "x", Allow: []string{"192.0.2.1"}, Refer: "sometimes"}}, nil, "trunks[0].refer: \"sometimes\" is not known; write auto, on, never"},
		{"refer_to", []Config{{Name: "x", Allow: []string{"192.0.2.1"}, ReferTo: "sip:desk@{host}"}}, nil, "trunks[0].refer_to: \"sip:desk@{host}\" has no {number}"},
		{"refer_to of a name", []Config{{Name: "x", Allow: []string{"192.0.2.1"}, ReferTo: "sip:{number}@{hots}"}}, nil, "an unknown {name}"},
		{"refer_to of a scheme", []Config{{Name: "x", Allow: []string{"192.0.2.1"}, ReferTo: "mailto:{number}"}}, nil, "neither a sip: nor a tel: URI"},
		{"nat", []Config{{Name: "x", Allow: []string{"192.0.2.1"}, NAT: "yes"}}, nil, "trunks[0].nat: \"yes\" is not known; write any"},
		{"country", []Config{{Name: "x", Allow: []string{"192.0.2.1"}, Country: "Germany"}}, nil, "trunks[0].country"},
		{"national without a country", []Config{{Name: "x", Allow: []string{"192.0.2.1"}, NumberFormat: "national"}}, nil, "trunks[0].country"},
		{"a password without a name", []Config{{Name: "x", Allow: []string{"192.0.2.1"}, Password: "p"}}, nil, "trunks[0].username"},
		{"no password to ask for", []Config{{Name: "x", Allow: []string{"192.0.2.1"}, Auth: "inbound", Username: "u"}}, nil, "trunks[0].auth: auth inbound without"},
		{"an unknown way to ask", []Config{{Name: "x", Allow: []string{"192.0.2.1"}, Auth: "yes"}}, nil, "trunks[0].auth: \"yes\" is not known; write outbound, inbound, both"},
		{"two of one name at an address", []Config{phone("a", "u", ""), phone("b", "u", "")}, nil, "trunks[1].allow[0]: 0.0.0.0/0 belongs to trunk \"a\" too, which has the same username"},
		{"an unknown digest", []Config{{Name: "x", Allow: []string{"192.0.2.1"}, Auth: "both", Username: "u", Password: "p", Digest: []string{"md5", "sha1"}}}, nil, "trunks[0].digest[1]: \"SHA1\" is not known; write SHA-256, MD5"},
		{"two digests at an address", []Config{phone("a", "u", ""), {Name: "b", Allow: []string{"0.0.0.0/0"}, Auth: "both", Username: "v", Password: "p", Digest: []string{"MD5"}}}, nil, "give both the same digest"},
		{"two realms at an address", []Config{phone("a", "u", "x"), phone("b", "v", "")}, nil, "give both the same realm"},
		{"one with a password and one without", []Config{phone("a", "u", ""), {Name: "b", Allow: []string{"0.0.0.0/0"}}}, nil, "unless each has auth: inbound or both"},
		{"an unknown identity", []Config{{Name: "x", Allow: []string{"192.0.2.1"}, Identity: "cpn"}}, nil, "trunks[0].identity"},
		{"a header of SIP", []Config{{Name: "x", Allow: []string{"192.0.2.1"}, Headers: map[string]string{"Route": "x"}}}, nil, "trunks[0].headers.Route: \"Route\" cannot be set; name X- headers"},
		{"a line break in a header", []Config{{Name: "x", Allow: []string{"192.0.2.1"}, Headers: map[string]string{"X-A": "a\r\nb"}}}, nil, "trunks[0].headers.X-A"},
		{"all headers of callers", []Config{{Name: "x", Allow: []string{"192.0.2.1"}, AcceptHeaders: []string{"X-A", "*"}}}, nil, "trunks[0].accept_headers[1]"},
		{"a line break", []Config{{Name: "x", Allow: []string{"192.0.2.1"}, From: "a\r\nb"}}, nil, "trunks[0].from"},
		{"SEC-14: SRTP by a word that is none", []Config{{Name: "x", Allow: []string{"192.0.2.1"}, SRTP: "on"}}, nil, "trunks[0].srtp"},
		{"negative", []Config{{Name: "x", Allow: []string{"192.0.2.1"}, MaxCalls: -1, RingTimeout: -1}}, nil, "trunks[0].ring_timeout"},
		{"a trunk that is not there", []Config{ok}, []Number{{Number: "1", Trunk: "OK", Agent: "a"}}, `numbers[0].trunk: no trunk "OK"; did you mean "ok"`},
		{"a trunk far away", []Config{ok}, []Number{{Number: "1", Trunk: "zzz", Agent: "a"}}, "the trunks are ok"},
		{"no trunk at all", nil, []Number{{Number: "1", Trunk: "zzz", Agent: "a"}}, "add it to trunks"},
		{"no agent", nil, []Number{{Number: "1"}}, "numbers[0].agent"},
		{"no number", nil, []Number{{Agent: "a"}}, "numbers[0].number"},
		{"a number twice", nil, []Number{{Number: "+49 30 1", Agent: "a"}, {Number: "+49301", Agent: "b"}}, "numbers[1].number"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := NewTable(tt.trunks, tt.numbers, "")
			var f *Fault
			if !errors.As(err, &f) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestWarningsTellWhatIsDoubtful(t *testing.T) {
	t.Parallel()
	tb := table(t, []Config{{
		Name: "x", Gateways: []string{"sip:h"}, Register: true, OutboundProxy: "sip:p", SRTP: "optional",
		DTMF: "info", MaxCalls: 3, RingTimeout: time.Minute, Username: "u", Password: "geheim",
	}}, nil, "")
	var keys []string
	for _, w := range tb.Warnings() {
		keys = append(keys, strings.TrimPrefix(w.Path, "trunks[0]."))
	}
	if got := strings.Join(keys, " "); got != "srtp" {
		t.Error(got)
	}
}

// phone is a trunk that is told by its password.
func phone(name, user, realm string) Config {
	return Config{Name: name, Allow: []string{"0.0.0.0/0"}, Auth: "inbound", Username: user, Password: "p", Realm: realm}
}

func TestPhonesShareAPrefix(t *testing.T) {
	t.Parallel()
	tb := table(t, []Config{
		phone("a", "u", ""), phone("b", "v", ""),
		{Name: "c", Allow: []string{"192.0.2.0/24"}},
		{Name: "d", Allow: []string{"198.51.100.1"}, Auth: "both", Username: "w", Password: "p"},
	}, nil, "")
	for src, want := range map[string]string{"203.0.113.1": "a b", "192.0.2.7": "c", "198.51.100.1": "d", "2001:db8::1": ""} {
		var names []string
		for _, tr := range tb.Callers(netip.MustParseAddr(src)) {
			names = append(names, string(tr.ID))
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: %s, want %s", src, got, want)
		}
	}
	a, _ := tb.Trunk("a")
	d, _ := tb.Trunk("d")
	if a.Password != "" || a.Answers() || a.Caller.Realm != DefaultRealm || d.Password != "p" || !d.Answers() {
		t.Errorf("%+v, %+v", a, d)
	}
	// echo -n u:patchcord:p | md5sum, sha256sum
	if a.Caller.MD5.Reveal() != "4651a14ab3e6fa1076ebbb8e26cb1b74" || a.Caller.SHA256.Reveal() != "bd9108955f84986e777902d2f3dc8eb1033a3979a72cb00371a7460fc9f03415" {
		t.Errorf("HA1 %s %s", a.Caller.MD5.Reveal(), a.Caller.SHA256.Reveal())
	}
}

func TestHeadersThatAreLetIn(t *testing.T) {
	t.Parallel()
	tb := table(t, []Config{{
		Name: "x", Allow: []string{"192.0.2.1"}, AcceptHeaders: []string{"X-Order", "x-acme-*", "User-to-User"},
	}}, nil, "")
	tr, _ := tb.Trunk("x")
	for name, want := range map[string]bool{
		"X-Order": true, "x-order": true, "X-Order-Id": false, "X-ACME-Tier": true, "user-to-user": true, "P-Charge-Info": false, "From": false, "": false,
	} {
		if tr.Accepts(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}

func FuzzNormalize(f *testing.F) {
	for _, s := range []string{"+4930123456", "tel:030/12-34;x", "0011", "٠٣٠", "+", "1e9", "++49 30", "demo@x"} {
		f.Add(s, "DE")
	}
	f.Add("011 44 20 7946 0000", "us")
	f.Fuzz(func(t *testing.T, number, country string) {
		n := Normalize(number, country)
		if again := Normalize(n, country); strings.HasPrefix(n, "+") && len(n) > 4 && again != n {
			t.Errorf("%q is %q, then %q", number, n, again)
		}
		_ = (&Trunk{Country: country, NumberFormat: formatNational}).Dial(number)
	})
}

func BenchmarkMatch(b *testing.B) {
	var configs []Config
	for i := range 200 {
		configs = append(configs, Config{Name: fmt.Sprint("t", i), Allow: []string{
			fmt.Sprintf("10.%d.0.0/16", i), fmt.Sprintf("10.%d.1.0/24", i), fmt.Sprintf("10.%d.1.1", i), fmt.Sprintf("2001:db8:%x::/48", i),
		}})
	}
	tb, err := NewTable(configs, nil, "")
	if err != nil {
		b.Fatal(err)
	}
	known, unknown := netip.MustParseAddr("10.77.9.9"), netip.MustParseAddr("192.0.2.1")
	b.ReportAllocs()
	for b.Loop() {
		tb.Match(known)
		tb.Match(unknown)
	}
}
