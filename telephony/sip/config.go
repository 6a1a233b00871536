package sip

import (
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
	Listen   []string // "udp://0.0.0.0:5060", "tcp://[::]:5060"; port 0: any
	PublicIP string   // the address peers reach us at; "": the local address that faces each
	Trunks   *trunk.Table
	Media    *rtp.Media
	Handler  telephony.Handler // nil: every call is refused with 480
	Log      *zap.Logger       // nil: none

	UnknownSource UnknownPolicy
	// Accept is asked about each inbound call before any work is done for it:
	// admission and number routing. False refuses it for the cause. It is
	// called from many goroutines and must not block. Nil: all are taken.
	Accept func(telephony.Info) (telephony.Cause, bool)

	Name        string        // in User-Agent and Server; "": Patchcord. Never with a version.
	Limits      Limits        // zero fields: the defaults
	RingTimeout time.Duration // of a dialled call that names none; 0: 60 s
	// HeadersFrom are the name prefixes of header fields that reach
	// Info.Headers; nil: "X-".
	HeadersFrom []string
	Retry       time.Duration // without any answer to an INVITE, the next gateway is tried; 0: 4 s

	// For tests.
	t1         time.Duration       // RFC 3261 timer T1; 0: 500 ms
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
	if c.HeadersFrom == nil {
		c.HeadersFrom = []string{"X-"}
	}
	set(&c.RingTimeout, 60*time.Second)
	set(&c.Retry, 4*time.Second)
	set(&c.t1, 500*time.Millisecond)
	set(&c.maxRemotes, 10000)
	c.Limits = c.Limits.withDefaults()
	return c
}

// listenAddr is one address to listen at.
type listenAddr struct {
	network string // "udp", "tcp"
	addr    string
}

func parseListen(s string) (listenAddr, error) {
	network, addr, ok := strings.Cut(s, "://")
	network = strings.ToLower(network)
	if !ok || (network != "udp" && network != "tcp") {
		return listenAddr{}, fmt.Errorf("sip: listen %q: want udp://address:port or tcp://address:port", s)
	}
	if _, err := netip.ParseAddrPort(addr); err != nil {
		return listenAddr{}, fmt.Errorf("sip: listen %q: want an IP address and a port, such as %s://0.0.0.0:5060: %w",
			s, network, err)
	}
	return listenAddr{network, addr}, nil
}
