package sip

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/emiago/sipgo/sip"
	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// gateway is one place to send an INVITE to.
type gateway struct {
	uri       sip.Uri // Request-URI
	host      string
	port      int    // 0: by SRV, else 5060
	transport string // "UDP", "TCP"
}

// ErrServing is a Dial before Serve or after its end.
var ErrServing = errors.New("sip: not serving")

// Dial places a call. The leg is returned at once; what becomes of it comes
// through its Events.
func (u *UserAgent) Dial(ctx context.Context, to telephony.Destination) (telephony.Leg, error) {
	if err := checkDestination(&to); err != nil {
		return nil, err
	}
	select {
	case <-u.ready:
	default:
		return nil, ErrServing
	}
	g := u.newLeg(telephony.Outbound)
	g.callID = newCallID()
	if to.Trunk != "" {
		var ok bool
		if g.trunk, ok = u.trunks.Load().Trunk(to.Trunk); !ok {
			return nil, fmt.Errorf("sip: dial %s: no trunk is named %q", to.To, to.Trunk)
		}
	}
	var err error
	if g.attempts.left, err = gateways(g.trunk, to.To); err != nil {
		return nil, err
	}
	if g.trunk != nil && to.From == "" {
		to.From = g.trunk.From
	}
	if to.CallID == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return nil, fmt.Errorf("sip: dial: %w", err)
		}
		to.CallID = telephony.CallID(id.String())
	}
	g.attempts.dest = to
	g.info = telephony.Info{
		ID: to.CallID, Direction: telephony.Outbound, From: to.From, To: to.To, FromName: to.FromName, Trunk: to.Trunk,
		Transport: "sip/" + lower(g.attempts.left[0].transport), SIPCallID: g.callID, Received: time.Now(),
	}
	g.log = u.log.With(zap.String("call_id", string(to.CallID)), zap.String("trunk", string(to.Trunk)))
	ring := to.RingTimeout
	if ring <= 0 && g.trunk != nil {
		ring = g.trunk.RingTimeout
	}
	if ring <= 0 {
		ring = u.cfg.RingTimeout
	}
	if !u.enter() {
		return nil, ErrServing
	}
	u.legs.add(g)
	g.post(func() {
		g.watchContext(ctx)
		g.ringTimer(ring)
		g.log.Debug("sip: call started", zap.String("direction", string(g.direction)),
			zap.String("transport", g.info.Transport), zap.String("sip_call_id", g.callID))
		g.inviteNext()
	})
	go func() {
		defer u.wg.Done()
		g.run()
		u.legs.bury(g, "", 64*u.cfg.t1+time.Second)
	}()
	return g, nil
}

// gateways are where a destination is reached, in the order to try.
func gateways(t *trunk.Trunk, to string) ([]gateway, error) {
	isURI := strings.HasPrefix(lower(to), "sip:") || strings.HasPrefix(lower(to), "sips:")
	if isURI && scheme(to) == "sips" {
		return nil, fmt.Errorf("sip: dial %s: sips is not supported", to)
	}
	if t == nil {
		if !isURI {
			return nil, fmt.Errorf("sip: dial %s: a number needs a trunk, or want sip:user@host", to)
		}
		uri, err := parseURI(to)
		if err != nil {
			return nil, err
		}
		uri.Headers = nil
		return []gateway{{uri: uri, host: uri.Host, port: uri.Port, transport: transportOf(&uri, "UDP")}}, nil
	}
	var out []gateway
	for _, gw := range t.Order(func(trunk.Gateway) bool { return true }) {
		g := gateway{host: gw.Host, port: gw.Port, transport: strings.ToUpper(string(gw.Transport))}
		if g.transport == "TLS" {
			continue
		}
		var err error
		if isURI {
			g.uri, err = parseURI(to)
			g.uri.Headers = nil
		} else {
			g.uri, err = parseURI("sip:" + escapeUser(t.Dial(to)) + "@" + hostPort(gw.Host, gw.Port))
		}
		if err != nil {
			return nil, err
		}
		out = append(out, g)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("sip: dial %s: trunk %q has no gateway over udp or tcp", to, t.ID)
	}
	return out, nil
}

// fromAddress is our From of a dialled call.
func (g *leg) fromAddress(to netip.AddrPort) (string, error) {
	dest := &g.attempts.dest
	host := hostPort(g.u.advertised(to.Addr(), g.dialog.local4.Addr()).String(), 0)
	user := dest.From
	if user == "" && g.trunk != nil {
		user = g.trunk.Username
	}
	uri := "sip:" + host
	switch {
	case strings.HasPrefix(lower(user), "sip:"):
		u, err := parseURI(user)
		if err != nil {
			return "", err
		}
		u.Headers = nil
		uri = u.String()
	case user != "":
		uri = "sip:" + escapeUser(user) + "@" + host
	}
	s := "<" + uri + ">;tag=" + g.localTag
	if dest.FromName != "" {
		s = quote(dest.FromName) + " " + s
	}
	return s, nil
}

// localSocket is the UDP socket a call is placed from; over TCP it only tells
// the address.
func (g *leg) localSocket(transport string, peer netip.Addr) (netip.AddrPort, error) {
	local, ok := g.u.socket(peer, netip.AddrPort{})
	if !ok && transport == "UDP" {
		return local, fmt.Errorf("sip: dial: no udp address of Config.Listen can reach %s", peer)
	}
	return local, nil
}

// checkDestination refuses what would not stay in its header field; nothing below
// us does.
func checkDestination(d *telephony.Destination) error {
	if d.To == "" {
		return errors.New("sip: dial: no destination")
	}
	for _, f := range []field{{"To", d.To}, {"From", d.From}, {"FromName", d.FromName}} {
		if !visible(f.value) || len(f.value) > maxHeaderBytes {
			return fmt.Errorf("sip: dial: %s %q has a line break or another control character, or is too long", f.name, f.value)
		}
	}
	for _, s := range []string{d.To, d.From} {
		if strings.ContainsAny(s, "<>\"") {
			return fmt.Errorf("sip: dial: %q has a character that may not stand in a number or URI", s)
		}
	}
	return checkHeaders(d.Headers)
}

// checkHeaders lets X- fields through, of one line each.
func checkHeaders(headers map[string]string) error {
	for name, value := range headers {
		if !isToken(name) || len(name) < 3 || !strings.EqualFold(name[:2], "X-") {
			return fmt.Errorf("sip: header %q: only X- headers may be set", name)
		}
		if !visible(value) || len(value) > maxHeaderBytes {
			return fmt.Errorf("sip: header %s has a line break or another control character, or is too long", name)
		}
	}
	if len(headers) > maxHeaders {
		return fmt.Errorf("sip: %d headers, at most %d may be set", len(headers), maxHeaders)
	}
	return nil
}

// visible reports whether s has no control character.
func visible(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r < ' ' || (r >= 0x7f && r < 0xa0) || r == utf8.RuneError
	})
}

// escapeUser writes a user part. What RFC 3261 section 25.1 allows there but
// could be read as a parameter is escaped too.
func escapeUser(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_.!~*'()+$", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

func lower(s string) string { return strings.ToLower(s) }
