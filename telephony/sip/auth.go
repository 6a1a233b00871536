package sip

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"

	"github.com/patchcord/patchcord/telephony/trunk"
)

// authorize puts the answer to a challenge on req. It looks at every challenge
// and takes SHA-256 before MD5, leaving out what it does not know (sip:P14);
// it signs the Request-URI exactly as it stands on the request. It answers only
// the trunk's gateway, where the request went to it, and only for the trunk's
// realm (SEC-4): a callee whose Contact is elsewhere is not the carrier.
func (g *leg) authorize(req *sip.Request, res *sip.Response, asked netip.Addr) error {
	if g.trunk == nil || !g.trunk.Answers() {
		return errors.New("sip: the peer wants a password and the trunk has none for it")
	}
	if asked != g.gateway {
		return fmt.Errorf("sip: a challenge from %s, which is not the trunk's gateway", asked)
	}
	if err := fromAsked(res, asked); err != nil {
		return err
	}
	best, answer, err := challengeOf(res, g.trunk)
	if err != nil {
		return err
	}
	if req.GetHeader(answer) != nil && !best.Stale {
		return errPassword
	}
	credentials, err := digest.Digest(best, digest.Options{
		Method: req.Method.String(), URI: req.Recipient.String(), Count: 1,
		Username: g.trunk.Username, Password: g.trunk.Password.Reveal(),
	})
	if err != nil {
		return fmt.Errorf("sip: answer challenge: %w", err)
	}
	for req.RemoveHeader(answer) {
	}
	h := sip.NewHeader(answer, credentials.String())
	req.AppendHeader(h)
	if req.IsInvite() {
		g.auth = h
	}
	return nil
}

var errPassword = errors.New("sip: the trunk's password is wrong")

// fromAsked refuses an answer that does not come from where we asked.
func fromAsked(res *sip.Response, asked netip.Addr) error {
	if from, err := netip.ParseAddrPort(res.Source()); err != nil || from.Addr().Unmap() != asked {
		return fmt.Errorf("sip: a challenge from %s, we asked %s", res.Source(), asked)
	}
	return nil
}

// challengeOf is the best of the challenges of a 401 or 407 that we can answer
// and may, and the name of the field that answers it.
func challengeOf(res *sip.Response, t *trunk.Trunk) (best *digest.Challenge, answer string, err error) {
	name, answer := "WWW-Authenticate", "Authorization"
	if res.StatusCode == 407 {
		name, answer = "Proxy-Authenticate", "Proxy-Authorization"
	}
	for _, h := range res.GetHeaders(name) {
		for _, text := range splitChallenges(h.Value()) {
			c, err := digest.ParseChallenge(text)
			if err != nil || !usable(c, t) {
				continue
			}
			if best == nil || rankAlgorithm(c) > rankAlgorithm(best) {
				best = c
			}
		}
	}
	if best == nil {
		return nil, "", errors.New("sip: no challenge that we can answer")
	}
	return best, answer, nil
}

// usable reports whether we can answer a challenge and may.
func usable(c *digest.Challenge, t *trunk.Trunk) bool {
	if t.Realm != "" && c.Realm != t.Realm {
		return false
	}
	if len(c.QOP) > 0 {
		if !slices.ContainsFunc(c.QOP, func(q string) bool { return strings.EqualFold(strings.TrimSpace(q), "auth") }) {
			return false
		}
		c.QOP = []string{"auth"} // of a list that may have auth-int and white space
	}
	return rankAlgorithm(c) > 0 && visible(c.Realm) && visible(c.Nonce) && visible(c.Opaque)
}

// rankAlgorithm orders what we can compute; 0 is what we cannot. It spells the
// algorithm as the digest package wants it.
func rankAlgorithm(c *digest.Challenge) int {
	switch strings.ToUpper(c.Algorithm) {
	case "SHA-256":
		c.Algorithm = "SHA-256"
		return 2
	case "MD5", "":
		if c.Algorithm != "" {
			c.Algorithm = "MD5"
		}
		return 1
	}
	return 0
}

// splitChallenges cuts a field that holds several challenges into them: each
// begins with a scheme, a token that a space and not an = follows.
func splitChallenges(s string) []string {
	var out []string
	for _, part := range splitList(s) {
		first, rest, _ := strings.Cut(part, " ")
		rest = strings.TrimSpace(rest)
		if isToken(first) && !strings.HasPrefix(rest, "=") && (rest == "" || strings.Contains(rest, "=")) {
			out = append(out, part)
		} else if len(out) > 0 {
			out[len(out)-1] += ", " + part
		}
	}
	return out
}
