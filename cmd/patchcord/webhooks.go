package main

import (
	"cmp"
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
		Attempted: n.metrics.Attempted,
		KnowsModel: func(name string) bool {
			_, ok := n.speech.llm[name]
			return ok
		},
	})
	for _, r := range n.store.Lost() {
		d.Ended(r)
	}
	return d
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
