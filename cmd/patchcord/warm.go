package main

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/engine/agent"
)

// How long a voice that is away is left in peace before its fixed sentences
// are asked for again.
const (
	warmAgain   = 10 * time.Second
	warmAgainAt = 5 * time.Minute // at most
)

// mostWarm is how many agents' sentences are spoken at the start: they are
// asked of the voices one by one.
const mostWarm = 200

// warm has the fixed sentences of all agents spoken into memory, and again
// those of an agent that changed. A voice that is away delays neither the
// start nor calls: it is asked again later.
func (n *node) warm(ctx context.Context) error {
	agents, _ := n.directory.Agents(ctx)
	if len(agents) > mostWarm {
		n.log.Info("fixed sentences are spoken when they are needed", zap.Int("agents", len(agents)-mostWarm))
		agents = agents[:mostWarm]
	}
	n.speak(ctx, agents)
	for {
		select {
		case <-n.changed.wake:
			n.speak(ctx, n.changed.take())
		case <-ctx.Done():
			return nil
		}
	}
}

func (n *node) speak(ctx context.Context, agents []agent.Agent) {
	for wait := warmAgain; ; wait = min(2*wait, warmAgainAt) {
		begun := time.Now()
		err := n.engine.Warm(ctx, agents...)
		if err == nil {
			n.log.Info("fixed sentences are spoken", zap.Int64("dur_ms", time.Since(begun).Milliseconds()))
			return
		}
		n.log.Warn("fixed sentences are missing", zap.Error(err), zap.Int64("again_ms", wait.Milliseconds()))
		select {
		case <-time.After(wait):
		case <-n.changed.wake:
			agents = append(agents, n.changed.take()...)
		case <-ctx.Done():
			return
		}
	}
}
