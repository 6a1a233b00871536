package api

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcord/patchcord/engine"
)

// Call is a call as the API shows it.
type Call struct {
	ID          string         `json:"id" format:"uuid"`
	Status      string         `json:"status" enum:"dialing,ringing,in_progress,ended"`
	Direction   string         `json:"direction" enum:"inbound,outbound"`
	From        string         `json:"from"`
	To          string         `json:"to"`
	Trunk       string         `json:"trunk,omitempty"`
	AgentID     string         `json:"agent_id"`
	Codec       string         `json:"codec,omitempty" example:"PCMA"`
	SRTP        string         `json:"srtp,omitempty" example:"AES_CM_128_HMAC_SHA1_80" doc:"How its sound is encrypted; without it, it is not"`
	SIPCallID   string         `json:"sip_call_id,omitempty"`
	Variables   map[string]any `json:"variables,omitempty"`
	StartedAt   time.Time      `json:"started_at"`
	AnsweredAt  *time.Time     `json:"answered_at,omitempty"`
	EndedAt     *time.Time     `json:"ended_at,omitempty"`
	DurationMS  int64          `json:"duration_ms" doc:"From the answer to the end"`
	EndReason   string         `json:"end_reason,omitempty"`
	Turns       int            `json:"turns"`
	ToolCalls   int            `json:"tool_calls"`
	BargeIns    int            `json:"barge_ins"`
	MOS         float64        `json:"mos,omitempty" doc:"Estimated quality, 1 to 4.5 (ITU-T G.107)"`
	Loss        float64        `json:"loss" doc:"Share of packets lost, 0 to 1"`
	PacketsLost uint64         `json:"packets_lost"`
	Recording   string         `json:"recording,omitempty" doc:"Path of the recording in this API"`

	AnsweredBy    string `json:"answered_by,omitempty" enum:"human,machine,screening,unsure" doc:"Who took an outbound call, where that was asked"`
	AnsweredCause string `json:"answered_cause,omitempty" doc:"Why it was taken so" example:"phrase"`
}

func viewOf(r engine.Record) Call {
	c := Call{
		ID: string(r.ID), Status: r.Status, Direction: string(r.Direction), From: r.From, To: r.To, Trunk: string(r.Trunk),
		AgentID: string(r.Agent), Codec: r.Codec, SRTP: r.SRTP, SIPCallID: r.SIPCallID, Variables: r.Variables,
		StartedAt:  r.Started,
		DurationMS: r.Duration().Milliseconds(), EndReason: string(r.EndReason), Turns: r.Turns, ToolCalls: r.ToolCalls,
		BargeIns: r.BargeIns, MOS: r.MOS, Loss: r.Loss, PacketsLost: r.Lost, AnsweredBy: r.AnsweredBy,
		AnsweredCause: r.AnsweredCause,
	}
	if !r.Answered.IsZero() {
		c.AnsweredAt = &r.Answered
	}
	if !r.Ended.IsZero() {
		c.EndedAt = &r.Ended
	}
	if r.Recording != "" {
		c.Recording = "/v1/calls/" + c.ID + "/recording"
	}
	return c
}

// Seconds is a time in a request: a number of seconds, or text such as "30s".
type Seconds time.Duration

// UnmarshalJSON takes both forms.
func (s *Seconds) UnmarshalJSON(b []byte) error {
	var n float64
	if json.Unmarshal(b, &n) == nil {
		*s = Seconds(n * float64(time.Second))
		return nil
	}
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return err
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("%q is no duration: write seconds, or text such as 30s", text)
	}
	*s = Seconds(d)
	return nil
}

// MarshalJSON writes the text, without the parts that are zero: 15m.
func (s Seconds) MarshalJSON() ([]byte, error) {
	text := time.Duration(s).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return json.Marshal(text)
}

// Schema describes both forms.
func (Seconds) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{OneOf: []*huma.Schema{
		{Type: huma.TypeNumber, Description: "seconds"},
		{Type: huma.TypeString, Description: "such as 30s or 1m30s", Pattern: `^[0-9.]+(ms|s|m|h)([0-9.]+(ms|s|m))*$`},
	}}
}
