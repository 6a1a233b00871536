// Package elevenlabs speaks with ElevenLabs' voices over its WebSocket for
// several contexts (wss://api.elevenlabs.io/v1/text-to-speech/VOICE/multi-stream-input).
//
// The sound comes as the call carries it, µ-law and A-law included. A sentence
// is a context of its own, flushed and closed as soon as it is asked for:
// ElevenLabs goes on speaking what was flushed and then says that the context
// is final. One that is given up is not heard any more, and its place counts
// until that word, for more than five contexts cost the whole connection.
// The times of the characters become those of the words. No error holds the
// key.
package elevenlabs

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
const Name = "elevenlabs"

// Config of the voice.
type Config struct {
	BaseURL string      `yaml:"base_url"` // default wss://api.elevenlabs.io; wss://api.eu.residency.elevenlabs.io
	APIKey  secret.Text `yaml:"api_key"`
	Voice   string      `yaml:"voice"` // the voice's id
	Model   string      `yaml:"model"` // default eleven_flash_v2_5; not eleven_v3, which has no such WebSocket
	// The voice's settings; those not set are the voice's own.
	Stability       *float64 `yaml:"stability"`        // 0 to 1
	SimilarityBoost *float64 `yaml:"similarity_boost"` // 0 to 1
	Style           *float64 `yaml:"style"`            // 0 to 1
	SpeakerBoost    *bool    `yaml:"use_speaker_boost"`
	Speed           *float64 `yaml:"speed"` // 0.7 to 1.2
	// Timeout is how long the sound may pause, the first of it included.
	// Default 10 s.
	Timeout time.Duration `yaml:"timeout"`
}

const (
	defaultURL = "wss://api.elevenlabs.io"
	// contexts at a time over one connection. ElevenLabs takes five; the fifth
	// is left for one that it has not yet closed when it says so.
	contexts = 4
	// inactive is how long ElevenLabs keeps a context that nothing comes for, s:
	// longer than any of ours lives.
	inactive = "60"
)

func (c Config) withDefaults() Config {
	if c.BaseURL == "" {
		c.BaseURL = defaultURL
	}
	if c.Model == "" {
		c.Model = "eleven_flash_v2_5"
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	return c
}

func (c Config) check() error {
	between := func(name string, v *float64, low, high float64) error {
		if v != nil && !(*v >= low && *v <= high) {
			return fmt.Errorf("%s %v: want %v to %v", name, *v, low, high)
		}
		return nil
	}
	err := errors.Join(
		between("stability", c.Stability, 0, 1), between("similarity_boost", c.SimilarityBoost, 0, 1),
		between("style", c.Style, 0, 1), between("speed", c.Speed, 0.7, 1.2),
	)
	switch {
	case err != nil:
		return err
	case c.BaseURL == defaultURL && c.APIKey == "":
		return errors.New("api_key is empty: set ELEVENLABS_API_KEY, or base_url to a server without keys")
	case c.Voice == "":
		return errors.New("voice is empty: write the id of a voice, such as 21m00Tcm4TlvDq8ikWAM")
	case c.Model == "eleven_v3":
		return errors.New("model eleven_v3 cannot be streamed by contexts: take eleven_flash_v2_5")
	case c.Timeout < 0:
		return fmt.Errorf("timeout %v is negative", c.Timeout)
	}
	return nil
}

// Provider speaks over connections that it keeps; Close ends them.
type Provider struct{ pool *ttssocket.Pool }

var _ tts.Provider = (*Provider)(nil)

// New checks the configuration; it connects to nobody.
func New(c Config) (*Provider, error) {
	c = c.withDefaults()
	base, err := ttssocket.Base(c.BaseURL)
	if err == nil {
		err = c.check()
	}
	if err != nil {
		return nil, fmt.Errorf("tts: elevenlabs: %w", err)
	}
	header := http.Header{"User-Agent": {"patchcord"}}
	if c.APIKey != "" {
		header.Set("Xi-Api-Key", c.APIKey.Reveal())
	}
	return &Provider{ttssocket.New(ttssocket.Config{
		Name: Name, Key: c.APIKey, Header: header, Sentences: contexts,
		Idle: time.Minute, Age: 50 * time.Minute, Pause: c.Timeout, Fault: passes,
	}, vendor{c, base})}, nil
}

// Synthesize implements [tts.Provider].
func (p *Provider) Synthesize(ctx context.Context, r tts.Request) (tts.Stream, error) {
	return p.pool.Synthesize(ctx, r)
}

// Close ends the connections.
func (p *Provider) Close() error { return p.pool.Close() }

// passes tells whether what ElevenLabs closes a connection for may be another
// one in a moment: it closes for a violation where too much is asked for too.
func passes(code int, text string) bool {
	if code != websocket.ClosePolicyViolation && code != websocket.CloseProtocolError {
		return true
	}
	text = strings.ToLower(text)
	return strings.Contains(text, "simultaneous") || strings.Contains(text, "concurren") ||
		strings.Contains(text, "max_active") || strings.Contains(text, "busy")
}

// vendor is what only ElevenLabs does.
type vendor struct {
	config Config
	base   *url.URL
}

func (v vendor) Address(r tts.Request) (string, audio.Format) {
	f, name := audio.Format{Encoding: audio.PCM16, Rate: 16000}, "pcm_16000"
	switch {
	case r.Format.Encoding == audio.MuLaw && r.Format.Rate == 8000:
		f, name = r.Format, "ulaw_8000"
	case r.Format.Encoding == audio.ALaw && r.Format.Rate == 8000:
		f, name = r.Format, "alaw_8000"
	case r.Format.Rate == 8000:
		f.Rate, name = 8000, "pcm_8000"
	}
	voice := v.config.Voice
	if r.Voice != "" {
		voice = r.Voice
	}
	q := url.Values{
		"model_id": {v.config.Model}, "output_format": {name}, "auto_mode": {"true"},
		"sync_alignment": {"true"}, "inactivity_timeout": {inactive},
	}
	// Only these models take a language; others refuse one.
	if language, _, _ := strings.Cut(r.Language, "-"); language != "" && strings.HasSuffix(v.config.Model, "_v2_5") {
		q.Set("language_code", strings.ToLower(language))
	}
	u := *v.base
	u = *u.JoinPath("v1", "text-to-speech", url.PathEscape(voice), "multi-stream-input")
	u.RawQuery = q.Encode()
	return u.String(), f
}

// settings are those of a voice that are set.
type settings struct {
	Stability       *float64 `json:"stability,omitempty"`
	SimilarityBoost *float64 `json:"similarity_boost,omitempty"`
	Style           *float64 `json:"style,omitempty"`
	SpeakerBoost    *bool    `json:"use_speaker_boost,omitempty"`
	Speed           *float64 `json:"speed,omitempty"`
}

// text is a message about a context.
type text struct {
	Text     string   `json:"text"`
	Settings settings `json:"voice_settings,omitzero"`
	Context  string   `json:"context_id"`
	Flush    bool     `json:"flush,omitempty"`
}

func (v vendor) Ask(id string, r tts.Request) ([][]byte, error) {
	c := v.config
	// A context begins with a space; every text ends with one.
	first, err := json.Marshal(text{
		Text: " ", Context: id, Settings: settings{c.Stability, c.SimilarityBoost, c.Style, c.SpeakerBoost, c.Speed},
	})
	if err != nil {
		return nil, fmt.Errorf("write request: %w", err)
	}
	words, err := json.Marshal(text{Text: strings.TrimSpace(r.Text) + " ", Context: id, Flush: true})
	if err != nil {
		return nil, fmt.Errorf("write request: %w", err)
	}
	end, err := json.Marshal(struct {
		Context string `json:"context_id"`
		Close   bool   `json:"close_context"`
	}{id, true})
	if err != nil {
		return nil, fmt.Errorf("write request: %w", err)
	}
	return [][]byte{first, words, end}, nil
}

// Cancel is nothing: the context is closed already.
func (v vendor) Cancel(string) []byte { return nil }

func (v vendor) Bye() []byte { return []byte(`{"close_socket":true}`) }

// Read is what a message means. Names are read as the reference writes them
// and as older pages do.
func (v vendor) Read(kind int, data []byte) (m ttssocket.Message, err error) {
	if kind != websocket.TextMessage {
		return m, nil
	}
	var t struct {
		Audio     []byte          `json:"audio"` // base64
		Context   string          `json:"contextId"`
		OldName   string          `json:"context_id"`
		Final     bool            `json:"isFinal"`
		OldFinal  bool            `json:"is_final"`
		Alignment *alignment      `json:"alignment"`
		Error     json.RawMessage `json:"error"`
		Message   string          `json:"message"`
		Code      int             `json:"code"`
	}
	if err := json.Unmarshal(data, &t); err != nil {
		return m, fmt.Errorf("a message that cannot be read: %w", err)
	}
	m.ID, m.Sound = t.Context, t.Audio
	if m.ID == "" {
		m.ID = t.OldName
	}
	if len(t.Error) > 0 && string(t.Error) != "null" {
		why := strings.TrimSpace(strings.Trim(string(t.Error), `"`) + " " + t.Message)
		m.Err = &tts.Error{Op: "read", Temporary: passes(t.Code, why), Err: errors.New(why)}
		return m, nil
	}
	if t.Final || t.OldFinal {
		m.End = ttssocket.Done
	}
	if t.Alignment != nil {
		m.Marks = t.Alignment.marks()
	}
	return m, nil
}

// alignment is when the characters of the text sound, since the beginning of
// the message's sound.
type alignment struct {
	Chars     []string `json:"chars"`
	Starts    []int    `json:"charStartTimesMs"`
	Durations []int    `json:"charDurationsMs"`
	// OldDurations is what the examples of the older page call them.
	OldDurations []int `json:"charsDurationsMs"`
}

func (a *alignment) marks() []ttssocket.Mark {
	long := a.Durations
	if len(long) == 0 {
		long = a.OldDurations
	}
	n := min(len(a.Chars), len(a.Starts), len(long))
	out := make([]ttssocket.Mark, 0, n)
	for i := range n {
		const most = 600_000 // ms: no sentence lasts longer
		end := min(max(a.Starts[i], 0), most) + min(max(long[i], 0), most)
		out = append(out, ttssocket.Mark{Text: a.Chars[i], End: time.Duration(end) * time.Millisecond, Local: true})
	}
	return out
}
