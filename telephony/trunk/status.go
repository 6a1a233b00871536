package trunk

import (
	"net/netip"
	"time"

	"github.com/patchcord/patchcord/telephony"
)

// Status is what is known of a trunk now.
type Status struct {
	ID           telephony.TrunkID
	Registration *Registration // nil: none is kept
	Places       []Place
	Load         Load
	Error        string // what went wrong last, in words; "": nothing did
	ErrorAt      time.Time
}

// Registration is our being known to a registrar.
type Registration struct {
	Registered bool
	Registrar  string // the gateway that keeps it, as configured
	Contact    string // where it sends calls to
	Since      time.Time
	Until      time.Time // when it ends unless it is renewed before
	Failures   uint64    // REGISTERs that failed since the start
}

// Place is one address of a gateway.
type Place struct {
	Gateway   string // as configured
	Addr      netip.AddrPort
	Transport Transport
	Up        bool
	Answered  time.Time     // OPTIONS last; zero: never, or it is not asked
	RoundTrip time.Duration // of that
	Error     string        // of the last OPTIONS, "" where it was answered
}
