package main

import (
	"context"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/api"
	"github.com/patchcord/patchcord/cluster"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/tools"
)

// openCluster joins the other nodes, and lets them find what this one alone
// waits for.
func (n *node) openCluster(version string) (err error) {
	c := n.cfg.Nodes()
	c.Version, c.Log = version, n.log
	c.Status = func() cluster.Status {
		if n.engine == nil {
			return cluster.Status{}
		}
		return cluster.Status{Calls: n.engine.Calls(), Draining: n.draining.Load()}
	}
	if n.cluster, err = cluster.Open(c); err != nil {
		return err
	}
	n.onClose(n.cluster.Close)
	n.callbacks = tools.NewCallbacks(n.cluster.ID())
	return nil
}

// askAgent asks whoever knows for an agent of one call alone.
const askAgent = "agent"

// joinCalls lets the API control the calls of all nodes, and all nodes those of
// this one.
func (n *node) joinCalls(hub *api.Hub) error {
	var hangUp func(telephony.CallID) bool
	if n.web != nil {
		hangUp = n.web.Hangup
	}
	n.cluster.OnChange(func(kind string) {
		if kind == changedDocuments {
			n.books.Look()
		}
	})
	n.calls = n.cluster.Calls(n.engine, hangUp)
	if !n.cluster.Alone() {
		hub.Join(n.cluster)
	}
	gauge := func(name, help string, of func(cluster.Stats) float64) {
		n.metrics.Gauge(name, help, func() float64 { return of(n.cluster.Stats()) })
	}
	gauge("cluster_nodes", "Nodes that this one sees, itself among them.",
		func(s cluster.Stats) float64 { return float64(s.Nodes) })
	gauge("cluster_routes", "Other nodes that are connected; of an existing NATS 1 while it is there.",
		func(s cluster.Stats) float64 { return float64(s.Routes) })
	gauge("cluster_events_dropped", "Events that the other nodes were not told in time.",
		func(s cluster.Stats) float64 { return float64(s.Dropped) })
	gauge("cluster_messages_lost", "Messages of other nodes that came faster than they were taken.",
		func(s cluster.Stats) float64 { return float64(s.Lost) })
	return n.cluster.AnswerAny(askAgent, func(id []byte) []byte { return n.hooks.Tell(agent.ID(id)) })
}

// changedDocuments is the kind of change that other nodes are told of; the API
// tells of keys, the store of agents, tools, trunks and numbers.
const changedDocuments = "documents"

// serveCluster tells the other nodes of this one.
func (n *node) serveCluster(ctx context.Context) error {
	if !n.cluster.Alone() {
		n.log.Info("cluster: this node is one of several", zap.String("node", n.cfg.Nodes().Node),
			zap.String("listen", n.cfg.Cluster.Listen), zap.Strings("routes", n.cfg.Cluster.Routes))
	}
	return n.cluster.Serve(ctx)
}
