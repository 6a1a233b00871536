// Package openairealtime is OpenAI's speech-to-speech model, and every server
// that speaks its realtime interface (wss://api.openai.com/v1/realtime).
//
// The GA interface is spoken, without the beta header; what is read may bear
// the names of the beta. The server's VAD hears the turns and starts nothing
// by itself (create_response and interrupt_response are false).
package openairealtime

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/patchcord/patchcord/internal/secret"
	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/llm/realtime"
)

// Name is the provider's type in configuration and its name in errors.
const Name = "openai-realtime"

const defaultURL = "wss://api.openai.com/v1/realtime"

// Config of the model.
type Config struct {
	BaseURL string      `yaml:"base_url"` // default wss://api.openai.com/v1/realtime
	APIKey  secret.Text `yaml:"api_key"`
	Model   string      `yaml:"model"` // default gpt-realtime
	Voice   string      `yaml:"voice"` // default marin; an agent that names its own has that
	Speed   float64     `yaml:"speed"` // 0.25 to 1.5, default the server's, 1
	// Transcription is the model that writes down what the caller said. Default
	// gpt-4o-mini-transcribe; "none" for none: transcripts lack the caller then.
	Transcription string `yaml:"transcription"`
	// TurnDetection is server_vad, or semantic_vad, which waits longer where the
	// words are not finished. Default server_vad.
	TurnDetection string        `yaml:"turn_detection"`
	Threshold     float64       `yaml:"threshold"`       // of server_vad, 0 to 1, default 0.5
	PrefixPadding time.Duration `yaml:"prefix_padding"`  // of server_vad, default 300ms
	Silence       time.Duration `yaml:"silence"`         // of server_vad, default 500ms
	Eagerness     string        `yaml:"eagerness"`       // of semantic_vad: low, medium, high, auto; default auto
	NoiseReducing string        `yaml:"noise_reduction"` // near_field or far_field, default none: a telephone has its own
	MaxTokens     int           `yaml:"max_tokens"`      // of a response, default no limit
}

func (c Config) withDefaults() Config {
	def := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	def(&c.BaseURL, defaultURL)
	def(&c.Model, "gpt-realtime")
	def(&c.Voice, "marin")
	def(&c.Transcription, "gpt-4o-mini-transcribe")
	def(&c.TurnDetection, "server_vad")
	def(&c.Eagerness, "auto")
	if c.Threshold == 0 {
		c.Threshold = 0.5
	}
	if c.PrefixPadding == 0 {
		c.PrefixPadding = 300 * time.Millisecond
	}
	if c.Silence == 0 {
		c.Silence = 500 * time.Millisecond
	}
	return c
}

func (c Config) check() error {
	switch {
	case c.BaseURL == defaultURL && c.APIKey == "":
		return errors.New("api_key is empty: set OPENAI_API_KEY, or base_url to a server without keys")
	case c.TurnDetection != "server_vad" && c.TurnDetection != "semantic_vad":
		return fmt.Errorf("turn_detection %q: want server_vad or semantic_vad", c.TurnDetection)
	case c.Threshold < 0 || c.Threshold > 1:
		return fmt.Errorf("threshold %g: want 0 to 1", c.Threshold)
	case c.Silence < 0 || c.Silence > 10*time.Second || c.PrefixPadding < 0 || c.PrefixPadding > 10*time.Second:
		return fmt.Errorf("silence %v, prefix_padding %v: want up to 10s", c.Silence, c.PrefixPadding)
	case !slices.Contains([]string{"low", "medium", "high", "auto"}, c.Eagerness):
		return fmt.Errorf("eagerness %q: want low, medium, high or auto", c.Eagerness)
	case !slices.Contains([]string{"", "near_field", "far_field"}, c.NoiseReducing):
		return fmt.Errorf("noise_reduction %q: want near_field or far_field", c.NoiseReducing)
	case c.Speed != 0 && (c.Speed < 0.25 || c.Speed > 1.5):
		return fmt.Errorf("speed %g: want 0.25 to 1.5", c.Speed)
	case c.MaxTokens < 0:
		return fmt.Errorf("max_tokens %d: want 1 or more", c.MaxTokens)
	}
	return nil
}

// New checks the configuration; it connects to nobody.
func New(c Config) (*realtime.Provider, error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("llm: %s: %w", Name, err)
	}
	d := realtime.Dialect{
		Name: Name, Session: c.session, Respond: respond,
		PCMRate: func(int) int { return 24000 }, // the only one there is
		Instruct: func(i llm.Instruct) any {
			return map[string]any{"type": "realtime", "instructions": i.Instructions, "tools": realtime.Tools(i.Tools)}
		},
	}
	if c.TurnDetection == "server_vad" {
		d.Padding, d.Silence = c.PrefixPadding, c.Silence
	}
	return realtime.New(realtime.Server{BaseURL: c.BaseURL, APIKey: c.APIKey, Model: c.Model}, d)
}

type object = map[string]any

// session is the object of the first session.update.
func (c Config) session(o llm.RealtimeOptions, format string, rate int) any {
	sound := func() object {
		f := object{"type": format}
		if rate != 0 {
			f["rate"] = rate
		}
		return object{"format": f}
	}
	in, out := sound(), sound()
	in["turn_detection"] = c.turns()
	if c.Transcription != "none" {
		t := object{"model": c.Transcription}
		if o.Language != "" {
			t["language"], _, _ = strings.Cut(o.Language, "-") // ISO 639-1
		}
		in["transcription"] = t
	}
	if c.NoiseReducing != "" {
		in["noise_reduction"] = object{"type": c.NoiseReducing}
	}
	out["voice"] = c.Voice
	if o.Voice != "" {
		out["voice"] = o.Voice
	}
	if c.Speed != 0 {
		out["speed"] = c.Speed
	}
	s := object{
		"type": "realtime", "output_modalities": []string{"audio"}, "instructions": o.Instructions,
		"tools": realtime.Tools(o.Tools), "tool_choice": "auto", "audio": object{"input": in, "output": out},
	}
	if n := max(o.MaxTokens, c.MaxTokens); n > 0 {
		s["max_output_tokens"] = n
	}
	return s
}

// turns lets the server hear the turns and leave what follows to us.
func (c Config) turns() object {
	t := object{"type": c.TurnDetection, "create_response": false, "interrupt_response": false}
	if c.TurnDetection == "semantic_vad" {
		t["eagerness"] = c.Eagerness
		return t
	}
	t["threshold"] = c.Threshold
	t["prefix_padding_ms"] = c.PrefixPadding.Milliseconds()
	t["silence_duration_ms"] = c.Silence.Milliseconds()
	return t
}

// respond is response.create. What it shall say exactly are instructions of
// its own, in place of the session's.
func respond(c llm.Respond) map[string]any {
	r := object{"metadata": realtime.Metadata(c.ID)}
	if c.Exactly != "" {
		r["instructions"] = "Say exactly the following words, all of them and nothing else, as they are: " + c.Exactly
	}
	if c.NoTools || c.Exactly != "" {
		r["tool_choice"] = "none"
	}
	return object{"type": "response.create", "response": r}
}
