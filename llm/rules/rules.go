// Package rules is an agent without a language model: a file of patterns over
// what the caller said, with the words to answer and the tools to call. It
// needs no network and answers at once, so it is an agent for simple lines, a
// fallback when a model is down, and the model of tests.
//
// The same conversation always gives the same answer: what state it is in and
// what was captured is worked out anew from the messages every time, nothing
// is kept between requests. A file that is wrong in any way is refused with
// file, line and column.
//
//	language: en                       # of spoken numbers: en (default), de, fr, es
//	start:          "Hello{{context.lookup_caller.name | prepend: ' '}}, how can I help?"
//	not_understood: ["Sorry, I did not catch that.", "Could you say that again?"]
//	otherwise:      ["I can tell you where an order is, or our opening hours."]
//	failed:         ["I could not look that up just now."]   # a tool result that no rule takes
//	words:
//	  bye: [goodbye, "bye [bye]", that is all]               # <bye> in patterns
//	rules:
//	  - when: ["(order|parcel) * {digits:order_id}", "{digits:order_id:3-8}"]
//	    call: {tool: check_order_status, args: {order_id: "${order_id}"}}
//	  - when: (where|status) * (order|parcel)
//	    say: What is your order number?
//	    next: number                   # the state from now on
//	  - state: number                  # only in this state
//	    when: (no|do not|don't) * (have|know)
//	    say: Then I cannot find it, I am sorry.
//	    next: ""                       # the state a call begins in
//	  - after: check_order_status      # over the result of this tool
//	    if: result.error == nil
//	    say: Order {{args.order_id | digits}} is {{result.status}}.
//	    next: ""
//	  - after: check_order_status
//	    say: I cannot find order {{args.order_id | digits}}.
//	  - when: <bye>
//	    say: "Goodbye{{context.lookup_caller.name | prepend: ', '}}."
//	    end: true                      # calls end_call
//
// The first rule that fits answers. A rule fits when its state, one of its
// patterns and its condition hold, when everything its call needs was said,
// and when its tools are offered. Rules for one state stand before those for
// all.
//
// A tool that answers later is answered twice: that it was started (its result
// then is {"status": "started"}), and what it came to.
//
// Patterns are found anywhere in what was said; case and punctuation do not
// matter.
//
//	word           this word
//	(a|b c)        one of these
//	[a|b]          one of these, or nothing
//	*  +           any words: none or more, one or more
//	^  $           only at the beginning, only at the end
//	<name>         one of the words: of that name
//	{name}         captures one word or more;  {word:name} just one
//	{digits:name}  captures digits, spoken or written: "four seven one one" is "4711";
//	               {digits:name:4} and {digits:name:3-8} only as many
//	{number:name}  captures a number: "twenty five" is 25
//
// Sentences are Liquid templates over the captures, result and args (of the
// tool that answered last), context (what the pre-call tools found) and state;
// the filter digits reads a number out digit by digit, prepend and append
// leave nothing beside a name that is not known. Several sentences are said in
// turn. Arguments take ${capture}, ${context.…}, ${result.…} and
// ${args.…}; a value that is nothing else keeps its type. Conditions are
// expr-lang expressions over result, args, vars (the captures), context and
// state.
package rules

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/patchcord/patchcord/llm"
)

// EndCall is the tool that end: true calls.
const EndCall = "end_call"

// Config names the file, and how fast it is spoken.
type Config struct {
	File  string        `yaml:"file"`
	First time.Duration `yaml:"first"` // to the first word, default 0
	Word  time.Duration `yaml:"word"`  // between words, default 0
	Dir   string        `yaml:"-"`     // what File is relative to, "" for the working directory
}

// Provider answers by the rules of one file. It is safe for concurrent use.
type Provider struct {
	cfg   Config
	rules *Rules
}

var _ llm.Provider = (*Provider)(nil)

// New reads the file.
func New(cfg Config) (*Provider, error) {
	if cfg.File == "" {
		return nil, fmt.Errorf("llm: rules: file is missing: name the file with the rules")
	}
	path := cfg.File
	if !filepath.IsAbs(path) {
		path = filepath.Join(cfg.Dir, path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("llm: rules: %w", err)
	}
	r, err := Parse(cfg.File, b)
	if err != nil {
		return nil, fmt.Errorf("llm: rules: %w", err)
	}
	return &Provider{cfg: cfg, rules: r}, nil
}

// Of makes a provider of rules that were read already.
func Of(r *Rules, cfg Config) *Provider { return &Provider{cfg: cfg, rules: r} }

// Stream answers the last message. The answer is made at once; the waits are
// Next's.
func (p *Provider) Stream(ctx context.Context, r llm.Request) (llm.Stream, error) {
	a := p.rules.Answer(r)
	s := &stream{ctx: ctx, word: p.cfg.Word, due: time.Now().Add(p.cfg.First)}
	for _, w := range strings.SplitAfter(a.Say, " ") {
		if w != "" {
			s.deltas = append(s.deltas, llm.Delta{Kind: llm.Text, Text: w})
		}
	}
	finish := "stop"
	for _, c := range a.Calls {
		finish = "tool_calls"
		s.deltas = append(s.deltas,
			llm.Delta{Kind: llm.ToolBegan, ToolCall: llm.ToolCall{ID: c.ID, Name: c.Name}},
			llm.Delta{Kind: llm.ToolReady, ToolCall: c})
	}
	s.deltas = append(s.deltas, llm.Delta{Kind: llm.Done, Finish: finish})
	return s, nil
}

// stream is one answer, read by one goroutine.
type stream struct {
	ctx    context.Context // of this completion
	deltas []llm.Delta
	word   time.Duration
	due    time.Time
	closed bool
}

// Next waits for the next delta.
func (s *stream) Next() (llm.Delta, error) {
	switch {
	case s.closed:
		return llm.Delta{}, io.ErrClosedPipe
	case len(s.deltas) == 0:
		return llm.Delta{}, io.EOF
	}
	d := s.deltas[0]
	if wait := time.Until(s.due); wait > 0 && d.Kind != llm.Done {
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
	s.deltas = s.deltas[1:]
	s.due = s.due.Add(s.word)
	return d, nil
}

// Close gives up what is left.
func (s *stream) Close() error {
	s.closed = true
	return nil
}
