package sdp

import "fmt"

// Warning codes of SIP (RFC 3261 section 20.43) that this package gives.
const (
	WarnNetwork   = 300 // incompatible network protocol: IPv4 against IPv6
	WarnAddress   = 301 // incompatible network address format: none, or a name
	WarnTransport = 302 // incompatible transport protocol: SRTP only
	WarnMedia     = 304 // media type not available: no audio
	WarnFormat    = 305 // incompatible media format: no codec in common
	WarnParameter = 307 // session description parameter not understood: cannot be read
	WarnMulticast = 330 // multicast not available
)

// Error is why a session description cannot be taken. A SIP user agent
// answers an offer with 488 Not Acceptable Here and [Error.Warning].
type Error struct {
	Code int    // Warning code
	Line int    // of the body, from 1; 0 where no single line is at fault
	Text string // plain ASCII without quotes
	// Insecure tells that nothing but SRTP was in the way.
	Insecure bool
}

func (e *Error) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("sdp: line %d: %s", e.Line, e.Text)
	}
	return "sdp: " + e.Text
}

// Warning is the value of a Warning header of the given agent, a host name or
// a pseudonym.
func (e *Error) Warning(agent string) string {
	if agent == "" {
		agent = "sdp"
	}
	return fmt.Sprintf("%d %s %q", e.Code, agent, e.Text)
}

func insecure(text string) *Error { return &Error{Code: WarnTransport, Text: text, Insecure: true} }

func refuse(code int, format string, args ...any) *Error {
	return &Error{Code: code, Text: fmt.Sprintf(format, args...)}
}
