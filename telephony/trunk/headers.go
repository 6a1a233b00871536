package trunk

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// How a trunk tells who calls, and whom a call was for before.
const (
	IdentityPAI  = "pai"
	IdentityPPI  = "ppi"
	IdentityRPID = "rpid"

	DiversionField   = "diversion"
	DiversionHistory = "history"
	DiversionBoth    = "both"
	DiversionOff     = "off"
)

// Where a trunk shows who is handed over by a leg of ours.
const (
	CallerFrom     = "from"
	CallerIdentity = "identity"
)

// What one trunk may write on a call, and how long a value may be.
const (
	maxHeaders     = 32
	maxHeaderBytes = 1024
)

// CustomHeader reports whether a header field may be set and read by
// configuration: it is one of the X- kind, or carries data of the users
// (RFC 7433) or of charging (P-Charge-Info), and decides nothing in SIP.
func CustomHeader(name string) bool {
	name = strings.ToLower(name)
	if name == "user-to-user" || name == "p-charge-info" {
		return true
	}
	return len(name) > 2 && len(name) <= 64 && strings.HasPrefix(name, "x-") &&
		strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == ""
}

// Accepts reports whether a header field of a call in is let in.
func (t *Trunk) Accepts(name string) bool {
	if len(t.Accepted) == 0 || !CustomHeader(name) {
		return false
	}
	name = strings.ToLower(name)
	return slices.ContainsFunc(t.Accepted, func(a string) bool {
		prefix, all := strings.CutSuffix(a, "*")
		return name == a || all && strings.HasPrefix(name, prefix)
	})
}

// identity checks how calls are dressed.
func (b *builder) identity(path string, c *Config, tr *Trunk) {
	b.choice(path+".identity", c.Identity, "", IdentityPAI, IdentityPPI, IdentityRPID)
	b.choice(path+".diversion", c.Diversion, "", DiversionField, DiversionHistory, DiversionBoth, DiversionOff)
	b.choice(path+".redirects", c.Redirects, "", "off", "on")
	b.choice(path+".transfers", c.Transfers, "", "off", "on")
	b.choice(path+".transfer_caller", c.TransferCaller, "", "off", CallerFrom, CallerIdentity)
	for i, name := range c.AcceptHeaders {
		prefix, all := strings.CutSuffix(name, "*")
		if !CustomHeader(name) && !(all && CustomHeader(prefix+"x")) {
			b.fault(fmt.Sprintf("%s.accept_headers[%d]", path, i), "name X- headers, such as X-Order or X-Acme-*",
				"%q cannot be taken from callers", name)
			continue
		}
		tr.Accepted = append(tr.Accepted, strings.ToLower(name))
	}
	if len(c.Headers) > maxHeaders {
		b.fault(path+".headers", fmt.Sprintf("at most %d are written", maxHeaders), "%d headers", len(c.Headers))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		value := c.Headers[name]
		switch at := path + ".headers." + name; {
		case !CustomHeader(name):
			b.fault(at, "name X- headers, such as X-Account", "%q cannot be set", name)
		case len(value) > maxHeaderBytes || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }):
			b.fault(at, "write it on one line", "a value of more than %d bytes, or with a control character",
				maxHeaderBytes)
		default:
			if tr.Headers == nil {
				tr.Headers = map[string]string{}
			}
			tr.Headers[name] = value
		}
	}
}
