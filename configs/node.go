package configs

import (
	"fmt"
	"os"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/patchcord/patchcord/internal/yamlfault"
)

// Bounds of a file, so that no nesting of aliases can fill the memory.
const (
	maxFileBytes = 4 << 20
	maxNodes     = 200_000
	maxDepth     = 100
)

// parse reads one YAML document; nil for an empty one. It never panics: a
// panic of the parser on some odd text is a fault of that text.
func parse(file string, text []byte) (root ast.Node, err error) {
	defer func() {
		if r := recover(); r != nil {
			root, err = nil, &Fault{Pos: Pos{File: file}, What: fmt.Sprintf("no readable YAML (%v)", r)}
		}
	}()
	if len(text) > maxFileBytes {
		return nil, &Fault{Pos: Pos{File: file}, What: fmt.Sprintf("the file is larger than %d MB", maxFileBytes>>20)}
	}
	f, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, located(Pos{File: file}, err)
	}
	for _, d := range f.Docs {
		if d.Body == nil || d.Body.Type() == ast.CommentType {
			continue
		}
		if root != nil {
			return nil, &Fault{Pos: at(file, d.Body), What: "a second YAML document", Do: "keep one document per file"}
		}
		root = d.Body
	}
	return root, nil
}

// prepare expands variables and resolves anchors, aliases and merge keys, so
// that every part of the tree can be decoded by itself.
type prepare struct {
	file    string
	env     func(string) (string, bool)
	only    func(string) bool // which ${…} are variables, nil: all; the others stay as they are
	anchors map[string]ast.Node
	unset   []Warning
	faults  []error
	nodes   int
}

func (p *prepare) fault(n ast.Node, what, do string) {
	p.faults = append(p.faults, &Fault{Pos: at(p.file, n), What: what, Do: do})
}

func (p *prepare) node(n ast.Node, depth int) ast.Node {
	if p.nodes++; p.nodes > maxNodes || depth > maxDepth {
		if p.nodes <= maxNodes {
			p.fault(n, "nested too deeply", "")
		}
		return ast.Null(token.New("null", "null", &token.Position{}))
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		for _, v := range n.Values {
			v.Value = p.node(v.Value, depth+1)
		}
		n.Values = p.merge(n.Values)
	case *ast.MappingValueNode:
		n.Value = p.node(n.Value, depth+1)
	case *ast.SequenceNode:
		for i, v := range n.Values {
			n.Values[i] = p.node(v, depth+1)
		}
	case *ast.AnchorNode:
		v := p.node(n.Value, depth+1)
		p.anchors[n.Name.String()] = v
		return v
	case *ast.AliasNode:
		v, ok := p.anchors[n.Value.String()]
		if !ok {
			p.fault(n, fmt.Sprintf("no anchor &%s before this alias", n.Value), "")
			return ast.Null(n.GetToken())
		}
		return v
	case *ast.StringNode:
		p.expand(n)
	case *ast.LiteralNode:
		p.expand(n.Value)
	}
	return n
}

// merge replaces a `<<: *anchor` pair by the pairs of that mapping that are
// not written beside it.
func (p *prepare) merge(pairs []*ast.MappingValueNode) []*ast.MappingValueNode {
	have := map[string]bool{}
	var merges []*ast.MappingValueNode
	var out []*ast.MappingValueNode
	for _, v := range pairs {
		if v.Key.IsMergeKey() {
			merges = append(merges, v)
			continue
		}
		have[yamlfault.Key(v)] = true
		out = append(out, v)
	}
	if merges == nil {
		return pairs
	}
	for _, m := range merges {
		from := []ast.Node{m.Value}
		if seq, ok := m.Value.(*ast.SequenceNode); ok {
			from = seq.Values
		}
		for _, f := range from {
			src, ok := yamlfault.Pairs(f)
			if !ok {
				p.fault(m, "<< takes a mapping", "write <<: *name, where &name marks a mapping")
				continue
			}
			for _, v := range src {
				if !have[yamlfault.Key(v)] {
					have[yamlfault.Key(v)] = true
					out = append(out, v)
				}
			}
		}
	}
	return out
}

// expand replaces ${VAR}, ${VAR:-else} and ${file:PATH} in one scalar. What
// comes out is text, never YAML; $${ stands for a literal ${.
func (p *prepare) expand(n *ast.StringNode) {
	if !strings.Contains(n.Value, "${") {
		return
	}
	var b strings.Builder
	rest := n.Value
	for {
		i := strings.Index(rest, "${")
		if i < 0 {
			b.WriteString(rest)
			break
		}
		if i > 0 && rest[i-1] == '$' {
			b.WriteString(rest[:i-1] + "${")
			rest = rest[i+2:]
			continue
		}
		end := strings.IndexByte(rest[i:], '}')
		if p.only != nil && (end < 0 || !p.only(rest[i+2:i+end])) {
			b.WriteString(rest[:i+2])
			rest = rest[i+2:]
			continue
		}
		if end < 0 {
			p.fault(n, "${ without }", "close it, or write $${ for a literal ${")
			return
		}
		b.WriteString(rest[:i])
		b.WriteString(p.variable(n, rest[i+2:i+end]))
		rest = rest[i+end+1:]
	}
	n.Value = b.String()
	pos := n.Token.Position
	n.Token = token.DoubleQuote(n.Value, n.Value, pos)
}

func (p *prepare) variable(n ast.Node, expr string) string {
	if path, ok := strings.CutPrefix(expr, "file:"); ok {
		text, err := os.ReadFile(path)
		if err != nil {
			p.fault(n, fmt.Sprintf("${file:%s}: %v", path, err), "name a file that can be read")
			return ""
		}
		return strings.TrimRight(string(text), "\r\n")
	}
	name, otherwise, hasDefault := strings.Cut(expr, ":-")
	if !isVariable(name) {
		p.fault(n, fmt.Sprintf("${%s}: not a name of an environment variable", expr),
			"write ${NAME}, ${NAME:-default}, or $${ for a literal ${")
		return ""
	}
	v, ok := p.env(name)
	switch {
	case ok && (v != "" || !hasDefault):
		return v
	case hasDefault:
		return otherwise
	}
	p.unset = append(p.unset, Warning{
		Pos: at(p.file, n), What: "the environment variable " + name + " is not set: this is empty",
		Do: "set it, or write ${" + name + ":-} if it may be empty",
	})
	return ""
}

// capitals are the variables of agents and tools: a prompt may well say
// ${price} and mean it.
func capitals(expr string) bool {
	name, _, _ := strings.Cut(expr, ":-")
	return isVariable(name) && name == strings.ToUpper(name)
}

func isVariable(s string) bool {
	for i, r := range s {
		letter := r == '_' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}

// at is where a node begins: of a mapping its first key.
func at(file string, n ast.Node) Pos {
	line, col := yamlfault.Place(n)
	return Pos{File: file, Line: line, Col: col}
}
