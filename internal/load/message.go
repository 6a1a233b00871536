package load

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// message is what a caller reads of a SIP message.
type message struct {
	status  int    // 0: a request
	method  string // of the request, or what the response answers
	callID  string
	to      string // with its tag
	contact string // the URI
	after   int    // s, of Retry-After; 0: none
	lines   []string
	body    string
}

var errNoMessage = errors.New("not a SIP message")

// parse reads a datagram: the start line, the header fields a caller needs,
// compact forms too, and the body.
func parse(b []byte) (message, error) {
	head, body, ok := bytes.Cut(b, []byte("\r\n\r\n"))
	if !ok {
		return message{}, errNoMessage
	}
	lines := strings.Split(string(head), "\r\n")
	m := message{lines: lines[1:], body: string(body)}
	first := strings.Fields(lines[0])
	switch {
	case len(first) >= 2 && first[0] == "SIP/2.0":
		n, err := strconv.Atoi(first[1])
		if err != nil || n < 100 || n > 699 {
			return message{}, errNoMessage
		}
		m.status = n
	case len(first) == 3 && first[2] == "SIP/2.0":
		m.method = first[0]
	default:
		return message{}, errNoMessage
	}
	for _, line := range m.lines {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		value = strings.TrimSpace(value)
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "call-id", "i":
			m.callID = value
		case "to", "t":
			m.to = value
		case "contact", "m":
			m.contact = uri(value)
		case "retry-after":
			m.after, _ = strconv.Atoi(value) // 0 where it says more than a number
		case "cseq":
			if f := strings.Fields(value); m.status != 0 && len(f) == 2 {
				m.method = f[1]
			}
		}
	}
	if m.callID == "" || m.method == "" {
		return message{}, errNoMessage
	}
	return m, nil
}

// uri is the address in a Contact.
func uri(value string) string {
	if _, rest, ok := strings.Cut(value, "<"); ok {
		value, _, _ = strings.Cut(rest, ">")
		return value
	}
	value, _, _ = strings.Cut(value, ";")
	return value
}

// answer is the 200 to a request within the call (RFC 3261 section 8.2.6).
func (m message) answer() []byte {
	var b strings.Builder
	b.WriteString("SIP/2.0 200 OK\r\n")
	for _, line := range m.lines {
		name, _, _ := strings.Cut(line, ":")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "via", "v", "from", "f", "to", "t", "call-id", "i", "cseq":
			b.WriteString(line + "\r\n")
		}
	}
	b.WriteString("Content-Length: 0\r\n\r\n")
	return []byte(b.String())
}

// media is where the sound goes: the address and port of an SDP with one
// audio stream of PCMU.
func (m message) media() (netip.AddrPort, error) {
	var addr netip.Addr
	port := 0
	for line := range strings.Lines(m.body) {
		line = strings.TrimRight(line, "\r\n")
		if rest, ok := strings.CutPrefix(line, "c=IN IP4 "); ok {
			addr, _ = netip.ParseAddr(rest)
		}
		if f := strings.Fields(line); len(f) >= 4 && f[0] == "m=audio" && f[3] == "0" {
			port, _ = strconv.Atoi(f[1])
		}
	}
	if !addr.IsValid() || port <= 0 || port > 65535 {
		return netip.AddrPort{}, fmt.Errorf("the answer offers no PCMU at an IPv4 address: %q", m.body)
	}
	return netip.AddrPortFrom(addr, uint16(port)), nil
}
