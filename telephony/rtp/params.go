package rtp

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/patchcord/patchcord/telephony/sdp"
)

// Params is what offer and answer have settled for one session.
type Params struct {
	// Remote is the address of the SDP. Port 0 or an unspecified address (the
	// old form of hold) means: nothing is sent there until a source is latched.
	Remote netip.AddrPort
	// RemoteRTCP is where reports go; zero: Remote's port + 1.
	RemoteRTCP netip.AddrPort
	RTCPMux    bool // RFC 5761: reports share the RTP port

	Codec string // a name that audio/codec knows: "PCMU", "PCMA", "G722", "opus"
	PT    uint8  // its payload type, 0 to 127

	EventPT    int // payload type of telephone-event (RFC 4733); -1: not negotiated
	EventClock int // Hz; 0: the codec's RTP clock
	CNPT       int // payload type of comfort noise (RFC 3389), -1: none, 0: 13

	// PTime is how much sound an outgoing packet holds: 10, 20, 30, 40 or
	// 60 ms; 0: 20 ms. Incoming packets may hold anything.
	PTime time.Duration

	Send, Receive bool // direction, as seen from here

	SRTP sdp.Keys // zero: RTP in the clear. A key that stays the same goes on where it was.

	// Rate of the frames, 8000 or 16000 Hz; 0: the codec's own. Fixed by the
	// first Apply, ignored after.
	Rate int

	// Others are where the other branches of a call that forked hear. The one
	// that is latched is heard on until a packet comes from Remote.
	Others []netip.AddrPort
	Allow  []netip.Prefix // the trunk's media addresses beside Remote's
	NATAny bool           // media may come from any address and is learned from it

	// MediaTimeoutStart is how long no packet may come after Apply, 0: 15 s;
	// MediaTimeout is how long they may stop later, 0: 30 s. Below 0: never
	// reported.
	MediaTimeoutStart, MediaTimeout time.Duration
}

// withDefaults fills in what is zero and refuses what cannot be.
func (p Params) withDefaults() (Params, error) {
	switch {
	case p.PT > 127:
		return p, fmt.Errorf("rtp: payload type %d: must be 0 to 127", p.PT)
	case p.EventPT > 127 || p.EventPT == int(p.PT) && p.EventPT > 0:
		return p, fmt.Errorf("rtp: telephone-event payload type %d: must be 0 to 127 and not the codec's", p.EventPT)
	case p.Rate != 0 && p.Rate != 8000 && p.Rate != 16000:
		return p, fmt.Errorf("rtp: frame rate %d Hz: must be 8000 or 16000", p.Rate)
	}
	switch p.PTime {
	case 0:
		p.PTime = 20 * time.Millisecond
	case 10 * time.Millisecond, 20 * time.Millisecond, 30 * time.Millisecond,
		40 * time.Millisecond, 60 * time.Millisecond:
	default:
		return p, fmt.Errorf("rtp: ptime %v: must be 10, 20, 30, 40 or 60 ms", p.PTime)
	}
	if p.EventPT <= 0 {
		p.EventPT = -1 // 0 is PCMU's number and never telephone-event's
	}
	if p.CNPT == 0 {
		p.CNPT = 13 // RFC 3551 table 4
	}
	p.Remote = unmap(p.Remote)
	p.RemoteRTCP = unmap(p.RemoteRTCP)
	if !p.RemoteRTCP.IsValid() && p.Remote.IsValid() && p.Remote.Port() != 0 && p.Remote.Port() != 65535 {
		p.RemoteRTCP = netip.AddrPortFrom(p.Remote.Addr(), p.Remote.Port()+1)
	}
	if p.MediaTimeoutStart == 0 {
		p.MediaTimeoutStart = 15 * time.Second
	}
	if p.MediaTimeout == 0 {
		p.MediaTimeout = 30 * time.Second
	}
	return p, nil
}

// sendable is whether packets can be sent to a.
func sendable(a netip.AddrPort) bool {
	return a.IsValid() && a.Port() != 0 && !a.Addr().IsUnspecified() && !a.Addr().IsMulticast()
}

// unmap makes ::ffff:a.b.c.d the IPv4 address it stands for, so that
// addresses compare.
func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
