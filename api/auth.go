package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcord/patchcord/engine/agent"
)

// Key is one user of the API, known by the SHA-256 of its key (SEC-13).
type Key struct {
	ID      string // of the store; "" for one of the configuration
	Name    string
	Hash    [sha256.Size]byte
	Scopes  []string   // "*", "calls:read", …, or another platform's names of them (T-23)
	Agents  []agent.ID // the only ones it sees; empty: all
	Limits  Limits
	Expires time.Time // zero: never
	Revoked bool
}

// id tells a key from all others.
func (k *Key) id() string {
	if k.ID != "" {
		return k.ID
	}
	return "configuration " + k.Name
}

// HashKey is the hash of a key.
func HashKey(key string) [sha256.Size]byte { return sha256.Sum256([]byte(key)) }

var emptyHash = HashKey("")

// local is who asks without a key where there is none: somebody on this
// machine.
var local = &Key{Name: "local", Scopes: []string{"*"}}

// may tells whether a scope is given: by itself, by *, and reading by writing.
func (k *Key) may(scope string) bool {
	noun, read := strings.CutSuffix(scope, ":read")
	return slices.ContainsFunc(k.Scopes, func(has string) bool {
		has = own(has)
		return has == "*" || has == scope || read && has == noun+":write"
	})
}

// sees tells whether the calls of an agent exist for this key (T-24).
func (k *Key) sees(id agent.ID) bool { return len(k.Agents) == 0 || slices.Contains(k.Agents, id) }

// find is the key that was presented. Every key is compared, and each in
// constant time: how long it takes tells nothing.
func (s *Server) find(presented string) *Key {
	hash := HashKey(presented)
	var found *Key
	all := *s.known.Load()
	for i := range all {
		if subtle.ConstantTimeCompare(hash[:], all[i].Hash[:]) == 1 {
			found = &all[i]
		}
	}
	return found
}

func presented(header func(string) string) string {
	if k := header("X-API-Key"); k != "" {
		return k
	}
	if scheme, k, ok := strings.Cut(header("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(k)
	}
	return ""
}

type ctxKey int

const (
	keyOfCaller ctxKey = iota
	keyOfRequest
	keyOfAudit
	keyOfTicket
)

// caller is who asks.
func caller(ctx context.Context) *Key {
	if k, ok := ctx.Value(keyOfCaller).(*Key); ok {
		return k
	}
	return &Key{} // sees nothing new: every operation with a scope has a caller
}

// refused is why a key opens nothing, nil where it does (T-21, F-19).
func (k *Key) refused(now time.Time) *Problem {
	switch {
	case k == nil:
		return fail(http.StatusUnauthorized, "unauthorized", "", "The key is not known.")
	case k.Revoked:
		return fail(http.StatusUnauthorized, "api_key_revoked", "", "The key has been deactivated.")
	case !k.Expires.IsZero() && !now.Before(k.Expires):
		return fail(http.StatusUnauthorized, "api_key_expired", "", "The key has expired.")
	}
	return nil
}

// scope marks an operation with the scope it needs.
func scope(name string) []map[string][]string {
	return []map[string][]string{{"key": {name}}, {"bearer": {name}}}
}

// authorize lets a request through to an operation whose scope its key covers.
func (s *Server) authorize(ctx huma.Context, next func(huma.Context)) {
	security := ctx.Operation().Security
	if len(security) == 0 {
		next(ctx)
		return
	}
	key := presented(ctx.Header)
	if page, _ := ctx.Operation().Metadata[ticketKey].(bool); page {
		if t := s.ticket(ctx.Context(), key); t != nil {
			who := t.key()
			audited(ctx.Context(), who.Name)
			next(huma.WithValue(huma.WithValue(ctx, keyOfCaller, who), keyOfTicket, t))
			return
		}
	}
	who := s.find(key)
	if may, _ := ctx.Operation().Metadata[passKey].(bool); may && key == "" {
		if token := ctx.Query("token"); token != "" {
			who, key = s.withPass(ctx.Context(), token, ctx.Param("id")), token
		}
	}
	switch p := who.refused(time.Now()); {
	case s.open():
		who = local
	case key == "":
		s.refuse(ctx, fail(http.StatusUnauthorized, "unauthorized", "",
			"This needs a key, in X-API-Key or as Authorization: Bearer."))
		return
	case p != nil:
		s.refuse(ctx, p)
		return
	}
	audited(ctx.Context(), who.Name)
	for _, need := range security[0]["key"] {
		if !who.may(need) {
			p := fail(http.StatusForbidden, "forbidden", "", "The key lacks the scope "+need+".")
			p.scope = need
			s.refuse(ctx, p)
			return
		}
	}
	next(huma.WithValue(ctx, keyOfCaller, who))
}

func (s *Server) refuse(ctx huma.Context, p *Problem) {
	if p.Status == http.StatusUnauthorized {
		ctx.SetHeader("WWW-Authenticate", `Bearer realm="patchcord"`)
	}
	writeProblem(ctx.BodyWriter(), ctx.SetHeader, ctx.SetStatus, s.fill(ctx.Context(), ctx.URL().Path, p))
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// ours tells whether a request without a key comes from this machine by
// intent: a page elsewhere that makes a browser here ask has another host or
// another origin.
func (s *Server) ours(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = strings.Trim(r.Host, "[]")
	}
	if !isLoopback(host) {
		return false
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		return site == "same-origin" || site == "none"
	}
	origin := r.Header.Get("Origin")
	return origin == "" || origin == "http://"+r.Host || origin == "https://"+r.Host
}
