package turn

import "strings"

// A turn that is being answered is opened again for words that are more of it
// (U8, conv:B13), and committed again with them.

// takesMore says whether words are more of the last turn: nothing was heard of
// us since, no bridging sentence either; else they are another turn (U8).
func (m *Machine) takesMore() bool {
	return m.turn > 0 && !m.answered && !m.spoke && !m.amending && m.Agent() == Thinking
}

// again says whether words are those that the last turn ended with.
func (m *Machine) again(text string) bool {
	return strings.HasSuffix(" "+Normal(m.committed), " "+Normal(text))
}

// reopen takes the last turn back to add words to it (U8). What of it was
// only a guess is replaced when the words are the recogniser's second thoughts.
func (m *Machine) reopen(text string) {
	said := m.committed
	for _, i := range m.items {
		if i.turn == m.turn { // its words stand in its items
			said = i.base
		}
	}
	if guess := m.utter.guess; guess != "" && (!m.voiceSince || beyond(text, guess) != text) {
		said = m.settled
	}
	if m.reopened = said != ""; m.reopened {
		m.finals = append([]string{said}, m.finals...)
	}
	m.keysBefore = m.committedKeys
	m.amending, m.rev = true, m.committedRev+1
}

// keepAmended gives a turn that was opened again its words back, where those it
// was opened for turn out to be none.
func (m *Machine) keepAmended() {
	if m.amending && len(m.items) == 0 && m.transcript() == m.settled && m.committed != "" {
		m.finals, m.reopened = []string{m.committed}, true
	}
}
