package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/patchcord/patchcord/engine/agent"
)

// mostTransients bounds the agents of one call alone that are remembered, the
// oldest goes first: its webhooks are late by then, or have arrived.
const mostTransients = 10000

// transients are agents that are nobody's but one call's: no store has them.
type transients struct {
	mu    sync.Mutex // guards what follows
	by    map[agent.ID]*agent.Agent
	order []agent.ID
}

// Remember lets an agent that has a webhook, and that no store has, hear of its
// call.
func (d *Deliveries) Remember(a *agent.Agent) {
	if a.WebhookURL == "" {
		return
	}
	t := &d.transients
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.by == nil {
		t.by = map[agent.ID]*agent.Agent{}
	}
	if len(t.order) >= mostTransients {
		delete(t.by, t.order[0])
		t.order = t.order[1:]
	}
	t.by[a.ID], t.order = a, append(t.order, a.ID)
}

// told is an agent of one call alone as nodes tell each other.
type told struct {
	Agent  *agent.Agent `json:"agent"`
	Secret string       `json:"webhook_secret,omitempty"`
}

// Tell tells another node of an agent of one call alone; nil: it is not known
// here.
func (d *Deliveries) Tell(id agent.ID) []byte {
	a := d.remembered(id)
	if a == nil {
		return nil
	}
	b, err := json.Marshal(told{a, a.WebhookSecret}) //nolint:gosec // G117: for the node that signs with it
	if err != nil {
		return nil // it was read from JSON
	}
	return b
}

func readTold(b []byte, id agent.ID) (*agent.Agent, error) {
	var t told
	if err := json.Unmarshal(b, &t); err != nil {
		return nil, fmt.Errorf("an agent that another node told: %w", err)
	}
	if t.Agent == nil || t.Agent.ID != id || t.Agent.WebhookURL == "" {
		return nil, errors.New("another node told of an agent that was not asked for")
	}
	t.Agent.WebhookSecret = t.Secret
	return t.Agent, nil
}

func (d *Deliveries) remembered(id agent.ID) *agent.Agent {
	d.transients.mu.Lock()
	defer d.transients.mu.Unlock()
	return d.transients.by[id]
}

// agent is an agent by its id or name, those of one call alone too, whichever
// node placed the call.
func (d *Deliveries) agent(ctx context.Context, id agent.ID) (*agent.Agent, error) {
	if a := d.remembered(id); a != nil {
		return a, nil
	}
	a, err := d.cfg.Agent(ctx, id)
	if err == nil || d.cfg.Elsewhere == nil {
		return a, err
	}
	b, asked := d.cfg.Elsewhere(ctx, id)
	if asked != nil {
		return nil, err
	}
	return readTold(b, id)
}
