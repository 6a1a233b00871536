// Package tts turns words into sound: the contract of a voice, one folder per
// provider, and a conformance suite (ttstest) that every one of them passes.
package tts

import (
	"context"
	"time"

	"github.com/patchcord/patchcord/audio"
)

// Provider speaks.
type Provider interface {
	// Synthesize starts to speak one sentence or clause. The stream ends when
	// ctx does. Several may run at once. An error is a *Error when the
	// provider itself refused.
	Synthesize(ctx context.Context, r Request) (Stream, error)
}

// Request is one piece of text to speak.
type Request struct {
	Text     string // plain words, already normalised for speech
	Voice    string // "" for the provider's configured voice
	Language string // BCP 47, "" for the voice's own
	// Format is what the call carries; a provider that can answer in it
	// saves the resampling. Chunks tell what really came.
	Format audio.Format
	CallID string
}

// Stream is one sentence being spoken, read by one goroutine.
type Stream interface {
	// Next waits for the next piece of sound. io.EOF after the last one. A
	// stream that ends without any sound ends with a *Error, never io.EOF.
	Next() (Chunk, error)
	// Close gives up what is left. Idempotent.
	Close() error
}

// Chunk is some sound, in order. One that tells of words may be without.
type Chunk struct {
	PCM   []int16 // written by nobody from now on
	Rate  int     // Hz, the same for all chunks of a stream
	Words []WordMark
}

// WordMark says when a word sounds, for voices that tell. The marks of a stream
// rise in both; words may be missing, sounds told before they come.
type WordMark struct {
	TextEnd int           // byte offset in Request.Text just after the word and its punctuation
	End     time.Duration // from the stream's first sample
}

// Error is a provider's refusal or failure.
type Error struct {
	Provider  string // "flite"
	Op        string // "synthesize", "read"
	Temporary bool   // worth another try
	Err       error
}

func (e *Error) Error() string { return "tts: " + e.Provider + ": " + e.Op + ": " + e.Err.Error() }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }
