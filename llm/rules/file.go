package rules

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/vm"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
	"github.com/osteele/liquid"

	"github.com/patchcord/patchcord/internal/yamlfault"
)

// maxFile bounds a file, bytes.
const maxFile = 1 << 20

// Fault is one thing wrong in a file: where, what, and what to do.
type Fault struct {
	File      string
	Line, Col int // from 1
	What      string
	Do        string // "" where What says it all
}

func (f *Fault) Error() string {
	s := fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Col, f.What)
	if f.Do != "" {
		s += "; " + f.Do
	}
	return s
}

// Rules is a file that was read. It does not change.
type Rules struct {
	numerals      numerals
	start         []*liquid.Template
	notUnderstood []*liquid.Template
	otherwise     []*liquid.Template
	failed        []*liquid.Template
	rules         []*rule
}

type rule struct {
	when   []*pattern
	after  string
	cond   *vm.Program
	states []string // nil: any
	say    []*liquid.Template
	calls  []callRule
	next   *string
}

type callRule struct {
	tool string
	args map[string]any
}

// fileForm is how a file is written.
type fileForm struct {
	Language      text             `yaml:"language"`
	Start         texts            `yaml:"start"`
	NotUnderstood texts            `yaml:"not_understood"`
	Otherwise     texts            `yaml:"otherwise"`
	Failed        texts            `yaml:"failed"`
	Words         map[string]texts `yaml:"words"`
	Rules         []ruleForm       `yaml:"rules"`
}

type ruleForm struct {
	Name  text  `yaml:"name"` // for the reader
	When  texts `yaml:"when"`
	After text  `yaml:"after"`
	If    text  `yaml:"if"`
	State texts `yaml:"state"`
	Say   texts `yaml:"say"`
	Call  calls `yaml:"call"`
	Next  text  `yaml:"next"`
	End   bool  `yaml:"end"`
}

type callForm struct {
	Tool text           `yaml:"tool"`
	Args map[string]any `yaml:"args"`
}

// text is a string that knows its place.
type text struct {
	value string
	node  ast.Node // nil: not written
}

// UnmarshalYAML takes a scalar.
func (t *text) UnmarshalYAML(n ast.Node) error {
	t.node = n
	switch n := n.(type) {
	case *ast.StringNode:
		t.value = n.Value
	case *ast.LiteralNode:
		t.value = strings.TrimSpace(n.Value.Value)
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		t.value = n.GetToken().Value
	case *ast.NullNode:
	default:
		return &yaml.SyntaxError{Message: "takes text", Token: n.GetToken()}
	}
	return nil
}

// texts is one or a list of them.
type texts []text

// UnmarshalYAML takes a scalar or a list of scalars.
func (t *texts) UnmarshalYAML(n ast.Node) error {
	list := []ast.Node{n}
	if seq, ok := n.(*ast.SequenceNode); ok {
		list = seq.Values
	}
	for _, v := range list {
		var one text
		if err := one.UnmarshalYAML(v); err != nil {
			return err
		}
		*t = append(*t, one)
	}
	return nil
}

// calls is one or a list of them.
type calls []callForm

// UnmarshalYAML takes {tool, args} or a list of it.
func (c *calls) UnmarshalYAML(n ast.Node) error {
	if seq, ok := n.(*ast.SequenceNode); ok {
		return yaml.NodeToValue(seq, (*[]callForm)(c), yaml.Strict())
	}
	var one callForm
	if err := yaml.NodeToValue(n, &one, yaml.Strict()); err != nil {
		return err
	}
	*c = calls{one}
	return nil
}

// allKeys are those of a file, for suggestions.
var allKeys = []string{
	"language", "start", "not_understood", "otherwise", "failed", "words", "rules",
	"name", "when", "after", "if", "state", "say", "call", "next", "end", "tool", "args",
}

// Parse reads a file. Its error joins one *Fault for everything that is wrong.
func Parse(name string, src []byte) (*Rules, error) {
	if len(src) > maxFile {
		return nil, &Fault{File: name, Line: 1, Col: 1, What: fmt.Sprintf("a file of %d bytes", len(src)), Do: "1 MB at most"}
	}
	form, err := decode(src)
	if err != nil {
		return nil, located(name, err)
	}
	b := &builder{file: name, words: map[string]string{}, captures: map[string]bool{}}
	r := b.build(form)
	if b.faults != nil {
		return nil, errors.Join(b.faults...)
	}
	return r, nil
}

func decode(src []byte) (form fileForm, err error) {
	defer func() {
		if r := recover(); r != nil { // the YAML library on odd text
			err = fmt.Errorf("no readable YAML (%v)", r)
		}
	}()
	f, err := parser.ParseBytes(src, 0)
	if err != nil {
		return form, err
	}
	for i, d := range f.Docs {
		if i > 0 && d.Body != nil {
			return form, &yaml.SyntaxError{Message: "a second YAML document", Token: d.Body.GetToken()}
		}
		if d.Body != nil {
			if err := yaml.NodeToValue(d.Body, &form, yaml.Strict()); err != nil {
				return form, err
			}
		}
	}
	return form, nil
}

var unknownKey = regexp.MustCompile(`unknown field "(.*)"`)

// located turns an error of the YAML library into a fault.
func located(file string, err error) *Fault {
	f := &Fault{File: file}
	f.What, f.Line, f.Col = yamlfault.Explain(err)
	f.Line, f.Col = max(f.Line, 1), max(f.Col, 1)
	if m := unknownKey.FindStringSubmatch(f.What); m != nil {
		f.What, f.Do = fmt.Sprintf("unknown key %q", m[1]), yamlfault.Suggest(m[1], allKeys)
	}
	return f
}

// builder compiles a file and gathers its faults.
type builder struct {
	file     string
	faults   []error
	words    map[string]string // expressions of <name>
	captures map[string]bool   // of the whole file
	numerals numerals
	engine   *liquid.Engine
}

func (b *builder) fault(n ast.Node, what, do string) {
	b.faults = append(b.faults, b.faultAt(n, what, do))
}

func (b *builder) faultAt(n ast.Node, what, do string) *Fault {
	line, col := yamlfault.Place(n)
	return &Fault{File: b.file, Line: max(line, 1), Col: max(col, 1), What: what, Do: do}
}

// faultIn is a fault at a byte of a text. Its column is exact where the text
// stands on one line.
func (b *builder) faultIn(t text, at int, what, do string) {
	f := b.faultAt(t.node, what, do)
	b.faults = append(b.faults, f)
	if t.node != nil {
		quoted := 0
		if tk := t.node.GetToken(); tk != nil && (tk.Type == token.DoubleQuoteType || tk.Type == token.SingleQuoteType) {
			quoted = 1
		}
		f.Col += quoted + len([]rune(t.value[:min(at, len(t.value))]))
	}
}

func (b *builder) build(form fileForm) *Rules {
	lang := form.Language.value
	if lang == "" {
		lang = "en"
	}
	n, ok := languages[lang]
	if !ok {
		b.fault(form.Language.node, fmt.Sprintf("no spoken numbers in %q", lang), yamlfault.Suggest(lang, keys(languages)))
	}
	b.numerals, b.engine = n, newEngine()
	for _, name := range keys(form.Words) {
		b.named(name, form.Words[name])
	}
	r := &Rules{numerals: n}
	if len(form.Rules) == 0 {
		b.fault(nil, "no rules", "write rules: with a list of {when, say}")
	}
	patterns := make([][]*pattern, len(form.Rules))
	for i, f := range form.Rules { // all captures first: sentences may use those of another rule
		for _, w := range f.When {
			p, err := compile(w.value, b.words, n)
			if err != nil {
				b.patternFault(w, err)
				continue
			}
			patterns[i] = append(patterns[i], p)
			for _, c := range p.captures {
				b.captures[c.name] = true
			}
		}
	}
	states := map[string]bool{"": true}
	for _, f := range form.Rules {
		states[f.Next.value] = true
	}
	for i, f := range form.Rules {
		r.rules = append(r.rules, b.rule(f, patterns[i], states))
	}
	for _, need := range []struct {
		key string
		t   texts
		to  *[]*liquid.Template
	}{
		{"start", form.Start, &r.start},
		{"not_understood", form.NotUnderstood, &r.notUnderstood},
		{"otherwise", form.Otherwise, &r.otherwise},
		{"failed", form.Failed, &r.failed},
	} {
		*need.to = b.sentences(need.t)
		if len(need.t) == 0 && (need.key == "not_understood" || need.key == "otherwise") {
			b.fault(nil, need.key+" is missing", "write the sentences to say when nothing else fits")
		}
	}
	return r
}

func (b *builder) patternFault(t text, err error) {
	var pe *patternError
	if errors.As(err, &pe) {
		b.faultIn(t, pe.at, "pattern: "+pe.what, pe.do)
		return
	}
	b.fault(t.node, "pattern: "+err.Error(), "")
}

// named compiles the alternatives of <name>.
func (b *builder) named(name string, alts texts) {
	var parts []string
	for _, a := range alts {
		c := &compiler{src: a.value, numerals: b.numerals}
		c.space()
		err := c.alternatives(1, true)
		if err == nil && c.pos < len(c.src) {
			err = c.stray()
		}
		if err == nil && len(c.captures) > 0 {
			err = c.fail(0, "a capture in words:", "captures stand in the pattern itself")
		}
		if err != nil {
			b.patternFault(a, err)
			return
		}
		parts = append(parts, c.out.String())
	}
	if !isName(name) {
		b.fault(nil, fmt.Sprintf("words: %q is no name", name), "letters, digits and _, a letter first")
	}
	b.words[name] = "(?:" + strings.Join(parts, "|") + ")"
}

func (b *builder) rule(f ruleForm, patterns []*pattern, states map[string]bool) *rule {
	r := &rule{when: patterns, after: f.After.value}
	var first ast.Node
	for _, t := range []text{f.Name, f.After, f.If, f.Next} {
		if t.node != nil {
			first = t.node
		}
	}
	if len(f.Say) > 0 {
		first = f.Say[0].node
	}
	switch {
	case len(f.When) == 0 && f.After.node == nil:
		b.fault(first, "a rule without when: and without after:", "say what the caller says, or which tool answered")
	case len(f.When) > 0 && f.After.node != nil:
		b.fault(f.After.node, "a rule with both when: and after:", "make two rules of it")
	}
	for _, s := range f.State {
		if !states[s.value] {
			b.fault(s.node, fmt.Sprintf("no rule leads to the state %q", s.value), yamlfault.Suggest(s.value, keys(states)))
		}
		r.states = append(r.states, s.value)
	}
	if f.Next.node != nil {
		r.next = &f.Next.value
	}
	if f.If.node != nil {
		p, err := expr.Compile(f.If.value, expr.Env(conditionNames()), expr.AsBool())
		if err != nil {
			first, _, _ := strings.Cut(err.Error(), "\n")
			b.fault(f.If.node, "condition: "+first, "conditions are over result, args, vars, context and state")
		}
		r.cond = p
	}
	r.say = b.sentences(f.Say)
	for _, c := range f.Call {
		if c.Tool.value == "" {
			b.fault(first, "a call without tool:", "write call: {tool: NAME, args: {…}}")
		}
		b.arguments(c.Tool.node, c.Args)
		r.calls = append(r.calls, callRule{tool: c.Tool.value, args: c.Args})
	}
	if f.End {
		r.calls = append(r.calls, callRule{tool: EndCall})
	}
	if len(r.say) == 0 && len(r.calls) == 0 {
		b.fault(first, "a rule that does nothing", "write say:, call: or end: true")
	}
	return r
}

// sentences parses the templates of sentences.
func (b *builder) sentences(ts texts) []*liquid.Template {
	var out []*liquid.Template
	for _, t := range ts {
		tpl, err := b.engine.ParseString(t.value)
		if err != nil {
			b.fault(t.node, "sentence: "+err.Error(), "")
			continue
		}
		for _, root := range roots(t.value) {
			if !slices.Contains(ownNames, root) && !b.captures[root] {
				b.fault(t.node, fmt.Sprintf("nothing has the name %q", root),
					yamlfault.Suggest(root, slices.Concat(ownNames, keys(b.captures))))
			}
		}
		if strings.TrimSpace(t.value) == "" {
			b.fault(t.node, "an empty sentence", "")
		}
		out = append(out, tpl)
	}
	return out
}

// arguments checks the ${…} of a call's arguments.
func (b *builder) arguments(n ast.Node, v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range keys(v) {
			b.arguments(n, v[k])
		}
	case []any:
		for _, e := range v {
			b.arguments(n, e)
		}
	case string:
		for _, m := range placeholder.FindAllStringSubmatch(v, -1) {
			root, _, _ := strings.Cut(m[1], ".")
			if !slices.Contains(ownNames, root) && !b.captures[root] {
				b.fault(n, fmt.Sprintf("nothing captures ${%s}", m[1]),
					yamlfault.Suggest(root, slices.Concat(keys(b.captures), ownNames)))
			}
		}
		if rest := placeholder.ReplaceAllString(v, ""); strings.Contains(rest, "${") {
			b.fault(n, fmt.Sprintf("%q: ${ without a name and }", v), "write ${name}")
		}
	default:
		if _, err := json.Marshal(v); err != nil {
			b.fault(n, "an argument that JSON cannot hold", "")
		}
	}
}

func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
