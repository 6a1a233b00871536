// Package yamlfault is what the readers of our YAML files share, so that every
// one of them can say what is wrong, where, and what was probably meant:
// configuration, tools, rules and scenarios.
//
// Lines and columns count from 1 and are 0 where a value came from no file.
package yamlfault

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// Pairs are the pairs of a mapping in either of its two node forms.
func Pairs(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

// Key is the name of a pair.
func Key(p *ast.MappingValueNode) string {
	if s, ok := p.Key.(*ast.StringNode); ok {
		return s.Value
	}
	if t := p.Key.GetToken(); t != nil {
		return t.Value
	}
	return ""
}

// Place is where a node begins: of a mapping its first key. n may be nil.
func Place(n ast.Node) (line, col int) {
	if n == nil {
		return 0, 0
	}
	if pairs, ok := Pairs(n); ok && len(pairs) > 0 {
		n = pairs[0].Key
	}
	return position(n.GetToken())
}

func position(t *token.Token) (line, col int) {
	if t == nil || t.Position == nil {
		return 0, 0
	}
	return t.Position.Line, t.Position.Column
}

// Explain is what an error of the YAML library says, without its excerpt, and
// where; of any other error its text, and nowhere.
func Explain(err error) (what string, line, col int) {
	var ye yaml.Error
	if !errors.As(err, &ye) {
		return err.Error(), 0, 0
	}
	line, col = position(ye.GetToken())
	return strings.TrimSpace(ye.GetMessage()), line, col
}

// Suggest is the advice for a word that is none of those known.
func Suggest(word string, known []string) string {
	switch near := Nearest(word, known); {
	case near != "":
		return fmt.Sprintf("did you mean %q?", near)
	case len(known) == 0:
		return ""
	}
	return "known: " + strings.Join(known, ", ")
}

// Nearest is the known word that was probably meant, "" if none is near.
func Nearest(word string, known []string) string {
	best, limit := "", max(2, len(word)/3)+1
	for _, k := range known {
		if d := distance(fold(word), fold(k)); d < limit {
			best, limit = k, d
		}
	}
	return best
}

func fold(s string) string {
	return strings.NewReplacer("-", "", "_", "", " ", "").Replace(strings.ToLower(s))
}

// distance is the Levenshtein distance of two words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		prev := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			prev, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, prev+cost)
		}
	}
	return row[len(b)]
}
