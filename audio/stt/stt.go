// Package stt turns a caller's sound into words: the contract of a speech
// recogniser, one folder per provider, and a conformance suite (stttest) that
// every one of them passes.
package stt

import (
	"context"
	"time"

	"github.com/patchcord/patchcord/audio"
)

// Provider opens one recognition stream per call.
type Provider interface {
	// Open connects. The stream lives until Close or until ctx ends. An error
	// is a *Error when the provider itself refused.
	Open(ctx context.Context, o Options) (Stream, error)
}

// Profiled is a provider of which more is known than that it recognises.
type Profiled interface{ Profile() Profile }

// Profile is what a call is to expect of a provider. The zero value knows
// nothing.
type Profile struct {
	// Turns tells that the provider judges when a turn has ended, by more than a
	// pause: while it listens nothing else ends a turn but its word, and the
	// turn's hard stop should that never come.
	Turns bool
	// Wait is how long after the end of speech its last words come, in 99 of 100
	// cases, until a deployment has measured its own. 0: 1 s.
	Wait time.Duration
}

// Options describe the sound that will come.
type Options struct {
	// Format is how the call carries it. Samples are always handed over as
	// PCM; a provider that takes µ-law is sent µ-law when Encoding is MuLaw
	// (a G.711 frame decoded and encoded by the same law is the same bytes).
	Format   audio.Format
	Language string // BCP 47, "" for the provider's default
	CallID   string
}

// Stream is one call's recognition. Send, Speech and Close are called by one
// goroutine; Events is read by another. A call is heard without a gap from its
// answer to its end, silence and our own speech included (conv:B7): no provider
// is gated. One that recognises utterances begins each [PreRoll] before its
// edge; one that is opened in the middle of a call is sent first, faster than
// the clock, what the one before it had not settled.
type Stream interface {
	// Send hands over the next samples, continuous for the whole call, at
	// Options.Format.Rate. It may block for the network, never for results.
	Send(pcm []int16) error
	// Speech tells the edges that the call's own voice detector found, at
	// the sample position after what was sent so far: on when a voice began
	// (up to 600 ms ago), off when it ended. Providers with an endpointer of
	// their own ignore it; the others recognise what lies between.
	Speech(on bool) error
	// Events is closed when the stream is over; Err then tells why.
	Events() <-chan Event
	// Err is nil while Events is open and after Close.
	Err() error
	// Close ends the stream and frees all of it. Idempotent.
	Close() error
}

// Watched is a stream that tells when its provider was last heard of, by an
// event or by a message that comes to none: one from which nothing comes hangs.
type Watched interface{ Seen() time.Time }

// Kind is what an [Event] says.
type Kind int

// The kinds of events.
const (
	Interim  Kind = iota // words so far of an utterance, may change
	Final                // words of an utterance or a part of it, settled
	Endpoint             // the provider is sure that the caller has finished
	Resumed              // the provider takes an earlier Eager back
	Eager                // the provider thinks that the caller may have finished
)

// String is the kind's name in logs.
func (k Kind) String() string {
	return [...]string{"interim", "final", "endpoint", "resumed", "eager"}[k]
}

// Event is one thing a recogniser says. Start and End are positions in the
// stream of samples sent, zero when the provider does not tell.
type Event struct {
	Kind       Kind
	Text       string        // "" in a Final: a voice, but no words understood
	Confidence float64       // 0 to 1; 0 when not told
	Language   string        // BCP 47, "" when not told
	Start, End time.Duration // stream time
	// Endpointed marks a Final that is a confirmed end of turn as well
	// (Deepgram's speech_final): the turn is committed at once.
	Endpointed bool
}

// Error is a provider's refusal or failure.
type Error struct {
	Provider  string // "deepgram"
	Op        string // "open", "send", "read"
	Temporary bool   // worth another try
	Err       error
}

func (e *Error) Error() string { return "stt: " + e.Provider + ": " + e.Op + ": " + e.Err.Error() }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }
