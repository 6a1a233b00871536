package testkit

import (
	"context"
	"io"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/stt"
	"github.com/patchcord/patchcord/audio/tts"
	"github.com/patchcord/patchcord/llm"
)

// Cue is one thing that a scripted stream does, After a while.
type Cue[T any] struct {
	After time.Duration
	Give  T
	Err   error
}

// Never is longer than any call.
const Never = 24 * time.Hour

// Perform is a stream of a model or a voice that follows its cues and then
// ends with io.EOF.
func Perform[T any](ctx context.Context, cues ...Cue[T]) *Performance[T] {
	return &Performance[T]{ctx, cues}
}

// Performance is a stream that follows its cues.
type Performance[T any] struct {
	ctx  context.Context //nolint:containedctx // the stream's own
	cues []Cue[T]
}

// Next is the next cue.
func (p *Performance[T]) Next() (T, error) {
	var none T
	if len(p.cues) == 0 {
		return none, io.EOF
	}
	c := p.cues[0]
	p.cues = p.cues[1:]
	select {
	case <-time.After(c.After):
		return c.Give, c.Err
	case <-p.ctx.Done():
		return none, p.ctx.Err()
	}
}

// Close does nothing.
func (p *Performance[T]) Close() error { return nil }

// Model is a language model made of a function.
type Model func(ctx context.Context, r llm.Request) (llm.Stream, error)

// Stream answers.
func (f Model) Stream(ctx context.Context, r llm.Request) (llm.Stream, error) { return f(ctx, r) }

// Voice is a voice made of a function.
type Voice func(ctx context.Context, r tts.Request) (tts.Stream, error)

// Synthesize speaks.
func (f Voice) Synthesize(ctx context.Context, r tts.Request) (tts.Stream, error) { return f(ctx, r) }

// Recogniser is a recogniser made of a function.
type Recogniser func(ctx context.Context, o stt.Options) (stt.Stream, error)

// Open opens.
func (f Recogniser) Open(ctx context.Context, o stt.Options) (stt.Stream, error) { return f(ctx, o) }

// TurnModel is a turn model made of a function.
type TurnModel func(ctx context.Context, pcm []int16, rate int) (float64, error)

// Ended judges.
func (f TurnModel) Ended(ctx context.Context, pcm []int16, rate int) (float64, error) {
	return f(ctx, pcm, rate)
}

// Classifier is a neural voice detector made of a function.
type Classifier func(f audio.Frame) float64

// Voice judges.
func (f Classifier) Voice(fr audio.Frame) float64 { return f(fr) }
