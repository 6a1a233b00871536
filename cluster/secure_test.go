package cluster

import (
	"crypto/x509"
	"errors"
	"net"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/internal/secret"
	"github.com/patchcord/patchcord/internal/testkit/authority"
)

// eitherEnd lets a certificate be shown by who connects as well.
func eitherEnd(c *x509.Certificate) {
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
}

func files(t *testing.T, a *authority.Authority) TLS {
	t.Helper()
	ca, cert, key := a.Files(t, "127.0.0.1", eitherEnd)
	return TLS{Cert: cert, Key: key, CA: ca}
}

// Nodes speak TLS, and each must show a certificate of the authority.
func TestNodesOverTLS_SEC14(t *testing.T) {
	t.Parallel()
	ours := authority.New(t)
	first := meshed("a")
	first.TLS = files(t, ours)
	a, _ := open(t, first)
	second := meshed("b", a.route())
	second.TLS = files(t, ours)
	b, _ := open(t, second)
	see(t, a, b)
	id := a.begin(t, b)
	if err := b.calls.Say(id, "x"); err != nil || a.engine.told(id) != "say x" {
		t.Errorf("%v, told %q", err, a.engine.told(id))
	}
	for name, tls := range map[string]TLS{"in the clear": {}, "of another authority": files(t, authority.New(t))} {
		core, said := observer.New(zap.WarnLevel)
		cfg := meshed(name, a.route())
		cfg.TLS, cfg.Log = tls, zap.New(core)
		c, _ := open(t, cfg)
		if name != "in the clear" { // who speaks no TLS waits for a greeting, and is told nothing
			eventually(t, name+" is refused", func() bool { return said.Len() > 0 })
		}
		if c.srv.NumRoutes() != 0 || a.srv.NumRoutes() != 1 {
			t.Errorf("%s: %d and %d routes", name, c.srv.NumRoutes(), a.srv.NumRoutes())
		}
	}
}

// existing starts a NATS of somebody else's.
func existing(t *testing.T, port int) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: port, Username: "patchcord", Password: "s3cret", NoSigs: true, NoLog: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(openTimeout) {
		t.Fatal("the NATS does not start")
	}
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	return s
}

// Nodes of an existing NATS act as one; while it is away each has its own calls,
// and when it is back all have all.
func TestAnExistingNATS(t *testing.T) {
	t.Parallel()
	s := existing(t, server.RANDOM_PORT)
	at := func(name string) Config {
		return Config{Node: name, NATS: s.ClientURL(), User: "patchcord", Password: secret.Text("s3cret")}
	}
	a, _ := open(t, at("a"))
	b, _ := open(t, at("b"))
	see(t, a, b)
	id := a.begin(t, b)
	if err := b.calls.Say(id, "x"); err != nil || b.Stats().Routes != 1 {
		t.Errorf("%v, %+v", err, b.Stats())
	}
	port := s.Addr().(*net.TCPAddr).Port
	s.Shutdown()
	s.WaitForShutdown()
	eventually(t, "the others are away", func() bool { return errors.Is(b.calls.Say(id, "x"), ErrAway) })
	if err := a.calls.Say(id, "here"); err != nil {
		t.Errorf("its own node: %v", err)
	}
	eventually(t, "a knows it too", func() bool { return errors.Is(a.calls.Say("0190", "x"), ErrAway) })
	if _, err := b.calls.Listen(id); errors.Is(err, engine.ErrNoCall) || err == nil {
		t.Errorf("listen: %v", err)
	}
	existing(t, port)
	eventually(t, "control works again", func() bool { return b.calls.Say(id, "again") == nil })
	see(t, a, b)
}
