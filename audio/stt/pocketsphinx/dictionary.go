package pocketsphinx

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// pronunciation is one line of a dictionary.
type pronunciation struct {
	word   string
	sounds string // phones, a space between
}

// pronounceAll finds every pronunciation of the words of p in CMUdict. Words
// that have none there and none in the file are refused, each with its line.
func (p *phrases) pronounceAll(cmudict io.Reader) ([]pronunciation, error) {
	first := map[string]int{} // the line where a word stands first
	for _, s := range p.sentences {
		for _, w := range s.words {
			all := []string{w}
			if isClass(w) {
				all = members[cmp.Or(runs[w].of, w)]
			}
			for _, w := range all {
				if sounds := unlisted[w]; sounds != "" && p.extra[w] == nil {
					p.extra[w] = [][]string{strings.Fields(sounds)}
				}
				if _, ok := first[w]; !ok {
					first[w] = s.line
				}
			}
		}
	}
	var dict []pronunciation
	found := map[string]bool{}
	for word, list := range p.extra {
		for _, sounds := range list {
			dict = append(dict, pronunciation{word, strings.Join(sounds, " ")})
		}
		found[word] = true
	}
	lines := bufio.NewScanner(cmudict)
	for lines.Scan() {
		name, sounds, ok := strings.Cut(lines.Text(), " ")
		if !ok {
			continue
		}
		word, _, _ := strings.Cut(name, "(") // the second way to say it is word(2)
		if _, ok := first[word]; ok && p.extra[word] == nil {
			dict = append(dict, pronunciation{word, strings.TrimSpace(sounds)})
			found[word] = true
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("stt: pocketsphinx: read dictionary: %w", err)
	}
	slices.SortStableFunc(dict, func(a, b pronunciation) int { return strings.Compare(a.word, b.word) })
	return dict, p.unpronounced(first, found)
}

func (p *phrases) unpronounced(first map[string]int, found map[string]bool) error {
	var unknown []string
	for w := range first {
		if !found[w] {
			unknown = append(unknown, w)
		}
	}
	slices.SortFunc(unknown, func(a, b string) int {
		if first[a] != first[b] {
			return first[a] - first[b]
		}
		return strings.Compare(a, b)
	})
	var faults []error
	for _, w := range unknown[:min(len(unknown), maxFaults)] {
		faults = append(faults, fmt.Errorf("%s:%d: no pronunciation is known of %q: add a line such as %q",
			p.name, first[w], w, w+" = P AE CH"))
	}
	return errors.Join(faults...)
}

// has tells whether a word or class stands in any sentence.
func (p *phrases) has(word string) bool {
	return slices.ContainsFunc(p.sentences, func(s sentence) bool { return slices.Contains(s.words, word) })
}

// writeDictionary writes dict in the form of CMUdict, with numbers on the
// second and further ways to say a word.
func writeDictionary(w io.Writer, dict []pronunciation) error {
	b := bufio.NewWriter(w)
	for i, d := range dict {
		n := 1
		for i-n >= 0 && dict[i-n].word == d.word {
			n++
		}
		if n == 1 {
			fmt.Fprintf(b, "%s %s\n", d.word, d.sounds)
		} else {
			fmt.Fprintf(b, "%s(%d) %s\n", d.word, n, d.sounds)
		}
	}
	return b.Flush()
}
