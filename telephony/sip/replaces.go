package sip

import (
	"strings"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/telephony"
)

// replaced is the dialog that an INVITE wants the place of (RFC 3891), as its
// receiver sees it: to-tag is ours.
type replaced struct {
	callID, toTag, fromTag string
	earlyOnly              bool
}

// parseReplaces reads the value of a Replaces field.
func parseReplaces(s string) (r replaced, ok bool) {
	id, rest, _ := strings.Cut(strings.TrimSpace(s), ";")
	r.callID = strings.TrimSpace(id)
	if r.callID == "" || !printable(r.callID) || strings.ContainsAny(r.callID, " \t,;<>\"?") {
		return r, false
	}
	for p := range strings.SplitSeq(rest, ";") {
		name, value, _ := strings.Cut(p, "=")
		var tag *string
		switch lower(strings.TrimSpace(name)) {
		case "to-tag":
			tag = &r.toTag
		case "from-tag":
			tag = &r.fromTag
		case "early-only":
			r.earlyOnly = true
			continue
		default:
			continue
		}
		if *tag != "" {
			return r, false // told twice
		}
		*tag = strings.TrimSpace(value)
	}
	return r, isToken(r.toTag) && isToken(r.fromTag)
}

func (r replaced) String() string {
	s := r.callID + ";to-tag=" + r.toTag + ";from-tag=" + r.fromTag
	if r.earlyOnly {
		s += ";early-only"
	}
	return s
}

// takenPlace is the leg whose place an INVITE wants, nil where it wants none, or
// why it does not get it.
func (u *UserAgent) takenPlace(m *message) (*leg, *refusal) {
	if _, asked := m.get("Join"); asked {
		return nil, refuse(403, "Forbidden")
	}
	value, asked := m.get("Replaces")
	switch {
	case !asked:
		return nil, nil
	case !m.placed.Transfers: // who may call may not take over a call (SEC-6)
		return nil, refuse(403, "Forbidden")
	case m.count("Replaces") > 1:
		return nil, refuse(400, "Repeated Replaces")
	}
	d, ok := parseReplaces(value)
	if !ok {
		return nil, refuse(400, "Bad Replaces")
	}
	g := u.legs.tag(d.toTag)
	if g == nil || g.callID != d.callID || g.trunk == nil || g.trunk.ID != m.placed.ID || g.party.Load() == nil {
		return nil, refuse(481, "Call/Transaction Does Not Exist")
	}
	g.mu.Lock()
	remote, up := g.remoteTag, g.wasUp
	g.mu.Unlock()
	switch {
	case remote != d.fromTag || !up:
		return nil, refuse(481, "Call/Transaction Does Not Exist")
	case d.earlyOnly:
		return nil, refuse(486, "Busy Here")
	}
	return g, nil
}

// claimPlace keeps the place of another leg for an INVITE that wants it.
func (g *leg) claimPlace() bool {
	p := g.victim.party.Load()
	was := g.victim.Info()
	g.mu.Lock()
	g.info.ID, g.info.Format = was.ID, was.Format // the frames keep their rate
	g.mu.Unlock()
	if !p.reserve(g.victim, g) {
		g.reject(telephony.Cause{Reason: telephony.ReasonRejected, Status: 491, Text: "the place is about to be taken"})
		return false
	}
	g.party.Store(p)
	return true
}

// takePlace answers an INVITE that has such a place; when its caller has
// confirmed that, the call goes on with them.
func (g *leg) takePlace() {
	if !g.u.enter() {
		g.reject(telephony.Cause{Reason: telephony.ReasonDraining})
		return
	}
	p := g.party.Load()
	g.log.Info("sip: an INVITE takes the place of a call", zap.String("sip_call_id", g.callID))
	go func() {
		defer g.u.wg.Done()
		if g.Answer(g.ctx) != nil {
			return // end has told
		}
		bye := func(old *leg) {
			old.post(func() { old.leave(telephony.Cause{Reason: telephony.ReasonTransferred}) })
		}
		if !p.replace(g, "replaces", bye) {
			_ = g.Hangup(g.ctx, telephony.Cause{Reason: telephony.ReasonNormal})
		}
	}()
}
