// Package xai is xAI's speech-to-speech model (wss://api.x.ai/v1/realtime).
//
// The wire is OpenAI's. Different are: voice and turn detection stand at the
// top of the session; PCM has the call's own rate; a sentence that is to be
// said as it is, is an item of its own (force_message), which is a response by
// itself; a single response takes no choice of tools. A session lasts an hour
// at most.
package xai

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/patchcord/patchcord/internal/secret"
	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/llm/realtime"
)

// Name is the provider's type in configuration and its name in errors.
const Name = "xai"

const defaultURL = "wss://api.x.ai/v1/realtime"

// Config of the model.
type Config struct {
	BaseURL string      `yaml:"base_url"` // default wss://api.x.ai/v1/realtime
	APIKey  secret.Text `yaml:"api_key"`
	Model   string      `yaml:"model"` // default grok-voice-latest
	Voice   string      `yaml:"voice"` // default eve; an agent that names its own has that
	Speed   float64     `yaml:"speed"` // 0.7 to 1.5, default the server's, 1
	// Threshold of the server's voice detection, 0.1 to 0.9, default the server's.
	Threshold     float64       `yaml:"threshold"`
	PrefixPadding time.Duration `yaml:"prefix_padding"` // default 333ms
	Silence       time.Duration `yaml:"silence"`        // after a turn, default 500ms
	// Keyterms are words to expect: names, products. At most 100 of 50 characters.
	Keyterms []string `yaml:"keyterms"`
}

func (c Config) withDefaults() Config {
	def := func(s *string, v string) {
		if *s == "" {
			*s = v
		}
	}
	def(&c.BaseURL, defaultURL)
	def(&c.Model, "grok-voice-latest")
	def(&c.Voice, "eve")
	if c.PrefixPadding == 0 {
		c.PrefixPadding = 333 * time.Millisecond
	}
	if c.Silence == 0 {
		c.Silence = 500 * time.Millisecond
	}
	return c
}

func (c Config) check() error {
	switch {
	case c.BaseURL == defaultURL && c.APIKey == "":
		return errors.New("api_key is empty: set XAI_API_KEY")
	case c.Threshold != 0 && (c.Threshold < 0.1 || c.Threshold > 0.9):
		return fmt.Errorf("threshold %g: want 0.1 to 0.9", c.Threshold)
	case c.Silence < 0 || c.Silence > 10*time.Second || c.PrefixPadding < 0 || c.PrefixPadding > 10*time.Second:
		return fmt.Errorf("silence %v, prefix_padding %v: want up to 10s", c.Silence, c.PrefixPadding)
	case c.Speed != 0 && (c.Speed < 0.7 || c.Speed > 1.5):
		return fmt.Errorf("speed %g: want 0.7 to 1.5", c.Speed)
	case len(c.Keyterms) > 100:
		return fmt.Errorf("%d keyterms: want 100 at most", len(c.Keyterms))
	}
	return nil
}

// rates are what PCM may have, Hz.
var rates = []int{8000, 16000, 24000, 32000, 44100, 48000}

// New checks the configuration; it connects to nobody.
func New(c Config) (*realtime.Provider, error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("llm: %s: %w", Name, err)
	}
	return realtime.New(realtime.Server{BaseURL: c.BaseURL, APIKey: c.APIKey, Model: c.Model}, realtime.Dialect{
		Name: Name, Session: c.session, Respond: respond, Padding: c.PrefixPadding, Silence: c.Silence,
		PCMRate: func(rate int) int {
			if slices.Contains(rates, rate) {
				return rate
			}
			return 24000
		},
		Instruct: func(i llm.Instruct) any {
			return map[string]any{"instructions": i.Instructions, "tools": realtime.Tools(i.Tools)}
		},
	})
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
	transcription := object{}
	if o.Language != "" {
		transcription["language_hint"] = o.Language
	}
	if len(c.Keyterms) > 0 {
		transcription["keyterms"] = c.Keyterms
	}
	if len(transcription) > 0 {
		in["transcription"] = transcription
	}
	if c.Speed != 0 {
		out["speed"] = c.Speed
	}
	turns := object{
		"type": "server_vad", "create_response": false, "interrupt_response": false,
		"prefix_padding_ms": c.PrefixPadding.Milliseconds(), "silence_duration_ms": c.Silence.Milliseconds(),
	}
	if c.Threshold != 0 {
		turns["threshold"] = c.Threshold
	}
	voice := c.Voice
	if o.Voice != "" {
		voice = o.Voice
	}
	return object{
		"instructions": o.Instructions, "voice": voice, "turn_detection": turns, "tools": realtime.Tools(o.Tools),
		"audio": object{"input": in, "output": out},
	}
}

// respond asks for a response, or has a sentence said. Calls where none are
// wanted are refused by the engine.
func respond(c llm.Respond) map[string]any {
	if c.Exactly != "" {
		return object{"type": "conversation.item.create", "item": object{
			"type": "force_message", "role": "assistant",
			"content": []object{{"type": "output_text", "text": c.Exactly}},
		}}
	}
	return object{"type": "response.create"}
}
