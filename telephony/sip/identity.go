package sip

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/emiago/sipgo/sip"

	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// What a call may carry of where it was before.
const (
	maxDiversions    = 10
	maxPassports     = 4
	maxPassportBytes = 4096
)

// caller is who an INVITE says is calling.
type caller struct {
	number, name, uri string
	withheld          bool
}

// caller reads who calls. From anybody can write; what a trusted trunk asserts
// beside it stands above it (RFC 3325). Who asks for privacy (RFC 3323) is
// Anonymous, whatever is asserted of them.
func (p *packet) caller(from address, t *trunk.Trunk) caller {
	if p.withheld(from) {
		return caller{number: telephony.Anonymous, withheld: true}
	}
	c := caller{numberIn(from.uri, t.Country), clean(from.display), clean(from.uri), false}
	var stated []address
	switch {
	case t.Trusted:
		stated = append(p.addresses("P-Asserted-Identity"), p.addresses("Remote-Party-ID")...)
	case !isNumber(c.number):
		stated = p.addresses("P-Preferred-Identity")
	}
	stated = slices.DeleteFunc(stated, func(a address) bool { // RFC 3325 9.1: one of sip, one of tel
		party, _ := a.param("party")
		return party != "" && !strings.EqualFold(party, "calling")
	})
	for _, a := range stated {
		n := numberIn(a.uri, t.Country)
		if n == "" || len(stated) > 1 && !isNumber(n) && a.uri != stated[len(stated)-1].uri {
			continue
		}
		c.number = n
		if a.display != "" {
			c.name = clean(a.display)
		}
		break
	}
	return c
}

// withheld reports whether the caller asks for not being shown.
func (p *packet) withheld(from address) bool {
	for _, f := range p.fields {
		if !strings.EqualFold(f.name, "Privacy") {
			continue
		}
		for word := range strings.FieldsFuncSeq(lower(f.value), func(r rune) bool { return strings.ContainsRune(";, ", r) }) {
			if word == "id" || word == "user" || word == "header" {
				return true
			}
		}
	}
	for _, a := range p.addresses("Remote-Party-ID") {
		switch v, _ := a.param("privacy"); lower(v) {
		case "full", "uri", "id":
			return true
		}
	}
	var uri sip.Uri
	if sip.ParseUri(from.uri, &uri) != nil {
		return false
	}
	switch lower(uri.User) {
	case telephony.Anonymous, "restricted", "private", "withheld":
		return true
	}
	return strings.EqualFold(uri.Host, "anonymous.invalid")
}

// addresses are those of all fields of that name that can be read.
func (p *packet) addresses(name string) []address {
	var out []address
	for _, value := range p.list(name) {
		if a, ok := parseAddress(value); ok && phoneScheme(a.uri) && printable(value) && len(out) < maxDiversions {
			out = append(out, a)
		}
	}
	return out
}

// numberIn is the number that a URI names, else its user part.
func numberIn(uri, country string) string {
	uri, _, _ = strings.Cut(uri, "?")
	var u sip.Uri
	if sip.ParseUri(uri, &u) != nil {
		return ""
	}
	return number(u, country)
}

func isNumber(s string) bool {
	s = strings.TrimPrefix(s, "+")
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// diversions are the numbers that the call was for before, the first called
// first: of Diversion (RFC 5806), which has the last on top, else of
// History-Info (RFC 7044).
func (p *packet) diversions(country string) []telephony.Diversion {
	var out []telephony.Diversion
	for _, a := range p.addresses("Diversion") {
		d := telephony.Diversion{Number: numberIn(a.uri, country), Reason: "unknown"}
		if v, ok := a.param("reason"); ok && isToken(unquote(v)) {
			d.Reason = lower(clean(unquote(v)))
		}
		switch v, _ := a.param("privacy"); lower(unquote(v)) {
		case "", "off", "no", "name":
		default:
			d.Number = telephony.Anonymous
		}
		if d.Number != "" && visible(d.Number) {
			out = append(out, d)
		}
	}
	if out != nil {
		slices.Reverse(out)
		return out
	}
	history := p.addresses("History-Info")
	for i, a := range history {
		if i+1 == len(history) {
			break // where the call is now
		}
		d := telephony.Diversion{Number: numberIn(a.uri, country), Reason: historyReason(a.uri, history[i+1].uri)}
		if _, headers, ok := strings.Cut(lower(a.uri), "?"); ok && strings.Contains(headers, "privacy=") &&
			!strings.Contains(headers, "privacy=none") {
			d.Number = telephony.Anonymous
		}
		if d.Number != "" && visible(d.Number) && d.Reason != "" {
			out = append(out, d)
		}
	}
	return out
}

// causes are the reasons of diversions by the cause of a History-Info entry
// (RFC 4458 section 2; those below it by the response that led on).
var causes = map[int]string{
	302: "unconditional", 486: "user-busy", 408: "no-answer", 480: "deflection", 487: "deflection", 503: "unavailable",
	404: "unknown", 600: "user-busy", 603: "do-not-disturb", 410: "unavailable",
}

// historyReason is why a call went on from one entry to the next, "" where a
// proxy only found the way.
func historyReason(at, next string) string {
	if _, headers, ok := strings.Cut(at, "?"); ok {
		if q, err := url.ParseQuery(headers); err == nil {
			for name, values := range q {
				_, cause, ok := strings.Cut(lower(values[0]), "cause=")
				if strings.EqualFold(name, "Reason") && ok && strings.HasPrefix(lower(values[0]), "sip") {
					return causes[leadingNumber(cause)]
				}
			}
		}
	}
	next, _, _ = strings.Cut(next, "?")
	if _, cause, ok := strings.Cut(lower(next), ";cause="); ok {
		return causes[leadingNumber(cause)]
	}
	return ""
}

func leadingNumber(s string) int {
	end := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(s)
	}
	n, _ := strconv.Atoi(s[:min(end, 4)])
	return n
}

// headers are those that the trunk lets in.
func (p *packet) headers(t *trunk.Trunk) map[string]string {
	out := map[string]string{}
	for _, f := range p.fields {
		if len(out) < maxHeaders && t.Accepts(f.name) {
			out[clean(f.name)] = clean(f.value)
		}
	}
	return out
}

// passports are the STIR Identity fields, which are passed on and not judged.
func (p *packet) passports() []string {
	var out []string
	for _, value := range p.list("Identity") {
		if len(out) < maxPassports && value != "" && len(value) <= maxPassportBytes && visible(value) {
			out = append(out, value)
		}
	}
	return out
}

// carries are the fields of an INVITE of ours that tell who calls beside From,
// and what the call has been through. host is ours; t is nil where a URI was
// dialled without a trunk.
func carries(t *trunk.Trunk, d *telephony.Destination, host string) []field {
	var out []field
	if t == nil {
		t = &trunk.Trunk{Diversion: trunk.DiversionOff}
	}
	if d.Withhold {
		out = append(out, field{"Privacy", "id"})
	}
	who, kind := t.From, t.Identity
	if who == "" {
		who = d.From
	}
	if t.CallerIn == trunk.CallerIdentity && isNumber(d.Caller) {
		if who = d.Caller; kind == "" {
			kind = trunk.IdentityPAI
		}
	}
	if who != "" && kind != "" {
		value := "<" + accountURI(t, who, host) + ">"
		switch kind {
		case trunk.IdentityPAI:
			out = append(out, field{"P-Asserted-Identity", value})
		case trunk.IdentityPPI:
			out = append(out, field{"P-Preferred-Identity", value})
		case trunk.IdentityRPID:
			privacy := map[bool]string{true: "full", false: "off"}[d.Withhold]
			out = append(out, field{"Remote-Party-ID", value + ";party=calling;screen=yes;privacy=" + privacy})
		}
	}
	if len(d.Diverted) > 0 {
		out = append(out, diverted(t, d, host)...)
	}
	for _, value := range d.Passports {
		out = append(out, field{"Identity", value})
	}
	return out
}

// diverted writes whom the call was for before in the trunk's way.
func diverted(t *trunk.Trunk, d *telephony.Destination, host string) []field {
	uri := func(n string) (uri, privacy string) {
		if n == telephony.Anonymous {
			return "sip:anonymous@anonymous.invalid", "full"
		}
		return numberURI(t, n, host), "off"
	}
	var out []field
	if t.Diversion == "" || t.Diversion == trunk.DiversionField || t.Diversion == trunk.DiversionBoth {
		for _, v := range slices.Backward(d.Diverted) {
			u, privacy := uri(v.Number)
			out = append(out, field{"Diversion", "<" + u + ">;reason=" + reasonOr(v.Reason) + ";counter=1;privacy=" + privacy})
		}
	}
	if t.Diversion != trunk.DiversionHistory && t.Diversion != trunk.DiversionBoth {
		return out
	}
	index, cause := "1", ""
	for _, v := range d.Diverted {
		u, privacy := uri(v.Number)
		u += cause
		if privacy == "full" {
			u += "?Privacy=history"
		}
		out = append(out, field{"History-Info", "<" + u + ">;index=" + index})
		index, cause = index+".1", ";cause="+strconv.Itoa(causeOf(v.Reason))
	}
	return append(out, field{"History-Info", "<" + accountURI(t, d.To, host) + cause + ">;index=" + index})
}

// causeOf is the cause of RFC 4458 for a reason of RFC 5806.
func causeOf(reason string) int {
	switch reason {
	case "user-busy":
		return 486
	case "no-answer":
		return 408
	case "deflection":
		return 480
	case "unavailable", "out-of-service":
		return 503
	case "unconditional", "follow-me", "time-of-day", "do-not-disturb", "away":
		return 302
	}
	return 404
}

func reasonOr(reason string) string {
	if reason == "" {
		return "unknown"
	}
	return reason
}

// accountURI is who where that is a URI, else its numberURI.
func accountURI(t *trunk.Trunk, who, host string) string {
	if s := lower(who); strings.HasPrefix(s, "sip:") || strings.HasPrefix(s, "sips:") {
		if u, err := parseURI(who); err == nil {
			u.Headers = nil
			return u.String()
		}
	}
	return numberURI(t, who, host)
}

// numberURI is the URI of a number or name at our host, as the trunk's gateway
// shall read it.
func numberURI(t *trunk.Trunk, n, host string) string {
	if t != nil {
		n = t.Written(n)
	}
	return "sip:" + escapeUser(n) + "@" + host
}
