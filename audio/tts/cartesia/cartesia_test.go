package cartesia

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/tts"
	"github.com/patchcord/patchcord/audio/tts/ttstest"
	"github.com/patchcord/patchcord/internal/ttssocket/ttssockettest"
)

const (
	key   = "sk_car_secret"
	voice = "a0e99841-438c-4a64-b679-ae501e7d6091"
)

// server answers as Cartesia does, as far as its pages tell, and refuses what
// they say is refused.
type server struct {
	ttssockettest.Server
	lines  map[string]string
	silent bool
	cut    bool          // breaks the connection after some sound
	hold   chan struct{} // what comes after the first piece waits for it; nil: it does not
	most   int           // contexts at a time, 0: any
}

func newServer(t testing.TB) *server {
	s := &server{lines: ttssockettest.Lines(t, "testdata/session.jsonl")}
	s.Refuse, s.Talk = s.refuse, s.talk
	return s
}

func (s *server) refuse(w http.ResponseWriter, r *http.Request) bool {
	status := 0
	switch {
	case r.Header.Get("Authorization") != "Bearer "+key:
		status = http.StatusUnauthorized
	case r.URL.Path != "/tts/websocket":
		status = http.StatusNotFound
	case r.Header.Get("Cartesia-Version") != "2026-03-01":
		status = http.StatusBadRequest
	}
	if status == 0 {
		return false
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, s.lines["unauthorized"])
	return true
}

func (s *server) line(name, id string) string {
	return strings.ReplaceAll(s.lines[name], "CONTEXT", id)
}

func (s *server) talk(c *ttssockettest.Conn) {
	var mu sync.Mutex // guards open
	open := map[string]chan struct{}{}
	defer func() {
		mu.Lock()
		defer mu.Unlock()
		for _, stop := range open {
			close(stop)
		}
	}()
	for {
		_, data, err := c.ReadMessage()
		if err != nil {
			return
		}
		var m struct {
			request
			Cancel bool `json:"cancel"`
		}
		dec := json.NewDecoder(strings.NewReader(string(data)))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&m); err != nil {
			c.Goodbye(websocket.CloseInvalidFramePayloadData, err.Error())
			return
		}
		mu.Lock()
		stop, busy := open[m.Context], s.most > 0 && len(open) >= s.most
		mu.Unlock()
		f := audio.Format{Encoding: map[string]audio.Encoding{
			"pcm_s16le": audio.PCM16, "pcm_mulaw": audio.MuLaw, "pcm_alaw": audio.ALaw,
		}[m.Output.Encoding], Rate: m.Output.Rate}
		switch {
		case m.Cancel:
			s.Note("cancel")
			if stop != nil {
				mu.Lock()
				delete(open, m.Context)
				mu.Unlock()
				close(stop)
			}
		case m.Model == "" || m.Voice.Mode != "id" || m.Voice.ID == "" || m.Output.Container != "raw" || f.Encoding == "" ||
			f.Rate < 8000 || m.Language == "" || m.Transcript == "":
			_ = c.Say(s.line("model", m.Context))
		case busy:
			_ = c.Say(s.line("busy", m.Context))
		default:
			s.Note(m.Language + " " + m.Voice.ID)
			stop = make(chan struct{})
			mu.Lock()
			open[m.Context] = stop
			mu.Unlock()
			c.Work.Go(func() {
				if !s.speak(c, f, m.Context, m.Transcript, stop) {
					return
				}
				mu.Lock()
				delete(open, m.Context)
				mu.Unlock()
				_ = c.Say(s.line("done", m.Context))
			})
		}
	}
}

// speak says a text in two halves, its words' times before the sound of each.
func (s *server) speak(c *ttssockettest.Conn, f audio.Format, id, text string, stop chan struct{}) bool {
	words := strings.Fields(text)
	_ = c.Say(s.line("phonemes", id))
	for from := 0; from < len(words) && !s.silent; {
		to := min(len(words), from+max(1, len(words)/2))
		var names, starts, ends []string
		for i, w := range words[from:to] {
			names = append(names, fmt.Sprintf("%q", strings.Trim(w, ".,!")))
			starts = append(starts, fmt.Sprint(float64(from+i)*ttssockettest.Word.Seconds()))
			ends = append(ends, fmt.Sprint(float64(from+i+1)*ttssockettest.Word.Seconds()-0.01))
		}
		line := strings.NewReplacer(
			`["WORDS"]`, "["+strings.Join(names, ",")+"]", `"start":[0]`, `"start":[`+strings.Join(starts, ",")+"]",
			`"end":[0.4]`, `"end":[`+strings.Join(ends, ",")+"]",
		).Replace(s.line("timestamps", id))
		if c.Say(line) != nil {
			return false
		}
		for _, piece := range ttssockettest.Pieces(ttssockettest.Hum(to-from, f)) {
			sound := base64.StdEncoding.EncodeToString(piece)
			if c.Say(strings.Replace(s.line("chunk", id), "DATA", sound, 1)) != nil {
				return false
			}
			if s.cut {
				c.Close()
				return false
			}
			if s.hold != nil {
				select {
				case <-s.hold:
				case <-stop:
				}
			}
			select {
			case <-stop:
				return false
			default:
			}
		}
		from = to
	}
	return true
}

func provider(t testing.TB, s *server, c Config) *Provider {
	t.Helper()
	c.BaseURL = s.Start(t)
	if c.APIKey == "" {
		c.APIKey = key
	}
	c.Voice = voice
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
		Words:  true,
	})
}

func TestWordsAndFormats(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p := provider(t, s, Config{})
	defer p.Close()
	const text = "Hello, I can do 3 of them."
	for _, f := range []audio.Format{
		{Encoding: audio.MuLaw, Rate: 8000},
		{Encoding: audio.ALaw, Rate: 8000},
		{Encoding: audio.PCM16, Rate: 8000},
		{Encoding: audio.PCM16, Rate: 16000},
	} {
		pcm, _, words, err := ttstest.Say(t, p, tts.Request{Text: text, Format: f, Language: "en-GB"})
		if !errors.Is(err, io.EOF) || len(pcm) != 7*audio.Samples(ttssockettest.Word, f.Rate) {
			t.Fatalf("%+v: %d samples, %v", f, len(pcm), err)
		}
		var said []string
		at := 0
		for i, w := range words {
			said = append(said, strings.TrimSpace(text[at:w.TextEnd]))
			at = w.TextEnd
			if late := time.Duration(i+1)*ttssockettest.Word - w.End; late < 0 || late > 20*time.Millisecond {
				t.Errorf("word %d ends at %v", i, w.End)
			}
		}
		if !slices.Equal(said, strings.Fields(text)) {
			t.Errorf("words are %q", said)
		}
	}
	if said, conns := s.Noted(); conns != 1 || said[0] != "en "+voice {
		t.Errorf("%q over %d connections", said, conns)
	}
}

// A sentence that is given up is cancelled; the others of its connection go on.
func TestGivenUpIsCancelled(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.hold = make(chan struct{})
	p := provider(t, s, Config{})
	defer p.Close()
	r := tts.Request{Text: "one two three four", Format: audio.Format{Encoding: audio.PCM16, Rate: 8000}}
	first, err := p.Synthesize(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	other, err := p.Synthesize(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	for _, st := range []tts.Stream{first, other} {
		if _, err := st.Next(); err != nil {
			t.Fatal(err)
		}
	}
	_ = first.Close()
	close(s.hold)
	for err == nil {
		_, err = other.Next()
	}
	if !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	_ = other.Close()
	if _, _, _, err := ttstest.Say(t, p, r); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	if said, conns := s.Noted(); !slices.Contains(said, "cancel") || conns != 1 {
		t.Errorf("%v over %d connections", said, conns)
	}
}

func TestErrorsOfASentence(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.most, s.hold = 1, make(chan struct{})
	p := provider(t, s, Config{})
	defer p.Close()
	first, err := p.Synthesize(t.Context(), tts.Request{Text: "one two"})
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if _, err := first.Next(); err != nil {
		t.Fatal(err)
	}
	_, _, _, err = ttstest.Say(t, p, tts.Request{Text: "a word"})
	var e *tts.Error
	if !errors.As(err, &e) || !e.Temporary || !strings.Contains(err.Error(), "concurrency_limited") {
		t.Errorf("one too many: %v", err)
	}
	close(s.hold)
	p.pool.Close()
	m, err := vendor{}.Read(websocket.TextMessage, []byte(s.line("model", "c1")))
	if err != nil || m.ID != "c1" || m.Err == nil || m.Err.Temporary || !strings.Contains(m.Err.Error(), "400 model_not_found Invalid model") {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		c    Config
		want string
	}{
		{Config{Voice: "v"}, "api_key is empty"},
		{Config{APIKey: "k"}, "voice is empty"},
		{Config{APIKey: "k", Voice: "v", BaseURL: "ftp://x"}, "base_url"},
		{Config{APIKey: "k", Voice: "v", Timeout: -1}, "timeout"},
	} {
		if _, err := New(c.c); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.c, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, line := range ttssockettest.Lines(f, "testdata/session.jsonl") {
		f.Add([]byte(line))
	}
	f.Add([]byte(`{"type":"timestamps","word_timestamps":{"words":["a","b"],"end":[-1]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := vendor{}.Read(websocket.TextMessage, data)
		if err != nil {
			return
		}
		for _, mark := range m.Marks {
			if mark.End < 0 || mark.End > 10*time.Minute {
				t.Errorf("a mark at %v", mark.End)
			}
		}
	})
}
