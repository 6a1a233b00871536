package sip

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// errNoResponse is a request that nobody answered.
var errNoResponse = errors.New("sip: no response")

// way finds where a request in the dialog goes. Over a connection it is the
// one the call came over, while that stands (sip:P12).
func (g *leg) way(d *dialog) (netip.AddrPort, string, error) {
	if d.transport != "UDP" && g.u.connection(d.transport, d.source) != nil {
		return d.source, d.transport, nil
	}
	hop := d.nextHop()
	transport := transportOf(hop, d.transport)
	if d.transport == "TLS" {
		transport = "TLS" // never on in the clear
	}
	to, err := g.u.resolve(context.Background(), hop.Host, hop.Port, transport)
	if err != nil {
		return to, transport, err
	}
	// The gateway that we called listens where it did; of who called us over a
	// connection only the Contact is known.
	known := transport == "UDP" || g.direction == telephony.Outbound
	if known && transport == d.transport && behind(to.Addr(), d.source.Addr()) {
		to = d.source
	}
	if !to.Addr().IsValid() || to.Port() == 0 {
		return to, transport, errAddress
	}
	if err := g.open(to, transport, hop.Host); err != nil {
		return to, transport, err
	}
	if transport != "UDP" && transport == d.transport { // the dialog's was cut: this is its next
		d.source = to
		g.u.legs.attach(g, to)
	}
	return to, transport, nil
}

// open makes sure of a connection over TLS for what goes to that address; TCP
// needs to know no more than the address.
func (g *leg) open(to netip.AddrPort, transport, host string) error {
	if transport != "TLS" {
		return nil
	}
	var trust *trunk.Trust
	if g.trunk != nil {
		trust = g.trunk.Trust
	}
	return g.u.secure(to, host, trust)
}

// follow takes the connection that the peer speaks over now for that of the
// dialog (sip:P12).
func (g *leg) follow(from netip.AddrPort, transport string) {
	select {
	case <-g.over:
		return // nothing is held any more
	default:
	}
	if transport != g.dialog.transport || from == g.dialog.source {
		return
	}
	g.dialog.source = from
	g.u.legs.attach(g, from)
}

// befriend lets messages of addr in while the leg lives.
func (g *leg) befriend(addr netip.Addr) {
	g.mu.Lock()
	_, have := g.friends[addr]
	if !have {
		if g.friends == nil {
			g.friends = map[netip.Addr]struct{}{}
		}
		g.friends[addr] = struct{}{}
	}
	g.mu.Unlock()
	if !have {
		g.u.peers.add(addr)
	}
}

// do sends a request in the dialog and calls done with its final response. It
// answers a challenge where the call is ours, and one more if its nonce was
// stale (SEC-4).
func (g *leg) do(d *dialog, req *sip.Request, done func(*sip.Response, error)) {
	g.try(d, req, maxChallenges, nil, done)
}

// maxChallenges are answered for one request.
const maxChallenges = 2

func (g *leg) try(d *dialog, req *sip.Request, left int, twice func(*sip.Response), done func(*sip.Response, error)) {
	to, transport, err := g.way(d)
	if err != nil {
		done(nil, err)
		return
	}
	g.befriend(to.Addr())
	g.trace("out", req.Method, 0, req.CSeq().SeqNo)
	g.dress(req)
	err = g.start(req, to, transport, newBranch(), twice, func(res *sip.Response, err error) {
		switch {
		case err != nil:
			done(nil, err)
		case res.StatusCode < 200:
		case (res.StatusCode == 401 || res.StatusCode == 407) && left > 0 && g.direction == telephony.Outbound:
			second := d.retrial(req)
			if err := g.authorize(second, res, to.Addr()); err != nil {
				done(res, nil)
				return
			}
			g.try(d, second, left-1, twice, done)
		default:
			done(res, nil)
		}
	})
	if err != nil {
		done(nil, err)
	}
}

// retrial is the request again under a new number: same Call-ID and tags
// (RFC 3261 section 22.2).
func (d *dialog) retrial(req *sip.Request) *sip.Request {
	again := req.Clone()
	for again.RemoveHeader("Via") {
	}
	d.localSeq++
	again.ReplaceHeader(&sip.CSeqHeader{SeqNo: d.localSeq, MethodName: req.Method})
	return again
}

// dress adds what every request of ours carries.
func (g *leg) dress(req *sip.Request) {
	if req.GetHeader("User-Agent") == nil {
		req.AppendHeader(sip.NewHeader("User-Agent", g.u.cfg.Name))
	}
	if req.ContentLength() == nil {
		req.SetBody(req.Body())
	}
}

// start runs a client transaction. on is called on the leg's goroutine with
// each response, and once with an error if no final one comes. again gets
// every further 2xx to an INVITE.
func (g *leg) start(req *sip.Request, to netip.AddrPort, transport, branch string,
	again func(*sip.Response), on func(*sip.Response, error),
) error {
	if err := g.u.address(req, to, transport, branch, g.dialog.local4); err != nil {
		return err
	}
	var repeated func(*sip.Response)
	if again != nil {
		local4 := g.dialog.local4
		repeated = func(res *sip.Response) {
			if g.postMessage(func() { again(res) }) {
				return
			}
			select {
			case <-g.over:
				g.u.stray(req, res, local4)
			default: // the leg is swamped: it comes once more
			}
		}
	}
	g.u.wg.Add(1) // the leg itself is counted in, so Serve is not past its Wait
	tx, err := g.u.stack.request(req, repeated)
	if err != nil {
		g.u.wg.Done()
		return fmt.Errorf("sip: send %s to %s: %w", req.Method, to, err)
	}
	go g.watch(req.Method, tx, on)
	return nil
}

// watch brings what a client transaction says to the leg, up to the final
// response. Every response it offers has to be taken, or it would block.
func (g *leg) watch(method sip.RequestMethod, tx transaction, on func(*sip.Response, error)) {
	defer g.u.wg.Done()
	for {
		select {
		case res := <-tx.Responses():
			told := func() {
				g.trace("in", method, res.StatusCode, seqOf(res))
				on(res, nil)
			}
			if res.StatusCode < 200 {
				g.postMessage(told)
				continue
			}
			g.post(told)
			if method != sip.INVITE {
				tx.Terminate() // a repeated answer is dropped as well without it
			}
			return
		case <-tx.Done():
			err := tx.Err()
			if err == nil {
				err = errNoResponse
			}
			g.post(func() { on(nil, err) })
			return
		case <-g.over:
			tx.Terminate()
			return
		}
	}
}

func seqOf(res *sip.Response) uint32 {
	if c := res.CSeq(); c != nil {
		return c.SeqNo
	}
	return 0
}

// bye ends the dialog at the peer's side.
func (g *leg) bye(c telephony.Cause) { g.byeOn(&g.dialog, c) }

func (g *leg) byeOn(d *dialog, c telephony.Cause) {
	g.hold()
	g.do(d, d.request(sip.BYE), func(_ *sip.Response, err error) {
		if err != nil {
			g.log.Debug("sip: BYE", zap.String("reason", string(c.Reason)), zap.Error(err))
		}
		g.release()
	})
}

// sendAck acknowledges a 2xx: a request of its own, with the number of its
// INVITE (RFC 3261 section 13.2.2.4).
func (g *leg) sendAck(d *dialog, seq uint32, body []byte) {
	ack := d.numbered(sip.ACK, seq)
	ack.AppendHeader(sip.NewHeader("User-Agent", g.u.cfg.Name))
	if body != nil {
		ack.AppendHeader(sip.NewHeader("Content-Type", "application/sdp"))
	}
	ack.SetBody(body)
	to, transport, err := g.way(d)
	if err == nil {
		if g.auth != nil && to.Addr() == g.gateway { // the credentials of the INVITE: section 22.1
			ack.AppendHeader(sip.HeaderClone(g.auth))
		}
		g.befriend(to.Addr())
		err = g.u.address(ack, to, transport, d.ackBranch(g.localTag, seq), d.local4)
	}
	if err == nil {
		err = g.u.stack.send(ack)
	}
	if err != nil {
		g.log.Warn("sip: ACK", zap.Error(err))
	}
	g.trace("out", sip.ACK, 0, seq)
}

// stray is a 2xx that comes when its leg is gone: a branch of a fork that
// answered late, or a peer that missed the end. It is acknowledged and ended.
func (u *UserAgent) stray(invite *sip.Request, res *sip.Response, local4 netip.AddrPort) {
	to, from, callID, seq := res.To(), invite.From(), invite.CallID(), res.CSeq()
	if to == nil || from == nil || callID == nil || seq == nil {
		return
	}
	addr, err := netip.ParseAddrPort(invite.Destination())
	if err != nil {
		return
	}
	d := dialog{callID: callID.Value(), local: from.Value(), localSeq: seq.SeqNo, target: invite.Recipient}
	d.confirm(res)
	for _, req := range []*sip.Request{d.numbered(sip.ACK, seq.SeqNo), d.request(sip.BYE)} {
		req.SetBody(nil)
		if u.address(req, addr, invite.Transport(), newBranch(), local4) == nil {
			_ = u.stack.send(req)
		}
	}
}
