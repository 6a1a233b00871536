// Package trunk is what we know of the carriers and telephone systems we talk
// with: which addresses they call from, where to send calls to them, how they
// write numbers, and which agent answers the numbers they bring.
//
// A [Table] is immutable and safe for any number of goroutines; a changed
// configuration is a new table, swapped in by [Live]. Matching a source
// against it allocates nothing and takes no lock, so that it can stand before
// all other work (SEC-3): who matches no trunk gets none.
package trunk

import (
	"net/netip"
	"slices"
	"time"

	"github.com/patchcord/patchcord/internal/secret"
	"github.com/patchcord/patchcord/telephony"
)

// Config is one trunk as its keeper wrote it.
type Config struct {
	Name string `yaml:"name" json:"name"`
	// Type is what brings the trunk's calls: sip (the default), or a carrier
	// that streams them over WebSockets: twilio, telnyx. Of what follows such a
	// trunk has codecs, country, accept_headers, refer and max_calls.
	Type string `yaml:"type" json:"type,omitempty"`
	// AccountSID is the carrier's account: with it, calls are ended and handed on
	// over the carrier's API.
	AccountSID string      `yaml:"account_sid" json:"account_sid,omitempty"`
	AuthToken  secret.Text `yaml:"auth_token" json:"-"`                    // twilio: signs its requests; telnyx: the key of its API
	PublicKey  string      `yaml:"public_key" json:"public_key,omitempty"` // telnyx: of its signatures, base64
	APIURL     string      `yaml:"api_url" json:"api_url,omitempty"`       // of the carrier's API; "": its own
	// Gateways are where calls go to, the first that is up:
	// sip:host[:port][;transport=udp|tcp|tls], or host[:port]. A name stands
	// for every address that NAPTR, SRV, A and AAAA records tell (RFC 3263).
	Gateways []string `yaml:"gateways" json:"gateways,omitempty"`
	// Allow are the addresses and prefixes that calls come from. Where none
	// is given, or with Register, those of the gateways.
	Allow    []string    `yaml:"allow" json:"allow,omitempty"`
	Username string      `yaml:"username" json:"username,omitempty"` // digest, in both directions
	Password secret.Text `yaml:"password" json:"-"`                  // shown to nobody
	// Auth is who asks whom for the password: outbound (the default) answers
	// the challenges of the gateways, inbound challenges every call from Allow,
	// both does both. Trunks that challenge may share a prefix of Allow, the
	// username tells them: so telephones are let in whose address changes.
	Auth string `yaml:"auth" json:"auth,omitempty"`
	// Digest are the algorithms that callers are asked in, by preference; nil:
	// SHA-256, MD5. Some telephones read the first alone, and know MD5.
	Digest []string `yaml:"digest" json:"digest,omitempty"`
	Realm  string   `yaml:"realm" json:"realm,omitempty"` // the only one that Password is for, "": any; of callers "": patchcord
	From   string   `yaml:"from" json:"from,omitempty"`   // caller ID where a call names none
	// Trusted believes what the trunk asserts of callers (P-Asserted-Identity,
	// Remote-Party-ID: RFC 3325); others can write anything there.
	Trusted bool `yaml:"trusted" json:"trusted,omitempty"`
	// Identity is how calls out tell who places them beside From, which may be
	// withheld: pai, ppi (P-Asserted-, P-Preferred-Identity), rpid
	// (Remote-Party-ID). The number is From's of the trunk, else the call's.
	Identity string `yaml:"identity" json:"identity,omitempty"`
	// Diversion is how calls that are passed on tell whom they were for before:
	// diversion (RFC 5806, the default), history (RFC 7044), both, off.
	Diversion string `yaml:"diversion" json:"diversion,omitempty"`
	// TransferCaller is how a transfer by a leg of ours tells who is handed over:
	// off (the default), by our own number alone; from, in the place of ours;
	// identity, beside it as Identity says, in P-Asserted-Identity where it says
	// nothing.
	TransferCaller string `yaml:"transfer_caller" json:"transfer_caller,omitempty"`
	// AcceptHeaders are the X- headers of calls in that become variables:
	// X-Order is x_order; X-Acme-* are all that begin so.
	AcceptHeaders []string          `yaml:"accept_headers" json:"accept_headers,omitempty"`
	Headers       map[string]string `yaml:"headers" json:"headers,omitempty"`     // on every call out
	Redirects     string            `yaml:"redirects" json:"redirects,omitempty"` // on: 3xx answers are followed, behind the dial gate
	// Transfers on lets a party of the trunk send us to somebody else, by REFER or
	// by an INVITE with Replaces: the call goes on with them, behind the dial gate.
	Transfers string   `yaml:"transfers" json:"transfers,omitempty"`
	Codecs    []string `yaml:"codecs" json:"codecs,omitempty"`
	// NAT any takes media from any address until it is latched; the default
	// takes it only from the address the peer named or one of Allow.
	NAT string `yaml:"nat" json:"nat,omitempty"`
	// Country is the ISO 3166 code that numbers without a country code
	// belong to: "DE". Empty: only numbers with + or 00 are normalised.
	Country string `yaml:"country" json:"country,omitempty"`
	// NumberFormat is how the gateway wants numbers: e164 (+4930123456, the
	// default), plain (4930123456) or national (030123456).
	NumberFormat string        `yaml:"number_format" json:"number_format,omitempty"`
	Prefix       string        `yaml:"prefix" json:"prefix,omitempty"` // put before every number dialled, a technical prefix of the carrier
	RingTimeout  time.Duration `yaml:"ring_timeout" json:"ring_timeout,omitempty"`
	SRTP         string        `yaml:"srtp" json:"srtp,omitempty"` // off, optional, required: whether media is encrypted, by keys of SDES
	TLS          Security      `yaml:"tls" json:"tls,omitzero"`    // of gateways over TLS, and of calls that come over it
	// SessionExpires is the session timer that calls ask for (RFC 4028), 90s at
	// least; 0: 30m. A peer that wants it shorter has its way.
	SessionExpires time.Duration `yaml:"session_expires" json:"session_expires,omitempty"`

	// DTMF is how keys are sent: rfc4733, info, inband, or auto: by telephone-event
	// where that was negotiated, else as sound. They are heard in every way.
	DTMF string `yaml:"dtmf" json:"dtmf,omitempty"`

	// Register keeps the first gateway that answers knowing where we are, as
	// carriers want it that send calls to where one registers.
	Register bool `yaml:"register" json:"register,omitempty"`
	// OutboundProxy is where all requests of the trunk go first; the gateways
	// stand in them as before.
	OutboundProxy string `yaml:"outbound_proxy" json:"outbound_proxy,omitempty"`
	// Probe off asks the gateways nothing by OPTIONS: for those that do not
	// answer it. The default asks every 30 s.
	Probe    string  `yaml:"probe" json:"probe,omitempty"`
	MaxCalls int     `yaml:"max_calls" json:"max_calls,omitempty"` // in and out at once; 0: no limit of its own
	MaxCPS   float64 `yaml:"max_cps" json:"max_cps,omitempty"`     // calls placed per second, see [Capacity.Place]; 0: no limit

	// Refer is whether calls are transferred by REFER: auto, where the peer's
	// Allow has it; on, in any case; never (or off), by a bridge of ours at once.
	Refer string `yaml:"refer" json:"refer,omitempty"`
	// ReferTo is how the Refer-To of a number is written: {number} as the
	// gateway wants numbers, {host} the gateway. "": sip:{number}@{host}.
	ReferTo string `yaml:"refer_to" json:"refer_to,omitempty"`
	// Replaces lets a caller and the person who was consulted, both on this
	// trunk, be joined over there (RFC 3891), where that person's Supported has it.
	Replaces bool `yaml:"replaces" json:"replaces,omitempty"`
}

// Number says which agent answers a number.
type Number struct {
	Number string `yaml:"number" json:"number"`         // E.164, or the user part as it is dialled
	Trunk  string `yaml:"trunk" json:"trunk,omitempty"` // "": any
	Agent  string `yaml:"agent" json:"agent"`
}

// Transport is what carries the signalling to a gateway.
type Transport string

// The transports.
const (
	UDP Transport = "udp"
	TCP Transport = "tcp"
	TLS Transport = "tls"
)

// Gateway is one place to send calls to.
type Gateway struct {
	URI       string    // as configured, sip: added
	Host      string    // name or address, IPv6 without brackets
	Port      int       // 0: by SRV record, else the transport's own
	Transport Transport // "": by NAPTR or SRV record, else UDP
}

// Trunk is a checked Config.
type Trunk struct {
	ID           telephony.TrunkID
	Type         string // "" of SIP; else the carrier's, and the four that follow are its
	AccountSID   string
	AuthToken    secret.Text
	PublicKey    string
	APIURL       string
	Gateways     []Gateway
	Username     string
	Password     secret.Text // for the gateways' challenges; "" where they have no business with it
	Caller       *Account    // what a caller must prove; nil: its address is enough
	Realm        string
	From         string
	Trusted      bool
	Identity     string
	Diversion    string
	CallerIn     string            // of a transfer by a leg of ours, who is handed over: "", CallerFrom or CallerIdentity
	Accepted     []string          // lower-case names of headers, those that end in * begin so
	Headers      map[string]string // on every call out
	Redirects    bool
	Transfers    bool
	Codecs       []string // names as registered, by preference; nil: the default
	NATAny       bool
	Allow        []netip.Prefix // where calls come from, and media beside the address the peer names
	Country      string
	NumberFormat string
	Prefix       string
	RingTimeout  time.Duration // 0: the dialler's
	Refer        string        // "", ReferOn or ReferNever
	ReferTo      string
	Replaces     bool
	Trust        *Trust
	Register     bool
	Proxy        *Gateway // nil: none
	Probe        bool     // gateways are asked by OPTIONS
	MaxCalls     int
	MaxCPS       float64
	SRTP         string // "", optional, required

	SessionExpires time.Duration // 0: 30m
	DTMF           string        // how keys are sent: rfc4733, info, inband; auto, "": the first and else the last

	anyAllowed bool // Allow is given
}

// What a trunk's Refer may be, beside auto.
const (
	ReferOn    = "on"
	ReferNever = "never"
)

// DefaultReferTo is the Refer-To of a number where a trunk has no other.
const DefaultReferTo = "sip:{number}@{host}"

// Order is in which order the addresses of gateways are tried: those that are
// up as they come, then the others, for a probe may be wrong.
func Order[T any](all []T, up func(*T) bool) []T {
	list := make([]T, 0, len(all))
	var down []T
	for i := range all {
		if up(&all[i]) {
			list = append(list, all[i])
		} else {
			down = append(down, all[i])
		}
	}
	return append(list, down...)
}

// SameLine reports whether two trunks are reached and registered alike, so that
// what is known of one holds for the other.
func (t *Trunk) SameLine(o *Trunk) bool {
	proxy := t.Proxy == nil && o.Proxy == nil || t.Proxy != nil && o.Proxy != nil && *t.Proxy == *o.Proxy
	return proxy && slices.Equal(t.Gateways, o.Gateways) && t.Username == o.Username && t.Password == o.Password &&
		t.Realm == o.Realm && t.Register == o.Register && t.Probe == o.Probe
}
