package engine

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/tools"
)

// Carry takes a caller to somebody else: by REFER, or by a bridge to a leg of
// its own. The error is why it could not, in words for the model.
type Carry func(ctx context.Context, leg telephony.Leg) error

// handOverCommand asks for a transfer; carried is what became of it.
type (
	handOverCommand struct {
		announcement, failure string
		carry                 Carry
		quiet                 bool // no music while it is under way
	}
	carried struct {
		id  string
		err error
	}
)

// handover is the transfer at work.
type handover struct {
	id      string
	n       int
	carry   Carry
	failure string
	quiet   bool
	cancel  context.CancelFunc
}

// transfer begins one: what is said first is the machine's to wait for.
func (s *session) transfer(c handOverCommand) {
	n := s.moving.n + 1
	id := "transfer-" + strconv.Itoa(n)
	if s.m.Call() != turn.Live {
		s.event(EventTransferFinished, F("result", "refused"), F("reason", "the call is "+s.m.Call().String()))
		return
	}
	s.moving = handover{id: id, n: n, carry: c.carry, failure: c.failure, quiet: c.quiet}
	s.event(EventTransferStarted, F("announcement", c.announcement))
	s.step(turn.TransferStarted{ID: id, Announcement: c.announcement})
	if s.m.Call() != turn.Handover && !s.ended { // a mailbox, or nobody who was greeted yet
		s.moving.id = ""
		s.event(EventTransferFinished, F("result", "refused"), F("reason", "nobody is there to be handed over"))
	}
}

// takeOver is a tool's wish to hand the caller over, on its way to the session.
type takeOver struct {
	id string // of the call
	to tools.Transfer
}

// take judges where a tool would take the caller: to a destination of its own
// that may be dialled, and no more often than a call may (SEC-5).
func (s *session) take(c *toolCall, x *tools.TransferTool) (r tools.Result, is bool) {
	to, refused, ok := x.Chosen(c.args)
	switch {
	case !ok:
		c.gated = true
		return refused, true
	case s.e.cfg.TransfersPerCall > 0 && s.transfers >= s.e.cfg.TransfersPerCall:
		c.gated = true
		return tools.ErrorResult(tools.Refused, "transfer_limit",
			"the caller cannot be transferred again in this call: help them yourself"), true
	case s.e.cfg.Carry == nil:
		return tools.ErrorResult(tools.Failed, "transfer_unavailable",
			"calls cannot be transferred from here: tell the caller, and help them yourself"), true
	}
	c.taking = &to
	return r, true
}

// takeOver hands the caller over. The tool has its result when that has begun;
// what comes of it is the transfer's own.
func (s *session) takeOver(m takeOver) {
	c := s.calls[m.id]
	if c == nil || c.over {
		return
	}
	carry := s.e.cfg.Carry
	s.transfers++
	s.transfer(handOverCommand{
		announcement: s.render(m.to.Message), failure: s.render(c.tool.Definition().Speech.Failure), quiet: !m.to.Music,
		carry: func(ctx context.Context, leg telephony.Leg) error { return carry(ctx, leg, m.to) },
	})
	r := tools.Result{JSON: json.RawMessage(`{"status":"transferring"}`), Status: tools.OK}
	if s.moving.id == "" {
		r = tools.ErrorResult(tools.Failed, "transfer_refused", "the caller cannot be transferred now")
	}
	s.toolDone(toolResult{id: m.id, r: r})
}

// carryOver carries the caller over, or gives that up.
func (s *session) carryOver(e turn.HandOver) {
	if e.ID != s.moving.id {
		return
	}
	if e.Cancel {
		s.moving.id = ""
		if s.moving.cancel != nil {
			s.moving.cancel()
		}
		s.event(EventTransferFinished, F("result", "cancelled"), F("reason", "it took too long"))
		return
	}
	ctx, cancel := context.WithCancel(s.ctx)
	s.moving.cancel = cancel
	carry, leg := s.moving.carry, s.leg
	s.wg.Go(func() {
		defer cancel()
		err := guarded(func() error { return carry(ctx, leg) })
		s.work.put(carried{e.ID, err})
	})
}

// carriedOver is the end of it.
func (s *session) carriedOver(c carried) {
	if c.id != s.moving.id {
		return
	}
	s.moving.id = ""
	r := turn.TransferResult{ID: c.id, OK: c.err == nil, Say: s.moving.failure}
	if c.err == nil {
		s.event(EventTransferFinished, F("result", "ok"))
	} else {
		r.Reason = c.err.Error()
		s.event(EventTransferFinished, F("result", "failed"), F("reason", r.Reason))
	}
	s.step(r)
}
