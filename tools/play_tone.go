package tools

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// toneConfig is what play_tone is configured with (T-14).
type toneConfig struct {
	Type     string   `yaml:"tone_type"`  // dtmf
	Digit    string   `yaml:"dtmf_digit"` // "": the model says which
	Duration float64  `yaml:"duration"`   // of each key, ms, default 500
	Volume   *float64 `yaml:"volume"`     // 0 to 1, default 0.8
}

// Press are keys to be sent.
type Press struct {
	Keys     string
	Duration time.Duration // of each
	Volume   float64       // 0 to 1
}

// playTone presses keys for a phone menu.
type playTone struct {
	base
	press Press // no Keys: the model says which
}

const (
	dtmfKeys   = "0123456789*#ABCD"
	mostKeys   = 32
	shortest   = 40.0   // ms, ITU-T Q.24
	longestKey = 8000.0 // ms
)

func newPlayTone(d *Definition, _ Deps) (Tool, Faults) {
	var cfg toneConfig
	if fs := d.Config.Decode(&cfg); fs != nil {
		return nil, fs
	}
	var fs Faults
	add := func(key, what, do string) { fs.add(d.Config.at(key), "config."+key, what, do) }
	if cfg.Type != "" && cfg.Type != "dtmf" {
		add("tone_type", fmt.Sprintf("unknown tone %q", cfg.Type), "write dtmf")
	}
	cfg.Digit = strings.ToUpper(cfg.Digit)
	if strings.Trim(cfg.Digit, dtmfKeys) != "" || len(cfg.Digit) > mostKeys {
		add("dtmf_digit", fmt.Sprintf("%q is no key", cfg.Digit), "0 to 9, *, #, A to D, 32 at most")
	}
	if ms := cfg.Duration; ms != 0 && !(ms >= shortest && ms <= longestKey) { // nor .nan
		add("duration", fmt.Sprintf("%g ms", ms), "40 to 8000 milliseconds")
	}
	volume := 0.8
	if cfg.Volume != nil {
		volume = *cfg.Volume
	}
	if !(volume > 0 && volume <= 1) {
		add("volume", fmt.Sprint(volume), "above 0, and 1 at most")
	}
	t := &playTone{base{def: d}, Press{
		Keys: cfg.Digit, Volume: volume,
		Duration: time.Duration(cmp.Or(cfg.Duration, 500) * float64(time.Millisecond)),
	}}
	var err error
	if cfg.Digit == "" {
		t.args, err = compileSchema(Schema(`{"type":"object","properties":{"digits":{"type":"string",` +
			`"description":"the keys to press, 0 to 9, * and #","pattern":"^[0-9*#A-Da-d]{1,32}$"}},"required":["digits"]}`))
	} else {
		t.args, err = compileSchema(nil)
	}
	if err != nil {
		fs.add(nil, "parameters", err.Error(), "")
	}
	if d.TimeoutSecs == 0 { // as long as the keys take
		n := max(len(cfg.Digit), 1)
		if cfg.Digit == "" {
			n = mostKeys
		}
		d.TimeoutSecs = min(60, 5+float64(n)*(t.press.Duration.Seconds()+0.1))
	}
	return t, fs
}

// take keeps the schema that the tool has of its own.
func (t *playTone) take(*schema) {}

func (t *playTone) Run(ctx context.Context, c Call) Result {
	p := t.press
	if p.Keys == "" {
		var in struct {
			Digits string `json:"digits"`
		}
		if json.Unmarshal(c.Args, &in) != nil {
			return ErrorResult(Refused, "invalid_arguments", "")
		}
		p.Keys = strings.ToUpper(in.Digits)
	}
	if c.Env.Press == nil {
		return ErrorResult(Failed, "no_call", "keys are pressed in a call only")
	}
	start := time.Now()
	switch err := c.Env.Press(ctx, p); {
	case err != nil && ctx.Err() != nil:
		return ErrorResult(Cancelled, "cancelled", "")
	case err != nil:
		r := ErrorResult(Failed, "not_sent", "the keys could not be sent")
		r.Err = "not_sent: " + err.Error()
		return r
	}
	return Result{JSON: json.RawMessage(`{"status":"sent"}`), Status: OK, Took: time.Since(start)}
}
