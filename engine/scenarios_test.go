package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/stt"
	"github.com/patchcord/patchcord/audio/tts"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/internal/testkit/scenario"
	"github.com/patchcord/patchcord/internal/testkit/virtual"
	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/tools"
)

// far is the engine: section of a scenario: who answers its call.
type far struct {
	Agent agent.Agent    `yaml:"agent"`
	Rules string         `yaml:"rules"` // the model's, a file of llm/rules
	Tools []scriptedTool `yaml:"tools"`
}

// scriptedTool answers after a while.
type scriptedTool struct {
	Def    tools.Definition `yaml:",inline"`
	Takes  time.Duration    `yaml:"takes"`
	Result string           `yaml:"result"` // JSON
	Fails  bool             `yaml:"fails"`
	Args   string           `yaml:"args"` // JSON, what it has to be called with; "" for anything

	schema json.RawMessage
	ran    *int
	got    []string // arguments
}

func (s *scriptedTool) Definition() *tools.Definition { return &s.Def }
func (s *scriptedTool) Schema() json.RawMessage       { return s.schema }

func (s *scriptedTool) Run(ctx context.Context, c tools.Call) tools.Result {
	*s.ran++
	s.got = append(s.got, string(c.Args))
	select {
	case <-time.After(s.Takes):
	case <-ctx.Done():
		return tools.ErrorResult(tools.Cancelled, "cancelled", "")
	}
	if s.Fails {
		return tools.ErrorResult(tools.Failed, "http_500", "")
	}
	return tools.Result{JSON: json.RawMessage(s.Result), Status: tools.OK}
}

// played is a scenario's call when it is over.
type played struct {
	*call
	t      *testing.T
	s      *scenario.Scenario
	line   *virtual.Line
	ears   *virtual.Ears
	model  *virtual.Model
	report *scenario.Report
	far    far
	ran    map[string]*int
	took   time.Duration
	world  virtual.Faults
	slack  time.Duration // a voice takes longer, and the sentences of the engine's own are not all made before
}

// playScenario plays a scenario by one caller in one deployment, inside a
// bubble.
func playScenario(t *testing.T, s *scenario.Scenario, m virtual.Manner, f virtual.Faults) *played {
	t.Helper()
	p := &played{t: t, s: s, world: f, ran: map[string]*int{}}
	if s.Engine == nil {
		t.Fatalf("%s has no engine: section", s.File)
	}
	if err := yaml.NodeToValue(s.Engine, &p.far, yaml.Strict()); err != nil {
		t.Fatalf("%s: engine: %v", s.File, err)
	}
	start := time.Now()
	phone := p.ring(s.File, 1, m, f)
	p.report = scenario.Run(t.Context(), s, phone)
	select {
	case <-p.ended:
	case <-time.After(2 * time.Minute):
		t.Fatalf("the call did not end:\n%s", p.lines())
	}
	p.e.wg.Wait()
	p.replay()
	p.took = time.Since(start)
	return p
}

// ring lets a call begin; p.ended is closed when it is over.
func (p *played) ring(name string, seed uint64, m virtual.Manner, f virtual.Faults) *virtual.Phone {
	p.t.Helper()
	p.line = virtual.NewLine("0190", seed)
	var err error
	if p.model, err = virtual.NewModel(name, p.far.Rules, f.LLM); err != nil {
		p.t.Fatal(err)
	}
	p.ears = virtual.NewEars(p.line, f.STT)
	p.call = &call{t: p.t, log: &journal{}, ended: make(chan struct{})}
	p.cfg = Config{
		Directory: directory{a: &p.far.Agent}, Journal: p.log, JournalDir: p.t.TempDir(),
		STT: map[string]stt.Provider{"": p.ears},
		TTS: map[string]tts.Provider{"": virtual.NewVoice(p.line, f.TTS)},
		LLM: map[string]llm.Provider{"": p.model},
	}
	if p.e, err = New(p.cfg); err != nil {
		p.t.Fatal(err)
	}
	p.e.build, p.e.sounds = p.build, allSounds
	phone := virtual.NewPhone(p.line, m)
	go func() {
		p.e.ServeCall(p.t.Context(), p.line)
		phone.Over()
		close(p.ended)
	}()
	return phone
}

// allSounds spares every call the making of the sound of waiting.
var allSounds = newSounds()

// build is the engine's, with the scripted tools.
func (p *played) build(defs []tools.Definition, deps tools.Deps) (*tools.Set, tools.Faults) {
	set, faults := tools.Build(defs, deps)
	all := set.Tools()
	for i := range p.far.Tools {
		t := &p.far.Tools[i]
		p.ran[t.Def.Name] = new(int)
		t.ran, t.schema = p.ran[t.Def.Name], json.RawMessage(`{"type":"object"}`)
		all = append(all, t)
	}
	return tools.NewSet(all...), faults
}

// faults is what the call must not have been: whoever calls, whatever fails.
func (p *played) faults() []string {
	var out []string
	if p.log.ends != 1 {
		out = append(out, fmt.Sprintf("the record was closed %d times (INV32)", p.log.ends))
	}
	for _, check := range []func() []string{
		p.shape, p.heardWords, p.callersWords, p.oneAnswer, p.deadAir, p.silence, p.order, p.unconfirmed,
	} {
		out = append(out, check()...)
	}
	return out
}

// shape: every request is one that providers take.
func (p *played) shape() (out []string) {
	for i, r := range p.model.Asked() {
		if fault := malformed(r.Messages); fault != "" {
			out = append(out, fmt.Sprintf("request %d: %s (INV23)", i, fault))
		}
	}
	return out
}

// heardWords: the transcript holds what the line carried, a word more and
// four fewer at most for each piece that was cut (INV19, INV20; how often the
// guess is off by how much is another test's, conv:T8).
func (p *played) heardWords() (out []string) {
	var kept []string
	cuts := 0
	for _, it := range p.log.last.Transcript {
		if it.Role != "agent" {
			continue
		}
		text := it.Text
		if it.HeardText != "" {
			text = it.HeardText
		}
		kept = append(kept, turn.Words(text)...)
	}
	again := 0 // words that were said a second time: by a resumed sentence, or by a voice that began one anew
	for _, ev := range p.log.events {
		switch {
		case ev.Name == EventTurnAgent && field(ev, "heard_text") != field(ev, "text"):
			cuts++
		case ev.Name == EventSpeechResumed, ev.Name == EventProviderFailed && field(ev, "kind") == "tts":
			again += 2 // of 400 ms (INV5), of 300 ms (aWord)
		}
	}
	var heard []string
	for _, w := range p.line.Heard() {
		for range w.Times() {
			heard = append(heard, turn.Words(w.Text)...)
		}
	}
	more, fewer := compare(kept, heard)
	if more > cuts || fewer > 4*cuts+again {
		out = append(out, fmt.Sprintf("%d words are kept that were not heard, %d were heard and are not kept, of %d pieces "+
			"that were cut (INV19, INV20)\n kept  %q\n heard %q", more, fewer, cuts, kept, heard))
	}
	return out
}

// compare counts the words of a that are not in b, and those of b not in a.
func compare(a, b []string) (more, fewer int) {
	count := map[string]int{}
	for _, w := range a {
		count[w]++
	}
	for _, w := range b {
		count[w]--
	}
	for _, n := range count {
		more, fewer = more+max(n, 0), fewer+max(-n, 0)
	}
	return more, fewer
}

// callersWords: what the recogniser told of the caller is in a turn, or was
// dropped with a reason (INV12).
func (p *played) callersWords() (out []string) {
	has := map[string]int{}
	var kept, said []string
	for _, it := range p.log.last.Transcript {
		if text := it.Text; it.Role == "user" {
			if strings.HasPrefix(text, "DTMF") {
				_, text, _ = strings.Cut(text, "said: ")
			}
			kept = append(kept, turn.Words(text)...)
		}
	}
	for _, w := range kept {
		has[w]++
	}
	for _, w := range p.line.Said() {
		said = append(said, turn.Words(w.Text)...)
	}
	if more, _ := compare(kept, said); more > 0 {
		out = append(out, fmt.Sprintf("%d of the caller's words are in turns more often than they were said (INV12, INV17)\n"+
			" kept %q\n said %q", more, kept, said))
	}
	for _, ev := range p.log.events {
		if ev.Name == EventTurnDropped {
			for _, w := range turn.Words(field(ev, "text")) {
				has[w]++
			}
		}
	}
	var lost []string
	late := 1500*ms + p.world.STT.Final
	ends := p.line.Utterances()
	for i, w := range p.line.Said() {
		at, told := p.ears.Told(i)
		told = told && p.log.last.Answered.Add(p.log.last.Duration()).Sub(at) > audio.FrameTime
		if !told && (w.At == 0 || !w.Whole() || ends[i]+late > p.log.last.Duration()) {
			continue // it was never sent or got lost on its way, or the call was over before it was recognised
		}
		for _, x := range turn.Words(w.Text) {
			if has[x] == 0 && p.lost() {
				lost = append(lost, x)
			}
		}
	}
	if len(lost) > 0 {
		out = append(out, fmt.Sprintf("the caller's words %q are in no turn (INV12)", lost))
	}
	return out
}

// lost says whether a word that is in no turn is the engine's fault: where the
// recogniser gives empty finals, or the line loses packets, it need not be.
func (p *played) lost() bool { return p.world.STT.Empty == 0 }

// oneAnswer: a turn has one answer that was heard (INV10).
func (p *played) oneAnswer() (out []string) {
	answers := map[string]int{}
	for _, ev := range p.log.events {
		if ev.Name == EventTurnAgent && field(ev, "kind") == "answer" && field(ev, "heard_text") != "" &&
			field(ev, "interrupted") == "false" {
			answers[field(ev, "turn")]++
		}
	}
	steps := map[string]int{}
	for _, ev := range p.log.events {
		if ev.Name == EventToolFinished || ev.Name == EventSilencePrompted && p.far.Agent.AutonomousSilence ||
			ev.Name == EventProviderFailed && field(ev, "kind") == "llm" { // it goes on where it broke off (conv:L5)
			steps["all"]++ // the model is asked again
		}
	}
	for t, n := range answers {
		if n > 1+steps["all"] {
			out = append(out, fmt.Sprintf("turn %s was answered %d times (INV10)", t, n))
		}
	}
	return out
}

// most is how long nobody waits without a sound; it is counted from the end of
// the agent's last one or of the caller's, so a frame each way is added.
const most = 3*time.Second + 100*ms

// deadAir: from the end of the caller's turn until its answer there is never a
// long silence, while no tool runs: those have a ladder of their own
// (reliability's promise of "never more than 3 s", conv:L4).
func (p *played) deadAir() (out []string) {
	start := p.log.last.Answered
	due, from := false, time.Duration(0) // an answer is awaited, silence since
	tools := 0
	sound := p.line.Sound()
	silent := func(until time.Duration) {
		if !due || tools > 0 {
			return
		}
		last := from
		for _, b := range sound {
			if b.To <= from || b.From >= until {
				continue
			}
			if b.From-last > most+p.slack {
				out = append(out, fmt.Sprintf("%v of silence from %v on", b.From-last, last))
			}
			last = max(last, b.To)
		}
		if until-last > most+p.slack {
			out = append(out, fmt.Sprintf("%v of silence from %v on", until-last, last))
		}
	}
	for _, ev := range p.log.events {
		at := ev.Time.Sub(start)
		switch ev.Name {
		case EventTurnUser:
			silent(p.goesOn(from, at))
			due, from = true, at
		case EventDTMFReceived: // the caller goes on
			silent(at)
			due = false
		case EventToolStarted:
			silent(at)
			tools++
		case EventToolFinished:
			tools--
			from = at
		case EventTurnAgent:
			if k := field(ev, "kind"); k != "filler" && k != "bridge" && field(ev, "heard_ms") != "0" {
				silent(at)
				due = false
			}
		case EventCallHeld, EventCallEnded:
			silent(at)
			due = false
		}
	}
	return out
}

// goesOn is when the caller's words of before a time began that are behind
// another: from then on they had the floor, and were waited for by the policy.
func (p *played) goesOn(from, until time.Duration) time.Duration {
	for _, w := range p.line.Said() {
		if w.At > from && w.At < until {
			return w.At
		}
	}
	return until
}

// silence: a call that ends since nobody says anything does so after the
// silences of the policy, our own speech and two seconds, whatever noise there
// was (INV36). It is counted from the caller's last words, or ours that answered
// them. A random call is muted and told news, of which events do not tell.
func (p *played) silence() (out []string) {
	if p.log.last.EndReason != turn.EndSilence || p.far.Agent.AutonomousSilence || p.s == nil {
		return nil
	}
	start := p.log.last.Answered
	var from, spoken, asked time.Duration
	for _, ev := range p.log.events {
		at := ev.Time.Sub(start)
		switch ev.Name {
		case EventTurnUser, EventTurnDropped, EventDTMFReceived, EventCallResumed, EventToolFinished, EventDTMFCollected:
			from, spoken, asked = at, 0, 0
		case EventTurnAgent:
			switch field(ev, "kind") {
			case "reprompt", "goodbye":
				ms, _ := strconv.Atoi(field(ev, "heard_ms"))
				spoken += time.Duration(ms) * time.Millisecond
			case "repeat":
				asked = turn.Policy{}.WithDefaults().HoldMax
				fallthrough
			default:
				from, spoken = at, 0
			}
		}
	}
	policy := p.far.Agent.Turn.WithDefaults()
	most := policy.Silence + 2*policy.SilenceAgain + spoken + 2*time.Second + policy.Tail + asked + 500*ms +
		3*(p.world.TTS.First+p.world.TTS.Lead)
	if took := p.log.last.Duration() - from; took > most {
		out = append(out, fmt.Sprintf("the call ended %v after the last words, %v of it our speech (INV36)", took, spoken))
	}
	return out
}

// order: the words of a sentence come in their order, but for what a resumed
// sentence says again.
func (p *played) order() (out []string) {
	last := map[int]virtual.Word{}
	for _, w := range p.line.Heard() {
		if w.Heard == 0 {
			continue
		}
		if was, ok := last[w.Say]; ok && w.At < was.At {
			out = append(out, fmt.Sprintf("%q of sentence %d was heard before %q", w.Text, w.Say, was.Text))
		}
		last[w.Say] = w
	}
	return out
}

// unconfirmed: no tool runs before the caller has confirmed what it requires
// (C-12).
func (p *played) unconfirmed() (out []string) {
	requires, confirmed := map[string][]string{}, map[string]bool{}
	for _, t := range p.far.Tools {
		requires[t.Def.Name] = t.Def.Requires
	}
	for _, ev := range p.log.events {
		switch ev.Name {
		case EventVariableSet:
			confirmed[field(ev, "name")] = field(ev, "confirmed") == "true"
		case EventToolStarted:
			for _, r := range requires[field(ev, "tool")] {
				if name, must := strings.CutSuffix(r, "!"); must && !confirmed[name] {
					out = append(out, fmt.Sprintf("%s ran before %s was confirmed", field(ev, "tool"), name))
				}
			}
		}
	}
	return out
}

// field is an event's field as text.
func field(ev Event, name string) string {
	for _, f := range ev.Fields {
		if f.Key == name {
			b, err := json.Marshal(f.Value)
			if err != nil {
				return fmt.Sprint(f.Value)
			}
			return strings.Trim(string(b), `"`)
		}
	}
	return ""
}

// expected is what the scenario itself asks for.
func (p *played) expected() (out []string) {
	fault := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if !p.report.OK {
		var b strings.Builder
		_, _ = p.report.WriteTo(&b)
		fault("the scenario failed:\n%s", b.String())
	}
	e := p.s.Expect
	var user []string
	for _, it := range p.log.last.Transcript {
		if it.Role == "user" {
			user = append(user, turn.Normal(it.Text))
		}
	}
	if want := normals(e.User); e.User != nil && !slices.Equal(user, want) {
		fault("the caller's turns are %q, want %q", user, want)
	}
	answers := 0
	var names []string
	for _, ev := range p.log.events {
		names = append(names, ev.Name)
		if ev.Name == EventTurnAgent && field(ev, "kind") == "answer" && field(ev, "heard_text") != "" {
			answers++
		}
	}
	if e.Answers != nil && *e.Answers != answers {
		fault("%d answers were heard, want %d", answers, *e.Answers)
	}
	if e.BargeIns != nil && *e.BargeIns != p.log.last.BargeIns {
		fault("%d barge-ins, want %d", p.log.last.BargeIns, *e.BargeIns)
	}
	for _, t := range p.far.Tools {
		for _, got := range t.got {
			if t.Args != "" && got != t.Args {
				fault("%s was called with %s, want %s", t.Def.Name, got, t.Args)
			}
		}
	}
	for name, n := range e.Tools {
		if ran := p.ran[name]; ran == nil || *ran != n {
			fault("%s did not run %d times: %v", name, n, ran)
		}
	}
	if e.EndReason != "" && string(p.log.last.EndReason) != e.EndReason {
		fault("the call ended by %q, want %q", p.log.last.EndReason, e.EndReason)
	}
	at := 0
	for _, want := range e.Events {
		i := slices.Index(names[at:], want)
		if i < 0 {
			fault("no event %s behind the first %d of %v", want, at, names)
			break
		}
		at += i + 1
	}
	for _, not := range e.NotEvents {
		if slices.Contains(names, not) {
			fault("event %s", not)
		}
	}
	return out
}

func normals(texts []string) []string {
	out := make([]string, len(texts))
	for i, t := range texts {
		out[i] = turn.Normal(t)
	}
	return out
}

// scenarios are the files that say who answers them.
func scenarios(t *testing.T) []*scenario.Scenario {
	t.Helper()
	files, err := filepath.Glob("../testdata/scenarios/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	var out []*scenario.Scenario
	for _, f := range files {
		s, err := scenario.Load(f)
		var fault *scenario.Fault
		if errors.As(err, &fault) || err != nil {
			t.Fatal(err)
		}
		if s.Engine != nil {
			out = append(out, s)
		}
	}
	return out
}

// TestScenarios plays every scenario by every caller in every deployment, on
// virtual time. A brisk caller in a fair deployment must get what the scenario
// expects; nobody may ever get a call that breaks a promise.
func TestScenarios(t *testing.T) {
	var total atomic.Int64 // ns
	t.Cleanup(func() { t.Logf("%.1f minutes of calls", time.Duration(total.Load()).Minutes()) })
	for _, s := range scenarios(t) {
		t.Run(strings.TrimSuffix(filepath.Base(s.File), ".yaml"), func(t *testing.T) {
			for _, m := range virtual.Manners {
				for _, f := range virtual.Profiles {
					t.Run(m.Name+"/"+f.Name, func(t *testing.T) {
						t.Parallel()
						synctest.Test(t, func(t *testing.T) {
							p := playScenario(t, s, m, f)
							faults := p.faults()
							if m.Name == "brisk" && f.Name == "fair" {
								faults = append(faults, p.expected()...)
							}
							total.Add(int64(p.took))
							if len(faults) > 0 {
								t.Errorf("%s\n%s", strings.Join(faults, "\n"), p.lines())
							}
						})
					})
				}
			}
		})
	}
}
