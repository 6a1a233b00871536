package knowledge

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
)

// Bounds of a search.
const (
	MaxTopK     = 20
	defaultTopK = 5
	maxQuestion = 2000 // characters that are looked at
)

// Search finds the passages that answer a question. It takes no longer than
// the library's limit: vectors that are late are left out, and documents that
// are still being read give ErrNotReady.
func (l *Library) Search(ctx context.Context, q Query) (Answer, error) {
	start := time.Now()
	if q.TopK <= 0 {
		q.TopK = defaultTopK
	}
	q.TopK = min(q.TopK, MaxTopK)
	q.Text = asked(q.Text)
	limit, cancel := context.WithTimeout(ctx, l.cfg.Limit-min(rankTime, l.cfg.Limit/4))
	defer cancel()
	b, err := l.shelf(limit, q.Agent)
	switch {
	case err != nil && ctx.Err() == nil && limit.Err() != nil:
		return Answer{}, ErrNotReady
	case err != nil:
		return Answer{}, fmt.Errorf("knowledge: search: %w", err)
	}
	books := *b.books.Load()
	a := Answer{Documents: len(books), Languages: spoken(books)}
	if len(books) == 0 || q.Text == "" {
		return a, nil
	}
	vector, waits := l.ask(q.Text, books, false) // while the words are ranked
	words := byWords(books, q.Text)
	by := question{threshold: q.Threshold, topK: q.TopK}
	if waits {
		select {
		case <-vector.done:
			by.vector, by.model = vector.v, l.cfg.Embedder.Model()
			a.Late = vector.v == nil
		case <-limit.Done():
			a.Late = true
		}
	}
	if l.near != nil && by.vector != nil {
		words = first(words, compared)
		by.near, err = l.near.Nearest(limit, q.Agent, by.model, by.vector, deep, places(words))
		if by.vector = nil; err != nil {
			a.Late = true
			if limit.Err() == nil {
				l.log.Warn("knowledge: vectors were not compared, words decide", zap.Error(err))
			}
		}
	}
	if ctx.Err() != nil {
		return a, ctx.Err()
	}
	for _, f := range rank(books, words, by) {
		c := f.book.chunks[f.chunk]
		a.Hits = append(a.Hits, Hit{
			Document: f.book.doc.Name, ID: f.book.doc.ID, Chunk: c.N, Heading: c.Heading, Text: c.Text, Score: f.similarity(),
		})
	}
	a.Took = time.Since(start)
	return a, nil
}

// places are where what was found stands.
func places(all []found) []Place {
	out := make([]Place, len(all))
	for i, f := range all {
		out[i] = Place{f.book.doc.ID, f.book.chunks[f.chunk].N}
	}
	return out
}

// asked is a question as it is looked for.
func asked(text string) string { return strings.Join(strings.Fields(clip(text, maxQuestion)), " ") }

// spoken are the languages of documents.
func spoken(books []*book) []string {
	var out []string
	for _, b := range books {
		if l := b.doc.Language; l != "" && !slices.Contains(out, l) {
			out = append(out, l)
		}
	}
	slices.Sort(out)
	return out
}
