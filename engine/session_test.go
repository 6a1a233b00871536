package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/patchcord/patchcord/audio/stt"
	"github.com/patchcord/patchcord/audio/tts"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/engine/replay"
	"github.com/patchcord/patchcord/internal/testkit"
	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/tools"
)

const ms = time.Millisecond

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// call is a call on a virtual clock.
type call struct {
	t     *testing.T
	leg   *testkit.Leg
	stt   *testkit.STT
	tts   *testkit.TTS
	llm   *testkit.LLM
	e     *Engine
	log   *journal
	ended chan struct{}
	cfg   Config
	tools []tools.Tool
}

type journal struct {
	mu     sync.Mutex
	events []Event
	last   Record
	ends   int
}

func (j *journal) Started(Record) {}

func (j *journal) Event(e Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, e)
}

func (j *journal) Ended(r Record) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.last = r
	j.ends++
}

type directory struct {
	a   *agent.Agent
	lib map[string]*tools.Definition
}

func (d directory) ForCall(context.Context, telephony.Info) (*agent.Agent, error) { return d.a, nil }

func (d directory) Agent(context.Context, agent.ID) (*agent.Agent, error) { return d.a, nil }

func (d directory) Tool(_ context.Context, id string) (*tools.Definition, error) {
	if t := d.lib[id]; t != nil {
		return t, nil
	}
	return nil, errors.New("no such tool")
}

// prepare makes a call with an agent and a model; start lets it ring.
func prepare(t *testing.T, a *agent.Agent, answer answers, ts ...tools.Tool) *call {
	t.Helper()
	c := &call{
		t: t, leg: testkit.NewLeg("0190"), stt: &testkit.STT{Delay: 100 * ms}, tts: &testkit.TTS{Delay: 20 * ms},
		llm: &testkit.LLM{Answer: answer, First: 100 * ms, Token: 10 * ms}, log: &journal{}, ended: make(chan struct{}),
		tools: ts,
	}
	c.cfg = Config{
		Directory: directory{a: a}, Journal: c.log,
		STT: map[string]stt.Provider{"": c.stt}, TTS: map[string]tts.Provider{"": c.tts},
		LLM: map[string]llm.Provider{"": c.llm}, JournalDir: t.TempDir(),
	}
	return c
}

func (c *call) engine() *call {
	c.t.Helper()
	var err error
	if c.e, err = New(c.cfg); err != nil {
		c.t.Fatal(err)
	}
	c.e.seen = func(ms []llm.Message) { // INV23: after every commit
		if fault := misshapen(ms); fault != "" {
			c.t.Errorf("the context: %s (INV23): %+v", fault, ms)
		}
	}
	c.e.build = func([]tools.Definition, tools.Deps) (*tools.Set, tools.Faults) { return tools.NewSet(c.tools...), nil }
	return c
}

func (c *call) start() *call {
	c.t.Helper()
	return c.engine().ring()
}

// ring lets the call come in at an engine that is there.
func (c *call) ring() *call {
	c.t.Helper()
	go func() {
		c.e.ServeCall(c.t.Context(), c.leg)
		close(c.ended)
	}()
	time.Sleep(10 * ms)
	return c
}

// dial starts a call, inside a bubble.
func dial(t *testing.T, a *agent.Agent, answer answers, ts ...tools.Tool) *call {
	t.Helper()
	return prepare(t, a, answer, ts...).start()
}

// say lets the caller speak for d and be understood as text.
func (c *call) say(text string, d time.Duration) *call {
	c.stt.Hear(text)
	c.leg.Speak(d)
	return c
}

func (c *call) wait(d time.Duration) *call {
	time.Sleep(d)
	synctest.Wait()
	return c
}

// hangUp ends the call from the caller's side and waits until all is settled.
func (c *call) hangUp() *call {
	c.leg.Close(telephony.Cause{Reason: telephony.ReasonNormal, Remote: true})
	return c.over()
}

func (c *call) over() *call {
	c.t.Helper()
	select {
	case <-c.ended:
	case <-time.After(2 * time.Minute):
		c.t.Fatalf("the call did not end:\n%s", c.lines())
	}
	c.e.wg.Wait()
	for i, r := range c.llm.Asked() {
		if fault := malformed(r.Messages); fault != "" {
			c.t.Errorf("request %d: %s (INV23): %+v", i, fault, r.Messages)
		}
	}
	if c.log.ends != 1 {
		c.t.Errorf("the record was closed %d times (INV32)", c.log.ends)
	}
	c.replay()
	return c
}

// replay runs the call's journal again: every call of these tests must come to
// the same decisions, byte for byte.
func (c *call) replay() {
	c.t.Helper()
	f, err := os.Open(filepath.Join(c.cfg.JournalDir, "0190.jsonl"))
	if err != nil {
		c.t.Errorf("journal: %v", err)
		return
	}
	defer f.Close() //nolint:errcheck // read only
	r, err := replay.Run(f, nil, nil)
	switch {
	case err != nil:
		c.t.Errorf("replay: %v", err)
	case !r.OK() || r.Cut || r.Lost > 0:
		c.t.Errorf("replay differs: %+v", r)
	}
}

// malformed says what providers would not take of a conversation: results that
// do not follow their calls at once and each once, a role twice in a row, or
// nothing to answer at the end.
func malformed(ms []llm.Message) string {
	if fault := misshapen(ms); fault != "" {
		return fault
	}
	if n := len(ms) - 1; n >= 0 && ms[n].Role == llm.Assistant {
		return "it ends with the assistant"
	}
	return ""
}

// misshapen is the same of a conversation that nobody is asked about yet.
func misshapen(ms []llm.Message) string {
	var open []string
	last := llm.System
	for i, m := range ms {
		if m.Role == llm.ToolRole {
			if len(open) == 0 || open[0] != m.ToolCallID {
				return fmt.Sprintf("message %d answers %q, open are %q", i, m.ToolCallID, open)
			}
			open = open[1:]
		} else if len(open) > 0 {
			return fmt.Sprintf("message %d comes before the results of %q", i, open)
		}
		if m.Role == last && (last == llm.User && m.Data == ms[i-1].Data || last == llm.Assistant) {
			return fmt.Sprintf("message %d is a second %s in a row (conv:X5)", i, last)
		}
		if last = m.Role; m.Content == "" && len(m.ToolCalls) == 0 {
			return fmt.Sprintf("message %d is empty", i)
		}
		seen := map[string]bool{}
		for _, c := range m.ToolCalls {
			open = append(open, c.ID)
			if seen[c.ID] {
				return fmt.Sprintf("message %d has two calls %q", i, c.ID)
			}
			seen[c.ID] = true
		}
	}
	if len(open) > 0 {
		return fmt.Sprintf("it ends with %s, open are %q", last, open)
	}
	return ""
}

func (c *call) lines() string {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	var b strings.Builder
	for _, e := range c.log.events {
		j, err := json.Marshal(e)
		if err != nil {
			c.t.Fatal(err)
		}
		b.Write(j)
		b.WriteByte('\n')
	}
	return b.String()
}

func (c *call) want(parts ...string) *call {
	c.t.Helper()
	all := c.lines()
	for _, p := range parts {
		if !strings.Contains(all, p) {
			c.t.Fatalf("no %q in:\n%s", p, all)
		}
	}
	return c
}

func (c *call) not(parts ...string) *call {
	c.t.Helper()
	all := c.lines()
	for _, p := range parts {
		if strings.Contains(all, p) {
			c.t.Fatalf("unwanted %q in:\n%s", p, all)
		}
	}
	return c
}

// answers is what a model says to a request.
type answers = func(llm.Request) (string, []llm.ToolCall, error)

func says(text string) answers {
	return func(llm.Request) (string, []llm.ToolCall, error) { return text, nil, nil }
}

func TestCallIsGreetedAnsweredAndEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &agent.Agent{Name: "support", Prompt: "You help {{caller_phone}}.", Greeting: "Hello, how can I help?"}
		c := dial(t, a, says("Your order was shipped yesterday."))
		c.wait(3*time.Second).say("where is my order", time.Second).wait(6 * time.Second).hangUp()
		c.want(`"event":"turn.agent","call_id":"0190"`, `"heard_text":"Hello, how can I help?"`,
			`"event":"turn.user"`, `"text":"where is my order"`, `"heard_text":"Your order was shipped yesterday."`,
			`"end_reason":"hangup"`)
		ask := c.llm.Asked()[0]
		if got := ask.Messages[0].Content; got != "You help +4930111." {
			t.Errorf("prompt %q", got)
		}
		if n := len(ask.Messages); n != 3 || ask.Messages[1].Content != "Hello, how can I help?" {
			t.Errorf("messages %+v", ask.Messages)
		}
		if c.log.last.Turns != 1 || c.log.ends != 1 {
			t.Errorf("record %+v, ended %d times", c.log.last, c.log.ends)
		}
		for i, e := range c.log.events {
			if e.Seq != i+1 {
				t.Errorf("event %d has seq %d", i, e.Seq)
			}
		}
	})
}

func TestBargeInCutsTheContextToWhatWasHeard_INV19_convT6(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		long := "We are open from nine to five on Monday, on Tuesday from nine to eight, and on all other days of the week we are closed."
		n := 0
		c := dial(t, &agent.Agent{Name: "a"}, func(llm.Request) (string, []llm.ToolCall, error) {
			if n++; n == 1 {
				return long, nil, nil
			}
			return "Alright.", nil, nil
		})
		c.wait(500*ms).say("when are you open", time.Second).wait(4 * time.Second)
		c.say("no wait, what about Sunday", 1500*ms).wait(500 * ms)
		c.stt.Interim("no wait")
		c.wait(200 * ms)
		bursts := c.leg.Spoken()
		stopped := bursts[len(bursts)-1].To
		c.wait(5*time.Second).want(`"event":"speech.interrupted"`, `"proof":"stop"`, `"interrupted":true`).hangUp()
		last := c.llm.Asked()
		msgs := last[len(last)-1].Messages
		heard := ""
		for _, m := range msgs {
			if m.Role == llm.Assistant {
				heard = m.Content
			}
		}
		heard, cut := strings.CutSuffix(heard, "…")
		if !cut {
			t.Errorf("%q has no mark", heard)
		}
		if heard == "" || heard == long || !strings.HasPrefix(long, heard) {
			t.Fatalf("the model was told %q was heard", heard)
		}
		played := bursts[len(bursts)-1].To - bursts[0].From
		limit := int(played.Seconds()*15) + 8
		if len(heard) > limit {
			t.Errorf("%d characters are kept of %v played until %v", len(heard), played, stopped)
		}
	})
}

// order is a model that looks an order up and tells what came back.
func order(r llm.Request) (string, []llm.ToolCall, error) {
	last := r.Messages[len(r.Messages)-1]
	if last.Role == llm.ToolRole {
		return "It says " + last.Content, nil, nil
	}
	return "", []llm.ToolCall{{ID: "t1", Name: "check", Args: json.RawMessage(`{"order_id":"4711"}`)}}, nil
}

// tool is a tool of a test: it takes d and answers with json.
type tool struct {
	def  tools.Definition
	d    time.Duration
	json string

	mu   sync.Mutex
	runs []tools.Call
}

func (o *tool) Definition() *tools.Definition { return &o.def }
func (o *tool) Schema() json.RawMessage       { return json.RawMessage(`{"type":"object"}`) }

func (o *tool) Run(ctx context.Context, c tools.Call) tools.Result {
	o.mu.Lock()
	o.runs = append(o.runs, c)
	o.mu.Unlock()
	select {
	case <-time.After(o.d):
	case <-ctx.Done():
		return tools.ErrorResult(tools.Cancelled, "cancelled", "")
	}
	if o.json == "" {
		panic("a tool's own fault")
	}
	return tools.Result{JSON: json.RawMessage(o.json), Status: tools.OK}
}

func checkTool(d time.Duration) *tool {
	return &tool{
		def: tools.Definition{
			Name: "check", Class: tools.Read, Speech: tools.Speech{Bridging: "One moment, I am looking."},
		},
		d: d, json: `{"status":"shipped"}`,
	}
}

func TestBridgingSentenceWhileAToolRuns_convW7(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, &agent.Agent{Name: "a"}, order, checkTool(1500*ms))
		c.wait(500*ms).say("where is my order", time.Second).wait(9 * time.Second).hangUp()
		c.want(`"event":"tool.started"`, `"args":{"order_id":"4711"}`, `"event":"speech.bridge"`,
			`"heard_text":"One moment, I am looking."`, `"status":"ok","ms":1500`, `It says {`)
		bursts := c.leg.Spoken()
		if len(bursts) != 2 {
			t.Fatalf("spoke %v", bursts)
		}
		if gap := bursts[1].From - bursts[0].To; gap > 500*ms || gap < 100*ms {
			t.Errorf("%v between the bridging sentence and the answer", gap)
		}
		asked := c.llm.Asked()
		if len(asked) != 2 {
			t.Fatalf("asked %d times", len(asked))
		}
		m := asked[1].Messages
		if m[1].Role != llm.Assistant || len(m[1].ToolCalls) != 1 || m[2].Role != llm.ToolRole {
			t.Errorf("messages %+v", m)
		}
	})
}

func TestAnswerStartsAfterTheClauseOfTheBridge_convW7(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		look := checkTool(400 * ms)
		look.def.Speech.Bridging = "One moment please, I am looking for what became of your order."
		c := dial(t, &agent.Agent{Name: "a"}, order, look)
		c.wait(500*ms).say("where is my order", time.Second).wait(9 * time.Second).hangUp()
		c.want(`"heard_text":"One moment please,"`, `It says {`)
		bursts := c.leg.Spoken()
		if len(bursts) != 2 {
			t.Fatalf("spoke %v", bursts)
		}
		if gap := bursts[1].From - bursts[0].To; gap > 160*ms || gap < 100*ms {
			t.Errorf("%v between the clause and the answer, want 120ms", gap)
		}
	})
}

func TestToolThatPanicsIsAResult_convW4(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := checkTool(100 * ms)
		broken.json = ""
		c := dial(t, &agent.Agent{Name: "a"}, order, broken)
		c.wait(500*ms).say("where is my order", time.Second).wait(6 * time.Second).hangUp()
		c.want(`"status":"error"`, `It says {`, `"end_reason":"hangup"`)
	})
}

func TestPreCallToolsRunBesideTheGreeting_D14(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		look := &tool{def: tools.Definition{Name: "lookup_caller"}, d: 300 * ms, json: `{"name":"Priya"}`}
		a := &agent.Agent{Name: "a", Greeting: "Thank you for calling.", PreCallTools: []string{"lookup_caller"}}
		c := dial(t, a, says("Hello Priya."), look)
		c.wait(200 * ms)
		if len(c.leg.Spoken()) == 0 {
			t.Error("the greeting waits for the lookup")
		}
		c.wait(2*time.Second).say("hello", time.Second).wait(3 * time.Second).hangUp()
		ask := c.llm.Asked()[0]
		found := false
		for _, m := range ask.Messages {
			found = found || strings.Contains(m.Content, `Caller context: {`) && strings.Contains(m.Content, "Priya") &&
				m.Role != llm.System // SEC-9: data, never system text
		}
		if !found || len(ask.Tools) != 0 {
			t.Errorf("asked %+v", ask)
		}
		if env := look.runs[0].Env; !env.PreCall || env.Phone != "+4930111" || env.Direction != "inbound" {
			t.Errorf("ran with %+v", env)
		}
	})
}

func TestEndCallHangsUpAfterTheLastSample_convH5(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := &tool{def: tools.Definition{Name: "end_call", Type: tools.EndCall, Class: tools.Terminal}, json: `{}`}
		c := dial(t, &agent.Agent{Name: "a"}, func(llm.Request) (string, []llm.ToolCall, error) {
			return "Thank you for calling, goodbye and take care.", []llm.ToolCall{{ID: "e", Name: "end_call"}}, nil
		}, end)
		c.wait(500*ms).say("that is all, bye.", time.Second).over()
		c.want(`"heard_text":"Thank you for calling, goodbye and take care."`, `"end_reason":"agent_done"`)
		bursts := c.leg.Spoken()
		want := time.Duration(len("Thank you for calling, goodbye and take care.")) * time.Second / 15
		if got := bursts[len(bursts)-1].To - bursts[0].From; got < want-60*ms {
			t.Errorf("the goodbye lasted %v of %v", got, want)
		}
		if c.leg.HungUp().Reason != telephony.ReasonNormal {
			t.Errorf("hung up with %v", c.leg.HungUp())
		}
	})
}

func TestPanicEndsOnlyItsCall_SEC1(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, &agent.Agent{Name: "a", Greeting: "Hello there my friend."}, says("x"))
		c.wait(500 * ms)
		c.e.mu.Lock()
		for _, s := range c.e.calls {
			s.ctl.put(legEvent{telephony.Digit{}})
			s.work.put(modelDelta{g: 1, d: llm.Delta{Kind: llm.Kind(99)}})
			s.ctl.put(panicMail{})
		}
		c.e.mu.Unlock()
		c.over().want(`"end_reason":"panic"`)
		if c.log.ends != 1 {
			t.Errorf("ended %d times", c.log.ends)
		}
	})
}

func TestDeadVoiceStillEndsTheCall_INV34(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, &agent.Agent{Name: "a"}, says("x"))
		c.tts.Fail(errors.New("no voice today"))
		c.wait(100 * ms)
		if err := c.e.End("0190", "Goodbye."); err != nil {
			t.Fatal(err)
		}
		c.over().want(`"event":"provider.failed"`, `"end_reason":"api"`)
	})
}

func TestSlowModelIsBridged_INV37(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, &agent.Agent{Name: "a"}, says("Here I am."))
		c.llm.First = time.Hour
		c.wait(500*ms).say("hello.", time.Second).wait(20 * time.Second).hangUp()
		c.want(`"event":"dead_air"`, `"kind":"filler"`, `"kind":"apology"`)
	})
}

func TestMediaLostEndsTheCall_convI7(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, &agent.Agent{Name: "a"}, says("x"))
		c.wait(time.Second)
		c.leg.Send(telephony.MediaLost{Silent: 30 * time.Second})
		c.over().want(`"end_reason":"media_timeout"`)
	})
}

// newLegLike is a leg that is not answered yet.
func newLegLike(l *testkit.Leg) *testkit.Leg { return testkit.NewLeg(l.Info().ID) }
