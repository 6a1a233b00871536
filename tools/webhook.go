package tools

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/patchcord/patchcord/internal/yamlfault"
)

// webhook asks an endpoint in the form of one platform.
type webhook struct {
	base
	deps Deps
	wire Wire
}

func newWebhook(d *Definition, deps Deps) (Tool, Faults) {
	var fs Faults
	dialect, ok := deps.Dialects[d.Dialect]
	if !ok {
		known := names(deps.Dialects)
		what, do := fmt.Sprintf("unknown dialect %q", d.Dialect), yamlfault.Suggest(d.Dialect, known)
		if d.Dialect == "" {
			what, do = "missing", "a webhook says whose form it has: "+fmt.Sprint(known)
		}
		fs.add(nil, "dialect", what, do)
		return nil, fs
	}
	w, fs := dialect.Open(d, deps)
	return &webhook{base: base{def: d}, deps: deps, wire: w}, fs
}

// Run makes the request.
func (t *webhook) Run(ctx context.Context, c Call) (r Result) {
	c = byItself(c)
	s := newScope(t.deps, c)
	req, err := t.wire.Request(c, &Expander{s})
	if e, ok := t.wire.(Ender); ok {
		defer func() { e.End(c, r) }()
	}
	if err != nil {
		return refusal(err)
	}
	return exchange(ctx, t.def, t.deps, c, req, s, func(r Reply) Result { return t.wire.Reply(c, r) })
}

// byItself gives a tool that runs by itself the call's metadata as arguments; a
// call of the model's gets no merge (D-09).
func byItself(c Call) Call {
	if c.Env.PreCall || c.Env.PreAction {
		c.Args = Metadata(c.Env)
	}
	if len(c.Args) == 0 {
		c.Args = []byte("{}")
	}
	return c
}

// Acknowledged is what the model is told at once of a tool whose outcome is
// nobody's (F-08), nil for any other.
func Acknowledged(t Tool) json.RawMessage {
	if a, ok := t.(Acknowledger); ok {
		return a.Acknowledge()
	}
	return nil
}

func (t *webhook) Acknowledge() json.RawMessage {
	if a, ok := t.wire.(Acknowledger); ok {
		return a.Acknowledge()
	}
	return nil
}

// Sharer is a Tool whose calls may go together with those of others.
type Sharer interface {
	Tool
	// Endpoint is what tools have in common whose calls go together, "" for one
	// whose calls go alone.
	Endpoint() string
	// RunTogether runs calls, that at i of the tool at i: the receiver is one of
	// the tools, all have the same Endpoint.
	RunTogether(ctx context.Context, ts []Tool, cs []Call) []Result
}

var (
	_ Acknowledger = (*webhook)(nil)
	_ Sharer       = (*webhook)(nil)
)

// Endpoint is by what calls of one reply are put together: those of tools with
// the same one go in one request; "" for a tool whose calls go alone.
func Endpoint(t Tool) string {
	if s, ok := t.(Sharer); ok {
		return s.Endpoint()
	}
	return ""
}

func (t *webhook) Endpoint() string {
	if b, ok := t.wire.(Batcher); ok {
		return b.Endpoint()
	}
	return ""
}

// RunTogether runs calls of tools with one Endpoint, that at i of the tool at i.
func RunTogether(ctx context.Context, ts []Tool, cs []Call) []Result {
	if s, ok := ts[0].(Sharer); ok && len(ts) > 1 {
		return s.RunTogether(ctx, ts, cs)
	}
	out := make([]Result, len(cs))
	for i := range cs {
		out[i] = ts[i].Run(ctx, cs[i])
	}
	return out
}

// RunTogether makes one request, as long as the longest of the timeouts.
func (t *webhook) RunTogether(ctx context.Context, ts []Tool, cs []Call) []Result {
	out := make([]Result, len(cs))
	first := t
	for i, o := range ts {
		w, ok := o.(*webhook)
		if !ok || w.Endpoint() != t.Endpoint() {
			for i := range out {
				out[i] = ErrorResult(Failed, "internal", "")
			}
			return out
		}
		if w.def.Timeout() > first.def.Timeout() {
			first = w
		}
		cs[i] = byItself(cs[i])
	}
	b := first.wire.(Batcher) //nolint:errcheck // it has an Endpoint
	s := newScope(first.deps, cs[0])
	req, err := b.RequestAll(cs, &Expander{s})
	if err != nil {
		for i := range out {
			out[i] = refusal(err)
		}
		return out
	}
	var all []Result
	r := exchange(ctx, first.def, first.deps, cs[0], req, s, func(reply Reply) Result {
		all = b.ReplyAll(cs, reply)
		return all[0]
	})
	for i := range out {
		out[i] = r
		if len(all) == len(out) {
			out[i] = all[i]
		}
		out[i].Took = r.Took
	}
	return out
}
