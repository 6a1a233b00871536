package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"github.com/patchcord/patchcord/internal/yamlfault"
	"github.com/patchcord/patchcord/tools"
)

// flireoTool is a tool as it stands in llm_config.tools, in both casings.
type flireoTool struct {
	Type          string            `json:"type"` // of a built-in, which has no name (F-09)
	Name          string            `json:"name"`
	Description   string            `json:"description"`
	URL           string            `json:"url"`
	Async         bool              `json:"async"`
	AsyncResponse string            `json:"async_response"`
	Legacy        string            `json:"asyncResponse"`
	Parameters    tools.Schema      `json:"parameters"`
	Destinations  []json.RawMessage `json:"destinations"`
	Function      *flireoTool       `json:"function"` // of the type function
}

// flireoBuiltins are the built-in tools, in both casings.
var flireoBuiltins = map[string]tools.Type{
	"end_call": tools.EndCall, "endCall": tools.EndCall,
	"transfer_call": tools.TransferCall, "transferCall": tools.TransferCall,
}

// isFlireo tells a tool by its keys: it has no others.
func isFlireo(keys map[string]json.RawMessage) bool {
	for k := range keys {
		switch k {
		case "type", "name", "description", "url", "async", "async_response", "asyncResponse", "parameters",
			"destinations", "function":
		default:
			return false
		}
	}
	_, builtin := flireoBuiltins[text(keys["type"])]
	return builtin || keys["name"] != nil || keys["function"] != nil
}

// readFlireo makes a definition of a tool of Flireo's (F-01, F-09).
func readFlireo(b []byte) (d tools.Definition, err error) {
	var in flireoTool
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		return d, fmt.Errorf("cannot be read: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if f := in.Function; f != nil {
		f.URL, f.Async, f.AsyncResponse = in.URL+f.URL, in.Async || f.Async, in.AsyncResponse+f.AsyncResponse
		in = *f
	}
	if kind, ok := flireoBuiltins[in.Type]; ok {
		d = tools.Definition{Name: in.Name, Description: in.Description, Type: kind}
		if in.Name == "" {
			d.Name = string(kind)
		}
		if len(in.Destinations) > 0 {
			d.Config, err = tools.NewConfig(map[string]any{"destinations": in.Destinations})
		}
		return d, err
	}
	if in.Type != "" && in.Type != "function" {
		known := []string{"end_call", "transfer_call", "function"}
		return d, fmt.Errorf("unknown type %q; %s", in.Type, yamlfault.Suggest(in.Type, known))
	}
	d = tools.Definition{
		Name: in.Name, Description: in.Description, Type: tools.Webhook, Dialect: "flireo", Parameters: in.Parameters,
	}
	if in.AsyncResponse == "" {
		in.AsyncResponse = in.Legacy
	}
	d.Config, err = tools.NewConfig(flireoConfig{URL: in.URL, Async: in.Async, AsyncResponse: in.AsyncResponse})
	return d, err
}

func (in *importer) flireo(item json.RawMessage) (tools.Definition, error) { return readFlireo(item) }

// flireoAgent reads the tools of an agent; the rest of it is an agent's file.
func (in *importer) flireoAgent(keys map[string]json.RawMessage, llm json.RawMessage) error {
	var cfg struct {
		Tools []json.RawMessage `json:"tools"`
	}
	if json.Unmarshal(llm, &cfg) != nil || len(cfg.Tools) == 0 {
		return fmt.Errorf("llm_config: no tools in this agent")
	}
	in.out.Form = "flireo"
	for i, item := range cfg.Tools {
		var d tools.Definition
		err := json.Unmarshal(item, &d) // one of our own
		in.at = fmt.Sprintf("llm_config.tools[%d]", i)
		if in.tool = ""; err != nil || d.Type == "" {
			d, err = readFlireo(item)
		}
		if err != nil {
			in.refuse("", err.Error(), "")
			continue
		}
		in.take(d)
	}
	in.tool, in.at = "", ""
	for _, k := range []string{"webhook_url", "webhook_secret", "webhook_events"} {
		if keys[k] != nil {
			in.note(k, "this is of the agent, not of its tools", "write "+k+": into the agent's file")
		}
	}
	return nil
}

// AgentTools are the tools in an agent's llm_config.tools: in Flireo's form, or
// in our own where they have a tool_type.
type AgentTools []tools.Definition

// UnmarshalYAML reads either form.
func (ts *AgentTools) UnmarshalYAML(n ast.Node) error {
	seq, ok := n.(*ast.SequenceNode)
	if _, null := n.(*ast.NullNode); null {
		return nil
	}
	if !ok {
		return &yaml.SyntaxError{Message: "a list of tools is needed", Token: n.GetToken()}
	}
	for _, item := range seq.Values {
		var d tools.Definition
		var err error
		if hasKey(item, "tool_type") {
			err = yaml.NodeToValue(item, &d, yaml.Strict())
		} else {
			d, err = flireoNode(item)
		}
		if err != nil {
			return err
		}
		*ts = append(*ts, d)
	}
	return nil
}

func hasKey(n ast.Node, key string) bool {
	pairs, _ := yamlfault.Pairs(n)
	for _, p := range pairs {
		if yamlfault.Key(p) == key {
			return true
		}
	}
	return false
}

func flireoNode(n ast.Node) (tools.Definition, error) {
	b, err := tools.Config{Node: n}.MarshalJSON()
	if err != nil {
		return tools.Definition{}, err
	}
	d, err := readFlireo(b)
	if err != nil {
		return d, &yaml.SyntaxError{Message: err.Error(), Token: n.GetToken()}
	}
	return d, nil
}

// UnmarshalJSON reads either form.
func (ts *AgentTools) UnmarshalJSON(b []byte) error {
	var items []json.RawMessage
	if err := json.Unmarshal(b, &items); err != nil {
		return err
	}
	*ts = nil
	for i, item := range items {
		var keys map[string]json.RawMessage
		if err := json.Unmarshal(item, &keys); err != nil {
			return fmt.Errorf("llm_config.tools[%d]: %w", i, err)
		}
		var d tools.Definition
		var err error
		if keys["tool_type"] != nil {
			err = json.Unmarshal(item, &d)
		} else {
			d, err = readFlireo(item)
		}
		if err != nil {
			return fmt.Errorf("llm_config.tools[%d]: %w", i, err)
		}
		*ts = append(*ts, d)
	}
	return nil
}
