// Package dialer places calls: it decides what may be dialled.
//
// The gate is the one that transfers, the API and campaigns pass. It decides
// on the number alone, written in E.164, and denies what it does not know.
package dialer

import (
	"fmt"
	"net/netip"
	"net/url"
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

// checkURI decides on user@host[:port] without parameters or headers.
func (g Gate) checkURI(rest string, deny func(string) error) error {
	if strings.ContainsAny(rest, ";?,<>\" ") {
		return deny("a SIP URI may have no parameters or headers")
	}
	_, host, ok := strings.Cut(rest, "@")
	if !ok {
		host = rest
	}
	if a, err := netip.ParseAddrPort(host); err == nil {
		host = a.Addr().String()
	} else if u, err := url.Parse("//" + host); err == nil {
		host = u.Hostname()
	}
	for _, p := range g.Allow {
		if h, ok := strings.CutPrefix(strings.ToLower(p), "sip:"); ok && h == host {
			return nil
		}
	}
	return deny("dialing.allow holds no \"sip:" + host + "\"")
}
