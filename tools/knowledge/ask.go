package knowledge

import (
	"context"
	"slices"
	"time"

	"go.uber.org/zap"
)

// asking is a question whose vector is being made, for all who want it.
type asking struct {
	done   chan struct{} // closed when v is set
	v      []float32     // nil: there is none
	cancel context.CancelFunc

	needed bool // a search waits for it, or has; guarded by askMu
	wanted int  // by so many who prepare a search; the same
}

// answered is a question that needs no server: v is its vector, nil for none.
func answered(v []float32) *asking {
	a := &asking{done: make(chan struct{}), v: v}
	close(a.done)
	return a
}

// ask has the vector of a question made, once for all who ask meanwhile: for a
// search, or for one that is prepared and may let go of it. It reports false
// where nothing could be compared with it. One that comes too late for a search
// is there for the next.
func (l *Library) ask(text string, books []*book, prepares bool) (*asking, bool) {
	if l.cfg.Embedder == nil || text == "" ||
		!slices.ContainsFunc(books, func(b *book) bool { return b.doc.Vectors > 0 }) {
		return nil, false
	}
	if v, ok := l.queries.GetIfPresent(text); ok {
		return answered(v), true
	}
	l.askMu.Lock()
	defer l.askMu.Unlock()
	if a := l.asking[text]; a != nil {
		a.join(prepares)
		return a, true
	}
	// So many at a time do not fail all at once: what is over them goes by words.
	if len(l.asking) >= maxAsking || time.Now().UnixNano() < l.paused.Load() || l.life.Err() != nil {
		return answered(nil), true
	}
	ctx, cancel := context.WithTimeout(l.life, askTimeout)
	a := &asking{done: make(chan struct{}), cancel: cancel}
	a.join(prepares)
	l.asking[text] = a
	l.wg.Go(func() {
		defer cancel()
		a.v = l.embedQuestion(ctx, text)
		l.askMu.Lock()
		l.forgetLocked(text, a)
		l.askMu.Unlock()
		close(a.done)
	})
	return a, true
}

func (a *asking) join(prepares bool) {
	if prepares {
		a.wanted++
	} else {
		a.needed = true
	}
}

// drop lets go of a question that was asked for a search which is not made.
func (l *Library) drop(text string, a *asking) {
	l.askMu.Lock()
	defer l.askMu.Unlock()
	if a.wanted--; a.wanted > 0 || a.needed || a.cancel == nil {
		return
	}
	a.cancel()
	l.forgetLocked(text, a) // whoever asks from now on asks anew
}

// forgetLocked takes a question off the list, unless another has its place.
func (l *Library) forgetLocked(text string, a *asking) {
	if l.asking[text] == a {
		delete(l.asking, text)
	}
}

// embedQuestion is nil where the server has no vector for a question. One that
// failed is left alone for a while; one that was given up did not fail.
func (l *Library) embedQuestion(ctx context.Context, text string) []float32 {
	vs, err := l.cfg.Embedder.Embed(ctx, []string{text})
	if err == nil {
		err = checkVectors(vs)
	}
	switch {
	case context.Cause(ctx) == context.Canceled: //nolint:errorlint // the cause itself
		return nil
	case err != nil || len(vs) != 1:
		l.paused.Store(time.Now().Add(askPause).UnixNano())
		l.log.Warn("knowledge: a question was not embedded, words decide", zap.Error(err))
		return nil
	}
	l.queries.Set(text, vs[0])
	return vs[0]
}
