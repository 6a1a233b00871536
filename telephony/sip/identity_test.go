package sip

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/emiago/sipgo/sip"

	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// packetOf is an INVITE with those header fields beside From.
func packetOf(t testing.TB, from string, lines ...string) (*packet, address) {
	t.Helper()
	text := "INVITE sip:b@h SIP/2.0\r\nFrom: " + from + "\r\n" + strings.Join(lines, "\r\n")
	p, bad := split([]byte(strings.TrimRight(text, "\r\n")+"\r\n\r\n"), 100)
	if bad != nil {
		t.Fatal(bad.reason)
	}
	a, _ := parseAddress(from)
	return p, a
}

func TestWhoCalls(t *testing.T) {
	t.Parallel()
	const ann = `"Ann" <sip:+4930111@h>`
	tests := []struct {
		name          string
		trusted       bool
		from          string
		fields        []string
		number, shown string
	}{
		{"From alone", false, ann, nil, "+4930111", "Ann"},
		{"a tel URI", false, "<tel:+49-30-111;phone-context=x>", nil, "+4930111", ""},
		{"a national number", false, "<sip:030123456@h;user=phone>", nil, "+4930123456", ""},
		{"asserted by nobody we trust", false, ann, []string{"P-Asserted-Identity: <sip:+4930222@h>"}, "+4930111", "Ann"},
		{"asserted by the carrier", true, ann, []string{`P-Asserted-Identity: "Carla" <sip:+4930222@h>`}, "+4930222", "Carla"},
		{"asserted, the name of From stays", true, ann, []string{"P-Asserted-Identity: <tel:+4930222>"}, "+4930222", "Ann"},
		{
			"a name and a number asserted", true, ann,
			[]string{"P-Asserted-Identity: <sip:carla@h>, <tel:+4930222>"},
			"+4930222", "Ann",
		},
		{"only a name asserted", true, ann, []string{"P-Asserted-Identity: <sip:carla@h>"}, "carla", "Ann"},
		{"the older form", true, ann, []string{`Remote-Party-ID: "C" <sip:+4930333@h>;party=calling;screen=yes;privacy=off`}, "+4930333", "C"},
		{"of the called party", true, ann, []string{"Remote-Party-ID: <sip:+4930333@h>;party=called"}, "+4930111", "Ann"},
		{"preferred, beside a number", false, ann, []string{"P-Preferred-Identity: <sip:+4930444@h>"}, "+4930111", "Ann"},
		{"preferred, beside a name", false, "<sip:ann@h>", []string{"P-Preferred-Identity: <sip:+4930444@h>"}, "+4930444", ""},
		{"withheld, and asserted by nobody", false, ann, []string{"Privacy: id"}, "anonymous", ""},
		{
			"withheld, and asserted by the carrier", true, `"Anonymous" <sip:anonymous@anonymous.invalid>`,
			[]string{`P-Asserted-Identity: "Carla" <sip:+4930222@h>`, "Privacy: user;id;critical"},
			"anonymous", "",
		},
		{"withheld by From alone", true, "<sip:x@anonymous.invalid>", []string{"P-Asserted-Identity: <sip:+4930222@h>"}, "anonymous", ""},
		{"withheld in the older form", true, ann, []string{"Remote-Party-ID: <sip:+4930333@h>;privacy=full"}, "anonymous", ""},
		{"not withheld", true, ann, []string{"Privacy: none", "P-Asserted-Identity: <sip:+4930222@h>"}, "+4930222", "Ann"},
		{"nothing that can be read", true, ann, []string{`P-Asserted-Identity: "x`}, "+4930111", "Ann"},
		{"no scheme of a telephone", true, ann, []string{"P-Asserted-Identity: <https://evil/>"}, "+4930111", "Ann"},
		{"control characters", false, "\"A\\\x01nn\x7f\" <sip:+4930111@h>", nil, "+4930111", "Ann"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, from := packetOf(t, tt.from, tt.fields...)
			c := p.caller(from, &trunk.Trunk{Trusted: tt.trusted, Country: "DE"})
			if c.number != tt.number || c.name != tt.shown || c.withheld != (tt.number == telephony.Anonymous) ||
				c.withheld && c.uri != "" {
				t.Errorf("%+v, want %s %q", c, tt.number, tt.shown)
			}
		})
	}
}

func TestWhomTheCallWasFor(t *testing.T) {
	t.Parallel()
	d := func(pairs ...string) (out []telephony.Diversion) {
		for i := 0; i < len(pairs); i += 2 {
			out = append(out, telephony.Diversion{Number: pairs[i], Reason: pairs[i+1]})
		}
		return out
	}
	tests := []struct {
		name   string
		fields []string
		want   []telephony.Diversion
	}{
		{"nobody else", nil, nil},
		{"one", []string{`Diversion: "Boss" <sip:+4930111@h>;reason=no-answer;counter=2`}, d("+4930111", "no-answer")},
		{
			"two in one field, the last on top",
			[]string{`Diversion: <tel:030222222>;reason="user-busy", <sip:+4930111@h>;reason=unconditional`},
			d("+4930111", "unconditional", "+4930222222", "user-busy"),
		},
		{"one without a reason", []string{"diversion: <sip:+4930111@h>"}, d("+4930111", "unknown")},
		{"one that is withheld", []string{"Diversion: <sip:+4930111@h>;privacy=full;reason=away"}, d("anonymous", "away")},
		{"nothing to read", []string{"Diversion: <sip:+4930111@h"}, nil},
		{
			"history",
			[]string{"History-Info: <sip:+4930111@h>;index=1", "History-Info: <sip:+4930222@h;cause=408>;index=1.1;mp=1"},
			d("+4930111", "no-answer"),
		},
		{
			"history with reasons in it", []string{
				"History-Info: <sip:+4930111@h?Reason=SIP%3Bcause%3D486%3Btext%3D%22Busy%22>;index=1, <sip:+4930222@h;cause=302>;index=1.1",
				"History-Info: <sip:+4930333@h;cause=302>;index=1.1.1",
			}, d("+4930111", "user-busy", "+4930222", "unconditional"),
		},
		{"a proxy that only found the way", []string{"History-Info: <sip:+4930111@a>;index=1, <sip:+4930111@b>;index=1.1;rc=1"}, nil},
		{
			"history that is withheld",
			[]string{"History-Info: <sip:+4930111@h?Privacy=history>;index=1, <sip:+4930222@h;cause=302>;index=1.1"},
			d("anonymous", "unconditional"),
		},
		{
			"Diversion stands above history",
			[]string{"History-Info: <sip:+1@h>;index=1, <sip:+2@h;cause=302>;index=1.1", "Diversion: <sip:+4930111@h>;reason=away"},
			d("+4930111", "away"),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, _ := packetOf(t, "<sip:a@h>", tt.fields...)
			if got := p.diversions("DE"); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
	p, _ := packetOf(t, "<sip:a@h>", slices.Repeat([]string{"Diversion: <sip:+4930111@h>"}, 50)...)
	if n := len(p.diversions("")); n != maxDiversions {
		t.Errorf("%d diversions are kept", n)
	}
}

// SEC-16: what a call brings reaches Info fit to be shown: no header the trunk does not let in, no more
// and no longer than is allowed.
func TestInboundIdentity(t *testing.T) {
	t.Parallel()
	infos := make(chan telephony.Info, 1)
	s := newServer(t, handler(func(ctx context.Context, leg telephony.Leg) {
		infos <- leg.Info()
		answerOnce(ctx, leg)
	}), trunkToWith(trunk.Config{Trusted: true, AcceptHeaders: []string{"X-Order", "x-acme-*", "User-to-User"}}))
	p := newUDPPeer(t, s.udp)
	d := p.dialogue()
	d.extra = []string{
		"P-Asserted-Identity: <sip:+4930222@h>", "Diversion: <sip:+4930333@h>;reason=no-answer",
		"y: eyJhbGciOiJFUzI1NiJ9.e30.c2ln;info=<https://cert.example/a,b>;alg=ES256;ppt=\"shaken\"",
		"X-ORDER: 4711", "X-Acme-Tier: gold\x01 \"1\"", "X-Secret: no", "User-to-User: 00;encoding=hex", "X-Acme-Long: " + strings.Repeat("y", 3000),
	}
	for i := range 50 {
		d.extra = append(d.extra, fmt.Sprintf("X-Acme-%d: y", i))
	}
	d.invite(testSDP)
	d.ok()
	d.ack("")
	p.reply(p.request("BYE"), 200, "OK", "", "")
	i := <-infos
	if i.From != "+4930222" || i.FromName != "Ann" || i.FromURI != "sip:+4915112345678@127.0.0.1" ||
		i.ToURI != "sip:+4930123456@127.0.0.1" || !reflect.DeepEqual(i.Diverted, []telephony.Diversion{{Number: "+4930333", Reason: "no-answer"}}) ||
		len(i.Passports) != 1 || !strings.HasSuffix(i.Passports[0], `a,b>;alg=ES256;ppt="shaken"`) {
		t.Errorf("%+v", i)
	}
	if i.Headers["X-ORDER"] != "4711" || i.Headers["X-Acme-Tier"] != `gold "1"` || i.Headers["User-to-User"] != "00;encoding=hex" ||
		i.Headers["X-Secret"] != "" || len(i.Headers) != maxHeaders || len(i.Headers["X-Acme-Long"]) != maxHeaderBytes {
		t.Errorf("%d headers: %v", len(i.Headers), i.Headers)
	}
	s.idle(t)
}

func TestOutboundIdentity(t *testing.T) {
	t.Parallel()
	diverted := []telephony.Diversion{{Number: "+4930111", Reason: "no-answer"}, {Number: telephony.Anonymous, Reason: ""}}
	tests := []struct {
		name  string
		trunk trunk.Config
		dest  telephony.Destination
		from  string
		want  []string // Name: value; the host as HOST
	}{
		{"a caller ID", trunk.Config{}, telephony.Destination{From: "+4930999", FromName: "Ann"}, `"Ann" <sip:+4930999@HOST>`, nil},
		{"the trunk's", trunk.Config{From: "+4930555"}, telephony.Destination{}, "<sip:+4930555@HOST>", nil},
		{
			"as the carrier writes numbers",
			trunk.Config{NumberFormat: "national", Country: "DE", Identity: "pai"},
			telephony.Destination{From: "+4930999999"},
			"<sip:030999999@HOST>",
			[]string{"P-Asserted-Identity: <sip:030999999@HOST>"},
		},
		{
			"the customer's number beside ours",
			trunk.Config{From: "+4930555", Identity: "pai"},
			telephony.Destination{From: "+4930999"},
			"<sip:+4930999@HOST>",
			[]string{"P-Asserted-Identity: <sip:+4930555@HOST>"},
		},
		{"preferred", trunk.Config{Identity: "ppi"}, telephony.Destination{From: "+4930999"}, "<sip:+4930999@HOST>", []string{"P-Preferred-Identity: <sip:+4930999@HOST>"}},
		{
			"withheld",
			trunk.Config{From: "+4930555", Identity: "pai"},
			telephony.Destination{From: "+4930999", FromName: "Ann", Withhold: true},
			`"Anonymous" <sip:anonymous@anonymous.invalid>`,
			[]string{"P-Asserted-Identity: <sip:+4930555@HOST>", "Privacy: id"},
		},
		{
			"withheld in the older form",
			trunk.Config{Identity: "rpid"},
			telephony.Destination{From: "+4930999", Withhold: true},
			`"Anonymous" <sip:anonymous@anonymous.invalid>`,
			[]string{"Privacy: id", "Remote-Party-ID: <sip:+4930999@HOST>;party=calling;screen=yes;privacy=full"},
		},
		{"withheld from a carrier that wants no more", trunk.Config{}, telephony.Destination{From: "+4930999", Withhold: true}, `"Anonymous" <sip:anonymous@anonymous.invalid>`, []string{"Privacy: id"}},
		{
			"passed on", trunk.Config{}, telephony.Destination{From: "+4930999", Diverted: diverted, Passports: []string{"e.y.j;info=<x>"}}, "<sip:+4930999@HOST>", []string{
				"Diversion: <sip:anonymous@anonymous.invalid>;reason=unknown;counter=1;privacy=full",
				"Diversion: <sip:+4930111@HOST>;reason=no-answer;counter=1;privacy=off", "Identity: e.y.j;info=<x>",
			},
		},
		{
			"passed on with its history", trunk.Config{Diversion: "history"}, telephony.Destination{From: "+4930999", Diverted: diverted}, "<sip:+4930999@HOST>", []string{
				"History-Info: <sip:+4930111@HOST>;index=1", "History-Info: <sip:anonymous@anonymous.invalid;cause=408?Privacy=history>;index=1.1",
				"History-Info: <sip:+4930987654@HOST;cause=404>;index=1.1.1",
			},
		},
		{"passed on without a word", trunk.Config{Diversion: "off"}, telephony.Destination{From: "+4930999", Diverted: diverted}, "<sip:+4930999@HOST>", nil},
		{
			"headers of the trunk and of the call",
			trunk.Config{Headers: map[string]string{"X-Account": "7", "X-Order": "none"}},
			telephony.Destination{From: "+4930999", Headers: map[string]string{"X-Order": "4711"}},
			"<sip:+4930999@HOST>",
			[]string{"X-Account: 7", "X-Order: 4711"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newUDPPeer(t, "")
			s := newServer(t, answerAll, trunkToWith(tt.trunk, p))
			tt.dest.To, tt.dest.Trunk = "+4930987654", "gw"
			leg, err := s.Dial(t.Context(), tt.dest)
			if err != nil {
				t.Fatal(err)
			}
			invite := p.request("INVITE")
			if from, _, _ := strings.Cut(invite.get("From"), ";tag="); from != strings.ReplaceAll(tt.from, "HOST", "127.0.0.1") {
				t.Errorf("From %q", invite.get("From"))
			}
			var got, want []string
			for name, values := range invite.head {
				switch name {
				case "Privacy", "P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-Id", "Diversion", "History-Info", "Identity", "X-Account", "X-Order":
					for _, v := range values {
						got = append(got, strings.ToLower(name)+": "+v)
					}
				}
			}
			for _, line := range tt.want {
				name, value, _ := strings.Cut(strings.ReplaceAll(line, "HOST", "127.0.0.1"), ": ")
				want = append(want, strings.ToLower(name)+": "+value)
			}
			slices.SortStableFunc(got, func(a, b string) int { return strings.Compare(a[:strings.Index(a, ":")], b[:strings.Index(b, ":")]) })
			slices.SortStableFunc(want, func(a, b string) int { return strings.Compare(a[:strings.Index(a, ":")], b[:strings.Index(b, ":")]) })
			if !slices.Equal(got, want) {
				t.Errorf("got  %q\nwant %q", got, want)
			}
			p.reply(invite, 486, "Busy Here", "far", "")
			p.request("ACK")
			await[telephony.Ended](t, leg)
			s.idle(t)
		})
	}
}

// Nothing of a destination breaks out of its header field.
func TestDestinationsThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	s := newServer(t, answerAll, trunkTo(newUDPPeer(t, "")))
	for name, d := range map[string]telephony.Destination{
		"a line break in a header":     {Headers: map[string]string{"X-A": "a\r\nVia: x"}},
		"a header of SIP":              {Headers: map[string]string{"Route": "<sip:evil>"}},
		"a header that asserts":        {Headers: map[string]string{"P-Asserted-Identity": "<sip:+1@h>"}},
		"a name that is none":          {Headers: map[string]string{"X-A: b\r\nVia": "x"}},
		"a long header":                {Headers: map[string]string{"X-A": strings.Repeat("x", maxHeaderBytes+1)}},
		"a line break in a diversion":  {Diverted: []telephony.Diversion{{Number: "+49\r\nVia: x"}}},
		"no number in a diversion":     {Diverted: []telephony.Diversion{{Reason: "away"}}},
		"no token as a reason":         {Diverted: []telephony.Diversion{{Number: "+49", Reason: "a;b"}}},
		"too many diversions":          {Diverted: slices.Repeat([]telephony.Diversion{{Number: "+49"}}, maxDiversions+1)},
		"a line break in a passport":   {Passports: []string{"e.y.j\r\nVia: x"}},
		"a long passport":              {Passports: []string{strings.Repeat("x", maxPassportBytes+1)}},
		"a caller ID that is no URI":   {From: "sip:"},
		"a line break in a caller ID":  {From: "+49\nVia: x"},
		"a bracket in a caller ID":     {From: "+49>;x"},
		"a line break in a name":       {FromName: "A\r\nVia: x"},
		"a control character in a URI": {To: "sip:a\x00@127.0.0.1"},
	} {
		if d.To == "" {
			d.To = "+4930987654"
		}
		d.Trunk = "gw"
		if leg, err := s.Dial(t.Context(), d); err == nil {
			t.Errorf("%s: dialled", name)
			_ = leg.Hangup(t.Context(), telephony.Cause{Reason: telephony.ReasonCancelled})
		}
	}
	s.idle(t)
}

// FuzzIdentity: whatever a peer writes of who calls and whom the call was for
// can be shown, and written on a call of ours again.
func FuzzIdentity(f *testing.F) {
	f.Add(`"Ann" <sip:+4930111@h>`, "<tel:+49>, <sip:a@b?Reason=SIP%3Bcause%3D486>;index=1.1", "id;user")
	f.Add("<sip:anonymous@anonymous.invalid>", "<sip:a@h;cause=302>;privacy=full;party=calling;reason=\"x\"", "none")
	f.Fuzz(func(t *testing.T, from, value, privacy string) {
		a, ok := parseAddress(from)
		if !ok {
			return
		}
		p := &packet{fields: []field{{"Privacy", privacy}}}
		for _, name := range []string{"P-Asserted-Identity", "Remote-Party-ID", "P-Preferred-Identity", "Diversion", "History-Info", "Identity", "X-A"} {
			p.fields = append(p.fields, field{name, value})
		}
		tr := &trunk.Trunk{Trusted: true, Country: "DE", Accepted: []string{"x-*"}, Identity: trunk.IdentityPAI, Diversion: trunk.DiversionBoth}
		c := p.caller(a, tr)
		for _, s := range []string{c.number, c.name, c.uri} {
			if !visible(strings.ReplaceAll(s, "\uFFFD", "")) || len(s) > maxHeaderBytes {
				t.Fatalf("%q shows %q", from, s)
			}
		}
		d := telephony.Destination{
			To: "+4930987654", From: c.number, Diverted: p.diversions("DE"), Headers: p.headers(tr), Passports: p.passports(),
		}
		written(t, tr, d)
	})
}

// FuzzDestination: what may be dialled is written as the fields it is meant to
// be, one line each.
func FuzzDestination(f *testing.F) {
	f.Add("+4930123456", "Ann", "X-A", "b", "away", "e.y.j")
	f.Add("sip:a@b;x=y?Subject=z", "\"", "User-to-User", "00;encoding=hex", "x", "<a>;b")
	f.Fuzz(func(t *testing.T, number, name, header, value, reason, passport string) {
		written(t, &trunk.Trunk{Identity: trunk.IdentityRPID, Diversion: trunk.DiversionBoth, NumberFormat: "plain"}, telephony.Destination{
			To: "+4930987654", From: number, FromName: name, Headers: map[string]string{header: value},
			Diverted: []telephony.Diversion{{Number: number, Reason: reason}}, Passports: []string{passport},
		})
	})
}

// written writes d as Dial does, if Dial takes it, and reads it again.
func written(t *testing.T, tr *trunk.Trunk, d telephony.Destination) {
	t.Helper()
	if checkDestination(&d) != nil {
		return
	}
	fields := carries(tr, &d, "192.0.2.1")
	req := sip.NewRequest(sip.INVITE, sip.Uri{Scheme: "sip", Host: "h"})
	for _, f := range fields {
		req.AppendHeader(sip.NewHeader(f.name, f.value))
	}
	for name := range maps.Keys(d.Headers) {
		req.AppendHeader(sip.NewHeader(name, d.Headers[name]))
	}
	req.SetBody(nil)
	p, bad := split([]byte(req.String()), 100)
	if bad != nil || len(p.fields) != len(fields)+len(d.Headers)+1 || len(p.body) != 0 {
		t.Fatalf("%+v became %q", d, req.String())
	}
	for _, name := range []string{"Diversion", "History-Info", "P-Asserted-Identity", "Remote-Party-ID"} {
		for _, v := range p.list(name) {
			if a, ok := parseAddress(v); !ok || !a.bracket || scheme(a.uri) != "sip" && scheme(a.uri) != "sips" {
				t.Fatalf("%+v became %s: %q", d, name, v)
			}
		}
	}
}

// Who is handed over by a leg of ours is shown as the trunk says; whoever
// withholds their number is withheld there.
func TestCallerOfATransfer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		trunk  trunk.Config
		caller string
		from   string // user of From
		fields map[string]string
	}{
		{"off", trunk.Config{}, "+4915777", "+4930555", nil},
		{"in From", trunk.Config{TransferCaller: "from"}, "+4915777", "+4915777", nil},
		{
			"in From, and who pays beside it",
			trunk.Config{TransferCaller: "from", Identity: "pai"},
			"+4915777", "+4915777",
			map[string]string{"P-Asserted-Identity": "+4930555"},
		},
		{
			"beside From",
			trunk.Config{TransferCaller: "identity"},
			"+4915777", "+4930555",
			map[string]string{"P-Asserted-Identity": "+4915777"},
		},
		{
			"beside From in the trunk's way",
			trunk.Config{TransferCaller: "identity", Identity: "rpid"},
			"+4915777", "+4930555",
			map[string]string{"Remote-Party-Id": "+4915777"},
		},
		{"withheld", trunk.Config{TransferCaller: "from"}, telephony.Anonymous, "anonymous", map[string]string{"Privacy": "id"}},
		{"no number", trunk.Config{TransferCaller: "from"}, "ann>;evil", "+4930555", nil},
		{"no number beside From", trunk.Config{TransferCaller: "identity"}, "ann", "+4930555", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newUDPPeer(t, "")
			tt.trunk.From = "+4930555"
			s := newServer(t, nil, trunkToWith(tt.trunk, p))
			_, err := s.Dial(t.Context(), telephony.Destination{To: "+4930987654", Trunk: "gw", Caller: tt.caller, CallerName: "Ann\r\nX: y"})
			if err != nil {
				t.Fatal(err)
			}
			m := p.request("INVITE")
			if !strings.Contains(m.get("From"), "sip:"+tt.from+"@") || strings.Contains(m.get("From"), "Ann") {
				t.Errorf("From %q", m.get("From"))
			}
			for _, name := range []string{"P-Asserted-Identity", "Remote-Party-Id", "Privacy"} {
				if got, want := m.get(name), tt.fields[name]; (want == "") != (got == "") || !strings.Contains(got, want) {
					t.Errorf("%s %q, want %q", name, got, want)
				}
			}
			p.reply(m, 486, "Busy Here", "far", "")
			p.request("ACK")
			s.idle(t)
		})
	}
}
