package turn

import "time"

// Gen is a reply's generation: strictly increasing, never used again. Every
// thing that may speak has one.
type Gen uint64

// Event is something that happened to the call. Times are call time, since
// the call's start.
type Event interface{ event() }

// Voice detection and playout.
type (
	// VoiceStart is the first loud frame of a voice, back-dated.
	VoiceStart struct{ At time.Duration }
	// VoiceEnd is the last loud frame of a voice, back-dated: the hang of
	// the detector lies between At and now. Echo tells that it was no voice,
	// whether it had ended already or not: our own speech came back (conv:E1).
	VoiceEnd struct {
		At   time.Duration
		Echo bool
	}
	// Voiced tells, once in a voice, that it has been loud for PauseAfter:
	// first to last loud frame, the detector's hang not counted.
	Voiced struct{}
	// AudioIdle tells that nothing came from the line for a second.
	AudioIdle struct{}
	// Digit is a key the caller pressed, KeyMask in the place of a secret one.
	Digit struct{ Key byte }
	// CollectKeys awaits keys from the caller by rules of its own; StopKeys
	// awaits them no longer.
	CollectKeys struct{ Keys Keys }
	// StopKeys ends CollectKeys.
	StopKeys struct{}
	// Started is the first sample of G on the wire.
	Started struct{ G Gen }
	// Played is the last sample of G on the wire.
	Played struct{ G Gen }
	// FarPlayed tells that the far end has played all it had of us: the marks of
	// a leg that buffers came back.
	FarPlayed struct{}
)

// Recognition.
type (
	// Interim are words that may change. Echo marks our own words come back.
	Interim struct {
		Text string
		Echo bool
	}
	// Final are settled words, or none that were understood. Endpointed is a
	// recogniser's confirmed end of turn.
	Final struct {
		Text       string
		Confidence float64
		Endpointed bool
		Echo       bool
		// Until is the end of the sound that the words are of, in that of the
		// call; 0 when the recogniser does not tell.
		Until time.Duration
		// Language of the words, "" when it does not tell, and how long the sound
		// of them took, 0 when it does not.
		Language string
		Span     time.Duration
	}
	// Endpoint is a recogniser's word on the end of the turn, without new
	// words.
	Endpoint struct{ Kind EndpointKind }
	// ServerVoice is the onset of the caller's voice as a speech-to-speech
	// model's server hears it, back-dated: a voice that needs no more proof.
	ServerVoice struct{ At time.Duration }
	// ServerTurn is the end of the caller's turn by that server's word: Item,
	// in its conversation, holds what was said. The words come as a Heard.
	ServerTurn struct{ Item string }
	// Heard are the words of an Item, "" for none that were understood.
	Heard struct{ Item, Text string }
	// EOT is a turn model's probability that the caller has finished.
	EOT struct{ P float64 }
	// STTDown tells that the recogniser is away, or back.
	STTDown struct{ Down bool }
	// Recogniser tells who listens from now on: whether it judges itself when a
	// turn has ended, and how long its last words are waited for, 0 for what the
	// policy says.
	Recogniser struct {
		Turns bool
		Wait  time.Duration
	}
	// SetLanguage makes one of the policy's languages the call's.
	SetLanguage struct{ Tag string }
)

// EndpointKind is how sure a recogniser is that the turn has ended.
type EndpointKind uint8

// The kinds of endpoints.
const (
	EndpointConfirmed EndpointKind = iota // it has ended
	EndpointEager                         // it may have: an answer can be prepared
	EndpointResumed                       // an eager one is taken back
)

// Replies.
type (
	// Useful is the first token of G that brings the caller nearer to words.
	Useful struct{ G Gen }
	// LLMDone ends the model's part of G. Words tells whether it gave any, Asks
	// whether its last sentence is a question.
	LLMDone struct {
		G     Gen
		Words bool
		Asks  bool
		Calls []Call
	}
	// LLMErr is a completion that failed after all fallbacks. Words tells
	// whether some of it was already handed to the voice.
	LLMErr struct {
		G     Gen
		Words bool
	}
	// Audio is the first sound of G ready in the playout.
	Audio struct{ G Gen }
	// Dry tells that G, which sounds, has nothing more to say for now though
	// its model goes on; On false, that it has again.
	Dry struct {
		G  Gen
		On bool
	}
	// Fed tells that all sound of G is in the playout; Sound is false when
	// there was none at all.
	Fed struct {
		G     Gen
		Sound bool
	}
)

// Void tells that a speculative reply does not hold any more: what it was asked
// has changed ("context_changed"), its model failed ("failed"), or it became
// more than is held back ("too_long").
type Void struct {
	G      Gen
	Reason string
}

// Call is a tool call that a model proposed, checked already: Refused ones
// have their result and do not run.
type Call struct {
	ID       string
	Name     string
	Class    Class
	Refused  bool
	Bridge   string // sentence to say while it runs, "" for none
	Second   string // sentence to say when it still runs after BridgeSecond
	Goodbye  string // of an end_call
	Silently bool   // its result enters the context and the agent does not take the turn
	Next     *Node  // where it leads to in the flow, nil: nowhere
	Runs     bool   // of a terminal one: it is run in the end, and does not end the call by itself

	// What the caller hears while it runs. Zero times are those of the policy.
	Mute        bool // no sentence
	Speaks      bool // a sentence of the engine's where it has none of its own
	Hold        bool // the sound of waiting after the second sentence; at HoldAfter, when Mute
	BridgeAfter time.Duration
	SecondAfter time.Duration
	HoldAfter   time.Duration
}

// Gate is what a greeting waits for.
type Gate uint8

// The gates.
const (
	GateNone    Gate = iota // it is said at once
	GateSilence             // the callee has been silent for a while
	GateVerdict             // it is known what answered
)

// Party is what answered a call.
type Party string

// The parties.
const (
	PartyHuman     Party = "human"
	PartyMachine   Party = "machine"   // a mailbox
	PartyScreening Party = "screening" // an assistant that asks who calls
	PartyUnsure    Party = "unsure"
)

// Class is what becomes of a running call when the caller interrupts.
type Class uint8

// The classes.
const (
	ClassEffect Class = iota
	ClassRead
	ClassTerminal
	ClassAsync
)

// Work.
type (
	// ToolDone is a tool's result. Say is an exact sentence to speak instead
	// of asking the model, "" for none; of a call that Failed it is said before
	// the model goes on.
	ToolDone struct {
		ID     string
		Say    string
		Failed bool
		Next   *Node // where the result leads to in the flow, nil: nowhere
		// Deferred is a result that only says that there will be one: AsyncDone
		// brings it.
		Deferred bool
	}
	// AsyncDone is what an asynchronous tool has come to, long after its
	// proposal was answered. Say is as in ToolDone.
	AsyncDone struct {
		ID     string
		Say    string
		Untold bool // it is nobody's: neither news nor context
	}
	// PreCallDone tells that all tools that run by themselves at the start
	// have their results.
	PreCallDone struct{ Next *Node }
)

// The call.
type (
	// Answered starts the conversation.
	Answered struct {
		Disclosure string        // said before the greeting, cannot be interrupted; "" for none
		Greeting   string        // "" for none
		Locked     bool          // the caller cannot interrupt it
		PreCall    bool          // tools are running that the first reply waits for
		Node       *Node         // where the flow begins, nil: there is none
		Gate       Gate          // what the greeting waits for
		FarBuffer  bool          // the leg buffers at its far end: FarPlayed comes
		Lag        time.Duration // from our wire to the ear
	}
	// Verdict is what answered an outbound call. Message is what a mailbox is
	// told, "" for nothing.
	Verdict struct {
		Class   Party
		Message string
	}
	// Beep is the tone after which a mailbox records, and the silence behind it.
	Beep struct{}
	// Mute lets the caller not be heard for turns, or again; the sound goes on.
	Mute struct{ On bool }
	// TransferStarted hands the caller over to somebody else, after the
	// announcement.
	TransferStarted struct {
		ID           string
		Announcement string // "" for none
	}
	// TransferJoined tells that the caller talks with whoever they were handed
	// over to. That lasts until a TransferResult, or the call's end.
	TransferJoined struct{ ID string }
	// TransferResult is what became of it: OK, and the call is over for us, or
	// the caller is with us again. Say is the line for that, "" for the policy's.
	TransferResult struct {
		ID     string
		OK     bool
		Reason string
		Say    string
	}
	// Hold is the peer putting us on hold, or taking us back.
	Hold struct{ On bool }
	// MediaLost tells that no packet came for too long.
	MediaLost struct{}
	// Bye is the end of the leg.
	Bye struct{}
	// SlowInput tells that the caller is asked for something to dictate, or no
	// longer: a number, a name, an address.
	SlowInput struct{ On bool }
	// SayText is a request from outside to say something.
	SayText struct{ Text string }
	// Inject tells that the model knows something new from outside. Respond asks
	// it to speak of it at the next quiet moment; ID is the note's.
	Inject struct {
		ID      string
		Respond bool
	}
	// End is a request from outside to end the call politely.
	End struct {
		Goodbye string // "" for the policy's
		Reason  EndReason
	}
	// Tick tells that the time of [Machine.Next] has come.
	Tick struct{}
)

func (VoiceStart) event()      {}
func (VoiceEnd) event()        {}
func (Voiced) event()          {}
func (AudioIdle) event()       {}
func (EOT) event()             {}
func (SlowInput) event()       {}
func (Digit) event()           {}
func (CollectKeys) event()     {}
func (StopKeys) event()        {}
func (Started) event()         {}
func (Played) event()          {}
func (Interim) event()         {}
func (Final) event()           {}
func (Endpoint) event()        {}
func (STTDown) event()         {}
func (ServerVoice) event()     {}
func (ServerTurn) event()      {}
func (Heard) event()           {}
func (Useful) event()          {}
func (LLMDone) event()         {}
func (LLMErr) event()          {}
func (Audio) event()           {}
func (Fed) event()             {}
func (Dry) event()             {}
func (Void) event()            {}
func (ToolDone) event()        {}
func (AsyncDone) event()       {}
func (PreCallDone) event()     {}
func (Answered) event()        {}
func (Hold) event()            {}
func (MediaLost) event()       {}
func (Bye) event()             {}
func (SayText) event()         {}
func (Inject) event()          {}
func (End) event()             {}
func (FarPlayed) event()       {}
func (Verdict) event()         {}
func (Beep) event()            {}
func (Mute) event()            {}
func (TransferStarted) event() {}
func (TransferJoined) event()  {}
func (TransferResult) event()  {}
func (Tick) event()            {}
func (Recogniser) event()      {}
func (SetLanguage) event()     {}
