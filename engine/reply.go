package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/audio/playout"
	"github.com/patchcord/patchcord/audio/tts/spoken"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/llm"
)

// reply is one generation at work. It belongs to the session; its model and
// its voice are goroutines that end with ctx.
type reply struct {
	g       turn.Gen
	kind    turn.Kind
	turn    int
	cancel  context.CancelFunc
	stop    context.CancelFunc // of the model alone
	dry     bool               // it sounds, and the voice has nothing more to say
	voice   *voice
	chunks  *chunker
	speaker *spoken.Speaker
	segs    []*segment
	text    strings.Builder // all the model gave
	said    int             // bytes of text that were handed to the voice, or have nothing to be said
	calls   []*toolCall
	useful  bool
	ended   bool      // the model has said all it may
	length  int       // characters handed to the voice
	patient time.Time // when the first words are spoken without waiting on
	held    *held     // of a speculative one, nil once it is adopted
	written bool      // its words come with its sound, as they were said
	begun   bool      // its first piece was handed to the voice while it was one
}

const (
	// modelStall is how long a model may be silent. Providers give up sooner;
	// this is for one that does not.
	modelStall = 12 * time.Second
	// longest is how much sound a reply may have (conv:L8).
	longest = 60 * time.Second
)

// modelDelta and modelEnd are what a model says, on its way to the session.
type (
	modelDelta struct {
		g turn.Gen
		d llm.Delta
	}
	modelEnd struct {
		g   turn.Gen
		err error // nil after a Done
	}
)

// ask starts a completion.
func (s *session) ask(e turn.StartReply) {
	if e.Speculative {
		s.speculate(e)
		return
	}
	r, ctx := s.newReply(e.G, turn.Answer, e.Turn, nil)
	s.stages.ask(e.Step, s.now())
	s.transcript.last(e.News)
	req := s.request(s.transcript.messages(s.prompt()), e.NoTools)
	if e.Continue {
		if n := len(req.Messages) - 1; n >= 0 && req.Messages[n].Role == llm.User && req.Messages[n].Data {
			req.Messages[n].Content = join(req.Messages[n].Content, "\n", goOn) // a role is not twice in a row (conv:X5)
		} else {
			req.Messages = append(req.Messages, llm.Message{Role: llm.User, Content: goOn, Data: true})
		}
	}
	s.stream(ctx, r, req)
}

// stream lets the model answer.
func (s *session) stream(ctx context.Context, r *reply, req llm.Request) {
	ctx, r.stop = context.WithCancel(ctx)
	p := s.model
	s.wg.Go(func() { stream(ctx, p, req, r.g, s.work) })
}

// goOn is what a model is told whose last answer broke off.
const goOn = "(The connection broke in the middle of your last answer. The caller heard the words above. " +
	"Go on right behind them, without repeating any and without mentioning the break.)"

// request is what a model is asked.
func (s *session) request(messages []llm.Message, noTools bool) llm.Request {
	req := llm.Request{
		Messages: messages, Tools: s.tools.Offer(),
		Model: s.agent.LLM.Model, Temperature: s.agent.LLM.Temperature, MaxTokens: s.agent.LLM.MaxTokens,
		CallID: string(s.id),
	}
	if noTools {
		req.ToolChoice = "none"
	}
	return req
}

// stream runs one completion; it always ends with a modelEnd.
func stream(ctx context.Context, p llm.Provider, req llm.Request, g turn.Gen, work *mailbox) {
	err := guarded(func() error { return complete(ctx, p, req, g, work) })
	work.put(modelEnd{g, err})
}

func complete(ctx context.Context, p llm.Provider, req llm.Request, g turn.Gen, work *mailbox) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(modelStall, func() { cancel(llm.ErrStalled) })
	defer watch.Stop()
	st, err := p.Stream(ctx, req)
	if err != nil {
		return stalled(ctx, err)
	}
	defer st.Close() //nolint:errcheck // what failed is known already
	for {
		d, err := st.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return stalled(ctx, err)
		}
		watch.Reset(modelStall)
		work.put(modelDelta{g, d})
	}
}

// stalled names a stall that ended a stream.
func stalled(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), llm.ErrStalled) {
		return llm.ErrStalled
	}
	return err
}

// guarded runs what a provider does: its own fault must not end other calls.
func guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return f()
}

// newReply makes a generation's context and voice. A gate holds most of the
// voice's sound back until it is closed.
func (s *session) newReply(
	g turn.Gen, kind turn.Kind, turnNo int, gate chan struct{},
) (*reply, context.Context) {
	ctx, cancel := context.WithCancel(s.ctx)
	r := &reply{g: g, kind: kind, turn: turnNo, cancel: cancel, speaker: s.speaker()}
	r.chunks = newChunker(s.m.Policy(), r.speaker)
	r.voice = &voice{
		g: g, out: s.out, voices: s.tongue.voices, rate: s.rate, cache: s.e.phrases, work: s.work,
		req: s.tongue.request(s.leg.Info().Format, s.id), cps: s.pacer(), breath: s.m.Policy().SentencePause,
		coming: map[int]*coming{}, wake: make(chan struct{}, 1), gate: gate,
	}
	if kind != turn.Answer {
		r.voice.keep = s.e.phrases
	}
	s.replies[g] = r
	s.wg.Go(func() { r.voice.run(ctx) })
	return r, ctx
}

// sayText speaks a fixed text.
func (s *session) sayText(e turn.Say) {
	r, _ := s.newReply(e.G, e.Kind, e.Turn, nil)
	s.stages.ready(e.Kind, s.now())
	r.text.WriteString(e.Text)
	fills := e.Kind == turn.Bridge || e.Kind == turn.Filler
	for _, p := range fixedPieces(s.m.Policy(), e.Text, r.speaker, fills) {
		s.speak(r, p)
	}
	s.transcript.reply(e.G, e.Kind, e.Turn).text = e.Text
	r.voice.end()
	if e.Kind == turn.Bridge {
		s.event(EventSpeechBridge, F("text", e.Text), F("tool", e.Tool))
	}
}

// fixedPieces are the sentences of a fixed text; the clauses of one that only
// fills a wait, so that it can end with any of them (conv:W7).
func fixedPieces(p *turn.Policy, text string, speaker *spoken.Speaker, fills bool) []piece {
	c := newChunker(p, speaker)
	c.clauses = fills
	out := c.add(text)
	if rest := c.rest(); rest.raw != "" {
		out = append(out, rest)
	}
	return out
}

// speaker makes words ready for the call's voice.
func (s *session) speaker() *spoken.Speaker { return speakerOf(s.agent, s.tongue.language) }

// speakerOf makes words ready for a voice of a language.
func speakerOf(a *agent.Agent, language string) *spoken.Speaker {
	list := make([]spoken.Pronunciation, len(a.Pronunciations))
	for i, p := range a.Pronunciations {
		list[i] = spoken.Pronunciation(p)
	}
	return spoken.NewSpeaker(language, list...)
}

// speak hands a piece to the voice: it gets the words as they are said, the
// context keeps them as they were written (conv:S6).
func (s *session) speak(r *reply, p piece) {
	said := r.speaker.Speak(p.raw)
	r.said = p.end()
	if said.Text == "" {
		return
	}
	seg := &segment{at: p.at, raw: p.raw, said: said}
	r.length += len(said.Text)
	r.segs = append(r.segs, seg)
	r.voice.add(seg)
}

// speakNext hands the next piece of an answer to the voice, unless it has it
// from when the reply was a speculative one.
func (s *session) speakNext(r *reply, p piece) {
	s.stages.ready(turn.Answer, s.now())
	if r.begun {
		r.begun = false
		return
	}
	s.speak(r, p)
}

// delta takes a piece of a completion. What belongs to no live reply is
// dropped and counted (INV46).
func (s *session) delta(m modelDelta) {
	r := s.replies[m.g]
	if r == nil || r.ended || !s.m.Live(m.g) {
		s.stale++
		return
	}
	if m.d.Useful() && !r.useful {
		r.useful = true
		s.stages.useful(s.now())
		s.step(turn.Useful{G: m.g})
		if !s.m.Live(m.g) { // its time was over
			return
		}
	}
	switch m.d.Kind {
	case llm.Text:
		r.text.WriteString(m.d.Text)
		s.transcript.reply(r.g, r.kind, r.turn).text = r.text.String()
		for _, p := range r.chunks.add(m.d.Text) {
			s.speakNext(r, p)
		}
		switch {
		case float64(r.length) > s.cps(s.tongue.voices[0].name)*longest.Seconds():
			s.log.Warn("a reply was cut after a minute", zap.Uint64("reply", uint64(r.g)))
			r.chunks.drop()
			s.completed(modelEnd{r.g, nil})
		case !r.chunks.first:
			r.patient = s.clock().Add(s.m.Policy().FirstPatience)
		}
	case llm.ToolReady:
		r.calls = append(r.calls, &toolCall{call: m.d.ToolCall, turn: r.turn})
	case llm.Fell:
		s.fell(m.d)
	case llm.ToolBegan, llm.Done:
	}
}

func (s *session) fell(d llm.Delta) {
	from := ""
	if d.Failed != nil {
		from = d.Failed.Provider
		if !errors.Is(d.Failed, llm.ErrOvertaken) && !errors.Is(d.Failed, llm.ErrLeftOut) { // it did not fail now
			s.failed("llm", from, d.Failed)
		}
	}
	s.event(EventProviderFallback, F("kind", "llm"), F("from", from), F("to", d.Provider))
}

// impatient speaks the first words of replies whose model pauses (conv:S1).
func (s *session) impatient(now time.Time) {
	for _, r := range s.replies {
		if !r.patient.IsZero() && !now.Before(r.patient) {
			r.patient = time.Time{}
			if p := r.chunks.impatient(); p.raw != "" {
				s.speakNext(r, p)
			}
		}
	}
}

// completed ends a completion: the rest of its words, then its calls.
func (s *session) completed(m modelEnd) {
	r := s.replies[m.g]
	if r == nil || r.ended || !s.m.Live(m.g) {
		s.stale++
		return
	}
	r.ended, r.patient = true, time.Time{}
	words := strings.TrimSpace(r.text.String()) != ""
	if m.err != nil {
		var e *llm.Error
		name := "llm"
		if errors.As(m.err, &e) {
			name = e.Provider
		}
		s.failed("llm", name, m.err)
		s.breakOff(r)
		s.step(turn.LLMErr{G: m.g, Words: len(r.segs) > 0})
		return
	}
	if rest := r.chunks.rest(); rest.raw != "" {
		s.speakNext(r, rest)
	}
	r.voice.end()
	calls := s.propose(r)
	s.step(turn.LLMDone{G: m.g, Words: words && len(r.segs) > 0, Asks: turn.Asks(r.text.String()), Calls: calls})
}

// breakOff leaves an answer at what the voice has of it.
func (s *session) breakOff(r *reply) {
	r.ended, r.patient, r.calls = true, time.Time{}, nil
	text := r.text.String()[:r.said]
	r.text.Reset()
	r.text.WriteString(text)
	s.transcript.reply(r.g, r.kind, r.turn).text = text
	r.voice.end()
}

// stopModel gives up a model that has left the caller in the middle.
func (s *session) stopModel(g turn.Gen) {
	if r := s.replies[g]; r != nil && !r.ended {
		s.failed("llm", "llm", llm.ErrStalled)
		s.breakOff(r)
		r.stop()
	}
}

// close ends a reply and keeps what of it was heard.
func (s *session) close(g turn.Gen, h playout.Heard, why turn.Cancel) {
	r := s.replies[g]
	if r == nil {
		return
	}
	r.cancel()
	delete(s.replies, g)
	if s.front == g {
		s.front, s.frontStarted = 0, false
	}
	s.account.heard += sampleTime(h.Samples, s.rate)
	s.account.total += sampleTime(h.Samples+h.Dropped, s.rate)
	if why.Interrupted {
		s.account.proof = why.Proof
	}
	if h.Samples > 0 {
		s.account.silent(s.m.Agent(), s.now())
	}
	s.measureVoice(r, h)
	heard := s.heard(r, h)
	s.consent.told.Heard(heard.text, s.spokenBy())
	s.transcript.close(g, heard.text, why.Interrupted && !heard.all)
	if why.Interrupted && !heard.all && heard.text != "" && s.m.Policy().InterruptionHint {
		s.transcript.context("[caller interrupted after: " + wordsBefore(heard.text, hintWords) + "]")
	}
	s.responder.over(r, h, heard)
	if h.Samples == 0 && len(r.segs) == 0 {
		s.log.Debug("reply over", zap.Uint64("reply", uint64(g)), zap.Int("turn", r.turn),
			zap.Int("calls", len(r.calls)), zap.String("reason", why.Reason))
		return
	}
	text := strings.TrimSpace(r.text.String())
	s.event(EventTurnAgent,
		F("turn", r.turn), F("kind", r.kind.String()), F("text", text), F("heard_text", heard.text),
		F("heard_ms", sampleTime(h.Samples, s.rate)), F("interrupted", why.Interrupted), F("reason", why.Reason))
	if heard.text != "" {
		it := Item{Role: "agent", Text: text, Turn: r.turn, AtMS: s.out.Now().Milliseconds(), Interrupted: why.Interrupted}
		if !heard.all {
			it.HeardText = heard.text
		}
		s.record.Transcript = append(s.record.Transcript, it)
		s.recent.said(heard.spoken, s.clock())
	}
}

// hintWords is how many words a model is reminded of at most (conv:T7).
const hintWords = 8

// wordsBefore are the last n words of a text.
func wordsBefore(text string, n int) string {
	w := strings.Fields(text)
	return strings.Join(w[max(0, len(w)-n):], " ")
}

// heard is what of a reply was heard.
func (s *session) heard(r *reply, h playout.Heard) heard {
	s.readWords(r)
	return heardOf(r.text.String()[:r.said], r.segs, h, s.rate, s.cps)
}

// cps is how many characters a second a voice of the call says.
func (s *session) cps(voice string) float64 { return s.e.pace.cps(s.paceKey(voice)) }

// pacer is cps for the goroutines of a voice.
func (s *session) pacer() func(voice string) float64 {
	p, k := s.e.pace, s.paceKey("")
	return func(voice string) float64 {
		k := k
		k.tts = voice
		return p.cps(k)
	}
}

func (s *session) paceKey(voice string) paceKey {
	return paceKey{voice, s.tongue.voice, s.tongue.language}
}

// measureVoice learns how fast a voice speaks from what it said whole.
func (s *session) measureVoice(r *reply, h playout.Heard) {
	for i, seg := range h.Segments {
		if i >= len(r.segs) || !seg.Ended || seg.Pushed <= s.rate/2 {
			continue
		}
		if voice, lost := r.segs[i].spokenBy(); !lost {
			cps := float64(len(r.segs[i].said.Text)) * float64(s.rate) / float64(seg.Pushed)
			s.e.pace.measured(s.paceKey(voice), cps)
		}
	}
}

func sampleTime(n, rate int) time.Duration {
	return time.Duration(n) * time.Second / time.Duration(rate)
}

// voiceWaits tells of a caller that waits for the rest of a sentence.
func (s *session) voiceWaits(v voiceDry) {
	s.underruns++
	s.event(EventSpeechUnderrun, F("provider", v.name), F("ms", v.wait))
}

// voiceFailed logs a sentence that could not be spoken.
func (s *session) voiceFailed(v voiceErr) {
	s.failed("tts", v.name, v.err)
	if v.next != "" {
		s.event(EventProviderFallback, F("kind", "tts"), F("from", v.name), F("to", v.next))
	}
}

// failed logs a provider's failure, once, here.
func (s *session) failed(kind, name string, err error) {
	s.event(EventProviderFailed, F("kind", kind), F("provider", name), F("error", err.Error()))
	s.log.Warn("provider failed", zap.String("kind", kind), zap.String("provider", name), zap.Error(err))
}

// prompt is what the model is told before the conversation.
func (s *session) prompt() []llm.Message {
	var out []llm.Message
	if p := s.render(s.agent.Prompt); p != "" {
		out = append(out, llm.Message{Role: llm.System, Content: p})
	}
	for _, m := range s.agent.LLM.Messages {
		m.Content = s.render(m.Content)
		out = append(out, m)
	}
	for _, m := range s.task() {
		m.Content = s.render(m.Content)
		out = append(out, m)
	}
	return append(out, s.inLanguage()...)
}
