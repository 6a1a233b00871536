package configs

import (
	"encoding"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/patchcord/patchcord/internal/yamlfault"
)

// checker walks a tree beside the Go type it shall become. It finds every
// unknown key and every value of a wrong kind at once, where the YAML library
// stops at the first, and it notes where each value stands.
type checker struct {
	file   string
	json   bool // values have the kinds of JSON: text is no number
	faults []error
	at     map[string]Pos // "trunks[0].allow[1]" → its place
	nodes  int
}

// decode fills dst, a pointer to a struct, from a prepared tree. What dst
// holds already stays where the tree is silent.
func decode(file string, root ast.Node, dst any) (map[string]Pos, []error) {
	return (&checker{file: file, at: map[string]Pos{}}).decode(root, dst)
}

func (c *checker) decode(root ast.Node, dst any) (map[string]Pos, []error) {
	file := c.file
	root = c.node(root, reflect.TypeOf(dst).Elem(), "")
	if c.nodes > maxNodes {
		c.faults = append(c.faults, &Fault{Pos: Pos{File: file}, What: "aliases make the file too large"})
	}
	if c.faults != nil {
		return c.at, c.faults
	}
	if err := nodeToValue(root, dst); err != nil {
		return c.at, []error{located(at(file, root), err)}
	}
	return c.at, nil
}

func nodeToValue(n ast.Node, dst any) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &Fault{What: fmt.Sprintf("cannot be decoded (%v)", r)}
		}
	}()
	return yaml.NodeToValue(n, dst, yaml.Strict())
}

var (
	durationType  = reflect.TypeFor[time.Duration]()
	nodeType      = reflect.TypeFor[ast.Node]()
	providersType = reflect.TypeFor[Providers]()
	unmarshalers  = []reflect.Type{
		reflect.TypeFor[yaml.NodeUnmarshaler](), reflect.TypeFor[yaml.NodeUnmarshalerContext](),
		reflect.TypeFor[yaml.BytesUnmarshaler](), reflect.TypeFor[yaml.BytesUnmarshalerContext](),
		reflect.TypeFor[yaml.InterfaceUnmarshaler](), reflect.TypeFor[yaml.InterfaceUnmarshalerContext](),
	}
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// node checks n against t and gives the node to decode in its place: scalars
// that YAML reads as numbers or truth values are text where text is asked for,
// so that a PIN 0123 stays 0123, and an expanded "true" is one where that is
// asked for.
func (c *checker) node(n ast.Node, t reflect.Type, path string) ast.Node {
	if c.nodes++; c.nodes > maxNodes || n == nil {
		return n
	}
	c.at[path] = at(c.file, n)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if _, null := n.(*ast.NullNode); null || t == nodeType {
		return n
	}
	if t == durationType {
		return c.duration(n, path)
	}
	if t == providersType {
		c.note(n, path, 2)
		_, faults := readProviders(n)
		for _, f := range faults {
			f.File = c.file
			c.faults = append(c.faults, f)
		}
		return n
	}
	ptr := reflect.PointerTo(t)
	for _, u := range unmarshalers {
		if ptr.Implements(u) {
			return n // it checks its own node
		}
	}
	if ptr.Implements(textUnmarshaler) {
		return c.textual(n, t, path)
	}
	switch t.Kind() {
	case reflect.Struct:
		c.mapping(n, t, path)
	case reflect.Map:
		pairs, ok := yamlfault.Pairs(n)
		if !ok {
			c.wrong(n, path, "a mapping of names to values")
			break
		}
		for _, v := range pairs {
			v.Value = c.node(v.Value, t.Elem(), join(path, yamlfault.Key(v)))
		}
	case reflect.Slice:
		seq, ok := n.(*ast.SequenceNode)
		if !ok {
			c.wrong(n, path, "a list")
			break
		}
		for i, v := range seq.Values {
			seq.Values[i] = c.node(v, t.Elem(), path+"["+strconv.Itoa(i)+"]")
		}
	case reflect.String:
		return c.text(n, path)
	case reflect.Bool:
		return c.boolean(n, path)
	case reflect.Int, reflect.Int64, reflect.Uint16:
		if _, err := strconv.ParseInt(scalar(n), 0, 64); err != nil || c.json && !isNumber(n) {
			c.wrong(n, path, "a whole number")
		}
	case reflect.Float64:
		if _, err := strconv.ParseFloat(scalar(n), 64); err != nil || c.json && !isNumber(n) {
			c.wrong(n, path, "a number")
		}
	}
	return n
}

func (c *checker) mapping(n ast.Node, t reflect.Type, path string) {
	pairs, ok := yamlfault.Pairs(n)
	if !ok {
		c.wrong(n, path, "a mapping with the keys "+strings.Join(keys(t), ", "))
		return
	}
	fields := fieldsOf(t)
	for _, v := range pairs {
		name := yamlfault.Key(v)
		f, known := fields[name]
		if !known {
			c.unknown(v, name, path, keys(t))
			continue
		}
		v.Value = c.node(v.Value, f, join(path, name))
		if _, ok := v.Value.(*ast.NullNode); ok {
			c.at[join(path, name)] = at(c.file, v.Key)
		}
	}
}

func (c *checker) unknown(v *ast.MappingValueNode, name, path string, known []string) {
	where := ""
	if path != "" {
		where = " in " + path
	}
	do := "known keys: " + strings.Join(known, ", ")
	if k := yamlfault.Nearest(name, known); k != "" {
		do = "did you mean " + strconv.Quote(k) + "?"
	}
	c.faults = append(c.faults, &Fault{
		Pos: at(c.file, v.Key), Path: join(path, name), What: fmt.Sprintf("unknown key %q%s", name, where), Do: do,
	})
}

func (c *checker) wrong(n ast.Node, path, want string) {
	c.faults = append(c.faults, &Fault{
		Pos: at(c.file, n), Path: path, What: fmt.Sprintf("%s is %s", path, kindOf(n)), Do: "it takes " + want,
	})
}

func (c *checker) text(n ast.Node, path string) ast.Node {
	switch n.(type) {
	case *ast.StringNode, *ast.LiteralNode:
		return n
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		if c.json {
			break
		}
		old := n.GetToken()
		return ast.String(token.DoubleQuote(old.Value, old.Origin, old.Position))
	}
	c.wrong(n, path, "text")
	return n
}

// note keeps the places of a mapping that is decoded elsewhere.
func (c *checker) note(n ast.Node, path string, depth int) {
	pairs, _ := yamlfault.Pairs(n)
	for _, v := range pairs {
		p := join(path, yamlfault.Key(v))
		c.at[p] = at(c.file, v.Value)
		if depth > 1 {
			c.note(v.Value, p, depth-1)
		}
	}
}

// textual is a text that its type reads itself.
func (c *checker) textual(n ast.Node, t reflect.Type, path string) ast.Node {
	before := len(c.faults)
	out := c.text(n, path)
	if len(c.faults) > before {
		return n
	}
	if u, ok := reflect.New(t).Interface().(encoding.TextUnmarshaler); ok {
		if err := u.UnmarshalText([]byte(scalar(out))); err != nil {
			c.faults = append(c.faults, &Fault{Pos: at(c.file, n), Path: path, What: path + ": " + err.Error()})
		}
	}
	return out
}

func (c *checker) boolean(n ast.Node, path string) ast.Node {
	if _, ok := n.(*ast.BoolNode); ok {
		return n
	}
	switch s := scalar(n); {
	case !c.json && (s == "true" || s == "false"):
		old := n.GetToken()
		return ast.Bool(token.New(s, s, old.Position))
	}
	c.wrong(n, path, "true or false")
	return n
}

func (c *checker) duration(n ast.Node, path string) ast.Node {
	s := scalar(n)
	if s == "0" {
		return c.text(n, path)
	}
	if d, err := time.ParseDuration(s); err != nil || d < 0 {
		c.wrong(n, path, `a duration such as "700ms", "15m" or "1h30m"`)
	}
	return n
}

func isNumber(n ast.Node) bool {
	switch n.(type) {
	case *ast.IntegerNode, *ast.FloatNode:
		return true
	}
	return false
}

// scalar is the text of a scalar, "" of anything else.
func scalar(n ast.Node) string {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value
	case *ast.LiteralNode:
		return n.Value.Value
	case ast.ScalarNode:
		return n.GetToken().Value
	}
	return ""
}

func kindOf(n ast.Node) string {
	switch n := n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.TagNode:
		return "a value with the tag " + n.Start.Value
	}
	s := scalar(n)
	if len(s) > 40 {
		return "a long text"
	}
	return strconv.Quote(s)
}

// fieldsOf are the keys of a struct with their types.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	out := map[string]reflect.Type{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, opts, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case opts == "inline":
			for k, v := range fieldsOf(f.Type) {
				out[k] = v
			}
		case name != "" && name != "-" && f.IsExported():
			out[name] = f.Type
		}
	}
	return out
}

// keys are the keys of a struct in the order they are declared.
func keys(t reflect.Type) []string {
	var out []string
	for i := range t.NumField() {
		f := t.Field(i)
		name, opts, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case opts == "inline":
			out = append(out, keys(f.Type)...)
		case name != "" && name != "-" && f.IsExported():
			out = append(out, name)
		}
	}
	return out
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
