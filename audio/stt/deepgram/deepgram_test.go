package deepgram

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/stt"
	"github.com/patchcord/patchcord/audio/stt/socket/sockettest"
	"github.com/patchcord/patchcord/audio/stt/stttest"
)

const key = "dg-secret"

// newServer answers as Deepgram does, as far as its pages tell
// (developers.deepgram.com/reference/speech-to-text/listen-streaming): it was
// not reachable.
func newServer(lines []string) *sockettest.Server {
	return &sockettest.Server{
		Session: lines, Reason: "dg-error", Idle: 10 * time.Second,
		Lost:  sockettest.Closing{Code: websocket.CloseInternalServerErr, Text: "NET-0001"},
		MuLaw: func(r *http.Request) bool { return r.URL.Query().Get("encoding") == "mulaw" },
		Admit: func(r *http.Request) (int, string) {
			q := r.URL.Query()
			encoding := q.Get("encoding")
			switch {
			case r.Header.Get("Authorization") != "Token "+key:
				return http.StatusUnauthorized, "Invalid credentials."
			case r.URL.Path != "/v1/listen":
				return http.StatusNotFound, "Not Found"
			case encoding != "mulaw" && encoding != "linear16":
				return http.StatusBadRequest, "Bad Request: Invalid encoding"
			case q.Get("sample_rate") == "" || encoding == "mulaw" && q.Get("sample_rate") != "8000":
				return http.StatusBadRequest, "Bad Request: sample_rate"
			case q.Get("utterance_end_ms") != "" && q.Get("interim_results") != "true":
				return http.StatusBadRequest, "Bad Request: utterance_end_ms requires interim_results"
			}
			return 0, ""
		},
		Says: func(kind string) (bool, sockettest.Closing) {
			switch kind {
			case "KeepAlive":
				return false, sockettest.Closing{}
			case "Finalize":
				return true, sockettest.Closing{}
			case "CloseStream":
				return false, sockettest.Closing{Code: websocket.CloseNormalClosure}
			}
			return false, sockettest.Closing{Code: websocket.ClosePolicyViolation, Text: "DATA-0000"}
		},
	}
}

func TestConformance(t *testing.T) {
	// The words come in two parts; the suite wants the last one.
	lines := sockettest.Lines(t, "order.jsonl")
	whole := append(slices.Clone(lines[:2]), strings.Replace(strings.Replace(lines[3], `"4711."`, `"My order number is 4711."`, 1), `"is_final":true`, `"is_final":true`, 1), lines[4])
	for _, format := range []audio.Format{{Encoding: audio.MuLaw, Rate: 8000}, {Encoding: audio.PCM16, Rate: 16000}} {
		t.Run(string(format.Encoding), func(t *testing.T) {
			var last *sockettest.Server
			stttest.Run(t, stttest.Subject{
				New: func(t *testing.T) stt.Provider {
					last = newServer(whole)
					p, err := New(Config{BaseURL: last.Start(t), APIKey: key})
					if err != nil {
						t.Fatal(err)
					}
					return p
				},
				Format: format,
				Words:  "order number is 4711",
				Cut:    func(t *testing.T) { last.Cut(t) },
				Refuse: func(t *testing.T) stt.Provider {
					p, err := New(Config{BaseURL: newServer(nil).Start(t), APIKey: "wrong"})
					if err != nil {
						t.Fatal(err)
					}
					return p
				},
			})
		})
	}
}

// events reads what a session means.
func events(t *testing.T, lines []string) []stt.Event {
	t.Helper()
	var all []stt.Event
	r := results{language: "en"}
	for _, l := range lines {
		evs, err := r.read([]byte(l))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, evs...)
	}
	return all
}

func TestSessions(t *testing.T) {
	t.Parallel()
	ms := time.Millisecond
	for _, c := range []struct {
		file string
		want []stt.Event
	}{
		{"order.jsonl", []stt.Event{
			{Kind: stt.Interim, Text: "my order", Confidence: 0.91, Language: "en", Start: 420 * ms, End: 900 * ms},
			{Kind: stt.Final, Text: "My order number is", Confidence: 0.98, Language: "en", Start: 420 * ms, End: 1050 * ms},
			{Kind: stt.Final, Text: "4711.", Confidence: 0.97, Language: "en", Start: 1100 * ms, End: 1500 * ms, Endpointed: true},
		}},
		{"noise.jsonl", []stt.Event{
			{Kind: stt.Final, Text: "Where is it", Confidence: 0.88, Language: "en", Start: 100 * ms, End: 500 * ms},
			{Kind: stt.Endpoint, Language: "en"},
		}},
	} {
		if got := events(t, sockettest.Lines(t, c.file)); !slices.Equal(got, c.want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", c.file, got, c.want)
		}
	}
}

func TestEmptySpeechFinalEndsTheUtterance(t *testing.T) {
	t.Parallel()
	got := events(t, []string{
		`{"type":"Results","is_final":true,"speech_final":false,"start":0,"duration":1,"channel":{"alternatives":[{"transcript":"yes"}]}}`,
		`{"type":"Results","is_final":true,"speech_final":true,"start":1,"duration":0.4,"channel":{"alternatives":[{"transcript":""}]}}`,
		`{"type":"Results","is_final":true,"speech_final":true,"start":2,"duration":0.4,"channel":{"alternatives":[{"transcript":""}]}}`,
	})
	if len(got) != 2 || got[0].Kind != stt.Final || got[0].Endpointed || got[1].Kind != stt.Endpoint {
		t.Errorf("got %+v, want a Final and one Endpoint", got)
	}
}

func TestAddress(t *testing.T) {
	t.Parallel()
	no := false
	p, err := New(Config{BaseURL: "https://dg.example/base/", Language: "de", SmartFormat: &no, Keyterms: []string{"Patchcord", "G.722"}})
	if err != nil {
		t.Fatal(err)
	}
	got, encoding := p.address(stt.Options{Format: audio.Format{Encoding: audio.MuLaw, Rate: 8000}})
	want := "wss://dg.example/base/v1/listen?channels=1&encoding=mulaw&endpointing=300&interim_results=true&keyterm=Patchcord&keyterm=G.722&language=de&model=nova-3&sample_rate=8000&smart_format=false&utterance_end_ms=1000&vad_events=true"
	if got != want || encoding != audio.MuLaw {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for _, f := range []audio.Format{{Encoding: audio.ALaw, Rate: 8000}, {Encoding: audio.PCM16, Rate: 16000}} {
		if got, e := p.address(stt.Options{Format: f, Language: "fr"}); !strings.Contains(got, "encoding=linear16") || e != audio.PCM16 || !strings.Contains(got, "language=fr") {
			t.Errorf("%+v: %s", f, got)
		}
	}
}

// TestMuLawIsSentAsItCame: a G.711 frame decoded and encoded is the same bytes,
// one for a sample.
func TestMuLawIsSentAsItCame(t *testing.T) {
	t.Parallel()
	s := newServer(nil)
	p, err := New(Config{BaseURL: s.Start(t), APIKey: key})
	if err != nil {
		t.Fatal(err)
	}
	st, err := p.Open(sockettest.Soon(t), stt.Options{Format: audio.Format{Encoding: audio.MuLaw, Rate: 8000}})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if err := st.Send(make([]int16, 160)); err != nil {
			t.Fatal(err)
		}
	}
	_ = st.Close()
	sockettest.Wait(t, func() bool { return s.Heard("CloseStream") == 1 })
	if n, _, _ := s.Bytes(); n != 800 {
		t.Errorf("%d bytes came, want 800", n)
	}
}

func TestFinalize(t *testing.T) {
	t.Parallel()
	s := newServer(sockettest.Lines(t, "order.jsonl"))
	p, err := New(Config{BaseURL: s.Start(t), APIKey: key, Finalize: true})
	if err != nil {
		t.Fatal(err)
	}
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
	said := false
	for ev := range st.Events() {
		if said = ev.Endpointed; said {
			break
		}
	}
	if !said || s.Heard("Finalize") != 1 {
		t.Errorf("Finalize was sent %d times, the words came: %v", s.Heard("Finalize"), said)
	}
}

func TestErrorsSayWhy(t *testing.T) {
	t.Parallel()
	open := func(t *testing.T, url string) stt.Provider {
		p, err := New(Config{BaseURL: url, APIKey: key})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	sockettest.Errors(t, open, key,
		sockettest.Fails("a wrong key", func(w http.ResponseWriter, _ *http.Request) {
			sockettest.Refuse(w, "dg-error", 401, "Invalid credentials.")
		}, "401 Unauthorized: Invalid credentials.", false),
		sockettest.Fails("a wrong parameter", func(w http.ResponseWriter, _ *http.Request) { sockettest.Refuse(w, "dg-error", 400, "No such model.") }, "400 Bad Request: No such model.", false),
		sockettest.Fails("too many calls", func(w http.ResponseWriter, _ *http.Request) { sockettest.Refuse(w, "dg-error", 429, "Too many") }, "429", true),
		sockettest.Fails("a broken server", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "upstream", http.StatusServiceUnavailable) }, "503 Service Unavailable: upstream", true),
		sockettest.Fails("sound that it cannot read", sockettest.Closes(1008, "DATA-0000"), "1008 DATA-0000", false),
		sockettest.Fails("a time-out of theirs", sockettest.Closes(1011, "NET-0001"), "1011 NET-0001", true),
		sockettest.Fails("an end that nobody asked for", sockettest.Closes(1000, ""), "1000", true),
		sockettest.Fails("a message of 2 MB", sockettest.Closes(0, "", strings.Repeat("x", 2<<20)), "limit", true),
		sockettest.Fails("a message that is no JSON", sockettest.Closes(0, "", "<html>"), "no JSON", true),
		sockettest.Fails("an error message", sockettest.Closes(0, "", `{"type":"Error","description":"no credit","variant":"X"}`), "no credit", true),
	)
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
		{Config{BaseURL: "::", APIKey: key}, "base_url"},
		{Config{APIKey: key, Endpointing: time.Minute}, "endpointing"},
		{Config{APIKey: key, UtteranceEnd: time.Millisecond}, "utterance_end"},
	} {
		_, err := New(c.c)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), key) {
			t.Errorf("%+v: got %v, want %q in it", c.c, err, c.want)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, name := range []string{"order.jsonl", "noise.jsonl"} {
		for _, l := range sockettest.Lines(f, name) {
			f.Add([]byte(l))
		}
	}
	f.Add([]byte(`{"type":"Results","channel":[0,1]}`))
	f.Add([]byte(`{"type":"Results","start":1e999,"channel":{"alternatives":[{"transcript":"x","words":[{"start":-1,"end":1e300}]}]}}`))
	f.Fuzz(func(t *testing.T, frame []byte) {
		r := results{}
		evs, _ := r.read(frame)
		for _, ev := range evs {
			if ev.Start < 0 || ev.End < 0 || ev.Confidence < 0 || ev.Confidence > 1 || ev.Kind == stt.Interim && ev.Text == "" {
				t.Fatalf("%s: %+v", frame, ev)
			}
		}
	})
}

func BenchmarkSend(b *testing.B) {
	var n atomic.Int64
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		for {
			if _, _, err := conn.ReadMessage(); err != nil {
				return
			}
			n.Add(1)
		}
	}))
	defer web.Close()
	p, err := New(Config{BaseURL: web.URL, APIKey: key})
	if err != nil {
		b.Fatal(err)
	}
	st, err := p.Open(b.Context(), stt.Options{Format: audio.Format{Encoding: audio.MuLaw, Rate: 8000}})
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	pcm := make([]int16, 160)
	b.ReportAllocs()
	for b.Loop() {
		if err := st.Send(pcm); err != nil {
			b.Fatal(err)
		}
	}
}
