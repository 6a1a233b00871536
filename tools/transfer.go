package tools

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/patchcord/patchcord/internal/yamlfault"
)

// transferConfig is what transfer_call is configured with: one number (T-10), or
// several destinations that the model chooses from (F-09).
type transferConfig struct {
	Number       string       `yaml:"phone_number"`
	Mode         string       `yaml:"transfer_mode"`   // cold (default): at once; warm: the agent stays on the line
	Music        bool         `yaml:"play_hold_music"` // while it is under way
	Timeout      float64      `yaml:"timeout_seconds"` // how long it rings, 5 to 120 s; default 30
	Message      string       `yaml:"message"`         // said before it, "" for nothing
	Destinations []destConfig `yaml:"destinations"`
}

type destConfig struct {
	Type        string `yaml:"type"` // number (default) or sip
	Name        string `yaml:"name"` // what the model calls it, default the number
	Number      string `yaml:"number"`
	Description string `yaml:"description"` // when it is the one
	Message     string `yaml:"message"`     // said before it
}

// monitoredConfig is what monitored_transfer is configured with (T-11).
type monitoredConfig struct {
	Number       string       `yaml:"phone_number"`
	Timeout      float64      `yaml:"timeout_seconds"` // default 20
	Message      string       `yaml:"message"`
	Destinations []destConfig `yaml:"destinations"`
}

// Transfer is where a caller is to be taken, and how.
type Transfer struct {
	To        string // E.164, or a SIP URI
	Message   string // said before it, placeholders still in it
	Warm      bool   // the agent stays on the line until somebody is there
	Monitored bool   // … and watches over the attempt
	Music     bool
	Timeout   time.Duration // how long it rings
}

// TransferTool is a tool that hands the caller over: the engine does that, after
// its gates and the one for dialling.
type TransferTool struct {
	base
	to      []Transfer
	names   []string // by which the model chooses, in their order
	mayDial func(to string) error
}

func newTransferCall(d *Definition, deps Deps) (Tool, Faults) {
	cfg := transferConfig{}
	if fs := d.Config.Decode(&cfg); fs != nil {
		return nil, fs
	}
	var fs Faults
	if m := cfg.Mode; m != "" && m != "cold" && m != "warm" {
		fs.add(d.Config.at("transfer_mode"), "config.transfer_mode", fmt.Sprintf("unknown mode %q", m),
			yamlfault.Suggest(m, []string{"cold", "warm"}))
	}
	t := Transfer{
		To: cfg.Number, Message: cfg.Message, Warm: cfg.Mode == "warm", Music: cfg.Music, Timeout: ring(cfg.Timeout, 30),
	}
	return newTransferTool(d, deps, t, cfg.Destinations, cfg.Timeout, fs)
}

func newMonitoredTransfer(d *Definition, deps Deps) (Tool, Faults) {
	cfg := monitoredConfig{}
	if fs := d.Config.Decode(&cfg); fs != nil {
		return nil, fs
	}
	t := Transfer{To: cfg.Number, Message: cfg.Message, Warm: true, Monitored: true, Timeout: ring(cfg.Timeout, 20)}
	return newTransferTool(d, deps, t, cfg.Destinations, cfg.Timeout, nil)
}

func ring(secs, otherwise float64) time.Duration {
	return time.Duration(cmp.Or(secs, otherwise) * float64(time.Second))
}

// newTransferTool checks where it leads: every destination is known beforehand, so
// that none can be talked into (SEC-5).
func newTransferTool(d *Definition, deps Deps, t Transfer, ds []destConfig, secs float64, fs Faults) (Tool, Faults) {
	x := &TransferTool{base: base{def: d}, mayDial: deps.MayDial}
	if secs != 0 && !(secs >= 5 && secs <= 120) { // nor .nan
		fs.add(d.Config.at("timeout_seconds"), "config.timeout_seconds", fmt.Sprintf("%g s", secs), "5 to 120 seconds")
	}
	switch {
	case t.To == "" && len(ds) == 0:
		fs.add(d.Config.Node, "config.phone_number", "missing", "write the number to transfer to, +49…, or destinations")
	case t.To != "" && len(ds) > 0:
		fs.add(d.Config.at("phone_number"), "config.phone_number", "a number beside destinations", "make it one of them")
	}
	if t.To != "" {
		x.add(&fs, t, "", "phone_number", d.Config)
	}
	var about []string
	for i, c := range ds {
		one := t
		one.To, one.Message = c.Number, cmp.Or(c.Message, t.Message)
		path := fmt.Sprintf("destinations[%d]", i)
		if c.Type != "" && c.Type != "number" && c.Type != "sip" {
			fs.add(d.Config.at("destinations", i, "type"), "config."+path+".type", fmt.Sprintf("unknown type %q", c.Type),
				yamlfault.Suggest(c.Type, []string{"number", "sip"}))
		}
		name := cmp.Or(c.Name, c.Number)
		if slices.Contains(x.names, name) {
			fs.add(d.Config.at("destinations", i), "config."+path, "a second destination "+name, "give each a name of its own")
		}
		x.add(&fs, one, name, path+".number", d.Config)
		about = append(about, strings.TrimSuffix(name+": "+c.Description, ": "))
	}
	for _, one := range x.to {
		if _, err := parseTemplate(one.Message); err != nil {
			fs.add(d.Config.at("message"), "config.message", err.Error(), "")
		}
	}
	var err error
	if x.args, err = compileSchema(x.parameters(about)); err != nil {
		fs.add(nil, "parameters", err.Error(), "")
	}
	return x, fs
}

// add takes a destination that can be one.
func (x *TransferTool) add(fs *Faults, t Transfer, name, path string, c Config) {
	at := c.at("phone_number")
	if name != "" {
		at = c.at("destinations", len(x.to), "number")
	}
	number := strings.NewReplacer(" ", "", "-", "", "(", "", ")", "").Replace(t.To)
	sip := strings.HasPrefix(strings.ToLower(t.To), "sip:")
	switch {
	case sip:
	case len(number) > 3 && number[0] == '+' && strings.Trim(number[1:], "0123456789") == "" && len(number) <= 16:
		t.To = number
	default:
		fs.add(at, "config."+path, fmt.Sprintf("%q is no number in international form", t.To),
			"write +, the country code and the number, such as +4930999888, or a SIP URI")
		return
	}
	if x.mayDial != nil {
		if err := x.mayDial(t.To); err != nil {
			f := fs.add(at, "config."+path, err.Error(), "calls to it are refused until dialing.allow lets them pass")
			f.Warning = true
		}
	}
	x.to, x.names = append(x.to, t), append(x.names, name)
}

// parameters let the model choose among what there is, and nothing else (F-09).
func (x *TransferTool) parameters(about []string) Schema {
	if len(x.to) == 0 || x.names[0] == "" {
		return nil
	}
	b, err := marshal(map[string]any{
		"type": "object", "required": []string{"destination"},
		"properties": map[string]any{"destination": map[string]any{
			"type": "string", "enum": x.names, "description": strings.Join(about, "; "),
		}},
	})
	if err != nil {
		return nil
	}
	return Schema(b)
}

// take keeps the schema that the tool has of its own.
func (x *TransferTool) take(*schema) {}

// Chosen is where a call of the tool leads; refused tells the model why that
// may not be dialled.
func (x *TransferTool) Chosen(args json.RawMessage) (t Transfer, refused Result, ok bool) {
	var in struct {
		Destination string `json:"destination"`
	}
	if json.Unmarshal(args, &in) != nil {
		return t, ErrorResult(Refused, "invalid_arguments", ""), false
	}
	i := slices.Index(x.names, in.Destination)
	if i < 0 {
		return t, ErrorResult(Refused, "unknown_destination", "choose one of: "+strings.Join(x.names, ", ")), false
	}
	t = x.to[i]
	err := errNoGate
	if x.mayDial != nil {
		err = x.mayDial(t.To)
	}
	if err != nil {
		r := ErrorResult(Refused, "not_allowed", "this number may not be called from here: tell the caller that they "+
			"cannot be transferred, and help them yourself")
		r.Err = "not_allowed: " + err.Error()
		return t, r, false
	}
	return t, Result{}, true
}

var errNoGate = fmt.Errorf("nothing may be dialled here")

// Run tells that outside a phone call nobody can be handed over.
func (x *TransferTool) Run(context.Context, Call) Result {
	return ErrorResult(Failed, "no_call", "a transfer needs a phone call")
}
