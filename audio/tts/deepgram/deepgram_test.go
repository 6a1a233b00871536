package deepgram

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/tts"
	"github.com/patchcord/patchcord/audio/tts/ttstest"
	"github.com/patchcord/patchcord/internal/ttssocket/ttssockettest"
)

const key = "dg-secret"

// server answers as Deepgram does, as far as its pages tell, and refuses what
// they say is refused.
type server struct {
	ttssockettest.Server
	lines  map[string]string
	silent bool         // flushes without sound
	cut    bool         // breaks the connection after some sound
	hold   atomic.Bool  // speaks for ever
	limit  atomic.Int32 // of flushes on one connection, 0: Deepgram's

	cleared chan struct{} // capacity 1: the test waits for one
}

func newServer(t testing.TB) *server {
	s := &server{lines: ttssockettest.Lines(t, "testdata/session.jsonl"), cleared: make(chan struct{}, 1)}
	s.Refuse, s.Talk = s.refuse, s.talk
	return s
}

func (s *server) refuse(w http.ResponseWriter, r *http.Request) bool {
	q := r.URL.Query()
	no := func(status int, why string) bool {
		w.Header().Set("dg-error", why)
		w.WriteHeader(status)
		return true
	}
	encoding, rate := q.Get("encoding"), q.Get("sample_rate")
	switch {
	case r.Header.Get("Authorization") != "Token "+key:
		return no(http.StatusUnauthorized, "Invalid credentials: "+r.Header.Get("Authorization"))
	case r.URL.Path != "/v1/speak":
		return no(http.StatusNotFound, "Not Found")
	case !strings.HasPrefix(q.Get("model"), "aura-"):
		return no(http.StatusBadRequest, "Bad Request: no such model")
	case encoding != "linear16" && encoding != "mulaw" && encoding != "alaw":
		return no(http.StatusBadRequest, "Bad Request: Invalid encoding")
	case !slices.Contains([]string{"8000", "16000", "24000", "32000", "48000"}, rate) || encoding != "linear16" && rate != "8000":
		return no(http.StatusBadRequest, "Bad Request: Invalid sample_rate")
	}
	return false
}

func (s *server) talk(c *ttssockettest.Conn) {
	q := c.Request.URL.Query()
	f := audio.Format{Encoding: map[string]audio.Encoding{
		"linear16": audio.PCM16, "mulaw": audio.MuLaw, "alaw": audio.ALaw,
	}[q.Get("encoding")], Rate: 8000}
	if f.Encoding == audio.PCM16 {
		f.Rate = map[string]int{"8000": 8000, "16000": 16000, "24000": 24000}[q.Get("sample_rate")]
	}
	_ = c.Say(s.lines["metadata"])
	var text string
	var stop chan struct{} // of what is being spoken
	flushes := 0
	for {
		kind, data, err := c.ReadMessage()
		if err != nil {
			return
		}
		var m struct{ Type, Text string }
		if kind != websocket.TextMessage || json.Unmarshal(data, &m) != nil || len(m.Text) > 2000 {
			c.Goodbye(websocket.ClosePolicyViolation, "DATA-0000")
			return
		}
		s.Note(m.Type)
		switch m.Type {
		case "Speak":
			text += m.Text
		case "Flush":
			if flushes++; flushes > max(int(s.limit.Load()), 0) && s.limit.Load() > 0 || flushes > 20 {
				_ = c.Say(s.lines["warning"])
				continue
			}
			words := len(strings.Fields(text))
			text, stop = "", make(chan struct{})
			c.Work.Go(func() { s.speak(c, words, f, stop) })
		case "Clear":
			if stop != nil {
				close(stop)
			}
			c.Work.Wait()
			text, stop = "", nil
			_ = c.Say(s.lines["cleared"])
			select {
			case s.cleared <- struct{}{}:
			default:
			}
		case "Close":
			c.Work.Wait()
			c.Goodbye(websocket.CloseNormalClosure, "")
			return
		default:
			c.Goodbye(websocket.ClosePolicyViolation, "DATA-0000")
			return
		}
	}
}

func (s *server) speak(c *ttssockettest.Conn, words int, f audio.Format, stop chan struct{}) {
	for _, piece := range ttssockettest.Pieces(ttssockettest.Hum(words, f)) {
		if s.silent {
			break
		}
		if c.Sound(piece) != nil {
			return
		}
		if s.cut {
			c.Close()
			return
		}
		if s.hold.Load() {
			<-stop
		}
		select {
		case <-stop:
			return
		default:
		}
	}
	_ = c.Say(s.lines["flushed"])
}

func provider(t testing.TB, s *server, c Config) *Provider {
	t.Helper()
	c.BaseURL = s.Start(t)
	if c.APIKey == "" {
		c.APIKey = key
	}
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The server and its messages are written from the vendor's pages, which
// testdata names: no vendor was reachable.
func TestConformance(t *testing.T) {
	ttstest.Run(t, ttstest.Subject{
		New: func(t *testing.T) tts.Provider { return provider(t, newServer(t), Config{}) },
		Silent: func(t *testing.T) tts.Provider {
			s := newServer(t)
			s.silent = true
			return provider(t, s, Config{})
		},
		Broken: func(t *testing.T) tts.Provider {
			s := newServer(t)
			s.cut = true
			return provider(t, s, Config{})
		},
		Refuse: func(t *testing.T) tts.Provider { return provider(t, newServer(t), Config{APIKey: "wrong"}) },
	})
}

func TestSoundComesAsTheCallCarriesIt(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p := provider(t, s, Config{})
	defer p.Close()
	for _, c := range []struct {
		f    audio.Format
		rate int
	}{
		{audio.Format{Encoding: audio.MuLaw, Rate: 8000}, 8000},
		{audio.Format{Encoding: audio.ALaw, Rate: 8000}, 8000},
		{audio.Format{Encoding: audio.PCM16, Rate: 16000}, 16000},
		{audio.Format{}, 24000},
	} {
		pcm, rate, _, err := ttstest.Say(t, p, tts.Request{Text: "two words", Format: c.f})
		if !errors.Is(err, io.EOF) || rate != c.rate || len(pcm) != 2*audio.Samples(ttssockettest.Word, rate) {
			t.Errorf("%+v: %d samples at %d Hz, %v", c.f, len(pcm), rate, err)
		}
		if rate != 8000 && (pcm[1] != 1 || pcm[5000] != 5000) {
			t.Errorf("samples are %d and %d", pcm[1], pcm[5000])
		}
	}
}

// A sentence that is given up is cleared, and its connection speaks the next
// one without a sample of the first.
func TestGivenUpIsCleared(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.hold.Store(true)
	p := provider(t, s, Config{})
	defer p.Close()
	r := tts.Request{Text: strings.Repeat("long ", 100), Format: audio.Format{Encoding: audio.PCM16, Rate: 8000}}
	st, err := p.Synthesize(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := st.Next(); err != nil {
		t.Fatal(err)
	}
	_ = st.Close()
	s.hold.Store(false)
	<-s.cleared
	r.Text = "two words"
	pcm, _, _, err := ttstest.Say(t, p, r)
	if !errors.Is(err, io.EOF) || len(pcm) != 4000 || pcm[1] != 1 {
		t.Errorf("%d samples, %v", len(pcm), err)
	}
	if said, conns := s.Noted(); !slices.Contains(said, "Clear") || conns > 2 {
		t.Errorf("%v over %d connections", said, conns)
	}
}

// Twenty flushes a minute are all that a connection takes: the next sentence
// takes another one.
func TestFlushesAreCounted(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p := provider(t, s, Config{})
	defer p.Close()
	for i := range 25 {
		if _, _, _, err := ttstest.Say(t, p, tts.Request{Text: "a word"}); !errors.Is(err, io.EOF) {
			t.Fatalf("sentence %d: %v", i, err)
		}
	}
	if _, conns := s.Noted(); conns != 2 {
		t.Errorf("%d connections", conns)
	}
	s.limit.Store(1)
	p2 := provider(t, s, Config{Timeout: 200 * time.Millisecond})
	defer p2.Close()
	_, _, _, err := ttstest.Say(t, p2, tts.Request{Text: "a word"})
	if !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if _, _, _, err = ttstest.Say(t, p2, tts.Request{Text: "a word"}); err == nil || !strings.Contains(err.Error(), "FLUSH-LIMIT") {
		t.Errorf("a flush too many: %v", err)
	}
}

func TestErrorsNeverHoldTheKey_SEC10(t *testing.T) {
	t.Parallel()
	p := provider(t, newServer(t), Config{APIKey: "sk-canary-value"})
	defer p.Close()
	_, _, _, err := ttstest.Say(t, p, tts.Request{Text: "a word"})
	var e *tts.Error
	if !errors.As(err, &e) || e.Temporary || strings.Contains(err.Error(), "canary") || !strings.Contains(err.Error(), "Invalid credentials") {
		t.Errorf("got %v", err)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		c    Config
		want string
	}{
		{Config{}, "api_key is empty"},
		{Config{APIKey: "k", BaseURL: "nowhere"}, "base_url"},
		{Config{APIKey: "k", BaseURL: "wss://me:k@x"}, "base_url"},
		{Config{APIKey: "k", BaseURL: "wss://x?key=k"}, "base_url"},
		{Config{APIKey: "k", Timeout: -1}, "timeout"},
	} {
		if _, err := New(c.c); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.c, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, line := range ttssockettest.Lines(f, "testdata/session.jsonl") {
		f.Add(1, []byte(line))
	}
	f.Add(2, []byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, kind int, data []byte) {
		m, err := vendor{}.Read(kind, data)
		if err == nil && kind != websocket.BinaryMessage && len(m.Sound) > 0 {
			t.Errorf("sound of a text message: %+v", m)
		}
	})
}
