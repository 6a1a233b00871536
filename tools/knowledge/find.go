package knowledge

import (
	"context"

	"github.com/patchcord/patchcord/tools"
)

var _ tools.Knowledge = (*Library)(nil)

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
