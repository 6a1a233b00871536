// Package tools is what an agent can do besides talk: the definition of a
// tool, the check of its arguments, its call and its result. Each tool type is
// one file; the formats of other platforms are in tools/wire.
//
// A result for the model is always a JSON object, never "success" for
// something that failed, and holds no secret and no resolved address.
package tools

import (
	"context"
	"encoding/json"
	"time"

	"github.com/patchcord/patchcord/tools/written"
)

// Type is what a tool does.
type Type string

// The tool types of seed 002 (T-01), and four of our own.
const (
	HTTPRequest       Type = "http_request"
	TransferCall      Type = "transfer_call"
	MonitoredTransfer Type = "monitored_transfer"
	EndCall           Type = "end_call"
	ExtractVariable   Type = "extract_variable"
	PlayTone          Type = "play_tone"
	KnowledgeBase     Type = "knowledge_base"
	Webhook           Type = "webhook"
	MCP               Type = "mcp"
	DoNotCall         Type = "do_not_call"
	ScheduleCallback  Type = "schedule_callback"
)

// Class is what becomes of a running call when the caller interrupts.
type Class string

// The classes.
const (
	Read     Class = "read"     // may be cancelled
	Effect   Class = "effect"   // is never cancelled: its result is kept
	Terminal Class = "terminal" // ends or hands over the call, after a last look
	Async    Class = "async"    // answers later
)

// Status is how a call of a tool ended.
type Status string

// The statuses.
const (
	OK        Status = "ok"
	Failed    Status = "error"
	TimedOut  Status = "timeout"
	Cancelled Status = "cancelled"
	Refused   Status = "refused" // never started
)

// Call is one call of a tool.
type Call struct {
	ID   string
	Name string
	Args json.RawMessage
	Env  Env
}

// Env is what a tool may know of the phone call it runs in.
type Env struct {
	CallID    string
	AgentID   string
	Phone     string // the other party, E.164
	Number    string // the agent's own, E.164
	Direction string // "inbound" or "outbound"
	// Vars are the call's variables for placeholders: caller_phone and such,
	// what the API gave, what was extracted. Typed as they came.
	Vars map[string]any
	// PreCall marks a tool that runs by itself at the start of the call:
	// call metadata and Context are merged into its arguments (D-06, D-07).
	PreCall bool
	// PreAction marks a tool that runs by itself when a flow node is entered:
	// like PreCall, with call_id among the arguments (D-08).
	PreAction bool
	// Context are the variables of an outbound call, and what a pre-action wants
	// of what the caller said before (D-18).
	Context map[string]any

	Language string // BCP 47, that the call is held in
	Region   string // ISO 3166, of numbers without a country code; "" is the language's
	// Zone is where the other party is, nil: it is not known, and UTC.
	Zone *time.Location
	// Press sends keys and returns when they are sent, nil outside a call.
	Press func(ctx context.Context, p Press) error
	// DoNotCall lets the other party be called no more and returns when that is
	// kept; nil where there is none.
	DoNotCall func(ctx context.Context, why string) error
}

func (e Env) zone() *time.Location {
	if e.Zone == nil {
		return time.UTC
	}
	return e.Zone
}

// Written is what spoken values are read by.
func (e Env) Written(now time.Time) written.Options {
	return written.Options{Language: e.Language, Region: e.Region, Now: now}
}

// Result is what a call of a tool came to.
type Result struct {
	JSON   json.RawMessage // an object, for the model
	Status Status
	Err    string // for the log: what went wrong, without secrets
	HTTP   int    // status of the reply, 0 when there was none
	Took   time.Duration
	// Vars are variables of the call from now on (H-16).
	Vars map[string]any
	// Callback is when the other party wants to be called again, zero: they did not
	// say so.
	Callback time.Time
	// Later waits for what the endpoint has promised to bring (H-28), nil where
	// this is the result: JSON is then only that it is pending. It returns when
	// its context ends.
	Later func(context.Context) Result
}

// Tool is a definition made ready to run.
type Tool interface {
	// Definition is what it was made of, defaults filled in.
	Definition() *Definition
	// Schema is the JSON Schema of the arguments, always an object.
	Schema() json.RawMessage
	// Run runs one call whose arguments passed the schema. It returns by
	// itself within Definition().Timeout; when ctx ends first the status is
	// Cancelled. It never panics on what an endpoint answers.
	Run(ctx context.Context, c Call) Result
}

// Preparer is a Tool whose calls wait for something that has no effect and can
// be begun before it is known whether the call is made.
type Preparer interface {
	Tool
	// Prepare begins it for a call whose arguments passed the schema, and
	// returns at once. drop says that the call is not made; it may be called
	// more than once.
	Prepare(c Call) (drop func())
}

// ErrorResult is a result that tells the model what went wrong.
func ErrorResult(s Status, code, message string) Result {
	o := map[string]any{"error": code}
	if message != "" {
		o["message"] = message
	}
	b, err := json.Marshal(o)
	if err != nil {
		b = []byte(`{"error":"internal"}`)
	}
	text := code
	if message != "" {
		text += ": " + message
	}
	return Result{JSON: b, Status: s, Err: text}
}
