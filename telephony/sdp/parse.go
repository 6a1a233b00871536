package sdp

import (
	"net/netip"
	"strconv"
	"strings"
)

// Parse reads a session description. An error is a *Error.
func Parse(b []byte) (*Session, error) {
	if len(b) > MaxSize {
		return nil, refuse(WarnParameter, "body of %d bytes, at most %d are read", len(b), MaxSize)
	}
	p := parser{s: &Session{}}
	for line := range strings.SplitSeq(string(b), "\n") {
		p.line++
		if err := p.read(clean(line)); err != nil {
			err.Line = p.line
			return nil, err
		}
	}
	if !p.seen {
		return nil, refuse(WarnParameter, "no session description: neither v=, o= nor m= line")
	}
	p.s.Origin = p.s.Origin.filled()
	return p.s, nil
}

type parser struct {
	s    *Session
	line int
	seen bool // a line that only a session description has
}

// read takes one line. Lines that are not understood are passed over, except
// an m-line: the answer needs one for each.
func (p *parser) read(line string) *Error {
	if len(line) < 2 || line[1] != '=' {
		return nil
	}
	value := strings.TrimSpace(line[2:])
	switch line[0] {
	case 'v':
		p.seen = true
	case 'o':
		p.seen = true
		p.s.Origin = parseOrigin(value)
	case 's':
		if p.s.Name == "" && value != "-" {
			p.s.Name = value
		}
	case 'c':
		if c := p.conn(); c.IsZero() {
			*c = parseConn(strings.Fields(value))
		}
	case 'a':
		if a, ok := parseAttr(value); ok {
			attrs := p.attrs()
			*attrs = append(*attrs, a)
		}
	case 'm':
		p.seen = true
		if len(p.s.Media) == MaxMedia {
			return refuse(WarnParameter, "more than %d m-lines", MaxMedia)
		}
		m, err := parseMedia(value)
		if err != nil {
			return err
		}
		p.s.Media = append(p.s.Media, m)
	}
	return nil
}

// conn is the address that a c= line here belongs to.
func (p *parser) conn() *Conn {
	if n := len(p.s.Media); n > 0 {
		return &p.s.Media[n-1].Conn
	}
	return &p.s.Conn
}

func (p *parser) attrs() *[]Attr {
	if n := len(p.s.Media); n > 0 {
		return &p.s.Media[n-1].Attrs
	}
	return &p.s.Attrs
}

// parseOrigin reads from the right, for the user name may hold spaces.
func parseOrigin(value string) Origin {
	f := strings.Fields(value)
	n := len(f)
	if n < 5 {
		return Origin{}
	}
	o := Origin{ID: f[n-5], Version: f[n-4], Conn: parseConn(f[n-3:])}
	if o.User = strings.Join(f[:n-5], "_"); o.User == "-" {
		o.User = ""
	}
	return o
}

// filled has what a strict o= line needs.
func (o Origin) filled() Origin {
	if o.ID == "" {
		o.ID = "0"
	}
	if o.Version == "" {
		o.Version = "0"
	}
	if o.Conn.IsZero() {
		o.Conn.Addr = netip.IPv4Unspecified()
	}
	return o
}

// parseConn reads "IN IP4 192.0.2.1/127", the part after the slash being for
// multicast. The address counts, not what stands before it.
func parseConn(f []string) Conn {
	if len(f) < 3 || !strings.EqualFold(f[0], "IN") {
		return Conn{}
	}
	host, _, _ := strings.Cut(f[2], "/")
	if a, err := netip.ParseAddr(host); err == nil {
		return Conn{Addr: a.Unmap().WithZone("")}
	}
	return Conn{Host: host}
}

func parseAttr(value string) (Attr, bool) {
	key, value, _ := strings.Cut(value, ":")
	a := Attr{Key: strings.TrimSpace(key), Value: strings.TrimSpace(value)}
	return a, a.Key != ""
}

// parseMedia reads "audio 49170/2 RTP/AVP 0 8 101".
func parseMedia(value string) (Media, *Error) {
	f := strings.Fields(value)
	if len(f) < 3 {
		return Media{}, refuse(WarnParameter, "m-line of %d words, not media, port, protocol and formats", len(f))
	}
	port, _, _ := strings.Cut(f[1], "/")
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return Media{}, refuse(WarnParameter, "m-line with a port that is no number from 0 to 65535")
	}
	if len(f)-3 > MaxFormats {
		return Media{}, refuse(WarnParameter, "m-line with more than %d formats", MaxFormats)
	}
	m := Media{Type: f[0], Port: int(n), Proto: f[2], Formats: f[3:]}
	if len(m.Formats) == 0 {
		m.Formats = []string{"0"}
	}
	return m, nil
}

// clean is a line without control characters and without space around it.
func clean(line string) string {
	control := func(r rune) bool { return r < ' ' || r == 0x7f }
	if line = strings.TrimSpace(line); strings.IndexFunc(line, control) < 0 {
		return line
	}
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case control(r):
			return -1
		}
		return r
	}, line))
}
