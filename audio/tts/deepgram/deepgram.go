// Package deepgram speaks with Deepgram's voices over version 1 of its
// WebSocket interface (wss://api.deepgram.com/v1/speak).
//
// The sound comes as the call carries it, µ-law and A-law included, and is not
// resampled. A connection speaks one sentence at a time (nothing on the wire
// says whose the sound is), so there are as many as sentences at once, kept for
// the next ones; a sentence that is given up is cleared, and its connection
// taken again when Deepgram has confirmed that. Deepgram takes 20 flushes a
// minute from a connection: a busy one rests. It does not tell when words
// sound. No error holds the key.
package deepgram

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/tts"
	"github.com/patchcord/patchcord/internal/secret"
	"github.com/patchcord/patchcord/internal/ttssocket"
)

// Name is the provider's name in errors and in configuration.
const Name = "deepgram"

// Config of the voice.
type Config struct {
	BaseURL string      `yaml:"base_url"` // default wss://api.deepgram.com
	APIKey  secret.Text `yaml:"api_key"`
	// Voice is Deepgram's model, the language in it. Default aura-2-thalia-en.
	Voice string `yaml:"voice"`
	// Timeout is how long the sound may pause, the first of it included.
	// Default 10 s.
	Timeout time.Duration `yaml:"timeout"`
}

const (
	defaultURL = "wss://api.deepgram.com"
	// flushes is what Deepgram takes of them in a minute over one connection.
	flushes = 20
	maxText = 2000 // characters of one Speak
)

// rates are those that linear samples can have, Hz.
var rates = []int{8000, 16000, 24000, 32000, 48000}

func (c Config) withDefaults() Config {
	if c.BaseURL == "" {
		c.BaseURL = defaultURL
	}
	if c.Voice == "" {
		c.Voice = "aura-2-thalia-en"
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	return c
}

// Provider speaks over connections that it keeps; Close ends them.
type Provider struct{ pool *ttssocket.Pool }

var _ tts.Provider = (*Provider)(nil)

// New checks the configuration; it connects to nobody.
func New(c Config) (*Provider, error) {
	c = c.withDefaults()
	base, err := ttssocket.Base(c.BaseURL)
	switch {
	case err != nil:
		return nil, fmt.Errorf("tts: deepgram: %w", err)
	case c.BaseURL == defaultURL && c.APIKey == "":
		return nil, errors.New("tts: deepgram: api_key is empty: set DEEPGRAM_API_KEY, or base_url to a server without keys")
	case c.Timeout < 0:
		return nil, fmt.Errorf("tts: deepgram: timeout %v is negative", c.Timeout)
	}
	header := http.Header{"User-Agent": {"patchcord"}}
	if c.APIKey != "" {
		header.Set("Authorization", "Token "+c.APIKey.Reveal())
	}
	return &Provider{ttssocket.New(ttssocket.Config{
		Name: Name, Key: c.APIKey, Header: header, Sentences: 1, PerMinute: flushes,
		Idle: time.Minute, Age: 50 * time.Minute, Pause: c.Timeout, Confirms: true,
	}, vendor{c, base})}, nil
}

// Synthesize implements [tts.Provider].
func (p *Provider) Synthesize(ctx context.Context, r tts.Request) (tts.Stream, error) {
	return p.pool.Synthesize(ctx, r)
}

// Close ends the connections.
func (p *Provider) Close() error { return p.pool.Close() }

// vendor is what only Deepgram does.
type vendor struct {
	config Config
	base   *url.URL
}

func (v vendor) Address(r tts.Request) (string, audio.Format) {
	f, name := audio.Format{Encoding: audio.PCM16, Rate: r.Format.Rate}, "linear16"
	switch {
	case r.Format.Encoding == audio.MuLaw && r.Format.Rate == 8000:
		f, name = r.Format, "mulaw"
	case r.Format.Encoding == audio.ALaw && r.Format.Rate == 8000:
		f, name = r.Format, "alaw"
	case !slices.Contains(rates, f.Rate):
		f.Rate = 24000
	}
	model := v.config.Voice
	if r.Voice != "" {
		model = r.Voice
	}
	u := *v.base
	u.Path += "/v1/speak"
	u.RawQuery = url.Values{"model": {model}, "encoding": {name}, "sample_rate": {strconv.Itoa(f.Rate)}}.Encode()
	return u.String(), f
}

func (v vendor) Ask(_ string, r tts.Request) ([][]byte, error) {
	if n := utf8.RuneCountInString(r.Text); n > maxText {
		return nil, fmt.Errorf("%d characters at once: Deepgram takes %d", n, maxText)
	}
	speak, err := json.Marshal(struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}{"Speak", r.Text})
	if err != nil {
		return nil, fmt.Errorf("write request: %w", err)
	}
	return [][]byte{speak, []byte(`{"type":"Flush"}`)}, nil
}

func (v vendor) Cancel(string) []byte { return []byte(`{"type":"Clear"}`) }

func (v vendor) Bye() []byte { return []byte(`{"type":"Close"}`) }

// Read is what a message means: sound is binary, all else is told in text.
// What is not known, and Metadata, is nothing.
func (v vendor) Read(kind int, data []byte) (m ttssocket.Message, err error) {
	if kind == websocket.BinaryMessage {
		return ttssocket.Message{Sound: data}, nil
	}
	var t struct {
		Type        string `json:"type"`
		Description string `json:"description"` // of Warning and Error
		Code        string `json:"code"`
	}
	if err := json.Unmarshal(data, &t); err != nil {
		return m, fmt.Errorf("a message that is no JSON: %w", err)
	}
	switch t.Type {
	case "Flushed":
		m.End = ttssocket.Done
	case "Cleared":
		m.End = ttssocket.Cancelled
	case "Warning":
		m.Note = "warning " + strings.TrimSpace(t.Code+" "+t.Description)
	case "Error":
		m.Err = &tts.Error{Op: "read", Temporary: true, Err: errors.New(strings.TrimSpace(t.Code + " " + t.Description))}
	}
	return m, nil
}
