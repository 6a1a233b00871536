package turn

import "time"

// waitFor is how long after the end of speech the turn with this transcript is
// committed (conv 1.8): by the turn model's word where there is one, else by
// what the words look like.
func (m *Machine) waitFor(text string) time.Duration {
	p := &m.policy
	content := m.lexicon.Content(text, m.asked)
	if m.resumed && content != Enumerating { // the recogniser thinks that more is coming
		content = Unfinished
	}
	if m.slow { // a number or a name is being dictated (conv:B14)
		if content == Unfinished || content == Enumerating {
			return p.SlowMax
		}
		return p.SlowMin
	}
	wait := p.WaitNormal
	switch {
	case m.eot >= 0 && m.eot >= p.EOTThreshold:
		wait = p.WaitSure
	case m.eot >= 0:
		wait = p.WaitUnsure
	case content == Finished:
		wait = p.WaitComplete
	case content == Unfinished || content == Enumerating:
		wait = p.WaitUnfinished
	}
	return min(wait, p.WaitCap)
}

// scheduleCommit sets when the turn ends, from the end of speech: never while
// the voice detector hears a voice (INV14).
func (m *Machine) scheduleCommit() {
	if m.user != Pausing || m.voice || !m.anything() {
		return
	}
	at := m.end + m.waitFor(m.transcript())
	switch {
	case m.confirmed && m.slow: // a provider's patience is not that of a node that collects a number
		at = m.end + m.policy.SlowMin
	case m.confirmed:
		at = m.now
	case m.turns && !m.sttDown: // its word ends the turn, or that it never comes
		at = max(m.end, m.lastWords) + m.policy.HardStop
	case m.owed: // a final releases it
		at = max(at, m.end+m.policy.STTWait)
	}
	m.set(tCommit, max(at, m.now))
	m.fireCommit()
}

// keepCommit sees to words that wait for a commit which nothing sets any more:
// the node that says how long they are waited for has changed, or what they
// were spoken into is gone.
func (m *Machine) keepCommit() {
	again := m.rehear || !m.armed(tCommit)
	m.rehear = false
	if again && m.call == Live && (m.front == nil || !m.front.started || m.interruptible()) {
		m.scheduleCommit()
	}
}

// fireCommit commits in the same step where no time has to pass.
func (m *Machine) fireCommit() {
	if m.armed(tCommit) && m.timer[tCommit] <= m.now {
		m.clear(tCommit)
		m.commitDue()
	}
}

// endpoint is a recogniser's word on the end of the turn.
func (m *Machine) endpoint(k EndpointKind) {
	switch k {
	case EndpointConfirmed:
		m.confirmed, m.resumed = true, false
	case EndpointResumed: // what is prepared stays until the words prove different (U7)
		m.confirmed, m.resumed = false, true
	case EndpointEager: // nothing is certain yet
		m.resumed = false
		m.prepare()
	}
	m.scheduleCommit()
}

// turnModel is a turn model's word on the voice that ended, or is about to: a
// later one counts instead of it, and never beyond the cap.
func (m *Machine) turnModel(p float64) {
	m.eot = min(max(p, 0), 1)
	if !m.armed(tStable) {
		m.stableDue()
	}
	m.scheduleCommit()
}

// audioIdle is the line gone silent altogether: whoever was speaking is not
// heard any more, and the turn ends with what there is (conv:B8, INV13).
func (m *Machine) audioIdle() {
	if m.voice {
		m.voiceEnd(VoiceEnd{At: m.now})
	}
	if m.user == Pausing && m.anything() {
		m.confirmed = true
		m.scheduleCommit()
	}
}

// newVoice forgets what was thought about the end of the turn before it.
func (m *Machine) newVoice() {
	m.confirmed, m.resumed, m.eot = false, false, -1
}

// guardDue stops a greeting for words that came in its first moments: they
// were kept, and nobody is spoken over for longer (conv:E3).
func (m *Machine) guardDue() {
	words := Words(m.transcript())
	if len(words) == 0 || !m.interruptible() || m.lexicon.Backchannel(words) {
		return
	}
	m.interrupt(ProofWords, false, "")
	m.scheduleCommit()
}

// tooLongDue says, where the agent wants it, a word to who speaks on and on
// (conv:B15). What was said stays said, and the turn goes on after it.
func (m *Machine) tooLongDue() {
	if m.call == Live && m.user == Speaking && m.Agent() == Idle {
		m.emit(Note{What: "user_turn_limit", N: int((m.now - m.turnStart).Seconds())})
		m.say(Interjection, m.policy.TooLongPhrase, "").locked = true
	}
}

// listen keeps a sign of listening for a while: it is logged, unless our speech
// ends with a question before that, whose answer it then is (conv:B5).
func (m *Machine) listen(text string) {
	m.dropListened()
	m.listened = text
	m.set(tListen, m.now+m.policy.AnswerOverlap)
}

func (m *Machine) dropListened() {
	m.clear(tListen)
	if m.listened != "" {
		m.emit(Drop{m.listened, "backchannel"})
		m.listened = ""
	}
}

// heedListened is that end.
func (m *Machine) heedListened(r *reply) {
	if text := m.listened; text != "" && r.asks && m.listening() {
		m.listened = ""
		m.finals = append(m.finals, text)
		m.wordsCame()
	}
	m.dropListened()
}
