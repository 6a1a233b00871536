package delivery

import "time"

// flireo is the envelope of seed 003's messages (F-04):
//
//	{"message": {"type": "status-update", "timestamp": "2026-01-30T12:25:29.000Z",
//	  "call": {"id": "…", "type": "inbound_phone_call", "status": "in-progress"},
//	  "phone_number": {"number": "+31…", "name": "…"}, "customer": {"number": "+31…"}, …}}
type flireo struct {
	Message flireoMessage `json:"message"`
}

type flireoMessage struct {
	Type      string       `json:"type"`
	Timestamp string       `json:"timestamp"` // ISO 8601, ms, UTC
	Call      flireoCall   `json:"call"`
	Number    flireoNumber `json:"phone_number"`
	Customer  flireoNumber `json:"customer"`
	Error     string       `json:"error,omitempty"` // of ended-with-error

	Seconds  *int      `json:"duration_seconds,omitempty"`
	Reason   string    `json:"ended_reason,omitempty"`
	Summary  *string   `json:"summary,omitempty"`
	Analysis any       `json:"analysis,omitempty"` // where the agent has an analysis_plan
	Messages []message `json:"messages,omitempty"`
}

type flireoCall struct {
	ID     string `json:"id"`
	Type   string `json:"type"`   // inbound_phone_call or outbound_phone_call
	Status string `json:"status"` // in-progress, ended or ended-with-error
}

type flireoNumber struct {
	Number string `json:"number"`
	Name   string `json:"name,omitempty"`
}

func newFlireo(c *Call, kind string) flireoMessage {
	m := flireoMessage{
		Type: kind, Timestamp: c.At.UTC().Format("2006-01-02T15:04:05.000Z"),
		Call: flireoCall{
			ID: string(c.Record.ID), Type: string(c.Record.Direction) + "_phone_call", Status: "in-progress",
		},
		Number:   flireoNumber{Number: c.ours(), Name: c.Number},
		Customer: flireoNumber{Number: c.theirs()},
	}
	if c.over() {
		m.Call.Status = "ended"
	}
	return m
}

// statusUpdate tells that a call is answered, or over (F-14).
func statusUpdate(c *Call) any {
	m := newFlireo(c, "status-update")
	if why := c.failure(); c.over() && why != "" {
		m.Call.Status, m.Error = "ended-with-error", why
	}
	return flireo{m}
}

// endOfCallReport tells what a call came to (F-15).
func endOfCallReport(c *Call) any {
	m := newFlireo(c, "end-of-call-report")
	seconds := c.seconds()
	m.Seconds, m.Summary, m.Messages = &seconds, &c.Report.Summary, c.messages()
	m.Reason = string(c.Record.EndReason)
	if c.Report.Data != nil {
		m.Analysis = Report{Data: c.Report.Data}
	}
	return flireo{m}
}

// dariet are the webhooks of seed 004's platform (D-22): nothing around them.
type dariet struct {
	Event      string    `json:"event"`
	CallID     string    `json:"call_id"`
	Phone      string    `json:"phone_number"`
	Agent      string    `json:"agent_name"`
	Direction  string    `json:"direction"`
	Status     string    `json:"status"`
	Duration   *int      `json:"duration,omitempty"` // s
	Start      string    `json:"start_time,omitempty"`
	End        string    `json:"end_time,omitempty"`
	Transcript []message `json:"transcript,omitempty"`
}

func newDariet(c *Call, event, status string) dariet {
	return dariet{
		Event: event, CallID: string(c.Record.ID), Phone: c.theirs(), Agent: c.Agent,
		Direction: string(c.Record.Direction), Status: status,
	}
}

func callStarted(c *Call) any { return newDariet(c, "call_started", "in_progress") }

func callEnded(c *Call) any {
	status := "completed"
	if c.failure() != "" {
		status = "failed"
	}
	d := newDariet(c, "call_ended", status)
	seconds := c.seconds()
	d.Duration, d.Transcript = &seconds, c.messages()
	d.Start, d.End = c.Record.Started.UTC().Format(time.RFC3339), c.Record.Ended.UTC().Format(time.RFC3339)
	return d
}
