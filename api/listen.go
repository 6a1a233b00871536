package api

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/gorilla/websocket"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/telephony"
)

const (
	listenPath = "/v1/calls/{id}/listen"
	// passLife is how long an address to listen at can be used.
	passLife   = time.Minute
	passPrefix = "pcl_"
	mostPasses = 10000
	// A listener says nothing; what it sends is read for its pongs and its end.
	mostHeard = 4 << 10 // bytes
)

// pass lets one WebSocket listen in to one call: browsers cannot send a key with
// it.
type pass struct {
	call    string
	by      string // the key it was made with, for Server.find
	expires time.Time
}

// passes are those that may still be used.
type passes struct {
	process string // begins every token

	mu  sync.Mutex
	all map[[sha256.Size]byte]pass
}

func newPasses(process string) *passes {
	return &passes{process: process, all: map[[sha256.Size]byte]pass{}}
}

// make makes a pass; false: there are too many.
func (ps *passes) make(p pass) (token string, ok bool) {
	var b [24]byte
	_, _ = rand.Read(b[:]) // never fails
	token = passPrefix + ps.process + base64.RawURLEncoding.EncodeToString(b[:])
	now := time.Now()
	p.expires = now.Add(passLife)
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if len(ps.all) >= mostPasses {
		for h, old := range ps.all {
			if !now.Before(old.expires) {
				delete(ps.all, h)
			}
		}
	}
	if len(ps.all) >= mostPasses {
		return "", false
	}
	ps.all[HashKey(token)] = p
	return token, true
}

// take uses a pass up: it gives the key that it was made with, "" where it opens
// nothing.
func (ps *passes) take(token, call string) string { return ps.takeHash(HashKey(token), call) }

func (ps *passes) takeHash(h [sha256.Size]byte, call string) string {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p := ps.all[h]
	if p.call != call || !time.Now().Before(p.expires) {
		return ""
	}
	delete(ps.all, h)
	return p.by
}

type listenInput struct {
	ID       string `path:"id" maxLength:"64" doc:"Id of the call"`
	Channels int    `query:"channels" minimum:"1" maximum:"2" default:"2" doc:"2: caller left, agent right; 1: mixed"`
	Token    string `query:"token" maxLength:"64" doc:"In the place of a key: of the url that listen gave"`
}

// Heard is what one who listens in is told first, as text.
type Heard struct {
	Event    string           `json:"event" enum:"start"`
	CallID   telephony.CallID `json:"call_id"`
	Encoding string           `json:"encoding" example:"pcm_s16le"`
	Rate     int              `json:"rate_hz" example:"8000"`
	Channels int              `json:"channels"`
}

// heardAll is the last that they are told.
type heardAll struct {
	Event  string `json:"event"`
	Reason string `json:"reason"`
}

// passKey marks the operation that a pass opens as well as a key.
const passKey = "pass"

func (s *Server) listening() {
	huma.Register(s.api, huma.Operation{
		OperationID: "listen-call", Method: http.MethodGet, Path: listenPath,
		Summary: "Listen in to a live call (WebSocket)", Tags: []string{"calls"}, Security: scope("calls:control"),
		Metadata: map[string]any{passKey: true},
		Description: "The first message is text, {\"event\":\"start\",\"call_id\":…,\"encoding\":\"pcm_s16le\"," +
			"\"rate_hz\":8000,\"channels\":2}. Then come binary messages: samples of 16 bits in little-endian order, those " +
			"of the channels in turn, about 0.3 s after they were said. The caller is left; right is what they hear, the " +
			"agent or whom they were handed over to. Neither is told. The last is text, {\"event\":\"stop\",\"reason\":…}: " +
			"`call_ended`, `too_slow` where a listener fell two seconds behind, `node_lost` where the call is another " +
			"node's that is out of reach, or `closed` by the server. Eight may " +
			"listen to a call at a time. Where the agent wants a gap in the recording, there is silence here too.",
		Responses: map[string]*huma.Response{
			"101": {Description: "The stream of the call's sound"},
			"426": {Description: "This is a WebSocket"},
		},
	}, s.listen)
}

// pass answers the command listen: where to listen.
func (s *Server) pass(ctx context.Context, id string) (*body[Done], error) {
	l, p := s.ear(telephony.CallID(id)) // whether it can be, now
	if p != nil {
		return nil, p
	}
	l.Close()
	token, ok := s.passes.make(pass{call: id, by: caller(ctx).id()})
	if !ok {
		return nil, fail(http.StatusServiceUnavailable, "no_capacity", "", "Too many addresses wait to be listened at.")
	}
	return &body[Done]{Done{
		Success: true, Message: "Open the WebSocket at url within a minute",
		URL: "/v1/calls/" + id + "/listen?token=" + token,
	}}, nil
}

// What is asked of the process that made a pass: to use it up.
type (
	passQuestion struct {
		Hash [sha256.Size]byte `json:"hash"`
		Call string            `json:"call"`
	}
	passAnswer struct {
		By string `json:"by"`
	}
)

// withPass is the key that a pass was made with, as it is now.
func (s *Server) withPass(ctx context.Context, token, call string) *Key {
	by := s.passes.take(token, call)
	if id := madeBy(token, passPrefix); by == "" && id != "" {
		a, _ := askOther[passAnswer](ctx, s, id, askPass, passQuestion{HashKey(token), call})
		by = a.By
	}
	if by == "" {
		return nil
	}
	all := *s.known.Load()
	for i := range all {
		if all[i].id() == by {
			return &all[i]
		}
	}
	return nil
}

func (s *Server) listen(ctx context.Context, in *listenInput) (*huma.StreamResponse, error) {
	r, err := s.record(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if s.cfg.Engine == nil || r.Status == engine.StatusEnded {
		return nil, notActive()
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		req, w := humago.Unwrap(hctx)
		if !websocket.IsWebSocketUpgrade(req) {
			hctx.SetHeader("Upgrade", "websocket")
			s.refuse(hctx, fail(http.StatusUpgradeRequired, "", "", "This is a WebSocket: open it as one."))
			return
		}
		l, p := s.ear(r.ID)
		if p != nil {
			s.refuse(hctx, p)
			return
		}
		defer l.Close()
		s.ears.Add(1)
		defer s.ears.Done()
		// Who asks is known by a key and by nothing that a browser adds: a page from
		// elsewhere has been looked at as for any other path.
		u := websocket.Upgrader{WriteBufferSize: 4 << 10, CheckOrigin: func(*http.Request) bool { return true }}
		conn, err := u.Upgrade(hijacked{w}, req, nil)
		if err != nil {
			return // it has been answered
		}
		log := s.log.With(zap.String("call_id", in.ID), zap.String("key", caller(ctx).Name),
			zap.String("request_id", requestID(ctx)))
		log.Info("somebody listens in to a call")
		e := &eavesdropper{conn: conn, channels: in.Channels, closing: s.closing}
		log.Info("somebody listens in to a call no more", zap.String("reason", e.run(r.ID, l)))
	}}, nil
}

// ear listens in to a call.
func (s *Server) ear(id telephony.CallID) (*engine.Listening, *Problem) {
	l, err := s.cfg.Engine.Listen(id)
	switch {
	case errors.Is(err, engine.ErrListeners):
		return nil, fail(http.StatusServiceUnavailable, "no_capacity", "", "As many listen to the call as may.")
	case err != nil:
		return nil, notTaken(err, "The call cannot be listened to.")
	}
	return l, nil
}

// notActive is the answer of what needs a live call.
func notActive() *Problem {
	return fail(http.StatusConflict, "call_not_active", "", "The call is not active.")
}

// hijacked finds the connection below writers that others have put around it.
type hijacked struct{ http.ResponseWriter }

func (h hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(h.ResponseWriter).Hijack()
}

// eavesdropper writes the sound of a call to one who listens.
type eavesdropper struct {
	conn     *websocket.Conn
	channels int
	closing  <-chan struct{}
}

// run returns when there is no more to hear, or nobody who hears it, and tells
// why.
func (e *eavesdropper) run(id telephony.CallID, l *engine.Listening) (reason string) {
	gone := make(chan struct{})
	go func() { // ends with the connection
		defer close(gone)
		e.conn.SetReadLimit(mostHeard)
		e.conn.SetPongHandler(func(string) error { return e.conn.SetReadDeadline(time.Now().Add(3 * keepAlive)) })
		_ = e.conn.SetReadDeadline(time.Now().Add(3 * keepAlive))
		for {
			if _, _, err := e.conn.NextReader(); err != nil {
				return
			}
		}
	}()
	defer func() {
		_ = e.conn.Close()
		<-gone
	}()
	if e.text(Heard{"start", id, "pcm_s16le", l.Rate, e.channels}) != nil {
		return "gone"
	}
	alive := time.NewTicker(keepAlive)
	defer alive.Stop()
	for {
		select {
		case sound, ok := <-l.Sound:
			switch {
			case ok && e.write(websocket.BinaryMessage, e.mixed(sound)) != nil:
				return "gone"
			case ok:
			case l.Lost():
				return e.stop("node_lost", websocket.CloseGoingAway)
			case l.Cut():
				return e.stop("too_slow", websocket.ClosePolicyViolation)
			default:
				return e.stop("call_ended", websocket.CloseNormalClosure)
			}
		case <-alive.C:
			if e.write(websocket.PingMessage, nil) != nil {
				return "gone"
			}
		case <-e.closing:
			return e.stop("closed", websocket.CloseGoingAway)
		case <-gone:
			return "gone"
		}
	}
}

// mixed is the sound in as many channels as asked for.
func (e *eavesdropper) mixed(stereo []byte) []byte {
	if e.channels != 1 {
		return stereo
	}
	mono := make([]byte, 0, len(stereo)/2)
	for ; len(stereo) >= 4; stereo = stereo[4:] {
		sum := int(int16(binary.LittleEndian.Uint16(stereo))) + int(int16(binary.LittleEndian.Uint16(stereo[2:])))
		mono = binary.LittleEndian.AppendUint16(mono, uint16(max(-1<<15, min(sum, 1<<15-1))))
	}
	return mono
}

func (e *eavesdropper) write(kind int, b []byte) error {
	_ = e.conn.SetWriteDeadline(time.Now().Add(patience))
	return e.conn.WriteMessage(kind, b)
}

func (e *eavesdropper) text(v any) error {
	_ = e.conn.SetWriteDeadline(time.Now().Add(patience))
	return e.conn.WriteJSON(v)
}

// stop tells why no more will come.
func (e *eavesdropper) stop(reason string, code int) string {
	if e.text(heardAll{"stop", reason}) == nil {
		_ = e.write(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason))
	}
	return reason
}
