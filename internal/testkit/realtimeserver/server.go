// Package realtimeserver is a server of OpenAI's realtime interface for tests:
// it hears turns, answers by a script, and refuses what the real one refuses.
//
// It is written from the published reference, not recorded: the client and
// server events at platform.openai.com/docs/api-reference/realtime-client-events
// and realtime-server-events, the refusals by the codes and messages that users
// of it report (conversation_already_has_active_response, "Audio content of
// 9250ms is already shorter than 57340ms", beta_api_shape_disabled), and xAI's
// differences from docs.x.ai/docs/guides/voice/agent.
//
// It guarantees that whatever it refuses is kept in Refusals, so that a test
// can ask for none, and that its conversation is there to look at.
package realtimeserver

import (
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// Server is one server; each connection has a conversation of its own.
type Server struct {
	Key  string // "" takes any
	XAI  bool   // xAI's dialect
	Beta bool   // what it says has the names of the beta interface
	// Auto lets it answer turns by itself whatever the session says, as servers
	// do that do not know create_response.
	Auto bool
	// NoMetadata lets responses not say who asked for them.
	NoMetadata bool
	// Answer is what it says to a response.create. nil: "Hello."
	Answer func(Ask) Response
	// Words are what the caller says, turn by turn; where they are used up, or
	// "", the turn was not understood.
	Words []string
	// Lasts is how long a session may be: then the server says so and closes it,
	// whatever it is at. 0: for ever. OpenAI's lasts 60 minutes.
	Lasts time.Duration
	// WordsAfter is from the end of a turn to its words. 0: 300 ms. Below 0: they
	// never come.
	WordsAfter time.Duration

	mu       sync.Mutex // guards what follows
	conns    []*conn
	refusals []string
	refused  int // connections
}

// Ask is what a response is to be made from.
type Ask struct {
	Items        []Item // the conversation so far
	Instructions string // of the response, "" for the session's
	Session      map[string]any
	NoTools      bool
	N            int // how many there were before
}

// Response is what is said.
type Response struct {
	Text  string // 15 characters a second
	Calls []Call // after it
	First time.Duration
	// Pace is from one piece of 100 ms of sound to the next: 0 is 10 ms, ten
	// times as fast as it is heard.
	Pace time.Duration
	Fail string // ends with this code, after Text
	Hang bool   // nothing comes, not even an end, until it is cancelled
	Deaf bool   // of Hang: not even then
	Cut  bool   // the connection breaks after the first second
}

// Call is a function that the model calls.
type Call struct{ ID, Name, Args string }

// Item is an item of a conversation.
type Item struct {
	ID, Type, Role string
	Text           string        // what the model can read of it
	Sound          time.Duration // of an assistant's, what it holds
	CallID, Name   string
	Sounding       bool // it has sound, not only text
	Cut            bool // truncated: its text is gone
}

// ServeHTTP takes a connection.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.Key != "" && r.Header.Get("Authorization") != "Bearer "+s.Key {
		s.mu.Lock()
		s.refused++
		s.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"error":{"type":"invalid_request_error","code":"invalid_api_key","message":` +
			`"Incorrect API key provided: ` + r.Header.Get("Authorization") + `."}}`))
		return
	}
	if r.URL.Query().Get("model") == "" {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":{"code":"missing_model","message":"You must provide a model parameter."}}`))
		return
	}
	ws, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
	if err != nil {
		return
	}
	c := newConn(s, ws)
	if r.Header.Get("OpenAI-Beta") != "" {
		c.refuse("", "beta_api_shape_disabled", "The Realtime Beta API is no longer supported.", "")
		end := websocket.FormatCloseMessage(4000, "invalid_request_error.beta_api_shape_disabled")
		_ = ws.WriteControl(websocket.CloseMessage, end, time.Now().Add(time.Second))
		_ = ws.Close()
		return
	}
	s.mu.Lock()
	c.n = 1000 * len(s.conns) // no id is given twice
	s.conns = append(s.conns, c)
	s.mu.Unlock()
	c.serve()
}

// Hear adds what the caller will have said in the next turn.
func (s *Server) Hear(words ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Words = append(s.Words, words...)
}

// unheard gives back what the caller said in a turn that was not transcribed:
// they are heard again, or never.
func (s *Server) unheard(words string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Words = append([]string{words}, s.Words...)
}

// next is what the caller said in this turn.
func (s *Server) next() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.Words) == 0 {
		return ""
	}
	w := s.Words[0]
	s.Words = s.Words[1:]
	return w
}

// Refusals are the errors that were sent, as "code: message".
func (s *Server) Refusals() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.refusals)
}

// Connections is how many there were.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

func (s *Server) last() *conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.conns) == 0 {
		return newConn(s, nil)
	}
	return s.conns[len(s.conns)-1]
}

// Items is the conversation of the last connection.
func (s *Server) Items() []Item {
	c := s.last()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.clone()
}

// Events are the types of what the client of the last connection sent, sound
// left out.
func (s *Server) Events() []string {
	c := s.last()
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.got)
}

// Session is what the last connection was set to.
func (s *Server) Session() map[string]any {
	c := s.last()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session
}

// Heard is the caller's sound of the last connection, as it came.
func (s *Server) Heard() []byte {
	c := s.last()
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.heard)
}

// Voice lets the last connection's detector hear a voice, or its end, whatever
// the sound.
func (s *Server) Voice(on bool) {
	c := s.last()
	c.mu.Lock()
	defer c.mu.Unlock()
	if on != c.voice {
		c.edge(on)
	}
}

// Say sends a message of any kind on the last connection.
func (s *Server) Say(text string) {
	c := s.last()
	c.writing.Lock()
	defer c.writing.Unlock()
	_ = c.ws.WriteMessage(websocket.TextMessage, []byte(text))
}

// Cut breaks all connections, as a network does.
func (s *Server) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		_ = c.ws.NetConn().Close()
	}
}

// Pipe is a network in memory, which a bubble's clock can wait for.
type Pipe struct {
	conns chan net.Conn // none waits: the server accepts at once
	done  chan struct{}
	once  sync.Once
}

// NewPipe makes one.
func NewPipe() *Pipe { return &Pipe{conns: make(chan net.Conn), done: make(chan struct{})} }

// Accept implements [net.Listener].
func (p *Pipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener].
func (p *Pipe) Close() error { p.once.Do(func() { close(p.done) }); return nil }

// Addr implements [net.Listener].
func (p *Pipe) Addr() net.Addr { return &net.IPAddr{} }

// Dial is the other end of an Accept.
func (p *Pipe) Dial() (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
