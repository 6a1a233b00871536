package turn

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// led is a call whose model has called a function that leads to a node.
func led(t *testing.T, n *Node, more ...Call) *script {
	t.Helper()
	calls := append([]Call{{ID: "go", Next: n}}, more...)
	return asked(t).on(LLMDone{G: 1, Calls: calls})
}

// conv:W18: the actions run after the change of the node and before its first
// reply.
func TestActionsRunBeforeTheNodesFirstReply_convW18(t *testing.T) {
	t.Parallel()
	s := led(t, &Node{Name: "b", By: "function", Actions: []string{"x", "y"}})
	all := strings.Join(s.did, "\n")
	order := []string{"SettleTool{ID:go OK:true Code:entered}", "EnterNode{From: To:b By:function Call:go", "RunTool{ID:x}", "RunTool{ID:y}"}
	at := 0
	for _, o := range order {
		i := strings.Index(all[at:], o)
		if i < 0 {
			t.Fatalf("no %q in its place in:\n%s", o, all)
		}
		at += i
	}
	s.not("StartReply{G:2").on(ToolDone{ID: "y"}).not("StartReply{G:2").wait(time.Second).on(ToolDone{ID: "x"})
	s.want("StartReply{G:2 Turn:1 Step:1")
}

// conv:W18: a failure leads to the node for it, whose actions come next.
func TestFailedActionLeadsElsewhere_convW18(t *testing.T) {
	t.Parallel()
	s := led(t, &Node{Name: "b", Actions: []string{"x", "y"}})
	s.on(ToolDone{ID: "x", Next: &Node{Name: "sorry", By: "error", Actions: []string{"z"}}})
	s.want("EnterNode{From:b To:sorry By:error Call:x", "RunTool{ID:z}").not("StartReply{G:2")
	s.forget().on(ToolDone{ID: "y", Next: &Node{Name: "other"}}).not("EnterNode", "StartReply") // it is of a node that was left
	s.on(ToolDone{ID: "z"}).want("StartReply{G:2")
}

// A circle of failures is cut.
func TestCircleOfNodesIsCut(t *testing.T) {
	t.Parallel()
	s := led(t, &Node{Name: "n", Actions: []string{"a0"}})
	for i := range 20 {
		s.on(ToolDone{ID: fmt.Sprint("a", i), Next: &Node{Name: "n", Actions: []string{fmt.Sprint("a", i+1)}}})
	}
	s.want("flow_loop", "StartReply{G:2")
	if n := len(s.times("EnterNode")); n != 10 {
		t.Errorf("%d nodes were entered", n)
	}
}

// conv:W19, INV28: a change of the node completes, whatever the caller does
// from then on, and the reply waits all the same.
func TestChangeOfNodeCompletes_convW19(t *testing.T) {
	t.Parallel()
	for name, interrupt := range map[string]func(*script) *script{
		"words into the wait":  func(s *script) *script { return s.on(Final{Text: "and one more thing."}) },
		"a voice and words":    func(s *script) *script { return s.speak(time.Second).on(Final{Text: "and one more thing."}) },
		"a key":                func(s *script) *script { return s.on(Digit{'1'}) },
		"a stop":               func(s *script) *script { return s.on(Final{Text: "stop."}) },
		"a hold in between":    func(s *script) *script { return s.on(Hold{true}).wait(time.Second).on(Hold{}) },
		"words to be answered": func(s *script) *script { return s.on(SayText{"By the way."}).on(Final{Text: "what?"}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := led(t, &Node{Name: "b", Actions: []string{"x"}, Slow: true}, Call{ID: "w"})
			if s.m.node.Name != "b" {
				t.Fatalf("in %q", s.m.node.Name)
			}
			s.want("EnterNode{From: To:b").forget()
			interrupt(s).wait(4*time.Second).not("StartReply", "EnterNode", "SettleTool{ID:x")
			if s.m.node.Name != "b" || !s.m.slow {
				t.Errorf("in %q, slow is %v", s.m.node.Name, s.m.slow)
			}
			s.on(ToolDone{ID: "w"}).wait(4 * time.Second).not("StartReply").on(ToolDone{ID: "x"}).want("StartReply")
		})
	}
}

// 1.9: a way that the caller has spoken over before it was taken is not taken.
func TestWayIsNotTakenOverTheCaller_INV25(t *testing.T) {
	t.Parallel()
	s := asked(t).on(LLMDone{G: 1, Words: true, Calls: []Call{{ID: "a"}}}).sound().wait(time.Second).on(Played{1}).on(ToolDone{ID: "a"})
	s.on(VoiceStart{At: s.now}).on(Interim{Text: "no not that"}).forget()
	s.on(LLMDone{G: 2, Calls: []Call{{ID: "go", Next: &Node{Name: "b"}}}}).want("SettleTool{ID:go OK:false").not("EnterNode")
	// One completion leads one way.
	s = led(t, &Node{Name: "b"}, Call{ID: "go2", Next: &Node{Name: "c"}})
	s.want("To:b", "SettleTool{ID:go2 OK:false Code:cancelled}").not("To:c")
}

// conv:W18: what was prepared for the node before does not survive the change.
func TestPreparedReplyDiesWithItsNode_convW18(t *testing.T) {
	t.Parallel()
	s := asked(t).answer(Call{ID: "bg", Class: ClassAsync}).wait(time.Second).on(Played{1}).answer().wait(time.Second)
	s.on(Played{s.gen}).wait(time.Second).forget().on(VoiceStart{At: s.now}).wait(500 * ms).on(VoiceEnd{At: s.now})
	s.on(Final{Text: "my name is"}).want("Speculative:true").on(AsyncDone{ID: "bg"}).want("Reason:tool_settled").forget()
	s.wait(5*time.Second).want("CommitUser", "StartReply").not("Adopt")
	s = asked(t).answer().wait(time.Second).on(Played{1}).forget()
	s.on(VoiceStart{At: s.now}).wait(500 * ms).on(VoiceEnd{At: s.now}).on(Final{Text: "my name is"}).want("Speculative:true")
	s.m.out = nil
	s.m.enter(&Node{Name: "b"}, "")
	for _, e := range s.m.out {
		s.note(e)
	}
	s.want("Reason:other_node", "EnterNode{From: To:b")
}

// allow_interrupt: false is a locked reply; slow_input waits for the rest.
func TestNodeLocksItsReplies(t *testing.T) {
	t.Parallel()
	s := led(t, &Node{Name: "b", Locked: true}).answer().wait(time.Second).on(Final{Text: "stop"})
	s.not("Cancel{G:2").on(Played{2}).wait(3 * time.Second).want("Text:stop ")
}

// The flow begins with the call: its first node's actions run beside the greeting.
func TestFlowBeginsWithTheCall_INV28(t *testing.T) {
	t.Parallel()
	s := &script{t: t, m: New(Policy{})}
	s.on(Answered{Greeting: "Hello.", Node: &Node{Name: "a", By: "start", Actions: []string{"x"}}})
	s.want("EnterNode{From: To:a By:start", "RunTool{ID:x}", "Kind:greeting").sound().wait(time.Second).on(Played{1})
	s.speak(time.Second).on(Final{Text: "hello."}).wait(time.Second).want("CommitUser").not("StartReply")
	s.on(ToolDone{ID: "x"}).want("StartReply")
	s.answer(Call{ID: "go", Next: &Node{Name: "b"}}).want("EnterNode{From:a To:b")
}
