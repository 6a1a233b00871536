// Package null is a language model that needs no network: its first word comes
// after a set time, then a word at a time. Load tests measure everything else
// against it.
//
// The same configuration gives the same deltas at the same times, for any
// number of streams at once.
package null

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/patchcord/patchcord/llm"
)

// Config is what it says and when. The zero value says one short sentence at
// once.
type Config struct {
	First time.Duration `yaml:"first"` // to the first word, default 0
	Word  time.Duration `yaml:"word"`  // between words, default 0
	// Text is what it says, default a short sentence. Script, where set, goes
	// before it: the sentence of each turn of the caller's, the last one again
	// and again.
	Text   string   `yaml:"text"`
	Script []string `yaml:"script"`
}

const text = "Thank you, I have made a note of that and it is all taken care of."

// Provider answers from its configuration.
type Provider struct{ cfg Config }

var _ llm.Provider = (*Provider)(nil)

// New checks the configuration.
func New(cfg Config) (*Provider, error) {
	if cfg.First < 0 || cfg.Word < 0 {
		return nil, fmt.Errorf("llm: null: first and word are waits, %v and %v are none", cfg.First, cfg.Word)
	}
	if cfg.Text == "" {
		cfg.Text = text
	}
	return &Provider{cfg: cfg}, nil
}

// Stream begins to answer at once; the waits are Next's.
func (p *Provider) Stream(ctx context.Context, r llm.Request) (llm.Stream, error) {
	said := p.cfg.Text
	if n := len(p.cfg.Script); n > 0 {
		turns := 0
		for _, m := range r.Messages {
			if m.Role == llm.User && !m.Data {
				turns++
			}
		}
		said = p.cfg.Script[min(max(turns, 1), n)-1]
	}
	s := &stream{ctx: ctx, words: strings.SplitAfter(said, " "), word: p.cfg.Word, due: time.Now().Add(p.cfg.First)}
	for _, m := range r.Messages {
		s.prompt += len(strings.Fields(m.Content))
	}
	return s, nil
}

// stream is one answer. A word's time counts from the one before it, not from
// when it was read.
type stream struct {
	ctx    context.Context // of this completion
	words  []string
	at     int
	word   time.Duration
	due    time.Time
	prompt int // words
	over   bool
	closed bool
}

// Next waits for the next word.
func (s *stream) Next() (llm.Delta, error) {
	switch {
	case s.closed:
		return llm.Delta{}, io.ErrClosedPipe
	case s.over:
		return llm.Delta{}, io.EOF
	case s.at == len(s.words):
		s.over = true
		u := llm.Usage{Prompt: s.prompt, Completion: len(s.words)}
		return llm.Delta{Kind: llm.Done, Finish: "stop", Usage: u}, nil
	}
	if wait := time.Until(s.due); wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		select {
		case <-t.C:
		case <-s.ctx.Done():
		}
	}
	if s.ctx.Err() != nil {
		return llm.Delta{}, context.Cause(s.ctx)
	}
	s.due = s.due.Add(s.word)
	s.at++
	return llm.Delta{Kind: llm.Text, Text: s.words[s.at-1]}, nil
}

// Close gives up what is left.
func (s *stream) Close() error {
	s.closed = true
	return nil
}
