package assemblyai

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/stt"
	"github.com/patchcord/patchcord/audio/stt/socket/sockettest"
	"github.com/patchcord/patchcord/audio/stt/stttest"
)

const (
	ms    = time.Millisecond
	key   = "aai-secret"
	begin = `{"type":"Begin","id":"de5d9927","expires_at":1759796682}`
)

// newServer answers as AssemblyAI does, as far as its pages tell
// (assemblyai.com/docs/streaming/message-sequence, docs/streaming/
// common-session-errors-and-closures): it was not reachable. Keys and parameters
// are judged inside of the session.
func newServer(lines []string, rate int) *sockettest.Server {
	return &sockettest.Server{
		Session: lines, Hello: []string{begin}, Number: `"turn_order":`,
		Over:  []string{`{"type":"Termination","audio_duration_seconds":1,"session_duration_seconds":1}`},
		MuLaw: func(r *http.Request) bool { return r.URL.Query().Get("encoding") == "pcm_mulaw" },
		Open: func(r *http.Request) (string, sockettest.Closing) {
			q := r.URL.Query()
			switch {
			case r.Header.Get("Authorization") != key:
				return `{"type":"Error","error_code":1008,"error":"Unauthorized Connection: invalid API key"}`,
					sockettest.Closing{Code: websocket.ClosePolicyViolation, Text: "See Error message for details"}
			case r.URL.Path != "/v3/ws" || q.Get("speech_model") == "" || q.Get("sample_rate") == "" ||
				!slices.Contains([]string{"", "pcm_s16le", "pcm_mulaw"}, q.Get("encoding")) || q.Has("language"):
				return `{"type":"Error","error_code":3006,"error":"Bad connection parameters"}`,
					sockettest.Closing{Code: 3006, Text: "See Error message for details"}
			}
			return "", sockettest.Closing{}
		},
		Sound: func(n int) sockettest.Closing {
			if n < rate/20 || n > rate {
				return sockettest.Closing{Code: 3007, Text: "Input Duration Violation"}
			}
			return sockettest.Closing{}
		},
		Says: func(kind string) (bool, sockettest.Closing) {
			switch kind {
			case "UpdateConfiguration", "KeepAlive":
				return false, sockettest.Closing{}
			case "ForceEndpoint":
				return true, sockettest.Closing{}
			case "Terminate":
				return false, sockettest.Closing{Code: websocket.CloseNormalClosure}
			}
			return false, sockettest.Closing{Code: 3006, Text: "Invalid Message Type"}
		},
	}
}

// provider is one that is not held to the vendor's pace.
func provider(t *testing.T, c Config) *Provider {
	t.Helper()
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	p.pace = 0
	return p
}

func TestConformance(t *testing.T) {
	for _, format := range []audio.Format{{Encoding: audio.MuLaw, Rate: 8000}, {Encoding: audio.PCM16, Rate: 16000}} {
		t.Run(string(format.Encoding), func(t *testing.T) {
			var last *sockettest.Server
			stttest.Run(t, stttest.Subject{
				New: func(t *testing.T) stt.Provider {
					last = newServer(sockettest.Lines(t, "order.jsonl"), format.Rate)
					return provider(t, Config{BaseURL: last.Start(t), APIKey: key})
				},
				Format: format,
				Words:  "order number is 4711",
				Cut:    func(t *testing.T) { last.Cut(t) },
				Refuse: func(t *testing.T) stt.Provider {
					return provider(t, Config{BaseURL: newServer(nil, format.Rate).Start(t), APIKey: "wrong"})
				},
			})
		})
	}
}

func read(t *testing.T, r *turns, lines []string) []stt.Event {
	t.Helper()
	var all []stt.Event
	for _, l := range lines {
		evs, err := r.read([]byte(l))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, evs...)
	}
	return all
}

func TestSession(t *testing.T) {
	t.Parallel()
	lines := sockettest.Lines(t, "order.jsonl")
	got := read(t, &turns{language: "de", decides: true, last: -1}, append([]string{begin}, lines...))
	for i := range got {
		got[i].Confidence = 0 // below
	}
	want := []stt.Event{
		{Kind: stt.Interim, Text: "my", Language: "de", Start: 240 * ms, End: 320 * ms},
		{Kind: stt.Interim, Text: "my order number is", Language: "de", Start: 240 * ms, End: 520 * ms},
		{Kind: stt.Eager, Text: "my order number is", Language: "de", Start: 240 * ms, End: 520 * ms},
		{Kind: stt.Resumed, Language: "de", End: 900 * ms},
		{Kind: stt.Interim, Text: "my order number is 4711", Language: "de", Start: 240 * ms, End: 900 * ms},
		{Kind: stt.Final, Text: "my order number is 4711", Language: "en", Start: 240 * ms, End: 900 * ms, Endpointed: true},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	got = read(t, &turns{last: -1}, lines)
	last := got[len(got)-1]
	if last.Kind != stt.Final || last.Endpointed || last.Confidence < 0.89 || last.Confidence > 0.91 {
		t.Errorf("turns: false: %+v", last)
	}
}

func TestAddress(t *testing.T) {
	t.Parallel()
	p := provider(t, Config{BaseURL: "https://aai.example", MinSilence: 300 * ms, MaxSilence: time.Second, Confidence: 0.5, Keyterms: []string{"Patchcord", `"G"`}})
	got, err := p.address(stt.Options{Format: audio.Format{Encoding: audio.MuLaw, Rate: 8000}})
	want := "wss://aai.example/v3/ws?encoding=pcm_mulaw&end_of_turn_confidence_threshold=0.5&keyterms_prompt=%5B%22Patchcord%22%2C%22%5C%22G%5C%22%22%5D&language_detection=true&max_turn_silence=1000&min_turn_silence=300&sample_rate=8000&speech_model=universal-3-5-pro"
	if err != nil || got != want {
		t.Errorf("got  %s\nwant %s, %v", got, want, err)
	}
	p = provider(t, Config{BaseURL: "ws://x", Model: english})
	if got, _ := p.address(stt.Options{Format: audio.Format{Encoding: audio.PCM16, Rate: 16000}}); got != "ws://x/v3/ws?encoding=pcm_s16le&sample_rate=16000&speech_model=universal-streaming-english" {
		t.Error(got)
	}
	if f := provider(t, Config{APIKey: key}).Profile(); !f.Turns || f.Wait != 420*ms {
		t.Errorf("%+v", f)
	}
}

func TestErrorsSayWhy(t *testing.T) {
	t.Parallel()
	open := func(t *testing.T, url string) stt.Provider { return provider(t, Config{BaseURL: url, APIKey: key}) }
	sockettest.Errors(t, open, key,
		sockettest.Fails("a broken server", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "upstream", 503) }, "503 Service Unavailable: upstream", true),
		sockettest.Fails("a wrong key", sockettest.Closes(1008, "", `{"type":"Error","error_code":1008,"error":"Unauthorized Connection"}`), "open: error 1008: Unauthorized", false),
		sockettest.Fails("an old session", sockettest.Closes(3008, "", begin, `{"type":"Error","error_code":3008,"error":"Session Expired: Maximum session duration exceeded"}`), "error 3008", true),
		sockettest.Fails("an error without a type", sockettest.Closes(0, "", begin, `{"error":"Session Cancelled"}`), "Session Cancelled", true),
		sockettest.Fails("sound too fast", sockettest.Closes(3007, "Audio Transmission Rate Exceeded", begin), "3007 Audio Transmission Rate Exceeded", true),
		sockettest.Fails("too many sessions", sockettest.Closes(3009, "Too many concurrent sessions", begin), "3009", true),
		sockettest.Fails("a message that it cannot read", sockettest.Closes(3006, "Invalid JSON", begin), "3006 Invalid JSON", false),
		sockettest.Fails("a message that is no JSON", sockettest.Closes(0, "", begin, "<html>"), "no JSON", true),
	)
}

// TestPace: 10 s of sound that are replayed at once leave no faster than the
// vendor reads them, in messages it takes, and Terminate ends the billing.
func TestPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(nil, 8000)
		var mu sync.Mutex
		var begun time.Time
		sent, refuses := 0, s.Sound
		s.Sound = func(n int) sockettest.Closing {
			mu.Lock()
			defer mu.Unlock()
			if begun.IsZero() {
				begun = time.Now()
			}
			sent += n
			limit := time.Second + time.Duration(1.25*float64(time.Since(begun))) + 100*ms
			if audio.Duration(sent, 8000) > limit {
				return sockettest.Closing{Code: 3007, Text: "Audio Transmission Rate Exceeded"}
			}
			return refuses(n)
		}
		p := provider(t, Config{BaseURL: "ws://aai.test", APIKey: key})
		p.pace = pace
		p.dialer.Proxy, p.dialer.NetDialContext = nil, sockettest.NewPipes(t, s).Dial
		st, err := p.Open(t.Context(), stt.Options{Format: audio.Format{Encoding: audio.MuLaw, Rate: 8000}})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for range 500 {
			if err := st.Send(make([]int16, 160)); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took < 7*time.Second || took > 8*time.Second {
			t.Errorf("10 s of sound took %v", took)
		}
		_ = st.Close()
		synctest.Wait()
		if s.Heard("Terminate") != 1 {
			t.Error("Terminate was not sent")
		}
	})
}

func TestForceEndpoint(t *testing.T) {
	t.Parallel()
	s := newServer(sockettest.Lines(t, "order.jsonl"), 16000)
	no := false
	p := provider(t, Config{BaseURL: s.Start(t), APIKey: key, Turns: &no, ForceEndpoint: true})
	st, err := p.Open(sockettest.Soon(t), stt.Options{Format: audio.Format{Rate: 16000}})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	loud := slices.Repeat([]int16{9000, -9000}, 800)
	for _, err := range []error{st.Speech(true), st.Send(loud), st.Speech(false)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for ev := range st.Events() {
		if ev.Kind == stt.Final {
			if ev.Endpointed {
				t.Error("an end of turn that nobody asked the model for")
			}
			break
		}
	}
	if n := s.Heard("ForceEndpoint"); n != 1 {
		t.Errorf("ForceEndpoint was sent %d times", n)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		c    Config
		want string
	}{
		{Config{}, "api_key"},
		{Config{BaseURL: "ftp://x", APIKey: key}, "base_url"},
		{Config{BaseURL: "wss://me:" + key + "@x", APIKey: key}, "base_url"},
		{Config{BaseURL: "wss://x?token=" + key, APIKey: key}, "base_url"},
		{Config{APIKey: key, MinSilence: -1}, "min_turn_silence"},
		{Config{APIKey: key, MaxSilence: time.Minute}, "max_turn_silence"},
		{Config{APIKey: key, MinSilence: 2 * time.Second, MaxSilence: time.Second}, "above"},
		{Config{APIKey: key, Confidence: 2}, "end_of_turn_confidence_threshold"},
		{Config{APIKey: key, Keyterms: make([]string, 101)}, "keyterms"},
		{Config{APIKey: key, ForceEndpoint: true}, "turns: false"},
	} {
		_, err := New(c.c)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), key) {
			t.Errorf("%+v: got %v, want %q in it", c.c, err, c.want)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, l := range sockettest.Lines(f, "order.jsonl") {
		f.Add([]byte(l))
	}
	f.Add([]byte(begin))
	f.Add([]byte(`{"type":"Turn","turn_order":1,"transcript":" ","words":[{"text":" ","start":-1,"end":1e300,"confidence":1e300}],"utterance":"x"}`))
	f.Fuzz(func(t *testing.T, frame []byte) {
		r := turns{last: -1}
		for range 2 {
			evs, _ := r.read(frame)
			for _, ev := range evs {
				if ev.Start < 0 || ev.End < 0 || ev.End != 0 && ev.End < ev.Start || !(ev.Confidence >= 0 && ev.Confidence <= 1) || ev.Kind == stt.Interim && ev.Text == "" {
					t.Fatalf("%s: %+v", frame, ev)
				}
			}
		}
	})
}

// TestLongTurnIsHeard: a turn of many minutes comes with all of its words, in
// one message.
func TestLongTurnIsHeard(t *testing.T) {
	t.Parallel()
	const n = 2000 // words, a quarter of an hour
	words := strings.Repeat(`{"start":100,"end":900,"text":"hello","confidence":0.99,"word_is_final":true},`, n)
	turn := `{"type":"Turn","turn_order":0,"end_of_turn":true,"turn_is_formatted":true,"transcript":"` +
		strings.Repeat("hello ", n) + `","words":[` + strings.TrimSuffix(words, ",") + `]}`
	web := httptest.NewServer(sockettest.Closes(0, "", `{"type":"Begin"}`, turn))
	t.Cleanup(web.Close)
	p := provider(t, Config{BaseURL: web.URL, APIKey: key})
	st, err := p.Open(sockettest.Soon(t), stt.Options{Format: audio.Format{Rate: 8000}})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	ev, ok := <-st.Events()
	if !ok || ev.Kind != stt.Final || len(strings.Fields(ev.Text)) != n {
		t.Errorf("%v of %d words, %v", ev.Kind, len(strings.Fields(ev.Text)), st.Err())
	}
}
