// Package sockettest is a vendor of streaming recognition in the same process,
// for the tests of those who speak to one: a server that follows the vendor's
// pages as far as they tell. It says its session after every utterance of
// sound and refuses what the vendor refuses.
//
// No vendor was asked: what a session file holds was written from published
// examples, and says so in its first line.
package sockettest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/codec"
)

// Patience is how long anything may take, on a busy machine too.
const Patience = 30 * time.Second

// Closing is how a server ends a connection; the zero value goes on.
type Closing struct {
	Code int
	Text string
}

// Server is a vendor.
type Server struct {
	// Session is what it says after every utterance; Hello at once.
	Session, Hello []string
	// Number is the field that counts utterances in Session, where 0 stands:
	// `"turn_order":`. "" for none.
	Number string
	// Over is what it says before it closes normally.
	Over []string
	// Admit refuses a connection, with its status.
	Admit func(r *http.Request) (status int, why string)
	// Open ends a session that was connected, before its hello: where the vendor
	// judges keys and parameters only then. Its message is sent first.
	Open func(r *http.Request) (message string, c Closing)
	// Says is what a text message of the client leads to: the utterance is over
	// at once, or the connection.
	Says func(kind string) (now bool, c Closing)
	// Sound judges a message of that many samples.
	Sound func(samples int) Closing
	// MuLaw tells from the request how sound is encoded.
	MuLaw func(r *http.Request) bool
	// Reason is the header of a refusal; Idle the time without anything after
	// which the connection ends as Lost says.
	Reason string
	Idle   time.Duration
	Lost   Closing

	mu      sync.Mutex // guards what follows
	conns   []*websocket.Conn
	texts   []string // kinds of text messages that came
	bytes   int      // of sound
	samples int      // of sound
	quiet   int      // of them, silent ones at the end
	queries []string
}

var _ http.Handler = (*Server)(nil)

// Lines reads a session of the folder testdata, without the line that says
// where it comes from.
func Lines(t testing.TB, name string) []string {
	t.Helper()
	f, err := os.Open("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var lines []string
	for s := bufio.NewScanner(f); s.Scan(); {
		lines = append(lines, s.Text())
	}
	if len(lines) < 2 || !strings.Contains(lines[0], "written from the published example, not recorded") {
		t.Fatalf("%s does not say where it comes from", name)
	}
	return lines[1:]
}

// Start serves on a socket and returns the address.
func (s *Server) Start(t testing.TB) string {
	t.Helper()
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	return web.URL
}

// Soon is the context of a stream that ends by itself after a while: so does
// whoever waits for its events.
func Soon(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	t.Cleanup(cancel)
	return ctx
}

// Wait waits for something to become true.
func Wait(t testing.TB, until func() bool) {
	t.Helper()
	timeout, tick := time.After(Patience), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for !until() {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatal("it does not happen")
		}
	}
}

// Accept is a connection that ends by itself after a while, nil for none.
func Accept(w http.ResponseWriter, r *http.Request) *websocket.Conn {
	conn, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
	if err != nil {
		return nil
	}
	_ = conn.SetReadDeadline(time.Now().Add(Patience))
	_ = conn.SetWriteDeadline(time.Now().Add(2 * time.Minute)) // a silent minute is played on a fake clock
	return conn
}

// Refuse answers with a status, the reason in its header.
func Refuse(w http.ResponseWriter, header string, status int, why string) {
	if header == "" {
		http.Error(w, why, status)
		return
	}
	w.Header().Set(header, why)
	w.WriteHeader(status)
}

// Closes is a server that says something and closes.
func Closes(code int, text string, says ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		conn := Accept(w, r)
		if conn == nil {
			return
		}
		defer conn.Close()
		for _, line := range says {
			_ = conn.WriteMessage(websocket.TextMessage, []byte(line))
		}
		if code != 0 {
			goodbye(conn, Closing{code, text})
		}
		_, _, _ = conn.ReadMessage()
	}
}

func goodbye(conn *websocket.Conn, c Closing) {
	_ = conn.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(c.Code, c.Text))
}

// ServeHTTP takes a connection.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.Admit != nil {
		if status, why := s.Admit(r); status != 0 {
			Refuse(w, s.Reason, status, why)
			return
		}
	}
	conn := Accept(w, r)
	if conn == nil {
		return
	}
	defer conn.Close()
	s.mu.Lock()
	s.conns = append(s.conns, conn)
	s.queries = append(s.queries, r.URL.RawQuery)
	s.mu.Unlock()
	if s.Open != nil {
		if message, c := s.Open(r); c.Code != 0 {
			_ = conn.WriteMessage(websocket.TextMessage, []byte(message))
			goodbye(conn, c)
			return
		}
	}
	s.say(conn, s.Hello)
	s.listen(conn, s.MuLaw != nil && s.MuLaw(r))
}

func (s *Server) say(conn *websocket.Conn, lines []string) {
	for _, line := range lines {
		_ = conn.WriteMessage(websocket.TextMessage, []byte(line))
	}
}

// numbered is the session of the nth utterance.
func (s *Server) numbered(n int) []string {
	if s.Number == "" {
		return s.Session
	}
	var lines []string
	for _, line := range s.Session {
		lines = append(lines, strings.Replace(line, s.Number+"0", s.Number+strconv.Itoa(n), 1))
	}
	return lines
}

func (s *Server) listen(conn *websocket.Conn, mulaw bool) {
	ear := &ear{}
	for n := 0; ; {
		if s.Idle > 0 {
			_ = conn.SetReadDeadline(time.Now().Add(s.Idle))
		}
		kind, data, err := conn.ReadMessage()
		if err != nil {
			var timeout net.Error
			if s.Lost.Code != 0 && errors.As(err, &timeout) && timeout.Timeout() {
				goodbye(conn, s.Lost)
			}
			return
		}
		var over bool
		var c Closing
		if kind == websocket.TextMessage {
			over, c = s.text(data)
			over = over && ear.loud > 0
		} else {
			over, c = s.sound(ear, decode(data, mulaw), len(data))
		}
		if c.Code == websocket.CloseNormalClosure {
			s.say(conn, s.Over)
		}
		if c.Code != 0 {
			goodbye(conn, c)
			return
		}
		if over {
			ear.loud = 0
			s.say(conn, s.numbered(n))
			n++
		}
	}
}

func (s *Server) text(data []byte) (bool, Closing) {
	var m struct {
		Type string `json:"type"`
	}
	if json.Unmarshal(data, &m) != nil {
		return false, Closing{websocket.ClosePolicyViolation, "no JSON"}
	}
	s.mu.Lock()
	s.texts = append(s.texts, m.Type)
	s.mu.Unlock()
	return s.Says(m.Type)
}

// ear finds the end of an utterance.
type ear struct{ loud, quiet int }

func (s *Server) sound(e *ear, pcm []int16, size int) (over bool, c Closing) {
	silent := audio.RMS(pcm) <= 0.01
	s.mu.Lock()
	s.bytes += size
	s.samples += len(pcm)
	if s.quiet += len(pcm); !silent {
		s.quiet = 0
	}
	s.mu.Unlock()
	if s.Sound != nil {
		if c = s.Sound(len(pcm)); c.Code != 0 {
			return false, c
		}
	}
	if !silent {
		e.loud, e.quiet = e.loud+len(pcm), 0
		return false, c
	}
	e.quiet += len(pcm)
	return e.loud > 0 && e.quiet >= 2000, c // a quarter of a second at 8 kHz
}

func decode(data []byte, mulaw bool) []int16 {
	if mulaw {
		pcm := make([]int16, len(data))
		codec.DecodeMuLaw(pcm, data)
		return pcm
	}
	pcm := make([]int16, 0, len(data)/2)
	for i := 0; i+1 < len(data); i += 2 {
		pcm = append(pcm, int16(uint16(data[i])|uint16(data[i+1])<<8))
	}
	return pcm
}

// Heard is how often a text message of a kind came.
func (s *Server) Heard(kind string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, t := range s.texts {
		if t == kind {
			n++
		}
	}
	return n
}

// Bytes is how much sound came, Samples how many samples that is, and Quiet
// how many of them, at the end, were silence.
func (s *Server) Bytes() (bytes, samples, quiet int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes, s.samples, s.quiet
}

// Query is the query of the connection that came last.
func (s *Server) Query() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queries) == 0 {
		return ""
	}
	return s.queries[len(s.queries)-1]
}

// Cut breaks every connection, when there is one.
func (s *Server) Cut(t testing.TB) {
	t.Helper()
	Wait(t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.conns) > 0
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		_ = c.NetConn().Close()
	}
}

// Pipes is a network of two ends in memory, which a bubble's clock can wait for.
type Pipes struct {
	conns chan net.Conn // none waits: the server accepts at once
	done  chan struct{}
	once  sync.Once
}

// NewPipes serves a handler on such a network until the test ends.
func NewPipes(t testing.TB, h http.Handler) *Pipes {
	p := &Pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	web := &http.Server{Handler: h, ReadHeaderTimeout: Patience}
	go func() { _ = web.Serve(p) }() // ends with the network
	t.Cleanup(func() { _ = web.Close() })
	return p
}

// Accept implements [net.Listener].
func (p *Pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener].
func (p *Pipes) Close() error { p.once.Do(func() { close(p.done) }); return nil }

// Addr implements [net.Listener].
func (p *Pipes) Addr() net.Addr { return &net.IPAddr{} }

// Dial is what a websocket.Dialer's NetDialContext is to be.
func (p *Pipes) Dial(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	p.conns <- theirs
	return ours, nil
}
