// Package assemblyai recognises with AssemblyAI's streaming interface, version
// 3 (wss://streaming.assemblyai.com/v3/ws).
//
// The whole call is sent, as µ-law where the call carries µ-law, in messages of
// 50 ms, the least that is taken, and never faster than 1.25 times the clock
// after the first second: the vendor reads no faster and closes on who insists.
// A Turn is an Interim, at a pause inside it an Eager, and at its end a Final
// that ends the turn; the formatted copy that some models send after it is
// dropped. Where the call stops sending, silence is sent on after 500 ms: a turn
// ends only in sound. Sessions are billed by the time they are open: Terminate
// is sent however a stream ends. The rest of the connection is
// audio/stt/socket's.
package assemblyai

import (
	"context"
	"encoding/json"
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
const Name = "assemblyai"

// Config of the recogniser.
type Config struct {
	BaseURL string      `yaml:"base_url"` // default wss://streaming.assemblyai.com; wss://streaming.eu.assemblyai.com keeps sound in Europe
	APIKey  secret.Text `yaml:"api_key"`
	Model   string      `yaml:"model"` // speech_model. Default universal-3-5-pro; universal-streaming-english, universal-streaming-multilingual
	// MinSilence is the pause after which a turn may end when the model is sure,
	// and MaxSilence the one that ends it anyway. Default: the model's own.
	MinSilence time.Duration `yaml:"min_turn_silence"`
	MaxSilence time.Duration `yaml:"max_turn_silence"`
	// Confidence is how sure the universal-streaming models have to be that a
	// turn has ended, 0 to 1. Default: the model's own.
	Confidence float64 `yaml:"end_of_turn_confidence_threshold"`
	// Keyterms are words to expect: names, products. At most 100.
	Keyterms []string `yaml:"keyterms"`
	// Turns lets the model decide when a turn ends. false: the agent's turn
	// policy does. Default true.
	Turns *bool `yaml:"turns"`
	// ForceEndpoint asks for the words at once when the call's own detector heard
	// the voice end; with turns: false only. Default false.
	ForceEndpoint bool `yaml:"force_endpoint"`
}

const (
	defaultURL = "wss://streaming.assemblyai.com"
	english    = "universal-streaming-english"
	piece      = 50 * time.Millisecond
	pace       = 1.25
)

func (c Config) withDefaults() Config {
	if c.BaseURL == "" {
		c.BaseURL = defaultURL
	}
	if c.Model == "" {
		c.Model = "universal-3-5-pro"
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
	pace   float64 // 0 in tests: as fast as it comes
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
		return nil, errors.New("stt: assemblyai: api_key is empty: set ASSEMBLYAI_API_KEY, or a base_url without keys")
	case c.MinSilence < 0 || c.MinSilence > 10*time.Second:
		return nil, fmt.Errorf("stt: assemblyai: min_turn_silence %v: want up to 10s", c.MinSilence)
	case c.MaxSilence < 0 || c.MaxSilence > 30*time.Second:
		return nil, fmt.Errorf("stt: assemblyai: max_turn_silence %v: want up to 30s", c.MaxSilence)
	case c.MaxSilence > 0 && c.MinSilence > c.MaxSilence:
		return nil, fmt.Errorf("stt: assemblyai: min_turn_silence %v is above max_turn_silence", c.MinSilence)
	case !(c.Confidence >= 0 && c.Confidence <= 1):
		return nil, fmt.Errorf("stt: assemblyai: end_of_turn_confidence_threshold %g: want 0 to 1", c.Confidence)
	case len(c.Keyterms) > 100:
		return nil, fmt.Errorf("stt: assemblyai: %d keyterms: want at most 100", len(c.Keyterms))
	case c.ForceEndpoint && *c.Turns:
		return nil, errors.New("stt: assemblyai: force_endpoint ends turns in the model's place: it wants turns: false")
	}
	return &Provider{config: c, base: u, dialer: socket.Dialer(), pace: pace}, nil
}

// Profile implements [stt.Profiled].
func (p *Provider) Profile() stt.Profile {
	return stt.Profile{Turns: *p.config.Turns, Wait: 420 * time.Millisecond}
}

// address is where a call's stream connects to.
func (p *Provider) address(o stt.Options) (string, error) {
	c := p.config
	encoding := "pcm_s16le"
	if socket.Encoding(o.Format) == audio.MuLaw {
		encoding = "pcm_mulaw"
	}
	q := url.Values{
		"speech_model": {c.Model},
		"encoding":     {encoding},
		"sample_rate":  {strconv.Itoa(o.Format.Rate)},
	}
	if c.Model != english {
		q.Set("language_detection", "true")
	}
	if c.MinSilence > 0 {
		q.Set("min_turn_silence", inMS(c.MinSilence))
	}
	if c.MaxSilence > 0 {
		q.Set("max_turn_silence", inMS(c.MaxSilence))
	}
	if c.Confidence > 0 {
		q.Set("end_of_turn_confidence_threshold", strconv.FormatFloat(c.Confidence, 'g', -1, 64))
	}
	if len(c.Keyterms) > 0 {
		list, err := json.Marshal(c.Keyterms)
		if err != nil {
			return "", fmt.Errorf("keyterms: %w", err)
		}
		q.Set("keyterms_prompt", string(list))
	}
	u := *p.base
	u.Path += "/v3/ws"
	u.RawQuery = q.Encode()
	return u.String(), nil
}

func inMS(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// Open implements [stt.Provider].
func (p *Provider) Open(ctx context.Context, o stt.Options) (stt.Stream, error) {
	if err := socket.CheckRate(Name, o.Format); err != nil {
		return nil, err
	}
	address, err := p.address(o)
	if err != nil {
		return nil, &stt.Error{Provider: Name, Op: "open", Err: err}
	}
	header := http.Header{"User-Agent": {"patchcord"}}
	if p.config.APIKey != "" {
		header.Set("Authorization", p.config.APIKey.Reveal()) // as it is, without Bearer
	}
	language, _, _ := strings.Cut(o.Language, "-")
	if p.config.Model == english {
		language = "en"
	}
	force := ""
	if p.config.ForceEndpoint {
		force = `{"type":"ForceEndpoint"}`
	}
	t := turns{language: language, decides: *p.config.Turns, last: -1}
	return socket.Open(ctx, &p.dialer, socket.Session{
		Name: Name, URL: address, Header: header, Key: p.config.APIKey, Hello: "Begin",
		Encoding: socket.Encoding(o.Format), Rate: o.Format.Rate, Piece: piece, Pace: p.pace, Silence: true,
		VoiceEnd: force, Bye: `{"type":"Terminate"}`, Read: t.read, Final: lasting,
	})
}
