package certificate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/patchcord/patchcord/internal/testkit/authority"
)

// A renewed certificate is used without a restart; one that cannot be used
// leaves the one before.
func TestRenewal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	ca := authority.New(t)
	age := time.Hour
	write := func(certPEM, keyPEM []byte) {
		t.Helper()
		for file, text := range map[string][]byte{cert: certPEM, key: keyPEM} {
			if err := os.WriteFile(file, text, 0o600); err != nil {
				t.Fatal(err)
			}
			at := time.Now().Add(-age) // the clock of files may be coarse
			if err := os.Chtimes(file, at, at); err != nil {
				t.Fatal(err)
			}
		}
		age -= time.Minute
	}
	write(ca.Issue(t, "one.example"))
	p, err := Load(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	p.now = func() time.Time { return now }
	var told []error
	name := func() string {
		now = now.Add(2 * lookEvery)
		return p.Current(func(err error) { told = append(told, err) }).Leaf.DNSNames[0]
	}
	if got := name(); got != "one.example" || told != nil {
		t.Errorf("%s, told %v", got, told)
	}
	newCert, newKey := ca.Issue(t, "two.example")
	oldKey, _ := os.ReadFile(key)
	write(newCert, oldKey) // the key is not written yet
	if got := name(); got != "one.example" || len(told) != 1 || told[0] == nil {
		t.Errorf("half renewed: %s, told %v", got, told)
	}
	if got := name(); got != "one.example" || len(told) != 1 {
		t.Errorf("half renewed, once more: %s, told %v", got, told)
	}
	write(newCert, newKey)
	if got := name(); got != "two.example" || len(told) != 2 || told[1] != nil {
		t.Errorf("renewed: %s, told %v", got, told)
	}
	if err := os.Remove(cert); err != nil {
		t.Fatal(err)
	}
	if got := name(); got != "two.example" || len(told) != 3 || told[2] == nil {
		t.Errorf("removed: %s, told %v", got, told)
	}
	now = now.Add(-lookEvery)
	if p.Ends().Before(now) || !p.Same(p) || p.Same(nil) {
		t.Error("ends or is not itself")
	}
}

// Files that cannot be used are named.
func TestBadFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca := authority.New(t)
	certPEM, keyPEM := ca.Issue(t, "one.example")
	_, otherKey := ca.Issue(t, "one.example")
	files := map[string][]byte{"cert.pem": certPEM, "key.pem": keyPEM, "other.pem": otherKey, "junk.pem": []byte("junk"), "both.pem": append(keyPEM, certPEM...)}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ cert, key, want string }{
		{"none.pem", "key.pem", "none.pem"},
		{"cert.pem", "none.pem", "none.pem"},
		{"junk.pem", "key.pem", "junk.pem"},
		{"cert.pem", "other.pem", "other.pem"},
		{"both.pem", "both.pem", ""},
	} {
		_, err := Load(filepath.Join(dir, c.cert), filepath.Join(dir, c.key))
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s with %s: %v, want it to name %q", c.cert, c.key, err, c.want)
		}
	}
}
