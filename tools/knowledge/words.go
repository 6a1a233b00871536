package knowledge

import (
	"slices"
	"strings"
	"unicode"

	snowball "github.com/blevesearch/snowballstem"
	"github.com/blevesearch/snowballstem/dutch"
	"github.com/blevesearch/snowballstem/english"
	"github.com/blevesearch/snowballstem/french"
	"github.com/blevesearch/snowballstem/german"
	"github.com/blevesearch/snowballstem/italian"
	"github.com/blevesearch/snowballstem/portuguese"
	"github.com/blevesearch/snowballstem/spanish"
	"golang.org/x/text/unicode/norm"
)

// tongue is what is known of a language.
type tongue struct {
	stem func(*snowball.Env) bool
	stop map[string]bool
}

// tongues are the languages whose words are stemmed. Of others, words are
// compared as they stand.
var tongues = map[string]tongue{
	"en": {english.Stem, set(stopEnglish)},
	"fr": {french.Stem, set(stopFrench)},
	"de": {german.Stem, set(stopGerman)},
	"es": {spanish.Stem, set(stopSpanish)},
	"it": {italian.Stem, set(stopItalian)},
	"nl": {dutch.Stem, set(stopDutch)},
	"pt": {portuguese.Stem, set(stopPortuguese)},
}

func set(words string) map[string]bool {
	out := map[string]bool{}
	for w := range strings.FieldsSeq(words) {
		out[w] = true
	}
	return out
}

// maxTerm is how long a word may be, in bytes; longer ones are no words.
const maxTerm = 64

// split cuts a text into words in small letters. Scripts without spaces come
// in pairs of signs.
func split(text string, yield func(string)) {
	var word strings.Builder
	var last rune // ideograph before
	flush := func() {
		if word.Len() > 0 && word.Len() <= maxTerm {
			yield(word.String())
		}
		word.Reset()
	}
	for _, r := range norm.NFKC.String(text) {
		if isIdeograph(r) {
			flush()
			if last != 0 {
				yield(string([]rune{last, r}))
			}
			last = r
			continue
		}
		last = 0
		if unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) {
			if word.Len() <= maxTerm {
				word.WriteRune(unicode.ToLower(r))
			}
			continue
		}
		flush()
	}
	flush()
}

func isIdeograph(r rune) bool {
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai)
}

func hasWords(text string) bool {
	found := false
	split(text, func(string) { found = true })
	return found
}

// terms are the words of a text as they are compared: without those that mean
// nothing by themselves, stemmed, without accents.
func terms(text, language string) []string {
	var out []string
	t := tongues[language]
	split(text, func(w string) {
		if t.stop[w] || len(w) == 1 && w[0] >= 'a' {
			return
		}
		if t.stem != nil && !hasDigit(w) {
			e := snowball.NewEnv(w)
			t.stem(e)
			w = e.Current()
		}
		if w = plain(w); w != "" {
			out = append(out, w)
		}
	})
	return out
}

func hasDigit(s string) bool { return strings.ContainsFunc(s, unicode.IsDigit) }

var sharp = strings.NewReplacer("ß", "ss", "œ", "oe", "æ", "ae", "ø", "o")

// plain takes accents off: a recogniser or a caller's keyboard may lack them.
func plain(w string) string {
	if isASCII(w) {
		return w
	}
	var b strings.Builder
	for _, r := range norm.NFD.String(sharp.Replace(w)) {
		if !unicode.Is(unicode.Mn, r) {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// guess is the language of a text by the share of its words that mean nothing
// by themselves, "" where no language's share is a fifth, or an eighth of the
// few words of a short text.
func guess(text string) string {
	counts, n := map[string]int{}, 0
	split(clipBytes(text, 20_000), func(w string) {
		n++
		for l, t := range tongues {
			if t.stop[w] {
				counts[l]++
			}
		}
	})
	best, most := "", n/5
	if n < 50 {
		most = n / 8
	}
	for _, l := range languages() {
		if counts[l] > most {
			best, most = l, counts[l]
		}
	}
	return best
}

func languages() []string {
	var out []string
	for l := range tongues {
		out = append(out, l)
	}
	slices.Sort(out)
	return out
}

func clipBytes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
