package store

import (
	"context"
	"encoding/json"
	"time"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/telephony"
)

// recover ends the calls that are still open: the process that ran them is
// gone, since it held the lock. On PostgreSQL these are the calls of this
// node's name; those of other nodes may be up. Their end is the last thing
// known of them, and their transcript what their events tell.
func (s *Store) recover(ctx context.Context) (ended []engine.Record, err error) {
	var open []callRow
	q := s.write.NewSelect().Model(&open).Where("status <> ?", engine.StatusEnded)
	if s.postgres {
		q = q.Where("node = ?", s.cfg.Node)
	}
	if err := q.Scan(ctx); err != nil {
		return nil, err
	}
	for _, c := range open {
		var r engine.Record
		err := s.InTx(ctx, func(ctx context.Context, tx Tx) (err error) {
			r, err = lost(ctx, tx, c)
			return err
		})
		if err != nil {
			return nil, err
		}
		ended = append(ended, r)
	}
	return ended, nil
}

// Lost are the calls that an earlier process left open and that were ended when
// the store was opened.
func (s *Store) Lost() []engine.Record { return s.lost }

func lost(ctx context.Context, tx Tx, c callRow) (engine.Record, error) {
	r := c.record()
	var events []eventRow
	if err := tx.NewSelect().Model(&events).Where("call_id = ?", c.ID).Order("seq").Scan(ctx); err != nil {
		return r, err
	}
	r.Transcript = transcript(events)
	r.Status, r.EndReason, r.Ended = engine.StatusEnded, engine.EndNodeLost, r.Started
	last := engine.Event{CallID: telephony.CallID(c.ID)}
	if n := len(events); n > 0 {
		e := events[n-1]
		r.Ended, last.Seq = at(e.TS), e.Seq
		var body struct {
			At int64 `json:"at_ms"`
		}
		if json.Unmarshal([]byte(e.Body), &body) == nil {
			last.At = time.Duration(body.At) * time.Millisecond
		}
	}
	for _, i := range r.Transcript {
		if i.Role == "user" {
			r.Turns = max(r.Turns, i.Turn)
		}
	}
	if err := saveRecord(ctx, tx, &r, true, c.Node); err != nil {
		return r, err
	}
	end := engine.Event{
		Time: r.Ended, Level: "warn", Name: engine.EventCallEnded, CallID: last.CallID, Seq: last.Seq + 1, At: last.At,
		Fields: []engine.Field{
			engine.F("end_reason", engine.EndNodeLost), engine.F("duration_ms", r.Duration()),
			engine.F("turns", r.Turns), engine.F("mos", r.MOS),
		},
	}
	body, err := json.Marshal(end)
	if err != nil {
		return r, err
	}
	return r, saveEvents(ctx, tx, []*eventRow{
		{CallID: c.ID, Seq: end.Seq, TS: ms(end.Time), Name: end.Name, Body: string(body)},
	})
}

// transcript is what the events of a call tell of what was said.
func transcript(events []eventRow) []engine.Item {
	var out []engine.Item
	for _, e := range events {
		if e.Name != engine.EventTurnUser && e.Name != engine.EventTurnAgent {
			continue
		}
		var f struct {
			Text        string  `json:"text"`
			HeardText   string  `json:"heard_text"`
			Interrupted bool    `json:"interrupted"`
			Turn        int     `json:"turn"`
			At          int64   `json:"at_ms"`
			Confidence  float64 `json:"confidence"`
		}
		if json.Unmarshal([]byte(e.Body), &f) != nil {
			continue
		}
		if e.Name == engine.EventTurnAgent && f.HeardText == "" {
			continue // nobody heard a word of it
		}
		it := engine.Item{Role: "agent", Text: f.Text, Interrupted: f.Interrupted, Turn: f.Turn, AtMS: f.At}
		if f.HeardText != f.Text {
			it.HeardText = f.HeardText
		}
		if e.Name == engine.EventTurnUser {
			it.Role, it.Confidence = "user", f.Confidence
			// A later revision of a turn replaces its words.
			if n := len(out) - 1; n >= 0 && out[n].Role == "user" && out[n].Turn == f.Turn {
				out[n] = it
				continue
			}
		}
		out = append(out, it)
	}
	return out
}
