// Package deepgram recognises with Deepgram's live transcription, version 1 of
// its WebSocket interface (wss://api.deepgram.com/v1/listen).
//
// The whole call is sent, as µ-law where the call carries µ-law and as linear
// samples otherwise; Deepgram's own endpointer says where an utterance ends.
// A result with is_final is a Final, of an utterance or a part of it;
// speech_final makes it Endpointed: the turn is committed at once. Where the
// endpointer finds nothing (noise behind the voice) UtteranceEnd is an
// Endpoint. Silence is sent too; when nothing is sent, KeepAlive is, every
// 3 s. The rest of the connection is audio/stt/socket's.
package deepgram

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/gorilla/websocket"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/stt"
	"github.com/patchcord/patchcord/audio/stt/socket"
	"github.com/patchcord/patchcord/internal/secret"
)

// Name is the provider's name in errors and in configuration.
const Name = "deepgram"

// Config of the recogniser.
type Config struct {
	BaseURL string      `yaml:"base_url"` // default wss://api.deepgram.com
	APIKey  secret.Text `yaml:"api_key"`
	Model   string      `yaml:"model"` // default nova-3
	// Language of callers, BCP 47; a call that names its own has that. Default:
	// Deepgram's, English.
	Language string `yaml:"language"`
	// Endpointing is the silence after which speech_final comes. Default 300 ms.
	Endpointing time.Duration `yaml:"endpointing"`
	// UtteranceEnd is the gap between words after which UtteranceEnd comes, at
	// least 1 s. Default 1 s.
	UtteranceEnd time.Duration `yaml:"utterance_end"`
	// SmartFormat writes numbers and punctuation as people do. Default true.
	SmartFormat *bool `yaml:"smart_format"`
	// Keyterms are words to expect: names, products.
	Keyterms []string `yaml:"keyterms"`
	// Finalize asks for the words at once when the call's own detector heard
	// the voice end. Default false: the endpointer decides alone.
	Finalize bool `yaml:"finalize"`
}

const defaultURL = "wss://api.deepgram.com"

func (c Config) withDefaults() Config {
	if c.BaseURL == "" {
		c.BaseURL = defaultURL
	}
	if c.Model == "" {
		c.Model = "nova-3"
	}
	if c.Endpointing == 0 {
		c.Endpointing = 300 * time.Millisecond
	}
	if c.UtteranceEnd == 0 {
		c.UtteranceEnd = time.Second
	}
	if c.SmartFormat == nil {
		yes := true
		c.SmartFormat = &yes
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
		return nil, errors.New("stt: deepgram: api_key is empty: set DEEPGRAM_API_KEY, or base_url to a server without keys")
	case c.Endpointing < 0 || c.Endpointing > 10*time.Second:
		return nil, fmt.Errorf("stt: deepgram: endpointing %v: want up to 10s", c.Endpointing)
	case c.UtteranceEnd < time.Second || c.UtteranceEnd > 5*time.Second:
		return nil, fmt.Errorf("stt: deepgram: utterance_end %v: want 1s to 5s", c.UtteranceEnd)
	}
	return &Provider{config: c, base: u, dialer: socket.Dialer()}, nil
}

// Profile implements [stt.Profiled]. The endpointer goes by pauses alone, so
// that the call's own waits end turns too.
func (p *Provider) Profile() stt.Profile { return stt.Profile{Wait: 350 * time.Millisecond} }

// address is where a call's stream connects to, and the encoding sent there.
func (p *Provider) address(o stt.Options) (string, audio.Encoding) {
	encoding, name := socket.Encoding(o.Format), "linear16"
	if encoding == audio.MuLaw {
		name = "mulaw"
	}
	q := url.Values{
		"model":            {p.config.Model},
		"encoding":         {name},
		"sample_rate":      {strconv.Itoa(o.Format.Rate)},
		"channels":         {"1"},
		"interim_results":  {"true"},
		"endpointing":      {ms(p.config.Endpointing)},
		"utterance_end_ms": {ms(p.config.UtteranceEnd)},
		"vad_events":       {"true"},
		"smart_format":     {strconv.FormatBool(*p.config.SmartFormat)},
	}
	language := o.Language
	if language == "" {
		language = p.config.Language
	}
	if language != "" {
		q.Set("language", language)
	}
	for _, k := range p.config.Keyterms {
		q.Add("keyterm", k)
	}
	u := *p.base
	u.Path += "/v1/listen"
	u.RawQuery = q.Encode()
	return u.String(), encoding
}

func ms(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// Open implements [stt.Provider].
func (p *Provider) Open(ctx context.Context, o stt.Options) (stt.Stream, error) {
	if err := socket.CheckRate(Name, o.Format); err != nil {
		return nil, err
	}
	address, encoding := p.address(o)
	header := http.Header{"User-Agent": {"patchcord"}}
	if p.config.APIKey != "" {
		header.Set("Authorization", "Token "+p.config.APIKey.Reveal())
	}
	language := o.Language
	if language == "" {
		language = p.config.Language
	}
	finalize := ""
	if p.config.Finalize {
		finalize = `{"type":"Finalize"}`
	}
	words := results{language: language}
	return socket.Open(ctx, &p.dialer, socket.Session{
		Name: Name, URL: address, Header: header, Key: p.config.APIKey, Reason: "dg-error",
		Encoding: encoding, Rate: o.Format.Rate,
		KeepAlive: `{"type":"KeepAlive"}`, VoiceEnd: finalize, Bye: `{"type":"CloseStream"}`, Read: words.read,
	})
}
