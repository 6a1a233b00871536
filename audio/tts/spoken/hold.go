package spoken

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// holdMost is how much of a growing text is kept back at most, characters.
const holdMost = 24

// Holder stands between a model and whoever cuts its words into pieces: it
// keeps back the end of the text while more words could make something else of
// it, "$1" that becomes "$1,250", "5" that becomes "5 p.m.". It is used by one
// goroutine.
type Holder struct {
	speaker *Speaker
	held    string
}

// Hold makes one for the language of a speaker.
func (s *Speaker) Hold() *Holder { return &Holder{speaker: s} }

// Add takes more of the text and returns what is settled.
func (h *Holder) Add(text string) string {
	h.held += text
	n := h.settled()
	out := h.held[:n]
	h.held = h.held[n:]
	return out
}

// Rest is what was kept back, at the end of the text.
func (h *Holder) Rest() string {
	out := h.held
	h.held = ""
	return out
}

// settled is how many bytes no further words can change.
func (h *Holder) settled() int {
	s := h.held
	from := len(s)
	r, _ := utf8.DecodeLastRuneInString(s)
	switch cut := from > 0 && !unicode.IsSpace(r); {
	case cut || h.speaker.open(s):
		from = tokenStart(s)
		if cut && h.speaker.open(s[:from]) && h.speaker.unitBegins(s[from:]) { // "5 k" may become "5 km"
			from = tokenStart(s[:from])
		}
	}
	for from > 0 && h.speaker.Joined(s, from) {
		from = tokenStart(s[:from])
	}
	for utf8.RuneCountInString(s[from:]) > holdMost { // as many whole words as there is room for
		next := strings.IndexFunc(s[from:], unicode.IsSpace)
		if next < 0 || next == len(s[from:])-1 {
			for utf8.RuneCountInString(s[from:]) > holdMost {
				_, n := utf8.DecodeRuneInString(s[from:])
				from += n
			}
			break
		}
		from += next + 1
	}
	return from
}

// tokenStart is where the last word of a text begins.
func tokenStart(s string) int {
	s = strings.TrimRightFunc(s, unicode.IsSpace)
	i := strings.LastIndexFunc(s, unicode.IsSpace)
	if i < 0 {
		return 0
	}
	_, n := utf8.DecodeRuneInString(s[i:])
	return i + n
}

// open says whether the word that a text ends with, and the space behind it,
// may go on to mean something else.
func (s *Speaker) open(text string) bool {
	left := lastToken(text)
	if left == "" {
		return false
	}
	bare := strings.TrimRight(left, ",.)")
	r, _ := utf8.DecodeLastRuneInString(bare)
	_, money := s.l.currencies[left]
	word := strings.ToLower(bare)
	return unicode.IsDigit(r) || money || s.l.monthNames[word] > 0 || s.shortForm(left)
}

func lastToken(s string) string {
	s = strings.TrimRightFunc(s, unicode.IsSpace)
	return s[tokenStart(s):]
}

// Joined says whether the words on both sides of a place in a text belong to
// one thing, so that no piece may end there: a number and its unit, a date, the
// groups of a telephone number, a title and a name (conv:S3).
func (s *Speaker) Joined(text string, at int) bool {
	left, right := lastToken(text[:at]), strings.TrimLeftFunc(text[at:], unicode.IsSpace)
	if i := strings.IndexFunc(right, unicode.IsSpace); i >= 0 {
		right = right[:i]
	}
	if left == "" {
		return false
	}
	first, _ := utf8.DecodeRuneInString(right)
	digit := first >= '0' && first <= '9'
	bare := strings.TrimRight(left, ",.)")
	last, _ := utf8.DecodeLastRuneInString(bare)
	figure := unicode.IsDigit(last)
	word := strings.ToLower(strings.Trim(bare, `"'(“„`))
	switch {
	case strings.HasSuffix(left, "…") || strings.HasSuffix(left, "!") || strings.HasSuffix(left, "?"):
		return false
	case listNumber(left):
		return true
	case s.shortForm(left) && s.l.needsNumber[word] && right != "" && !digit:
		return false
	case s.shortForm(left):
		return !s.endsSentence(bare, first)
	case figure && strings.HasSuffix(left, ","):
		before, _ := lastWord(text[:strings.LastIndex(text[:at], left)])
		return digit && s.l.monthNames[strings.ToLower(before)] > 0
	case figure && strings.HasSuffix(left, "."):
		return false
	case figure:
		return digit || s.measures(right)
	case digit || s.moneyFirst(right):
		_, money := s.l.currencies[left]
		return money || s.l.monthNames[word] > 0 || s.l.idWords[word] || s.l.yearWords[word] || s.l.hourWords[word] ||
			left == "#" || left == "+"
	}
	return false
}

// moneyFirst says whether a word begins with the sign of a currency.
func (s *Speaker) moneyFirst(word string) bool {
	_, n := utf8.DecodeRuneInString(word)
	_, ok := s.l.currencies[word[:n]]
	return ok && n > 0
}

// listNumber is "1." or "12.": the number of a list, or an ordinal.
func listNumber(left string) bool {
	left = strings.TrimLeft(left, "(*_-")
	n := digitLen(left)
	return n > 0 && n <= 2 && left[n:] == "."
}

var halfDays = set("a am a.m pm p.m")

// measures says whether a word is what a number before it counts.
func (s *Speaker) measures(right string) bool {
	word := strings.TrimRight(right, ".,;:!?)…")
	lower := strings.ToLower(word)
	_, unit := s.l.units[word]
	_, money := s.l.currencies[word]
	_, large := s.l.large[word]
	return unit || money || large || s.l.hourMarks[lower] || s.l.monthNames[lower] > 0 ||
		strings.HasPrefix(word, "%") || s.l.am != "" && halfDays[lower]
}

// unitBegins says whether a word may be the beginning of one that a number
// counts.
func (s *Speaker) unitBegins(word string) bool {
	lower := strings.ToLower(word)
	for k := range s.l.units {
		if strings.HasPrefix(k, word) {
			return true
		}
	}
	for k := range s.l.large {
		if strings.HasPrefix(k, word) {
			return true
		}
	}
	for k := range s.l.hourMarks {
		if strings.HasPrefix(k, lower) {
			return true
		}
	}
	for k := range s.l.monthNames {
		if strings.HasPrefix(k, lower) {
			return true
		}
	}
	return s.l.am != "" && (halfDays[strings.TrimRight(lower, ".")] || lower == "p")
}

// shortForm says whether a word is a short form whose full stop ends no
// sentence: an abbreviation of the language or an initial.
func (s *Speaker) shortForm(word string) bool {
	if !strings.HasSuffix(word, ".") {
		return bareShort[strings.ToLower(word)] && len(word) > 1 && unicode.IsUpper(rune(word[0]))
	}
	word = strings.Trim(strings.TrimSuffix(word, "."), `"'()“”„*_`)
	if _, ok := s.l.short[strings.ToLower(word)]; ok {
		return true
	}
	r, n := utf8.DecodeRuneInString(word)
	return n > 0 && n == len(word) && unicode.IsLetter(r)
}

// endsSentence says whether a short form is the last word of a sentence more
// often than not, when a capital follows.
func (s *Speaker) endsSentence(word string, next rune) bool {
	r, n := utf8.DecodeRuneInString(word)
	letter := n == len(word) && unicode.IsLower(r) // the last of "p. m."
	return unicode.IsUpper(next) && !s.l.dotOrdinal && (letter || closing[strings.ToLower(word)])
}

var closing = set("etc p.m a.m ecc enz inc ltd jr sr e.d a.u.b s.v.p")
