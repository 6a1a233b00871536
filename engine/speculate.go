package engine

import (
	"context"
	"hash/fnv"
	"io"
	"time"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/tools"
)

// What is held back of a reply that is prepared before its turn is taken.
const (
	heldText  = 4 << 10 // bytes of words and of tools' arguments
	heldSound = 3 * time.Second
)

// held is what a speculative reply has brought so far: the mail of its workers,
// unopened. Nothing of it reaches the call, its log or its tools before the
// reply is adopted, and then all of it does, in its order (conv:G3).
type held struct {
	mail   []any
	bytes  int
	asked  uint64        // what the model was asked, the caller's words aside
	prompt int           // how many bytes it was asked with
	useful time.Duration // when its first useful token came, 0: none has
	usage  llm.Usage     // as the model counts it, zero while it has not told
	chunks *chunker      // finds the first clause
	drops  []func()      // let go of what its tools have prepared
}

// speculate asks the model before the caller's turn is taken, as if it were.
func (s *session) speculate(e turn.StartReply) {
	ahead := s.transcript.with(e.Turn, e.Text, e.Amend)
	r, ctx := s.newReply(e.G, turn.Answer, e.Turn, make(chan struct{}))
	req := s.request(ahead.messages(s.prompt()), false)
	r.held = &held{asked: s.asked(), chunks: newChunker(s.m.Policy(), r.speaker)}
	for _, m := range req.Messages {
		r.held.prompt += len(m.Content)
	}
	s.ahead = r
	s.stages.coming.Tries++
	s.record.Speculation.Tries++
	s.stream(ctx, r, req)
}

// asked is a print of what a model is told now: prompt and context, model and
// tools. A reply is only adopted while it is what it was (conv:G5).
func (s *session) asked() uint64 {
	h := fnv.New64a()
	write := func(texts ...string) {
		for _, t := range texts {
			_, _ = io.WriteString(h, t) // never fails
			_, _ = h.Write([]byte{0})
		}
	}
	req := s.request(s.transcript.messages(s.prompt()), false)
	write(req.Model, req.ToolChoice)
	for _, m := range req.Messages {
		write(string(m.Role), m.Content, m.ToolCallID)
		for _, c := range m.ToolCalls {
			write(c.ID, c.Name, string(c.Args))
		}
	}
	for _, t := range req.Tools {
		write(t.Name, t.Description, string(t.Parameters))
	}
	return h.Sum64()
}

// stillAsked tells the machine when what a speculative reply was asked has
// changed: a result that came, a sentence that was said, a tool that is
// offered no longer.
func (s *session) stillAsked() {
	if r := s.ahead; r != nil && r.held != nil && s.asked() != r.held.asked {
		s.tell(turn.Void{G: r.g, Reason: "context_changed"})
	}
}

// keepBack keeps mail of a speculative reply. It reports false when the mail is of
// no such reply.
func (s *session) keepBack(item any) bool {
	r := s.ahead
	if g, ok := sender(item); !ok || r == nil || r.held == nil || r.g != g {
		return false
	}
	h := r.held
	switch m := item.(type) {
	case modelDelta:
		if m.d.Useful() && h.useful == 0 {
			h.useful = s.now()
		}
		h.bytes += len(m.d.Text) + len(m.d.ToolCall.Args)
		if m.d.Kind == llm.Done {
			h.usage = m.d.Usage
		}
		if h.bytes > heldText {
			s.step(turn.Void{G: r.g, Reason: "too_long"})
			return true
		}
		if m.d.Kind == llm.ToolReady {
			s.prepareTool(r, m.d.ToolCall)
		}
		s.speakAhead(r, h.chunks.add(m.d.Text)...)
	case modelEnd:
		if m.err != nil {
			s.step(turn.Void{G: r.g, Reason: "failed"})
			return true
		}
		if rest := h.chunks.rest(); rest.raw != "" {
			s.speakAhead(r, rest)
		}
	}
	h.mail = append(h.mail, item)
	return true
}

// prepareTool lets a tool begin what its call would have to wait for and what
// has no effect: the question of a search, as words that are not yet said.
func (s *session) prepareTool(r *reply, c llm.ToolCall) {
	t, _, ok := s.tools.get(c.Name)
	if !ok {
		return
	}
	p, ok := t.(tools.Preparer)
	if !ok {
		return
	}
	if args, _, ok := tools.Arguments(t, c.Args); ok {
		call := tools.Call{ID: c.ID, Name: c.Name, Args: args, Env: s.env()}
		r.held.drops = append(r.held.drops, p.Prepare(call))
	}
}

// speakAhead lets the voice begin with the first clause, where the agent wants
// that to be paid for.
func (s *session) speakAhead(r *reply, pieces ...piece) {
	if s.m.Policy().Speculation.TTSFirstClause && !r.begun && len(pieces) > 0 {
		r.begun = true
		s.speak(r, pieces[0])
	}
}

// sender is the reply that a worker's mail is of.
func sender(item any) (turn.Gen, bool) {
	switch m := item.(type) {
	case modelDelta:
		return m.g, true
	case modelEnd:
		return m.g, true
	case voiceFirst:
		return m.g, true
	case voiceFed:
		return m.g, true
	case voiceErr:
		return m.g, true
	case voiceDry:
		return m.g, true
	}
	return 0, false
}

// adopt lets everything happen that a speculative reply held back.
func (s *session) adopt(e turn.Adopt) {
	r := s.ahead
	if r == nil || r.held == nil || r.g != e.G {
		return
	}
	h := r.held
	r.turn, r.held, s.ahead = e.Turn, nil, nil
	s.work.unread(h.mail)
	r.voice.release()
	s.stages.adopted(e.Lead, h.useful)
	s.record.Speculation.Adopted++
}

// discard throws a speculative reply away and counts what it cost (conv:G4).
func (s *session) discard(r *reply, reason string) {
	r.cancel()
	s.out.Cancel(uint64(r.g))
	delete(s.replies, r.g)
	s.ahead = nil
	for _, drop := range r.held.drops {
		drop()
	}
	tokens := r.held.usage.Prompt + r.held.usage.Completion
	if tokens == 0 {
		tokens = (r.held.prompt + r.held.bytes + 3) / 4 // as English text comes to
	}
	s.stages.coming.Wasted += tokens
	s.record.Speculation.Wasted += tokens
	s.log.Debug("speculative reply discarded", zap.Uint64("reply", uint64(r.g)), zap.String("reason", reason),
		zap.Int("tokens", tokens))
}

// release lets a voice go on whose sound was held back.
func (v *voice) release() {
	if v.gate != nil {
		close(v.gate)
	}
}

// holdBack pushes no more than heldSound before the gate opens, and returns
// what is to be pushed after it; false: the reply is over.
func (v *voice) holdBack(ctx context.Context, seg int, pcm []int16) (rest []int16, pushed int, ok bool) {
	if v.gate == nil {
		return pcm, 0, true
	}
	room := audio.Samples(heldSound, v.rate) - audio.Samples(v.out.Queued(uint64(v.g)), v.rate)
	select {
	case <-v.gate:
		return pcm, 0, true
	default:
	}
	if len(pcm) <= room {
		return pcm, 0, true
	}
	pushed = v.put(seg, pcm[:max(0, room)])
	select {
	case <-v.gate:
		return pcm[max(0, room):], pushed, true
	case <-ctx.Done():
		return nil, pushed, false
	}
}
