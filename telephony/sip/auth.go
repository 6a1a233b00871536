package sip

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"

	"github.com/patchcord/patchcord/telephony/trunk"
)

// authorize puts the answer to a challenge on req. It looks at every challenge
// and takes SHA-256 before MD5, leaving out what it does not know (sip:P14);
// it signs the Request-URI exactly as it stands on the request. It answers only
// the address the request went to and only for the trunk's realm (SEC-4).
func (g *leg) authorize(req *sip.Request, res *sip.Response, asked netip.Addr) error {
	if g.trunk == nil || g.trunk.Username == "" {
		return errors.New("sip: the peer wants a password and the trunk has none")
	}
	if from, err := netip.ParseAddrPort(res.Source()); err == nil && from.Addr().Unmap() != asked {
		return fmt.Errorf("sip: a challenge from %s, we asked %s", from.Addr(), asked)
	}
	name, answer := "WWW-Authenticate", "Authorization"
	if res.StatusCode == 407 {
		name, answer = "Proxy-Authenticate", "Proxy-Authorization"
	}
	var best *digest.Challenge
	stale := req.GetHeader(answer) == nil
	for _, h := range res.GetHeaders(name) {
		for _, text := range splitChallenges(h.Value()) {
			c, err := digest.ParseChallenge(text)
			if err != nil || !usable(c, g.trunk) {
				continue
			}
			if best == nil || rankAlgorithm(c) > rankAlgorithm(best) {
				best = c
			}
		}
	}
	if best == nil {
		return fmt.Errorf("sip: no challenge that we can answer")
	}
	if !stale && !best.Stale {
		return errors.New("sip: the trunk's password is wrong")
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

// usable reports whether we can answer a challenge and may.
func usable(c *digest.Challenge, t *trunk.Trunk) bool {
	if t.Realm != "" && c.Realm != t.Realm {
		return false
	}
	if len(c.QOP) > 0 && !c.SupportsQOP("auth") {
		return false
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
