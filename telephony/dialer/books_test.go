package dialer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/patchcord/patchcord/telephony"
)

// books are a ledger in memory, for several nodes.
type books struct {
	mu        sync.Mutex // guards what follows
	campaigns []*Campaign
	contacts  map[string][]*Contact // by campaign
	attempts  map[string]*entry     // by contact and number
	slots     map[string]time.Time  // of a campaign, the next
	blocked   map[string]bool       // numbers
	lost      map[string]bool       // nodes
	away      bool
	slow      func()       // each transaction takes so long; nil: none
	ahead     atomic.Int64 // ns, of the clock on the wall, which may be set
}

// wall is the clock on it.
func (b *books) wall() time.Time { return time.Now().Add(time.Duration(b.ahead.Load())).Round(0) }

// entry is an attempt as it is kept.
type entry struct {
	c       *Contact
	n       int
	node    string
	state   State // Claimed, Dialing, or "" once it is over
	result  Result
	ended   time.Time
	from    string    // that it was dialled from
	dialed  time.Time // zero: it was not
	invites int
}

var errAway = errors.New("the store is away")

func newBooks(cs ...*Campaign) *books {
	return &books{
		campaigns: cs, contacts: map[string][]*Contact{}, attempts: map[string]*entry{}, slots: map[string]time.Time{},
		blocked: map[string]bool{}, lost: map[string]bool{},
	}
}

// add adds contacts to a campaign.
func (b *books) add(c *Campaign, n int) {
	for i := range n {
		at := len(b.contacts[c.ID])
		b.contacts[c.ID] = append(b.contacts[c.ID], &Contact{
			ID: fmt.Sprintf("%s-%d", c.ID, at), Campaign: c.ID, Number: fmt.Sprintf("+4930%07d", at), State: Pending,
			Consent: "form", Record: true, Due: time.Now().Add(time.Duration(i)),
		})
	}
}

// states counts the contacts of a campaign.
func (b *books) states(c *Campaign) map[State]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := map[State]int{}
	for _, k := range b.contacts[c.ID] {
		out[k.State]++
	}
	return out
}

// contact is one of a campaign, as it is now.
func (b *books) contact(c *Campaign, i int) Contact {
	b.mu.Lock()
	defer b.mu.Unlock()
	return *b.contacts[c.ID][i]
}

// now is a campaign as it is now.
func (b *books) now(c *Campaign) Campaign {
	b.mu.Lock()
	defer b.mu.Unlock()
	return *c
}

func (b *books) set(change func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
}

// page is the ledger as one node has it.
type page struct {
	b    *books
	node string
}

func (b *books) page(node string) *page { return &page{b, node} }

// kill lets nothing more of a node reach the books.
func (b *books) kill(node string) { b.set(func() { b.lost[node] = true }) }

func (p *page) in(do func() error) error {
	if p.b.slow != nil {
		p.b.slow()
	}
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	if p.b.away || p.b.lost[p.node] {
		return errAway
	}
	return do()
}

func (b *books) campaign(id string) *Campaign {
	for _, c := range b.campaigns {
		if c.ID == id {
			return c
		}
	}
	return nil
}

func (p *page) Running(context.Context) (out []Campaign, err error) {
	err = p.in(func() error {
		for _, c := range p.b.campaigns {
			if c.Status == Running {
				out = append(out, *c)
			}
		}
		return nil
	})
	return out, err
}

func (p *page) Claim(_ context.Context, id string, most int, judge Judge) (out []Attempt, err error) {
	err = p.in(func() error {
		c, now := p.b.campaign(id), p.b.wall()
		if c.Status != Running {
			return nil
		}
		active := 0
		for _, e := range p.b.attempts {
			if e.state != "" && e.c.Campaign == id {
				active++
			}
		}
		for _, k := range p.b.contacts[id] {
			if len(out) == most || c.Concurrency > 0 && active+len(out) >= c.Concurrency {
				break
			}
			if k.State != Pending || k.Due.After(now) {
				continue
			}
			if p.b.blocked[k.Number] {
				k.State, k.Why = Blocked, "do not call"
				continue
			}
			slot := now
			turn := time.Duration(float64(time.Second) / max(c.CPS, 0.01))
			if next := p.b.slots[id]; next.After(now) && !next.After(now.Add(500*time.Millisecond+turn)) {
				slot = next
			}
			if c.CPS > 0 && slot.After(now.Add(500*time.Millisecond)) {
				break
			}
			a := Attempt{
				Contact: *k, N: k.Tries + 1, Node: p.node, Claimed: now, Slot: slot, Same: map[Outcome]int{},
			}
			for n := k.Tries; n > 0; n-- {
				e := p.b.attempts[fmt.Sprint(k.ID, n)]
				if e.ended.After(now.Add(-24 * time.Hour)) {
					a.Today++
				}
				if len(a.Same) == 0 || a.Same[e.result.Outcome] > 0 {
					a.Same[e.result.Outcome]++
				}
			}
			if next, due, why := judge(a); next != Claimed {
				k.State, k.Due, k.Why = next, due, why
				continue
			}
			if c.CPS > 0 {
				p.b.slots[id] = slot.Add(time.Duration(float64(time.Second) / c.CPS))
			}
			k.State = Claimed
			p.b.attempts[fmt.Sprint(k.ID, a.N)] = &entry{c: k, n: a.N, node: p.node, state: Claimed}
			out = append(out, a)
		}
		return nil
	})
	return out, err
}

// ours is an attempt in one of some states, if it is this node's.
func (p *page) ours(a Attempt, states ...State) (*entry, error) {
	e := p.b.attempts[fmt.Sprint(a.Contact.ID, a.N)]
	for _, s := range states {
		if e != nil && e.node == p.node && e.state == s {
			return e, nil
		}
	}
	return nil, ErrNotClaimed
}

func (p *page) Dialing(_ context.Context, a Attempt, _ telephony.CallID, from string) error {
	return p.in(func() error {
		e, err := p.ours(a, Claimed)
		if err != nil {
			return err
		}
		if p.b.blocked[e.c.Number] || p.b.campaign(e.c.Campaign).Status != Running {
			return ErrNotClaimed
		}
		e.state, e.c.State, e.c.From = Dialing, Dialing, from
		e.from, e.dialed = from, p.b.wall()
		e.c.Tries++
		return nil
	})
}

func (p *page) Release(_ context.Context, a Attempt, next State, due time.Time, why string) error {
	return p.in(func() error {
		e, err := p.ours(a, Claimed)
		if err != nil {
			return err
		}
		delete(p.b.attempts, fmt.Sprint(a.Contact.ID, a.N))
		e.c.State, e.c.Due, e.c.Why = next, due, why
		return nil
	})
}

func (p *page) Finish(_ context.Context, a Attempt, r Result) error {
	return p.in(func() error {
		e, err := p.ours(a, Dialing)
		if err != nil {
			return err
		}
		e.state, e.result, e.ended = "", r, p.b.wall()
		e.c.State, e.c.Due, e.c.Why = r.Next, r.Due, r.Why
		return nil
	})
}

func (p *page) Recover(context.Context) (back, review int, err error) {
	err = p.in(func() error {
		for key, e := range p.b.attempts {
			switch {
			case !p.b.lost[e.node] || e.state == "":
			case e.state == Claimed:
				delete(p.b.attempts, key)
				e.c.State = Pending
				back++
			default:
				e.state, e.c.State = "", Review
				e.result.Outcome = OutcomeUnknown
				review++
			}
		}
		return nil
	})
	return back, review, err
}

func (p *page) Shown(_ context.Context, numbers []string, since time.Time) (map[string]int, error) {
	out := map[string]int{}
	return out, p.in(func() error {
		for _, e := range p.b.attempts {
			if slices.Contains(numbers, e.from) && !e.dialed.Before(since) {
				out[e.from]++
			}
		}
		return nil
	})
}

func (p *page) Tally(_ context.Context, id string, since time.Time) (t Tally, err error) {
	err = p.in(func() error {
		for _, e := range p.b.attempts {
			if e.c.Campaign != id || e.state != "" || !e.ended.After(since) {
				continue
			}
			t.Attempts++
			switch e.result.Outcome {
			case OutcomePerson:
				t.Answered++
				t.People++
			case OutcomeVoicemail, OutcomeScreening:
				t.Answered++
			case OutcomeAbandoned:
				t.Answered++
				t.People++
				t.Abandoned++
			case OutcomeCongestion, OutcomeFailed:
				t.Failed++
			}
		}
		return nil
	})
	return t, err
}

func (p *page) Pause(_ context.Context, id, why string) (done bool, err error) {
	err = p.in(func() error {
		c := p.b.campaign(id)
		if done = c.Status == Running; done {
			c.Status, c.Reason = Paused, why
		}
		return nil
	})
	return done, err
}

func (p *page) Complete(_ context.Context, id string) (done bool, err error) {
	err = p.in(func() error {
		c := p.b.campaign(id)
		for _, k := range p.b.contacts[id] {
			if k.State == Pending || k.State == Claimed || k.State == Dialing {
				return nil
			}
		}
		done = c.Status == Running
		c.Status = Completed
		return nil
	})
	return done, err
}

func (p *page) Block(_ context.Context, _, number, _ string) error {
	return p.in(func() error {
		p.b.blocked[number] = true
		return nil
	})
}

var _ Ledger = (*page)(nil)

// chairs are the seats of a node.
type chairs struct {
	mu         sync.Mutex
	n          int
	taken, top int
}

func (c *chairs) Take() (func(), bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.taken == c.n {
		return nil, false
	}
	c.taken++
	c.top = max(c.top, c.taken)
	return sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.taken--
	}), true
}

// placed is how many calls have left, times when they did, in order.
func (c *carrier) placed() int { return len(c.times()) }

func (c *carrier) times() []time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.SortedFunc(slices.Values(c.left), time.Time.Compare)
}

// load is how many calls of a campaign are up, and were at most; of all for "".
func (c *carrier) load(campaign string) (up, top int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.up[campaign], c.top[campaign]
}

// again are the contacts that were called without a fence, or twice behind one.
func (c *carrier) again() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.twice)
}

// always becomes the same.
func always(d time.Duration, o Outcome) func(Attempt) (time.Duration, Result) {
	return func(Attempt) (time.Duration, Result) { return d, Result{Outcome: o} }
}

// used is how many seats are taken, and were at most.
func (c *chairs) used() (now, top int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.taken, c.top
}

// office is a node that dials.
type office struct {
	*Runner

	seats *chairs
	news  []News
	mu    sync.Mutex
	stop  func()
}

// opens starts a node on the books.
func (b *books) opens(t *testing.T, node string, seats int, c *carrier, change func(*RunnerConfig)) *office {
	t.Helper()
	o := &office{seats: &chairs{n: seats}}
	cfg := RunnerConfig{Ledger: b.page(node), Seats: o.seats, Placer: c, Now: b.wall, Tell: func(n News) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.news = append(o.news, n)
	}}
	if change != nil {
		change(&cfg)
	}
	var err error
	if o.Runner, err = NewRunner(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = o.Serve(ctx)
	}()
	o.stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	return o
}

func (o *office) told(name string) (out []News) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, n := range o.news {
		if n.Name == name {
			out = append(out, n)
		}
	}
	return out
}
