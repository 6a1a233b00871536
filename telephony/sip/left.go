package sip

import (
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/telephony"
)

// How dialogs and INVITEs are ended that a process before us left open.
const (
	leftEvery = 2 * time.Millisecond // from one BYE to the next: a thousand calls in 2 s
	leftTries = 3                    // where it cannot be sent
	leftPause = 2 * time.Second      // between them
)

// endLeft ends what a process before us left open: dialogs by BYE, INVITEs without
// a final response by CANCEL.
func (u *UserAgent) endLeft() {
	if u.cfg.Dialogs == nil {
		return
	}
	left := u.cfg.Dialogs.take()
	if len(left) == 0 {
		return
	}
	u.log.Warn("sip: calls that an earlier process left open are ended", zap.Int("calls", len(left)))
	pace := time.NewTicker(leftEvery)
	defer pace.Stop()
	for _, s := range left {
		select {
		case <-u.stop:
			return // the rest stays in the file
		case <-pace.C:
		}
		u.endOne(s)
	}
}

// endOne is a leg of which nothing is left but the dialog. It is there for its
// peer's requests too, until the BYE is answered.
func (u *UserAgent) endOne(s *standing) {
	d, err := s.dialog()
	if err != nil { // cannot be: the line was read so
		u.cfg.Dialogs.strike(s.Tag)
		return
	}
	direction := telephony.Inbound
	if s.Outbound {
		direction = telephony.Outbound
	}
	g := u.newLeg(direction)
	g.localTag, g.callID, g.remoteTag, g.gateway, g.dialog, g.kept = s.Tag, s.CallID, s.RemoteTag, s.Gateway, d, s
	g.info = telephony.Info{ID: s.Call, Direction: direction, Trunk: s.Trunk, SIPCallID: s.CallID, Received: time.Now()}
	g.trunk, _ = u.trunks.Load().Trunk(s.Trunk)
	g.log = u.log.With(zap.String("call_id", string(s.Call)), zap.String("trunk", string(s.Trunk)))
	if !u.enter() {
		return
	}
	u.legs.add(g)
	g.post(func() {
		if s.Branch != "" {
			g.cancelLeft(s)
		} else {
			g.sayBye(1)
		}
		g.end(telephony.Cause{Reason: telephony.ReasonFailed, Text: "the process that had the call is gone"})
	})
	go func() {
		defer u.wg.Done()
		g.run()
		u.legs.bury(g, "", 64*u.cfg.t1+time.Second)
	}()
}

// sayBye ends the dialog. Where the BYE cannot be sent, as before a network is
// up, it is tried again; where nobody answers, its transaction was patient enough.
func (g *leg) sayBye(try int) {
	g.hold()
	g.do(&g.dialog, g.dialog.request(sip.BYE), func(res *sip.Response, err error) {
		if err != nil && try < leftTries && !errors.Is(err, sip.ErrTransactionTimeout) {
			g.after(g.scaled(leftPause), func() {
				g.sayBye(try + 1)
				g.release()
			})
			return
		}
		status := 0
		if err == nil {
			status = res.StatusCode
		}
		g.logLeft("ended", status, err, zap.Int("tries", try))
		g.release()
	})
}

// logLeft tells what became of a call of an earlier process: how it was ended and
// by what answer, or why it may not be.
func (g *leg) logLeft(how string, status int, err error, more ...zap.Field) {
	hop := g.dialog.nextHop()
	fields := append([]zap.Field{
		zap.String("direction", string(g.direction)), zap.String("sip_call_id", clean(g.callID)),
		zap.String("peer", clean(hostPort(hop.Host, hop.Port))), zap.String("transport", lower(g.dialog.transport)),
	}, more...)
	if err != nil {
		g.log.Warn("sip: a call of an earlier process may be open at the peer", append(fields, zap.Error(err))...)
		return
	}
	g.log.Info("sip: a call of an earlier process is "+how, append(fields, zap.Int("status", status))...)
}

// cancelLeft ends an INVITE of which only is known how it was sent. It is
// cancelled whether or not the peer was heard, which RFC 3261 section 9.1 asks
// for so that CANCEL does not overtake its INVITE: that left long ago. A 2xx that
// came before, or crosses it, is acknowledged and ended by BYE.
func (g *leg) cancelLeft(s *standing) {
	a := &attempt{
		req: g.dialog.numbered(sip.INVITE, s.Seq), to: s.Source, transport: s.Transport, branch: s.Branch, seq: s.Seq,
		ahead: seqAhead, heard: true, unwanted: true, cancelled: true,
	}
	a.req.SetTransport(a.transport)
	a.req.SetDestination(a.to.String())
	g.attempt = a
	local4 := g.dialog.local4
	life := 64 * g.u.cfg.t1 // a 2xx is repeated for so long (section 13.3.1.4)
	g.u.unanswered.await(a.branch, life, func(res *sip.Response) {
		if g.postMessage(func() { g.onLeft(a, res) }) {
			return
		}
		select {
		case <-g.over:
			g.u.onStrayLeft(a, res, local4)
		default: // the leg is swamped: it comes once more
		}
	})
	g.hold() // until its final response
	answer, err := 0, error(nil)
	g.after(life, func() {
		if !a.final {
			a.final = true
			if answer == 0 && err == nil {
				err = errNoResponse
			}
			g.logLeft("cancelled", answer, err)
			g.release()
		}
	})
	g.sayCancel(a, 1, func(status int, why error) { answer, err = status, why })
}

// sayCancel cancels an INVITE of an earlier process, with the patience of sayBye.
func (g *leg) sayCancel(a *attempt, try int, done func(status int, err error)) {
	g.hold()
	on := func(res *sip.Response, err error) {
		switch {
		case err == nil && res.StatusCode < 200:
			return
		case err == nil:
			done(res.StatusCode, nil)
		case try < leftTries && !a.final && !errors.Is(err, sip.ErrTransactionTimeout):
			g.after(g.scaled(leftPause), func() {
				g.sayCancel(a, try+1, done)
				g.release()
			})
			return
		default:
			done(0, err)
		}
		g.release()
	}
	g.befriend(a.to.Addr())
	err := g.open(a.to, a.transport, g.dialog.host)
	if err == nil {
		err = g.startCancel(a, on)
	}
	if err != nil {
		on(nil, err)
	}
}

// onLeft is an answer to an INVITE of an earlier process.
func (g *leg) onLeft(a *attempt, res *sip.Response) {
	if res.StatusCode < 200 {
		return
	}
	how := "ended"
	if res.StatusCode < 300 {
		g.endFork(a, res)
	} else {
		how = "cancelled"
		g.u.ackRefusal(a, res, g.dialog.local4)
	}
	if !a.final {
		a.final = true
		g.logLeft(how, res.StatusCode, nil)
		g.release()
	}
}

// onStrayLeft is one that comes when its leg is gone: our ACK was lost, or another
// branch of a fork answered.
func (u *UserAgent) onStrayLeft(a *attempt, res *sip.Response, local4 netip.AddrPort) {
	switch {
	case res.StatusCode < 200:
	case res.StatusCode < 300:
		u.stray(a.req, res, local4)
	default:
		u.ackRefusal(a, res, local4)
	}
}

// ackRefusal acknowledges the refusal of an INVITE that has no transaction
// (RFC 3261 section 17.1.1.3).
func (u *UserAgent) ackRefusal(a *attempt, res *sip.Response, local4 netip.AddrPort) {
	if res.To() == nil {
		return
	}
	ack := a.beside(sip.ACK, res.To().Value())
	ack.SetBody(nil)
	if u.address(ack, a.to, a.transport, a.branch, local4) == nil {
		_ = u.stack.send(ack) // it is repeated with the refusal
	}
}

// unanswered are the INVITEs of an earlier process that answers may still come to,
// by their branch.
type unanswered struct {
	mu sync.Mutex // guards by
	by map[string]func(*sip.Response)
}

// await has answers to an INVITE told for a while.
func (w *unanswered) await(branch string, life time.Duration, on func(*sip.Response)) {
	w.mu.Lock()
	if w.by == nil {
		w.by = map[string]func(*sip.Response){}
	}
	w.by[branch] = on
	w.mu.Unlock()
	time.AfterFunc(life, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.by, branch)
	})
}

// unmatched is a response that no transaction waits for.
func (u *UserAgent) unmatched(res *sip.Response) {
	via, seq := res.Via(), res.CSeq()
	if via == nil || seq == nil || seq.MethodName != sip.INVITE {
		return
	}
	branch, _ := via.Params.Get("branch")
	w := &u.unanswered
	w.mu.Lock()
	on := w.by[branch]
	w.mu.Unlock()
	if on != nil {
		on(res)
	}
}
