package engine

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/internal/testkit/scenario"
	"github.com/patchcord/patchcord/internal/testkit/virtual"
	"github.com/patchcord/patchcord/tools"
)

var (
	monkeys   = flag.Int("monkeys", 150, "random calls of TestRandomCalls")
	monkeyOne = flag.Uint64("monkey", 0, "the seed of the only or, with -monkeys, of the first of them")
)

// monkey is a random call: who answers, who calls, what fails and what happens.
type monkey struct {
	seed   uint64
	far    far
	manner virtual.Manner
	faults virtual.Faults
	steps  []antic
}

// antic is one thing that happens, while the last one goes on or behind it.
type antic struct {
	after  time.Duration
	beside bool // the next one does not wait for its end
	do     string
	text   string
	d      time.Duration
}

func (a antic) String() string {
	s := fmt.Sprintf("%v %s", a.after, a.do)
	if a.text != "" {
		s += fmt.Sprintf(" %q", a.text)
	}
	if a.d > 0 {
		s += " " + a.d.String()
	}
	if a.beside {
		s += " &"
	}
	return s
}

func (m *monkey) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "-monkey %d\nfaults %+v\nmanner %+v\nagent greeting=%q allow=%v silence=%v langs=%d flow=%d max=%v turn=%+v\n",
		m.seed, m.faults, m.manner, m.far.Agent.Greeting, m.far.Agent.AllowGreetingInterruption == nil,
		m.far.Agent.AutonomousSilence, len(m.far.Agent.Languages), len(m.far.Agent.Flow.Nodes),
		time.Duration(m.far.Agent.MaxCallDuration), m.far.Agent.Turn)
	for _, t := range m.far.Tools {
		fmt.Fprintf(&b, "tool %s %s takes=%v fails=%v bridge=%q during=%v timeout=%v\n", t.Def.Name, t.Def.Class, t.Takes, t.Fails,
			t.Def.Speech.Bridging, t.Def.Speech.During, t.Def.TimeoutSecs)
	}
	for _, s := range m.steps {
		fmt.Fprintf(&b, "  %v\n", s)
	}
	return b.String()
}

const monkeyRules = `
otherwise: ["I did not get that.", "Could you say it in other words?", "Tell me a little more about it, please."]
rules:
  - {when: order, call: {tool: check_order}}
  - {after: check_order, if: result.error == nil, say: "Your order shipped on Monday and will be with you soon."}
  - {after: check_order, say: "I could not look that up."}
  - {when: book, call: {tool: book}}
  - {after: book, if: result.error == nil, say: "Your table is booked. We look forward to seeing you."}
  - {after: book, say: "I could not book that."}
  - {when: both, call: [{tool: check_order}, {tool: book}]}
  - {when: invoice, call: {tool: print}}
  - {after: print, if: result.status == "started", say: "I will tell you when it is done."}
  - {after: print, say: "Your invoice is printed."}
  - {when: story, say: "Once there was a king who lived in a castle. He had three sons. The first was tall, the second was clever, and the third one was kind. One day he sent them out into the world."}
  - {when: table, call: {tool: to_table}}
  - {after: to_table, say: "For how many people?"}
  - {when: goodbye, say: "Goodbye and thank you for calling.", end: true}
`

// newMonkey is the call of a seed.
func newMonkey(seed uint64) *monkey {
	r := rand.New(rand.NewPCG(seed, 7)) //nolint:gosec // a test's
	chance := func(share float64) bool { return r.Float64() < share }
	ms := func(from, to int) time.Duration { return time.Duration(from+r.IntN(to-from)) * time.Millisecond }
	m := &monkey{seed: seed, manner: virtual.Manners[r.IntN(len(virtual.Manners))]}
	pick := func() virtual.Faults { return virtual.Profiles[r.IntN(len(virtual.Profiles))] }
	if m.faults = virtual.Profiles[0]; chance(0.6) {
		m.faults = virtual.Faults{Name: "mixed", STT: pick().STT, LLM: pick().LLM, TTS: pick().TTS}
	}
	a := agent.Agent{Name: "a", Prompt: "Answer."}
	a.Greeting = []string{
		"", "Hello.", "Hello, how can I help?",
		"Hello, this call is recorded so that we can serve you better and better every day.",
	}[r.IntN(4)]
	if locked := false; chance(0.25) {
		a.AllowGreetingInterruption = &locked
	}
	if chance(0.15) {
		a.Disclosure = "This call may be recorded."
	}
	a.AutonomousSilence = chance(0.15)
	a.MaxCallDuration = agent.Duration(ms(40000, 150000))
	if on := chance(0.5); chance(0.6) {
		a.Turn.Speculation = turn.Speculation{Enabled: &on, TTSFirstClause: chance(0.5)}
	}
	a.Turn.GoodbyeInterruptible = chance(0.3)
	a.Turn.InterruptionHint = chance(0.2)
	a.Turn.SlowInput = chance(0.1)
	if chance(0.2) {
		a.Languages = []agent.Tongue{{Language: "de", Voice: "anna"}}
	}
	if chance(0.6) {
		a.Tools = []tools.Definition{{Name: "end_call", Type: tools.EndCall, Description: "Ends the call."}}
	}
	if chance(0.25) {
		a.Flow = agent.Flow{Nodes: []agent.Node{
			{Key: "welcome", Initial: true, Prompt: "Ask.", Functions: []agent.Function{{
				Name: "to_table", Description: "Leads on.", Next: "table",
			}}},
			{Key: "table", Terminal: true, Prompt: "Book.", SlowInput: chance(0.3), ToolIDs: []string{"book"}},
		}}
	}
	m.far.Agent, m.far.Rules = a, monkeyRules
	for _, d := range []scriptedTool{
		{Def: tools.Definition{Name: "check_order", Class: tools.Read}, Result: `{"status":"shipped"}`},
		{Def: tools.Definition{Name: "book", Class: tools.Effect}, Result: `{"booked":true}`},
		{Def: tools.Definition{Name: "print", Class: tools.Async}, Result: `{"status":"printed"}`},
	} {
		d.Takes, d.Fails = []time.Duration{20 * time.Millisecond, ms(100, 1500), ms(1500, 9000)}[r.IntN(3)], chance(0.15)
		if chance(0.3) {
			d.Def.Speech.Bridging = "One moment, I am looking for " + d.Def.Name + "."
		}
		if during := false; chance(0.15) {
			d.Def.Speech.During = &during
		}
		if chance(0.2) {
			d.Def.TimeoutSecs = 2
		}
		m.far.Tools = append(m.far.Tools, d)
	}
	word := 0
	fresh := func() string { // a word that nobody has said before
		word++
		const c, v = "bdfgklmnprstvz", "aeiou"
		n := word*31 + int(seed%97) //nolint:gosec // below 97
		return string([]byte{
			c[n%14], v[n/14%5], c[n/70%14], v[(n+word)%5], c[(word*5)%14], v[word%5], c[word/14%14],
		})
	}
	say := func() string {
		heads := []string{
			"where is my order", "book it please", "I want both", "print my invoice", "tell me a story",
			"a table", "no wait", "stop", "yes", "mm-hmm", "my name is", "and", "I think that", "goodbye", "okay",
			"wo ist mein Paket bitte ich brauche Hilfe",
		}
		text := heads[r.IntN(len(heads))]
		for range r.IntN(4) {
			text += " " + fresh()
		}
		return text
	}
	for range 3 + r.IntN(9) {
		x := antic{after: ms(0, 5000)}
		if chance(0.3) {
			x.after = ms(0, 600)
		}
		switch n := r.IntN(100); {
		case n < 55:
			x.do, x.text, x.beside = scenario.Say, say(), chance(0.2)
		case n < 60:
			x.do, x.d = scenario.Cough, ms(60, 600)
		case n < 65:
			x.do, x.d = scenario.Mumble, ms(300, 2500)
		case n < 69:
			x.do, x.d = scenario.Hum, ms(200, 1200)
		case n < 78:
			x.do, x.text, x.beside = scenario.Press, []string{"1", "47", "4711#", "0"}[r.IntN(4)], chance(0.3)
		case n < 81:
			x.do, x.d = scenario.Hold, ms(200, 8000)
		case n < 84:
			x.do, x.d = scenario.Mute, ms(100, 3000)
		case n < 87:
			x.do, x.d = scenario.Wait, ms(1000, 12000)
		case n < 91:
			x.do, x.text = "api say", fmt.Sprintf("A note from the office about %s.", fresh())
		case n < 93:
			x.do, x.text = "api end", "Goodbye from the office."
		case n < 96:
			x.do, x.d = "api mute", ms(300, 4000)
		case n < 98:
			x.do = scenario.Hangup
		default:
			x.do = "api collect"
		}
		m.steps = append(m.steps, x)
	}
	if chance(0.6) {
		m.steps = append(m.steps, antic{after: ms(0, 9000), do: scenario.Hangup})
	}
	return m
}

// act is what happens of a step.
func (p *played) act(ctx context.Context, phone *virtual.Phone, a antic) {
	var err error
	switch a.do {
	case scenario.Say:
		err = phone.Say(ctx, a.text, "")
	case scenario.Press:
		err = phone.Press(ctx, a.text)
	case scenario.Wait:
		time.Sleep(a.d)
	case scenario.Hangup:
		err = phone.Hangup(ctx)
	case "api say":
		err = p.e.Say("0190", a.text)
	case "api end":
		err = p.e.End("0190", a.text)
	case "api mute":
		if err = p.e.Mute("0190", true); err == nil {
			time.Sleep(a.d)
			err = p.e.Mute("0190", false)
		}
	case "api collect":
		err = p.e.CollectKeys("0190", turn.Keys{Max: 4})
	default:
		err = phone.Disturb(ctx, &scenario.Step{Verb: a.do, For: a.d})
	}
	_ = err // the call may be over
}

// play plays a random call and tells what is wrong with it.
func (m *monkey) play(t *testing.T) (out []string, p *played) {
	t.Helper()
	before := bubbled()
	p = &played{t: t, world: m.faults, slack: m.faults.TTS.First + m.faults.TTS.Lead, ran: map[string]*int{}, far: m.far}
	p.far.Tools = slices.Clone(m.far.Tools)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	start := time.Now()
	phone := p.ring(fmt.Sprint("monkey ", m.seed), m.seed, m.manner, m.faults)
	var wg sync.WaitGroup
	for _, a := range m.steps {
		select {
		case <-time.After(a.after):
		case <-p.ended:
		}
		if a.beside {
			wg.Go(func() { p.act(ctx, phone, a) })
			continue
		}
		p.act(ctx, phone, a)
	}
	wg.Wait()
	limit := time.Duration(m.far.Agent.MaxCallDuration) + 20*time.Second // finish_cap, drain_cap and the rest
	select {
	case <-p.ended:
	case <-time.After(time.Until(start.Add(limit))):
		out = append(out, fmt.Sprintf("the call has not ended after %v (INV34)", limit))
		_ = phone.Hangup(ctx)
		<-p.ended
	}
	p.took = time.Since(start)
	cancel()
	time.Sleep(2 * time.Second)
	synctest.Wait()
	if n := bubbled(); n > before && !strings.Contains(stacks(), "scriptedTool") {
		out = append(out, fmt.Sprintf("%d goroutines are left (INV32)\n%s", n-before, stacks()))
	}
	p.e.wg.Wait()
	p.replay()
	out = append(out, p.faults()...)
	return append(out, p.twice()...), p
}

// twice: no effect was had more often than it was asked for.
func (p *played) twice() (out []string) {
	asked := 0
	for _, w := range p.line.Said() {
		if w.At > 0 && (w.Text == "book" || w.Text == "both") {
			asked++
		}
	}
	if n := p.ran["book"]; n != nil && *n > asked {
		out = append(out, fmt.Sprintf("book ran %d times and was asked for %d times (INV24)", *n, asked))
	}
	return out
}

// shrink leaves out what a fault does not need.
func (m *monkey) shrink(t *testing.T) *monkey {
	t.Helper()
	kind := func(m *monkey) string { // of fault
		out, _ := m.play(t)
		if len(out) == 0 {
			return ""
		}
		return strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' {
				return -1
			}
			return r
		}, out[0][:min(len(out[0]), 40)])
	}
	first := kind(m)
	fails := func(m *monkey) bool {
		k := kind(m)
		return k != "" && k[:min(len(k), 12)] == first[:min(len(first), 12)]
	}
	for i := len(m.steps) - 1; i >= 0; i-- {
		x := *m
		x.steps = slices.Delete(slices.Clone(m.steps), i, i+1)
		if i < len(x.steps) {
			x.steps[i].after += m.steps[i].after
		}
		if fails(&x) {
			m = &x
		}
	}
	for _, simpler := range []func(*monkey){
		func(m *monkey) { m.faults.STT = virtual.STTFaults{} },
		func(m *monkey) { m.faults.LLM = virtual.LLMFaults{} },
		func(m *monkey) { m.faults.TTS = virtual.TTSFaults{Words: true} },
		func(m *monkey) { m.manner = virtual.Manners[0] },
		func(m *monkey) { m.far.Agent.Turn = turn.Policy{} },
		func(m *monkey) { m.far.Agent.Flow = agent.Flow{} },
		func(m *monkey) { m.far.Agent.Languages = nil },
		func(m *monkey) { m.far.Agent.Disclosure = "" },
		func(m *monkey) { m.far.Agent.AutonomousSilence = false },
	} {
		x := *m
		if simpler(&x); fails(&x) {
			m = &x
		}
	}
	return m
}

// TestRandomCalls plays calls that nobody wrote, each by its seed: whatever
// is asked, whoever calls and whatever fails, nobody may get a call that breaks
// a promise. go test -run TestRandomCalls -monkeys 5000 plays more of them, and
// -monkey 17 -monkeys 1 the one of a seed, in its simplest form that fails.
func TestRandomCalls(t *testing.T) {
	first := *monkeyOne
	seeds := []uint64{
		5850, 10839, 12544, 14837, 14907, 20192, 22889, // that broke one once
	}
	if first != 0 {
		seeds = nil
	}
	for n := range *monkeys {
		seeds = append(seeds, first+uint64(n)) //nolint:gosec // a count
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMonkey(seed)
				out, p := m.play(t)
				if len(out) == 0 {
					return
				}
				if *monkeys == 1 {
					m = m.shrink(t)
					out, p = m.play(t)
				}
				t.Errorf("%s\n%v%s", strings.Join(out, "\n"), m, p.lines())
				if *monkeys == 1 {
					b, err := os.ReadFile(filepath.Join(p.cfg.JournalDir, "0190.jsonl"))
					t.Logf("%s%v", b, err)
				}
			})
		})
	}
}
