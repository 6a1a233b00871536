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
	"time"

	"github.com/patchcord/patchcord/internal/secret"
	"github.com/patchcord/patchcord/telephony"
)

// Config is one trunk as its keeper wrote it.
type Config struct {
	Name string `yaml:"name" json:"name"`
	// Gateways are where calls go to, the first that is up:
	// sip:host[:port][;transport=udp|tcp|tls], or host[:port].
	Gateways []string `yaml:"gateways" json:"gateways,omitempty"`
	// Allow are the addresses and prefixes that calls come from. Where none
	// is given, those of the gateways that are addresses.
	Allow    []string    `yaml:"allow" json:"allow,omitempty"`
	Username string      `yaml:"username" json:"username,omitempty"` // digest, in both directions
	Password secret.Text `yaml:"password" json:"-"`                  // shown to nobody
	Realm    string      `yaml:"realm" json:"realm,omitempty"`       // the only one that Password is for; "": any
	From     string      `yaml:"from" json:"from,omitempty"`         // caller ID where a call names none
	Codecs   []string    `yaml:"codecs" json:"codecs,omitempty"`
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

	// The following are read and checked; the parts behind them come later,
	// and [Table.Warnings] says so.
	Register      bool   `yaml:"register" json:"register,omitempty"`
	Refer         string `yaml:"refer" json:"refer,omitempty"` // auto, on, off
	OutboundProxy string `yaml:"outbound_proxy" json:"outbound_proxy,omitempty"`
	SRTP          string `yaml:"srtp" json:"srtp,omitempty"`           // off, optional, required
	DTMF          string `yaml:"dtmf" json:"dtmf,omitempty"`           // auto, rfc4733, info, inband
	MaxCalls      int    `yaml:"max_calls" json:"max_calls,omitempty"` // 0: no limit of its own
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
	URI       string // as configured, sip: added
	Host      string // name or address, IPv6 without brackets
	Port      int    // 0: by SRV record, else the transport's own
	Transport Transport
}

// Trunk is a checked Config.
type Trunk struct {
	ID           telephony.TrunkID
	Gateways     []Gateway
	Username     string
	Password     secret.Text
	Realm        string
	From         string
	Codecs       []string // names as registered, by preference; nil: the default
	NATAny       bool
	Allow        []netip.Prefix // where calls come from, and media beside the address the peer names
	Country      string
	NumberFormat string
	Prefix       string
	RingTimeout  time.Duration // 0: the dialler's
	Refer        string
}

// Order is in which order gateways are tried: those that are up as
// configured, then the others, for a probe may be wrong.
func (t *Trunk) Order(up func(Gateway) bool) []Gateway {
	list := make([]Gateway, 0, len(t.Gateways))
	for _, want := range []bool{true, false} {
		for _, g := range t.Gateways {
			if up(g) == want {
				list = append(list, g)
			}
		}
	}
	return list
}
