package api

import (
	"context"
	"crypto/sha256"
	"strings"
	"time"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/telephony"
)

// madeBy is the process that a token names as its maker, "" where it names none.
func madeBy(token, prefix string) string {
	rest, ok := strings.CutPrefix(token, prefix)
	if !ok || len(rest) < idLength {
		return ""
	}
	id := rest[:idLength]
	if strings.Trim(id, "0123456789abcdef") != "" {
		return ""
	}
	return id
}

// What is asked of the process that made a ticket.
const (
	ticketFind = "find" // what it is
	ticketUse  = "use"  // to begin the one call
	ticketUsed = "used" // which call it became
)

type (
	ticketQuestion struct {
		Do   string            `json:"do"`
		Hash [sha256.Size]byte `json:"hash"`
		Call telephony.CallID  `json:"call,omitempty"`
	}
	ticketAnswer struct {
		OK      bool             `json:"ok"` // it is there; use: the call may begin
		Agent   agent.ID         `json:"agent,omitempty"`
		From    string           `json:"from,omitempty"`
		By      string           `json:"by,omitempty"`
		Expires time.Time        `json:"expires"`
		Call    telephony.CallID `json:"call,omitempty"`
	}
)

// answer answers another process.
func (ts *tickets) answer(q ticketQuestion) ticketAnswer {
	t := ts.findHash(q.Hash)
	if t == nil {
		return ticketAnswer{}
	}
	switch q.Do {
	case ticketUse:
		return ticketAnswer{OK: ts.use(t)}
	case ticketUsed:
		ts.used(t, q.Call)
		return ticketAnswer{OK: true}
	}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return ticketAnswer{OK: true, Agent: t.agent, From: t.from, By: t.by, Expires: t.expires, Call: t.call}
}

// ticket is the one of a token, whichever process made it; nil where it opens
// nothing.
func (s *Server) ticket(ctx context.Context, token string) *ticket {
	if t := s.tickets.find(token); t != nil {
		return t
	}
	id := madeBy(token, ticketPrefix)
	if id == "" {
		return nil
	}
	q := ticketQuestion{Do: ticketFind, Hash: HashKey(token)}
	a, ok := askOther[ticketAnswer](ctx, s, id, askTicket, q)
	if !ok || !a.OK {
		return nil
	}
	return &ticket{of: id, hash: q.Hash, agent: a.Agent, from: a.From, by: a.By, expires: a.Expires, call: a.Call}
}

// useTicket begins the one call; false: it was begun before, or the time is over.
func (s *Server) useTicket(ctx context.Context, t *ticket) bool {
	if t.of == "" {
		return s.tickets.use(t)
	}
	a, ok := askOther[ticketAnswer](ctx, s, t.of, askTicket, ticketQuestion{Do: ticketUse, Hash: t.hash})
	return ok && a.OK
}

// ticketUsed tells which call it became; none: it may be tried again.
func (s *Server) ticketUsed(ctx context.Context, t *ticket, call telephony.CallID) {
	if t.of == "" {
		s.tickets.used(t, call)
		return
	}
	_, _ = askOther[ticketAnswer](ctx, s, t.of, askTicket, ticketQuestion{ticketUsed, t.hash, call}) // it is logged
}
