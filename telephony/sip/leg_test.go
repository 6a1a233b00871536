package sip

import (
	"testing"

	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/legtest"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// Legs over real sockets do what legs do: ours called by ours, for each way that
// sound and keys may travel, and behind a face that the peer may transfer.
func TestLegs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		trunk trunk.Config
	}{
		{"G.722, encrypted, keys by INFO", trunk.Config{Codecs: []string{"G722"}, SRTP: "required", DTMF: "info"}},
		{"Opus", trunk.Config{Codecs: []string{"opus"}}},
		{"A-law, keys as sound", trunk.Config{Codecs: []string{"PCMA"}, DTMF: "inband"}},
		{"a party that may be transferred", trunk.Config{Codecs: []string{"PCMU"}, Transfers: "on"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			legtest.Run(t, func(t *testing.T, h telephony.Handler) telephony.Leg {
				t.Helper()
				theirs, ours := c.trunk, c.trunk
				ours.Name, ours.Allow = "in", []string{"127.0.0.0/8"}
				in := newServer(t, h, trunksOf(t, ours))
				theirs.Name, theirs.Gateways, theirs.Refer = "out", []string{"sip:" + in.udp}, "never"
				out := newServer(t, nil, trunksOf(t, theirs))
				leg, err := out.Dial(t.Context(), telephony.Destination{To: "+4930987654", Trunk: "out"})
				if err != nil {
					t.Fatal(err)
				}
				await[telephony.Answered](t, leg)
				return leg
			}, nil)
		})
	}
}
