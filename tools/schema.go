package tools

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

// emptySchema is that of a tool without arguments (D-03).
const emptySchema = `{"type":"object","properties":{}}`

// schema is a JSON Schema of arguments, ready to check them.
type schema struct {
	text     json.RawMessage
	compiled *jsonschema.Schema
}

// loadNothing keeps a $ref from reading files or asking the network.
type loadNothing struct{}

func (loadNothing) Load(url string) (any, error) {
	return nil, fmt.Errorf("a reference to %q: only references inside the schema are followed", url)
}

// compileSchema adds the "type": "object" that definitions leave out (D-03)
// and checks that what was written is a JSON Schema.
func compileSchema(s Schema) (*schema, error) {
	text := json.RawMessage(bytes.TrimSpace(s))
	if len(text) == 0 || string(text) == "null" || string(text) == "{}" {
		text = json.RawMessage(emptySchema)
	}
	if text[0] != '{' {
		return nil, errors.New("not an object")
	}
	ms, err := members(text)
	if err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	typed := false
	for _, m := range ms {
		if m.Key == "type" {
			typed = true
			if string(m.Value) != `"object"` {
				return nil, fmt.Errorf("the arguments are of type %s, they must be an object", m.Value)
			}
		}
	}
	if !typed {
		text = append(json.RawMessage(`{"type":"object",`), text[1:]...)
		if len(ms) == 0 {
			text = json.RawMessage(emptySchema)
		}
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	c.UseLoader(loadNothing{})
	const at = "urn:arguments"
	if err := c.AddResource(at, doc); err != nil {
		return nil, err
	}
	compiled, err := c.Compile(at)
	if err != nil {
		return nil, errors.New(strings.ReplaceAll(strings.ReplaceAll(err.Error(), at+"#", ""), "\n", " "))
	}
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		return nil, err
	}
	return &schema{text: b.Bytes(), compiled: compiled}, nil
}

// check gives every fault of the arguments, nil when they are right.
func (s *schema) check(args json.RawMessage) []string {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(args))
	if err != nil {
		return []string{"the arguments are not JSON"}
	}
	err = s.compiled.Validate(doc)
	var ve *jsonschema.ValidationError
	if err == nil || !errors.As(err, &ve) {
		return nil
	}
	p := message.NewPrinter(language.English)
	var out []string
	var walk func(*jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		for _, c := range e.Causes {
			walk(c)
		}
		if len(e.Causes) == 0 && len(out) < 20 {
			at := strings.Join(e.InstanceLocation, ".")
			if at != "" {
				at += ": "
			}
			out = append(out, clip(at+e.ErrorKind.LocalizedString(p), 300))
		}
	}
	walk(ve)
	return out
}

// Check gives every fault of an object against the schema, nil when it keeps
// it. The error is of the schema itself.
func (s Schema) Check(object json.RawMessage) ([]string, error) {
	c, err := compileSchema(s)
	if err != nil {
		return nil, err
	}
	return c.check(object), nil
}

// Arguments puts the model's arguments in order and checks them against the
// tool's schema: no text at all is an empty object. When they do not hold, ok
// is false and the result tells the model every fault (C-10); nothing was sent.
func Arguments(t Tool, args json.RawMessage) (clean json.RawMessage, refused Result, ok bool) {
	clean = bytes.TrimSpace(args)
	if len(clean) == 0 || string(clean) == "null" {
		clean = json.RawMessage(`{}`)
	}
	s, err := schemaOf(t)
	if err != nil {
		return clean, ErrorResult(Refused, "internal", ""), false
	}
	details := s.check(clean)
	if details == nil {
		var b bytes.Buffer
		if json.Compact(&b, clean) == nil {
			clean = b.Bytes()
		}
		return clean, Result{}, true
	}
	return clean, invalidArguments(details), false
}

func invalidArguments(details []string) Result {
	b, err := marshal(struct {
		Error   string   `json:"error"`
		Details []string `json:"details"`
	}{"invalid_arguments", details})
	if err != nil {
		b = []byte(`{"error":"invalid_arguments"}`)
	}
	return Result{JSON: b, Status: Refused, Err: "invalid_arguments: " + strings.Join(details, "; ")}
}

func schemaOf(t Tool) (*schema, error) {
	if c, ok := t.(interface{ schema() *schema }); ok {
		return c.schema(), nil
	}
	return compileSchema(Schema(t.Schema()))
}
