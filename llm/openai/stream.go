package openai

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	api "github.com/sashabaranov/go-openai"

	"github.com/patchcord/patchcord/llm"
)

// usageWait is how long a finished completion waits for its usage, which comes
// in a chunk of its own or not at all.
const usageWait = 300 * time.Millisecond

// maxCalls bounds the tool calls of one completion.
const maxCalls = 64

// stream is one completion, read by one goroutine.
type stream struct {
	p      *Provider
	ctx    context.Context // of this completion
	cancel context.CancelFunc
	in     *api.ChatCompletionStream
	seen   *headers
	names  *aliases

	queue  []llm.Delta // what one chunk brought and was not given yet
	calls  []*call
	think  thinkFilter
	finish string
	usage  llm.Usage
	err    error // the stream is over; io.EOF after Done
	whole  bool  // Done was given
	closed bool
}

// call is a tool call that is being put together.
type call struct {
	index int // as the server counts
	id    string
	name  string
	args  strings.Builder
	began bool
}

// Next waits for the next delta.
func (s *stream) Next() (llm.Delta, error) {
	for len(s.queue) == 0 {
		if s.err != nil {
			return llm.Delta{}, s.err
		}
		if err := s.read(); err != nil {
			s.err = err
			_ = s.Close() // the reason is err
		}
	}
	d := s.queue[0]
	s.queue = s.queue[1:]
	return d, nil
}

// read takes one chunk. Its error ends the stream once the queue is empty.
func (s *stream) read() error {
	r, err := s.in.Recv()
	if err != nil {
		return s.ended(err)
	}
	if r.Usage != nil {
		s.usage = llm.Usage{Prompt: r.Usage.PromptTokens, Completion: r.Usage.CompletionTokens}
	}
	for _, c := range r.Choices {
		if c.Index != 0 {
			continue // n is 1; what else comes is not ours
		}
		s.text(c.Delta.Content + c.Delta.Refusal)
		for _, t := range c.Delta.ToolCalls {
			if err := s.fragment(t); err != nil {
				return s.p.failure("stream", err, nil)
			}
		}
		if c.FinishReason != "" && s.finish == "" {
			if err := s.finished(string(c.FinishReason)); err != nil {
				return err
			}
		}
	}
	if s.finish != "" && s.usage != (llm.Usage{}) {
		return s.done()
	}
	return nil
}

func (s *stream) text(t string) {
	if t = s.think.pass(t); t != "" {
		s.queue = append(s.queue, llm.Delta{Kind: llm.Text, Text: t})
	}
}

// fragment adds a piece to its tool call. Servers differ: some leave the index
// out, some count every call as 0 and tell them apart by id.
func (s *stream) fragment(t api.ToolCall) error {
	index := len(s.calls) - 1
	switch {
	case t.Index != nil:
		index = *t.Index
	case t.Function.Name != "" || t.ID != "":
		index = len(s.calls)
	}
	var c *call
	for _, have := range s.calls {
		if have.index == index {
			c = have // the latest of that index
		}
	}
	if c != nil && t.ID != "" && c.id != "" && t.ID != c.id && t.Function.Name != "" {
		c = nil
	}
	if c == nil {
		if len(s.calls) == maxCalls {
			return fmt.Errorf("more than %d tool calls in one completion", maxCalls)
		}
		c = &call{index: index}
		s.calls = append(s.calls, c)
	}
	if t.ID != "" {
		c.id = t.ID
	}
	if c.name == "" {
		c.name = t.Function.Name
	}
	if c.args.Len()+len(t.Function.Arguments) > maxLine {
		return errors.New("tool arguments larger than 1 MB")
	}
	c.args.WriteString(t.Function.Arguments)
	if c.name != "" && !c.began {
		c.began = true
		began := llm.ToolCall{ID: c.id, Name: s.names.name(c.name)}
		s.queue = append(s.queue, llm.Delta{Kind: llm.ToolBegan, ToolCall: began})
	}
	return nil
}

// finished is told why the model stopped. From here on the completion is whole
// and its tool calls are given; what may follow is the usage.
func (s *stream) finished(reason string) error {
	s.finish = reason
	s.text(s.think.rest())
	if len(s.calls) == 0 {
		s.await()
		return nil
	}
	switch reason {
	case "length", "content_filter":
		return &llm.Error{Provider: "openai", Op: "stream", Err: fmt.Errorf("%w in a tool call: %s", llm.ErrCut, reason)}
	}
	s.finish = "tool_calls" // some servers say "stop"
	for i, c := range s.calls {
		if c.name == "" {
			return s.p.failure("stream", errors.New("a tool call without a name"), nil)
		}
		if c.id == "" {
			c.id = fmt.Sprintf("call_%d", i+1)
		}
		args := strings.TrimSpace(c.args.String())
		if args == "" {
			args = "{}"
		}
		s.queue = append(s.queue, llm.Delta{Kind: llm.ToolReady, ToolCall: llm.ToolCall{
			ID: c.id, Name: s.names.name(c.name), Args: json.RawMessage(args),
		}})
	}
	s.await()
	return nil
}

// await bounds the wait for the usage.
func (s *stream) await() {
	stop := time.AfterFunc(usageWait, s.cancel)
	end := s.cancel
	s.cancel = func() { stop.Stop(); end() }
}

// done gives the last delta.
func (s *stream) done() error {
	s.whole = true
	s.queue = append(s.queue, llm.Delta{Kind: llm.Done, Finish: s.finish, Usage: s.usage})
	return io.EOF
}

// ended is told that no chunk follows.
func (s *stream) ended(err error) error {
	if errors.Is(err, io.EOF) && s.finish == "" && !errors.Is(err, io.ErrUnexpectedEOF) { // [DONE], but no reason
		if err := s.finished("stop"); err != nil {
			return err
		}
	}
	if s.finish != "" {
		return s.done() // whole: what failed after it does not matter
	}
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	return s.p.failure("stream", err, nil)
}

// Close gives up what is left. Of a whole completion that is its end, at which the
// connection is kept for the next: nobody waits for it, and usageWait bounds it.
func (s *stream) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	if s.whole {
		go s.drain()
		return nil
	}
	s.cancel()
	if s.err == nil {
		s.err = io.ErrClosedPipe
	}
	_ = s.in.Close() // cancelled above
	return nil
}

// drain reads to the end.
func (s *stream) drain() {
	for {
		if _, err := s.in.Recv(); err != nil {
			break
		}
	}
	_ = s.in.Close() // nothing of it is missing
	s.cancel()
}
