package trunk

import (
	"encoding/base64"
	"net/url"
	"slices"

	"github.com/patchcord/patchcord/internal/secret"
)

// typeSIP is the type of trunks that carry SIP, the default.
const typeSIP = "sip"

// carrier is a type of trunk whose calls come over WebSockets.
type carrier struct {
	Codecs []string // of its streams, the default first
	proof  string   // the key of what tells its requests from others'
}

// carriers are those that telephony/wsmedia speaks with.
var carriers = map[string]carrier{
	"twilio": {[]string{"PCMU"}, "auth_token"},
	"telnyx": {[]string{"PCMU", "PCMA", "G722", "L16"}, "public_key"},
}

// Carriers are the types of trunk whose calls come over WebSockets, and the
// codecs of their streams, the default first.
func Carriers() map[string][]string {
	out := map[string][]string{}
	for name, c := range carriers {
		out[name] = slices.Clone(c.Codecs)
	}
	return out
}

// OverWebSocket tells whether the trunk's calls come over WebSockets.
func (c *Config) OverWebSocket() bool { _, ok := carriers[c.Type]; return ok }

// Credential is the one secret of a trunk: a carrier's auth_token, else the
// password.
func (c *Config) Credential() *secret.Text {
	if c.OverWebSocket() {
		return &c.AuthToken
	}
	return &c.Password
}

// CredentialKey is what the configuration calls it.
func (c *Config) CredentialKey() string {
	if c.OverWebSocket() {
		return "auth_token"
	}
	return "password"
}

// carrier checks what is of carriers alone, and what is not.
func (b *builder) carrier(path string, c *Config, tr *Trunk) {
	types := []string{"", typeSIP}
	for name := range carriers {
		types = append(types, name)
	}
	slices.Sort(types[2:])
	b.choice(path+".type", c.Type, types...)
	given := []struct {
		key string
		is  bool
	}{
		{"account_sid", c.AccountSID != ""},
		{"auth_token", c.AuthToken != ""},
		{"public_key", c.PublicKey != ""},
		{"api_url", c.APIURL != ""},
	}
	of, ok := carriers[c.Type]
	if !ok {
		for _, g := range given {
			if g.is {
				b.fault(path+"."+g.key, "set type to the carrier's", "it is of carriers that bring calls over WebSockets")
			}
		}
		return
	}
	tr.Type, tr.AccountSID, tr.AuthToken = c.Type, c.AccountSID, c.AuthToken
	tr.PublicKey, tr.APIURL = c.PublicKey, c.APIURL
	for _, g := range []struct {
		key string
		is  bool
	}{
		{"gateways", len(c.Gateways) > 0},
		{"allow", len(c.Allow) > 0},
		{"username", c.Username != ""},
		{"password", c.Password != ""},
		{"register", c.Register},
		{"outbound_proxy", c.OutboundProxy != ""},
		{"transfers", c.Transfers == "on"},
		{"srtp", c.SRTP == "optional" || c.SRTP == "required"},
	} {
		if g.is {
			b.fault(path+"."+g.key, "leave it out, or make it a trunk of its own without a type",
				"it is of SIP; a trunk of the type %s brings its calls over WebSockets", c.Type)
		}
	}
	for _, g := range given {
		if g.key == of.proof && !g.is {
			b.fault(path+"."+g.key, "copy it from the carrier's console", "without it nothing tells %s from others", c.Type)
		}
	}
	if key, err := base64.StdEncoding.DecodeString(c.PublicKey); c.PublicKey != "" && (err != nil || len(key) != 32) {
		b.fault(path+".public_key", "copy it from the carrier's console", "it is no ed25519 key, 32 bytes in base64")
	}
	u, err := url.Parse(c.APIURL)
	if c.APIURL != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
		b.fault(path+".api_url", "write one such as https://api.ie1.twilio.com, or leave it empty", "%q is no URL", c.APIURL)
	}
}
