package engine

import (
	"context"
	"errors"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/playout"
	"github.com/patchcord/patchcord/audio/stt"
	"github.com/patchcord/patchcord/audio/tts/spoken"
	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/llm"
)

// realtimeTries is how many sessions in a row fail before the call goes on
// without the model.
const realtimeTries = 2

// realtime is a speech-to-speech model behind the same machine: its responses
// are replies (conv:R1), its ear is the one that counts (conv:R10). It belongs
// to the session's goroutine.
type realtime struct {
	s       *session
	name    string
	model   llm.Realtime
	options llm.RealtimeOptions
	conn    llm.RealtimeSession // nil: none is open
	epoch   int                 // sessions so far
	fails   int                 // of them, in a row
	ledger  ledger
	replies map[turn.Gen]*serverReply
	calls   []*serverCall
	stop    context.CancelFunc // of what hears
	ended   chan struct{}      // closed when it has ended
}

// serverReply is what is known of a reply beside the reply itself.
type serverReply struct {
	start  *turn.StartReply // of an answer
	text   *turn.Say        // of a fixed text
	epoch  int              // the session that its sound is of
	pushed int              // samples
	item   string           // that sounds
	ran    bool             // its calls were taken up
}

// serverCall is a call that the server knows.
type serverCall struct {
	*toolCall
	id    string // there
	epoch int
	told  bool // it has its result
}

// openRealtime makes the model of an agent that has one.
func (s *session) openRealtime() error {
	model, err := pick(s.e.cfg.Realtime, s.agent.Realtime, "realtime")
	if err != nil {
		return err
	}
	s.server = &realtime{
		s: s, name: s.agent.Realtime, model: model, replies: map[turn.Gen]*serverReply{}, ended: make(chan struct{}),
	}
	s.responder = s.server
	return nil
}

// listening is whether the model's server is what hears the caller.
func (rt *realtime) listening() bool { return rt != nil && rt.s.responder == responder(rt) }

// start opens the session, and keeps one open while the call lasts.
func (rt *realtime) start(o stt.Options) {
	rt.options = llm.RealtimeOptions{
		Format: o.Format, Language: o.Language, CallID: o.CallID,
		Voice: rt.s.tongue.voice, MaxTokens: rt.s.agent.LLM.MaxTokens,
	}
	rt.options.Instructions, rt.options.Tools = rt.instructions()
	ear := &serverEar{rt.model, rt.options, rt.s.work}
	rt.s.ears = newRecogniser(rt.s.listen.ring, rt.s.work, ears{chain: stt.ChainOf(rt.name, ear), options: o})
	ctx, stop := context.WithCancel(rt.s.ctx)
	rt.stop = stop
	r := rt.s.ears
	rt.s.wg.Go(func() {
		defer close(rt.ended)
		r.run(ctx)
	})
}

// instructions are what the model is told before the conversation, and with.
func (rt *realtime) instructions() (string, []llm.Tool) {
	var parts []string
	for _, m := range rt.s.prompt() {
		if m.Role == llm.System {
			parts = append(parts, m.Content)
		}
	}
	return strings.Join(parts, "\n\n"), rt.s.tools.Offer()
}

// up has a session that is open: it is told what was said before it.
func (rt *realtime) up(m serverUp) {
	if !rt.listening() {
		return
	}
	rt.conn = m.conn
	rt.epoch++
	for _, msg := range rt.history() {
		rt.do(llm.AddMessage{ID: rt.ledger.id("add"), Message: msg})
	}
	rt.instruct()
	rt.ledger.pump(rt.s.clock())
	rt.send()
}

// history is the conversation as far as it was heard. Calls that run get their
// results when they have them.
func (rt *realtime) history() []llm.Message {
	var t transcript
	for _, e := range rt.s.transcript.entries {
		if e.role == llm.Assistant && rt.s.replies[e.g] != nil {
			continue // it is told when it is over
		}
		if e.owed && e.text == said("") {
			continue // it is heard again
		}
		t.entries = append(t.entries, e)
		for _, c := range e.calls {
			rt.calls = append(rt.calls, &serverCall{c, c.call.ID, rt.epoch, c.result != nil})
		}
	}
	var out []llm.Message
	for _, m := range t.messages(rt.s.prompt()) {
		running := m.Role == llm.ToolRole && rt.s.calls[m.ToolCallID] != nil && rt.s.calls[m.ToolCallID].result == nil
		if m.Role != llm.System && !running {
			out = append(out, m)
		}
	}
	return out
}

// do sends one command. What cannot be sent is the session's end, which is
// told by itself.
func (rt *realtime) do(c llm.RealtimeCommand) {
	if rt.conn != nil {
		_ = rt.conn.Do(c)
	}
}

// send sends what the ledger has decided.
func (rt *realtime) send() {
	if rt.conn == nil {
		return
	}
	for _, c := range rt.ledger.take() {
		rt.do(c)
	}
}

// want asks for a response, as soon as there is somebody to ask.
func (rt *realtime) want(w wanted) {
	if rt.conn == nil {
		rt.ledger.queue = append(rt.ledger.queue, w)
		return
	}
	rt.ledger.want(w, rt.s.clock())
	rt.send()
}

// reply makes a generation without a voice of ours.
func (rt *realtime) reply(g turn.Gen, kind turn.Kind, turnNo int) {
	r := &reply{g: g, kind: kind, turn: turnNo, cancel: func() {}, written: true}
	rt.s.replies[g] = r
}

func (rt *realtime) ask(e turn.StartReply) {
	if e.Speculative { // nothing is asked before the server has the turn
		return
	}
	rt.reply(e.G, turn.Answer, e.Turn)
	rt.replies[e.G] = &serverReply{start: &e}
	rt.s.stages.ask(e.Step, rt.s.now())
	rt.settled()
	rt.instruct()
	if e.Continue {
		rt.add(llm.Message{Role: llm.User, Content: goOn})
	}
	rt.want(wanted{g: e.G, noTools: e.NoTools})
}

// instruct tells the server of a prompt or tools that have changed.
func (rt *realtime) instruct() {
	text, tools := rt.instructions()
	if rt.conn == nil || text == rt.options.Instructions && sameTools(tools, rt.options.Tools) {
		return
	}
	rt.options.Instructions, rt.options.Tools = text, tools
	rt.do(llm.Instruct{ID: rt.ledger.id("instruct"), Instructions: text, Tools: tools})
}

func sameTools(a, b []llm.Tool) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Name != b[i].Name || a[i].Description != b[i].Description ||
			string(a[i].Parameters) != string(b[i].Parameters) {
			return false
		}
	}
	return true
}

// say has the model say a fixed text, so that a call has one voice. The agent's
// own voice says it where it names one; what bridges the model's own silence
// cannot be said by the model, and why a call is refused is said to the letter by
// any voice that there is (F-13).
func (rt *realtime) say(e turn.Say) {
	own := rt.s.agent.TTS != "" || e.Kind == turn.Filler || e.Kind == turn.Apology || rt.s.refusal != nil
	if own && len(rt.s.tongue.voices) > 0 {
		rt.s.sayText(e)
		return
	}
	rt.reply(e.G, e.Kind, e.Turn)
	rt.replies[e.G] = &serverReply{text: &e}
	if e.Kind == turn.Bridge {
		rt.s.event(EventSpeechBridge, F("text", e.Text), F("tool", e.Tool))
	}
	rt.want(wanted{g: e.G, exactly: e.Text, noTools: true})
}

func (rt *realtime) typed(text string) {
	keys, _, _ := strings.Cut(text, "; said: ") // what was said, it has heard
	rt.add(llm.Message{Role: llm.User, Content: keys})
}

func (rt *realtime) know(text string) { rt.add(llm.Message{Role: llm.User, Content: text, Data: true}) }

// add adds to the server's conversation; one that is not open is told with the
// rest of it.
func (rt *realtime) add(m llm.Message) {
	if rt.conn != nil {
		rt.do(llm.AddMessage{ID: rt.ledger.id("add"), Message: m})
	}
}

// settled gives the server the results of its calls, each once (INV24).
func (rt *realtime) settled() {
	if rt.conn == nil {
		return
	}
	for _, c := range rt.calls {
		if c.epoch == rt.epoch && !c.told && c.result != nil {
			c.told = true
			rt.add(llm.Message{Role: llm.ToolRole, ToolCallID: c.id, Content: string(c.result.JSON)})
		}
	}
}

// over cuts the server's items to what was heard (conv:R2). A text that it did
// not speak, or spoke in a session that is gone, it is told.
func (rt *realtime) over(r *reply, h playout.Heard, text heard) {
	sr := rt.replies[r.g]
	delete(rt.replies, r.g)
	if sr == nil || sr.pushed > 0 && sr.epoch != rt.epoch {
		if text.text != "" {
			rt.add(llm.Message{Role: llm.Assistant, Content: text.text})
		}
		return
	}
	rt.ledger.drop(r.g, rt.s.clock())
	rt.ledger.close(r.g, h, rt.s.rate, sr.ran)
	rt.send()
}

// says takes what the server says.
func (rt *realtime) says(m serverSays) {
	if !rt.listening() || m.conn != rt.conn {
		rt.s.stale++
		return
	}
	rt.fails = 0
	ev := m.ev
	switch ev.Kind {
	case llm.VoiceBegan:
		rt.s.step(turn.ServerVoice{At: rt.ago(ev)})
	case llm.VoiceEnded:
		rt.s.step(turn.VoiceEnd{At: rt.ago(ev)})
	case llm.TurnEnded:
		rt.s.step(turn.ServerTurn{Item: ev.Item})
	case llm.TurnWords:
		rt.s.lastFinal = rt.s.now()
		rt.s.step(turn.Heard{Item: ev.Item, Text: ev.Text})
	case llm.ResponseBegan:
		rt.ledger.began(ev, rt.s.clock())
	case llm.ItemBegan:
		rt.part(ev, ev.Call.Name != "")
	case llm.Spoken:
		rt.sound(ev)
	case llm.SpokenWords:
		rt.words(ev)
	case llm.CallReady:
		rt.call(ev)
	case llm.ResponseDone:
		rt.done(ev)
	case llm.Refused:
		rt.refused(ev)
	}
	rt.send()
}

func (rt *realtime) ago(ev llm.RealtimeEvent) time.Duration { return max(0, rt.s.now()-ev.Ago) }

// part is the reply that an item belongs to.
func (rt *realtime) part(ev llm.RealtimeEvent, call bool) (*reply, *serverReply, *serverItem) {
	g, it := rt.ledger.item(ev, call, rt.s.clock())
	r, sr := rt.s.replies[g], rt.replies[g]
	if it == nil || r == nil || sr == nil || r.ended {
		rt.s.stale++
		return nil, nil, nil
	}
	return r, sr, it
}

// sound puts what is said into the playout.
func (rt *realtime) sound(ev llm.RealtimeEvent) {
	r, sr, it := rt.part(ev, false)
	if r == nil {
		return
	}
	if sr.item != "" && sr.item != ev.Item {
		rt.s.out.EndSegment(uint64(r.g), it.seg-1)
	}
	sr.item = ev.Item
	if !rt.s.out.Push(uint64(r.g), it.seg, ev.PCM) {
		return
	}
	first := sr.pushed == 0
	sr.pushed, sr.epoch = sr.pushed+len(ev.PCM), rt.epoch
	if first {
		rt.s.stages.useful(rt.s.now())
		rt.s.stages.ready(r.kind, rt.s.now())
		rt.s.stages.sounded(rt.s.now())
		if r.kind == turn.Answer {
			rt.s.step(turn.Useful{G: r.g})
		}
		rt.s.step(turn.Audio{G: r.g})
	}
	if sr.pushed > audio.Samples(longest, rt.s.rate) && rt.s.replies[r.g] == r {
		rt.s.log.Warn("a reply was cut after a minute", zap.Uint64("reply", uint64(r.g)))
		it.short = true
		rt.ledger.drop(r.g, rt.s.clock())
		rt.finish(r, sr, llm.RealtimeEvent{Finish: "incomplete"})
	}
}

// words are those of what is said.
func (rt *realtime) words(ev llm.RealtimeEvent) {
	r, _, it := rt.part(ev, false)
	if r == nil {
		return
	}
	for len(r.segs) <= it.seg {
		if r.text.Len() > 0 {
			r.text.WriteByte(' ')
		}
		seg := &segment{at: r.text.Len()}
		seg.speaks(rt.name, 0, 0)
		r.segs = append(r.segs, seg)
	}
	r.segs[it.seg].raw += ev.Text
	r.text.WriteString(ev.Text)
	r.said = r.text.Len()
	rt.s.transcript.reply(r.g, r.kind, r.turn).text = r.text.String()
}

// readWords makes the words of a reply, which came piece by piece, ready to be
// cut.
func (s *session) readWords(r *reply) {
	if !r.written {
		return
	}
	for _, seg := range r.segs {
		seg.said = spoken.NewSpeaker(s.tongue.language).Speak(seg.raw)
	}
}

// call keeps a call until its response is done.
func (rt *realtime) call(ev llm.RealtimeEvent) {
	r, _, _ := rt.part(ev, true)
	if r == nil || r.kind != turn.Answer {
		return
	}
	c := &toolCall{call: ev.Call, turn: r.turn}
	r.calls = append(r.calls, c)
	rt.calls = append(rt.calls, &serverCall{c, ev.Call.ID, rt.epoch, false})
}

// done ends a response.
func (rt *realtime) done(ev llm.RealtimeEvent) {
	g, live := rt.ledger.done(ev, rt.s.clock())
	r, sr := rt.s.replies[g], rt.replies[g]
	if !live || r == nil || sr == nil || r.ended {
		return
	}
	rt.finish(r, sr, ev)
}

// errOtherWords tells of a refusal that was to be said to the letter.
var errOtherWords = errors.New("it said in other words why the call is refused: " +
	"configure a tts, which says it to the letter")

// finish ends the model's part of a reply: its words, then its calls.
func (rt *realtime) finish(r *reply, sr *serverReply, ev llm.RealtimeEvent) {
	r.ended = true
	rt.s.out.EndReply(uint64(r.g))
	if said := r.text.String(); rt.s.refusal != nil && sr.text != nil && said != "" &&
		turn.Normal(said) != turn.Normal(sr.text.Text) {
		rt.s.failed("realtime", rt.name, errOtherWords)
	}
	switch {
	case ev.Finish == "failed":
		err := ev.Err
		if err == nil {
			err = errors.New("the response failed: " + ev.Text)
		}
		rt.s.failed("realtime", rt.name, err)
		if r.kind == turn.Answer {
			rt.s.step(turn.LLMErr{G: r.g, Words: sr.pushed > 0})
		}
	case r.kind == turn.Answer:
		calls := rt.s.propose(r)
		sr.ran = true
		rt.s.step(turn.LLMDone{G: r.g, Words: sr.pushed > 0, Calls: calls})
	}
	rt.s.step(turn.Fed{G: r.g, Sound: sr.pushed > 0})
}

// refused has a command that the server did not take.
func (rt *realtime) refused(ev llm.RealtimeEvent) {
	if g, failed := rt.ledger.refused(ev, rt.s.clock()); failed {
		if r, sr := rt.s.replies[g], rt.replies[g]; r != nil && sr != nil && !r.ended {
			rt.finish(r, sr, llm.RealtimeEvent{Finish: "failed", Err: ev.Err})
		}
		return
	}
	if ev.Code != llm.CodeActive && ev.Code != llm.CodeNotActive {
		rt.s.failed("realtime", rt.name, ev.Err)
	}
}

func (rt *realtime) next() time.Time {
	if rt.conn == nil || rt.ledger.slot == nil {
		return time.Time{}
	}
	return rt.ledger.deadline()
}

func (rt *realtime) tick(now time.Time) {
	if rt.conn == nil {
		return
	}
	if g := rt.ledger.tick(now); g != 0 {
		rt.ledger.drop(g, now) // conv:R9
		if r, sr := rt.s.replies[g], rt.replies[g]; r != nil && sr != nil && !r.ended {
			rt.finish(r, sr, llm.RealtimeEvent{Finish: "failed", Err: llm.ErrStalled})
		}
	}
	rt.send()
}

// lost has the end of a session, or a try to open one that failed. What was
// asked for is asked again; what sounds ends where it breaks off.
func (rt *realtime) lost(e sttEvent) {
	s := rt.s
	rt.conn = nil
	rt.fails++
	s.failed("realtime", rt.name, e.err)
	s.step(turn.VoiceEnd{At: s.now()})
	for g, sr := range rt.replies {
		if r := s.replies[g]; r != nil && sr.pushed > 0 && !r.ended {
			rt.finish(r, sr, llm.RealtimeEvent{Finish: "failed", Err: e.err})
		}
	}
	rt.ledger.reset()
	rt.ledger.keep(func(g turn.Gen) bool { r := s.replies[g]; return r != nil && !r.ended })
	if rt.fails >= realtimeTries {
		rt.giveUp()
	}
}

// giveUp goes on with a recogniser, a model and a voice, where the call has
// them; else it apologises and ends.
func (rt *realtime) giveUp() {
	s := rt.s
	rt.stop()
	waiting := rt.ledger.queue
	rt.ledger = ledger{}
	if s.model == nil || len(s.tongue.voices) == 0 || s.e.cfg.STT[s.tongue.stt] == nil {
		s.responder = cascade{s}
		s.step(turn.End{Goodbye: s.m.Policy().ApologyPhrase, Reason: turn.EndProviders})
		return
	}
	s.event(EventProviderFallback, F("kind", "realtime"), F("from", rt.name), F("to", "cascade"))
	s.log.Warn("the call goes on without its speech-to-speech model", zap.String("model", rt.name))
	s.responder = cascade{s}
	s.listenWith(rt.ended)
	for _, w := range waiting {
		sr := rt.replies[w.g]
		delete(s.replies, w.g)
		switch {
		case sr == nil:
		case sr.start != nil:
			s.ask(*sr.start)
		case sr.text != nil:
			s.sayText(*sr.text)
		}
	}
}
