package tools

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Limits bound what a model may call (conv:W5). A zero field means the default
// beside it.
type Limits struct {
	Same   int           // 2 calls of one tool with the same arguments in a turn
	Burst  int           // 5 calls of one tool within Window
	Window time.Duration // 10s, sliding
}

// Guard says which calls of tools are refused: those in a loop, an effect that
// was had already (Dedupe), those beyond a tool's max_calls, and those of a
// tool that has failed max_failures times in a row (C-13). It belongs to one
// phone call and one goroutine; it is pure, time is handed in.
type Guard struct {
	Limits Limits

	tools map[string]*counts
	turn  int
}

type counts struct {
	calls    int
	failures int             // in a row
	recent   []time.Duration // when the latest calls were
	same     map[string]int  // arguments to calls in this turn
	had      map[string]had  // effects by their key
	wrong    bool            // its arguments did not hold in this turn
}

// had is an effect that was had, or is on its way.
type had struct {
	turn  int
	asked int // the turn in which the caller was to be asked about having it again, 0: none
}

// Turn begins a new turn of the caller's.
func (g *Guard) Turn() {
	g.turn++
	for _, c := range g.tools {
		c.same, c.wrong = nil, false
	}
}

// Allow asks for one call at a time of the call. When it is refused, ok is
// false and the result is what the model is told; when it is allowed, it
// counts.
func (g *Guard) Allow(d *Definition, c Call, now time.Duration) (refused Result, ok bool) {
	n, l := g.of(d.Name), g.Limits
	for len(n.recent) > 0 && now-n.recent[0] >= cmp.Or(l.Window, 10*time.Second) {
		n.recent = n.recent[1:]
	}
	args := canonical(c.Args, nil)
	switch {
	case d.MaxCalls > 0 && n.calls >= d.MaxCalls:
		return refuse("call_limit", fmt.Sprintf("this tool may be called %d times in a call", d.MaxCalls)), false
	case d.FailuresInARow() > 0 && n.failures >= d.FailuresInARow():
		return refuse("tool_disabled", "this tool has failed: go on without it, and offer to come back to it later"), false
	case n.same[args] >= cmp.Or(l.Same, 2):
		return refuse("repeated_call", alreadyHad), false
	case len(n.recent) >= cmp.Or(l.Burst, 5):
		return refuse("too_many_calls", "too many calls of this tool: go on without it"), false
	}
	if refused, ok := g.once(d, n, c); !ok {
		return refused, false
	}
	n.calls++
	n.recent = append(n.recent, now)
	n.same[args]++
	return Result{}, true
}

const alreadyHad = "this was called already with the same arguments: use the earlier result"

// once keeps an effect from being had twice (conv:W6).
func (g *Guard) once(d *Definition, n *counts, c Call) (refused Result, ok bool) {
	mode := d.dedupe()
	if mode == DedupeAllow {
		return Result{}, true
	}
	key := canonical(c.Args, d.Dedupe.Key)
	h, again := n.had[key]
	if again = again && (h.turn == g.turn || d.Dedupe.Scope == "call"); again && mode == DedupeReject {
		return refuse("repeated_call", alreadyHad), false
	}
	if again && (h.asked == 0 || h.asked == g.turn) {
		h.asked = g.turn
		n.had[key] = h
		return refuse("confirm_repeat", "this was done already: ask the caller whether to do it again, and call this "+
			"again only after a yes"), false
	}
	n.had[key] = had{turn: g.turn}
	return Result{}, true
}

// canonical is what two calls have to agree in to be the same: the arguments,
// or those of a key, in one order.
func canonical(args json.RawMessage, key []string) string {
	dec := json.NewDecoder(bytes.NewReader(args))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return string(args)
	}
	if all, ok := v.(map[string]any); ok && len(key) > 0 {
		maps.DeleteFunc(all, func(k string, _ any) bool { return !slices.Contains(key, k) })
	}
	b, err := json.Marshal(v) // keys are sorted
	if err != nil {
		return string(args)
	}
	return string(b)
}

// Wrong counts arguments that did not hold. The first time in a turn the model
// is told every fault, as refused has it; after that it is told to go on
// without the tool.
func (g *Guard) Wrong(name string, refused Result) Result {
	n := g.of(name)
	if n.wrong {
		return refuse("invalid_arguments", "the arguments were wrong again: ask the caller, or go on without this tool")
	}
	n.wrong = true
	return refused
}

func (g *Guard) of(name string) *counts {
	if g.tools == nil {
		g.tools = map[string]*counts{}
	}
	n := g.tools[name]
	if n == nil {
		n = &counts{}
		g.tools[name] = n
	}
	if n.same == nil {
		n.same = map[string]int{}
	}
	if n.had == nil {
		n.had = map[string]had{}
	}
	return n
}

// Done tells how a call that was allowed ended. What an endpoint refused was
// not had and may be tried again; of a timeout nobody knows.
func (g *Guard) Done(d *Definition, c Call, s Status) {
	n := g.of(d.Name)
	switch s {
	case OK:
		n.failures = 0
	case Failed:
		n.failures++
		delete(n.had, canonical(c.Args, d.Dedupe.Key))
	case TimedOut:
		n.failures++
	case Refused: // a gate was shut: it was never begun
		n.calls = max(0, n.calls-1)
		delete(n.had, canonical(c.Args, d.Dedupe.Key))
	case Cancelled:
	}
}

func refuse(code, message string) Result { return ErrorResult(Refused, code, message) }
