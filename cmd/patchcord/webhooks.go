package main

import (
	"cmp"
	"context"
	"time"

	"github.com/patchcord/patchcord/api/delivery"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/tools"
)

// hooksWait is how long a process that ends waits for the webhooks of its last
// calls; what has not arrived by then is sent by the next one.
const hooksWait = 5 * time.Second

// webhooks are the deliveries of the node, those of calls that an earlier
// process left open among them.
func (n *node) webhooks(client *tools.Client) *delivery.Deliveries {
	d := delivery.New(delivery.Config{
		Store: n.store, Agent: n.directory.Agent, Model: n.reportModel, Client: client, Log: n.log,
		Attempted: n.metrics.Attempted, Secret: tools.Deps{Secrets: n.cfg.Secret}.Resolve,
		Account: n.cfg.Account(), Elsewhere: func(ctx context.Context, id agent.ID) ([]byte, error) {
			return n.cluster.AskAny(ctx, askAgent, []byte(id))
		},
		// The providers are opened later.
		KnowsModel: func(name string) bool { return has(n.speech.llm, name) },
		KnowsSTT:   func(name string) bool { return has(n.speech.stt, name) },
		KnowsTTS:   func(name string) bool { return has(n.speech.tts, name) },
	})
	for _, r := range n.store.Lost() {
		d.Ended(r)
	}
	return d
}

func has[P any](by map[string]P, name string) bool {
	_, ok := by[name]
	return ok
}

// reportModel writes up the calls of an agent. Rules write nothing.
func (n *node) reportModel(a *agent.Agent) (llm.Provider, string) {
	name, model := a.AnalysisPlan.Provider, a.AnalysisPlan.Model
	if name == "" {
		name, model = a.LLM.Provider, cmp.Or(model, a.LLM.Model)
	}
	pr, ok := n.cfg.LLM.Find(name)
	if !ok || pr.Type == "rules" {
		return nil, ""
	}
	return n.speech.llm[pr.Name], model
}
