// Package llm is the language model that answers: the contract of a streaming
// chat model with tools, the fallback from one to the next, one folder per
// provider, and a conformance suite (llmtest) that every one of them passes.
package llm

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// Provider answers a conversation.
type Provider interface {
	// Stream asks for one completion. The stream ends when ctx does. An error
	// is a *Error when the provider itself refused.
	Stream(ctx context.Context, r Request) (Stream, error)
}

// Warmer is a provider that can open its connection before the first question,
// so that a call's first turn does not wait for it. An error means nothing more
// than that it is not warm.
type Warmer interface {
	Warm(ctx context.Context) error
}

// NotUnderstood is the content of a User message for a voice whose words were
// not recognised: models read it as it stands, rules know it.
const NotUnderstood = "[not understood]"

// ContextPrefix begins the message that holds what pre-call tools found
// (D-15).
const ContextPrefix = "Caller context: "

// NotePrefix begins a message that whoever runs the line has put in during the
// call: the caller has not said it and does not hear it.
const NotePrefix = "Note from the operator of this line, for you alone: "

// NewsPrefix begins the message that holds what a tool has come to that nobody
// waited for; a JSON object {"id", "tool", "status", "result"} follows, without
// a result where the call's own message holds it by now.
const NewsPrefix = "In the meantime: "

// Role is who a message is from.
type Role string

// The roles of chat models.
const (
	System    Role = "system"
	User      Role = "user"
	Assistant Role = "assistant"
	ToolRole  Role = "tool"
)

// Message is one item of the conversation.
type Message struct {
	Role       Role       `yaml:"role" json:"role"`
	Content    string     `yaml:"content" json:"content,omitempty"`
	ToolCalls  []ToolCall `yaml:"-" json:"tool_calls,omitempty"`              // of an Assistant
	ToolCallID string     `yaml:"tool_call_id" json:"tool_call_id,omitempty"` // of a ToolRole: which call this answers
	// Data marks a User message that nobody said: what tools found. It never
	// comes as a System message, whose words a model obeys (SEC-9).
	Data bool `yaml:"-" json:"-"`
}

// Tool is a function that the model may call.
type Tool struct {
	Name        string
	Description string
	Parameters  json.RawMessage // JSON Schema, an object
}

// ToolCall is a function that the model calls.
type ToolCall struct {
	ID   string          `json:"id"`
	Name string          `json:"name"`
	Args json.RawMessage `json:"arguments"` // as the model wrote it: may be no valid JSON
}

// Request is one completion to make.
type Request struct {
	Messages    []Message
	Tools       []Tool
	ToolChoice  string   // "" or "auto", "none", "required"
	Model       string   // "" for the provider's configured model
	Temperature *float64 // nil for the provider's default
	MaxTokens   int      // 0 for the provider's default
	CallID      string
}

// Stream is one completion, read by one goroutine.
type Stream interface {
	// Next waits for the next delta. io.EOF after a Done; any other error
	// means the completion was cut.
	Next() (Delta, error)
	// Close gives up what is left. Idempotent.
	Close() error
}

// Kind is what a [Delta] brings.
type Kind int

// The kinds of deltas. A ToolCall is complete when it is given: the fragments
// are put together by the provider, and none is given of a completion that was
// cut (conv:L7).
const (
	Text      Kind = iota
	ToolBegan      // a tool call's name is known, its arguments still come
	ToolReady      // ToolCall is complete
	Fell           // the provider before this one failed: Failed says how; nothing of it was passed on
	Done           // Finish and Usage are set
)

// Delta is the next piece of a completion.
type Delta struct {
	Kind     Kind
	Text     string
	ToolCall ToolCall
	Finish   string // "stop", "tool_calls", "length", "content_filter"
	Usage    Usage  // zero when the provider does not tell
	Failed   *Error // of Fell
	Provider string // of Fell: who answers now
}

// Useful says whether the caller is nearer to an answer: role-only,
// keep-alive and reasoning chunks are not passed on at all (conv:L1).
func (d Delta) Useful() bool {
	return d.Kind == Text && d.Text != "" || d.Kind == ToolBegan || d.Kind == ToolReady
}

// Usage counts tokens.
type Usage struct {
	Prompt, Completion int
}

// Error is a provider's refusal or failure.
type Error struct {
	Provider   string // "openai"
	Op         string // "request", "first token", "stream"
	Status     int    // HTTP, 0 when there was none
	Temporary  bool   // worth another try
	RetryAfter time.Duration
	Err        error
}

func (e *Error) Error() string { return "llm: " + e.Provider + ": " + e.Op + ": " + e.Err.Error() }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Causes of an [Error] that no provider tells.
var (
	// ErrNoToken is a provider that accepted a request and said nothing
	// useful in time.
	ErrNoToken = errors.New("no useful token in time")
	// ErrStalled is a provider that stopped in the middle.
	ErrStalled = errors.New("stalled")
	// ErrEmpty is a completion with neither words nor a tool call.
	ErrEmpty = errors.New("empty completion")
	// ErrCut is a completion that ended before it was finished.
	ErrCut = errors.New("completion cut")
)
