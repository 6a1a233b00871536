package tools

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
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

// isHost says whether a URL is of a host, as CheckSecretHost takes it.
func isHost(host string, u *url.URL) bool {
	h, ok := readSecretHost(host)
	if !ok {
		return false
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	if h.port != "" && h.port != port {
		return false
	}
	name := hostName(u)
	if h.below {
		return strings.HasSuffix(name, "."+h.name) && len(name) > len(h.name)+1
	}
	return name == h.name
}

// secretHost is an entry of a secret's hosts.
type secretHost struct {
	name  string // in lower case, without brackets
	port  string // "": any
	below bool   // all below the domain, and not itself
}

// readSecretHost reads a name, name:port, *.domain or *.domain:port; an IPv6
// address with a port has brackets.
func readSecretHost(text string) (h secretHost, ok bool) {
	text, h.below = strings.CutPrefix(text, "*.")
	if addr, err := netip.ParseAddr(text); err == nil && !h.below {
		h.name = addr.String()
		return h, true
	}
	u, err := url.Parse("//" + text)
	if err != nil || u.Host != text || strings.HasSuffix(text, ":") {
		return h, false
	}
	h.name, h.port = hostName(u), u.Port()
	if n, err := strconv.Atoi(h.port); h.port != "" && (err != nil || n < 1 || n > 65535 || strconv.Itoa(n) != h.port) {
		return h, false
	}
	_, err = netip.ParseAddr(h.name)
	isAddr := err == nil
	switch {
	case h.name == "", strings.HasPrefix(h.name, "."), strings.ContainsAny(h.name, "*@% "), isAddr && h.below:
		return h, false
	}
	return h, isAddr || !strings.Contains(h.name, ":")
}

// hostName is the host of a URL in one spelling.
func hostName(u *url.URL) string {
	name := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if addr, err := netip.ParseAddr(name); err == nil {
		return addr.String()
	}
	return name
}

// CheckSecretHost says what is wrong with an entry of a secret's hosts, "" for
// nothing.
func CheckSecretHost(host string) string {
	if _, ok := readSecretHost(host); !ok {
		return fmt.Sprintf("%q is no host: write crm.example.com, crm.example.com:8443, *.example.com, *.example.com:8443, "+
			"10.0.0.1 or [::1]", host)
	}
	return ""
}
