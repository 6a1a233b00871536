package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/tools"
)

// What a transfer came to: the closed list of transfer.finished.
const (
	ResultAnswered     = "answered" // the caller has who they were to have
	ResultBusy         = "busy"
	ResultNoAnswer     = "no_answer"
	ResultDeclined     = "declined"
	ResultVoicemail    = "voicemail"
	ResultFailed       = "failed" // the reason says why: bad_number, congestion, no_codec, or in words
	ResultCallerHungUp = "caller_hung_up"
	ResultCancelled    = "cancelled" // it took too long, or the call was ended
	ResultRefused      = "refused"   // it was not begun: a limit, or nobody to be handed over
)

// outcome is how an attempt to hand the caller over has ended.
type outcome struct{ result, reason string }

// told is the outcome in one word, for the model and for what the caller is told.
func (o outcome) told() string {
	if o.result == ResultFailed {
		return cmp.Or(o.reason, o.result)
	}
	return o.result
}

// outcomeOf is that of a leg that ended before anybody was there.
func outcomeOf(c telephony.Cause) outcome {
	text := c.Text
	if c.Status > 0 {
		text = strconv.Itoa(c.Status) + " " + c.Text
	}
	switch c.Reason {
	case telephony.ReasonBusy:
		return outcome{ResultBusy, text}
	case telephony.ReasonNoAnswer:
		return outcome{ResultNoAnswer, text}
	case telephony.ReasonRejected:
		return outcome{ResultDeclined, text}
	case telephony.ReasonCancelled:
		return outcome{ResultCancelled, text}
	case telephony.ReasonBadNumber, telephony.ReasonCongestion, telephony.ReasonNoCodec:
		return outcome{ResultFailed, string(c.Reason)}
	case telephony.ReasonNormal, telephony.ReasonOverload, telephony.ReasonDraining, telephony.ReasonNoAck,
		telephony.ReasonNoMedia, telephony.ReasonMediaTimeout, telephony.ReasonSession, telephony.ReasonTransferred,
		telephony.ReasonFailed:
	}
	return outcome{ResultFailed, cmp.Or(text, string(c.Reason))}
}

// handover is the transfer at work, from its start until the caller is with the
// agent again or the call is over.
type handover struct {
	n         int
	id        string // "": none is at work
	to        tools.Transfer
	call      string      // of the tool that waits for what comes of it, "" for none
	failure   string      // said when nothing does, "" for the policy's
	referring bool        // by REFER: the caller's leg tells of it
	consult   *consult    // the other party's leg, nil: none
	joined    *joined     // the caller's sound is joined with it, nil: it is with us
	finished  bool        // transfer.finished was written
	talk      []overheard // what the two said, the last of it
	cancel    context.CancelFunc
}

// takeOver is a tool's wish to hand the caller over, on its way to the session;
// transferCommand is that of the API; referred is a REFER that was answered; joinNow
// ends the announcement of a transfer whose other party is there.
type (
	takeOver struct {
		id string // of the call
		to tools.Transfer
	}
	transferCommand struct{ to tools.Transfer }
	referred        struct {
		id  string
		err error
	}
	joinNow struct{ id string }
)

// take judges where a tool would take the caller: to a destination of its own
// that may be dialled, and no more often than a call may (SEC-5).
func (s *session) take(c *toolCall, x *tools.TransferTool) (r tools.Result, is bool) {
	to, refused, ok := x.Chosen(c.args)
	switch {
	case !ok:
		c.gated = true
		return refused, true
	case s.transfersUsedUp():
		c.gated = true
		return tools.ErrorResult(tools.Refused, "transfer_limit",
			"the caller cannot be transferred again in this call: help them yourself"), true
	case s.moving.id != "":
		c.gated = true
		return tools.ErrorResult(tools.Refused, "transfer_running",
			"another transfer is under way: wait for what comes of it"), true
	case s.e.cfg.Dialer == nil:
		return tools.ErrorResult(tools.Failed, "transfer_unavailable",
			"calls cannot be transferred from here: tell the caller, and help them yourself"), true
	}
	c.taking = &to
	return r, true
}

func (s *session) transfersUsedUp() bool {
	return s.e.cfg.TransfersPerCall > 0 && s.transfers >= s.e.cfg.TransfersPerCall
}

// takeOver hands the caller over. The tool has its result when that has begun;
// what comes of it is the transfer's own, but of a monitored one: the agent goes
// on talking, and is told what came of it.
func (s *session) takeOver(m takeOver) {
	c := s.calls[m.id]
	if c == nil || c.over {
		return
	}
	ok := s.transfer(m.to, m.id, s.render(c.tool.Definition().Speech.Failure))
	switch {
	case !ok:
		r := tools.ErrorResult(tools.Failed, "transfer_refused", "the caller cannot be transferred now")
		s.toolDone(toolResult{id: m.id, r: r})
	case m.to.Kind != tools.Monitored:
		r := tools.Result{JSON: json.RawMessage(`{"status":"transferring"}`), Status: tools.OK}
		s.toolDone(toolResult{id: m.id, r: r})
	}
}

// transferAsked is a transfer by the API.
func (s *session) transferAsked(c transferCommand) {
	if s.transfersUsedUp() || s.moving.id != "" || s.e.cfg.Dialer == nil {
		s.event(EventTransferFinished, F("result", ResultRefused), F("reason", "another transfer was made or is under way"))
		return
	}
	s.transfer(c.to, "", "")
}

// transfer begins one, if the caller can be handed over now: what is said first
// is the machine's to wait for.
func (s *session) transfer(to tools.Transfer, call, failure string) bool {
	if s.m.Call() != turn.Live {
		s.event(EventTransferFinished, F("result", ResultRefused), F("reason", "the call is "+s.m.Call().String()))
		return false
	}
	n := s.moving.n + 1
	id := "transfer-" + strconv.Itoa(n)
	to.Message = s.render(to.Message)
	s.moving = handover{n: n, id: id, to: to, call: call, failure: failure}
	s.event(EventTransferStarted, F("id", id), F("kind", string(to.Kind)), F("to", to.To), F("announcement", to.Message))
	if to.Kind == tools.Monitored {
		s.transfers++
		s.consultTarget(false)
		return true
	}
	s.step(turn.TransferStarted{ID: id, Announcement: to.Message})
	if s.m.Call() != turn.Handover && !s.ended { // a mailbox, or nobody who was greeted yet
		s.transferOver(outcome{ResultRefused, "nobody is there to be handed over"})
		s.moving.id = ""
		return false
	}
	s.transfers++
	return true
}

// carryOver carries the caller over, or takes them back.
func (s *session) carryOver(e turn.HandOver) {
	if e.ID != s.moving.id {
		return
	}
	switch {
	case e.Cancel:
		s.transferOver(outcome{ResultCancelled, "it took too long, or the call was to end"})
		s.letGo()
	case s.moving.consult != nil:
		s.work.put(joinNow{e.ID})
	case s.moving.to.Kind == tools.Cold:
		s.listen.away.Store(true)
		s.refer(telephony.ReferTo{Target: s.moving.to.To}, true)
	default:
		s.listen.away.Store(true)
		s.consultTarget(false)
	}
}

// progress tells of a stage of the transfer; status is a word, code the SIP
// status it stands for, 0 for none.
func (s *session) progress(status string, code int) {
	fields := []Field{F("id", s.moving.id), F("status", status)}
	if code > 0 {
		fields = append(fields, F("code", code))
	}
	s.event(EventTransferProgress, fields...)
}

// refer sends the caller away by REFER; dials tells that it is the first way
// tried. It returns at once: the answer is referred, what comes of it
// ReferProgress.
func (s *session) refer(to telephony.ReferTo, dials bool) {
	s.moving.referring = true
	s.progress("refer", 0)
	ctx, cancel := context.WithCancel(s.ctx)
	s.moving.cancel = cancel
	id, leg, claim := s.moving.id, s.leg, s.claim(s.moving.to.To)
	s.wg.Go(func() {
		err := guarded(func() error {
			if dials {
				if err := claim(ctx); err != nil {
					return err
				}
			}
			return leg.Refer(ctx, to)
		})
		s.work.put(referred{id, err})
	})
}

// errClaim is a call that the limits of dialling do not leave room for.
var errClaim = errors.New("no further call may be dialled now")

// claim counts a call that is to be dialled against the limits (SEC-5).
func (s *session) claim(to string) func(context.Context) error {
	return func(ctx context.Context) error { return s.e.claim(ctx, to) }
}

// referred is the answer to a REFER: refused, it is done by a leg of our own
// and a bridge, at once (telephony.md 4.1).
func (s *session) referred(m referred) {
	if m.id != s.moving.id || !s.moving.referring || m.err == nil {
		return
	}
	s.moving.referring = false
	switch {
	case errors.Is(m.err, errClaim):
		s.transferFailed(outcome{ResultFailed, m.err.Error()})
	case !errors.Is(m.err, telephony.ErrNoRefer):
		s.transferFailed(outcome{ResultFailed, m.err.Error()})
	default:
		s.log.Info("no transfer by REFER: a bridge does it", zap.Error(m.err))
		s.progress("refer_refused", 0)
		s.notReferred()
	}
}

// notReferred goes on without the peer's help.
func (s *session) notReferred() {
	if s.moving.consult != nil { // both are there
		s.join()
		return
	}
	s.consultTarget(true)
}

// referProgress is what the peer tells of a REFER.
func (s *session) referProgress(p telephony.ReferProgress) {
	if s.moving.id == "" || !s.moving.referring {
		return
	}
	switch {
	case !p.Final:
		s.progress(statusWord(p.Status), p.Status)
		return
	case p.Unknown:
		s.moving.referring = false
		s.progress("refer_unknown", p.Status)
		s.notReferred()
		return
	}
	s.moving.referring = false
	switch {
	case p.Status < 300:
		s.transferOver(outcome{ResultAnswered, ""})
		s.step(turn.TransferResult{ID: s.moving.id, OK: true})
	case s.moving.consult != nil:
		s.progress("refer_refused", p.Status)
		s.notReferred()
	default:
		s.transferFailed(outcomeOf(telephony.Cause{Reason: telephony.ReasonOf(p.Status), Status: p.Status, Text: p.Reason}))
	}
}

// statusWord is a provisional SIP status as transfer.progress tells it.
func statusWord(code int) string {
	switch code {
	case 100:
		return "trying"
	case 180:
		return "ringing"
	case 183:
		return "early_media"
	}
	return "progress"
}

// transferOver writes what the transfer came to, once.
func (s *session) transferOver(o outcome) {
	if s.moving.id == "" || s.moving.finished {
		return
	}
	s.moving.finished = true
	fields := []Field{F("id", s.moving.id), F("result", o.result)}
	if o.reason != "" {
		fields = append(fields, F("reason", o.reason))
	}
	s.event(EventTransferFinished, fields...)
}

// transferFailed gives the caller back to the agent, who tells them why.
func (s *session) transferFailed(o outcome) {
	m := s.moving
	s.transferOver(o)
	s.letGo()
	if s.m.Call() == turn.Handover {
		s.step(turn.TransferResult{ID: m.id, Reason: o.told(), Say: m.failure})
		return
	}
	s.toolDone(toolResult{id: m.call, r: tools.ErrorResult(tools.Failed, o.told(),
		"nobody could be reached: tell the caller why, and help them yourself")})
}

// letGo frees the other party and takes the caller's sound back.
func (s *session) letGo() {
	m := &s.moving
	if m.joined != nil {
		s.unjoin()
	}
	s.listen.away.Store(false)
	if m.cancel != nil {
		m.cancel()
	}
	if m.consult != nil {
		m.consult.cancel()
	}
	*m = handover{n: m.n}
}

// endTransfer is the call's end under a transfer: it frees the other party.
func (s *session) endTransfer(reason EndReason) {
	if s.moving.id == "" {
		return
	}
	switch {
	case reason == turn.EndTransfer && s.moving.referring: // the leg's end overtook the word of why
		s.transferOver(outcome{ResultAnswered, ""})
	case reason == turn.EndHangup:
		s.transferOver(outcome{ResultCallerHungUp, string(reason)})
	default:
		s.transferOver(outcome{ResultCancelled, string(reason)})
	}
	if j := s.moving.joined; j != nil {
		j.bridge.Close()
	}
	if c := s.moving.consult; c != nil {
		c.cancel()
	}
}

// claim counts a call that is to be dialled against the limits of all calls.
func (e *Engine) claim(ctx context.Context, to string) error {
	if e.cfg.Claim == nil {
		return nil
	}
	if err := e.cfg.Claim(ctx, to); err != nil {
		return fmt.Errorf("%w: %w", errClaim, err)
	}
	return nil
}

// unclaim takes back the claim of a call that did not leave after all.
func (e *Engine) unclaim() {
	if e.cfg.Unclaim != nil {
		e.cfg.Unclaim()
	}
}
