package agent

import (
	"encoding/json"

	"github.com/patchcord/patchcord/tools"
)

// assistant is how an agent is set up, as webhooks of Flireo's form tell it
// (F-04).
type assistant struct {
	LLM struct {
		Provider    string   `json:"provider,omitempty"`
		Model       string   `json:"model,omitempty"`
		Temperature *float64 `json:"temperature,omitempty"`
		MaxTokens   int      `json:"max_tokens,omitempty"`
	} `json:"llm_config"`
	STT struct {
		Provider string `json:"provider,omitempty"`
		Language string `json:"language,omitempty"`
	} `json:"stt_config"`
	TTS struct {
		Provider string `json:"provider,omitempty"`
		Voice    string `json:"voice,omitempty"`
	} `json:"tts_config"`
	FirstMessage string         `json:"first_message"`
	Silence      bool           `json:"autonomous_silence_handling"`
	Voicemail    bool           `json:"voicemail_detection"`
	Metadata     map[string]any `json:"metadata,omitempty"`
}

// ToolDeps is what the tools of this agent are built with: d, and what they need
// or tell of the agent.
func (a *Agent) ToolDeps(d tools.Deps) tools.Deps {
	x := assistant{
		FirstMessage: a.Greeting, Silence: a.AutonomousSilence, Voicemail: a.VoicemailDetection, Metadata: a.Metadata,
	}
	if x.FirstMessage == "" {
		x.FirstMessage = a.FirstMessage
	}
	x.LLM.Provider, x.LLM.Model = a.LLM.Provider, a.LLM.Model
	x.LLM.Temperature, x.LLM.MaxTokens = a.LLM.Temperature, a.LLM.MaxTokens
	x.STT.Provider, x.STT.Language, x.TTS.Provider, x.TTS.Voice = a.STT, a.Language, a.TTS, a.Voice
	b, err := json.Marshal(x)
	if err != nil { // metadata that came from no JSON
		x.Metadata = nil
		b, _ = json.Marshal(x) // nothing is left that could fail
	}
	d.Agent = &tools.Agent{
		Name: a.Name, Webhook: tools.WebhookTo{URL: a.WebhookURL, Secret: a.WebhookSecret}, Assistant: b, HubSpot: a.HubSpot,
	}
	return d
}
