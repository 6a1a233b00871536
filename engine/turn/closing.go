package turn

// Terminal calls (1.9): end_call and the like act when the words said with
// them were heard and nobody has spoken since. Until then they are armed.

// arm keeps a terminal call until its words are heard, or looks at once where
// it has none.
func (m *Machine) arm(w *work, r *reply) {
	m.closing = w
	if m.voice || m.user != Quiet || m.call != Live {
		m.void()
		if m.find(r.g) != nil && !r.started { // its words go with it
			m.cancel(r, "caller_resumed", "", false)
		}
		return
	}
	m.unchain()
	if r.words && m.find(r.g) != nil {
		return
	}
	w.said = true
	m.act()
}

// saidClosing tells that the words of an armed call are over.
func (m *Machine) saidClosing(r *reply) {
	if w := m.closing; w != nil && w.g == r.g {
		w.said = true
		m.set(tLook, m.now+m.policy.HardStop)
		m.look()
	}
}

// look is the last look: a voice is heard out first, its words void the call.
func (m *Machine) look() {
	w := m.closing
	if w == nil || !w.said || m.call != Live || m.voice || m.user != Quiet || m.owed || len(m.digits) > 0 {
		return
	}
	m.act()
}

// lookDue ends the wait for a voice that brings no words.
func (m *Machine) lookDue() {
	if m.closing != nil && m.transcript() == "" && len(m.digits) == 0 && m.call == Live {
		m.act()
	}
}

// act is C2 for a call that passed the last look: it ends the call with the
// words that were heard, or with its goodbye where there were none (conv:H6);
// or it runs, when it does something else.
func (m *Machine) act() {
	w := m.closing
	m.closing = nil
	m.clear(tLook)
	if w.Runs {
		w.chained, w.started = true, m.now
		m.works = append(m.works, w)
		m.emit(RunTool{ID: w.ID})
		m.scheduleBridge()
		return
	}
	m.ending = w.ID
	if !w.spoken {
		m.drain(w.Goodbye, EndAgent)
	}
	if !m.resumable() || w.spoken { // nothing can take it back any more
		m.settleEnding(true)
	}
	if !w.spoken {
		return
	}
	for _, r := range append([]*reply(nil), m.line...) { // nothing is said after it
		m.cancel(r, "draining", "", false)
	}
	m.draining(EndAgent)
	m.set(tTail, m.now+m.tail())
}

// sealGoodbye lets the words of an armed call be the last ones when the call is
// to end anyway: nothing better could be said, and nothing after it.
func (m *Machine) sealGoodbye() bool {
	w := m.closing
	if w == nil || w.Runs || w.said {
		return false
	}
	r := m.find(w.g)
	if r == nil || !r.started {
		return false
	}
	m.closing = nil
	m.emit(SettleTool{ID: w.ID, OK: true, Code: "ended"})
	for _, x := range append([]*reply(nil), m.line...) {
		if x != r {
			m.cancel(x, "draining", "", false)
		}
	}
	m.draining(EndAgent)
	r.locked, r.last = true, EndAgent
	return true
}

// void takes an armed call back: the caller went on.
func (m *Machine) void() { m.disarm("caller_resumed") }

func (m *Machine) disarm(code string) {
	w := m.closing
	if w == nil {
		return
	}
	m.closing = nil
	m.clear(tLook)
	w.settled = true
	m.emit(SettleTool{ID: w.ID, Code: code})
}
