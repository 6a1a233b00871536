package written

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

var errNoName = errors.New("no name was understood: ask for it again, spelled if need be")

// particles stay small inside a name.
var particles = set("de du des d' von van der den zu zum zur la di da del della of y und et")

// name is somebody's name: what was said, with what was spelled in place of the
// word it corrects.
func (l *lang) name(text string) (string, error) {
	if strings.ContainsAny(text, "?@0123456789") {
		return "", errNoName
	}
	ts := tokens(text)
	ts = l.strip(ts)
	var out []piece
	var spelt strings.Builder
	flush := func() {
		if spelt.Len() > 0 {
			out = correct(out, spelt.String())
			spelt.Reset()
		}
	}
	for i := 0; i < len(ts); {
		if _, n := phrase(l.spelled, ts, i); n > 0 && i > 0 {
			i += n
			continue
		}
		if _, n := phrase(l.silent, ts, i); n > 0 && i+n < len(ts) && ts[i+n].letter() {
			i += n
			continue
		}
		if l.number0(ts, i) && spelt.Len() == 0 { // "Martin trois" is no spelling
			out = append(out, piece{text: ts[i].text, form: word, glued: ts[i].glued, from: ts[i]})
			i++
			continue
		}
		ps, used := l.spellAt(ts, i, false)
		if mark, n := phrase(l.accents, ts, i); n > 0 && spelt.Len() > 0 {
			spelt.WriteString(mark)
			i += n
			continue
		}
		i += max(1, used)
		for _, p := range ps {
			p.from, p.glued = ts[i-max(1, used)], ts[i-max(1, used)].glued
			switch {
			case p.form == letter && !(p.from.letter() && i < len(ts) && ts[i].text == "."):
				spelt.WriteString(p.text)
			case p.form == sign && (p.text == "-" || p.text == "'") && spelt.Len() > 0:
				spelt.WriteString(p.text)
			case p.form == gap:
				flush()
			case p.form == sign && strings.Contains("-'.", p.text) && len(out) > 0:
				last := &out[len(out)-1]
				last.text += p.text
				last.pause = p.text != "." // the next belongs to it
			case p.form == word || p.form == letter:
				flush()
				if n := len(out); n > 0 && out[n-1].pause {
					out[n-1].text += p.text
					out[n-1].pause = false
					continue
				}
				out = append(out, p)
			case p.form == figure:
				return "", errNoName
			}
		}
	}
	flush()
	return finish(out)
}

// number0 says whether a number word stands at a place.
func (l *lang) number0(ts []token, i int) bool {
	if _, twice := phrase(l.twice, ts, i); twice > 0 {
		return false
	}
	_, used := l.cardinal(l, ts, i)
	return used > 0 && (i+1 >= len(ts) || !ts[i+1].letter())
}

// strip takes off what is said before and behind a name.
func (l *lang) strip(ts []token) []token {
	for len(ts) > 1 {
		_, lead := phrase(l.leads, ts, 0)
		if lead == 0 || lead >= len(ts) || ts[0].letter() && len(ts) > 1 && ts[1].letter() {
			break
		}
		ts = ts[lead:]
	}
	for i := 1; i < len(ts); i++ {
		if _, n := phrase(l.tails, ts, i); n > 0 && i+n == len(ts) {
			return l.strip(ts[:i])
		}
	}
	return ts
}

// correct puts what was spelled in place of the word it is like, or behind all.
func correct(out []piece, spelt string) []piece {
	if utf8.RuneCountInString(spelt) < 2 {
		return append(out, piece{text: spelt, form: word})
	}
	p := piece{text: spelt, form: letter}
	for i := len(out) - 1; i >= 0; i-- {
		if out[i].form == word && alike(out[i].text, spelt) {
			out[i] = p
			return out
		}
	}
	return append(out, p)
}

// alike says whether two words differ as a word and its spelling do.
func alike(a, b string) bool {
	x, y := []rune(fold(a)), []rune(fold(b))
	if len(x) == 0 || len(y) == 0 || len(x) > 40 || len(y) > 40 {
		return false
	}
	row := make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	for i := range x {
		prev := row[0]
		row[0] = i + 1
		for j := range y {
			cost := prev
			if x[i] != y[j] {
				cost++
			}
			prev = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(y)] <= max(1, max(len(x), len(y))*2/5)
}

// finish writes the parts of a name with their capitals.
func finish(ps []piece) (string, error) {
	var parts []string
	for _, p := range ps {
		w := norm.NFC.String(strings.TrimRight(p.text, "-'"))
		if w == "" {
			continue
		}
		if p.form == letter || w == strings.ToLower(w) || w == strings.ToUpper(w) && utf8.RuneCountInString(w) > 3 {
			w = capitals(w)
		}
		first := len(parts) == 0 && p.text != "de" && p.text != "von" && p.text != "van"
		if particles[p.text] && !first && p.form == word {
			w = p.text
		}
		parts = append(parts, w)
	}
	out := strings.Join(parts, " ")
	letters := 0
	for _, r := range out {
		if unicode.IsLetter(r) {
			letters++
		}
	}
	if letters < 2 || len(parts) > 8 || len(out) > 120 {
		return "", errNoName
	}
	return out, nil
}

// capitals writes each part of a word with a capital.
func capitals(w string) string {
	up := true
	return strings.Map(func(r rune) rune {
		if up {
			up = false
			return unicode.ToUpper(r)
		}
		up = r == '-' || r == '\''
		return unicode.ToLower(r)
	}, w)
}
