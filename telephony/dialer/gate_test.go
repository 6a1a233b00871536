package dialer

import (
	"errors"
	"testing"
)

func TestGate(t *testing.T) {
	t.Parallel()
	g := Gate{
		Allow: []string{"+49", "+1", "sip:127.0.0.1", "sip:PBX.example", "sip:[2001:db8::1]"},
		Deny:  []string{"+881", "+1900"}, Country: "DE",
	}
	for to, allowed := range map[string]bool{
		"+4930123456":                         true,
		"0049 30 123456":                      true,
		"030 123456":                          true,
		"+12125550100":                        true,
		"sip:alice@127.0.0.1":                 true,
		"sip:alice@127.0.0.1:5070":            true,
		"+19005550100":                        false,
		"+881612345678":                       false,
		"+33140000000":                        false,
		"":                                    false,
		"alice":                               false,
		"+":                                   false,
		"sip:alice@evil.example":              false,
		"sip:alice@127.0.0.1.evil.example":    false,
		"sip:alice@127.0.0.1?Replaces=x":      false,
		"sip:+4930@127.0.0.1;phone-context=x": false,
		"tel:+1900555;phone-context=+49":      false,
		"+4930123456\r\nX-Evil: 1":            false,
		"+49３０１２３４５６":                         false,
		"+4930123456;isub=1":                  false,
		"+4930123456@evil.example":            false,
		"sip:127.0.0.1":                       true,
		"SIP:a.b_c@Pbx.Example":               true,
		"sip:alice@[2001:db8::1]:5070":        true,
		"sip:alice@[2001:DB8:0::1]":           true,
		// What the parser below reads as another host.
		"sip:[2001:db8::bad]@pbx.example":   false,
		"sip:x[::ffff:192.0.2.6]@127.0.0.1": false,
		"sip:x@pbx.example#.evil.example":   false,
		"sip:x@pbx.example/.evil.example":   false,
		"sip:x@evil.example@pbx.example":    false,
		"sip:x:secret@pbx.example":          false,
		"sip://x@pbx.example":               false,
		"sip:x@pbx.example:0":               false,
		"sip:x@pbx.example:70596":           false,
		"sip:x@pbx.example:5060:5061":       false,
		"sip:x@[2001:db8::1":                false,
		"sip:x@[2001:db8::1]evil":           false,
		"sip:x@[::ffff:127.0.0.1]":          false,
		"sip:x@":                            false,
		"sip:":                              false,
		"sips:alice@127.0.0.1":              false,
	} {
		err := g.Check(to)
		if (err == nil) != allowed {
			t.Errorf("%q: %v, want allowed %v", to, err, allowed)
		}
		var d *Denied
		if err != nil && !errors.As(err, &d) {
			t.Errorf("%q: %T", to, err)
		}
	}
	if err := (Gate{}).Check("+4930123456"); err == nil {
		t.Error("an empty gate lets a number pass")
	}
}
