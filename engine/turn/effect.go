package turn

import "time"

// Effect is something the session carries out, in the order given.
type Effect interface{ effect() }

// Kind is what a reply is for.
type Kind uint8

// The kinds of replies.
const (
	Answer       Kind = iota // the model's
	Greeting                 // the agent's first words
	Said                     // asked for from outside, or an exact sentence after a tool
	Bridge                   // while a tool runs
	Filler                   // while the model is slow
	Apology                  // when it failed
	Reprompt                 // after silence
	AskRepeat                // after sound without words
	Goodbye                  // before the end
	Interjection             // to a caller who speaks for too long
	Disclosure               // before the greeting, never interrupted
	Message                  // to a mailbox
)

// String is the kind's name in logs.
func (k Kind) String() string {
	return [...]string{
		"answer", "greeting", "said", "bridge", "filler", "apology", "reprompt", "repeat", "goodbye",
		"interjection", "disclosure", "message",
	}[k]
}

// Proof is what turned a pause into an interruption.
type Proof string

// The proofs.
const (
	ProofWords  Proof = "words"  // BP1
	ProofStop   Proof = "stop"   // BP2
	ProofForce  Proof = "force"  // BP3
	ProofDigit  Proof = "digit"  // BP5
	ProofAPI    Proof = "api"    // BP6
	ProofServer Proof = "server" // BP7
)

// EndReason is why a call ended, from a closed list.
type EndReason string

// The reasons the machine ends a call for.
const (
	EndAgent     EndReason = "agent_done"    // end_call
	EndSilence   EndReason = "silence"       // the caller said nothing
	EndMaxCall   EndReason = "max_duration"  // the call grew too long
	EndMedia     EndReason = "media_timeout" // no packets
	EndHoldCap   EndReason = "hold_timeout"  // held for too long
	EndAPI       EndReason = "api"           // asked for from outside
	EndProviders EndReason = "vendor_failed" // no provider answered
	EndHangup    EndReason = "hangup"        // the peer hung up
	EndDrained   EndReason = "drained"       // the engine shuts down
	EndVoicemail EndReason = "voicemail"     // a machine answered
	EndTransfer  EndReason = "transferred"   // somebody else has the caller
)

// The effects.
type (
	// CommitUser adds the caller's words to the context: a new item, or, when
	// Amend, in place of the last one (the same turn, more words).
	CommitUser struct {
		Turn, Rev  int
		Text       string
		Confidence float64
		End        time.Duration // of the speech
		Amend      bool
		// Keys are those in Text, "" for none; Secret tells that some of them are
		// KeyMask in the place of a key that only the session knows.
		Keys   string
		Secret bool
		// Later tells that words of the turn are still to come, as HeardUser:
		// Text is what is known, maybe nothing.
		Later bool
	}
	// HeardUser are the words of a turn that was committed before they were
	// known, all there are so far, in place of what the turn had. Later tells
	// that more will come: each turn gets at last one that is not Later.
	HeardUser struct {
		Turn   int
		Text   string
		Later  bool
		Keys   string
		Secret bool
	}
	// Drop tells of words that did not become part of a turn.
	Drop struct {
		Text   string
		Reason string // "backchannel", "echo", "duplicate", "draining", "farewell" …
	}
	// StartReply asks the model. Step counts the completions of a turn from
	// 0; NoTools forbids further calls. News are the calls whose results it is
	// to tell of its own accord.
	//
	// A Speculative one is asked before the turn is taken: as if its words
	// were Text, more of the last turn's when Amend. What comes of it is held
	// back, out of sight, until Adopt or Cancel. One that is to Continue goes on
	// where a model broke off after words that are heard.
	StartReply struct {
		G           Gen
		Turn        int
		Step        int
		NoTools     bool
		Speculative bool
		Text        string
		Amend       bool
		News        []string
		Continue    bool
	}
	// Adopt makes a speculative reply the answer to a turn: what was held back
	// of it happens now. Lead is how long ago it was asked.
	Adopt struct {
		G    Gen
		Turn int
		Lead time.Duration
	}
	// Shorten ends what fills a wait with the clause that sounds: what was waited
	// for is there (conv:W7).
	Shorten struct{ G Gen }
	// StopModel gives up the model of G, of which words were heard: nothing
	// more of it is wanted, what the voice has is said.
	StopModel struct{ G Gen }
	// Say speaks a fixed text.
	Say struct {
		G    Gen
		Kind Kind
		Turn int
		Text string
		Tool string // of a Bridge: the tool's name
	}
	// Play puts G in front: its sound goes on the wire.
	Play struct{ G Gen }
	// Pause stops the sound of G, Resume goes on with it.
	Pause struct{ G Gen }
	// Resume goes on with G, from a little before where it stopped.
	Resume struct{ G Gen }
	// Cancel ends G at once: nothing of it is heard any more; what was heard
	// is kept. Interrupted tells that the caller did it.
	Cancel struct {
		G           Gen
		Reason      string
		Proof       Proof
		Interrupted bool
	}
	// Finish tells that G was heard to its end.
	Finish struct{ G Gen }
	// RunTool starts a proposed call.
	RunTool struct{ ID string }
	// SettleTool gives a call its result without a run, or ends its run.
	SettleTool struct {
		ID string
		OK bool
		// Code is the result: "caller_resumed", "cancelled", "too_many_steps",
		// "ended", "started", "entered".
		Code string
	}
	// HoldSound begins or ends the sound of waiting. It is heard only while
	// nothing is said, makes way for speech by itself and comes back after it;
	// who turned it on turns it off.
	HoldSound struct{ On bool }
	// EnterNode leaves a node of the flow and enters another, both or neither.
	// Call is what led there, "" for the start of the call.
	EnterNode struct {
		From, To string
		By       string // as in Node
		Call     string
		Actions  []string
	}
	// News adds to the context what a call has come to that nobody waited for.
	News struct{ ID string }
	// Note is something for the log: "silence_prompt", "stt_miss", "dead_air",
	// "stuck", "async_expired", "async_untold" and "flow_loop".
	Note struct {
		What string
		N    int
	}
	// KeysDone tells that a collection of keys has ended, and why: "complete",
	// "timeout", "speech" or "stopped".
	KeysDone struct{ Reason string }
	// Brief tells the model what has happened, as data beside the conversation.
	Brief struct{ Text string }
	// HandOver starts the transfer ID: the announcement was heard. Cancel takes
	// the caller back from one that takes too long, or that the call's end cuts
	// short.
	HandOver struct {
		ID     string
		Cancel bool
	}
	// ExpectLanguage tells that the caller may be speaking another of the call's
	// languages.
	ExpectLanguage struct{ Language string }
	// SwitchLanguage changes the call's language for every reply that begins from
	// now on.
	SwitchLanguage struct{ From, To string }
	// HangUp ends the leg.
	HangUp struct{ Reason EndReason }
)

func (CommitUser) effect()     {}
func (HeardUser) effect()      {}
func (Drop) effect()           {}
func (StartReply) effect()     {}
func (Adopt) effect()          {}
func (StopModel) effect()      {}
func (Shorten) effect()        {}
func (Say) effect()            {}
func (Play) effect()           {}
func (Pause) effect()          {}
func (Resume) effect()         {}
func (Cancel) effect()         {}
func (Finish) effect()         {}
func (RunTool) effect()        {}
func (SettleTool) effect()     {}
func (HoldSound) effect()      {}
func (EnterNode) effect()      {}
func (News) effect()           {}
func (Note) effect()           {}
func (KeysDone) effect()       {}
func (Brief) effect()          {}
func (HandOver) effect()       {}
func (HangUp) effect()         {}
func (ExpectLanguage) effect() {}
func (SwitchLanguage) effect() {}
