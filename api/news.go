package api

import (
	"cmp"
	"time"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/telephony/dialer"
)

// EventOf is what became of a campaign, or of one of its attempts, as an event
// that /v1/events, the log and tail have. It is of no call, or of one that is
// over: its seq is 0.
func EventOf(n dialer.News) engine.Event {
	e := engine.Event{Time: time.Now(), Level: "info", Name: n.Name, Fields: []engine.Field{
		engine.F("campaign_id", n.Campaign.ID), engine.F("campaign", n.Campaign.Name),
		engine.F("agent_id", n.Campaign.Agent),
	}}
	if n.Name != dialer.EventAttempt {
		e.Fields = append(e.Fields, engine.F("status", n.Campaign.Status))
		if n.Reason != "" {
			e.Fields = append(e.Fields, engine.F("reason", n.Reason))
		}
		if n.Name == dialer.EventPaused {
			e.Level = "warn"
		}
		return e
	}
	r := n.Result
	e.CallID = n.Attempt.Call
	e.Fields = append(e.Fields,
		engine.F("contact_id", n.Attempt.Contact.ID), engine.F("number", n.Attempt.Contact.Number),
		engine.F("attempt", n.Attempt.N), engine.F("outcome", r.Outcome), engine.F("state", r.Next))
	for _, f := range []struct {
		key   string
		value any
		is    bool
	}{
		{"sip", r.SIP, r.SIP != 0},
		{"why", r.Why, r.Why != ""},
		{"answered_by", r.AnsweredBy, r.AnsweredBy != ""},
		{"message_left", true, r.MessageLeft},
		{"disposition", r.Disposition, r.Disposition != ""},
		{"opt_out", true, r.OptOut},
		{"due_at", r.Due, !r.Due.IsZero()},
	} {
		if f.is {
			e.Fields = append(e.Fields, engine.F(f.key, f.value))
		}
	}
	return e
}

// News publishes what became of a campaign, or of one of its attempts, here and at
// the other nodes.
func (h *Hub) News(n dialer.News) {
	e, of := EventOf(n), agent.ID(n.Campaign.Agent)
	if h.elsewhere != nil {
		h.elsewhere.News(n.Campaign.ID, of, e)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.publishLocked(e, of)
}

// News counts what became of attempts.
func (m *Metrics) News(n dialer.News) {
	if n.Name == dialer.EventAttempt {
		m.attempts.WithLabelValues(cmp.Or(string(n.Result.Outcome), string(dialer.OutcomeUnknown))).Inc()
	}
}
