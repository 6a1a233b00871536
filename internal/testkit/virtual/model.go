package virtual

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/llm/rules"
)

// Model answers by rules, in its own time.
type Model struct {
	rules  *rules.Rules
	faults LLMFaults

	mu    sync.Mutex // guards what follows
	asked []llm.Request
}

// NewModel makes a model of a file of rules (llm/rules), which need not say
// what is said when nothing was understood.
func NewModel(name, text string, f LLMFaults) (*Model, error) {
	if !strings.Contains(text, "not_understood:") {
		text = "not_understood: \"Sorry, what was that?\"\n" + text
	}
	r, err := rules.Parse(name, []byte(text))
	if err != nil {
		return nil, err
	}
	return &Model{rules: r, faults: f}, nil
}

// Asked are the requests so far.
func (m *Model) Asked() []llm.Request {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]llm.Request(nil), m.asked...)
}

// Stream answers.
func (m *Model) Stream(ctx context.Context, r llm.Request) (llm.Stream, error) {
	m.mu.Lock()
	m.asked = append(m.asked, r)
	n, f := len(m.asked), m.faults
	m.mu.Unlock()
	if nth(n, f.Fail) {
		return nil, &llm.Error{Provider: "virtual", Op: "request", Status: 503, Temporary: true, Err: errRefused}
	}
	s := &completion{ctx: ctx, wait: or(f.First, 120*time.Millisecond), token: or(f.Token, 15*time.Millisecond), end: -1}
	if nth(n, f.Empty) {
		s.deltas = []llm.Delta{{Kind: llm.Done, Finish: "stop"}}
		return s, nil
	}
	a := m.rules.Answer(r)
	for _, w := range strings.SplitAfter(a.Say, " ") {
		if w != "" {
			s.deltas = append(s.deltas, llm.Delta{Kind: llm.Text, Text: w})
		}
	}
	for _, c := range a.Calls {
		s.deltas = append(s.deltas, llm.Delta{Kind: llm.ToolBegan, ToolCall: llm.ToolCall{ID: c.ID, Name: c.Name}},
			llm.Delta{Kind: llm.ToolReady, ToolCall: c})
	}
	s.deltas = append(s.deltas, llm.Delta{Kind: llm.Done, Finish: "stop"})
	switch {
	case nth(n, f.Break):
		s.end = len(s.deltas) / 2
	case nth(n, f.Stall):
		s.wait = 24 * time.Hour
	}
	return s, nil
}

type completion struct {
	ctx    context.Context //nolint:containedctx // the stream's own
	wait   time.Duration
	token  time.Duration
	deltas []llm.Delta
	pos    int
	end    int // where it breaks, -1: nowhere
}

var errBroken = errors.New("unexpected end of stream")

// Next is the next word or call.
func (c *completion) Next() (llm.Delta, error) {
	switch c.pos {
	case c.end:
		return llm.Delta{}, &llm.Error{Provider: "virtual", Op: "stream", Temporary: true, Err: errBroken}
	case len(c.deltas):
		return llm.Delta{}, io.EOF
	}
	wait := c.wait
	c.wait = c.token
	select {
	case <-time.After(wait):
	case <-c.ctx.Done():
		return llm.Delta{}, c.ctx.Err()
	}
	c.pos++
	return c.deltas[c.pos-1], nil
}

// Close gives up the rest.
func (c *completion) Close() error { return nil }
