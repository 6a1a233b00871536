package sip

import (
	"bytes"
	"strings"
)

// packet is one message as it came: the start line, the header fields unfolded
// and under their long names, the body. It holds what the checks need before
// any SIP parser is trusted with the message.
type packet struct {
	start  string
	fields []field
	body   []byte

	// Of a request.
	verb, uri, version string // verb: the method of the request line
	// Of a response.
	response bool
	status   int

	stream bool // it came over a connection, where Content-Length is a must
}

// field is one header field. name is the long form as RFC 3261 spells it where
// the field is known, else as it came.
type field struct{ name, value string }

// longNames maps lower-case names and compact forms (RFC 3261 section 7.3.3)
// to the spelling used within.
var longNames = map[string]string{
	"a": "Accept-Contact", "b": "Referred-By", "c": "Content-Type", "e": "Content-Encoding",
	"f": "From", "i": "Call-ID", "k": "Supported", "l": "Content-Length", "m": "Contact",
	"o": "Event", "r": "Refer-To", "s": "Subject", "t": "To", "u": "Allow-Events",
	"v": "Via", "x": "Session-Expires", "d": "Request-Disposition", "j": "Reject-Contact",
	"accept-contact": "Accept-Contact", "referred-by": "Referred-By", "content-type": "Content-Type",
	"content-encoding": "Content-Encoding", "from": "From", "call-id": "Call-ID", "supported": "Supported",
	"content-length": "Content-Length", "contact": "Contact", "event": "Event", "refer-to": "Refer-To",
	"subject": "Subject", "to": "To", "via": "Via", "cseq": "CSeq", "max-forwards": "Max-Forwards",
	"route": "Route", "record-route": "Record-Route", "require": "Require", "accept": "Accept",
	"proxy-require": "Proxy-Require", "www-authenticate": "WWW-Authenticate",
	"proxy-authenticate": "Proxy-Authenticate", "authorization": "Authorization",
	"proxy-authorization": "Proxy-Authorization", "allow": "Allow", "retry-after": "Retry-After",
	"subscription-state": "Subscription-State", "warning": "Warning", "reason": "Reason",
	"p-asserted-identity": "P-Asserted-Identity", "rseq": "RSeq", "rack": "RAck", "replaces": "Replaces",
	"y": "Identity", "identity": "Identity",
}

// headerEnd is the offset behind the empty line that ends the header fields,
// or -1 while it has not come.
func headerEnd(data []byte) int {
	i := bytes.Index(data, []byte("\r\n\r\n"))
	if i < 0 {
		return -1
	}
	return i + 4
}

// split cuts data, one whole message, into a packet. A nil error still says
// nothing of what the fields hold. maxFields bounds their number (SEC-12).
// The packet is filled as far as it could be read, so that a refusal can
// name the transaction.
func split(data []byte, maxFields int) (*packet, *refusal) {
	p := &packet{}
	end := headerEnd(data)
	head := data
	var bad *refusal
	if end < 0 {
		bad = refuse(400, "Header Not Terminated")
	} else {
		head = data[:end-2]
		p.body = data[end:]
	}
	line, rest, ok := cutLine(head)
	if !ok {
		return p, refuse(400, "No Start Line")
	}
	p.start = line
	if r := p.splitStart(); r != nil && bad == nil {
		bad = r
	}
	for len(rest) > 0 {
		line, rest, ok = cutLine(rest)
		if !ok {
			return p, firstOf(bad, refuse(400, "Bad Line End"))
		}
		for len(rest) > 0 && (rest[0] == ' ' || rest[0] == '\t') { // folded: RFC 3261 section 7.3.1
			var more string
			if more, rest, ok = cutLine(rest); !ok {
				return p, firstOf(bad, refuse(400, "Bad Line End"))
			}
			line = strings.TrimRight(line, " \t") + " " + strings.Trim(more, " \t")
		}
		if line == "" {
			break
		}
		name, value, found := strings.Cut(line, ":")
		name = strings.TrimRight(name, " \t")
		if !found || !isToken(name) {
			bad = firstOf(bad, refuse(400, "Bad Header Field"))
			continue
		}
		if long, known := longNames[strings.ToLower(name)]; known {
			name = long
		}
		if len(p.fields) >= maxFields {
			return p, firstOf(bad, refuse(400, "Too Many Header Fields"))
		}
		p.fields = append(p.fields, field{name, strings.Trim(value, " \t")})
	}
	return p, bad
}

// splitStart reads the request or status line.
func (p *packet) splitStart() *refusal {
	if strings.HasPrefix(p.start, "SIP/") {
		p.response = true
		parts := strings.SplitN(p.start, " ", 3)
		if len(parts) < 2 || parts[0] != "SIP/2.0" || len(parts[1]) != 3 {
			return refuse(400, "Bad Status Line")
		}
		for _, c := range []byte(parts[1]) {
			if c < '0' || c > '9' {
				return refuse(400, "Bad Status Line")
			}
			p.status = p.status*10 + int(c-'0')
		}
		if p.status < 100 || p.status > 699 {
			return refuse(400, "Bad Status Line")
		}
		return nil
	}
	parts := strings.Split(p.start, " ")
	p.verb = parts[0]
	if len(parts) != 3 || !isToken(parts[0]) || parts[1] == "" {
		return refuse(400, "Bad Request Line")
	}
	p.uri, p.version = parts[1], parts[2]
	return nil
}

// cutLine takes one line off data, without its CRLF. A CR or LF alone is not
// a line end.
func cutLine(data []byte) (line string, rest []byte, ok bool) {
	i := bytes.IndexAny(data, "\r\n")
	if i < 0 || i+1 >= len(data) || data[i] != '\r' || data[i+1] != '\n' {
		return "", nil, false
	}
	return string(data[:i]), data[i+2:], true
}

// get is the value of the first field of that name.
func (p *packet) get(name string) (string, bool) {
	for _, f := range p.fields {
		if f.name == name || (len(f.name) == len(name) && strings.EqualFold(f.name, name)) {
			return f.value, true
		}
	}
	return "", false
}

// count is how many fields carry the name.
func (p *packet) count(name string) int {
	n := 0
	for _, f := range p.fields {
		if f.name == name {
			n++
		}
	}
	return n
}

// list is the comma-separated values of all fields of that name.
func (p *packet) list(name string) []string {
	var out []string
	for _, f := range p.fields {
		if f.name == name || strings.EqualFold(f.name, name) {
			out = append(out, splitList(f.value)...)
		}
	}
	return out
}

// bytes writes the message for the parser: fields unfolded, each under its
// long name.
func (p *packet) bytes() []byte {
	n := len(p.start) + 4 + len(p.body)
	for _, f := range p.fields {
		n += len(f.name) + len(f.value) + 4
	}
	out := make([]byte, 0, n)
	out = append(append(out, p.start...), "\r\n"...)
	for _, f := range p.fields {
		out = append(append(append(append(out, f.name...), ": "...), f.value...), "\r\n"...)
	}
	out = append(out, "\r\n"...)
	return append(out, p.body...)
}

func firstOf(a, b *refusal) *refusal {
	if a != nil {
		return a
	}
	return b
}

// isToken reports whether s is a token of RFC 3261 section 25.1.
func isToken(s string) bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		if !tokenByte(s[i]) {
			return false
		}
	}
	return true
}

func tokenByte(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	}
	return strings.IndexByte("-.!%*_+`'~", c) >= 0
}
