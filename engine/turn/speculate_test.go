package turn

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// count is how many effects contain a text.
func (s *script) count(text string) int {
	n := 0
	for _, d := range s.did {
		if strings.Contains(d, text) {
			n++
		}
	}
	return n
}

// voice begins a voice that goes on.
func (s *script) voice() *script {
	s.t.Helper()
	return s.wait(60 * ms).on(VoiceStart{At: s.now}).wait(140 * ms).on(Voiced{})
}

// conv:G1: a stable interim that is complete, an eager endpoint, and a final
// while the caller pauses let a reply be prepared.
func TestReplyIsPreparedBeforeTheTurnHasEnded_convG1(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(s *script)
		at   time.Duration // after the voice has been heard for 200 ms; never: not at all
	}{
		{"a complete interim, unchanged for 200 ms", func(s *script) { s.on(Interim{Text: "Where is my order?"}) }, 200 * ms},
		{"an expected short answer", func(s *script) { s.on(Interim{Text: "yes"}) }, 200 * ms},
		{"an interim that changes meanwhile", func(s *script) {
			s.on(Interim{Text: "Where is it?"}).wait(150 * ms).on(Interim{Text: "Where is my order?"})
		}, 350 * ms},
		{"the same interim again", func(s *script) {
			s.on(Interim{Text: "Where is it?"}).wait(150 * ms).on(Interim{Text: "Where is it?"})
		}, 200 * ms},
		{"an interim that may go on", func(s *script) { s.on(Interim{Text: "where is my order"}) }, never},
		{"a stable interim, and then a turn model that is sure", func(s *script) {
			s.on(Interim{Text: "where is my order"}).wait(300 * ms).on(EOT{P: 0.5})
		}, 300 * ms},
		{"a turn model that is sure, and then an interim that stands", func(s *script) {
			s.on(EOT{P: 0.9}, Interim{Text: "where is my order"})
		}, 200 * ms},
		{"a turn model that is not", func(s *script) {
			s.on(Interim{Text: "Where is my order?"}, EOT{P: 0.4})
		}, never},
		{"an eager endpoint", func(s *script) {
			s.on(Interim{Text: "where is my order"}, Endpoint{Kind: EndpointEager})
		}, 0},
		{"an eager endpoint without words", func(s *script) { s.on(Endpoint{Kind: EndpointEager}) }, never},
		{"a final while the caller speaks", func(s *script) { s.on(Final{Text: "and my name is"}) }, never},
		{"a final while the caller pauses", func(s *script) {
			s.wait(300 * ms).on(VoiceEnd{At: s.now - 200*ms}).wait(50 * ms).on(Final{Text: "and my name is"})
		}, 350 * ms},
		{"a final that comes before the pause", func(s *script) {
			s.on(Final{Text: "and my name is"}).wait(300 * ms).on(VoiceEnd{At: s.now - 200*ms})
		}, 300 * ms},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, Policy{}, "").wait(time.Second).voice()
			from := s.now
			c.do(s)
			s.wait(time.Second)
			at, ok := s.saw("StartReply{G:1 Turn:1 Step:0 NoTools:false Speculative:true")
			if ok != (c.at != never) || ok && at-from != c.at {
				t.Errorf("prepared at %v (%v), want %v:\n%s", at-from, ok, c.at, strings.Join(s.did, "\n"))
			}
		})
	}
}

// pausing is a caller who has said words that nothing ends yet.
func pausing(t *testing.T, p Policy, text string) *script {
	t.Helper()
	return start(t, p, "").wait(time.Second).speak(time.Second).on(Final{Text: text})
}

// conv:G2: not when it is off, at most three a turn, not after ten seconds of
// speech, not while a tool runs, not while we are heard.
func TestReplyIsNotPrepared_convG2(t *testing.T) {
	off := false
	pausing(t, Policy{Speculation: Speculation{Enabled: &off}}, "and my name is").wait(100 * ms).not("Speculative:true")

	s := pausing(t, Policy{}, "one and")
	for _, text := range []string{"two and", "three and", "four and", "five and"} {
		s.wait(60*ms).on(VoiceStart{At: s.now}).wait(400*ms).on(VoiceEnd{At: s.now - 200*ms}, Final{Text: text})
	}
	if n := s.count("Speculative:true"); n != 3 {
		t.Errorf("%d replies were prepared for one turn, want 3", n)
	}
	if s.wait(2 * time.Second); s.count("Speculative:false") != 1 {
		t.Errorf("the turn was not answered:\n%s", strings.Join(s.did, "\n"))
	}

	long := start(t, Policy{}, "").wait(time.Second).speak(11 * time.Second).on(Final{Text: "and so on and"})
	long.wait(100 * ms).not("Speculative:true")

	work := asked(t).forget()
	work.on(LLMDone{G: work.gen, Calls: []Call{{ID: "a", Class: ClassEffect}}})
	work.speak(time.Second).on(Final{Text: "and my name is"}).wait(100 * ms).not("Speculative:true")

	heard := start(t, Policy{}, "Hello, this is a long greeting.").sound().wait(time.Second)
	heard.m.front.locked = true
	heard.on(VoiceStart{At: heard.now}).wait(200*ms).on(Interim{Text: "yes"}, Endpoint{Kind: EndpointEager}).wait(time.Second)
	heard.not("Speculative:true")

	keyed := start(t, Policy{}, "").wait(time.Second).on(Digit{'4'}).speak(time.Second).on(Final{Text: "and my name is"})
	keyed.wait(100 * ms).not("Speculative:true")

	s = &script{t: t, m: New(Policy{})}
	s.on(Answered{PreCall: true}).wait(300 * ms).speak(time.Second).on(Final{Text: "and my name is"}).wait(100 * ms)
	s.not("Speculative:true")
}

// conv:G5: what is prepared becomes the answer when the words are the same but
// for case and marks; INV10: and then it is the only one.
func TestPreparedReplyIsAdopted_convG5(t *testing.T) {
	for _, c := range []struct {
		prepared, settled string
		adopted           bool
	}{
		{"Okay.", "okay", true},
		{"where is my order?", "Where is my order", true},
		{"Where is it?", "Where is that?", false},
		{"yes", "yes please", false},
	} {
		s := start(t, Policy{}, "").wait(time.Second).voice().on(Interim{Text: c.prepared}, Endpoint{Kind: EndpointEager})
		s.wait(400 * ms).on(VoiceEnd{At: s.now - 200*ms}).wait(50 * ms).on(Final{Text: c.settled}).wait(2 * time.Second)
		if c.adopted {
			s.want("Adopt{G:1 Turn:1 Lead:").not("Speculative:false", "Cancel")
			if s.m.Agent() != Thinking || !s.m.Live(1) {
				t.Error("the adopted reply is not awaited")
			}
			continue
		}
		s.want("Cancel{G:1 Reason:other_words").not("Adopt{G:1 ")
		if n := s.count("Adopt{") + s.count("Speculative:false"); n != 1 {
			t.Errorf("%d replies answer the turn (INV10):\n%s", n, strings.Join(s.did, "\n"))
		}
	}
}

// A caller who goes on keeps what is prepared until the words differ (U7).
func TestPreparedReplyOutlivesAResume(t *testing.T) {
	s := pausing(t, Policy{}, "and my name is").wait(100 * ms).want("Speculative:true")
	s.on(VoiceStart{At: s.now}, Endpoint{Kind: EndpointResumed}).wait(300 * ms).not("Cancel")
	s.on(VoiceEnd{At: s.now - 200*ms}, Final{}).wait(2 * time.Second) // a cough
	s.want("Adopt{G:1 Turn:1").not("Speculative:false")

	s = pausing(t, Policy{}, "and my name is").wait(100 * ms)
	s.on(VoiceStart{At: s.now}).wait(300 * ms).on(Interim{Text: "John"})
	s.want("Cancel{G:1 Reason:other_words")
}

// What it was asked has changed, its model failed: it is thrown away, and the
// turn is answered as if it had never been.
func TestPreparedReplyThatIsVoid(t *testing.T) {
	for _, why := range []string{"context_changed", "failed", "too_long"} {
		s := pausing(t, Policy{}, "and my name is").wait(100 * ms).on(Void{G: 7, Reason: why}).not("Cancel")
		s.on(Void{G: 1, Reason: why}).wait(2 * time.Second)
		s.want("Cancel{G:1 Reason:"+why, "StartReply{G:2 Turn:1 Step:0 NoTools:false Speculative:false").not("Adopt")
	}
	s := pausing(t, Policy{}, "and my name is").wait(100 * ms).on(SayText{Text: "News."})
	s.want("Cancel{G:1 Reason:overtaken")
	pausing(t, Policy{}, "and my name is").wait(100 * ms).on(Hold{On: true}).want("Cancel{G:1 Reason:held")
	pausing(t, Policy{}, "and my name is").wait(100 * ms).on(Bye{}).want("Cancel{G:1 Reason:ended")
	pausing(t, Policy{}, "and my name is").wait(100 * ms).on(End{Reason: EndAPI}).want("Cancel{G:1 ")
	pausing(t, Policy{}, "and my name is").wait(100 * ms).on(Digit{'1'}).wait(4 * time.Second).want("Cancel{G:1 Reason:other_words")
}

// INV25, conv:W12: what a prepared reply proposes is refused until it is
// adopted, whatever the shell tells.
func TestPreparedReplyRunsNoTool_INV30(t *testing.T) {
	s := pausing(t, Policy{}, "and my name is").wait(100 * ms)
	s.on(Useful{1}, LLMDone{G: 1, Calls: []Call{{ID: "a", Class: ClassEffect}}}, Audio{1}, Fed{1, true}).wait(100 * ms)
	s.not("RunTool", "Play", "Say", "Note", "Finish").want("SettleTool{ID:a OK:false Code:cancelled")
}

// conv:G6: where more than 40 % of the last 20 turns' are thrown away, no more
// are begun, until those turns are past.
func TestSpeculationStopsWhereItIsWasted_convG6(t *testing.T) {
	s := start(t, Policy{}, "").wait(time.Second)
	begun := func(i int, wasted bool) bool {
		s.forget().speak(500 * ms).on(Final{Text: fmt.Sprintf("number %d and", i)}).wait(100 * ms)
		tried := s.count("Speculative:true") > 0
		if wasted {
			s.on(VoiceStart{At: s.now}).wait(300*ms).on(VoiceEnd{At: s.now - 200*ms}, Final{Text: "so"})
			s.wait(100 * ms)
		}
		s.wait(2 * time.Second)
		s.answer().wait(100 * ms).on(Played{s.gen}).wait(500 * ms)
		return tried
	}
	for i := range 10 { // all adopted
		if !begun(i, false) {
			t.Fatalf("turn %d: none was prepared", i)
		}
	}
	stopped := 0
	for i := range 30 {
		if !begun(100+i, true) {
			stopped = i
			break
		}
	}
	// A wasted turn begins two and adopts one: with 13 such among the last 20,
	// 14 of 34 would be wasted.
	if stopped != 14 {
		t.Fatalf("it stopped at wasted turn %d, want 14", stopped)
	}
	for i := range 25 {
		if begun(200+i, false) {
			return
		}
	}
	t.Error("it never tries again")
}
