// Package ttssockettest is the vendor's side of voices that speak over
// WebSockets, as far as all vendors are alike: a server on this machine, the
// lines a session is made of, and some sound.
package ttssockettest

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/codec"
)

// patience is how long a connection lives at most, on a busy machine too.
const patience = 30 * time.Second

// Lines are the messages of a vendor's session from a file, by name. The first
// line says where they come from.
func Lines(t testing.TB, file string) map[string]string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := map[string]string{}
	for s := bufio.NewScanner(f); s.Scan(); {
		var l struct {
			Source, Note, Name string
			Message            json.RawMessage
		}
		switch err := json.Unmarshal(s.Bytes(), &l); {
		case err != nil:
			t.Fatalf("%s: %v", file, err)
		case l.Source != "" && strings.Contains(l.Note, "written from the published examples, not recorded"):
			lines[""] = l.Source
		default:
			lines[l.Name] = string(l.Message)
		}
	}
	if lines[""] == "" {
		t.Fatalf("%s does not say where it comes from", file)
	}
	return lines
}

// Conn is one connection, whose writes do not mix.
type Conn struct {
	*websocket.Conn
	Request *http.Request
	Work    sync.WaitGroup // what speaks on it; ends before the connection

	writing sync.Mutex // guards writes
}

// Say writes a text message.
func (c *Conn) Say(text string) error { return c.write(websocket.TextMessage, []byte(text)) }

// Sound writes a binary message.
func (c *Conn) Sound(data []byte) error { return c.write(websocket.BinaryMessage, data) }

// Goodbye closes the connection with a code.
func (c *Conn) Goodbye(code int, text string) {
	_ = c.write(websocket.CloseMessage, websocket.FormatCloseMessage(code, text))
}

func (c *Conn) write(kind int, data []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	return c.WriteMessage(kind, data)
}

// Server is a vendor. It counts the connections it took.
type Server struct {
	// Refuse answers a request itself and reports that it did.
	Refuse func(w http.ResponseWriter, r *http.Request) bool
	// Talk is one connection, until it returns.
	Talk func(c *Conn)

	mu    sync.Mutex // guards what follows
	conns int
	said  []string
}

// Start lets the server listen and returns its address.
func (s *Server) Start(t testing.TB) string {
	t.Helper()
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	return strings.Replace(web.URL, "http", "ws", 1)
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.Refuse != nil && s.Refuse(w, r) {
		return
	}
	ws, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
	if err != nil {
		return
	}
	s.mu.Lock()
	s.conns++
	s.mu.Unlock()
	_ = ws.SetReadDeadline(time.Now().Add(patience))
	_ = ws.SetWriteDeadline(time.Now().Add(patience))
	c := &Conn{Conn: ws, Request: r}
	defer ws.Close()
	defer c.Work.Wait()
	s.Talk(c)
}

// Note keeps something the client said.
func (s *Server) Note(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.said = append(s.said, what)
}

// Noted are those that were kept so far, and how many connections were taken.
func (s *Server) Noted() (said []string, conns int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.said...), s.conns
}

// Word is how long a word sounds.
const Word = 250 * time.Millisecond

// Hum is the sound of so many words: a rising ramp, a word after the other.
func Hum(words int, f audio.Format) []byte {
	pcm := make([]int16, words*audio.Samples(Word, f.Rate))
	for i := range pcm {
		pcm[i] = int16(i % 20000) //nolint:gosec // below 20000
	}
	data, err := codec.AppendBytes(nil, f.Encoding, pcm)
	if err != nil {
		panic(err) // no vendor has another encoding
	}
	return data
}

// Pieces are data in pieces whose ends fall inside of samples.
func Pieces(data []byte) (out [][]byte) {
	for len(data) > 0 {
		n := min(len(data), 3333)
		out, data = append(out, data[:n]), data[n:]
	}
	return out
}
