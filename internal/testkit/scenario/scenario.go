// Package scenario is the scripted caller: one YAML file tells what a caller
// says, when, and what it expects to hear, and [Run] plays it on any [Phone].
// The same file runs over a real SIP call in callprobe and on virtual time in
// tests.
//
//	name: order status
//	steps:
//	  - wait_for: {words: [welcome], within: 10s}
//	  - wait_quiet: 700ms
//	  - say: "where is my order"
//	  - barge_in: {after: 1.2s, say: "stop please", stops_within: 500ms}
//	  - expect_words: {words: [shipped, "on monday"], not: [sorry]}
//	  - press: "12#"
//	  - expect_hangup: {within: 10s}
//	heard: {words: [welcome, order, shipped], share: 0.8}
//	expect: {user: ["where is my order", "stop please"], barge_ins: 1}
//	engine: {agent: {greeting: "Welcome."}, rules: "…"}
//
// Words are compared without case and punctuation; "monday|tuesday" means
// either, "on monday" both in this order. Each expectation counts what was
// said since the caller last said or pressed something, behind the words that
// an earlier expectation found.
//
// expect is judged where the call's record can be read, and engine says what
// the far side is where that is scripted too: both on virtual time.
//
// A file is read strictly: every fault is told with file, line and column, all
// at once, and nothing runs.
package scenario

import (
	"time"

	"github.com/goccy/go-yaml/ast"
)

// Defaults of what a step leaves out.
const (
	DefaultWithin  = 15 * time.Second       // of everything that waits for the agent
	DefaultQuiet   = 700 * time.Millisecond // of wait_quiet
	DefaultSilence = 500 * time.Millisecond // of expect_silence
	DefaultTimeout = 2 * time.Minute        // of a scenario
)

// Scenario is one file.
type Scenario struct {
	File    string
	Name    string
	From    string        // caller's number or name, "" for the phone's own
	Voice   string        // of every say that names none, "" for the phone's own
	Codec   string        // PCMU, PCMA, G722, opus; "" for the phone's own
	Phrases string        // path of the recogniser's sentences, "" for the phone's own
	Timeout time.Duration // of the whole call
	Steps   []Step
	Heard   KeyWords
	Expect  Expect
	Engine  ast.Node // the far side, where it is scripted too; nil for the phone's own
}

// Expect is what the call must have come to, where its record can be read. A
// zero field expects nothing; Number is nil where any will do.
type Expect struct {
	User      []string       // the caller's turns
	Answers   *int           // replies of the model that were heard
	BargeIns  *int           // replies that the caller cut short
	Tools     map[string]int // how often each was run
	EndReason string
	Events    []string // that must have come, in this order
	NotEvents []string
}

// KeyWords are checked when the call is over: at least Share of Words must
// have been heard in it, anywhere.
type KeyWords struct {
	Words []string
	Share float64 // 0 to 1
}

// Step is one line of the script. Fields that its verb does not use are zero.
type Step struct {
	Verb        string
	Line, Col   int
	Text        string // say, barge_in
	Voice       string // say, barge_in
	File        string // play, and barge_in that plays: its path
	Digits      string // press
	For         time.Duration
	After       time.Duration // barge_in, mumble, cough, hum, knock: how long the agent has spoken; echo: its lag
	Within      time.Duration
	StopsWithin time.Duration // barge_in: the agent is silent that soon, on the wire; 0: not checked
	DB          float64       // noise: how far below the voice; echo: how far below what comes back
	Share       float64       // loss: of the packets, 0 to 1
	Off         bool          // noise, echo, loss: no more of it
	Words, Not  []string
}

// The verbs.
const (
	Say           = "say"            // a text, or {text, voice}
	Play          = "play"           // a WAV file, or {file}
	Wait          = "wait"           // a duration
	WaitFor       = "wait_for"       // words, or {words, within}: goes on as soon as they are heard
	WaitQuiet     = "wait_quiet"     // {for, within}: the agent has spoken and then been silent for that long
	BargeIn       = "barge_in"       // {after, say or play, voice, stops_within, within}
	Press         = "press"          // keys
	Mumble        = "mumble"         // a voice for that long that nobody understands, or {for, after, within}: as barge_in
	Cough         = "cough"          // the same
	Hum           = "hum"            // the same: "mm-hmm" without a word
	Knock         = "knock"          // the same
	Noise         = "noise"          // {db}: from now on, that far below the caller's voice; or off
	Echo          = "echo"           // {db, lag}: from now on the agent's voice comes back; or off
	Mute          = "mute"           // for that long no packet comes
	Loss          = "loss"           // a share of the packets, such as 5%; or off
	Hold          = "hold"           // for that long the agent is on hold
	ExpectWords   = "expect_words"   // words, or {words, not, within, for}: judged when the agent has finished
	ExpectSilence = "expect_silence" // {for, within}
	ExpectHangup  = "expect_hangup"  // {within}: the agent ends the call
	Hangup        = "hangup"         // the caller ends the call
)
