package tools

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/patchcord/patchcord/internal/yamlfault"
	"github.com/patchcord/patchcord/tools/written"
)

// extractConfig is what extract_variable is configured with (T-13).
type extractConfig struct {
	Variable string `yaml:"variable_name"`
	Kind     string `yaml:"variable_type"` // default custom
	Prompt   string `yaml:"prompt_text"`   // what the agent asks
	Example  string `yaml:"example_format"`
	Confirm  bool   `yaml:"confirmation_enabled"`
	Region   string `yaml:"region"` // ISO 3166, of telephone numbers without a country code
}

// Extraction is a tool that notes what the caller said. The engine carries it
// out: what counts as confirmed depends on what was heard.
type Extraction struct {
	base
	Variable string
	Kind     written.Kind
	Confirm  bool // it is read back, and the caller says whether it is right
	region   string
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}$`)

func newExtraction(d *Definition, _ Deps) (Tool, Faults) {
	cfg := extractConfig{}
	if fs := d.Config.Decode(&cfg); fs != nil {
		return nil, fs
	}
	var fs Faults
	add := func(key, what, do string) { fs.add(d.Config.at(key), "config."+key, what, do) }
	switch {
	case cfg.Variable == "":
		add("variable_name", "missing", "write the variable's name, such as email")
	case !variableName.MatchString(cfg.Variable):
		add("variable_name", fmt.Sprintf("%q is no name of a variable", cfg.Variable),
			"letters, digits and _ only, no digit first")
	case slices.Contains(everyCall, cfg.Variable) || cfg.Variable == "secret" || cfg.Variable == "collected":
		add("variable_name", cfg.Variable+" is what the call itself knows", "give the variable another name")
	}
	kind := written.Kind(cmp.Or(cfg.Kind, string(written.Custom)))
	if !slices.Contains(written.Kinds(), kind) {
		var names []string
		for _, k := range written.Kinds() {
			names = append(names, string(k))
		}
		add("variable_type", fmt.Sprintf("unknown type %q", cfg.Kind), yamlfault.Suggest(cfg.Kind, names))
	}
	if cfg.Region != "" && len(cfg.Region) != 2 {
		add("region", fmt.Sprintf("%q is no country", cfg.Region), "write two letters, such as FR")
	}
	if len(d.Parameters) > 0 && string(d.Parameters) != "null" && string(d.Parameters) != "{}" {
		fs.add(nil, "parameters", "extract_variable has arguments of its own", "leave them out")
	}
	if fs.Err() != nil {
		return nil, fs
	}
	x := &Extraction{base: base{def: d}, Variable: cfg.Variable, Kind: kind, Confirm: cfg.Confirm, region: cfg.Region}
	x.describe(&cfg)
	text, err := marshal(x.parameters(&cfg))
	if err == nil {
		x.args, err = compileSchema(Schema(text))
	}
	if err != nil {
		fs.add(nil, "parameters", err.Error(), "")
	}
	return x, fs
}

// variableOf is the variable that a configuration names.
func variableOf(c Config) (string, bool) {
	n := c.at("variable_name")
	if n == nil || n == c.Node {
		return "", false
	}
	v := n.GetToken().Value
	return v, variableName.MatchString(v)
}

// take keeps the schema that the tool has of its own.
func (x *Extraction) take(*schema) {}

// describe tells the model what to ask and when to call.
func (x *Extraction) describe(cfg *extractConfig) {
	var b strings.Builder
	b.WriteString(strings.TrimSpace(x.def.Description))
	if b.Len() == 0 || x.def.Description == kinds()[ExtractVariable].description {
		b.Reset()
		fmt.Fprintf(&b, "Notes the caller's %s. Call this as soon as they have said it, and again when they correct it.",
			x.Variable)
	}
	if cfg.Prompt != "" {
		fmt.Fprintf(&b, " Ask for it with: %q", cfg.Prompt)
	}
	if x.Confirm {
		b.WriteString(" When the answer holds read_back, say that to the caller and ask whether it is right; call this " +
			"again with confirmed true only after they said yes.")
	}
	if b.Len() <= 4000 {
		x.def.Description = b.String()
	}
}

func (x *Extraction) parameters(cfg *extractConfig) any {
	type property struct {
		Type        string `json:"type"`
		Description string `json:"description"`
	}
	value := "what the caller said, in their words or written out"
	if cfg.Example != "" {
		value += ", for example " + cfg.Example
	}
	return struct {
		Type       string `json:"type"`
		Properties struct {
			Value     property `json:"value"`
			Confirmed property `json:"confirmed"`
		} `json:"properties"`
		Required   []string `json:"required"`
		Additional bool     `json:"additionalProperties"`
	}{
		Type: "object",
		Properties: struct {
			Value     property `json:"value"`
			Confirmed property `json:"confirmed"`
		}{
			Value:     property{"string", value},
			Confirmed: property{"boolean", "true once the value was read back and the caller said that it is right, else false"},
		},
		Required: []string{"value"},
	}
}

// Run reads a value where there is no call to confirm it in.
func (x *Extraction) Run(_ context.Context, c Call) Result {
	r, _ := x.Take(c.Args, &ReadBacks{}, Known{}, c.Env, time.Now())
	return r
}

// Noted is a variable that is to be set.
type Noted struct {
	Name      string
	Value     any
	Text      string
	Kind      written.Kind
	Confirmed bool
	GivenUp   bool // it was read back as often as may be, and is not asked for any more
}

// Known is what was noted before, by the variables' names.
type Known map[string]Noted

// Take decides on one call: the value is read, normalised and noted, nil where
// it cannot be; it is confirmed only when the caller has spoken after they heard
// it read back. A changed value begins anew; one that was read back max_read_backs
// times is noted as it is, and given up.
func (x *Extraction) Take(args json.RawMessage, told *ReadBacks, known Known, e Env, now time.Time) (Result, *Noted) {
	var in struct {
		Value     string `json:"value"`
		Confirmed bool   `json:"confirmed"`
	}
	if json.Unmarshal(args, &in) != nil {
		return ErrorResult(Refused, "invalid_arguments", ""), nil
	}
	o := e.Written(now)
	o.Region = cmp.Or(x.region, o.Region)
	v, err := written.Parse(x.Kind, in.Value, o)
	if err != nil {
		return ErrorResult(Refused, "invalid_value", err.Error()), nil
	}
	n := &Noted{Name: x.Variable, Value: v.Typed, Text: v.Text, Kind: x.Kind}
	out := struct {
		Value     any    `json:"value"`
		Confirmed bool   `json:"confirmed"`
		ReadBack  string `json:"read_back,omitempty"`
		GivenUp   bool   `json:"given_up,omitempty"`
		Message   string `json:"message,omitempty"`
	}{Value: v.Typed}
	if x.Confirm {
		key := "variable " + x.Variable
		same := known[x.Variable].Text == v.Text
		switch state := told.state(key, []written.Value{v}); {
		case same && known[x.Variable].Confirmed: // told twice
			n.Confirmed = true
		case in.Confirmed && state == agreed:
			n.Confirmed = true
			told.done(key)
		case told.saidYes(key, []written.Value{v}): // only the model has not told so
			out.Message = "not confirmed: the caller has said yes to it, do not ask again; call this again with confirmed: true"
		case !told.begin(key, []written.Value{v}, x.def.ReadBacks()):
			n.GivenUp, out.GivenUp, out.Message = true, true, "not confirmed: "+askNoMore
		default:
			out.ReadBack = v.ReadBack
			if in.Confirmed {
				out.Message = notConfirmed[state]
			}
		}
	}
	out.Confirmed = n.Confirmed
	b, err := marshal(out)
	if err != nil {
		return ErrorResult(Refused, "internal", ""), nil
	}
	return Result{JSON: b, Status: OK}, n
}

// askNoMore is what a model does about what the caller does not agree to.
const askNoMore = "it was asked for often enough, do not ask again; go on without it, and offer that somebody " +
	"will check it"

// notConfirmed says why a confirmation is not taken.
var notConfirmed = map[state]string{
	unread:     "not confirmed: the caller has not heard this value yet, say read_back and ask whether it is right",
	unheard:    "not confirmed: the caller has not heard read_back yet, say it and ask whether it is right",
	unanswered: "not confirmed: the caller has not answered since they heard it, wait for their yes",
	denied:     "not confirmed: the caller did not say that it is right, ask what is and note that",
}
