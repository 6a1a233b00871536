package sip

import (
	"slices"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/patchcord/patchcord/telephony"
)

// The layer below handles every message in a goroutine of its own (sip:P6).
// Ingress, which sees them in order, announces each request of a dialog here;
// the leg then takes them in that order, however they come up.

// awaited is a request that was announced.
type awaited struct {
	seq    uint32
	branch string
	at     time.Time
}

// orderMax is how many requests of a dialog may be under way at once, and
// orderWait how long one that does not come up holds up the next.
const (
	orderMax  = 64
	orderWait = 200 * time.Millisecond
)

// branchesKept is how many of a leg's last transactions are still known when
// it is no more.
const branchesKept = 8

// owns reports whether the message is of this dialog and comes from where its
// peer is: an id that was guessed or seen is not enough.
func (g *leg) owns(m *message) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if m.callID != g.callID || (g.remoteTag != "" && m.fromTag != g.remoteTag) {
		return false
	}
	if _, ok := g.friends[m.from.Addr()]; ok {
		return true
	}
	// Who is known by a password is known by no other address.
	return m.listed && g.trunk != nil && g.trunk.Caller == nil && m.trunk == g.trunk.ID
}

// expect announces a request in the dialog; false if too many are under way.
func (g *leg) expect(m *message) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.order) >= orderMax {
		return false
	}
	if m.method == "INVITE" {
		g.reinvite = m.branch
	}
	if !slices.Contains(g.branches, m.branch) {
		g.branches = append(g.branches[max(0, len(g.branches)-branchesKept+1):], m.branch)
	}
	if g.hasSeq && m.cseq <= g.announced {
		return true // retransmitted, or too old
	}
	g.announced, g.hasSeq = m.cseq, true
	g.order = append(g.order, awaited{m.cseq, m.branch, time.Now()})
	return true
}

// isReinvite reports whether branch is that of the peer's last INVITE within
// the dialog.
func (g *leg) isReinvite(branch string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return branch != "" && branch == g.reinvite
}

// onRequest takes a request from below and handles all that are in turn.
func (g *leg) onRequest(in incoming) {
	if g.first != nil && g.invite.tx == nil && in.req.IsInvite() {
		if tag, ok := in.req.To().Params.Get("tag"); !ok || tag == "" {
			g.onInvite(in)
			return
		}
	}
	seq := in.req.CSeq().SeqNo
	g.mu.Lock()
	known := false
	for _, a := range g.order {
		known = known || a.seq == seq
	}
	g.mu.Unlock()
	if _, twice := g.arrived[seq]; !known || twice {
		g.serve(in)
		return
	}
	g.arrived[seq] = in
	g.inTurn()
}

// inTurn handles the requests that no earlier one is missing for.
func (g *leg) inTurn() {
	if g.reorder != nil {
		g.reorder()
		g.reorder = nil
	}
	for {
		g.mu.Lock()
		if len(g.order) == 0 {
			g.mu.Unlock()
			return
		}
		head := g.order[0]
		in, here := g.arrived[head.seq]
		if wait := orderWait - time.Since(head.at); !here && wait > 0 {
			g.mu.Unlock()
			g.reorder = g.after(wait, g.inTurn)
			return
		}
		g.order = g.order[1:]
		g.mu.Unlock()
		if here {
			delete(g.arrived, head.seq)
			g.serve(in)
		}
	}
}

// serve handles one request in the dialog.
func (g *leg) serve(in incoming) {
	req, seq := in.req, in.req.CSeq().SeqNo
	g.trace("in", req.Method, 0, seq)
	switch {
	case g.state == stateEnded && req.Method == sip.BYE:
		g.respond(in, 200, "OK")
		return
	case g.state == stateEnded && req.Method == sip.NOTIFY:
		g.respond(in, 200, "OK")
		return
	case g.state == stateEnded:
		g.respond(in, 481, "Call/Transaction Does Not Exist")
		return
	}
	d := g.dialogOf(req)
	if d.haveRemoteSeq && seq <= d.remoteSeq {
		g.respond(in, 500, "CSeq Out Of Order", field{"Retry-After", "0"}) // RFC 3261 section 12.2.2
		return
	}
	d.remoteSeq, d.haveRemoteSeq = seq, true
	switch req.Method {
	case sip.BYE:
		g.onBye(in)
	case sip.INVITE:
		g.onReinvite(in)
	case sip.UPDATE:
		g.onUpdate(in)
	case sip.PRACK:
		g.onPrack(in)
	case sip.INFO:
		g.onInfo(in)
	case sip.NOTIFY:
		g.onNotify(in)
	case sip.REFER:
		g.onRefer(in)
	case sip.OPTIONS:
		g.respond(in, 200, "OK", field{"Accept", acceptTypes})
	default:
		g.respond(in, 405, "Method Not Allowed")
	}
}

// respond answers a request without a body.
func (g *leg) respond(in incoming, status int, reason string, fields ...field) {
	_ = g.answerWith(in, status, reason, nil, fields...)
}

// answerWith answers a request. Every request gets exactly one final answer,
// or its transaction would stay for ever.
func (g *leg) answerWith(in incoming, status int, reason string, body []byte, fields ...field) error {
	res := g.response(in.req, status, reason, body, fields...)
	g.trace("out", in.req.Method, status, in.req.CSeq().SeqNo)
	if err := in.tx.Respond(res); err != nil {
		in.tx.Terminate()
		return err
	}
	return nil
}

// response builds an answer that carries what all of ours do.
func (g *leg) response(req *sip.Request, status int, reason string, body []byte, fields ...field) *sip.Response {
	res := sip.NewResponseFromRequest(req, status, reason, body)
	if to := res.To(); to != nil && status > 100 {
		if tag, ok := to.Params.Get("tag"); !ok || tag == "" || req.To().Params == nil || !req.To().Params.Has("tag") {
			to.Params.Add("tag", g.localTag)
		}
	}
	if status > 100 && status < 300 && (req.IsInvite() || req.Method == sip.UPDATE) {
		res.AppendHeader(sip.NewHeader("Contact", g.contact()))
	}
	if status >= 180 && status < 300 || status == 405 {
		res.AppendHeader(sip.NewHeader("Allow", g.allows()))
	}
	if status >= 200 && status < 300 && (req.IsInvite() || req.Method == sip.UPDATE || req.Method == sip.OPTIONS) {
		res.AppendHeader(sip.NewHeader("Supported", g.supports()))
	}
	if body != nil {
		res.AppendHeader(sip.NewHeader("Content-Type", "application/sdp"))
	}
	for _, f := range fields {
		res.AppendHeader(sip.NewHeader(f.name, f.value))
	}
	if status > 100 {
		res.AppendHeader(sip.NewHeader("Server", g.u.cfg.Name))
	}
	return res
}

// contact is our Contact in this dialog.
func (g *leg) contact() string {
	user := ""
	if g.direction == telephony.Inbound {
		user = g.Info().To
	}
	c := g.u.contact(user, g.dialog.source, g.dialog.transport, g.dialog.local4)
	if seen := g.u.keepers.publicOf(g.trunk, g.dialog.transport); seen.IsValid() {
		c = publicContact(user, seen, g.dialog.transport)
	}
	if inner, ok := strings.CutPrefix(c, "<sip:"); ok && g.dialog.sips {
		c = "<sips:" + strings.TrimSuffix(inner, ";transport=tls>")
		c = strings.TrimSuffix(c, ">") + ">"
	}
	return c
}
