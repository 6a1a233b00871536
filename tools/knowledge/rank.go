package knowledge

import (
	"cmp"
	"math"
	"slices"
	"sort"
	"strings"

	"github.com/viterin/vek/vek32"
)

// The constants of BM25, as most engines have them.
const (
	bm25K = 1.2
	bm25B = 0.75
)

const (
	rrfK = 60 // of reciprocal rank fusion (Cormack 2009)
	// deep is how far down each ranking goes into the fusion.
	deep = 50
	// compared is how many passages that have the words are compared by a store:
	// those below the threshold are left out before the fusion.
	compared = 4 * deep
)

// found is a chunk with what the rankings say of it.
type found struct {
	book   *book
	chunk  int
	bm25   float64
	share  float64 // of the question's terms, weighted
	cosine float64
	vector bool // cosine is known
	fused  float64
}

// similarity is what a threshold is held against (T-15).
func (f *found) similarity() float64 {
	if f.vector {
		return f.cosine
	}
	return f.share
}

// question is what is compared with passages.
type question struct {
	threshold float64
	topK      int
	vector    []float32 // to compare with, nil: by words only
	model     string    // that made vector
	near      []Near    // what the store has compared already
}

// rank fuses the ranking by words with the one by meaning. Passages below the
// threshold are in neither.
func rank(books []*book, words []found, q question) []found {
	all := words
	switch {
	case q.near != nil:
		all = byStore(books, all, q)
	case q.vector != nil:
		all = byMeaning(books, all, q)
	}
	all = slices.DeleteFunc(all, func(f found) bool { return f.similarity() < q.threshold || f.similarity() <= 0 })
	fuse(all, func(f *found) float64 { return f.bm25 })
	fuse(all, func(f *found) float64 { return f.cosine })
	all = slices.DeleteFunc(all, func(f found) bool { return f.fused == 0 })
	sort.SliceStable(all, func(i, j int) bool {
		if all[i].fused != all[j].fused {
			return all[i].fused > all[j].fused
		}
		return all[i].similarity() > all[j].similarity()
	})
	return all[:min(len(all), q.topK)]
}

// fuse adds 1/(k+rank) of one ranking, of its first ones.
func fuse(all []found, score func(*found) float64) {
	best := make([]int, 0, deep+1)
	for i := range all {
		s := score(&all[i])
		if s <= 0 || len(best) == deep && s <= score(&all[best[deep-1]]) {
			continue
		}
		// Behind those that are as good.
		at := sort.Search(len(best), func(k int) bool { return score(&all[best[k]]) < s })
		best = slices.Insert(best, at, i)
		best = best[:min(len(best), deep)]
	}
	for r, i := range best {
		all[i].fused += 1 / float64(rrfK+r+1)
	}
}

// byWords scores every chunk that has a word of the question. Each language is
// a collection of its own: words of two do not meet.
func byWords(books []*book, text string) []found {
	byLanguage := map[string][]*book{}
	for _, b := range books {
		byLanguage[b.doc.Language] = append(byLanguage[b.doc.Language], b)
	}
	var out []found
	for l, bs := range byLanguage {
		out = append(out, score(bs, terms(text, l))...)
	}
	// The same whatever order the map has.
	slices.SortStableFunc(out, func(a, b found) int { return strings.Compare(a.book.doc.ID, b.book.doc.ID) })
	return out
}

// score ranks the chunks of one language.
func score(books []*book, query []string) []found {
	slices.Sort(query)
	query = slices.Compact(query)
	n, length := 0, 0.0
	for _, b := range books {
		n += len(b.chunks)
		length += b.total
	}
	if len(query) == 0 || n == 0 {
		return nil
	}
	mean := max(length/float64(n), 1)
	at := make([]tally, len(books))
	sum, whole := 0.0, 0.0
	for _, t := range query {
		df := 0
		for i, b := range books {
			df += at[i].term(b, t)
		}
		w, idf := weight(n, df), math.Log(1+(float64(n-df)+0.5)/(float64(df)+0.5))
		sum, whole = sum+w, whole+idf
		for i, b := range books {
			at[i].count(b, idf, w, mean)
		}
	}
	var out []found
	for i, b := range books {
		for c, s := range at[i].bm25 {
			if s > 0 {
				// As a part of what the question could have: so are languages of few passages
				// and of many comparable.
				out = append(out, found{book: b, chunk: c, bm25: s / whole, share: min(at[i].share[c]/sum, 1)})
			}
		}
	}
	return out
}

// weight is the IDF of a term in the share of the question that a passage has.
// It is flatter than BM25's: among few passages one that says nothing of a
// single word of the question may answer it all the same.
func weight(n, df int) float64 { return math.Log(1 + float64(n+1)/float64(df+1)) }

// tally counts what the chunks of a book have of a question.
type tally struct {
	bm25, share []float64 // of each chunk, nil while there is none
	here        []posting // of the term that is counted
	near        []uint32  // chunks that have a word near it only
}

// term finds a term and gives how many chunks have it.
func (a *tally) term(b *book, t string) int {
	a.here, a.near = b.of(t), a.near[:0]
	like := b.nearTo(t, len(a.here) > 0)
	if len(like) > 0 {
		for _, ps := range like {
			for _, p := range ps {
				a.near = append(a.near, p.chunk)
			}
		}
		slices.Sort(a.near)
		a.near = slices.DeleteFunc(slices.Compact(a.near), func(c uint32) bool {
			_, both := slices.BinarySearchFunc(a.here, c, func(p posting, c uint32) int { return int(p.chunk) - int(c) })
			return both
		})
	}
	return len(a.here) + len(a.near)
}

func (a *tally) count(b *book, idf, w, mean float64) {
	if len(a.here)+len(a.near) == 0 {
		return
	}
	if a.bm25 == nil {
		a.bm25, a.share = make([]float64, len(b.chunks)), make([]float64, len(b.chunks))
	}
	add := func(c uint32, tf float64) {
		a.bm25[c] += idf * tf * (bm25K + 1) / (tf + bm25K*(1-bm25B+bm25B*float64(b.lengths[c])/mean))
	}
	for _, p := range a.here {
		add(p.chunk, float64(p.times))
		a.share[p.chunk] += w
	}
	for _, c := range a.near {
		add(c, near)
		a.share[c] += w * near
	}
}

// first are the n that have most of the words.
func first(words []found, n int) []found {
	if len(words) <= n {
		return words
	}
	slices.SortStableFunc(words, func(a, b found) int { return cmp.Compare(b.bm25, a.bm25) })
	return words[:n]
}

// byStore adds the cosines that the store gave.
func byStore(books []*book, words []found, q question) []found {
	at, known := map[Place]int{}, map[string]*book{}
	for i, p := range places(words) {
		at[p] = i
	}
	for _, b := range books {
		known[b.doc.ID] = b
	}
	for _, n := range q.near {
		b := known[n.Document]
		switch i, ok := at[Place{n.Document, n.Chunk}]; {
		case ok:
			words[i].cosine, words[i].vector = n.Cosine, true
		case b == nil || n.Chunk >= len(b.chunks): // it was deleted meanwhile
		case n.Cosine >= q.threshold && n.Cosine > 0:
			words = append(words, found{book: b, chunk: n.Chunk, cosine: n.Cosine, vector: true})
		}
	}
	return words
}

// byMeaning adds the cosine of every chunk that the same model has embedded.
func byMeaning(books []*book, words []found, q question) []found {
	known := map[*book]map[int]int{}
	for i, f := range words {
		if known[f.book] == nil {
			known[f.book] = map[int]int{}
		}
		known[f.book][f.chunk] = i
	}
	for _, b := range books {
		for c := range b.chunks {
			if b.chunks[c].Model != q.model || len(b.chunks[c].Vector) != len(q.vector) {
				continue
			}
			cos := float64(vek32.Dot(b.chunks[c].Vector, q.vector))
			if i, ok := known[b][c]; ok {
				words[i].cosine, words[i].vector = cos, true
			} else if cos >= q.threshold && cos > 0 {
				words = append(words, found{book: b, chunk: c, cosine: cos, vector: true})
			}
		}
	}
	return words
}
