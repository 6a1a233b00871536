package flux

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
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
	ms  = time.Millisecond
	key = "dg-secret"
)

const connected = `{"type":"Connected","request_id":"5b1c","sequence_id":0}`

// newServer answers as Flux does, as far as its pages tell
// (developers.deepgram.com/reference/speech-to-text/listen-flux, docs/flux/
// configuration, docs/flux/close-stream): it was not reachable.
func newServer(lines []string) *sockettest.Server {
	within := func(text string, low, high float64) bool {
		v, err := strconv.ParseFloat(text, 64)
		return text == "" || err == nil && v >= low && v <= high
	}
	return &sockettest.Server{
		Session: lines, Hello: []string{connected}, Reason: "dg-error", Idle: 10 * time.Second,
		Lost:  sockettest.Closing{Code: websocket.CloseInternalServerErr, Text: "NET-0001"},
		MuLaw: func(r *http.Request) bool { return r.URL.Query().Get("encoding") == "mulaw" },
		Admit: func(r *http.Request) (int, string) {
			q := r.URL.Query()
			encoding, model := q.Get("encoding"), q.Get("model")
			switch {
			case r.Header.Get("Authorization") != "Token "+key:
				return http.StatusUnauthorized, "Invalid credentials."
			case r.URL.Path != "/v2/listen":
				return http.StatusNotFound, "Not Found"
			case model != "flux-general-en" && model != multi:
				return http.StatusBadRequest, "No such model/language/tier combination found."
			case !slices.Contains([]string{"linear16", "linear32", "mulaw", "alaw", "opus", "ogg-opus"}, encoding):
				return http.StatusBadRequest, "Bad Request: Invalid encoding"
			case !slices.Contains([]string{"8000", "16000", "24000", "44100", "48000"}, q.Get("sample_rate")):
				return http.StatusBadRequest, "Bad Request: sample_rate"
			case !within(q.Get("eot_threshold"), 0.5, 1), !within(q.Get("eager_eot_threshold"), 0.3, 0.9),
				!within(q.Get("eot_timeout_ms"), 500, 60000):
				return http.StatusBadRequest, "Bad Request: end-of-turn parameters"
			case q.Has("language_hint") && model != multi:
				return http.StatusBadRequest, "Bad Request: language_hint"
			case q.Has("interim_results"), q.Has("endpointing"), q.Has("language"):
				return http.StatusBadRequest, "Bad Request: not a parameter of v2"
			}
			return 0, ""
		},
		Says: func(kind string) (bool, sockettest.Closing) {
			switch kind {
			case "Configure":
				return false, sockettest.Closing{}
			case "ForceEndTurn":
				return true, sockettest.Closing{}
			case "CloseStream":
				return false, sockettest.Closing{Code: websocket.CloseNormalClosure}
			}
			return false, sockettest.Closing{Code: websocket.ClosePolicyViolation, Text: "UNPARSABLE_CLIENT_MESSAGE"}
		},
	}
}

func provider(t *testing.T, c Config) *Provider {
	t.Helper()
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestConformance(t *testing.T) {
	for _, format := range []audio.Format{{Encoding: audio.MuLaw, Rate: 8000}, {Encoding: audio.PCM16, Rate: 16000}} {
		t.Run(string(format.Encoding), func(t *testing.T) {
			var last *sockettest.Server
			stttest.Run(t, stttest.Subject{
				New: func(t *testing.T) stt.Provider {
					last = newServer(sockettest.Lines(t, "order.jsonl"))
					return provider(t, Config{BaseURL: last.Start(t), APIKey: key, EagerEOTThreshold: 0.4})
				},
				Format: format,
				Words:  "order number is 4711",
				Cut:    func(t *testing.T) { last.Cut(t) },
				Refuse: func(t *testing.T) stt.Provider {
					return provider(t, Config{BaseURL: newServer(nil).Start(t), APIKey: "wrong"})
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
	got := read(t, &turns{language: "en", decides: true}, append([]string{connected}, lines...))
	mean := (0.95 + 0.93) / 2
	want := []stt.Event{
		{Kind: stt.Interim, Text: "My order", Confidence: mean, Language: "en", End: 480 * ms},
		{Kind: stt.Interim, Text: "My order number is 47.", Confidence: 0.9, Language: "en", End: 800 * ms},
		{Kind: stt.Eager, Text: "My order number is 47.", Confidence: 0.9, Language: "en", End: 800 * ms},
		{Kind: stt.Resumed, Language: "en", End: 880 * ms},
		{Kind: stt.Interim, Text: "My order number is 4711", Confidence: 0.9, Language: "en", End: 880 * ms},
		{Kind: stt.Interim, Text: "My order number is 4711.", Confidence: 0.9, Language: "en", End: 1040 * ms},
		{Kind: stt.Eager, Text: "My order number is 4711.", Confidence: 0.9, Language: "en", End: 1040 * ms},
		{Kind: stt.Final, Text: "My order number is 4711.", Confidence: 0.94, Language: "en", End: 1120 * ms, Endpointed: true},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	got = read(t, &turns{}, lines)
	if last := got[len(got)-1]; last.Kind != stt.Final || last.Endpointed {
		t.Errorf("turns: false: %+v", last)
	}
}

func TestLanguages(t *testing.T) {
	t.Parallel()
	got := read(t, &turns{language: "en", decides: true}, []string{
		`{"type":"TurnInfo","event":"EndOfTurn","turn_index":0,"audio_window_start":2,"audio_window_end":3,"transcript":"guten Tag","languages":["de","en"],"words":[]}`,
	})
	if len(got) != 1 || got[0].Language != "de" || got[0].Start != 2*time.Second || got[0].End != 3*time.Second {
		t.Errorf("%+v", got)
	}
}

func TestAddress(t *testing.T) {
	t.Parallel()
	p := provider(t, Config{BaseURL: "https://dg.example/base/", EagerEOTThreshold: 0.4, EOTTimeout: 3 * time.Second, Keyterms: []string{"Patchcord", "G.722"}})
	want := "wss://dg.example/base/v2/listen?eager_eot_threshold=0.4&encoding=mulaw&eot_threshold=0.7&eot_timeout_ms=3000&keyterm=Patchcord&keyterm=G.722&model=flux-general-en&sample_rate=8000"
	if got := p.address(stt.Options{Format: audio.Format{Encoding: audio.MuLaw, Rate: 8000}, Language: "en"}); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	for hints, want := range map[string]string{"": "language_hint=de", "fr it": "language_hint=fr&language_hint=it"} {
		p := provider(t, Config{BaseURL: "ws://x", Model: multi, LanguageHints: strings.Fields(hints)})
		if got := p.address(stt.Options{Format: audio.Format{Encoding: audio.ALaw, Rate: 8000}, Language: "de-AT"}); !strings.Contains(got, want) || !strings.Contains(got, "encoding=linear16") {
			t.Errorf("%q: %s", hints, got)
		}
	}
}

func TestProfile(t *testing.T) {
	t.Parallel()
	no := false
	if p := provider(t, Config{APIKey: key}).Profile(); !p.Turns || p.Wait != 350*ms {
		t.Errorf("%+v", p)
	}
	if provider(t, Config{APIKey: key, Turns: &no}).Profile().Turns {
		t.Error("turns: false is not heeded")
	}
}

func TestErrorsSayWhy(t *testing.T) {
	t.Parallel()
	open := func(t *testing.T, url string) stt.Provider { return provider(t, Config{BaseURL: url, APIKey: key}) }
	sockettest.Errors(t, open, key,
		sockettest.Fails("a wrong key", func(w http.ResponseWriter, _ *http.Request) {
			sockettest.Refuse(w, "dg-error", 401, "Invalid credentials.")
		}, "401 Unauthorized: Invalid credentials.", false),
		sockettest.Fails("a fault of theirs", sockettest.Closes(0, "", connected, `{"type":"Error","sequence_id":1,"code":"INTERNAL_SERVER_ERROR","description":"it broke"}`), "it broke", true),
		sockettest.Fails("a message that it cannot read", sockettest.Closes(0, "", connected, `{"type":"Error","code":"UNPARSABLE_CLIENT_MESSAGE","description":"no"}`), "UNPARSABLE", false),
		sockettest.Fails("an error instead of a hello", sockettest.Closes(0, "", `{"type":"Error","code":"INVALID_AUTH","description":"no"}`), "open: error INVALID_AUTH", false),
		sockettest.Fails("an end instead of a hello", sockettest.Closes(1011, "NET-0000"), "open: flux closed the connection: 1011", true),
		sockettest.Fails("settings that are refused", sockettest.Closes(0, "", connected, `{"type":"ConfigureFailure","code":"X","description":"no"}`), "error X", false),
		sockettest.Fails("a time-out of theirs", sockettest.Closes(1011, "NET-0001", connected), "1011 NET-0001", true),
		sockettest.Fails("sound that it cannot read", sockettest.Closes(1008, "DATA-0000", connected), "1008 DATA-0000", false),
		sockettest.Fails("a message of 2 MB", sockettest.Closes(0, "", connected, strings.Repeat("x", 2<<20)), "limit", true),
		sockettest.Fails("the key in a reason", sockettest.Closes(4001, "who is "+key, connected), "4001 who is [redacted]", true),
		sockettest.Fails("the key in a fault", sockettest.Closes(0, "", connected, `{"type":"Error","code":"X","description":"`+key+`"}`), "[redacted]", true),
		sockettest.Fails("the key in a refusal", func(w http.ResponseWriter, _ *http.Request) {
			sockettest.Refuse(w, "dg-error", 403, "not with "+key)
		}, "403 Forbidden: not with [redacted]", false),
		sockettest.Fails("a message that is no JSON", sockettest.Closes(0, "", connected, "<html>"), "no JSON", true),
	)
}

// open is a stream to a server, inside of a bubble.
func open(t *testing.T, h http.Handler) (stt.Stream, error) {
	t.Helper()
	p := provider(t, Config{BaseURL: "ws://flux.test", APIKey: key})
	p.dialer.Proxy, p.dialer.NetDialContext = nil, sockettest.NewPipes(t, h).Dial
	return p.Open(t.Context(), stt.Options{Format: audio.Format{Encoding: audio.MuLaw, Rate: 8000}})
}

// TestSilenceIsSentOn: a turn ends only in sound, so a call that stops sending
// is silent to the model, and its positions stay those of the call's sound.
func TestSilenceIsSentOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer([]string{`{"type":"TurnInfo","event":"EndOfTurn","audio_window_start":0,"audio_window_end":1.2,"transcript":"yes"}`})
		st, err := open(t, s)
		if err != nil {
			t.Fatal(err)
		}
		loud := slices.Repeat([]int16{9000, -9000}, 80)
		for range 50 {
			if err := st.Send(loud); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(5 * time.Second) // mute: no packet comes
		ev := <-st.Events()
		if ev.Text != "yes" || ev.End != time.Second {
			t.Errorf("%+v, want a turn that ends with the sound that was sent", ev)
		}
		if _, n, quiet := s.Bytes(); quiet < 8000*4 || quiet > 8000*5 || n-quiet != 13*640 {
			t.Errorf("%d samples came, %d of them silence", n, quiet)
		}
		_ = st.Close()
		synctest.Wait()
		if s.Heard("CloseStream") != 1 {
			t.Error("CloseStream was not sent")
		}
	})
}

// TestPiecesAreTheModelsStep: 20 ms frames leave as one message of 80 ms.
func TestPiecesAreTheModelsStep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(nil)
		var sizes []int
		s.Sound = func(n int) sockettest.Closing { sizes = append(sizes, n); return sockettest.Closing{} }
		st, err := open(t, s)
		if err != nil {
			t.Fatal(err)
		}
		for range 9 {
			if err := st.Send(make([]int16, 160)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if !slices.Equal(sizes, []int{640, 640}) {
			t.Errorf("messages of %v samples", sizes)
		}
		_ = st.Close()
	})
}

// TestHelloThatNeverComes: a server that takes the connection and says nothing
// is given up after 3 s.
func TestHelloThatNeverComes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(nil)
		s.Hello = nil
		begun := time.Now()
		_, err := open(t, s)
		var e *stt.Error
		if !errors.As(err, &e) || !e.Temporary || time.Since(begun) != 3*time.Second {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
	})
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
		{Config{APIKey: key, EOTThreshold: 0.2}, "eot_threshold"},
		{Config{APIKey: key, EagerEOTThreshold: 0.1}, "eager_eot_threshold"},
		{Config{APIKey: key, EagerEOTThreshold: 0.8}, "above"},
		{Config{APIKey: key, EOTTimeout: ms}, "eot_timeout"},
		{Config{APIKey: key, LanguageHints: []string{"de"}}, "language_hints"},
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
	f.Add([]byte(connected))
	f.Add([]byte(`{"type":"TurnInfo","event":"EndOfTurn","audio_window_start":9,"audio_window_end":1e-300,"words":[{"confidence":-1e300}]}`))
	f.Fuzz(func(t *testing.T, frame []byte) {
		r := turns{}
		for range 2 {
			evs, _ := r.read(frame)
			for _, ev := range evs {
				if ev.Start < 0 || ev.End < ev.Start || !(ev.Confidence >= 0 && ev.Confidence <= 1) || ev.Kind == stt.Interim && ev.Text == "" {
					t.Fatalf("%s: %+v", frame, ev)
				}
			}
		}
	})
}
