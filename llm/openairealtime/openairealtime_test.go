package openairealtime

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/codec"
	"github.com/patchcord/patchcord/internal/testkit/realtimeserver"
	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/llm/llmtest"
)

const key = "sk-canary"

// serve is a model behind a server that refuses what OpenAI's does.
func serve(t *testing.T, s *realtimeserver.Server) llm.Realtime {
	t.Helper()
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	p, err := New(Config{BaseURL: web.URL + "/v1/realtime", APIKey: key})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// script is a server that does what a suite wants.
func script(s llmtest.RealtimeScript) *realtimeserver.Server {
	out := &realtimeserver.Server{Key: key, Answer: func(realtimeserver.Ask) realtimeserver.Response {
		r := realtimeserver.Response{Text: s.Text, Hang: s.Hang, Pace: time.Millisecond}
		for _, c := range s.Calls {
			r.Calls = append(r.Calls, realtimeserver.Call{ID: c.ID, Name: c.Name, Args: string(c.Args)})
		}
		return r
	}}
	out.Hear(s.Words)
	return out
}

func TestConformance(t *testing.T) {
	for name, beta := range map[string]bool{"GA": false, "beta names": true} {
		t.Run(name, func(t *testing.T) {
			var last *realtimeserver.Server
			llmtest.RunRealtime(t, llmtest.RealtimeSubject{
				Start: func(t *testing.T, s llmtest.RealtimeScript) llm.Realtime {
					last = script(s)
					last.Beta = beta
					return serve(t, last)
				},
				Cut: func(*testing.T) { last.Cut() },
				Refuse: func(t *testing.T) (llm.Realtime, string) {
					return serve(t, &realtimeserver.Server{Key: "another"}), key
				},
			})
		})
	}
}

// TestG711PassesBitForBit: every byte of both laws, there and back.
func TestG711PassesBitForBit(t *testing.T) {
	t.Parallel()
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for _, e := range []audio.Encoding{audio.MuLaw, audio.ALaw} {
		server := &realtimeserver.Server{Key: key}
		s, err := serve(t, server).Connect(t.Context(), llm.RealtimeOptions{Format: audio.Format{Encoding: e, Rate: 8000}})
		if err != nil {
			t.Fatal(err)
		}
		pcm, err := codec.AppendSamples(nil, e, all) // as a call's codec hands it over
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Send(pcm); err != nil {
			t.Fatal(err)
		}
		if err := s.Do(llm.Respond{ID: "1"}); err != nil { // what follows the sound has taken it
			t.Fatal(err)
		}
		var back []byte
		for ev := range s.Events() {
			if ev.Kind == llm.Spoken {
				if back, err = codec.AppendBytes(back, e, ev.PCM); err != nil {
					t.Fatal(err)
				}
			}
			if ev.Kind == llm.ResponseDone {
				break
			}
		}
		_ = s.Close()
		same, _ := codec.AppendBytes(nil, e, pcm)
		if got := server.Heard(); !bytes.Equal(got, same) {
			t.Errorf("%s: the server heard %x", e, got)
		}
		hum, _ := codec.AppendSamples(nil, e, back)
		again, _ := codec.AppendBytes(nil, e, hum)
		if len(back) != 6*8000/15 || !bytes.Equal(again, back) {
			t.Errorf("%s: %d bytes came back", e, len(back))
		}
	}
}

// TestSettings is session.update, field by field.
func TestSettings(t *testing.T) {
	t.Parallel()
	c := Config{Silence: 400 * time.Millisecond, MaxTokens: 500}.withDefaults()
	o := llm.RealtimeOptions{
		Instructions: "Be brief.", Voice: "cedar", Language: "de-CH",
		Tools: []llm.Tool{{Name: "end_call", Description: "Ends the call."}},
	}
	for _, x := range []struct {
		c            Config
		format, want string
		rate         int
	}{
		{c, "audio/pcmu", `{"audio":{"input":{"format":{"type":"audio/pcmu"},"transcription":{"language":"de",` +
			`"model":"gpt-4o-mini-transcribe"},"turn_detection":{"create_response":false,"interrupt_response":false,` +
			`"prefix_padding_ms":300,"silence_duration_ms":400,"threshold":0.5,"type":"server_vad"}},` +
			`"output":{"format":{"type":"audio/pcmu"},"voice":"cedar"}},"instructions":"Be brief.","max_output_tokens":500,` +
			`"output_modalities":["audio"],"tool_choice":"auto","tools":[{"description":"Ends the call.","name":"end_call",` +
			`"parameters":{"type":"object","properties":{}},"type":"function"}],"type":"realtime"}`, 0},
		{
			Config{
				TurnDetection: "semantic_vad", Transcription: "none", NoiseReducing: "far_field", Speed: 1.2,
			}.withDefaults(), "audio/pcm",
			`{"audio":{"input":{"format":{"rate":24000,"type":"audio/pcm"},"noise_reduction":{"type":"far_field"},` +
				`"turn_detection":{"create_response":false,"eagerness":"auto","interrupt_response":false,"type":"semantic_vad"}},` +
				`"output":{"format":{"rate":24000,"type":"audio/pcm"},"speed":1.2,"voice":"cedar"}},"instructions":"Be brief.",` +
				`"output_modalities":["audio"],"tool_choice":"auto","tools":[{"description":"Ends the call.","name":"end_call",` +
				`"parameters":{"type":"object","properties":{}},"type":"function"}],"type":"realtime"}`, 24000,
		},
	} {
		got, err := json.Marshal(x.c.session(o, x.format, x.rate))
		if err != nil || string(got) != x.want {
			t.Errorf("got  %s\nwant %s", got, x.want)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]Config{
		"api_key is empty":          {},
		"no URL of the form":        {BaseURL: "ftp://x", APIKey: key},
		"base_url has a user":       {BaseURL: "wss://me:secret@x", APIKey: key},
		`turn_detection "magic"`:    {APIKey: key, TurnDetection: "magic"},
		"threshold 2":               {APIKey: key, Threshold: 2},
		"silence 1m0s":              {APIKey: key, Silence: time.Minute},
		`eagerness "very"`:          {APIKey: key, Eagerness: "very"},
		`noise_reduction "all"`:     {APIKey: key, NoiseReducing: "all"},
		"speed 9":                   {APIKey: key, Speed: 9},
		"max_tokens -1":             {APIKey: key, MaxTokens: -1},
		"llm: openai-realtime: api": {BaseURL: defaultURL},
	} {
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", c, err, want)
		}
	}
}

// TestSettingsThatTheServerDoesNotTake end the try to connect.
func TestSettingsThatTheServerDoesNotTake(t *testing.T) {
	t.Parallel()
	server := &realtimeserver.Server{Key: key, XAI: true} // it knows none of these
	o := llm.RealtimeOptions{Format: audio.Format{Encoding: audio.MuLaw, Rate: 8000}}
	_, err := serve(t, server).Connect(t.Context(), o)
	var e *llm.Error
	if !errors.As(err, &e) || e.Op != "settings" || e.Temporary || !strings.Contains(err.Error(), "unknown_parameter") {
		t.Errorf("got %v", err)
	}
}

// TestTheBetaHeaderIsNotSent: the server closes such a connection with 4000.
func TestTheBetaHeaderIsNotSent(t *testing.T) {
	t.Parallel()
	server := &realtimeserver.Server{Key: key}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("OpenAI-Beta") != "" || r.URL.Query().Get("model") != "gpt-realtime" {
			t.Errorf("connected with %v to %v", r.Header, r.URL)
		}
		r.Header.Set("OpenAI-Beta", "realtime=v1")
		server.ServeHTTP(w, r)
	}))
	t.Cleanup(web.Close)
	p, err := New(Config{BaseURL: "ws" + strings.TrimPrefix(web.URL, "http"), APIKey: key})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.Connect(t.Context(), llm.RealtimeOptions{Format: audio.Format{Encoding: audio.MuLaw, Rate: 8000}})
	var e *llm.Error
	if !errors.As(err, &e) || e.Temporary {
		t.Errorf("got %v", err)
	}
}
