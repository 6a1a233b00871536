// Package replay keeps every input of a call's decisions and runs them again:
// the journal of a call is what its turn machine was told, when, and what it
// answered.
//
// A journal is a file of JSON lines. The first names the call and the policy
// its machine went by, each other one is a step, at nanoseconds since the
// call's start:
//
//	{"journal":1,"call_id":"…","agent":"support","started":"…","policy":{…}}
//	{"at":1250000000,"event":"Final","data":{"Text":"stop",…},"effects":[{"Cancel":{…}}]}
//	{"steps":412,"lost":0}
//
// [Run] tells the same events to a new machine at the same times and compares
// its effects with the recorded ones, byte for byte: a call that went wrong is
// a test of the next version. Nothing of a tool's request is in it but the
// sentence that it made us say.
package replay

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/patchcord/patchcord/engine/turn"
)

// version of the format.
const version = 1

// longest is longer than any call: times beyond it are of no journal of ours,
// and sums of them would not be times any more.
const longest = 30 * 24 * time.Hour

// Header is the first line of a journal.
type Header struct {
	Journal int       `json:"journal"` // version of the format, set by New
	CallID  string    `json:"call_id"`
	Agent   string    `json:"agent"`
	Started time.Time `json:"started"`
	// Policy is every field of the machine's policy by its Go name: those that
	// an agent's file does not have are in it too.
	Policy map[string]json.RawMessage `json:"policy"`
}

// step is one line.
type step struct {
	At      time.Duration     `json:"at"` // since the call's start, ns
	Event   string            `json:"event"`
	Data    json.RawMessage   `json:"data,omitempty"`
	Effects []json.RawMessage `json:"effects,omitempty"`
}

// trailer is the last line: a journal without one was cut off.
type trailer struct {
	Steps int `json:"steps"`
	Lost  int `json:"lost"` // steps that the disk did not take in time
}

// none is an event or effect without fields.
var none = []byte("{}")

// encode is one step as a line.
func encode(at time.Duration, ev turn.Event, effects []turn.Effect) ([]byte, error) {
	data, err := json.Marshal(ev)
	if err != nil {
		return nil, fmt.Errorf("event %s: %w", turn.NameOf(ev), err)
	}
	s := step{At: at, Event: turn.NameOf(ev)}
	if !bytes.Equal(data, none) {
		s.Data = data
	}
	if s.Effects, err = encodeEffects(effects); err != nil {
		return nil, err
	}
	return json.Marshal(s)
}

func encodeEffects(effects []turn.Effect) ([]json.RawMessage, error) {
	out := make([]json.RawMessage, 0, len(effects))
	for _, e := range effects {
		b, err := json.Marshal(map[string]turn.Effect{turn.NameOf(e): e})
		if err != nil {
			return nil, fmt.Errorf("effect %s: %w", turn.NameOf(e), err)
		}
		out = append(out, b)
	}
	return out, nil
}

// decode is the event of a step.
func (s *step) decode() (turn.Event, error) {
	data := s.Data
	if len(data) == 0 {
		data = none
	}
	return turn.DecodeEvent(s.Event, data)
}

// encodePolicy is every field of a policy by its Go name.
func encodePolicy(p *turn.Policy) (map[string]json.RawMessage, error) {
	out := map[string]json.RawMessage{}
	v := reflect.ValueOf(p).Elem()
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if v.Field(i).IsZero() {
			continue
		}
		b, err := json.Marshal(v.Field(i).Interface())
		if err != nil {
			return nil, fmt.Errorf("policy field %s: %w", f.Name, err)
		}
		out[f.Name] = b
	}
	return out, nil
}

func (h *Header) policy() (turn.Policy, error) {
	var p turn.Policy
	v := reflect.ValueOf(&p).Elem()
	for field, b := range h.Policy {
		f := v.FieldByName(field)
		if !f.IsValid() || !f.CanSet() {
			return p, fmt.Errorf("the policy has no field %q: the journal is of another version", field)
		}
		if err := json.Unmarshal(b, f.Addr().Interface()); err != nil {
			return p, fmt.Errorf("policy field %s: %w", field, err)
		}
		if d, is := f.Interface().(time.Duration); is && d > longest {
			return p, fmt.Errorf("policy field %s: %v is longer than any call", field, d)
		}
	}
	return p, nil
}
