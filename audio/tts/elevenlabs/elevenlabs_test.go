package elevenlabs

import (
	"encoding/base64"
	"encoding/json"
	"errors"
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

const key = "xi-secret"

// server answers as ElevenLabs does, as far as its pages tell, and refuses
// what they say is refused.
type server struct {
	ttssockettest.Server
	lines  map[string]string
	silent bool
	cut    bool          // breaks the connection after some sound
	hold   chan struct{} // the sound of the second piece on waits for it; nil: it does not
}

func newServer(t testing.TB) *server {
	s := &server{lines: ttssockettest.Lines(t, "testdata/session.jsonl")}
	s.Refuse, s.Talk = s.refuse, s.talk
	return s
}

var formats = map[string]audio.Format{
	"pcm_8000": {Encoding: audio.PCM16, Rate: 8000}, "pcm_16000": {Encoding: audio.PCM16, Rate: 16000},
	"ulaw_8000": {Encoding: audio.MuLaw, Rate: 8000}, "alaw_8000": {Encoding: audio.ALaw, Rate: 8000},
}

func (s *server) refuse(w http.ResponseWriter, r *http.Request) bool {
	q := r.URL.Query()
	status := 0
	switch {
	case r.Header.Get("xi-api-key") != key:
		status = http.StatusUnauthorized
	case r.URL.Path != "/v1/text-to-speech/voice-1/multi-stream-input" && r.URL.Path != "/v1/text-to-speech/voice-2/multi-stream-input":
		status = http.StatusNotFound
	case formats[q.Get("output_format")].Rate == 0 || q.Get("model_id") == "" || q.Get("model_id") == "eleven_v3":
		status = http.StatusBadRequest
	case q.Get("language_code") != "" && !strings.HasSuffix(q.Get("model_id"), "v2_5"):
		status = http.StatusBadRequest
	}
	if status == 0 {
		return false
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, s.lines["refusal"])
	return true
}

// message is all that a client may say.
type message struct {
	Text     *string `json:"text"`
	Context  string  `json:"context_id"`
	Flush    bool    `json:"flush"`
	Close    bool    `json:"close_context"`
	End      bool    `json:"close_socket"`
	Settings *struct {
		Stability, Style, Speed *float64
		Similarity              *float64 `json:"similarity_boost"`
		Boost                   *bool    `json:"use_speaker_boost"`
	} `json:"voice_settings"`
}

// said is a context, as the server keeps it.
type said struct {
	text    string
	closing chan struct{} // closed by close_context
}

func (s *server) talk(c *ttssockettest.Conn) {
	f := formats[c.Request.URL.Query().Get("output_format")]
	var mu sync.Mutex // guards open
	open := map[string]*said{}
	for {
		_, data, err := c.ReadMessage()
		if err != nil {
			return
		}
		var m message
		dec := json.NewDecoder(strings.NewReader(string(data)))
		dec.DisallowUnknownFields()
		if dec.Decode(&m) != nil {
			c.Goodbye(websocket.ClosePolicyViolation, "invalid message")
			return
		}
		if m.End {
			s.Note("close_socket")
			c.Goodbye(websocket.CloseNormalClosure, "")
			return
		}
		mu.Lock()
		ctx := open[m.Context]
		if ctx == nil {
			ctx = &said{closing: make(chan struct{})}
			open[m.Context] = ctx
			if m.Text == nil || *m.Text != " " {
				c.Goodbye(websocket.ClosePolicyViolation, "a context begins with a space")
				mu.Unlock()
				return
			}
		}
		many := len(open)
		mu.Unlock()
		if many > 5 {
			_ = c.Say(s.lines["sixth"])
			c.Goodbye(websocket.ClosePolicyViolation, "Maximum simultaneous contexts per WebSocket connection exceeded (5)")
			return
		}
		if m.Text != nil {
			ctx.text += strings.TrimLeft(*m.Text, " ")
		}
		if m.Flush {
			text := ctx.text
			c.Work.Go(func() {
				if s.speak(c, f, m.Context, text) {
					<-ctx.closing
					mu.Lock()
					delete(open, m.Context)
					mu.Unlock()
					_ = c.Say(strings.ReplaceAll(s.lines["final"], "CONTEXT", m.Context))
				}
			})
		}
		if m.Close {
			s.Note("close_context")
			close(ctx.closing)
		}
	}
}

// speak says a text, a word a message, each with its characters' times since
// the beginning of that word's sound.
func (s *server) speak(c *ttssockettest.Conn, f audio.Format, id, text string) bool {
	for i, word := range strings.SplitAfter(strings.TrimSpace(text), " ") {
		if s.silent {
			break
		}
		var at alignment
		step := int(ttssockettest.Word.Milliseconds()) / len([]rune(word))
		for n, r := range []rune(word) {
			at.Chars = append(at.Chars, string(r))
			at.Starts = append(at.Starts, n*step)
			at.Durations = append(at.Durations, step)
		}
		var line map[string]any
		if json.Unmarshal([]byte(strings.ReplaceAll(s.lines["audio"], "CONTEXT", id)), &line) != nil {
			return false
		}
		line["audio"] = base64.StdEncoding.EncodeToString(ttssockettest.Hum(1, f))
		line["alignment"] = map[string]any{"chars": at.Chars, "charStartTimesMs": at.Starts, "charDurationsMs": at.Durations}
		data, err := json.Marshal(line)
		if err != nil || c.Say(string(data)) != nil {
			return false
		}
		if s.cut {
			c.Close()
			return false
		}
		if i == 0 && s.hold != nil {
			<-s.hold
		}
	}
	return true
}

func provider(t testing.TB, s *server, c Config) *Provider {
	t.Helper()
	c.BaseURL = s.Start(t)
	if c.APIKey == "" {
		c.APIKey = key
	}
	c.Voice = "voice-1"
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

func TestCharactersBecomeWords(t *testing.T) {
	t.Parallel()
	p := provider(t, newServer(t), Config{})
	defer p.Close()
	for _, f := range []audio.Format{
		{Encoding: audio.MuLaw, Rate: 8000},
		{Encoding: audio.ALaw, Rate: 8000},
		{Encoding: audio.PCM16, Rate: 8000},
		{Encoding: audio.PCM16, Rate: 16000},
	} {
		pcm, _, words, err := ttstest.Say(t, p, tts.Request{Text: "Grüß Gott, ja!", Format: f, Language: "de-AT", Voice: "voice-2"})
		if !errors.Is(err, io.EOF) || len(pcm) != 3*audio.Samples(ttssockettest.Word, f.Rate) {
			t.Fatalf("%+v: %d samples, %v", f, len(pcm), err)
		}
		var ends []int
		for i, w := range words {
			ends = append(ends, w.TextEnd)
			if late := time.Duration(i+1)*ttssockettest.Word - w.End; late < 0 || late > 60*time.Millisecond {
				t.Errorf("word %d ends at %v", i, w.End)
			}
		}
		if !slices.Equal(ends, []int{len("Grüß"), len("Grüß Gott,"), len("Grüß Gott, ja!")}) {
			t.Errorf("words end at %v", ends)
		}
	}
}

// Sentences given up keep their places until ElevenLabs has ended them: a sixth
// context is never opened.
func TestNeverASixthContext(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.hold = make(chan struct{})
	p := provider(t, s, Config{})
	defer p.Close()
	for range 12 {
		st, err := p.Synthesize(t.Context(), tts.Request{Text: "a long sentence"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := st.Next(); err != nil {
			t.Fatal(err)
		}
		_ = st.Close()
	}
	if _, conns := s.Noted(); conns != 3 {
		t.Errorf("%d connections for 12 contexts", conns)
	}
	close(s.hold)
	if _, _, _, err := ttstest.Say(t, p, tts.Request{Text: "a word"}); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

func TestRefusalsThatPass(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]bool{
		`{"error":"max_active_conversations","message":"m","code":1008}`: true,
		`{"error":"quota_exceeded","message":"m","code":1008}`:           false,
		`{"error":"internal","message":"m","code":1011}`:                 true,
	} {
		m, err := vendor{}.Read(websocket.TextMessage, []byte(line))
		if err != nil || m.Err == nil || m.Err.Temporary != want {
			t.Errorf("%s: %+v, %v", line, m.Err, err)
		}
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	two := 2.0
	for _, c := range []struct {
		c    Config
		want string
	}{
		{Config{Voice: "v"}, "api_key is empty"},
		{Config{APIKey: "k"}, "voice is empty"},
		{Config{APIKey: "k", Voice: "v", Model: "eleven_v3"}, "eleven_flash_v2_5"},
		{Config{APIKey: "k", Voice: "v", Speed: &two}, "speed 2: want 0.7 to 1.2"},
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
	f.Add([]byte(`{"audio":"AAAA","alignment":{"chars":["a","b"],"charStartTimesMs":[-5,9223372036854775807],"charsDurationsMs":[1,2]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := vendor{}.Read(websocket.TextMessage, data)
		if err != nil {
			return
		}
		for _, mark := range m.Marks {
			if mark.End < 0 || mark.End > 20*time.Minute {
				t.Errorf("a mark at %v", mark.End)
			}
		}
	})
}
