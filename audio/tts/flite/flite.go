// Package flite speaks with flite, the small voice library of Debian's package
// libflite1, in the helper process of internal/localspeech.
//
// Sound comes in pieces of 50 ms while the sentence is still being made, at
// the voice's own rate (16 kHz, the voice kal 8 kHz). Any number of sentences
// may be asked for at once; those of one voice are made one after the other,
// each in a few hundredths of the time that it lasts. A helper that dies ends
// the sentences under way with a temporary error, and the next one goes well.
package flite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/audio/tts"
	"github.com/patchcord/patchcord/internal/localspeech"
)

// Name is the provider's name in errors and in configuration.
const Name = "flite"

// Helper is the helper process, shared with the recogniser pocketsphinx.
type Helper = localspeech.Process

// Config of the voice.
type Config struct {
	// Voice is one of [Voices]. Default slt, a woman's.
	Voice string `yaml:"voice"`
	// Helper is the path of the localspeech binary, when no running helper is
	// handed to New. Default: beside the running binary, then on PATH.
	Helper string `yaml:"helper"`
}

// Voices are those of libflite1: rms, awb (a Scot) and kal are men, slt is a
// woman; kal and kal16 are robotic.
var Voices = []string{"rms", "slt", "awb", "kal", "kal16"}

func (c Config) withDefaults() Config {
	if c.Voice == "" {
		c.Voice = "slt"
	}
	return c
}

// Provider speaks through a helper process.
type Provider struct {
	config Config
	helper *Helper
	own    bool // helper was made here and is closed here
}

var _ tts.Provider = (*Provider)(nil)

// New makes a provider. A nil helper makes it start one of its own, which
// Close ends.
func New(c Config, helper *Helper, log *zap.Logger) (*Provider, error) {
	c = c.withDefaults()
	if !slices.Contains(Voices, c.Voice) {
		return nil, fmt.Errorf("tts: flite: no voice %q: want one of %q", c.Voice, Voices)
	}
	p := &Provider{config: c, helper: helper}
	if helper == nil {
		p.helper, p.own = localspeech.New(localspeech.Config{Path: c.Helper, Log: log}), true
	}
	return p, nil
}

// Close ends the helper, if it is the provider's own.
func (p *Provider) Close() error {
	if p.own {
		return p.helper.Close()
	}
	return nil
}

// Synthesize implements [tts.Provider].
func (p *Provider) Synthesize(ctx context.Context, r tts.Request) (tts.Stream, error) {
	voice := r.Voice
	if voice == "" {
		voice = p.config.Voice
	}
	text := plain(r.Text)
	if text == "" {
		return nil, &tts.Error{Provider: Name, Op: "synthesize", Err: fmt.Errorf("nothing to say in %q", r.Text)}
	}
	v, err := p.helper.Speak(ctx, voice, text)
	if err != nil {
		return nil, fail("synthesize", err)
	}
	return &stream{ctx: ctx, voice: v}, nil
}

// fail is err as a provider's error; the end of a context stays what it is.
func fail(op string, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	var e *localspeech.Error
	return &tts.Error{Provider: Name, Op: op, Temporary: errors.As(err, &e) && e.Temporary, Err: err}
}

type stream struct {
	ctx   context.Context // of Synthesize: the contract ends the stream with it
	voice *localspeech.Voice
	any   bool // some sound came
	once  sync.Once
	err   error // the end, once it came
}

var _ tts.Stream = (*stream)(nil)

func (s *stream) Next() (tts.Chunk, error) {
	if s.err != nil {
		return tts.Chunk{}, s.err
	}
	sound, err := s.voice.Next(s.ctx)
	switch {
	case err == nil:
		s.any = true
		return tts.Chunk{PCM: sound.PCM, Rate: sound.Rate}, nil
	case errors.Is(err, io.EOF) && !s.any:
		s.err = &tts.Error{Provider: Name, Op: "read", Err: errors.New("no sound came")}
	case errors.Is(err, io.EOF):
		s.err = io.EOF
	default:
		s.err = fail("read", err)
	}
	_ = s.Close()
	return tts.Chunk{}, s.err
}

func (s *stream) Close() error {
	s.once.Do(s.voice.Close)
	return nil
}
