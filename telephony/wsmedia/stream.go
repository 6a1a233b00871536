package wsmedia

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/telephony"
)

// hijacked finds the connection below writers that others have put around it.
type hijacked struct{ http.ResponseWriter }

func (h hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(h.ResponseWriter).Hijack()
}

// open is the handshake of a stream, and the stream.
func (s *Server) open(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, err error) {
		s.refused(r, "stream", err)
		http.Error(w, http.StatusText(status), status)
	}
	a, d, err := s.account(r)
	if err != nil {
		refuse(http.StatusNotFound, err)
		return
	}
	if d.upgrade != nil {
		if err := d.upgrade(&a, webSocket(s.cfg.PublicURL)+r.URL.RequestURI(), r.Header); err != nil {
			refuse(http.StatusForbidden, err)
			return
		}
	}
	if o := r.Header.Get("Origin"); o != "" { // a page in somebody's browser; carriers have none (SEC-14)
		refuse(http.StatusForbidden, fmt.Errorf("a page of %.100q asks, and no carrier", o))
		return
	}
	if !websocket.IsWebSocketUpgrade(r) {
		refuse(http.StatusUpgradeRequired, errors.New("a request that is no WebSocket's"))
		return
	}
	k, err := s.tokens.take(r.PathValue("token"))
	if err == nil {
		defer s.rise(k.seat())
		if k.trunk != a.Trunk {
			err = errors.New("the address was given to a call of another trunk")
		}
	}
	if err != nil {
		refuse(http.StatusForbidden, err)
		return
	}
	u := websocket.Upgrader{
		HandshakeTimeout: startWait, ReadBufferSize: 4 << 10, WriteBufferSize: 1 << 10,
		CheckOrigin: func(*http.Request) bool { return true }, // there is none
		Error:       func(_ http.ResponseWriter, _ *http.Request, status int, err error) { refuse(status, err) },
	}
	ws, err := u.Upgrade(hijacked{w}, r, nil)
	if err != nil {
		return // told by Error
	}
	defer ws.Close()
	if !s.join() {
		return
	}
	defer s.wg.Done()
	s.stream(ws, a, d, k)
}

// stream is a call: it returns when that is over.
func (s *Server) stream(ws *websocket.Conn, a Account, d *dialect, k ticket) {
	log := s.log.With(zap.String("call_id", string(k.info.ID)), zap.String("trunk", string(a.Trunk)))
	ws.SetReadLimit(maxMessage)
	_ = ws.SetReadDeadline(time.Now().Add(startWait)) // a closed one says so at the next read
	in := &inbox{ws: ws}
	var m message
	for m.kind != kindStart {
		b, err := in.next()
		if err == nil {
			err = d.parse(b, &m)
		}
		if err == nil && m.kind == kindStop {
			err = errors.New("it stopped before it began")
		}
		if err != nil {
			log.Warn("wsmedia: a stream that did not begin", zap.Error(err))
			return
		}
	}
	if err := k.same(&m.start); err != nil {
		log.Warn("wsmedia: stream refused", zap.Error(err))
		return
	}
	info, spec := a.streamed(k.info, &m.start)
	if cause, ok := s.accept(info); !ok {
		log.Info("wsmedia: call refused", zap.String("reason", string(cause.Reason)), zap.String("text", cause.Text))
		return
	}
	l := &leg{
		s: s, log: log, d: d, account: a, stream: m.start.id, call: k.caller.call, began: time.Now(),
		over: make(chan struct{}), info: info, events: make(chan telephony.Event, legEvents),
		in: newReceiver(spec, info.Format.Rate), out: outbox{wake: make(chan struct{}, 1)},
	}
	l.far.rate = info.Format.Rate
	l.ctx, l.cancel = context.WithCancelCause(context.Background())
	if !s.enter(l) {
		return
	}
	defer s.leave(l)
	l.read(in)
}

// same tells whether a stream is the webhook's call.
func (k *ticket) same(st *start) error {
	if st.call != "" && st.call != k.caller.call {
		return fmt.Errorf("it is of the call %.64q, its address was given to %.64q", st.call, k.caller.call)
	}
	if st.account != "" && k.caller.account != "" && st.account != k.caller.account {
		return fmt.Errorf("it is of the account %.64q, its address was given to %.64q", st.account, k.caller.account)
	}
	return nil
}

// enter begins a call; false where the Server has ended.
func (s *Server) enter(l *leg) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.legs[l] = struct{}{}
	s.wg.Go(func() { s.handle(l) })
	return true
}

func (s *Server) leave(l *leg) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.legs, l)
}

// handle runs the handler; when it returns the call is over.
func (s *Server) handle(l *leg) {
	cause := telephony.Cause{Reason: telephony.ReasonNormal}
	defer func() {
		if r := recover(); r != nil {
			l.log.Error("wsmedia: handler panicked", zap.Any("panic", r), zap.Stack("stack"))
			cause = telephony.Cause{Reason: telephony.ReasonFailed, Text: "internal error"}
		}
		_ = l.Hangup(context.WithoutCancel(l.ctx), cause) // it never fails
	}()
	s.cfg.Handler.ServeCall(l.ctx, l)
}

// inbox reads messages into one buffer.
type inbox struct {
	ws  *websocket.Conn
	buf bytes.Buffer
}

// next is valid until the next one.
func (in *inbox) next() ([]byte, error) {
	kind, r, err := in.ws.NextReader()
	if err != nil {
		return nil, err
	}
	if kind != websocket.TextMessage {
		return nil, errors.New("a binary message, where JSON was expected")
	}
	in.buf.Reset()
	if _, err := in.buf.ReadFrom(r); err != nil {
		return nil, err
	}
	return in.buf.Bytes(), nil
}

// read takes the carrier's messages until the call is over.
func (l *leg) read(in *inbox) {
	written := make(chan struct{})
	go func() {
		defer close(written)
		l.write(in.ws)
	}()
	defer func() { <-written }()
	var extended time.Duration
	alive := func() {
		if now := l.now(); now-extended > time.Second || extended == 0 {
			extended = now
			_ = in.ws.SetReadDeadline(time.Now().Add(idleTimeout))
		}
	}
	in.ws.SetPongHandler(func(sent string) error {
		alive()
		if at, err := strconv.ParseInt(sent, 10, 64); err == nil {
			l.mu.Lock()
			l.rtt = max(0, l.now()-time.Duration(at))
			l.mu.Unlock()
		}
		return nil
	})
	extended = 0
	alive()
	var m message
	for {
		b, err := in.next()
		if err != nil {
			l.gone(err)
			return
		}
		alive()
		if err := l.d.parse(b, &m); err != nil {
			l.in.malformed()
			continue
		}
		if l.take(&m); m.kind == kindStop {
			return
		}
	}
}

// gone is the end of a stream without a word.
func (l *leg) gone(err error) {
	var c *websocket.CloseError
	switch {
	case l.cause() != nil: // we have closed it
	case errors.As(err, &c) && c.Code != websocket.CloseAbnormalClosure:
		l.stopped("")
	default:
		l.log.Info("wsmedia: the stream broke off", zap.Error(err))
		l.stopped("the stream broke off")
	}
}

// take acts on a message.
func (l *leg) take(m *message) {
	switch m.kind {
	case kindMedia:
		l.mu.Lock()
		up := l.answered
		l.mu.Unlock()
		if up { // before the answer nobody listens
			l.in.chunk(m, l.now())
		}
	case kindDigit:
		l.emit(telephony.Digit{Key: m.key, Duration: keyTime, Source: "ws"})
	case kindMark:
		l.mu.Lock()
		l.far.back(m.mark, l.now())
		l.mu.Unlock()
	case kindStop:
		l.stopped("")
	case kindError:
		l.log.Warn("wsmedia: the carrier refuses what we sent", zap.String("error", clean(m.text)))
	case kindStart, kindOther:
	}
}

// write sends what waits, pings, and closes the stream when the call is over:
// the only one who writes to the socket.
func (l *leg) write(ws *websocket.Conn) {
	defer ws.Close()
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	for {
		select {
		case <-l.out.wake:
			if err := l.drain(ws); err != nil {
				l.gone(err)
				return
			}
		case <-ping.C:
			sent := strconv.AppendInt(nil, int64(l.now()), 10)
			if err := ws.WriteControl(websocket.PingMessage, sent, time.Now().Add(writeWait)); err != nil {
				l.gone(err)
				return
			}
		case <-l.over:
			bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
			_ = ws.WriteControl(websocket.CloseMessage, bye, time.Now().Add(time.Second)) // it may be gone
			return
		}
	}
}

// drain writes what waits.
func (l *leg) drain(ws *websocket.Conn) error {
	for {
		l.mu.Lock()
		b := l.out.take()
		l.mu.Unlock()
		if b == nil {
			return nil
		}
		if err := ws.SetWriteDeadline(time.Now().Add(writeWait)); err != nil {
			return err
		}
		if err := ws.WriteMessage(websocket.TextMessage, b); err != nil {
			return err
		}
		l.mu.Lock()
		l.out.used(b)
		l.mu.Unlock()
	}
}
