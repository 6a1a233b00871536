package sip

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/patchcord/patchcord/telephony/trunk"
)

// resolveTime bounds a look-up of a name.
const resolveTime = 2 * time.Second

// connectTime bounds the opening of a connection.
const connectTime = 4 * time.Second

// resolve finds the address of a URI's host: the address it is, else by SRV
// where no port is given, else by A and AAAA (RFC 3263).
func resolve(ctx context.Context, host string, port int, transport string) (netip.AddrPort, error) {
	host = strings.Trim(host, "[]")
	if a, err := netip.ParseAddr(host); err == nil {
		if port == 0 {
			port = 5060
		}
		return netip.AddrPortFrom(a.Unmap(), uint16(port)), nil //nolint:gosec // parsed as a port
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTime)
	defer cancel()
	if port == 0 {
		_, records, err := net.DefaultResolver.LookupSRV(ctx, "sip", lower(transport), host)
		if err == nil && len(records) > 0 {
			host, port = strings.TrimSuffix(records[0].Target, "."), int(records[0].Port)
		} else {
			port = 5060
		}
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("sip: look up %s: %w", host, err)
	}
	best := addrs[0].Unmap()
	for _, a := range addrs {
		if a.Unmap().Is4() {
			best = a.Unmap()
			break
		}
	}
	return netip.AddrPortFrom(best, uint16(port)), nil //nolint:gosec // of a record
}

// facing is our address on the way to peer.
func facing(peer netip.Addr) netip.Addr {
	var d net.Dialer // of a datagram socket: sends nothing, waits for nothing
	conn, err := d.DialContext(context.Background(), "udp", netip.AddrPortFrom(peer, 9).String())
	if err != nil {
		return netip.Addr{}
	}
	defer func() { _ = conn.Close() }()
	return addrPort(conn.LocalAddr()).Addr()
}

// localAddr is the address to bind media for a peer at; advertised is the one
// that the peer is told.
func (u *UserAgent) localAddr(peer netip.Addr, bound netip.Addr) netip.Addr {
	if bound.IsValid() && !bound.IsUnspecified() && bound.Is4() == peer.Is4() {
		return bound
	}
	return facing(peer)
}

func (u *UserAgent) advertised(peer, bound netip.Addr) netip.Addr {
	if u.public.IsValid() && !peer.IsLoopback() && u.public.Is4() == peer.Is4() {
		return u.public
	}
	return u.localAddr(peer, bound)
}

// socket is the UDP socket to speak to peer from: hint if it is one of ours.
func (u *UserAgent) socket(peer netip.Addr, hint netip.AddrPort) (netip.AddrPort, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	var found netip.AddrPort
	for _, d := range u.udp {
		if d.local == hint {
			return hint, true
		}
		fits := d.local.Addr().Is4() == peer.Is4() || d.local.Addr() == netip.IPv6Unspecified()
		if fits && !found.IsValid() {
			found = d.local
		}
	}
	return found, found.IsValid()
}

// listensAt reports whether addr is a UDP socket of ours.
func (u *UserAgent) listensAt(addr netip.AddrPort) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, d := range u.udp {
		if d.local == addr {
			return true
		}
	}
	return false
}

// tcpPort is the port we are reached at over TCP, 0 if we do not listen.
func (u *UserAgent) tcpPort() uint16 {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.tcp) == 0 {
		return 0
	}
	return u.tcp[0].Port()
}

// address puts on req what its way needs: Via, destination, socket. to is
// where it goes.
func (u *UserAgent) address(req *sip.Request, to netip.AddrPort, transport, branch string, hint netip.AddrPort) error {
	v := &sip.ViaHeader{ProtocolName: "SIP", ProtocolVersion: "2.0", Transport: transport}
	v.Params = sip.NewParams()
	v.Params.Add("branch", branch)
	v.Params.Add("rport", "")
	switch transport {
	case "UDP":
		local, ok := u.socket(to.Addr(), hint)
		if !ok {
			return fmt.Errorf("sip: send to %s: no udp address to send from, Config.Listen has none that fits", to)
		}
		v.Host, v.Port = u.advertised(to.Addr(), local.Addr()).String(), int(local.Port())
		req.Laddr = sip.Addr{IP: local.Addr().AsSlice(), Port: int(local.Port())}
	case "TCP":
		v.Host = u.advertised(to.Addr(), netip.Addr{}).String()
		if v.Port = int(u.tcpPort()); v.Port == 0 {
			v.Port = 5060
		}
		if err := u.connect(to); err != nil {
			return err
		}
	}
	req.PrependHeader(v)
	req.SetTransport(transport)
	req.SetDestination(to.String())
	return nil
}

// connect makes sure that a TCP connection to that address is open.
func (u *UserAgent) connect(to netip.AddrPort) error {
	if u.connected(to) {
		return nil
	}
	_, err, _ := u.dialing.Do(to.String(), func() (any, error) {
		if u.connected(to) {
			return nil, nil
		}
		d := net.Dialer{Timeout: connectTime}
		conn, err := d.DialContext(context.Background(), "tcp", to.String())
		if err != nil {
			return nil, fmt.Errorf("sip: connect: %w", err)
		}
		s := u.take(conn, true)
		if s == nil {
			_ = conn.Close()
			return nil, fmt.Errorf("sip: connect to %s: too many connections", to)
		}
		o := opened{conn: s, known: make(chan struct{})}
		select {
		case u.out.opened <- o:
		case <-u.out.done:
			_ = s.Close()
			return nil, net.ErrClosed
		}
		select {
		case <-o.known:
		case <-u.out.done:
		}
		return nil, nil
	})
	return err
}

// contact is where the peer reaches us inside the dialog.
func (u *UserAgent) contact(user string, to netip.AddrPort, transport string, hint netip.AddrPort) string {
	s := "<sip:"
	if user != "" && isToken(strings.TrimPrefix(user, "+")) {
		s += user + "@"
	}
	if port := u.tcpPort(); transport == "TCP" && port != 0 {
		return s + hostPort(u.advertised(to.Addr(), hint.Addr()).String(), int(port)) + ";transport=tcp>"
	}
	local, ok := u.socket(to.Addr(), hint)
	if !ok {
		local = netip.AddrPortFrom(facing(to.Addr()), 5060)
	}
	return s + hostPort(u.advertised(to.Addr(), local.Addr()).String(), int(local.Port())) + ">"
}

// number is a user part as it is shown: E.164 where it is such a number. A
// number of the international form without its plus keeps its form unless the
// URI says user=phone.
func number(uri sip.Uri, country string) string {
	user := uri.User
	if uri.Scheme == "tel" {
		user = uri.Raw()
	}
	user = unescape(user)
	if phone, _ := uri.UriParams.Get("user"); phone == "phone" && country == "" && len(user) >= 8 && user[0] != '0' &&
		strings.Trim(user, "0123456789") == "" {
		user = "+" + user
	}
	return clean(trunk.Normalize(user, country))
}

// unescape resolves %xx of a URI's user part; what is not such stays.
func unescape(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(n))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// clean makes text of a peer fit to be shown and logged: no control
// characters, valid UTF-8, bounded (SEC-16).
func clean(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			return -1
		}
		return r
	}, s)
	if len(s) > maxHeaderBytes {
		s = strings.ToValidUTF8(s[:maxHeaderBytes], "")
	}
	return s
}
