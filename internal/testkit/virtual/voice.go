package virtual

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/patchcord/patchcord/audio/tts"
)

// Voice speaks in words that the line can read.
type Voice struct {
	line   *Line
	faults TTSFaults

	mu  sync.Mutex // guards what follows
	now int        // sentences so far
}

// NewVoice makes a voice on a line.
func NewVoice(l *Line, f TTSFaults) *Voice { return &Voice{line: l, faults: f} }

// chunk is how much sound comes at a time.
const chunk = Rate / 10

var (
	errRefused = errors.New("service unavailable")
	errSilence = errors.New("no sound")
)

func fault(op string, err error) error {
	return &tts.Error{Provider: "virtual", Op: op, Temporary: true, Err: err}
}

// Synthesize speaks a text.
func (v *Voice) Synthesize(ctx context.Context, r tts.Request) (tts.Stream, error) {
	v.mu.Lock()
	v.now++
	n, f := v.now, v.faults
	v.mu.Unlock()
	if nth(n, f.Fail) {
		return nil, fault("synthesize", errRefused)
	}
	s := &sentence{ctx: ctx, wait: or(f.First, 60*time.Millisecond), pace: or(f.Pace, 8), end: -1}
	if nth(n, f.Silent) {
		s.err = fault("read", errSilence)
		return s, nil
	}
	s.pcm = make([]int16, int(f.Lead*Rate/time.Second))
	say := v.line.agent.sentence()
	from := 0
	for i, w := range strings.Fields(r.Text) {
		from += strings.Index(r.Text[from:], w) + len(w)
		// No voice speaks at an even pace: long words are said faster.
		samples := int((0.09 + 0.05*float64(len(w))) * Rate)
		s.pcm = append(s.pcm, v.line.agent.write(w, say, i, samples)...)
		if strings.IndexFunc(w, unicode.IsPunct) >= 0 {
			s.pcm = append(s.pcm, make([]int16, Rate/20)...)
		}
		if f.Words {
			s.words = append(s.words, tts.WordMark{
				TextEnd: from, End: time.Duration(len(s.pcm)) * time.Second / Rate,
			})
		}
	}
	switch {
	case nth(n, f.Break):
		s.end, s.err = len(s.pcm)/2, fault("read", errTorn)
	case nth(n, f.Stall):
		s.end = len(s.pcm) / 2
	}
	return s, nil
}

// sentence is one being spoken.
type sentence struct {
	ctx   context.Context //nolint:containedctx // the stream's own
	wait  time.Duration
	pace  float64
	pcm   []int16
	words []tts.WordMark
	pos   int
	end   int   // where it breaks or stops, -1: nowhere
	err   error // how it breaks; nil: it stops for good
}

// Next is the next tenth of a second.
func (s *sentence) Next() (tts.Chunk, error) {
	n := min(chunk, len(s.pcm)-s.pos)
	stop := s.end >= 0 && s.pos >= s.end
	switch {
	case stop && s.err == nil:
		<-s.ctx.Done()
		return tts.Chunk{}, s.ctx.Err()
	case stop || s.err != nil && len(s.pcm) == 0:
		return tts.Chunk{}, s.err
	case n == 0:
		return tts.Chunk{}, io.EOF
	}
	wait := s.wait
	s.wait = time.Duration(float64(n) / Rate / s.pace * float64(time.Second))
	select {
	case <-time.After(wait):
	case <-s.ctx.Done():
		return tts.Chunk{}, s.ctx.Err()
	}
	c := tts.Chunk{PCM: s.pcm[s.pos : s.pos+n], Rate: Rate}
	s.pos += n
	if at := time.Duration(s.pos) * time.Second / Rate; len(s.words) > 0 {
		i := 0
		for i < len(s.words) && s.words[i].End <= at {
			i++
		}
		c.Words, s.words = s.words[:i], s.words[i:]
	}
	return c, nil
}

// Close gives up the rest.
func (s *sentence) Close() error { return nil }
