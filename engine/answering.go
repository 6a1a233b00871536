package engine

import (
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/telephony"
)

// gate is what the greeting waits for: an outbound call is answered by somebody
// who speaks first (conv:H2).
func (s *session) gate() turn.Gate {
	switch {
	case s.record.Direction != telephony.Outbound:
		return turn.GateNone
	case s.detect:
		s.amd = newAMD(s.now())
		return turn.GateVerdict
	}
	return turn.GateSilence
}

// answering tells the detector something, while it asks.
func (s *session) answering(tell func(*amd)) {
	if s.amd != nil {
		tell(s.amd)
	}
}

// judge acts on what answered the call, as soon as that is known.
func (s *session) judge() {
	if s.amd == nil || s.ended {
		return
	}
	now := s.now()
	party, cause, ok := s.amd.judge(now)
	after := now - s.amd.answered
	if s.amd.over(now) {
		s.amd = nil
	}
	if !ok {
		return
	}
	s.log.Info("answered by", zap.String("party", string(party)), zap.String("cause", cause), zap.Duration("after", after))
	s.record.AnsweredBy, s.record.AnsweredCause = string(party), cause
	if party == turn.PartyMachine || party == turn.PartyScreening {
		s.event(EventVoicemail, F("answered_by", string(party)), F("cause", cause), F("after_ms", after))
	}
	verdict := turn.Verdict{Class: party}
	switch party {
	case turn.PartyMachine:
		verdict.Message = s.message()
		s.messaged = verdict.Message != ""
		s.listen.mailbox.Store(true)
	case turn.PartyScreening:
		s.amd.screened(now)
	case turn.PartyHuman, turn.PartyUnsure:
	}
	s.step(verdict)
}

// farPlayed tells the machine when a far end that buffers has played all it
// had of us.
func (s *session) farPlayed() {
	if !s.far {
		return
	}
	if f, ok := s.leg.(telephony.Flusher); ok && f.Ahead() > 0 {
		return
	}
	s.far = false
	s.step(turn.FarPlayed{})
}
