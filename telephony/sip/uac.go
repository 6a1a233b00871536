package sip

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/telephony"
)

// attempts are the INVITEs of one dialled call: to one gateway after the
// other, and again with credentials.
type attempts struct {
	left      []gateway // not tried yet
	dest      telephony.Destination
	rang      bool
	retries   int                        // with credentials
	early     string                     // To tag of the early dialog we listen to
	stopRing  func()                     // timer: nobody answers
	stopNext  func()                     // timer: no answer of any kind, try the next gateway
	stopWatch func()                     // of the caller's context
	last      telephony.Cause            // of the gateway tried last
	acked     map[string]telephony.Cause // forks that were ended, by To tag
}

// attempt is one INVITE. Until its final response it may still become a call,
// whatever we have decided meanwhile (sip:P1).
type attempt struct {
	req       *sip.Request
	to        netip.AddrPort
	transport string
	branch    string
	seq       uint32
	heard     bool // a provisional response came: CANCEL may be sent
	unwanted  bool // nobody waits for it any more
	cancelled bool
	final     bool
}

// invite sends the INVITE to the next gateway that can be reached.
func (g *leg) inviteNext() {
	for len(g.attempts.left) > 0 {
		gw := g.attempts.left[0]
		g.attempts.left = g.attempts.left[1:]
		if err := g.inviteVia(gw); err != nil {
			g.log.Warn("sip: call attempt", zap.String("gateway", gw.host), zap.Error(err))
			g.attempts.last = telephony.Cause{Reason: telephony.ReasonCongestion, Text: err.Error()}
			continue
		}
		return
	}
	c := g.attempts.last
	if c.Reason == "" {
		c = telephony.Cause{Reason: telephony.ReasonCongestion, Text: "no gateway"}
	}
	g.end(c)
}

func (g *leg) inviteVia(gw gateway) error {
	to, err := resolve(g.ctx, gw.host, gw.port, gw.transport)
	if err != nil {
		return err
	}
	d := &g.dialog
	d.transport, d.source = gw.transport, to
	if d.local4, err = g.localSocket(gw.transport, to.Addr()); err != nil {
		return err
	}
	if g.media == nil {
		codecs := g.attempts.dest.Codecs
		if codecs == nil && g.trunk != nil {
			codecs = g.trunk.Codecs
		}
		if err := g.openMedia(to.Addr(), d.local4.Addr(), codecs); err != nil {
			return err
		}
	}
	if d.local == "" {
		d.callID = g.callID
		if d.local, err = g.fromAddress(to); err != nil {
			return err
		}
	}
	d.remote = "<" + gw.uri.String() + ">"
	d.target, d.routes = gw.uri, nil
	req := d.request(sip.INVITE)
	for name, value := range g.attempts.dest.Headers {
		req.AppendHeader(sip.NewHeader(name, value))
	}
	req.AppendHeader(sip.NewHeader("Contact", g.contact()))
	req.AppendHeader(sip.NewHeader("Allow", allow))
	req.AppendHeader(sip.NewHeader("Accept", "application/sdp"))
	req.AppendHeader(sip.NewHeader("Content-Type", "application/sdp"))
	req.SetBody(g.media.neg.Offer())
	g.mu.Lock()
	g.info.Transport = "sip/" + lower(gw.transport)
	g.mu.Unlock()
	if gw.transport == "TCP" {
		g.u.legs.attach(g, to)
	}
	return g.sendInvite(req, to, gw.transport)
}

// sendInvite starts an attempt.
func (g *leg) sendInvite(req *sip.Request, to netip.AddrPort, transport string) error {
	a := &attempt{req: req, to: to, transport: transport, branch: newBranch(), seq: req.CSeq().SeqNo}
	g.befriend(to.Addr())
	g.dress(req)
	g.trace("out", sip.INVITE, 0, a.seq)
	err := g.start(req, to, transport, a.branch,
		func(res *sip.Response) { g.onAgain(a, res) },
		func(res *sip.Response, err error) { g.onAnswer(a, res, err) })
	if err != nil {
		return err
	}
	g.hold() // until its final response
	g.attempt, g.state = a, stateRinging
	if len(g.attempts.left) > 0 {
		// The transaction's own patience is 64*T1: too long with another way to go.
		g.attempts.stopNext = g.after(g.u.cfg.Retry, func() {
			if !a.heard && !a.final {
				g.drop(a)
				g.attempts.last = telephony.Cause{Reason: telephony.ReasonCongestion, Text: "no answer from " + to.String()}
				g.inviteNext()
			}
		})
	}
	return nil
}

// onAnswer is a response to an INVITE that began a call, or its failure.
func (g *leg) onAnswer(a *attempt, res *sip.Response, err error) {
	if a.final {
		return
	}
	if err == nil && res.StatusCode < 200 {
		g.onProvisional(a, res)
		return
	}
	a.final = true
	g.release()
	wanted := !a.unwanted && g.attempt == a && g.state == stateRinging
	if wanted && g.attempts.stopNext != nil {
		g.attempts.stopNext()
	}
	switch {
	case err == nil && res.StatusCode < 300 && wanted:
		g.established(a, res)
	case err == nil && res.StatusCode < 300:
		g.endFork(a, res)
	case !wanted:
	case err != nil:
		g.attempts.last = telephony.Cause{Reason: telephony.ReasonCongestion, Text: err.Error()}
		g.inviteNext()
	default:
		g.refused(a, res)
	}
}

func (g *leg) onProvisional(a *attempt, res *sip.Response) {
	a.heard = true
	if a.unwanted {
		g.sendCancel(a)
		return
	}
	if g.attempt != a || g.state != stateRinging {
		return
	}
	if g.attempts.stopNext != nil {
		g.attempts.stopNext()
	}
	body := res.Body()
	rings := res.StatusCode == 180 || res.StatusCode == 183 && len(body) == 0
	if rings && !g.attempts.rang {
		g.attempts.rang = true
		g.emit(telephony.Ringing{})
	}
	if len(body) == 0 || res.StatusCode == 100 {
		return
	}
	n, err := g.media.neg.Accept(body)
	if err != nil {
		return // the 200 may bring a better one
	}
	tag := ""
	if to := res.To(); to != nil {
		tag, _ = to.Params.Get("tag")
	}
	g.agree(n)
	if err := g.apply(); err == nil && g.attempts.early != tag {
		g.attempts.early = tag
		g.emit(telephony.EarlyMedia{})
	}
}

// established is the answer to our call.
func (g *leg) established(a *attempt, res *sip.Response) {
	g.dialog.confirm(res)
	g.mu.Lock()
	g.remoteTag = g.dialog.remoteTag
	g.mu.Unlock()
	if h := res.GetHeader("Allow"); h != nil {
		g.peerCan = h.Value()
	}
	g.sendAck(&g.dialog, a.seq, nil)
	var err error
	if body := res.Body(); len(body) > 0 {
		n, bad := g.media.neg.Accept(body)
		if err = bad; err == nil {
			g.agree(n)
		}
	} else if !g.media.agreed {
		err = fmt.Errorf("sip: the answer has no session description")
	}
	if err == nil {
		err = g.apply()
	}
	if err != nil {
		cause := telephony.Cause{Reason: telephony.ReasonNoCodec, Text: err.Error()}
		g.bye(cause)
		g.end(cause)
		return
	}
	for _, stop := range []func(){g.attempts.stopRing, g.attempts.stopWatch} {
		if stop != nil {
			stop()
		}
	}
	g.state = stateUp
	g.emit(telephony.Answered{})
	g.hear()
}

// onAgain is a 2xx behind the first: our ACK was lost, or another branch of a
// fork answered.
func (g *leg) onAgain(a *attempt, res *sip.Response) {
	tag := ""
	if to := res.To(); to != nil {
		tag, _ = to.Params.Get("tag")
	}
	if tag == g.dialog.remoteTag && tag != "" {
		g.sendAck(&g.dialog, a.seq, nil)
		return
	}
	g.endFork(a, res)
}

// endFork acknowledges a 2xx that nobody wants and ends what it began
// (sip:P1, section 4.4): once by BYE, each time by ACK.
func (g *leg) endFork(a *attempt, res *sip.Response) {
	if res.To() == nil {
		return
	}
	d := g.dialog
	d.target = a.req.Recipient
	d.localSeq = a.seq
	d.confirm(res)
	g.sendAck(&d, a.seq, nil)
	if g.attempts.acked == nil {
		g.attempts.acked = map[string]telephony.Cause{}
	}
	if _, done := g.attempts.acked[d.remoteTag]; !done {
		cause := telephony.Cause{Reason: telephony.ReasonCancelled}
		g.attempts.acked[d.remoteTag] = cause
		g.byeOn(&d, cause)
	}
}

// refused is a failure of the attempt that counts.
func (g *leg) refused(a *attempt, res *sip.Response) {
	status := res.StatusCode
	cause := telephony.Cause{Reason: telephony.ReasonOf(status), Status: status, Text: clean(res.Reason), Remote: true}
	if (status == 401 || status == 407) && g.attempts.retries < 2 {
		again := g.dialog.retrial(a.req)
		if err := g.authorize(again, res, a.to.Addr()); err == nil {
			g.attempts.retries++
			if err := g.sendInvite(again, a.to, a.transport); err == nil {
				return
			}
		} else {
			cause.Text = err.Error()
		}
	}
	if status == 401 || status == 407 {
		cause.Reason = telephony.ReasonRejected
	}
	if (status == 503 || status == 408 || status == 500 || status == 502 || status == 504) && len(g.attempts.left) > 0 {
		g.attempts.last = cause
		g.inviteNext()
		return
	}
	g.end(cause)
}

// abandon is the end of a call that nobody answered yet.
func (g *leg) abandon(c telephony.Cause) {
	if g.attempt != nil {
		g.drop(g.attempt)
	}
	g.end(c)
}

// drop makes an attempt unwanted. CANCEL goes out only once the peer was heard
// (RFC 3261 section 9.1); a 2xx that crosses it is acknowledged and ended.
func (g *leg) drop(a *attempt) {
	if a.unwanted || a.final {
		return
	}
	a.unwanted = true
	if a.heard {
		g.sendCancel(a)
	}
	g.after(64*g.u.cfg.t1+g.u.cfg.t1, func() {
		if !a.final {
			a.final = true
			g.release()
		}
	})
}

// sendCancel cancels an attempt: the INVITE's own route, branch and number
// (RFC 3261 section 9.1).
func (g *leg) sendCancel(a *attempt) {
	if a.cancelled || a.final {
		return
	}
	a.cancelled = true
	req := sip.NewRequest(sip.CANCEL, *a.req.Recipient.Clone())
	for _, h := range a.req.GetHeaders("Route") {
		req.AppendHeader(sip.HeaderClone(h))
	}
	appendParties(req, a.req.From().Value(), a.req.To().Value())
	callID := sip.CallIDHeader(g.callID)
	req.AppendHeader(&callID)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: a.seq, MethodName: sip.CANCEL})
	hops := sip.MaxForwardsHeader(70)
	req.AppendHeader(&hops)
	g.dress(req)
	g.trace("out", sip.CANCEL, 0, a.seq)
	g.hold()
	err := g.start(req, a.to, a.transport, a.branch, nil, func(res *sip.Response, _ error) {
		if res == nil || res.StatusCode >= 200 {
			g.release()
		}
	})
	if err != nil {
		g.release()
	}
}

// watchContext cancels the call when the dialler's context ends before the
// answer.
func (g *leg) watchContext(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() {
		g.post(func() {
			if g.state == stateNew || g.state == stateRinging {
				g.abandon(telephony.Cause{Reason: telephony.ReasonCancelled, Text: "cancelled by the dialler"})
			}
		})
	})
	g.attempts.stopWatch = func() { stop() }
}

// ringTimer ends a call that nobody answers.
func (g *leg) ringTimer(d time.Duration) {
	g.attempts.stopRing = g.after(d, func() {
		if g.state == stateNew || g.state == stateRinging {
			text := "nobody answered within " + d.String()
			g.abandon(telephony.Cause{Reason: telephony.ReasonNoAnswer, Status: 408, Text: text})
		}
	})
}
