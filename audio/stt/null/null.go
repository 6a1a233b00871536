// Package null is a recogniser that understands nothing and takes exactly as
// long as it is told: for load tests and for the measurement of everything
// around it.
//
// It hears voices by their energy, or goes by the edges of Stream.Speech. An
// Interim comes while the voice lasts, and an endpointed Final (Deepgram's
// speech_final) the configured delay after its last loud sample, always with
// the configured words.
package null

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/stt"
)

// Name is the provider's name in errors and in configuration.
const Name = "null"

// Config of the recogniser.
type Config struct {
	// Text is what every caller says. Default "hello".
	Text string `yaml:"text"`
	// Delay from the last loud sample, or from the edge, to the Final. Default
	// 300 ms; negative: none.
	Delay time.Duration `yaml:"delay"`
	// Interim is how much voice there is before the one Interim. Default 200 ms;
	// negative: no Interim.
	Interim time.Duration `yaml:"interim"`
	// Threshold is the level that is loud, dB of full scale. Default -40.
	Threshold float64 `yaml:"threshold"`
	// Edges makes the edges of Stream.Speech count, not the energy.
	Edges bool `yaml:"edges"`
}

func (c Config) withDefaults() Config {
	if c.Text == "" {
		c.Text = "hello"
	}
	if c.Delay == 0 {
		c.Delay = 300 * time.Millisecond
	}
	if c.Interim == 0 {
		c.Interim = 200 * time.Millisecond
	}
	if c.Threshold == 0 {
		c.Threshold = -40
	}
	return c
}

// Provider hands out streams.
type Provider struct{ config Config }

var _ stt.Provider = (*Provider)(nil)

// New makes one.
func New(c Config) (*Provider, error) {
	c = c.withDefaults()
	if c.Threshold > 0 {
		return nil, fmt.Errorf("stt: null: threshold %v dB: full scale is 0", c.Threshold)
	}
	return &Provider{c}, nil
}

// Open implements [stt.Provider].
func (p *Provider) Open(ctx context.Context, o stt.Options) (stt.Stream, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if o.Format.Rate <= 0 {
		return nil, &stt.Error{Provider: Name, Op: "open", Err: fmt.Errorf("sound at %d Hz", o.Format.Rate)}
	}
	s := &stream{
		Feed: stt.NewFeed(ctx, Name, 16), config: p.config, rate: o.Format.Rate, language: o.Language,
		timer: time.NewTimer(time.Hour), interims: make(chan stt.Event, 1),
	}
	s.timer.Stop()
	s.Run(s.run)
	return s, nil
}

// stream is one call's. Send finds the voice; run says what was understood.
type stream struct {
	*stt.Feed // keeps 16 events: some utterances' worth
	config    Config
	rate      int
	language  string
	timer     *time.Timer    // fires the Final
	interims  chan stt.Event // 1: one Interim per utterance; a second waiting one would be the same

	pos   int64 // samples taken, of the goroutine that sends
	voice int64 // loud samples of the utterance, the same
	said  bool  // its Interim was said, the same

	mu          sync.Mutex    // guards what follows
	first, last time.Duration // of the utterance: its first and its last loud sample, stream time
	open        bool
}

var _ stt.Stream = (*stream)(nil)

func (s *stream) Send(pcm []int16) error {
	if err := s.Over(); err != nil {
		return err
	}
	begun := audio.Duration(int(s.pos), s.rate)
	s.pos += int64(len(pcm))
	loud := !s.config.Edges && len(pcm) > 0 && audio.DB(audio.RMS(pcm)) >= s.config.Threshold
	s.mu.Lock()
	switch {
	case loud:
		if !s.open {
			s.openLocked(begun)
		}
		s.last = audio.Duration(int(s.pos), s.rate)
		s.timer.Reset(max(0, s.config.Delay))
		s.voice += int64(len(pcm))
	case s.config.Edges && s.open:
		s.last = audio.Duration(int(s.pos), s.rate)
		s.voice += int64(len(pcm))
	}
	ev := stt.Event{
		Kind: stt.Interim, Text: s.config.Text, Confidence: 1, Language: s.language, Start: s.first, End: s.last,
	}
	due := s.open && !s.said && s.config.Interim > 0 && audio.Duration(int(s.voice), s.rate) >= s.config.Interim
	s.said = s.said || due
	s.mu.Unlock()
	if due {
		select {
		case s.interims <- ev:
		default:
		}
	}
	return nil
}

func (s *stream) openLocked(at time.Duration) {
	s.open, s.first, s.last = true, at, at
	s.voice, s.said = 0, false
}

func (s *stream) Speech(on bool) error {
	if err := s.Over(); err != nil {
		return err
	}
	if !s.config.Edges {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if on && !s.open {
		s.openLocked(audio.Duration(int(s.pos), s.rate))
		s.timer.Stop()
	}
	if !on && s.open {
		s.timer.Reset(max(0, s.config.Delay))
	}
	return nil
}

// run says what was understood when it is time.
func (s *stream) run() error {
	defer s.timer.Stop()
	for {
		select {
		case ev := <-s.interims:
			s.Deliver(ev)
		case <-s.timer.C:
			s.mu.Lock()
			ev := stt.Event{
				Kind: stt.Final, Text: s.config.Text, Confidence: 1, Language: s.language,
				Start: s.first, End: s.last, Endpointed: true,
			}
			s.open = false
			s.mu.Unlock()
			s.Deliver(ev)
		case <-s.Context().Done():
			return nil
		}
	}
}
