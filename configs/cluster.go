package configs

import (
	"errors"
	"os"
	"strings"

	"github.com/patchcord/patchcord/cluster"
)

// Nodes is this node's place among the others.
func (c *Config) Nodes() cluster.Config {
	k := c.Cluster
	out := cluster.Config{
		Name: k.Name, Node: k.Node, NATS: k.NATS, Listen: k.Listen, Routes: k.Routes,
		User: k.User, Password: k.Password, Token: k.Token, Credentials: c.Path(k.Credentials),
		TLS: cluster.TLS{Cert: c.Path(k.TLS.Cert), Key: c.Path(k.TLS.Key), CA: c.Path(k.TLS.CA)},
	}
	if out.Node == "" {
		out.Node, _ = os.Hostname() // as the store has it
	}
	return out
}

func (l *loader) checkCluster(c *Config) {
	nodes := c.Nodes()
	for _, e := range parts(nodes.Check()) {
		var f *cluster.Fault
		if errors.As(e, &f) {
			l.fault("cluster."+f.Key, f.What, f.Do)
		} else {
			l.fault("cluster", e.Error(), "")
		}
	}
	if several := nodes.NATS != "" || nodes.Listen != "" || len(nodes.Routes) > 0; several &&
		!strings.HasPrefix(c.Store.URL, "postgres") {
		l.fault("cluster", "several nodes with a store that one process has",
			"set store.url to postgres://user@host/database")
	}
}
