package turn

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Whatever noises there are, as long and as often as they like: a call without
// a word ends after the silences of the policy, our own speech and two seconds.
func TestNoiseNeverKeepsACall_INV36_convI2(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, now := New(Policy{}), time.Duration(0)
		var spoken time.Duration
		var front Gen
		var until time.Duration // our speech ends, 0: none sounds
		paused := false
		var step func(ev Event)
		step = func(ev Event) {
			for _, e := range append([]Effect(nil), m.Step(ev, now)...) {
				switch e := e.(type) {
				case Say:
					step(Audio{e.G})
					step(Fed{e.G, true})
				case Play:
					front, until = e.G, now+time.Second
					step(Started(e))
				case Pause:
					paused = true
				case Resume:
					if paused {
						paused = false
						until = now + time.Second // from its start again: the worst
					}
				case Cancel, Finish:
					until = 0
				}
			}
		}
		pass := func(d time.Duration) {
			for end := now + d; m.Call() != Ended; {
				at, ok := m.Next()
				if until != 0 && !paused && (!ok || until <= at) {
					at, ok = until, true
				}
				if !ok || at > end {
					if until != 0 && (!paused || m.front.kind != Reprompt) {
						spoken += max(0, end-now)
					}
					now = end
					return
				}
				if until != 0 && (!paused || m.front.kind != Reprompt) { // a greeting that stands still is ours
					spoken += max(0, at-now)
				}
				now = max(now, at)
				if until != 0 && !paused && now >= until {
					until = 0
					step(Played{front})
					continue
				}
				step(Tick{})
			}
		}
		step(Answered{Greeting: "Hello."})
		m.interims = rapid.Bool().Draw(t, "interims") // this recogniser tells words while they are spoken
		words := now
		for m.Call() != Ended && now < 5*time.Minute {
			pass(time.Duration(rapid.IntRange(10, 6000).Draw(t, "quiet")) * ms)
			from := now
			pass(60 * ms)
			step(VoiceStart{At: from})
			long := time.Duration(rapid.IntRange(100, 20000).Draw(t, "noise")) * ms
			if long > 200*ms {
				pass(200 * ms)
				step(Voiced{})
			}
			pass(long)
			end := now
			pass(200 * ms)
			step(VoiceEnd{At: end})
			if rapid.Bool().Draw(t, "answered") {
				pass(300 * ms)
				step(Final{})
			}
		}
		p := m.Policy()
		most := 3*p.Silence + spoken + 2*time.Second + p.Tail + p.HoldMax // for the one time we ask to repeat
		if m.Call() != Ended || now-words > most {
			t.Fatalf("the call is %v after %v, our speech took %v", m.Call(), now-words, spoken)
		}
	})
}

// A recogniser that tells nothing of a voice before it has ended: nobody is
// asked whether they are there while they speak, and what that took is taken
// off the next silence (INV36).
func TestAVoiceThatMayHaveWordsIsHeardOut_INV36(t *testing.T) {
	s := start(t, Policy{}, "Hello.").sound().wait(time.Second).on(Played{1}).wait(5 * time.Second)
	s.speak(5 * time.Second).wait(400 * ms).not("Kind:reprompt") // due after 10 s in all
	s.on(Final{Text: "I am looking for it"}).wait(time.Second).want("StartReply").not("Kind:reprompt")

	s = start(t, Policy{}, "Hello.").sound().wait(time.Second).on(Played{1}).wait(5 * time.Second)
	s.m.missed = true // nor asked to repeat a second time
	s.speak(8 * time.Second).not("Kind:reprompt").on(Final{}).wait(0).want("Kind:reprompt")
	late := s.now - 11*time.Second // the voice stopped the clock for 2 s
	s.sound().wait(time.Second).on(Played{s.gen}).forget()
	from := s.now
	s.wait(9 * time.Second)
	if at, ok := s.saw("Kind:reprompt"); !ok || at-from != 8*time.Second-late {
		t.Fatalf("asked again after %v, want %v less than 8 s", at-from, late)
	}
}

// Words that are settled only in the goodbye for silence take it back.
func TestAGoodbyeOverAVoiceIsTakenBackByItsWords_INV36(t *testing.T) {
	s := start(t, Policy{}, "")
	for range 2 {
		s.wait(8 * time.Second).want("Kind:reprompt").sound().wait(time.Second).on(Played{s.gen}).forget()
	}
	s.wait(7 * time.Second).on(VoiceStart{At: s.now}).wait(4 * time.Second).want("Kind:goodbye").sound().not("Pause")
	s.on(VoiceEnd{At: s.now}).wait(300 * ms).on(Final{Text: "wait, I have found it"}).want("Reason:barge_in")
	s.wait(time.Second).want("Text:wait, I have found it", "StartReply").not("HangUp")
}
