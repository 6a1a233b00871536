package turn

import "time"

// opening is what is said first.
type opening struct {
	disclosure, greeting string
	locked               bool
	gate                 Gate
	since                time.Duration // when the wait for the gate began
}

// answeredCall is C1.
func (m *Machine) answeredCall(e Answered) {
	m.call = Live
	m.answeredAt, m.lastAudible = m.now, m.now
	m.preCall, m.farBuffer, m.lag = e.PreCall, e.FarBuffer, e.Lag
	m.maxAt = m.now + m.policy.MaxCall
	m.set(tMaxCall, m.maxAt)
	if m.policy.MaxCall > m.policy.MaxCallWarning {
		m.set(tWarn, m.maxAt-m.policy.MaxCallWarning)
	}
	if e.Node != nil {
		m.enter(e.Node, "")
	}
	m.opening = &opening{e.Disclosure, e.Greeting, e.Locked, e.Gate, m.now}
	if e.Gate == GateNone {
		m.open()
	}
}

// watchOpening greets a callee who is silent (conv:H2), and anyone at last.
func (m *Machine) watchOpening() {
	o := m.opening
	if o == nil || m.call != Live {
		m.clear(tGreet)
		return
	}
	at := o.since + m.policy.GreetCap
	if o.gate == GateSilence && !m.voice {
		at = min(at, max(m.answeredAt, m.end)+m.policy.GreetAfter)
	}
	m.set(tGreet, max(at, m.now))
}

// open says the first words. What the callee said until now is answered by
// them.
func (m *Machine) open() {
	o := m.opening
	m.opening, m.greeted = nil, o
	m.clear(tGreet)
	if o.gate != GateNone {
		m.owedHello = m.owed && !m.voice && o.greeting != ""
		switch {
		case o.greeting == "":
			m.scheduleCommit()
		case m.anything():
			m.commitItem(m.transcript())
		case !m.voice:
			m.user = Quiet
		}
	}
	if o.disclosure != "" {
		m.say(Disclosure, o.disclosure, "").locked = true
	}
	if o.greeting != "" {
		m.say(Greeting, o.greeting, "").locked = o.locked
	}
}

// verdict is what answered the call. It may come before we greet, and a better
// one after it.
func (m *Machine) verdict(e Verdict) {
	switch e.Class {
	case PartyHuman, PartyUnsure:
		if m.opening != nil {
			m.open()
		}
	case PartyMachine:
		m.voicemail(e.Message)
	case PartyScreening:
		m.screening()
	}
}

// screening gives an assistant that screens the call its answer, once, and goes
// back to waiting for whoever is behind it (conv:M7).
func (m *Machine) screening() {
	if m.screened {
		return
	}
	m.screened = true
	o := m.opening
	if o == nil { // greeted already, and nobody heard it
		o = m.greeted
		m.cancelAll("screening", "", false)
	}
	m.dropWords("screening")
	again := *o
	again.gate, again.since = GateVerdict, m.now+m.policy.ScreeningWait-m.policy.GreetCap
	m.opening = &again
	m.say(Said, m.policy.ScreeningPhrase, "").locked = true
}

// dropWords forgets what was said in the turn that is open: nobody is to answer
// it.
func (m *Machine) dropWords(reason string) {
	text := m.transcript()
	if m.amending { // what the turn had before stays in its item, as it was guessed
		more := beyond(text, m.committed)
		if more == text && m.reopened {
			m.finals = m.finals[1:]
			more = m.transcript()
		}
		text = more
	}
	m.amending, m.keysBefore = false, ""
	if text != "" {
		m.emit(Drop{text, reason})
	}
	m.utter.turned, m.utter.guess = join(join(m.utter.turned, m.utter.guess), m.interim), ""
	for i := range m.items {
		if it := &m.items[i]; it.turn == pending {
			it.turn = dropped
			if it.text != "" {
				m.emit(Drop{it.text, reason})
			}
		}
	}
	m.finals, m.interim, m.owed, m.voiced = nil, "", false, 0
	for i := range m.items { // a server's words that have not come yet either
		if m.items[i].turn == pending {
			m.items[i].turn = dropped
		}
	}
	m.user = Quiet
	m.clear(tCommit, tSTTMiss, tOnset, tHard, tDigit)
}

// voicemail is a machine that takes a message: it is left after the beep or
// after silence, then the call ends. Nothing interrupts it and nobody is asked
// whether they are there (conv:M4).
func (m *Machine) voicemail(message string) {
	m.cancelAll("voicemail", "", false)
	m.discard("voicemail")
	m.endKeys(KeysStopped)
	if len(m.digits) > 0 {
		m.commitItem(m.transcript())
	}
	m.dropWords("voicemail")
	m.opening, m.mailbox, m.message, m.news = nil, true, message, nil
	if message == "" {
		m.draining(EndVoicemail)
		m.set(tTail, m.now+m.policy.Tail)
		return
	}
	m.set(tBeep, m.now+m.policy.BeepCap)
	if !m.voice {
		m.voicemailSilent()
	}
}

// voicemailSilent is the end of what a mailbox says.
func (m *Machine) voicemailSilent() {
	if m.left == 0 {
		m.set(tBeep, max(m.now, m.end+m.policy.BeepSilence))
	}
}

// beep is the sign to speak. One that comes into the message, which then began
// in a pause of the greeting, lets it begin again, once.
func (m *Machine) beep() {
	if m.left >= 2 || m.armed(tTail) {
		return
	}
	m.cancelAll("beep", "", false)
	m.leave()
}

// leave says the message.
func (m *Machine) leave() {
	m.clear(tBeep)
	m.left++
	r := m.say(Message, m.message, "")
	r.locked, r.last = true, EndVoicemail
}
