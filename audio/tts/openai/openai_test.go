package openai

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/tts"
	"github.com/patchcord/patchcord/audio/tts/ttstest"
)

const key = "sk-secret"

// session is the vendor's exchange, from testdata.
type session struct {
	Source, Note     string
	Request, Refusal json.RawMessage
}

func readSession(t testing.TB) session {
	t.Helper()
	data, err := os.ReadFile("testdata/speech.json")
	if err != nil {
		t.Fatal(err)
	}
	var s session
	if err := json.Unmarshal(data, &s); err != nil || s.Note == "" || s.Source == "" {
		t.Fatalf("testdata does not say where it comes from: %v", err)
	}
	return s
}

// server answers as the API does and refuses what it refuses. A word sounds
// 250 ms, in pieces whose ends fall inside of samples.
type server struct {
	session session
	before  func(n int, w http.ResponseWriter) bool // answers request n itself; nil: never

	mu    sync.Mutex // guards what follows
	asked int
	body  []byte // of the last request
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	s.asked++
	n := s.asked
	s.body = body
	s.mu.Unlock()
	if s.before != nil && s.before(n, w) {
		return
	}
	var req request
	status := http.StatusOK
	switch {
	case r.Header.Get("Authorization") != "Bearer "+key:
		status = http.StatusUnauthorized
	case r.Method != http.MethodPost || r.URL.Path != "/v1/audio/speech":
		status = http.StatusNotFound
	case json.Unmarshal(body, &req) != nil || req.Model == "" || req.Voice == "" || req.Input == "" || len(req.Input) > 4096:
		status = http.StatusBadRequest
	}
	if status != http.StatusOK {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write(s.session.Refusal)
		return
	}
	w.Header().Set("Content-Type", "audio/pcm")
	rate := cmp.Or(req.SampleRate, defaultRate)
	sound := make([]byte, 2*len(strings.Fields(req.Input))*rate/4)
	for i := range sound {
		sound[i] = byte(i)
	}
	for len(sound) > 0 {
		n := min(len(sound), 3333)
		if _, err := w.Write(sound[:n]); err != nil {
			return
		}
		w.(http.Flusher).Flush()
		sound = sound[n:]
	}
}

func provider(t testing.TB, s *server, c Config) *Provider {
	t.Helper()
	s.session = readSession(t)
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	c.BaseURL = web.URL + "/v1"
	if c.APIKey == "" {
		c.APIKey = key
	}
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// cutting answers with some sound and breaks the connection.
func cutting(_ int, w http.ResponseWriter) bool {
	_, _ = w.Write(make([]byte, 9601))
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

func TestConformance(t *testing.T) {
	ttstest.Run(t, ttstest.Subject{
		New: func(t *testing.T) tts.Provider { return provider(t, &server{}, Config{}) },
		Silent: func(t *testing.T) tts.Provider {
			return provider(t, &server{before: func(int, http.ResponseWriter) bool { return true }}, Config{})
		},
		Broken: func(t *testing.T) tts.Provider { return provider(t, &server{before: cutting}, Config{}) },
		Refuse: func(t *testing.T) tts.Provider { return provider(t, &server{}, Config{APIKey: "wrong"}) },
	})
}

func TestRequestAndSamples(t *testing.T) {
	t.Parallel()
	s := &server{}
	pcm, rate, _, err := ttstest.Say(t, provider(t, s, Config{}), tts.Request{Text: "Your order shipped yesterday."})
	if !errors.Is(err, io.EOF) || rate != 24000 || audio.Duration(len(pcm), rate) != time.Second {
		t.Errorf("%d samples at %d Hz, %v", len(pcm), rate, err)
	}
	for i, v := range pcm { // no byte is lost at the ends of pieces
		if want := int16(uint16(byte(2*i)) | uint16(byte(2*i+1))<<8); v != want {
			t.Fatalf("sample %d is %d, want %d", i, v, want)
		}
	}
	var got, want request
	if json.Unmarshal(s.body, &got) != nil || json.Unmarshal(s.session.Request, &want) != nil || got != want {
		t.Errorf("asked %s, want %s", s.body, s.session.Request)
	}
}

func TestOptionsAreSent(t *testing.T) {
	t.Parallel()
	s := &server{}
	p := provider(t, s, Config{Model: "kokoro", Voice: "af", Instructions: "slowly", Speed: 0.5, SampleRate: 8000})
	_, rate, _, err := ttstest.Say(t, p, tts.Request{Text: "Hello.", Voice: "bm"})
	if !errors.Is(err, io.EOF) || rate != 8000 {
		t.Errorf("%d Hz, %v", rate, err)
	}
	const want = `{"model":"kokoro","input":"Hello.","voice":"bm","response_format":"pcm","instructions":"slowly","speed":0.5,"sample_rate":8000}`
	if string(s.body) != want {
		t.Errorf("asked %s, want %s", s.body, want)
	}
}

// TestSoundIsPlayedAsItArrives: the first piece is there while the server
// still makes the second.
func TestSoundIsPlayedAsItArrives(t *testing.T) {
	t.Parallel()
	more := make(chan struct{})
	p := provider(t, &server{before: func(_ int, w http.ResponseWriter) bool {
		_, _ = w.Write(make([]byte, 960))
		w.(http.Flusher).Flush()
		<-more
		_, _ = w.Write(make([]byte, 960))
		return true
	}}, Config{})
	t.Cleanup(func() { _ = p.Close() })
	st, err := p.Synthesize(t.Context(), tts.Request{Text: "Hello."})
	if err != nil {
		t.Fatal(err)
	}
	c, err := st.Next()
	if err != nil || len(c.PCM) != 480 {
		t.Errorf("%d samples, %v", len(c.PCM), err)
	}
	close(more)
	if c, err := st.Next(); err != nil || len(c.PCM) != 480 {
		t.Errorf("%d samples, %v", len(c.PCM), err)
	}
	if _, err := st.Next(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name           string
		refusals       int
		status         int
		header, answer string
		asked          int
		want           string // in the error; "" for none
		temporary      bool
	}{
		{"busy once", 1, 429, "0", "", 2, "", false},
		{"down once", 1, 500, "", "", 2, "", false},
		{"down twice", 2, 502, "", "bad gateway", 2, "502 Bad Gateway: bad gateway", true},
		{"busy for long", 1, 429, "20", "", 1, "429", true},
		{"a wrong key", 9, 401, "", `{"error":{"message":"bad key"}}`, 1, "401 Unauthorized: bad key", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &server{before: func(n int, w http.ResponseWriter) bool {
				if n > c.refusals {
					return false
				}
				if c.header != "" {
					w.Header().Set("Retry-After", c.header)
				}
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.answer)
				return true
			}}
			_, _, _, err := ttstest.Say(t, provider(t, s, Config{}), tts.Request{Text: "Hello there."})
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.asked != c.asked {
				t.Errorf("asked %d times, want %d", s.asked, c.asked)
			}
			if c.want == "" {
				if !errors.Is(err, io.EOF) {
					t.Error(err)
				}
				return
			}
			var e *tts.Error
			if !errors.As(err, &e) || e.Temporary != c.temporary || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q, temporary %v", err, c.want, c.temporary)
			}
			if strings.Contains(fmt.Sprint(err), key) {
				t.Errorf("SEC-10: the key is in %v", err)
			}
		})
	}
}

func TestHungServerIsGivenUp(t *testing.T) {
	t.Parallel()
	for _, some := range []int{0, 960} {
		over := make(chan struct{})
		p := provider(t, &server{before: func(_ int, w http.ResponseWriter) bool {
			if some > 0 {
				_, _ = w.Write(make([]byte, some))
				w.(http.Flusher).Flush()
			}
			<-over
			return true
		}}, Config{Timeout: 50 * time.Millisecond})
		_, _, _, err := ttstest.Say(t, p, tts.Request{Text: "Hello."})
		close(over)
		var e *tts.Error
		if !errors.As(err, &e) || !e.Temporary || !errors.Is(err, errSlow) {
			t.Errorf("after %d bytes: got %v", some, err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		c    Config
		want string
	}{
		{Config{}, "api_key"},
		{Config{BaseURL: "nowhere", APIKey: key}, "base_url"},
		{Config{APIKey: key, ResponseFormat: "mp3"}, "response_format"},
		{Config{APIKey: key, Speed: 9}, "speed"},
		{Config{APIKey: key, SampleRate: 1}, "sample_rate"},
		{Config{APIKey: key, Timeout: -1}, "timeout"},
	} {
		if _, err := New(c.c); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), key) {
			t.Errorf("%+v: got %v, want %q in it", c.c, err, c.want)
		}
	}
}
