package trunk

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/patchcord/patchcord/internal/testkit/authority"
)

// What is wrong with the keys of tls is told with its place; what weakens calls
// is a warning.
func TestTLSIsChecked(t *testing.T) {
	t.Parallel()
	ca := authority.New(t)
	caFile, cert, key := ca.Files(t, "patchcord.example")
	dir := t.TempDir()
	junk := filepath.Join(dir, "junk.pem")
	endsCert, endsKey := filepath.Join(dir, "ends.pem"), filepath.Join(dir, "ends.key")
	ends, endsK := ca.Issue(t, "ends.example", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(48 * time.Hour) })
	for file, text := range map[string][]byte{junk: []byte("junk"), endsCert: ends, endsKey: endsK} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	hex := strings.Repeat("ab:", 31) + "ab"
	for _, c := range []struct {
		tls        Security
		fault, say string // "": none
		warning    string
	}{
		{tls: Security{}},
		{tls: Security{CA: caFile, Cert: cert, Key: key, Name: "sip.example.com", ClientCert: true}},
		{tls: Security{Pin: hex + " sha256/q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s="}},
		{tls: Security{CA: filepath.Join(dir, "none.pem")}, fault: "tls.ca", say: "none.pem"},
		{tls: Security{CA: junk}, fault: "tls.ca", say: "has no certificate"},
		{tls: Security{Cert: cert}, fault: "tls", say: "a certificate without a key"},
		{tls: Security{Cert: cert, Key: caFile}, fault: "tls.cert", say: cert},
		{tls: Security{Cert: junk, Key: key}, fault: "tls.cert", say: junk},
		{tls: Security{Pin: "sha256/AAAA"}, fault: "tls.pin", say: "no SHA-256"},
		{tls: Security{Name: "https://sip.example.com"}, fault: "tls.name", say: "no host name"},
		{tls: Security{ClientCert: true}, fault: "tls.client_cert", say: "proves nothing"},
		{tls: Security{Insecure: true}, warning: "not verified"},
		{tls: Security{Cert: endsCert, Key: endsKey}, warning: "ends at"},
	} {
		tb, err := NewTable([]Config{{Name: "gw", Gateways: []string{"sips:sip.example.com"}, TLS: c.tls}}, nil, "")
		switch {
		case c.fault == "" && err != nil, c.fault != "" && (err == nil ||
			!strings.HasPrefix(err.Error(), "trunks[0]."+c.fault+": ") || !strings.Contains(err.Error(), c.say)):
			t.Errorf("%+v: %v, want %s: …%s…", c.tls, err, c.fault, c.say)
		case err == nil && (len(tb.Warnings()) > 0) != (c.warning != ""),
			c.warning != "" && !strings.Contains(tb.Warnings()[0].What, c.warning):
			t.Errorf("%+v: warnings %v, want %q", c.tls, tb.Warnings(), c.warning)
		}
	}
}

// The base64 of a pin may begin with the slash that others write before it.
func TestPinBeginsWithSlash(t *testing.T) {
	t.Parallel()
	want := [32]byte{0xff, 0xf0, 1}
	if base64.StdEncoding.EncodeToString(want[:])[0] != '/' {
		t.Fatal("that pin begins otherwise")
	}
	for _, s := range []string{pinText(want), "sha256/" + pinText(want)[len("sha256"):], hex.EncodeToString(want[:])} {
		if sum, ok := parsePin(s); !ok || sum != want {
			t.Errorf("%s is %x, %v, want %x", s, sum, ok, want)
		}
	}
}

func FuzzPin(f *testing.F) {
	for _, s := range []string{"", "sha256/", "sha256//q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=", strings.Repeat("0a", 32), strings.Repeat("0A:", 31) + "0A"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		sum, ok := parsePin(s)
		if !ok {
			return
		}
		if again, ok := parsePin(pinText(sum)); !ok || again != sum {
			t.Errorf("%q is %x, and written again %x", s, sum, again)
		}
	})
}
