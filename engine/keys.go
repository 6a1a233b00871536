package engine

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/patchcord/patchcord/engine/turn"
	"github.com/patchcord/patchcord/telephony"
)

// pressed hands a key to the machine. A secret one is known to the session
// only: the machine, its journal and the events have a mask in its place
// (conv:D5).
func (s *session) pressed(d telephony.Digit) {
	key := d.Key
	if s.m.Masks(key) {
		s.secret = append(s.secret, key)
		key = turn.KeyMask
	}
	s.event(EventDTMFReceived, F("digit", string(key)), F("source", d.Source))
	s.step(turn.Digit{Key: key})
}

// unmasked is a turn's text with its secret keys, for the model alone.
func (s *session) unmasked(turnNo int, text, keys string, secret bool) string {
	if !secret {
		return text
	}
	known := s.keysOf[turnNo]
	if more := strings.Count(keys, string(turn.KeyMask)) - len(known); more > 0 {
		more = min(more, len(s.secret))
		known, s.secret = append(known, s.secret[:more]...), s.secret[more:]
		s.keysOf[turnNo] = known
	}
	pressed := []byte(keys)
	for i, at := 0, 0; i < len(pressed) && at < len(known); i++ {
		if pressed[i] == turn.KeyMask {
			pressed[i] = known[at]
			at++
		}
	}
	for entry := range strings.SplitSeq(string(pressed), ", ") {
		if len(entry) >= leastSecret && !slices.Contains(s.secrets, entry) {
			s.secrets = append(s.secrets, entry)
		}
	}
	return strings.Replace(text, keys, string(pressed), 1)
}

// leastSecret is how many keys an entry has that is looked for elsewhere: one
// or two are in every other number.
const leastSecret = 3

// scrubbed is a text of the call without the secret keys that the model may
// have put into it: a tool's arguments, an answer.
func (s *session) scrubbed(text string) string {
	for _, k := range s.secrets {
		text = strings.ReplaceAll(text, k, strings.Repeat(string(turn.KeyMask), len(k)))
	}
	return text
}

// scrub is scrubbed for the value of a field.
func (s *session) scrub(v any) any {
	switch v := v.(type) {
	case string:
		return s.scrubbed(v)
	case json.RawMessage:
		if masked := s.scrubbed(string(v)); json.Valid([]byte(masked)) {
			return json.RawMessage(masked)
		}
		return s.scrubbed(string(v)) // a number is none any more
	}
	return v
}

// maskRecording leaves a gap in the recording, and in what others hear who listen
// in, while sensitive keys are collected, where the agent wants one.
func (s *session) maskRecording() {
	k, on := s.m.Collecting()
	gap := on && k.Sensitive && k.RecordingGap
	if s.rec != nil {
		s.rec.Mask(gap)
	}
	s.monitor.mask(gap)
}
