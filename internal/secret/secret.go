// Package secret is a text that no log, error, dump or answer may show: keys,
// passwords, tokens (SEC-10).
//
// It guarantees that a Text prints as [redacted] by every verb, and in JSON,
// YAML and zap too. Reveal gives the value to the one place that sends it. As a
// map's key it is none: encoding/json writes keys that are strings as they are.
package secret

import (
	"fmt"
	"io"
)

// redacted is what every way of printing a secret gives.
const redacted = "[redacted]"

// Text is a secret; "" is none.
type Text string

// Reveal is the value itself.
func (t Text) Reveal() string { return string(t) }

// String is "[redacted]", or "" where nothing is set.
func (t Text) String() string {
	if t == "" {
		return ""
	}
	return redacted
}

// GoString is what %#v prints.
func (t Text) GoString() string { return `"` + t.String() + `"` }

// Format prints the same for every verb, %x and %d too.
func (t Text) Format(f fmt.State, verb rune) {
	out := t.String()
	if verb == 'q' || verb == 'v' && f.Flag('#') {
		out = t.GoString()
	}
	_, _ = io.WriteString(f, out)
}

// MarshalText redacts for encoders that take text.
func (t Text) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// MarshalJSON redacts.
func (t Text) MarshalJSON() ([]byte, error) { return []byte(t.GoString()), nil }

// MarshalYAML redacts.
func (t Text) MarshalYAML() (any, error) { return t.String(), nil }
