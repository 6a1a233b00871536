package turn

import "time"

// newReply takes the next generation and its place in the line.
func (m *Machine) newReply(k Kind, step int) *reply {
	m.discard("overtaken") // it would not follow on what is said now
	m.gen++
	r := &reply{
		g: m.gen, kind: k, turn: m.turn, step: step, answers: k == Answer || k == Apology,
		locked: k == Answer && m.node.Locked,
	}
	m.line = append(m.line, r)
	return r
}

// say speaks a fixed text.
func (m *Machine) say(k Kind, text, tool string) *reply {
	r := m.newReply(k, 0)
	r.words, r.done, r.asks = true, true, Asks(text)
	if r.filling() {
		r.text = text
	}
	m.emit(Say{G: r.g, Kind: k, Turn: m.turn, Text: text, Tool: tool})
	return r
}

// startReply asks the model, or waits for the pre-call tools first (conv:W17).
func (m *Machine) startReply(step int) {
	r := m.newReply(Answer, step)
	m.carry(r)
	m.ask(r, StartReply{G: r.g, Turn: m.turn, Step: step, NoTools: step >= m.policy.MaxToolSteps})
}

// tell asks the model to tell what there is of its own accord.
func (m *Machine) tellNews() {
	r := m.newReply(Answer, 0)
	r.news = true
	m.ask(r, StartReply{G: r.g, Turn: m.turn, News: m.carry(r)})
}

func (m *Machine) ask(r *reply, e StartReply) {
	until := max(m.answeredAt+2*time.Second, m.lastAudible+500*time.Millisecond)
	early := m.preCall && until > m.now
	if early {
		m.set(tPreCall, until)
	}
	if early || m.acting() {
		m.waiting = &e
		return
	}
	m.emit(e)
}

func (m *Machine) startWaiting() {
	if m.acting() || m.preCall && m.armed(tPreCall) {
		return
	}
	m.clear(tPreCall)
	if e := m.waiting; e != nil {
		m.waiting = nil
		if m.find(e.G) != nil {
			m.emit(*e)
		}
	}
}

// filling says whether a reply only bridges a wait.
func (r *reply) filling() bool { return r.kind == Bridge || r.kind == Filler }

// next is the reply that would sound now: replies keep their order, and what
// the API says, or else a bridging sentence, goes ahead of an answer that is not
// ready.
func (m *Machine) next() *reply {
	var fill, said *reply
	blocked := false
	for _, r := range m.line {
		switch {
		case r.filling():
			if r.ready && fill == nil {
				fill = r
			}
		case blocked && r.kind == Said && r.ready && said == nil:
			said = r
		case blocked:
		case r.ready:
			return r
		case r.kind != Answer: // its words belong before the others
			return fill
		default:
			blocked = true
		}
	}
	if said != nil {
		return said
	}
	return fill
}

// advance puts the next reply in front where the floor is free, and keeps the
// deadlines that depend on the whole state.
func (m *Machine) advance() {
	if m.call == Ended {
		return
	}
	m.keepCommit()
	m.look()
	m.settleKeys()
	m.gate()
	m.hurry()
	m.lookAhead()
	m.watch()
	m.watchNews()
}

// gate is A1 and A2.
func (m *Machine) gate() {
	if m.front != nil || m.call == Held || m.call == Setup || m.armed(tTail) {
		return
	}
	r := m.next()
	if r == nil {
		m.holdUntil = 0
		return
	}
	if !r.filling() {
		for _, f := range append([]*reply(nil), m.line...) {
			if f.filling() {
				m.cancel(f, "overtaken", "", false)
			}
		}
		if m.armed(tGap) {
			return
		}
	}
	if m.floorTaken(r) {
		if m.holdUntil == 0 {
			m.holdUntil = m.now + m.policy.HoldMax
		}
		// Words that wait for keys do not end by themselves: what is said before
		// them would wait for ever.
		waits := m.anything() && (m.collect == nil || !m.collect.HoldSpeech || m.voice)
		if waits || m.proven || m.now < m.holdUntil {
			if m.now < m.holdUntil {
				m.set(tHold, m.holdUntil)
			}
			return
		}
	}
	m.holdUntil = 0
	m.clear(tHold)
	m.front, r.gated = r, true
	m.emit(Play{r.g})
}

// hurry ends a bridging sentence with its clause when the answer is there.
func (m *Machine) hurry() {
	r := m.front
	if r == nil || !r.filling() || !r.started || r.hurried || m.call != Live {
		return
	}
	if n := m.next(); n != nil && !n.filling() && !m.floorTaken(n) {
		r.hurried = true
		m.emit(Shorten{r.g})
	}
}

// waits says whether an answer is awaited from the model or the voice.
func (m *Machine) waits() bool {
	for _, r := range m.line {
		if r.kind == Answer && !r.ready {
			return true
		}
	}
	return m.waiting != nil
}

func (m *Machine) startedReply(g Gen) {
	r := m.find(g)
	r.started, r.startAt, m.lastAudible = true, m.now, m.now
	m.spoke = true
	m.told(r)
	m.remember(r)
	m.clear(tFiller, tBridge)
	m.answered = m.answered || r.answers
	if r.kind == Answer {
		m.failures = 0
	}
	if !r.filling() && !m.waits() {
		m.clear(tApology)
	}
	m.armPause()
}

func (m *Machine) playedReply(g Gen) {
	r := m.find(g)
	m.silent(r)
	m.emit(Finish{r.g})
	m.remove(r)
	if !r.filling() {
		m.asked = r.asks
	}
	m.heedListened(r)
	m.afterReply(r)
}

// afterReply goes on where a reply has ended by itself.
func (m *Machine) afterReply(r *reply) {
	if r.last != "" {
		m.endReason = r.last
		m.set(tTail, m.now+m.tail())
		return
	}
	if m.call == Handover && r.g == m.announced {
		m.handOver()
		return
	}
	m.saidClosing(r)
	if r.filling() {
		m.set(tGap, m.now+lastFrame+m.policy.Breath)
	}
	if m.waits() && !m.armed(tFiller) && m.listening() {
		wait := m.policy.FillerAfter
		switch {
		case r.filling() && !r.started: // the voice had no sound for it: the line is silent still
			wait /= 10
		case r.filling():
			wait = m.policy.FillerFurther
		}
		from := m.now
		if m.now-m.resumedAt < shortRest { // the pause was silence, and so was what followed it
			from = m.pausedAt
		}
		m.set(tFiller, max(m.now, from+wait))
	}
	m.climbed()
	m.scheduleCommit() // words spoken into locked speech
}

// fedReply has a reply's last sound, or its lack of any (INV38).
func (m *Machine) fedReply(e Fed) {
	r := m.find(e.G)
	r.fed = true
	if e.Sound {
		r.ready = true
		return
	}
	if !r.started {
		m.soundless(r)
	}
}

// soundless ends a reply that the voice had no sound for.
func (m *Machine) soundless(r *reply) {
	m.emit(Cancel{G: r.g, Reason: "no_audio"})
	m.remove(r)
	m.emit(Note{What: "no_audio"})
	if r.kind == Filler {
		m.failedFillers++
	}
	closes := m.closing != nil && m.closing.g == r.g
	if closes { // there is a goodbye to be tried
		m.closing.spoken = false
	}
	m.told(r)
	if r.kind == Answer && !r.news && !closes && !m.chained() && m.listening() { // the apology's sound is kept for this
		m.fail()
		return
	}
	m.afterReply(r)
}

func (m *Machine) llmErr(e LLMErr) {
	r := m.find(e.G)
	if m.call == Draining { // what is there is said, then the goodbye
		r.done = true
		return
	}
	if e.Words {
		m.brokeOff(r)
		return
	}
	m.failReply(r)
}

// silent notes the end of a reply's sound.
func (m *Machine) silent(r *reply) {
	m.lastAudible = m.now + m.lag
	if r.kind == Answer {
		m.modelSaid = m.now
	}
}

// failReply ends a reply that came to nothing. What nobody waits for is not
// apologised for.
func (m *Machine) failReply(r *reply) {
	if r.news {
		m.told(r)
		m.emit(Note{What: "async_untold"})
	}
	m.cancel(r, "failed", "", false)
	switch {
	case r.prompt != "":
		m.say(Reprompt, r.prompt, "")
	case !r.news:
		m.fail()
	}
}

// brokeOff is an answer whose model ended in the middle: what the voice has is
// said, and then the model goes on from there, once a turn, or we apologise;
// nothing is begun anew (conv:L5).
func (m *Machine) brokeOff(r *reply) {
	r.done = true
	if m.continued || r.kind != Answer || r.turn != m.turn {
		m.fail()
		return
	}
	m.continued = true
	m.set(tApology, m.now+m.policy.ApologyAfter)
	n := m.newReply(Answer, r.step)
	m.ask(n, StartReply{G: n.g, Turn: m.turn, Step: r.step, NoTools: r.step >= m.policy.MaxToolSteps, Continue: true})
}

// dryDue gives a model up that has left an answer in the middle for too long.
func (m *Machine) dryDue() {
	r := m.front
	if r == nil || r.done || m.paused || m.call == Held {
		return
	}
	m.emit(StopModel{r.g})
	if m.call == Draining {
		r.done = true
		return
	}
	m.brokeOff(r)
}

// fail apologises, and gives up after three answers in a row.
func (m *Machine) fail() {
	m.failures++
	m.clear(tFiller, tApology)
	if m.failures >= 3 {
		m.drain(m.policy.ApologyPhrase, EndProviders)
		return
	}
	m.say(Apology, m.policy.ApologyPhrase, "")
}

// fillerDue breaks dead air after a commit (conv:L4).
func (m *Machine) fillerDue() {
	switch {
	case m.front != nil || m.call != Live || m.Agent() != Thinking:
		return
	case m.user != Quiet: // not over the caller, and not never either
		m.set(tFiller, m.now+m.policy.FillerAfter/4)
		return
	}
	for _, r := range m.line {
		if r.filling() || r.ready {
			return
		}
	}
	m.emit(Note{What: "dead_air", N: int((m.now - max(m.committedAt, m.lastAudible)).Milliseconds())})
	if m.fillers++; m.fillers > maxFillers+m.failedFillers || m.failedFillers > maxFillers {
		return
	}
	own, more := m.policy.FillerPhrase, m.policy.BridgePhrases
	if m.fillers > 1 {
		own, more = "", m.policy.WaitPhrases
	}
	text := m.fresh(own, more)
	if text == "" { // better the same words than dead air
		text = m.policy.FillerPhrase
	}
	m.say(Filler, text, "")
}

// lastFrame is how long what was handed to the wire last still sounds.
const lastFrame = 20 * time.Millisecond

// shortRest is what is left of a paused sentence that nobody hears as one.
const shortRest = 300 * time.Millisecond

// maxFillers bounds what is said while one answer is awaited, and how often the
// voice may fail at it.
const maxFillers = 4

func (m *Machine) apologyDue() {
	switch {
	case m.call != Live || m.chained() || !m.waits():
		return
	case m.Agent() != Thinking || m.acting(): // something else is being said, or tools with timeouts of their own run
		m.set(tApology, m.now+time.Second)
		return
	}
	m.emit(Note{What: "dead_air", N: int((m.now - m.committedAt).Milliseconds())})
	for _, r := range append([]*reply(nil), m.line...) {
		if r.kind != Said { // the API's words are not the answer
			m.cancel(r, "too_slow", "", false)
		}
	}
	m.unchain()
	m.clear(tFiller, tBridge, tGap, tHold)
	m.fail()
}

// cancel ends one reply.
func (m *Machine) cancel(r *reply, reason string, p Proof, interrupted bool) {
	if r.started {
		m.silent(r)
	}
	m.unsaid(r)
	if m.closing != nil && m.closing.g == r.g {
		defer m.void()
	}
	if m.waiting != nil && m.waiting.G == r.g { // it never began
		m.waiting = nil
		m.clear(tPreCall)
		m.remove(r)
		return
	}
	m.emit(Cancel{G: r.g, Reason: reason, Proof: p, Interrupted: interrupted && r.started})
	if m.front == r {
		m.dropListened()
	}
	m.remove(r)
}

// cancelAll ends all replies, and the work that only they wanted (1.7).
func (m *Machine) cancelAll(reason string, p Proof, interrupted bool) {
	for _, r := range append([]*reply(nil), m.line...) {
		m.cancel(r, reason, p, interrupted)
	}
	m.unchain()
	m.clear(tFiller, tApology, tBridge, tGap, tHold)
	m.holdUntil = 0
}

// dropOld ends what would still answer an earlier turn.
func (m *Machine) dropOld() {
	for _, r := range append([]*reply(nil), m.line...) {
		if r.kind != Said && !r.started {
			m.cancel(r, "superseded", "", false)
		}
	}
	m.unchain()
	m.clear(tBridge)
}

// floorTaken says whether a reply waits for the caller, who speaks or is about
// to be answered.
func (m *Machine) floorTaken(r *reply) bool {
	switch {
	case m.user == Quiet || m.call != Live || r.kind == Interjection:
		return false
	case m.collect != nil && m.collect.HoldSpeech && !m.voice: // the words wait for keys, which this may ask for
		return false
	}
	return r.kind != Reprompt || m.anything()
}
