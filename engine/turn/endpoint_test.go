package turn

import (
	"strings"
	"testing"
	"time"
)

// committedAfter is how long after the end of a second of speech, settled as
// text, the turn was committed.
func committedAfter(t *testing.T, p Policy, text string, more ...Event) time.Duration {
	t.Helper()
	s := start(t, p, "").wait(time.Second).speak(time.Second)
	end := s.now - 200*ms
	s.on(Final{Text: text}).on(more...).wait(6 * time.Second)
	at, ok := s.saw("CommitUser")
	if !ok {
		t.Fatalf("%q was never committed:\n%s", text, strings.Join(s.did, "\n"))
	}
	return at - end
}

func TestNumberGivenDigitByDigitIsWaitedFor(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"four five":                    1200 * ms,
		"4 5":                          1200 * ms,
		"Four. Five.":                  1200 * ms,
		"it is j o h":                  1200 * ms,
		"john dot":                     1200 * ms,
		"555-12":                       1200 * ms,
		"john dot doe at gmail.com":    600 * ms,
		"four":                         600 * ms,
		"at 5:30":                      600 * ms,
		"4 9 1 7 0 1 2 3 4 5":          600 * ms,
		"we need forty-five":           600 * ms,
		"send it to my old address ma": 600 * ms,
	} {
		if got := committedAfter(t, Policy{Language: "en"}, text); got != want {
			t.Errorf("%q was committed after %v, want %v", text, got, want)
		}
	}
}

// asking is a call whose agent has just asked something.
func asking(t *testing.T, p Policy) *script {
	t.Helper()
	s := start(t, p, "").wait(time.Second).speak(time.Second).on(Final{Text: "hello there."}).wait(time.Second)
	s.on(LLMDone{G: s.gen, Words: true, Asks: true}).sound().wait(2 * time.Second)
	return s.forget()
}

func TestShortAnswerToAQuestionIsWhole_convB5(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"mm-hmm":       300 * ms,
		"next tuesday": 300 * ms,
		"four":         300 * ms,
		"four five":    1200 * ms,
		"i would like": 1200 * ms,
		"the one that came with the lamp yesterday": 600 * ms,
	} {
		s := asking(t, Policy{Language: "en"})
		s.on(Played{s.gen}).wait(300 * ms).speak(400 * ms)
		end := s.now - 200*ms
		s.on(Final{Text: text}).wait(3 * time.Second)
		if at, ok := s.saw("CommitUser{Turn:2"); !ok || at-end != want {
			t.Errorf("%q was committed after %v (%v), want %v", text, at-end, ok, want)
		}
	}
}

func TestAnswerInTheLastMomentsOfTheQuestion_convB5(t *testing.T) {
	s := asking(t, Policy{})
	s.speak(150 * ms).on(Final{Text: "yeah"}).not("Drop").wait(300 * ms).on(Played{s.gen}).wait(time.Second)
	s.want("CommitUser{Turn:2 Rev:0 Text:yeah").not("Drop", "Reason:barge_in")
	// Long before its end it only says that the caller listens.
	s = asking(t, Policy{})
	s.speak(150 * ms).on(Final{Text: "yeah"}).wait(1200 * ms).want("Drop{Text:yeah Reason:backchannel}")
	s.on(Played{s.gen}).wait(2 * time.Second).not("CommitUser")
}

func TestLineThatGoesSilentEndsTheTurn_convB8(t *testing.T) {
	s := start(t, Policy{}, "").wait(time.Second).on(VoiceStart{At: s0}).wait(time.Second)
	s.on(Interim{Text: "where is my"}).not("CommitUser").on(AudioIdle{}).want("CommitUser", "Text:where is my")
	if s.m.User() != Quiet {
		t.Fatalf("the caller's floor is %v (INV13)", s.m.User())
	}
}

func TestDictationHasTime_convB14(t *testing.T) {
	for _, c := range []struct {
		text string
		more []Event
		want time.Duration
	}{
		{"it is finished.", nil, 1200 * ms},
		{"it is a word", nil, 1200 * ms},
		{"four five", nil, 4 * time.Second},
		{"my name is", nil, 4 * time.Second},
		{"four", []Event{Endpoint{}}, 1200 * ms}, // a provider's patience is shorter
	} {
		if got := committedAfter(t, Policy{SlowInput: true}, c.text, c.more...); got != c.want {
			t.Errorf("%q was committed after %v, want %v", c.text, got, c.want)
		}
	}
	// A node of a flow switches it on and off.
	s := start(t, Policy{}, "").on(SlowInput{On: true}).wait(time.Second).speak(time.Second)
	s.on(Final{Text: "anything."}).wait(900 * ms).not("CommitUser").on(SlowInput{}).want("CommitUser")
}

func TestTurnModelDecides(t *testing.T) {
	for _, c := range []struct {
		text string
		p    []Event
		want time.Duration
	}{
		{"I want to order and", []Event{EOT{P: 0.9}}, 300 * ms},
		{"I want to order.", []Event{EOT{P: 0.2}}, 2500 * ms},
		{"I want to order", []Event{EOT{P: 0.2}, EOT{P: 0.8}}, 300 * ms}, // a later word shortens
		{"I want to order", []Event{EOT{P: 0.8}, EOT{P: 0.1}}, 2500 * ms},
	} {
		if got := committedAfter(t, Policy{}, c.text, c.p...); got != c.want {
			t.Errorf("%q, %v was committed after %v, want %v", c.text, c.p, got, c.want)
		}
	}
	// Its word about a voice is of no other one, and never ends a turn under one (INV14).
	s := start(t, Policy{}, "").wait(time.Second).speak(time.Second).on(Final{Text: "I want"}, EOT{P: 0.9})
	s.on(VoiceStart{At: s.now}).wait(time.Second).not("CommitUser").on(EOT{P: 0.99}, Final{Text: "to order"}).not("CommitUser")
	s.on(VoiceEnd{At: s.now - 200*ms}, EOT{P: 0.1}).wait(2200 * ms).not("CommitUser").wait(200 * ms).want("CommitUser")
	// And not beyond the cap.
	if got := committedAfter(t, Policy{WaitUnsure: 9 * time.Second}, "I want", EOT{}); got != 3*time.Second {
		t.Errorf("committed after %v, the cap is 3 s", got)
	}
}

func TestEndThatIsTakenBackIsWaitedFor(t *testing.T) {
	got := committedAfter(t, Policy{}, "I want to order a lamp.", Endpoint{Kind: EndpointEager}, Endpoint{Kind: EndpointResumed})
	if got != 1200*ms {
		t.Fatalf("committed after %v, though the recogniser heard the caller go on", got)
	}
}

func TestConfirmedEndAndLateWordsAreOneItem_convB12(t *testing.T) {
	s := start(t, Policy{}, "").wait(time.Second).speak(time.Second).on(Interim{Text: "where is my"}, Endpoint{})
	s.want("CommitUser{Turn:1", "Text:where is my ").on(Final{Text: "where is my order"}).wait(time.Second)
	s.want("Text:where is my order ", "Amend:true").not("Turn:2")
}

func TestLongTurnMayBeInterjected_convB15(t *testing.T) {
	talk := func(p Policy) *script {
		s := start(t, p, "").wait(time.Second).on(VoiceStart{At: s0})
		for range 14 {
			s.wait(4800 * ms).on(Final{Text: "and then it happened and"})
		}
		return s
	}
	talk(Policy{}).not("Say") // off by default
	s := talk(Policy{UserTurnLimit: time.Minute, TooLongPhrase: "May I?"})
	if at, ok := s.saw("Kind:interjection"); !ok || at != 61*time.Second {
		t.Fatalf("interjected at %v (%v)", at, ok)
	}
	s.sound().want("Play{G:1}").on(Interim{Text: "no, listen"}).not("Cancel", "CommitUser")
	s.wait(time.Second).on(Played{1}, VoiceEnd{At: s.now}, Final{Text: "that is all."}).wait(3 * time.Second)
	s.want("CommitUser{Turn:1").not("Turn:2", "stt_miss")
}

// Music and voices in the background only pause us, however long they last; what
// came to nothing is counted. A voice whose words are understood has the floor,
// whoever it is of.
func TestVoicesAroundAreJudgedByTheirWords_convB16(t *testing.T) {
	s := talking(t)
	s.speak(3 * time.Second).want("Pause").on(Final{}).wait(time.Second).want("Resume").not("Cancel")
	s = talking(t)
	s.on(VoiceStart{At: s.now}).wait(300 * ms).on(Interim{Text: "not on friday"}).want("Cancel{G:1 Reason:barge_in Proof:words")
	s.on(VoiceEnd{At: s.now}, Final{}).wait(time.Second).want("Note{What:false_barge_in")
}

// Words in the first moments of a greeting are as good as any: the guard is no
// deafness.
func TestGreetingIsNotDeaf_convE3(t *testing.T) {
	s := start(t, Policy{}, "Hello, you have called the shop.").sound()
	began := s.now
	s.wait(20 * ms).on(VoiceStart{At: s.now}).wait(200 * ms).on(Final{Text: "stop, I know"}).not("Cancel")
	s.wait(time.Second)
	if at, ok := s.saw("Cancel{G:1 Reason:barge_in"); !ok || at-began != 300*ms {
		t.Fatalf("stopped after %v (%v), the guard is 300 ms:\n%s", at-began, ok, strings.Join(s.did, "\n"))
	}
	s.on(VoiceEnd{At: s.now}, Final{}).wait(time.Second).want("CommitUser{Turn:1 Rev:0 Text:stop, I know ")
	// At any moment of our speech, words stop us.
	for d := 10 * ms; d < 4*time.Second; d += 130 * ms {
		s := asked(t).answer().wait(d).on(VoiceStart{At: 9 * time.Second}, Interim{Text: "my other order"})
		s.want("Cancel{G:1")
	}
}

func TestFirstMomentsKeepSignsOfListening_convB4(t *testing.T) {
	s := start(t, Policy{}, "Hello, you have called the shop.").sound().wait(50 * ms)
	s.on(Final{Text: "mm-hmm"}).wait(2 * time.Second).not("Cancel")
}

func TestFinalBeforeTheHangIsNotWaitedForAgain_INV15(t *testing.T) {
	s := start(t, Policy{}, "").wait(time.Second).on(VoiceStart{At: s0}).wait(time.Second)
	end := s.now
	s.wait(100 * ms).on(Final{Text: "where is my order?"}).wait(100 * ms).on(VoiceEnd{At: end}).wait(time.Second)
	if at, ok := s.saw("CommitUser"); !ok || at-end != 300*ms {
		t.Fatalf("committed after %v (%v)", at-end, ok)
	}
}
