package turn

import (
	"strings"
	"testing"
	"time"
)

// press presses keys, 200 ms apart.
func (s *script) press(keys string) *script {
	s.t.Helper()
	for _, k := range []byte(keys) {
		s.on(Digit{k}).wait(200 * ms)
	}
	return s
}

// asksForKeys is a call whose greeting asks for keys by rules of its own.
func asksForKeys(t *testing.T, k Keys) *script {
	t.Helper()
	s := start(t, Policy{}, "Enter your number.").sound().wait(time.Second).on(Played{1})
	return s.on(CollectKeys{k}).forget()
}

func TestFirstKeyInterrupts_convD1(t *testing.T) {
	s := talking(t).press("1").want("Cancel{G:1 Reason:barge_in Proof:digit Interrupted:true}")
	s.wait(3 * time.Second).want("CommitUser{Turn:2 Rev:0 Text:DTMF 1 ")
}

func TestKeysTypedIntoLockedSpeechAreTheNextTurn_convD1_INV42(t *testing.T) {
	s := &script{t: t, m: New(Policy{})}
	s.on(Answered{Greeting: "This call is recorded.", Locked: true}).sound().wait(300 * ms)
	s.press("12#34#").not("Cancel", "CommitUser").wait(2 * time.Second).on(Played{1})
	if at, ok := s.saw("CommitUser{Turn:1 Rev:0 Text:DTMF 12, 34 "); !ok || at != s.now {
		t.Fatalf("not committed with the last locked sample:\n%s", strings.Join(s.did, "\n"))
	}
	s.want("StartReply")
}

func TestKeysAreComplete_convD2_convD3(t *testing.T) {
	for _, c := range []struct {
		name  string
		keys  Keys
		press string
		text  string
		after time.Duration // from the last key
	}{
		{"at the terminator", Keys{}, "4711#", "DTMF 4711 ", 0},
		{"at the terminator that was asked for", Keys{Terminator: "*"}, "47#11*", "DTMF 47#11 ", 0},
		{"at the count", Keys{Max: 4}, "4711", "DTMF 4711 ", 0},
		{"after a pause", Keys{}, "47", "DTMF 47 ", 3 * time.Second},
		{"after the pause that was asked for", Keys{Gap: time.Second}, "47", "DTMF 47 ", time.Second},
		{"no key completes them", Keys{Terminator: "none"}, "47#", "DTMF 47# ", 3 * time.Second},
		{"a terminator alone is the answer", Keys{}, "#", "DTMF # ", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := asksForKeys(t, c.keys)
			for _, k := range []byte(c.press) {
				s.wait(200 * ms).on(Digit{k})
			}
			last := s.now
			s.wait(5*time.Second).want(c.text, "KeysDone{Reason:complete}", "StartReply")
			if at, _ := s.saw(c.text); at != last+c.after {
				t.Errorf("complete %v after the last key, want %v", at-last, c.after)
			}
		})
	}
}

func TestFirstKeyIsAskedForTwice_convD2(t *testing.T) {
	s := asksForKeys(t, Keys{Reprompt: "Your number, please."})
	for range 2 {
		from := s.now
		s.wait(7900 * ms).not("Say").wait(200 * ms).want("Kind:reprompt Turn:0 Text:Your number, please.")
		if at, _ := s.saw("Say"); at != from+8*time.Second {
			t.Errorf("asked after %v", at-from)
		}
		s.sound().wait(time.Second).on(Played{s.gen}).forget()
	}
	s.wait(8 * time.Second).want("KeysDone{Reason:timeout}").wait(20 * time.Second)
	s.want("Say{G:4 Kind:goodbye")
}

func TestKeysAndWordsAreOneItem_convD4(t *testing.T) {
	s := asksForKeys(t, Keys{HoldSpeech: true}).speak(600 * ms).on(Final{Text: "it is", Confidence: 0.9})
	s.wait(2 * time.Second).not("CommitUser").press("12").wait(3 * time.Second)
	s.want("CommitUser{Turn:1 Rev:0 Text:DTMF 12; said: it is Confidence:0.9")
}

func TestKeysOfATurnThatIsOpenedAgainStay_convD4_INV42(t *testing.T) {
	s := asksForKeys(t, Keys{Max: 2}).press("12").want("Text:DTMF 12 ").wait(500 * ms)
	s.speak(600 * ms).on(Final{Text: "and hurry."}).wait(time.Second)
	s.want("Cancel{G:2 Reason:absorbed", "CommitUser{Turn:1 Rev:1 Text:DTMF 12; said: and hurry. ")
}

func TestWordsWhileKeysAreCollected_convD7(t *testing.T) {
	s := asksForKeys(t, Keys{}).speak(600 * ms).on(Final{Text: "i do not have one."}).wait(time.Second)
	s.want("KeysDone{Reason:speech}", "CommitUser{Turn:1 Rev:0 Text:i do not have one.")

	s = asksForKeys(t, Keys{HoldSpeech: true}).speak(600 * ms).on(Final{Text: "i do not have one."})
	s.wait(7*time.Second).not("CommitUser").wait(2*time.Second).want("KeysDone{Reason:speech}", "Text:i do not have one.")

	s = asksForKeys(t, Keys{HoldSpeech: true}).speak(600 * ms).on(Final{Text: "i do not have one."})
	s.wait(time.Second).not("CommitUser").on(StopKeys{}).wait(time.Second).want("CommitUser")
}

func TestSecretKeysAreNotInTheMachine_convD5(t *testing.T) {
	s := asksForKeys(t, Keys{Sensitive: true, Max: 4})
	if !s.m.Masks('4') || s.m.Masks('#') {
		t.Error("a key is to be masked, its terminator is not")
	}
	s.press(strings.Repeat(string(KeyMask), 4)).want("Text:DTMF xxxx ", "Keys:xxxx Secret:true")
	if s.m.Masks('4') {
		t.Error("the collection is over")
	}
}

func TestNoSilenceWhileKeysAreAwaited_convI1(t *testing.T) {
	s := asksForKeys(t, Keys{First: 20 * time.Second})
	s.wait(19 * time.Second).not("Say").wait(2 * time.Second).want("Kind:reprompt")
}
