package turn

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// looking is a call whose model has asked for a tool and said nothing.
func looking(t *testing.T, c Call) *script {
	t.Helper()
	return asked(t).forget().on(LLMDone{G: 1, Calls: []Call{c}})
}

// heardOut lets the newest reply sound for d, to its end.
func (s *script) heardOut(d time.Duration) *script {
	s.t.Helper()
	return s.sound().wait(d).on(Played{s.gen})
}

// times are when the effects that contain text came.
func (s *script) times(text string) (out []time.Duration) {
	for _, d := range s.did {
		at, rest, _ := strings.Cut(d, " ")
		var n int64
		if strings.Contains(rest, text) {
			if _, err := fmt.Sscan(at, &n); err != nil {
				s.t.Fatal(err)
			}
			out = append(out, time.Duration(n)*ms)
		}
	}
	return out
}

// conv:W7, the whole ladder: the first sentence at once, the second 4 s after
// the tool's start, then the sound of waiting, two sentences more, 8 s apart,
// and at the end of the tool's time its failure sentence, after which the model
// goes on.
func TestBridgingLadder_convW7(t *testing.T) {
	t.Parallel()
	s := looking(t, Call{ID: "a", Name: "look", Bridge: "One moment.", Second: "Still looking.", Hold: true})
	began := s.now
	said := []time.Duration{}
	for s.now < began+40*time.Second {
		n := s.gen
		if s.wait(100 * ms); s.gen != n || len(said) == 0 {
			said = append(said, s.now-began)
			s.heardOut(time.Second)
		}
	}
	at := s.times("Kind:bridge")
	for i := range at {
		at[i] -= began
	}
	want := []time.Duration{0, 4 * time.Second, 13 * time.Second, 22 * time.Second}
	if len(at) != len(want) {
		t.Fatalf("said at %v:\n%s", at, strings.Join(s.did, "\n"))
	}
	for i, w := range want {
		if at[i] < w || at[i] > w+200*ms {
			t.Errorf("sentence %d after %v, want %v", i+1, at[i], w)
		}
	}
	on, ok := s.saw("HoldSound{On:true}")
	if !ok || on-began < 5*time.Second || on-began > 5500*ms {
		t.Errorf("the sound of waiting after %v (%v)", on-began, ok)
	}
	s.want("Text:One moment.", "Text:Still looking.", "Text:"+spoken["en"].waits[0], "Text:"+spoken["en"].waits[1])
	s.forget().on(ToolDone{ID: "a", Say: "I could not check that.", Failed: true})
	s.want("HoldSound{On:false}", "Kind:said Turn:1 Text:I could not check that.", "StartReply")
}

// conv:W7: a tool that says nothing has the sound of waiting from 2.5 s on.
func TestMuteToolHasTheSoundOfWaiting_convW7(t *testing.T) {
	t.Parallel()
	s := looking(t, Call{ID: "a", Mute: true, Hold: true, Bridge: "One moment."})
	began := s.now
	s.wait(6 * time.Second).not("Say{")
	if at, ok := s.saw("HoldSound{On:true}"); !ok || at-began != 2500*ms {
		t.Errorf("after %v (%v)", at-began, ok)
	}
	s.on(ToolDone{ID: "a"}).want("HoldSound{On:false}", "StartReply")
}

// conv:W7: a sentence is put off while the model's own words are fresh.
func TestModelsOwnWordsAnnounceATool_convW7(t *testing.T) {
	t.Parallel()
	s := asked(t).answer(Call{ID: "a", Bridge: "One moment."}).wait(time.Second).on(Played{1})
	end := s.now
	s.wait(5 * time.Second)
	if at, ok := s.saw("Kind:bridge"); !ok || at-end != 2*time.Second {
		t.Errorf("said %v after the model's last word (%v), want 2 s", at-end, ok)
	}
	s = asked(t).wait(2 * time.Second).want("Kind:filler").heardOut(time.Second)
	end = s.now
	s.on(LLMDone{G: 1, Calls: []Call{{ID: "a", Bridge: "Looking."}}}).wait(5 * time.Second)
	if at, ok := s.saw("Kind:bridge"); !ok || at-end != 600*ms {
		t.Errorf("said %v after our own last word (%v), want 600 ms", at-end, ok)
	}
}

// conv:W7: the answer is made while the sentence sounds, and follows it by a
// breath.
func TestAnswerFollowsTheBridgeByABreath_convW7(t *testing.T) {
	t.Parallel()
	s := looking(t, Call{ID: "a", Bridge: "One moment."}).sound().wait(300 * ms)
	s.forget().on(ToolDone{ID: "a"}).want("StartReply{G:3")
	s.on(LLMDone{G: 3, Words: true}, Audio{3}, Fed{3, true}).not("Play", "Cancel").wait(500 * ms).on(Played{2})
	end := s.now
	s.wait(time.Second)
	if at, ok := s.saw("Play{G:3}"); !ok || at-end != lastFrame+120*ms {
		t.Errorf("answered %v after the sentence (%v)", at-end, ok)
	}
}

// The promise: no bridging sentence is heard twice in a call, however
// many slow tools it has; when all have been heard, the sound of waiting it is.
func TestNoBridgingSentenceIsHeardTwice_convW7(t *testing.T) {
	t.Parallel()
	for lang := range spoken {
		s := &script{t: t, m: New(Policy{Language: lang + "-XX"})}
		s.on(Answered{}).wait(time.Second)
		for i := range 30 {
			s.speak(time.Second).on(Final{Text: "where is it?"}).wait(time.Second)
			id := fmt.Sprint("c", i)
			s.on(LLMDone{G: s.gen, Calls: []Call{{ID: id, Name: "look", Bridge: "Mine.", Second: "Mine again."}}})
			for range 150 {
				if s.m.front != nil || s.m.next() != nil || s.m.Agent() == Thinking && len(s.m.line) > 0 {
					s.heardOut(time.Second)
				}
				s.wait(100 * ms)
			}
			s.on(ToolDone{ID: id}).answer().wait(time.Second).on(Played{s.gen})
		}
		heard := map[string]bool{}
		for _, d := range s.did {
			_, text, ok := strings.Cut(d, "Text:")
			if !strings.Contains(d, "Kind:bridge") || !ok {
				continue
			}
			if heard[text] {
				t.Fatalf("%s: %q was said twice", lang, text)
			}
			heard[text] = true
		}
		if len(heard) < 15 {
			t.Errorf("%s: only %d sentences were said: %v", lang, len(heard), heard)
		}
		s.want("HoldSound{On:true}", "HoldSound{On:false}").not("stuck")
	}
}

// A failure sentence that was heard before is left to the model.
func TestFailureSentenceIsHeardOnce_convW7(t *testing.T) {
	t.Parallel()
	s := looking(t, Call{ID: "a"}).on(ToolDone{ID: "a", Say: "No luck.", Failed: true}).want("Text:No luck.")
	s.on(Audio{2}, Fed{2, true}, Started{2}).wait(time.Second).on(Played{2}).forget()
	s.on(LLMDone{G: 3, Calls: []Call{{ID: "b"}}}, ToolDone{ID: "b", Say: "No luck.", Failed: true})
	s.want("StartReply").not("No luck.")
}

// conv:W8, user needs: what is told once is not told again.
func TestResultIsSpokenOnce_convW8(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		calls []Call
		done  []Event
		want  string
		not   string
	}{
		{"the model speaks it", []Call{{ID: "a"}}, []Event{ToolDone{ID: "a"}}, "StartReply", "Say{"},
		{"an exact sentence in its place", []Call{{ID: "a"}}, []Event{ToolDone{ID: "a", Say: "Done."}}, "Text:Done.", "StartReply"},
		{"it is left alone", []Call{{ID: "a", Silently: true}}, []Event{ToolDone{ID: "a"}}, "", "StartReply"},
		{"… and one that is not", []Call{{ID: "a", Silently: true}, {ID: "b"}}, []Event{ToolDone{ID: "b"}, ToolDone{ID: "a"}}, "StartReply", "Say{"},
		{
			"the same sentence of two",
			[]Call{{ID: "a"}, {ID: "b"}},
			[]Event{ToolDone{ID: "a", Say: "Done."}, ToolDone{ID: "b", Say: "Done."}},
			"Text:Done.", "StartReply",
		},
		{"a failure that is left alone", []Call{{ID: "a", Silently: true}}, []Event{ToolDone{ID: "a", Say: "Sorry.", Failed: true}}, "Text:Sorry.", "StartReply"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := asked(t).answer(c.calls...).wait(time.Second).forget().on(c.done...)
			if c.want != "" {
				s.want(c.want)
			}
			s.not(c.not)
			if n := len(s.times("Say{")) + len(s.times("StartReply")); n > 1 {
				t.Errorf("%d replies:\n%s", n, strings.Join(s.did, "\n"))
			}
		})
	}
}

// conv:W1: what an interruption does to a tool is its class's affair.
func TestClassSaysWhatAnInterruptionDoes_convW1(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		class     Class
		cancelled bool // by the caller's words
		told      bool // when it has a result after them
	}{
		{ClassRead, true, false},
		{ClassEffect, false, true},
		{ClassAsync, false, true},
	} {
		s := asked(t).on(LLMDone{G: 1, Words: true, Calls: []Call{{ID: "a", Class: c.class}}}).sound().wait(time.Second).forget()
		s.on(VoiceStart{At: s.now}).wait(400 * ms).on(Interim{Text: "actually the other one"})
		if _, got := s.saw("SettleTool{ID:a OK:false Code:cancelled}"); got != c.cancelled {
			t.Errorf("class %d: cancelled is %v", c.class, got)
		}
		s.wait(300 * ms).on(VoiceEnd{At: s.now - 200*ms}).on(Final{Text: "actually the other one."}).wait(time.Second)
		s.answer().wait(time.Second).on(Played{s.gen}).forget()
		s.on(ToolDone{ID: "a"}, AsyncDone{ID: "a"}).wait(time.Second)
		if _, got := s.saw("News:[a]"); got != c.told {
			t.Errorf("class %d: told is %v:\n%s", c.class, got, strings.Join(s.did, "\n"))
		}
	}
	// A terminal one waits for its words.
	asked(t).answer(Call{ID: "a", Class: ClassTerminal}).not("SettleTool", "RunTool").on(Played{1}).want("SettleTool{ID:a OK:true")
	asked(t).answer(Call{ID: "a", Class: ClassTerminal, Runs: true}).not("RunTool").on(Played{1}).want("RunTool{ID:a}").
		on(ToolDone{ID: "a"}).want("StartReply{G:2").not("HangUp")
}

// conv:W12: what a reply proposes that is over never runs, in whatever order
// its end and its proposal come.
func TestToolsOfACancelledReplyNeverRun_convW12(t *testing.T) {
	t.Parallel()
	call := []Call{{ID: "x"}, {ID: "y", Class: ClassRead}, {ID: "z", Class: ClassAsync}, {ID: "e", Class: ClassTerminal}}
	for name, gone := range map[string]func(*script) *script{
		"absorbed":  func(s *script) *script { return s.on(Final{Text: "and when?"}) },
		"keyed":     func(s *script) *script { return s.on(Digit{'1'}) },
		"too slow":  func(s *script) *script { return s.wait(11 * time.Second) },
		"failed":    func(s *script) *script { return s.on(LLMErr{G: 1}) },
		"ending":    func(s *script) *script { return s.on(End{Reason: EndAPI}) },
		"hung up":   func(s *script) *script { return s.on(Bye{}) },
		"barged in": func(s *script) *script { return s.on(Audio{1}, Started{1}).wait(time.Second).on(Final{Text: "stop"}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := gone(asked(t)).on(LLMDone{G: 1, Calls: call}).wait(3*time.Second).not("RunTool", "OK:true")
			if name == "hung up" { // nobody is there to be told
				return
			}
			for _, c := range call {
				s.want("SettleTool{ID:" + c.ID + " OK:false")
			}
		})
	}
}

// conv:W15: what an asynchronous tool brings is told 700 ms after all is quiet.
func TestAsyncResultIsToldWhenItIsQuiet_convW15(t *testing.T) {
	t.Parallel()
	// away is a call with two asynchronous tools at work, nothing being said.
	away := func(t *testing.T) *script {
		t.Helper()
		s := asked(t).on(LLMDone{G: 1, Calls: []Call{{ID: "a", Class: ClassAsync}, {ID: "b", Class: ClassAsync}}})
		s.want("RunTool{ID:a}", "SettleTool{ID:a OK:true Code:started}", "StartReply{G:2 Turn:1 Step:1")
		return s.answer().wait(time.Second).on(Played{s.gen}).forget()
	}
	t.Run("at once where it has been quiet", func(t *testing.T) {
		t.Parallel()
		s := away(t).wait(2 * time.Second)
		done := s.now
		s.on(AsyncDone{ID: "a"}).want("News{ID:a}").wait(100 * ms).want("News:[a]")
		if at := s.times("StartReply"); len(at) != 1 || at[0]-done > 100*ms {
			t.Errorf("told at %v", at)
		}
		s.answer().wait(time.Second).on(Played{s.gen}).forget().wait(5 * time.Second).not("StartReply")
	})
	t.Run("not into our own last words", func(t *testing.T) {
		t.Parallel()
		s := away(t)
		end := s.now
		s.on(AsyncDone{ID: "a"}).wait(2 * time.Second)
		if at := s.times("StartReply"); len(at) != 1 || at[0]-end != 700*ms {
			t.Errorf("told at %v, quiet since %v", at, end)
		}
	})
	t.Run("not while the caller speaks, but with the answer to it", func(t *testing.T) {
		t.Parallel()
		s := away(t).wait(time.Second).on(VoiceStart{At: s0}).on(AsyncDone{ID: "a"}).wait(2 * time.Second).not("StartReply")
		s.on(VoiceEnd{At: s.now - 200*ms}, Final{Text: "one more thing."}).wait(time.Second).want("CommitUser")
		s.answer().wait(time.Second).on(Played{s.gen}).forget().wait(5 * time.Second).not("StartReply")
	})
	t.Run("several at once", func(t *testing.T) {
		t.Parallel()
		s := away(t).on(AsyncDone{ID: "a"}, AsyncDone{ID: "b"}).wait(time.Second).want("News:[a b]")
		if n := len(s.times("StartReply")); n != 1 {
			t.Errorf("%d replies", n)
		}
	})
	t.Run("by its own sentence", func(t *testing.T) {
		t.Parallel()
		away(t).on(AsyncDone{ID: "a", Say: "It is booked."}).wait(time.Second).want("Text:It is booked.").not("StartReply")
	})
	t.Run("again where nobody heard it", func(t *testing.T) {
		t.Parallel()
		s := away(t).wait(2 * time.Second).on(AsyncDone{ID: "a"}).wait(100 * ms).want("StartReply").forget()
		s.speak(400*ms).on(Final{Text: "hello?"}).wait(time.Second).want("Cancel", "CommitUser", "StartReply")
	})
	t.Run("not at all after a minute", func(t *testing.T) {
		t.Parallel()
		s := away(t).wait(time.Second).on(Hold{true}, AsyncDone{ID: "a"}).wait(61 * time.Second).on(Hold{false})
		s.want("Text:Welcome back.").sound().wait(time.Second).on(Played{s.gen}).forget().wait(3 * time.Second).want("async_expired").not("StartReply")
	})
	t.Run("no twice, and not what nobody asked for", func(t *testing.T) {
		t.Parallel()
		s := away(t).wait(2*time.Second).on(AsyncDone{ID: "a"}, AsyncDone{ID: "a"}, AsyncDone{ID: "x"}).wait(100 * ms)
		if n := len(s.times("News{")); n != 1 {
			t.Errorf("%d times into the context", n)
		}
	})
	t.Run("a model that fails to tell it is not apologised for", func(t *testing.T) {
		t.Parallel()
		s := away(t).wait(2 * time.Second).on(AsyncDone{ID: "a"}).wait(100 * ms).forget()
		s.on(LLMErr{G: s.gen}).wait(3*time.Second).not("apology", "StartReply").want("async_untold")
	})
	t.Run("silent ones are context only", func(t *testing.T) {
		t.Parallel()
		s := asked(t).on(LLMDone{G: 1, Words: true, Calls: []Call{{ID: "a", Class: ClassAsync, Silently: true}}}).sound()
		s.wait(time.Second).on(Played{1}).forget().on(AsyncDone{ID: "a"}).wait(3 * time.Second).want("News{ID:a}").not("StartReply")
	})
}

// conv:W14, INV25, INV26: whatever two events of workers cross each other around
// a turn with a tool and a barge-in, no tool stays in progress, none runs that
// was cancelled, and each call has one result.
func TestEventsThatCrossLeaveNothingInProgress_convW14(t *testing.T) {
	t.Parallel()
	barge := Event(Final{Text: "stop"})
	events := []Event{
		LLMDone{G: 1, Words: true, Calls: []Call{{ID: "a", Bridge: "One moment."}, {ID: "r", Class: ClassRead}, {ID: "x", Class: ClassAsync}}},
		ToolDone{ID: "a"},
		ToolDone{ID: "r"},
		AsyncDone{ID: "x"},
		barge,
		Final{Text: "and the other one."},
		Digit{'1'},
		Audio{1},
		Started{1},
		Played{1},
		Fed{1, true},
		LLMErr{G: 1},
		Useful{1},
		ToolDone{ID: "a", Say: "Sorry.", Failed: true},
		Hold{true},
		Hold{false},
		End{Reason: EndAPI},
		Bye{},
	}
	for _, before := range [][]Event{{}, {Audio{1}, Started{1}}, {events[0]}, {Audio{1}, events[0], Started{1}}} {
		for i, one := range events {
			for j, two := range events {
				if i == j {
					continue
				}
				s := asked(t).on(before...).on(one, two)
				ran, settled := map[string]bool{}, map[string]int{}
				shell := func() {
					for _, d := range s.did {
						var id string
						if _, rest, ok := strings.Cut(d, "RunTool{ID:"); ok {
							id = strings.TrimSuffix(rest, "}")
							if ran[id] {
								t.Fatalf("%s runs twice", id)
							}
							ran[id] = true
						}
						if _, rest, ok := strings.Cut(d, "SettleTool{ID:"); ok {
							id, _, _ = strings.Cut(rest, " ")
							settled[id]++
						}
					}
					s.forget()
				}
				shell()
				for id := range ran { // the shell runs what it was told to run
					if id != "x" {
						s.on(ToolDone{ID: id})
					}
				}
				s.on(AsyncDone{ID: "x"}).wait(30 * time.Second)
				shell()
				if w := s.m.running(); w != nil {
					t.Fatalf("%s stays in progress after %v, %T%+v, %T%+v (INV26)", w.ID, before, one, one, two, two)
				}
				for _, id := range []string{"a", "r", "x"} {
					if settled[id] > 1 {
						t.Fatalf("%s was settled %d times after %v %+v %+v", id, settled[id], before, one, two)
					}
					proposed := slices.ContainsFunc(append(before, one, two), func(e Event) bool { _, ok := e.(LLMDone); return ok })
					if proposed && s.m.Call() != Ended && !ran[id] && settled[id] == 0 {
						t.Fatalf("%s came to nothing after %v %+v %+v (INV24)", id, before, one, two)
					}
				}
				if what := s.m.Stuck(); what != "" {
					t.Fatalf("waits for %s after %v %+v %+v", what, before, one, two)
				}
			}
		}
	}
}

// INV29, aplisay llm-agent #181: a model that calls its hang-up again and again.
func TestHangUpIsCalledOnceHoweverOftenItIsProposed_INV29(t *testing.T) {
	t.Parallel()
	s := asked(t)
	for i := range 337 {
		s.on(LLMDone{G: s.gen, Words: true, Calls: []Call{{ID: fmt.Sprint("e", i), Class: ClassTerminal}}})
	}
	s.sound().on(Played{s.gen}).wait(time.Second)
	if n := len(s.times("OK:true Code:ended")); n != 1 {
		t.Errorf("ended %d times", n)
	}
	if n := len(s.times("HangUp")); n != 1 {
		t.Errorf("hung up %d times", n)
	}
}

// 1.9: a sound that comes to no words does not keep the last look waiting for
// ever, and is not cut off.
func TestLastLookHearsTheCallerOut(t *testing.T) {
	t.Parallel()
	armed := func() *script { return asked(t).answer(Call{ID: "e", Class: ClassTerminal}).wait(time.Second).forget() }
	s := armed().on(VoiceStart{At: s0}).on(Played{1}).wait(time.Second).not("SettleTool", "HangUp")
	s.on(VoiceEnd{At: s.now}, Final{}).wait(300*ms).want("OK:true Code:ended", "HangUp")
	s = armed().on(VoiceStart{At: s0}).on(Played{1}).wait(6 * time.Second).want("OK:true Code:ended") // music
	s.want("HangUp")
	s = armed().on(VoiceStart{At: s0}).on(Played{1}).wait(time.Second).on(VoiceEnd{At: s.now}, Final{Text: "wait, one more."})
	s.wait(time.Second).want("Code:caller_resumed", "CommitUser", "StartReply").not("HangUp")
	s = armed().on(End{Reason: EndAPI}).want("OK:true Code:ended").not("Say{").on(Played{1}).wait(time.Second)
	s.want("HangUp{Reason:agent_done}")
}
