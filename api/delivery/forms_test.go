package delivery

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/patchcord/patchcord/engine"
)

var began = time.Date(2026, 1, 30, 12, 25, 29, 0, time.UTC)

// call is one of 42 s in which the agent was interrupted once.
func call(status string, end engine.EndReason) *Call {
	c := &Call{
		Agent: "support", Number: "Main line", At: began.Add(45 * time.Second),
		Report: Report{Summary: "Jan asked for his order; it arrives on Friday."},
		Record: engine.Record{
			ID: "0198c5f2-0000-7000-8000-000000000001", Direction: "inbound", From: "+31612345678", To: "+31201234567",
			Agent: "a-1", Status: status, Started: began, Turns: 1, EndReason: end,
			Variables: map[string]any{"customer_name": "Jan de Vries"},
			Transcript: []engine.Item{
				{Role: "agent", Text: "Good afternoon. How can I help you?", HeardText: "Good afternoon.", Interrupted: true, AtMS: 100},
				{Role: "user", Text: "Where is my order?", Turn: 1, AtMS: 2000},
				{Role: "tool", Tool: "lookup_order", Text: `{"status":"shipped"}`, Turn: 1, AtMS: 3000},
				{Role: "agent", Text: "It arrives on Friday.", Turn: 1, AtMS: 4000},
			},
		},
	}
	if end != engine.EndNoAnswer {
		c.Record.Answered = began.Add(2 * time.Second)
	}
	if status == engine.StatusEnded {
		c.Record.Ended = began.Add(44 * time.Second)
	}
	return c
}

// TestBodies compares whole bodies, field by field and in order: F-04, F-14,
// F-15, D-22, T-27.
func TestBodies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		file string
		form func(*Call) any
		call *Call
		data string
	}{
		{file: "status-in-progress", form: statusUpdate, call: call(engine.StatusInProgress, "")},
		{file: "status-ended", form: statusUpdate, call: call(engine.StatusEnded, "hangup")},
		{file: "status-ended-with-error", form: statusUpdate, call: call(engine.StatusEnded, "vendor_failed")},
		{file: "report", form: endOfCallReport, call: call(engine.StatusEnded, "hangup")},
		{file: "report-analysis", form: endOfCallReport, call: call(engine.StatusEnded, "agent_done"), data: `{"topic":"order"}`},
		{file: "call-started", form: callStarted, call: call(engine.StatusInProgress, "")},
		{file: "call-ended", form: callEnded, call: call(engine.StatusEnded, "hangup")},
		{file: "call-completed", form: callCompleted, call: call(engine.StatusEnded, "hangup")},
	} {
		t.Run(c.file, func(t *testing.T) {
			t.Parallel()
			if c.data != "" {
				c.call.Report.Data = json.RawMessage(c.data)
			}
			got, err := encode(c.form(c.call))
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile("testdata/" + c.file + ".json")
			if err != nil {
				t.Fatal(err)
			}
			var compact bytes.Buffer
			if err := json.Compact(&compact, want); err != nil {
				t.Fatal(err)
			}
			if string(got) != compact.String() {
				t.Errorf("got  %s\nwant %s", got, compact.String())
			}
		})
	}
}

func TestOurOwnEvents(t *testing.T) {
	t.Parallel()
	e := engine.Event{
		Time: began, Level: "info", Name: engine.EventCallEnded, CallID: "c1", Seq: 9, At: 44 * time.Second,
		Fields: []engine.Field{engine.F("end_reason", "hangup")},
	}
	c := call(engine.StatusEnded, "hangup")
	event, err := encode(e)
	if err != nil {
		t.Fatal(err)
	}
	got, err := withRecord(event, c)
	if err != nil {
		t.Fatal(err)
	}
	var o struct {
		Event   string        `json:"event"`
		Seq     int           `json:"seq"`
		Reason  string        `json:"end_reason"`
		Call    engine.Record `json:"call"`
		Summary string        `json:"summary"`
	}
	if err := json.Unmarshal(got, &o); err != nil {
		t.Fatalf("%v in %s", err, got)
	}
	if o.Event != "call.ended" || o.Seq != 9 || o.Reason != "hangup" || len(o.Call.Transcript) != 4 || o.Summary == "" {
		t.Errorf("got %s", got)
	}
}

func TestDisconnectionReasons(t *testing.T) {
	t.Parallel()
	for end, want := range map[engine.EndReason]string{
		"hangup": "user_hangup", "agent_done": "agent_hangup", "transferred": "call_transfer", "panic": "error_panic",
		engine.EndNoAnswer: "dial_no_answer",
	} {
		if got := disconnection(call(engine.StatusEnded, end)); got != want {
			t.Errorf("%s: got %s, want %s", end, got, want)
		}
	}
}
