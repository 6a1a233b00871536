package turn

import (
	"slices"
	"strings"
	"time"
)

// A recogniser tells the words of an utterance again and again until they are
// final, and a turn may end in the middle of it: where the voice detector heard
// a pause, or no voice at all. Then what it tells next begins with words that a
// turn has already. utterance keeps which those are, so that no word becomes
// part of two turns (INV12, INV17).
type utterance struct {
	turned string        // of earlier turns, or dropped
	guess  string        // of the last turn, which the recogniser may still correct
	aside  string        // heard while nobody listened: dropped when it is settled
	why    string        // … nobody did
	whole  string        // … as it was told with it
	told   bool          // there were interims of it
	at     time.Duration // when something was last told of it
}

// join is two texts as one.
func join(a, b string) string { return strings.TrimSpace(a + " " + b) }

// secondThoughts is how many of the last words that were told of an utterance a
// recogniser still changes as it goes on.
const secondThoughts = 2

// beyond is what a text has behind its first words, where those are the words of
// begun, most of them and all but the last at least; else all of it.
func beyond(text, begun string) string {
	want := Words(begun)
	n, rest := shared(text, want)
	if n < len(want)-secondThoughts || 2*n <= len(want) {
		return text
	}
	return rest
}

// begins says whether a text begins with all words of another.
func begins(text, with string) bool {
	want := Words(with)
	n, _ := shared(text, want)
	return n == len(want)
}

// shared is with how many of the words a text begins, and the rest of it.
func shared(text string, words []string) (n int, rest string) {
	rest = strings.TrimSpace(text)
	for n < len(words) && rest != "" {
		field := rest
		if i := strings.IndexByte(rest, ' '); i >= 0 {
			field = rest[:i]
		}
		w := Words(field) // "twenty-one" is two
		if len(w) > len(words)-n || !slices.Equal(w, words[n:n+len(w)]) {
			break
		}
		n, rest = n+len(w), strings.TrimSpace(rest[len(field):])
	}
	return n, rest
}

// utteranceOver ends an utterance: what is told next is of another one.
func (m *Machine) utteranceOver() {
	if m.utter.guess != "" { // nothing corrects it any more
		m.settled = m.committed
	}
	m.utter = utterance{}
}

// touch notes that something is told of the utterance. One whose end was never
// told is over when nothing was for longer than its final may take.
func (m *Machine) touch() {
	if m.now-m.utter.at > m.policy.HardStop+m.policy.LateFinal && m.utter.aside == "" {
		m.utteranceOver()
	}
	m.utter.at = m.now
}

// beyondEarlier is what of an utterance the turns before the last one do not
// have. They keep what was told of it then; the recogniser may tell it otherwise
// now, and goes on from that.
func (m *Machine) beyondEarlier(text string) string {
	rest := beyond(text, m.utter.turned)
	if m.utter.turned != "" && rest != text && rest != "" {
		m.utter.turned = strings.TrimSpace(strings.TrimSuffix(text, rest))
	}
	return rest
}

// beyondTurns is what of it no turn has.
func (m *Machine) beyondTurns(text string) string {
	return beyond(m.beyondEarlier(text), m.utter.guess)
}

// beyondItems is what of it no item has, that of a turn which is open again
// among them.
func (m *Machine) beyondItems(text string) string {
	text = m.beyondTurns(text)
	if all := join(m.settled, text); m.amending && len(m.items) == 0 {
		if more := beyond(all, m.committed); more != all {
			return more
		}
	}
	return text
}

// known says whether an interim has no more than turns have of its utterance
// already, or less: a stream that follows another begins anew.
func (m *Machine) known(text string) bool {
	turned := join(m.utter.turned, m.utter.guess)
	return turned != "" && begins(turned, text)
}

// overhear has words while nobody listens, which are not final yet. Those that
// were begun before a goodbye belong to it.
func (m *Machine) overhear(text, why string) {
	u := &m.utter
	u.whole = text
	text = m.beyondTurns(text)
	if m.interim != "" && why == "draining" {
		m.interim = strings.TrimSpace(text)
		return
	}
	u.aside, u.why = strings.TrimSpace(beyond(text, m.interim)), why
}

// overheard has their final form.
func (m *Machine) overheard(text, why string) {
	u := &m.utter
	text = m.beyondTurns(text)
	u.aside = ""
	if m.interim != "" && why == "draining" {
		m.interim = ""
		m.finals = append(m.finals, text)
		return
	}
	if m.interim != "" {
		text = beyond(text, m.interim)
		m.finals, m.interim = append(m.finals, m.interim), ""
	}
	if text != "" {
		m.emit(Drop{text, why})
	}
}

// dropAside drops what was heard while nobody listened: somebody does again, or
// nobody ever will.
func (m *Machine) dropAside() {
	u := &m.utter
	if u.aside == "" {
		return
	}
	m.emit(Drop{u.aside, u.why})
	if m.interim != "" { // what it followed is of the turn that is open, and told as well
		m.finals, m.interim = append(m.finals, m.interim), ""
	}
	u.turned = u.whole
	u.aside, u.guess = "", ""
}
