package turn

import (
	"fmt"
	"time"
)

// floor is what the clock of the silence does.
type floor uint8

const (
	floorBusy   floor = iota // it stands at zero: somebody speaks, or something is at work
	floorAsked               // it stands still: the caller was asked to repeat (conv:B9)
	floorNoise               // it stands still for sound without words, while the allowance lasts
	floorSilent              // it runs
)

// floorNow is what the state means for the silence (conv:I1, conv:I3).
func (m *Machine) floorNow() floor {
	prompting := m.front != nil && m.front.kind == Reprompt && m.paused
	switch {
	case m.call != Live || m.mailbox || m.muted:
		return floorBusy
	case prompting:
		return floorNoise
	case m.Agent() != Idle:
		for _, r := range m.line {
			if r.kind != AskRepeat {
				return floorBusy
			}
		}
		return floorAsked
	case m.anything() || len(m.digits) > 0:
		return floorBusy
	case m.user != Quiet || m.voice || m.owed:
		return floorNoise
	}
	return floorSilent
}

// account counts what the clock did since the last step.
func (m *Machine) account() {
	switch since := max(0, m.now-max(m.floorAt, m.lastAudible)); m.floor {
	case floorBusy:
		m.quietFor = 0
	case floorNoise:
		left := m.noiseLeft()
		m.noise += min(since, left)
		m.quietFor += max(0, since-left)
	case floorSilent:
		m.quietFor += since
	case floorAsked:
	}
	m.floorAt = m.now
}

// watch keeps the clock of the silence, and sets what it leads to (INV31).
func (m *Machine) watch() {
	m.account()
	m.floor = m.floorNow()
	m.clear(tSilence, tFirstKey, tWatchdog)
	m.watchOpening()
	if m.call != Live || m.muted || m.opening != nil || m.armed(tBeep) {
		return
	}
	from := max(m.now, m.lastAudible)
	switch {
	case m.floor == floorSilent && m.collect != nil:
		m.set(tFirstKey, max(from-m.quietFor, m.collectFrom)+m.collect.First)
	case m.collect != nil && m.collect.HoldSpeech && m.Agent() == Idle && len(m.digits) == 0 && !m.voice:
		m.set(tFirstKey, m.lastWords+m.collect.First) // words wait for keys that may not come
	case m.floor == floorSilent:
		m.set(tSilence, from+m.untilPrompt(0))
	case m.floor == floorNoise && m.Agent() == Idle:
		at := from + m.noiseLeft() + m.untilPrompt(0)
		if !m.interims { // its words come when it has ended
			at = max(at, min(from+m.noiseLeft()+m.untilPrompt(m.spare()), m.onset+m.policy.Watchdog))
		}
		m.set(tSilence, at)
	case m.running() != nil: // a tool has a timeout of its own
	case m.front == nil || !m.front.started || m.paused:
		m.set(tWatchdog, m.moved+m.policy.Watchdog)
	}
}

// leastSilence is what a caller has to answer a prompt in any case.
const leastSilence = 2 * time.Second

// silence is how long it may last before something is said, of its own: what a
// prompt came late, since a voice might have had words, is taken off the next
// ones, so that the call does not end later for it (INV36).
func (m *Machine) silence() (wait, off time.Duration) {
	wait = m.policy.Silence
	if m.prompts > 0 {
		wait = m.policy.SilenceAgain
	}
	off = min(m.overdue, max(0, wait-leastSilence))
	return wait - off, off
}

// spare is how much later than it is due a prompt may come: as much as can be
// taken off those behind it.
func (m *Machine) spare() time.Duration {
	_, off := m.silence()
	later := time.Duration(m.policy.SilencePrompts-m.prompts) * max(0, m.policy.SilenceAgain-leastSilence)
	return max(0, later-(m.overdue-off))
}

// untilPrompt is how much silence is left before something is said, so much
// later than it is due.
func (m *Machine) untilPrompt(late time.Duration) time.Duration {
	wait, _ := m.silence()
	return max(0, wait+late-m.quietFor)
}

// noiseLeft is for how much longer sound without words puts the prompts off:
// it pauses the clock and never sets it back (conv:I2, INV36).
func (m *Machine) noiseLeft() time.Duration { return max(0, m.policy.NoisePause-m.noise) }

// spokenOver says whether what sounds is said over a noise on purpose.
func (m *Machine) spokenOver() bool {
	return (m.front.kind == Reprompt || m.doubt) && (m.onset < m.front.startAt || m.noiseLeft() == 0)
}

// silenceDue is conv:I4: prompts, then a goodbye. The model may be asked for the
// words of a prompt.
func (m *Machine) silenceDue(ask bool) {
	if m.mailbox { // the message does not sound
		m.draining(EndVoicemail)
		m.set(tTail, m.now+m.policy.Tail)
		return
	}
	if m.call != Live || m.muted {
		return
	}
	m.account()
	wait, off := m.silence()
	m.overdue += max(0, m.quietFor-wait) - off
	if m.prompts >= m.policy.SilencePrompts {
		m.doubt = !m.interims && (m.voice || m.owed)
		m.drain("", EndSilence)
		return
	}
	text := m.policy.SilencePhrases[m.prompts%len(m.policy.SilencePhrases)]
	m.prompts++
	m.emit(Note{What: "silence_prompt", N: m.prompts})
	if ask && m.policy.SilenceAsk {
		m.emit(Brief{Text: fmt.Sprintf("The caller has said nothing for %d seconds. Ask in one short sentence, "+
			"fitting to what was said last, whether they are still there.", int(wait.Seconds()))})
		m.startReply(0)
		m.line[len(m.line)-1].prompt = text
		return
	}
	m.say(Reprompt, text, "")
}

// settleSilence is a voice that came to no words: a pause ends, a held reply
// goes on, or we ask to repeat, once (conv:B9).
func (m *Machine) settleSilence() {
	if m.voice || m.owed || m.anything() {
		return
	}
	m.scheduleResume()
	if m.user == Pausing {
		m.user = Quiet
	}
	long := m.voiced >= m.policy.MissVoiced
	m.voiced = 0
	m.newVoice()
	m.clear(tTooLong)
	if m.barged && m.call == Live { // nothing was said after all
		m.barged = false
		m.emit(Note{What: "false_barge_in"})
	}
	if long && !m.missed && m.call == Live && m.Agent() == Idle && !m.sttDown {
		m.missed = true
		m.emit(Note{What: "stt_miss"})
		m.say(AskRepeat, m.policy.RepeatPhrase, "")
	}
}
