package sip

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/trunk"
)

// probeEvery is how often a gateway is asked. Bindings of NAT live longer.
const probeEvery = 30 * time.Second

// probe asks one address by OPTIONS whether it is there. Any final answer says
// so but 503 and 408: it was understood by somebody who takes calls.
func (k *keeper) probe(ctx context.Context, t *trunk.Trunk, gw *gateway) {
	us := "<" + k.u.account(t, gw) + ">;tag=" + newTag()
	req := k.u.outside(sip.OPTIONS, gw, us, "<"+gw.uri.String()+">", newCallID(), 1)
	req.AppendHeader(sip.NewHeader("Accept", "application/sdp"))
	begun := time.Now()
	res, err := k.u.ask(ctx, req, t, gw, k.u.cfg.Retry)
	took := time.Since(begun)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		k.note(gw, strings.TrimPrefix(err.Error(), "sip: "), time.Time{}, 0)
	case res.StatusCode == 503 || res.StatusCode == 408:
		text := fmt.Sprintf("%s answers OPTIONS with %d %s", gw.configured, res.StatusCode, clean(res.Reason))
		k.note(gw, text, time.Time{}, 0)
	default:
		k.note(gw, "", begun.Add(took), took)
	}
}

// ping keeps the connections to the trunk open on the way (RFC 5626 section
// 3.5.1).
func (k *keeper) ping() {
	k.mu.Lock()
	var open []gateway
	for _, p := range k.places {
		if p.transport != "UDP" {
			open = append(open, p.gateway)
		}
	}
	k.mu.Unlock()
	for _, gw := range open {
		if s := k.u.connection(gw.transport, gw.at); s != nil {
			_, _ = s.Write([]byte("\r\n\r\n"))
		}
	}
}

// TrunkStatus is what is known of a trunk now.
func (u *UserAgent) TrunkStatus(id telephony.TrunkID) trunk.Status {
	s := trunk.Status{ID: id, Load: u.capacity.Load(id)}
	k := u.keepers.named(id)
	if k == nil {
		return s
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	s.Error, s.ErrorAt = k.error, k.errorAt
	if k.reg != nil {
		state := k.reg.state
		s.Registration = &state
	}
	for i := range k.places {
		p := &k.places[i]
		s.Places = append(s.Places, trunk.Place{
			Gateway: p.configured, Addr: p.at, Transport: trunk.Transport(lower(p.transport)), Up: !p.down,
			Answered: p.answered, RoundTrip: p.roundTrip, Error: p.error,
		})
	}
	return s
}
