package turn

import (
	"slices"
	"strings"
)

// A speech-to-speech model hears the caller itself: its server says where a
// voice begins and where a turn ends, and no other detector does (conv:R10).
// The words of a turn come later, or never; until then the turn is an item
// without a text.

// heardItem is an item of the server's conversation that holds what the caller
// said.
type heardItem struct {
	id   string
	turn int    // pending: of no turn yet
	keys string // of the turn
	base string // what a recogniser understood of the turn
	text string
	done bool // its words came, or will not
}

const (
	pending = 0  // the item's turn is not committed yet
	dropped = -1 // it came too late for one
	// keptItems is how many items are remembered for words that come late.
	keptItems = 64
)

// serverVoice is the server's onset: proof of an interruption as it stands
// (BP7), so nothing has to pause first.
func (m *Machine) serverVoice(e ServerVoice) {
	if !m.voice {
		m.voiceStart(VoiceStart(e))
	}
	m.proven = true
	m.clear(tOnset, tPause)
	switch {
	case m.interruptible():
		m.interrupt(ProofServer, false, "")
	case m.user == Onset:
		m.user = Speaking
	}
	m.armPause()
}

// serverTurn is an item that the server took for what the caller said: a
// confirmed end of turn.
func (m *Machine) serverTurn(e ServerTurn) {
	if slices.ContainsFunc(m.items, func(i heardItem) bool { return i.id == e.Item }) {
		return // told twice
	}
	if m.voice {
		m.voiceEnd(VoiceEnd{At: m.now})
	}
	m.owed = false
	m.clear(tSTTMiss)
	for len(m.items) >= keptItems {
		m.heardWords(Heard{Item: m.items[0].id}) // its words will not come any more
		m.items = m.items[1:]
	}
	if !m.listening() {
		m.items = append(m.items, heardItem{id: e.Item, turn: dropped})
		return
	}
	switch {
	case m.interruptible(): // its onset was missed
		m.interrupt(ProofServer, false, "")
	case m.front != nil && m.front.started: // locked: it becomes the next turn (A9)
	case m.takesMore():
		m.cancelAll("absorbed", "", false)
		m.reopen("")
	}
	m.items = append(m.items, heardItem{id: e.Item})
	m.confirmed = true
	m.wordsCame()
}

// heardWords are the words of an item, or that there are none.
func (m *Machine) heardWords(e Heard) {
	i := slices.IndexFunc(m.items, func(i heardItem) bool { return i.id == e.Item && !i.done })
	if i < 0 {
		return
	}
	it := &m.items[i]
	it.text, it.done = strings.TrimSpace(e.Text), true
	switch it.turn {
	case pending: // its commit tells them
	case dropped:
		if it.text != "" {
			m.emit(Drop{it.text, "draining"})
		}
	default:
		m.tell(it.turn)
	}
}

// tell gives a committed turn its words, as far as they came.
func (m *Machine) tell(turn int) {
	text := m.saidIn(turn)
	if turn == m.turn {
		m.committed = text
	}
	keys := ""
	for _, i := range m.items {
		if i.turn == turn && i.keys != "" {
			keys = i.keys
		}
	}
	m.emit(HeardUser{Turn: turn, Text: keyed(keys, text), Later: m.later(turn), Keys: keys, Secret: secret(keys)})
}

// saidIn is what the caller said in a turn, as far as it is known.
func (m *Machine) saidIn(turn int) string {
	text := ""
	for _, i := range m.items {
		if i.turn != turn {
			continue
		}
		if text == "" {
			text = i.base
		}
		switch {
		case i.text == "":
		case text == "":
			text = i.text
		default:
			text += " " + i.text
		}
	}
	return text
}

// later says whether words of a turn are still to come.
func (m *Machine) later(turn int) bool {
	return slices.ContainsFunc(m.items, func(i heardItem) bool { return i.turn == turn && !i.done })
}

// anything says whether the caller said something in the turn that is open,
// known or not.
func (m *Machine) anything() bool {
	return m.transcript() != "" || m.unknown() || m.amending && m.keysBefore != ""
}

// unknown says whether the open turn has words that a server keeps to itself.
func (m *Machine) unknown() bool {
	return slices.ContainsFunc(m.items, func(i heardItem) bool { return i.turn == pending })
}

// commitItems gives the items that wait to the turn that is committed with keys
// and a text, and returns all its words and whether some are to come.
func (m *Machine) commitItems(keys, text string) (string, bool) {
	has := false
	for i := range m.items {
		if it := &m.items[i]; it.turn == pending || it.turn == m.turn {
			it.turn, it.keys, it.base, has = m.turn, keys, text, true
		}
	}
	if !has {
		return text, false
	}
	return m.saidIn(m.turn), m.later(m.turn)
}

// settleItems tells, at the call's end, of all words that did not come.
func (m *Machine) settleItems() {
	for _, i := range m.items {
		m.heardWords(Heard{Item: i.id})
	}
}
