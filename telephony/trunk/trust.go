package trunk

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/patchcord/patchcord/internal/certificate"
)

// Trust is a checked Security, its files read: whose certificates a trunk may
// show, and which one we do. The nil Trust is that of the zero Security.
type Trust struct {
	roots    *x509.CertPool // nil: the system's
	own      *certificate.Pair
	name     string
	hosts    []string // of the trunk's gateways over TLS
	pins     [][sha256.Size]byte
	insecure bool
	clients  bool
}

// NeedsClient tells that calls come with a client certificate or not at all.
func (t *Trust) NeedsClient() bool { return t != nil && t.clients }

// Client is TLS to a host of the trunk. told hears of the renewal of our own
// certificate.
func (t *Trust) Client(host string, told func(error)) *tls.Config {
	c := &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: t.serverName(host),
		InsecureSkipVerify: true, //nolint:gosec // Verify does it, by more than one name and by pins
		VerifyConnection:   func(s tls.ConnectionState) error { return t.Verify(s.PeerCertificates, host) },
	}
	if t != nil && t.own != nil {
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return t.own.Current(told), nil
		}
	}
	return c
}

// ServerTLS is base for a connection that may be of these callers, nil where it
// does as it is. One that can only be of callers who need a certificate is not
// let in without; where others share their address, the call decides.
func ServerTLS(base *tls.Config, callers []*Trunk) *tls.Config {
	need := slices.DeleteFunc(slices.Clone(callers), func(t *Trunk) bool { return !t.Trust.NeedsClient() })
	if len(need) == 0 {
		return nil
	}
	c := base.Clone()
	c.GetConfigForClient, c.ClientAuth = nil, tls.RequestClientCert
	if len(need) < len(callers) {
		return c
	}
	c.ClientAuth = tls.RequireAnyClientCert
	if len(need) == 1 {
		c.ClientCAs = need[0].Trust.roots // who has more than one knows which
	}
	c.VerifyConnection = func(s tls.ConnectionState) error {
		var faults []error
		for _, t := range need {
			err := t.Trust.VerifyClient(s.PeerCertificates)
			if err == nil {
				return nil
			}
			faults = append(faults, err)
		}
		return errors.Join(faults...)
	}
	return c
}

// besides reports whether callers of two trunks are told by their certificates.
func (t *Trust) besides(o *Trust) bool {
	return t.NeedsClient() && o.NeedsClient() && t.name != "" && o.name != "" && !strings.EqualFold(t.name, o.name)
}

// serverName is what is asked for by SNI: a name, or nothing.
func (t *Trust) serverName(host string) string {
	names := []string{host}
	if t != nil {
		names = slices.Concat([]string{t.name}, names, t.hosts)
	}
	for _, n := range names {
		if _, err := netip.ParseAddr(n); err != nil && n != "" {
			return n
		}
	}
	return ""
}

// errNoCertificate is a peer that shows none.
var errNoCertificate = errors.New("tls: it has no certificate")

// Verify says why the certificate of a host is not to be trusted. It may be for
// the host or, where a dialog leads to an address that no certificate is for,
// for any gateway of the trunk.
func (t *Trust) Verify(chain []*x509.Certificate, host string) error {
	names := []string{host}
	if t != nil {
		names = append(names, t.hosts...)
		if t.name != "" {
			names = []string{t.name}
		}
	}
	return t.verify(chain, names, x509.ExtKeyUsageServerAuth)
}

// VerifyClient says why the certificate of a caller is not to be trusted. What
// it was made for does not count: the public authorities make no certificates
// for clients any more.
func (t *Trust) VerifyClient(chain []*x509.Certificate) error {
	var names []string
	if t.name != "" {
		names = []string{t.name}
	}
	return t.verify(chain, names, x509.ExtKeyUsageAny)
}

func (t *Trust) verify(chain []*x509.Certificate, names []string, use x509.ExtKeyUsage) error {
	if len(chain) == 0 {
		return errNoCertificate
	}
	if t != nil && len(t.pins) > 0 {
		sum := sha256.Sum256(chain[0].RawSubjectPublicKeyInfo)
		if !slices.Contains(t.pins, sum) {
			return fmt.Errorf("tls: its key is %s, which is not the trunk's pin", pinText(sum))
		}
		if t.roots == nil && t.name == "" {
			return nil
		}
	}
	if t != nil && t.insecure {
		return nil
	}
	o := x509.VerifyOptions{Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{use}}
	if t != nil && t.roots != nil {
		// An authority of the carrier's own need not know what servers are.
		o.Roots, o.KeyUsages = t.roots, []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
	}
	for _, c := range chain[1:] {
		o.Intermediates.AddCert(c)
	}
	if _, err := chain[0].Verify(o); err != nil {
		return fmt.Errorf("tls: its certificate: %w", err)
	}
	if len(names) == 0 || slices.ContainsFunc(names, func(n string) bool { return named(chain[0], n) }) {
		return nil
	}
	return fmt.Errorf("tls: its certificate is for %s, not for %s", written(chain[0]), names[0])
}

// named tells whether a certificate is for a host: by a URI of SIP (RFC 5922
// section 7.1), by name or by address.
func named(c *x509.Certificate, host string) bool {
	for _, u := range c.URIs {
		if strings.EqualFold(u.Scheme, "sip") && strings.EqualFold(u.Opaque, host) {
			return true
		}
	}
	return c.VerifyHostname(host) == nil
}

// written are the names of a certificate, for people.
func written(c *x509.Certificate) string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	switch {
	case len(names) == 0:
		return "nobody"
	case len(names) > 4:
		names = append(names[:4], "others")
	}
	return strings.Join(names, ", ")
}

// Reaches says why a connection that is open already, of other calls, does not
// do for those to host.
func (t *Trust) Reaches(s tls.ConnectionState, by *Trust, host string) error {
	if t == by {
		return t.Verify(s.PeerCertificates, host)
	}
	var ours, theirs *certificate.Pair
	if t != nil {
		ours = t.own
	}
	if by != nil {
		theirs = by.own
	}
	if !ours.Same(theirs) {
		return errors.New("tls: a connection with another certificate of ours is open there")
	}
	return t.Verify(s.PeerCertificates, host)
}
