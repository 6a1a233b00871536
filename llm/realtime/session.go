package realtime

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/codec"
	"github.com/patchcord/patchcord/internal/secret"
	"github.com/patchcord/patchcord/llm"
)

var (
	errClosed  = errors.New("the session is closed")
	errSetting = errors.New("the server did not take the settings in time")
)

// waiting is how many events are kept for a reader that is busy: a second of
// sound in pieces of 20 ms and what goes with it.
const waiting = 128

type session struct {
	dialect  Dialect
	key      secret.Text
	conn     *websocket.Conn
	encoding audio.Encoding
	rate     int // Hz, of the call

	outer  context.Context    //nolint:containedctx // the caller's own, from Connect
	ctx    context.Context    //nolint:containedctx // ends with outer, with Close and with a failure
	cancel context.CancelFunc // of ctx
	wg     sync.WaitGroup     // read, keep and hangUp
	events chan llm.RealtimeEvent
	sent   atomic.Int64  // samples of the caller
	said   chan struct{} // closed when the goodbye is said, or cannot be
	taken  chan struct{} // closed when the server has taken the settings

	writing sync.Mutex // guards writes to conn and what follows
	frame   []byte
	up      *audio.Resampler // nil: at the call's rate
	pcm     []int16

	mu     sync.Mutex // guards what follows
	err    error      // the first
	over   bool       // events is closed
	closed bool
}

var _ llm.RealtimeSession = (*session)(nil)

func newSession(
	ctx context.Context, conn *websocket.Conn, d Dialect, o llm.RealtimeOptions, key secret.Text,
) *session {
	_, encoding, rate := d.format(o.Format)
	s := &session{
		dialect: d, key: key, conn: conn, encoding: encoding, rate: o.Format.Rate, outer: ctx,
		events: make(chan llm.RealtimeEvent, waiting), said: make(chan struct{}), taken: make(chan struct{}),
	}
	if encoding == audio.PCM16 && rate != s.rate {
		s.up = audio.NewResampler(s.rate, rate)
	}
	s.ctx, s.cancel = context.WithCancel(ctx)
	conn.SetReadLimit(maxMessage)
	conn.SetReadDeadline(time.Now().Add(deadAfter)) //nolint:errcheck // a closed connection says so at the next read
	conn.SetPongHandler(func(string) error { return conn.SetReadDeadline(time.Now().Add(deadAfter)) })
	r := &reader{
		encoding: encoding, from: rate, to: s.rate, padding: d.Padding, silence: d.Silence, names: map[string]string{},
		sent: func() time.Duration { return audio.Duration(int(s.sent.Load()), s.rate) },
	}
	s.wg.Go(func() { s.run(r) })
	s.wg.Go(s.keep)
	s.wg.Go(s.hangUp)
	return s
}

// open gives the settings and waits until the server has taken them.
func (s *session) open(ctx context.Context, o llm.RealtimeOptions) error {
	name, _, rate := s.dialect.format(o.Format)
	err := s.write(map[string]any{
		"type": "session.update", "event_id": "settings", "session": s.dialect.Session(o, name, rate),
	})
	if err != nil {
		return err
	}
	late := time.NewTimer(settingWait)
	defer late.Stop()
	for {
		select {
		case <-s.taken:
			return nil
		case ev, ok := <-s.events: // none but refusals come before anything was asked for
			switch {
			case !ok:
				return s.ended()
			case ev.Kind == llm.Refused:
				return &llm.Error{Provider: s.dialect.Name, Op: "settings", Err: ev.Err}
			}
		case <-late.C:
			return &llm.Error{Provider: s.dialect.Name, Op: "settings", Temporary: true, Err: errSetting}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (s *session) ended() error {
	if err := s.Err(); err != nil {
		return err
	}
	return &llm.Error{Provider: s.dialect.Name, Op: "settings", Temporary: true, Err: errClosed}
}

// Send implements [llm.RealtimeSession].
func (s *session) Send(pcm []int16) error {
	if err := s.gone(); err != nil || len(pcm) == 0 {
		return err
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	n := len(pcm)
	if s.up != nil {
		s.pcm = s.up.Append(s.pcm[:0], pcm)
		pcm = s.pcm
	}
	raw, err := codec.AppendBytes(nil, s.encoding, pcm)
	if err != nil {
		return err
	}
	s.frame = append(s.frame[:0], `{"type":"input_audio_buffer.append","audio":"`...)
	s.frame = base64.StdEncoding.AppendEncode(s.frame, raw)
	s.frame = append(s.frame, `"}`...)
	if err := s.writeLocked(s.frame); err != nil {
		return err
	}
	s.sent.Add(int64(n))
	return nil
}

// Do implements [llm.RealtimeSession].
func (s *session) Do(c llm.RealtimeCommand) error {
	if err := s.gone(); err != nil {
		return err
	}
	for _, ev := range s.dialect.event(c) {
		if err := s.write(ev); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) write(ev map[string]any) error {
	data, err := json.Marshal(ev)
	if err != nil {
		return &llm.Error{Provider: s.dialect.Name, Op: "send", Err: err}
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.writeLocked(data)
}

// writeLocked sends one message; what cannot be sent ends the session.
func (s *session) writeLocked(data []byte) error {
	s.conn.SetWriteDeadline(time.Now().Add(writeWait)) //nolint:errcheck // a closed connection says so below
	if err := s.conn.WriteMessage(websocket.TextMessage, data); err != nil {
		return s.fail(&llm.Error{Provider: s.dialect.Name, Op: "send", Temporary: true, Err: err})
	}
	return nil
}

// Events implements [llm.RealtimeSession].
func (s *session) Events() <-chan llm.RealtimeEvent { return s.events }

// Err implements [llm.RealtimeSession].
func (s *session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || !s.over {
		return nil
	}
	return s.err
}

// Close implements [llm.RealtimeSession].
func (s *session) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.wg.Wait()
	return nil
}

// fail ends the session because of err, or of what ended the caller's ctx
// where that was first, and returns which it is. The first failure stays.
func (s *session) fail(err error) error {
	if cause := context.Cause(s.outer); cause != nil {
		err = cause
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
	s.cancel()
	return s.err
}

// gone is why nothing can be sent any more, nil while it can.
func (s *session) gone() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return &llm.Error{Provider: s.dialect.Name, Op: "send", Err: errClosed}
	case s.err != nil:
		return s.err
	}
	return context.Cause(s.ctx)
}

// run reads until the connection ends, and closes the events.
func (s *session) run(r *reader) {
	_ = s.fail(s.read(r))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	close(s.events)
}

func (s *session) read(r *reader) error {
	taken := false
	for {
		kind, data, err := s.conn.ReadMessage()
		if err != nil {
			return s.lost(err)
		}
		s.conn.SetReadDeadline(time.Now().Add(deadAfter)) //nolint:errcheck // a closed connection says so at the next read
		if kind != websocket.TextMessage {
			continue
		}
		events, settled, err := r.read(data)
		if err != nil {
			return &llm.Error{Provider: s.dialect.Name, Op: "read", Temporary: true, Err: err}
		}
		if settled && !taken {
			taken = true
			close(s.taken)
		}
		for _, ev := range events {
			if ev.Err != nil {
				ev.Err = errors.New(clean(ev.Err.Error(), s.key))
			}
			select {
			case s.events <- ev:
			case <-s.ctx.Done():
			}
		}
	}
}

// keep notices when the connection is dead, and says goodbye at the end.
func (s *session) keep() {
	defer s.bye()
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	for {
		select {
		case <-ping.C:
			_ = s.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeWait)) // the answer counts
		case <-s.ctx.Done():
			return
		}
	}
}

// bye ends the session on the wire. A connection that is lost already does not
// take it.
func (s *session) bye() {
	defer close(s.said)
	end := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	if s.conn.WriteControl(websocket.CloseMessage, end, time.Now().Add(byeWait)) == nil {
		s.conn.Close()
	}
}

// hangUp closes the connection when the goodbye is said, at the latest byeWait
// after the session's end: a peer that is gone holds up nothing. It ends read.
func (s *session) hangUp() {
	<-s.ctx.Done()
	select {
	case <-s.said:
	case <-time.After(byeWait):
	}
	conn := s.conn.NetConn()
	if secure, ok := conn.(*tls.Conn); ok { // TLS's own goodbye would wait
		conn = secure.NetConn()
	}
	conn.Close()
}

// lost says why a connection ended.
func (s *session) lost(err error) error {
	e := &llm.Error{Provider: s.dialect.Name, Op: "read", Temporary: true, Err: err}
	var c *websocket.CloseError
	var timeout net.Error
	switch {
	case errors.As(err, &c):
		// 4000 and up are refusals of the interface itself; 1001 and 1011 pass,
		// and so does the end of a session's time.
		e.Temporary = c.Code != websocket.ClosePolicyViolation && c.Code < 4000
		e.Err = fmt.Errorf("the server closed the connection: %d %s", c.Code, clean(c.Text, s.key))
	case errors.As(err, &timeout) && timeout.Timeout():
		e.Err = fmt.Errorf("nothing came for %v: the connection is dead", deadAfter)
	}
	return e
}
