package turn

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// overtaken are the ways in which an answer that sounds is left behind by the
// caller's next turn, which has an answer of its own then (G 2), while its model
// still writes.
var overtaken = map[string]func(s *script) *script{
	"keys came into it": func(s *script) *script {
		return s.on(Audio{1}, Digit{'4'}, Started{1}).wait(3 * time.Second)
	},
	"keys on hold": func(s *script) *script {
		return s.on(Audio{1}, Started{1}, Hold{true}, Digit{'4'}, Digit{'#'}, Hold{false})
	},
	"words on hold": func(s *script) *script {
		s.on(Audio{1}, Started{1}, Hold{true}).wait(time.Second).on(VoiceStart{At: s.now}).wait(time.Second)
		return s.on(VoiceEnd{At: s.now}, Final{Text: "the other one."}).wait(time.Second).on(Hold{false})
	},
}

// behind is a call whose first answer has been left behind in one of those ways.
func behind(t *testing.T, way string) *script {
	t.Helper()
	s := overtaken[way](asked(t))
	s.want("CommitUser{Turn:2", "StartReply{G:2 Turn:2 Step:0").not("Cancel")
	if s.m.Agent() != Audible || s.m.front.g != 1 {
		t.Fatalf("%v: %d sounds", s.m.Agent(), s.m.front.g)
	}
	return s.forget()
}

// INV10: what an answer calls that the caller has left behind asks for no second
// answer beside that of their next turn. Its results are in the context at once,
// and are told once, when both have been said.
func TestALateAnswersToolsAreNews_INV10(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		calls []Call
		done  []Event
		told  string   // the news that an answer is asked for, "" for none
		want  []string // in any order
	}{
		{"an effect", []Call{{ID: "a", Bridge: "One moment."}}, []Event{ToolDone{ID: "a"}}, "[a]", []string{"RunTool{ID:a}", "News{ID:a}"}},
		{"a read", []Call{{ID: "a", Class: ClassRead}}, []Event{ToolDone{ID: "a"}}, "[a]", []string{"RunTool{ID:a}", "News{ID:a}"}},
		{"one with an exact sentence", []Call{{ID: "a"}}, []Event{ToolDone{ID: "a", Say: "Done."}}, "[a]", []string{"News{ID:a}"}},
		{"one that fails", []Call{{ID: "a"}}, []Event{ToolDone{ID: "a", Say: "Sorry.", Failed: true}}, "[a]", []string{"News{ID:a}"}},
		{"one that is left alone", []Call{{ID: "a", Silently: true}}, []Event{ToolDone{ID: "a"}}, "", []string{"News{ID:a}"}},
		{"two", []Call{{ID: "a"}, {ID: "b"}}, []Event{ToolDone{ID: "b"}, ToolDone{ID: "a"}}, "[b a]", []string{"News{ID:a}", "News{ID:b}"}},
		{"one that was refused", []Call{{ID: "a", Refused: true}}, nil, "", nil},
		{
			"an asynchronous one",
			[]Call{{ID: "a", Class: ClassAsync}},
			[]Event{AsyncDone{ID: "a"}},
			"[a]",
			[]string{"SettleTool{ID:a OK:true Code:started}", "News{ID:a}"},
		},
		{
			"one whose result is to come",
			[]Call{{ID: "a"}},
			[]Event{ToolDone{ID: "a", Deferred: true}, AsyncDone{ID: "a"}},
			"[a]",
			[]string{"News{ID:a}"},
		},
		{
			"the end of the call",
			[]Call{{ID: "a", Class: ClassTerminal}},
			nil, "",
			[]string{"SettleTool{ID:a OK:false Code:caller_resumed}"},
		},
		{
			"… beside another",
			[]Call{{ID: "a"}, {ID: "e", Class: ClassTerminal, Goodbye: "Goodbye."}},
			[]Event{ToolDone{ID: "a"}},
			"[a]",
			[]string{"RunTool{ID:a}", "SettleTool{ID:e OK:false Code:caller_resumed}"},
		},
		{
			"the way to another node",
			[]Call{{ID: "a", Next: &Node{Name: "next"}}},
			nil, "",
			[]string{"SettleTool{ID:a OK:false Code:caller_resumed}"},
		},
	} {
		for way := range overtaken {
			for _, when := range []string{"before the next answer", "under it", "after it"} {
				t.Run(c.name+", "+way+", "+when, func(t *testing.T) {
					t.Parallel()
					s := behind(t, way).on(LLMDone{G: 1, Words: true, Calls: c.calls}, Fed{1, true})
					s.not("StartReply", "Cancel", "Say{", "EnterNode", "HangUp")
					if when == "before the next answer" {
						s.on(c.done...)
					}
					s.on(Useful{2}, LLMDone{G: 2, Words: true}, Audio{2}, Fed{2, true}).on(Played{1}).want("Play{G:2}").on(Started{2})
					if when == "under it" {
						s.on(c.done...)
					}
					s.not("StartReply", "Say{").on(Played{2})
					if when == "after it" {
						s.on(c.done...)
					}
					s.wait(time.Second).want(c.want...).not("Step:1")
					if got := len(s.times("StartReply")); got != min(1, len(c.told)) {
						t.Fatalf("%d answers more:\n%s", got, strings.Join(s.did, "\n"))
					}
					if c.told != "" {
						s.want("News:" + c.told).answer().wait(time.Second).on(Played{s.gen})
					}
					s.forget().wait(5*time.Second).not("StartReply", "HangUp")
					if s.m.Agent() != Idle || s.m.Call() != Live {
						t.Errorf("%v, %v", s.m.Call(), s.m.Agent())
					}
				})
			}
		}
	}
}

// INV10, INV24, conv:W2: the next turn's own tools run beside those of the answer
// that was left behind. Whatever order their results come in, the model is asked
// once for each: the next step of the turn, and the news.
func TestALateAnswersToolsBesideTheTurnsOwn_INV10(t *testing.T) {
	t.Parallel()
	events := []Event{
		LLMDone{G: 1, Words: true, Calls: []Call{{ID: "late"}, {ID: "last", Class: ClassRead}}},
		LLMDone{G: 2, Calls: []Call{{ID: "own"}}},
		Played{1},
		ToolDone{ID: "late"},
		ToolDone{ID: "last"},
		ToolDone{ID: "own"},
	}
	after := map[int][]int{3: {0}, 4: {0}, 5: {1}} // a result comes after its proposal
	n := 0
	for way := range overtaken {
		orders(len(events), func(order []int) {
			for i, e := range order {
				for _, before := range after[e] {
					if !slices.Contains(order[:i], before) {
						return
					}
				}
				if e == 0 && slices.Contains(order[:i], 2) { // what has been said to its end proposes nothing
					return
				}
			}
			n++
			s := behind(t, way)
			for _, e := range order {
				s.on(events[e]).wait(10 * ms)
			}
			for range 4 { // all that is to be said is said
				if r := s.m.next(); r != nil || len(s.m.line) > 0 && !s.m.line[0].ready {
					s.on(Useful{s.m.line[0].g}, LLMDone{G: s.m.line[0].g, Words: true}, Audio{s.m.line[0].g}, Fed{s.m.line[0].g, true})
				}
				if f := s.m.front; f != nil {
					s.on(Started{f.g}).wait(time.Second).on(Played{f.g})
				}
				s.wait(time.Second)
			}
			said := fmt.Sprint(order, " ", way, ":\n", strings.Join(s.did, "\n"))
			for text, want := range map[string]int{
				"StartReply{G:3 Turn:2 Step:1": 1, "Step:1": 1, "News{ID:late}": 1, "News{ID:last}": 1, "News{ID:own}": 0,
				"RunTool": 3, "SettleTool": 0,
			} {
				if got := len(s.times(text)); got != want {
					t.Fatalf("%d times %q, want %d, after %s", got, text, want, said)
				}
			}
			// What came before the next step is told with it, the rest by itself.
			if more := len(s.times("Step:0")); more > 1 || len(s.m.news) > 0 || s.m.Agent() != Idle {
				t.Fatalf("%d answers for the news, %d untold, %v, after %s", more, len(s.m.news), s.m.Agent(), said)
			}
		})
	}
	if n < 100 {
		t.Errorf("only %d orders were tried", n)
	}
}

// orders calls f with every order of 0 to n-1.
func orders(n int, f func([]int)) {
	var rest func(order []int)
	rest = func(order []int) {
		if len(order) == n {
			f(order)
			return
		}
		for i := range n {
			if !slices.Contains(order, i) {
				rest(append(order[:len(order):len(order)], i))
			}
		}
	}
	rest(nil)
}
