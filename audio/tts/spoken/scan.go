package spoken

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// scanner puts words in place of figures and signs. It goes once over a text
// without markup; at each place the first rule that fits is used, in the order
// of conv:S5: addresses, money, dates, times, measures, telephone numbers and
// ids, numbers, abbreviations. A word of the pronunciation list is never put to
// a rule, and is looked for again in the words that rules have made.
type scanner struct {
	pen

	l        *language
	says     []Pronunciation
	quantity bool // a measure or a time was said last
}

func (s *scanner) run() (string, path) {
	for s.at < len(s.old) {
		s.step()
	}
	return s.b.String(), s.p
}

func (s *scanner) step() {
	rest := s.old[s.at:]
	if s.wordStart() && s.pronounce(rest) {
		return
	}
	r, n := utf8.DecodeRuneInString(rest)
	switch {
	case r == ' ':
		s.keep(1)
	case (unicode.IsLetter(r) || r >= '0' && r <= '9') && s.wordStart() && s.address(rest):
	case r >= '0' && r <= '9':
		s.figures(rest)
	case r == 'º' || r == 'ª':
		s.keep(n)
	case unicode.IsLetter(r):
		s.word(rest)
	default:
		s.sign(rest, r, n)
	}
}

// wordStart says whether no letter and no figure is right before this place.
func (s *scanner) wordStart() bool {
	r, _ := utf8.DecodeLastRuneInString(s.old[:s.at])
	return s.at == 0 || !unicode.IsLetter(r) && !unicode.IsDigit(r)
}

// say puts words in place of n bytes, parted from what is around them.
func (s *scanner) say(n int, words string) {
	if words = pronounced(s.says, words); words == "" {
		s.put(n, "")
		return
	}
	if l := s.last(); l != 0 && (unicode.IsLetter(l) || unicode.IsDigit(l) || strings.ContainsRune(".,;:!?%", l)) {
		words = " " + words
	}
	next, _ := utf8.DecodeRuneInString(s.old[s.at+n:])
	if unicode.IsLetter(next) && s.at+n < len(s.old) || unicode.IsDigit(next) {
		words += " "
	}
	s.put(n, words)
}

// before is the word before this place and the one before that, lower case.
func (s *scanner) before() (last, prior string) {
	text := s.old[:s.at]
	last, text = lastWord(text)
	prior, _ = lastWord(text)
	return strings.ToLower(last), strings.ToLower(prior)
}

// previous is the word before this place, lower case.
func (s *scanner) previous() string {
	last, _ := s.before()
	return last
}

// lastWord is the last word of a text and what is before it. Signs between
// words are passed over, but not the end of a sentence.
func lastWord(text string) (word, left string) {
	text = strings.TrimRight(text, " :#(\"'“„«,")
	if strings.HasSuffix(text, "!") || strings.HasSuffix(text, "?") || strings.HasSuffix(text, ";") {
		return "", ""
	}
	text = strings.TrimRight(text, ".")
	i := strings.LastIndexFunc(text, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '°' && r != 'º' && r != '.'
	})
	return text[i+1:], text[:i+1]
}

// after says whether a place of a text is no part of a word any more.
func after(text string) bool {
	r, n := utf8.DecodeRuneInString(text)
	return n == 0 || !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_'
}

// wordLen is how long the letters at the start of a text are.
func wordLen(text string) int {
	for i, r := range text {
		if !unicode.IsLetter(r) && !unicode.Is(unicode.Mn, r) {
			return i
		}
	}
	return len(text)
}

// digitLen is how many figures a text begins with.
func digitLen(text string) int { return len(text) - len(strings.TrimLeft(text, "0123456789")) }

// word is a word: an abbreviation, letters of an id, or as it is written.
func (s *scanner) word(rest string) {
	if s.money(rest) { // "CHF 20", "R$ 5"
		return
	}
	n := wordLen(rest)
	if s.abbreviation(rest, n) {
		return
	}
	word := rest[:n]
	digits := digitLen(rest[n:])
	dash := 0
	if digits == 0 && strings.HasPrefix(rest[n:], "-") {
		if digits = digitLen(rest[n+1:]); digits > 0 {
			dash = 1
		}
	}
	if digits > 0 && s.wordStart() || !s.wordStart() && isDigit(s.old[s.at-1]) {
		if l := s.last(); unicode.IsLetter(l) || unicode.IsDigit(l) {
			s.put(0, " ")
		}
		if utf8.RuneCountInString(word) <= 3 && strings.ToUpper(word) == word { // letters of an id
			for i, r := range word {
				if i > 0 {
					s.put(0, " ")
				}
				s.keep(utf8.RuneLen(r))
			}
		} else {
			s.keep(n)
		}
		if digits > 0 {
			s.put(dash, " ")
			s.idFigures(rest[n+dash : n+dash+digits])
		}
		return
	}
	s.keep(n)
}

// idFigures says the figures within a word: a small number as one, others
// figure by figure.
func (s *scanner) idFigures(digits string) {
	if len(digits) <= 2 && digits[0] != '0' {
		s.say(len(digits), s.l.cardinal(value(digits), counting))
		return
	}
	s.digits(digits)
}

// digits says figures one by one, each its own piece of the way back, with a
// pause between groups.
func (s *scanner) digits(digits string) {
	for i := range len(digits) {
		lead := " "
		if l := s.last(); i == 0 && (l == ' ' || l == 0 || !unicode.IsLetter(l) && !unicode.IsDigit(l) && l != ',') {
			lead = ""
		}
		if i > 0 && groupStart(i, len(digits)) {
			lead = ", "
		}
		s.put(1, lead+s.l.digits[digits[i]-'0'])
	}
	next, _ := utf8.DecodeRuneInString(s.old[s.at:])
	if unicode.IsLetter(next) && s.at < len(s.old) {
		s.put(0, " ")
	}
}

// groupStart says whether a pause is made before figure i of n that are
// written without one: 555 1234, 123 456, 1234 5678.
func groupStart(i, n int) bool {
	switch {
	case n <= 5:
		return false
	case n == 7, n == 10:
		return i%3 == 0 && i < n-1
	case n%4 == 0:
		return i%4 == 0
	}
	return i%3 == 0
}

// sign is anything that is neither a letter nor a figure.
func (s *scanner) sign(rest string, r rune, n int) {
	if s.money(rest) || s.telephone(rest) {
		return
	}
	next := rest[n:]
	number := len(next) > 0 && isDigit(next[0])
	var last byte
	if s.at > 0 {
		last = s.old[s.at-1]
	}
	switch {
	case r == '-' || r == '–' || r == '—' || r == '−':
		s.dash(rest, n)
	case r == '#' && number:
		s.say(n, s.l.signs["#"])
		s.digits(next[:digitLen(next)])
	case r == '#' || strings.ContainsRune(`{}^\~`, r) && !(r == '~' && number):
		s.put(n, "")
	case r == '~':
		s.say(n, s.l.signs["≈"])
	case r == '/' && isDigit(last) && number:
		s.put(n, " ")
	case r == '/' && (strings.HasSuffix(s.old[:s.at], "€") || strings.HasSuffix(s.old[:s.at], "$")):
		s.say(n, s.l.per)
	case r == '/':
		s.put(n, " ")
	case r == ':' && isDigit(last) && number:
		s.put(n, " "+s.l.to+" ")
	case r == '.' && isDigit(last) && number:
		s.put(n, " "+s.l.spelled['.']+" ")
	case r == '+' && last != ' ' && !number && s.at > 0: // C++
		s.put(n, " "+s.l.signs["+"])
	case s.l.signs[rest[:n]+"+"] != "" && isDigit(last):
		s.say(n, s.l.signs[rest[:n]+"+"])
	case s.l.signs[rest[:n]] != "":
		s.say(n, s.l.signs[rest[:n]])
	case r == '<' || r == '>' || r == '&':
		s.put(n, "")
	default:
		s.keep(n)
	}
}

// dash is the minus of a number, the "to" between two of them, or a dash.
func (s *scanner) dash(rest string, n int) {
	next := strings.TrimLeft(rest[n:], " ")
	gap := len(rest) - n - len(next)
	number := next != "" && (isDigit(next[0]) || s.moneySign(next))
	left := strings.TrimRight(s.old[:s.at], " ")
	wide := len(left) < s.at || gap > 0
	r, _ := utf8.DecodeLastRuneInString(left)
	numberBefore := unicode.IsDigit(r) || strings.ContainsRune("€$£%°.", r) && left != "" || s.quantity && !wide
	switch {
	case number && gap == 0 && (s.at == 0 || strings.ContainsRune(" (", rune(s.old[s.at-1]))):
		s.say(n, s.l.minus)
	case number && numberBefore && (!wide || rest[0] != '-' || gap > 0):
		lead := " "
		if s.last() == ' ' {
			lead = ""
		}
		s.put(n+gap, lead+s.l.to+" ")
	default:
		s.keep(n)
	}
}

// moneySign says whether a text begins with the sign of a currency.
func (s *scanner) moneySign(text string) bool {
	r, n := utf8.DecodeRuneInString(text)
	_, ok := s.l.currencies[text[:n]]
	return ok && !unicode.IsLetter(r)
}
