package sip

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// dialog is what two user agents share of a call (RFC 3261 section 12), and
// how requests in it are addressed. It belongs to the leg's goroutine.
type dialog struct {
	callID        string
	local, remote string // name-addr with tag, as From or To carries it
	remoteTag     string
	target        sip.Uri   // the peer's Contact: changes with each target refresh
	routes        []sip.Uri // never change once the dialog stands (sip:P13)
	localSeq      uint32
	remoteSeq     uint32
	haveRemoteSeq bool

	transport string         // "UDP", "TCP", "TLS"
	host      string         // of the gateway called, which its certificate has to be for
	sips      bool           // the Request-URI was sips: so is our Contact (RFC 3261 section 12.1.1)
	source    netip.AddrPort // where the peer spoke from: its INVITE's source, or the gateway called
	local4    netip.AddrPort // our UDP socket
}

// newTag is 64 random bits; newCallID 128.
func newTag() string    { return randomHex(8) }
func newBranch() string { return "z9hG4bK" + randomHex(10) }
func newCallID() string { return randomHex(16) }

// ackBranch is the branch of the ACK to a 2xx, the same each time the 2xx comes: so a
// peer sees that the ACK is repeated too.
func (d *dialog) ackBranch(localTag string, seq uint32) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{d.callID, localTag, d.remoteTag, strconv.Itoa(int(seq))}, "\x00")))
	return "z9hG4bK" + hex.EncodeToString(sum[:10])
}

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// uasDialog is the dialog that an INVITE to us begins.
func uasDialog(req *sip.Request, localTag string, m *message) dialog {
	d := dialog{
		callID: req.CallID().Value(), transport: m.transport, source: m.from, local4: m.local,
		remote: req.From().Value(), remoteSeq: req.CSeq().SeqNo, haveRemoteSeq: true,
	}
	d.remoteTag, _ = req.From().Params.Get("tag")
	d.sips = req.Recipient.Scheme == "sips"
	to := *req.To()
	to.Params = to.Params.Clone()
	to.Params.Add("tag", localTag)
	d.local = to.Value()
	for _, h := range req.GetHeaders("Record-Route") {
		if rr, ok := h.(*sip.RecordRouteHeader); ok {
			d.routes = append(d.routes, *rr.Address.Clone())
		}
	}
	if c := req.Contact(); c != nil {
		d.target = *c.Address.Clone()
	} else { // RFC 2543
		d.target = *req.From().Address.Clone()
	}
	return d
}

// confirm makes the dialog of an answer to our INVITE: routes are the recorded
// ones backwards (RFC 3261 section 12.1.2).
func (d *dialog) confirm(res *sip.Response) {
	d.remote = res.To().Value()
	d.remoteTag, _ = res.To().Params.Get("tag")
	d.routes = d.routes[:0:0]
	recorded := res.GetHeaders("Record-Route")
	for i := len(recorded) - 1; i >= 0; i-- {
		if rr, ok := recorded[i].(*sip.RecordRouteHeader); ok {
			d.routes = append(d.routes, *rr.Address.Clone())
		}
	}
	d.refresh(res.Contact())
}

// refresh takes a new remote target (RFC 3261 section 12.2): the route set stays.
func (d *dialog) refresh(c *sip.ContactHeader) {
	if c != nil && c.Address.Host != "" && !c.Address.Wildcard {
		d.target = *c.Address.Clone()
	}
}

// request builds a request in the dialog with a number of its own.
func (d *dialog) request(method sip.RequestMethod) *sip.Request {
	d.localSeq++
	return d.numbered(method, d.localSeq)
}

// numbered builds a request in the dialog: the ACK of a 2xx has its INVITE's
// number.
func (d *dialog) numbered(method sip.RequestMethod, seq uint32) *sip.Request {
	uri := *d.target.Clone()
	uri.Headers = nil
	routes := d.routes
	if len(routes) > 0 && !loose(&routes[0]) {
		// A strict router wants itself in the Request-URI and the target at the
		// end of the route (RFC 3261 section 12.2.1.1).
		uri = *routes[0].Clone()
		uri.Headers = nil
		routes = append(append([]sip.Uri(nil), routes[1:]...), d.target)
	}
	req := sip.NewRequest(method, uri)
	for i := range routes {
		req.AppendHeader(&sip.RouteHeader{Address: *routes[i].Clone()})
	}
	appendParties(req, d.local, d.remote)
	callID := sip.CallIDHeader(d.callID)
	req.AppendHeader(&callID)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: seq, MethodName: method})
	hops := sip.MaxForwardsHeader(70)
	req.AppendHeader(&hops)
	return req
}

// appendParties adds From and To.
func appendParties(req *sip.Request, local, remote string) {
	from, to := &sip.FromHeader{}, &sip.ToHeader{}
	from.DisplayName, _ = sip.ParseAddressValue(local, &from.Address, &from.Params)
	to.DisplayName, _ = sip.ParseAddressValue(remote, &to.Address, &to.Params)
	req.AppendHeader(from)
	req.AppendHeader(to)
}

// loose reports whether a route keeps the Request-URI alone.
func loose(u *sip.Uri) bool {
	for _, p := range u.UriParams {
		if strings.EqualFold(p.K, "lr") {
			return true
		}
	}
	return false
}

// nextHop is the URI a request in the dialog goes to first.
func (d *dialog) nextHop() *sip.Uri {
	if len(d.routes) > 0 {
		return &d.routes[0]
	}
	return &d.target
}

// transportOf is the transport a URI asks for, def if it does not say.
func transportOf(u *sip.Uri, def string) string {
	if u.Scheme == "sips" {
		return "TLS"
	}
	for _, p := range u.UriParams {
		if strings.EqualFold(p.K, "transport") {
			switch t := strings.ToUpper(p.V); t {
			case "UDP", "TCP", "TLS":
				return t
			}
		}
	}
	return def
}

// behind reports whether addr cannot be where a peer that speaks from source
// is: a private address told from outside (section 5.1: NAT).
func behind(addr, source netip.Addr) bool {
	if addr == source || !source.IsValid() {
		return false
	}
	inner := func(a netip.Addr) bool {
		return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() || a.IsMulticast()
	}
	return inner(addr) && (!inner(source) || addr.IsLoopback() != source.IsLoopback())
}

// errAddress is what a destination is that cannot be spoken to.
var errAddress = errors.New("sip: no address to send to")

// parseURI reads a SIP URI that we are to send to or about.
func parseURI(s string) (sip.Uri, error) {
	var u sip.Uri
	if !printable(s) || strings.ContainsAny(s, " \t<>\"\\") {
		return u, fmt.Errorf("sip: URI %q: has a character that may not stand in one", s)
	}
	if err := sip.ParseUri(s, &u); err != nil {
		return u, fmt.Errorf("sip: URI %q: %w", s, err)
	}
	if (u.Scheme != "sip" && u.Scheme != "sips") || u.Host == "" || u.Wildcard {
		return u, fmt.Errorf("sip: URI %q: want sip:user@host", s)
	}
	return u, nil
}

// hostPort writes an address for a URI or a Via.
func hostPort(host string, port int) string {
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		host = "[" + host + "]"
	}
	if port == 0 {
		return host
	}
	return host + ":" + strconv.Itoa(port)
}
