package tools

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/patchcord/patchcord/tools/written"
)

// Gates is what decides, beside the guard, whether a tool may run now.
type Gates struct {
	Env     Env
	Results map[string]any // of tools, by their names: the latest
	Known   Known
	Closing bool // the conversation is in its end
	Told    *ReadBacks
	Now     time.Time
	// Notes is the name of the tool that notes a variable, "" for none.
	Notes func(variable string) string
}

// Open says whether a tool may run with these arguments: in its phase, under
// its condition, with the variables it requires, confirmed where it wants that,
// and with the caller's yes where it needs one. When it is refused, ok is false
// and the result tells the model what to ask for. clean are the arguments with
// the confirmed form of each required value. A yes holds until Begun.
func (g *Gates) Open(d *Definition, args json.RawMessage) (clean json.RawMessage, refused Result, ok bool) {
	switch {
	case d.Phase == "closing" && !g.Closing:
		return args, refuse("not_in_phase", "this is for the end of the call: ask the caller whether there is anything "+
			"else, and call it when they have nothing more"), false
	case d.Phase == "during" && g.Closing:
		return args, refuse("not_in_phase", "this is not for the end of the call: go on without it"), false
	case d.When != "" && !Holds(d.When, g.Results, g.Env):
		return args, g.unmet(d), false
	}
	if refused, ok = g.required(d); !ok {
		return args, refused, false
	}
	if clean, refused, ok = g.settled(d, args); !ok {
		return args, refused, false
	}
	if d.Confirm {
		if refused, ok = g.agreed(d, clean); !ok {
			return args, refused, false
		}
	}
	return clean, Result{}, true
}

// resultOf finds the tools that a condition asks the results of.
var resultOf = regexp.MustCompile(`results(?:\.(\w+)|\[\s*['"]([^'"]+)['"]\s*\])`)

// Begun uses the caller's yes up: a call of the tool begins. A call may be judged
// by Open more often than that.
func (g *Gates) Begun(d *Definition) { g.Told.done("tool " + d.Name) }

// unmet is a condition that does not hold (C-18).
func (g *Gates) unmet(d *Definition) Result {
	for _, m := range resultOf.FindAllStringSubmatch(d.When, -1) {
		name := m[1] + m[2]
		if _, has := g.Results[name]; !has {
			return refuse("condition_not_met", fmt.Sprintf("call %s first: this depends on its result", name))
		}
	}
	return refuse("condition_not_met", "this is only for when "+d.When)
}

// required are the variables that must be set, or confirmed (C-12).
func (g *Gates) required(d *Definition) (refused Result, ok bool) {
	var missing, unconfirmed, lost, todo []string
	for _, r := range d.Requires {
		name, confirmed := strings.CutSuffix(r, "!")
		v, set := g.Env.lookup(name)
		by := ""
		if g.Notes != nil {
			if n := g.Notes(name); n != "" {
				by = " and note it with " + n
			}
		}
		switch {
		case !set || v == nil || v == "":
			missing = append(missing, name)
			todo = append(todo, "ask the caller for "+name+by)
		case confirmed && g.Known[name].GivenUp:
			unconfirmed = append(unconfirmed, name)
			lost = append(lost, name)
		case confirmed && !g.Known[name].Confirmed:
			unconfirmed = append(unconfirmed, name)
			todo = append(todo, fmt.Sprintf("read %s back to the caller and ask whether it is right", name)+by+
				", confirmed true, after their yes")
		}
	}
	message := strings.Join(todo, "; ") + "; then call this again"
	switch {
	case lost != nil:
		message = strings.Join(lost, " and ") + " was not confirmed: " + askNoMore
	case todo == nil:
		return Result{}, true
	}
	b, err := marshal(struct {
		Error       string   `json:"error"`
		Missing     []string `json:"missing,omitempty"`
		Unconfirmed []string `json:"unconfirmed,omitempty"`
		Message     string   `json:"message"`
	}{"variables_required", missing, unconfirmed, message})
	if err != nil {
		return refuse("variables_required", ""), false
	}
	text := "variables_required: " + strings.Join(append(missing, unconfirmed...), ", ")
	return Result{JSON: b, Status: Refused, Err: text}, false
}

// settled puts the noted form of a required value in place of what the model
// wrote for it, and refuses another than was confirmed (C-12): what was
// confirmed is what is sent.
func (g *Gates) settled(d *Definition, args json.RawMessage) (clean json.RawMessage, refused Result, ok bool) {
	ms, err := members(args)
	if err != nil {
		return args, Result{}, true // the schema has judged it
	}
	changed := false
	for i, m := range ms {
		n, known := g.Known[m.Key]
		must := slices.Contains(d.Requires, m.Key+"!")
		if !known || !must && !slices.Contains(d.Requires, m.Key) {
			continue
		}
		var given any
		if json.Unmarshal(m.Value, &given) != nil {
			continue
		}
		v, err := written.Parse(n.Kind, textOf(given), g.Env.Written(g.Now))
		if differs := err != nil || v.Text != n.Text; differs && !must {
			continue
		} else if differs {
			return args, refuse("not_the_confirmed_value", fmt.Sprintf("the caller confirmed %s as %q: use that, or ask "+
				"again and confirm the new one", m.Key, n.Text)), false
		}
		b, err := marshal(n.Value)
		if err == nil && !bytes.Equal(b, m.Value) && (given == nil || isText(given) == isText(n.Value)) {
			ms[i].Value, changed = b, true
		}
	}
	if !changed {
		return args, Result{}, true
	}
	return objectOf(ms), Result{}, true
}

func isText(v any) bool { _, is := v.(string); return is }

// agreed wants the caller's yes to the arguments (SEC-9).
func (g *Gates) agreed(d *Definition, args json.RawMessage) (refused Result, ok bool) {
	key := "tool " + d.Name
	vs := readable(args)
	if g.Told.saidYes(key, vs) {
		return Result{}, true
	}
	if !g.Told.begin(key, vs, d.ReadBacks()) {
		return refuse("not_agreed", "the caller was asked and did not agree: "+askNoMore), false
	}
	read := make([]string, len(vs))
	for i, v := range vs {
		read[i] = v.Text
	}
	b, err := marshal(struct {
		Error    string   `json:"error"`
		ReadBack []string `json:"read_back"`
		Message  string   `json:"message"`
	}{"confirm_first", read, "tell the caller what will be done, with these values, and ask whether to do it; call " +
		"this again with the same arguments only after their yes"})
	if err != nil {
		return refuse("confirm_first", ""), false
	}
	return Result{JSON: b, Status: Refused, Err: "confirm_first"}, false
}

// readable are the values of arguments that a caller can be told.
func readable(args json.RawMessage) []written.Value {
	var in any
	d := json.NewDecoder(bytes.NewReader(args))
	d.UseNumber()
	if d.Decode(&in) != nil {
		return nil
	}
	vs := []written.Value{}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, k := range names(v) {
				walk(v[k])
			}
		case []any:
			for _, x := range v {
				walk(x)
			}
		case string:
			if strings.TrimSpace(v) != "" {
				vs = append(vs, written.Of(v))
			}
		case json.Number:
			vs = append(vs, written.Value{Kind: written.Number, Text: v.String()})
		}
	}
	walk(in)
	return vs
}
