package delivery

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/patchcord/patchcord/engine"
)

// talkpilot is the post-call webhook of seed 002's platform (T-27). Its
// transcript is JSON within a string.
type talkpilot struct {
	Event string        `json:"event"` // call.completed
	Call  talkpilotCall `json:"call"`
}

type talkpilotCall struct {
	ID         string `json:"id"`
	CallID     string `json:"call_id"`
	Customer   string `json:"customer_name"`
	Request    string `json:"customer_request"`
	Phone      string `json:"phone_number"`
	Duration   int    `json:"duration"` // s
	Done       bool   `json:"done"`     // somebody has seen to it: never yet
	Success    bool   `json:"general_success"`
	Reason     string `json:"disconnection_reason"`
	Summary    string `json:"call_summary"`
	Transcript string `json:"transcript"`
	Employee   string `json:"employee"`
	Agent      string `json:"agent_id"`
	Created    string `json:"created_at"`
}

func callCompleted(c *Call) any {
	messages, err := json.Marshal(c.messages())
	if err != nil { // texts and numbers
		messages = []byte("[]")
	}
	r := &c.Record
	return talkpilot{"call.completed", talkpilotCall{
		ID: string(r.ID), CallID: string(r.ID), Customer: c.variable("customer_name", "caller_name", "name"),
		Request: c.request(), Phone: c.theirs(), Duration: c.seconds(),
		Success: c.failure() == "" && r.Turns > 0, Reason: disconnection(c), Summary: c.Report.Summary,
		Transcript: string(messages), Employee: c.Agent, Agent: string(r.Agent),
		Created: r.Started.UTC().Format(time.RFC3339),
	}}
}

// variable is the first of the call's variables that is a text.
func (c *Call) variable(names ...string) string {
	for _, n := range names {
		if s, ok := c.Record.Variables[n].(string); ok && s != "" {
			return s
		}
	}
	return ""
}

// request is what the caller wanted: a variable of that name, else their first
// words.
func (c *Call) request() string {
	if s := c.variable("customer_request", "motif", "reason"); s != "" {
		return s
	}
	for _, m := range c.messages() {
		if m.Role == "user" {
			return m.Content
		}
	}
	return ""
}

// disconnection is the end of a call in T-27's words, where it has one.
func disconnection(c *Call) string {
	switch r := c.Record.EndReason; r {
	case "hangup":
		return "user_hangup"
	case "agent_done":
		return "agent_hangup"
	case "transferred":
		return "call_transfer"
	case "voicemail":
		return "voicemail_reached"
	case "silence":
		return "inactivity"
	case "max_duration":
		return "max_duration_reached"
	case engine.EndBusy:
		return "dial_busy"
	case engine.EndNoAnswer:
		return "dial_no_answer"
	default:
		return fmt.Sprintf("error_%s", r)
	}
}
