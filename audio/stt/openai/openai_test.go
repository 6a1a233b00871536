package openai

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/stt"
	"github.com/patchcord/patchcord/audio/stt/stttest"
)

const key = "sk-secret"

// session is the vendor's answers, from testdata.
type session struct {
	Source, Note    string
	Answer, Refusal json.RawMessage
}

func readSession(t testing.TB) session {
	t.Helper()
	data, err := os.ReadFile("testdata/transcription.json")
	if err != nil {
		t.Fatal(err)
	}
	var s session
	if err := json.Unmarshal(data, &s); err != nil || s.Note == "" || s.Source == "" {
		t.Fatalf("testdata does not say where it comes from: %v", err)
	}
	return s
}

// server answers as the API does, and refuses what it refuses: no key, no
// model, no file, a file that is no WAV of sound.
type server struct {
	session session
	before  func(n int, w http.ResponseWriter) bool // answers request n itself; nil: never

	mu    sync.Mutex // guards what follows
	asked int
	forms []map[string]string
	sound []time.Duration
}

func (s *server) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked++
	n := s.asked
	s.mu.Unlock()
	if s.before != nil && s.before(n, w) {
		return
	}
	refuse := func(status int) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write(s.session.Refusal)
	}
	if r.Header.Get("Authorization") != "Bearer "+key {
		refuse(http.StatusUnauthorized)
		return
	}
	if r.Method != http.MethodPost || r.URL.Path != "/v1/audio/transcriptions" {
		refuse(http.StatusNotFound)
		return
	}
	if err := r.ParseMultipartForm(8 << 20); err != nil || r.FormValue("model") == "" {
		refuse(http.StatusBadRequest)
		return
	}
	file, head, err := r.FormFile("file")
	if err != nil || !strings.HasSuffix(head.Filename, ".wav") {
		refuse(http.StatusBadRequest)
		return
	}
	data, _ := io.ReadAll(file)
	if len(data) < 44 || string(data[:4]) != "RIFF" || string(data[8:16]) != "WAVEfmt " ||
		int(binary.LittleEndian.Uint32(data[4:])) != len(data)-8 ||
		int(binary.LittleEndian.Uint32(data[40:])) != len(data)-44 {
		refuse(http.StatusBadRequest)
		return
	}
	rate := int(binary.LittleEndian.Uint32(data[24:]))
	form := map[string]string{"rate": fmt.Sprint(rate)}
	for k, v := range r.MultipartForm.Value {
		form[k] = v[0]
	}
	s.mu.Lock()
	s.forms = append(s.forms, form)
	s.sound = append(s.sound, audio.Duration((len(data)-44)/2, rate))
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(s.session.Answer)
}

func provider(t testing.TB, s *server, c Config) *Provider {
	t.Helper()
	s.session = readSession(t)
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	c.BaseURL = web.URL + "/v1/"
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

func TestConformance(t *testing.T) {
	var cut atomic.Bool
	stttest.Run(t, stttest.Subject{
		New: func(t *testing.T) stt.Provider {
			cut.Store(false)
			return provider(t, &server{before: func(_ int, w http.ResponseWriter) bool {
				if cut.Load() {
					conn, _, err := w.(http.Hijacker).Hijack()
					if err == nil {
						conn.Close()
					}
				}
				return cut.Load()
			}}, Config{})
		},
		Words:  "Where is my order?",
		Cut:    func(*testing.T) { cut.Store(true) },
		Refuse: func(t *testing.T) stt.Provider { return provider(t, &server{}, Config{APIKey: "wrong"}) },
	})
}

// hear sends d of silence and d of a voice, and returns what comes.
func hear(t *testing.T, p *Provider, o stt.Options, d time.Duration) (stt.Event, error) {
	t.Helper()
	if o.Format.Rate == 0 {
		o.Format.Rate = 8000
	}
	st, err := p.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	pcm := make([]int16, audio.Samples(d, o.Format.Rate))
	for _, err := range []error{st.Send(pcm), st.Speech(true), st.Send(pcm), st.Speech(false)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	ev, ok := <-st.Events()
	if !ok {
		return ev, st.Err()
	}
	return ev, nil
}

// TestPreRollIsSent_convB7: the first words of an interruption are recognised.
func TestPreRollIsSent_convB7(t *testing.T) {
	t.Parallel()
	s := &server{}
	p := provider(t, s, Config{Prompt: "Patchcord", Language: "fr"})
	ev, err := hear(t, p, stt.Options{Language: "de-AT", Format: audio.Format{Rate: 16000}}, time.Second)
	if err != nil || ev.Text != "Where is my order?" || ev.Start != 400*time.Millisecond || ev.End != 2*time.Second {
		t.Errorf("got %+v, %v", ev, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sound[0] != 1600*time.Millisecond {
		t.Errorf("%v of sound was sent, want the second and 600 ms before it", s.sound[0])
	}
	want := map[string]string{
		"model": "gpt-4o-mini-transcribe", "response_format": "json", "language": "de", "prompt": "Patchcord", "rate": "16000",
	}
	if fmt.Sprint(s.forms[0]) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", s.forms[0], want)
	}
}

func TestNoWordsIsAnEmptyFinal(t *testing.T) {
	t.Parallel()
	p := provider(t, &server{before: func(_ int, w http.ResponseWriter) bool {
		fmt.Fprint(w, `{"text":" \n"}`)
		return true
	}}, Config{})
	if ev, err := hear(t, p, stt.Options{}, time.Second); err != nil || ev.Kind != stt.Final || ev.Text != "" {
		t.Errorf("got %+v, %v", ev, err)
	}
}

func TestShortestSoundIsNotSent(t *testing.T) {
	t.Parallel()
	s := &server{}
	p := provider(t, s, Config{})
	if ev, err := hear(t, p, stt.Options{}, 20*time.Millisecond); err != nil || ev.Kind != stt.Final || ev.Text != "" || s.count() != 0 {
		t.Errorf("got %+v, %v after %d requests", ev, err, s.count())
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	status := func(code int, header, body string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			if header != "" {
				w.Header().Set("Retry-After", header)
			}
			w.WriteHeader(code)
			fmt.Fprint(w, body)
		}
	}
	for _, c := range []struct {
		name      string
		refusals  int
		do        func(http.ResponseWriter)
		asked     int
		want      string // in the error; "" for none
		temporary bool
	}{
		{"busy once", 1, status(429, "0", ""), 2, "", false},
		{"down once", 1, status(503, "", ""), 2, "", false},
		{"down twice", 2, status(503, "", "upstream"), 2, "503 Service Unavailable: upstream", true},
		{"busy for a minute", 1, status(429, "60", ""), 1, "429", true},
		{"a wrong key", 9, status(401, "", `{"error":{"message":"bad key"}}`), 1, "401 Unauthorized: bad key", false},
		{"a wrong request", 9, status(400, "", "<p>no</p>"), 1, "400 Bad Request: <p>no</p>", false},
		{"an answer that is no JSON", 9, status(200, "", "<html>"), 1, "no JSON", true},
		{"an answer without text", 9, status(200, "", `{"x":1}`), 1, "no text", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &server{before: func(n int, w http.ResponseWriter) bool {
				if n > c.refusals {
					return false
				}
				c.do(w)
				return true
			}}
			ev, err := hear(t, provider(t, s, Config{}), stt.Options{}, time.Second)
			if s.count() != c.asked {
				t.Errorf("asked %d times, want %d", s.count(), c.asked)
			}
			if c.want == "" {
				if err != nil || ev.Text == "" {
					t.Errorf("got %+v, %v", ev, err)
				}
				return
			}
			var e *stt.Error
			if !errors.As(err, &e) || e.Temporary != c.temporary || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q, temporary %v", err, c.want, c.temporary)
			}
			if strings.Contains(fmt.Sprint(err), key) {
				t.Errorf("SEC-10: the key is in %v", err)
			}
		})
	}
}

func TestSlowAnswerIsGivenUp(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	s := &server{before: func(int, http.ResponseWriter) bool { <-over; return true }}
	p := provider(t, s, Config{Timeout: 50 * time.Millisecond})
	_, err := hear(t, p, stt.Options{}, time.Second)
	close(over)
	var e *stt.Error
	if !errors.As(err, &e) || !e.Temporary || s.count() != 1 {
		t.Errorf("got %v after %d requests, want a temporary error after one", err, s.count())
	}
}

func TestLongUtteranceIsCut(t *testing.T) {
	t.Parallel()
	s := &server{}
	p := provider(t, s, Config{})
	st, err := p.Open(t.Context(), stt.Options{Format: audio.Format{Rate: 8000}})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if err := st.Speech(true); err != nil {
		t.Fatal(err)
	}
	for range 50 * 31 {
		if err := st.Send(make([]int16, 160)); err != nil {
			t.Fatal(err)
		}
	}
	if ev := <-st.Events(); ev.End != stt.MaxUtterance {
		t.Errorf("got %+v, want a Final after %v", ev, stt.MaxUtterance)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		c    Config
		want string
	}{
		{Config{}, "api_key"},
		{Config{BaseURL: "x", APIKey: key}, "base_url"},
		{Config{APIKey: key, Timeout: -1}, "timeout"},
	} {
		if _, err := New(c.c); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), key) {
			t.Errorf("%+v: got %v, want %q in it", c.c, err, c.want)
		}
	}
}

func FuzzWords(f *testing.F) {
	f.Add([]byte(readSession(f).Answer))
	f.Add([]byte(`{"text":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		text, err := words(data)
		if err == nil && text != strings.TrimSpace(text) {
			t.Fatalf("%q", text)
		}
	})
}
