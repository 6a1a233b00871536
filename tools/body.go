package tools

import (
	"encoding/json"
	"errors"
	"net/url"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// bodyTemplate is a request body with placeholders. In JSON, one inside a
// string is escaped for it, one outside becomes a JSON value of its own type;
// a mapping's value that is one placeholder and nothing else keeps its type
// too. In a form it is escaped as a parameter.
type bodyTemplate struct {
	set    bool
	form   bool
	pieces template
	inside []bool // of each piece: it stands inside a JSON string
}

// whole is a JSON string that is one placeholder and nothing else.
var whole = regexp.MustCompile(`"(\{\{[^{}"]+\}\})"`)

func parseBody(n ast.Node, form bool) (bodyTemplate, error) {
	b := bodyTemplate{set: true, form: form}
	raw, err := jsonOf(n)
	if err != nil {
		return b, err
	}
	text := string(raw)
	isText := json.Unmarshal(raw, &text) == nil
	if !isText {
		text = whole.ReplaceAllString(text, "$1")
	}
	if form && !isText {
		return b, errors.New("a form is written as text: a={{x}}&b={{y}}")
	}
	if b.pieces, err = parseTemplate(text); err != nil {
		return b, err
	}
	in := false
	var sample strings.Builder // what the body looks like with values in it
	for _, p := range b.pieces {
		b.inside = append(b.inside, in)
		switch {
		case p.name == "":
			in = insideAfter(p.text, in)
			sample.WriteString(p.text)
		case !in:
			sample.WriteString("null")
		}
	}
	if !form && !json.Valid([]byte(sample.String())) {
		return b, errors.New("not JSON; a body of another kind needs a Content-Type header that says so")
	}
	return b, nil
}

// insideAfter says whether the end of a piece of JSON is inside a string.
func insideAfter(s string, in bool) bool {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			if in {
				i++
			}
		case '"':
			in = !in
		}
	}
	return in
}

func (b bodyTemplate) expand(s *scope) ([]byte, error) {
	var out strings.Builder
	for i, p := range b.pieces {
		if p.name == "" {
			out.WriteString(p.text)
			continue
		}
		v, ok := s.lookup(p.name)
		if !ok {
			return nil, &missingError{p.name}
		}
		switch {
		case b.form:
			out.WriteString(url.QueryEscape(textOf(v)))
		case b.inside[i]:
			j, err := marshal(textOf(v))
			if err != nil {
				return nil, err
			}
			out.Write(j[1 : len(j)-1])
		default:
			j, err := marshal(v)
			if err != nil {
				return nil, err
			}
			out.Write(j)
		}
	}
	return []byte(out.String()), nil
}
