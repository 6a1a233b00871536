package wire

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/patchcord/patchcord/tools"
)

// Dariet is the form of seed 004:
//
//	POST webhook_url                             GET webhook_url?order_id=…&call_id=…
//	{"tool": "check_order_status",
//	 "args": {"order_id": "ORD-12345"},
//	 "call_id": "550e8400-…"}
//
// The reply is a JSON object, given to the model as a whole (D-10).
type Dariet struct{}

var _ tools.Dialect = Dariet{}

// darietConfig are the keys of a definition (D-02).
type darietConfig struct {
	URL     string            `yaml:"webhook_url"`
	Method  string            `yaml:"webhook_method"` // POST or GET, default POST
	Headers map[string]string `yaml:"headers"`
	Timeout float64           `yaml:"timeout_secs"` // s, default 10
}

// Open reads config: of a webhook with dialect: dariet.
func (Dariet) Open(d *tools.Definition, deps tools.Deps) (tools.Wire, tools.Faults) {
	var cfg darietConfig
	if fs := d.Config.Decode(&cfg); fs != nil {
		return nil, fs
	}
	w := &darietWire{url: cfg.URL, method: strings.ToUpper(cfg.Method)}
	if w.method == "" {
		w.method = http.MethodPost
	}
	check := tools.Checks{Definition: d, Deps: deps}
	if !slices.Contains([]string{http.MethodPost, http.MethodGet}, w.method) {
		check.Fault("webhook_method", fmt.Sprintf("method %q", cfg.Method), "POST or GET")
	}
	check.URL("webhook_url", cfg.URL)
	for _, k := range sortedKeys(cfg.Headers) {
		w.headers = append(w.headers, tools.KV{Key: k, Value: cfg.Headers[k]})
	}
	check.Headers("headers", w.headers)
	if d.TimeoutSecs == 0 {
		d.TimeoutSecs = cfg.Timeout
	}
	if d.Class == "" {
		d.Class = tools.ClassByMethod(d, "webhook_method", http.MethodPost)
	}
	return w, check.Faults
}

type darietWire struct {
	url, method string
	headers     []tools.KV
}

// darietBody is what a POST carries (D-04).
type darietBody struct {
	Tool   string          `json:"tool"`
	Args   json.RawMessage `json:"args"`
	CallID string          `json:"call_id"`
}

// Request forms the request of one call.
func (w *darietWire) Request(c tools.Call, e *tools.Expander) (tools.Request, error) {
	r, err := target(w.method, w.url, w.headers, e)
	if err != nil {
		return r, err
	}
	if w.method == http.MethodGet {
		params := tools.Flatten(c.Args, map[string]bool{"call_id": true}) // the call's own id wins (D-05)
		r.URL = tools.Query(r.URL, append(params, tools.KV{Key: "call_id", Value: c.Env.CallID}))
		return r, nil
	}
	return withJSON(r, darietBody{Tool: c.Name, Args: c.Args, CallID: c.Env.CallID})
}

// Reply reads the endpoint's answer.
func (w *darietWire) Reply(_ tools.Call, r tools.Reply) tools.Result {
	return tools.ReadReply(r.Status, r.Body)
}

// darietDefinition is a tool as POST /api/tools takes it (D-01, D-02).
type darietDefinition struct {
	ID          string            `json:"id"`
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Parameters  tools.Schema      `json:"parameters"`
	URL         string            `json:"webhook_url"`
	Method      string            `json:"webhook_method,omitempty"`
	Headers     map[string]string `json:"headers,omitempty"`
	Timeout     *float64          `json:"timeout_secs,omitempty"`
}

// ReadDariet makes a definition of a tool written in seed 004's own form.
func ReadDariet(b []byte) (tools.Definition, error) {
	if more := unknownKeys(b, &darietDefinition{}); len(more) > 0 {
		return tools.Definition{}, fmt.Errorf("wire: read a Dariet tool: unknown key %q", more[0])
	}
	return readDariet(b)
}

// readDariet takes other keys too.
func readDariet(b []byte) (tools.Definition, error) {
	var in darietDefinition
	if err := json.Unmarshal(b, &in); err != nil {
		return tools.Definition{}, fmt.Errorf("wire: read a Dariet tool: %w", err)
	}
	keys := map[string]any{"webhook_url": in.URL}
	if in.Method != "" {
		keys["webhook_method"] = in.Method
	}
	if len(in.Headers) > 0 {
		keys["headers"] = in.Headers
	}
	if in.Timeout != nil {
		keys["timeout_secs"] = *in.Timeout
	}
	cfg, err := tools.NewConfig(keys)
	if err != nil {
		return tools.Definition{}, err
	}
	return tools.Definition{
		ID: in.ID, Name: in.Name, Description: in.Description, Parameters: in.Parameters,
		Type: tools.Webhook, Dialect: "dariet", Config: cfg,
	}, nil
}
