package turn

import (
	"slices"
	"time"
)

// news is a result that nobody waits for: of an asynchronous tool, or of an
// effect that the caller has spoken over. It is told at a quiet moment, or with
// the next reply, several at once (conv:W15). What could not be told for too
// long is left to the context.
type news struct {
	id  string
	say string // an exact sentence, "" to ask the model
	at  time.Duration
	g   Gen // the reply that tells it, 0: none so far
}

// asyncDone has the result of a tool that was not waited for.
func (m *Machine) asyncDone(e AsyncDone) {
	i := slices.IndexFunc(m.away, e.of)
	c := m.away[i]
	m.away = slices.Delete(m.away, i, i+1)
	if !e.Untold {
		m.bring(c, e.Say)
	}
}

// of says whether it is the call's result.
func (e AsyncDone) of(c Call) bool { return c.ID == e.ID }

// bring takes a result in: it is context at once, and news unless the tool
// leaves the floor alone.
func (m *Machine) bring(c Call, say string) {
	if !m.listening() {
		return
	}
	m.discard("tool_settled") // it knows nothing of it
	m.emit(News{c.ID})
	if !c.Silently {
		m.news = append(m.news, &news{id: c.ID, say: say, at: m.now})
	}
}

// inject takes a note in: it is context at once, and news where it asks for
// words of ours.
func (m *Machine) inject(e Inject) {
	m.discard("injected") // it knows nothing of it
	if e.Respond {
		m.news = append(m.news, &news{id: e.ID, at: m.now})
	}
}

// untold says whether there is news that no reply tells.
func (m *Machine) untold() bool {
	return slices.ContainsFunc(m.news, func(n *news) bool { return n.g == 0 })
}

// carry lets a reply of the model tell all news: they are in its context. A
// sentence that is to be said word for word is no concern of it.
func (m *Machine) carry(r *reply) (ids []string) {
	m.forgetOld()
	for _, n := range m.news {
		if n.g == 0 && n.say == "" {
			n.g, ids = r.g, append(ids, n.id)
		}
	}
	return ids
}

// told drops the news of a reply that is heard.
func (m *Machine) told(r *reply) {
	m.news = slices.DeleteFunc(m.news, func(n *news) bool { return n.g == r.g })
}

// unsaid takes back the news of a reply that nobody heard.
func (m *Machine) unsaid(r *reply) {
	for _, n := range m.news {
		if n.g == r.g {
			n.g = 0
		}
	}
}

// forgetOld leaves to the context what could not be told in time.
func (m *Machine) forgetOld() {
	m.news = slices.DeleteFunc(m.news, func(n *news) bool {
		old := n.g == 0 && m.now-n.at > m.policy.AsyncTTL
		if old {
			m.emit(Note{What: "async_expired"})
		}
		return old
	})
}

// watchNews sets when the news can be told: the caller is quiet and so are we.
func (m *Machine) watchNews() {
	m.clear(tNews)
	if m.call != Live || !m.untold() || m.Agent() != Idle || m.closing != nil || !m.quiet() {
		return
	}
	m.set(tNews, max(m.now, max(m.end, m.lastWords, m.lastAudible)+m.policy.AsyncQuiet))
}

// quiet says whether the caller neither speaks nor keys, nor may have spoken.
func (m *Machine) quiet() bool {
	return m.user == Quiet && !m.voice && !m.owed && len(m.digits) == 0
}

// newsDue tells what there is.
func (m *Machine) newsDue() {
	m.forgetOld()
	ask := false
	for _, n := range m.news {
		switch {
		case n.g != 0:
		case n.say != "":
			n.g = m.say(Said, n.say, "").g
		default:
			ask = true
		}
	}
	if ask {
		m.tellNews()
	}
}
