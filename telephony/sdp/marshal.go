package sdp

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
)

// Marshal writes the session description as RFC 8866 section 5 orders it.
func (s *Session) Marshal() []byte {
	var b bytes.Buffer
	o := s.Origin.filled()
	write(&b, "v=0")
	write(&b, "o=%s %s %s %s", dash(strings.Join(strings.Fields(o.User), "_")), o.ID, o.Version, o.Conn)
	write(&b, "s=%s", dash(s.Name))
	if !s.Conn.IsZero() {
		write(&b, "c=%s", s.Conn)
	}
	write(&b, "t=0 0")
	writeAttrs(&b, s.Attrs)
	for _, m := range s.Media {
		write(&b, "m=%s %d %s %s", m.Type, m.Port, m.Proto, strings.Join(m.Formats, " "))
		if !m.Conn.IsZero() {
			write(&b, "c=%s", m.Conn)
		}
		writeAttrs(&b, m.Attrs)
	}
	return b.Bytes()
}

// String is the address as o= and c= write it.
func (c Conn) String() string {
	switch {
	case c.Addr.Is6():
		return "IN IP6 " + c.Addr.String()
	case c.Addr.IsValid():
		return "IN IP4 " + c.Addr.String()
	case c.Host != "":
		return "IN IP4 " + c.Host
	}
	return "IN IP4 " + netip.IPv4Unspecified().String()
}

func writeAttrs(b *bytes.Buffer, attrs []Attr) {
	for _, a := range attrs {
		if a.Value == "" {
			write(b, "a=%s", a.Key)
		} else {
			write(b, "a=%s:%s", a.Key, a.Value)
		}
	}
}

// write adds one line. No value can start another line.
func write(b *bytes.Buffer, format string, args ...any) {
	b.WriteString(clean(fmt.Sprintf(format, args...)))
	b.WriteString("\r\n")
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
