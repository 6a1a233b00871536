package turn

import (
	"strings"
	"testing"
	"time"
)

// dialled is an outbound call that was just answered.
func dialled(t *testing.T, g Gate) *script {
	t.Helper()
	s := &script{t: t, m: New(Policy{})}
	return s.wait(5 * time.Second).on(Answered{Greeting: "Hello, this is Ada.", Gate: g})
}

func (s *script) at(text string, want time.Duration) *script {
	s.t.Helper()
	if at, ok := s.saw(text); !ok || at != want {
		s.t.Fatalf("%s at %v (%v), want %v:\n%s", text, at, ok, want, strings.Join(s.did, "\n"))
	}
	return s
}

func TestCalleeIsGreetedAfterSilence_convH2(t *testing.T) {
	dialled(t, GateSilence).wait(3*time.Second).at("Say", 6200*ms)

	s := dialled(t, GateSilence).wait(500 * ms).speak(800 * ms).on(Final{Text: "hello?"}).wait(3 * time.Second)
	s.at("Say", 7500*ms).want("CommitUser{Turn:1 Rev:0 Text:hello?").not("StartReply")

	// Words that come late are answered by the greeting as well.
	s = dialled(t, GateVerdict).wait(500 * ms).speak(800 * ms).on(Verdict{Class: PartyHuman}).want("Say").sound()
	s.wait(500*ms).on(Interim{Text: "hel"}, Final{Text: "hello?"}).wait(time.Second)
	s.want("CommitUser{Turn:1 Rev:0 Text:hello?").not("StartReply", "Cancel")

	dialled(t, GateSilence).on(VoiceStart{At: 5 * time.Second}).wait(30*time.Second).at("Say", 25*time.Second)
	dialled(t, GateVerdict).wait(30*time.Second).at("Say", 25*time.Second)
	dialled(t, GateVerdict).wait(time.Second).press("1").wait(4*time.Second).want("Say", "Text:DTMF 1 ")
}

func TestDisclosureIsLocked_convH3_convH4(t *testing.T) {
	s := &script{t: t, m: New(Policy{})}
	s.on(Answered{Disclosure: "This call is recorded.", Greeting: "How can I help?"})
	s.want("Say{G:1 Kind:disclosure", "Say{G:2 Kind:greeting")
	s.on(Audio{1}, Fed{1, true}, Started{1}, Audio{2}, Fed{2, true}).wait(500 * ms)
	s.speak(time.Second).on(Final{Text: "I want a lamp."}).not("Pause", "Cancel", "CommitUser").wait(time.Second)
	s.on(Played{1}).wait(time.Second).want("CommitUser{Turn:1 Rev:0 Text:I want a lamp.", "StartReply")
}

func TestGreetingIsInterruptibleAfterAMoment_convH3(t *testing.T) {
	s := start(t, Policy{}, "Hello, how can I help?").sound().on(VoiceStart{At: 0}).wait(200 * ms).on(Voiced{})
	s.not("Pause").wait(100*ms).at("Pause", 300*ms)
}

// outgoing is an outbound call that a machine answered with a greeting of 3 s.
func outgoing(t *testing.T) *script {
	t.Helper()
	return dialled(t, GateVerdict).wait(300 * ms).on(VoiceStart{At: 5300 * ms}).wait(3 * time.Second)
}

var mailbox = Verdict{Class: PartyMachine, Message: "Please call us back."}

func TestMessageIsLeftAfterTheBeep_convM4(t *testing.T) {
	s := outgoing(t).on(mailbox).wait(time.Second).on(Final{Text: "leave a message"}, VoiceEnd{At: s0 * 9})
	s.want("Drop{Text:leave a message Reason:voicemail}").not("Say").wait(300 * ms).on(Beep{})
	s.want("Say{G:1 Kind:message Turn:0 Text:Please call us back.").sound()
	s.on(VoiceStart{At: s.now}).wait(time.Second).on(Voiced{}, Final{Text: "stop"}, Digit{'1'}).wait(20 * time.Second)
	s.not("Pause", "Cancel", "CommitUser", "reprompt").on(Played{1}).wait(200 * ms).want("HangUp{Reason:voicemail}")
}

func TestMessageIsLeftAfterSilence_convM4(t *testing.T) {
	s := outgoing(t).on(mailbox).wait(time.Second).on(VoiceEnd{At: 9 * time.Second}).wait(3 * time.Second)
	s.at("Say", 10500*ms)
	s = outgoing(t).on(mailbox).wait(time.Minute) // a greeting without end
	s.at("Say", 8300*ms+45*time.Second)
	// A beep in the message is its start: it began in a pause of the greeting.
	s = outgoing(t).on(mailbox, VoiceEnd{At: 8 * time.Second}).wait(2 * time.Second).want("Say{G:1").sound()
	s.wait(time.Second).on(Beep{}).want("Cancel{G:1 Reason:beep", "Say{G:2 Kind:message").on(Beep{}, Beep{}).not("Say{G:3")
}

func TestMailboxWithoutAMessageIsLeftAlone(t *testing.T) {
	outgoing(t).on(Verdict{Class: PartyMachine}).wait(200 * ms).not("Say").want("HangUp{Reason:voicemail}")
}

func TestLateVerdictTakesTheGreetingBack_convM1(t *testing.T) {
	s := dialled(t, GateVerdict).on(Verdict{Class: PartyHuman}).sound().wait(time.Second).on(mailbox)
	s.want("Cancel{G:1 Reason:voicemail").wait(2 * time.Second).want("Say{G:2 Kind:message")
}

func TestScreeningIsAnsweredOnce_convM7(t *testing.T) {
	s := outgoing(t).on(VoiceEnd{At: s0 * 8}, Final{Text: "record your name and reason for calling"})
	s.on(Verdict{Class: PartyScreening}).want("Say{G:1 Kind:said Turn:0 Text:This is a call for", "Drop{").sound()
	s.wait(4*time.Second).on(Played{1}, Verdict{Class: PartyScreening}).wait(5 * time.Second).not("Say{G:2").forget()
	s.speak(500*ms).on(Final{Text: "yes?"}, Verdict{Class: PartyHuman})
	s.want("CommitUser{Turn:1 Rev:0 Text:yes?", "Kind:greeting").not("StartReply")
}

func TestHoldOfHalfAMinute_convH11(t *testing.T) {
	s := talking(t).on(Hold{true}).want("Pause").wait(40 * time.Second).on(Hold{false})
	s.want("Cancel{G:1 Reason:held", "Text:Welcome back.", "on hold for 40 seconds", "StartReply").not("Resume")
	if s.m.line[0].kind != Said {
		t.Error("the welcome is not the first thing said")
	}
	talking(t).on(Hold{true}).wait(20 * time.Second).on(Hold{false}).want("Resume").not("Welcome")
}

func TestMutedCallerIsNotHeard_convH12(t *testing.T) {
	s := talking(t).on(Mute{true}).speak(time.Second).on(Interim{Text: "stop"}, Final{Text: "stop it"}, Digit{'1'})
	s.not("Pause", "Cancel", "CommitUser").want("Drop{Text:stop it Reason:muted}").on(Played{s.gen})
	s.wait(time.Minute).not("reprompt").on(Mute{false}).wait(8 * time.Second).want("Kind:reprompt").forget()
	s.speak(time.Second).on(Final{Text: "hello."}).wait(time.Second).want("CommitUser")

	s = talking(t).on(Played{1}, VoiceStart{At: 5 * time.Second}, Mute{true}, VoiceEnd{At: 6 * time.Second})
	s.wait(time.Second)
	if s.m.User() != Quiet {
		t.Errorf("the caller's floor is %v", s.m.User())
	}
	s.wait(6*time.Minute).want("mute_cap", "Kind:reprompt")
}

func TestTransfer_convC5_convH9(t *testing.T) {
	s := talking(t).on(TransferStarted{ID: "t", Announcement: "I put you through."})
	s.want("Cancel{G:1 Reason:handover", "Say{G:2 Kind:said").not("HandOver").sound().wait(time.Second)
	s.speak(time.Second).on(Final{Text: "wait, one more thing"}).not("Pause", "CommitUser")
	s.want("Drop{Text:wait, one more thing Reason:handover}").on(Played{2})
	s.want("HoldSound{On:true}", "HandOver{ID:t Cancel:false}")
	if s.m.Call() != Handover {
		t.Errorf("the call is %v", s.m.Call())
	}
	s.forget().wait(30 * time.Second).not("reprompt").on(TransferResult{ID: "t", OK: true})
	s.want("HoldSound{On:false}", "HangUp{Reason:transferred}")
}

func TestTransferThatFailsComesBack_convC6_convH9(t *testing.T) {
	s := talking(t).on(TransferStarted{ID: "t"}).want("HandOver").wait(20 * time.Second).forget()
	s.on(TransferResult{ID: "other"}).not("Say").on(TransferResult{ID: "t", Reason: "busy"})
	s.want("HoldSound{On:false}", "Brief{Text:The transfer failed: busy", "Text:The line is busy just now. How else can I help?").forget()
	s.sound().wait(2 * time.Second).on(Played{s.gen}).speak(time.Second).on(Final{Text: "then take a message."})
	s.wait(time.Second).want("CommitUser", "StartReply")

	s = talking(t).on(TransferStarted{ID: "t"}).wait(5 * time.Minute)
	s.want("HandOver{ID:t Cancel:true}", "The transfer failed: timeout", "Text:I could not put you through.")

	s = talking(t).on(TransferStarted{ID: "t", Announcement: "One moment."}).wait(11 * time.Second)
	s.want("HandOver{ID:t Cancel:false}") // an announcement that never sounds keeps nobody
}

// What became of a transfer is told apart, but by an agent that has a line of its
// own for all of it.
func TestTransferTellsWhatBecameOfIt(t *testing.T) {
	for reason, line := range map[string]string{
		"busy": "The line is busy", "no_answer": "Nobody is answering", "voicemail": "Nobody is answering",
		"declined": "They cannot take your call", "bad_number": "That number cannot be reached",
		"congestion": "I cannot get a line", "failed": "I could not put you through",
	} {
		talking(t).on(TransferStarted{ID: "t"}, TransferResult{ID: "t", Reason: reason}).want("Text:" + line)
		s := start(t, Policy{TransferPhrase: "No luck."}, "").wait(time.Second)
		s.on(TransferStarted{ID: "t"}, TransferResult{ID: "t", Reason: reason}).want("Text:No luck.")
	}
	for language, said := range spoken {
		if len(said.failed) != len(spoken["en"].failed) {
			t.Errorf("%s has %d lines for transfers that failed", language, len(said.failed))
		}
	}
}

// A caller who talks with the other party is left alone, as long as calls may
// be, and comes back when that is over.
func TestTransferJoined_convC5(t *testing.T) {
	joined := func() *script {
		s := talking(t).on(TransferStarted{ID: "t"}).want("HoldSound{On:true}").forget()
		return s.on(TransferJoined{ID: "other"}).not("HoldSound").on(TransferJoined{ID: "t"}).want("HoldSound{On:false}").forget()
	}
	s := joined().speak(time.Second).on(Final{Text: "nice to talk to you"}, Digit{'1'}).wait(10 * time.Minute)
	s.not("Cancel", "CommitUser", "Say", "HandOver").on(TransferResult{ID: "t", Reason: "target_left"})
	s.want("Brief{Text:The caller has talked with the person they were put through to (target_left)", "Text:Welcome back.").forget()
	s.sound().wait(2 * time.Second).on(Played{s.gen}).speak(time.Second).on(Final{Text: "then take a message."})
	s.wait(time.Second).want("CommitUser", "StartReply")

	joined().wait(15*time.Minute).want("HandOver{ID:t Cancel:true}", "Kind:goodbye")
	joined().on(End{Reason: EndAPI}).want("HandOver{ID:t Cancel:true}", "Kind:goodbye")
	joined().on(MediaLost{}).want("HangUp{Reason:media_timeout}")
	joined().on(TransferResult{ID: "t", OK: true}).want("HangUp{Reason:transferred}")
}

// hangsUp is a call that the model ends without words of its own.
func hangsUp(t *testing.T, p Policy) *script {
	t.Helper()
	s := start(t, p, "").wait(time.Second).speak(time.Second).on(Final{Text: "that was all."}).wait(time.Second)
	s.on(LLMDone{G: s.gen, Calls: []Call{{ID: "end", Class: ClassTerminal, Goodbye: "Thank you, goodbye."}}})
	return s.want("Kind:goodbye").sound().wait(500 * ms).forget()
}

func TestGoodbyeMayBeTakenBack_convC4(t *testing.T) {
	s := hangsUp(t, Policy{GoodbyeInterruptible: true}).not("SettleTool").speak(time.Second)
	s.want("Pause").on(Final{Text: "one more thing, please."}).wait(time.Second)
	s.want("Proof:words Interrupted:true", "SettleTool{ID:end OK:false Code:caller_resumed}", "CommitUser", "StartReply")
	if s.m.Call() != Live {
		t.Errorf("the call is %v", s.m.Call())
	}
	// In the tail, too; and a cough brings nothing back.
	s = hangsUp(t, Policy{GoodbyeInterruptible: true})
	s.on(Played{s.gen}, Interim{Text: "wait a moment"}).want("caller_resumed")
	if s.m.Call() != Live {
		t.Errorf("the call is %v", s.m.Call())
	}
	s = hangsUp(t, Policy{GoodbyeInterruptible: true}).speak(400 * ms).on(Final{}).wait(time.Second).want("Resume")
	s.on(Played{s.gen}).wait(200*ms).want("SettleTool{ID:end OK:true Code:ended}", "HangUp{Reason:agent_done}")

	hangsUp(t, Policy{}).speak(time.Second).on(Final{Text: "one more thing, please."}).not("Pause", "Cancel", "CommitUser")
}

func TestFarEndPlaysTheGoodbyeOut_convH5_INV33(t *testing.T) {
	end := func() *script {
		s := &script{t: t, m: New(Policy{})}
		s.on(Answered{FarBuffer: true}).wait(time.Second).on(End{Reason: EndAPI}).sound().wait(time.Second).on(Played{1})
		return s
	}
	end().wait(700*ms).not("HangUp").on(FarPlayed{}).at("HangUp", 2700*ms)
	end().wait(3*time.Second).at("HangUp", 4*time.Second)
}

func TestTimeIsUp_convI8(t *testing.T) {
	s := start(t, Policy{MaxCall: time.Minute, Silence: 2 * time.Minute}, "")
	s.wait(29 * time.Second).not("Brief").wait(2 * time.Second)
	s.at("Brief{Text:The call will be ended in 30 seconds", 30*time.Second)
	s.wait(27 * time.Second).on(SayText{Text: "A story without end."}).sound().wait(3 * time.Second)
	s.want("Kind:goodbye").not("Cancel").wait(4*time.Second).at("Cancel", 65*time.Second).wait(time.Minute)
	s.at("HangUp{Reason:max_duration}", 75*time.Second)
}

func TestSilenceStartsWithTheLastSampleHeard_convI1(t *testing.T) {
	s := &script{t: t, m: New(Policy{})}
	s.on(Answered{Greeting: "Hello.", Lag: 60 * ms}).sound().wait(1230 * ms).on(Played{1}).wait(10 * time.Second)
	s.at("Kind:reprompt", 1230*ms+60*ms+8*time.Second)
}

func TestPromptIsInterruptible_convI5(t *testing.T) {
	s := start(t, Policy{}, "").wait(8 * time.Second).want("Kind:reprompt").sound().wait(300 * ms).forget()
	s.speak(time.Second).want("Pause").on(Final{Text: "I am here."})
	s.want("Cancel{G:1 Reason:barge_in Proof:words Interrupted:true}")
	s.wait(time.Second).want("CommitUser")
}

func TestModelAsksWhetherTheCallerIsThere_F21(t *testing.T) {
	p := Policy{Silence: 7 * time.Second, SilenceAgain: 12 * time.Second, SilencePrompts: 3, SilenceAsk: true}
	s := start(t, p, "")
	for i, wait := range []time.Duration{7 * time.Second, 12 * time.Second, 12 * time.Second} {
		from := s.now
		s.forget().wait(wait).at("StartReply", from+wait).want("Brief{Text:The caller has said nothing for")
		if i == 1 { // the model is away: the sentence of the policy is said
			s.on(LLMErr{G: s.gen}).want("Kind:reprompt").not("apology").sound()
		} else {
			s.answer()
		}
		s.wait(time.Second).on(Played{s.gen})
	}
	s.forget().wait(12 * time.Second).want("Kind:goodbye")
}
