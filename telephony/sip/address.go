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

	"github.com/patchcord/patchcord/telephony/locate"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// connectTime bounds the opening of a connection.
const connectTime = 4 * time.Second

// defaultPort is where SIP is spoken if nothing else is said.
func defaultPort(transport string) int {
	if transport == "TLS" {
		return 5061
	}
	return 5060
}

// resolve finds the first address of a URI's host that can be sent to.
func (u *UserAgent) resolve(ctx context.Context, host string, port int, transport string) (netip.AddrPort, error) {
	addrs, err := u.names.Lookup(ctx, locate.Target{Host: host, Port: port, Transport: transport})
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("sip: %w", err)
	}
	for _, a := range addrs {
		if u.sendsTo(a) {
			return a.AddrPort, nil
		}
	}
	return netip.AddrPort{}, fmt.Errorf("sip: send to %s: no address of Config.Listen can reach %s", host, addrs[0])
}

// sendsTo reports whether one of our sockets can send to an address.
func (u *UserAgent) sendsTo(a locate.Addr) bool {
	if a.Transport != locate.UDP {
		return true
	}
	_, ok := u.socket(a.Addr(), netip.AddrPort{})
	return ok
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

// port is where connections come to us, 0 if we do not listen for them.
func (u *UserAgent) port(transport string) uint16 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.ports[transport]
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
	default:
		v.Host = u.advertised(to.Addr(), netip.Addr{}).String()
		if v.Port = int(u.port(transport)); v.Port == 0 {
			v.Port = defaultPort(transport)
		}
		if err := u.connect(to, transport); err != nil {
			return err
		}
	}
	req.PrependHeader(v)
	req.SetTransport(transport)
	req.SetDestination(to.String())
	return nil
}

// connect makes sure that a connection to that address is open. One over TLS
// only secure can open, which knows whose it has to be.
func (u *UserAgent) connect(to netip.AddrPort, transport string) error {
	if u.connection(transport, to) != nil {
		return nil
	}
	if transport == "TLS" {
		if why := u.lost(transport, to); why != nil {
			return fmt.Errorf("sip: send to %s: the connection over TLS is gone: %w", to, why)
		}
		return fmt.Errorf("sip: send to %s: the connection over TLS is gone", to)
	}
	return u.dial(to, transport, func(_ context.Context, conn net.Conn) (net.Conn, error) { return conn, nil }, nil)
}

// dial opens a connection, one at a time to an address; greet makes of a TCP
// connection what is spoken over.
func (u *UserAgent) dial(to netip.AddrPort, transport string,
	greet func(context.Context, net.Conn) (net.Conn, error), trust *trunk.Trust,
) error {
	_, err, _ := u.dialing.Do(transport+to.String(), func() (any, error) {
		if u.connection(transport, to) != nil {
			return nil, nil
		}
		ctx, cancel := context.WithTimeout(context.Background(), connectTime)
		defer cancel()
		var d net.Dialer
		plain, err := d.DialContext(ctx, "tcp", to.String())
		if err != nil {
			return nil, fmt.Errorf("sip: connect: %w", err)
		}
		conn, err := greet(ctx, plain)
		if err != nil {
			_ = plain.Close()
			return nil, fmt.Errorf("sip: connect to %s: %w", to, err)
		}
		s := u.take(conn, transport, true, trust)
		if s == nil {
			_ = conn.Close()
			return nil, fmt.Errorf("sip: connect to %s: too many connections", to)
		}
		o, out := opened{conn: s, known: make(chan struct{})}, u.out[transport]
		select {
		case out.opened <- o:
		case <-out.done:
			_ = s.Close()
			return nil, net.ErrClosed
		}
		select {
		case <-o.known:
		case <-out.done:
		}
		return nil, nil
	})
	return err
}

// publicContact is a Contact at the address that a registrar sees us at.
func publicContact(user string, at netip.AddrPort, transport string) string {
	s := "<sip:"
	if user != "" && isToken(strings.TrimPrefix(user, "+")) {
		s += user + "@"
	}
	s += hostPort(at.Addr().String(), int(at.Port()))
	if transport != "UDP" {
		s += ";transport=" + lower(transport)
	}
	return s + ">"
}

// contact is where the peer reaches us inside the dialog.
func (u *UserAgent) contact(user string, to netip.AddrPort, transport string, hint netip.AddrPort) string {
	s := "<sip:"
	if user != "" && isToken(strings.TrimPrefix(user, "+")) {
		s += user + "@"
	}
	port := u.port(transport)
	if c := u.connection(transport, to); c != nil && port == 0 && transport == "TLS" {
		port = addrPort(c.LocalAddr()).Port() // over this connection and in no other way
	}
	if transport != "UDP" && port != 0 {
		return s + hostPort(u.advertised(to.Addr(), hint.Addr()).String(), int(port)) + ";transport=" + lower(transport) + ">"
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
