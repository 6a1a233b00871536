package trunk

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/patchcord/patchcord/internal/certificate"
)

// Security is how a trunk proves over TLS who it is, and how we do. The zero
// value verifies its certificate by the authorities that the system trusts, and
// shows none of ours.
type Security struct {
	CA   string `yaml:"ca" json:"ca,omitempty"`     // PEM file of the authorities that sign its certificate, no others
	Cert string `yaml:"cert" json:"cert,omitempty"` // PEM file of our certificate, where it asks for one
	Key  string `yaml:"key" json:"key,omitempty"`   // PEM file of its key
	Name string `yaml:"name" json:"name,omitempty"` // in its certificate, where that is not for the gateway's host
	// Pin is the SHA-256 of its public key (SPKI), in base64 or hex; of several,
	// separated by spaces, any. A pinned key needs no authority and no name (RFC
	// 7671 section 5.1), unless CA or Name are given.
	Pin      string `yaml:"pin" json:"pin,omitempty"`
	Insecure bool   `yaml:"insecure" json:"insecure,omitempty"` // takes any certificate
	// ClientCert takes calls of the trunk over TLS only, with a certificate
	// that CA, Name and Pin accept. Trunks that do may share a prefix of Allow:
	// Name tells them.
	ClientCert bool `yaml:"client_cert" json:"client_cert,omitempty"`
}

// In makes the files of s those of a folder, by path.
func (s *Security) In(path func(string) string) {
	s.CA, s.Cert, s.Key = path(s.CA), path(s.Cert), path(s.Key)
}

// endsSoon is how long before its end a certificate of ours is warned of.
const endsSoon = 14 * 24 * time.Hour

// security checks the keys of tls and reads what they name.
func (b *builder) security(path string, c *Config, tr *Trunk) {
	s := &c.TLS
	t := &Trust{name: s.Name, insecure: s.Insecure, clients: s.ClientCert}
	tr.Trust = t
	if s.CA != "" {
		b.authorities(path+".ca", s.CA, t)
	}
	switch {
	case (s.Cert == "") != (s.Key == ""):
		b.fault(path, "name the PEM files of both", "a certificate without a key, or a key without a certificate")
	case s.Cert != "":
		var err error
		if t.own, err = certificate.Load(s.Cert, s.Key); err != nil {
			b.fault(path+".cert", "name PEM files of a certificate and its key", "%s", err)
		} else if left := time.Until(t.own.Ends()); left < endsSoon {
			b.warn(path+".cert", "the certificate ends at "+t.own.Ends().UTC().Format(time.DateTime)+" UTC")
		}
	}
	if strings.ContainsFunc(s.Name, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '/' }) {
		b.fault(path+".name", "write the name alone, such as sip.example.com", "%q is no host name", s.Name)
	}
	for _, pin := range strings.Fields(s.Pin) {
		sum, ok := parsePin(pin)
		if !ok {
			b.fault(path+".pin", "write sha256/ and 32 bytes in base64, or 64 hex digits", "%q is no SHA-256", pin)
			continue
		}
		t.pins = append(t.pins, sum)
	}
	if s.Insecure {
		b.warn(path+".insecure", "the certificate is not verified: whoever is on the way can read and change calls")
	}
	if s.ClientCert && t.roots == nil && t.pins == nil && s.Name == "" && s.CA == "" {
		b.fault(path+".client_cert", "add ca, name or pin", "a certificate of any authority of the world proves nothing")
	}
}

func (b *builder) warn(path, what string) {
	b.t.warnings = append(b.t.warnings, Fault{Path: path, What: what})
}

// authorities reads a PEM file of certificates.
func (b *builder) authorities(path, file string, t *Trust) {
	text, err := os.ReadFile(file)
	if err != nil {
		b.fault(path, "name a PEM file", "%s", err)
		return
	}
	t.roots = x509.NewCertPool()
	if !t.roots.AppendCertsFromPEM(text) {
		b.fault(path, "name a PEM file of certificates", "%s has no certificate", file)
	}
}

// parsePin reads a SHA-256: sha256/BASE64, as it is written by most, sha256//BASE64
// as by curl, or hex with or without colons. Base64 may itself begin with a slash.
func parsePin(s string) (sum [sha256.Size]byte, ok bool) {
	s = strings.TrimPrefix(strings.TrimPrefix(s, "sha256/"), "sha256:")
	for _, text := range []string{s, strings.TrimPrefix(s, "/")} {
		b, err := hex.DecodeString(strings.ReplaceAll(text, ":", ""))
		if err != nil || len(b) != len(sum) {
			b, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
		}
		if err == nil && len(b) == len(sum) {
			return [sha256.Size]byte(b), true
		}
	}
	return sum, false
}

func pinText(sum [sha256.Size]byte) string {
	return fmt.Sprintf("sha256/%s", base64.StdEncoding.EncodeToString(sum[:]))
}
