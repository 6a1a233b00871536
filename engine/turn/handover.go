package turn

import "cmp"

// transferStarted is C5: the announcement is heard to its end, nothing else is
// said, and what the caller says is recorded but not answered (conv:H9).
func (m *Machine) transferStarted(e TransferStarted) {
	m.disarm("cancelled")
	m.keepOpen()
	m.cancelAll("handover", "", false)
	m.discard("handover")
	m.endKeys(KeysStopped)
	m.call, m.transfer = Handover, e.ID
	m.clear(tCommit, tSTTMiss, tOnset, tHard, tDigit, tResume, tPause, tForce)
	m.set(tHoldCap, m.now+m.policy.HoldCap)
	if e.Announcement == "" {
		m.handOver()
		return
	}
	r := m.say(Said, e.Announcement, "")
	r.locked, m.announced = true, r.g
	m.set(tFinish, m.now+m.policy.DrainCap)
}

// keepOpen makes an item of what was said before: it is answered by nobody.
func (m *Machine) keepOpen() {
	if m.anything() || len(m.digits) > 0 {
		m.commitItem(m.transcript())
	}
	m.user, m.owed = Quiet, false
}

// handOver lets the transfer begin, with music until it is decided (conv:H10).
func (m *Machine) handOver() {
	m.announced = 0
	m.clear(tFinish)
	m.waitingSound(true)
	m.emit(HandOver{ID: m.transfer})
}

// transferResult is C6, or the end.
func (m *Machine) transferResult(e TransferResult) {
	if e.OK {
		m.waitingSound(false)
		m.hangUp(EndTransfer)
		return
	}
	told, line := "The transfer failed: "+cmp.Or(e.Reason, "no reason was given")+
		". The caller is with you again and is being told so.", m.policy.transferLine(e.Reason)
	if m.joined {
		told = "The caller has talked with the person they were put through to (" + cmp.Or(e.Reason, "it is over") +
			") and is with you again. They are being welcomed back."
		line = m.policy.WelcomePhrase
	}
	m.leaveHandover()
	m.dropAside()
	m.call = Live
	m.lastAudible = m.now
	m.user = Quiet
	if m.voice {
		m.user = Speaking
	}
	m.emit(Brief{Text: told})
	m.say(Said, cmp.Or(e.Say, line), "").answers = true
}

// transferJoined leaves the line to the caller and whoever they talk with: only
// the length of the call bounds it now.
func (m *Machine) transferJoined() {
	m.waitingSound(false)
	m.clear(tHoldCap)
	m.joined = true
}

// leaveHandover ends what a transfer began.
func (m *Machine) leaveHandover() {
	if m.call != Handover {
		return
	}
	m.waitingSound(false)
	m.clear(tHoldCap, tFinish)
	m.announced, m.transfer, m.joined = 0, "", false
	m.cancelAll("handover", "", false)
}
