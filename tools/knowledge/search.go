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
	q.Text = strings.Join(strings.Fields(clip(q.Text, maxQuestion)), " ")
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
	vector := l.ask(q.Text, books) // while the words are ranked
	words := byWords(books, q.Text)
	by := question{threshold: q.Threshold, topK: q.TopK}
	if vector != nil {
		select {
		case v := <-vector:
			by.vector, by.model = v, l.cfg.Embedder.Model()
			a.Late = v == nil
		case <-limit.Done():
			a.Late = true
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

// ask has the vector of a question made, nil on the channel for none; the
// channel is nil where nothing could be compared with it. One that comes too
// late for this search is there for the next.
func (l *Library) ask(text string, books []*book) <-chan []float32 {
	if l.cfg.Embedder == nil || !slices.ContainsFunc(books, func(b *book) bool { return b.doc.Vectors > 0 }) {
		return nil
	}
	out := make(chan []float32, 1) // the answer, whether or not it is waited for
	if v, ok := l.queries.GetIfPresent(text); ok {
		out <- v
		return out
	}
	if time.Now().UnixNano() < l.paused.Load() {
		out <- nil
		return out
	}
	select {
	case l.asking <- struct{}{}:
	default: // so many do not fail at once: they wait
		out <- nil
		return out
	}
	l.wg.Go(func() {
		defer func() { <-l.asking }()
		ctx, cancel := context.WithTimeout(l.life, askTimeout)
		defer cancel()
		vs, err := l.cfg.Embedder.Embed(ctx, []string{text})
		if err == nil {
			err = checkVectors(vs)
		}
		if err != nil || len(vs) != 1 {
			l.paused.Store(time.Now().Add(askPause).UnixNano())
			l.log.Warn("knowledge: a question was not embedded, words decide", zap.Error(err))
			out <- nil
			return
		}
		l.queries.Set(text, vs[0])
		out <- vs[0]
	})
	return out
}
