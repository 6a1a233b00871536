package main

import (
	"context"

	"github.com/patchcord/patchcord/api"
	"github.com/patchcord/patchcord/cluster"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/webrtc"
)

// browsers lets the API's pages call.
type browsers struct {
	*webrtc.Gateway

	calls *cluster.Calls
}

var _ api.Browsers = browsers{}

// Answer answers a page's offer.
func (b browsers) Answer(ctx context.Context, a agent.ID, from, offer string) (telephony.CallID, string, error) {
	return b.Gateway.Answer(ctx, webrtc.Offer{SDP: offer, Agent: string(a), From: from})
}

// Hangup ends a call as its page asks, whichever node it is on.
func (b browsers) Hangup(id telephony.CallID) bool { return b.calls.HangUp(id) }

// browsers are nil where no calls come from them.
func (n *node) browsers() api.Browsers {
	if n.web == nil {
		return nil
	}
	return browsers{n.web, n.calls}
}
