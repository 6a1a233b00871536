//go:build e2e

package e2e

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/patchcord/patchcord/internal/testkit/realtimeserver"
)

// TestSpeechToSpeech is a call over SIP with a speech-to-speech model: greeted,
// answered, interrupted, ended by the model. The model's server is the strict
// one of the tests, which hums where the real one speaks.
func TestSpeechToSpeech(t *testing.T) {
	t.Parallel()
	needsSpeech(t)
	const story = "Once upon a time there was a small shop that sold lamps of every kind to people from all over the country."
	server := &realtimeserver.Server{Key: "sk-test", Answer: func(a realtimeserver.Ask) realtimeserver.Response {
		switch a.N {
		case 0:
			return realtimeserver.Response{Text: "Good morning, what can I do for you?"}
		case 1:
			return realtimeserver.Response{Text: story}
		}
		return realtimeserver.Response{
			Text: "As you like, goodbye.", Calls: []realtimeserver.Call{{ID: "call_1", Name: "end_call", Args: "{}"}},
		}
	}}
	server.Hear("Tell me a story.", "Stop please.")
	web := httptest.NewServer(server)
	t.Cleanup(web.Close)
	e := serve(t, `realtime: {speech: {type: openai-realtime, base_url: "`+web.URL+`/v1/realtime", api_key: sk-test}}
default_agent: support
`, map[string]string{"support.yaml": `name: support
realtime: speech
greeting: "Good morning, what can I do for you?"
prompt: "You tell stories."
tools: [{tool_type: end_call}]
`})
	file := filepath.Join(t.TempDir(), "call.yaml")
	write(t, file, `name: a story and no more of it
steps:
  - wait: 3.5s
  - say: "tell me a story please"
  - barge_in: {after: 1.5s, say: "no stop it please", stops_within: 850ms}
  - expect_hangup: {within: 15s}
`)
	if code, report := e.probe(t, file); code != 0 {
		t.Errorf("callprobe: exit %d\n%s", code, tail(report, 4000))
	}
	log, err := os.ReadFile(e.events)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"proof":"server"`, `"text":"Tell me a story.","turn":1`, `"text":"Stop please.","turn":2`,
		`"heard_text":"As you like, goodbye."`, `"end_reason":"agent_done"`, `"codec":"PCMU"`,
	} {
		if !strings.Contains(string(log), want) {
			t.Errorf("no %s in the events:\n%s", want, tail(string(log), 6000))
		}
	}
	if got := server.Refusals(); len(got) > 0 {
		t.Errorf("the server refused %q", got)
	}
	items, cut := server.Items(), 0
	for _, it := range items {
		if it.Cut && it.Sound > 0 {
			cut++
		}
	}
	if cut != 1 {
		t.Errorf("the server keeps %+v", items)
	}
	e.stop(t)
}
