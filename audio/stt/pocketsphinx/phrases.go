package pocketsphinx

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// phrases is what a file of sentences holds:
//
//	# what callers say
//	my order number is <digits>
//	my name is spelled <codewords>
//	What's my delivery date?
//	patchcord = P AE CH K AO R D
//
// A sentence is a line of words; case and punctuation do not matter. <digit>
// stands for a spoken digit (zero or oh to nine), <codeword> for a word of the
// spelling alphabet (alpha to zulu), <digits> and <codewords> for any number of
// them. A line with = gives a word that the dictionary lacks its pronunciation,
// in the phones of CMUdict; a second such line an alternative.
type phrases struct {
	name      string
	sentences []sentence
	extra     map[string][][]string // pronunciations of a word
}

type sentence struct {
	line  int
	words []string
}

// The classes of words. There is none of the letters' own names: of "j o h n dot
// d o e" three in seven are wrong over the telephone, two in G.722.
const (
	classDigit = "<digit>"
	classCode  = "<codeword>"
)

// members are the words of a class.
var members = map[string][]string{
	classDigit: {"zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"},
	classCode: strings.Fields(`alpha bravo charlie delta echo foxtrot golf hotel india juliet kilo lima mike november oscar
		papa quebec romeo sierra tango uniform victor whiskey xray yankee zulu`),
}

// unlisted are members that CMUdict spells otherwise, with their sounds.
var unlisted = map[string]string{"xray": "EH K S R EY"}

// run is any number of members of a class: lengths are how long sequences of
// them are, and how often.
type run struct {
	of      string
	lengths []float64
}

// runs are those that a sentence may have: order numbers of four digits most of
// all, names of four to six letters, but none is impossible.
var runs = map[string]run{
	"<digits>":    {classDigit, []float64{1: 0.10, 2: 0.10, 3: 0.15, 4: 0.25, 5: 0.15, 6: 0.15, 7: 0.05, 8: 0.05}},
	"<codewords>": {classCode, nameLengths},
}

var nameLengths = []float64{1: 0.05, 2: 0.10, 3: 0.15, 4: 0.20, 5: 0.20, 6: 0.15, 7: 0.10, 8: 0.05}

// maxRuns bounds them in a sentence, which is counted with every length of each.
const maxRuns = 3

// isClass says whether a word stands for others.
func isClass(word string) bool { return members[word] != nil || runs[word].of != "" }

// classes are the names of all, for an error.
func classes() string {
	return strings.Join(append(slices.Sorted(maps.Keys(members)), slices.Sorted(maps.Keys(runs))...), ", ")
}

// phones are the sounds of CMUdict, without stress.
var phones = strings.Fields("AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH " +
	"UH UW V W Y Z ZH")

// maxFaults is how many faults of a file are told at once.
const maxFaults = 20

// readPhrases reads a file of sentences; name stands in its errors, of which
// each says the line.
func readPhrases(r io.Reader, name string) (*phrases, error) {
	p := &phrases{name: name, extra: map[string][][]string{}}
	var faults []error
	lines := bufio.NewScanner(r)
	n := 0
	for lines.Scan() {
		n++
		line := strings.TrimSpace(strings.TrimPrefix(lines.Text(), "\ufeff"))
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := p.add(n, line); err != nil {
			faults = append(faults, fmt.Errorf("%s:%d: %w", name, n, err))
		}
		if len(faults) == maxFaults {
			break
		}
	}
	if err := lines.Err(); err != nil {
		faults = append(faults, fmt.Errorf("%s:%d: %w", name, n+1, err))
	}
	if len(faults) == 0 && len(p.sentences) == 0 {
		faults = append(faults, fmt.Errorf("%s: no sentence in it", name))
	}
	return p, errors.Join(faults...)
}

func (p *phrases) add(n int, line string) error {
	if word, pronunciation, ok := strings.Cut(line, "="); ok {
		return p.pronounce(strings.ToLower(strings.TrimSpace(word)), strings.Fields(strings.ToUpper(pronunciation)))
	}
	words, err := split(line)
	if err != nil {
		return err
	}
	many := 0
	for _, w := range words {
		if runs[w].of != "" {
			many++
		}
	}
	if many > maxRuns {
		return fmt.Errorf("%d times <digits> or <codewords> in a sentence: want %d at most", many, maxRuns)
	}
	if len(words) > 0 {
		p.sentences = append(p.sentences, sentence{n, words})
	}
	return nil
}

func (p *phrases) pronounce(word string, sounds []string) error {
	words, err := split(word)
	switch {
	case err != nil:
		return err
	case len(words) != 1 || words[0] != word || word[0] == '<':
		return fmt.Errorf("%q before = is not one plain word", word)
	case len(sounds) == 0:
		return fmt.Errorf("%s has no phones after =", word)
	}
	for _, s := range sounds {
		if !isPhone(s) {
			return fmt.Errorf("%q is no phone of CMUdict: want some of %s", s, strings.Join(phones, " "))
		}
	}
	p.extra[word] = append(p.extra[word], sounds)
	return nil
}

func isPhone(s string) bool {
	for _, p := range phones {
		if p == s {
			return true
		}
	}
	return false
}

// split is the words of a line as the dictionary spells them.
func split(line string) ([]string, error) {
	line = strings.NewReplacer("’", "'", "‘", "'").Replace(strings.ToLower(line))
	var words []string
	for _, field := range strings.FieldsFunc(line, func(r rune) bool {
		return unicode.IsSpace(r) || strings.ContainsRune(",.;:!?\"“”()[]…–—-/", r)
	}) {
		field = strings.Trim(field, "'")
		switch {
		case field == "":
		case isClass(field):
			words = append(words, field)
		case strings.ContainsAny(field, "<>"):
			return nil, fmt.Errorf("%q is no class: want one of %s", field, classes())
		case strings.ContainsFunc(field, unicode.IsDigit):
			return nil, fmt.Errorf("%q: write numbers as they are spoken (four seven), or <digits>", field)
		case strings.ContainsFunc(field, func(r rune) bool { return (r < 'a' || r > 'z') && r != '\'' }):
			return nil, fmt.Errorf("%q is not an English word: letters a to z and ' only", field)
		default:
			words = append(words, field)
		}
	}
	return words, nil
}
