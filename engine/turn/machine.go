package turn

import (
	"slices"
	"time"
)

// CallState is the call's region.
type CallState uint8

// The states of a call.
const (
	Setup CallState = iota
	Live
	Held
	Handover
	Draining
	Ended
)

// String is the state's name in logs.
func (c CallState) String() string {
	return [...]string{"setup", "live", "held", "handover", "draining", "ended"}[c]
}

// UserState is the caller's floor.
type UserState uint8

// The states of the caller's floor.
const (
	Quiet UserState = iota
	Onset
	Speaking
	Pausing
)

// String is the state's name in logs.
func (u UserState) String() string {
	return [...]string{"quiet", "onset", "speaking", "pausing"}[u]
}

// AgentState is the agent's floor, derived from what is audible.
type AgentState uint8

// The states of the agent's floor.
const (
	Idle AgentState = iota
	Thinking
	Audible
	Suspended
	Locked
)

// String is the state's name in logs.
func (a AgentState) String() string {
	return [...]string{"idle", "thinking", "audible", "suspended", "locked"}[a]
}

// reply is one thing that may speak, from its start to its last sample.
type reply struct {
	g       Gen
	kind    Kind
	turn    int
	step    int
	locked  bool          // the caller cannot interrupt it
	answers bool          // it is (a part of) the answer to the turn
	ready   bool          // sound waits in the playout
	gated   bool          // put in front
	started bool          // sound is on the wire
	startAt time.Duration // when
	words   bool          // it has a text
	asks    bool          // its last sentence is a question
	done    bool          // the model has ended
	fed     bool          // all its sound is in the playout
	last    EndReason     // the call ends after it, "" if not
	prompt  string        // it asks whether the caller is there, and this is asked where the model cannot
	text    string        // its fixed words, of which none are said twice
	news    bool          // nobody waits for it
	hurried bool          // it ends with its clause
}

// work is a tool call from its proposal to its report.
type work struct {
	Call
	g       Gen // who proposed it
	turn    int
	step    int
	started time.Duration
	settled bool
	say     string
	failed  bool // say is its failure sentence
	chained bool // the model is asked again when it and its siblings are settled
	action  int  // the entry of the node that it belongs to, 0: proposed by the model
	spoken  bool // of a terminal one: words came with it
	said    bool // … and are over
}

// Machine is the state of one conversation. It belongs to one goroutine.
type Machine struct {
	policy  Policy
	lexicon *Lexicon
	now     time.Duration
	call    CallState
	user    UserState
	timer   [timers]time.Duration
	out     []Effect

	// The caller's floor.
	voice      bool          // the detector hears a voice
	proven     bool          // … and the model's server vouches for it
	voicedLong bool          // … and it is long enough for our speech to pause
	onset      time.Duration // its first frame
	end        time.Duration // the last voice's last frame
	voiced     time.Duration // how long the caller was heard in this turn
	owed       bool          // the recogniser has not yet settled the last voice
	finalAt    time.Duration // the last settled words
	confirmed  bool          // the recogniser is sure that the turn has ended
	resumed    bool          // … or that it goes on, after it had thought otherwise
	eot        float64       // how sure a turn model is that it has ended, below 0 without one
	slow       bool          // the caller dictates: more patience (conv:B14)
	asked      bool          // our last sentence was a question
	listened   string        // a sign of listening that may yet be an answer
	turnStart  time.Duration // the first voice of the turn
	barged     bool          // we were interrupted, and the caller has said nothing since
	sttDown    bool
	finals     []string
	heardUntil time.Duration // the caller's sound is settled up to here, 0: the recogniser does not tell
	interim    string
	utter      utterance
	conf       float64
	items      []heardItem // what a speech-to-speech model heard, oldest first
	digits     []byte      // keys of the open turn, entries parted by ", "
	keysDone   bool        // the last entry is complete: it waits for locked speech or a hold
	keysBefore string      // the keys the turn had before it was opened again
	missed     bool        // we have asked to repeat and heard no words since
	amending   bool        // the next commit is more of the last turn
	reopened   bool        // … and the first of finals is what that had
	lastWords  time.Duration
	voiceSince bool // a voice was heard since the last commit

	voiceSinceFinal bool // … since the last final

	// The turn.
	turn, rev     int
	committedRev  int
	committed     string // the last turn's words
	committedKeys string // … and keys
	settled       string // … as far as it was final
	committedAt   time.Duration
	answered      bool // the caller heard something of the reply to it

	// The agent's floor.
	gen           Gen
	line          []*reply // live replies, oldest first
	front         *reply   // the one in the playout's front
	paused        bool
	pausedAt      time.Duration
	resumedAt     time.Duration // the last pause without proof ended
	holdUntil     time.Duration // a ready reply waits for the caller until then, 0: none does
	lastAudible   time.Duration // our last audible sample, as it is heard
	lag           time.Duration // from our wire to the ear
	spoke         bool          // something was heard in this turn
	fillers       int           // since the model was asked
	failedFillers int           // … that the voice had no sound for
	continued     bool          // an answer of this turn broke off and was gone on with
	failures      int           // answers in a row that failed

	// Work.
	works      []*work
	rung       int             // of the bridging ladder, that of the running tools
	holding    bool            // the sound of waiting is on
	heard      map[string]bool // sentences of the ladder that the caller has heard
	modelSaid  time.Duration   // the end of the model's own last words
	proposed   map[string]bool // every call there was, by its id
	node       Node            // of the flow, zero without one
	rehear     bool            // how long words are waited for has changed
	entries    int             // nodes entered in the call
	entered    int             // … and in this turn
	closing    *work           // a terminal call that is armed
	away       []Call          // asynchronous ones that have not come to anything yet
	news       []*news
	preCall    bool
	answeredAt time.Duration
	waiting    *StartReply // the reply that waits for pre-call tools
	tongue     tongue      // the call's language
	turns      bool        // the recogniser judges itself when a turn has ended
	prepared   prepared    // the reply to words that are no turn yet

	// Keys that are awaited.
	collect     *Keys // nil: none
	collectFrom time.Duration
	keyAsks     int // reprompts

	// Silence.
	prompts  int
	quietFor time.Duration // how long it lasts, what stops the clock not counted
	noise    time.Duration // … and how much of the allowance for noise is used up
	overdue  time.Duration // by how much the prompts so far came late
	floor    floor         // what the clock did since the last step
	floorAt  time.Duration // … which was then
	interims bool          // the recogniser gives words while they are spoken

	// The opening, and the floor as others leave it to us.
	opening   *opening // what is said first, nil when it was
	greeted   *opening // … as it was said
	owedHello bool     // words of before the greeting are still to come: they are answered by it
	screened  bool     // the scripted answer was given
	mailbox   bool     // a machine takes a message
	message   string   // … this one
	left      int      // how often it was begun
	muted     bool
	heldAt    time.Duration
	announced Gen    // what is said before a transfer, 0: it was
	transfer  string // the transfer at work
	joined    bool   // … and the caller talks with the other party

	// Ends.
	endReason EndReason
	doubt     bool          // it is silence, but a voice sounds that may have words
	ending    string        // the call of a tool that ends the call, while it can be taken back
	maxAt     time.Duration // when the call has lasted too long
	farBuffer bool          // the far end buffers and tells what it has played

	moved   time.Duration  // when something last happened that meant something
	ignored map[string]int // events that meant nothing, by kind
}

// New is a machine in Setup.
func New(p Policy) *Machine {
	m := &Machine{
		policy: p.WithDefaults(), lexicon: LexiconOf(p.Language), slow: p.SlowInput, eot: -1,
		tongue: tongue{allowed: p.Languages},
	}
	for i := range m.timer {
		m.timer[i] = never
	}
	return m
}

// Call is the state of the call.
func (m *Machine) Call() CallState { return m.call }

// User is the state of the caller's floor.
func (m *Machine) User() UserState { return m.user }

// Turn is the number of the caller's last committed turn, from 1.
func (m *Machine) Turn() int { return m.turn }

// Agent is the state of the agent's floor .
func (m *Machine) Agent() AgentState {
	switch {
	case m.front != nil && m.front.started && m.paused:
		return Suspended
	case m.front != nil && m.front.started && m.front.locked:
		return Locked
	case m.front != nil && m.front.started:
		return Audible
	case len(m.line) > 0 || m.chained() || m.waiting != nil || m.opening != nil:
		return Thinking
	}
	return Idle
}

// Live says whether a reply may still speak, now or once it is adopted.
func (m *Machine) Live(g Gen) bool {
	return m.find(g) != nil || m.prepared.r != nil && m.prepared.r.g == g
}

// Step takes an event at a time and answers with what to do. The effects are
// valid until the next Step.
func (m *Machine) Step(ev Event, now time.Duration) []Effect {
	m.out = m.out[:0]
	if now > m.now {
		m.now = now
	}
	if m.call == Ended {
		m.ignore(ev)
		return nil
	}
	m.fireDue()
	if m.takes(ev) {
		if _, idle := ev.(Tick); !idle {
			m.moved = m.now
		}
		m.handle(ev)
	} else {
		m.ignore(ev)
	}
	m.advance()
	return m.out
}

func (m *Machine) handle(ev Event) {
	switch e := ev.(type) {
	case VoiceStart:
		m.voiceStart(e)
	case VoiceEnd:
		m.voiceEnd(e)
	case Voiced:
		m.voicedLong = m.voice
		m.armPause()
		m.firePause()
	case Interim:
		m.interimWords(e)
	case Final:
		m.finalWords(e)
	case Endpoint:
		m.endpoint(e.Kind)
	case EOT:
		m.turnModel(e.P)
	case AudioIdle:
		m.audioIdle()
	case SlowInput:
		m.slow = e.On
		m.scheduleCommit()
	case ServerVoice:
		m.serverVoice(e)
	case ServerTurn:
		m.serverTurn(e)
	case Heard:
		m.heardWords(e)
	case STTDown:
		m.sttState(e.Down)
	case Recogniser:
		m.listenBy(e)
	case SetLanguage:
		m.speakIn(m.tongue.match(e.Tag))
	case Digit:
		m.digit(e.Key)
	case CollectKeys:
		m.startKeys(e.Keys)
	case StopKeys:
		m.stopKeys(KeysStopped)
	case Started:
		m.startedReply(e.G)
	case Played:
		m.playedReply(e.G)
	case Audio:
		m.find(e.G).ready = true
	case Fed:
		m.fedReply(e)
	case Useful: // the shell's account only
	case Dry:
		m.clear(tDry)
		if e.On {
			m.set(tDry, m.now+m.policy.DryAfter)
		}
	case Void:
		m.discard(e.Reason)
	case LLMDone:
		m.llmDone(e)
	case LLMErr:
		m.llmErr(e)
	case ToolDone:
		m.toolDone(e)
	case AsyncDone:
		m.asyncDone(e)
	case PreCallDone:
		m.preCall = false
		if e.Next != nil {
			m.enter(e.Next, "")
		}
		m.startWaiting()
	case Answered:
		m.answeredCall(e)
	case Verdict:
		m.verdict(e)
	case Beep:
		m.beep()
	case Mute:
		m.mute(e.On)
	case TransferStarted:
		m.transferStarted(e)
	case TransferJoined:
		m.transferJoined()
	case TransferResult:
		m.transferResult(e)
	case FarPlayed:
		m.farPlayed()
	case Hold:
		m.hold(e.On)
	case SayText:
		m.say(Said, e.Text, "")
	case Inject:
		m.inject(e)
	case End:
		m.drain(e.Goodbye, e.Reason)
	case MediaLost:
		m.hangUp(EndMedia)
	case Bye:
		m.ended()
	case Tick: // what is due was fired already
	default:
		m.ignore(ev)
	}
}

func (m *Machine) emit(e Effect) { m.out = append(m.out, e) }

// find is a live reply that has begun, nil when there is none.
func (m *Machine) find(g Gen) *reply {
	if m.waiting != nil && m.waiting.G == g {
		return nil
	}
	for _, r := range m.line {
		if r.g == g {
			return r
		}
	}
	return nil
}

func (m *Machine) remove(r *reply) {
	m.line = slices.DeleteFunc(m.line, func(x *reply) bool { return x == r })
	if m.front == r {
		m.front, m.paused = nil, false
		m.clear(tPause, tResume, tForce, tDry, tGuard)
	}
}

// Policy is what the machine goes by, every default filled in.
func (m *Machine) Policy() *Policy { return &m.policy }
