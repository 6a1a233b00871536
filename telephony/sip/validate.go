package sip

import (
	"slices"
	"strconv"
	"strings"
)

// refusal is the answer to a request that is not worth a transaction.
type refusal struct {
	status int
	reason string
	fields []field
	tag    string // To tag, "" for one made of the request
	then   func() // what is done when it is sent
}

func refuse(status int, reason string, fields ...field) *refusal {
	return &refusal{status: status, reason: reason, fields: fields}
}

// maxCSeq is the greatest sequence number (RFC 3261 section 8.1.1.5).
const maxCSeq = 1<<31 - 1

// allow is what a dialog or a caller may send us.
const allow = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, NOTIFY, PRACK"

// supported are the extensions that a peer may use with us: RFC 3262, RFC 4028.
const supported = "100rel, timer"

// allows is allow for the leg's peer: one that may transfer may send REFER.
func (g *leg) allows() string {
	if g.trunk != nil && g.trunk.Transfers {
		return allow + ", REFER"
	}
	return allow
}

// supports is supported for the leg's peer.
func (g *leg) supports() string {
	if g.trunk != nil && g.trunk.Transfers {
		return supported + ", replaces"
	}
	return supported
}

// acceptTypes are the bodies we read.
const acceptTypes = "application/sdp, application/dtmf-relay, application/dtmf"

// single are the fields that may come once (RFC 3261 section 20, table 2).
var single = []string{"From", "To", "Call-ID", "CSeq", "Max-Forwards", "Content-Length", "Content-Type"}

// knownMethods are those the registry of RFC 3261 and its extensions names;
// others get 501, not 405: we know nothing of them.
var knownMethods = map[string]bool{
	"INVITE": true, "ACK": true, "CANCEL": true, "BYE": true, "OPTIONS": true, "REGISTER": true, "INFO": true,
	"UPDATE": true, "PRACK": true, "NOTIFY": true, "SUBSCRIBE": true, "REFER": true, "MESSAGE": true, "PUBLISH": true,
}

// head is what the checks learned of a message: the parts that matching it to
// a dialog needs.
type head struct {
	method          string // of a response that of its CSeq
	cseq            uint32
	callID          string
	from, to        address
	fromTag, toTag  string
	via             via // the topmost
	branch          string
	contact         string // URI, "" if none
	contentType     string // lower case, without parameters
	maxForwards     int    // -1 if absent
	expectsResponse bool   // false of an ACK and of a response
}

// check reads what every message must carry and normalises it in place: the
// parser below loses a parameter that has white space around ; or =. The order
// of the checks is that of RFC 3261 8.2 with the syntax first; the answers are
// those RFC 4475 asks for.
func (p *packet) check(lim *Limits) (*head, *refusal) {
	h := &head{method: p.verb, maxForwards: -1, expectsResponse: !p.response && p.verb != "ACK"}
	h.callID, _ = p.get("Call-ID")
	if r := p.checkVias(h, lim); r != nil {
		return h, r
	}
	if !p.response && p.version != "SIP/2.0" {
		if strings.HasPrefix(strings.ToUpper(p.version), "SIP/") {
			return h, refuse(505, "Version Not Supported")
		}
		return h, refuse(400, "Bad Request Line")
	}
	for _, name := range single {
		if p.count(name) > 1 {
			return h, refuse(400, "Repeated "+name)
		}
	}
	for _, name := range []string{"From", "To", "Call-ID", "CSeq"} {
		if p.count(name) == 0 {
			return h, refuse(400, "Missing "+name)
		}
	}
	if h.callID == "" || strings.ContainsAny(h.callID, " \t") || !printable(h.callID) {
		return h, refuse(400, "Bad Call-ID")
	}
	if r := p.checkNumbers(h); r != nil {
		return h, r
	}
	if r := p.checkAddresses(h, lim); r != nil {
		return h, r
	}
	if r := p.checkLength(lim); r != nil {
		return h, r
	}
	if !p.response {
		if r := p.checkURI(lim); r != nil {
			return h, r
		}
	}
	return h, nil
}

// checkVias reads the Via values, one to a field from here on.
func (p *packet) checkVias(h *head, lim *Limits) *refusal {
	var fields []field
	n := 0
	for _, f := range p.fields {
		if f.name != "Via" {
			fields = append(fields, f)
			continue
		}
		for _, value := range splitList(f.value) {
			v, ok := parseVia(value)
			if n++; n == 1 {
				if !ok {
					if f2 := strings.ToUpper(value); strings.HasPrefix(f2, "SIP/") && !strings.HasPrefix(f2, "SIP/2.0") &&
						!p.response && p.version != "SIP/2.0" {
						return refuse(505, "Version Not Supported")
					}
					return refuse(400, "Bad Via")
				}
				h.via = v
				h.branch, _ = v.param("branch")
			}
			if ok {
				value = v.String()
			}
			fields = append(fields, field{"Via", value})
		}
	}
	switch {
	case n == 0:
		return refuse(400, "Missing Via")
	case n > lim.Vias:
		return refuse(400, "Too Many Vias")
	}
	p.fields = fields
	return nil
}

// checkNumbers reads CSeq and Max-Forwards.
func (p *packet) checkNumbers(h *head) *refusal {
	value, _ := p.get("CSeq")
	words := strings.Fields(value)
	if len(words) != 2 || !isToken(words[1]) {
		return refuse(400, "Bad CSeq")
	}
	n, err := strconv.ParseUint(words[0], 10, 32)
	if err != nil || n > maxCSeq {
		return refuse(400, "Bad CSeq")
	}
	h.cseq = uint32(n)
	switch {
	case p.response:
		h.method = words[1]
	case words[1] != p.verb:
		return refuse(400, "CSeq Method Differs")
	}
	p.set("CSeq", words[0]+" "+words[1])
	if value, ok := p.get("Max-Forwards"); ok && !p.response {
		n, err := strconv.ParseUint(value, 10, 16)
		if err != nil || n > 255 {
			return refuse(400, "Bad Max-Forwards")
		}
		h.maxForwards = int(n)
		p.set("Max-Forwards", strconv.FormatUint(n, 10))
	}
	return nil
}

// checkAddresses reads From, To and Contact, and normalises the route fields.
func (p *packet) checkAddresses(h *head, lim *Limits) *refusal {
	var fields []field
	contacts := 0
	for _, f := range p.fields {
		switch f.name {
		case "From", "To":
			a, ok := parseAddress(f.value)
			if !ok || scheme(a.uri) == "" || !printable(f.value) {
				return refuse(400, "Bad "+f.name)
			}
			if !phoneScheme(a.uri) && !p.response {
				return refuse(416, "Unsupported URI Scheme")
			}
			if len(a.uri) > lim.URI {
				return refuse(400, f.name+" Too Long")
			}
			tag, _ := a.param("tag")
			if f.name == "From" {
				h.from, h.fromTag = a, tag
			} else {
				h.to, h.toTag = a, tag
			}
			fields = append(fields, field{f.name, a.String()})
		case "Contact", "Route", "Record-Route", "Refer-To", "Referred-By":
			for _, value := range splitList(f.value) {
				if f.name == "Contact" && value == "*" {
					fields = append(fields, field{f.name, value})
					continue
				}
				a, ok := parseAddress(value)
				if !ok || scheme(a.uri) == "" || len(a.uri) > lim.URI || !printable(value) {
					return refuse(400, "Bad "+f.name)
				}
				if f.name == "Contact" {
					if contacts++; contacts == 1 {
						h.contact = a.uri
					}
				}
				fields = append(fields, field{f.name, a.String()})
			}
		default:
			fields = append(fields, f)
		}
	}
	if contacts > 1 && p.verb == "INVITE" {
		return refuse(400, "Repeated Contact")
	}
	p.fields = fields
	return nil
}

// checkLength holds Content-Length against the body and cuts off what is
// behind it (RFC 3261 section 18.3).
func (p *packet) checkLength(lim *Limits) *refusal {
	value, ok := p.get("Content-Length")
	if p.stream && !ok {
		return refuse(400, "Missing Content-Length")
	}
	if ok {
		n, err := strconv.ParseUint(value, 10, 31)
		if err != nil || int(n) > len(p.body) {
			return refuse(400, "Bad Content-Length")
		}
		p.body = p.body[:n]
		p.set("Content-Length", strconv.FormatUint(n, 10))
	} else {
		p.fields = append(p.fields, field{"Content-Length", strconv.Itoa(len(p.body))})
	}
	if len(p.body) > lim.Body {
		return refuse(413, "Request Entity Too Large")
	}
	return nil
}

// checkURI reads the Request-URI.
func (p *packet) checkURI(lim *Limits) *refusal {
	if len(p.uri) > lim.URI {
		return refuse(414, "Request-URI Too Long")
	}
	if strings.ContainsAny(p.uri, `<>"`) || !printable(p.uri) {
		return refuse(400, "Bad Request-URI")
	}
	if !phoneScheme(p.uri) {
		if s := scheme(p.uri); s == "" || !isScheme(s) {
			return refuse(400, "Bad Request-URI")
		}
		return refuse(416, "Unsupported URI Scheme")
	}
	if strings.Contains(p.uri[strings.LastIndexByte(p.uri, '@')+1:], "?") { // section 19.1.1: no headers here
		return refuse(400, "Headers In Request-URI")
	}
	return nil
}

// checkCall is what is asked of a request that a dialog is to see, behind the
// syntax: extensions (section 8.2.2.3), bodies (8.2.3), hops (16.3).
func (p *packet) checkCall(h *head) *refusal {
	if h.method == "ACK" || h.method == "CANCEL" {
		return nil
	}
	unknown := slices.DeleteFunc(p.list("Require"), func(tag string) bool {
		return slices.Contains(splitList(supported), lower(tag)) ||
			strings.EqualFold(tag, "replaces") && p.count("Replaces") > 0 // whether it may is for its trunk to say
	})
	if len(unknown) > 0 {
		return refuse(420, "Bad Extension", field{"Unsupported", strings.Join(unknown, ", ")})
	}
	if h.toTag == "" && h.maxForwards == 0 {
		return refuse(483, "Too Many Hops")
	}
	if enc, ok := p.get("Content-Encoding"); ok && len(p.body) > 0 && !strings.EqualFold(enc, "identity") {
		return refuse(415, "Unsupported Media Type", field{"Accept-Encoding", "identity"}, field{"Accept", acceptTypes})
	}
	kind, _ := p.get("Content-Type")
	kind, _, _ = strings.Cut(kind, ";")
	h.contentType = strings.ToLower(strings.TrimSpace(kind))
	if h.method != "INVITE" && h.method != "UPDATE" {
		return nil
	}
	if len(p.body) > 0 && h.contentType != "application/sdp" {
		return refuse(415, "Unsupported Media Type", field{"Accept", "application/sdp"})
	}
	if accept := p.list("Accept"); len(accept) > 0 && !acceptsSDP(accept) {
		return refuse(406, "Not Acceptable", field{"Accept", "application/sdp"})
	}
	if h.contact != "" && !phoneScheme(h.contact) {
		return refuse(400, "Bad Contact")
	}
	return nil
}

func acceptsSDP(accept []string) bool {
	for _, a := range accept {
		kind, _, _ := strings.Cut(a, ";")
		switch strings.ToLower(strings.TrimSpace(kind)) {
		case "application/sdp", "application/*", "*/*", "":
			return true
		}
	}
	return false
}

func (p *packet) set(name, value string) {
	for i := range p.fields {
		if p.fields[i].name == name {
			p.fields[i].value = value
		}
	}
}

// printable reports whether s is free of control characters other than the
// escaped ones a quoted string may hold (RFC 3261 section 25.1, quoted-pair).
func printable(s string) bool {
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s) && s[i+1] != '\r' && s[i+1] != '\n': // a quoted-pair
			i++
		case s[i] < ' ' && s[i] != '\t', s[i] == 0x7f:
			return false
		}
	}
	return true
}

func isScheme(s string) bool {
	for i, c := range []byte(s) {
		letter := c >= 'a' && c <= 'z'
		if !letter && (i == 0 || !(c >= '0' && c <= '9' || strings.IndexByte("+-.", c) >= 0)) {
			return false
		}
	}
	return s != ""
}
