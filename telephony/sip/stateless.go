package sip

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// answerer writes answers that no transaction stands behind: the same request
// gets the same answer, To tag included, however often it comes
// (RFC 3261 section 8.2.7).
type answerer struct {
	secret []byte
	name   string // of the Server field, "" for none
}

func newAnswerer(name string) *answerer {
	a := &answerer{secret: make([]byte, 16), name: name}
	_, _ = rand.Read(a.secret) // never fails
	return a
}

// tag is the To tag of stateless answers to this request.
func (a *answerer) tag(p *packet) string {
	mac := hmac.New(sha256.New, a.secret)
	for _, name := range []string{"Call-ID", "From", "CSeq", "Via"} {
		value, _ := p.get(name)
		mac.Write([]byte(value))
		mac.Write([]byte{0})
	}
	return hex.EncodeToString(mac.Sum(nil)[:8])
}

// answer is the response to p, nil where none can be made: without a Via there
// is nobody to address. bare leaves out all that RFC 3261 section 8.2.6.2 does
// not ask for, so that the answer is not longer than the request (SEC-11).
func (a *answerer) answer(p *packet, r *refusal, from netip.AddrPort, bare bool) []byte {
	if p.response || p.verb == "ACK" || p.count("Via") == 0 {
		return nil
	}
	var b strings.Builder
	b.WriteString("SIP/2.0 " + strconv.Itoa(r.status) + " " + r.reason + "\r\n")
	top, toSeen := true, false
	for _, f := range p.fields {
		value := f.value
		if !printable(value) {
			continue
		}
		switch f.name {
		case "Via":
			if top {
				first := splitList(value)
				first[0] = received(first[0], from)
				value, top = strings.Join(first, ", "), false
			}
		case "To":
			if toSeen {
				continue
			}
			toSeen = true
			if to, ok := parseAddress(value); ok && r.status > 100 {
				if _, tagged := to.param("tag"); !tagged {
					tag := r.tag
					if tag == "" {
						tag = a.tag(p)
					}
					value += ";tag=" + tag
				}
			}
		case "From", "Call-ID", "CSeq":
		case "Timestamp":
			if bare {
				continue
			}
		default:
			continue
		}
		b.WriteString(f.name + ": " + value + "\r\n")
	}
	for _, f := range r.fields {
		b.WriteString(f.name + ": " + f.value + "\r\n")
	}
	if !bare && a.name != "" {
		b.WriteString("Server: " + a.name + "\r\n")
	}
	b.WriteString("Content-Length: 0\r\n\r\n")
	return []byte(b.String())
}

// received adds to the topmost Via where the request came from
// (RFC 3261 section 18.2.1, RFC 3581 section 4).
func received(value string, from netip.AddrPort) string {
	v, ok := parseVia(value)
	if !ok {
		return value
	}
	host := from.Addr().Unmap().String()
	_, asked := v.param("rport")
	sentBy, _ := splitHostPort(v.sentBy)
	if !asked && sentBy == host {
		return v.String()
	}
	kept := v.params[:0:0]
	for _, p := range v.params {
		if !strings.EqualFold(p.name, "rport") && !strings.EqualFold(p.name, "received") {
			kept = append(kept, p)
		}
	}
	v.params = append(kept, param{"received", host})
	if asked {
		v.params = append(v.params, param{"rport", strconv.Itoa(int(from.Port()))})
	}
	return v.String()
}

// replyAddr is where the answer to a request over UDP goes: the address it came
// from, and its port if the peer asks for that with rport, else the one of its
// Via. Never another host, whatever the Via says.
func replyAddr(v via, from netip.AddrPort) netip.AddrPort {
	if _, asked := v.param("rport"); asked || v.sentBy == "" { // or a Via that cannot be read
		return from
	}
	_, port := splitHostPort(v.sentBy)
	if port == 0 {
		port = 5060
	}
	return netip.AddrPortFrom(from.Addr(), port)
}

// splitHostPort cuts host[:port]; the port is 0 if there is none that could be
// one.
func splitHostPort(s string) (host string, port uint16) {
	if h, p, err := net.SplitHostPort(s); err == nil {
		if n, err := strconv.ParseUint(p, 10, 16); err == nil {
			return h, uint16(n)
		}
		return h, 0
	}
	return strings.Trim(s, "[]"), 0
}
