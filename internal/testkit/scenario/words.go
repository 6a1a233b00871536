package scenario

import (
	"strings"
	"time"
	"unicode"
)

// split is a text as words without case and punctuation: "It's here." is
// "its", "here".
func split(text string) []string {
	text = strings.NewReplacer("'", "", "’", "").Replace(strings.ToLower(text))
	return strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}

// phrases are the ways in which an expected word may be said: "on
// monday|tuesday" is "on monday" or "tuesday".
func phrases(expected string) [][]string {
	var list [][]string
	for way := range strings.SplitSeq(expected, "|") {
		if words := split(way); len(words) > 0 {
			list = append(list, words)
		}
	}
	return list
}

// word is one that was heard, with the time at which its utterance began.
type word struct {
	text  string
	began time.Time
}

// ear holds what was heard of the agent. Settled words stay; those of an
// utterance that is still being recognised may change.
type ear struct {
	settled []word
	interim []word
	from    int       // words before this one are used up
	since   time.Time // utterances that began before do not count
}

func (e *ear) hear(h Heard) {
	words := make([]word, 0, len(h.Text)/5+1)
	for _, t := range split(h.Text) {
		words = append(words, word{t, h.Start})
	}
	e.interim = words
	if h.Final {
		e.settled, e.interim = append(e.settled, words...), nil
	}
}

// all are the settled words and those that may still change.
func (e *ear) all() []word { return append(e.settled[:len(e.settled):len(e.settled)], e.interim...) }

// fresh are the words that an expectation counts, and the place of the first.
func (e *ear) fresh() (words []word, at int) {
	all := e.all()
	at = min(e.from, len(all))
	for at < len(all) && all[at].began.Before(e.since) {
		at++
	}
	return all[at:], at
}

// missing are those of expected that the words do not have. last is the place
// behind the last word of those found.
func missing(expected []string, words []word) (list []string, last int) {
	for _, e := range expected {
		if end := find(e, words); end < 0 {
			list = append(list, e)
		} else {
			last = max(last, end)
		}
	}
	return list, last
}

// find is the place behind the first place where any way of the expected word
// is said, -1 for none.
func find(expected string, words []word) int {
	for i := range words {
		for _, way := range phrases(expected) {
			if i+len(way) <= len(words) && says(words[i:], way) {
				return i + len(way)
			}
		}
	}
	return -1
}

func says(words []word, way []string) bool {
	for i, w := range way {
		if words[i].text != w {
			return false
		}
	}
	return true
}

func join(words []word) string {
	list := make([]string, len(words))
	for i, w := range words {
		list[i] = w.text
	}
	return strings.Join(list, " ")
}
