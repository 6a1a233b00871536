package turn

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write transitions.md anew")

const table = "transitions.md"

// variants are the events that the transition table tries in every state: each
// kind in the ways that can make a difference. G and ID are filled in from
// what the machine has. A kind that is not here is tried by its zero value.
func variants(m *Machine) []Event {
	gens := []Gen{m.gen + 1}
	for _, r := range m.line {
		gens = append(gens, r.g)
	}
	if r := m.prepared.r; r != nil {
		gens = append(gens, r.g)
	}
	ids := []string{"none"}
	for _, w := range m.works {
		ids = append(ids, w.ID)
	}
	calls := func(c Class) []Call { return []Call{{ID: fmt.Sprint("c", m.gen, c), Class: c, Bridge: "One moment."}} }
	out := []Event{
		Answered{Greeting: "Hello."},
		Answered{Greeting: "Hello.", Locked: true},
		Answered{PreCall: true},
		VoiceStart{At: m.now},
		VoiceEnd{At: m.now},
		Voiced{},
		Interim{Text: "my order"},
		Interim{Text: "mm-hmm"},
		Interim{Text: "our own words", Echo: true},
		Final{Text: "my order is late."},
		Final{Text: "stop"},
		Final{Text: "mm-hmm"},
		Final{},
		Final{Text: "my order", Endpointed: true},
		Final{Text: "our own words", Echo: true},
		Endpoint{},
		Endpoint{Kind: EndpointEager},
		Endpoint{Kind: EndpointResumed},
		STTDown{Down: true},
		STTDown{},
		EOT{P: 0.9},
		EOT{P: 0.1},
		SlowInput{On: true},
		Recogniser{},
		Recogniser{Turns: true},
		SetLanguage{Tag: "de"},
		Final{Text: "eine Sache", Language: "de", Span: time.Second, Confidence: 0.9},
		Digit{Key: '1'},
		Digit{Key: '#'},
		CollectKeys{},
		CollectKeys{Keys{Max: 1, HoldSpeech: true}},
		StopKeys{},
		Answered{Greeting: "Hello.", Gate: GateVerdict, FarBuffer: true},
		Verdict{Class: PartyHuman},
		Verdict{Class: PartyMachine, Message: "Hi."},
		Verdict{Class: PartyMachine},
		Verdict{Class: PartyScreening},
		Beep{},
		Mute{On: true},
		Mute{},
		FarPlayed{},
		TransferStarted{ID: "t"},
		TransferStarted{ID: "t", Announcement: "I put you through."},
		TransferJoined{ID: "t"},
		TransferResult{ID: "t"},
		TransferResult{ID: "t", OK: true},
		Hold{On: true},
		Hold{},
		SayText{Text: "Hello."},
		End{Reason: EndAPI},
		MediaLost{},
		Bye{},
		PreCallDone{},
		Tick{},
	}
	for _, g := range gens {
		out = append(out, Started{g}, Played{g}, Useful{g}, Audio{g}, Fed{g, true}, Fed{g, false},
			Void{G: g}, Dry{g, true}, Dry{g, false}, LLMErr{g, false}, LLMErr{g, true},
			LLMDone{G: g, Words: true}, LLMDone{G: g, Words: true, Asks: true}, LLMDone{G: g})
		for _, c := range []Class{ClassEffect, ClassRead, ClassTerminal, ClassAsync} {
			out = append(out, LLMDone{G: g, Calls: calls(c)})
		}
		out = append(out, LLMDone{G: g, Words: true, Calls: calls(ClassTerminal)},
			LLMDone{G: g, Calls: []Call{{ID: fmt.Sprint("n", g), Next: &Node{Name: "next", Actions: []string{fmt.Sprint("act", g)}}}}})
	}
	for _, id := range ids {
		out = append(out, ToolDone{ID: id}, ToolDone{ID: id, Say: "Done."}, ToolDone{ID: id, Say: "Sorry.", Failed: true},
			ToolDone{ID: id, Next: &Node{Name: "failed"}})
	}
	out = append(out, AsyncDone{ID: "none"})
	for _, c := range m.away {
		out = append(out, AsyncDone{ID: c.ID})
	}
	have := map[string]bool{}
	for _, ev := range out {
		have[NameOf(ev)] = true
	}
	for _, ev := range events {
		if !have[NameOf(ev)] {
			out = append(out, ev)
		}
	}
	return out
}

// input is an event and how long after the one before it comes.
type input struct {
	ev  Event
	due bool // not before the machine's next deadline
}

// played is a machine that has had these inputs, and what the last one did.
func played(path []input) (m *Machine, did []Effect, ignored bool) {
	m = New(Policy{MaxCall: 2 * time.Hour, Language: "en", Languages: []string{"en", "de"}})
	for _, in := range path {
		m.now += 10 * ms
		if at, ok := m.Next(); ok && in.due {
			m.now = max(m.now, at)
		}
		before := m.ignored[NameOf(in.ev)]
		did = m.Step(in.ev, m.now)
		ignored = m.ignored[NameOf(in.ev)] > before
	}
	return m, did, ignored
}

// regions are the state of a machine as the table names it.
func regions(m *Machine) string {
	if m.call == Ended {
		return m.call.String()
	}
	return fmt.Sprint(m.call, " ", m.user, " ", m.Agent())
}

// facts are what of a machine's state most decisions ask for, beside its
// regions.
func facts(m *Machine) uint64 {
	f, n := m.front, m.next()
	var bits uint64
	for i, b := range []bool{
		m.voice, m.owed, m.transcript() != "", len(m.digits) > 0, m.running() != nil, m.paused,
		m.collect != nil && m.collect.HoldSpeech, m.collect != nil, m.keysDone, m.prepared.r != nil,
		m.closing != nil, m.untold() || len(m.away) > 0, n != nil, n != nil && n.filling(),
		f != nil && f.kind == Answer, f != nil && f.filling(), f != nil && f.done, m.listened != "", m.slow, m.sttDown,
		m.opening != nil, m.mailbox, m.muted,
	} {
		if b {
			bits |= 1 << i
		}
	}
	return bits
}

// met are the facts that were met with, true or false, beside each of the first
// firstFacts being true or false.
type met [firstFacts][2][2]uint64

const firstFacts = 4

// novel says whether there is a pair of facts that was not met with before: the
// pairs with one of the first are looked for, not all combinations.
func (p *met) novel(facts uint64) bool {
	found := false
	for i := range p {
		m := &p[i][facts>>i&1]
		found = found || m[0]|^facts != m[0] || m[1]|facts != m[1]
		m[0], m[1] = m[0]|^facts, m[1]|facts
	}
	return found
}

// novel says the same of a machine, beside others in the same regions.
func novel(seen map[string]*met, m *Machine) bool {
	at := regions(m)
	if seen[at] == nil {
		seen[at] = &met{}
	}
	return seen[at].novel(facts(m))
}

// outcome is what became of one event in one state.
type outcome map[string]bool

// explore tries every event in states that hold every fact that can be reached,
// up to a length of the line and of the list of tools, and tells what each pair
// of regions and event came to.
func explore(t *testing.T) map[string]map[string]outcome {
	t.Helper()
	const most = 2 // replies and calls at once
	tried := map[string]map[string]outcome{}
	seen, states := map[string]*met{}, 0
	queue := [][]input{nil}
	for len(queue) > 0 {
		path := queue[0]
		queue = queue[1:]
		m, _, _ := played(path)
		from := regions(m)
		if tried[from] == nil {
			tried[from] = map[string]outcome{}
		}
		for _, in := range inputs(m) {
			next := append(path[:len(path):len(path)], in)
			after, did, ignored := played(next)
			if what := after.Stuck(); what != "" {
				t.Fatalf("the call waits for %s after %v", what, next)
			}
			kind := NameOf(in.ev)
			if in.due {
				kind = "Tick"
			}
			if tried[from][kind] == nil {
				tried[from][kind] = outcome{}
			}
			to := describe(from, after, did)
			if ignored && !in.due {
				to = "ignored"
			}
			tried[from][kind][to] = true
			if len(after.line) <= most && len(after.works) <= most && novel(seen, after) {
				states++
				queue = append(queue, next)
			}
		}
	}
	t.Logf("%d states, %d of the regions", states, len(tried))
	return tried
}

// inputs are all variants now, and the next deadline.
func inputs(m *Machine) []input {
	vs := variants(m)
	out := make([]input, 0, len(vs)+1)
	for _, ev := range vs {
		out = append(out, input{ev: ev})
	}
	return append(out, input{Tick{}, true})
}

// describe names the effects and, where it changed, the state after them.
func describe(from string, after *Machine, did []Effect) string {
	var names []string
	for _, e := range did {
		if n := NameOf(e); !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	text := strings.Join(names, " ")
	if to := regions(after); to != from {
		text = strings.TrimSpace(text + " → " + to)
	}
	if text == "" {
		return "noted"
	}
	return text
}

// render writes the table: one part for each state of the regions.
func render(tried map[string]map[string]outcome) string {
	var b strings.Builder
	b.WriteString("# Transitions\n\n" +
		"What the machine does with every kind of event in every state of its regions (call, caller, agent).\n" +
		"Made by `go test ./engine/turn -run Transitions -update`; the test fails while a pair is missing.\n" +
		"Each line is an event and all that can come of it, by what else the state holds: the effects in their\n" +
		"order, `→` and the new state where it changes, `noted` where only the machine's memory does, `ignored`\n" +
		"where it means nothing and is counted.\n")
	for _, from := range slices.Sorted(maps.Keys(tried)) {
		fmt.Fprintf(&b, "\n## %s\n\n", from)
		var nothing []string
		for _, kind := range EventNames() {
			outs := slices.Sorted(maps.Keys(tried[from][kind]))
			if len(outs) == 1 && outs[0] == "ignored" {
				nothing = append(nothing, kind)
				continue
			}
			fmt.Fprintf(&b, "- %s: %s\n", kind, strings.Join(outs, "; "))
		}
		if len(nothing) > 0 {
			fmt.Fprintf(&b, "- ignored: %s\n", strings.Join(nothing, ", "))
		}
	}
	return b.String()
}

// Every pair of a state and an event has its entry in the checked-in table, and
// every event means something somewhere (conv 1.5, totality).
func TestTransitionsAreTotal(t *testing.T) {
	t.Parallel()
	tried := explore(t)
	for _, kind := range EventNames() {
		took := false
		for from, by := range tried {
			if len(by[kind]) == 0 {
				t.Errorf("%s in %q was not tried", kind, from)
			}
			took = took || len(by[kind]) > 1 || len(by[kind]) == 1 && !by[kind]["ignored"]
		}
		if !took {
			t.Errorf("%s means nothing in any state: it has no case in Step, or no variant that reaches it", kind)
		}
	}
	want := render(tried)
	if *update {
		if err := os.WriteFile(table, []byte(want), 0o644); err != nil { //nolint:gosec // a document
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	for _, pair := range missing(want, string(have)) {
		t.Errorf("%s has no entry for %s: go test ./engine/turn -run Transitions -update, and read what changed",
			table, pair)
	}
	if want != string(have) && !t.Failed() {
		t.Errorf("%s is not what Step does: go test ./engine/turn -run Transitions -update, and read what changed", table)
	}
}

// missing are the pairs of state and event in one table that another lacks.
func missing(want, have string) []string {
	pairs := func(text string) map[string]bool {
		out, state := map[string]bool{}, ""
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			if s, ok := strings.CutPrefix(line, "## "); ok {
				state = s
				continue
			}
			name, rest, ok := strings.Cut(strings.TrimPrefix(line, "- "), ": ")
			switch {
			case !ok || state == "":
			case name == "ignored":
				for kind := range strings.SplitSeq(rest, ", ") {
					out[kind+" in "+state] = true
				}
			default:
				out[name+" in "+state] = true
			}
		}
		return out
	}
	there := pairs(have)
	var out []string
	for p := range pairs(want) {
		if !there[p] {
			out = append(out, p)
		}
	}
	slices.Sort(out)
	return out
}
