package written

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// form is what a piece of something spelled was.
type form uint8

const (
	word   form = iota
	letter      // one or several that were spelled
	figure
	sign
	gap // a new word begins
)

// piece is one part of something spelled, as it is written.
type piece struct {
	text  string
	form  form
	glued bool
	pause bool
	from  token // the first it was made of
}

// spell reads what was spelled, word by word: signs by their names, letters,
// letters by words, figures, doubled ones. Words that are none of these stay.
// oh tells that "oh" is a figure.
func (l *lang) spell(ts []token, oh bool) []piece {
	var out []piece
	for i := 0; i < len(ts); {
		ps, used := l.spellAt(ts, i, oh)
		for j := range ps {
			ps[j].from, ps[j].pause = ts[i], ts[i].pause && j == 0
			ps[j].glued = ts[i].glued && j == 0 || j > 0
		}
		if used == 1 && len(ps) == 1 && ps[0].form == gap && ps[0].text == "" { // said beside it
			ps = nil
		}
		if mark, n := phrase(l.accents, ts, i); n > 0 && len(out) > 0 && out[len(out)-1].form == letter {
			p := &out[len(out)-1]
			p.text = norm.NFC.String(p.text + mark)
			i += n
			continue
		}
		out = append(out, ps...)
		i += max(1, used)
	}
	return out
}

// spellAt is what stands at one place.
func (l *lang) spellAt(ts []token, i int, oh bool) ([]piece, int) {
	t := ts[i]
	one := func(f form, text string, n int) ([]piece, int) { return []piece{{text: text, form: f}}, n }
	if s, n := phrase(l.letters, ts, i); n > 0 {
		return one(letter, s, n)
	}
	if t.letter() && i+1 < len(ts) {
		if _, n := phrase(l.asIn, ts, i+1); n > 0 && i+1+n < len(ts) && strings.HasPrefix(fold(ts[i+1+n].low), fold(t.low)) &&
			!ts[i+1+n].letter() {
			return one(letter, t.text, n+2)
		}
	}
	if times, n := phrase(l.twice, ts, i); n > 0 {
		j := i + n
		if j < len(ts) && ts[j].low == "-" && ts[j].glued {
			j++
		}
		if _, again := l.twice[ts[min(j, len(ts)-1)].low]; j < len(ts) && !ts[j].pause && !again {
			if ps, used := l.spellAt(ts, j, oh); used > 0 && len(ps) == 1 && ps[0].form != word && ps[0].form != gap {
				k := int(times[0] - '0')
				if p := ps[0]; p.form == figure && len(p.text) > 1 { // "double sixty-five"
					return one(figure, strings.Repeat(p.text[:1], k)+p.text[1:], j+used-i)
				}
				return one(ps[0].form, strings.Repeat(ps[0].text, k), j+used-i)
			}
		}
	}
	if n := l.codeWords(ts, i); n > 0 {
		var ps []piece
		for k := range n {
			first, _ := utf8.DecodeRuneInString(ts[i+k].low)
			ps = append(ps, piece{text: string(first), form: letter})
		}
		return ps, n
	}
	if s, n := phrase(l.signs, ts, i); n > 0 {
		return one(sign, s, n)
	}
	if _, n := phrase(l.apart, ts, i); n > 0 {
		return one(gap, " ", n)
	}
	if s, ok := l.oh[t.low]; ok && oh {
		return one(figure, s, 1)
	}
	if t.figures() {
		return one(figure, t.text, 1)
	}
	if !l.article(ts, i) {
		if n, used := l.cardinal(l, ts, i); used > 0 {
			if doubled, ok := l.doubled(ts, i, n, used); ok {
				return one(letter, doubled, 2)
			}
			return one(figure, strconv.FormatUint(n, 10), used)
		}
	}
	switch {
	case t.letter():
		return one(letter, t.text, 1)
	case t.letters():
		return one(word, t.text, 1)
	}
	return one(sign, t.text, 1)
}

// article says whether a number word is rather an article.
func (l *lang) article(ts []token, i int) bool {
	if l.tag != "de" || ts[i].low != "ein" {
		return false
	}
	_, used := l.cardinal(l, ts, i)
	return used == 1
}

// doubled is "deux l", which is no 2 among letters in French and German.
func (l *lang) doubled(ts []token, i int, n uint64, used int) (string, bool) {
	if n != 2 || used != 1 || l.tag == "en" || i+1 >= len(ts) || !ts[i+1].letter() || ts[i+1].pause || ts[i].figures() {
		return "", false
	}
	if i > 0 && !ts[i-1].letter() && ts[i-1].low != "avec" && ts[i-1].low != "mit" {
		return "", false
	}
	return ts[i+1].text + ts[i+1].text, true
}

// codeWords is how many words of a spelling alphabet follow one another: three
// at least, else they are words.
func (l *lang) codeWords(ts []token, i int) int {
	n := 0
	for i+n < len(ts) && l.code[ts[i+n].low] && (n == 0 || !ts[i+n].glued) {
		n++
	}
	if n < 3 {
		return 0
	}
	return n
}
