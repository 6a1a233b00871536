package sip

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/emiago/sipgo/sip"
	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/locate"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// gateway is one place to send requests to that begin something.
type gateway struct {
	uri        sip.Uri // Request-URI
	configured string  // as the trunk names it
	host       string
	port       int    // 0: by SRV, else the transport's own
	transport  string // "UDP", "TCP", "TLS"; "": by NAPTR or SRV, else UDP
	foreign    bool   // a host that is not the trunk's: it gets no password

	at    netip.AddrPort // one of its addresses, or of its trunk's proxy; zero: not looked up yet
	route *sip.Uri       // the proxy that stands before it; nil: none
	index int            // among all addresses of the trunk
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
	if to.Trunk != "" {
		var ok bool
		if g.trunk, ok = u.trunks.Load().Trunk(to.Trunk); !ok {
			return nil, fmt.Errorf("sip: dial %s: no trunk is named %q", to.To, to.Trunk)
		}
	}
	ways, err := gateways(g.trunk, to.To)
	if err != nil {
		return nil, err
	}
	if err := u.gated(g.trunk, to.To); err != nil {
		return nil, fmt.Errorf("sip: dial %s over trunk %q: %w", to.To, to.Trunk, err)
	}
	if err := u.place(ctx, g, ways, &to); err != nil {
		return nil, err
	}
	if p := g.party.Load(); p != nil {
		return p, nil
	}
	return g, nil
}

// place begins a call of a new leg.
func (u *UserAgent) place(ctx context.Context, g *leg, ways []gateway, to *telephony.Destination) (err error) {
	g.callID = newCallID()
	if g.trunk != nil {
		showCaller(g.trunk, to)
	}
	if to.CallID == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("sip: dial: %w", err)
		}
		to.CallID = telephony.CallID(id.String())
	}
	for _, way := range ways {
		g.attempts.try(way)
	}
	g.attempts.dest = *to
	g.info = telephony.Info{
		ID: to.CallID, Direction: telephony.Outbound, From: to.From, To: to.To, FromName: to.FromName, Trunk: to.Trunk,
		Transport: "sip/" + lower(cmp.Or(ways[0].transport, "UDP")), SIPCallID: g.callID, Received: time.Now(),
		Format: g.info.Format,
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
		return ErrServing
	}
	var wait time.Duration
	if g.trunk != nil {
		if wait, err = u.capacity.Place(g.trunk, time.Now()); err != nil {
			u.wg.Done()
			return fmt.Errorf("sip: dial %s: %w", to.To, err)
		}
		g.counted = true
	}
	if g.party.Load() == nil {
		g.face()
	}
	u.legs.add(g)
	g.post(func() {
		g.watchContext(ctx)
		g.log.Debug("sip: call started", zap.String("direction", string(g.direction)),
			zap.String("transport", g.info.Transport), zap.String("sip_call_id", g.callID))
		begin := func() {
			if g.state == stateNew {
				g.ringTimer(ring)
				g.seek(ways)
			}
		}
		if wait > 0 {
			g.after(wait, begin)
			return
		}
		begin()
	})
	go func() {
		defer u.wg.Done()
		g.run()
		u.legs.bury(g, "", 64*u.cfg.t1+time.Second)
	}()
	return nil
}

// showCaller sets who is shown to call: the trunk's own where nobody is named,
// and where it says so whoever is handed over by the call.
func showCaller(t *trunk.Trunk, to *telephony.Destination) {
	if to.From == "" {
		to.From = t.From
	}
	switch {
	case to.Caller == "" || t.CallerIn == "":
	case to.Caller == telephony.Anonymous: // who withholds their number withholds it here
		to.Withhold = true
	case t.CallerIn == trunk.CallerFrom && isNumber(to.Caller):
		to.From, to.FromName = to.Caller, ""
		if visible(to.CallerName) && len(to.CallerName) <= maxHeaderBytes {
			to.FromName = to.CallerName
		}
	}
}

// gated refuses a URI with a number that may not be dialled, where it is not one
// of the trunk's own gateways: a carrier dials what it reads before the @,
// whatever host stands behind it (SEC-5).
func (u *UserAgent) gated(t *trunk.Trunk, to string) error {
	if t == nil || !isURI(to) {
		return nil
	}
	uri, err := parseURI(to)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(t.Gateways, func(g trunk.Gateway) bool {
		return strings.EqualFold(g.Host, strings.Trim(uri.Host, "[]"))
	}) {
		return nil
	}
	n := number(uri, t.Country)
	if n == "" || strings.Trim(n, "+0123456789*#") != "" {
		return nil // a name
	}
	return u.cfg.MayDial(n)
}

func isURI(to string) bool {
	return strings.HasPrefix(lower(to), "sip:") || strings.HasPrefix(lower(to), "sips:")
}

// gateways are where a destination is reached, in the order to try.
func gateways(t *trunk.Trunk, to string) ([]gateway, error) {
	if t == nil {
		if !isURI(to) {
			return nil, fmt.Errorf("sip: dial %s: a number needs a trunk, or want sip:user@host", to)
		}
		uri, err := parseURI(to)
		if err != nil {
			return nil, err
		}
		uri.Headers = nil
		return []gateway{{uri: uri, host: uri.Host, port: uri.Port, transport: transportOf(&uri, "UDP")}}, nil
	}
	if t.Type != "" {
		return nil, fmt.Errorf("sip: dial %s: trunk %q is of the type %s, which brings calls over WebSockets and places "+
			"none: name a SIP trunk of the carrier's", to, t.ID, t.Type)
	}
	var out []gateway
	for _, gw := range t.Gateways {
		g := gatewayOf(gw)
		if isURI(to) && scheme(to) == "sips" && g.transport != "TLS" {
			continue // not in the clear (RFC 3261 section 26.2.2)
		}
		var err error
		if isURI(to) {
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
		return nil, fmt.Errorf("sip: dial %s: trunk %q has no gateway that it could go to", to, t.ID)
	}
	return out, nil
}

func gatewayOf(g trunk.Gateway) gateway {
	return gateway{configured: g.URI, host: g.Host, port: g.Port, transport: strings.ToUpper(string(g.Transport))}
}

// seek has the addresses of ways looked up and calls the first of them. The
// leg goes on meanwhile: it can be hung up.
func (g *leg) seek(ways []gateway) {
	if !g.u.enter() {
		g.end(telephony.Cause{Reason: telephony.ReasonDraining})
		return
	}
	go func() {
		defer g.u.wg.Done()
		found, err := g.u.reach(g.ctx, g.trunk, ways)
		g.post(func() {
			if g.state != stateNew {
				return
			}
			if err != nil {
				g.log.Warn("sip: call attempt", zap.Error(err))
				g.attempts.last = telephony.Cause{Reason: telephony.ReasonCongestion, Text: err.Error()}
			}
			g.attempts.left = found
			g.inviteNext()
		})
	}()
}

// reach finds the addresses of gateways, or of their trunk's proxy, in the order
// to try: those that are not known to be down first.
func (u *UserAgent) reach(ctx context.Context, t *trunk.Trunk, ways []gateway) ([]gateway, error) {
	found, errs := make([][]gateway, len(ways)), make([]error, len(ways))
	var wg sync.WaitGroup
	for i := range ways {
		wg.Go(func() { found[i], errs[i] = u.addressesOf(ctx, t, ways[i]) })
	}
	wg.Wait()
	all := slices.Concat(found...)
	if len(all) == 0 {
		return nil, firstErr(errs)
	}
	for i := range all {
		all[i].index = i
	}
	return trunk.Order(all, func(gw *gateway) bool { return u.keepers.up(t, gw) }), nil
}

func firstErr(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return errAddress
}

// addressesOf is a gateway once for each of its addresses.
func (u *UserAgent) addressesOf(ctx context.Context, t *trunk.Trunk, gw gateway) ([]gateway, error) {
	target := locate.Target{Host: gw.host, Port: gw.port, Transport: gw.transport}
	if t != nil && t.Proxy != nil {
		p := gatewayOf(*t.Proxy)
		target = locate.Target{Host: p.host, Port: p.port, Transport: p.transport}
		route, err := parseURI("sip:" + hostPort(p.host, p.port) + ";lr")
		if err != nil {
			return nil, err
		}
		gw.route, gw.host = &route, p.host
	}
	addrs, err := u.names.Lookup(ctx, target)
	if err != nil {
		return nil, fmt.Errorf("sip: %w", err)
	}
	var out []gateway
	for _, a := range addrs {
		if u.sendsTo(a) {
			one := gw
			one.at, one.transport = a.AddrPort, a.Transport
			out = append(out, one)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("sip: send to %s: no address of Config.Listen can reach %s", target.Host, addrs[0])
	}
	return out, nil
}

// fromAddress is our From of a dialled call.
func (g *leg) fromAddress(to netip.AddrPort) string {
	dest := &g.attempts.dest
	if dest.Withhold { // RFC 3323 section 4.1
		return `"Anonymous" <sip:anonymous@anonymous.invalid>;tag=` + g.localTag
	}
	host := g.hostFacing(to)
	user, of := dest.From, g.trunk
	if user == "" && of != nil {
		user, of = of.Username, nil // as it is: it may be no number
	}
	uri := "sip:" + host
	if user != "" {
		uri = accountURI(of, user, host)
	}
	s := "<" + uri + ">;tag=" + g.localTag
	if dest.FromName != "" {
		s = quote(dest.FromName) + " " + s
	}
	return s
}

// hostFacing is our address as a URI for that peer writes it.
func (g *leg) hostFacing(to netip.AddrPort) string {
	return hostPort(g.u.advertised(to.Addr(), g.dialog.local4.Addr()).String(), 0)
}

// localSocket is the UDP socket a call is placed from; over a connection it only
// tells the address.
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
	if s := lower(d.From); strings.HasPrefix(s, "sip:") || strings.HasPrefix(s, "sips:") {
		if _, err := parseURI(d.From); err != nil {
			return err
		}
	}
	for _, s := range []string{d.To, d.From} {
		if strings.ContainsAny(s, "<>\"") {
			return fmt.Errorf("sip: dial: %q has a character that may not stand in a number or URI", s)
		}
	}
	if len(d.Diverted) > maxDiversions || len(d.Passports) > maxPassports {
		return fmt.Errorf("sip: dial: %d diversions and %d passports, at most %d and %d may be told",
			len(d.Diverted), len(d.Passports), maxDiversions, maxPassports)
	}
	for _, v := range d.Diverted {
		if !visible(v.Number) || v.Number == "" || len(v.Number) > maxHeaderBytes || v.Reason != "" && !isToken(v.Reason) {
			return fmt.Errorf("sip: dial: diversion of %q for %q: want a number and a reason of RFC 5806", v.Number, v.Reason)
		}
	}
	for _, v := range d.Passports {
		if !visible(v) || v == "" || len(v) > maxPassportBytes {
			return fmt.Errorf("sip: dial: an Identity of %d bytes that is empty, has a line break, or is too long", len(v))
		}
	}
	return checkHeaders(d.Headers)
}

// checkHeaders lets X- fields through, of one line each.
func checkHeaders(headers map[string]string) error {
	for name, value := range headers {
		if !trunk.CustomHeader(name) {
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
