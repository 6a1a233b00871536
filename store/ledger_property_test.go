package store

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/patchcord/patchcord/engine/agent"
	"github.com/patchcord/patchcord/telephony"
	"github.com/patchcord/patchcord/telephony/dialer"
)

// books are the ledger as it should be: two campaigns that share numbers, called by
// two nodes, and what was claimed so far, by whichever process.
type books struct {
	t         *testing.T
	s         *Store
	nodes     []*Ledger // of SQLite one
	now       time.Time
	prefix    string // of the numbers
	campaigns []*modelCampaign
	contacts  map[string]*modelContact
	tries     []*modelTry
	invites   map[string]int // that left, by contact and n
	dnc       map[[2]string]bool
}

type modelCampaign struct {
	Campaign
	next time.Time // no slot is before it
}

type modelContact struct {
	campaign *modelCampaign
	number   string
	state    dialer.State
	tries    int
	due      time.Time
	try      *modelTry // that is claimed or dialled
}

// modelTry is a claim. gone is one that may not be dialled any more, unknown one
// whose process died.
type modelTry struct {
	dialer.Attempt
	of    *modelContact
	node  *Ledger
	state string // claimed, dialing, ended, unknown, gone
}

// Whatever happens in whatever order, an attempt leaves at most once, no contact is
// lost, and nobody is dialled who must not be: D-24.
func TestTheLedgerUnderAnything(t *testing.T) {
	t.Parallel()
	eachURL(t, func(t *testing.T, url string) {
		s := open(t, url)
		defer closed(t, s)
		must(s.CreateAgent(t.Context(), "", agent.Agent{Name: "caller"}))(t)
		stores := []*Store{s}
		if s.postgres {
			other := node(t, url, "other", time.Hour)
			defer closed(t, other)
			stores = append(stores, other)
		}
		run, left, steps := 0, 0, 0
		rapid.Check(t, func(rt *rapid.T) {
			run++
			b := &books{
				t: t, s: s, now: time.Now().Add(time.Hour).Truncate(time.Millisecond), prefix: fmt.Sprintf("+4930%04d", run),
				contacts: map[string]*modelContact{}, invites: map[string]int{}, dnc: map[[2]string]bool{},
			}
			for _, s := range stores {
				b.nodes = append(b.nodes, &Ledger{s: s, clock: func() time.Time { return b.now }})
			}
			for i := range 2 {
				b.campaign(rt, fmt.Sprint(run, "-", i))
			}
			rt.Repeat(map[string]func(*rapid.T){
				"":        func(rt *rapid.T) { steps++; b.check(rt) },
				"claim":   b.claim,
				"dial":    b.dial,
				"finish":  b.finish,
				"release": b.release,
				"crash":   b.crash,
				"wait":    b.wait,
				"block":   b.block,
				"turn":    b.turn,
				"add":     b.add,
				"move":    b.move,
			})
			b.drain(rt)
			for _, n := range b.invites {
				left += n
			}
		})
		t.Logf("%d runs, %d steps, %d INVITEs, none twice", run, steps, left)
	})
}

func (b *books) fatal(rt *rapid.T, err error) {
	b.t.Helper()
	if err != nil {
		rt.Fatal(err)
	}
}

func (b *books) campaign(rt *rapid.T, name string) {
	c, err := b.s.CreateCampaign(b.t.Context(), "", dialer.Campaign{
		Name: name, Agent: "caller", Concurrency: rapid.IntRange(1, 5).Draw(rt, "concurrency"),
		CPS: rapid.SampledFrom([]float64{0, 1, 10, 100}).Draw(rt, "cps"),
	})
	b.fatal(rt, err)
	b.campaigns = append(b.campaigns, &modelCampaign{Campaign: c})
	b.add(rt)
	c, err = b.s.StartCampaign(b.t.Context(), "", c.ID)
	b.fatal(rt, err)
	b.campaigns[len(b.campaigns)-1].Campaign = c
}

func (b *books) number(rt *rapid.T) string {
	return b.prefix + fmt.Sprint(rapid.IntRange(0, 5).Draw(rt, "number"))
}

func (b *books) which(rt *rapid.T) *modelCampaign {
	return b.campaigns[rapid.IntRange(0, len(b.campaigns)-1).Draw(rt, "campaign")]
}

func (b *books) node(rt *rapid.T) *Ledger {
	return b.nodes[rapid.IntRange(0, len(b.nodes)-1).Draw(rt, "node")]
}

func (b *books) listed(c *modelContact) bool {
	return b.dnc[[2]string{"", c.number}] || b.dnc[[2]string{c.campaign.ID, c.number}]
}

// add adds contacts, of which the campaign may have some already.
func (b *books) add(rt *rapid.T) {
	c := b.campaigns[len(b.campaigns)-1]
	if len(b.campaigns) == 2 {
		c = b.which(rt)
	}
	var list []dialer.Contact
	for range rapid.IntRange(1, 4).Draw(rt, "contacts") {
		list = append(list, dialer.Contact{Number: b.number(rt)})
	}
	has := map[string]bool{}
	for _, m := range b.contacts {
		has[m.number] = has[m.number] || m.campaign == c
	}
	want := 0
	for _, l := range list {
		if has[l.Number] {
			want++
		}
		has[l.Number] = true
	}
	twice, err := b.s.AddContacts(b.t.Context(), c.ID, list)
	if over(c.Status) {
		if !errors.Is(err, ErrStatus) {
			rt.Fatalf("added to what is %s: %v", c.Status, err)
		}
		return
	}
	b.fatal(rt, err)
	if len(twice) != want {
		rt.Fatalf("%d duplicates in %v, want %d", len(twice), list, want)
	}
	for id, k := range b.kept(rt) {
		if b.contacts[id] == nil {
			b.contacts[id] = &modelContact{campaign: c, number: k.Number, state: dialer.Pending}
		}
	}
}

// claim claims with rules that refuse some.
func (b *books) claim(rt *rapid.T) {
	b.now = b.now.Add(time.Millisecond) // no two claims of a contact are made at once
	c, n := b.which(rt), b.node(rt)
	refuse := rapid.IntRange(0, 3).Draw(rt, "refused")
	judged := map[string]dialer.State{}
	got, err := n.Claim(b.t.Context(), c.ID, rapid.IntRange(1, 6).Draw(rt, "most"),
		func(a dialer.Attempt) (dialer.State, time.Time, string) {
			m := b.contacts[a.Contact.ID]
			if m.state != dialer.Pending || m.due.After(b.now) || b.listed(m) || m.campaign != c || a.N != m.tries+1 {
				rt.Errorf("asked for %+v, which is %+v", a, m)
			}
			if refuse--; refuse >= 0 {
				judged[a.Contact.ID] = []dialer.State{dialer.Pending, dialer.Failed, dialer.Blocked}[refuse]
				return judged[a.Contact.ID], b.now.Add(time.Hour), "refused"
			}
			judged[a.Contact.ID] = dialer.Claimed
			return dialer.Claimed, time.Time{}, ""
		})
	b.fatal(rt, err)
	if len(got) > 0 && c.Status != dialer.Running {
		rt.Fatalf("claimed from what is %s", c.Status)
	}
	for id, next := range judged {
		m := b.contacts[id]
		if m.state = next; next == dialer.Pending {
			m.due = b.now.Add(time.Hour)
		}
	}
	up := 0
	for _, a := range got {
		m := b.contacts[a.Contact.ID]
		if a.Slot.Before(b.now) || a.Slot.After(b.now.Add(time.Second)) || a.Slot.Before(c.next) {
			rt.Fatalf("slot %v at %v, not before %v", a.Slot, b.now, c.next)
		}
		if c.CPS > 0 {
			c.next = a.Slot.Add(time.Duration(float64(time.Second) / c.CPS)).Truncate(time.Microsecond)
		}
		if judged[a.Contact.ID] != dialer.Claimed {
			rt.Fatalf("claimed and not judged: %+v", a)
		}
		m.try = &modelTry{Attempt: a, of: m, node: n, state: "claimed"}
		b.tries = append(b.tries, m.try)
		judged[a.Contact.ID] = ""
	}
	for id, s := range judged {
		if s == dialer.Claimed {
			rt.Fatalf("judged and not claimed: %s", id)
		}
	}
	for _, m := range b.contacts {
		if m.campaign == c && m.try != nil {
			up++
		}
	}
	if up > c.Concurrency {
		rt.Fatalf("%d at once, want at most %d", up, c.Concurrency)
	}
	// What the claim finds on a list that was not there before.
	for id, k := range b.kept(rt) {
		if m := b.contacts[id]; k.State == dialer.Blocked && m.state == dialer.Pending && b.listed(m) {
			m.state = dialer.Blocked
		}
	}
}

// try is any claim that was ever made.
func (b *books) try(rt *rapid.T) *modelTry {
	if len(b.tries) == 0 {
		rt.Skip("nobody is claimed")
	}
	return b.tries[rapid.IntRange(0, len(b.tries)-1).Draw(rt, "try")]
}

func (b *books) dial(rt *rapid.T) {
	y := b.try(rt)
	c := y.of.campaign
	want := y.state == "claimed" && c.Status == dialer.Running && !b.listed(y.of) && !b.called(y.of.number)
	err := y.node.Dialing(b.t.Context(), y.Attempt, telephony.CallID(fmt.Sprint(y.Contact.ID, y.N)), "+4930100")
	if want != (err == nil) || err != nil && !errors.Is(err, dialer.ErrNotClaimed) {
		rt.Fatalf("fence of a %s claim of a %s campaign: %v", y.state, c.Status, err)
	}
	if err != nil {
		return
	}
	y.state, y.of.state, y.of.tries = "dialing", dialer.Dialing, y.N
	key := fmt.Sprint(y.Contact.ID, " ", y.N)
	if b.invites[key]++; b.invites[key] > 1 {
		rt.Fatalf("attempt %s leaves twice", key)
	}
}

// called tells whether a campaign calls a number.
func (b *books) called(number string) bool {
	for _, m := range b.contacts {
		if m.number == number && m.state == dialer.Dialing {
			return true
		}
	}
	return false
}

func (b *books) finish(rt *rapid.T) {
	y := b.try(rt)
	if y.state == "ended" {
		rt.Skip("the same again")
	}
	r := dialer.Result{
		Outcome: rapid.SampledFrom([]dialer.Outcome{
			dialer.OutcomePerson, dialer.OutcomeBusy, dialer.OutcomeNoAnswer, dialer.OutcomeCongestion,
		}).Draw(rt, "outcome"),
		Next:   rapid.SampledFrom([]dialer.State{dialer.Pending, dialer.Reached, dialer.Failed}).Draw(rt, "next"),
		Due:    b.now.Add(time.Duration(rapid.IntRange(0, 120).Draw(rt, "due")) * time.Minute),
		OptOut: rapid.IntRange(0, 9).Draw(rt, "opt_out") == 0,
	}
	err := y.node.Finish(b.t.Context(), y.Attempt, r)
	want := y.state == "dialing" || y.state == "unknown"
	if want != (err == nil) || err != nil && !errors.Is(err, dialer.ErrNotClaimed) {
		rt.Fatalf("end of a try that is %s: %v", y.state, err)
	}
	if r.OptOut && err != nil { // that counts whoever tells it
		b.blocked("", y.of.number)
	}
	if err != nil {
		return
	}
	m := y.of
	if y.state == "dialing" || m.state == dialer.Review && m.tries == y.N {
		b.settle(m, r.Next, r.Due, r.OptOut)
	}
	y.state = "ended"
	if r.OptOut {
		b.blocked("", m.number)
	}
}

// settle moves a contact that is not called any more.
func (b *books) settle(m *modelContact, next dialer.State, due time.Time, out bool) {
	m.state, m.due, m.try = next, due, nil
	switch {
	case next != dialer.Pending:
	case over(m.campaign.Status):
		m.state = dialer.Expired
	case b.listed(m) || out:
		m.state = dialer.Blocked
	}
}

func (b *books) release(rt *rapid.T) {
	y := b.try(rt)
	if y.state == "dialing" {
		rt.Skip("its INVITE has left")
	}
	b.fatal(rt, y.node.Release(b.t.Context(), y.Attempt, dialer.Pending, b.now, "no seat"))
	if y.state == "claimed" {
		y.state = "gone"
		b.settle(y.of, dialer.Pending, b.now, false)
	}
}

// crash is a process that is gone, and the next one of its name.
func (b *books) crash(rt *rapid.T) {
	n := b.node(rt)
	b.fatal(rt, n.s.recoverDials(b.t.Context()))
	for _, y := range b.tries {
		switch {
		case y.node != n:
		case y.state == "claimed":
			y.state = "gone"
			b.giveBack(y.of)
		case y.state == "dialing":
			y.state, y.of.state, y.of.try = "unknown", dialer.Review, nil
		}
	}
}

// giveBack is a contact whose claim nobody dials.
func (b *books) giveBack(m *modelContact) {
	if m.state, m.try = dialer.Pending, nil; over(m.campaign.Status) {
		m.state = dialer.Expired
	}
}

// wait lets time pass, and claims be given back that took too long.
func (b *books) wait(rt *rapid.T) {
	b.now = b.now.Add(time.Duration(rapid.IntRange(1, 100_000).Draw(rt, "ms")) * time.Millisecond)
	n := b.node(rt)
	_, _, err := n.Recover(b.t.Context())
	b.fatal(rt, err)
	for _, y := range b.tries {
		if y.state == "claimed" && y.Claimed.Before(b.now.Add(-claimLife)) {
			y.state = "gone"
			b.giveBack(y.of)
		}
	}
}

func (b *books) block(rt *rapid.T) {
	campaign, number := "", b.number(rt)
	if rapid.Bool().Draw(rt, "of a campaign") {
		campaign = b.which(rt).ID
	}
	b.fatal(rt, b.node(rt).Block(b.t.Context(), campaign, number, ""))
	b.blocked(campaign, number)
}

func (b *books) blocked(campaign, number string) {
	b.dnc[[2]string{campaign, number}] = true
	for _, m := range b.contacts {
		if m.number != number || campaign != "" && m.campaign.ID != campaign {
			continue
		}
		if m.state == dialer.Claimed {
			m.try.state, m.try = "gone", nil
			m.state = dialer.Blocked
		}
		if m.state == dialer.Pending {
			m.state = dialer.Blocked
		}
	}
}

// turn changes the status of a campaign, by whom that is up to.
func (b *books) turn(rt *rapid.T) {
	c, ctx := b.which(rt), b.t.Context()
	var err error
	switch rapid.IntRange(0, 6).Draw(rt, "turn") {
	case 0, 1:
		ran := c.Status == dialer.Running
		var paused bool
		if paused, err = b.nodes[0].Pause(ctx, c.ID, ""); err == nil && paused != ran {
			rt.Errorf("paused: %v, it ran: %v", paused, ran)
		}
		if ran {
			c.Status = dialer.Paused
		}
	case 2, 3, 4:
		if _, err = b.s.ResumeCampaign(ctx, "", c.ID); err == nil {
			c.Status = dialer.Running
		}
	case 5:
		if _, err = b.s.CancelCampaign(ctx, "", c.ID, ""); err == nil {
			b.ended(c, dialer.Cancelled)
		}
	case 6:
		b.complete(rt, c)
	}
	if err != nil && !errors.Is(err, ErrStatus) {
		rt.Fatal(err)
	}
}

func (b *books) complete(rt *rapid.T, c *modelCampaign) {
	open := 0
	for _, m := range b.contacts {
		if m.campaign == c && slices.Contains([]dialer.State{dialer.Pending, dialer.Claimed, dialer.Dialing}, m.state) {
			open++
		}
	}
	done, err := b.nodes[0].Complete(b.t.Context(), c.ID)
	b.fatal(rt, err)
	if want := open == 0 && c.Status == dialer.Running; done != want {
		rt.Fatalf("completed %v with %d contacts of a %s campaign", done, open, c.Status)
	}
	if done {
		b.ended(c, dialer.Completed)
	}
}

func (b *books) ended(c *modelCampaign, to dialer.Status) {
	c.Status = to
	for _, m := range b.contacts {
		if m.campaign == c && m.state == dialer.Pending {
			m.state = dialer.Expired
		}
	}
}

// move is somebody who decides on a contact that is up for review.
func (b *books) move(rt *rapid.T) {
	ids := slices.Sorted(maps.Keys(b.contacts))
	id := rapid.SampledFrom(ids).Draw(rt, "contact")
	m := b.contacts[id]
	if m.state != dialer.Review {
		rt.Skip("not up for review")
	}
	_, err := b.s.MoveContact(b.t.Context(), id, dialer.Pending, b.now, "")
	if over(m.campaign.Status) {
		if !errors.Is(err, ErrStatus) {
			rt.Fatalf("to be called by what is %s: %v", m.campaign.Status, err)
		}
		return
	}
	b.fatal(rt, err)
	m.state, m.due = dialer.Pending, b.now
}

// kept are the contacts in the store.
func (b *books) kept(rt *rapid.T) map[string]Contact {
	out := map[string]Contact{}
	for _, c := range b.campaigns {
		all, _, err := b.s.Contacts(b.t.Context(), ContactFilter{Campaign: c.ID, Page: Page{Limit: All}})
		b.fatal(rt, err)
		for _, k := range all {
			out[k.ID] = k
		}
	}
	return out
}

// check compares the store with the model.
func (b *books) check(rt *rapid.T) {
	kept := b.kept(rt)
	if len(kept) != len(b.contacts) {
		rt.Fatalf("%d contacts, want %d", len(kept), len(b.contacts))
	}
	for id, m := range b.contacts {
		if k := kept[id]; k.State != m.state || k.Tries != m.tries {
			rt.Fatalf("contact %s is %s after %d tries (%s), want %s after %d", id, k.State, k.Tries, k.Why, m.state, m.tries)
		}
	}
}

// drain calls everybody who is left: each contact gets into a final state.
func (b *books) drain(rt *rapid.T) {
	for range 100 {
		b.now = b.now.Add(time.Hour)
		for _, y := range b.tries {
			if y.state == "claimed" {
				b.fatal(rt, y.node.Release(b.t.Context(), y.Attempt, dialer.Pending, b.now, ""))
				y.state = "gone"
				b.settle(y.of, dialer.Pending, b.now, false)
			}
			if y.state == "dialing" {
				b.fatal(rt, y.node.Finish(b.t.Context(), y.Attempt, dialer.Result{
					Outcome: dialer.OutcomePerson,
					Next:    dialer.Reached,
				}))
				y.state = "ended"
				b.settle(y.of, dialer.Reached, time.Time{}, false)
			}
		}
		open := 0
		for _, c := range b.campaigns {
			if c.Status == dialer.Paused {
				_, err := b.s.ResumeCampaign(b.t.Context(), "", c.ID)
				b.fatal(rt, err)
				c.Status = dialer.Running
			}
			if over(c.Status) {
				continue
			}
			got, err := b.nodes[0].Claim(b.t.Context(), c.ID, 10, nil)
			b.fatal(rt, err)
			for _, a := range got {
				m := b.contacts[a.Contact.ID]
				m.state = dialer.Claimed
				y := &modelTry{Attempt: a, of: m, node: b.nodes[0], state: "claimed"}
				b.tries, m.try = append(b.tries, y), y
				called := b.called(m.number)
				err := y.node.Dialing(b.t.Context(), a, "x", "")
				if called && errors.Is(err, dialer.ErrNotClaimed) {
					b.fatal(rt, y.node.Release(b.t.Context(), a, dialer.Pending, b.now, "called"))
					y.state = "gone"
					b.settle(m, dialer.Pending, b.now, false)
					continue
				}
				b.fatal(rt, err)
				y.state, m.state, m.tries = "dialing", dialer.Dialing, a.N
				key := fmt.Sprint(a.Contact.ID, " ", a.N)
				if b.invites[key]++; b.invites[key] > 1 {
					rt.Fatalf("attempt %s leaves twice", key)
				}
			}
			for id, k := range b.kept(rt) {
				if m := b.contacts[id]; k.State == dialer.Blocked && m.state == dialer.Pending && b.listed(m) {
					m.state = dialer.Blocked
				}
			}
			open += len(got)
		}
		b.check(rt)
		if open > 0 {
			continue
		}
		var left []string
		for id, m := range b.contacts {
			if m.state == dialer.Pending || m.state == dialer.Claimed || m.state == dialer.Dialing {
				left = append(left, id+" "+string(m.state))
			}
		}
		if len(left) == 0 {
			return
		}
	}
	rt.Fatal("not all are called: " + strings.Join(slices.Sorted(maps.Keys(b.contacts)), " "))
}
