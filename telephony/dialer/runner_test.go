package dialer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/patchcord/patchcord/telephony"
)

// calling is a campaign that runs.
func calling(id string, concurrency int, cps float64) *Campaign {
	return &Campaign{ID: id, Name: id, Status: Running, Agent: "support", Trunk: "carrier", Concurrency: concurrency, CPS: cps, Zone: "Europe/Berlin"}
}

// carrier places calls: what becomes of them, and when they left.
type carrier struct {
	b       *books
	becomes func(a Attempt) (time.Duration, Result)
	mu      sync.Mutex // guards what follows
	left    []time.Time
	up, top map[string]int // calls of a campaign, now and at most; of all in ""
	twice   []string
}

func (c *carrier) count(campaign string, by int) {
	if c.up == nil {
		c.up, c.top = map[string]int{}, map[string]int{}
	}
	for _, id := range []string{"", campaign} {
		c.up[id] += by
		c.top[id] = max(c.top[id], c.up[id])
	}
}

func (c *carrier) Place(_ context.Context, camp Campaign, a Attempt, _ telephony.CallID, _ string) Result {
	c.b.mu.Lock()
	e := c.b.attempts[fmt.Sprint(a.Contact.ID, a.N)]
	if e != nil {
		e.invites++
	}
	twice := e == nil || e.invites > 1 || e.state != Dialing
	c.b.mu.Unlock()
	c.mu.Lock()
	c.left = append(c.left, time.Now())
	c.count(camp.ID, 1)
	if twice {
		c.twice = append(c.twice, a.Contact.ID)
	}
	c.mu.Unlock()
	d, r := c.becomes(a)
	time.Sleep(d)
	r.Ended = time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count(camp.ID, -1)
	return r
}

// jitter is how long a transaction of a store takes that is not always quick.
func jitter(most time.Duration) func() {
	var mu sync.Mutex
	draw := rand.New(rand.NewPCG(1, 2))
	return func() {
		mu.Lock()
		d := time.Duration(draw.Int64N(int64(most)))
		mu.Unlock()
		time.Sleep(d)
	}
}

// total is the sum of states.
func total(states map[State]int) (n int) {
	for _, k := range states {
		n += k
	}
	return n
}

// worst is how many calls left in the fullest second.
func worst(left []time.Time) (most int) {
	first := 0
	for i, at := range left {
		for at.Sub(left[first]) >= time.Second {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

func TestCallsLeaveAtTheRateOfTheirCampaign(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cps   float64
		nodes int
		slow  time.Duration
	}{
		{cps: 50, nodes: 3, slow: 20 * time.Millisecond},
		{cps: 50, nodes: 1, slow: 40 * time.Millisecond},
		{cps: 7, nodes: 2, slow: 20 * time.Millisecond},
		{cps: 1, nodes: 1, slow: 20 * time.Millisecond},
		{cps: 0.2, nodes: 2, slow: 20 * time.Millisecond},
	} {
		t.Run(fmt.Sprintf("%v a second from %d nodes", c.cps, c.nodes), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				run := max(time.Minute, time.Duration(40/c.cps)*time.Second)
				camp := calling("c", 5000, c.cps)
				b := newBooks(camp)
				b.slow = jitter(c.slow)
				b.add(camp, int(c.cps*run.Seconds())*2)
				far := &carrier{b: b, becomes: always(20*time.Second, OutcomePerson)}
				var all []*office
				for i := range c.nodes {
					all = append(all, b.opens(t, fmt.Sprint("node", i), 5000, far, nil))
				}
				time.Sleep(run)
				n, most := far.placed(), worst(far.times())
				for _, o := range all {
					o.Drain(t.Context())
				}
				for _, o := range all {
					o.stop()
				}
				t.Logf("%d calls in %v, %d in the fullest second", n, run, most)
				if want := c.cps * run.Seconds(); float64(n) < 0.95*want || float64(n) > 1.05*want+1 {
					t.Errorf("%d calls left in %v, want %.0f within 5 %%", n, run, want)
				}
				if most > int(c.cps)+1 {
					t.Errorf("%d calls left in one second, want %v at most", most, int(c.cps)+1)
				}
			})
		})
	}
}

// A store that was held up does not let all at once leave that waited for it.
func TestCallsThatWereHeldUpKeepTheirDistance(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		camp := calling("c", 1000, 20)
		b := newBooks(camp)
		b.add(camp, 1000)
		held := time.Now().Add(10 * time.Second)
		b.slow = func() { // nobody is served for 5 s
			if now := time.Now(); now.After(held) && now.Before(held.Add(5*time.Second)) {
				time.Sleep(time.Until(held.Add(5 * time.Second)))
			}
		}
		far := &carrier{b: b, becomes: always(time.Second, OutcomePerson)}
		o := b.opens(t, "node", 1000, far, nil)
		time.Sleep(35 * time.Second)
		o.stop()
		if most := worst(far.times()); most > 21 {
			t.Errorf("%d calls left in one second, want 21 at most", most)
		}
	})
}

func TestASeatIsTakenBeforeTheCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		camp := calling("c", 100, 50)
		b := newBooks(camp)
		b.add(camp, 100)
		far := &carrier{b: b, becomes: always(10*time.Second, OutcomePerson)}
		o := b.opens(t, "node", 7, far, nil)
		time.Sleep(5 * time.Second)
		up, _ := far.load("")
		if _, seats := o.seats.used(); up != 7 || seats != 7 {
			t.Errorf("%d calls are up on %d seats, want 7", up, seats)
		}
		if s := b.states(camp); s[Claimed] != 0 {
			t.Errorf("%d contacts are claimed that nobody has a seat for", s[Claimed])
		}
		time.Sleep(5 * time.Minute)
		o.stop()
		_, top := far.load("")
		taken, _ := o.seats.used()
		if s := b.states(camp); s[Reached] != 100 || top != 7 || taken != 0 {
			t.Errorf("%v, %d calls at once, %d seats left taken", s, top, taken)
		}
	})
}

// The campaign of higher priority has the seats first, and concurrency holds over
// all nodes.
func TestCampaignsShareSeats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first, second := calling("first", 6, 0), calling("second", 100, 0)
		b := newBooks(first, second)
		b.add(first, 50)
		b.add(second, 50)
		far := &carrier{b: b, becomes: always(10*time.Second, OutcomePerson)}
		one, two := b.opens(t, "one", 4, far, nil), b.opens(t, "two", 4, far, nil)
		time.Sleep(5 * time.Second)
		before, _ := far.load("first")
		if behind, _ := far.load("second"); before != 6 || behind != 2 {
			t.Errorf("%d and %d are up on 8 seats, want 6 and 2", before, behind)
		}
		time.Sleep(10 * time.Minute)
		one.stop()
		two.stop()
		if _, top := far.load("first"); top > 6 || b.states(first)[Reached] != 50 || b.states(second)[Reached] != 50 {
			t.Errorf("%d at once, states %v %v", top, b.states(first), b.states(second))
		}
	})
}

func TestAPausedCampaignLetsItsCallsEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		camp := calling("c", 50, 10)
		b := newBooks(camp)
		b.add(camp, 300)
		far := &carrier{b: b, becomes: always(7*time.Second, OutcomePerson)}
		o := b.opens(t, "node", 50, far, nil)
		time.Sleep(10*time.Second + 30*time.Millisecond)
		b.set(func() { camp.Status = Paused })
		left := far.placed()
		time.Sleep(time.Minute)
		s := b.states(camp)
		if more := far.placed() - left; more > 1 { // one may be behind the fence
			t.Errorf("%d calls left after the pause", more)
		}
		if s[Reached] != far.placed() || s[Claimed]+s[Dialing] != 0 || total(s) != 300 {
			t.Errorf("%v after the pause, %d were placed", s, far.placed())
		}
		b.set(func() { camp.Status = Running })
		time.Sleep(2 * time.Minute)
		if s := b.states(camp); s[Reached] != 300 || len(far.again()) > 0 || b.now(camp).Status != Completed {
			t.Errorf("%v after it went on, %s, twice %v", s, b.now(camp).Status, far.again())
		}
		if n := o.told(EventCompleted); len(n) != 1 {
			t.Errorf("its end was told %d times", len(n))
		}
		if n := o.told(EventAttempt); len(n) != 300 {
			t.Errorf("%d attempts were told of, want 300", len(n))
		}
		o.stop()
	})
}

// D-24: who asks not to be called is not, though a node has the number claimed.
func TestABlockedNumberIsNotDialled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		camp := calling("c", 5, 0.5)
		b := newBooks(camp)
		b.add(camp, 2)
		far := &carrier{b: b, becomes: always(time.Minute, OutcomePerson)}
		o := b.opens(t, "node", 5, far, nil)
		for b.states(camp)[Claimed] == 0 || far.placed() == 0 {
			time.Sleep(50 * time.Millisecond)
		}
		if err := b.page("other").Block(t.Context(), "", b.contact(camp, 1).Number, "asked for it"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		o.stop()
		if k := b.contact(camp, 1); far.placed() != 1 || k.State != Blocked {
			t.Errorf("%d calls were placed, the contact is %+v", far.placed(), k)
		}
	})
}

func TestWhatIsNotDialledIsGivenBack(t *testing.T) {
	t.Parallel()
	denied := func(spent bool, why string) error { return &Denied{To: "+4930", Why: why, Spent: spent} }
	for _, c := range []struct {
		name   string
		change func(*RunnerConfig)
		state  State
		due    time.Duration // from the start of the bubble
		why    string
	}{
		{
			name:   "a number that the gate denies is dialled at no time",
			change: func(c *RunnerConfig) { c.Gate = func(string) error { return denied(false, "dialing.deny holds +49") } },
			state:  Failed, why: "dialing.deny holds +49",
		},
		{
			name: "a day that has no more calls",
			change: func(c *RunnerConfig) {
				c.Claim = func(context.Context, string) error { return denied(true, "dialing.per_day: 3 calls have left") }
			},
			state: Pending, due: 24 * time.Hour, why: "dialing.per_day: 3 calls have left",
		},
		{
			name: "calls that cannot be counted are not placed",
			change: func(c *RunnerConfig) {
				c.Claim = func(context.Context, string) error { return errors.New("the database is away") }
			},
			state: Pending, due: soon, why: "the database is away",
		},
		{
			name: "a trunk that is full",
			change: func(c *RunnerConfig) {
				c.Room = func(id telephony.TrunkID) error {
					return &telephony.FullError{Trunk: id, Limit: "max_calls", RetryAfter: time.Minute}
				}
			},
			state: Pending, due: time.Minute, why: `trunk "carrier" has no room: its max_calls is reached`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				camp := calling("c", 5, 5)
				b := newBooks(camp)
				b.add(camp, 1)
				begun := time.Now()
				core, logs := observer.New(zap.InfoLevel)
				far := &carrier{b: b, becomes: always(time.Second, OutcomePerson)}
				o := b.opens(t, "node", 5, far, func(cfg *RunnerConfig) {
					cfg.Log = zap.New(core)
					c.change(cfg)
				})
				time.Sleep(time.Second)
				o.stop()
				k := b.contact(camp, 0)
				if far.placed() != 0 || k.State != c.state || k.Why != c.why {
					t.Errorf("%d were placed, the contact is %s: %q", far.placed(), k.State, k.Why)
				}
				if c.due > 0 && k.Due.Sub(begun.Add(c.due)).Abs() > 2*time.Second {
					t.Errorf("due %v from the start, want %v", k.Due.Sub(begun), c.due)
				}
				said := logs.FilterMessage("contact is not dialled").All()
				if len(said) != 1 || said[0].ContextMap()["why"] != c.why {
					t.Errorf("the log tells %v", said)
				}
				for _, e := range logs.All() {
					if s := fmt.Sprint(e.Message, e.ContextMap()); strings.Contains(s, k.Number) {
						t.Errorf("the whole number is in the log: %s", s)
					}
				}
			})
		})
	}
}

// A store that is away for ten minutes: calls that are up end, nothing leaves, and
// no result is lost.
func TestAStoreThatIsAwayLosesNoResult(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		camp := calling("c", 50, 5)
		b := newBooks(camp)
		b.add(camp, 400)
		far := &carrier{b: b, becomes: always(20*time.Second, OutcomePerson)}
		o := b.opens(t, "node", 100, far, nil)
		time.Sleep(30 * time.Second)
		b.set(func() { b.away = true })
		left := far.placed()
		time.Sleep(10 * time.Minute)
		if more := far.placed() - left; more > 1 {
			t.Errorf("%d calls left without a store", more)
		}
		if c := o.Counts(); c.Calls != 0 || c.Unkept == 0 {
			t.Errorf("%+v, want results that wait", c)
		}
		b.set(func() { b.away = false })
		time.Sleep(5 * time.Minute)
		o.stop()
		if s := b.states(camp); s[Reached] != 400 || len(far.again()) > 0 {
			t.Errorf("%v, twice %v", s, far.again())
		}
		if c := o.Counts(); c != (Counts{}) {
			t.Errorf("%+v is left to do", c)
		}
	})
}

func TestBreakersPauseACampaign(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		camp := calling("c", 50, 5)
		b := newBooks(camp)
		b.add(camp, 400)
		var bad atomic.Bool
		bad.Store(true)
		far := &carrier{b: b}
		far.becomes = func(a Attempt) (time.Duration, Result) {
			if bad.Load() && a.N == 1 {
				return time.Second, Result{Outcome: OutcomeCongestion, SIP: 503}
			}
			return time.Second, Result{Outcome: OutcomePerson, SIP: 200}
		}
		o := b.opens(t, "node", 100, far, nil)
		time.Sleep(30 * time.Second)
		paused := b.now(camp)
		if paused.Status != Paused || paused.Reason == "" {
			t.Fatalf("%s %q, want it paused", paused.Status, paused.Reason)
		}
		n := o.told(EventPaused)
		if len(n) != 1 || n[0].Reason != paused.Reason || n[0].Campaign.Status != Paused {
			t.Errorf("told of the pause: %+v", n)
		}
		t.Log(paused.Reason)
		if far.placed() > 40 {
			t.Errorf("%d calls left before it was paused", far.placed())
		}
		bad.Store(false)
		b.set(func() { camp.Status = Running })
		time.Sleep(3 * time.Hour)
		o.stop()
		if s, c := b.states(camp), b.now(camp); c.Status != Completed || s[Reached] != 400 {
			t.Errorf("what was before the pause pauses it again: %s %q %v", c.Status, c.Reason, s)
		}
	})
}

// Whoever drains gives back what is not dialled, and waits for what is.
func TestDrain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		camp := calling("c", 50, 4)
		b := newBooks(camp)
		b.add(camp, 100)
		far := &carrier{b: b, becomes: always(30*time.Second, OutcomePerson)}
		o := b.opens(t, "node", 100, far, nil)
		time.Sleep(10*time.Second + 10*time.Millisecond)
		if b.states(camp)[Claimed] == 0 {
			t.Fatal("nothing is claimed")
		}
		o.Drain(t.Context())
		left := far.placed()
		if s := b.states(camp); s[Claimed] != 0 || s[Dialing] != left {
			t.Errorf("%v behind the drain, %d calls are up", s, left)
		}
		time.Sleep(time.Minute)
		o.stop()
		if s := b.states(camp); s[Reached] != left || s[Pending] != 100-left || far.placed() != left {
			t.Errorf("%v, %d calls were placed", s, far.placed())
		}
	})
}

// Nodes die at any moment, again and again: no attempt is dialled twice, no contact
// is lost, and their states always add up.
func TestNodesThatDie(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				draw := rand.New(rand.NewPCG(seed, 1))
				camp := calling("c", 40, 20)
				camp.Retries = Retries{By: map[Outcome]Retry{OutcomeBusy: {After: time.Minute, Most: 3}}, PerDay: 9, Total: 9}
				b := newBooks(camp)
				b.slow = jitter(30 * time.Millisecond)
				const contacts = 600
				b.add(camp, contacts)
				far := &carrier{b: b, becomes: func(a Attempt) (time.Duration, Result) {
					d := time.Duration(a.Contact.Number[len(a.Contact.Number)-1]-'0') * time.Second
					if a.N == 1 && d%2 == 0 {
						return 0, Result{Outcome: OutcomeBusy, SIP: 486}
					}
					return d, Result{Outcome: OutcomePerson, SIP: 200}
				}}
				for kill := range 20 {
					node := fmt.Sprint("node", kill)
					o := b.opens(t, node, 60, far, nil)
					time.Sleep(time.Duration(draw.Int64N(int64(4 * time.Second))))
					b.kill(node)
					o.stop()
					if n := total(b.states(camp)); n != contacts {
						t.Fatalf("the states add up to %d", n)
					}
				}
				o := b.opens(t, "last", 60, far, nil)
				time.Sleep(time.Hour)
				o.stop()
				s := b.states(camp)
				if s[Reached]+s[Review] != contacts || len(far.again()) > 0 || b.now(camp).Status != Completed {
					t.Errorf("%s: %v, twice %v", b.now(camp).Status, s, far.again())
				}
				b.mu.Lock()
				defer b.mu.Unlock()
				for key, e := range b.attempts {
					if e.invites > 1 || e.invites == 0 && e.c.State != Review && e.result.Outcome != OutcomeUnknown {
						t.Errorf("attempt %s was dialled %d times: %+v", key, e.invites, e)
					}
				}
			})
		})
	}
}

// A call waits for its turn while the hour in which people may be called ends: it
// does not leave. It is the night in which the clocks go forward, so that 21:00 is
// twenty hours ahead of 20:00 the next day.
func TestHoursAreAskedForOnceMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		berlin, err := time.LoadLocation("Europe/Berlin")
		if err != nil {
			t.Fatal(err)
		}
		closing := time.Date(2026, 3, 28, 21, 0, 0, 0, berlin) // summer time begins at 02:00 of the 29th
		time.Sleep(time.Until(closing.Add(-25 * time.Second)))
		camp := calling("c", 5, 0.1) // a call each 10 s
		camp.Hours = Hours{Windows: []Window{{From: "09:00", To: "21:00"}}}
		b := newBooks(camp)
		b.add(camp, 10)
		far := &carrier{b: b, becomes: always(time.Second, OutcomePerson)}
		o := b.opens(t, "node", 5, far, nil)
		time.Sleep(2 * time.Hour)
		n := far.placed()
		for _, at := range far.times() {
			if !at.Before(closing) {
				t.Errorf("a call left at %v", at.In(berlin))
			}
		}
		if n != 3 {
			t.Errorf("%d calls left before 21:00, want 3", n)
		}
		opens := time.Date(2026, 3, 29, 9, 0, 0, 0, berlin)
		if gap := opens.Sub(closing); gap != 11*time.Hour {
			t.Fatalf("the night has %v", gap)
		}
		time.Sleep(24 * time.Hour)
		o.stop()
		if first := far.times()[n]; first.Before(opens) || first.After(opens.Add(time.Minute)) {
			t.Errorf("it went on at %v, want %v", first.In(berlin), opens)
		}
		if s := b.states(camp); s[Reached] != 10 {
			t.Errorf("%v", s)
		}
	})
}

func TestACallbackIsCalledWhenItWasAskedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		camp := calling("c", 5, 5)
		b := newBooks(camp)
		b.add(camp, 1)
		at := time.Now().Add(26 * time.Hour)
		far := &carrier{b: b}
		far.becomes = func(a Attempt) (time.Duration, Result) {
			r := Result{Outcome: OutcomePerson, SIP: 200}
			if a.N == 1 {
				r.Callback = at
			}
			return time.Minute, r
		}
		o := b.opens(t, "node", 5, far, nil)
		time.Sleep(time.Hour)
		if k := b.contact(camp, 0); k.State != Pending || !k.Due.Equal(at) || far.placed() != 1 {
			t.Errorf("%s, due %v, want %v; %d calls", k.State, k.Due, at, far.placed())
		}
		time.Sleep(26 * time.Hour)
		o.stop()
		if late := far.times()[1].Sub(at); far.placed() != 2 || late < 0 || late > 2*time.Second {
			t.Errorf("called again %v behind the time", late)
		}
	})
}
