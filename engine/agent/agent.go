// Package agent is what an agent is: prompt, greeting, voice, models, tools
// and policies, as its maker wrote them. Values only: nothing here runs.
package agent

import (
	"time"

	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/tools"
	"github.com/patchcord/patchcord/tools/wire"
)

// ID names an agent: its file's name field, or the store's UUID.
type ID string

// Agent is one agent: the same shape as YAML file and as API object.
type Agent struct {
	ID           ID     `yaml:"id" json:"id,omitempty"`
	Name         string `yaml:"name" json:"name"`
	Prompt       string `yaml:"prompt" json:"prompt,omitempty"`
	Greeting     string `yaml:"greeting" json:"greeting,omitempty"`
	FirstMessage string `yaml:"first_message" json:"first_message,omitempty"` // another name of greeting
	Language     string `yaml:"language" json:"language,omitempty"`           // BCP 47, default en
	Voice        string `yaml:"voice" json:"voice,omitempty"`
	// Languages are those that a call may change to when the caller speaks one.
	Languages []Tongue `yaml:"languages" json:"languages,omitempty"`
	// Pronunciations are words that are said otherwise than they are written.
	Pronunciations []Pronunciation    `yaml:"pronunciations" json:"pronunciations,omitempty"`
	LLM            LLMConfig          `yaml:"llm_config" json:"llm_config,omitzero"`
	STT            string             `yaml:"stt" json:"stt,omitempty"` // name in the configuration, "" for its default
	TTS            string             `yaml:"tts" json:"tts,omitempty"`
	Realtime       string             `yaml:"realtime" json:"realtime,omitempty"`
	Tools          []tools.Definition `yaml:"tools" json:"tools,omitempty"`
	ToolIDs        []string           `yaml:"tool_ids" json:"tool_ids,omitempty"`                   // id or name in the library
	PreCallTools   []string           `yaml:"pre_call_tool_ids" json:"pre_call_tool_ids,omitempty"` // id or name, inline ones too
	Variables      map[string]any     `yaml:"variables" json:"variables,omitempty"`
	Turn           turn.Policy        `yaml:"turn" json:"turn,omitzero"`
	Flow           Flow               `yaml:"flow" json:"flow,omitzero"` // parts of the conversation, none: the prompt is all

	// Ambience is heard under the whole call, HoldSound in its place while the
	// caller waits for a tool that asks for it or for a transfer; default music.
	Ambience  Sound `yaml:"ambience" json:"ambience,omitzero"`
	HoldSound Sound `yaml:"hold_sound" json:"hold_sound,omitzero"`

	Disclosure                string   `yaml:"disclosure" json:"disclosure,omitempty"`                                   // before the greeting, cannot be interrupted
	AllowGreetingInterruption *bool    `yaml:"allow_greeting_interruption" json:"allow_greeting_interruption,omitempty"` // default true
	AutonomousSilence         bool     `yaml:"autonomous_silence_handling" json:"autonomous_silence_handling,omitempty"`
	VoicemailDetection        bool     `yaml:"voicemail_detection" json:"voicemail_detection,omitempty"`
	VoicemailMessage          string   `yaml:"voicemail_message" json:"voicemail_message,omitempty"`
	MaxCallDuration           Duration `yaml:"max_call_duration" json:"max_call_duration,omitempty"` // default 15m, at most 2h
	Recording                 *bool    `yaml:"recording" json:"recording,omitempty"`
	WebhookURL                string   `yaml:"webhook_url" json:"webhook_url,omitempty"`
	WebhookSecret             string   `yaml:"webhook_secret" json:"-"`
	WebhookEvents             []string `yaml:"webhook_events" json:"webhook_events,omitempty"`
	// Metadata is of one's own; webhooks of Flireo's form tell it (F-04).
	Metadata map[string]any `yaml:"metadata" json:"metadata,omitempty"`
	// HubSpot is what tools of HubSpot's form tell of the account and the record.
	HubSpot tools.HubSpot `yaml:"hubspot" json:"hubspot,omitzero"`
	// AnalysisPlan is what is made of a call after its end, beside the summary.
	AnalysisPlan AnalysisPlan `yaml:"analysis_plan" json:"analysis_plan,omitzero"`
}

// AnalysisPlan is what a model makes of the transcript after the call (F-16).
type AnalysisPlan struct {
	StructuredData StructuredData `yaml:"structured_data_plan" json:"structured_data_plan,omitzero"`
	Provider       string         `yaml:"provider" json:"provider,omitempty"` // name in the configuration, "" for the agent's own
	Model          string         `yaml:"model" json:"model,omitempty"`       // "" for the provider's own
}

// StructuredData asks for an object that keeps a schema.
type StructuredData struct {
	Enabled bool         `yaml:"enabled" json:"enabled,omitempty"`
	Schema  tools.Schema `yaml:"schema" json:"schema,omitempty"` // JSON Schema, an object
	// Messages ask for it; {{schema}}, {{transcript}} and {{ended_reason}}
	// stand for what they name. None: messages of ours.
	Messages []llm.Message `yaml:"messages" json:"messages,omitempty"`
}

// Pronunciation is one word of the list. Word without capitals stands for the
// word in any case, any other only as it is written; it is found as a whole
// word. The transcript keeps what was written.
type Pronunciation struct {
	Word     string `yaml:"word" json:"word"`                   // "nginx"
	Say      string `yaml:"say" json:"say"`                     // "engine x"
	Language string `yaml:"language" json:"language,omitempty"` // BCP 47, "" for every language
}

// LLMConfig is which model answers and how (seed 003).
type LLMConfig struct {
	Provider    string          `yaml:"provider" json:"provider,omitempty"` // name in the configuration, "" for its default
	Model       string          `yaml:"model" json:"model,omitempty"`
	Temperature *float64        `yaml:"temperature" json:"temperature,omitempty"`
	MaxTokens   int             `yaml:"max_tokens" json:"max_tokens,omitempty"`
	Messages    []llm.Message   `yaml:"messages" json:"messages,omitempty"`
	Tools       wire.AgentTools `yaml:"tools" json:"tools,omitempty"` // in our own form or Flireo's
	// ContextTokens is how long a conversation the model is sent, prompt and
	// all, estimated at four bytes a token. Beyond it the oldest whole turns
	// are left out, never the last six. Default 16000.
	ContextTokens int `yaml:"context_tokens" json:"context_tokens,omitempty"`
	// Summary keeps what was said in turns that are left out. Default: none.
	Summary *Summary `yaml:"summary" json:"summary,omitempty"`
}

// Summary is how a long conversation is summarised, beside the call. Prompt,
// variables, what pre-call tools found and the last turns stay as they are.
type Summary struct {
	Provider    string   `yaml:"provider" json:"provider,omitempty"`         // name in the configuration, "" for the agent's own
	Model       string   `yaml:"model" json:"model,omitempty"`               // a cheap one; "" for the provider's own
	AfterTokens int      `yaml:"after_tokens" json:"after_tokens,omitempty"` // default 6000, estimated like context_tokens
	KeepTurns   int      `yaml:"keep_turns" json:"keep_turns,omitempty"`     // turns that stay, default and least 6
	MaxTokens   int      `yaml:"max_tokens" json:"max_tokens,omitempty"`     // of the summary, default 400
	Timeout     Duration `yaml:"timeout" json:"timeout,omitempty"`           // default and most 15s
}

// What of a conversation a model is sent.
const (
	DefaultContextTokens = 16000
	DefaultKeepTurns     = 6
)

// WithDefaults is c with every zero field filled in.
func (c Summary) WithDefaults() Summary {
	if c.AfterTokens <= 0 {
		c.AfterTokens = 6000
	}
	if c.MaxTokens <= 0 {
		c.MaxTokens = 400
	}
	if longest := Duration(15 * time.Second); c.Timeout <= 0 || c.Timeout > longest {
		c.Timeout = longest
	}
	c.KeepTurns = max(c.KeepTurns, DefaultKeepTurns)
	return c
}

// Tongue is a language beside the agent's own: who hears it and who speaks it.
type Tongue struct {
	Language string `yaml:"language" json:"language"`           // BCP 47
	Voice    string `yaml:"voice" json:"voice,omitempty"`       // default: the TTS's own
	STT      string `yaml:"stt" json:"stt,omitempty"`           // default: the agent's, which then has to know both languages
	TTS      string `yaml:"tts" json:"tts,omitempty"`           // default: the agent's
	Greeting string `yaml:"greeting" json:"greeting,omitempty"` // of calls that begin in it: those with the variable language
}

// Tags are the languages of the agent's calls, its own first.
func (a *Agent) Tags() []string {
	tags := []string{a.Language}
	for _, t := range a.Languages {
		tags = append(tags, t.Language)
	}
	return tags
}

// STTNames are the recognisers that a call of the agent's may need.
func (a *Agent) STTNames() []string {
	names := []string{a.STT}
	for _, t := range a.Languages {
		if t.STT != "" {
			names = append(names, t.STT)
		}
	}
	return names
}

// TTSNames are the voices that a call of the agent's may need.
func (a *Agent) TTSNames() []string {
	names := []string{a.TTS}
	for _, t := range a.Languages {
		if t.TTS != "" {
			names = append(names, t.TTS)
		}
	}
	return names
}

// Sound is a sound without words, played again and again: a built-in one or a
// file.
type Sound struct {
	Sound string  `yaml:"sound" json:"sound,omitempty"` // music, comfort, office; none
	File  string  `yaml:"file" json:"file,omitempty"`   // WAV of 16 bits, beside the agent's file
	Gain  float64 `yaml:"gain" json:"gain,omitempty"`   // dB, -60 to 20; 0: as it is
}

// Duration is written "15m" in YAML and JSON.
type Duration time.Duration

// Policy is the policy of the agent's calls, with what its other fields mean for
// it.
func (a *Agent) Policy() turn.Policy {
	p := a.Turn
	if !a.AutonomousSilence {
		return p
	}
	if p.Silence == 0 {
		p.Silence = 7 * time.Second
	}
	if p.SilenceAgain == 0 {
		p.SilenceAgain = 12 * time.Second
	}
	if p.SilencePrompts == 0 {
		p.SilencePrompts = 3
	}
	p.SilenceAsk = true
	return p
}
