package knowledge

import (
	"context"
	"sync"

	"github.com/patchcord/patchcord/tools"
)

var _ tools.Knowledge = (*Library)(nil)

// Prepare has the vector of a question made, so that a search which comes within
// a moment finds it: the server's answer is most of what a search waits for.
func (l *Library) Prepare(q tools.Question) (drop func()) {
	s := l.open(q.Agent)
	select {
	case <-s.ready:
	default:
		return func() {} // the search will not find it read either
	}
	if s.err != nil {
		return func() {}
	}
	text := asked(q.Text)
	a, ok := l.ask(text, *s.books.Load(), true)
	if !ok {
		return func() {}
	}
	return sync.OnceFunc(func() { l.drop(text, a) })
}

// Find is Search as the tool knowledge_base asks for it.
func (l *Library) Find(ctx context.Context, q tools.Question) (tools.Findings, error) {
	a, err := l.Search(ctx, Query{Agent: q.Agent, Text: q.Text, TopK: q.TopK, Threshold: q.Threshold})
	out := tools.Findings{Documents: a.Documents, Languages: a.Languages}
	for _, h := range a.Hits {
		out.Passages = append(out.Passages, tools.Passage{
			Document: h.Document, Heading: h.Heading, Text: h.Text, Score: float64(int(h.Score*100+0.5)) / 100,
		})
	}
	return out, err
}
