package dialer

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// noProfile is how long a contact waits whose campaign has a profile that is not
// there: nobody is called by fewer rules than were asked for.
const noProfile = 10 * time.Minute

// clocksApart is by how much the ledger's clock and ours may differ unnoticed.
const clocksApart = time.Second

// judge asks the rules of a campaign about a call that leaves at a time, or now
// where that is over. Who is claimed is asked for by both clocks, where they differ.
func (r *Runner) judge(c Campaign, leaves time.Time) Judge {
	p, ok := r.profile(c)
	return func(a Attempt) (State, time.Time, string) {
		now := r.now().Add(max(0, time.Until(leaves)))
		if !ok {
			return Pending, now.Add(noProfile), fmt.Sprintf("the profile %q is not there", c.Profile)
		}
		next, due, why := MayDial(c, p, a.Contact, now)
		if next == Claimed && leaves.IsZero() && a.Claimed.Sub(now).Abs() > clocksApart {
			next, due, why = MayDial(c, p, a.Contact, a.Claimed)
		}
		if until, shared := a.shared(p, now); next == Claimed && shared != "" {
			return c.due(p, a.Contact, when{at: until}, shared)
		}
		return next, due, why
	}
}

func (r *Runner) profile(c Campaign) (Profile, bool) {
	p, ok := r.cfg.Rules[c.Profile]
	return p, ok || c.Profile == ""
}

// decide says where the contact goes after its call.
func (t *try) decide(res *Result) {
	p, _ := t.r.profile(t.c)
	next, due, why := Decide(t.c, p, t.a, *res, t.now())
	res.Next, res.Due = next, due
	switch {
	case why == "" || strings.Contains(res.Why, why):
	case res.Why == "" || strings.Contains(why, res.Why):
		res.Why = why
	default:
		res.Why = why + " (" + res.Why + ")"
	}
}

// judged asks the breakers of a campaign.
func (r *Runner) judged(ctx context.Context, l *line) {
	now := time.Now()
	r.mu.Lock()
	c, since := l.c, l.since
	due := l.running && l.ended > 0 && !now.Before(l.judge)
	if due {
		l.ended, l.judge = 0, now.Add(judgeEvery)
	}
	r.mu.Unlock()
	if !due {
		return
	}
	clock := r.now()
	if !since.IsZero() {
		since = clock.Add(-now.Sub(since))
	}
	why, err := r.broken(ctx, c, since, clock)
	paused := false
	if why != "" {
		paused, err = r.cfg.Ledger.Pause(ctx, c.ID, why)
	}
	switch {
	case err != nil:
		r.mu.Lock()
		l.ended++ // they are asked again
		r.mu.Unlock()
		r.away(ctx, "breakers", err)
	case paused:
		r.stop(l, c, Paused, why)
	}
}

// broken is why a campaign has to be paused, "" where it may go on. Failures from
// before since, when it was resumed, are not held against it. Abandoned calls are, as
// the law counts them: but only another one pauses it again, so that the calls of
// whoever resumed it can bring the share down.
func (r *Runner) broken(ctx context.Context, c Campaign, since, now time.Time) (string, error) {
	p, _ := r.profile(c)
	failed, abandoned := c.Breakers.Since(p, now)
	if !c.Resumed.After(now) { // else the clock was set back since
		since = later(since, c.Resumed)
	}
	of, err := r.cfg.Ledger.Tally(ctx, c.ID, later(failed, since))
	if err != nil {
		return "", err
	}
	with, err := r.cfg.Ledger.Tally(ctx, c.ID, abandoned)
	if err != nil {
		return "", err
	}
	if since.After(abandoned) && with.Abandoned > 0 {
		again, err := r.cfg.Ledger.Tally(ctx, c.ID, since)
		if err != nil {
			return "", err
		}
		if again.Abandoned == 0 {
			with.Abandoned = 0
		}
	}
	why, _ := c.Breakers.Trip(p, of, with)
	return why, nil
}

// shown is how often each caller ID of a campaign was shown today. What other
// campaigns and nodes show counts with a second's delay.
type shown struct {
	mu     sync.Mutex // guards what follows; held while the ledger is asked
	kept   map[string]int
	chosen map[string]int // by calls that the ledger does not count yet
	until  time.Time      // that kept is believed
}

// callerID chooses the number that a contact sees. counted is to be called once it
// is kept, or was not shown.
func (r *Runner) callerID(ctx context.Context, l *line, c Campaign, k Contact, now time.Time) (
	from string, counted func(dialed bool), until time.Time, why string,
) {
	if len(c.CallerIDs) == 0 {
		return "", func(bool) {}, time.Time{}, ""
	}
	s := &l.shown
	s.mu.Lock()
	defer s.mu.Unlock()
	if begun := time.Now(); !begun.Before(s.until) {
		since, _ := c.Day(now)
		numbers := make([]string, 0, len(c.CallerIDs))
		for _, id := range c.CallerIDs {
			numbers = append(numbers, id.Number)
		}
		kept, err := r.cfg.Ledger.Shown(ctx, numbers, since)
		if err != nil {
			r.away(ctx, "caller IDs", err)
			return "", nil, now.Add(soon), "the store does not tell how often caller IDs were shown"
		}
		s.kept, s.until = kept, begun.Add(time.Second)
	}
	all := make(map[string]int, len(c.CallerIDs))
	for _, id := range c.CallerIDs {
		all[id.Number] = s.kept[id.Number] + s.chosen[id.Number]
	}
	from, until, why = c.CallerID(k, all, now)
	if why != "" || from == "" {
		return from, func(bool) {}, until, why
	}
	if s.chosen == nil {
		s.chosen = map[string]int{}
	}
	s.chosen[from]++
	return from, func(dialed bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.chosen[from]--
		if dialed {
			s.kept[from]++
		}
	}, time.Time{}, ""
}

// stop keeps that a campaign does not run any more, and tells it.
func (r *Runner) stop(l *line, c Campaign, s Status, why string) {
	r.mu.Lock()
	l.running = false
	r.mu.Unlock()
	r.log.Info("campaign "+string(s), zap.String("campaign", c.ID), zap.String("reason", why))
	c.Status, c.Reason = s, why
	r.tell(News{Name: "campaign." + string(s), Campaign: c, Reason: why})
}
