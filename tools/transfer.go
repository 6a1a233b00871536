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
	Mode     string `yaml:"transfer_mode"`   // cold (default): at once; warm: the agent stays on the line
	Music    bool   `yaml:"play_hold_music"` // while it is under way; false: it rings
	Briefing string `yaml:"briefing"`        // of a warm one: what whoever answers is told; "" for a summary of the call

	Number       string       `yaml:"phone_number"`
	Timeout      float64      `yaml:"timeout_seconds"` // how long it rings, 5 to 120 s; default 30
	Message      string       `yaml:"message"`         // said before it, "" for nothing
	Destinations []destConfig `yaml:"destinations"`
	Accept       string       `yaml:"accept"` // of a warm one: how whoever answers takes the call, as Accept; default any
	// OnHangup is what becomes of the caller when the other party hangs up: end
	// (default), or return to the agent.
	OnHangup  string `yaml:"on_target_hangup"`
	ReturnKey string `yaml:"return_key"` // lets the agent step back in: either of the two presses it
	Trunk     string `yaml:"trunk"`      // that a number is dialled at; default the caller's
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
	Number        string       `yaml:"phone_number"`
	Timeout       float64      `yaml:"timeout_seconds"` // default 20
	Message       string       `yaml:"message"`         // said when somebody is there
	Destinations  []destConfig `yaml:"destinations"`
	Accept        string       `yaml:"accept"`           // default none: it is told by ear that a person answers
	OnHangup      string       `yaml:"on_target_hangup"` // default return
	ReturnKey     string       `yaml:"return_key"`
	ReturnPhrases []string     `yaml:"return_phrases"` // words of either that let the agent step back in
	Trunk         string       `yaml:"trunk"`
}

// TransferKind is how a caller is handed over.
type TransferKind string

// The kinds.
const (
	Cold      TransferKind = "cold"      // sent there, and left
	Warm      TransferKind = "warm"      // whoever answers is told of the call first, and may decline it
	Monitored TransferKind = "monitored" // the agent stays with the caller until somebody is there, and listens then
)

// Accept is how whoever answers takes a transferred call.
type Accept string

// The ways to accept.
const (
	AcceptNone  Accept = "none"
	AcceptKey   Accept = "key"
	AcceptVoice Accept = "voice"
	AcceptAny   Accept = "any"
)

// Transfer is where a caller is to be taken, and how.
type Transfer struct {
	Kind          TransferKind
	To            string        // E.164, or a SIP URI
	Trunk         string        // that a number is dialled at, "" for the caller's
	Message       string        // said before it, placeholders still in it
	Music         bool          // while it is under way; else it rings
	Timeout       time.Duration // how long it rings
	Accept        Accept
	Briefing      string // of a warm one, placeholders still in it; "" for a summary of the call
	Returns       bool   // the caller comes back when the other party hangs up
	ReturnKey     string // … and when either presses this key, "" for none
	ReturnPhrases []string
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
		Kind: TransferKind(cmp.Or(cfg.Mode, "cold")), Music: cfg.Music, Briefing: cfg.Briefing,
		Timeout: ring(cfg.Timeout, 30),
	}
	if t.Kind == Cold && cfg.Briefing != "" {
		fs.add(d.Config.at("briefing"), "config.briefing", "nobody is briefed by a cold transfer",
			"write transfer_mode: warm")
	}
	if _, err := parseTemplate(cfg.Briefing); err != nil {
		fs.add(d.Config.at("briefing"), "config.briefing", err.Error(), "")
	}
	return newTransferTool(d, deps, t, monitoredConfig{
		Number: cfg.Number, Timeout: cfg.Timeout, Message: cfg.Message, Destinations: cfg.Destinations, Accept: cfg.Accept,
		OnHangup: cfg.OnHangup, ReturnKey: cfg.ReturnKey, Trunk: cfg.Trunk,
	}, fs)
}

func newMonitoredTransfer(d *Definition, deps Deps) (Tool, Faults) {
	cfg := monitoredConfig{}
	if fs := d.Config.Decode(&cfg); fs != nil {
		return nil, fs
	}
	return newTransferTool(d, deps, Transfer{Kind: Monitored, Timeout: ring(cfg.Timeout, 20)}, cfg, nil)
}

// Announcements are what a tool that hands the caller over says first, each a
// template; nil: it hands nobody over.
func (d *Definition) Announcements() []string {
	var c monitoredConfig
	switch d.Type {
	case TransferCall:
		var t transferConfig
		_ = d.Config.Decode(&t) // its faults were told when the tool was made
		c.Message, c.Destinations = t.Message, t.Destinations
	case MonitoredTransfer:
		_ = d.Config.Decode(&c) // its faults were told when the tool was made
	default:
		return nil
	}
	out := []string{c.Message}
	for _, to := range c.Destinations {
		out = append(out, to.Message)
	}
	return out
}

func ring(secs, otherwise float64) time.Duration {
	return time.Duration(cmp.Or(secs, otherwise) * float64(time.Second))
}

// newTransferTool checks where it leads: every destination is known beforehand, so
// that none can be talked into (SEC-5).
func newTransferTool(d *Definition, deps Deps, t Transfer, c monitoredConfig, fs Faults) (Tool, Faults) {
	x := &TransferTool{base: base{def: d}, mayDial: deps.MayDial}
	t.To, t.Message, t.Trunk, t.ReturnKey, t.ReturnPhrases = c.Number, c.Message, c.Trunk, c.ReturnKey, c.ReturnPhrases
	fs = t.take(d, c, fs)
	ds := c.Destinations
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

// take reads how the caller is handed over and comes back.
func (t *Transfer) take(d *Definition, c monitoredConfig, fs Faults) Faults {
	if s := c.Timeout; s != 0 && !(s >= 5 && s <= 120) { // nor .nan
		fs.add(d.Config.at("timeout_seconds"), "config.timeout_seconds", fmt.Sprintf("%g s", s), "5 to 120 seconds")
	}
	one := func(key, value string, known ...string) {
		if value != "" && !slices.Contains(known, value) {
			fs.add(d.Config.at(key), "config."+key, fmt.Sprintf("%q is not known", value), yamlfault.Suggest(value, known))
		}
	}
	one("accept", c.Accept, string(AcceptNone), string(AcceptKey), string(AcceptVoice), string(AcceptAny))
	one("on_target_hangup", c.OnHangup, "return", "end")
	t.Accept, t.Returns = Accept(c.Accept), c.OnHangup == "return"
	switch t.Kind {
	case Cold:
		if t.Accept != "" && t.Accept != AcceptNone {
			fs.add(d.Config.at("accept"), "config.accept", "nobody is asked by a cold transfer", "write transfer_mode: warm")
		}
		t.Accept = AcceptNone
	case Warm:
		t.Accept = cmp.Or(t.Accept, AcceptAny)
	case Monitored:
		t.Accept, t.Returns = cmp.Or(t.Accept, AcceptNone), c.OnHangup != "end"
	}
	if k := c.ReturnKey; k != "" && (len(k) != 1 || !strings.Contains("0123456789*#ABCD", k)) {
		fs.add(d.Config.at("return_key"), "config.return_key", fmt.Sprintf("%q is no key", k), "write one of 0 to 9, * and #")
	}
	return fs
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
