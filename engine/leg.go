package engine

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/telephony"
)

// pumpLeg brings the leg's events to the session.
func (s *session) pumpLeg() {
	for ev := range s.leg.Events() {
		switch ev.(type) {
		case telephony.Ended:
			s.ctl.must(legEvent{ev})
		case telephony.SignalTrace: // one less in the log is no harm
			s.ctl.put(legEvent{ev})
		default:
			if !s.ctl.put(legEvent{ev}) {
				s.ctl.must(overload{})
			}
		}
	}
	s.ctl.must(legEvent{telephony.Ended{}})
}

// legEvent is what happened to the leg.
func (s *session) legEvent(ev telephony.Event) {
	switch e := ev.(type) {
	case telephony.Digit:
		if s.talking() {
			s.between(e, s.moving.joined.caller)
			return
		}
		s.pressed(e)
	case telephony.Held:
		s.event(EventCallHeld)
		s.step(turn.Hold{On: true})
	case telephony.Resumed:
		s.event(EventCallResumed)
		s.step(turn.Hold{On: false})
	case telephony.MediaLost:
		s.log.Info("media lost", zap.Duration("silent", e.Silent))
		s.step(turn.MediaLost{})
	case telephony.MediaFailed:
		s.log.Error("the call's sound failed", zap.Any("event", e))
		s.hangUp(EndFailed)
	case telephony.SignalTrace:
		s.event(EventSIPMessage, F("dir", e.Dir), F("method", e.Method), F("status", e.Status), F("cseq", e.CSeq))
	case telephony.Ended:
		s.legEnded(e.Cause)
	case telephony.FormatChanged:
		s.record.Codec, s.record.SRTP = e.Codec, s.leg.Info().SRTP
	case telephony.PartyChanged:
		info := s.leg.Info()
		s.record.Codec, s.record.SRTP = info.Codec, info.SRTP
		s.event(EventCallPassedOn, F("by", e.By), F("from", info.From), F("to", info.To))
	case telephony.ReferProgress:
		s.referProgress(e)
	case telephony.Ringing, telephony.EarlyMedia, telephony.Answered, telephony.ReferAsked:
	}
}

// legEnded is the end from the other side.
func (s *session) legEnded(c telephony.Cause) {
	if s.ended {
		return
	}
	if s.answered {
		s.step(turn.Bye{})
	}
	s.ended, s.cause = true, c
	s.record.EndReason = endReason(c, s.answered)
}

// endReason is the call's end for a leg's.
func endReason(c telephony.Cause, answered bool) EndReason {
	switch c.Reason {
	case telephony.ReasonMediaTimeout:
		return turn.EndMedia
	case telephony.ReasonNoMedia:
		return EndNoMedia
	case telephony.ReasonBusy:
		return EndBusy
	case telephony.ReasonNoAnswer:
		return EndNoAnswer
	case telephony.ReasonRejected, telephony.ReasonNoCodec, telephony.ReasonNotSecure, telephony.ReasonOverload,
		telephony.ReasonDraining:
		return EndRejected
	case telephony.ReasonBadNumber:
		return EndBadNum
	case telephony.ReasonCancelled:
		return EndCanceled
	case telephony.ReasonNormal, "":
		if answered {
			return turn.EndHangup
		}
		return EndCanceled
	case telephony.ReasonTransferred:
		return turn.EndTransfer
	case telephony.ReasonSession, telephony.ReasonNoAck, telephony.ReasonCongestion,
		telephony.ReasonFailed:
	}
	return EndFailed
}

func causeOf(ctx context.Context) telephony.Cause {
	var h *telephony.HangupError
	if errors.As(context.Cause(ctx), &h) {
		return h.Cause
	}
	return telephony.Cause{Reason: telephony.ReasonNormal}
}
