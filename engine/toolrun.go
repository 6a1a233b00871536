package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/tools"
)

// toolGrace is how long after its own timeout, or after it was told to end, a
// tool is waited for (INV26).
const toolGrace = 100 * time.Millisecond

// toolResult is a call's result on its way to the session.
type toolResult struct {
	id   string
	r    tools.Result
	late bool // nothing came of it in time
}

// env is what tools may know of the call.
func (s *session) env() tools.Env {
	return tools.Env{
		CallID: string(s.id), AgentID: string(s.agent.ID), Phone: s.phone(), Number: s.ours(),
		Direction: string(s.record.Direction), Vars: s.vars, Language: s.language(), Region: s.region,
		Press: s.press, Zone: s.order.Zone, DoNotCall: s.doNotCall,
	}
}

// propose checks what the model wants to call: arguments that do not fit and
// calls in a loop are refused here, with a result that says why.
func (s *session) propose(r *reply) []turn.Call {
	if len(r.calls) == 0 {
		return nil
	}
	entry := s.transcript.reply(r.g, r.kind, r.turn)
	entry.calls = r.calls
	out := make([]turn.Call, 0, len(r.calls))
	for _, c := range r.calls {
		s.record.ToolCalls++
		c.call.ID, c.g = s.unused(c.call.ID), r.g
		s.calls[c.call.ID] = c
		out = append(out, s.check(c, r.calls))
	}
	return out
}

// unused is a call's id as the model gave it, with a number behind it where it
// gave that id before: many models count from one in each completion.
func (s *session) unused(id string) string {
	if id == "" {
		id = "call"
	}
	for name, n := id, 2; ; n++ {
		if s.calls[name] == nil {
			return name
		}
		name = fmt.Sprintf("%s-%d", id, n)
	}
}

// check judges a call of a completion.
func (s *session) check(c *toolCall, before []*toolCall) turn.Call {
	t, next, ok := s.tools.get(c.call.Name)
	if !ok {
		return s.refuse(c, s.tools.set.Unknown(c.call.Name))
	}
	c.tool, c.class, c.ack = t, turnClass(t.Definition().Class), tools.Acknowledged(t)
	args, refused, ok := tools.Arguments(t, c.call.Args)
	if !ok {
		return s.refuse(c, s.guard.Wrong(c.call.Name, refused))
	}
	c.args = args
	call := tools.Call{ID: c.call.ID, Name: c.call.Name, Args: args, Env: s.env()}
	if s.stillRunning(c) {
		return s.refuse(c, tools.ErrorResult(tools.Refused, "already_running",
			"this tool is still running from before: do not call it again, its result comes by itself"))
	}
	if refused, ok := s.shutNow(c, before); ok {
		return s.refuse(c, refused)
	}
	if refused, ok := s.guard.Allow(t.Definition(), call, s.now()); !ok {
		return s.refuse(c, refused)
	}
	tc := s.turnCall(c)
	if next != "" {
		c.next, tc.Next = next, s.nodeAt(next, "function")
	}
	return tc
}

// turnCall is a call as the machine knows it.
func (s *session) turnCall(c *toolCall) turn.Call {
	d := c.tool.Definition()
	sp := &d.Speech
	return turn.Call{
		ID: c.call.ID, Name: c.call.Name, Class: c.class, Silently: sp.After != nil && !*sp.After,
		Goodbye: tools.Goodbye(c.tool, s.env()), Runs: c.class == turn.ClassTerminal && d.Type != tools.EndCall,
		Mute: sp.During != nil && !*sp.During, Speaks: sp.During != nil && *sp.During,
		Hold:   sp.Hold != nil && *sp.Hold || sp.Hold == nil && sp.During != nil && !*sp.During,
		Bridge: tools.Sentence(sp.Bridging, s.env()), Second: tools.Sentence(sp.Second, s.env()),
		BridgeAfter: secs(sp.BridgingAfter), SecondAfter: secs(sp.SecondAfter), HoldAfter: secs(sp.HoldAfter),
	}
}

func secs(f float64) time.Duration { return time.Duration(f * float64(time.Second)) }

// stillRunning says whether an effect of this tool runs that another reply has
// begun: the model may not begin it again (conv:W10).
func (s *session) stillRunning(c *toolCall) bool {
	for _, o := range s.calls {
		if o.g != c.g && o.call.Name == c.call.Name && o.class == turn.ClassEffect && !o.started.IsZero() && !o.over {
			return true
		}
	}
	return false
}

func turnClass(c tools.Class) turn.Class {
	switch c {
	case tools.Read:
		return turn.ClassRead
	case tools.Terminal:
		return turn.ClassTerminal
	case tools.Async:
		return turn.ClassAsync
	case tools.Effect:
	}
	return turn.ClassEffect
}

func (s *session) refuse(c *toolCall, r tools.Result) turn.Call {
	c.result, c.over = &r, true
	s.refused(c, r)
	return turn.Call{ID: c.call.ID, Name: c.call.Name, Refused: true}
}

func (s *session) refused(c *toolCall, r tools.Result) {
	s.event(EventToolRefused, F("tool", c.call.Name), F("tool_call_id", c.call.ID), F("args", rawArgs(c.call.Args)),
		F("reason", r.Err))
}

// rawArgs are arguments for the log: as JSON where they are, else as text.
func rawArgs(b json.RawMessage) any {
	if json.Valid(b) {
		return b
	}
	return string(b)
}

// runTool starts a call with the others of this step (startTools).
func (s *session) runTool(id string) {
	c := s.calls[id]
	if c == nil || c.tool == nil {
		return
	}
	if r, is := s.atOnce(c); is {
		s.answerAtOnce(c, r)
		return
	}
	c.started = s.clock()
	s.event(EventToolStarted, F("tool", c.call.Name), F("tool_call_id", id), F("args", c.toSend()))
	if c.action {
		s.record.ToolCalls++
	}
	s.starting = append(s.starting, c)
}

// startTools starts what a step has begun: calls of one reply to one endpoint go
// in one request where its form allows that (F-06).
func (s *session) startTools() {
	together := map[string][]*toolCall{}
	s.starting = slices.DeleteFunc(s.starting, func(c *toolCall) bool { return c.over }) // settled in the same step
	for _, c := range s.starting {
		if to := tools.Endpoint(c.tool); to != "" && !c.action {
			together[to] = append(together[to], c)
		}
	}
	for _, c := range s.starting {
		switch all := together[tools.Endpoint(c.tool)]; {
		case len(all) < 2 || c.action:
			s.startTool([]*toolCall{c})
		case all[0] == c:
			s.startTool(all)
		}
	}
	s.starting = nil
}

// startTool starts calls that go together. Reads end with the caller's interest,
// effects do not: what goes together ends when nobody is interested any more.
func (s *session) startTool(cs []*toolCall) {
	ctx, end := context.WithCancel(context.WithoutCancel(s.ctx))
	if len(cs) == 1 && cs[0].class == turn.ClassRead {
		ctx, end = context.WithCancel(s.ctx)
	}
	var interested atomic.Int32
	interested.Store(int32(len(cs))) //nolint:gosec // G115: calls of one reply
	calls, ts, late := make([]tools.Call, len(cs)), make([]tools.Tool, len(cs)), make([]*time.Timer, len(cs))
	for i, c := range cs {
		calls[i], ts[i] = tools.Call{ID: c.call.ID, Name: c.call.Name, Args: c.toSend(), Env: s.env()}, c.tool
		if c.action {
			calls[i].Env = s.actionEnv(c)
		}
		c.cancel = sync.OnceFunc(func() {
			if interested.Add(-1) == 0 {
				end()
			}
		})
		cancel, id := c.cancel, c.call.ID
		late[i] = time.AfterFunc(c.tool.Definition().Timeout()+toolGrace, func() { s.tooLate(id, cancel) })
	}
	s.detached.Go(func() {
		defer end()
		for i, r := range runSafely(ctx, ts, calls) {
			late[i].Stop()
			s.work.put(toolResult{id: calls[i].ID, r: r})
		}
	})
}

// tooLate gives a call up that has come to nothing in time. That is its result
// whatever the tool says of being told to end: it is told so after.
func (s *session) tooLate(id string, cancel func()) {
	s.work.put(toolResult{id, tools.ErrorResult(tools.TimedOut, "timeout", ""), true})
	cancel()
}

// runSafely runs tools whose own fault must not end the call.
func runSafely(ctx context.Context, ts []tools.Tool, cs []tools.Call) []tools.Result {
	out := make([]tools.Result, len(cs))
	safely(out, func() { copy(out, tools.RunTogether(ctx, ts, cs)) })
	return out
}

// safely runs what fills results in; those that are none, and all of what
// panics, become errors.
func safely(out []tools.Result, run func()) {
	defer func() {
		p := recover()
		for i := range out {
			switch {
			case p != nil:
				out[i] = tools.ErrorResult(tools.Failed, "internal", "the tool failed")
				out[i].Err = fmt.Sprint("panic: ", p)
			case !json.Valid(out[i].JSON):
				out[i] = tools.ErrorResult(tools.Failed, "invalid_response", "")
			}
		}
	}()
	run()
}

// later waits for a result that was promised, as long as the call lasts.
func (s *session) later(ctx context.Context, promised func(context.Context) tools.Result, done func(tools.Result)) {
	s.detached.Go(func() {
		out := make([]tools.Result, 1)
		safely(out, func() { out[0] = promised(ctx) })
		done(out[0])
	})
}

// deferred lets a call go on as an asynchronous one: the model is told that its
// result is pending, what it comes to is news (H-28).
func (s *session) deferred(c *toolCall, r tools.Result) {
	ctx, cancel := context.WithCancel(s.ctx)
	c.class, c.cancel, c.result = turn.ClassAsync, cancel, &r
	id := c.call.ID
	s.later(ctx, r.Later, func(r tools.Result) {
		cancel()
		s.work.put(toolResult{id: id, r: r})
	})
	s.step(turn.ToolDone{ID: id, Deferred: true})
}

// giveBack ends a promise that nobody waits for.
func (s *session) giveBack(r tools.Result) {
	if r.Later == nil {
		return
	}
	over, cancel := context.WithCancel(s.ctx)
	cancel()
	s.later(over, r.Later, func(tools.Result) {})
}

// foundLater is what a tool that ran by itself came to in the end.
type foundLater struct {
	tool string
	r    tools.Result
}

// awaitLater waits for what a tool that ran by itself has promised.
func (s *session) awaitLater(tool string, r tools.Result) {
	if r.Later != nil {
		s.later(s.ctx, r.Later, func(r tools.Result) { s.work.put(foundLater{tool, r}) })
	}
}

// tellLater makes it known: at once, or with what the others come to that it was
// started with.
func (s *session) tellLater(f foundLater) {
	for i := range s.preCall {
		if p := &s.preCall[i]; s.preCallPending > 0 && p.name == f.tool {
			p.r = f.r
			return
		}
	}
	if v := s.keepResult(f.tool, f.r); v != nil {
		s.setVar(f.tool, v)
	}
	for i := range s.flow.found {
		if found := &s.flow.found[i]; len(s.flow.actions) > 0 && found.Tool == f.tool {
			found.Result = f.r.JSON
			return
		}
	}
	s.tellContext(tools.Contexts{{Tool: f.tool, Result: f.r.JSON}})
}

// toolDone keeps a result and tells the machine.
func (s *session) toolDone(t toolResult) {
	c := s.calls[t.id]
	switch {
	case c == nil || c.over:
		s.giveBack(t.r)
		return
	case t.late && c.result != nil && c.result.Later != nil: // it came just in time, as a promise
		return
	}
	d := c.tool.Definition()
	if t.r.Later != nil && !c.action {
		s.deferred(c, t.r)
		return
	}
	s.finished(c, t.r)
	if c.ack != nil && !c.gated { // what it came to is nobody's (F-08)
		s.step(turn.AsyncDone{ID: t.id, Untold: true})
		return
	}
	if c.action {
		s.awaitLater(c.call.Name, t.r)
		if next := s.actionDone(c, t.r); !c.left {
			s.step(turn.ToolDone{ID: t.id, Next: next})
		}
		return
	}
	s.guard.Done(d, tools.Call{Args: c.args}, t.r.Status)
	if !c.gated {
		s.keepResult(c.call.Name, t.r)
	}
	say := d.Speech.Success.Pick(t.r, s.env())
	failed := t.r.Status == tools.Failed || t.r.Status == tools.TimedOut
	switch {
	case c.class == turn.ClassAsync:
		s.step(turn.AsyncDone{ID: t.id, Say: say})
	case failed:
		s.step(turn.ToolDone{ID: t.id, Say: tools.Sentence(d.Speech.Failure, s.env()), Failed: true, Next: s.condition()})
	default:
		s.step(turn.ToolDone{ID: t.id, Say: say, Next: s.condition()})
	}
}

// news is what the model is told of a result that nobody waited for. That of a
// call which stood in the context as running has taken its place there.
func (s *session) news(id string) {
	c := s.calls[id]
	if c == nil {
		return
	}
	var result json.RawMessage
	if c.class == turn.ClassAsync {
		result = c.came
	}
	o := struct {
		ID     string          `json:"id"`
		Tool   string          `json:"tool"`
		Status string          `json:"status"`
		Result json.RawMessage `json:"result,omitempty"`
	}{c.call.ID, c.call.Name, "finished", result}
	b, err := json.Marshal(o)
	if err != nil { // every result is checked to be JSON
		return
	}
	s.transcript.news(id, llm.NewsPrefix+string(b))
	s.responder.know(llm.NewsPrefix + string(b))
}

// finished writes a call's result down. An asynchronous one has answered its
// call before; what it came to now is news.
func (s *session) finished(c *toolCall, r tools.Result) {
	c.over, c.came = true, r.JSON
	if c.class != turn.ClassAsync || c.result == nil {
		c.result = &r
	}
	if c.gated {
		s.refused(c, r)
		return
	}
	s.wished(c, r)
	s.toolFinished(c.call.Name, c.call.ID, r, s.clock().Sub(c.started))
	if c.ack != nil {
		r.JSON = c.ack
	}
	s.record.Transcript = append(s.record.Transcript, Item{
		Role: "tool", Tool: c.call.Name, Text: string(r.JSON), Turn: c.turn, AtMS: s.out.Now().Milliseconds(),
	})
}

func (s *session) toolFinished(name, id string, r tools.Result, took time.Duration) {
	fields := []Field{F("tool", name), F("tool_call_id", id), F("status", string(r.Status)), F("ms", took)}
	if r.Err != "" {
		fields = append(fields, F("error", strings.TrimSpace(r.Err)))
	}
	s.event(EventToolFinished, fields...)
}

// settleTool gives a call a result from the machine.
func (s *session) settleTool(e turn.SettleTool) {
	c := s.calls[e.ID]
	if c == nil || c.over {
		return
	}
	if e.Code == "started" { // it goes on; what it comes to is news
		r := startedResult(e.ID)
		if c.ack != nil {
			r.JSON = c.ack
		}
		c.result = &r
		return
	}
	if c.cancel != nil {
		c.cancel()
	}
	c.over = true
	r := tools.ErrorResult(tools.Cancelled, e.Code, settledBecause[e.Code])
	if e.OK {
		status := `{"status":"ending"}`
		if e.Code == "entered" {
			status = `{"status":"ok"}`
		}
		r, c.started = tools.Result{JSON: json.RawMessage(status), Status: tools.OK}, s.clock()
		s.event(EventToolStarted, F("tool", c.call.Name), F("tool_call_id", e.ID), F("args", rawArgs(c.call.Args)))
	}
	c.result = &r
	if c.started.IsZero() { // it never ran
		s.refused(c, r)
		return
	}
	s.toolFinished(c.call.Name, e.ID, r, s.clock().Sub(c.started))
}

// startedResult is what the model is told at once of an asynchronous tool.
func startedResult(id string) tools.Result {
	b, err := json.Marshal(map[string]string{"status": "started", "id": id})
	if err != nil {
		b = []byte(`{"status":"started"}`)
	}
	return tools.Result{JSON: b, Status: tools.OK}
}

// settledBecause is what the model is told of a call that the machine settled.
var settledBecause = map[string]string{
	"caller_resumed": "the caller went on speaking: answer first",
	"too_many_steps": "answer the caller now, without tools",
}

// startPreCall runs the tools that need no model, all at once (D-14).
func (s *session) startPreCall() {
	env := s.env()
	env.PreCall = true
	if s.record.Direction == "outbound" {
		env.Context = s.given
	}
	for _, t := range s.tools.preCall {
		name := t.Definition().Name
		c := &toolCall{call: llm.ToolCall{ID: "pre-" + name, Name: name}, tool: t, args: json.RawMessage(`{}`)}
		if r, shut := s.shut(c); shut { // nothing was said yet that could open it
			s.refused(c, r)
			continue
		}
		s.preCallPending++
		s.event(EventToolStarted, F("tool", name), F("tool_call_id", "pre-"+name), F("args", json.RawMessage(`{}`)))
		s.detached.Go(func() {
			start := s.clock()
			c := tools.Call{ID: "pre-" + name, Name: name, Args: json.RawMessage(`{}`), Env: env}
			r := runSafely(s.ctx, []tools.Tool{t}, []tools.Call{c})[0]
			s.work.put(preCallResult{name, r, s.clock().Sub(start)})
		})
	}
}

type preCallResult struct {
	name string
	r    tools.Result
	took time.Duration
}

func (s *session) finishedPreCall(p preCallResult) {
	s.toolFinished(p.name, "pre-"+p.name, p.r, p.took)
	s.record.ToolCalls++
}

// preCallDone keeps one result; the machine is told when all are there.
func (s *session) preCallDone(p preCallResult) {
	s.finishedPreCall(p)
	s.awaitLater(p.name, p.r)
	s.preCall = append(s.preCall, p)
	if s.preCallPending--; s.preCallPending > 0 {
		return
	}
	var found tools.Contexts
	for _, p := range s.preCall {
		found = append(found, tools.Found{Tool: p.name, Result: p.r.JSON})
		if v := s.keepResult(p.name, p.r); v != nil {
			s.setVar(p.name, v)
		}
	}
	s.tellContext(found)
	s.step(turn.PreCallDone{Next: s.condition()})
}
