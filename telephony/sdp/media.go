package sdp

import (
	"net/netip"
	"strconv"
	"strings"
)

// Direction is that of the m-line, else the session's, else sendrecv.
func (s *Session) Direction(m *Media) Direction {
	for _, attrs := range [][]Attr{m.Attrs, s.Attrs} {
		for _, a := range attrs {
			switch d := Direction(strings.ToLower(a.Key)); d {
			case SendRecv, SendOnly, RecvOnly, Inactive:
				return d
			}
		}
	}
	return SendRecv
}

// held is the direction that counts: c=0.0.0.0 is how RFC 2543 put on hold,
// whatever direction stands beside it.
func (s *Session) held(m *Media) Direction {
	if c := s.conn(m); c.Addr.IsValid() && c.Addr.IsUnspecified() {
		return Inactive
	}
	return s.Direction(m)
}

func (s *Session) conn(m *Media) Conn {
	if m.Conn.IsZero() {
		return s.Conn
	}
	return m.Conn
}

// remote is where the writer of s wants the packets of m: the zero AddrPort
// where it wants none (c=0.0.0.0).
func (s *Session) remote(m *Media, mux bool) (rtp, rtcp netip.AddrPort, err error) {
	c := s.conn(m)
	switch {
	case c.IsZero():
		return rtp, rtcp, refuse(WarnAddress, "no c= line says where to send")
	case c.Host != "":
		return rtp, rtcp, refuse(WarnAddress, "the c= line has a name, an address is needed")
	case c.Addr.IsMulticast():
		return rtp, rtcp, refuse(WarnMulticast, "the c= line has a multicast address")
	case c.Addr.IsUnspecified():
		return rtp, rtcp, nil
	}
	rtp = netip.AddrPortFrom(c.Addr, uint16(m.Port))
	if mux {
		return rtp, rtp, nil
	}
	return rtp, m.rtcp(rtp), nil
}

// Mux tells that RTCP may come and go on the RTP port (RFC 5761).
func (m *Media) Mux() bool {
	_, ok := m.Attr("rtcp-mux")
	return ok
}

// rtcp is where RTCP goes: a=rtcp (RFC 3605), "53020" or
// "53020 IN IP4 192.0.2.1", else the next port.
func (m *Media) rtcp(rtp netip.AddrPort) netip.AddrPort {
	v, _ := m.Attr("rtcp")
	f := strings.Fields(v)
	if len(f) > 0 {
		if port, err := strconv.ParseUint(f[0], 10, 16); err == nil && port > 0 {
			addr := rtp.Addr()
			if c := parseConn(f[1:]); c.Addr.IsValid() && !c.Addr.IsUnspecified() && !c.Addr.IsMulticast() {
				addr = c.Addr
			}
			return netip.AddrPortFrom(addr, uint16(port))
		}
	}
	if rtp.Port() == 65535 {
		return rtp
	}
	return netip.AddrPortFrom(rtp.Addr(), rtp.Port()+1)
}

// secure tells the profiles that are SRTP or nothing (RFC 3711, RFC 5124); sdes
// those of them whose keys are in the description (the others are RFC 5764's).
func secure(proto string) bool { return strings.Contains(strings.ToUpper(proto), "SAVP") }

func sdes(proto string) bool {
	return strings.EqualFold(proto, "RTP/SAVP") || strings.EqualFold(proto, "RTP/SAVPF")
}

// plain tells the profiles that we speak.
func plain(proto string) bool {
	return strings.EqualFold(proto, "RTP/AVP") || strings.EqualFold(proto, "RTP/AVPF")
}
