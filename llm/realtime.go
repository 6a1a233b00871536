package llm

import (
	"context"
	"time"

	"github.com/patchcord/patchcord/audio"
)

// Realtime is a speech-to-speech model: it hears the caller and speaks by
// itself, and its server says where the caller's turns end.
type Realtime interface {
	// Connect opens a conversation with nothing in it, and returns when the
	// server has taken the settings. It lives until Close or until ctx ends. An
	// error is a *Error when the provider itself refused.
	Connect(ctx context.Context, o RealtimeOptions) (RealtimeSession, error)
}

// RealtimeOptions are what a conversation begins with.
type RealtimeOptions struct {
	// Format is how the call carries sound. Samples are PCM at its rate both
	// ways; G.711 goes to the server and comes back as it is, bit for bit.
	Format       audio.Format
	Instructions string
	Tools        []Tool
	Voice        string // "" for the provider's configured one
	Language     string // BCP 47 of the caller, "" for what the model makes of it
	MaxTokens    int    // of a response, 0 for the provider's default
	CallID       string
}

// RealtimeSession is one conversation. Send, Do and Close may be called by
// different goroutines; Events is read by one.
//
// The server answers only when it is asked to (Respond), and never stops by
// itself: the call's turn machine is the only one who starts and cancels.
type RealtimeSession interface {
	// Send hands over the caller's next samples, continuous for the whole call.
	// It may block for the network.
	Send(pcm []int16) error
	// Do sends a command. An error is the session's end; what the server does
	// not take comes as a Refused.
	Do(c RealtimeCommand) error
	// Events is closed when the session is over; Err then tells why.
	Events() <-chan RealtimeEvent
	// Err is nil while Events is open and after Close.
	Err() error
	// Close ends the session and frees all of it. Idempotent.
	Close() error
}

// RealtimeCommand is one of the types below.
type RealtimeCommand interface{ realtimeCommand() }

// The commands. A server has at most one response at a time: who asks for
// another one before ResponseDone gets a Refused.
type (
	// Respond asks for a response. ID is the asker's own and comes back with
	// what becomes of it. Exactly, where set, is what it shall say, word for
	// word. NoTools forbids calls.
	Respond struct {
		ID      string
		Exactly string
		NoTools bool
	}
	// CancelResponse stops the response that is active.
	CancelResponse struct{ ID, Response string }
	// Truncate cuts what the model remembers of having said to what was heard.
	Truncate struct {
		ID, Item string
		End      time.Duration // of the item's sound; more than there is, is refused
	}
	// DeleteItem makes the model forget an item.
	DeleteItem struct{ ID, Item string }
	// AddMessage adds to the conversation what was not said to the model: text
	// of either side, a call of an earlier conversation, a call's result.
	AddMessage struct {
		ID      string
		Message Message
	}
	// Instruct changes what Connect was given.
	Instruct struct {
		ID           string
		Instructions string
		Tools        []Tool
	}
)

func (Respond) realtimeCommand()        {}
func (CancelResponse) realtimeCommand() {}
func (Truncate) realtimeCommand()       {}
func (DeleteItem) realtimeCommand()     {}
func (AddMessage) realtimeCommand()     {}
func (Instruct) realtimeCommand()       {}

// RealtimeKind is what a [RealtimeEvent] says.
type RealtimeKind int

// The kinds of events, with the fields that they set.
const (
	ResponseBegan RealtimeKind = iota // Response; ID where the server tells whose it is
	ItemBegan                         // Response, Item: a part of a response; Call where it is a call
	Spoken                            // Response, Item, PCM
	SpokenWords                       // Response, Item, Text: more of the words of what is spoken
	CallReady                         // Response, Item, Call: complete
	ResponseDone                      // Response, Finish, Text (why it failed), Usage
	VoiceBegan                        // Ago: the caller's voice, as the server hears it
	VoiceEnded                        // Ago
	TurnEnded                         // Item: the caller's turn is an item of the conversation
	TurnWords                         // Item, Text: what the caller said in it, "" where it was not understood
	Refused                           // ID where the server tells, Code, Err
)

// RealtimeEvent is one thing that a server says.
type RealtimeEvent struct {
	Kind     RealtimeKind
	ID       string // of the command
	Response string
	Item     string
	PCM      []int16 // at the Format's rate; the receiver's own
	Text     string
	Call     ToolCall
	Ago      time.Duration // how long before the last sample sent it was
	Finish   string        // "completed", "cancelled", "incomplete", "failed"
	Usage    Usage
	Code     string // the provider's, such as those below
	Err      error
}

// The refusals that are no fault: the server and we crossed.
const (
	CodeActive    = "conversation_already_has_active_response"
	CodeNotActive = "response_cancel_not_active"
)
