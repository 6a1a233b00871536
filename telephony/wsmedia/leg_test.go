package wsmedia

import (
	"testing"
	"testing/synctest"

	"github.com/patchcord/patchcord/internal/testkit/carrier"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/legtest"
)

func TestLegs(t *testing.T) {
	for _, c := range []struct {
		name  string
		kind  carrier.Kind
		codec string
	}{
		{"Twilio", carrier.Twilio, ""},
		{"Telnyx", carrier.Telnyx, "PCMU"},
		{"Telnyx with A-law", carrier.Telnyx, "PCMA"},
		{"Telnyx with G.722", carrier.Telnyx, "G722"},
	} {
		t.Run(c.name, func(t *testing.T) {
			legtest.Run(t, func(t *testing.T, h telephony.Handler) telephony.Leg {
				t.Helper()
				s := serve(t, h, func(_ *Config, all map[telephony.TrunkID]Account) {
					if a := all["telnyx"]; c.codec != "" {
						a.Codecs = []string{c.codec}
						all["telnyx"] = a
					}
				})
				return s.call(c.kind)
			}, synctest.Test)
		})
	}
}
