package wire

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/patchcord/patchcord/internal/yamlfault"
	"github.com/patchcord/patchcord/tools"
)

// Callin is the form of seed 000:
//
//	POST url                                            GET url?email=…&telephone=…
//	{"email": "…", "telephone": "…"}
//
// Each identifier is the field's name to the letter (C-09); what is no parameter
// is not sent. The reply is a JSON object, or nothing at all.
type Callin struct{}

var _ tools.Dialect = Callin{}

// callinConfig are the fields of a tool (C-03).
type callinConfig struct {
	Method  string            `yaml:"method" json:"method,omitempty"` // GET asks, POST sends; default POST
	URL     string            `yaml:"url" json:"url"`
	Headers []tools.KV        `yaml:"headers" json:"headers,omitempty"`
	Body    []callinParameter `yaml:"body_parameters" json:"body_parameters,omitempty"`
}

// callinParameter is one line of Body parameters (C-08).
type callinParameter struct {
	Type        string `yaml:"type" json:"type"` // default text
	Identifier  string `yaml:"identifier" json:"identifier"`
	Required    bool   `yaml:"required" json:"required,omitempty"`
	Description string `yaml:"description" json:"description,omitempty"`
}

// callinTypes are the types of parameters, in the words of the platform's
// pages, and what they are in JSON Schema.
var callinTypes = map[string]property{
	"text": {Type: "string"}, "string": {Type: "string"}, "texte": {Type: "string"}, "phone": {Type: "string"},
	"email": {Type: "string", Format: "email"}, "date": {Type: "string", Format: "date"},
	"number": {Type: "number"}, "nombre": {Type: "number"}, "integer": {Type: "integer"}, "entier": {Type: "integer"},
	"true/false": {Type: "boolean"}, "vrai/faux": {Type: "boolean"}, "boolean": {Type: "boolean"},
	"list": {Type: "array"}, "liste": {Type: "array"}, "array": {Type: "array"}, "object": {Type: "object"},
	"objet": {Type: "object"},
}

// property is a parameter in JSON Schema.
type property struct {
	Type        string    `json:"type"`
	Title       string    `json:"title,omitempty"`
	Format      string    `json:"format,omitempty"`
	Enum        []string  `json:"enum,omitempty"`
	Items       *property `json:"items,omitempty"`
	Description string    `json:"description,omitempty"`
}

// Open reads config: of a webhook with dialect: callin.
func (Callin) Open(d *tools.Definition, deps tools.Deps) (tools.Wire, tools.Faults) {
	var cfg callinConfig
	if fs := d.Config.Decode(&cfg); fs != nil {
		return nil, fs
	}
	w := &callinWire{url: cfg.URL, headers: cfg.Headers, method: strings.ToUpper(cfg.Method)}
	if w.method == "" {
		w.method = http.MethodPost
	}
	check := tools.Checks{Definition: d, Deps: deps}
	if !slices.Contains([]string{http.MethodPost, http.MethodGet}, w.method) {
		check.Fault("method", fmt.Sprintf("method %q", cfg.Method), "GET to ask, POST to send")
	}
	check.URL("url", cfg.URL)
	check.Headers("headers", cfg.Headers)
	if cfg.Body != nil {
		if len(d.Parameters) > 0 {
			check.Fault("body_parameters", "both parameters and body_parameters", "keep one of them")
		}
		d.Parameters = callinSchema(&check, cfg.Body)
	}
	w.parameters = d.Parameters
	return w, check.Faults
}

func callinSchema(check *tools.Checks, body []callinParameter) tools.Schema {
	var ps []parameter
	seen := map[string]bool{}
	for i, p := range body {
		at := fmt.Sprintf("body_parameters[%d]", i)
		kind := strings.ToLower(strings.TrimSpace(p.Type))
		if kind == "" {
			kind = "text"
		}
		t, ok := callinTypes[kind]
		switch {
		case !ok:
			check.Fault(at+".type", fmt.Sprintf("unknown type %q", p.Type),
				yamlfault.Suggest(kind, []string{"text", "number", "true/false", "integer", "email", "date", "list", "object"}))
		case p.Identifier == "":
			check.Fault(at+".identifier", "missing", "write the exact name of the field that the endpoint expects")
		case seen[p.Identifier]:
			check.Fault(at+".identifier", fmt.Sprintf("a second parameter %q", p.Identifier), "remove one of them")
		}
		seen[p.Identifier] = true
		t.Description = p.Description
		ps = append(ps, parameter{p.Identifier, t, p.Required})
	}
	s, err := schemaOf(ps)
	if err != nil {
		check.Fault("body_parameters", err.Error(), "")
	}
	return s
}

type callinWire struct {
	method, url string
	headers     []tools.KV
	parameters  tools.Schema
}

// Request forms the request of one call.
func (w *callinWire) Request(c tools.Call, e *tools.Expander) (tools.Request, error) {
	r, err := target(w.method, w.url, w.headers, e)
	if err != nil {
		return r, err
	}
	args := c.Args
	if len(w.parameters) > 0 {
		args = tools.Declared(w.parameters, args)
	}
	if w.method == http.MethodGet {
		r.URL = tools.Query(r.URL, tools.Flatten(args, nil))
		return r, nil
	}
	return withJSON(r, args)
}

// Reply reads the endpoint's answer.
func (*callinWire) Reply(_ tools.Call, r tools.Reply) tools.Result { return tools.ReadEffect(r) }
