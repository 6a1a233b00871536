// Package dialer places calls: it decides what may be dialled.
//
// The gate is the one that transfers, the API and campaigns pass. It decides
// on the number alone, written in E.164, and denies what it does not know.
package dialer

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/patchcord/patchcord/telephony/trunk"
)

// Gate says which numbers may be dialled (SEC-5). The zero value allows none.
type Gate struct {
	// Allow and Deny are prefixes of E.164, "+49"; deny goes first. An entry
	// "sip:host" of Allow lets SIP URIs of that very host be dialled.
	Allow, Deny []string
	// Country is the ISO 3166 code of numbers without a country code.
	Country string
}

// Denied is a destination the gate refused.
type Denied struct {
	To, Why string
	Spent   bool // it may be dialled on another day
}

func (d *Denied) Error() string { return fmt.Sprintf("%q may not be dialled: %s", d.To, d.Why) }

// Check is nil for a destination that may be dialled, else a *Denied.
func (g Gate) Check(to string) error {
	deny := func(why string) error { return &Denied{To: to, Why: why} }
	if strings.ContainsFunc(to, func(r rune) bool { return r < ' ' || r == 0x7f || r > '~' }) {
		return deny("it holds a character that no number has")
	}
	if rest, ok := strings.CutPrefix(strings.ToLower(to), "sip:"); ok {
		return g.checkURI(rest, deny)
	}
	if strings.ContainsAny(to, ";?@:,") {
		return deny("it is no plain number")
	}
	n := trunk.Normalize(to, g.Country)
	if len(n) < 2 || n[0] != '+' || strings.Trim(n[1:], "0123456789") != "" {
		return deny("it is no number in international form: write +, the country code and the number")
	}
	for _, p := range g.Deny {
		if strings.HasPrefix(n, p) {
			return deny("dialing.deny holds " + p)
		}
	}
	for _, p := range g.Allow {
		if strings.HasPrefix(p, "+") && strings.HasPrefix(n, p) {
			return nil
		}
	}
	if len(g.Allow) == 0 {
		return deny("dialing.allow is empty: add the prefixes that may be dialled, such as \"+49\"")
	}
	return deny("no prefix of dialing.allow fits")
}

// checkURI decides on user@host[:port], or host[:port]. Nothing else is a URI
// here: what two readers could cut in different places is called where one of
// them, and not this gate, has found the host.
func (g Gate) checkURI(rest string, deny func(string) error) error {
	if strings.ContainsAny(rest, ";?,<>\" ") {
		return deny("a SIP URI may have no parameters or headers")
	}
	user, at, ok := strings.Cut(rest, "@")
	if !ok {
		user, at = "", rest
	}
	if strings.Trim(user, userOfURI) != "" {
		return deny("its user part holds a character that none has: write sip:user@host")
	}
	host, ok := hostOf(at)
	if !ok {
		return deny("its host is neither a name nor an address: write sip:user@host or sip:user@host:port")
	}
	for _, p := range g.Allow {
		if h, ok := strings.CutPrefix(strings.ToLower(p), "sip:"); ok && strings.Trim(h, "[]") == host {
			return nil
		}
	}
	return deny("dialing.allow holds no \"sip:" + host + "\"")
}

// What users and names of hosts are written with, in lower case: less than RFC
// 3261 section 25.1 allows, which has passwords and slashes too.
const (
	userOfURI = "abcdefghijklmnopqrstuvwxyz0123456789-_.!~*'()&=+$%"
	hostOfURI = "abcdefghijklmnopqrstuvwxyz0123456789-_."
)

// hostOf reads host[:port] and [v6][:port]. An IPv6 address without brackets and
// IPv4 written as IPv6 are none.
func hostOf(s string) (host string, ok bool) {
	var port string
	if inner, v6 := strings.CutPrefix(s, "["); v6 {
		host, port, ok = strings.Cut(inner, "]")
		a, err := netip.ParseAddr(host)
		if !ok || err != nil || !a.Is6() || a.Is4In6() || a.Zone() != "" {
			return "", false
		}
		host = a.String()
	} else {
		i := strings.IndexByte(s, ':')
		if i < 0 {
			i = len(s)
		}
		host, port = s[:i], s[i:]
		if host == "" || strings.Trim(host, hostOfURI) != "" {
			return "", false
		}
	}
	if port == "" {
		return host, true
	}
	digits, colon := strings.CutPrefix(port, ":")
	n, err := strconv.ParseUint(digits, 10, 16)
	return host, colon && err == nil && n > 0
}
