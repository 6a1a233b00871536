package tools

import (
	"context"
	"encoding/json"
	"strings"
)

// doNotCall has the other party's number put where nobody calls it any more.
type doNotCall struct{ base }

const doNotCallText = "Marks the caller as do-not-call, for every campaign and at once, and returns whether it " +
	"is done. " +
	"Call this IMMEDIATELY when they ask not to be called again, to be taken off the list, or to be left alone; " +
	"confirm it to them after it has returned, and say goodbye."

func newDoNotCall(d *Definition, _ Deps) (Tool, Faults) {
	var cfg struct{}
	if fs := d.Config.Decode(&cfg); fs != nil {
		return nil, fs
	}
	var fs Faults
	if len(d.Parameters) > 0 && string(d.Parameters) != "null" && string(d.Parameters) != "{}" {
		fs.add(nil, "parameters", string(DoNotCall)+" has arguments of its own", "leave them out")
		return nil, fs
	}
	t := &doNotCall{base: base{def: d}}
	fs = t.own(`{"type":"object","properties":{
		"reason":{"type":"string","description":"what they said, in a few words"}}}`)
	return t, fs
}

// take keeps the schema that the tool has of its own.
func (t *doNotCall) take(*schema) {}

func (t *doNotCall) Run(ctx context.Context, c Call) Result {
	if c.Env.DoNotCall == nil {
		return ErrorResult(Refused, "no_call", "this marks the other party of a phone call, and there is none")
	}
	var in struct {
		Reason string `json:"reason"`
	}
	if json.Unmarshal(c.Args, &in) != nil {
		return ErrorResult(Refused, "invalid_arguments", "")
	}
	ctx, cancel := context.WithTimeout(ctx, t.def.Timeout())
	defer cancel()
	if err := c.Env.DoNotCall(ctx, strings.TrimSpace(in.Reason)); err != nil {
		return ErrorResult(Failed, "not_marked", err.Error())
	}
	return Result{JSON: json.RawMessage(`{"status":"marked","message":"they will not be called again"}`), Status: OK}
}

// own gives a built-in the arguments that it has of its own.
func (b *base) own(s string) (fs Faults) {
	var err error
	if b.args, err = compileSchema(Schema(s)); err != nil {
		fs.add(nil, "parameters", err.Error(), "")
	}
	return fs
}
