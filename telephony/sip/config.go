package sip

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/rtp"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// UnknownPolicy is what a source gets that matches no trunk.
type UnknownPolicy int

// The policies.
const (
	DropUnknown   UnknownPolicy = iota // silence
	RefuseUnknown                      // one stateless 403, never longer than what came
)

// Config is how a UserAgent behaves. Media, Trunks and a Listen address are
// needed; the rest may be zero.
type Config struct {
	Listen []string // "udp://0.0.0.0:5060", "tcp://[::]:5060", "tls://0.0.0.0:5061"; port 0: any
	// Cert and Key are the PEM files of the certificate that callers over TLS
	// are shown. They are read again when they are renewed.
	Cert, Key string
	PublicIP  string // the address peers reach us at; "": the local address that faces each
	Trunks    *trunk.Table
	Media     *rtp.Media
	Handler   telephony.Handler // nil: every call is refused with 480
	Log       *zap.Logger       // nil: none

	UnknownSource UnknownPolicy
	// Admit is asked about each inbound call before anything is kept of it: false
	// refuses it with 503 and Retry-After, without a transaction. It is called where
	// the socket is read and must not wait. Leave gives the room of a call that was
	// admitted back, once, when it is over. Nil: there is room.
	Admit func(telephony.CallID, telephony.TrunkID) bool
	Leave func(telephony.CallID)
	// Accept is asked about each call that was admitted before any work is done
	// for it: number routing. False refuses it for the cause. It is
	// called from many goroutines and must not block. Nil: all are taken.
	Accept func(telephony.Info) (telephony.Cause, bool)

	Name        string        // in User-Agent and Server; "": Patchcord. Never with a version.
	Limits      Limits        // zero fields: the defaults
	RingTimeout time.Duration // of a dialled call that names none; 0: 60 s
	Retry       time.Duration // without any answer to an INVITE, the next gateway is tried; 0: 4 s
	Probe       time.Duration // how often gateways are asked by OPTIONS whether they are there; 0: 30 s, negative: never
	// MayDial is the gate that a target named by a peer passes: a number in
	// E.164 or sip:user@host (SEC-6). Nil: none passes.
	MayDial func(to string) error
	// Claim counts a call that is placed because a peer sent us there, against
	// the limits of dialling, or says why it may not be placed. Nil: no limits.
	Claim func(ctx context.Context, to string) error
	// Unclaim takes back a Claim whose call could not be placed; nil: it counts.
	Unclaim func()
	// PerCall is how often a peer may send the same call elsewhere by REFER; 0:
	// as often as it likes.
	PerCall int

	// Dialogs is the file of the dialogs that are up. What it holds at the start
	// was left open by a process that was killed, and is ended by BYE. Nil: none.
	Dialogs *Dialogs

	// For tests.
	t1         time.Duration       // RFC 3261 timer T1; 0: 500 ms
	second     time.Duration       // of a session timer, of probes and registrations; 0: 1 s
	names      []string            // name servers; nil: the machine's
	maxRemotes int                 // 0: see datagrams
	onTimer    func(time.Duration) // told of every wait a leg begins
}

// maxHeaders bounds the fields that reach Info.Headers, and their length.
const (
	maxHeaders     = 32
	maxHeaderBytes = 1024
)

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	if c.Name == "" {
		c.Name = "Patchcord"
	}
	if c.MayDial == nil {
		c.MayDial = func(string) error { return errors.New("nobody may be called for a peer") }
	}
	set(&c.RingTimeout, 60*time.Second)
	set(&c.Retry, 4*time.Second)
	if c.Probe == 0 {
		c.Probe = probeEvery
	}
	set(&c.t1, 500*time.Millisecond)
	set(&c.second, time.Second)
	set(&c.maxRemotes, 10000)
	c.Limits = c.Limits.withDefaults()
	return c
}

// listenAddr is one address to listen at.
type listenAddr struct {
	network string // "udp", "tcp", "tls"
	addr    string
}

func parseListen(s string) (listenAddr, error) {
	network, addr, ok := strings.Cut(s, "://")
	network = strings.ToLower(network)
	if !ok || (network != "udp" && network != "tcp" && network != "tls") {
		return listenAddr{}, fmt.Errorf("sip: listen %q: want udp://, tcp:// or tls:// and address:port", s)
	}
	if _, err := netip.ParseAddrPort(addr); err != nil {
		return listenAddr{}, fmt.Errorf("sip: listen %q: want an IP address and a port, such as %s://0.0.0.0:5060: %w",
			s, network, err)
	}
	return listenAddr{network, addr}, nil
}
