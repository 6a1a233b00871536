package tools

import (
	"slices"
	"strings"

	"github.com/patchcord/patchcord/tools/written"
)

// ReadBacks is what is to be read to the caller, what of it reached their ear
// and what they said to it. It belongs to one phone call and one goroutine; it
// decides on words alone.
type ReadBacks struct {
	open  map[string]*readBack
	asked map[string]asked
	turns int // of the caller
}

// asked is how often something was to be read since the caller last agreed to
// it, and in which of their turns last.
type asked struct{ times, turn int }

type readBack struct {
	values  []written.Value
	ours    string // what the caller heard since
	heard   bool   // … holds the values
	spoken  bool   // the caller spoke after that
	yes, no bool
}

// state is how far a read-back has come.
type state uint8

const (
	unread     state = iota // nobody was told to read it, or another value was
	unheard                 // it is to be read
	unanswered              // it was heard
	denied                  // the caller said no to it
	agreed                  // the caller answered
)

// keptHeard bounds what is remembered of our words, bytes.
const keptHeard = 8 << 10

// begin lets values be read back; the same ones go on as they are, unless they
// were denied. It is refused when that was so most times before, 0 for any
// number, and the caller has not agreed: other values count, and what is begun
// several times in one turn of the caller's counts once.
func (r *ReadBacks) begin(key string, vs []written.Value, most int) (ok bool) {
	a := r.asked[key]
	if a.times == 0 || a.turn != r.turns {
		a = asked{a.times + 1, r.turns}
	}
	if most > 0 && a.times > most {
		delete(r.open, key)
		return false
	}
	if r.open == nil {
		r.open, r.asked = map[string]*readBack{}, map[string]asked{}
	}
	r.asked[key] = a
	if b := r.open[key]; b == nil || !same(b.values, vs) || b.no && !b.yes {
		r.open[key] = &readBack{values: vs}
	}
	return true
}

// done is the caller's yes taken: the next time is a first one.
func (r *ReadBacks) done(key string) {
	delete(r.open, key)
	delete(r.asked, key)
}

// Turn is told when the caller has had a turn: what is asked after it is asked
// once more.
func (r *ReadBacks) Turn() { r.turns++ }

func (r *ReadBacks) state(key string, vs []written.Value) state {
	b := r.open[key]
	switch {
	case b == nil || !same(b.values, vs):
		return unread
	case !b.heard:
		return unheard
	case !b.spoken:
		return unanswered
	case b.no && !b.yes:
		return denied
	}
	return agreed
}

// saidYes tells that the caller's latest word to these values is yes.
func (r *ReadBacks) saidYes(key string, vs []written.Value) bool {
	return r.state(key, vs) == agreed && r.open[key].yes && !r.open[key].no
}

func same(a, b []written.Value) bool {
	return slices.EqualFunc(a, b, func(x, y written.Value) bool { return x.Kind == y.Kind && x.Text == y.Text })
}

// Heard takes words of ours that reached the caller's ear.
func (r *ReadBacks) Heard(words string, o written.Options) {
	for _, b := range r.open {
		if b.heard || words == "" {
			continue
		}
		b.ours = strings.TrimSpace(b.ours + " " + words)
		if len(b.ours) > keptHeard {
			b.ours = strings.ToValidUTF8(b.ours[len(b.ours)-keptHeard:], "")
		}
		b.heard = !slices.ContainsFunc(b.values, func(v written.Value) bool { return !written.Mentions(v, b.ours, o) })
	}
}

// Said takes the caller's turn, "" for words that are not known.
func (r *ReadBacks) Said(words, language string) {
	yes, no := written.Answer(words, language)
	for _, b := range r.open {
		if !b.heard {
			continue
		}
		b.spoken = true
		if yes || no { // the latest word counts
			b.yes, b.no = yes, no
		}
	}
}
