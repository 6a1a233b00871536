package turn

import (
	"strings"
	"testing"
	"time"
)

// asked is a call whose caller has asked something and whose model is thinking.
func asked(t *testing.T) *script {
	t.Helper()
	return start(t, Policy{}, "").wait(time.Second).speak(time.Second).on(Final{Text: "where is it?"}).wait(time.Second)
}

func TestSilenceIsCountedThoughAFinalNeverCame_convI6(t *testing.T) {
	s := start(t, Policy{}, "").wait(time.Second)
	s.on(VoiceStart{At: s.now}).wait(time.Second).on(Interim{Text: "hello"}).on(VoiceEnd{At: s.now - 200*ms})
	s.wait(2 * time.Second).want("CommitUser").answer().wait(time.Second).on(Played{s.gen}).forget()
	s.wait(8 * time.Second).want("Kind:reprompt")
}

func TestLateFinalReplacesTheGuess_INV17(t *testing.T) {
	s := start(t, Policy{}, "").wait(time.Second)
	s.on(VoiceStart{At: s.now}).wait(time.Second).on(Interim{Text: "where is my"}).on(VoiceEnd{At: s.now - 200*ms})
	s.wait(1500 * ms).want("Text:where is my ").on(Final{Text: "where is my order"}).wait(time.Second)
	s.want("Reason:absorbed", "Rev:1 Text:where is my order ").not("where is my where")
}

func TestDuplicateFinalDoesNotInterruptTheAnswer_convB11(t *testing.T) {
	s := asked(t).answer().wait(700 * ms).on(Final{Text: "Where is it?"}).wait(time.Second)
	s.want("Reason:duplicate").not("Cancel", "Turn:2")
}

func TestLateFinalUnderTheAnswerIsMoreOfTheTurn_convB12(t *testing.T) {
	s := asked(t).answer().wait(700 * ms).on(Final{Text: "and when does it come?"}).wait(time.Second)
	s.want("Cancel{G:1 Reason:barge_in", "Text:where is it? and when does it come? ", "Amend:true").not("Turn:2")
}

func TestLateEndpointDoesNotHurryTheNextTurn_INV14(t *testing.T) {
	s := talking(t).on(Played{1}).on(Endpoint{}).wait(time.Second).forget().speak(time.Second)
	end := s.now - 200*ms
	s.on(Final{Text: "and a lamp and"}).wait(3 * time.Second)
	if at, ok := s.saw("CommitUser"); !ok || at-end != 1200*ms {
		t.Fatalf("committed %v after the end of speech (%v)", at-end, ok)
	}
}

func TestWordsBesideKeysAreOneItem_convD4(t *testing.T) {
	s := start(t, Policy{}, "").wait(time.Second).speak(time.Second).on(Final{Text: "my number is"})
	s.on(Digit{'1'}, Digit{'2'}).wait(2 * time.Second).not("CommitUser").wait(2 * time.Second)
	s.want("Text:DTMF 12; said: my number is ")
}

func TestTerminatorAloneIsAnAnswer_INV42(t *testing.T) {
	start(t, Policy{}, "").wait(time.Second).on(Digit{'#'}).want("Text:DTMF # ", "StartReply")
}

func TestHeldSpeechStaysSilent_convH11(t *testing.T) {
	s := talking(t).speak(400 * ms).want("Pause").on(Hold{true}).forget().wait(10 * time.Second).not("Resume")
	s.on(Hold{false}).want("Resume")
}

func TestHeldCallMayHaveNoPackets_convI7(t *testing.T) {
	talking(t).on(Hold{true}, MediaLost{}).not("HangUp").on(Hold{false}, MediaLost{}).want("HangUp{Reason:media_timeout}")
}

func TestThinkingGoesOnAfterAHold_INV37(t *testing.T) {
	asked(t).on(Hold{true}).wait(30 * time.Second).on(Hold{false}).wait(3 * time.Second).want("Kind:filler").
		sound().wait(time.Second).on(Played{2}).wait(8 * time.Second).want("Kind:apology")
}

func TestNothingFollowsTheGoodbye_convH7(t *testing.T) {
	s := asked(t).on(SayText{"By the way."})
	s.on(LLMDone{G: 1, Words: true, Calls: []Call{{ID: "e", Class: ClassTerminal}}}, Audio{1}, Fed{1, true}, Started{1})
	s.wait(time.Second).forget().on(Played{1}).want("Cancel{G:2 Reason:draining").wait(time.Second)
	s.want("HangUp").not("Play", "Say{")
}

func TestNoToolStartsInACallThatEnds_INV25(t *testing.T) {
	s := start(t, Policy{MaxCall: 5 * time.Second}, "").wait(time.Second).speak(time.Second)
	s.on(Final{Text: "tell me."}).wait(time.Second).on(Audio{1}, Started{1}).wait(3 * time.Second)
	s.want("Kind:goodbye").on(LLMDone{G: 1, Words: true, Calls: []Call{{ID: "x"}}}).want("SettleTool{ID:x").not("RunTool")
}

func TestEndOfTimeFinishesTheSentenceOnly_convI8(t *testing.T) {
	s := start(t, Policy{MaxCall: 5 * time.Second}, "").wait(time.Second).speak(time.Second)
	s.on(Final{Text: "tell me."}).wait(time.Second).answer().wait(3 * time.Second)
	s.not("Cancel{G:1").wait(5 * time.Second).want("Cancel{G:1 Reason:draining").forget()
	s.on(Audio{2}).want("Play{G:2}").on(Fed{2, true}, Started{2}).wait(3 * time.Second).on(Played{2}).wait(time.Second)
	if at, ok := s.saw("HangUp{Reason:max_duration}"); !ok || at > 20*time.Second {
		t.Fatalf("hung up at %v (%v)", at, ok)
	}
}

func TestCallEndsOnce_INV29(t *testing.T) {
	asked(t).on(LLMDone{G: 1, Words: true, Calls: []Call{{ID: "e", Class: ClassTerminal}, {ID: "f", Class: ClassTerminal}}}).
		want("SettleTool{ID:f OK:false").on(Audio{1}, Fed{1, true}, Started{1}, Played{1}).want("SettleTool{ID:e OK:true")
}

func TestGoodbyeIsNotSaidToWhoGoesOn_convH7(t *testing.T) {
	s := asked(t).on(VoiceStart{At: time.Second}).wait(100 * ms)
	s.on(Audio{1}, LLMDone{G: 1, Words: true, Calls: []Call{{ID: "e", Class: ClassTerminal}}}, Fed{1, true})
	s.want("caller_resumed").on(VoiceEnd{At: s.now}, Final{}).wait(3 * time.Second)
	s.want("Cancel{G:1 Reason:caller_resumed").not("Play{G:1}")
}

func TestStepsOfATurnAreBounded_convW5(t *testing.T) {
	s := asked(t)
	for i := range 5 {
		id := string(rune('a' + i))
		s.on(LLMDone{G: s.gen, Calls: []Call{{ID: id}}}, ToolDone{ID: id})
	}
	s.want("Step:5 NoTools:true").forget().on(LLMDone{G: s.gen, Calls: []Call{{ID: "x"}}})
	s.want("SettleTool{ID:x OK:false Code:too_many_steps}", "Kind:apology").not("RunTool")
}

func TestSilentToolIsNotTheCallersSilence_convI3(t *testing.T) {
	s := asked(t).on(LLMDone{G: 1, Calls: []Call{{ID: "a", Silently: true}}}).wait(9 * time.Second)
	done := s.now
	s.on(ToolDone{ID: "a"}).wait(9 * time.Second)
	if at, ok := s.saw("Kind:reprompt"); !ok || at-done != 8*time.Second {
		t.Fatalf("prompted %v after the tool (%v)", at-done, ok)
	}
}

func TestLongToolIsBridgedAgain_convW7(t *testing.T) {
	s := asked(t).on(LLMDone{G: 1, Calls: []Call{{ID: "a", Bridge: "One moment.", Second: "Still looking."}}})
	said := 0
	for range 60 {
		n := s.gen
		s.wait(500 * ms)
		if s.gen != n || said == 0 {
			said++
			s.sound().wait(500 * ms).on(Played{s.gen})
		}
	}
	if said != 4 {
		t.Fatalf("bridged %d times:\n%s", said, strings.Join(s.did, "\n"))
	}
	s.not("reprompt", "stuck")
}

func TestNoiseDoesNotKeepATurnOpen_INV13(t *testing.T) {
	s := start(t, Policy{}, "").wait(time.Second).on(VoiceStart{At: s0}).wait(time.Second)
	s.on(Final{Text: "where is my order", Endpointed: true}).wait(4900 * ms).not("CommitUser").wait(200 * ms)
	s.want("CommitUser").answer().want("Play{G:1}")
}

const s0 = time.Second

func TestMusicDoesNotSilenceTheAgent_INV4(t *testing.T) {
	s := talking(t).on(VoiceStart{At: 5 * time.Second}).wait(140 * ms).on(Voiced{}).want("Pause")
	s.wait(6*time.Second).want("Resume").not("Cancel", "HangUp")
}

// Sound without words stops the clock of the silence and does not set it back:
// 8 s of silence after the greeting's last sample, and half a second more for
// each of the noises, two seconds at most in all.
func TestNoisePausesTheSilence_convI2_INV36(t *testing.T) {
	for noises, want := range map[int]time.Duration{0: 9000 * ms, 2: 9880 * ms, 6: 11000 * ms} {
		s := start(t, Policy{}, "Hello.").sound().wait(time.Second).on(Played{1})
		for range noises {
			s.wait(time.Second).speak(300 * ms).on(Final{})
		}
		s.wait(14*time.Second - s.now)
		if at, ok := s.saw("Kind:reprompt"); !ok || at != want {
			t.Fatalf("%d noises: prompted at %v (%v), want %v:\n%s", noises, at, ok, want, strings.Join(s.did, "\n"))
		}
	}
}

func TestNoiseWithoutEndStillEndsTheCall_INV36(t *testing.T) {
	s := start(t, Policy{}, "").wait(time.Second)
	for range 70 { // voices without an answer of the recogniser, never quiet for long
		s.on(VoiceStart{At: s.now}).wait(900 * ms).on(VoiceEnd{At: s.now - 200*ms}).wait(300 * ms)
		if s.m.front == nil && len(s.m.line) > 0 {
			s.on(Audio{s.gen}, Fed{s.gen, true})
		}
		if s.m.front != nil {
			s.on(Started{s.gen}).wait(100 * ms).on(Played{s.gen})
		}
	}
	s.wait(15 * time.Second).want("HangUp{Reason:silence}")
}

func TestLastWordsAreKept_INV12(t *testing.T) {
	s := start(t, Policy{}, "").wait(time.Second).speak(time.Second).on(Final{Text: "thanks, bye"}, Bye{})
	s.want("CommitUser{Turn:1 Rev:0 Text:thanks, bye").not("Speculative:false")
}

func TestReplyIsHeldAgainForANewVoice_INV6(t *testing.T) {
	s := asked(t).on(VoiceStart{At: time.Second}, Audio{1}).wait(time.Second)
	s.on(VoiceEnd{At: s.now}, Final{Text: "no, the other one."}).wait(5 * time.Second).forget()
	s.on(VoiceStart{At: s.now}, Audio{s.gen}).not("Play").wait(1600 * ms).want("Play")
}

func TestFillerComesAgainAfterOurOwnWords_convL4(t *testing.T) {
	s := asked(t).on(LLMDone{G: 1, Words: true, Calls: []Call{{ID: "a"}}}).sound().wait(time.Second)
	s.on(ToolDone{ID: "a"}).want("StartReply{G:2").wait(2 * time.Second).on(Played{1})
	s.wait(2100 * ms).want("Kind:filler").wait(10 * time.Second).want("Kind:apology")
}

func BenchmarkStep(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		m := New(Policy{})
		now := time.Duration(0)
		step := func(d time.Duration, ev Event) {
			now += d
			m.Step(ev, now)
		}
		step(0, Answered{Greeting: "Hello."})
		step(50*ms, Audio{1})
		step(10*ms, Fed{1, true})
		step(10*ms, Started{1})
		step(time.Second, Played{1})
		step(time.Second, VoiceStart{At: now})
		step(500*ms, Interim{Text: "where is"})
		step(500*ms, VoiceEnd{At: now})
		step(100*ms, Final{Text: "where is my order?"})
		step(400*ms, Tick{})
		step(200*ms, Useful{2})
		step(100*ms, LLMDone{G: 2, Words: true})
		step(100*ms, Audio{2})
		step(10*ms, Started{2})
		step(10*ms, Fed{2, true})
		step(2*time.Second, Played{2})
		step(time.Second, Bye{})
	}
}
