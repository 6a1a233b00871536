package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
)

func requestID(ctx context.Context) string {
	id, _ := ctx.Value(keyOfRequest).(string) // "" outside a request
	return id
}

// wrap is around everything: the id of the request, headers that every answer
// has, our shape for what the mux refuses, and a panic that ends one request.
func (s *Server) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m := s.cfg.Metrics; m != nil {
			begun, answer := time.Now(), &counted{w, http.StatusOK}
			_, route := s.mux.Handler(r)
			w = answer
			defer func() { m.asked(route, answer.code, time.Since(begun)) }()
		}
		id := r.Header.Get("X-Request-Id")
		if !plain(id) {
			id = uuid.NewString()
		}
		h := w.Header()
		h.Set("X-Request-Id", id)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", policyOfData)
		r = r.WithContext(context.WithValue(r.Context(), keyOfRequest, id))
		refuse := func(p *Problem) {
			writeProblem(w, h.Set, w.WriteHeader, s.fill(r.Context(), r.URL.Path, p))
		}
		defer func() {
			if v := recover(); v != nil {
				if v == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
					panic(v)
				}
				refuse(&Problem{Status: http.StatusInternalServerError, cause: fmt.Errorf("panic: %v", v)})
			}
		}()
		if s.open() && !s.ours(r) && !s.others(r) {
			refuse(fail(http.StatusForbidden, "forbidden", "",
				"Without a key the API serves this machine only, and no page of another site."))
			return
		}
		if !s.origin(w, r, refuse) {
			return
		}
		if !isText(r.URL) {
			refuse(fail(http.StatusBadRequest, "", "", "The path or its query has characters that are no text."))
			return
		}
		if _, pattern := s.mux.Handler(r); pattern == "" {
			refused := refusal{header: http.Header{}}
			next.ServeHTTP(&refused, r)
			if allow := refused.header.Get("Allow"); allow != "" {
				h.Set("Allow", allow)
				refuse(fail(http.StatusMethodNotAllowed, "", "", "This path takes "+allow+"."))
				return
			}
			refuse(fail(http.StatusNotFound, "", "", "There is nothing at this path; /openapi.json lists what there is."))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// others tells whether a request is for a handler that checks its own callers.
func (s *Server) others(r *http.Request) bool {
	_, pattern := s.mux.Handler(r)
	return slices.Contains(s.mounted, pattern)
}

// isText tells whether a path and its query can be kept: no store takes what
// is no UTF-8, and PostgreSQL no zero bytes.
func isText(u *url.URL) bool {
	query, err := url.QueryUnescape(u.RawQuery)
	if err != nil { // told by who reads it
		query = ""
	}
	return utf8.ValidString(u.Path) && utf8.ValidString(query) && !strings.Contains(u.Path+query, "\x00")
}

// refusal takes the mux's own answer to a path that it does not know.
type refusal struct{ header http.Header }

func (r *refusal) Header() http.Header         { return r.header }
func (r *refusal) Write(b []byte) (int, error) { return len(b), nil }
func (r *refusal) WriteHeader(int)             {}

// plain tells whether an id from outside may be repeated in logs and headers.
func plain(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	for _, c := range []byte(id) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}
