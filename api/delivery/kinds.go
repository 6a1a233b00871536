package delivery

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/patchcord/patchcord/engine"
)

// moment is when in a call a webhook is due.
type moment int

const (
	answered moment = iota
	ended
)

// kind is one event that an agent may ask for, in the form of who defined it.
type kind struct {
	at   moment
	form func(*Call) any // the body
	// report tells that the body holds what the call came to: the summary and
	// what was asked for in the agent's analysis_plan.
	report bool
	once   bool // sent once, without a signature, as its platform does (D-22, T-27)
	flireo bool // carries Flireo's User-Agent (F-11)
}

// kinds are the events of other platforms by the names they have there. Those
// of our own are the names of engine.EventNames.
func kinds() map[string][]kind {
	return map[string][]kind{
		"status-update": {
			{at: answered, form: statusUpdate, flireo: true},
			{at: ended, form: statusUpdate, flireo: true},
		},
		"end-of-call-report": {{at: ended, form: endOfCallReport, report: true, flireo: true}},
		"call_started":       {{at: answered, form: callStarted, once: true}},
		"call_ended":         {{at: ended, form: callEnded, once: true}},
		"call.completed":     {{at: ended, form: callCompleted, report: true, once: true}},
	}
}

// asked are events that are asked for and answered in the call itself: they are
// no deliveries.
var asked = []string{"tool-calls", assistantRequest}

// Events are the names that an agent's webhook_events may hold.
func Events() []string {
	out := slices.Concat(engine.EventNames, asked)
	for name := range kinds() {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// Call is what a body is made of.
type Call struct {
	Record engine.Record
	Agent  string // its name
	Number string // the name of our number, "" for none
	At     time.Time
	Report Report
}

// Report is what a call came to.
type Report struct {
	Summary string          `json:"summary,omitempty"`
	Data    json.RawMessage `json:"structured_data,omitempty"` // an object that keeps the agent's schema
}

// ours and theirs are the numbers of the two ends.
func (c *Call) ours() string {
	if c.Record.Direction == "outbound" {
		return c.Record.From
	}
	return c.Record.To
}

func (c *Call) theirs() string {
	if c.Record.Direction == "outbound" {
		return c.Record.To
	}
	return c.Record.From
}

// over says whether the call has ended.
func (c *Call) over() bool { return c.Record.Status == engine.StatusEnded }

// failure is the reason of a call that ended otherwise than its two ends
// wished, "" for any other.
func (c *Call) failure() string {
	switch r := c.Record.EndReason; r {
	case engine.EndPanic, engine.EndRejected, engine.EndFailed, engine.EndNodeLost, engine.EndNoMedia,
		engine.EndOverload, engine.EndBadNum, engine.EndBusy, engine.EndNoAnswer, engine.EndCanceled,
		"media_timeout", "vendor_failed":
		return string(r)
	}
	return ""
}

// seconds are whole ones of conversation.
func (c *Call) seconds() int { return int(c.Record.Duration().Round(time.Second).Seconds()) }

// message is one entry of a transcript as chat models write it: of the agent,
// what was heard.
type message struct {
	Role    string `json:"role"` // "user", "assistant" or "tool"
	Content string `json:"content"`
	Name    string `json:"name,omitempty"` // of the tool
	AtMS    int64  `json:"at_ms"`          // since the call began
}

func (c *Call) messages() []message {
	out := []message{}
	for _, i := range c.Record.Transcript {
		m := message{Role: i.Role, Content: i.Text, Name: i.Tool, AtMS: i.AtMS}
		if i.Role == "agent" {
			m.Role = "assistant"
			if i.HeardText != "" {
				m.Content = i.HeardText
			}
		}
		out = append(out, m)
	}
	return out
}
