package spoken

import (
	"strings"
)

// gender is the form of a number before a noun.
type gender uint8

const (
	counting gender = iota // no noun: "eins", "uno"
	masc                   // "ein", "un"; German neuters too
	fem                    // "eine", "una"
)

// noun is a thing that is counted.
type noun struct {
	one, many string
	g         gender
}

// money is a currency: its unit and the hundredth of it.
type money struct{ unit, cent noun }

// language is how one language says what is written in signs and figures.
type language struct {
	// Figures: 1.250,50 has the group sign '.' and the decimal sign ','.
	decimal, group byte
	spaced         bool // thousands may be parted by spaces
	point          string
	wholeDecimals  bool // 3,14 is said "trois virgule quatorze", not figure by figure
	minus, to      string
	digits         [10]string
	cardinal       func(n uint64, g gender) string
	ordinal        func(n uint64, g gender) string
	ordinalMarks   map[string]gender // behind a number: "3rd", "3º"
	dotOrdinal     bool              // "3." is an ordinal, its ending decided by what is before it
	large          map[string]noun   // "Mio." behind a number
	of             string            // between millions and a noun: "de"
	elides         bool              // "d'euros"

	currencies map[string]money // by sign and by code
	cents      string           // between the unit and its hundredths
	centNames  bool             // the hundredths are named: "fifty cents"
	units      map[string]noun  // of measure
	per        string           // of the slash in "5 €/kg"
	percent    string
	signs      map[string]string // of single characters
	spelled    map[byte]string   // what an address is read back with

	months     [12]string
	monthNames map[string]int // 1 to 12, lower case, with short forms
	monthFirst bool           // 05/03 is in May
	day        func(l *language, d uint64, before string) string
	dayOf      string // between day and month, and month and year: "de"
	year       func(l *language, y uint64) string
	yearWords  map[string]bool // before a year
	clock      func(l *language, h, m uint64, named bool) string
	hourMarks  map[string]bool // behind an hour: "Uhr", "h"
	hourWords  map[string]bool // before an hour: "alle 14.30"
	am, pm     string

	always    bool                     // 1999 is always said as a year
	genderOf  func(word string) gender // of a noun, from its ending
	afterName map[string]string        // short forms that mean another thing behind a name

	idWords     map[string]bool // before a number that is read figure by figure
	short       map[string]string
	needsNumber map[string]bool // short forms that are words of their own but before a number
}

// region is a language for a tag such as en-GB; English where it is none of
// ours.
func region(tag string) *language {
	base, rest, _ := strings.Cut(strings.ToLower(strings.ReplaceAll(tag, "_", "-")), "-")
	of, ok := languages[base]
	if !ok {
		of = languages["en"]
	}
	l := *of
	l.needsNumber = numbered
	if vary := regions[base]; vary != nil {
		vary(&l, rest)
	}
	return &l
}

// languages are those that are known, by their BCP 47 language.
var languages = map[string]*language{
	"en": english(), "de": german(), "fr": french(), "es": spanish(), "it": italian(), "nl": dutch(), "pt": portuguese(),
}

// regions change a language to what is usual somewhere.
var regions = map[string]func(l *language, region string){
	"en": englishOf, "de": germanOf, "fr": frenchOf, "es": spanishOf, "pt": portugueseOf,
}

// numbered are short forms of all languages that are another word, or the end of
// a sentence, when no number follows.
var numbered = set("no nos nr nr. fig vol art pag pág blz ext min sec ca")

// within tells whether a tag's rest names one of the regions.
func within(rest, regions string) bool {
	for part := range strings.SplitSeq(rest, "-") {
		for r := range strings.FieldsSeq(regions) {
			if part == r {
				return true
			}
		}
	}
	return false
}

func set(words string) map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(words) {
		m[w] = true
	}
	return m
}

// table reads lines of "key key = value".
func table(lines string) map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(lines) {
		keys, value, ok := strings.Cut(line, "=")
		if !ok {
			continue
		}
		for k := range strings.FieldsSeq(keys) {
			m[k] = strings.TrimSpace(value)
		}
	}
	return m
}

// nouns reads lines of "key key = one, many" with an f behind for the feminine.
func nouns(lines string) map[string]noun {
	m := map[string]noun{}
	for k, v := range table(lines) {
		f := strings.Split(v, ",")
		n := noun{strings.TrimSpace(f[0]), strings.TrimSpace(f[len(f)-1]), masc}
		if len(f) == 3 {
			n = noun{strings.TrimSpace(f[0]), strings.TrimSpace(f[1]), fem}
		}
		m[k] = n
	}
	return m
}

// months reads twelve names with their short forms: "January jan, February feb".
func months(list string) (names [12]string, by map[string]int) {
	by = map[string]int{}
	for i, f := range strings.Split(list, ",") {
		for j, w := range strings.Fields(f) {
			if j == 0 {
				names[i] = w
			}
			by[strings.ToLower(w)] = i + 1
		}
	}
	return names, by
}

// figures are the names of 0 to 9.
func figures(list string) (d [10]string) {
	copy(d[:], strings.Fields(list))
	return d
}

// currencies are read from lines of "sign code = one, many, cent, cents" with
// f behind the unit and the cent where they are feminine: "libra,f".
func currencies(lines string) map[string]money {
	m := map[string]money{}
	for k, v := range table(lines) {
		f := strings.Split(v, ",")
		for i := range f {
			f[i] = strings.TrimSpace(f[i])
		}
		one := func(a, b string) noun {
			n := noun{strings.TrimSuffix(a, "/f"), b, masc}
			if strings.HasSuffix(a, "/f") {
				n.g = fem
			}
			return n
		}
		m[k] = money{one(f[0], f[1]), one(f[2], f[3])}
	}
	return m
}

// of picks the form of a noun for a number, "1" alone being one.
func (n noun) of(count uint64) string {
	if count == 1 {
		return n.one
	}
	return n.many
}

// longestNumber is how many figures a number has at most that is said as one.
const longestNumber = 15

// spell says figures one by one.
func (l *language) spell(digits string) string {
	var b strings.Builder
	for i := range len(digits) {
		if !isDigit(digits[i]) {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(l.digits[digits[i]-'0'])
	}
	return b.String()
}

// whole says a number written in figures without signs.
func (l *language) whole(digits string, g gender) string {
	if len(digits) > longestNumber {
		return l.spell(digits)
	}
	return l.cardinal(value(digits), g)
}

// value is what at most longestNumber figures are worth.
func value(digits string) (n uint64) {
	for i := range min(len(digits), longestNumber) {
		n = n*10 + uint64(digits[i]-'0')
	}
	return n
}

// fraction says the figures behind the decimal sign.
func (l *language) fraction(digits string) string {
	if l.wholeDecimals && len(digits) <= 2 && digits[0] != '0' {
		return l.cardinal(value(digits), counting)
	}
	return l.spell(digits)
}
