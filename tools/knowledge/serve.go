package knowledge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
)

const (
	batch        = 64 // passages that are embedded at once
	batchTimeout = time.Minute
	retryFirst   = time.Second
	retryLast    = 5 * time.Minute
)

// Serve reads the documents of all agents, so that the first search finds them
// read, embeds passages that have no vector of the embedder's model, and takes
// over what other processes change, until ctx ends.
func (l *Library) Serve(ctx context.Context) error {
	if err := l.readAll(ctx); err != nil && ctx.Err() == nil {
		l.log.Error("knowledge: documents cannot be read", zap.Error(err))
	}
	var others <-chan time.Time
	if l.cfg.Refresh > 0 {
		t := time.NewTicker(l.cfg.Refresh)
		defer t.Stop()
		others = t.C
	}
	wait, again := retryFirst, time.After(0)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-l.look:
			l.takeOver(ctx)
			continue
		case <-others:
			l.takeOver(ctx)
			continue
		case <-again:
		case <-l.wake:
		}
		again = nil
		if l.cfg.Embedder == nil {
			continue
		}
		err := l.embedAll(ctx)
		if err == nil || ctx.Err() != nil {
			wait = retryFirst
			continue
		}
		l.log.Warn("knowledge: passages are not embedded yet", zap.Error(err), zap.Duration("retry_in", wait))
		again = time.After(wait)
		wait = min(wait*2, retryLast)
	}
}

func (l *Library) takeOver(ctx context.Context) {
	if err := l.refresh(ctx); err != nil && ctx.Err() == nil {
		l.log.Warn("knowledge: what others changed cannot be read", zap.Error(err))
	}
}

// refresh takes over documents that are new in the store, gone from it or
// embedded meanwhile.
func (l *Library) refresh(ctx context.Context) error {
	all, err := l.cfg.Store.Documents(ctx, "")
	if err != nil {
		return err
	}
	agents := map[string]bool{}
	for _, d := range all {
		agents[d.Agent] = true
	}
	l.mu.Lock()
	for agent := range l.shelves {
		agents[agent] = true // all of its documents may be gone
	}
	l.mu.Unlock()
	for agent := range agents {
		s, err := l.shelf(ctx, agent)
		if err != nil {
			return err
		}
		// The store is asked again in turn: what was added here meanwhile is there.
		if err := s.change(ctx, func(books []*book) ([]*book, error) { return l.merge(ctx, agent, books) }); err != nil {
			return err
		}
	}
	return nil
}

// merge brings books to what the store has.
func (l *Library) merge(ctx context.Context, agent string, books []*book) ([]*book, error) {
	docs, err := l.cfg.Store.Documents(ctx, agent)
	if err != nil {
		return nil, err
	}
	out := make([]*book, 0, len(docs))
	for _, d := range docs {
		i := slices.IndexFunc(books, func(b *book) bool { return b.doc.ID == d.ID })
		if i >= 0 && books[i].doc.Vectors == d.Vectors {
			out = append(out, books[i])
			continue
		}
		chunks, err := l.cfg.Store.Passages(ctx, d.ID)
		switch {
		case err != nil:
			return nil, err
		case i >= 0:
			out = append(out, books[i].with(chunks))
		default:
			out = append(out, newBook(d, chunks))
		}
	}
	return out, nil
}

func (l *Library) readAll(ctx context.Context) error {
	docs, err := l.cfg.Store.Documents(ctx, "")
	if err != nil {
		return err
	}
	for _, d := range docs {
		if _, err := l.shelf(ctx, d.Agent); err != nil {
			return err
		}
	}
	return nil
}

// mostRefused is how many documents may fail before the server is left alone for
// a while.
const mostRefused = 5

// embedAll embeds what has no vector. A document that the server refuses keeps
// no other back: the next time begins with those that were not reached.
func (l *Library) embedAll(ctx context.Context) error {
	type held struct {
		shelf *shelf
		book  *book
	}
	var all []held
	l.mu.Lock()
	open := make([]*shelf, 0, len(l.shelves))
	for _, b := range l.shelves {
		open = append(open, b)
	}
	l.mu.Unlock()
	for _, b := range open {
		select {
		case <-b.ready:
		case <-ctx.Done():
			return ctx.Err()
		}
		for _, k := range *b.books.Load() {
			all = append(all, held{b, k})
		}
	}
	// Ids are in the order of time: a round goes on where the one before ended.
	slices.SortFunc(all, func(a, b held) int { return strings.Compare(a.book.doc.ID, b.book.doc.ID) })
	first := max(0, slices.IndexFunc(all, func(h held) bool { return h.book.doc.ID > l.reached }))
	var refused []error
	for i := range all {
		h := all[(first+i)%len(all)]
		err := l.embedBook(ctx, h.shelf, h.book)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			refused = append(refused, fmt.Errorf("document %s: %w", h.book.doc.Name, err))
		}
		if len(refused) == mostRefused {
			l.reached = h.book.doc.ID
			break
		}
	}
	return errors.Join(refused...)
}

// embedBook embeds one document, a batch at a time: what is done stays done.
func (l *Library) embedBook(ctx context.Context, b *shelf, k *book) error {
	model := l.cfg.Embedder.Model()
	for {
		var todo []int
		for i := range k.chunks {
			if k.chunks[i].Model != model && len(todo) < batch {
				todo = append(todo, i)
			}
		}
		if len(todo) == 0 {
			return nil
		}
		texts := make([]string, len(todo))
		for i, c := range todo {
			texts[i] = k.chunks[c].Heading + "\n" + k.chunks[c].Text
		}
		limit, cancel := context.WithTimeout(ctx, batchTimeout)
		vs, err := l.cfg.Embedder.Embed(limit, texts)
		cancel()
		if err != nil {
			return err
		}
		if err := checkVectors(vs); err != nil {
			return err
		}
		made := map[int][]float32{}
		chunks := slices.Clone(k.chunks)
		for i, c := range todo {
			made[chunks[c].N] = vs[i]
			chunks[c].Model = model
			if l.near == nil {
				chunks[c].Vector = vs[i]
			}
		}
		next, gone := k.with(chunks), true
		err = b.change(ctx, func(books []*book) ([]*book, error) {
			out := slices.Clone(books)
			for i, o := range out {
				if o.doc.ID == k.doc.ID {
					out[i], gone = next, false
				}
			}
			if gone {
				return out, nil // deleted meanwhile
			}
			return out, l.cfg.Store.SetVectors(ctx, k.doc.ID, model, made)
		})
		if err != nil || gone {
			return err
		}
		k = next
	}
}
