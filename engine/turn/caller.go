package turn

import (
	"strings"
	"time"
)

// voiceStart is U1 and U7.
func (m *Machine) voiceStart(e VoiceStart) {
	m.voice, m.voicedLong, m.onset, m.voiceSince, m.voiceSinceFinal = true, false, e.At, true, true
	m.owedHello = false
	if m.mailbox { // it goes on: the message waits
		if m.left == 0 {
			m.set(tBeep, m.now+m.policy.BeepCap)
		}
		return
	}
	m.clear(tResume, tCommit)
	m.boundPause()
	switch m.user {
	case Quiet:
		m.user = Onset
		m.newVoice() // a late endpoint is not of this one
		m.set(tOnset, e.At+m.policy.OnsetConfirm)
		if m.transcript() == "" {
			m.turnStart = e.At
			if m.policy.UserTurnLimit > 0 {
				m.set(tTooLong, e.At+m.policy.UserTurnLimit)
			}
		}
	case Pausing:
		m.user = Speaking
		m.rev++
		m.newVoice()
		m.clear(tSTTMiss)
		if m.interims {
			m.set(tHard, m.now+m.policy.HardStop)
		} else { // its words come when it has ended
			m.set(tHard, m.now+m.policy.Watchdog)
		}
	case Onset, Speaking:
	}
	m.armPause()
}

// armPause lets a voice pause our speech, when it has lasted long enough (U3).
func (m *Machine) armPause() {
	if m.voice && m.front != nil && m.front.started && !m.front.locked && !m.paused && !m.spokenOver() {
		if m.proven { // nothing else to wait for than a greeting's guard
			at := m.now
			if m.front.kind == Greeting {
				at = max(at, m.front.startAt+m.policy.GreetingGuard)
			}
			m.set(tForce, at)
			return
		}
		if m.voicedLong {
			at := m.now
			if m.front.kind == Greeting {
				at = max(at, m.front.startAt+m.policy.GreetingGuard)
			}
			m.set(tPause, at)
		}
		if m.sttDown {
			m.set(tForce, m.onset+m.policy.ForceAfter)
		}
	}
}

// interruptible says whether the caller may stop what is audible.
func (m *Machine) interruptible() bool {
	r := m.front
	return r != nil && r.started && !r.locked && (m.call == Live || m.resumable()) &&
		(r.kind != Greeting || m.now >= r.startAt+m.policy.GreetingGuard)
}

// firePause pauses in the same step where no time has to pass.
func (m *Machine) firePause() {
	if m.armed(tPause) && m.timer[tPause] <= m.now {
		m.clear(tPause)
		m.pauseDue()
	}
}

func (m *Machine) pauseDue() {
	if m.voice && !m.paused && m.interruptible() && !m.spokenOver() {
		m.paused, m.pausedAt = true, m.now
		m.emit(Pause{m.front.g})
		m.boundPause()
	}
}

// boundPause ends a pause under a voice that goes on and on without a word:
// music and babble are no proof.
func (m *Machine) boundPause() {
	if m.paused && m.voice && m.call == Live {
		m.set(tResume, m.pauseCap(m.pausedAt+m.policy.HardStop))
	}
}

// voiceEnd is U5 and U6.
func (m *Machine) voiceEnd(e VoiceEnd) {
	m.voice, m.voicedLong, m.proven = false, false, false
	m.end = max(m.end, m.onset, min(e.At, m.now)) // never before it began, or before the turn that was (INV16)
	m.voiced += max(0, m.end-m.onset)
	m.clear(tPause, tOnset, tForce, tHard)
	if e.Echo {
		m.voiced = 0
		m.clear(tSTTMiss)
	}
	if m.mailbox {
		m.voicemailSilent()
		return
	}
	settled := len(m.finals) > 0 && m.interim == "" && m.finalAt >= m.end // in the detector's hang
	if m.owed = !m.sttDown && !settled && !e.Echo; m.owed {
		m.set(tSTTMiss, m.end+m.policy.STTWait+m.policy.STTMiss)
	}
	switch m.user {
	case Onset:
		m.user = Quiet
		if m.anything() {
			m.user = Pausing
		}
	case Speaking:
		m.user = Pausing
	case Quiet, Pausing:
	}
	m.scheduleResume()
	m.scheduleCommit()
	if !m.owed {
		m.settleSilence()
	}
	if e.Echo && m.armed(tResume) && !m.anything() {
		m.set(tResume, m.now)
	}
}

// scheduleResume ends a pause that no words prove (A4, INV4).
func (m *Machine) scheduleResume() {
	if !m.paused || m.voice || m.call != Live && !m.resumable() {
		return
	}
	at := m.end + m.policy.ResumeAfter
	if m.owed { // the recogniser may still prove it
		at = max(at, m.end+m.policy.ResumeCap)
	}
	m.set(tResume, max(m.pauseCap(at), m.now))
}

// pauseCap is when a pause ends at the latest: that of a prompt takes no longer
// than noise may put the end of a silent call off (INV36).
func (m *Machine) pauseCap(at time.Duration) time.Duration {
	if m.front.kind == Reprompt {
		return min(at, m.now+m.noiseLeft())
	}
	return at
}

func (m *Machine) resume() {
	if m.paused && m.front != nil && (m.call == Live || m.resumable()) { // under a voice its bound is over
		m.paused, m.resumedAt = false, m.now
		m.emit(Resume{m.front.g})
		if m.listened != "" { // our speech stood still meanwhile
			m.set(tListen, m.now+m.policy.AnswerOverlap)
		}
		if m.user == Pausing && !m.anything() {
			m.user = Quiet
		}
		m.voiced = 0
	}
}

// transcript is what the caller said in this turn so far.
func (m *Machine) transcript() string {
	parts := m.finals
	if m.interim != "" {
		parts = append(parts[:len(parts):len(parts)], m.interim)
	}
	return strings.Join(parts, " ")
}

func (m *Machine) interimWords(e Interim) {
	m.interims = true
	m.touch()
	m.utter.told = true
	why := m.deaf()
	switch {
	case why != "":
	case e.Echo: // it may turn out to be the caller's
		why = "echo"
	case m.owedHello: // its final is an item
		why = "greeting"
	}
	if why != "" {
		m.overhear(e.Text, why)
		return
	}
	m.utter.aside = ""
	if text := m.take(e.Text, false); text != "" {
		m.interim = text
		if !m.voice && !m.owed { // the detector does not hear who speaks
			m.end = m.now
		}
		m.wordsCame()
	}
}

func (m *Machine) finalWords(e Final) {
	text := strings.TrimSpace(e.Text)
	if text != "" && m.listening() && m.twice(text, e.Until) { // it settles nothing that is open
		m.emit(Drop{text, "duplicate"})
		return
	}
	m.hearLanguage(e)
	m.owed = m.owed && m.voice
	m.clear(tSTTMiss)
	m.touch()
	defer m.utteranceOver()
	switch why := m.deaf(); {
	case why != "":
		m.overheard(text, why)
		return
	case m.owedHello: // it was greeted already
		m.owedHello = false
		if text = m.beyondTurns(text); text != "" {
			m.finals = append(m.finals, text)
			m.conf = e.Confidence
			m.commitItem(m.transcript())
		}
		return
	case text != "" && e.Echo:
		if more := m.beyondItems(text); more != "" {
			m.emit(Drop{more, "echo"})
		}
		text, m.voiced = "", 0
	case text != "":
		if text = m.take(text, true); text == "" {
			m.voiced = 0 // understood, so it is not asked for again
		}
	}
	m.interim = ""
	if e.Endpointed {
		m.confirmed = true
	}
	if text == "" {
		m.keepAmended()
		m.scheduleCommit()
		m.settleSilence()
		return
	}
	m.finals = append(m.finals, text)
	m.voiceSinceFinal, m.finalAt = m.voice, m.now
	if e.Confidence > 0 {
		m.conf = e.Confidence
	}
	m.wordsCame()
}

// twice says whether a final tells of sound that was settled already: by its
// place in the stream, or, where the recogniser does not tell, as the same
// words with neither a voice nor other words between (conv:B11).
func (m *Machine) twice(text string, until time.Duration) bool {
	if until > 0 {
		old := until <= m.heardUntil
		m.heardUntil = max(m.heardUntil, until)
		return old
	}
	n := len(m.finals)
	return n > 0 && !m.voiceSinceFinal && !m.utter.told && Normal(m.finals[n-1]) == Normal(text)
}

// listening says whether words can still become a turn.
func (m *Machine) listening() bool {
	return (m.call == Live || m.call == Held || m.resumable()) && !m.mailbox
}

// deaf is why words are not heard, "" when they are.
func (m *Machine) deaf() string {
	switch {
	case m.mailbox:
		return "voicemail"
	case m.call == Handover:
		return "handover"
	case !m.listening():
		return "draining"
	case m.muted:
		return "muted"
	}
	return ""
}

// take decides what words mean beside what the agent does: a barge-in, more of
// the turn that is being answered, a sign of listening, or simply words. It
// returns those that the open turn has of them, "" for none.
func (m *Machine) take(text string, final bool) string {
	if !final && m.known(text) { // it begins to tell again what turns have already
		return ""
	}
	whole := strings.TrimSpace(text)
	text = m.beyondEarlier(whole)
	more := beyond(text, m.utter.guess)
	words := Words(more)
	late := m.turn > 0 && !m.voiceSince && m.now-m.committedAt < m.policy.LateFinal
	switch {
	case len(words) == 0:
		switch {
		case final && len(Words(text)) > 0:
			m.emit(Drop{text, "duplicate"})
		case final && strings.TrimSpace(text) != "":
			m.emit(Drop{text, "no_words"})
		}
		return ""
	case late && !m.amending && m.again(text):
		if final {
			m.emit(Drop{text, "duplicate"})
		}
		return ""
	case m.closing != nil && m.lexicon.Farewell(words): // they say goodbye too
		if final {
			m.emit(Drop{more, "farewell"})
		}
		return ""
	case m.call == Draining && m.front == nil && len(m.lexicon.backchannels.without(words)) > 0: // in the tail (C4)
		m.back()
	case m.front != nil && m.front.started && m.interruptible():
		told := m.lexicon.backchannels.without(words)
		switch {
		case m.lexicon.Stop(words):
			m.interrupt(ProofStop, late, text)
		case len(told) < m.policy.MinWords: // conv:B4
			if final {
				m.listen(more)
			} else { // it may become more than that
				m.utter.aside, m.utter.why, m.utter.whole = more, "backchannel", whole
			}
			return ""
		default:
			m.interrupt(ProofWords, late, text)
		}
	case m.front != nil && m.front.started: // locked: the words become the next turn (A9)
		if !m.front.locked && m.call == Live { // the first moments of a greeting (conv:E3)
			m.set(tGuard, m.front.startAt+m.policy.GreetingGuard)
		}
	case m.takesMore():
		if m.again(text) { // conv:B11
			if final {
				m.emit(Drop{text, "duplicate"})
			}
			return ""
		}
		m.cancelAll("absorbed", "", false)
		m.reopen(text)
	}
	switch u := &m.utter; {
	case m.amending:
		u.guess = ""
	case u.guess != "": // another turn: its words are those behind the last one's
		m.settled = m.committed
		u.turned, u.guess = strings.TrimSpace(strings.TrimSuffix(whole, more)), ""
		text = more
	}
	return strings.TrimSpace(text)
}

// wordsCame opens or goes on with the caller's turn.
func (m *Machine) wordsCame() {
	m.lastWords, m.missed, m.prompts, m.noise, m.overdue = m.now, false, 0, 0, 0
	switch {
	case m.voice:
		m.user = Speaking
		m.set(tHard, m.now+m.policy.HardStop)
	case m.user != Pausing:
		m.user = Pausing
		if m.now-m.end > 2*time.Second { // words without a voice (conv:B10)
			m.end = m.now
		}
	}
	m.scheduleCommit()
}

// commitDue is U9: the caller's words become an item of the context.
func (m *Machine) commitDue() {
	text := m.transcript()
	if m.user != Pausing || m.voice || !m.anything() || m.call != Live || m.opening != nil {
		return
	}
	if r := m.front; r != nil && r.started && !m.interruptible() {
		if !r.locked { // a greeting's first moments
			m.set(tCommit, r.startAt+m.policy.GreetingGuard)
		}
		return // locked speech first: playedReply comes back to it
	}
	if len(m.digits) > 0 && !m.keysDone {
		return // one item with the keys, when they are complete (conv:D4)
	}
	if k := m.collect; k != nil && !m.keysDone {
		if k.HoldSpeech {
			return // kept until the keys are complete, or do not come (conv:D7)
		}
		m.endKeys(KeysSpeech)
	}
	m.commit(text)
}

// hardDue commits words under a voice that does not end and brings no more of
// them: it is noise (Policy.HardStop).
func (m *Machine) hardDue() {
	if !m.voice || m.transcript() == "" || m.call != Live {
		return
	}
	m.end, m.onset, m.missed = max(m.end, m.lastWords), m.now, true
	m.voice, m.user = false, Pausing
	m.commitDue()
	m.voice, m.voiceSince = true, true
}

// commit makes the words and the keys of the open turn its item, and asks for
// the answer.
func (m *Machine) commit(text string) {
	m.void()
	m.matchPrepared(text)
	m.dropOld()
	m.commitItem(text)
	m.answered, m.spoke, m.rung, m.continued, m.entered = false, false, 0, false, 0
	m.fillers, m.failedFillers = 0, 0
	m.committedAt = m.now
	m.set(tFiller, m.now+m.policy.FillerAfter)
	m.set(tApology, m.now+m.policy.ApologyAfter)
	m.answer()
}

// commitItem makes the words and the keys of the open turn its item.
func (m *Machine) commitItem(text string) {
	if !m.amending {
		m.turn++
	}
	keys := m.allKeys()
	text, later := m.commitItems(keys, text)
	m.emit(CommitUser{
		Turn: m.turn, Rev: m.rev, Text: keyed(keys, text), Confidence: m.conf, End: m.end,
		Amend: m.amending, Later: later, Keys: keys, Secret: secret(keys),
	})
	m.committed, m.committedKeys, m.committedRev, m.amending, m.rev = text, keys, m.rev, false, 0
	m.utter.turned = join(m.utter.turned, m.utter.guess)
	m.settled, m.utter.guess = strings.Join(m.finals, " "), m.interim
	if len(m.digits) > 0 {
		m.utter.turned = join(m.utter.turned, m.interim)
		m.settled, m.utter.guess = text, ""
		m.endKeys(KeysComplete)
	}
	m.finals, m.interim, m.digits, m.keysDone, m.keysBefore = nil, "", nil, false, ""
	m.voiced, m.conf, m.owed, m.voiceSince = 0, 0, false, m.voice
	m.asked, m.barged = false, false
	m.newVoice()
	m.user = Quiet
	m.clear(tCommit, tSTTMiss, tDigit, tHard, tTooLong)
}

// interrupt is the barge-in: all that speaks or would speak ends (U4, A5).
// Late words are more of the turn that is being answered, and so are words
// against an answer that has only begun (conv:B13).
func (m *Machine) interrupt(p Proof, late bool, text string) {
	m.back()
	split := false
	more := (p == ProofWords || p == ProofServer) && m.turn > 0 && !m.amending
	if r := m.front; more && r != nil && r.kind == Answer && r.turn == m.turn {
		heard := m.now - r.startAt
		if m.paused {
			heard = m.pausedAt - r.startAt
		}
		split = late || heard < m.policy.SplitHeard
	}
	m.cancelAll("barge_in", p, true)
	m.barged = p != ProofDigit && p != ProofAPI
	if split {
		m.reopen(text)
	}
	m.user = Pausing
	if m.voice {
		m.user = Speaking
	}
}

// listenBy takes what is known of the recogniser that listens.
func (m *Machine) listenBy(e Recogniser) {
	m.turns = e.Turns
	if e.Wait > 0 {
		m.policy.STTWait = e.Wait
	}
	m.scheduleCommit()
}

func (m *Machine) sttState(down bool) {
	m.sttDown = down
	m.touch() // what was not settled may be heard once more
	switch {
	case !down:
		m.clear(tDeaf)
	case m.call == Live && !m.armed(tDeaf):
		m.set(tDeaf, m.now+m.policy.DeafAfter)
	}
	if down {
		m.owed = false
		m.clear(tSTTMiss)
		m.armPause()
		m.scheduleCommit()
	}
}
