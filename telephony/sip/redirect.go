package sip

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"
)

// maxRedirects bounds the targets that the answers to one call may lead it to.
const maxRedirects = 5

// errCircle is a redirection to where the call was already.
var errCircle = errors.New("the call was there already")

// redirect takes the targets of a 3xx where the trunk allows it (SEC-6): each
// passes the gate, and none is called twice. It reports whether there is one to
// call; else why says what there was.
func (g *leg) redirect(res *sip.Response) (why string, ok bool) {
	switch {
	case res.StatusCode < 300 || res.StatusCode > 302: // a proxy or a service, no other number
		return "", false
	case g.trunk == nil || !g.trunk.Redirects:
		return "redirected elsewhere, which is not followed: the trunk has redirects: off", false
	}
	g.attempts.left = nil
	why = "redirected to nowhere"
	for _, uri := range targets(res) {
		if g.attempts.redirects >= maxRedirects {
			return fmt.Sprintf("redirected more than %d times", maxRedirects), len(g.attempts.left) > 0
		}
		ways, err := g.redirection(uri)
		if err != nil {
			why = "redirected to " + clean(uri) + ": " + err.Error()
			g.log.Warn("sip: redirection not followed", zap.Error(err))
			continue
		}
		g.attempts.redirects++
		g.attempts.left = append(g.attempts.left, ways...)
	}
	return why, len(g.attempts.left) > 0
}

// redirection is how a target is called that the call was not at yet.
func (g *leg) redirection(target string) ([]gateway, error) {
	ways, _, err := g.u.permitted(g.trunk, target)
	if err != nil {
		return nil, err
	}
	ways = slices.DeleteFunc(ways, func(w gateway) bool { return g.attempts.tried[w.uri.String()] })
	if len(ways) == 0 {
		return nil, errCircle
	}
	for _, w := range ways {
		g.attempts.try(w)
	}
	return ways, nil
}

// try marks a way as taken.
func (a *attempts) try(w gateway) {
	if a.tried == nil {
		a.tried = map[string]bool{}
	}
	a.tried[w.uri.String()] = true
}

// targets are the Contacts of a 3xx, the preferred one first (RFC 3261 section
// 20.10).
func targets(res *sip.Response) []string {
	type target struct {
		uri string
		q   float64
	}
	var list []target
	for _, h := range res.GetHeaders("Contact") {
		a, ok := parseAddress(h.Value())
		if !ok || !phoneScheme(a.uri) {
			continue
		}
		t := target{a.uri, 1}
		if v, ok := a.param("q"); ok {
			if q, err := strconv.ParseFloat(v, 64); err == nil {
				t.q = q
			}
		}
		list = append(list, t)
	}
	slices.SortStableFunc(list, func(a, b target) int { return cmp.Compare(b.q, a.q) })
	out := make([]string, 0, len(list))
	for _, t := range list {
		out = append(out, t.uri)
	}
	return out
}
