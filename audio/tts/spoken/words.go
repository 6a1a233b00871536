package spoken

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Pronunciation is a word and how it is to be said. One that is written without
// capitals stands for the word in any case, any other only as it is written.
// Language is a BCP 47 language it is for, "" for all.
type Pronunciation struct{ Word, Say, Language string }

// pronounce says a word of the list where the text begins with it.
func (s *scanner) pronounce(rest string) bool {
	for _, p := range s.says {
		if p.starts(rest) {
			s.put(len(p.Word), plainWords(p.Say))
			return true
		}
	}
	return false
}

// starts says whether a text begins with the word, whole.
func (p Pronunciation) starts(text string) bool {
	n := len(p.Word)
	if len(text) < n || !after(text[n:]) && wordEnd(p.Word) {
		return false
	}
	if p.Word == strings.ToLower(p.Word) {
		return strings.EqualFold(text[:n], p.Word)
	}
	return text[:n] == p.Word
}

// wordEnd says whether a word ends with a letter or a figure, so that none may
// follow it.
func wordEnd(word string) bool {
	r, _ := utf8.DecodeLastRuneInString(word)
	return unicode.IsLetter(r) || unicode.IsDigit(r)
}

// pronounced is words that a rule has made, with those of the list said so.
func pronounced(list []Pronunciation, words string) string {
	for _, p := range list {
		for i := 0; i < len(words); {
			r, _ := utf8.DecodeLastRuneInString(words[:i])
			if p.starts(words[i:]) && (i == 0 || !unicode.IsLetter(r)) {
				say := plainWords(p.Say)
				words = words[:i] + say + words[i+len(p.Word):]
				i += len(say)
				continue
			}
			_, n := utf8.DecodeRuneInString(words[i:])
			i += n
		}
	}
	return words
}

// plainWords is text without what a voice could take for markup.
func plainWords(text string) string {
	return strings.Join(strings.Fields(markup.Replace(text)), " ")
}

var markup = strings.NewReplacer("<", " ", ">", " ", "&", " ")

// Short forms that are known without their full stop.
var bareShort = set("mr mrs ms dr mme mlle mevr dhr drs vs asap rdv svp stp gmbh plz mwst w/o btw")

// abbreviation says a short form in full.
func (s *scanner) abbreviation(rest string, n int) bool {
	if !s.wordStart() {
		return false
	}
	word, end := shortForm(rest, n)
	key := strings.ToLower(strings.ReplaceAll(word, " ", ""))
	dot := strings.HasSuffix(key, ".")
	full := s.l.short[strings.TrimSuffix(key, ".")]
	if full == "" && end > n { // "usw." in a longer run, or a name with dots
		word, end = rest[:n], n
		key, dot = strings.ToLower(word), false
		if strings.HasPrefix(rest[n:], ".") {
			dot, end = true, n+1
		}
		full = s.l.short[key]
	}
	if full == "" {
		return false
	}
	inner := strings.IndexByte(strings.TrimSuffix(key, "."), '.') >= 0
	next := strings.TrimLeft(rest[end:], " ")
	r, _ := utf8.DecodeRuneInString(next)
	first, _ := utf8.DecodeRuneInString(word)
	key = strings.TrimSuffix(key, ".")
	street := s.l.afterName[key] != "" && dot && s.l.place(key, "", s.old[:s.at], r) != ""
	switch {
	case street:
	case !after(rest[end:]):
		return false
	case !dot && !inner && !(bareShort[key] && (unicode.IsUpper(r) || utf8.RuneCountInString(key) > 3 || key == "vs")):
		return false
	case utf8.RuneCountInString(key) <= 3 && !inner && !unicode.IsDigit(r) && !unicode.IsUpper(r) && !always[key]:
		return false
	case s.l.needsNumber[key] && !unicode.IsDigit(r):
		return false
	case key == "m" && first != 'M':
		return false
	}
	full = s.l.place(key, full, s.old[:s.at], r)
	if dot && strings.TrimSpace(rest[end:]) == "" { // the full stop as well
		full += "."
	}
	s.say(end, full)
	return true
}

// Short forms of up to three letters that need nothing behind them.
var always = set("etc usw bzw ggf z.b d.h ecc enz ca jr sr inc ltd co vs evt tel max min rdv env svp inkl tél qté")

// shortForm is the longest run of letters and full stops at the start of a
// text, and its bytes: "z. B." as well as "z.B.".
func shortForm(rest string, n int) (string, int) {
	end := n
	for strings.HasPrefix(rest[end:], ".") {
		k := wordLen(rest[end+1:])
		if k == 0 && n <= 2 && strings.HasPrefix(rest[end+1:], " ") {
			if k = wordLen(rest[end+2:]); k > 0 && k <= 2 && strings.HasPrefix(rest[end+2+k:], ".") {
				end += 2 + k
				continue
			}
			k = 0
		}
		if k == 0 {
			end++
			break
		}
		end += 1 + k
	}
	return rest[:end], end
}

// place is a short form that means something else behind a name: "Main St." is
// a street, "St. Mary" a saint.
func (l *language) place(key, full, before string, next rune) string {
	other := l.afterName[key]
	if other == "" || unicode.IsUpper(next) {
		return full
	}
	word, _ := lastWord(before)
	if r, _ := utf8.DecodeRuneInString(word); unicode.IsUpper(r) {
		return other
	}
	return full
}
