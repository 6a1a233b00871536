package tools

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/patchcord/patchcord/internal/yamlfault"
)

// Validate says everything that is wrong with a definition, warns of parts that
// are not built yet and gives advice. d is not changed.
func (d *Definition) Validate(deps Deps) Faults {
	t, fs := build(*d, deps)
	if t == nil {
		return fs
	}
	return append(fs, named(t.Definition().Advice(), t.Definition().Name)...)
}

// build makes one tool of a definition: the tool is nil when a fault is more
// than a warning, or when its type is not built yet.
func build(d Definition, deps Deps) (Tool, Faults) {
	var fs Faults
	k, known := kinds()[d.Type]
	if !known {
		what, do := fmt.Sprintf("unknown tool type %q", d.Type), yamlfault.Suggest(string(d.Type), Types())
		if d.Type == "" {
			what, do = "missing", "known: "+strings.Join(Types(), ", ")
		}
		fs.add(nil, "tool_type", what, do)
		return nil, named(fs, d.Name)
	}
	return assemble(d, k, deps)
}

// assemble makes a tool of a known kind. The kind reads its configuration first:
// of some forms that is where name, description and parameters stand.
func assemble(d Definition, k kind, deps Deps) (Tool, Faults) {
	var t Tool
	var more, fs Faults
	d.fill(k)
	if k.build != nil {
		t, more = k.build(&d, deps)
	}
	if d.Class == "" {
		d.Class = k.class(&d)
	}
	d.checkFields(&fs)
	args, err := compileSchema(d.Parameters)
	if err != nil {
		fs.add(nil, "parameters", err.Error(), "write a JSON Schema with properties and required")
	}
	for i, s := range d.Speech.Success {
		if s.When == "" {
			continue
		}
		if err := checkCondition(s.When, "result", "vars"); err != nil {
			path := fmt.Sprintf("speech.success[%d].when", i)
			fs.add(nil, path, err.Error(), "write an expression such as result.found == true")
		}
	}
	if k.build == nil {
		fs = append(fs, notYet("tool_type", "the tool type "+string(d.Type)))
		return nil, named(fs, d.Name)
	}
	if !(d.TimeoutSecs >= 0 && d.TimeoutSecs <= 60) { // nor .nan
		more.add(nil, "timeout", fmt.Sprintf("%g s", d.TimeoutSecs), "a tool may take 60 s at most")
	}
	fs = append(fs, more...)
	if fs.Err() != nil || t == nil {
		return nil, named(fs, d.Name)
	}
	if b, ok := t.(interface{ take(*schema) }); ok {
		b.take(args)
	}
	return t, named(fs, d.Name)
}

func (b *base) take(s *schema) { b.args = s }

func named(fs Faults, name string) Faults {
	for _, f := range fs {
		f.Tool = name
	}
	return fs
}

// checkFields holds the limits of seed 002's data model (T-02, T-03).
func (d *Definition) checkFields(fs *Faults) {
	switch {
	case d.Name == "":
		fs.add(nil, "name", "missing", "the model calls the tool by it: letters, digits, _ and -")
	case len(d.Name) > 100:
		fs.add(nil, "name", fmt.Sprintf("%d characters", len(d.Name)), "100 at most")
	}
	if i := strings.IndexFunc(d.Name, notInName); i >= 0 {
		fs.add(nil, "name", fmt.Sprintf("%q in a name", []rune(d.Name[i:])[0]), "letters, digits, _ and - only")
	}
	if n := utf8.RuneCountInString(d.DisplayName); n > 255 {
		fs.add(nil, "display_name", fmt.Sprintf("%d characters", n), "255 at most")
	}
	if n := utf8.RuneCountInString(d.Description); n > 2000 {
		fs.add(nil, "description", fmt.Sprintf("%d characters", n), "2000 at most")
	} else if strings.TrimSpace(d.Description) == "" {
		fs.add(nil, "description", "missing", "say what the tool does and when to call it: the model knows only this")
	}
	classes := []string{string(Read), string(Effect), string(Terminal), string(Async)}
	switch d.Class {
	case Read, Effect, Terminal, Async:
	default:
		fs.add(nil, "class", fmt.Sprintf("unknown class %q", d.Class), yamlfault.Suggest(string(d.Class), classes))
	}
	switch d.Phase {
	case "", "any", "during", "closing":
	default:
		fs.add(nil, "phase", fmt.Sprintf("unknown phase %q", d.Phase),
			yamlfault.Suggest(d.Phase, []string{"any", "during", "closing"}))
	}
	if d.MaxCalls < 0 {
		fs.add(nil, "max_calls", fmt.Sprint(d.MaxCalls), "0 for no limit, or a number of calls")
	}
	if d.MaxFailures != nil && *d.MaxFailures < 0 {
		fs.add(nil, "max_failures", fmt.Sprint(*d.MaxFailures), "0 for no limit, or a number of failures in a row")
	}
	if d.MaxReadBacks != nil && *d.MaxReadBacks < 0 {
		fs.add(nil, "max_read_backs", fmt.Sprint(*d.MaxReadBacks), "0 for no limit, or how often something is read back")
	}
	d.checkDedupe(fs)
	if d.When != "" {
		if err := checkCondition(d.When, "results", "vars"); err != nil {
			fs.add(nil, "when", err.Error(), "write an expression such as results.lookup_contact.found == false")
		}
	}
	for i, r := range d.Requires {
		if !requirement.MatchString(r) {
			fs.add(nil, fmt.Sprintf("requires[%d]", i), fmt.Sprintf("%q is no variable", r),
				"write a variable's name, with ! behind it when the caller must have confirmed it")
		}
	}
	if d.Dialect != "" && d.Type != Webhook {
		fs.add(nil, "dialect", "a dialect is of a webhook", "leave it out, or write tool_type: webhook")
	}
}

func (d *Definition) checkDedupe(fs *Faults) {
	modes := []string{string(DedupeReject), string(DedupeConfirm), string(DedupeAllow)}
	if m := string(d.Dedupe.Mode); m != "" && !slices.Contains(modes, m) {
		fs.add(nil, "dedupe.mode", fmt.Sprintf("unknown mode %q", m), yamlfault.Suggest(m, modes))
	}
	if s := d.Dedupe.Scope; s != "" && s != "turn" && s != "call" {
		fs.add(nil, "dedupe.scope", fmt.Sprintf("unknown scope %q", s), yamlfault.Suggest(s, []string{"turn", "call"}))
	}
	for _, t := range []struct {
		key  string
		secs float64
	}{
		{"bridging_after", d.Speech.BridgingAfter},
		{"second_after", d.Speech.SecondAfter},
		{"hold_after", d.Speech.HoldAfter},
	} {
		if !(t.secs >= 0 && t.secs <= 60) {
			fs.add(nil, "speech."+t.key, fmt.Sprintf("%g s", t.secs), "0 to 60 seconds")
		}
	}
}

func notInName(r rune) bool {
	return r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
}

// requirement is a variable that must be set, or with ! confirmed.
var requirement = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*!?$`)
