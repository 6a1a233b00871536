package telephony

import (
	"strconv"
	"time"
)

// Reason is why a leg ended or shall end, from a closed list.
type Reason string

// The reasons.
const (
	ReasonNormal       Reason = "normal"        // BYE after a conversation
	ReasonCancelled    Reason = "cancelled"     // the caller gave up before the answer
	ReasonBusy         Reason = "busy"          // 486, 600
	ReasonNoAnswer     Reason = "no_answer"     // 408, 480, ring timeout
	ReasonRejected     Reason = "rejected"      // 403, 603, 607, 608
	ReasonBadNumber    Reason = "bad_number"    // 404, 410, 484, 604
	ReasonCongestion   Reason = "congestion"    // 503, 500, no response
	ReasonNoCodec      Reason = "no_codec"      // 488, 606
	ReasonNotSecure    Reason = "not_secure"    // SRTP is required and the peer has none: 488
	ReasonOverload     Reason = "overload"      // we have no room: 503 with Retry-After
	ReasonDraining     Reason = "draining"      // we are shutting down: 503 with Retry-After
	ReasonNoAck        Reason = "no_ack"        // our 200 was never acknowledged
	ReasonNoMedia      Reason = "no_media"      // no packet within 15 s of the answer
	ReasonMediaTimeout Reason = "media_timeout" // packets stopped for 30 s
	ReasonSession      Reason = "session_expired"
	ReasonTransferred  Reason = "transferred"
	ReasonFailed       Reason = "failed" // anything else
)

// Cause is why a leg ended, in both directions: what Hangup is told, and what
// Ended and HangupError tell.
type Cause struct {
	Reason Reason
	Status int    // SIP status; 0: chosen by Reason, or a BYE
	Text   string // for people
	Remote bool   // the peer ended it
}

func (c Cause) String() string {
	s := string(c.Reason)
	if c.Status != 0 {
		s += " (" + strconv.Itoa(c.Status) + ")"
	}
	if c.Text != "" {
		s += ": " + c.Text
	}
	return s
}

// StatusCode is the SIP status that rejects a leg for this cause.
func (c Cause) StatusCode() int {
	if c.Status != 0 {
		return c.Status
	}
	switch c.Reason {
	case ReasonBusy:
		return 486
	case ReasonNoAnswer:
		return 480
	case ReasonRejected:
		return 603
	case ReasonBadNumber:
		return 404
	case ReasonNoCodec, ReasonNotSecure:
		return 488
	case ReasonOverload, ReasonDraining, ReasonCongestion:
		return 503
	case ReasonCancelled:
		return 487
	}
	return 500
}

// ReasonOf is the reason that a final SIP status of a dialled call stands for.
func ReasonOf(status int) Reason {
	switch status {
	case 486, 600:
		return ReasonBusy
	case 408, 480:
		return ReasonNoAnswer
	case 403, 603, 607, 608:
		return ReasonRejected
	case 404, 410, 484, 604:
		return ReasonBadNumber
	case 500, 502, 503, 504:
		return ReasonCongestion
	case 488, 606:
		return ReasonNoCodec
	case 487:
		return ReasonCancelled
	}
	return ReasonFailed
}

// FullError is a call that a trunk's limits do not allow now: the carrier would
// refuse it.
type FullError struct {
	Trunk      TrunkID
	Limit      string        // "max_calls", "max_cps"
	RetryAfter time.Duration // when there may be room
}

func (e *FullError) Error() string {
	return "trunk " + strconv.Quote(string(e.Trunk)) + " has no room: its " + e.Limit + " is reached"
}

// HangupError is the cause of a leg's context.
type HangupError struct{ Cause Cause }

func (e *HangupError) Error() string { return "leg ended: " + e.Cause.String() }
