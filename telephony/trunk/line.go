package trunk

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/patchcord/patchcord/telephony"
)

// line checks how a trunk is reached, registered and limited.
func (b *builder) line(path string, c *Config, tr *Trunk) {
	b.choice(path+".probe", c.Probe, "", "on", "off")
	if c.OutboundProxy != "" {
		p, err := ParseGateway(c.OutboundProxy)
		if err != nil {
			b.fault(path+".outbound_proxy", "write sip:host, sip:host:port or sip:host;transport=tcp", "%s", err)
		} else {
			tr.Proxy = &p
		}
	}
	if c.Register && len(c.Gateways) == 0 {
		b.fault(path+".register", "add the gateway to register at", "trunk %q registers nowhere", c.Name)
	}
	if c.Register && c.Username == "" {
		b.fault(path+".username", "add the name that the carrier gave, and password", "trunk %q registers nobody", c.Name)
	}
	if c.MaxCalls < 0 {
		b.fault(path+".max_calls", "write 0 for no limit", "%d is negative", c.MaxCalls)
	}
	if c.MaxCPS < 0 || c.MaxCPS > 0 && c.MaxCPS < leastCPS || c.MaxCPS != c.MaxCPS {
		b.fault(path+".max_cps", "write 0 for no limit, 0.5 for a call every 2 s", "%v calls per second are none", c.MaxCPS)
	}
}

// leastCPS is a call an hour.
const leastCPS = 1.0 / 3600

// calledFromGateways reports whether calls may come from the gateways.
func (t *Trunk) calledFromGateways() bool { return !t.anyAllowed || t.Register }

// registersBeside reports whether two trunks are accounts at one carrier: calls
// from there are told by the Contact that they were registered with.
func (t *Trunk) registersBeside(o *Trunk) bool {
	return t.Register && o.Register && t.Caller == nil && o.Caller == nil && t.ContactUser() != o.ContactUser()
}

// ContactUser is the user part that a trunk registers: calls for it come to
// there.
func (t *Trunk) ContactUser() string {
	user, _, _ := strings.Cut(t.Username, "@")
	return user
}

// Found is the table with the addresses that names of gateways and proxies
// stand for at the moment. What the configuration says goes before what name
// servers say.
func (t *Table) Found(addrs map[telephony.TrunkID][]netip.Addr) *Table {
	if t == nil {
		return nil
	}
	out := *t
	out.callers, out.peers = t.callers.clone(), t.peers.clone()
	for _, tr := range t.order {
		for _, a := range addrs[tr.ID] {
			a = a.Unmap().WithZone("")
			p := netip.PrefixFrom(a, a.BitLen())
			out.peers.add(p, tr)
			if tr.calledFromGateways() {
				out.callers.add(p, tr)
			}
		}
	}
	return &out
}

func (s *sources) clone() sources {
	return sources{lengths: slices.Clone(s.lengths), prefixes: maps.Clone(s.prefixes)}
}
