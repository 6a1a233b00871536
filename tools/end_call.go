package tools

import (
	"context"
	"encoding/json"
)

// endConfig is what end_call is configured with (T-12).
type endConfig struct {
	Goodbye string `yaml:"goodbye_message"`
}

// endCall tells the engine to end the call: the result only acknowledges it.
// The goodbye is spoken to its last sample by the engine, then it hangs up.
type endCall struct {
	base
	goodbye string
}

func newEndCall(d *Definition, _ Deps) (Tool, Faults) {
	var cfg endConfig
	if fs := d.Config.Decode(&cfg); fs != nil {
		return nil, fs
	}
	var fs Faults
	if _, err := parseTemplate(cfg.Goodbye); err != nil {
		fs.add(d.Config.at("goodbye_message"), "config.goodbye_message", err.Error(), "")
	}
	return &endCall{base: base{def: d}, goodbye: cfg.Goodbye}, fs
}

func (t *endCall) Run(context.Context, Call) Result {
	return Result{JSON: json.RawMessage(`{"status":"ending"}`), Status: OK}
}

// Goodbye is the sentence that an end_call tool ends with, "" for none: the
// model says goodbye itself, or the engine its own phrase. Any other tool has
// none.
func Goodbye(t Tool, e Env) string {
	if ec, ok := t.(*endCall); ok {
		return Sentence(ec.goodbye, e)
	}
	return ""
}
