// Package flux recognises with Deepgram's Flux, version 2 of its WebSocket
// interface (wss://api.deepgram.com/v2/listen): a model that judges by words and
// voice together when a caller has finished.
//
// The whole call is sent, as µ-law where the call carries µ-law, in messages of
// 80 ms, the step of the model. Update is an Interim, EagerEndOfTurn an Eager,
// TurnResumed a Resumed, and EndOfTurn a Final that ends the turn. A turn ends
// only in sound: where the call stops sending, silence is sent on after 500 ms.
// The rest of the connection is audio/stt/socket's.
package flux

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/stt"
	"github.com/patchcord/patchcord/audio/stt/socket"
	"github.com/patchcord/patchcord/internal/secret"
)

// Name is the provider's name in errors and in configuration.
const Name = "flux"

// Config of the recogniser.
type Config struct {
	BaseURL string      `yaml:"base_url"` // default wss://api.deepgram.com
	APIKey  secret.Text `yaml:"api_key"`
	Model   string      `yaml:"model"` // default flux-general-en; flux-general-multi knows ten languages
	// EOTThreshold is how sure the model has to be that the turn has ended, 0.5
	// to 1. Default 0.7.
	EOTThreshold float64 `yaml:"eot_threshold"`
	// EagerEOTThreshold is how sure it has to be for an answer to be prepared,
	// 0.3 to 0.9. Default 0: no answer is prepared early.
	EagerEOTThreshold float64 `yaml:"eager_eot_threshold"`
	// EOTTimeout ends a turn after that much silence, however unsure the model
	// is, 500 ms to 60 s. Default 5 s.
	EOTTimeout time.Duration `yaml:"eot_timeout"`
	// Keyterms are words to expect: names, products.
	Keyterms []string `yaml:"keyterms"`
	// LanguageHints are the languages that callers may speak, for
	// flux-general-multi. Default: the call's.
	LanguageHints []string `yaml:"language_hints"`
	// Turns lets the model decide when a turn ends. false: the agent's turn
	// policy does. Default true.
	Turns *bool `yaml:"turns"`
}

const (
	defaultURL = "wss://api.deepgram.com"
	multi      = "flux-general-multi"
	step       = 80 * time.Millisecond
)

func (c Config) withDefaults() Config {
	if c.BaseURL == "" {
		c.BaseURL = defaultURL
	}
	if c.Model == "" {
		c.Model = "flux-general-en"
	}
	if c.EOTThreshold == 0 {
		c.EOTThreshold = 0.7
	}
	if c.EOTTimeout == 0 {
		c.EOTTimeout = 5 * time.Second
	}
	if c.Turns == nil {
		yes := true
		c.Turns = &yes
	}
	return c
}

// Provider opens one connection per call.
type Provider struct {
	config Config
	base   *url.URL
	dialer websocket.Dialer
}

var (
	_ stt.Provider = (*Provider)(nil)
	_ stt.Profiled = (*Provider)(nil)
)

// New checks the configuration; it connects to nobody.
func New(c Config) (*Provider, error) {
	c = c.withDefaults()
	u, err := socket.Base(Name, c.BaseURL)
	if err != nil {
		return nil, err
	}
	switch {
	case c.BaseURL == defaultURL && c.APIKey == "":
		return nil, errors.New("stt: flux: api_key is empty: set DEEPGRAM_API_KEY, or base_url to a server without keys")
	case !(c.EOTThreshold >= 0.5 && c.EOTThreshold <= 1):
		return nil, fmt.Errorf("stt: flux: eot_threshold %g: want 0.5 to 1", c.EOTThreshold)
	case c.EagerEOTThreshold != 0 && !(c.EagerEOTThreshold >= 0.3 && c.EagerEOTThreshold <= 0.9):
		return nil, fmt.Errorf("stt: flux: eager_eot_threshold %g: want 0.3 to 0.9, or 0 for off", c.EagerEOTThreshold)
	case c.EagerEOTThreshold > c.EOTThreshold:
		return nil, fmt.Errorf("stt: flux: eager_eot_threshold %g is above eot_threshold", c.EagerEOTThreshold)
	case c.EOTTimeout < 500*time.Millisecond || c.EOTTimeout > time.Minute:
		return nil, fmt.Errorf("stt: flux: eot_timeout %v: want 500ms to 1m", c.EOTTimeout)
	case len(c.LanguageHints) > 0 && c.Model != multi:
		return nil, fmt.Errorf("stt: flux: language_hints: only %s takes them", multi)
	}
	return &Provider{config: c, base: u, dialer: socket.Dialer()}, nil
}

// Profile implements [stt.Profiled].
func (p *Provider) Profile() stt.Profile {
	return stt.Profile{Turns: *p.config.Turns, Wait: 350 * time.Millisecond}
}

// address is where a call's stream connects to.
func (p *Provider) address(o stt.Options) string {
	c := p.config
	encoding := "linear16"
	if socket.Encoding(o.Format) == audio.MuLaw {
		encoding = "mulaw"
	}
	q := url.Values{
		"model":          {c.Model},
		"encoding":       {encoding},
		"sample_rate":    {strconv.Itoa(o.Format.Rate)},
		"eot_threshold":  {strconv.FormatFloat(c.EOTThreshold, 'g', -1, 64)},
		"eot_timeout_ms": {strconv.FormatInt(c.EOTTimeout.Milliseconds(), 10)},
		"keyterm":        c.Keyterms,
	}
	if c.EagerEOTThreshold > 0 {
		q.Set("eager_eot_threshold", strconv.FormatFloat(c.EagerEOTThreshold, 'g', -1, 64))
	}
	if c.Model == multi {
		q["language_hint"] = c.LanguageHints
		if len(c.LanguageHints) == 0 && o.Language != "" {
			base, _, _ := strings.Cut(o.Language, "-")
			q.Set("language_hint", strings.ToLower(base))
		}
	}
	u := *p.base
	u.Path += "/v2/listen"
	u.RawQuery = q.Encode()
	return u.String()
}

// Open implements [stt.Provider].
func (p *Provider) Open(ctx context.Context, o stt.Options) (stt.Stream, error) {
	if err := socket.CheckRate(Name, o.Format); err != nil {
		return nil, err
	}
	header := http.Header{"User-Agent": {"patchcord"}}
	if p.config.APIKey != "" {
		header.Set("Authorization", "Token "+p.config.APIKey.Reveal())
	}
	language := "en"
	if p.config.Model == multi {
		language = o.Language
	}
	t := turns{language: language, decides: *p.config.Turns}
	return socket.Open(ctx, &p.dialer, socket.Session{
		Name: Name, URL: p.address(o), Header: header, Key: p.config.APIKey, Reason: "dg-error", Hello: "Connected",
		Encoding: socket.Encoding(o.Format), Rate: o.Format.Rate, Piece: step, Silence: true,
		Bye: `{"type":"CloseStream"}`, Read: t.read,
	})
}
