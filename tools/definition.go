package tools

import (
	"encoding/json"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// Definition is a tool as its maker wrote it: the same shape in an agent's
// file, in tools/*.yaml and in the API. Limits are those of seed 002 (T-02);
// Validate says what breaks them.
type Definition struct {
	ID          string   `yaml:"id" json:"id,omitempty"`                     // UUID, given by the store
	Name        string   `yaml:"name" json:"name"`                           // up to 100 of [A-Za-z0-9_-]; the function's name
	DisplayName string   `yaml:"display_name" json:"display_name,omitempty"` // up to 255
	Description string   `yaml:"description" json:"description"`             // up to 2000, for the model
	Type        Type     `yaml:"tool_type" json:"tool_type"`
	Config      Config   `yaml:"config" json:"config"`
	Enabled     *bool    `yaml:"is_enabled" json:"is_enabled,omitempty"` // default true; false: not offered (T-04)
	Priority    int      `yaml:"priority" json:"priority"`               // lower is offered and started first
	Parameters  Schema   `yaml:"parameters" json:"parameters,omitempty"` // JSON Schema; type: object is added
	Dialect     string   `yaml:"dialect" json:"dialect,omitempty"`       // of a webhook
	Class       Class    `yaml:"class" json:"class,omitempty"`           // default by type
	Requires    []string `yaml:"requires" json:"requires,omitempty"`
	When        string   `yaml:"when" json:"when,omitempty"`
	Phase       string   `yaml:"phase" json:"phase,omitempty"` // any, during, closing
	Confirm     bool     `yaml:"confirm" json:"confirm,omitempty"`
	MaxCalls    int      `yaml:"max_calls" json:"max_calls,omitempty"`       // per call, 0: unlimited
	MaxFailures *int     `yaml:"max_failures" json:"max_failures,omitempty"` // in a row, default 1
	TimeoutSecs float64  `yaml:"timeout" json:"timeout,omitempty"`           // s, default 10, at most 60
	Dedupe      Dedupe   `yaml:"dedupe" json:"dedupe,omitzero"`
	Speech      Speech   `yaml:"speech" json:"speech,omitzero"`

	// How often the same is read back to the caller, or their yes asked for,
	// until they agree: default 3, 0: unlimited.
	MaxReadBacks *int `yaml:"max_read_backs" json:"max_read_backs,omitempty"`
}

// Dedupe says what becomes of a call whose effect was had already (conv:W6).
// It holds for effect and async tools; others have their place in it only
// where a mode is written.
type Dedupe struct {
	Mode  DedupeMode `yaml:"mode" json:"mode,omitempty"`   // reject, confirm, allow; default reject
	Scope string     `yaml:"scope" json:"scope,omitempty"` // turn or call: how far back; default turn
	Key   []string   `yaml:"key" json:"key,omitempty"`     // arguments that two calls agree in to be the same; default all
}

// IsZero says whether nothing is written: the class's own rule holds.
func (d Dedupe) IsZero() bool { return d.Mode == "" && d.Scope == "" && len(d.Key) == 0 }

// DedupeMode is what becomes of an effect that was had already.
type DedupeMode string

// The modes.
const (
	DedupeReject  DedupeMode = "reject"  // the model is told to use the earlier result
	DedupeConfirm DedupeMode = "confirm" // the caller is asked first
	DedupeAllow   DedupeMode = "allow"   // it is had again
)

// dedupe is the mode that holds.
func (d *Definition) dedupe() DedupeMode {
	switch {
	case d.Dedupe.Mode != "":
		return d.Dedupe.Mode
	case d.Class == Effect || d.Class == Async:
		return DedupeReject
	}
	return DedupeAllow
}

// Speech is what the caller hears around a tool.
type Speech struct {
	During   *bool  `yaml:"during" json:"during,omitempty"` // speak while it runs, default true
	Bridging string `yaml:"bridging_sentence" json:"bridging_sentence,omitempty"`
	Second   string `yaml:"second_sentence" json:"second_sentence,omitempty"`
	// Hold sound after the second sentence; default true where During is
	// false, since nobody may hear dead air.
	Hold    *bool         `yaml:"hold_sound" json:"hold_sound,omitempty"`
	Failure string        `yaml:"failure_sentence" json:"failure_sentence,omitempty"`
	After   *bool         `yaml:"after" json:"after,omitempty"` // the agent speaks the result, default true
	Success SuccessSpeech `yaml:"success" json:"success,omitempty"`

	// Times of this tool where the agent's turn policy does not fit, s.
	BridgingAfter float64 `yaml:"bridging_after" json:"bridging_after,omitempty"` // default turn.bridge_after
	SecondAfter   float64 `yaml:"second_after" json:"second_after,omitempty"`     // default turn.bridge_second
	HoldAfter     float64 `yaml:"hold_after" json:"hold_after,omitempty"`         // default turn.hold_after
}

// SuccessSpeech is what is said, word for word, after a tool succeeded: the
// first sentence whose condition holds. Written as one string, or as a list of
// {when, say}.
type SuccessSpeech []SaySentence

// SaySentence is a sentence with its condition, an expr-lang expression over
// result and vars; "" always holds.
type SaySentence struct {
	When string `yaml:"when" json:"when,omitempty"`
	Say  string `yaml:"say" json:"say"`
}

// Config is the part of a definition that its type decodes, strictly, with
// file positions when it came from a file.
type Config struct {
	Node ast.Node
	text json.RawMessage // in place of Node: JSON, read when it is needed
}

// Schema is a JSON Schema, written in YAML or JSON.
type Schema json.RawMessage

// IsEnabled says whether the tool may be offered at all (T-04).
func (d *Definition) IsEnabled() bool { return d.Enabled == nil || *d.Enabled }

// FailuresInARow is how many failures one after the other are borne before the
// tool is refused for the rest of the call; 0 means no limit (C-13).
func (d *Definition) FailuresInARow() int {
	if d.MaxFailures == nil {
		return 1
	}
	return *d.MaxFailures
}

// ReadBacks is how often something is read back to the caller before it is given
// up as not confirmed; 0 means no limit.
func (d *Definition) ReadBacks() int {
	if d.MaxReadBacks == nil {
		return 3
	}
	return *d.MaxReadBacks
}

// Timeout is how long the tool may take.
func (d *Definition) Timeout() time.Duration {
	if d.TimeoutSecs <= 0 {
		return 10 * time.Second
	}
	return min(time.Duration(d.TimeoutSecs*float64(time.Second)), time.Minute)
}
