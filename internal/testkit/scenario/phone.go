package scenario

import (
	"context"
	"errors"
	"time"
)

// ErrEnded is a call that is over.
var ErrEnded = errors.New("the call has ended")

// Phone is what a scenario is played on: a call that is up. The methods are
// called one at a time and block until the thing is done; they return early
// with an error when ctx ends, with ErrEnded when the call does.
type Phone interface {
	// Say speaks, in the phone's own voice where voice is "".
	Say(ctx context.Context, text, voice string) error
	// Play plays a WAV file.
	Play(ctx context.Context, file string) error
	// Press sends keys.
	Press(ctx context.Context, digits string) error
	// Disturb makes what is no speech: mumble, cough, hum, knock, noise, echo,
	// mute, loss, hold. A step that says for how long is over then.
	Disturb(ctx context.Context, s *Step) error
	// Hangup ends the call.
	Hangup(ctx context.Context) error
	// Events tell what the agent does. Closed after Ended.
	Events() <-chan Event
}

// Event is one of: AgentSpeaks, Heard, Ended.
type Event interface{ event() }

// AgentSpeaks is an edge of the agent's voice; a gap of less than 300 ms is
// none. At is when it really began or ended, which the phone finds out a
// little later. Wire is when the last packet of a voice that ended came in, before
// any buffer; zero where the phone does not know.
type AgentSpeaks struct {
	On   bool
	At   time.Time
	Wire time.Time
}

// Wired is a Phone that knows its wire.
type Wired interface {
	// Onset is when the first loud packet left of what was said last; zero where
	// none was.
	Onset() time.Time
}

// Heard are words of one utterance of the agent that began at Start. An event
// that is not Final replaces the words of the one before it.
type Heard struct {
	Text  string
	Start time.Time
	Final bool
}

// Ended is the end of the call, told when all its words have been.
type Ended struct {
	At     time.Time
	Reason string
	Remote bool // the agent's side ended it
}

func (AgentSpeaks) event() {}
func (Heard) event()       {}
func (Ended) event()       {}
