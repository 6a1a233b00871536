package engine

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/llm"
	"github.com/patchcord/patchcord/tools"
)

// entry is one item of the conversation, in the order it came about.
type entry struct {
	role    llm.Role
	turn    int
	text    string // said; of a live reply: what it has so far
	g       turn.Gen
	kind    turn.Kind
	calls   []*toolCall
	owed    bool   // words of it are still to come
	outside bool   // context that nobody said
	news    string // … but a tool brought: the call's id
}

// transcript is what was said and heard. It belongs to the session.
type transcript struct {
	entries []*entry
}

// user adds the caller's words, or more of the last ones. Those stay where they
// are, unless the agent was heard since: what is answered comes last.
func (t *transcript) user(turnNo int, text string, amend bool) {
	for i := len(t.entries) - 1; amend && i >= 0; i-- {
		e := t.entries[i]
		if e.role != llm.User || e.turn != turnNo || e.outside {
			continue
		}
		e.text = text
		if slices.ContainsFunc(t.entries[i:], func(x *entry) bool { return x.text != "" && x.role == llm.Assistant }) {
			t.entries = append(slices.Delete(t.entries, i, i+1), e)
		}
		return
	}
	t.entries = append(t.entries, &entry{role: llm.User, turn: turnNo, text: text})
}

// heard puts the words of a turn in place, wherever it stands; more may come.
func (t *transcript) heard(turnNo int, text string, owed bool) {
	for _, e := range t.entries {
		if e.role == llm.User && e.turn == turnNo && !e.outside {
			e.text, e.owed = text, owed
		}
	}
}

// with is the conversation as it would be with these words of the caller's.
func (t *transcript) with(turnNo int, text string, amend bool) transcript {
	ahead := transcript{entries: make([]*entry, len(t.entries))}
	for i, e := range t.entries {
		copied := *e
		ahead.entries[i] = &copied
	}
	ahead.user(turnNo, text, amend)
	return ahead
}

// context adds something to know that nobody said.
func (t *transcript) context(text string) {
	t.entries = append(t.entries, &entry{role: llm.User, text: text, outside: true})
}

// news adds what a tool has brought in the meantime.
func (t *transcript) news(id, text string) {
	t.entries = append(t.entries, &entry{role: llm.User, text: text, outside: true, news: id})
}

// last puts news at the end, where it is what the model is asked about.
func (t *transcript) last(ids []string) {
	var news []*entry
	t.entries = slices.DeleteFunc(t.entries, func(e *entry) bool {
		if e.news == "" || !slices.Contains(ids, e.news) {
			return false
		}
		news = append(news, e)
		return true
	})
	t.entries = append(t.entries, news...)
}

// reply is the entry of a generation, made when it is missing.
func (t *transcript) reply(g turn.Gen, kind turn.Kind, turnNo int) *entry {
	for i := len(t.entries) - 1; i >= 0; i-- {
		if t.entries[i].g == g {
			return t.entries[i]
		}
	}
	e := &entry{role: llm.Assistant, turn: turnNo, g: g, kind: kind}
	t.entries = append(t.entries, e)
	return e
}

// cutMark is behind words that the caller cut short (conv:T6).
const cutMark = "…"

// close sets what of a reply was heard; nothing heard and no calls leave no
// entry (conv:T5).
func (t *transcript) close(g turn.Gen, heard string, cut bool) {
	for i := len(t.entries) - 1; i >= 0; i-- {
		e := t.entries[i]
		if e.g != g || e.role != llm.Assistant {
			continue
		}
		e.text = heard
		if cut && heard != "" {
			e.text += cutMark
		}
		if heard == "" && len(e.calls) == 0 {
			t.entries = slices.Delete(t.entries, i, i+1)
		}
		return
	}
}

// toolCall is a call that the model proposed.
type toolCall struct {
	call    llm.ToolCall
	tool    tools.Tool
	args    json.RawMessage // checked
	sent    json.RawMessage // … with what was confirmed in its place, once the gates are open
	gated   bool            // a gate was shut when it was to run
	taking  *tools.Transfer // where it takes the caller
	class   turn.Class
	started time.Time
	result  *tools.Result // as it answers the call: of an asynchronous one, that it has begun
	over    bool          // it has come to something and runs no more
	came    json.RawMessage
	next    string   // the node that it leads to
	action  bool     // it runs by itself, for a node of the flow
	left    bool     // … that was left
	wants   []string // … of what functions were called with
	cancel  func()
	ack     json.RawMessage // what the model is told at once, the outcome is nobody's; nil: none of those
	turn    int
	g       turn.Gen // who proposed it
}

// shown is the result as the model sees it; a call that has none yet is
// running (conv:W10).
func (c *toolCall) shown() json.RawMessage {
	if c.result == nil {
		return json.RawMessage(`{"status":"running"}`)
	}
	return c.result.JSON
}
