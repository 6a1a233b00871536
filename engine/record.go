package engine

import (
	"encoding/json"
	"time"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/telephony"
)

// EndReason is why a call ended, from the closed list of engine/turn and what
// only the engine sees.
type EndReason = turn.EndReason

// The reasons that only the engine sees.
const (
	EndPanic    EndReason = "panic"
	EndRejected EndReason = "rejected"   // no agent, no codec, no room
	EndFailed   EndReason = "failed"     // the leg failed before or after the answer
	EndBusy     EndReason = "busy"       // of a dialled call
	EndNoAnswer EndReason = "no_answer"  // of a dialled call
	EndNodeLost EndReason = "node_lost"  // the process died with the call up
	EndNoMedia  EndReason = "no_media"   // no packet within 15 s of the answer
	EndCanceled EndReason = "cancelled"  // the caller gave up before the answer
	EndOverload EndReason = "overload"   // the session could not keep up
	EndBadNum   EndReason = "bad_number" // of a dialled call
)

// Record is a call as it is kept.
type Record struct {
	ID        telephony.CallID    `json:"id"`
	Direction telephony.Direction `json:"direction"`
	From      string              `json:"from"`
	To        string              `json:"to"`
	Trunk     telephony.TrunkID   `json:"trunk,omitempty"`
	Agent     agent.ID            `json:"agent_id"`
	Codec     string              `json:"codec,omitempty"`
	SRTP      string              `json:"srtp,omitempty"` // the suite that sound was encrypted with, "" in the clear
	SIPCallID string              `json:"sip_call_id,omitempty"`
	Variables map[string]any      `json:"variables,omitempty"`
	Status    string              `json:"status"` // dialing, ringing, in_progress, ended
	Started   time.Time           `json:"started_at"`
	Answered  time.Time           `json:"answered_at,omitzero"`
	Ended     time.Time           `json:"ended_at,omitzero"`
	EndReason EndReason           `json:"end_reason,omitempty"`
	Turns     int                 `json:"turns"`
	ToolCalls int                 `json:"tool_calls"`
	BargeIns  int                 `json:"barge_ins"`
	// Speculation is what was prepared before turns had ended, and its price.
	Speculation Speculation `json:"speculation,omitzero"`
	MOS         float64     `json:"mos,omitempty"`
	Loss        float64     `json:"loss,omitempty"`
	Lost        uint64      `json:"packets_lost"`
	Recording   string      `json:"recording,omitempty"` // path of the WAV file
	// AnsweredBy is who took an outbound call, where that was asked: "human",
	// "machine", "screening" or "unsure"; AnsweredCause is why it was taken so.
	AnsweredBy    string `json:"answered_by,omitempty"`
	AnsweredCause string `json:"answered_cause,omitempty"`
	Transcript    []Item `json:"transcript,omitempty"`
	// Summary and Data are what the call came to, known some time after its end
	// where somebody asks for it: the agent's analysis_plan or its webhooks.
	Summary string          `json:"summary,omitempty"`
	Data    json.RawMessage `json:"structured_data,omitempty"`
}

// Speculation counts replies that were asked for before the caller's turn had
// ended.
type Speculation struct {
	Tries   int `json:"tries"`
	Adopted int `json:"adopted"`       // became the answer
	Wasted  int `json:"wasted_tokens"` // of the others; by length where the model did not tell
}

// The statuses of a record.
const (
	StatusDialing    = "dialing"
	StatusRinging    = "ringing"
	StatusInProgress = "in_progress"
	StatusEnded      = "ended"
)

// Duration is how long the conversation lasted.
func (r *Record) Duration() time.Duration {
	if r.Answered.IsZero() || r.Ended.IsZero() {
		return 0
	}
	return r.Ended.Sub(r.Answered)
}

// Item is one entry of a transcript: what the caller said, and what of the
// agent's words was heard.
type Item struct {
	Role        string  `json:"role"` // "user", "agent" or "tool"
	Text        string  `json:"text"`
	HeardText   string  `json:"heard_text,omitempty"` // of the agent; "" when all of Text was
	Interrupted bool    `json:"interrupted,omitempty"`
	Turn        int     `json:"turn"`
	AtMS        int64   `json:"at_ms"`
	Confidence  float64 `json:"confidence,omitempty"`
	Tool        string  `json:"tool,omitempty"`
}
