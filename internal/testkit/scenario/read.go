package scenario

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/patchcord/patchcord/internal/yamlfault"
)

// MaxSize bounds a scenario file, bytes.
const MaxSize = 1 << 20

// Fault is one thing wrong in a scenario: where, and what.
type Fault struct {
	File      string
	Line, Col int // from 1; 0: the file as a whole
	What      string
}

func (f *Fault) Error() string {
	if f.Line == 0 {
		return f.File + ": " + f.What
	}
	return fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Col, f.What)
}

// Load reads a scenario file. The error joins every fault, each a *Fault.
func Load(path string) (*Scenario, error) {
	b, err := os.ReadFile(path) //nolint:gosec // who runs the scenario names it
	if err != nil {
		return nil, fmt.Errorf("scenario: %w", err)
	}
	return Parse(path, b)
}

// Parse reads the text of a scenario. Files that it names are relative to name.
func Parse(name string, text []byte) (*Scenario, error) {
	r := &reader{name: name}
	s := &Scenario{File: name, Timeout: DefaultTimeout, Heard: KeyWords{Share: 1}}
	if root := r.parse(text); root != nil {
		r.fields(root, fields{
			"name": r.text(&s.Name), "from": r.text(&s.From), "voice": r.text(&s.Voice), "codec": r.text(&s.Codec),
			"phrases": r.file(&s.Phrases), "timeout": r.duration(&s.Timeout),
			"steps":  func(n ast.Node) { r.steps(n, s) },
			"heard":  func(n ast.Node) { r.heard(n, &s.Heard) },
			"expect": func(n ast.Node) { r.expect(n, &s.Expect) },
			"engine": func(n ast.Node) { s.Engine = n },
		})
		if len(s.Steps) == 0 && r.faults == nil {
			r.fault(root, "a scenario needs steps")
		}
		if s.Timeout <= 0 && r.faults == nil {
			r.fault(root, "timeout must be longer than nothing")
		}
	}
	if r.faults != nil {
		return nil, errors.Join(r.faults...)
	}
	return s, nil
}

type reader struct {
	name   string
	faults []error
}

func (r *reader) fault(n ast.Node, format string, args ...any) {
	line, col := yamlfault.Place(n)
	r.faults = append(r.faults, &Fault{File: r.name, Line: line, Col: col, What: fmt.Sprintf(format, args...)})
}

// parse gives the one document; the YAML library's panics on odd text are
// faults of that text.
func (r *reader) parse(text []byte) (root ast.Node) {
	defer func() {
		if p := recover(); p != nil {
			r.faults, root = append(r.faults, &Fault{File: r.name, What: fmt.Sprintf("no readable YAML (%v)", p)}), nil
		}
	}()
	if len(text) > MaxSize {
		r.fault(nil, "larger than %d MB", MaxSize>>20)
		return nil
	}
	f, err := parser.ParseBytes(text, 0)
	if err != nil {
		what, line, col := yamlfault.Explain(err)
		r.faults = append(r.faults, &Fault{File: r.name, Line: line, Col: col, What: what})
		return nil
	}
	for _, d := range f.Docs {
		switch {
		case d.Body == nil || d.Body.Type() == ast.CommentType:
		case root == nil:
			root = d.Body
		default:
			r.fault(d.Body, "a second YAML document; keep one scenario per file")
			return nil
		}
	}
	if root == nil {
		r.fault(nil, "empty; a scenario needs steps")
	}
	return root
}

func (r *reader) steps(n ast.Node, s *Scenario) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		r.fault(n, "steps is a list, each step begins with -")
		return
	}
	for _, v := range seq.Values {
		s.Steps = append(s.Steps, r.step(v))
	}
	for i, step := range s.Steps[:max(len(s.Steps)-1, 0)] {
		if step.Verb == Hangup || step.Verb == ExpectHangup {
			r.fault(seq.Values[i+1], "no step can follow %s: the call is over", step.Verb)
			return
		}
	}
}

func (r *reader) heard(n ast.Node, k *KeyWords) {
	if _, isMap := yamlfault.Pairs(n); !isMap {
		r.words(&k.Words)(n)
		return
	}
	r.fields(n, fields{"words": r.words(&k.Words), "share": func(v ast.Node) {
		text, _ := scalar(v)
		if _, err := fmt.Sscanf(text, "%f", &k.Share); err != nil || !(k.Share > 0 && k.Share <= 1) {
			r.fault(v, "share is the part of the words that must be heard, such as 0.8; 1 is all")
		}
	}})
	if len(k.Words) == 0 {
		r.fault(n, "heard needs words")
	}
}

func (r *reader) expect(n ast.Node, e *Expect) {
	r.fields(n, fields{
		"user": r.words(&e.User), "answers": r.count(&e.Answers), "barge_ins": r.count(&e.BargeIns),
		"tools": func(n ast.Node) { r.tools(n, e) }, "end_reason": r.text(&e.EndReason),
		"events": r.words(&e.Events), "not_events": r.words(&e.NotEvents),
	})
}

// tools is how often each tool was run.
func (r *reader) tools(n ast.Node, e *Expect) {
	pairs, ok := yamlfault.Pairs(n)
	if !ok {
		r.fault(n, "want tools and how often each was run, such as {check_order: 1}")
		return
	}
	e.Tools = map[string]int{}
	for _, p := range pairs {
		var times *int
		if r.count(&times)(p.Value); times != nil {
			e.Tools[yamlfault.Key(p)] = *times
		}
	}
}

func (r *reader) count(to **int) setter {
	return func(n ast.Node) {
		text, _ := scalar(n)
		v, err := strconv.Atoi(text)
		if err != nil || v < 0 {
			r.fault(n, "%q is no count", text)
			return
		}
		*to = &v
	}
}

func (r *reader) number(to *float64, least, most float64) setter {
	return func(n ast.Node) {
		text, _ := scalar(n)
		v, err := strconv.ParseFloat(text, 64)
		if err != nil || !(v >= least && v <= most) {
			r.fault(n, "%q is no number from %g to %g", text, least, most)
			return
		}
		*to = v
	}
}

// setter takes a value; fields are the keys a mapping may have.
type (
	setter func(ast.Node)
	fields map[string]setter
)

func (r *reader) fields(n ast.Node, known fields) {
	pairs, ok := yamlfault.Pairs(n)
	if !ok {
		r.fault(n, "want keys and values (%s)", known)
		return
	}
	seen := map[string]bool{}
	for _, p := range pairs {
		key := yamlfault.Key(p)
		set, ok := known[key]
		switch {
		case !ok:
			r.fault(p.Key, "no key %q; the keys are %s", key, known)
		case seen[key]:
			r.fault(p.Key, "key %q a second time", key)
		default:
			set(p.Value)
		}
		seen[key] = true
	}
}

func (f fields) String() string {
	names := make([]string, 0, len(f))
	for name := range f {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

func (r *reader) text(to *string) setter {
	return func(n ast.Node) {
		text, ok := scalar(n)
		if !ok {
			r.fault(n, "want a text")
			return
		}
		*to = text
	}
}

func (r *reader) duration(to *time.Duration) setter {
	return func(n ast.Node) {
		text, _ := scalar(n)
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 || d > time.Hour {
			r.fault(n, "%q is no duration; write 2s, 700ms or 1m30s", text)
			return
		}
		*to = d
	}
}

// words takes a list of words, or one.
func (r *reader) words(to *[]string) setter {
	return func(n ast.Node) {
		list := []ast.Node{n}
		if seq, ok := n.(*ast.SequenceNode); ok {
			list = seq.Values
		}
		for _, v := range list {
			text, ok := scalar(v)
			if !ok || len(phrases(text)) == 0 {
				r.fault(v, "want words, such as [order, shipped]")
				continue
			}
			*to = append(*to, text)
		}
	}
}

// scalar is the text of a value as it is written: 12 stays 12, 0123 stays 0123.
func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value, true
	}
	return "", false
}
