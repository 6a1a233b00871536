// Package socket is what recognisers behind a WebSocket have in common: one
// connection per call, the call's sound in binary messages, JSON in text ones.
//
// It guarantees of every such stream: sound leaves as µ-law where the call
// carries µ-law and the vendor takes it, in pieces of the length the vendor
// wants; a call that falls silent or stops sending does not lose its
// connection; a connection from which nothing comes for 15 s, answers to pings
// included, is lost; the vendor's goodbye is sent however the stream ends, and
// a peer that is gone holds Close up for 250 ms at most. No error holds a key.
//
// A stream does not reconnect: that is the engine's, which has the sound to
// send again.
package socket

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/stt"
	"github.com/patchcord/patchcord/internal/dial"
	"github.com/patchcord/patchcord/internal/secret"
)

// ConnectWait is how long a connection may take to open, its first message
// included.
const ConnectWait = 3 * time.Second

// Session is one vendor's way to talk, for one call.
type Session struct {
	Name     string // the provider's, in errors
	URL      string
	Header   http.Header
	Key      secret.Text // in Header, and in no error
	Reason   string      // header of a refusal that names the fault, "" where only the body does
	Hello    string      // type of the message that opens a session, "" for none
	Encoding audio.Encoding
	Rate     int // Hz

	// Piece is how much sound a message holds; 0: what Send is given.
	Piece time.Duration
	// Pace is how many times faster than the clock the vendor takes sound, after
	// the first second; 0: as fast as it comes.
	Pace float64
	// Silence tells that silence is sent on where a call stops sending: the
	// vendor measures pauses by the sound it gets. KeepAlive is the message for
	// vendors that only want to be told that the call is still there.
	Silence   bool
	KeepAlive string
	VoiceEnd  string // message at the end of a voice, "" for none
	Bye       string // message that ends the session

	// Read is what a text message means; an error ends the stream and is a
	// *stt.Error where it is not worth another try.
	Read func(frame []byte) ([]stt.Event, error)
	// Final tells that a close code is none that another try changes.
	Final func(code int) bool
}

// Dialer is how vendors are connected to.
func Dialer() websocket.Dialer {
	return websocket.Dialer{
		Proxy:            http.ProxyFromEnvironment,
		HandshakeTimeout: ConnectWait,
		ReadBufferSize:   4 << 10,
		WriteBufferSize:  4 << 10,
	}
}

// Base is a provider's address, http and https taken for ws and wss.
func Base(name, address string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimRight(address, "/"))
	if err == nil && u.Host != "" {
		if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			return nil, fmt.Errorf("stt: %s: base_url has more than host and path: a key belongs into api_key", name)
		}
		switch u.Scheme {
		case "http", "https":
			u.Scheme = strings.Replace(u.Scheme, "http", "ws", 1)
			return u, nil
		case "ws", "wss":
			return u, nil
		}
	}
	return nil, fmt.Errorf("stt: %s: base_url is no URL of the form wss://host", name)
}

// Encoding is how a call's sound is sent to a vendor that takes µ-law at 8 kHz
// and linear samples.
func Encoding(f audio.Format) audio.Encoding {
	if f.Encoding == audio.MuLaw && f.Rate == 8000 {
		return audio.MuLaw
	}
	return audio.PCM16
}

// CheckRate is an error for sound at a rate that no vendor takes.
func CheckRate(name string, f audio.Format) error {
	if f.Rate < 8000 || f.Rate > 48000 {
		return &stt.Error{Provider: name, Op: "open", Err: fmt.Errorf("sound at %d Hz: want 8000 to 48000", f.Rate)}
	}
	return nil
}

// Open connects, waits for the vendor's hello and returns the stream.
func Open(ctx context.Context, d *websocket.Dialer, s Session) (stt.Stream, error) {
	dialing, cancel := context.WithTimeout(ctx, ConnectWait)
	defer cancel()
	conn, res, err := dial.WebSocket(dialing, d, s.URL, s.Header)
	if err != nil {
		return nil, s.refusal(ctx, res, err)
	}
	if s.Hello != "" {
		if err := s.hello(dialing, conn); err != nil {
			_ = conn.Close() // what went wrong is known
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			return nil, err
		}
	}
	return newStream(ctx, conn, s), nil
}

// hello reads until the session is open.
func (s *Session) hello(ctx context.Context, conn *websocket.Conn) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.NetConn().Close() })
	defer stop()
	conn.SetReadLimit(maxFrame)
	for {
		kind, data, err := conn.ReadMessage()
		if err != nil {
			e := s.ended(err)
			e.Op = "open"
			if ctx.Err() != nil {
				e.Temporary, e.Err = true, fmt.Errorf("no %s came in %v", s.Hello, ConnectWait)
			}
			return e
		}
		if kind != websocket.TextMessage {
			continue
		}
		if _, err := s.Read(data); err != nil {
			e := s.fault(err)
			e.Op = "open"
			return e
		}
		var m struct {
			Type string `json:"type"`
		}
		if json.Unmarshal(data, &m) == nil && m.Type == s.Hello {
			return nil
		}
	}
}

// fault is an error of Read as the stream's.
func (s *Session) fault(err error) *stt.Error {
	var e *stt.Error
	if errors.As(err, &e) {
		return &stt.Error{Provider: e.Provider, Op: e.Op, Temporary: e.Temporary, Err: s.clean(e.Err)}
	}
	return &stt.Error{Provider: s.Name, Op: "read", Temporary: true, Err: s.clean(err)}
}

// clean is an error without the key, which a vendor may repeat.
func (s *Session) clean(err error) error {
	if k := s.Key.Reveal(); len(k) > 3 && strings.Contains(err.Error(), k) {
		return errors.New(strings.ReplaceAll(err.Error(), k, s.Key.String()))
	}
	return err
}

// refusal says why no connection came about.
func (s *Session) refusal(ctx context.Context, res *http.Response, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	e := &stt.Error{Provider: s.Name, Op: "open", Temporary: true, Err: err}
	if res == nil {
		return e
	}
	defer res.Body.Close()
	why := ""
	if s.Reason != "" {
		why = res.Header.Get(s.Reason)
	}
	if why == "" {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10))
		why = strings.Join(strings.Fields(string(text)), " ")
	}
	e.Temporary = res.StatusCode == http.StatusTooManyRequests || res.StatusCode >= 500
	e.Err = fmt.Errorf("%s: %.300s", res.Status, s.clean(errors.New(why)).Error())
	return e
}

// ended says why a connection ended.
func (s *Session) ended(err error) *stt.Error {
	e := &stt.Error{Provider: s.Name, Op: "read", Temporary: true, Err: err}
	var c *websocket.CloseError
	var timeout net.Error
	switch {
	case errors.As(err, &c):
		e.Temporary = c.Code != websocket.ClosePolicyViolation && c.Code != websocket.CloseProtocolError &&
			(s.Final == nil || !s.Final(c.Code))
		e.Err = s.clean(fmt.Errorf("%s closed the connection: %d %s", s.Name, c.Code, c.Text))
	case errors.As(err, &timeout) && timeout.Timeout():
		e.Err = fmt.Errorf("nothing came for %v: the connection is dead", deadAfter)
	}
	return e
}
