package knowledge

import (
	"context"
	"fmt"
	"sync/atomic"

	"go.uber.org/zap"
)

// shelf is the documents of one agent, ready to be searched.
type shelf struct {
	ready chan struct{} // closed when books is set, or err
	err   error         // why they could not be read
	books atomic.Pointer[[]*book]
	turn  chan struct{} // one place: whoever has it may change books
}

// shelf gives an agent's documents once they are read.
func (l *Library) shelf(ctx context.Context, agent string) (*shelf, error) {
	b := l.open(agent)
	select {
	case <-b.ready:
		return b, b.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// open gives an agent's documents, and begins to read them the first time.
func (l *Library) open(agent string) *shelf {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b := l.shelves[agent]; b != nil {
		return b
	}
	b := &shelf{ready: make(chan struct{}), turn: make(chan struct{}, 1)}
	if l.life.Err() != nil {
		b.err = l.life.Err()
		close(b.ready)
		return b
	}
	l.shelves[agent] = b
	l.wg.Go(func() {
		books, err := l.load(agent)
		if err != nil {
			b.err = err
			l.mu.Lock()
			delete(l.shelves, agent) // the next one who asks tries again
			l.mu.Unlock()
			l.log.Error("knowledge: documents cannot be read", zap.String("agent", agent), zap.Error(err))
		}
		b.books.Store(&books)
		close(b.ready)
	})
	return b
}

func (l *Library) load(agent string) ([]*book, error) {
	docs, err := l.cfg.Store.Documents(l.life, agent)
	if err != nil {
		return nil, err
	}
	books := make([]*book, 0, len(docs))
	for _, d := range docs {
		chunks, err := l.cfg.Store.Passages(l.life, d.ID)
		if err != nil {
			return nil, fmt.Errorf("knowledge: read %s: %w", d.Name, err)
		}
		books = append(books, newBook(d, chunks))
	}
	return books, nil
}

// change replaces the documents by what f makes of them, one at a time.
func (b *shelf) change(ctx context.Context, f func([]*book) ([]*book, error)) error {
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	books, err := f(*b.books.Load())
	if err != nil {
		return err
	}
	b.books.Store(&books)
	return nil
}
