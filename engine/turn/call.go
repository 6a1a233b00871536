package turn

import "time"

// draining is the last part of a call: no new replies (conv:H7), a cap.
func (m *Machine) draining(reason EndReason) {
	m.call, m.endReason = Draining, reason
	m.news, m.opening, m.mailbox = nil, nil, false
	m.waitingSound(false)
	m.endKeys(KeysStopped)
	m.clear(tLook, tNews, tCommit, tSilence, tBridge, tFiller, tApology, tPreCall, tDigit, tSTTMiss, tResume, tPause,
		tForce, tHold, tHard, tHoldCap, tMaxCall, tWarn, tGreet, tBeep, tFinish, tDeaf)
	if m.paused && m.front != nil {
		m.paused = false
		m.emit(Resume{m.front.g})
	}
	m.set(tDrain, m.now+m.policy.DrainCap)
}

// drain says goodbye and ends (conv:H5, conv:H8).
func (m *Machine) drain(goodbye string, reason EndReason) {
	if m.call == Draining || m.call == Ended {
		return
	}
	if m.call == Setup {
		m.hangUp(reason)
		return
	}
	if m.call == Handover {
		m.emit(HandOver{ID: m.transfer, Cancel: true})
	}
	m.leaveHandover()
	if m.sealGoodbye() {
		return
	}
	m.disarm("cancelled")
	for _, r := range append([]*reply(nil), m.line...) {
		if reason == EndMaxCall && r == m.front && r.started {
			continue // the sentence is finished first (conv:I8)
		}
		m.cancel(r, "draining", "", false)
	}
	m.unchain()
	m.draining(reason)
	if m.front != nil { // finish its sentence, but not its story (conv:I8)
		m.set(tFinish, m.now+m.policy.FinishCap)
		m.set(tDrain, m.now+m.policy.FinishCap+m.policy.DrainCap)
	}
	if goodbye == "" {
		goodbye = m.policy.GoodbyePhrase
	}
	r := m.say(Goodbye, goodbye, "")
	r.locked, r.last = !m.resumable(), reason
}

// finishDue ends what takes too long before the last words of a call, or before
// a transfer.
func (m *Machine) finishDue() {
	if m.call == Handover && m.announced != 0 {
		if r := m.find(m.announced); r != nil {
			m.cancel(r, "too_slow", "", false)
		}
		m.handOver()
		return
	}
	if r := m.front; m.call == Draining && r != nil && r.last == "" {
		m.cancel(r, "draining", "", false)
	}
}

// hangUp ends the leg from our side.
func (m *Machine) hangUp(reason EndReason) {
	if m.call == Ended {
		return
	}
	m.endReason = reason
	m.ended()
	m.emit(HangUp{Reason: reason})
}

// ended is C7: nothing speaks or waits any more; effects at work keep running.
func (m *Machine) ended() {
	m.discard("ended")
	m.keepWords()
	m.dropAside()
	m.settleEnding(true)
	m.endKeys(KeysStopped)
	m.settleItems()
	m.disarm("cancelled")
	for _, r := range append([]*reply(nil), m.line...) {
		m.cancel(r, "ended", "", false)
	}
	m.unchain()
	m.call = Ended
	for i := range m.timer {
		m.timer[i] = never
	}
}

// keepWords makes an item of what the caller said or keyed last, when the call
// ends before its turn has (INV12, INV42).
func (m *Machine) keepWords() {
	if !m.anything() && len(m.digits) == 0 || m.call == Setup || m.call == Ended {
		return
	}
	m.commitItem(m.transcript())
}

// resumable says whether the caller can still take a goodbye back (C4).
func (m *Machine) resumable() bool {
	switch {
	case m.call != Draining:
		return false
	case m.endReason == EndSilence:
		return m.policy.GoodbyeInterruptible || m.doubt
	}
	return m.policy.GoodbyeInterruptible && m.endReason == EndAgent
}

// back is the caller going on where the call was to end.
func (m *Machine) back() {
	if m.call != Draining {
		return
	}
	m.settleEnding(false)
	m.call, m.endReason, m.doubt = Live, "", false
	m.clear(tDrain, tTail, tFinish)
	m.set(tMaxCall, max(m.maxAt, m.now))
}

// settleEnding gives the call of end_call its result, when it is certain.
func (m *Machine) settleEnding(ok bool) {
	if m.ending == "" {
		return
	}
	id := m.ending
	m.ending = ""
	if ok {
		m.emit(SettleTool{ID: id, OK: true, Code: "ended"})
		return
	}
	m.emit(SettleTool{ID: id, Code: "caller_resumed"})
}

// tail is how long the last words have to reach the caller: the far end of a
// leg that buffers tells when it has played them (conv:H5).
func (m *Machine) tail() time.Duration {
	if m.farBuffer {
		return m.policy.AckCap
	}
	return m.policy.Tail
}

// farPlayed is the end of what a far end had buffered.
func (m *Machine) farPlayed() {
	m.lastAudible = max(m.lastAudible, m.now)
	if m.armed(tTail) {
		m.hangUp(m.endReason)
	}
}
