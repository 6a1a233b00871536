package engine

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/audio/vad"
	"github.com/patchcord/patchcord/engine/turn"
)

// turnModelWait is how long a turn model's answer is of use: the wait by the
// transcript's content has ended then.
const turnModelWait = 500 * time.Millisecond

// turnOdds is a turn model's answer on a voice that has ended.
type turnOdds struct {
	voice int
	p     float64
	err   error
}

// turnModel is what a call knows of the model that judges its turns.
type turnModel struct {
	voices int                // of the caller so far
	stop   context.CancelFunc // ends the question that is open
}

// modelled lets the models that were given to the engine, if any were, hear the
// call: it makes room for the sound that they judge by.
func (s *session) modelled() {
	if c := s.e.cfg.Classifier; c != nil {
		s.listen.vad = vad.Behind(c())
	}
	if s.e.cfg.TurnModel != nil {
		s.listen.atLeast(vad.TurnSound)
	}
}

// askTurnModel asks whether the voice that has just ended was a turn.
func (s *session) askTurnModel() {
	model := s.e.cfg.TurnModel
	if model == nil || s.server != nil {
		return
	}
	ctx, stop := context.WithTimeout(s.ctx, turnModelWait)
	s.odds.stop = stop
	pcm, rate, voice, work := s.listen.heard(vad.TurnSound), s.rate, s.odds.voices, s.work
	s.wg.Go(func() {
		defer stop()
		var p float64
		err := guarded(func() (err error) { p, err = model.Ended(ctx, pcm, rate); return err })
		if ctx.Err() == nil {
			work.put(turnOdds{voice, p, err})
		}
	})
}

// newVoice ends a question whose answer is of no use any more.
func (t *turnModel) newVoice() {
	t.voices++
	if t.stop != nil {
		t.stop()
		t.stop = nil
	}
}

// judged is the model's answer.
func (s *session) judged(o turnOdds) {
	switch {
	case o.err != nil:
		s.log.Warn("turn model failed", zap.Error(o.err))
	case o.voice == s.odds.voices:
		s.step(turn.EOT{P: o.p})
	}
}
