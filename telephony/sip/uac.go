package sip

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/sdp"
)

// attempts are the INVITEs of one dialled call: to one gateway after the
// other, and again with credentials.
type attempts struct {
	left      []gateway // not tried yet
	at        *gateway  // tried last
	dest      telephony.Destination
	extra     []field // of each INVITE
	rang      bool
	retries   int                        // with credentials
	redirects int                        // targets that 3xx answers named
	tried     map[string]bool            // Request-URIs
	branches  map[string]*branch         // early dialogs, by To tag
	early     string                     // of the one heard of last
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
	ahead     uint32      // how many requests may have followed it in its early dialogs that we know nothing of
	heard     bool        // a provisional response came: CANCEL may be sent
	unwanted  bool        // nobody waits for it any more
	uncut     func() bool // forgets the connection it went over
	cancelled bool
	final     bool
}

// invite sends the INVITE to the next gateway that can be reached.
func (g *leg) inviteNext() {
	for len(g.attempts.left) > 0 {
		gw := g.attempts.left[0]
		g.attempts.left = g.attempts.left[1:]
		if err := g.inviteVia(&gw); err != nil {
			g.u.keepers.tried(g.trunk, &gw, err.Error())
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

func (g *leg) inviteVia(gw *gateway) (err error) {
	if !gw.at.IsValid() { // of a redirection
		if gw.transport == "" {
			gw.transport = "UDP"
		}
		if gw.at, err = g.u.resolve(g.ctx, gw.host, gw.port, gw.transport); err != nil {
			return err
		}
	}
	to := gw.at
	d := &g.dialog
	d.transport, d.source, d.host = gw.transport, to, gw.host
	d.sips = gw.uri.Scheme == "sips"
	if g.gateway = to.Addr(); gw.foreign {
		g.gateway = netip.Addr{}
	}
	if d.local4, err = g.localSocket(gw.transport, to.Addr()); err != nil {
		return err
	}
	if err := g.open(to, gw.transport, gw.host); err != nil { // whose port Contact may tell
		return err
	}
	if g.media == nil {
		codecs := g.attempts.dest.Codecs
		if codecs == nil && g.trunk != nil {
			codecs = g.trunk.Codecs
		}
		codecs = preferred(codecs, g.attempts.dest.Prefer)
		if err := g.openMedia(to.Addr(), d.local4.Addr(), codecs); err != nil {
			return err
		}
	}
	if d.local == "" {
		d.callID = g.callID
		d.local = g.fromAddress(to)
	}
	d.remote = "<" + gw.uri.String() + ">"
	d.target, d.routes = gw.uri, nil
	g.attempts.branches, g.attempts.early = nil, ""
	if gw.route != nil {
		d.routes = []sip.Uri{*gw.route}
	}
	req := d.request(sip.INVITE)
	of := g.trunk
	if gw.foreign { // what is for the carrier is for no other host (RFC 3325 section 9.1)
		of = nil
	}
	for _, f := range carries(of, &g.attempts.dest, g.hostFacing(to)) {
		req.AppendHeader(sip.NewHeader(f.name, f.value))
	}
	for _, f := range g.attempts.extra {
		req.AppendHeader(sip.NewHeader(f.name, f.value))
	}
	for name, value := range g.attempts.dest.Headers {
		req.AppendHeader(sip.NewHeader(name, value))
	}
	if of != nil {
		for name, value := range of.Headers {
			if req.GetHeader(name) == nil {
				req.AppendHeader(sip.NewHeader(name, value))
			}
		}
	}
	req.AppendHeader(sip.NewHeader("Contact", g.contact()))
	req.AppendHeader(sip.NewHeader("Allow", g.allows()))
	g.propose(req)
	req.AppendHeader(sip.NewHeader("Accept", "application/sdp"))
	req.AppendHeader(sip.NewHeader("Content-Type", "application/sdp"))
	req.SetBody(g.media.neg.Offer())
	g.mu.Lock()
	g.info.Transport = "sip/" + lower(gw.transport)
	g.mu.Unlock()
	if gw.transport != "UDP" {
		g.u.legs.attach(g, to)
	}
	g.attempts.at = gw
	return g.sendInvite(req, to, gw.transport)
}

// defaultCodecs are those of a call that names none.
var defaultCodecs = []string{sdp.PCMU.Name, sdp.PCMA.Name, sdp.G722.Name}

// preferred are codecs with one of them put first.
func preferred(codecs []string, first string) []string {
	if codecs == nil {
		codecs = defaultCodecs
	}
	i := slices.IndexFunc(codecs, func(c string) bool { return strings.EqualFold(c, first) })
	if i <= 0 {
		return codecs
	}
	return append([]string{codecs[i]}, slices.Delete(slices.Clone(codecs), i, i+1)...)
}

// sendInvite starts an attempt.
func (g *leg) sendInvite(req *sip.Request, to netip.AddrPort, transport string) error {
	if err := g.open(to, transport, g.dialog.host); err != nil {
		return err
	}
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
	if s := g.u.connection(transport, to); s != nil {
		a.uncut = context.AfterFunc(s.over, func() { g.post(func() { g.cut(a, context.Cause(s.over)) }) })
	} else if transport != "UDP" {
		g.post(func() { g.cut(a, net.ErrClosed) })
	}
	if len(g.attempts.left) > 0 {
		// The transaction's own patience is 64*T1: too long with another way to go.
		g.attempts.stopNext = g.after(g.u.cfg.Retry, func() {
			if !a.heard && !a.final && !a.unwanted { // else another is under way already
				g.drop(a)
				g.attempts.last = telephony.Cause{Reason: telephony.ReasonCongestion, Text: "no answer from " + to.String()}
				g.u.keepers.tried(g.trunk, g.attempts.at, g.attempts.last.Text)
				g.inviteNext()
			}
		})
	}
	return nil
}

// forget lets go of the connection of an attempt that is decided.
func (a *attempt) forget() {
	if a.uncut != nil {
		a.uncut()
	}
}

// cut is the end of the connection that an attempt went over. Where nothing was
// heard yet nobody will know of it: the next gateway is tried.
func (g *leg) cut(a *attempt, why error) {
	if a.final || a.heard || a.unwanted || g.state != stateRinging {
		return
	}
	g.drop(a)
	g.attempts.last = telephony.Cause{
		Reason: telephony.ReasonCongestion, Text: "connection to " + a.to.String() + " lost: " + why.Error(),
	}
	g.inviteNext()
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
	a.forget()
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
		g.u.keepers.tried(g.trunk, g.attempts.at, err.Error())
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
	b := g.branchOf(res)
	if !g.confirmed(b, res, a.seq) {
		return
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
	if b != nil {
		tag, b.answer, b.media = b.remoteTag, body, n.Remote
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
	for _, h := range res.GetHeaders("Supported") {
		g.replaceable = g.replaceable || strings.Contains(lower(h.Value()), "replaces")
	}
	g.mu.Unlock()
	if h := res.GetHeader("Allow"); h != nil {
		g.peerCan = h.Value()
	}
	g.sendAck(&g.dialog, a.seq, nil)
	g.granted(res)
	body := res.Body()
	if b := g.attempts.branches[g.dialog.remoteTag]; b != nil {
		g.dialog.remoteSeq, g.dialog.haveRemoteSeq = b.remoteSeq, b.haveRemoteSeq
		switch {
		case b.offers:
			body = nil // offer and answer are complete: RFC 6337 section 3.1.1
		case len(body) == 0 && g.attempts.early != b.remoteTag:
			body = b.answer // it came before
		}
	}
	g.attempts.branches = nil
	var err error
	if len(body) > 0 {
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
		cause := mediaCause(err)
		g.bye(cause)
		g.end(cause)
		return
	}
	for _, stop := range []func(){g.attempts.stopRing, g.attempts.stopWatch} {
		if stop != nil {
			stop()
		}
	}
	g.up()
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
	d.localSeq = a.seq + a.ahead
	d.confirm(res)
	_, done := g.attempts.acked[d.remoteTag]
	if !done && len(g.attempts.acked) >= branchesMax {
		return // no fork has so many: each would have us send to where its Contact says
	}
	g.sendAck(&d, a.seq, nil)
	if g.attempts.acked == nil {
		g.attempts.acked = map[string]telephony.Cause{}
	}
	if !done {
		cause := telephony.Cause{Reason: telephony.ReasonCancelled}
		g.attempts.acked[d.remoteTag] = cause
		g.byeOn(&d, cause)
	}
}

// refused is a failure of the attempt that counts.
func (g *leg) refused(a *attempt, res *sip.Response) {
	status := res.StatusCode
	cause := telephony.Cause{Reason: telephony.ReasonOf(status), Status: status, Text: clean(res.Reason), Remote: true}
	if (status == 401 || status == 407) && g.attempts.retries < maxChallenges {
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
	if status == 422 && g.tooBrief(res) {
		again := g.dialog.retrial(a.req)
		g.propose(again)
		if err := g.sendInvite(again, a.to, a.transport); err == nil {
			return
		}
	}
	if status < 400 {
		why, follow := g.redirect(res)
		if follow {
			g.attempts.last = cause
			g.inviteNext()
			return
		}
		if why != "" {
			cause.Text = why
		}
	}
	next := status == 503 || status == 408 || status == 500 || status == 502 || status == 504 ||
		g.attempts.redirects > 0 && status < 600 // RFC 3261 section 8.1.3.4
	if next && len(g.attempts.left) > 0 && !g.attempts.rang { // a telephone that rang shall not ring twice
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
	a.forget()
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
	g.hold()
	err := g.startCancel(a, func(res *sip.Response, _ error) {
		if res == nil || res.StatusCode >= 200 {
			g.release()
		}
	})
	if err != nil {
		g.release()
	}
}

func (g *leg) startCancel(a *attempt, on func(*sip.Response, error)) error {
	req := a.beside(sip.CANCEL, a.req.To().Value())
	g.dress(req)
	g.trace("out", sip.CANCEL, 0, a.seq)
	return g.start(req, a.to, a.transport, a.branch, nil, on)
}

// beside is a request that goes by the INVITE's own route, branch and number:
// CANCEL, and the ACK of a refusal (RFC 3261 sections 9.1 and 17.1.1.3).
func (a *attempt) beside(method sip.RequestMethod, to string) *sip.Request {
	req := sip.NewRequest(method, *a.req.Recipient.Clone())
	for _, h := range a.req.GetHeaders("Route") {
		req.AppendHeader(sip.HeaderClone(h))
	}
	appendParties(req, a.req.From().Value(), to)
	callID := sip.CallIDHeader(a.req.CallID().Value())
	req.AppendHeader(&callID)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: a.seq, MethodName: method})
	hops := sip.MaxForwardsHeader(70)
	req.AppendHeader(&hops)
	return req
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
