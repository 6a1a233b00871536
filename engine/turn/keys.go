package turn

import (
	"slices"
	"strings"
	"time"
)

// Keys are the rules by which the keys a caller presses are collected (2.9). A
// zero field means the default beside it.
type Keys struct {
	// 0: any number; so many complete the entry
	Max int `yaml:"max" json:"max,omitempty"`
	// "#" completes the entry and is no part of it; "none": no key does
	Terminator string `yaml:"terminator" json:"terminator,omitempty"`
	// 8s to the first key, from our last sample
	First time.Duration `yaml:"first" json:"first,omitempty"`
	// the policy's digit_gap, 3s between keys
	Gap time.Duration `yaml:"gap" json:"gap,omitempty"`
	// Reprompt is said when the first key does not come; "" for the built-in one.
	Reprompt string `yaml:"reprompt" json:"reprompt,omitempty"`
	// 2 times
	Reprompts int `yaml:"reprompts" json:"reprompts,omitempty"`
	// Sensitive keys are masked in the log, the transcript, the events and the
	// journal; the model gets them.
	Sensitive bool `yaml:"sensitive" json:"sensitive,omitempty"`
	// RecordingGap leaves silence in the recording while sensitive keys are
	// collected.
	RecordingGap bool `yaml:"recording_gap" json:"recording_gap,omitempty"`
	// HoldSpeech lets words wait until the keys are complete; without it words
	// end the collection and are the turn.
	HoldSpeech bool `yaml:"hold_speech" json:"hold_speech,omitempty"`
}

// KeyMask stands for a secret key wherever the machine has one: the shell keeps
// the key itself, so neither the effects nor a journal of them hold it.
const KeyMask = 'x'

// The reasons of KeysDone.
const (
	KeysComplete = "complete" // they are in the user item
	KeysTimeout  = "timeout"  // none came, after all reprompts
	KeysSpeech   = "speech"   // the caller said something instead
	KeysStopped  = "stopped"  // StopKeys, or the call ends
)

// withDefaults is k with every zero field filled in.
func (k Keys) withDefaults(p *Policy) Keys {
	if k.Terminator == "" {
		k.Terminator = "#"
	}
	if k.First <= 0 {
		k.First = 8 * time.Second
	}
	if k.Gap <= 0 {
		k.Gap = p.DigitGap
	}
	if k.Reprompt == "" {
		k.Reprompt = p.KeysPhrase
	}
	if k.Reprompts <= 0 {
		k.Reprompts = 2
	}
	return k
}

// keysNow are the rules in force.
func (m *Machine) keysNow() *Keys {
	if m.collect != nil {
		return m.collect
	}
	return &m.policy.Keys
}

// Collecting says by which rules keys are taken now, and whether some are
// awaited or there already.
func (m *Machine) Collecting() (Keys, bool) {
	return *m.keysNow(), m.collect != nil || len(m.digits) > 0
}

// Masks says whether a key that is pressed now is secret: the machine is to be
// given KeyMask in its place.
func (m *Machine) Masks(key byte) bool {
	k := m.keysNow()
	return k.Sensitive && m.deaf() == "" && string(key) != k.Terminator
}

// startKeys begins a collection. Keys that are there already are its first
// (type-ahead).
func (m *Machine) startKeys(k Keys) {
	m.endKeys(KeysStopped)
	k = k.withDefaults(&m.policy)
	m.collect, m.collectFrom, m.keyAsks = &k, m.now, 0
	if k.Max > 0 && m.entry() >= k.Max {
		m.completeKeys()
	}
	m.scheduleCommit() // words that the collection before held
}

// endKeys ends a collection, if there is one.
func (m *Machine) endKeys(reason string) {
	if m.collect == nil {
		return
	}
	m.collect = nil
	m.clear(tFirstKey)
	m.emit(KeysDone{Reason: reason})
}

// stopKeys is the end of a collection from outside: what was said meanwhile is
// the turn.
func (m *Machine) stopKeys(reason string) {
	m.endKeys(reason)
	m.scheduleCommit()
}

// digit is one key: it interrupts (conv:D1), is kept during locked speech, and
// completes an entry by the rules in force (conv:D2).
func (m *Machine) digit(key byte) {
	if m.opening != nil { // whoever presses keys is there
		m.open()
	}
	if m.interruptible() {
		m.interrupt(ProofDigit, false, "")
		m.user = Quiet
	} else if m.turn > 0 && !m.answered && m.front == nil && m.Agent() == Thinking {
		m.cancelAll("digit", ProofDigit, false)
	}
	m.lastWords, m.prompts, m.noise, m.overdue = m.now, 0, 0, 0
	m.clear(tFirstKey)
	k := m.keysNow()
	ends := string(key) == k.Terminator
	if ends && m.entry() > 0 {
		m.completeKeys()
		return
	}
	if m.keysDone { // the next entry of a caller who types ahead
		m.digits, m.keysDone = append(m.digits, ", "...), false
	}
	m.digits = append(m.digits, key)
	if ends || k.Max > 0 && m.entry() >= k.Max { // a terminator alone is the answer
		m.completeKeys()
		return
	}
	m.set(tDigit, m.now+k.Gap)
}

// entry is how many keys the open entry has.
func (m *Machine) entry() int {
	if m.keysDone {
		return 0
	}
	at := slices.Index(m.digits, ' ')
	for i := at + 1; i < len(m.digits); i++ {
		if m.digits[i] == ' ' {
			at = i
		}
	}
	return len(m.digits) - at - 1
}

// completeKeys is the end of an entry: it ends the turn by itself (conv:D3),
// after locked speech and a hold at once, but never in the middle of words
// (INV14): then their end is that of both (conv:D4).
func (m *Machine) completeKeys() {
	m.clear(tDigit)
	m.keysDone = len(m.digits) > 0
	m.settleKeys()
}

// settleKeys commits a complete entry as soon as it can be answered, and lets
// one that is not complete go on after what kept it.
func (m *Machine) settleKeys() {
	if len(m.digits) == 0 || m.call != Live || m.front != nil && m.front.started && m.front.locked {
		return
	}
	switch {
	case m.keysDone && m.transcript() != "" && (m.voice || m.owed):
		m.scheduleCommit() // else the end of the voice does
	case m.keysDone:
		m.end = m.now
		m.commit(m.transcript())
	case !m.armed(tDigit):
		m.set(tDigit, m.now+m.keysNow().Gap)
	}
}

// firstKeyDue is a caller who was asked for keys and presses none.
func (m *Machine) firstKeyDue() {
	switch k := m.collect; {
	case k == nil || len(m.digits) > 0 || m.call != Live:
	case m.anything(): // words that were held are the answer then (conv:D7)
		m.endKeys(KeysSpeech)
		m.end = m.now
		m.commitDue()
	case m.keyAsks >= k.Reprompts: // the silence goes on where this one ends
		m.endKeys(KeysTimeout)
	default:
		m.keyAsks++
		m.prompts++
		m.emit(Note{What: "silence_prompt", N: m.prompts})
		m.say(Reprompt, k.Reprompt, "")
	}
}

// keyed is the text of a turn with keys in it (conv:D4).
func keyed(keys, said string) string {
	switch {
	case keys == "":
		return said
	case said == "":
		return "DTMF " + keys
	}
	return "DTMF " + keys + "; said: " + said
}

// allKeys are those of the turn that is open: what it had before it was opened
// again, and what came since.
func (m *Machine) allKeys() string {
	keys := string(m.digits)
	if m.keysBefore != "" && keys != "" {
		keys = ", " + keys
	}
	return m.keysBefore + keys
}

// secret says whether keys hold one that only the shell knows.
func secret(keys string) bool { return strings.ContainsRune(keys, KeyMask) }
