package trunk

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchcord/patchcord/telephony"
)

func TestLineFaults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		c    Config
		want string // "": none
	}{
		{"all of it", Config{
			Gateways: []string{"sip:carrier.example"}, Username: "ann", Register: true, Probe: "off", MaxCalls: 10, MaxCPS: 0.5,
			OutboundProxy: "sip:sbc.example;transport=tcp",
		}, ""},
		{
			"a registration without a gateway",
			Config{Allow: []string{"192.0.2.1"}, Username: "ann", Register: true},
			"trunks[0].register",
		},
		{"a registration of nobody", Config{Gateways: []string{"192.0.2.1"}, Register: true}, "trunks[0].username"},
		{"a proxy with a user", Config{Gateways: []string{"192.0.2.1"}, OutboundProxy: "sip:a@b"}, "trunks[0].outbound_proxy"},
		{"fewer than no calls", Config{Gateways: []string{"192.0.2.1"}, MaxCalls: -1}, "trunks[0].max_calls"},
		{"fewer than no calls per second", Config{Gateways: []string{"192.0.2.1"}, MaxCPS: -1}, "trunks[0].max_cps"},
		{"a call per year", Config{Gateways: []string{"192.0.2.1"}, MaxCPS: 1e-8}, "trunks[0].max_cps"},
		{"a probe of another kind", Config{Gateways: []string{"192.0.2.1"}, Probe: "ping"}, "trunks[0].probe"},
	} {
		tt.c.Name = "c"
		tb, err := NewTable([]Config{tt.c}, nil, "")
		switch {
		case tt.want == "" && (err != nil || len(tb.Warnings()) != 0):
			t.Errorf("%s: %v, %v", tt.name, err, tb.Warnings())
		case tt.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.want+": ")):
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// Calls of a registered trunk come from its gateways, whatever they are called
// and whatever else is allowed; two accounts may be at one carrier.
func TestFound(t *testing.T) {
	t.Parallel()
	tb := table(t, []Config{
		{Name: "one", Gateways: []string{"sip:carrier.example"}, Username: "one", Register: true, Allow: []string{"198.51.100.0/24"}},
		{Name: "two", Gateways: []string{"sip:carrier.example"}, Username: "two@carrier.example", Register: true},
		{Name: "out", Gateways: []string{"sip:out.example"}, Allow: []string{"198.51.101.0/24"}},
		{Name: "three", Gateways: []string{"sip:192.0.2.3"}, Username: "three", Register: true},
		{Name: "four", Gateways: []string{"sip:192.0.2.3"}, Username: "four", Register: true},
	}, nil, "")
	carrier, out := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	if _, ok := tb.Peer(carrier); ok {
		t.Error("known before it was found")
	}
	found := tb.Found(map[telephony.TrunkID][]netip.Addr{"one": {carrier}, "two": {carrier}, "out": {out}})
	var names []string
	for _, tr := range found.Callers(carrier) {
		names = append(names, string(tr.ID))
	}
	if !slices.Equal(names, []string{"one", "two"}) {
		t.Errorf("calls from the carrier are of %v", names)
	}
	if _, ok := found.Match(out); ok {
		t.Error("a trunk that is called only may call")
	}
	if tr, ok := found.Peer(out); !ok || tr.ID != "out" {
		t.Error("a gateway that was found may not answer")
	}
	if n := len(found.Callers(netip.MustParseAddr("192.0.2.3"))); n != 2 {
		t.Errorf("%d accounts at an address", n)
	}
	if tr, ok := found.Match(netip.MustParseAddr("198.51.100.7")); !ok || tr.ID != "one" {
		t.Error("what was allowed is not any more")
	}
	if _, ok := tb.Peer(carrier); ok {
		t.Error("the table before has changed")
	}
	if (*Table)(nil).Found(nil) != nil {
		t.Error("no table has become one")
	}
}

func TestCapacity(t *testing.T) {
	t.Parallel()
	var c Capacity
	tr := &Trunk{ID: "c", MaxCalls: 2}
	now := time.Unix(1e9, 0)
	if !c.Enter(tr) {
		t.Fatal("the first call")
	}
	if _, err := c.Place(tr, now); err != nil {
		t.Fatal(err)
	}
	_, err := c.Place(tr, now)
	var full *telephony.FullError
	if !errors.As(err, &full) || full.Limit != "max_calls" || full.RetryAfter <= 0 || full.Trunk != "c" {
		t.Errorf("the third call: %v", err)
	}
	if c.Enter(tr) {
		t.Error("the third call came in")
	}
	c.Leave("c", telephony.Outbound)
	if !c.Enter(tr) {
		t.Error("no room after a call was over")
	}
	if got, want := c.Load("c"), (Load{In: 2, FullIn: 1, FullOut: 1, StartedIn: 2, Started: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := c.Load("d"); got != (Load{}) {
		t.Errorf("%+v", got)
	}
}

// No second sees more than max_cps calls; a burst waits 2 s at most, what is
// more is told when to come again, and takes no room.
func TestPace(t *testing.T) {
	t.Parallel()
	var c Capacity
	tr := &Trunk{ID: "c", MaxCPS: 5}
	now := time.Unix(1e9, 0)
	var leave []time.Time
	refused := 0
	for range 20 {
		wait, err := c.Place(tr, now)
		var full *telephony.FullError
		switch {
		case errors.As(err, &full):
			refused++
			if full.Limit != "max_cps" || full.RetryAfter <= 0 || full.RetryAfter > 200*time.Millisecond {
				t.Errorf("%+v", full)
			}
		case err != nil:
			t.Fatal(err)
		default:
			leave = append(leave, now.Add(wait))
		}
	}
	if len(leave) != 11 || refused != 9 { // at once, and in the ten turns of 2 s
		t.Fatalf("%d leave, %d are refused", len(leave), refused)
	}
	for i := range leave {
		if i >= 5 && leave[i].Sub(leave[i-5]) < time.Second {
			t.Errorf("six calls within %s", leave[i].Sub(leave[i-5]))
		}
	}
	if n := c.Load("c"); n.Out != 11 || n.TooFast != 9 {
		t.Errorf("%+v", n)
	}
	if wait, err := c.Place(tr, now.Add(10*time.Second)); wait != 0 || err != nil {
		t.Errorf("later: %s, %v", wait, err)
	}
	slow := &Trunk{ID: "s", MaxCPS: 0.1}
	_, _ = c.Place(slow, now)
	_, err := c.Place(slow, now)
	var full *telephony.FullError
	if !errors.As(err, &full) || full.RetryAfter != 8*time.Second {
		t.Errorf("a call every 10 s: %v", err)
	}
}
