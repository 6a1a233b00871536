package main

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"time"

	"github.com/patchcord/patchcord/engine"
	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/dialer"
)

// releaseWait is how long the store may take at the end to have claims back that
// are not dialled.
const releaseWait = 5 * time.Second

// openCampaigns makes what calls the lists of campaigns.
func (n *node) openCampaigns(day *dialer.Day) (err error) {
	if !n.cfg.Dialer.Enabled {
		return nil
	}
	n.campaigns, err = dialer.NewRunner(dialer.RunnerConfig{
		Ledger: n.store.Ledger(), Seats: seats{n.engine, n.admission.machine}, Placer: placer{n.engine, n.cfg.Profiles},
		Rules: n.cfg.Profiles, Gate: n.cfg.Gate().Check, Claim: day.Take, Unclaim: day.Return, Room: n.trunkRoom,
		Tell: n.news, Log: n.log,
	})
	if err != nil {
		return err
	}
	for name, g := range map[string]struct {
		help string
		of   func(dialer.Counts) int
	}{
		"dialer_calls": {
			"Calls of campaigns that are dialled or up.",
			func(c dialer.Counts) int { return c.Calls },
		},
		"dialer_claims_waiting": {
			"Contacts that are claimed and wait for their turn.",
			func(c dialer.Counts) int { return c.Waiting },
		},
		"dialer_results_waiting": {
			"Results of calls that wait for the store.",
			func(c dialer.Counts) int { return c.Unkept },
		},
	} {
		n.metrics.Gauge(name, g.help, func() float64 { return float64(g.of(n.campaigns.Counts())) })
	}
	return nil
}

// drainCampaigns gives back what is not dialled yet.
func (n *node) drainCampaigns(ctx context.Context) {
	if n.campaigns == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, releaseWait)
	defer cancel()
	n.campaigns.Drain(ctx)
}

// doNotCall keeps, for all campaigns, who said in a call that they want no more.
func (n *node) doNotCall(ctx context.Context, number string, _ telephony.CallID, why string) error {
	return n.store.Ledger().Block(ctx, "", number, cmp.Or(why, "asked for it in a call"))
}

// fullRetry is when a trunk may have room again.
const fullRetry = 5 * time.Second

// trunkRoom says where a trunk has no room for another call.
func (n *node) trunkRoom(id telephony.TrunkID) error {
	if id == "" {
		return nil // the dialling says what is wrong
	}
	t, ok := n.directory.Table().Trunk(id)
	if !ok {
		return errors.New("no trunk is named " + string(id))
	}
	if load := n.line(id).Load; t.MaxCalls > 0 && load.In+load.Out >= t.MaxCalls {
		return &telephony.FullError{Trunk: id, Limit: "max_calls", RetryAfter: fullRetry}
	}
	return nil
}

// seats are the engine's room for calls, as far as the machine bears them.
type seats struct {
	engine *engine.Engine
	room   func(telephony.Info) (telephony.Cause, bool)
}

// Take takes room for a call.
func (s seats) Take() (release func(), ok bool) {
	if _, ok := s.room(telephony.Info{Direction: telephony.Outbound}); !ok {
		return nil, false
	}
	return s.engine.Reserve()
}

// placer places the calls of campaigns.
type placer struct {
	engine   *engine.Engine
	profiles dialer.Profiles
}

// Place places a call and returns when it is over.
func (p placer) Place(ctx context.Context, c dialer.Campaign, a dialer.Attempt, call telephony.CallID,
	from string,
) dialer.Result {
	end, err := p.engine.Place(ctx, engine.Outbound{
		ID: call, Agent: agent.ID(c.Agent), To: a.Contact.Number, From: from, Trunk: c.Trunk,
		Variables: given(c, a), RingTimeout: c.RingTimeout, AMD: c.AMD, Voicemail: c.Voicemail, Zone: placeOf(c, a.Contact),
		// Where consent is asked for at all, a recording needs its own.
		Unrecorded: p.profiles[c.Profile].Consent && !a.Contact.Record,
		Claimed:    true, Seated: true,
	})
	if err != nil {
		return unplaced(ctx, err)
	}
	r := end.Record
	res := dialer.Result{
		SIP: end.Cause.Status, Why: end.Cause.Text, From: cmp.Or(from, r.From), AnsweredBy: r.AnsweredBy,
		MessageLeft: end.MessageLeft,
		Answered:    r.Answered, Ended: r.Ended, Disposition: end.Disposition, Data: end.Extracted, Callback: end.Callback,
		OptOut: end.OptOut,
	}
	if !r.Answered.IsZero() {
		res.SIP, res.Why = 200, ""
	}
	res.Outcome = dialer.Classify(dialer.Call{
		Cause: end.Cause, AnsweredBy: r.AnsweredBy, Answered: r.Answered, Greeted: end.Greeted, Spoke: end.Spoke,
		Ended: r.Ended,
	})
	return res
}

// unplaced is a call that did not leave, or that nobody waits for any more.
func unplaced(ctx context.Context, err error) dialer.Result {
	res := dialer.Result{Outcome: dialer.OutcomeFailed, Why: err.Error(), Ended: time.Now()}
	var full *telephony.FullError
	switch {
	case ctx.Err() != nil:
		res.Outcome = dialer.OutcomeUnknown
	case errors.As(err, &full), errors.Is(err, engine.ErrFull):
		res.Outcome = dialer.OutcomeCongestion
	}
	return res
}

// given are the variables of a contact's call.
func given(c dialer.Campaign, a dialer.Attempt) map[string]any {
	v := map[string]any{"campaign_id": c.ID, "campaign": c.Name, "contact_id": a.Contact.ID, "attempt": a.N}
	if a.Contact.Name != "" {
		v["contact_name"] = a.Contact.Name
	}
	maps.Copy(v, a.Contact.Variables)
	return v
}

// placeOf is the time zone of a contact, the campaign's where it may be in
// several; nil: it is not known.
func placeOf(c dialer.Campaign, k dialer.Contact) *time.Location {
	if zones := c.Zones(k); len(zones) == 1 {
		return zones[0]
	}
	z, err := dialer.Zone(c.Zone)
	if err != nil || c.Zone == "" {
		return nil
	}
	return z
}
