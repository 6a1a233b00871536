package agent

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/tools"
)

func TestNormalizeBringsEveryShapeToOne(t *testing.T) {
	t.Parallel()
	a := Agent{
		Name: "a", FirstMessage: "Hi.",
		LLM: LLMConfig{
			Messages: []llm.Message{{Role: llm.System, Content: "One."}, {Role: llm.System, Content: "Two."}, {Role: llm.User, Content: "x"}},
			Tools:    []tools.Definition{{Name: "t"}},
		},
	}
	a.Normalize()
	if a.ID != "a" || a.Greeting != "Hi." || a.FirstMessage != "" || a.Prompt != "One.\n\nTwo." || a.Language != "en" {
		t.Errorf("%+v", a)
	}
	if len(a.LLM.Messages) != 1 || len(a.Tools) != 1 || a.LLM.Tools != nil || a.MaxCallDuration != DefaultMaxCallDuration {
		t.Errorf("%+v", a)
	}
	kept := Agent{Name: "a", Prompt: "Mine.", LLM: LLMConfig{Messages: []llm.Message{{Role: llm.System, Content: "Other."}}}}
	kept.Normalize()
	if kept.Prompt != "Mine." || len(kept.LLM.Messages) != 1 {
		t.Errorf("a prompt of its own: %+v", kept)
	}
}

func TestValidateTellsEveryProblem(t *testing.T) {
	t.Parallel()
	hot := 2.5
	a := Agent{
		Greeting: "a", FirstMessage: "b", Language: "very english", MaxCallDuration: Duration(3 * time.Hour), WebhookURL: "ftp://x",
		LLM: LLMConfig{Temperature: &hot, MaxTokens: -1, Messages: []llm.Message{{Role: "robot"}}},
	}
	a.Tools = []tools.Definition{{Name: "t"}, {Name: "t"}}
	a.Turn.MinWords = -1
	a.Languages = []Tongue{{Language: "klingon language"}, {Language: "de"}, {Language: "DE"}}
	a.Ambience, a.HoldSound = Sound{Sound: "siren", Gain: 40}, Sound{Sound: "music", File: "m.wav"}
	got := a.Validate().Error()
	for _, want := range []string{
		"name: ", "first_message: ", "language: ", "max_call_duration: ", "webhook_url: ", "llm_config.temperature: ",
		"llm_config.max_tokens: ", "llm_config.messages[0].role: ", "tools[1]: ", "turn: ",
		"languages[0].language: ", "languages[2].language: ",
		"ambience.sound: ", "ambience.gain: ", "hold_sound: ",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("nothing about %s in\n%s", want, got)
		}
	}
	for _, bad := range []float64{math.NaN(), math.Inf(1), -0.1} {
		if err := (&Agent{Name: "a", LLM: LLMConfig{Temperature: &bad}}).Validate(); err == nil {
			t.Errorf("the temperature %g is taken", bad)
		}
	}
	if err := (&Agent{Name: "a", Language: "en-GB"}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestDurationsAreText(t *testing.T) {
	t.Parallel()
	var d Duration
	for text, want := range map[string]time.Duration{`"15m"`: 15 * time.Minute, `"1h30m"`: 90 * time.Minute, `"0"`: 0} {
		if err := json.Unmarshal([]byte(text), &d); err != nil || time.Duration(d) != want {
			t.Errorf("%s: %s, %v", text, time.Duration(d), err)
		}
	}
	for _, text := range []string{`"soon"`, `"-1s"`, `15`} {
		if err := json.Unmarshal([]byte(text), &d); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
	if b, err := json.Marshal(Duration(time.Minute)); err != nil || string(b) != `"1m0s"` {
		t.Errorf("%s, %v", b, err)
	}
}
