package turn

import (
	"fmt"
	"time"
)

// timer is a deadline of the machine, one of each kind.
type timer uint8

const (
	tCommit   timer = iota // the caller's turn ends
	tGuard                 // words came in a greeting's first moments
	tTooLong               // the caller speaks for too long
	tListen                // a sign of listening was no answer
	tOnset                 // a voice has lasted long enough for the floor
	tPause                 // … for our speech to pause
	tForce                 // … to be proof without a recogniser
	tResume                // a pause without proof ends
	tHard                  // words came and the voice does not end: it is noise
	tSTTMiss               // words that are owed do not come
	tHold                  // a ready reply has waited long enough for a sound without words
	tGap                   // breath between a bridging sentence and the answer
	tBridge                // a tool runs for too long without a word
	tLook                  // a voice keeps an armed call from its last look
	tNews                  // the floor is free for what came in the meantime
	tFiller                // dead air after a commit
	tApology               // … for far too long
	tPreCall               // the first reply waits no longer for pre-call tools
	tSilence               // nobody says anything
	tDigit                 // no further key
	tFirstKey              // … and none at all
	tMaxCall               // the call is too long
	tWarn                  // … and soon will be
	tMute                  // we have not listened for too long
	tGreet                 // nobody speaks, or no verdict comes: we greet
	tBeep                  // a mailbox takes our message now, beep or not
	tDrain                 // the goodbye takes too long
	tFinish                // … and so does the sentence before it
	tTail                  // after the goodbye's last sample
	tHoldCap               // held for too long
	tDry                   // an answer has had nothing more to say for too long
	tStable                // interim words have not changed for a while
	tDeaf                  // no recogniser has listened for too long
	tWatchdog              // nothing else is pending
	timers
)

// never is a timer that is not set.
const never = time.Duration(-1)

func (m *Machine) set(t timer, at time.Duration) { m.timer[t] = max(at, 0) }
func (m *Machine) clear(ts ...timer) {
	for _, t := range ts {
		m.timer[t] = never
	}
}
func (m *Machine) armed(t timer) bool { return m.timer[t] != never }

// Next is when the machine wants a Tick; false when it waits for nothing.
func (m *Machine) Next() (time.Duration, bool) {
	at := never
	for _, t := range m.timer {
		if t != never && (at == never || t < at) {
			at = t
		}
	}
	return at, at != never
}

// fireDue fires every deadline that has come, oldest first.
func (m *Machine) fireDue() {
	for m.call != Ended {
		due := timers
		for t := range m.timer {
			if m.timer[t] != never && m.timer[t] <= m.now && (due == timers || m.timer[t] < m.timer[due]) {
				due = timer(t) //nolint:gosec // an index of the array
			}
		}
		if due == timers {
			return
		}
		m.timer[due], m.moved = never, m.now
		m.fire(due)
		m.advance()
	}
}

func (m *Machine) fire(t timer) {
	switch t {
	case tCommit:
		m.commitDue()
	case tGuard:
		m.guardDue()
	case tListen:
		if !m.paused { // else resume sets it again
			m.dropListened()
		}
	case tTooLong:
		m.tooLongDue()
	case tOnset:
		if m.user == Onset && m.voice {
			m.user = Speaking
		}
	case tPause:
		m.pauseDue()
	case tForce:
		switch {
		case !m.voice || !m.interruptible():
		case m.proven:
			m.interrupt(ProofServer, false, "")
		case m.sttDown:
			m.interrupt(ProofForce, false, "")
		}
	case tResume:
		m.resume()
	case tHard:
		m.hardDue()
	case tSTTMiss:
		m.owed = false
		m.settleSilence()
	case tHold, tGap: // advance looks again
	case tDry:
		m.dryDue()
	case tStable:
		m.stableDue()
	case tBridge:
		m.bridgeDue()
	case tLook:
		m.lookDue()
	case tNews:
		m.newsDue()
	case tFiller:
		m.fillerDue()
	case tApology:
		m.apologyDue()
	case tPreCall:
		m.preCall = false
		m.startWaiting()
	case tSilence:
		m.silenceDue(true)
	case tDigit:
		m.completeKeys()
	case tFirstKey:
		m.firstKeyDue()
	case tMaxCall:
		m.drain("", EndMaxCall)
	case tWarn:
		m.emit(Brief{Text: fmt.Sprintf("The call will be ended in %d seconds. Bring the conversation to its end now.",
			int((m.maxAt - m.now).Seconds()))})
	case tMute:
		m.emit(Note{What: "mute_cap"})
		m.mute(false)
	case tGreet:
		m.open()
	case tBeep:
		m.leave()
	case tFinish:
		m.finishDue()
	case tTail:
		if m.resumable() && !m.doubt && (m.voice || m.owed) && m.armed(tDrain) { // their words may take it back
			m.set(tTail, m.now+m.policy.Tail)
			return
		}
		m.hangUp(m.endReason)
	case tDrain:
		m.hangUp(m.endReason)
	case tHoldCap:
		m.holdCapDue()
	case tDeaf:
		m.drain(m.policy.ApologyPhrase, EndProviders)
	case tWatchdog:
		m.emit(Note{What: "stuck"})
		if r := m.front; r != nil && !r.started { // nothing comes of it, and all others wait behind it
			m.soundless(r)
			return
		}
		m.silenceDue(false)
	}
}
