package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/patchcord/patchcord/internal/yamlfault"
	"github.com/patchcord/patchcord/tools"
)

// hsmeta is a file *-hsmeta.json of a workflow action (H-01 to H-20).
type hsmeta struct {
	UID    string   `json:"uid"`
	Type   string   `json:"type"`
	Config hsConfig `json:"config"`
}

type hsConfig struct {
	ActionURL      string              `json:"actionUrl"`
	ToolType       string              `json:"toolType"`
	LLMDescription string              `json:"llmDescription"`
	IsPublished    bool                `json:"isPublished"`
	Clients        []hsClient          `json:"supportedClients"`
	Inputs         []hsInput           `json:"inputFields"`
	Dependencies   []hsDependency      `json:"inputFieldDependencies"`
	Labels         map[string]hsLabels `json:"labels"`
	ObjectTypes    []string            `json:"objectTypes"`
	Outputs        []hsOutput          `json:"outputFields"`
	Rules          []hsRule            `json:"executionRules"`
}

type hsClient struct {
	Client string `json:"client"`
}

type hsInput struct {
	Def        hsField  `json:"typeDefinition"`
	ValueTypes []string `json:"supportedValueTypes"`
	Required   bool     `json:"isRequired"`
}

type hsOutput struct {
	Def hsField `json:"typeDefinition"`
}

type hsField struct {
	Name      string     `json:"name"`
	Type      string     `json:"type"`
	FieldType string     `json:"fieldType"`
	Options   []hsOption `json:"options"`
}

type hsOption struct {
	Value string `json:"value"`
	Label string `json:"label"`
}

type hsDependency struct {
	Type        string   `json:"dependencyType"`
	Controlling string   `json:"controllingFieldName"`
	Value       string   `json:"controllingFieldValue"`
	Dependent   []string `json:"dependentFieldNames"`
}

type hsLabels struct {
	ActionName        string                       `json:"actionName"`
	ActionDescription string                       `json:"actionDescription"`
	AppDisplayName    string                       `json:"appDisplayName"`
	CardContent       string                       `json:"actionCardContent"`
	Inputs            map[string]string            `json:"inputFieldLabels"`
	Descriptions      map[string]string            `json:"inputFieldDescriptions"`
	Options           map[string]map[string]string `json:"inputFieldOptionLabels"`
	Outputs           map[string]string            `json:"outputFieldLabels"`
	Rules             map[string]string            `json:"executionRules"`
}

// hsRule names the label of results that meet its conditions (H-17).
type hsRule struct {
	Label      string                     `json:"labelName"`
	Conditions map[string]json.RawMessage `json:"conditions"`
}

// remark is something wrong in a definition.
type remark struct {
	path, what, do string
	warning        bool
}

// maxInputs is how many input fields an action may have (H-18).
const maxInputs = 26

// readHSMeta reads such a file and tells all that is wrong with it.
func readHSMeta(b []byte) (m hsmeta, out []remark) {
	fault := func(path, what, do string) { out = append(out, remark{path, what, do, false}) }
	warn := func(path, what, do string) { out = append(out, remark{path, what, do, true}) }
	if err := json.Unmarshal(b, &m); err != nil {
		fault("", "cannot be read: "+err.Error(), "write the JSON of a workflow action: uid, type, config")
		return m, out
	}
	for _, k := range unknownKeys(b, &m) {
		warn(k, "this key is not known and is left out", "")
	}
	c := &m.Config
	need := func(path, v, do string) {
		if v == "" {
			fault(path, "missing", do)
		}
	}
	need("uid", m.UID, "write an identifier of its own: it is the function's name")
	if m.Type != "workflow-action" {
		fault("type", fmt.Sprintf("%q", m.Type), "a tool is of the type workflow-action")
	}
	need("config.actionUrl", c.ActionURL, "write the endpoint's URL, https://…")
	if strings.Contains(c.ActionURL, "/_hcms/api/") {
		fault("config.actionUrl", "a serverless function", "the endpoint has to be public and outside the project")
	}
	kinds := []string{"GET_DATA", "GENERATE", "TAKE_ACTION"}
	if !slices.Contains(kinds, c.ToolType) {
		fault("config.toolType", fmt.Sprintf("%q", c.ToolType), yamlfault.Suggest(c.ToolType, kinds))
	}
	need("config.llmDescription", c.LLMDescription,
		"say what the tool does and when to call it: the model knows only this")
	if len(c.Clients) == 0 {
		fault("config.supportedClients", "missing", `write [{"client": "AGENTS"}]`)
	}
	for i, cl := range c.Clients {
		if known := []string{"WORKFLOWS", "AGENTS"}; !slices.Contains(known, cl.Client) {
			fault(fmt.Sprintf("config.supportedClients[%d].client", i), fmt.Sprintf("%q", cl.Client),
				yamlfault.Suggest(cl.Client, known))
		}
	}
	m.checkLabels(fault, warn)
	m.checkInputs(fault, warn)
	return m, out
}

type remarker = func(path, what, do string)

func (m *hsmeta) checkLabels(fault, warn remarker) {
	en, ok := m.Config.Labels["en"]
	if !ok {
		fault("config.labels.en", "missing", "labels are needed in English at least")
		return
	}
	if en.ActionName == "" {
		fault("config.labels.en.actionName", "missing", "write the action's name")
	}
	if en.AppDisplayName == "" { // the platform's own example leaves it out (H-14)
		warn("config.labels.en.appDisplayName", "missing, though it is said to be required", "write the app's name")
	}
	for _, r := range m.Config.Rules {
		if _, ok := en.Rules[r.Label]; !ok {
			warn("config.labels.en.executionRules", fmt.Sprintf("no text for the rule %q", r.Label),
				"write the message of each rule")
		}
	}
}

func (m *hsmeta) checkInputs(fault, warn remarker) {
	c := &m.Config
	if len(c.Inputs) > maxInputs {
		fault("config.inputFields", fmt.Sprintf("%d input fields", len(c.Inputs)), "26 at most: make several tools of it")
	}
	seen := map[string]bool{}
	for i, in := range c.Inputs {
		at := fmt.Sprintf("config.inputFields[%d].typeDefinition", i)
		switch {
		case in.Def.Name == "":
			fault(at+".name", "missing", "write the field's name")
		case seen[in.Def.Name]:
			fault(at+".name", fmt.Sprintf("a second input field %q", in.Def.Name), "rename one of them")
		}
		seen[in.Def.Name] = true
		if _, ok := hsTypes[in.Def.Type]; !ok {
			fault(at+".type", fmt.Sprintf("unknown type %q", in.Def.Type), yamlfault.Suggest(in.Def.Type, sortedKeys(hsTypes)))
		}
		if in.Def.Type == "enumeration" {
			if len(in.Def.Options) == 0 {
				fault(at+".options", "missing", "an enumeration has options of value and label")
			}
			if c.Labels["en"].Options[in.Def.Name] == nil { // as in the platform's own example (H-14)
				warn("config.labels.en.inputFieldOptionLabels."+in.Def.Name,
					"missing, though fields with options are said to need it", "the labels of the options are used")
			}
		}
	}
	for i, d := range c.Dependencies {
		at := fmt.Sprintf("config.inputFieldDependencies[%d]", i)
		if known := []string{"SINGLE_FIELD", "CONDITIONAL_SINGLE_FIELD"}; !slices.Contains(known, d.Type) {
			fault(at+".dependencyType", fmt.Sprintf("unknown dependency %q", d.Type), yamlfault.Suggest(d.Type, known))
		}
		for _, name := range append([]string{d.Controlling}, d.Dependent...) {
			if !seen[name] {
				fault(at, fmt.Sprintf("no input field %q", name), "name fields of inputFields")
			}
		}
	}
}

// hsTypes are the types of fields, in JSON Schema.
var hsTypes = map[string]property{
	"string": {Type: "string"}, "enumeration": {Type: "string"}, "phone_number": {Type: "string"},
	"number": {Type: "number"}, "bool": {Type: "boolean"}, "boolean": {Type: "boolean"},
	"date": {Type: "string", Format: "date"}, "datetime": {Type: "string", Format: "date-time"},
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// schema is what the model is told of the inputs: names, labels, descriptions
// and options, whose values are what is sent (H-10, H-20).
func (m *hsmeta) schema() (tools.Schema, error) {
	en := m.Config.Labels["en"]
	ps := make([]parameter, 0, len(m.Config.Inputs))
	for _, in := range m.Config.Inputs {
		p := hsTypes[in.Def.Type]
		p.Title, p.Description = en.Inputs[in.Def.Name], en.Descriptions[in.Def.Name]
		var says []string
		for _, o := range in.Def.Options {
			p.Enum = append(p.Enum, o.Value)
			label := o.Label
			if l := en.Options[in.Def.Name][o.Value]; l != "" {
				label = l
			}
			if label != "" && label != o.Value {
				says = append(says, o.Value+": "+label)
			}
		}
		if len(says) > 0 {
			p.Description = strings.TrimSpace(p.Description + " (" + strings.Join(says, ", ") + ")")
		}
		if in.Def.FieldType == "checkbox" && p.Enum != nil {
			item := property{Type: p.Type, Enum: p.Enum}
			p.Type, p.Enum, p.Items = "array", nil, &item
		}
		ps = append(ps, parameter{in.Def.Name, p, in.Required})
	}
	more, err := m.dependencies()
	if err != nil {
		return nil, err
	}
	return schemaOf(ps, more...)
}

// dependencies are rules such as "no unit without a number" (H-12).
func (m *hsmeta) dependencies() ([]string, error) {
	if len(m.Config.Dependencies) == 0 {
		return nil, nil
	}
	rules := []any{}
	for _, d := range m.Config.Dependencies {
		need := map[string]any{"required": []string{d.Controlling}}
		if d.Type == "CONDITIONAL_SINGLE_FIELD" {
			need["properties"] = map[string]any{d.Controlling: map[string]any{"const": d.Value}}
		}
		all := map[string]any{}
		for _, name := range d.Dependent {
			all[name] = need
		}
		rules = append(rules, map[string]any{"dependentSchemas": all})
	}
	b, err := compact(rules)
	if err != nil {
		return nil, err
	}
	return []string{`"allOf":` + string(b)}, nil
}

// rule is the message for a result that meets a rule's conditions, "" for none
// (H-17).
func (m *hsmeta) rule(outputs map[string]json.RawMessage) string {
	for _, r := range m.Config.Rules {
		meets := len(r.Conditions) > 0
		for name, want := range r.Conditions {
			var many []json.RawMessage
			if json.Unmarshal(want, &many) != nil {
				many = []json.RawMessage{want}
			}
			meets = meets && slices.ContainsFunc(many, func(v json.RawMessage) bool { return sameJSON(v, outputs[name]) })
		}
		if meets {
			return m.Config.Labels["en"].Rules[r.Label]
		}
	}
	return ""
}

func sameJSON(a, b json.RawMessage) bool {
	var x, y bytes.Buffer
	return json.Compact(&x, a) == nil && json.Compact(&y, b) == nil && x.String() == y.String()
}
