package store

import (
	"encoding/json"
	"strings"

	"github.com/uptrace/bun"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/telephony"
)

type callRow struct {
	bun.BaseModel `bun:"table:calls"`

	ID         string `bun:",pk"`
	Node       string
	Direction  string
	FromNumber string
	ToNumber   string
	Trunk      string
	Agent      string
	Codec      string
	SRTP       string `bun:"srtp"`
	SIPCallID  string `bun:"sip_call_id"`
	Variables  string
	Status     string
	StartedAt  int64
	AnsweredAt int64
	EndedAt    int64
	DurationMS int64 `bun:"duration_ms"`
	EndReason  string
	Turns      int
	ToolCalls  int
	BargeIns   int
	MOS        float64 `bun:"mos"`
	Loss       float64
	Lost       int64 `bun:"packets_lost"`
	Recording  string

	AnsweredBy    string
	AnsweredCause string

	Summary string // of the report after the call
	Data    string `bun:"structured_data"`
}

func rowOf(r *engine.Record, node string) *callRow {
	vars, err := json.Marshal(r.Variables)
	if err != nil || r.Variables == nil {
		vars = []byte("{}") // a value that is no JSON is none
	}
	return &callRow{
		ID: string(r.ID), Node: node, Direction: string(r.Direction), FromNumber: clean(r.From), ToNumber: clean(r.To),
		Trunk: string(r.Trunk), Agent: string(r.Agent), Codec: r.Codec, SRTP: r.SRTP, SIPCallID: clean(r.SIPCallID),
		Variables: string(vars), Status: r.Status, StartedAt: ms(r.Started), AnsweredAt: ms(r.Answered),
		EndedAt: ms(r.Ended), DurationMS: r.Duration().Milliseconds(), EndReason: string(r.EndReason),
		Turns: r.Turns, ToolCalls: r.ToolCalls, BargeIns: r.BargeIns, MOS: r.MOS, Loss: r.Loss,
		Lost: int64(min(r.Lost, 1<<62)), Recording: r.Recording, //nolint:gosec // bounded
		AnsweredBy: r.AnsweredBy, AnsweredCause: r.AnsweredCause,
	}
}

func (c *callRow) record() engine.Record {
	r := engine.Record{
		ID: telephony.CallID(c.ID), Direction: telephony.Direction(c.Direction), From: c.FromNumber, To: c.ToNumber,
		Trunk: telephony.TrunkID(c.Trunk), Agent: agent.ID(c.Agent), Codec: c.Codec, SRTP: c.SRTP, SIPCallID: c.SIPCallID,
		Status: c.Status, Started: at(c.StartedAt), Answered: at(c.AnsweredAt), Ended: at(c.EndedAt),
		EndReason: engine.EndReason(c.EndReason), Turns: c.Turns, ToolCalls: c.ToolCalls, BargeIns: c.BargeIns,
		MOS: c.MOS, Loss: c.Loss, Lost: uint64(max(c.Lost, 0)), Recording: c.Recording,
		AnsweredBy: c.AnsweredBy, AnsweredCause: c.AnsweredCause,
	}
	r.Summary = c.Summary
	if c.Data != "" {
		r.Data = json.RawMessage(c.Data)
	}
	if c.Variables != "" && c.Variables != "{}" {
		_ = json.Unmarshal([]byte(c.Variables), &r.Variables) // written by rowOf
	}
	return r
}

type itemRow struct {
	bun.BaseModel `bun:"table:transcript_items"`

	CallID      string `bun:",pk"`
	N           int    `bun:",pk"`
	Role        string
	Text        string
	HeardText   string
	Interrupted bool
	Turn        int
	AtMS        int64 `bun:"at_ms"`
	Confidence  float64
	Tool        string
}

func itemRows(r *engine.Record) []itemRow {
	out := make([]itemRow, 0, len(r.Transcript))
	for n, i := range r.Transcript {
		out = append(out, itemRow{
			CallID: string(r.ID), N: n, Role: i.Role, Text: clean(i.Text), HeardText: clean(i.HeardText),
			Interrupted: i.Interrupted, Turn: i.Turn, AtMS: i.AtMS, Confidence: i.Confidence, Tool: clean(i.Tool),
		})
	}
	return out
}

func (i *itemRow) item() engine.Item {
	return engine.Item{
		Role: i.Role, Text: i.Text, HeardText: i.HeardText, Interrupted: i.Interrupted, Turn: i.Turn, AtMS: i.AtMS,
		Confidence: i.Confidence, Tool: i.Tool,
	}
}

type eventRow struct {
	bun.BaseModel `bun:"table:call_events"`

	CallID string `bun:",pk"`
	Seq    int    `bun:",pk"`
	TS     int64  `bun:"ts"`
	Name   string
	Body   string
}

// clean is a text from outside as every store takes it: valid UTF-8 without
// NUL, which PostgreSQL refuses, and the whole batch with it.
func clean(s string) string { return strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "\uFFFD") }
