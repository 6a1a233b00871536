package sip

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/telephony/trunk"
)

// What a password may cost (SEC-4).
const (
	nonceLife  = 5 * time.Minute // then the caller is asked again, with stale=true
	nonceCount = 64              // how far the nonce counts of one nonce may be out of order
	maxWrong   = 5               // wrong answers of one source until it is locked out
	lockedOut  = time.Minute
)

// challenger asks callers for their password (RFC 7616, RFC 8760), before a call
// of theirs costs more than that. Nothing is kept of a caller who has proved
// nothing: a nonce carries its time and is good for the address that it was
// given to, so a forged source can neither use one nor be locked out by it.
//
//	nonce = base64(time 8 | random 8 | HMAC-SHA256(secret, time random address) 16)
//
// An unknown user is computed and answered as a wrong password is.
type challenger struct {
	now    func() time.Time
	secret []byte
	nobody *trunk.Account // stands in for an unknown user; its password is random
	count  *counters
	log    *zap.Logger

	mu     sync.Mutex
	used   recent[string, counted]      // nonces that a right answer came with
	oldest time.Time                    // nonces from before that are forgotten, and not taken any more
	wrong  recent[netip.Addr, offences] // sources, see site
}

// counted is which counts of a nonce were seen.
type counted struct {
	issued time.Time
	top    int
	seen   uint64 // bit i: top-i
}

// offences are the wrong answers of a source.
type offences struct {
	n     int
	last  [sha256.Size]byte // of the last, see guess: one that is sent again counts once
	at    time.Time
	until time.Time // it is locked out
}

func newChallenger(sources int, now func() time.Time, count *counters, log *zap.Logger) *challenger {
	c := &challenger{
		now: now, secret: make([]byte, 32), nobody: trunk.NewAccount("", "", rand.Text()), count: count, log: log,
		used: newRecent[string, counted](sources), wrong: newRecent[netip.Addr, offences](sources),
	}
	_, _ = rand.Read(c.secret) // never fails
	return c
}

// admit is who of the trunks that share the source sent m, or the answer to m:
// a challenge, or 403 to a source that is locked out.
func (c *challenger) admit(m *message, callers []*trunk.Trunk) (*trunk.Trunk, *refusal) {
	addr, asked, now := m.from.Addr(), callers[0].Caller, c.now()
	if c.locked(addr, now) {
		return nil, refuse(403, "Forbidden")
	}
	cred := m.credentials(asked)
	if cred == nil {
		return nil, c.challenge(addr, asked, now, false)
	}
	issued, ours := c.issued(cred.Nonce, addr)
	switch {
	case !ours:
		return nil, c.challenge(addr, asked, now, false)
	case now.Sub(issued) > nonceLife: // right or wrong: nothing is learned with old nonces
		return nil, c.challenge(addr, asked, now, true)
	}
	who := prove(cred, m, callers, c.nobody)
	switch {
	case who == nil:
		c.offend(addr, guess(m.branch, cred), now)
		return nil, c.challenge(addr, asked, now, false)
	case !c.fresh(cred, issued):
		return nil, c.challenge(addr, asked, now, true)
	}
	return who, nil
}

// prove is the trunk whose password the credentials hold, nil for none. The
// work is the same whoever is named.
func prove(cred *digest.Credentials, m *message, callers []*trunk.Trunk, nobody *trunk.Account) (who *trunk.Trunk) {
	account := nobody
	for _, t := range callers {
		if subtle.ConstantTimeCompare([]byte(t.Caller.Username), []byte(cred.Username)) == 1 {
			account, who = t.Caller, t
		}
	}
	a1 := account.MD5
	if cred.Algorithm == trunk.SHA256 {
		a1 = account.SHA256
	}
	asked := &digest.Challenge{Realm: account.Realm, Nonce: cred.Nonce, Algorithm: cred.Algorithm}
	if cred.QOP != "" { // else the form of RFC 2069, which old telephones write
		asked.QOP = []string{"auth"}
	}
	want, err := digest.Digest(asked, digest.Options{
		Method: m.method, URI: cred.URI, Count: cred.Nc, Cnonce: cred.Cnonce, A1: a1.Reveal(), Username: cred.Username,
	})
	if err != nil {
		return nil
	}
	same := subtle.ConstantTimeCompare([]byte(want.Response), []byte(lower(cred.Response))) == 1
	if !same || !sameTarget(cred.URI, m.uri) {
		return nil
	}
	return who
}

// sameTarget reports whether what was signed is what is dialled. A proxy on the
// way may have changed the host and its parameters, and some sign the host alone.
func sameTarget(signed, asked string) bool {
	if signed == asked {
		return true
	}
	var a, b sip.Uri
	return sip.ParseUri(signed, &a) == nil && sip.ParseUri(asked, &b) == nil && a.Scheme == b.Scheme &&
		(a.User == b.User || a.User == "")
}

// credentials are those that p carries of what was asked for, nil for none that
// could be right.
func (p *packet) credentials(asked *trunk.Account) *digest.Credentials {
	for _, f := range p.fields {
		if f.name != "Authorization" {
			continue
		}
		c, err := digest.ParseCredentials(f.value)
		if err != nil || c.Realm != asked.Realm || c.Userhash {
			continue
		}
		if c.Algorithm = strings.ToUpper(c.Algorithm); c.Algorithm == "" {
			c.Algorithm = trunk.MD5
		}
		qop := c.QOP == "auth" && c.Nc > 0 && c.Cnonce != "" || c.QOP == ""
		if qop && slices.Contains(asked.Algorithms, c.Algorithm) {
			return c
		}
	}
	return nil
}

// challenge is the 401 that asks for a password.
func (c *challenger) challenge(addr netip.Addr, asked *trunk.Account, now time.Time, stale bool) *refusal {
	r := refuse(401, "Unauthorized")
	nonce := c.nonce(addr, now)
	for _, algorithm := range asked.Algorithms {
		ask := digest.Challenge{Realm: asked.Realm, Nonce: nonce, Stale: stale, Algorithm: algorithm, QOP: []string{"auth"}}
		r.fields = append(r.fields, field{"WWW-Authenticate", ask.String()})
	}
	return r
}

func (c *challenger) nonce(addr netip.Addr, now time.Time) string {
	b := make([]byte, 16, 32)
	binary.BigEndian.PutUint64(b, uint64(now.UnixMilli())) //nolint:gosec // after 1970
	_, _ = rand.Read(b[8:])                                // never fails
	return base64.RawURLEncoding.EncodeToString(append(b, c.seal(b, addr)...))
}

// issued is when we gave that nonce to that address; false if we did not.
func (c *challenger) issued(nonce string, addr netip.Addr) (time.Time, bool) {
	b, err := base64.RawURLEncoding.DecodeString(nonce)
	if err != nil || len(b) != 32 || !hmac.Equal(b[16:], c.seal(b[:16], addr)) {
		return time.Time{}, false
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(b))), true //nolint:gosec // our own
}

func (c *challenger) seal(b []byte, addr netip.Addr) []byte {
	mac := hmac.New(sha256.New, c.secret)
	mac.Write(b)
	mac.Write(addr.AsSlice())
	return mac.Sum(nil)[:16]
}

// fresh reports whether the nonce was not used with that count before.
func (c *challenger) fresh(cred *digest.Credentials, issued time.Time) bool {
	nc := max(cred.Nc, 1) // without a count it is good once
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.used.get(cred.Nonce)
	if n == nil {
		if !issued.After(c.oldest) {
			return false
		}
		gone := c.used.put(cred.Nonce, counted{issued: issued, top: nc, seen: 1})
		if gone != nil && gone.issued.After(c.oldest) {
			c.oldest = gone.issued
		}
		return true
	}
	if ahead := nc - n.top; ahead > 0 {
		n.top, n.seen = nc, n.seen<<min(ahead, nonceCount)|1
		return true
	}
	bit := uint64(1) << min(n.top-nc, nonceCount)
	if bit == 0 || n.seen&bit != 0 {
		return false
	}
	n.seen |= bit
	return true
}

// site is what counts as one source: of IPv6 the 64 bits that one subscriber has
// all addresses of.
func site(addr netip.Addr) netip.Addr {
	if p, err := addr.Prefix(64); err == nil && addr.Is6() {
		return p.Addr()
	}
	return addr
}

func (c *challenger) locked(addr netip.Addr, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.wrong.get(site(addr))
	return o != nil && now.Before(o.until)
}

// guess tells a wrong answer from another: whoever guesses may write one branch
// over all of them.
func guess(branch string, cred *digest.Credentials) [sha256.Size]byte {
	return sha256.Sum256([]byte(strings.Join([]string{branch, cred.Username, cred.Nonce, cred.Response}, "\x00")))
}

// offend counts a wrong answer; a minute without one, and all are forgotten.
func (c *challenger) offend(addr netip.Addr, answer [sha256.Size]byte, now time.Time) {
	c.count.unproven.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	from := site(addr)
	o := c.wrong.get(from)
	if o == nil {
		c.wrong.put(from, offences{})
		o = c.wrong.get(from)
	}
	if o.last == answer {
		return
	}
	if now.Sub(o.at) > lockedOut {
		o.n = 0
	}
	o.n, o.last, o.at = o.n+1, answer, now
	if o.n < maxWrong {
		return
	}
	o.n, o.until = 0, now.Add(lockedOut)
	c.log.Warn("sip: source locked out, its passwords are wrong",
		zap.String("source", addr.String()), zap.Duration("for", lockedOut))
}
