package sip

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/patchcord/patchcord/telephony"
)

// reliable is a provisional response of ours that the caller has to confirm by
// PRACK (RFC 3262): one at a time, repeated until then.
type reliable struct {
	seq       uint32 // RSeq
	res       *sip.Response
	described bool // it carries our session description
	offers    bool // which is an offer: the PRACK brings the answer
	interval  time.Duration
	then      []func() // what goes out behind it

	stopResend, stopGiveUp func()
}

func (r *reliable) stop() {
	r.stopResend()
	r.stopGiveUp()
}

// early are an inbound call's provisional responses.
type early struct {
	required bool      // the caller wants each confirmed
	open     *reliable // not confirmed yet
	seq      uint32    // RSeq of the last, 0: none
	settled  bool      // a confirmed one carried our description: offer and answer are complete
}

// provisional sends a 18x, confirmed where the caller demands it, and calls
// done when it is out.
func (g *leg) provisional(status int, reason string, body []byte, done func(error)) {
	e := &g.early
	switch {
	case !e.required:
		done(g.answerWith(g.invite, status, reason, body))
		return
	case e.open != nil:
		e.open.then = append(e.open.then, func() { g.provisional(status, reason, body, done) })
		return
	case e.seq == 0:
		e.seq = rand.Uint32N(1<<31 - 1<<16) //nolint:gosec // no secret: RFC 3262 section 3
	}
	if e.settled {
		body = nil
	}
	e.seq++
	r := &reliable{seq: e.seq, described: body != nil, offers: body != nil && !g.media.agreed, interval: g.u.cfg.t1}
	r.res = g.response(g.invite.req, status, reason, body, field{"Require", "100rel"},
		field{"RSeq", strconv.FormatUint(uint64(r.seq), 10)})
	e.open = r
	g.trace("out", sip.INVITE, status, g.invite.req.CSeq().SeqNo)
	err := g.invite.tx.Respond(r.res)
	r.stopResend = g.after(r.interval, func() { g.again(r) })
	r.stopGiveUp = g.after(64*g.u.cfg.t1, func() {
		g.reject(telephony.Cause{Reason: telephony.ReasonFailed, Status: 504, Text: "no PRACK came"})
	})
	done(err)
}

// again repeats a provisional response: after T1, 2*T1, 4*T1 and so on.
func (g *leg) again(r *reliable) {
	_ = g.invite.tx.Respond(r.res)
	r.interval *= 2
	r.stopResend = g.after(r.interval, func() { g.again(r) })
}

// rack reads the RAck field: RSeq, CSeq number and method of what it confirms.
//
//	776656 1 INVITE
func rack(value string) (rseq, cseq uint32, method string, ok bool) {
	words := strings.Fields(value)
	if len(words) != 3 {
		return 0, 0, "", false
	}
	r, err := strconv.ParseUint(words[0], 10, 32)
	if err != nil {
		return 0, 0, "", false
	}
	c, err := strconv.ParseUint(words[1], 10, 31)
	return uint32(r), uint32(c), words[2], err == nil
}

// onPrack is the PRACK of a provisional response of ours. It may bring the
// answer to our offer, or another offer.
func (g *leg) onPrack(in incoming) {
	r := g.early.open
	value := ""
	if h := in.req.GetHeader("RAck"); h != nil {
		value = h.Value()
	}
	rseq, cseq, method, ok := rack(value)
	if !ok || method != "INVITE" || g.state != stateRinging || r == nil || rseq != r.seq ||
		cseq != g.invite.req.CSeq().SeqNo {
		g.respond(in, 481, "Call/Transaction Does Not Exist")
		return
	}
	r.stop()
	g.early.open = nil
	g.early.settled = g.early.settled || r.described
	body := in.req.Body()
	switch {
	case r.offers:
		n, err := g.media.neg.Accept(body)
		g.respond(in, 200, "OK")
		if err != nil {
			g.rejectOffer(err)
			return
		}
		g.agree(n)
	case len(body) > 0 && !g.early.settled:
		g.respond(in, 488, "Not Acceptable Here") // their first offer has no answer yet
	case len(body) > 0:
		answer, n, err := g.media.neg.Answer(body)
		if err != nil {
			g.notAcceptable(in, err)
			break
		}
		_ = g.answerWith(in, 200, "OK", answer)
		g.agree(n)
	default:
		g.respond(in, 200, "OK")
	}
	if g.early.settled {
		if err := g.apply(); err != nil {
			g.log.Warn(err.Error())
		}
	}
	for _, f := range r.then {
		f()
	}
}

// branch is a callee that has told its tag before anybody has answered a call
// of ours: an early dialog (RFC 3261 section 12.1.2).
type branch struct {
	dialog
	rseq   uint32         // of its last confirmed response, 0: none
	answer []byte         // its session description, the last one
	media  netip.AddrPort // where that says it hears
	offers bool           // it made an offer of its own, which we answered
}

// branchOf is the early dialog of a provisional response, nil if it makes none.
func (g *leg) branchOf(res *sip.Response) *branch {
	to := res.To()
	if to == nil || res.StatusCode == 100 {
		return nil
	}
	tag, ok := to.Params.Get("tag")
	if !ok || tag == "" {
		return nil
	}
	b := g.attempts.branches[tag]
	if b == nil {
		if len(g.attempts.branches) >= branchesMax {
			return nil
		}
		b = &branch{dialog: g.dialog}
		b.confirm(res)
		if g.attempts.branches == nil {
			g.attempts.branches = map[string]*branch{}
		}
		g.attempts.branches[tag] = b
	}
	return b
}

// branchesMax is how many early dialogs of one call are kept in mind.
const branchesMax = 32

// confirmed reports whether a provisional response may be taken: any that
// needs no PRACK, and in their order those that do, which get it (RFC 3262
// section 4).
func (g *leg) confirmed(b *branch, res *sip.Response, invite uint32) bool {
	if !lists(res, "Require", "100rel") {
		return true
	}
	h := res.GetHeader("RSeq")
	if b == nil || h == nil {
		return false
	}
	n, err := strconv.ParseUint(strings.TrimSpace(h.Value()), 10, 32)
	seq := uint32(n) //nolint:gosec // of 32 bits
	if err != nil || n == 0 || b.rseq != 0 && seq != b.rseq+1 {
		return false // again, or one before it is missing
	}
	b.rseq = seq
	req := b.request(sip.PRACK)
	g.dialog.localSeq = max(g.dialog.localSeq, b.localSeq)
	req.AppendHeader(sip.NewHeader("RAck", strconv.FormatUint(n, 10)+" "+strconv.FormatUint(uint64(invite), 10)+" INVITE"))
	g.do(&b.dialog, req, func(*sip.Response, error) {})
	return true
}

// others are where the branches of a call of ours hear that we do not send to:
// the last one that sends is followed (section 4.4).
func (g *leg) others() []netip.AddrPort {
	var out []netip.AddrPort
	for _, b := range g.attempts.branches {
		if b.media.IsValid() && b.media != g.media.current.Remote && !slices.Contains(out, b.media) {
			out = append(out, b.media)
		}
	}
	return out
}

// dialogOf is the dialog that a request of the peer belongs to: before the
// answer to a call of ours there may be several.
func (g *leg) dialogOf(req *sip.Request) *dialog {
	if b := g.branchFrom(req); b != nil {
		return &b.dialog
	}
	return &g.dialog
}

func (g *leg) branchFrom(req *sip.Request) *branch {
	if g.direction == telephony.Inbound || g.state != stateRinging {
		return nil
	}
	tag, _ := req.From().Params.Get("tag")
	return g.attempts.branches[tag]
}
