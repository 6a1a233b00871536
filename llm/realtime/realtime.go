// Package realtime is what speech-to-speech models behind OpenAI's realtime
// wire have in common: one WebSocket per call, JSON events both ways, sound in
// them as base64.
//
//	session.update ─▶              the settings: formats, tools, server VAD
//	input_audio_buffer.append ─▶   the caller, continuously
//	◀─ input_audio_buffer.speech_started, speech_stopped, committed
//	◀─ conversation.item.input_audio_transcription.completed
//	response.create ─▶             ours alone: the server's VAD creates none
//	◀─ response.created, response.output_audio.delta, …, response.done
//	conversation.item.truncate, delete, response.cancel ─▶
//
// It guarantees that G.711 passes bit for bit and that every other sound is
// resampled once; that the names of the beta interface, which compatible
// servers still use, are understood as those of the GA one; that what the
// server says beyond that is passed over; that a connection from which nothing
// comes for 15 s, answers to pings included, is lost; and that no error holds
// the key. A session does not reconnect: that is the engine's, which knows
// what was said.
package realtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/internal/dial"
	"github.com/patchcord/patchcord/internal/secret"
	"github.com/patchcord/patchcord/llm"
)

// Dialect is how a vendor differs.
type Dialect struct {
	Name string
	// Session is the object of session.update at the start, in and out the
	// names of the format ("audio/pcmu") and the rate of PCM, 0 for G.711.
	Session func(o llm.RealtimeOptions, format string, rate int) any
	// Instruct is that of a later one.
	Instruct func(c llm.Instruct) any
	// Respond is the event that asks for a response.
	Respond func(c llm.Respond) map[string]any
	// PCMRate is the rate of PCM for a call of a rate, Hz.
	PCMRate func(rate int) int
	// Padding is how much before the voice the server's onset lies, Silence how
	// much after it its end.
	Padding, Silence time.Duration
}

// Server is where a vendor's servers are.
type Server struct {
	BaseURL string // with the path
	APIKey  secret.Text
	Model   string
}

// Provider opens one connection per call.
type Provider struct {
	dialect Dialect
	address string
	key     secret.Text
	// Dialer may be changed before the first Connect, for tests.
	Dialer websocket.Dialer
}

var _ llm.Realtime = (*Provider)(nil)

// How long things may take.
const (
	connectWait = 3 * time.Second
	settingWait = 5 * time.Second // from the connection to the settings taken
	writeWait   = 2 * time.Second
	pingEvery   = 10 * time.Second
	deadAfter   = 15 * time.Second
	byeWait     = time.Second
	maxMessage  = 16 << 20 // bytes; the interface allows 15 MB of sound in one
)

// New checks the address; it connects to nobody.
func New(s Server, d Dialect) (*Provider, error) {
	u, err := url.Parse(strings.TrimRight(s.BaseURL, "/"))
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("llm: %s: base_url is no URL of the form wss://host/v1/realtime", d.Name)
	}
	if u.User != nil || u.Fragment != "" {
		return nil, fmt.Errorf("llm: %s: base_url has a user or a fragment: a key belongs into api_key", d.Name)
	}
	switch u.Scheme {
	case "http", "https":
		u.Scheme = strings.Replace(u.Scheme, "http", "ws", 1)
	case "ws", "wss":
	default:
		return nil, fmt.Errorf("llm: %s: base_url is no URL of the form wss://host/v1/realtime", d.Name)
	}
	q := u.Query()
	q.Set("model", s.Model)
	u.RawQuery = q.Encode()
	return &Provider{dialect: d, address: u.String(), key: s.APIKey, Dialer: websocket.Dialer{
		Proxy:            http.ProxyFromEnvironment,
		HandshakeTimeout: connectWait,
		ReadBufferSize:   16 << 10,
		WriteBufferSize:  4 << 10,
	}}, nil
}

// format is how the sound of a call goes over the wire.
func (d *Dialect) format(f audio.Format) (name string, e audio.Encoding, rate int) {
	switch {
	case f.Encoding == audio.MuLaw && f.Rate == 8000:
		return "audio/pcmu", audio.MuLaw, 0
	case f.Encoding == audio.ALaw && f.Rate == 8000:
		return "audio/pcma", audio.ALaw, 0
	}
	return "audio/pcm", audio.PCM16, d.PCMRate(f.Rate)
}

// Connect implements [llm.Realtime].
func (p *Provider) Connect(ctx context.Context, o llm.RealtimeOptions) (llm.RealtimeSession, error) {
	if r := o.Format.Rate; r < 8000 || r > 48000 {
		return nil, p.fail("connect", false, fmt.Errorf("sound at %d Hz: want 8000 to 48000", r))
	}
	header := http.Header{"User-Agent": {"patchcord"}}
	if p.key != "" {
		header.Set("Authorization", "Bearer "+p.key.Reveal())
	}
	dialing, cancel := context.WithTimeout(ctx, connectWait)
	defer cancel()
	conn, res, err := dial.WebSocket(dialing, &p.Dialer, p.address, header)
	if err != nil {
		return nil, p.refusal(ctx, res, err)
	}
	s := newSession(ctx, conn, p.dialect, o, p.key)
	if err := s.open(ctx, o); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

func (p *Provider) fail(op string, temporary bool, err error) *llm.Error {
	return &llm.Error{Provider: p.dialect.Name, Op: op, Temporary: temporary, Err: err}
}

// refusal says why no connection came about.
func (p *Provider) refusal(ctx context.Context, res *http.Response, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if res == nil {
		return p.fail("connect", true, err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	e := p.fail("connect", res.StatusCode == http.StatusTooManyRequests || res.StatusCode >= 500,
		errors.New(res.Status+": "+clean(message(text), p.key)))
	e.Status = res.StatusCode
	return e
}

// clean keeps a text short, in one line and without the key.
func clean(text string, key secret.Text) string {
	if k := key.Reveal(); len(k) > 3 {
		text = strings.ReplaceAll(text, k, key.String())
	}
	text = strings.Join(strings.Fields(text), " ")
	const most = 300 // bytes
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
