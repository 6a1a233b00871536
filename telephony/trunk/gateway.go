package trunk

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// ParseGateway reads sip:host[:port][;transport=udp|tcp|tls] or host[:port].
// sips: is TLS. A name without port and transport leaves both to its records,
// everything else without a transport is UDP.
func ParseGateway(s string) (Gateway, error) {
	g := Gateway{}
	rest := strings.TrimSpace(s)
	switch scheme, after, ok := strings.Cut(rest, ":"); {
	case ok && strings.EqualFold(scheme, "sip"):
		rest = after
	case ok && strings.EqualFold(scheme, "sips"):
		rest, g.Transport = after, TLS
	}
	host, params, _ := strings.Cut(rest, ";")
	if strings.ContainsFunc(params, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return g, fmt.Errorf("%q has a space or control character", s)
	}
	if strings.Contains(host, "@") {
		return g, fmt.Errorf("%q has a user part, a gateway is a host", s)
	}
	for p := range strings.SplitSeq(params, ";") {
		key, value, _ := strings.Cut(p, "=")
		if !strings.EqualFold(strings.TrimSpace(key), "transport") {
			continue
		}
		switch t := Transport(strings.ToLower(strings.TrimSpace(value))); t {
		case UDP, TCP, TLS:
			g.Transport = t
		default:
			return g, fmt.Errorf("%q has a transport that is none of udp, tcp, tls", s)
		}
	}
	var err error
	if g.Host, g.Port, err = hostPort(host); err != nil {
		return g, fmt.Errorf("%q %w", s, err)
	}
	if _, err := netip.ParseAddr(g.Host); g.Transport == "" && (g.Port != 0 || err == nil) {
		g.Transport = UDP
	}
	g.URI = "sip:" + bracketed(g.Host)
	if g.Port != 0 {
		g.URI += ":" + strconv.Itoa(g.Port)
	}
	if params != "" {
		g.URI += ";" + params
	}
	return g, nil
}

// bracketed is a host as URIs write it.
func bracketed(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

// hostPort reads host, host:port, [v6], [v6]:port and a bare IPv6 address.
func hostPort(s string) (host string, port int, err error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.String(), 0, nil
	}
	host = s
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") {
		n, err := strconv.ParseUint(s[i+1:], 10, 16)
		if err != nil || n == 0 {
			return "", 0, fmt.Errorf("has a port that is no number from 1 to 65535")
		}
		host, port = s[:i], int(n)
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		a, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		if err != nil || !strings.HasSuffix(host, "]") {
			return "", 0, fmt.Errorf("has no IPv6 address in its brackets")
		}
		return a.String(), port, nil
	}
	if !hostName(host) {
		return "", 0, fmt.Errorf("has no host name or address")
	}
	return host, port, nil
}

func hostName(s string) bool {
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-', r == '_':
		default:
			return false
		}
	}
	return s != "" && len(s) <= 253
}

// ParsePrefix reads an address or a prefix. Bits set behind the prefix are an
// error: 203.0.113.9/24 may be meant as either.
func ParsePrefix(s string) (netip.Prefix, error) {
	s = strings.TrimSpace(s)
	if a, err := netip.ParseAddr(s); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	switch {
	case err != nil:
		return netip.Prefix{}, fmt.Errorf("%q is neither an address nor a prefix", s)
	case p != p.Masked():
		return netip.Prefix{}, fmt.Errorf("%q has bits set behind the prefix, %s is meant or %s", s, p.Masked(), p.Addr())
	case p.Addr().Is4In6():
		return netip.Prefix{}, fmt.Errorf("%q is IPv4 written as IPv6", s)
	}
	return p, nil
}
