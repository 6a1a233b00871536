// Package spoken turns written words into words to be said: "$1,250 by 5 p.m."
// becomes "one thousand two hundred fifty dollars by five p m", in the language
// of the call, without markup, links and signs that only the eye reads.
//
// It guarantees a way back: every place in what is said has its place in what
// was written, in the same order, so that speech that was cut short is cut
// short in the text as well. Nothing here panics, whatever a model writes, and
// nothing of what is said can be read as markup by a voice (SSML): no angle
// bracket and no ampersand is left.
package spoken

import (
	"sort"
	"strings"
	"unicode/utf8"
)

// Spoken is a text as a voice is to say it.
type Spoken struct {
	Text string

	bare  path // from Text to the text without markup
	plain path // from there to the text as it was written
}

// Raw is the place in the written text up to which Text[:said] speaks, bytes.
// A written word that is said in several ("25": "twenty five") is reached with
// the last of them; what is not said at all is reached with what is before it.
func (s *Spoken) Raw(said int) int { return s.plain.back(s.bare.back(said)) }

// path leads from a text to the one that it was made of, stretch by stretch.
type path []stretch

// stretch is where a piece of the new text and of the old one end. In a piece
// that is the same in both, byte stands for byte.
type stretch struct {
	now, was int
	same     bool
}

// back is the place in the old text for one in the new.
func (p path) back(now int) int {
	if now <= 0 || len(p) == 0 {
		return 0
	}
	i := sort.Search(len(p), func(i int) bool { return p[i].now > now })
	if i == len(p) {
		return p[i-1].was
	}
	from := stretch{}
	if i > 0 {
		from = p[i-1]
	}
	if p[i].same {
		return from.was + now - from.now
	}
	return from.was
}

// pen writes a new text beside an old one and keeps the path between them.
type pen struct {
	old string
	at  int // in old: what is before it is written
	b   strings.Builder
	p   path
}

// keep writes n bytes of the old text as they are.
func (w *pen) keep(n int) {
	if n <= 0 {
		return
	}
	w.b.WriteString(w.old[w.at : w.at+n])
	w.at += n
	if k := len(w.p); k > 0 && w.p[k-1].same {
		w.p[k-1].now, w.p[k-1].was = w.b.Len(), w.at
		return
	}
	w.p = append(w.p, stretch{w.b.Len(), w.at, true})
}

// put writes other words in place of n bytes of the old text.
func (w *pen) put(n int, text string) {
	if n <= 0 && text == "" {
		return
	}
	w.b.WriteString(text)
	w.at += n
	w.p = append(w.p, stretch{w.b.Len(), w.at, false})
}

// last is the last letter written, 0 at the start.
func (w *pen) last() rune {
	r, n := utf8.DecodeLastRuneInString(w.b.String())
	if n == 0 {
		return 0
	}
	return r
}
