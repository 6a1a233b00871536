package sip

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emiago/sipgo/sip"

	"github.com/patchcord/patchcord/telephony/dialer"
)

var fuzzLimits = Limits{}.withDefaults()

// FuzzPacket: whatever comes, the checks end without a panic; what they pass
// the parser below takes or refuses, and its normal form is a fixed point.
func FuzzPacket(f *testing.F) {
	for _, dir := range []string{"valid", "invalid"} {
		files, _ := filepath.Glob(filepath.Join(tortureDir(f), dir, "*.dat"))
		for _, name := range files {
			if data, err := os.ReadFile(name); err == nil { //nolint:gosec // of a glob
				f.Add(data)
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, bad := split(data, fuzzLimits.Fields)
		h, r := p.check(&fuzzLimits)
		a := newAnswerer("x")
		from := netip.MustParseAddrPort("192.0.2.1:5060")
		if b := a.answer(p, refuse(400, "Bad Request"), from, false); b != nil {
			if headerEnd(b) != len(b) {
				t.Fatalf("an answer with something behind it: %q", b)
			}
			if q, bad := split(b, 1000); bad != nil || !q.response {
				t.Fatalf("an answer that is none: %q", b)
			}
		}
		replyAddr(h.via, from)
		if firstOf(bad, r) != nil {
			return
		}
		p.checkCall(h)
		normal := p.bytes()
		msg, err := sip.ParseMessage(normal)
		if err != nil {
			return
		}
		again, bad2 := split(normal, 10*fuzzLimits.Fields)
		if bad2 != nil {
			t.Fatalf("normal form refused: %v\n%q", bad2.reason, normal)
		}
		if h2, r2 := again.check(&fuzzLimits); r2 != nil {
			if len(again.fields) < fuzzLimits.Fields {
				t.Fatalf("normal form refused: %v\n%q", r2.reason, normal)
			}
		} else if h2.callID != h.callID || h2.fromTag != h.fromTag || h2.toTag != h.toTag || h2.branch != h.branch {
			t.Fatalf("normal form differs: %+v %+v", h, h2)
		}
		if h.fromTag != "" && !strings.ContainsAny(h.fromTag, "\"; ") {
			if tag, _ := msg.From().Params.Get("tag"); tag != h.fromTag && strings.Count(strings.ToLower(msg.From().Value()), "tag") == 1 {
				t.Fatalf("the parser sees tag %q, we %q in %q", tag, h.fromTag, msg.From().Value())
			}
		}
	})
}

func FuzzAddress(f *testing.F) {
	for _, s := range []string{
		"sip:a@b", `"A \"B\"" <sip:a@b;x=y>;tag=1`, "A B <sip:a@b> ; tag = 2", "<sip:a@b>;x=\"a;b\"", "<tel:+49>;a;b=c", "\"", "<",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, ok := parseAddress(s)
		if !ok {
			return
		}
		b, ok := parseAddress(a.String())
		if !ok || b.uri != a.uri || len(b.params) != len(a.params) {
			t.Fatalf("%q became %q, which reads as %+v", s, a.String(), b)
		}
		splitList(s)
		if v, ok := parseVia(s); ok {
			if w, ok := parseVia(v.String()); !ok || w.sentBy != v.sentBy {
				t.Fatalf("%q became %q", s, v.String())
			}
		}
	})
}

func FuzzInfoBody(f *testing.F) {
	f.Add("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n")
	f.Add("application/dtmf", "#")
	f.Add("application/dtmf-relay", "Signal = 11\nDuration = 99999999999999\n")
	f.Fuzz(func(t *testing.T, kind, body string) {
		d, ok := parseDigit(kind, body)
		if ok && (!strings.ContainsRune("0123456789*#ABCD", rune(d.Key)) || d.Duration < 0 || d.Duration > maxDigit) {
			t.Fatalf("%q %q: %+v", kind, body, d)
		}
		sipfrag([]byte(body))
		splitChallenges(body)
	})
}

// FuzzFrame: the framing of a stream finds the same message ends however the
// bytes are cut, and never one behind what it was given.
func FuzzFrame(f *testing.F) {
	f.Add([]byte("OPTIONS sip:a SIP/2.0\r\nContent-Length: 3\r\n\r\nabcOPTIONS"), 10)
	f.Add([]byte("A\r\nl: 1\r\nl: 2\r\n\r\n"), 3)
	f.Fuzz(func(t *testing.T, data []byte, cut int) {
		n, whole, fault := frame(data, fuzzLimits.Message)
		if whole && (n > len(data) || fault) {
			t.Fatalf("%d of %d bytes, fault %v", n, len(data), fault)
		}
		if !whole || cut < 0 || cut >= n {
			return
		}
		if m, early, _ := frame(data[:cut], fuzzLimits.Message); early && m != n {
			t.Fatalf("cut at %d: message of %d bytes, whole: %d", cut, m, n)
		}
	})
}

// FuzzRoute: what a peer gives as Contact or Record-Route makes requests that
// say one thing only.
func FuzzRoute(f *testing.F) {
	f.Add("sip:a@192.0.2.1;lr", "sip:b@192.0.2.2;transport=tcp?X=y")
	f.Add("sip:192.0.2.1", "sips:b@[2001:db8::1]:5061")
	f.Fuzz(func(t *testing.T, route, contact string) {
		var r, c sip.Uri
		a, ok1 := parseAddress("<" + route + ">")
		b, ok2 := parseAddress("<" + contact + ">")
		if !ok1 || !ok2 || !printable(a.uri) || !printable(b.uri) ||
			sip.ParseUri(a.uri, &r) != nil || sip.ParseUri(b.uri, &c) != nil {
			return
		}
		d := dialog{callID: "1", local: "<sip:us@h>;tag=l", remote: "<sip:them@h>;tag=r", target: c, routes: []sip.Uri{r}}
		req := d.request(sip.BYE)
		req.SetBody(nil)
		p, _ := split([]byte(req.String()), 100)
		if n := p.count("Call-ID"); n != 1 || p.count("CSeq") != 1 || len(p.body) != 0 {
			t.Fatalf("%d Call-IDs in %q", n, req.String())
		}
		transportOf(d.nextHop(), "UDP")
	})
}

// FuzzGate: a URI that the gate lets pass is called at the host that the gate
// has seen in it (SEC-5), whatever somebody writes before and behind that.
func FuzzGate(f *testing.F) {
	for _, s := range []string{
		"sip:bob@pbx.example", "sip:pbx.example:5070", "SIP:+49%40@PBX.example", "sip:[2001:db8::bad]@pbx.example",
		"sip:x[::ffff:192.0.2.6]@pbx.example", "sip:x@pbx.example#.evil.example", "sip:x@pbx.example/.evil.example",
		"sip:x@evil.example@pbx.example", "sip:x:y@pbx.example", "sip://x@pbx.example", "sip:x@pbx.example:70596",
	} {
		f.Add(s)
	}
	gate := dialer.Gate{Allow: []string{"sip:pbx.example"}}
	f.Fuzz(func(t *testing.T, to string) {
		if gate.Check(to) != nil {
			return
		}
		ways, err := gateways(nil, to)
		if err != nil {
			return
		}
		if w := ways[0]; !strings.EqualFold(w.host, "pbx.example") || w.port < 0 || w.port > 65535 || w.uri.Headers != nil {
			t.Fatalf("%q goes to %q, port %d", to, w.host, w.port)
		}
	})
}
