package tools

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/patchcord/patchcord/internal/yamlfault"
)

// maxDepth bounds the nesting of a configuration or a schema.
const maxDepth = 64

var (
	_ yaml.NodeUnmarshaler = (*Config)(nil)
	_ yaml.NodeUnmarshaler = (*Schema)(nil)
	_ yaml.NodeUnmarshaler = (*SuccessSpeech)(nil)
)

// UnmarshalYAML keeps the node as it is: the tool's type decodes it.
func (c *Config) UnmarshalYAML(n ast.Node) error {
	c.Node, c.text = n, nil
	return nil
}

// UnmarshalJSON takes the same from the API, without positions. It keeps the
// text: of many thousand tools few run at a time, and their nodes take ten
// times its memory.
func (c *Config) UnmarshalJSON(b []byte) error {
	if tooDeep(b) {
		return errors.New("config: nested too deeply")
	}
	c.Node, c.text = nil, slices.Clone(b)
	return nil
}

// parsed is c with its node.
func (c Config) parsed() Config {
	if c.Node == nil && c.text != nil {
		c.Node, _ = nodeOf(c.text) // UnmarshalJSON had it, and json read it before
	}
	return c
}

// tooDeep tells whether JSON is nested more than maxDepth deep.
func tooDeep(b []byte) bool {
	depth, inString := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// MarshalJSON gives what was written, in its order.
func (c Config) MarshalJSON() ([]byte, error) {
	if c.text != nil {
		return c.text, nil
	}
	if c.Node == nil {
		return []byte("{}"), nil
	}
	return jsonOf(c.Node)
}

// MarshalYAML gives what was written.
func (c Config) MarshalYAML() ([]byte, error) {
	b, err := c.MarshalJSON()
	if err != nil {
		return nil, err
	}
	return yaml.JSONToYAML(b)
}

// UnmarshalYAML takes a JSON Schema written in YAML; its keys keep their order.
func (s *Schema) UnmarshalYAML(n ast.Node) error {
	b, err := jsonOf(n)
	if err != nil {
		return err
	}
	*s = Schema(b)
	return nil
}

// UnmarshalJSON keeps the text.
func (s *Schema) UnmarshalJSON(b []byte) error {
	*s = append((*s)[:0:0], b...)
	return nil
}

// MarshalJSON gives what was written, {} when there is nothing.
func (s Schema) MarshalJSON() ([]byte, error) {
	if len(s) == 0 {
		return []byte("{}"), nil
	}
	return s, nil
}

// MarshalYAML gives what was written.
func (s Schema) MarshalYAML() ([]byte, error) {
	b, err := s.MarshalJSON()
	if err != nil {
		return nil, err
	}
	return yaml.JSONToYAML(b)
}

// UnmarshalYAML takes one sentence or a list of {when, say}.
func (s *SuccessSpeech) UnmarshalYAML(n ast.Node) error {
	switch n := n.(type) {
	case *ast.NullNode:
		return nil
	case *ast.SequenceNode:
		return yaml.NodeToValue(n, (*[]SaySentence)(s), yaml.Strict())
	}
	var one string
	if err := yaml.NodeToValue(n, &one); err != nil {
		return err
	}
	*s = SuccessSpeech{{Say: one}}
	return nil
}

// UnmarshalJSON takes one sentence or a list of {when, say}.
func (s *SuccessSpeech) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*s = nil
		if one != "" {
			*s = SuccessSpeech{{Say: one}}
		}
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	var list []SaySentence
	if err := d.Decode(&list); err != nil {
		return fmt.Errorf("speech.success: a sentence, or a list of {when, say}: %w", err)
	}
	*s = list
	return nil
}

// MarshalJSON gives one sentence as a string.
func (s SuccessSpeech) MarshalJSON() ([]byte, error) {
	if len(s) == 1 && s[0].When == "" {
		return json.Marshal(s[0].Say)
	}
	return json.Marshal([]SaySentence(s))
}

// NewConfig makes a configuration of a value that marshals to a JSON object.
func NewConfig(v any) (Config, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return Config{}, fmt.Errorf("tools: config: %w", err)
	}
	var c Config
	return c, c.UnmarshalJSON(b)
}

// With is the configuration with a JSON value under a key in place of another
// key; the others keep their places.
func (c Config) With(old, key string, value []byte) (Config, error) {
	more, err := NewConfig(map[string]json.RawMessage{key: value})
	if err != nil {
		return c, err
	}
	add, _ := yamlfault.Pairs(more.parsed().Node)
	pairs, _ := yamlfault.Pairs(c.parsed().Node)
	m := ast.Mapping(token.New("{", "{", &token.Position{}), true)
	for _, p := range pairs {
		if yamlfault.Key(p) != old {
			m.Values = append(m.Values, p)
		}
	}
	m.Values = append(m.Values, add...)
	return Config{Node: m}, nil
}

// Decode fills dst, a pointer to a struct with yaml tags, from the
// configuration: unknown keys and wrong values are faults with their places.
func (c Config) Decode(dst any) Faults {
	c = c.parsed()
	if c.Node == nil {
		return nil
	}
	pairs, ok := yamlfault.Pairs(c.Node)
	if !ok {
		var fs Faults
		fs.add(c.Node, "config", "not a mapping", "write the keys of the tool's type under config:")
		return fs
	}
	known := keysOf(reflect.TypeOf(dst).Elem())
	var fs Faults
	for _, p := range pairs {
		k := yamlfault.Key(p)
		if _, ok := known[k]; !ok {
			names := make([]string, 0, len(known))
			for i := range len(known) {
				for name, at := range known {
					if at == i {
						names = append(names, name)
					}
				}
			}
			fs.add(p.Key, "config."+k, "unknown key", yamlfault.Suggest(k, names))
		}
	}
	if fs != nil {
		return fs
	}
	if err := safely(func() error { return yaml.NodeToValue(c.Node, dst, yaml.Strict()) }); err != nil {
		return Faults{located(c.Node, "config", err)}
	}
	return nil
}

// at is the node under a path of keys and indices, the nearest one above it
// when it is not there.
func (c Config) at(path ...any) ast.Node {
	n := c.parsed().Node
	for _, p := range path {
		next := ast.Node(nil)
		switch p := p.(type) {
		case string:
			pairs, _ := yamlfault.Pairs(n)
			for _, kv := range pairs {
				if yamlfault.Key(kv) == p {
					next = kv.Value
				}
			}
		case int:
			if s, ok := n.(*ast.SequenceNode); ok && p < len(s.Values) {
				next = s.Values[p]
			}
		}
		if next == nil {
			return n
		}
		n = next
	}
	return n
}

// safely turns a panic of the YAML library into an error of its input.
func safely(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("cannot be read (%v)", r)
		}
	}()
	return f()
}

// keysOf are the yaml keys of a struct with their places in it.
func keysOf(t reflect.Type) map[string]int {
	out := map[string]int{}
	for i := range t.NumField() {
		if name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ","); name != "" && name != "-" {
			out[name] = len(out)
		}
	}
	return out
}

// jsonOf writes a YAML node as JSON, keys in their order. Anchors are
// followed; aliases were resolved when the file was read.
func jsonOf(n ast.Node) (json.RawMessage, error) {
	var b bytes.Buffer
	if err := writeJSON(&b, n, 0); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func writeJSON(b *bytes.Buffer, n ast.Node, depth int) error {
	if depth > maxDepth {
		return &yaml.SyntaxError{Message: "nested too deeply", Token: n.GetToken()}
	}
	if pairs, ok := yamlfault.Pairs(n); ok {
		b.WriteByte('{')
		for i, p := range pairs {
			if i > 0 {
				b.WriteByte(',')
			}
			writeString(b, yamlfault.Key(p))
			b.WriteByte(':')
			if err := writeJSON(b, p.Value, depth+1); err != nil {
				return err
			}
		}
		b.WriteByte('}')
		return nil
	}
	switch n := n.(type) {
	case nil, *ast.NullNode:
		b.WriteString("null")
	case *ast.SequenceNode:
		b.WriteByte('[')
		for i, v := range n.Values {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := writeJSON(b, v, depth+1); err != nil {
				return err
			}
		}
		b.WriteByte(']')
	case *ast.StringNode:
		writeString(b, n.Value)
	case *ast.LiteralNode:
		writeString(b, n.Value.Value)
	case *ast.BoolNode:
		b.WriteString(strconv.FormatBool(n.Value))
	case *ast.IntegerNode, *ast.FloatNode:
		return writeNumber(b, n.(ast.ScalarNode)) //nolint:errcheck // both are scalars
	case *ast.AnchorNode:
		return writeJSON(b, n.Value, depth+1)
	case *ast.TagNode:
		return writeJSON(b, n.Value, depth+1)
	default:
		return &yaml.SyntaxError{Message: "no value that JSON has: " + n.Type().String(), Token: n.GetToken()}
	}
	return nil
}

func writeNumber(b *bytes.Buffer, n ast.ScalarNode) error {
	if text := n.GetToken().Value; json.Valid([]byte(text)) {
		b.WriteString(text) // as it was written: 4500 stays 4500, a long number keeps its digits
		return nil
	}
	v := n.GetValue()
	if f, ok := v.(float64); ok && (math.IsInf(f, 0) || math.IsNaN(f)) {
		return &yaml.SyntaxError{Message: "no value that JSON has", Token: n.GetToken()}
	}
	t, err := json.Marshal(v)
	if err != nil {
		return &yaml.SyntaxError{Message: err.Error(), Token: n.GetToken()}
	}
	b.Write(t)
	return nil
}

// writeString writes a JSON string without escaping <, > and &.
func writeString(b *bytes.Buffer, s string) {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil { // a buffer and a string cannot fail
		return
	}
	b.Truncate(b.Len() - 1) // the encoder ends each value with a newline
}

// ParseJSON reads JSON as YAML would be read, for those that decode both. What
// follows a value is not looked at.
func ParseJSON(b []byte) (ast.Node, error) { return nodeOf(b) }

// nodeOf makes a node of JSON, keys in their order and without positions.
func nodeOf(b []byte) (ast.Node, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	n, err := readNode(d, 0)
	if err != nil {
		return nil, err
	}
	return n, nil
}

func readNode(d *json.Decoder, depth int) (ast.Node, error) {
	if depth > maxDepth {
		return nil, errors.New("nested too deeply")
	}
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	nowhere := &token.Position{}
	switch t := t.(type) {
	case json.Delim:
		if t == '[' {
			seq := ast.Sequence(token.New("[", "[", nowhere), true)
			for d.More() {
				v, err := readNode(d, depth+1)
				if err != nil {
					return nil, err
				}
				seq.Values = append(seq.Values, v)
			}
			_, err := d.Token()
			return seq, err
		}
		m := ast.Mapping(token.New("{", "{", nowhere), true)
		for d.More() {
			k, err := d.Token()
			if err != nil {
				return nil, err
			}
			key, _ := k.(string)
			v, err := readNode(d, depth+1)
			if err != nil {
				return nil, err
			}
			m.Values = append(m.Values,
				ast.MappingValue(token.New(":", ":", nowhere), ast.String(token.DoubleQuote(key, key, nowhere)), v))
		}
		_, err := d.Token()
		return m, err
	case string:
		return ast.String(token.DoubleQuote(t, t, nowhere)), nil
	case bool:
		s := strconv.FormatBool(t)
		return ast.Bool(token.New(s, s, nowhere)), nil
	case json.Number:
		if strings.ContainsAny(t.String(), ".eE") {
			return ast.Float(token.New(t.String(), t.String(), nowhere)), nil
		}
		return ast.Integer(token.New(t.String(), t.String(), nowhere)), nil
	}
	return ast.Null(token.New("null", "null", nowhere)), nil
}
