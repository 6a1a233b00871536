package turn

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

const ms = time.Millisecond

// script runs a machine on a clock of its own and keeps what it did, as text.
type script struct {
	t   *testing.T
	m   *Machine
	now time.Duration
	did []string
	gen Gen // the newest
}

func start(t *testing.T, p Policy, greeting string) *script {
	t.Helper()
	s := &script{t: t, m: New(p)}
	s.on(Answered{Greeting: greeting})
	return s
}

// on steps an event now.
func (s *script) on(evs ...Event) *script {
	s.t.Helper()
	for _, ev := range evs {
		for _, e := range s.m.Step(ev, s.now) {
			s.note(e)
		}
	}
	return s
}

func (s *script) note(e Effect) {
	switch e := e.(type) {
	case StartReply:
		s.gen = e.G
	case Say:
		s.gen = e.G
	}
	name := strings.TrimPrefix(reflect.TypeOf(e).String(), "turn.")
	s.did = append(s.did, fmt.Sprintf("%d %s%+v", s.now.Milliseconds(), name, e))
}

// wait lets time pass; due timers fire at their time.
func (s *script) wait(d time.Duration) *script {
	s.t.Helper()
	until := s.now + d
	for {
		at, ok := s.m.Next()
		if !ok || at > until {
			break
		}
		s.now = max(at, s.now)
		s.on(Tick{})
	}
	s.now = until
	return s
}

// speak is a caller's voice of some length, reported as a detector would.
func (s *script) speak(d time.Duration) *script {
	s.t.Helper()
	from := s.now
	s.wait(60 * ms).on(VoiceStart{At: from})
	if d >= 200*ms {
		s.wait(140 * ms).on(Voiced{})
	}
	s.wait(from + d + 200*ms - s.now).on(VoiceEnd{At: from + d})
	return s
}

// sound lets the newest reply be synthesised and begin to sound.
func (s *script) sound() *script {
	s.t.Helper()
	return s.on(Audio{s.gen}, Fed{s.gen, true}, Started{s.gen})
}

// answer lets the newest reply be written, synthesised and begin to sound.
func (s *script) answer(calls ...Call) *script {
	s.t.Helper()
	return s.on(Useful{s.gen}, LLMDone{G: s.gen, Words: true, Calls: calls}).sound()
}

// saw is the time of the first effect that contains text, after from.
func (s *script) saw(text string) (time.Duration, bool) {
	for _, d := range s.did {
		at, rest, _ := strings.Cut(d, " ")
		if strings.Contains(rest, text) {
			var n int64
			if _, err := fmt.Sscan(at, &n); err != nil {
				s.t.Fatal(err)
			}
			return time.Duration(n) * ms, true
		}
	}
	return 0, false
}

func (s *script) want(texts ...string) *script {
	s.t.Helper()
	for _, text := range texts {
		if _, ok := s.saw(text); !ok {
			s.t.Fatalf("no effect %q in:\n%s", text, strings.Join(s.did, "\n"))
		}
	}
	return s
}

func (s *script) not(texts ...string) *script {
	s.t.Helper()
	for _, text := range texts {
		if _, ok := s.saw(text); ok {
			s.t.Fatalf("unwanted effect %q in:\n%s", text, strings.Join(s.did, "\n"))
		}
	}
	return s
}

func (s *script) forget() *script { s.did = nil; return s }

func TestTurnIsCommittedFromTheEndOfSpeech_INV15(t *testing.T) {
	for _, c := range []struct {
		name, text string
		wait       time.Duration
	}{
		{"a finished sentence", "I want to order a lamp.", 300 * ms},
		{"a short answer", "yes", 300 * ms},
		{"words without an end", "I want to order a lamp", 600 * ms},
		{"an unfinished phrase", "I want to order a lamp and", 1200 * ms},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, Policy{}, "").wait(time.Second)
			s.speak(time.Second)
			end := s.now - 200*ms
			s.on(Final{Text: c.text}).wait(3 * time.Second)
			at, ok := s.saw("CommitUser")
			if !ok || at != end+c.wait {
				t.Fatalf("committed at %v (%v), want %v after %v:\n%s", at, ok, c.wait, end, strings.Join(s.did, "\n"))
			}
		})
	}
}

func TestConfirmedEndpointCommitsAtOnce(t *testing.T) {
	s := start(t, Policy{}, "").wait(time.Second).speak(time.Second).wait(100 * ms)
	s.on(Final{Text: "I want to order a lamp and", Endpointed: true}).want("CommitUser", "StartReply")
}

func TestConfirmedEndpointWaitsForTheVoice_INV14(t *testing.T) {
	s := start(t, Policy{}, "").wait(time.Second)
	s.on(VoiceStart{At: s.now}).wait(time.Second).on(Final{Text: "hello there", Endpointed: true})
	s.not("CommitUser").on(VoiceEnd{At: s.now - 200*ms}).want("CommitUser")
}

func TestFinalThatIsOwedIsWaitedFor(t *testing.T) {
	s := start(t, Policy{}, "").wait(time.Second)
	s.on(VoiceStart{At: s.now}).wait(time.Second).on(Interim{Text: "send it"}).on(VoiceEnd{At: s.now - 200*ms})
	s.wait(900 * ms).not("CommitUser").on(Final{Text: "send it tomorrow"}).want("Text:send it tomorrow")
}

func TestCallerGoesOnBeforeTheCommit(t *testing.T) {
	s := start(t, Policy{}, "").wait(time.Second).speak(time.Second).on(Final{Text: "my name is"})
	s.wait(300 * ms).speak(400 * ms).on(Final{Text: "John Doe"}).wait(time.Second)
	s.want("CommitUser{Turn:1 Rev:1 Text:my name is John Doe")
}

// talking is a call whose agent is in the middle of its first answer.
func talking(t *testing.T) *script {
	t.Helper()
	s := start(t, Policy{}, "").wait(time.Second).speak(time.Second).on(Final{Text: "tell me more."})
	s.wait(time.Second).answer().wait(2 * time.Second)
	if s.m.Agent() != Audible {
		t.Fatalf("agent is %v", s.m.Agent())
	}
	return s.forget()
}

func TestBargeIn_convB6(t *testing.T) {
	s := talking(t)
	onset := s.now
	s.wait(60 * ms).on(VoiceStart{At: onset}).wait(140 * ms).on(Voiced{}).wait(160 * ms)
	at, ok := s.saw("Pause")
	if !ok || at-onset != 200*ms {
		t.Fatalf("paused after %v, want 200 ms", at-onset)
	}
	s.not("Cancel").on(Interim{Text: "no wait"}).want("Cancel{G:1 Reason:barge_in Proof:stop Interrupted:true}")
	s.wait(300 * ms).on(VoiceEnd{At: s.now - 200*ms}).on(Final{Text: "no wait, my other order"}).wait(time.Second)
	s.want("CommitUser{Turn:2 Rev:0 Text:no wait, my other order")
}

func TestCoughPausesAndResumes_convB3(t *testing.T) {
	s := talking(t)
	s.speak(400 * ms)
	end := s.now - 200*ms
	s.want("Pause").wait(50 * ms).on(Final{}).wait(2 * time.Second)
	at, ok := s.saw("Resume")
	if !ok || at-end > 500*ms {
		t.Fatalf("resumed %v after the cough (%v)", at-end, ok)
	}
	s.not("CommitUser", "Cancel")
}

func TestPauseEndsWithoutARecogniser_INV4(t *testing.T) {
	s := talking(t)
	s.speak(400 * ms).wait(2 * time.Second)
	at, ok := s.saw("Resume")
	if !ok || at > s.now {
		t.Fatal("never resumed")
	}
}

func TestShortNoiseDoesNotPause_convB2(t *testing.T) {
	talking(t).speak(150*ms).on(Final{}).wait(2*time.Second).not("Pause", "Cancel")
}

func TestBackchannelDoesNotInterrupt_convB4(t *testing.T) {
	talking(t).speak(400*ms).on(Final{Text: "mm-hmm"}).wait(2*time.Second).
		want("Drop{Text:mm-hmm Reason:backchannel}", "Resume").not("Cancel", "CommitUser")
}

func TestBackchannelAnswersAQuestion_convB5(t *testing.T) {
	s := talking(t)
	s.on(Played{s.gen}).wait(300 * ms).speak(400 * ms).on(Final{Text: "yeah"}).wait(time.Second)
	s.want("Finish", "CommitUser{Turn:2 Rev:0 Text:yeah")
}

func TestForcedBargeInWithoutRecogniser(t *testing.T) {
	s := talking(t)
	s.on(STTDown{true}).on(VoiceStart{At: s.now}).wait(790 * ms).not("Cancel").wait(20 * ms).want("Proof:force")
}

func TestWordsBeforeTheAnswerAreAbsorbed_INV11(t *testing.T) {
	s := start(t, Policy{}, "").wait(time.Second).speak(time.Second).on(Final{Text: "my order is late."}).wait(time.Second)
	s.want("StartReply{G:1")
	s.speak(500 * ms).on(Final{Text: "it is number four."}).wait(time.Second)
	s.want("Cancel{G:1 Reason:absorbed", "Text:my order is late. it is number four.", "Amend:true", "StartReply{G:2 Turn:1")
}

func TestSoundWithoutWordsOnlyHoldsTheAnswer_INV6(t *testing.T) {
	s := start(t, Policy{}, "").wait(time.Second).speak(time.Second).on(Final{Text: "hello."}).wait(time.Second)
	s.on(VoiceStart{At: s.now}).wait(300 * ms)
	s.on(Useful{1}, LLMDone{G: 1, Words: true}, Audio{1}).not("Play", "Cancel")
	held := s.now
	s.wait(3 * time.Second)
	if at, ok := s.saw("Play"); !ok || at-held > 1500*ms {
		t.Fatalf("held for %v (%v)", at-held, ok)
	}
}

func TestDuplicateFinalIsOneTurn_convB11(t *testing.T) {
	s := start(t, Policy{}, "").wait(time.Second).speak(time.Second).on(Final{Text: "hello there."}).wait(time.Second)
	s.on(Final{Text: "Hello there"}).wait(2*time.Second).want("Reason:duplicate").not("absorbed", "Turn:2")
}

func TestLockedSpeechKeepsWords_INV7(t *testing.T) {
	s := &script{t: t, m: New(Policy{})}
	s.on(Answered{Greeting: "This call is recorded.", Locked: true}).sound().wait(time.Second)
	s.speak(500*ms).on(Final{Text: "stop it please."}).wait(time.Second).not("Cancel", "CommitUser", "Pause")
	s.on(Played{1}).wait(10 * ms).want("CommitUser{Turn:1 Rev:0 Text:stop it please.")
}

func TestMissedWordsAreAskedForOnce_convB9(t *testing.T) {
	s := start(t, Policy{}, "").wait(time.Second).speak(time.Second).on(Final{})
	s.want("stt_miss", "Kind:repeat").sound().wait(time.Second).on(Played{s.gen}).forget()
	s.wait(time.Second).speak(time.Second).on(Final{}).not("stt_miss")
}

func TestWordsWithoutAVoiceOpenATurn_convB10(t *testing.T) {
	s := start(t, Policy{}, "").wait(5 * time.Second).on(Final{Text: "hello."}).not("CommitUser")
	s.wait(300 * ms).want("CommitUser")
}

func TestEchoIsNoTurn_convE2(t *testing.T) {
	talking(t).speak(time.Second).on(Final{Text: "your order was shipped", Echo: true}).wait(2*time.Second).
		want("Reason:echo", "Resume").not("CommitUser", "Cancel")
}

// What was taken for a voice until our echo was known is none: our speech goes
// on at once, and no words are owed for it.
func TestEchoIsNoVoice_convE1(t *testing.T) {
	s := talking(t)
	s.on(VoiceStart{At: s.now}).wait(210 * ms).on(Voiced{}).want("Pause").wait(100 * ms).forget()
	s.on(VoiceEnd{At: s.now - 40*ms, Echo: true}).wait(20 * ms).want("Resume").wait(time.Second)
	s.on(Final{Text: "huh", Echo: true}).wait(5*time.Second).want("Reason:echo").not("CommitUser", "Cancel", "Kind:repeat")

	s = talking(t)
	s.on(VoiceStart{At: s.now}).wait(210 * ms).on(Voiced{}).want("Pause").wait(600 * ms)
	s.on(VoiceEnd{At: s.now - 200*ms}).wait(100 * ms).not("Resume")
	s.on(VoiceEnd{At: s.now - 300*ms, Echo: true}).wait(20 * ms).want("Resume") // it had ended
	s.wait(300*ms).on(Played{1}).wait(5*time.Second).not("stt_miss", "Kind:repeat")
}

func TestBridgeWhileAToolRuns_convW7(t *testing.T) {
	s := start(t, Policy{}, "").wait(time.Second).speak(time.Second).on(Final{Text: "where is it?"}).wait(time.Second)
	s.on(LLMDone{G: 1, Calls: []Call{{ID: "a", Name: "look", Bridge: "One moment."}}})
	s.want("RunTool{ID:a}", "Kind:bridge", "Text:One moment.").sound()
	s.wait(800 * ms).on(Played{s.gen}).wait(700 * ms).forget().on(ToolDone{ID: "a"}).want("StartReply{G:3 Turn:1 Step:1")
	s.answer().want("Play{G:3}")
}

func TestAnswerEndsTheBridgeWithItsClause_convW7(t *testing.T) {
	s := start(t, Policy{}, "").wait(time.Second).speak(time.Second).on(Final{Text: "where is it?"}).wait(time.Second)
	s.on(LLMDone{G: 1, Calls: []Call{{ID: "a", Name: "look", Bridge: "One moment, I am looking for it."}}}).sound()
	s.wait(300*ms).on(ToolDone{ID: "a"}, Useful{3}, LLMDone{G: 3, Words: true}).not("Shorten")
	s.on(Audio{3}).want("Shorten{G:2}").forget().on(Fed{3, true}).not("Shorten", "Play")
	s.wait(200 * ms).on(Played{2}).wait(130 * ms).not("Play").wait(20 * ms).want("Play{G:3}")
}

func TestFastToolNeedsNoBridge(t *testing.T) {
	s := start(t, Policy{}, "").wait(time.Second).speak(time.Second).on(Final{Text: "where is it?"}).wait(time.Second)
	s.on(LLMDone{G: 1, Calls: []Call{{ID: "a", Name: "look", Bridge: "One moment."}}})
	s.on(ToolDone{ID: "a"}).want("Cancel{G:2 Reason:overtaken").not("Play")
}

func TestSecondSentenceOfASlowTool(t *testing.T) {
	s := start(t, Policy{}, "").wait(time.Second).speak(time.Second).on(Final{Text: "where is it?"}).wait(time.Second)
	began := s.now
	s.on(LLMDone{G: 1, Calls: []Call{{ID: "a", Name: "look", Bridge: "One moment.", Second: "Still looking."}}})
	s.sound().wait(time.Second).on(Played{s.gen}).wait(5 * time.Second)
	if at, ok := s.saw("Text:Still looking."); !ok || at-began != 4*time.Second {
		t.Fatalf("second sentence after %v (%v)", at-began, ok)
	}
}

func TestToolsAreAskedAboutOnce_convW2(t *testing.T) {
	s := start(t, Policy{}, "").wait(time.Second).speak(time.Second).on(Final{Text: "both."}).wait(time.Second)
	s.on(LLMDone{G: 1, Calls: []Call{{ID: "a"}, {ID: "b"}}}).want("RunTool{ID:a}", "RunTool{ID:b}").forget()
	s.on(ToolDone{ID: "b"}).not("StartReply").on(ToolDone{ID: "a"}).want("StartReply")
}

func TestExactSentenceNeedsNoModel_convW8(t *testing.T) {
	s := start(t, Policy{}, "").wait(time.Second).speak(time.Second).on(Final{Text: "yes."}).wait(time.Second)
	s.on(LLMDone{G: 1, Calls: []Call{{ID: "a"}}}).forget()
	s.on(ToolDone{ID: "a", Say: "Parfait."}).want("Text:Parfait.").not("StartReply")
}

func TestSilentToolLeavesTheFloor_T08(t *testing.T) {
	s := start(t, Policy{}, "").wait(time.Second).speak(time.Second).on(Final{Text: "yes."}).wait(time.Second)
	s.on(LLMDone{G: 1, Calls: []Call{{ID: "a", Silently: true}}}).forget().on(ToolDone{ID: "a"}).not("StartReply", "Say")
	if s.m.Agent() != Idle {
		t.Fatalf("agent is %v", s.m.Agent())
	}
}

func TestToolsOfADiscardedReplyNeverRun_INV25(t *testing.T) {
	s := talking(t)
	s.on(VoiceStart{At: s.now}).wait(300 * ms).on(Interim{Text: "something else"})
	s.on(LLMDone{G: 1, Calls: []Call{{ID: "x"}}}).want("SettleTool{ID:x OK:false Code:cancelled}").not("RunTool")
}

func TestBargeInKeepsEffectsAndCancelsReads_convW13(t *testing.T) {
	s := start(t, Policy{}, "").wait(time.Second).speak(time.Second).on(Final{Text: "book it."}).wait(time.Second)
	s.on(LLMDone{G: 1, Calls: []Call{{ID: "w", Bridge: "Booking."}, {ID: "r", Class: ClassRead}}}).sound().wait(500 * ms)
	s.on(VoiceStart{At: s.now}).wait(400 * ms).on(Interim{Text: "actually another one"})
	s.want("Cancel{G:2 Reason:barge_in", "SettleTool{ID:r OK:false Code:cancelled}").not("SettleTool{ID:w")
	s.forget().on(ToolDone{ID: "w"}).not("StartReply")
}

func TestEndCallWaitsForTheGoodbye_INV33(t *testing.T) {
	s := start(t, Policy{}, "").wait(time.Second).speak(time.Second).on(Final{Text: "bye."}).wait(time.Second)
	s.answer(Call{ID: "e", Class: ClassTerminal}).wait(3*time.Second).not("SettleTool", "HangUp")
	end := s.now
	s.on(Played{1}).want("SettleTool{ID:e OK:true").wait(time.Second)
	if at, ok := s.saw("HangUp{Reason:agent_done}"); !ok || at-end != 200*ms {
		t.Fatalf("hung up %v after the last sample (%v)", at-end, ok)
	}
}

func TestEndCallWithoutWordsSaysItsGoodbye_convH6(t *testing.T) {
	s := start(t, Policy{}, "").wait(time.Second).speak(time.Second).on(Final{Text: "bye."}).wait(time.Second)
	s.on(LLMDone{G: 1, Calls: []Call{{ID: "e", Class: ClassTerminal, Goodbye: "Have a good day."}}})
	s.want("Kind:goodbye", "Text:Have a good day.").sound().wait(time.Second).on(Played{s.gen}).wait(time.Second).want("HangUp")
}

func TestLastLookBeforeTheEnd_convH7(t *testing.T) {
	s := start(t, Policy{}, "").wait(time.Second).speak(time.Second).on(Final{Text: "bye."}).wait(time.Second)
	s.on(VoiceStart{At: s.now}).wait(100 * ms)
	s.on(LLMDone{G: 1, Calls: []Call{{ID: "e", Class: ClassTerminal}}}).want("Code:caller_resumed").not("HangUp", "ended")
}

func TestDrainingIsBounded_INV34(t *testing.T) {
	s := start(t, Policy{}, "").wait(time.Second).on(End{Reason: EndAPI})
	s.wait(11 * time.Second)
	if at, ok := s.saw("HangUp{Reason:api}"); !ok || at != 11*time.Second {
		t.Fatalf("hung up at %v (%v)", at, ok)
	}
}

func TestSilenceIsPromptedThenEnded_convI4(t *testing.T) {
	s := start(t, Policy{}, "Hello.").sound().wait(time.Second).on(Played{1})
	var prompts []time.Duration
	for range 2 {
		s.forget().wait(8 * time.Second)
		at, ok := s.saw("Kind:reprompt")
		if !ok {
			t.Fatalf("no prompt by %v", s.now)
		}
		prompts = append(prompts, at)
		s.sound().on(Played{s.gen})
	}
	s.forget().wait(8 * time.Second).want("Kind:goodbye").sound().on(Played{s.gen}).wait(time.Second).want("HangUp{Reason:silence}")
	if prompts[0] != 9*time.Second || prompts[1] != 17*time.Second {
		t.Fatalf("prompts at %v", prompts)
	}
}

func TestNoSilencePromptWhileAToolRuns_INV31(t *testing.T) {
	s := start(t, Policy{}, "").wait(time.Second).speak(time.Second).on(Final{Text: "go."}).wait(time.Second)
	s.on(LLMDone{G: 1, Calls: []Call{{ID: "a"}}}).forget().wait(12 * time.Second).not("reprompt")
}

func TestDeadAirIsFilled_convL4(t *testing.T) {
	s := start(t, Policy{}, "").wait(time.Second).speak(time.Second).on(Final{Text: "hello."}).wait(100 * ms)
	commit, _ := s.saw("CommitUser")
	s.wait(2500 * ms)
	if at, ok := s.saw("Kind:filler"); !ok || at-commit != 2*time.Second {
		t.Fatalf("filler after %v (%v)", at-commit, ok)
	}
	s.sound().wait(time.Second).on(Played{s.gen}).wait(8*time.Second).want("Cancel{G:1 Reason:too_slow", "Kind:apology")
}

func TestFailedModelApologisesThenGivesUp(t *testing.T) {
	s := start(t, Policy{}, "").wait(time.Second)
	for i := range 3 {
		s.speak(time.Second).on(Final{Text: "hello."}).wait(time.Second)
		s.on(LLMErr{G: s.gen})
		if i < 2 {
			s.want("Kind:apology").forget().sound().wait(time.Second).on(Played{s.gen}).wait(time.Second)
		}
	}
	s.want("Kind:goodbye").sound().on(Played{s.gen}).wait(time.Second).want("HangUp{Reason:vendor_failed}")
}

func TestEmptyCompletionApologises_convL6(t *testing.T) {
	s := start(t, Policy{}, "").wait(time.Second).speak(time.Second).on(Final{Text: "hello."}).wait(time.Second)
	s.on(LLMDone{G: 1}).want("Kind:apology")
}

func TestFirstReplyWaitsForPreCallTools_convW17(t *testing.T) {
	s := &script{t: t, m: New(Policy{})}
	s.on(Answered{PreCall: true}).wait(100 * ms).speak(500 * ms).on(Final{Text: "hi."}).wait(300 * ms)
	s.want("CommitUser").not("StartReply")
	s.on(PreCallDone{}).want("StartReply")
}

func TestFirstReplyWaitsTwoSecondsAtMost(t *testing.T) {
	s := &script{t: t, m: New(Policy{})}
	s.on(Answered{PreCall: true}).wait(100 * ms).speak(500 * ms).on(Final{Text: "hi."}).wait(5 * time.Second)
	if at, ok := s.saw("StartReply"); !ok || at != 2*time.Second {
		t.Fatalf("started at %v (%v)", at, ok)
	}
}

func TestKeysEndATurn_INV42(t *testing.T) {
	s := talking(t)
	s.on(Digit{'1'}).want("Proof:digit").on(Digit{'2'}).on(Digit{'#'}).want("Text:DTMF 12 ")
	s.forget().answer().wait(time.Second).on(Played{s.gen}).on(Digit{'7'}).wait(2900 * ms).not("CommitUser")
	s.wait(200 * ms).want("Text:DTMF 7 ")
}

func TestHoldFreezesSpeech_convH11(t *testing.T) {
	s := talking(t)
	s.on(Hold{true}).want("Pause").wait(20*time.Second).not("reprompt", "HangUp").on(Hold{false}).want("Resume")
}

func TestReplyWithoutSoundIsNotSpoken_INV38(t *testing.T) {
	s := start(t, Policy{}, "").wait(time.Second).speak(time.Second).on(Final{Text: "hello."}).wait(time.Second)
	s.on(LLMDone{G: 1, Words: true}, Fed{1, false}).want("Cancel{G:1 Reason:no_audio", "no_audio", "Kind:apology")
	s.on(Fed{s.gen, false}) // and no voice for that either
	s.wait(9 * time.Second).want("Kind:reprompt")
}

func TestSplitTurnIsOneItem_convB13(t *testing.T) {
	s := start(t, Policy{}, "").wait(time.Second).speak(time.Second).on(Final{Text: "my name is John."}).wait(time.Second)
	s.answer().wait(100 * ms)
	s.on(VoiceStart{At: s.now}).wait(300 * ms).on(Interim{Text: "Doe"}).wait(100 * ms)
	s.on(VoiceEnd{At: s.now - 200*ms}).on(Final{Text: "Doe."}).wait(time.Second)
	s.want("Text:my name is John. Doe.", "Amend:true")
}

// What the API says while a model is slow is said at once, and not thrown away
// with the answer that never comes; nor does it leave the line silent.
func TestAPISpeaksAheadOfAnAnswerThatStalls(t *testing.T) {
	s := start(t, Policy{}, "").wait(time.Second).on(Digit{'1'}).wait(3 * time.Second).want("StartReply{G:1")
	s.wait(time.Second).on(SayText{Text: "A note."}).want("Say{G:2").on(Audio{2}).want("Play{G:2").forget()
	s.on(Fed{2, true}, Started{2}).wait(time.Second).on(Played{2}).wait(2100 * ms).want("One moment")

	s = start(t, Policy{}, "").wait(time.Second).on(Digit{'1'}).wait(3 * time.Second).want("StartReply{G:1")
	s.on(SayText{Text: "A note."}).wait(11 * time.Second).want("Cancel{G:1 Reason:too_slow").not("Cancel{G:2")
}

// Keys that are complete wait for words that are being said (conv:D4, INV14).
func TestKeysDoNotEndATurnInTheMiddleOfWords_convD4(t *testing.T) {
	s := start(t, Policy{}, "").wait(time.Second).on(Digit{'1'}).wait(time.Second).on(VoiceStart{At: 2 * time.Second})
	s.wait(time.Second).on(Interim{Text: "my name is"}).wait(2 * time.Second).not("CommitUser")
	s.on(Interim{Text: "my name is John"}).wait(500 * ms).on(VoiceEnd{At: s.now}).not("CommitUser")
	s.on(Final{Text: "my name is John."}).wait(time.Second).want("Text:DTMF 1; said: my name is John.").not("Turn:2")
}

// A filler that the voice has no sound for is followed by another before the
// line was silent for 3 s (conv:L4).
func TestFillerWithoutSoundIsFollowedAtOnce_convL4(t *testing.T) {
	s := start(t, Policy{}, "").wait(time.Second).on(Digit{'1'}).wait(5 * time.Second).want("Say{G:2 Kind:filler").forget()
	s.on(Fed{2, false}).wait(600 * ms).want("Say{G:3 Kind:filler")
}
