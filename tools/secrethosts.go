package tools

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"go.uber.org/zap"
)

// errSecretHost is a request that would carry a secret to a host that is not one
// of the secret's.
var errSecretHost = errors.New("a secret that may not be sent to this host")

// mayCarry says whether a request to a URL may be made with the secrets that
// stand in it. It is asked when all is put in, so that neither a placeholder nor
// an argument in the URL can send a secret elsewhere; redirects are not followed.
func (d Deps) mayCarry(tool, rawURL string, named []string) error {
	if d.SecretHosts == nil || len(named) == 0 {
		return nil
	}
	u, err := url.Parse(rawURL)
	if err != nil {
		return fmt.Errorf("%w: not a URL", ErrBlocked)
	}
	for _, name := range named {
		hosts := d.SecretHosts(name)
		if len(hosts) == 0 || slices.ContainsFunc(hosts, func(h string) bool { return isHost(h, u) }) {
			continue
		}
		if d.Log != nil {
			d.Log.Warn("tool refused: its secret may not be sent to this host", zap.String("tool", tool),
				zap.String("secret", name), zap.Strings("hosts", hosts))
		}
		return fmt.Errorf("%w: {{secret.%s}} goes to %s only", errSecretHost, name, strings.Join(hosts, ", "))
	}
	return nil
}

// isHost says whether a URL is of a host: a name, name:port, or *.domain for all
// below a domain.
func isHost(host string, u *url.URL) bool {
	host = strings.ToLower(host)
	name := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if domain, ok := strings.CutPrefix(host, "*"); ok {
		return strings.HasPrefix(domain, ".") && strings.HasSuffix(name, domain) && len(name) > len(domain)
	}
	return host == name || host == name+":"+u.Port()
}

// CheckSecretHost says what is wrong with an entry of a secret's hosts, "" for
// nothing.
func CheckSecretHost(host string) string {
	name := strings.TrimPrefix(host, "*.")
	if name == "" || strings.ContainsAny(name, "*/@ ") || strings.HasPrefix(name, ".") {
		return fmt.Sprintf("%q is no host: write crm.example.com, crm.example.com:8443 or *.example.com", host)
	}
	return ""
}
