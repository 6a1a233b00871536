package api

import (
	"bytes"
	"compress/gzip"
	"embed"
	"io"
	"net/http"
	"strings"
)

// pages are the page at /docs and all that it loads.
//
//go:embed pages
var pages embed.FS

// What a browser may do with an answer: nothing with data, and with the page
// at /docs what is from here. It makes its styles by script.
const (
	policyOfData = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
	policyOfDocs = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
		"font-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)

// docs serves the page that shows /openapi.json.
func (s *Server) docs() {
	for path, f := range map[string]struct{ name, kind string }{
		"/docs":           {"docs.html", "text/html; charset=utf-8"},
		"/docs/start.js":  {"start.js", "text/javascript; charset=utf-8"},
		"/docs/scalar.js": {"scalar.js.gz", "text/javascript; charset=utf-8"},
		"/docs/LICENSE":   {"LICENSE-scalar", "text/plain; charset=utf-8"},
	} {
		text, err := pages.ReadFile("pages/" + f.name)
		if err != nil {
			panic(err) // embedded at build time
		}
		s.mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			h.Set("Content-Type", f.kind)
			h.Set("Content-Security-Policy", policyOfDocs)
			h.Set("Referrer-Policy", "no-referrer")
			if strings.HasSuffix(f.name, ".gz") {
				writePacked(w, r, text)
				return
			}
			_, _ = w.Write(text) // the reader may be gone
		})
	}
}

// writePacked writes a compressed file, unpacked for those who ask for it so.
func writePacked(w http.ResponseWriter, r *http.Request, packed []byte) {
	w.Header().Set("Vary", "Accept-Encoding")
	w.Header().Set("Cache-Control", "private, max-age=86400")
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(packed) // the reader may be gone
		return
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		panic(err) // embedded at build time
	}
	_, _ = io.Copy(w, z) //nolint:gosec // our own file, of known size
}
