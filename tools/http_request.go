package tools

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/patchcord/patchcord/internal/yamlfault"
)

// httpConfig is what an http_request is configured with: seed 002's keys
// (T-05), and body.
type httpConfig struct {
	URL         string   `yaml:"url"`
	Method      string   `yaml:"method"` // GET, POST, PUT, DELETE; default GET
	Headers     []KV     `yaml:"headers"`
	QueryParams []KV     `yaml:"query_params"`
	Body        ast.Node `yaml:"body"`    // a template: text, or a mapping whose values may be placeholders
	Timeout     float64  `yaml:"timeout"` // s
	During      *bool    `yaml:"speak_during_execution"`
	After       *bool    `yaml:"speak_after_execution"`
	Bridging    string   `yaml:"bridging_sentence"`
}

// httpRequest asks an endpoint (T-05). Without a body template GET and DELETE
// carry the model's arguments as query parameters, but for those that
// {{args.…}} has put into the URL or a header; POST and PUT carry all of them
// as a flat JSON object. What the definition fixes cannot be overridden by an argument (SEC-9).
type httpRequest struct {
	base
	deps    Deps
	method  string
	url     urlTemplate
	headers []pair
	query   []pair
	body    bodyTemplate
	form    bool            // the body is a form, not JSON
	placed  map[string]bool // arguments that stand in the URL or a header already
}

type pair struct {
	key   string
	value template
}

func newHTTPRequest(d *Definition, deps Deps) (Tool, Faults) {
	var cfg httpConfig
	if fs := d.Config.Decode(&cfg); fs != nil {
		return nil, fs
	}
	t := &httpRequest{base: base{def: d}, deps: deps, method: strings.ToUpper(cfg.Method)}
	var fs Faults
	if t.method == "" {
		t.method = http.MethodGet
	}
	if methods := []string{"GET", "POST", "PUT", "DELETE"}; !slices.Contains(methods, t.method) {
		fs.add(d.Config.at("method"), "config.method", fmt.Sprintf("method %q", cfg.Method),
			yamlfault.Suggest(t.method, methods))
	}
	check := Checks{Definition: d, Deps: deps}
	t.url = check.url("url", cfg.URL)
	t.headers = check.headers("headers", cfg.Headers)
	t.query = check.pairs("query_params", cfg.QueryParams)
	for i, p := range cfg.QueryParams {
		if isCredential(p.Key, p.Value) {
			check.literal("query_params[" + strconv.Itoa(i) + "].value")
		}
	}
	t.placed = map[string]bool{}
	used := t.url.names()
	for _, p := range slices.Concat(t.headers, t.query) {
		used = append(used, p.value.names()...)
	}
	for _, n := range used {
		if arg, ok := strings.CutPrefix(n, "args."); ok {
			arg, _, _ = strings.Cut(arg, ".")
			t.placed[arg] = true
		}
	}
	for _, h := range t.headers {
		if strings.EqualFold(h.key, "Content-Type") && len(h.value) == 1 {
			t.form = strings.Contains(strings.ToLower(h.value[0].text), "x-www-form-urlencoded")
		}
	}
	if cfg.Body != nil {
		var err error
		if t.body, err = parseBody(cfg.Body, t.form); err != nil {
			fs.add(cfg.Body, "config.body", err.Error(), "")
		}
		check.names("body", cfg.Body, t.body.pieces.names())
		if t.method == http.MethodGet || t.method == http.MethodDelete {
			fs.add(cfg.Body, "config.body", "a body with "+t.method, "write method: POST or PUT, or leave the body out")
		}
	}
	fs = append(fs, check.Faults...)
	d.takeSpeech(cfg.Timeout, cfg.During, cfg.After, cfg.Bridging)
	return t, fs
}

// takeSpeech takes over seed keys of the configuration where the definition's
// own are not set.
func (d *Definition) takeSpeech(timeout float64, during, after *bool, bridging string) {
	if d.TimeoutSecs == 0 {
		d.TimeoutSecs = timeout
	}
	if d.Speech.During == nil {
		d.Speech.During = during
	}
	if d.Speech.After == nil {
		d.Speech.After = after
	}
	if d.Speech.Bridging == "" {
		d.Speech.Bridging = bridging
	}
}

// Run makes the request.
func (t *httpRequest) Run(ctx context.Context, c Call) Result {
	if c.Env.PreCall || c.Env.PreAction {
		c.Args = declared(t.args.text, Metadata(c.Env))
	}
	s := newScope(t.deps, c)
	req, err := t.request(s, c.Args)
	if err != nil {
		return refusal(err)
	}
	return exchange(ctx, t.def, t.deps, c, req, s, ReadEffect)
}

// ReadEffect is ReadReply for an endpoint that need not answer with anything.
func ReadEffect(r Reply) Result {
	if len(bytes.TrimSpace(r.Body)) == 0 && r.Status >= 200 && r.Status <= 299 {
		return Result{JSON: nothingJSON, Status: OK, HTTP: r.Status}
	}
	return ReadReply(r.Status, r.Body)
}

// HTTPWire is what an http_request sends, for a form whose definitions are the
// same.
func HTTPWire(d *Definition, deps Deps) (Wire, Faults) {
	t, fs := newHTTPRequest(d, deps)
	r, ok := t.(*httpRequest)
	if !ok {
		return nil, fs
	}
	return (*httpWire)(r), fs
}

type httpWire httpRequest

func (w *httpWire) Request(c Call, e *Expander) (Request, error) {
	if c.Env.PreCall || c.Env.PreAction {
		c.Args = declared(json.RawMessage(w.def.Parameters), c.Args)
	}
	return (*httpRequest)(w).request(e.s, c.Args)
}

func (*httpWire) Reply(_ Call, r Reply) Result { return ReadEffect(r) }

func (t *httpRequest) request(s *scope, args json.RawMessage) (Request, error) {
	req := Request{Method: t.method}
	raw, err := t.url.expand(s)
	if err != nil {
		return req, err
	}
	fixed := maps.Clone(t.placed)
	if u, err := url.Parse(raw); err == nil {
		for k := range u.Query() {
			fixed[k] = true
		}
	}
	var query []KV
	for _, q := range t.query {
		v, err := q.value.expand(s, plain)
		if err != nil {
			return req, err
		}
		fixed[q.key] = true
		query = append(query, KV{q.key, v})
	}
	typed := false
	for _, h := range t.headers {
		v, err := h.value.expand(s, plain)
		if err != nil {
			return req, err
		}
		typed = typed || strings.EqualFold(h.key, "Content-Type")
		req.Header = append(req.Header, KV{h.key, v})
	}
	switch {
	case t.method == http.MethodGet || t.method == http.MethodDelete:
		query = append(query, Flatten(args, fixed)...)
	case t.body.set:
		if req.Body, err = t.body.expand(s); err != nil {
			return req, err
		}
	case t.form:
		req.Body = []byte(strings.TrimPrefix(Query("", Flatten(args, nil)), "?"))
	default:
		req.Body = args
		if len(req.Body) == 0 {
			req.Body = []byte("{}")
		}
	}
	if req.Body != nil && !typed {
		req.Header = append(req.Header, KV{"Content-Type", "application/json"})
	}
	req.URL = Query(raw, query)
	return req, nil
}
