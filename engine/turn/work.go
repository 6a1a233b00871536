package turn

import "slices"

// llmDone has the model's part of a reply: words, calls, both or nothing.
func (m *Machine) llmDone(e LLMDone) {
	r := m.find(e.G)
	e.Calls = m.unseen(e.Calls)
	if r == nil || r.done || m.call == Draining {
		m.refuse(e.Calls, "cancelled") // proposed by a reply that is gone: never run (INV25)
		if r != nil {
			r.done = true
		}
		return
	}
	r.done, r.words, r.asks = true, e.Words, e.Asks
	if r.step >= m.policy.MaxToolSteps { // it was told not to (conv:W5)
		m.refuse(e.Calls, "too_many_steps")
		e.Calls = nil
	}
	if len(e.Calls) == 0 {
		if !e.Words {
			m.failReply(r)
		}
		return
	}
	if !e.Words {
		m.emit(Finish{r.g})
		m.told(r)
		m.remove(r)
	}
	m.propose(r, e.Calls)
}

// unseen are the calls that were not proposed before: what is told twice is
// done once.
func (m *Machine) unseen(calls []Call) (out []Call) {
	for _, c := range calls {
		if m.proposed[c.ID] {
			continue
		}
		if m.proposed == nil {
			m.proposed = map[string]bool{}
		}
		m.proposed[c.ID] = true
		out = append(out, c)
	}
	return out
}

// refuse gives calls that do not run their result.
func (m *Machine) refuse(calls []Call, code string) {
	for _, c := range calls {
		if !c.Refused {
			m.emit(SettleTool{ID: c.ID, Code: code})
		}
	}
}

// propose starts the calls of a completion, in their order. An asynchronous one
// has its result at once: that it has begun. What an answer calls that goes on
// into the caller's next turn, one that keys came into or that sounds again after
// a hold, is news when it is done: the next turn has an answer of its own
// (INV10). It ends nothing and leads nowhere: the caller has gone on (1.9).
func (m *Machine) propose(r *reply, calls []Call) {
	var last *work
	moved, late := false, r.turn != m.turn
	if m.running() == nil {
		m.rung = 0
	}
	for _, c := range calls {
		w := &work{Call: c, g: r.g, turn: m.turn, step: r.step, chained: !late, settled: c.Refused}
		switch {
		case c.Refused:
		case late && (c.Next != nil || c.Class == ClassTerminal):
			w.settled = true
			m.emit(SettleTool{ID: c.ID, Code: "caller_resumed"})
		case c.Next != nil:
			moved = m.transit(w, moved) || moved
		case c.Class == ClassTerminal && last != nil: // the call ends once (INV29)
			w.settled = true
			m.emit(SettleTool{ID: c.ID, Code: "cancelled"})
		case c.Class == ClassTerminal:
			w.chained, w.spoken = false, r.words
			last = w
			continue
		case c.Class == ClassAsync:
			w.settled = true
			m.away = append(m.away, c)
			m.emit(RunTool{ID: c.ID})
			m.emit(SettleTool{ID: c.ID, OK: true, Code: "started"})
		default:
			w.started = m.now
			m.emit(RunTool{ID: c.ID})
		}
		if w.chained || !w.settled {
			m.works = append(m.works, w)
		}
	}
	if last != nil {
		m.arm(last, r)
		if last.settled { // voided: what came with it goes on
			m.works = append(m.works, last)
			last.chained = true
		}
	}
	m.scheduleBridge()
	m.settleWorks()
}

func (m *Machine) toolDone(e ToolDone) {
	i := m.work(e.ID)
	w := m.works[i]
	w.settled, w.say, w.failed = true, e.Say, e.Failed
	if e.Deferred {
		m.away = append(m.away, w.Call)
	}
	if w.action != 0 {
		m.works = slices.Delete(m.works, i, i+1)
		if e.Next != nil && w.action == m.entries {
			m.enter(e.Next, w.ID)
		}
		m.startWaiting()
		return
	}
	if !w.chained {
		m.works = slices.Delete(m.works, i, i+1)
	}
	if e.Next != nil {
		m.enter(e.Next, w.ID)
	}
	switch {
	case w.chained:
		m.settleWorks()
	case !e.Deferred:
		m.bring(w.Call, "") // spoken over: it is still to be told
	}
}

// work is the place of a call that has no result yet, -1 when there is none.
func (m *Machine) work(id string) int {
	return slices.IndexFunc(m.works, func(w *work) bool { return w.ID == id && !w.settled })
}

// chained says whether the model will be asked again when work is done.
func (m *Machine) chained() bool {
	return slices.ContainsFunc(m.works, func(w *work) bool { return w.chained })
}

// settleWorks asks the model once when all calls of a completion have their
// results (conv:W2), speaks exact sentences, or leaves the floor (conv:W8). A
// failure sentence is the ladder's last rung: the model goes on after it, and
// alone where it was heard before.
func (m *Machine) settleWorks() {
	var says []string
	ask, step := false, 0
	for _, w := range m.works {
		if !w.chained {
			continue
		}
		if !w.settled {
			return
		}
		step = max(step, w.step)
		if w.failed && m.heard[w.say] {
			w.say = ""
		}
		if w.say != "" && !slices.Contains(says, w.say) {
			says = append(says, w.say)
		}
		ask = ask || !w.Silently && (w.say == "" || w.failed)
	}
	if !m.chained() {
		return
	}
	m.works = slices.DeleteFunc(m.works, func(w *work) bool { return w.chained })
	m.clear(tBridge)
	m.waitingSound(false)
	for _, r := range append([]*reply(nil), m.line...) {
		if r.kind == Bridge && !r.started {
			m.cancel(r, "overtaken", "", false)
		}
	}
	if m.call != Live && m.call != Held || !ask && len(says) == 0 {
		m.clear(tFiller, tApology)
		return
	}
	for _, text := range says {
		r := m.say(Said, text, "")
		r.answers, r.text = true, text
	}
	if ask {
		m.set(tFiller, max(m.now, m.lastAudible)+m.policy.FillerAfter)
		m.set(tApology, m.now+m.policy.ApologyAfter)
		m.fillers, m.failedFillers = 0, 0
		m.startReply(step + 1)
	}
}

// unchain lets the model not be asked about what runs: reads are cancelled,
// effects go on and their results are kept (conv:W13).
func (m *Machine) unchain() {
	m.waitingSound(false)
	m.works = slices.DeleteFunc(m.works, func(w *work) bool {
		if w.action != 0 { // nobody's interest but the node's
			return false
		}
		w.chained = false
		if w.settled {
			return true
		}
		if w.Class == ClassRead {
			m.emit(SettleTool{ID: w.ID, Code: "cancelled"})
			return true
		}
		return false
	})
}
