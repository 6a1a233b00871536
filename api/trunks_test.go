package api

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// What the line knows of a trunk stands in its status, and in the metrics.
func TestTrunkStatus(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	line := trunk.Status{
		ID:           "carrier",
		Registration: &trunk.Registration{Registered: true, Registrar: "sip:carrier.example", Contact: "sip:u@192.0.2.1", Since: at, Until: at, Failures: 2},
		Places: []trunk.Place{
			{
				Gateway: "sip:carrier.example", Addr: netip.MustParseAddrPort("203.0.113.9:5060"), Transport: trunk.UDP, Up: true,
				Answered: at, RoundTrip: 12500 * time.Microsecond,
			},
			{
				Gateway: "sip:carrier.example", Addr: netip.MustParseAddrPort("203.0.113.10:5060"), Transport: trunk.UDP,
				Error: "no answer within 4s",
			},
		},
		Load: trunk.Load{In: 3, Out: 4, FullOut: 5, TooFast: 6}, Error: "no answer within 4s", ErrorAt: at,
	}
	m := NewMetrics()
	m.Trunks(func() []trunk.Status { return []trunk.Status{line} })
	f := newFixture(t, func(c *Config) {
		c.Metrics = m
		c.Line = func(id telephony.TrunkID) trunk.Status {
			if id != "carrier" {
				t.Errorf("asked for %s", id)
			}
			return line
		}
	})
	a := f.do("POST", "/v1/trunks", `{"name":"carrier","gateways":["sip:carrier.example"],"username":"u","register":true,"max_cps":5}`)
	var tr Trunk
	a.into(t, &tr)
	a = f.do("GET", "/v1/trunks/"+tr.ID, "")
	for _, want := range []string{
		`"registered":true,"last_options":"2026-03-04T05:06:07Z","calls":0,"calls_in":3,"calls_out":4`,
		`"registration":{"registrar":"sip:carrier.example","contact":"sip:u@192.0.2.1","since":"2026-03-04T05:06:07Z"`,
		`"failures":2`, `"address":"203.0.113.9:5060","transport":"udp","up":true`, `"round_trip_ms":12.5`,
		`"up":false,"last_options":null,"error":"no answer within 4s"`, `"error_at":"2026-03-04T05:06:07Z"`, `"max_cps":5`,
	} {
		if !strings.Contains(a.text, want) {
			t.Errorf("nothing of %s in %s", want, a.text)
		}
	}
	got := samples(f.do("GET", "/metrics", "").text)
	for name, want := range map[string]string{
		`patchcord_trunk_registered{trunk="carrier"}`: "1",
		`patchcord_trunk_gateway_up{address="203.0.113.10:5060",gateway="sip:carrier.example",transport="udp",trunk="carrier"}`:                "0",
		`patchcord_trunk_gateway_round_trip_seconds{address="203.0.113.9:5060",gateway="sip:carrier.example",transport="udp",trunk="carrier"}`: "0.0125",
		`patchcord_trunk_calls{direction="inbound",trunk="carrier"}`:                                                                           "3",
		`patchcord_trunk_calls_refused_total{direction="outbound",limit="max_cps",trunk="carrier"}`:                                            "6",
		`patchcord_trunk_calls_refused_total{direction="outbound",limit="max_calls",trunk="carrier"}`:                                          "5",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %s", name, got[name], want)
		}
	}
}
