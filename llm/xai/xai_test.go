package xai

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/internal/testkit/realtimeserver"
	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/llm/llmtest"
)

const key = "xai-canary"

func serve(t *testing.T, s *realtimeserver.Server) llm.Realtime {
	t.Helper()
	s.XAI = true
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	p, err := New(Config{BaseURL: web.URL + "/v1/realtime", APIKey: key})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestConformance(t *testing.T) {
	var last *realtimeserver.Server
	llmtest.RunRealtime(t, llmtest.RealtimeSubject{
		Anonymous: true,
		Start: func(t *testing.T, s llmtest.RealtimeScript) llm.Realtime {
			last = &realtimeserver.Server{Key: key, Answer: func(realtimeserver.Ask) realtimeserver.Response {
				r := realtimeserver.Response{Text: s.Text, Hang: s.Hang, Pace: time.Millisecond}
				for _, c := range s.Calls {
					r.Calls = append(r.Calls, realtimeserver.Call{ID: c.ID, Name: c.Name, Args: string(c.Args)})
				}
				return r
			}}
			last.Hear(s.Words)
			return serve(t, last)
		},
		Cut: func(*testing.T) { last.Cut() },
		Refuse: func(t *testing.T) (llm.Realtime, string) {
			return serve(t, &realtimeserver.Server{Key: "another"}), key
		},
	})
}

// TestExactWordsAreAnItem: force_message is a response by itself.
func TestExactWordsAreAnItem(t *testing.T) {
	t.Parallel()
	server := &realtimeserver.Server{Key: key, Answer: func(a realtimeserver.Ask) realtimeserver.Response {
		return realtimeserver.Response{Text: a.Instructions}
	}}
	s, err := serve(t, server).Connect(t.Context(), llm.RealtimeOptions{
		Format: audio.Format{Encoding: audio.PCM16, Rate: 16000},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Do(llm.Respond{ID: "1", Exactly: "Calls are recorded."}); err != nil {
		t.Fatal(err)
	}
	words := ""
	for ev := range s.Events() {
		words += ev.Text
		if ev.Kind == llm.ResponseDone {
			break
		}
	}
	if words != "Calls are recorded." || len(server.Refusals()) > 0 {
		t.Errorf("said %q, refused %q", words, server.Refusals())
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	c := Config{Threshold: 0.6, Keyterms: []string{"Patchcord"}, Speed: 1.1}.withDefaults()
	o := llm.RealtimeOptions{Instructions: "Be brief.", Language: "de-CH"}
	got, err := json.Marshal(c.session(o, "audio/pcm", 16000))
	const want = `{"audio":{"input":{"format":{"rate":16000,"type":"audio/pcm"},"transcription":{"keyterms":["Patchcord"],` +
		`"language_hint":"de-CH"}},"output":{"format":{"rate":16000,"type":"audio/pcm"},"speed":1.1}},` +
		`"instructions":"Be brief.","tools":[],"turn_detection":{"create_response":false,"interrupt_response":false,` +
		`"prefix_padding_ms":333,"silence_duration_ms":500,"threshold":0.6,"type":"server_vad"},"voice":"eve"}`
	if err != nil || string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]Config{
		"api_key is empty": {},
		"threshold 2":      {APIKey: key, Threshold: 2},
		"silence 1m0s":     {APIKey: key, Silence: time.Minute},
		"speed 9":          {APIKey: key, Speed: 9},
		"101 keyterms":     {APIKey: key, Keyterms: make([]string, 101)},
	} {
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", c, err, want)
		}
	}
}
