package turn

import (
	"strings"
	"unicode"
)

// Normal is text as it is compared: lower case, no punctuation, single spaces.
func Normal(text string) string {
	var b strings.Builder
	space := false
	for _, r := range strings.ToLower(text) {
		switch {
		case r == '’':
			r = '\''
			fallthrough
		case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '\'':
			if space && b.Len() > 0 {
				b.WriteByte(' ')
			}
			space = false
			b.WriteRune(r)
		default:
			space = true
		}
	}
	return b.String()
}

// Words are the words of a text as they are compared.
func Words(text string) []string { return strings.Fields(Normal(text)) }

// Asks says whether the last sentence of a text is a question: what is said
// after it is an answer, and may be short.
func Asks(text string) bool {
	text = strings.TrimRightFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsSymbol(r) || strings.ContainsRune(`"'”’»)*_`, r)
	})
	return strings.HasSuffix(text, "?") || strings.HasSuffix(text, "？") || strings.HasSuffix(text, "؟")
}

// wordSet is a set of words and of phrases of up to longestPhrase words.
type wordSet map[string]bool

const longestPhrase = 4

// wordsOf reads a set: words apart by spaces, those of a phrase by underscores.
func wordsOf(text string) wordSet {
	s := wordSet{}
	for w := range strings.FieldsSeq(text) {
		s[strings.ReplaceAll(w, "_", " ")] = true
	}
	return s
}

// add puts all of another set into s.
func (s wordSet) add(o wordSet) {
	for w := range o {
		s[w] = true
	}
}

// begins is how many of the words, from the first, are the longest entry of
// the set that they begin with; 0 for none.
func (s wordSet) begins(words []string) int {
	for n := min(len(words), longestPhrase); n > 0; n-- {
		if s[strings.Join(words[:n], " ")] {
			return n
		}
	}
	return 0
}

// ends is the same from the last word back.
func (s wordSet) ends(words []string) int {
	for n := min(len(words), longestPhrase); n > 0; n-- {
		if s[strings.Join(words[len(words)-n:], " ")] {
			return n
		}
	}
	return 0
}

// without are the words that no entry of the set covers.
func (s wordSet) without(words []string) []string {
	var out []string
	for len(words) > 0 {
		n := s.begins(words)
		if n == 0 {
			out = append(out, words[0])
			n = 1
		}
		words = words[n:]
	}
	return out
}

// Lexicon is what a conversation has to know of a language's words: which are
// signs of listening, which stop us, and after which a caller goes on.
type Lexicon struct {
	backchannels wordSet // signs of listening (conv:B4)
	stops        wordSet // stop us even alone (BP2)
	unfinished   wordSet // after which a sentence goes on
	short        wordSet // answers that are whole on their own
	numbers      wordSet // number words
	spelling     wordSet // said between letters and signs that are spelled
}

// LexiconOf is the lexicon of a language by its tag (BCP 47: "de", "pt-BR"). A
// language that has none, or "", gets the words of all.
func LexiconOf(language string) *Lexicon {
	if l := lexicons[primary(language)]; l != nil {
		return l
	}
	return anyLanguage
}

// primary is the language of a tag without its region and script.
func primary(tag string) string {
	base, _, _ := strings.Cut(strings.ToLower(strings.ReplaceAll(tag, "_", "-")), "-")
	return base
}

// anyLanguage are the words of all languages together.
var anyLanguage = func() *Lexicon {
	all := &Lexicon{
		backchannels: wordSet{}, stops: wordSet{}, unfinished: wordSet{}, short: wordSet{}, numbers: wordSet{},
		spelling: wordSet{},
	}
	for _, l := range lexicons {
		all.backchannels.add(l.backchannels)
		all.stops.add(l.stops)
		all.unfinished.add(l.unfinished)
		all.short.add(l.short)
		all.numbers.add(l.numbers)
		all.spelling.add(l.spelling)
	}
	for w := range all.short { // an article here may be an answer there
		delete(all.unfinished, w)
	}
	return all
}()

// Backchannel says whether words only tell that the caller listens.
func (l *Lexicon) Backchannel(words []string) bool { return len(l.backchannels.without(words)) == 0 }

// Stop says whether words tell us to stop: they begin with a word for it, after
// sounds of listening, and do not go on for long.
func (l *Lexicon) Stop(words []string) bool {
	for {
		if n := l.stops.begins(words); n > 0 {
			return len(words) <= n+2
		}
		n := l.backchannels.begins(words)
		if n == 0 {
			return false
		}
		words = words[n:]
	}
}

// Content is how finished the words of a caller look.
type Content uint8

// The contents, by how long the caller is waited for after them.
const (
	Plain       Content = iota // nothing tells
	Finished                   // a sentence's end, or an answer that is whole
	Unfinished                 // a conjunction, an article, an "um": more will come
	Enumerating                // single digits or letters, one after the other: more may come
)

// Content judges the words of a turn. asked tells that they answer a question:
// then a few words are an answer, and whole.
func (l *Lexicon) Content(text string, asked bool) Content {
	text = strings.TrimSpace(text)
	words := tokens(text)
	if len(words) == 0 {
		return Plain
	}
	stop := strings.HasSuffix(text, ".") && !strings.HasSuffix(text, "..") ||
		strings.HasSuffix(text, "!") || strings.HasSuffix(text, "?")
	open := strings.HasSuffix(text, "…") || strings.HasSuffix(text, "..") || strings.HasSuffix(text, ",") ||
		strings.HasSuffix(text, "-")
	short := len(l.short.without(words)) == 0
	switch {
	case l.enumerates(words):
		return Enumerating
	case open:
		return Unfinished
	case stop, short && len(words) <= 3:
		return Finished
	case l.unfinished.ends(words) > 0:
		return Unfinished
	case asked && len(words) <= 3:
		return Finished
	}
	return Plain
}

// tokens are the words of a text, with "5:30", "1,250" and "3.14" one word each
// that is no number given digit by digit.
func tokens(text string) []string {
	var out []string
	for f := range strings.FieldsSeq(text) {
		n := strings.Fields(Normal(f))
		if len(n) > 1 && isNumber(strings.Join(n, "")) && strings.ContainsAny(strings.TrimRight(f, ".,:"), ":.,/") {
			n = []string{strings.ToLower(f)}
		}
		out = append(out, n...)
	}
	return out
}

// A number that is given digit by digit is whole with so many of them: the
// digits of a telephone number.
const wholeNumber = 10

// enumerates says whether words end in a number or a name that is given sign by
// sign: "four five", "j o h", "john dot". A recogniser's full stop after it
// means little.
func (l *Lexicon) enumerates(words []string) bool {
	signs, digits := 0, 0
	for i := len(words); i > 0; {
		n := 1
		switch w := words[i-1]; {
		case len([]rune(w)) == 1:
			signs++
			if w[0] >= '0' && w[0] <= '9' {
				digits++
			}
		case l.numbers.ends(words[:i]) > 0:
			n = l.numbers.ends(words[:i])
			signs++
			digits++
		case l.spelling.ends(words[:i]) > 0:
			n = l.spelling.ends(words[:i])
			if i == len(words) {
				signs++ // "john dot": more must come
			}
			signs++
		case isNumber(w):
			signs++
			digits += len(w)
		default:
			i = 0
			continue
		}
		i -= n
	}
	return signs >= 2 && digits < wholeNumber
}

func isNumber(w string) bool { return strings.Trim(w, "0123456789") == "" }

// Words of who is taking leave.
var farewells = wordsOf(`bye goodbye see you later thanks thank cheers take care good day night cool great perfect
	tschüss tschüs wiederhören wiedersehen auf danke schönen tag noch ciao servus
	au revoir merci bonne journée à bientôt adiós gracias hasta luego adéu arrivederci grazie buona giornata
	dag doei ziens tot bedankt dank u fijne tchau obrigado obrigada até logo`)

// Farewell says whether words only take leave.
func (l *Lexicon) Farewell(words []string) bool {
	leave := false
	for _, w := range words {
		leave = leave || farewells[w]
		if !farewells[w] && !l.backchannels[w] {
			return false
		}
	}
	return leave
}
