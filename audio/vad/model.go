package vad

import (
	"context"
	"time"

	"github.com/patchcord/patchcord/audio"
)

// Classifier tells a voice from other loud sound, by more than its energy: the
// place of a neural detector. None ships (docs/decisions/011). One that is put
// behind a [Detector] is asked for loud frames only, on the media plane: it
// allocates nothing, blocks for nothing and takes a fraction of a frame's time.
// A model that cannot do that runs elsewhere and answers from what it last knew.
type Classifier interface {
	// Voice is the probability, 0 to 1, that somebody speaks in these 20 ms.
	Voice(f audio.Frame) float64
}

// voiceAt is the probability from which on a loud frame is a voice.
const voiceAt = 0.5

// Behind makes a detector that asks a classifier about what is loud; nil is New.
func Behind(c Classifier) *Detector {
	d := New()
	d.class = c
	return d
}

// TurnModel judges by the sound of a caller's last seconds whether the turn has
// ended. It is asked when a voice has ended, off the media plane, and its answer
// shortens or lengthens the wait for more (turn.EOT).
type TurnModel interface {
	// Ended is the probability, 0 to 1, that the caller has finished. pcm is the
	// end of what was heard, [TurnSound] at most, mono; it may be kept. It is
	// called by many goroutines at once. ctx ends when the caller goes on: the
	// answer is of no use then.
	Ended(ctx context.Context, pcm []int16, rate int) (float64, error)
}

// TurnSound is how much sound a turn model is given.
const TurnSound = 8 * time.Second
