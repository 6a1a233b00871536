package sip

import (
	"fmt"
	"net/netip"

	"github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"

	"github.com/patchcord/patchcord/telephony/trunk"
)

// login keeps the challenges of a registrar, and of a proxy before it, so that
// one round trip is enough while a nonce is good: its count rises with each
// request (RFC 7616 section 3.4).
type login map[string]*credential // by Authorization, Proxy-Authorization

type credential struct {
	challenge *digest.Challenge
	count     int // requests signed with it
}

// sign puts the credentials on req that are at hand.
func (l login) sign(req *sip.Request, t *trunk.Trunk) error {
	for name, c := range l {
		c.count++
		signed, err := digest.Digest(c.challenge, digest.Options{
			Method: req.Method.String(), URI: req.Recipient.String(), Count: c.count,
			Username: t.Username, Password: t.Password.Reveal(),
		})
		if err != nil {
			return fmt.Errorf("sip: answer challenge: %w", err)
		}
		req.AppendHeader(sip.NewHeader(name, signed.String()))
	}
	return nil
}

// challenged takes a 401 or 407; the next request is signed for it. answered
// are the challenges that the requests of this exchange have answered already:
// another one that is not for a stale nonce says that the password is wrong.
func (l login) challenged(t *trunk.Trunk, res *sip.Response, asked netip.Addr, answered map[string]int) error {
	if err := fromAsked(res, asked); err != nil {
		return err
	}
	c, name, err := challengeOf(res, t)
	if err != nil {
		return err
	}
	if n := answered[name]; n > 0 && !c.Stale || n > 1 {
		delete(l, name)
		return errPassword
	}
	answered[name]++
	l[name] = &credential{challenge: c}
	return nil
}
