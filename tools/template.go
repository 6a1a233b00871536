package tools

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A template is text with placeholders in double braces:
//
//	{{secret.crm_key}}   a secret, resolved only where a request is made
//	{{caller_phone}}     a variable of the call; {{a.b}} looks into an object
//	{{args.order_id}}    an argument of the model's
//
// A bare name that no variable has is looked for among the secrets (T-06).
// What is put in is never read as a template again.
type template []piece

type piece struct {
	text string // literal
	name string // of a placeholder, "" for a literal
}

// parseTemplate splits text at its placeholders.
func parseTemplate(s string) (template, error) {
	var t template
	for {
		i := strings.Index(s, "{{")
		if i < 0 {
			break
		}
		end := strings.Index(s[i:], "}}")
		if end < 0 {
			return nil, errors.New("{{ without }}")
		}
		name := strings.TrimSpace(s[i+2 : i+end])
		if !isPlaceholder(name) {
			return nil, fmt.Errorf("{{%s}} is no placeholder: write a name of letters, digits, _, - and dots", name)
		}
		if i > 0 {
			t = append(t, piece{text: s[:i]})
		}
		t = append(t, piece{name: name})
		s = s[i+end+2:]
	}
	if s != "" {
		t = append(t, piece{text: s})
	}
	return t, nil
}

func isPlaceholder(s string) bool {
	for part := range strings.SplitSeq(s, ".") {
		if part == "" || strings.IndexFunc(part, func(r rune) bool {
			return r != '_' && r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
		}) >= 0 {
			return false
		}
	}
	return true
}

// names are the placeholders of the template.
func (t template) names() []string {
	var out []string
	for _, p := range t {
		if p.name != "" && !slices.Contains(out, p.name) {
			out = append(out, p.name)
		}
	}
	return out
}

// missingError is a placeholder that nothing resolves.
type missingError struct{ name string }

func (e *missingError) Error() string { return "nothing for {{" + e.name + "}}" }

// scope is what the placeholders of one request may mean.
type scope struct {
	secrets func(string) (string, bool)
	env     Env
	args    map[string]any
	used    []string // values of secrets that were put in, to be kept out of the result
	named   []string // their names, for the hosts that they may go to
}

func newScope(d Deps, c Call) *scope {
	s := &scope{secrets: d.Secrets, env: c.Env}
	if s.secrets == nil {
		s.secrets = func(string) (string, bool) { return "", false }
	}
	dec := json.NewDecoder(strings.NewReader(string(c.Args)))
	dec.UseNumber()
	if dec.Decode(&s.args) != nil {
		s.args = nil
	}
	return s
}

// Resolve puts secrets in the place of {{secret.name}} in a text that is of no
// call, such as the key that webhooks are signed with.
func (d Deps) Resolve(text string) (string, error) {
	t, err := parseTemplate(text)
	if err != nil {
		return "", err
	}
	return t.expand(newScope(d, Call{}), plain)
}

func (s *scope) lookup(name string) (any, bool) {
	if n, ok := strings.CutPrefix(name, "secret."); ok {
		return s.secret(n)
	}
	if n, ok := strings.CutPrefix(name, "args."); ok {
		return dig(s.args, n)
	}
	if v, ok := s.env.lookup(name); ok {
		return v, true
	}
	return s.secret(name)
}

func (s *scope) secret(name string) (any, bool) {
	v, ok := s.secrets(name)
	if !ok {
		return nil, false
	}
	s.used, s.named = append(s.used, v), append(s.named, name)
	return v, true
}

// lookup finds a variable of the call: what was set, then what every call has.
func (e Env) lookup(name string) (any, bool) {
	if v, ok := dig(e.Vars, name); ok {
		return v, true
	}
	if v, ok := dig(e.Context, name); ok {
		return v, true
	}
	var v string
	switch name {
	case "call_id":
		v = e.CallID
	case "agent_id":
		v = e.AgentID
	case "caller_phone", "phone_number":
		v = e.Phone
	case "direction":
		v = e.Direction
	}
	return v, v != ""
}

// dig finds a value by its name, or by the way to it through objects.
func dig(m map[string]any, name string) (any, bool) {
	if v, ok := m[name]; ok {
		return v, v != nil
	}
	head, rest, ok := strings.Cut(name, ".")
	if !ok {
		return nil, false
	}
	inner, ok := m[head].(map[string]any)
	if !ok {
		return nil, false
	}
	return dig(inner, rest)
}

// expand puts the values in, each as escape wants it.
func (t template) expand(s *scope, escape func(any) (string, error)) (string, error) {
	var b strings.Builder
	for _, p := range t {
		if p.name == "" {
			b.WriteString(p.text)
			continue
		}
		v, ok := s.lookup(p.name)
		if !ok {
			return "", &missingError{p.name}
		}
		text, err := escape(v)
		if err != nil {
			return "", err
		}
		b.WriteString(text)
	}
	return b.String(), nil
}

func plain(v any) (string, error) { return textOf(v), nil }

// textOf is how a value stands in a URL, a header or a sentence.
func textOf(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case float32:
		return strconv.FormatFloat(float64(v), 'f', -1, 32)
	case fmt.Stringer:
		return v.String()
	}
	b, err := marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}
