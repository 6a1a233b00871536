package turn

import (
	"cmp"
	"time"
)

// The bridging ladder (conv:W7): while the caller waits for a tool they hear a
// first sentence, a second, the sound of waiting, further sentences, and when
// the tool fails its failure sentence. No sentence is heard twice in a call.
//
//	rung 0  the tool's bridging sentence, at once or BridgeAfter our last word
//	rung 1  its second sentence, BridgeSecond after its start
//	        the sound of waiting, where the tool has one
//	rung 2… BridgeRepeats sentences more, each BridgeFurther after the one before

// scheduleBridge sets when the ladder is climbed next.
func (m *Machine) scheduleBridge() {
	w := m.running()
	if w == nil || m.front != nil {
		return
	}
	for _, r := range m.line {
		if r.words { // something will be said anyway
			return
		}
	}
	m.clear(tFiller, tApology)
	at := m.rungAt(w)
	if at == never {
		return
	}
	if m.set(tBridge, at); at <= m.now {
		m.clear(tBridge)
		m.bridgeDue()
	}
}

// rungAt is when the next rung is due, never when the ladder is at its end.
func (m *Machine) rungAt(w *work) time.Duration {
	p := &m.policy
	after := cmp.Or(w.BridgeAfter, p.BridgeAfter)
	switch {
	case w.Mute:
		if m.holding || !w.Hold {
			return never
		}
		return max(m.now, w.started+cmp.Or(w.HoldAfter, p.HoldAfter), m.lastAudible)
	case m.rung >= 2+p.BridgeRepeats:
		return never
	case m.rung >= 2:
		return max(m.now, m.lastAudible+p.BridgeFurther)
	case m.rung == 1:
		return max(m.now, w.started+cmp.Or(w.SecondAfter, p.BridgeSecond), m.lastAudible+after)
	case w.Bridge == "" && !w.Speaks: // nothing of its own to say: dead air is broken all the same (conv:L4)
		return max(m.now, m.lastAudible+p.FillerAfter, w.started+p.FillerAfter)
	case !m.spoke:
		return m.now
	}
	at := max(m.now, m.lastAudible+after)
	if m.modelSaid > 0 { // its own words announced it
		at = max(at, m.modelSaid+p.BridgeQuiet)
	}
	return at
}

// bridgeDue climbs one rung.
func (m *Machine) bridgeDue() {
	w := m.running()
	if w == nil || m.call != Live || m.front != nil {
		return
	}
	if m.user != Quiet { // not over the caller
		m.set(tBridge, m.now+m.policy.BridgeAfter)
		return
	}
	if w.Mute {
		m.waitingSound(w.Hold)
		return
	}
	own, more := w.Bridge, m.policy.BridgePhrases
	if m.rung > 0 {
		own, more = w.Second, m.policy.WaitPhrases
	}
	if m.rung > 1 {
		own = ""
	}
	m.rung++
	text := m.fresh(own, more)
	if text == "" { // all was heard before
		m.rung = max(m.rung, 2)
		m.waitingSound(true)
		m.scheduleBridge()
		return
	}
	m.say(Bridge, text, w.Name)
}

// climbed goes on after a bridging sentence: the second is followed by the
// sound of waiting.
func (m *Machine) climbed() {
	if w := m.running(); w != nil && w.Hold && m.rung >= 2 {
		m.waitingSound(true)
	}
	m.scheduleBridge()
}

// waitingSound begins or ends the sound of waiting.
func (m *Machine) waitingSound(on bool) {
	if on != m.holding {
		m.holding = on
		m.emit(HoldSound{on})
	}
}

// fresh is a sentence that was not heard in this call: the own one, or the
// first of more; "" when there is none.
func (m *Machine) fresh(own string, more []string) string {
	if own != "" && !m.heard[own] {
		return own
	}
	for _, text := range more {
		if !m.heard[text] {
			return text
		}
	}
	return ""
}

// remember keeps that a reply's fixed words are heard.
func (m *Machine) remember(r *reply) {
	if r.text == "" {
		return
	}
	if m.heard == nil {
		m.heard = map[string]bool{}
	}
	m.heard[r.text] = true
}

// running is the first call that the caller waits for.
func (m *Machine) running() *work {
	for _, w := range m.works {
		if w.chained && !w.settled {
			return w
		}
	}
	return nil
}
