// Package null is a voice that says a tone and takes exactly as long as it is
// told: for load tests and for the measurement of everything around it.
//
// The first sound of a sentence comes after the configured wait, the rest at
// the configured multiple of real time; its length goes by the words of the
// text.
package null

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/tts"
)

// Name is the provider's name in errors and in configuration.
const Name = "null"

// Config of the voice.
type Config struct {
	// FirstByte is the wait for the first sound. Default 150 ms; negative: none.
	FirstByte time.Duration `yaml:"first_byte"`
	// Speed is how much faster than real time the sound comes. Default 8;
	// negative: all at once.
	Speed float64 `yaml:"speed"`
	// Word is how long a word sounds. Default 300 ms.
	Word time.Duration `yaml:"word"`
	// Tone is its frequency, Hz. Default 440.
	Tone float64 `yaml:"tone"`
	// Level of the tone, dB of full scale. Default -20.
	Level float64 `yaml:"level"`
	// Rate of the sound, Hz. Default that of the call.
	Rate int `yaml:"rate"`
}

func (c Config) withDefaults() Config {
	if c.FirstByte == 0 {
		c.FirstByte = 150 * time.Millisecond
	}
	if c.Speed == 0 {
		c.Speed = 8
	}
	if c.Word == 0 {
		c.Word = 300 * time.Millisecond
	}
	if c.Tone == 0 {
		c.Tone = 440
	}
	if c.Level == 0 {
		c.Level = -20
	}
	return c
}

// Provider says tones.
type Provider struct{ config Config }

var _ tts.Provider = (*Provider)(nil)

// New makes one.
func New(c Config) (*Provider, error) {
	c = c.withDefaults()
	switch {
	case c.Word < 0:
		return nil, fmt.Errorf("tts: null: word %v is negative", c.Word)
	case c.Level > 0:
		return nil, fmt.Errorf("tts: null: level %v dB: full scale is 0", c.Level)
	case c.Rate != 0 && (c.Rate < 8000 || c.Rate > 48000):
		return nil, fmt.Errorf("tts: null: rate %d: want 8000 to 48000", c.Rate)
	}
	return &Provider{c}, nil
}

// Synthesize implements [tts.Provider].
func (p *Provider) Synthesize(ctx context.Context, r tts.Request) (tts.Stream, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	s := &stream{ctx: ctx, config: p.config, begun: time.Now(), rate: p.config.Rate}
	if s.rate == 0 {
		s.rate = r.Format.Rate
	}
	if s.rate == 0 {
		s.rate = 16000
	}
	for at, word := range words(r.Text) {
		s.length += audio.Samples(p.config.Word, s.rate)
		s.marks = append(s.marks, tts.WordMark{TextEnd: at + len(word), End: audio.Duration(s.length, s.rate)})
	}
	if s.length == 0 {
		return nil, &tts.Error{Provider: Name, Op: "synthesize", Err: fmt.Errorf("nothing to say in %q", r.Text)}
	}
	return s, nil
}

// words are the spoken words of a text with their places.
func words(text string) func(yield func(int, string) bool) {
	return func(yield func(int, string) bool) {
		at := 0
		for _, w := range strings.Fields(text) {
			at += strings.Index(text[at:], w)
			if strings.ContainsFunc(w, isSpoken) && !yield(at, w) {
				return
			}
			at += len(w)
		}
	}
}

func isSpoken(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r > 0x7f && r != '…'
}

type stream struct {
	ctx    context.Context // of Synthesize: the contract ends the stream with it
	config Config
	begun  time.Time
	rate   int // Hz
	length int // samples
	at     int // samples handed over
	marks  []tts.WordMark
	err    error
}

var _ tts.Stream = (*stream)(nil)

// Next waits until the next 20 ms would have come.
func (s *stream) Next() (tts.Chunk, error) {
	if s.err != nil {
		return tts.Chunk{}, s.err
	}
	if s.at >= s.length {
		s.err = io.EOF
		return tts.Chunk{}, s.err
	}
	n := min(audio.Samples(audio.FrameTime, s.rate), s.length-s.at)
	due := max(0, s.config.FirstByte)
	if s.config.Speed > 0 {
		due += time.Duration(float64(audio.Duration(s.at, s.rate)) / s.config.Speed)
	}
	if err := s.until(s.begun.Add(due)); err != nil {
		s.err = err
		return tts.Chunk{}, err
	}
	c := tts.Chunk{PCM: make([]int16, n), Rate: s.rate}
	peak := 32767 * math.Sqrt2 * math.Pow(10, s.config.Level/20)
	for i := range c.PCM {
		v := peak * math.Sin(2*math.Pi*s.config.Tone*float64(s.at+i)/float64(s.rate))
		c.PCM[i] = int16(max(-32768, min(32767, v)))
	}
	s.at += n
	for len(s.marks) > 0 && s.marks[0].End <= audio.Duration(s.at, s.rate) {
		c.Words = append(c.Words, s.marks[0])
		s.marks = s.marks[1:]
	}
	return c, nil
}

func (s *stream) until(at time.Time) error {
	wait := time.Until(at)
	if wait <= 0 {
		return context.Cause(s.ctx)
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return context.Cause(s.ctx)
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
}

func (s *stream) Close() error {
	if s.err == nil {
		s.err = &tts.Error{Provider: Name, Op: "read", Err: errors.New("the stream is closed")}
	}
	return nil
}
