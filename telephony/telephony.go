// Package telephony is what a phone call is, whatever carries it: a Leg, the
// Handler that runs it, the Dialer that places one, and the closed lists of
// what happens to it and why it ends. It holds no network code.
package telephony

import (
	"context"
	"errors"
	"time"

	"github.com/patchcord/patchcord/audio"
)

// Handler runs calls. ServeCall is called in its own goroutine for each
// inbound leg; when it returns the call is over and the transport hangs up.
// ctx ends with the leg; context.Cause(ctx) is then a *HangupError.
type Handler interface {
	ServeCall(ctx context.Context, leg Leg)
}

// Dialer places a call. The leg is returned at once, ringing; its Events tell
// what becomes of it. Inbound and dialled legs are the same from Answered on.
// ctx ending before the answer cancels the attempt.
type Dialer interface {
	Dial(ctx context.Context, to Destination) (Leg, error)
}

// Leg is one party of a call. It has one clock: every 20 ms it pushes one
// frame to the Sink and pulls one from the Source, silence where the network
// delivered nothing, so the caller's audio is the clock of the call.
//
// The rate of the frames is Info().Rate from the answer on and stays: a codec
// of another rate after a re-INVITE is resampled by the leg.
type Leg interface {
	Info() Info                                     // numbers, headers, trunk, transport, codec, direction
	Progress(ctx context.Context, early bool) error // 180, or 183 with early media
	Answer(ctx context.Context) error               // returns when the answer is confirmed (ACK)
	Connect(in audio.Sink, out audio.Source)        // again for bridge, hold, transfer; nil, nil: silence
	Events() <-chan Event                           // closed after Ended
	SendDigits(ctx context.Context, digits string, tone Tone) error
	Hold(ctx context.Context, on bool) error
	Refer(ctx context.Context, to ReferTo) error   // ReferProgress events follow
	Stats() Stats                                  // loss, jitter, RTT, MOS, both directions
	Hangup(ctx context.Context, cause Cause) error // idempotent; rejects a leg that is not answered
}

// Flusher is a leg that buffers at its far end (carrier WebSockets): Flush
// drops what is not yet played there and tells how much that was.
type Flusher interface {
	Flush() (unheard time.Duration)
	Ahead() time.Duration
}

// CallID names a call in logs, events and the store: a UUID version 7.
type CallID string

// TrunkID names a carrier account: the trunk's name in the configuration.
type TrunkID string

// Direction is who placed the call.
type Direction string

// The directions.
const (
	Inbound  Direction = "inbound"
	Outbound Direction = "outbound"
)

// Info is what is known of a leg. It may be read at any time; Codec and Rate
// are set from the answer on (for an inbound leg, from the start).
type Info struct {
	ID        CallID
	Direction Direction
	From, To  string // E.164 where the number is one, else the SIP user part; From is Anonymous where it is withheld
	FromName  string // display name, untrusted
	FromURI   string // as it came, untrusted; "" where it is withheld
	ToURI     string // as it came: what was dialled
	Trunk     TrunkID
	Agent     string            // who shall answer, where that is said beside the number: of a browser's call
	Transport string            // "sip/udp", "sip/tcp", "sip/tls", "webrtc", "ws/twilio"
	Codec     string            // "PCMU", "PCMA", "G722", "opus"
	Format    audio.Format      // how the wire carries it; Rate is that of the frames
	Keys      string            // how keys of ours travel, from the answer on: "rfc4733", "info", "inband"
	SRTP      string            // the suite that media is encrypted with ("DTLS-SRTP" of a browser), "" in the clear
	Diverted  []Diversion       // the numbers the call was for before, the first called first; untrusted
	Headers   map[string]string // those the trunk lets in, untrusted
	Passports []string          // STIR Identity headers (RFC 8224) as they came, not verified
	SIPCallID string            // the Call-ID header of a SIP leg
	Received  time.Time
}

// Anonymous is the number of a caller who withholds theirs.
const Anonymous = "anonymous"

// Diversion is a number that a call was for before it went on to another.
type Diversion struct {
	Number string // E.164 where it is one; Anonymous where its owner withholds it
	// Reason is why it went on, of RFC 5806: no-answer, user-busy,
	// unconditional, deflection, unavailable, time-of-day, do-not-disturb,
	// follow-me, out-of-service, away, unknown.
	Reason string
}

// Destination is where to dial.
type Destination struct {
	To        string // E.164, a SIP URI, or the user part at the trunk's gateway
	From      string // caller ID, "" for the trunk's
	FromName  string
	Withhold  bool        // the callee shall not see From
	Diverted  []Diversion // of a call that is passed on: the numbers it was for before, the first called first
	Passports []string    // of a call that is passed on: its STIR Identity headers
	// Caller is who is handed over by a call that is passed on, and CallerName
	// their name: whom a trunk may show in the place of From.
	Caller, CallerName string
	Trunk              TrunkID           // "" where To is a SIP URI
	CallID             CallID            // "" for a new one
	RingTimeout        time.Duration     // 0: 60 s
	Headers            map[string]string // X- headers, beside the trunk's
	Codecs             []string          // in order of preference; nil for the default
	// Prefer is the codec of the leg that this one is to be joined with: it is
	// offered first, where it is among Codecs.
	Prefer string
}

// Tone is how digits are sent.
type Tone struct {
	Duration time.Duration // 0: 100 ms
	Gap      time.Duration // 0: 50 ms
	Volume   float64       // 0 to 1; 0 means 0.8 (-10 dBm0)
}

// ErrNoRefer tells that a leg cannot be sent elsewhere by REFER: its peer or its
// trunk does not do that. A leg of one's own and a bridge still can.
var ErrNoRefer = errors.New("no transfer by REFER here")

// ReferTo is where a leg is sent by REFER.
type ReferTo struct {
	Target     string // SIP URI or number at the leg's trunk
	Replaces   Leg    // attended transfer: the consult leg, or nil
	ReferredBy string // SIP URI, "" for ours in the call
	Headers    map[string]string
}

// Stats are the media figures of a leg at one moment.
type Stats struct {
	PacketsSent, PacketsReceived uint64
	PacketsLost, PacketsLate     uint64  // of those the peer sent
	PacketsDiscarded             uint64  // malformed, duplicate, from a stranger, forged
	PacketsForged                uint64  // of SRTP, those that did not authenticate
	Concealed                    uint64  // 20 ms frames made up
	RemoteLost                   int64   // of those we sent, as the peer reports
	Loss, RemoteLoss             float64 // 0 to 1
	Jitter, RemoteJitter         time.Duration
	RTT                          time.Duration // 0 while unknown
	MOS, RemoteMOS               float64       // 1 to 4.5, ITU-T G.107; RemoteMOS 0 while unknown
	BufferDelay                  time.Duration // jitter buffer's present target
	// SendDelayP99 is the 99th percentile of how late packets left.
	SendDelayP99 time.Duration
}

// Event is one of: Ringing, EarlyMedia, Answered, Digit, Held, Resumed,
// FormatChanged, MediaLost, MediaFailed, ReferProgress, ReferAsked, PartyChanged, SignalTrace, Ended.
type Event interface{ event() }

// Ringing is a 180 of a dialled leg.
type Ringing struct{}

// EarlyMedia is a 183 with sound of a dialled leg.
type EarlyMedia struct{}

// Answered ends the ringing of a dialled leg.
type Answered struct{}

// Digit is one key the caller pressed, each once.
type Digit struct {
	Key      byte // '0' to '9', '*', '#', 'A' to 'D'
	Duration time.Duration
	Source   string // "rfc4733", "info", "inband"
}

// Held is the peer putting us on hold.
type Held struct{}

// Resumed ends Held.
type Resumed struct{}

// FormatChanged tells a new codec after a re-INVITE; the frames' rate stays.
type FormatChanged struct{ Codec string }

// MediaLost tells that no packet came for the time the leg allows; the leg
// does not end by itself.
type MediaLost struct{ Silent time.Duration }

// MediaFailed tells that the leg's media has ended by a fault of ours (a panic
// in its Sink or Source); the leg shall be hung up.
type MediaFailed struct{}

// ReferProgress follows a REFER: the status of the far call. Final when it is
// the last, Unknown when the peer has not told what became of it.
type ReferProgress struct {
	Status  int
	Reason  string
	Final   bool
	Unknown bool
}

// ReferAsked is a REFER the peer sent, already accepted by policy: the target is
// called, and the leg goes on with it (PartyChanged) or as it was.
type ReferAsked struct{ Target string }

// PartyChanged tells that somebody else is at the far end, whom the peer put
// there; Info tells who.
type PartyChanged struct{ By string } // "refer", "replaces"

// SignalTrace is one signalling message of the leg, for the log.
type SignalTrace struct {
	Dir    string // "in" or "out"
	Method string // "INVITE"; of a response that of its CSeq
	Status int    // 0 of a request
	CSeq   uint32
}

// Ended is the last event.
type Ended struct{ Cause Cause }

func (Ringing) event()       {}
func (EarlyMedia) event()    {}
func (Answered) event()      {}
func (Digit) event()         {}
func (Held) event()          {}
func (Resumed) event()       {}
func (FormatChanged) event() {}
func (MediaLost) event()     {}
func (MediaFailed) event()   {}
func (ReferProgress) event() {}
func (ReferAsked) event()    {}
func (PartyChanged) event()  {}
func (SignalTrace) event()   {}
func (Ended) event()         {}
