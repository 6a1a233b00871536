package dialer

import (
	"context"
	"errors"
	"time"

	"github.com/patchcord/patchcord/telephony"
)

// Campaign is a list of people who are called, by whom, when and how often. Its
// contacts and attempts are the ledger's.
type Campaign struct {
	ID     string // UUID version 7
	Name   string
	Status Status
	Reason string // why it is paused or cancelled: a breaker's sentence, or who did it

	Agent       string // id or name
	Trunk       telephony.TrunkID
	CallerIDs   []CallerID // none: the trunk's own
	Concurrency int        // calls at once, across all nodes
	CPS         float64    // calls begun a second, across all nodes
	Priority    int        // of those with room the higher goes first
	Starts      time.Time  // zero: as soon as it is started
	Ends        time.Time  // zero: when every contact is in a final state
	Resumed     time.Time  // when it last went on after a pause, zero: never
	Hours       Hours      // when people may be called, in their own time
	Zone        string     // IANA name, of contacts whose own is not known
	Country     string     // ISO 3166, of numbers without a country code
	Profile     string     // name of the rules that hold beside its own: "us", "eu", or a file's; "": none
	Retries     Retries
	RingTimeout time.Duration // 0: 60 s
	AMD         *bool         // whether it is told who answers; nil: as the agent has it
	Voicemail   *string       // said to a machine, "" hangs up silently; nil: as the agent has it
	Variables   []Variable    // what a contact brings for prompt and tools
	Breakers    Breakers
}

// Status is where a campaign is.
type Status string

// The statuses of a campaign.
const (
	Draft     Status = "draft"     // contacts come in, nobody is called
	Running   Status = "running"   // people are called
	Paused    Status = "paused"    // nobody is claimed, calls that are up end in their own time
	Completed Status = "completed" // every contact is in a final state, or Ends has passed
	Cancelled Status = "cancelled" // ended before, for good
)

// CallerID is a number of ours that callees see.
type CallerID struct {
	Number string   // E.164
	Areas  []string // prefixes of callees it is shown to first, "+4930"
	PerDay int      // calls a day it may be shown in, 0: no limit
}

// Variable is a value that each contact brings (seed 004): its name, and its
// type: "string", "number", "integer", "boolean", "date".
type Variable struct {
	Name     string
	Type     string
	Required bool
}

// State is where a contact is; in all but Pending, Claimed and Dialing it stays
// until somebody changes it.
type State string

// The states of a contact. Those of a campaign always add up to its contacts.
const (
	Pending State = "pending" // due now or later
	Claimed State = "claimed" // a node is about to dial; given back when that node dies
	Dialing State = "dialing" // an INVITE has left or is about to: after a crash it goes to Review
	Reached State = "reached" // somebody was talked to, or a message was left
	Failed  State = "failed"  // no attempt is left, or the number is none
	Blocked State = "blocked" // do not call, no consent: Contact.Why says which
	Expired State = "expired" // the campaign ended before
	Review  State = "review"  // perhaps dialled when a node died: never dialled again by itself
)

// Contact is somebody to call.
type Contact struct {
	ID        string // UUID version 7
	Campaign  string
	Number    string // E.164
	Name      string
	Zone      string // IANA name; "": as the number tells
	Consent   string // how and when it was given, as imported; "": none
	Record    bool   // consent to be recorded
	Variables map[string]any

	State State
	Why   string // of Blocked, Failed and Review
	Tries int
	Due   time.Time
	From  string // the caller ID it was called from, which it keeps
}

// Attempt is one call of a contact: at most one INVITE leaves for it.
type Attempt struct {
	Contact Contact // as it was claimed
	N       int     // 1, 2, 3, … of its contact
	Node    string
	Call    telephony.CallID
	Claimed time.Time
	// Slot is when its INVITE may leave, by the clock of Claimed: the calls of a
	// campaign are a turn apart over all nodes. Zero: at once.
	Slot time.Time
	// Today counts the attempts of this contact in the last 24 h that may have
	// rung (Outcome.Rings), without this one; First is when the first of them was
	// claimed, zero: there is none.
	Today int
	First time.Time
	// Same counts the attempts in a row before it that had each outcome.
	Same map[Outcome]int
	// Elsewhere is what other campaigns do with its number.
	Elsewhere Elsewhere
}

// Elsewhere is what other campaigns do with a number.
type Elsewhere struct {
	Open  bool      // one of them has claimed it or calls it
	Today int       // attempts in the last 24 h that may have rung
	First time.Time // when the first of these was dialled, zero: there is none
}

// Outcome is what became of an attempt.
type Outcome string

// The outcomes.
const (
	OutcomePerson     Outcome = "person"     // somebody answered and was talked to
	OutcomeVoicemail  Outcome = "voicemail"  // a machine: a message was left, or it was hung up on
	OutcomeScreening  Outcome = "screening"  // a call screener, and nobody after it
	OutcomeAbandoned  Outcome = "abandoned"  // answered, and no word of ours within 2 s
	OutcomeBusy       Outcome = "busy"       // 486, 600
	OutcomeNoAnswer   Outcome = "no_answer"  // 408, 480, 487, ring timeout
	OutcomeRejected   Outcome = "rejected"   // 403, 603, 607, 608
	OutcomeInvalid    Outcome = "invalid"    // 404, 410, 484, 604
	OutcomeCongestion Outcome = "congestion" // 5xx of every gateway
	OutcomeFailed     Outcome = "failed"     // anything else
	OutcomeUnknown    Outcome = "unknown"    // the node died: nobody knows
)

// Result is what an attempt came to.
type Result struct {
	Outcome     Outcome
	SIP         int    // final status, 0: none
	Why         string // for people
	From        string // the caller ID that was shown
	AnsweredBy  string // "human", "machine", "screening", "unsure"; "": not asked
	MessageLeft bool
	Answered    time.Time
	Ended       time.Time
	Disposition string         // what the agent made of it, "" for none
	Data        map[string]any // variables that were extracted
	Callback    time.Time      // when the callee asked to be called again, zero: not
	OptOut      bool           // the callee asked not to be called again

	// What the rules made of it: where the contact goes, and when it is due.
	Next State
	Due  time.Time
}

// Judge says of a contact that is due whether it may be called now: Claimed. Else
// it says where the contact goes, when it is due there, and why. It is asked
// within the claim, which waits for it.
type Judge func(a Attempt) (next State, due time.Time, why string)

// Ledger keeps campaigns, contacts and attempts (package store). Times of tokens
// and leases are the database's.
type Ledger interface {
	// Running are the campaigns that may be claimed from, by priority.
	Running(ctx context.Context) ([]Campaign, error)
	// Claim takes contacts that are due, most at most, as far as the campaign's
	// calls a second and at once allow, and none that must not be called. Each has a
	// Slot of its own, the last of them a second ahead at most. What the judge does
	// not let through takes no slot: its contact goes where it says. A claim that is
	// not dialled is to be released.
	Claim(ctx context.Context, campaign string, most int, judge Judge) ([]Attempt, error)
	// Dialing is the fence before the INVITE: from here on the attempt counts as
	// dialled. ErrNotClaimed tells that it is not ours any more, or that the
	// campaign was paused, or the number may not be called since: it must not leave,
	// and is to be released. With any other error it must not leave either; the
	// ledger gives it back by itself.
	Dialing(ctx context.Context, a Attempt, call telephony.CallID, from string) error
	// Release gives a claim back that was not dialled, before the fence or behind it:
	// its contact is due again then, or in another state if the rules say so. It is
	// kept even when the database is away.
	Release(ctx context.Context, a Attempt, next State, due time.Time, why string) error
	// Finish keeps what became of an attempt, even when the database is away.
	Finish(ctx context.Context, a Attempt, r Result) error
	// Recover gives back what nodes that are gone had claimed, and what nobody dialled
	// in a minute, and puts what they dialled up for review. It is to be called every
	// few seconds.
	Recover(ctx context.Context) (givenBack, review int, err error)
	// Shown is how often each of some caller IDs was shown since a time, by whatever
	// campaign.
	Shown(ctx context.Context, numbers []string, since time.Time) (map[string]int, error)
	// Tally counts what the breakers judge: attempts that ended since a time.
	Tally(ctx context.Context, campaign string, since time.Time) (Tally, error)
	// Pause pauses a running campaign and keeps why; false: it did not run any more.
	Pause(ctx context.Context, campaign, why string) (bool, error)
	// Complete ends a running campaign that has nothing left to dial.
	Complete(ctx context.Context, campaign string) (bool, error)
	// Block puts a number on the do-not-call list of a campaign, or of all where
	// campaign is "": at once, for what is claimed as well.
	Block(ctx context.Context, campaign, number, why string) error
}

// ErrNotClaimed tells that an attempt may not be dialled: it is another's, it
// was given back, or its number or campaign was stopped since.
var ErrNotClaimed = errors.New("the attempt may not be dialled any more")

// Tally is how the attempts of a campaign went.
type Tally struct {
	Attempts  int // that ended
	Answered  int // by somebody or something
	People    int // answered by somebody: person and abandoned
	Abandoned int
	Failed    int // congestion and failed
}

// Seats is the room of this node for calls. A seat is taken before the INVITE
// leaves, so that nobody answers to silence.
type Seats interface {
	// Take is false where no further call has room.
	Take() (release func(), ok bool)
}

// Placer places the call of an attempt (package engine, through cmd). It returns
// when the call is over.
type Placer interface {
	Place(ctx context.Context, c Campaign, a Attempt, call telephony.CallID, from string) Result
}
