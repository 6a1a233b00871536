package webrtc

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/patchcord/patchcord/telephony"
)

// Offer is a browser that calls.
type Offer struct {
	SDP   string
	Agent string // who shall answer
	From  string // who calls, as the page's server says; may be ""
}

// Answer takes a call: it is up when the browser has used the answer. Its leg is
// with the handler already. The error of a call that is not let in is a
// *[telephony.HangupError].
func (g *Gateway) Answer(ctx context.Context, o Offer) (telephony.CallID, string, error) {
	a, err := choose(o.SDP)
	if err != nil {
		return "", "", err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return "", "", fmt.Errorf("webrtc: call id: %w", err)
	}
	info := telephony.Info{
		ID: telephony.CallID(id.String()), Direction: telephony.Inbound, From: o.From, To: o.Agent, Agent: o.Agent,
		Transport: "webrtc", Codec: a.spec.Name, Format: a.spec.Format(), Keys: "rfc4733", SRTP: "DTLS-SRTP",
		Received: time.Now(),
	}
	if a.event.Name == "" {
		info.Keys = ""
	}
	if g.cfg.Accept != nil {
		if cause, ok := g.cfg.Accept(info); !ok {
			return "", "", &telephony.HangupError{Cause: cause}
		}
	}
	l, err := g.newLeg(a, info)
	if err != nil {
		return "", "", err
	}
	taken := false
	defer func() { // also where pion cannot bear what it was offered
		if !taken {
			l.end(telephony.Cause{Reason: telephony.ReasonFailed, Text: "offer and answer"})
		}
	}()
	answer, err := l.negotiate(ctx, o.SDP)
	if err != nil {
		return "", "", err
	}
	taken = true
	close(l.taken)
	return info.ID, answer, nil
}

// Hangup ends a call as its browser asks; false: there is no such call.
func (g *Gateway) Hangup(id telephony.CallID) bool {
	g.mu.Lock()
	l := g.legs[id]
	g.mu.Unlock()
	if l == nil {
		return false
	}
	l.end(telephony.Cause{Reason: telephony.ReasonNormal, Remote: true})
	return true
}
