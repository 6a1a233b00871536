package trunk

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nyaruka/phonenumbers"

	"github.com/patchcord/patchcord/telephony"
)

// Fault is one thing wrong in a Config, or of no effect: where, what, and
// what to do.
type Fault struct {
	Path string // "trunks[1].allow[0]"
	What string
	Do   string // "" where What says it all
}

func (f *Fault) Error() string {
	s := f.Path + ": " + f.What
	if f.Do != "" {
		s += "; " + f.Do
	}
	return s
}

// How numbers are written.
const (
	formatE164     = "e164"
	formatPlain    = "plain"
	formatNational = "national"
)

// NewTable checks trunks and numbers. The error joins every fault, each a
// *Fault.
func NewTable(trunks []Config, numbers []Number, defaultAgent string) (*Table, error) {
	b := builder{t: &Table{
		trunks: map[telephony.TrunkID]*Trunk{}, numbers: map[route]string{}, defaultAgent: defaultAgent,
	}}
	for i := range trunks {
		b.trunk("trunks["+strconv.Itoa(i)+"]", &trunks[i])
	}
	for i, n := range numbers {
		b.number("numbers["+strconv.Itoa(i)+"]", n)
	}
	if b.faults != nil {
		return nil, errors.Join(b.faults...)
	}
	return b.t, nil
}

type builder struct {
	t      *Table
	faults []error
}

func (b *builder) fault(path, do, what string, args ...any) {
	b.faults = append(b.faults, &Fault{Path: path, What: fmt.Sprintf(what, args...), Do: do})
}

func (b *builder) trunk(path string, c *Config) {
	tr := &Trunk{
		ID: telephony.TrunkID(c.Name), Username: c.Username, Password: c.Password, Realm: c.Realm, From: c.From,
		Trusted: c.Trusted, Identity: c.Identity, Diversion: c.Diversion, Redirects: c.Redirects == "on",
		Transfers: c.Transfers == "on", CallerIn: strings.TrimPrefix(c.TransferCaller, "off"),
		Country: c.Country, NumberFormat: c.NumberFormat, Prefix: c.Prefix, RingTimeout: c.RingTimeout, Replaces: c.Replaces,
		SessionExpires: c.SessionExpires, DTMF: c.DTMF,
		Register: c.Register, Probe: c.Probe != "off", MaxCalls: c.MaxCalls, MaxCPS: c.MaxCPS,
	}
	switch {
	case c.Name == "":
		b.fault(path+".name", "give the trunk a name, numbers and calls are told by it", "a trunk without a name")
	case strings.ContainsFunc(c.Name, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		b.fault(path+".name", "use letters, digits, - and _", "%q has a space or control character", c.Name)
	case b.t.trunks[tr.ID] != nil:
		b.fault(path+".name", "every trunk has a name of its own", "a second trunk named %q", c.Name)
	default:
		b.t.trunks[tr.ID] = tr
	}
	b.t.order = append(b.t.order, tr)
	b.choice(path+".nat", c.NAT, "", "any")
	b.refer(path, c, tr)
	b.choice(path+".srtp", c.SRTP, "", "off", "optional", "required")
	b.choice(path+".dtmf", c.DTMF, "", "auto", "rfc4733", "info", "inband")
	b.choice(path+".auth", c.Auth, "", authOutbound, authInbound, authBoth)
	b.choice(path+".number_format", c.NumberFormat, "", formatE164, formatPlain, formatNational)
	tr.NATAny = c.NAT == "any"
	b.carrier(path, c, tr)
	b.country(path, c)
	b.codecs(path, c, tr)
	b.account(path, c, tr)
	b.identity(path, c, tr)
	if c.RingTimeout < 0 {
		b.fault(path+".ring_timeout", "write 0 for the default of 60s", "%s is negative", c.RingTimeout)
	}
	if d := c.SessionExpires; d != 0 && d < 90*time.Second || d > 24*time.Hour {
		b.fault(path+".session_expires", "write 90s to 24h, or 0 for the default of 30m", "%s is out of range", d)
	}
	for _, text := range []struct{ key, value string }{
		{"from", c.From}, {"username", c.Username}, {"realm", c.Realm}, {"prefix", c.Prefix},
	} {
		if strings.ContainsAny(text.value, "\r\n\x00") {
			b.fault(path+"."+text.key, "write it on one line", "a line break would end up in SIP headers")
		}
	}
	b.security(path+".tls", c, tr)
	b.line(path, c, tr)
	b.sources(path, c, tr)
	b.srtp(path+".srtp", c, tr)
}

func (b *builder) choice(path, value string, known ...string) {
	if !slices.Contains(known, value) {
		words := known[1:]
		if known[0] != "" {
			words = known
		}
		b.fault(path, "write "+strings.Join(words, ", "), "%q is not known", value)
	}
}

// refer reads how calls are transferred by REFER.
func (b *builder) refer(path string, c *Config, tr *Trunk) {
	if c.Refer != "off" { // never, as it was
		b.choice(path+".refer", c.Refer, "", "auto", ReferOn, ReferNever)
	}
	switch c.Refer {
	case ReferOn:
		tr.Refer = ReferOn
	case ReferNever, "off":
		tr.Refer = ReferNever
	}
	tr.ReferTo = cmp.Or(c.ReferTo, DefaultReferTo)
	at, like := path+".refer_to", "write it like sip:{number}@{host};user=phone or tel:{number}"
	known := strings.NewReplacer("{number}", "1", "{host}", "h").Replace(tr.ReferTo)
	scheme, _, _ := strings.Cut(strings.ToLower(known), ":")
	switch {
	case scheme != "sip" && scheme != "tel":
		b.fault(at, like, "%q is neither a sip: nor a tel: URI", c.ReferTo)
	case !strings.Contains(tr.ReferTo, "{number}"):
		b.fault(at, like, "%q has no {number}: every transfer would go to one place", c.ReferTo)
	case strings.ContainsFunc(known, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune("<>\"?{}", r)
	}):
		b.fault(at, like, "%q has a character that may not stand in a URI, or an unknown {name}", c.ReferTo)
	}
}

func (b *builder) country(path string, c *Config) {
	if c.Country != "" && phonenumbers.GetCountryCodeForRegion(strings.ToUpper(c.Country)) == 0 {
		b.fault(path+".country", "write the two letters of ISO 3166, such as DE, FR, US", "%q is no country", c.Country)
	}
	if c.Country == "" && c.NumberFormat == formatNational {
		b.fault(path+".country", "add the country whose numbers the gateway takes", "number_format national needs it")
	}
}

// codecNames are those a leg can speak.
var codecNames = []string{"PCMU", "PCMA", "G722", "opus"}

func (b *builder) codecs(path string, c *Config, tr *Trunk) {
	known := codecNames
	if of, ok := carriers[c.Type]; ok {
		known = of.Codecs
	}
	for i, name := range c.Codecs {
		k := slices.IndexFunc(known, func(k string) bool { return strings.EqualFold(k, name) })
		switch at := fmt.Sprintf("%s.codecs[%d]", path, i); {
		case k < 0:
			b.fault(at, "write "+strings.Join(known, ", "), "no codec %q", name)
		case slices.Contains(tr.Codecs, known[k]):
			b.fault(at, "name each codec once", "%s a second time", known[k])
		default:
			tr.Codecs = append(tr.Codecs, known[k])
		}
	}
}

// sources are the addresses that the trunk is known by.
func (b *builder) sources(path string, c *Config, tr *Trunk) {
	tr.anyAllowed = len(c.Allow) > 0
	for i, s := range c.Gateways {
		at := fmt.Sprintf("%s.gateways[%d]", path, i)
		g, err := ParseGateway(s)
		if err != nil {
			b.fault(at, "write sip:host, sip:host:port or sip:host;transport=tls", "%s", err)
			continue
		}
		tr.Gateways = append(tr.Gateways, g)
		if g.Transport == TLS {
			tr.Trust.hosts = append(tr.Trust.hosts, g.Host)
		}
		a, err := netip.ParseAddr(g.Host)
		if err != nil {
			continue // a name
		}
		a = a.Unmap()
		if tr.calledFromGateways() {
			b.source(&b.t.callers, at, netip.PrefixFrom(a, a.BitLen()), tr)
		}
		// Two trunks may share a gateway; answers are told by their call.
		b.t.peers.add(netip.PrefixFrom(a, a.BitLen()), tr)
	}
	for i, s := range c.Allow {
		at := fmt.Sprintf("%s.allow[%d]", path, i)
		p, err := ParsePrefix(s)
		if err != nil {
			b.fault(at, "write an address such as 203.0.113.9 or a prefix such as 203.0.113.0/24", "%s", err)
			continue
		}
		tr.Allow = append(tr.Allow, p)
		b.source(&b.t.callers, at, p, tr)
		b.t.peers.add(p, tr)
	}
	if len(c.Gateways) == 0 && len(c.Allow) == 0 && !c.OverWebSocket() {
		b.fault(path, "add gateways to call to, or allow to be called from",
			"trunk %q has neither gateways nor allow: no call can use it", c.Name)
	}
}

func (b *builder) source(s *sources, at string, p netip.Prefix, tr *Trunk) {
	switch other := s.add(p, tr); {
	case other == nil:
	case other.Caller == nil || tr.Caller == nil:
		b.fault(at, "an address can belong to one trunk only, unless each has auth: inbound or both, or tls with "+
			"client_cert and another name; a longer prefix wins over a shorter one", "%s belongs to trunk %q already",
			p, other.ID)
	case !slices.Equal(other.Caller.Algorithms, tr.Caller.Algorithms):
		b.fault(at, "give both the same digest", "%s belongs to trunk %q too, which asks in other algorithms", p, other.ID)
	case other.Caller.Realm != tr.Caller.Realm:
		b.fault(at, "give both the same realm", "%s belongs to trunk %q too, which asks in the realm %q",
			p, other.ID, other.Caller.Realm)
	default:
		b.fault(at, "give each a username of its own", "%s belongs to trunk %q too, which has the same username",
			p, other.ID)
	}
}

// srtp is whether media is encrypted.
func (b *builder) srtp(path string, c *Config, tr *Trunk) {
	if c.SRTP != "optional" && c.SRTP != "required" {
		return
	}
	tr.SRTP = c.SRTP
	if slices.ContainsFunc(tr.Gateways, func(g Gateway) bool { return g.Transport != TLS }) {
		b.warn(path, "the keys of SRTP go in the clear to a gateway without transport=tls")
	}
}

func (b *builder) number(path string, n Number) {
	_, known := b.t.trunks[telephony.TrunkID(n.Trunk)]
	if n.Trunk != "" && !known {
		b.fault(path+".trunk", b.nearestTrunk(n.Trunk), "no trunk %q", n.Trunk)
	}
	if n.Agent == "" {
		b.fault(path+".agent", "name the agent that answers", "a number without an agent")
	}
	r := b.t.route(n)
	switch _, twice := b.t.numbers[r]; {
	case r.number == "":
		b.fault(path+".number", "write it as +4930123456, or the user part that is dialled", "no number")
	case twice:
		b.fault(path+".number", "one agent answers a number", "%s a second time", r.number)
	default:
		b.t.numbers[r] = n.Agent
	}
}

func (b *builder) nearestTrunk(name string) string {
	var names []string
	for _, t := range b.t.order {
		if strings.EqualFold(string(t.ID), name) {
			return fmt.Sprintf("did you mean %q", t.ID)
		}
		names = append(names, string(t.ID))
	}
	if names == nil {
		return "add it to trunks"
	}
	return "the trunks are " + strings.Join(names, ", ")
}
