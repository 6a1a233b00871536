package written

import (
	"math"
	"net/mail"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/nyaruka/phonenumbers"
)

// Mentions says whether a value is among words that were heard, in whatever
// form they name it: an address read sign by sign or spelled, a number in other
// groups, a date with its weekday.
func Mentions(v Value, heard string, o Options) bool {
	l := langOf(o.Language)
	if len(heard) > 16*longest {
		heard = heard[len(heard)-16*longest:]
	}
	switch v.Kind {
	case Email:
		return strings.Contains(strings.ToLower(join(l.spell(tokens(heard), false))), v.Text) ||
			strings.Contains(strings.ToLower(strings.Join(strings.Fields(heard), "")), v.Text)
	case Phone:
		n, err := phonenumbers.Parse(v.Text, o.region())
		return err == nil && strings.Contains(l.figures(heard), phonenumbers.GetNationalSignificantNumber(n))
	case Number:
		want, err := strconv.ParseFloat(v.Text, 64)
		return err == nil && l.mentionsNumber(heard, math.Abs(want))
	case Date:
		return l.mentionsDate(heard, v.Text, o)
	case Name, Custom:
	}
	return l.mentionsText(heard, v.Text)
}

// Of is what a text that nobody declared is most like.
func Of(text string) Value {
	v := Value{Kind: Custom, Text: text}
	a, err := mail.ParseAddress(text)
	_, date := time.Parse(time.DateOnly, text)
	_, number := strconv.ParseFloat(text, 64)
	switch {
	case err == nil && a.Address == text:
		v.Kind, v.Text = Email, strings.ToLower(text)
	case date == nil:
		v.Kind = Date
	case strings.HasPrefix(text, "+") && len(text) > enoughFigures && strings.Trim(text[1:], "0123456789 ") == "":
		v.Kind = Phone
	case number == nil && len(text) < enoughFigures:
		v.Kind = Number
	}
	return v
}

// squash is a text's letters and figures.
func squash(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, fold(s))
}

// figures are all those of a text, said or written, in a row.
func (l *lang) figures(text string) string {
	var b strings.Builder
	for _, p := range l.spell(tokens(text), true) {
		if p.form == figure {
			b.WriteString(p.text)
		}
	}
	return b.String()
}

func (l *lang) mentionsNumber(heard string, want float64) bool {
	for _, m := range inFigures.FindAllString(heard, -1) {
		if f, err := strconv.ParseFloat(l.plainFigures(m), 64); err == nil && math.Abs(f) == want {
			return true
		}
	}
	ts := tokens(heard)
	for i := 0; i < len(ts); {
		f, used := l.quantity(ts, i)
		if used > 0 && f == want {
			return true
		}
		i += max(1, used)
	}
	return false
}

func (l *lang) mentionsDate(heard, want string, o Options) bool {
	for _, m := range isoDate.FindAllString(heard, -1) {
		if strings.HasPrefix(m, want) {
			return true
		}
	}
	ts := tokens(heard)
	for i := range min(len(ts), 200) { // each date of the text is the first of a rest
		var b strings.Builder
		for j := i; j < min(len(ts), i+12); j++ {
			if !ts[j].glued {
				b.WriteByte(' ')
			}
			b.WriteString(ts[j].text)
		}
		if d, err := l.date(b.String(), o.today()); err == nil && d.Format(time.DateOnly) == want {
			return true
		}
	}
	return false
}

// mentionsText says whether a text was heard: to the letter where it is short,
// by most of its words where it is a sentence.
func (l *lang) mentionsText(heard, text string) bool {
	all := squash(join(l.spell(tokens(heard), true)))
	want := squash(text)
	if want == "" || strings.Contains(squash(heard), want) || strings.Contains(all, want) {
		return true
	}
	ws := strings.Fields(text)
	if len(ws) < 4 {
		return false
	}
	has := map[string]bool{}
	for _, t := range tokens(heard) {
		has[fold(t.low)] = true
	}
	n := 0
	for _, w := range ws {
		if has[squash(w)] || squash(w) == "" {
			n++
		}
	}
	return n*10 >= len(ws)*6
}

// Answer is what an answer to "is that right?" says: a word for yes, a word for
// no, both or neither.
func Answer(text, tag string) (yes, no bool) {
	l := langOf(tag)
	ts := tokens(text)
	for i := 0; i < len(ts); {
		if _, n := phrase(l.hedges, ts, i); n > 0 {
			i += n
			continue
		}
		_, y := phrase(l.yes, ts, i)
		_, n := phrase(l.no, ts, i)
		yes, no = yes || y > 0, no || n > 0
		i += max(1, y, n)
	}
	return yes, no
}

// Leaves says whether a caller is about to end the conversation: they say
// goodbye, or that this was all.
func Leaves(text, tag string) bool {
	l := langOf(tag)
	ts := tokens(text)
	for i := range ts {
		if _, n := phrase(l.leave, ts, i); n > 0 {
			return true
		}
	}
	return false
}
