// Package cartesia speaks with Cartesia's Sonic voices over its WebSocket
// (wss://api.cartesia.ai/tts/websocket).
//
// The sound comes as the call carries it, µ-law and A-law included. Every
// sentence is a context of its own; the sentences of all calls share a few
// connections, as Cartesia advises, and one that is given up is cancelled. The
// times of the words come beside the sound. No error holds the key.
package cartesia

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/tts"
	"github.com/patchcord/patchcord/internal/secret"
	"github.com/patchcord/patchcord/internal/ttssocket"
)

// Name is the provider's name in errors and in configuration.
const Name = "cartesia"

// Config of the voice.
type Config struct {
	BaseURL string      `yaml:"base_url"` // default wss://api.cartesia.ai
	APIKey  secret.Text `yaml:"api_key"`
	Version string      `yaml:"version"` // of the interface, default 2026-03-01
	Model   string      `yaml:"model"`   // default sonic-3.5
	Voice   string      `yaml:"voice"`   // the voice's id
	// Language of sentences that name none, default en.
	Language string `yaml:"language"`
	// Timeout is how long the sound may pause, the first of it included.
	// Default 10 s.
	Timeout time.Duration `yaml:"timeout"`
}

const (
	defaultURL = "wss://api.cartesia.ai"
	// contexts at a time over one connection: Cartesia says dozens.
	contexts = 24
)

func (c Config) withDefaults() Config {
	set := func(dst *string, v string) {
		if *dst == "" {
			*dst = v
		}
	}
	set(&c.BaseURL, defaultURL)
	set(&c.Version, "2026-03-01")
	set(&c.Model, "sonic-3.5")
	set(&c.Language, "en")
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
		return nil, fmt.Errorf("tts: cartesia: %w", err)
	case c.BaseURL == defaultURL && c.APIKey == "":
		return nil, errors.New("tts: cartesia: api_key is empty: set CARTESIA_API_KEY, or base_url to a server without keys")
	case c.Voice == "":
		return nil, errors.New("tts: cartesia: voice is empty: write the id of a voice, a UUID")
	case c.Timeout < 0:
		return nil, fmt.Errorf("tts: cartesia: timeout %v is negative", c.Timeout)
	}
	header := http.Header{"User-Agent": {"patchcord"}, "Cartesia-Version": {c.Version}}
	if c.APIKey != "" {
		header.Set("Authorization", "Bearer "+c.APIKey.Reveal())
	}
	return &Provider{ttssocket.New(ttssocket.Config{
		Name: Name, Key: c.APIKey, Header: header, Sentences: contexts,
		Idle: 4 * time.Minute, Age: 50 * time.Minute, Pause: c.Timeout, Frees: true, // Cartesia hangs up after 5 idle minutes
	}, vendor{c, base})}, nil
}

// Synthesize implements [tts.Provider].
func (p *Provider) Synthesize(ctx context.Context, r tts.Request) (tts.Stream, error) {
	return p.pool.Synthesize(ctx, r)
}

// Close ends the connections.
func (p *Provider) Close() error { return p.pool.Close() }

// vendor is what only Cartesia does.
type vendor struct {
	config Config
	base   *url.URL
}

// output is how sound is asked for.
type output struct {
	Container string `json:"container"`
	Encoding  string `json:"encoding"`
	Rate      int    `json:"sample_rate"`
}

func format(f audio.Format) (output, audio.Format) {
	o := output{Container: "raw", Encoding: "pcm_s16le", Rate: f.Rate}
	switch {
	case f.Encoding == audio.MuLaw && f.Rate == 8000:
		o.Encoding = "pcm_mulaw"
		return o, f
	case f.Encoding == audio.ALaw && f.Rate == 8000:
		o.Encoding = "pcm_alaw"
		return o, f
	case f.Rate != 8000 && f.Rate != 16000 && f.Rate != 24000:
		o.Rate = 24000
	}
	return o, audio.Format{Encoding: audio.PCM16, Rate: o.Rate}
}

// Address is one for all: what is asked for is in the messages.
func (v vendor) Address(r tts.Request) (string, audio.Format) {
	_, f := format(r.Format)
	return v.base.JoinPath("tts", "websocket").String(), f
}

// request is a generation.
type request struct {
	Model      string `json:"model_id"`
	Transcript string `json:"transcript"`
	Voice      struct {
		Mode string `json:"mode"`
		ID   string `json:"id"`
	} `json:"voice"`
	Language   string `json:"language"`
	Context    string `json:"context_id"`
	Output     output `json:"output_format"`
	Timestamps bool   `json:"add_timestamps"`
	Continue   bool   `json:"continue"`
}

func (v vendor) Ask(id string, r tts.Request) ([][]byte, error) {
	q := request{
		Model: v.config.Model, Transcript: r.Text, Language: v.config.Language, Context: id, Timestamps: true,
	}
	q.Voice.Mode, q.Voice.ID = "id", v.config.Voice
	if r.Voice != "" {
		q.Voice.ID = r.Voice
	}
	if language, _, _ := strings.Cut(r.Language, "-"); language != "" {
		q.Language = strings.ToLower(language)
	}
	q.Output, _ = format(r.Format)
	data, err := json.Marshal(q)
	if err != nil {
		return nil, fmt.Errorf("write request: %w", err)
	}
	return [][]byte{data}, nil
}

func (v vendor) Cancel(id string) []byte {
	data, err := json.Marshal(struct {
		Context string `json:"context_id"`
		Cancel  bool   `json:"cancel"`
	}{id, true})
	if err != nil {
		return nil // a string and a bool are always written
	}
	return data
}

func (v vendor) Bye() []byte { return nil }

// Read is what a message means; types that are not known are nothing.
func (v vendor) Read(kind int, data []byte) (m ttssocket.Message, err error) {
	if kind != websocket.TextMessage {
		return m, nil
	}
	var t struct {
		Type    string `json:"type"`
		Context string `json:"context_id"`
		Data    []byte `json:"data"` // base64
		Words   struct {
			Words []string  `json:"words"`
			End   []float64 `json:"end"` // s, since the beginning of the context
		} `json:"word_timestamps"`
		Status  int    `json:"status_code"`
		Code    string `json:"error_code"`
		Title   string `json:"title"`
		Message string `json:"message"`
		Old     string `json:"error"` // of versions before 2026-03-01
	}
	if err := json.Unmarshal(data, &t); err != nil {
		return m, fmt.Errorf("a message that cannot be read: %w", err)
	}
	m.ID = t.Context
	switch t.Type {
	case "chunk":
		m.Sound = t.Data
	case "timestamps":
		for i, w := range t.Words.Words[:min(len(t.Words.Words), len(t.Words.End))] {
			m.Marks = append(m.Marks, ttssocket.Mark{Text: w, End: seconds(t.Words.End[i])})
		}
	case "done":
		m.End = ttssocket.Done
	case "error":
		why := strings.Join(strings.Fields(strings.Join([]string{t.Code, t.Title, t.Message, t.Old}, " ")), " ")
		m.Err = &tts.Error{Op: "read", Temporary: passes(t.Status), Err: fmt.Errorf("%d %s", t.Status, why)}
	}
	return m, nil
}

// passes tells whether a status may be another one in a moment.
func passes(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusRequestTimeout || status >= 500 || status == 0
}

// seconds is a time of the wire; nonsense is 0.
func seconds(s float64) time.Duration {
	if !(s > 0) || s > 600 { // NaN too
		return 0
	}
	return time.Duration(s * float64(time.Second))
}
