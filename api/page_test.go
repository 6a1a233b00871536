package api

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/openapi.json anew")

// The committed document is the one that the code makes.
func TestTheDocumentIsCommitted(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *Config) { c.Version = "0" })
	got, err := f.srv.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	const path = "../docs/openapi.json"
	if *update {
		if err := os.WriteFile(path, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != string(got)+"\n" {
		t.Errorf("%s is not what the code makes: go test ./api -run TestTheDocumentIsCommitted -update", path)
	}
}

// The page needs nothing from elsewhere, and may not have it.
func TestThePageLoadsNothingFromOutside(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.key = ""
	page := f.do("GET", "/docs", "")
	csp := page.Header.Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"} {
		if !strings.Contains(csp, want) {
			t.Errorf("%s lacks %s", csp, want)
		}
	}
	if strings.Contains(csp, "http:") || strings.Contains(csp, "https:") || strings.Contains(csp, "unsafe-eval") {
		t.Errorf("%s", csp)
	}
	for _, m := range regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(page.text, -1) {
		if strings.HasPrefix(m[1], "data:") {
			continue
		}
		if a := f.do("GET", m[1], ""); a.StatusCode != 200 || len(a.text) == 0 {
			t.Errorf("%s: %d", m[1], a.StatusCode)
		}
	}
	script := f.do("GET", "/docs/scalar.js", "", "Accept-Encoding", "identity")
	packed := f.do("GET", "/docs/scalar.js", "") // unpacked by the client
	if len(script.text) < 1_000_000 || script.text != packed.text || !strings.Contains(script.text, "createApiReference") {
		t.Errorf("%d and %d bytes of script", len(script.text), len(packed.text))
	}
	if a := f.do("GET", "/docs/LICENSE", ""); !strings.Contains(a.text, "MIT License") {
		t.Errorf("%s", a.text)
	}
	if a := f.do("GET", "/v1/calls", ""); !strings.HasPrefix(a.Header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("data may be shown as a page: %v", a.Header)
	}
}
