package configs

import (
	"strings"
	"testing"
)

// What is wrong with a node's place among others is told with its place in the
// file.
func TestCluster(t *testing.T) {
	t.Parallel()
	const store = "store: {url: \"postgres://u@localhost/db\"}\n"
	for _, c := range []struct{ name, text, want string }{
		{"one node", "cluster: {node: a}\n", ""},
		{"several on one machine", store + "cluster: {listen: \"127.0.0.1:6222\", routes: [\"nats://127.0.0.1:6223\"], user: u, password: p}\n", ""},
		{"several with a store of one", "cluster: {listen: \"127.0.0.1:6222\", user: u, password: p}\n", ":5:11: several nodes with a store"},
		{"in the clear", store + "cluster: {listen: \"0.0.0.0:6222\", user: u, password: p}\n", ":6:19: calls would cross the network in the clear"},
		{"a route", store + "cluster:\n  listen: \"127.0.0.1:6222\"\n  user: u\n  password: p\n  routes: [\"http://b\"]\n", ":10:12: no route"},
		{"a key that is none", store + "cluster: {nets: x}\n", "nats"},
		{"no file", store + "cluster: {listen: \"127.0.0.1:6222\", user: u, password: p, tls: {cert: c.pem, key: k.pem, ca: a.pem}}\n", "a.pem: no such file"},
	} {
		_, _, err := Load(write(t, "patchcord.yaml", "agents: \"\"\n"+speech+c.text))
		text := ""
		if err != nil {
			text = err.Error()
		}
		if c.want == "" && text != "" || !strings.Contains(text, c.want) {
			t.Errorf("%s: %q, want %q", c.name, text, c.want)
		}
	}
}
