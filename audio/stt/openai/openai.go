// Package openai recognises through POST /audio/transcriptions, of OpenAI or of
// any server that speaks the same (speaches, LocalAI, vLLM).
//
// What lies between two edges of Stream.Speech, and 600 ms before, is sent as
// one WAV file when the voice has ended; its words come as one Final, in the
// order of the utterances. There are no Interim events. A refusal that passes
// (429, 5xx, no connection) is tried once more; one that does not pass, or
// that comes twice, ends the stream. No error holds the key.
package openai

import (
	"context"
	"fmt"
	"time"

	"github.com/patchcord/patchcord/audio/stt"
	"github.com/patchcord/patchcord/internal/openaihttp"
	"github.com/patchcord/patchcord/internal/secret"
)

// Name is the provider's name in errors and in configuration.
const Name = "openai"

// Config of the recogniser.
type Config struct {
	BaseURL string      `yaml:"base_url"` // default https://api.openai.com/v1
	APIKey  secret.Text `yaml:"api_key"`  // local servers take any, or none
	Model   string      `yaml:"model"`    // default gpt-4o-mini-transcribe
	// Language of callers, BCP 47; a call that names its own has that. Default:
	// the model finds out.
	Language string `yaml:"language"`
	// Prompt is text in the style of the calls: names, products.
	Prompt string `yaml:"prompt"`
	// Timeout of one request. Default 10 s.
	Timeout time.Duration `yaml:"timeout"`
}

func (c Config) withDefaults() Config {
	if c.BaseURL == "" {
		c.BaseURL = openaihttp.DefaultURL
	}
	if c.Model == "" {
		c.Model = "gpt-4o-mini-transcribe"
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	return c
}

// Provider recognises with one model. It keeps its connections between
// utterances; Close ends them.
type Provider struct {
	config Config
	client *openaihttp.Client
}

var (
	_ stt.Provider = (*Provider)(nil)
	_ stt.Profiled = (*Provider)(nil)
)

// Profile implements [stt.Profiled]: the words of an utterance are asked for when
// it has ended.
func (p *Provider) Profile() stt.Profile { return stt.Profile{Wait: 2 * time.Second} }

// New checks the configuration; it asks nobody.
func New(c Config) (*Provider, error) {
	c = c.withDefaults()
	if c.Timeout < 0 {
		return nil, fmt.Errorf("stt: openai: timeout %v is negative", c.Timeout)
	}
	client, err := openaihttp.New(c.BaseURL, c.APIKey)
	if err != nil {
		return nil, fmt.Errorf("stt: openai: %w", err)
	}
	return &Provider{config: c, client: client}, nil
}

// Close ends the idle connections.
func (p *Provider) Close() error { return p.client.Close() }

// Open implements [stt.Provider]. It connects to nobody: the first utterance
// does.
func (p *Provider) Open(ctx context.Context, o stt.Options) (stt.Stream, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if r := o.Format.Rate; r < 8000 || r > 48000 {
		return nil, &stt.Error{Provider: Name, Op: "open", Err: fmt.Errorf("sound at %d Hz: want 8000 to 48000", r)}
	}
	language := o.Language
	if language == "" {
		language = p.config.Language
	}
	return newStream(ctx, p, o.Format.Rate, language), nil
}
