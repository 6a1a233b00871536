package api

import (
	"net/http"
	"slices"
	"strings"
)

// policyOfTalk is what the browser phone may do: use what is from here, and
// stand in frames of the pages that may call.
const policyOfTalk = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'self'"

// talk serves the browser phone. The page calls with a token, which stands
// behind # in its address, where no server sees it; without one it asks for one
// itself, which works while the API needs no key.
func (s *Server) talk() {
	if s.cfg.Browsers == nil {
		return
	}
	policy := policyOfTalk
	if !slices.Contains(s.cfg.Origins, "*") {
		policy = strings.TrimSpace(policy + " " + strings.Join(s.cfg.Origins, " "))
	} else {
		policy = strings.Replace(policy, "frame-ancestors 'self'", "frame-ancestors *", 1)
	}
	for path, f := range map[string]struct{ name, kind string }{
		"/talk":          {"talk.html", "text/html; charset=utf-8"},
		"/talk/talk.js":  {"talk.js", "text/javascript; charset=utf-8"},
		"/talk/talk.css": {"talk.css", "text/css; charset=utf-8"},
	} {
		text, err := pages.ReadFile("pages/" + f.name)
		if err != nil {
			panic(err) // embedded at build time
		}
		s.mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			h := w.Header()
			h.Set("Content-Type", f.kind)
			h.Set("Content-Security-Policy", policy)
			h.Set("Referrer-Policy", "no-referrer")
			_, _ = w.Write(text) // the reader may be gone
		})
	}
}
