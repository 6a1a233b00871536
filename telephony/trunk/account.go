package trunk

import (
	"crypto/md5" //nolint:gosec // what RFC 7616 says
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/patchcord/patchcord/internal/secret"
)

// Who asks for the password.
const (
	authOutbound = "outbound"
	authInbound  = "inbound"
	authBoth     = "both"
)

// DefaultRealm is the realm that callers are asked in where a trunk names none.
const DefaultRealm = "patchcord"

// Account is what a caller proves by digest (RFC 7616). The password is not
// kept, only what the answers are computed of: H(username:realm:password).
type Account struct {
	Username, Realm string
	Algorithms      []string    // that it may be proved in, by preference: SHA256, MD5
	MD5, SHA256     secret.Text // hex
}

// The algorithms of digest, as RFC 7616 spells them.
const (
	MD5    = "MD5"
	SHA256 = "SHA-256"
)

// NewAccount makes the account of a user.
func NewAccount(username, realm, password string) *Account {
	a1 := []byte(username + ":" + realm + ":" + password)
	md, sha := md5.Sum(a1), sha256.Sum256(a1) //nolint:gosec // see above
	return &Account{
		Username: username, Realm: realm, Algorithms: []string{SHA256, MD5},
		MD5: secret.Text(hex.EncodeToString(md[:])), SHA256: secret.Text(hex.EncodeToString(sha[:])),
	}
}

// besides reports whether two accounts can be asked for with one challenge and
// told by the answer.
func (a *Account) besides(b *Account) bool {
	return a != nil && b != nil && a.Realm == b.Realm && a.Username != b.Username &&
		slices.Equal(a.Algorithms, b.Algorithms)
}

// Answers reports whether challenges of the trunk's gateways are answered.
func (t *Trunk) Answers() bool { return t.Username != "" && (t.Caller == nil || t.Password != "") }

// account puts username and password where they are needed.
func (b *builder) account(path string, c *Config, tr *Trunk) {
	if c.Password != "" && c.Username == "" {
		b.fault(path+".username", "add the name the password belongs to", "a password without a username")
	}
	if c.Auth != authInbound && c.Auth != authBoth {
		return
	}
	if c.Username == "" || c.Password == "" {
		b.fault(path+".auth", "add username and password", "auth %s without what callers are to prove", c.Auth)
		return
	}
	realm := c.Realm
	if realm == "" {
		realm = DefaultRealm
	}
	tr.Caller = NewAccount(c.Username, realm, c.Password.Reveal())
	if len(c.Digest) > 0 {
		tr.Caller.Algorithms = nil
	}
	for i, name := range c.Digest {
		name = strings.ToUpper(name)
		b.choice(fmt.Sprintf("%s.digest[%d]", path, i), name, SHA256, MD5)
		tr.Caller.Algorithms = append(tr.Caller.Algorithms, name)
	}
	if c.Auth == authInbound {
		tr.Password = ""
	}
}
