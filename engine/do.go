package engine

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/playout"
	"github.com/patchcord/patchcord/audio/stt"
	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/telephony"
)

// step asks the machine what an event means and does it.
func (s *session) step(ev turn.Event) {
	s.stillAsked()
	s.tell(ev)
}

func (s *session) tell(ev turn.Event) {
	now := s.now()
	effects := s.m.Step(ev, now)
	if s.journal != nil {
		s.journal.Step(now, ev, effects)
	}
	for _, e := range effects {
		s.do(e)
	}
	s.startTools()
	s.responder.settled()
	s.maskRecording()
}

// do carries one effect out. It never asks the machine again.
func (s *session) do(effect turn.Effect) {
	switch e := effect.(type) {
	case turn.CommitUser:
		s.committed(e)
	case turn.HeardUser:
		s.heardUser(e)
	case turn.Drop:
		s.dropped(e.Reason)
		s.event(EventTurnDropped, F("text", e.Text), F("reason", e.Reason))
	case turn.StartReply:
		s.responder.ask(e)
	case turn.Adopt:
		s.adopt(e)
	case turn.StopModel:
		s.stopModel(e.G)
	case turn.Say:
		s.responder.say(e)
	case turn.Play:
		s.front, s.frontStarted = e.G, false
		s.out.Play(uint64(e.G))
		if r := s.replies[e.G]; r != nil {
			s.speaking.Store(r.voice)
		}
	case turn.Pause:
		s.account.suspends++
		s.out.Pause()
		s.event(EventSpeechPaused)
	case turn.Resume:
		s.account.resumes++
		back := s.out.Resume(s.m.Policy().ResumeRewind)
		s.event(EventSpeechResumed, F("rewind_ms", back))
	case turn.Shorten:
		s.out.Shorten(uint64(e.G))
	case turn.Cancel:
		s.cancelReply(e)
	case turn.Finish:
		s.close(e.G, s.out.Cancel(uint64(e.G)), turn.Cancel{})
	case turn.RunTool:
		s.runTool(e.ID)
	case turn.SettleTool:
		s.settleTool(e)
	case turn.HoldSound:
		s.holdSound(e.On)
	case turn.EnterNode:
		s.enteredNode(e)
	case turn.News:
		s.news(e.ID)
	case turn.Brief:
		s.transcript.context(e.Text)
	case turn.HandOver:
		s.carryOver(e)
	case turn.KeysDone:
		s.event(EventDTMFCollected, F("reason", e.Reason))
	case turn.ExpectLanguage:
		s.expectLanguage(e.Language)
	case turn.SwitchLanguage:
		s.switchLanguage(e)
	case turn.Note:
		s.note(e)
	case turn.HangUp:
		s.hangUp(e.Reason)
	}
}

// committed keeps what the caller said.
func (s *session) committed(e turn.CommitUser) {
	if !e.Amend { // more words of a turn allow no effect twice
		s.guard.Turn()
		s.consent.told.Turn()
		s.record.Turns++
	}
	text := s.unmasked(e.Turn, e.Text, e.Keys, e.Secret)
	s.callerSaid(text)
	s.heeds(e.Text)
	s.transcript.user(e.Turn, said(text), e.Amend)
	s.transcript.heard(e.Turn, said(text), e.Later)
	if s.front == 0 { // the end of a reply that we were done with
		s.flush(playout.Heard{})
	}
	s.changed()
	if e.Keys != "" {
		s.responder.typed(text)
	}
	it := Item{Role: "user", Text: said(e.Text), Turn: e.Turn, AtMS: s.out.Now().Milliseconds(), Confidence: e.Confidence}
	if e.Amend {
		s.record.amend(it)
	} else {
		s.record.Transcript = append(s.record.Transcript, it)
	}
	if !e.Later {
		s.event(EventTurnUser, F("text", e.Text), F("turn", e.Turn), F("rev", e.Rev), F("confidence", e.Confidence))
	}
	if !e.Amend {
		s.closeTurn()
	}
	s.stages.committed(e.Turn, e.End, s.lastFinal, s.now())
	s.account.quiet = e.End
	if s.listen != nil && e.Keys == "" {
		s.listen.turn(s.start.Add(e.End), s.clock())
	}
}

// heardUser keeps what the caller said in a turn that was committed before its
// words were known.
func (s *session) heardUser(e turn.HeardUser) {
	text := said(e.Text)
	s.callerSaid(e.Text)
	s.heeds(e.Text)
	s.transcript.heard(e.Turn, said(s.unmasked(e.Turn, e.Text, e.Keys, e.Secret)), e.Later)
	for i := range s.record.Transcript {
		if it := &s.record.Transcript[i]; it.Role == "user" && it.Turn == e.Turn {
			it.Text = text
		}
	}
	if !e.Later {
		s.event(EventTurnUser, F("text", e.Text), F("turn", e.Turn), F("rev", 0), F("confidence", 0))
	}
}

// said is what the conversation holds of a turn: words that are not known, not
// yet or never, are not understood.
func said(text string) string {
	if text == "" {
		return llm.NotUnderstood
	}
	return text
}

// amend puts more words in place of a turn's.
func (r *Record) amend(it Item) {
	for i := len(r.Transcript) - 1; i >= 0; i-- {
		if r.Transcript[i].Role == "user" && r.Transcript[i].Turn == it.Turn {
			r.Transcript[i] = it
			return
		}
	}
	r.Transcript = append(r.Transcript, it)
}

// cancelReply ends a reply: the sound first, then everything that
// could make more of it.
func (s *session) cancelReply(e turn.Cancel) {
	if r := s.replies[e.G]; r != nil && r.held != nil {
		s.discard(r, e.Reason)
		return
	}
	h := s.out.Cancel(uint64(e.G))
	if s.front == e.G || e.Interrupted {
		h = s.flush(h)
	}
	if e.Interrupted {
		s.record.BargeIns++
		s.event(EventSpeechInterupted, F("proof", string(e.Proof)), F("heard_ms", sampleTime(h.Samples, s.rate)))
	}
	s.close(e.G, h, e)
}

// flush drops what waits unheard at the leg's far end, whether the reply that
// it is of is over for us or not, and takes it off what counts as heard (INV2).
func (s *session) flush(h playout.Heard) playout.Heard {
	f, ok := s.leg.(telephony.Flusher)
	if !ok || f.Ahead() == 0 {
		return h
	}
	return less(h, audio.Samples(f.Flush(), s.rate))
}

func (s *session) note(e turn.Note) {
	switch e.What {
	case "silence_prompt":
		s.event(EventSilencePrompted, F("n", e.N))
	case "dead_air":
		s.event(EventDeadAir, F("ms", e.N))
	case "false_barge_in":
		s.account.falseAlarms++
	case "stuck":
		s.account.stuck++
		s.log.Warn("the conversation was stuck", zap.String("user", s.m.User().String()),
			zap.String("agent", s.m.Agent().String()))
	default:
		s.log.Info("turn note", zap.String("what", e.What), zap.Int("n", e.N))
	}
}

// hear hands a recogniser's words to the machine.
func (s *session) hear(ev stt.Event) {
	if s.talking() { // with somebody else
		if ev.Kind == stt.Final && ev.Text != "" {
			s.overhear("caller", ev.Text)
		}
		return
	}
	switch ev.Kind {
	case stt.Interim:
		s.answering(func(a *amd) { a.words(ev.Text, false) })
		s.step(turn.Interim{Text: ev.Text, Echo: s.isEcho(ev)})
	case stt.Final:
		s.lastFinal = s.now()
		s.answering(func(a *amd) { a.words(ev.Text, true) })
		if ev.Text != "" {
			s.lastWords.words(s.lastFinal)
		}
		if ev.Endpointed {
			s.listen.finish()
		}
		s.step(turn.Final{
			Text: ev.Text, Confidence: ev.Confidence, Endpointed: ev.Endpointed, Echo: s.isEcho(ev),
			Until: ev.End, Language: ev.Language, Span: max(0, ev.End-ev.Start),
		})
	case stt.Endpoint:
		s.listen.finish()
		s.step(turn.Endpoint{})
	case stt.Eager:
		s.step(turn.Endpoint{Kind: turn.EndpointEager})
	case stt.Resumed:
		s.step(turn.Endpoint{Kind: turn.EndpointResumed})
	}
}

// isEcho says whether words are what the caller's phone picked up of us: ours,
// or misheard ones of a sound that is our echo and no voice (conv:E1, conv:E2).
// Words that may still change wait where the sound is like ours.
func (s *session) isEcho(ev stt.Event) bool {
	now := ""
	if r := s.replies[s.front]; r != nil && s.frontStarted {
		now = s.heard(r, s.out.Position(uint64(s.front))).spoken
		if ev.Kind == stt.Interim && s.listen.sound.alike() {
			return true
		}
	}
	return s.listen.sound.echoed(ev.Start, ev.End) || s.recent.echo(ev.Text, now, s.clock())
}

func (s *session) logStats() {
	st := s.leg.Stats()
	s.record.MOS, s.record.Loss, s.record.Lost = st.MOS, st.Loss, st.PacketsLost
	s.event(EventRTPStats, F("loss", round(st.Loss, 4)), F("jitter_ms", st.Jitter), F("mos", round(st.MOS, 2)),
		F("packets_received", st.PacketsReceived), F("packets_lost", st.PacketsLost))
}

func round(x float64, digits int) float64 {
	scale := 1.0
	for range digits {
		scale *= 10
	}
	return float64(int64(x*scale+0.5)) / scale
}

// hangUp ends the leg from our side.
func (s *session) hangUp(r EndReason) {
	s.ended = true
	s.record.EndReason = r
	cause := telephony.Cause{Reason: telephony.ReasonNormal}
	if r == turn.EndMedia {
		cause.Reason = telephony.ReasonMediaTimeout
		if st := s.leg.Stats(); st.PacketsReceived == 0 {
			cause.Reason, s.record.EndReason = telephony.ReasonNoMedia, EndNoMedia
		}
	}
	s.logStats()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), 5*time.Second)
	defer cancel()
	if err := s.leg.Hangup(ctx, cause); err != nil {
		s.log.Warn("hang up", zap.Error(err))
	}
}

// finish is the call's one teardown, in this order: the turn, the sound, the
// leg, the workers, the recording, the record.
func (s *session) finish(reason EndReason) {
	if reason == "" {
		reason = EndFailed
	}
	s.record.EndReason = reason
	if s.m != nil && s.m.Call() != turn.Ended && s.answered {
		s.safely(func() { s.step(turn.Bye{}) })
	}
	if reason == EndPanic {
		s.safely(func() {
			_ = s.leg.Hangup(context.WithoutCancel(s.ctx), telephony.Cause{Reason: telephony.ReasonFailed})
		})
	}
	if st := s.leg.Stats(); s.answered {
		s.record.MOS, s.record.Loss, s.record.Lost = st.MOS, st.Loss, st.PacketsLost
	}
	s.safely(func() { s.endTransfer(reason) })
	s.safely(func() { s.leg.Connect(nil, nil) })
	s.safely(s.monitor.close)
	s.cancel(nil)
	s.closeTurn()
	s.record.Ended, s.record.Status = s.clock(), StatusEnded
	s.record.Variables = s.kept()
	s.log.Info("call ended", zap.String("end_reason", string(reason)),
		zap.Int64("dur_ms", s.record.Duration().Milliseconds()), zap.Int("turns", s.record.Turns),
		zap.Uint64("rx_lost", s.record.Lost), zap.Int64("first_audio_ms", s.firstSound.Milliseconds()),
		zap.Any("stale_dropped", s.staleDropped()))
	s.e.wg.Go(func() { // whatever fails on the way, the record is closed
		for _, f := range []func(){s.settle, s.closeRecording, s.closeJournal, s.closeRecord, s.tellEnding} {
			s.safely(f)
		}
	})
}

// dropped counts words that were no turn.
func (s *session) dropped(reason string) {
	switch reason {
	case "echo":
		s.account.echoes++
	case "backchannel":
		s.account.backchannels++
	}
}

// staleDropped counts what came of replies that were over, and events that
// meant nothing, by kind (INV46).
func (s *session) staleDropped() map[string]int {
	var counts map[string]int
	if s.m != nil {
		counts = s.m.Ignored()
	}
	if s.stale > 0 {
		if counts == nil {
			counts = map[string]int{}
		}
		counts["model"] = s.stale
	}
	return counts
}

// settle waits for what may outlive the call, effects at work for 30 s at most.
func (s *session) settle() {
	done := make(chan struct{})
	go func() { // ends with the tools, whose own timeouts bound them
		s.detached.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(s.m.Policy().EffectGrace):
		for _, c := range s.calls {
			if c.cancel != nil {
				c.cancel()
			}
		}
		select {
		case <-done:
		case <-time.After(toolGrace): // a tool that does not end when told
		}
	}
	s.dropSpare()
	for {
		item, ok := s.work.take()
		if !ok {
			break
		}
		switch t := item.(type) {
		case spareOpen:
			t.close()
		case toolResult:
			s.lateResult(t)
		case preCallResult:
			s.finishedPreCall(t)
		}
	}
	s.wg.Wait()
}

// closeRecord tells that the call is over, and what it came to.
func (s *session) closeRecord() {
	s.event(EventCallEnded, F("end_reason", string(s.record.EndReason)), F("duration_ms", s.record.Duration()),
		F("turns", s.record.Turns), F("mos", round(s.record.MOS, 2)),
		F("barge_ins", s.record.BargeIns), F("false_barge_ins", s.total.falseAlarms),
		F("v2v_p50_ms", int64(percentile(s.v2v, 0.5))), F("v2v_max_ms", int64(percentile(s.v2v, 1))),
		F("dead_air_max_ms", s.total.deadAir), F("heard_ms", s.total.heard), F("total_ms", s.total.total),
		F("suspends", s.total.suspends), F("resumes", s.total.resumes), F("echo_suppressed", s.total.echoes),
		F("backchannels", s.total.backchannels), F("stale_dropped", s.account.stale), F("stuck", s.total.stuck),
		F("spec_tries", s.record.Speculation.Tries), F("spec_adopted", s.record.Speculation.Adopted),
		F("spec_wasted_tokens", s.record.Speculation.Wasted))
	for i := range s.record.Transcript {
		it := &s.record.Transcript[i]
		it.Text, it.HeardText = s.scrubbed(it.Text), s.scrubbed(it.HeardText)
	}
	s.e.cfg.Journal.Ended(s.record)
}

// lateResult keeps what a tool came to after the call had ended (conv:W16).
func (s *session) lateResult(t toolResult) {
	c := s.calls[t.id]
	s.giveBack(t.r) // its own code: neither its fault nor its delay is the record's
	if c == nil || c.over {
		return
	}
	s.finished(c, t.r)
}

// safely runs teardown code that must not stop the teardown.
func (s *session) safely(f func()) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("teardown panicked", zap.Any("panic", p))
		}
	}()
	f()
}
