package turn

import (
	"testing"
	"time"
)

func TestBeyondIsWhatFollowsTheWordsThatWereTold(t *testing.T) {
	for _, c := range []struct{ text, begun, want string }{
		{"stop it now", "stop it", "now"},
		{"Stop, it now", "stop it", "now"},
		{"stop it", "stop it", ""},
		{"stop", "stop it", "stop"},                      // less
		{"stop now", "stop it", "stop now"},              // half of it is something else
		{"where is my order", "where is my or", "order"}, // the last word was a guess
		{"where is it", "tell me", "where is it"},
		{"where is it", "", "where is it"},
		{"twenty-one pieces", "twenty", "twenty-one pieces"}, // no word is cut
		{"twenty-one pieces", "twenty one", "pieces"},
		{"", "stop", ""},
	} {
		if got := beyond(c.text, c.begun); got != c.want {
			t.Errorf("%q beyond %q is %q, want %q", c.text, c.begun, got, c.want)
		}
	}
}

// An utterance that goes on into the answer to its first words: the detector
// heard neither its pause nor its end.
func TestAnUtteranceOverTwoTurnsHasEachWordOnce_INV17(t *testing.T) {
	s := start(t, Policy{}, "").wait(time.Second)
	s.on(VoiceStart{At: s.now}).wait(time.Second).on(Interim{Text: "where is my order"}).on(VoiceEnd{At: s.now - 200*ms})
	s.wait(2 * time.Second).want("Text:where is my order ").answer().wait(time.Second)
	s.on(Interim{Text: "where is my order"}).not("barge_in") // told again
	s.on(Interim{Text: "where is my order stop it"}).want("barge_in")
	s.on(Final{Text: "where is my order stop it now"}).wait(time.Second)
	s.want("Turn:2 Rev:0 Text:stop it now ").not("order stop")
}

func TestAStreamThatBeginsAnewTellsNothingNew_INV17(t *testing.T) {
	s := start(t, Policy{}, "").wait(time.Second)
	s.on(VoiceStart{At: s.now}).wait(time.Second).on(Interim{Text: "where is it"}).on(VoiceEnd{At: s.now - 200*ms})
	s.on(STTDown{true}).wait(time.Second).want("Text:where is it ").forget()
	s.on(STTDown{}, Interim{Text: "where"}, Interim{Text: "where is"}, Interim{Text: "where is it"}, Final{Text: "where is it"})
	s.not("Cancel").want("Reason:duplicate").answer().wait(4 * time.Second).not("Turn:2")
}

// A turn that was opened again for words that turn out to be none is answered
// all the same.
func TestATurnThatIsOpenedForNothingIsAnswered_INV12(t *testing.T) {
	keys := start(t, Policy{}, "").wait(time.Second).on(Digit{'4'}).wait(4 * time.Second).want("Text:DTMF 4 ").forget()
	keys.on(VoiceStart{At: keys.now}).on(Interim{Text: "goodbye"}).want("Reason:absorbed").on(VoiceEnd{At: keys.now})
	keys.on(Final{}).wait(2*time.Second).want("Rev:1 Text:DTMF 4 ", "StartReply")

	words := asked(t).forget().on(Interim{Text: "and"}).want("Reason:absorbed").on(Final{}).wait(2 * time.Second)
	words.want("Rev:1 Text:where is it? ", "StartReply")
}

func TestWordsInAGoodbyeAreKeptOrDropped_INV12(t *testing.T) {
	begun := start(t, Policy{}, "").wait(time.Second)
	begun.on(VoiceStart{At: begun.now}).wait(time.Second).on(Interim{Text: "one more"}, End{Reason: EndAPI})
	begun.on(Interim{Text: "one more thing"}, Bye{}).want("Text:one more thing ").not("Drop")

	later := start(t, Policy{}, "").wait(time.Second).on(End{Reason: EndAPI}).sound()
	later.on(VoiceStart{At: later.now}).wait(time.Second).on(Interim{Text: "wait a moment"}, Bye{})
	later.want("Drop{Text:wait a moment Reason:draining}").not("CommitUser")
}

func TestWordsThatNobodyTookAreDropped_INV12(t *testing.T) {
	muted := start(t, Policy{}, "").wait(time.Second).on(Mute{true}, Interim{Text: "where is it"})
	muted.on(Mute{}).want("Drop{Text:where is it Reason:muted}").on(Final{Text: "where is it please"}).wait(time.Second)
	muted.want("Text:please ").not("Text:where is it please")

	talking(t).on(Interim{Text: "mm-hmm"}, Bye{}).want("Drop{Text:mm-hmm Reason:backchannel}")
	talking(t).on(Interim{Text: "we are open", Echo: true}, Bye{}).want("Drop{Text:we are open Reason:echo}")
}

// A voice that says there is sound and brings none: what waits behind it is
// said, late as it is.
func TestAReplyWithoutASoundIsGivenUp_INV38(t *testing.T) {
	s := start(t, Policy{}, "").wait(time.Second).on(SayText{"Hello."}, Audio{1}).want("Play{G:1}")
	s.on(SayText{"Goodbye."}, Audio{2}).wait(14 * time.Second).not("Play{G:2}").wait(time.Second)
	s.want("Cancel{G:1 Reason:no_audio", "Play{G:2}")
}

// A filler that the voice fails at is no filler: the caller has heard nothing.
func TestFailedFillersAreNotCounted_INV37(t *testing.T) {
	s := asked(t)
	for range 3 {
		s.wait(2 * time.Second).on(Fed{s.gen, false})
	}
	s.forget().wait(time.Second).want("Kind:filler").not("Kind:apology")
}

// A filler that a cough pauses just before its end does not begin the wait anew.
func TestAPauseAtTheEndOfAFillerIsSilence_INV37(t *testing.T) {
	s := asked(t).wait(2 * time.Second).want("Kind:filler").sound().wait(900 * ms)
	s.speak(400 * ms).want("Pause").on(Final{}).wait(400 * ms).want("Resume").wait(60 * ms).on(Played{s.gen})
	s.forget().wait(2100 * ms).want("Kind:filler")
}

// INV12: words that were told as our echo are dropped where nobody listens any
// more; those before them, of a turn that is open, are told only once all the
// same.
func TestWhatIsDroppedAsAnEchoTakesNoWordsAlong_INV12(t *testing.T) {
	s := start(t, Policy{}, "").wait(time.Second).on(VoiceStart{At: time.Second}).wait(time.Second)
	s.on(Interim{Text: "my order is late"}).wait(time.Second)
	s.on(Digit{'4'}, Interim{Text: "my order is late and lost", Echo: true}, Digit{'#'}).wait(100 * ms).on(Mute{true})
	s.want("Drop{Text:and lost Reason:echo}", "CommitUser{Turn:1 Rev:0 Text:DTMF 4; said: my order is late ").forget()
	s.on(Final{Text: "my order is late and lost again"}).want("Drop{Text:again Reason:muted}").not("my order")
}
