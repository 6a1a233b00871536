package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/patchcord/patchcord/internal/testkit/authority"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	ca, cert, key := authority.New(t).Files(t, "node.example.com")
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	all := TLS{Cert: cert, Key: key, CA: ca}
	for _, c := range []struct {
		name string
		cfg  Config
		want string // the keys at fault
	}{
		{name: "one node"},
		{"one node with a user", Config{User: "u"}, "user"},
		{"one node with certificates", Config{TLS: all}, "tls.cert tls.key tls.ca"},
		{"on loopback", Config{Listen: "127.0.0.1:6222", User: "u", Password: "p", Routes: []string{"nats://localhost:6223", "nats://[::1]:6224"}}, ""},
		{"the first of them", Config{Listen: "127.0.0.1:6222", User: "u", Password: "p"}, ""},
		{"without a user", Config{Listen: "127.0.0.1:6222", Password: "p"}, "user"},
		{"without a password", Config{Listen: "127.0.0.1:6222", User: "u"}, "password"},
		{"with a token", Config{Listen: "127.0.0.1:6222", User: "u", Password: "p", Token: "t"}, "token"},
		{"listen beyond loopback in the clear", Config{Listen: "0.0.0.0:6222", User: "u", Password: "p"}, "listen"},
		{"at all addresses in the clear", Config{Listen: ":6222", User: "u", Password: "p"}, "listen"},
		{"a route beyond loopback in the clear", Config{Listen: "127.0.0.1:6222", User: "u", Password: "p", Routes: []string{"nats://b:6222"}}, "routes[0]"},
		{"beyond loopback with TLS", Config{Listen: "0.0.0.0:6222", User: "u", Password: "p", Routes: []string{"nats://b:6222"}, TLS: all}, ""},
		{"with TLS that nobody verifies", Config{Listen: "0.0.0.0:6222", User: "u", Password: "p", TLS: TLS{Cert: cert, Key: key}}, "listen"},
		{"a certificate without its key", Config{Listen: "127.0.0.1:6222", User: "u", Password: "p", TLS: TLS{Cert: cert}}, "tls.cert"},
		{"a file that is none", Config{Listen: "127.0.0.1:6222", User: "u", Password: "p", TLS: TLS{Cert: cert, Key: key, CA: "/nowhere"}}, "tls"},
		{"an authority without certificates", Config{Listen: "127.0.0.1:6222", User: "u", Password: "p", TLS: TLS{Cert: cert, Key: key, CA: empty}}, "tls"},
		{"routes without listen", Config{User: "u", Password: "p", Routes: []string{"nats://127.0.0.1:1"}}, "listen"},
		{"no address", Config{Listen: "here", User: "u", Password: "p"}, "listen"},
		{"no port", Config{Listen: "127.0.0.1:sip", User: "u", Password: "p"}, "listen"},
		{"routes that are none", Config{Listen: "127.0.0.1:1", User: "u", Password: "p", Routes: []string{"127.0.0.1:1", "http://b:1", "nats://b", "nats://u:p@127.0.0.1:1", "%"}}, "routes[0] routes[1] routes[2] routes[3] routes[4]"},
		{"both ways", Config{NATS: "tls://n:1", Listen: "127.0.0.1:1"}, "nats"},
		{"an existing NATS", Config{NATS: "tls://n:4222, tls://m:4222", Token: "t"}, ""},
		{"with a user", Config{NATS: "nats://127.0.0.1:4222", User: "u", Password: "p"}, ""},
		{"with half a user", Config{NATS: "nats://127.0.0.1:4222", User: "u"}, "user"},
		{"with two ways to be known", Config{NATS: "tls://n:1", User: "u", Password: "p", Token: "t"}, "token"},
		{"in the clear", Config{NATS: "nats://n:4222"}, "nats"},
		{"in TLS by its authority", Config{NATS: "nats://n:4222", TLS: TLS{CA: ca}}, ""},
		{"a password in the URL", Config{NATS: "tls://u:p@n:4222"}, "nats"},
		{"no URL", Config{NATS: "n:4222"}, "nats"},
		{"a name with dots", Config{Name: "a.b"}, "name"},
	} {
		var keys []string
		if err := c.cfg.Check(); err != nil {
			for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
				var f *Fault
				if !errors.As(e, &f) || f.What == "" || f.Do == "" || !strings.Contains(e.Error(), f.Do) {
					t.Errorf("%s: %v", c.name, e)
					continue
				}
				keys = append(keys, f.Key)
			}
		}
		if got := strings.Join(keys, " "); got != c.want {
			t.Errorf("%s: faults at %q, want %q", c.name, got, c.want)
		}
	}
}

// An address that is taken is an error at once.
func TestOpenAtATakenAddress(t *testing.T) {
	t.Parallel()
	a, _ := open(t, meshed("a"))
	cfg := meshed("b")
	cfg.Listen = a.srv.ClusterAddr().String()
	if n, err := Open(cfg); err == nil || !strings.Contains(err.Error(), cfg.Listen) {
		t.Errorf("%v", err)
		n.Close()
	}
}
