package knowledge

import (
	"math"
	"slices"
	"sort"
	"strings"
)

// book is a document made ready to be searched: for each of its terms, sorted,
// the chunks that have it. It does not change.
type book struct {
	doc       Document
	chunks    []Chunk
	words     []string  // the terms, sorted
	from      []uint32  // where the postings of words[i] begin; one more is their end
	postings  []posting // of all terms, by term and chunk
	backwards []uint32  // words by their letters from behind; of languages with compounds
	lengths   []float32 // terms of each chunk
	total     float64   // of all of them
}

// posting says how often a term stands in a chunk.
type posting struct {
	chunk uint32
	times uint16
}

func newBook(d Document, chunks []Chunk) *book {
	b := &book{doc: d, chunks: chunks, lengths: make([]float32, len(chunks))}
	all, count, size := map[string][]posting{}, map[string]int{}, 0
	for i := range chunks {
		clear(count)
		n := 0
		for _, t := range terms(d.Title+"\n"+chunks[i].Heading+"\n"+chunks[i].Text, d.Language) {
			count[t]++
			n++
		}
		b.lengths[i] = float32(n)
		b.total += float64(n)
		size += len(count)
		for t, k := range count {
			all[t] = append(all[t], posting{uint32(i), uint16(min(k, math.MaxUint16))}) //nolint:gosec // bounded
		}
	}
	var letters strings.Builder // of all terms: one piece of memory in place of one a term
	for t := range all {
		b.words = append(b.words, t)
		letters.WriteString(t)
	}
	slices.Sort(b.words)
	letters.Reset()
	for _, t := range b.words {
		letters.WriteString(t)
	}
	b.words, b.postings = slices.Clip(b.words), make([]posting, 0, size)
	b.from = make([]uint32, 1, len(b.words)+1)
	rest := letters.String()
	for i, t := range b.words {
		b.postings = append(b.postings, all[t]...)
		b.from = append(b.from, uint32(len(b.postings))) //nolint:gosec // bounded by maxText
		b.words[i], rest = rest[:len(t)], rest[len(t):]
	}
	if compounds(d.Language) {
		b.backwards = make([]uint32, len(b.words))
		for i := range b.backwards {
			b.backwards[i] = uint32(i) //nolint:gosec // the same
		}
		slices.SortFunc(b.backwards, func(x, y uint32) int { return fromBehind(b.words[x], b.words[y]) })
	}
	return b
}

func compounds(language string) bool { return language == "de" || language == "nl" }

// fromBehind compares two words by their last letters first.
func fromBehind(x, y string) int {
	for i := 1; i <= len(x) && i <= len(y); i++ {
		if a, b := x[len(x)-i], y[len(y)-i]; a != b {
			return int(a) - int(b)
		}
	}
	return len(x) - len(y)
}

// with is the same book with the vectors that its chunks have now.
func (b *book) with(chunks []Chunk) *book {
	n := *b
	n.chunks, n.doc.Vectors = chunks, 0
	for i := range chunks {
		if chunks[i].Model != "" {
			n.doc.Vectors++
		}
	}
	return &n
}

// of is where a term stands.
func (b *book) of(t string) []posting {
	if i, ok := slices.BinarySearch(b.words, t); ok {
		return b.at(i)
	}
	return nil
}

func (b *book) at(i int) []posting { return b.postings[b.from[i]:b.from[i+1]] }

const (
	// near is how much less than a word itself one counts that only begins or
	// ends like it.
	near = 0.6
	// shortest is how many letters two words share at least to be near, bytes.
	shortest = 4
)

// nearTo gives where words near a term stand: those that begin with one that
// stands nowhere, such as forms that the stemmer does not join; and in German
// and Dutch those that are a part of its compound, at either end, or it of
// theirs.
func (b *book) nearTo(t string, known bool) [][]posting {
	joined := compounds(b.doc.Language)
	if known && !joined || len(t) < shortest || hasDigit(t) {
		return nil
	}
	var out [][]posting
	for i := sort.SearchStrings(b.words, t); i < len(b.words) && strings.HasPrefix(b.words[i], t); i++ {
		if b.words[i] != t {
			out = append(out, b.at(i))
		}
	}
	if !joined {
		return out
	}
	for i := shortest; i < len(t); i++ {
		out = append(out, b.of(t[:i]))
	}
	for i := 1; i <= len(t)-shortest; i++ {
		out = append(out, b.of(t[i:]))
	}
	first := sort.Search(len(b.backwards), func(i int) bool { return fromBehind(b.words[b.backwards[i]], t) >= 0 })
	for _, w := range b.backwards[first:] {
		if !strings.HasSuffix(b.words[w], t) {
			break
		}
		if b.words[w] != t {
			out = append(out, b.at(int(w)))
		}
	}
	return out
}
