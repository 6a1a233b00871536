// Package openai speaks through POST /audio/speech, of OpenAI or of any server
// that speaks the same (speaches, Kokoro-FastAPI, LocalAI).
//
// The sound is asked for as bare samples (response_format pcm: signed 16-bit,
// 24 kHz) and handed on as it arrives. A refusal that passes (429, 5xx, no
// connection) is tried once more before the first sound; every other error is
// told at once. No error holds the key.
package openai

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/patchcord/patchcord/audio/tts"
	"github.com/patchcord/patchcord/internal/openaihttp"
	"github.com/patchcord/patchcord/internal/secret"
)

// Name is the provider's name in errors and in configuration.
const Name = "openai"

// Config of the voice.
type Config struct {
	BaseURL string      `yaml:"base_url"` // default https://api.openai.com/v1
	APIKey  secret.Text `yaml:"api_key"`  // local servers take any, or none
	Model   string      `yaml:"model"`    // default gpt-4o-mini-tts
	Voice   string      `yaml:"voice"`    // default alloy
	// Instructions say how to speak, to models that take them.
	Instructions string  `yaml:"instructions"`
	Speed        float64 `yaml:"speed"` // 0.25 to 4; 0: the voice's own
	// ResponseFormat is pcm, the only one that can be played as it arrives.
	ResponseFormat string `yaml:"response_format"`
	// SampleRate of the sound that comes, Hz. Default 24000, OpenAI's; another
	// one is asked for in the field sample_rate, which some servers know.
	SampleRate int `yaml:"sample_rate"`
	// Timeout is how long the sound may pause, the first of it included.
	// Default 10 s.
	Timeout time.Duration `yaml:"timeout"`
}

const defaultRate = 24000 // Hz

// chunkBytes is how much sound is handed on at most at a time: 100 ms at 24 kHz.
const chunkBytes = 4800

func (c Config) withDefaults() Config {
	set := func(dst *string, v string) {
		if *dst == "" {
			*dst = v
		}
	}
	set(&c.BaseURL, openaihttp.DefaultURL)
	set(&c.Model, "gpt-4o-mini-tts")
	set(&c.Voice, "alloy")
	set(&c.ResponseFormat, "pcm")
	if c.SampleRate == 0 {
		c.SampleRate = defaultRate
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	return c
}

// Provider speaks in one model's voices. It keeps its connections between
// sentences; Close ends them.
type Provider struct {
	config Config
	client *openaihttp.Client
}

var _ tts.Provider = (*Provider)(nil)

// New checks the configuration; it asks nobody.
func New(c Config) (*Provider, error) {
	c = c.withDefaults()
	switch {
	case c.ResponseFormat != "pcm":
		return nil, fmt.Errorf("tts: openai: response_format %q: only pcm can be played as it arrives", c.ResponseFormat)
	case c.SampleRate < 8000 || c.SampleRate > 48000:
		return nil, fmt.Errorf("tts: openai: sample_rate %d: want 8000 to 48000", c.SampleRate)
	case c.Speed != 0 && (c.Speed < 0.25 || c.Speed > 4):
		return nil, fmt.Errorf("tts: openai: speed %v: want 0.25 to 4", c.Speed)
	case c.Timeout < 0:
		return nil, fmt.Errorf("tts: openai: timeout %v is negative", c.Timeout)
	}
	client, err := openaihttp.New(c.BaseURL, c.APIKey)
	if err != nil {
		return nil, fmt.Errorf("tts: openai: %w", err)
	}
	return &Provider{config: c, client: client}, nil
}

// Close ends the idle connections.
func (p *Provider) Close() error { return p.client.Close() }

// request is the body of /audio/speech.
type request struct {
	Model          string  `json:"model"`
	Input          string  `json:"input"`
	Voice          string  `json:"voice"`
	ResponseFormat string  `json:"response_format"`
	Instructions   string  `json:"instructions,omitempty"`
	Speed          float64 `json:"speed,omitempty"`
	SampleRate     int     `json:"sample_rate,omitempty"`
}

// Synthesize implements [tts.Provider].
func (p *Provider) Synthesize(ctx context.Context, r tts.Request) (tts.Stream, error) {
	if strings.IndexFunc(r.Text, isSpoken) < 0 {
		return nil, &tts.Error{Provider: Name, Op: "synthesize", Err: fmt.Errorf("nothing to say in %q", r.Text)}
	}
	body := request{
		Model: p.config.Model, Input: r.Text, Voice: p.config.Voice, ResponseFormat: p.config.ResponseFormat,
		Instructions: p.config.Instructions, Speed: p.config.Speed,
	}
	if r.Voice != "" {
		body.Voice = r.Voice
	}
	if p.config.SampleRate != defaultRate {
		body.SampleRate = p.config.SampleRate
	}
	data, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("tts: openai: write request: %w", err)
	}
	s := newStream(ctx, p.config)
	res, err := p.ask(s.ctx, data) //nolint:bodyclose // the stream closes it
	if err != nil {
		return nil, s.abandon(err)
	}
	s.body = res.Body
	s.pause.Stop()
	return s, nil
}

// ask posts the request, a second time after a refusal that passes.
func (p *Provider) ask(ctx context.Context, data []byte) (*http.Response, error) {
	return openaihttp.Twice(ctx, func() (*http.Response, error) {
		res, err := p.client.Post(ctx, "/audio/speech", "application/json", data)
		if err != nil {
			return nil, &tts.Error{Provider: Name, Op: "synthesize", Temporary: openaihttp.Temporary(err), Err: err}
		}
		return res, nil
	})
}

func isSpoken(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
