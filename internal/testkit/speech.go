package testkit

import (
	"context"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/patchcord/patchcord/audio/stt"
	"github.com/patchcord/patchcord/audio/tts"
	"github.com/patchcord/patchcord/llm"
)

// STT is a recogniser that hears what a test tells it: the next utterance the
// voice detector finds is the oldest of the words that wait.
type STT struct {
	Delay time.Duration // from the voice's end to its words

	mu    sync.Mutex // guards what follows
	words []string
	open  []*sttStream
	heard int
}

// Hear lets the next utterance be these words.
func (s *STT) Hear(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.words = append(s.words, text)
}

// Interim gives words of every open stream at once.
func (s *STT) Interim(text string) { s.Give(stt.Event{Kind: stt.Interim, Text: text}) }

// Heard is how many samples were sent.
func (s *STT) Heard() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heard
}

// Give gives an event of every open stream at once.
func (s *STT) Give(ev stt.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range s.open {
		st.events <- ev
	}
}

// Cut ends every open stream, as a connection that drops.
func (s *STT) Cut(err error) {
	s.mu.Lock()
	open := s.open
	s.open = nil
	s.mu.Unlock()
	for _, st := range open {
		st.end(err)
	}
}

// Open makes a stream.
func (s *STT) Open(context.Context, stt.Options) (stt.Stream, error) {
	st := &sttStream{s: s, events: make(chan stt.Event, 16)} // more than a test ever has waiting
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = append(s.open, st)
	return st, nil
}

type sttStream struct {
	s      *STT
	events chan stt.Event
	once   sync.Once
	wg     sync.WaitGroup
	err    error // written before events is closed
}

func (st *sttStream) Send(pcm []int16) error {
	st.s.mu.Lock()
	defer st.s.mu.Unlock()
	st.s.heard += len(pcm)
	return nil
}

func (st *sttStream) Speech(on bool) error {
	if on {
		return nil
	}
	st.s.mu.Lock()
	text := ""
	if len(st.s.words) > 0 {
		text, st.s.words = st.s.words[0], st.s.words[1:]
	}
	st.s.mu.Unlock()
	st.wg.Go(func() {
		time.Sleep(st.s.Delay)
		st.events <- stt.Event{Kind: stt.Final, Text: text, Confidence: 0.9}
	})
	return nil
}

func (st *sttStream) Events() <-chan stt.Event { return st.events }
func (st *sttStream) Err() error               { return st.err }

func (st *sttStream) Close() error {
	st.s.mu.Lock()
	st.s.open = slices.DeleteFunc(st.s.open, func(x *sttStream) bool { return x == st })
	st.s.mu.Unlock()
	st.end(nil)
	return nil
}

func (st *sttStream) end(err error) {
	st.once.Do(func() {
		st.wg.Wait()
		st.err = err
		close(st.events)
	})
}

// TTS is a voice that hums: 15 characters a second, at once unless Delay.
type TTS struct {
	Delay time.Duration

	mu   sync.Mutex // guards what follows
	err  error
	said []string
}

// Fail lets every sentence fail from now on.
func (t *TTS) Fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.err = err
}

// Said are the sentences that were asked for.
func (t *TTS) Said() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.said...)
}

// Synthesize hums one sentence.
func (t *TTS) Synthesize(ctx context.Context, r tts.Request) (tts.Stream, error) {
	t.mu.Lock()
	t.said = append(t.said, r.Text)
	err := t.err
	t.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return &hum{ctx: ctx, wait: t.Delay, left: len(r.Text) * 8000 / 15}, nil
}

type hum struct {
	ctx  context.Context //nolint:containedctx // the stream's own, from Synthesize
	wait time.Duration
	left int
	pos  int
}

func (h *hum) Next() (tts.Chunk, error) {
	if h.wait > 0 {
		select {
		case <-time.After(h.wait):
		case <-h.ctx.Done():
			return tts.Chunk{}, h.ctx.Err()
		}
		h.wait = 0
	}
	if h.left == 0 {
		return tts.Chunk{}, io.EOF
	}
	n := min(h.left, 1600)
	h.left -= n
	pcm := make([]int16, n)
	for i := range pcm {
		pcm[i] = int16(8000 * math.Cos(2*math.Pi*400*float64(h.pos)/8000))
		h.pos++
	}
	return tts.Chunk{PCM: pcm, Rate: 8000}, nil
}

func (h *hum) Close() error { return nil }

// LLM is a model that answers by a function of what it is asked.
type LLM struct {
	// Answer gives the words and calls of a completion.
	Answer func(r llm.Request) (text string, calls []llm.ToolCall, err error)
	First  time.Duration // to the first token
	Token  time.Duration // between words

	mu   sync.Mutex
	asks []llm.Request
}

// Asked are the requests so far.
func (l *LLM) Asked() []llm.Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]llm.Request(nil), l.asks...)
}

// Stream answers.
func (l *LLM) Stream(ctx context.Context, r llm.Request) (llm.Stream, error) {
	l.mu.Lock()
	l.asks = append(l.asks, r)
	l.mu.Unlock()
	text, calls, err := l.Answer(r)
	st := &tokens{ctx: ctx, first: l.First, token: l.Token, err: err}
	for _, w := range strings.SplitAfter(text, " ") {
		if w != "" {
			st.deltas = append(st.deltas, llm.Delta{Kind: llm.Text, Text: w})
		}
	}
	for _, c := range calls {
		st.deltas = append(st.deltas, llm.Delta{Kind: llm.ToolReady, ToolCall: c})
	}
	st.deltas = append(st.deltas, llm.Delta{Kind: llm.Done, Finish: "stop"})
	return st, nil
}

type tokens struct {
	ctx          context.Context //nolint:containedctx // the stream's own, from Stream
	first, token time.Duration
	deltas       []llm.Delta
	err          error
	n            int
}

func (t *tokens) Next() (llm.Delta, error) {
	wait := t.token
	if t.n == 0 {
		wait = t.first
	}
	if wait > 0 {
		select {
		case <-time.After(wait):
		case <-t.ctx.Done():
			return llm.Delta{}, t.ctx.Err()
		}
	}
	if t.err != nil {
		return llm.Delta{}, t.err
	}
	if t.n == len(t.deltas) {
		return llm.Delta{}, io.EOF
	}
	t.n++
	return t.deltas[t.n-1], nil
}

func (t *tokens) Close() error { return nil }
