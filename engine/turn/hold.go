package turn

import (
	"fmt"
	"slices"
)

// hold is C8: what we say is frozen where it is. After a long hold nobody knows
// any more what it was about: the caller is welcomed back, and the model goes
// on from what was heard (conv:H11).
func (m *Machine) hold(on bool) {
	if on {
		m.call, m.heldAt = Held, m.now
		m.discard("held")
		m.clear(tResume, tPause)
		m.set(tHoldCap, m.now+m.policy.HoldCap)
		if m.front != nil && !m.paused {
			m.paused, m.pausedAt = true, m.now
			m.emit(Pause{m.front.g})
		}
		return
	}
	m.call = Live
	m.clear(tHoldCap)
	m.lastAudible = m.now
	switch r := m.front; {
	case m.now-m.heldAt > m.policy.WelcomeAfter && m.opening == nil && !m.mailbox && (r == nil || !r.locked):
		m.welcome(r)
	case r != nil && m.paused:
		m.paused = false
		m.emit(Resume{r.g})
	}
	if m.waits() {
		m.set(tFiller, m.now+m.policy.FillerAfter)
		m.set(tApology, m.now+m.policy.ApologyAfter)
	}
	m.scheduleBridge()
	m.scheduleCommit()
}

func (m *Machine) welcome(cut *reply) {
	step := 0
	if cut != nil {
		step = cut.step
		m.cancel(cut, "held", "", false)
	}
	w := m.say(Said, m.policy.WelcomePhrase, "")
	m.first(w)
	more := slices.ContainsFunc(m.line, func(r *reply) bool { return r.answers }) // it comes now
	if cut == nil || !cut.answers || m.chained() || more || m.waiting != nil || m.closing != nil {
		return
	}
	m.emit(Brief{Text: fmt.Sprintf("The caller was on hold for %d seconds and has heard your last words only as far as "+
		"they are here. They were just welcomed back. Go on from there.", int((m.now - m.heldAt).Seconds()))})
	m.startReply(step)
}

// first puts a reply before those that do not sound yet.
func (m *Machine) first(r *reply) {
	line := []*reply{r}
	for _, x := range m.line {
		if x != r {
			line = append(line, x)
		}
	}
	m.line = line
}

// holdCapDue is a hold or a transfer that lasted too long.
func (m *Machine) holdCapDue() {
	switch m.call {
	case Handover:
		m.emit(HandOver{ID: m.transfer, Cancel: true})
		m.transferResult(TransferResult{ID: m.transfer, Reason: "timeout"})
	case Held:
		m.hangUp(EndHoldCap)
	case Setup, Live, Draining, Ended:
	}
}

// mute lets the caller not be heard for turns; packets and our own words go on
// (conv:H12). The silence stands still meanwhile.
func (m *Machine) mute(on bool) {
	if on && m.voice {
		m.voiceEnd(VoiceEnd{At: m.now})
	}
	if on { // no words are owed for what is not heard to its end
		m.owed, m.voiced = false, 0
		m.clear(tSTTMiss)
		m.scheduleCommit()
		m.settleSilence()
	}
	m.dropAside()
	m.muted = on
	m.clear(tMute)
	if on {
		m.set(tMute, m.now+m.policy.HoldCap)
	}
}
