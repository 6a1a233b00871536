package engine

import (
	"cmp"
	"encoding/json"
	"maps"
	"strings"

	"github.com/nyaruka/phonenumbers"
	"golang.org/x/text/language"

	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/tools"
	"github.com/patchcord/patchcord/tools/written"
)

// consent is what the caller heard, said and confirmed: what the gates of tools
// ask for.
type consent struct {
	told   tools.ReadBacks
	known  tools.Known
	ending ending
}

// regionOf is the country of numbers that a caller gives without a code: of the
// language's tag where it names one, else of the number of ours that is called,
// else where the language is spoken most.
func regionOf(tag, ours string) string {
	t, err := language.Parse(cmp.Or(tag, "en"))
	if err != nil {
		t = language.English
	}
	r, sure := t.Region()
	if sure == language.Exact {
		return r.String()
	}
	if n, err := phonenumbers.Parse(ours, ""); err == nil {
		if of := phonenumbers.GetRegionCodeForNumber(n); of != "" {
			return of
		}
	}
	return r.String()
}

// spokenBy is what spoken values are read by now.
func (s *session) spokenBy() written.Options { return s.env().Written(s.clock()) }

// callerSaid lets the gates know of the caller's words, "" for unknown ones.
func (s *session) callerSaid(text string) {
	s.consent.told.Said(text, s.language())
	s.consent.ending.said(text, s.language())
}

// gates is what decides whether a tool may run now.
func (s *session) gates() *tools.Gates {
	here := s.tools.here
	return &tools.Gates{
		Env: s.env(), Results: s.flow.results, Known: s.consent.known, Told: &s.consent.told, Now: s.clock(),
		Closing: s.consent.ending.on || here != nil && here.node.EndsHere(),
		Notes: func(variable string) string {
			if x := s.tools.set.Notes(variable); x != nil {
				return x.Definition().Name
			}
			return ""
		},
	}
}

// shut is why a call may not run now, if it may not. What it runs with is its
// arguments in their confirmed form.
func (s *session) shut(c *toolCall) (refused tools.Result, is bool) {
	d := c.tool.Definition()
	g := s.gates()
	sent, refused, ok := g.Open(d, c.args)
	c.sent = sent
	if !ok && d.Phase == "closing" && !g.Closing {
		s.consent.ending.asked = true
	}
	return refused, !ok
}

// shutNow is shut for a call that is only proposed: one whose variables may be
// noted by a call before it is judged when it runs. One that ends the call is
// not run by us: it is judged now.
func (s *session) shutNow(c *toolCall, before []*toolCall) (refused tools.Result, is bool) {
	if c.class == turn.ClassTerminal && c.tool.Definition().Type == tools.EndCall {
		before = nil
	}
	for _, b := range before {
		if _, notes := b.tool.(*tools.Extraction); notes && b != c && !b.over {
			return refused, false
		}
	}
	return s.shut(c)
}

// atOnce is the result of a call that is decided here and now: a gate is shut,
// or it notes what the caller said.
func (s *session) atOnce(c *toolCall) (r tools.Result, is bool) {
	if r, is = s.shut(c); is {
		c.gated = true
		return r, true
	}
	s.gates().Begun(c.tool.Definition())
	if x, is := c.tool.(*tools.TransferTool); is {
		return s.take(c, x)
	}
	x, notes := c.tool.(*tools.Extraction)
	if !notes {
		return r, false
	}
	r, noted := x.Take(c.args, &s.consent.told, s.consent.known, s.env(), s.clock())
	c.gated = r.Status == tools.Refused
	if noted != nil {
		s.noted(*noted)
	}
	return r, true
}

// noted sets a variable that the caller gave.
func (s *session) noted(n tools.Noted) {
	before, again := s.consent.known[n.Name]
	s.consent.known = maps.Clone(s.consent.known)
	if s.consent.known == nil {
		s.consent.known = tools.Known{}
	}
	s.consent.known[n.Name] = n
	s.setVar(n.Name, n.Value)
	if !again || before.Text != n.Text || before.Confirmed != n.Confirmed || before.GivenUp != n.GivenUp {
		s.event(EventVariableSet, F("name", n.Name), F("confirmed", n.Confirmed), F("given_up", n.GivenUp))
	}
}

// answerAtOnce sends a result that needs no waiting the way of all others.
func (s *session) answerAtOnce(c *toolCall, r tools.Result) {
	c.started = s.clock()
	if !c.gated {
		s.event(EventToolStarted, F("tool", c.call.Name), F("tool_call_id", c.call.ID), F("args", c.args))
	}
	if c.taking == nil {
		s.work.put(toolResult{id: c.call.ID, r: r})
		return
	}
	s.work.put(takeOver{c.call.ID, *c.taking})
}

// kept are the variables of the call's record.
func (s *session) kept() map[string]any {
	if len(s.consent.known) == 0 {
		return s.given
	}
	all := maps.Clone(s.given)
	if all == nil {
		all = map[string]any{}
	}
	for name, n := range s.consent.known {
		all[name] = s.scrub(n.Value)
	}
	return all
}

// toSend are the arguments that a call runs with.
func (c *toolCall) toSend() json.RawMessage {
	if c.sent != nil {
		return c.sent
	}
	return c.args
}

// ending tells whether the conversation is in its end, by what the caller says.
type ending struct {
	on    bool
	asked bool // the model was told to ask whether there is anything else
}

// resumes is how many words of a caller open a conversation again.
const resumes = 5

func (e *ending) said(text, tag string) {
	if text == "" {
		return
	}
	words := len(strings.Fields(text))
	leaves := written.Leaves(text, tag)
	_, no := written.Answer(text, tag)
	switch {
	case leaves, e.asked && no && words < resumes:
		e.on = true
	case words >= resumes:
		e.on = false
	}
	e.asked = false
}
