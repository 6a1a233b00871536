package dialer

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/telephony"
)

// How an attempt goes about its call.
const (
	fenceAhead = 50 * time.Millisecond // of its turn, so that the INVITE leaves in time
	soon       = 30 * time.Second      // that a contact waits for what went wrong here
	retryFirst = 100 * time.Millisecond
	retryMost  = 10 * time.Second // between two tries to keep something
)

// try is an attempt on this node.
type try struct {
	r      *Runner
	l      *line
	c      Campaign
	a      Attempt
	at     time.Time     // its turn
	behind time.Duration // that our clock was behind the ledger's
	log    *zap.Logger
	call   telephony.CallID
	from   string // the caller ID that is shown
	// counted tells those who chose it whether it was.
	counted func(dialed bool)
}

// take begins an attempt that was claimed.
func (r *Runner) take(claims, work context.Context, l *line, a Attempt, at time.Time, seat func()) {
	r.mu.Lock()
	c := l.c
	l.waiting++
	r.counts.Waiting++
	r.mu.Unlock()
	t := &try{
		r: r, l: l, c: c, a: a, at: l.pace.slot(at, c.CPS), behind: max(0, a.Claimed.Sub(r.now())),
		log: r.log.With(zap.String("campaign", c.ID), zap.String("contact", a.Contact.ID), zap.Int("attempt", a.N),
			zap.String("number", masked(a.Contact.Number))),
	}
	r.undialed.Add(1)
	r.tries.Go(func() { t.run(claims, work, seat) })
}

// now is the later one of our clock and the ledger's: nobody is due too early.
func (t *try) now() time.Time { return t.r.now().Add(t.behind) }

// run is the attempt, until its result is kept.
func (t *try) run(claims, work context.Context, seat func()) {
	dialed := t.begin(claims, work)
	t.count(func(l *line, c *Counts) {
		l.waiting--
		c.Waiting--
		if dialed {
			l.calls++
			c.Calls++
		}
	})
	t.r.undialed.Done()
	if !dialed {
		seat()
		return
	}
	res := t.r.cfg.Placer.Place(work, t.c, t.a, t.call, t.from)
	seat()
	t.count(func(_ *line, c *Counts) { c.Calls--; c.Unkept++ })
	t.finish(work, res)
	t.count(func(l *line, c *Counts) { l.calls--; l.ended++; c.Unkept-- })
}

func (t *try) count(change func(*line, *Counts)) {
	t.r.mu.Lock()
	defer t.r.mu.Unlock()
	change(t.l, &t.r.counts)
}

// begin waits for the turn and passes the fence; false: it is not to be dialled,
// and given back.
func (t *try) begin(claims, work context.Context) bool {
	if !wait(claims, t.at.Add(-fenceAhead)) {
		t.giveBack(work, Pending, t.a.Contact.Due, "the node is shutting down")
		return false
	}
	if !t.allowed(work) {
		return false
	}
	call, err := uuid.NewV7()
	if err != nil { // no randomness
		t.counted(false)
		t.unclaim()
		t.giveBack(work, Pending, t.now().Add(soon), err.Error())
		return false
	}
	t.call = telephony.CallID(call.String())
	err = t.r.cfg.Ledger.Dialing(work, t.a, t.call, t.from)
	t.counted(err == nil)
	if err != nil {
		t.unclaim()
		t.fenced(work, err)
		return false
	}
	left := t.leave(work)
	t.log.Info("contact is dialled", zap.String("call_id", string(t.call)), zap.Time("left", left))
	return true
}

// leave waits until the call may leave, or work ends: it is when it left.
func (t *try) leave(work context.Context) time.Time {
	for {
		at, ok := t.l.pace.leave(t.at, time.Now(), t.c.CPS)
		if ok || !wait(work, at) {
			return at
		}
	}
}

// allowed asks everything that may stand against the call at this instant.
func (t *try) allowed(work context.Context) bool {
	now, to := t.now(), t.a.Contact.Number
	if next, due, why := t.r.judge(t.c, t.at)(t.a); next != Claimed {
		t.giveBack(work, next, due, why)
		return false
	}
	if t.r.cfg.Gate != nil {
		if err := t.r.cfg.Gate(to); err != nil {
			t.giveBack(work, Failed, time.Time{}, whyOf(err))
			return false
		}
	}
	if t.r.cfg.Room != nil {
		if err := t.r.cfg.Room(t.c.Trunk); err != nil {
			after := soon
			var full *telephony.FullError
			if errors.As(err, &full) && full.RetryAfter > 0 {
				after = full.RetryAfter
			}
			t.giveBack(work, Pending, now.Add(after), err.Error())
			return false
		}
	}
	if err := t.claim(work, to); err != nil {
		t.refused(work, now, err)
		return false
	}
	from, counted, due, why := t.r.callerID(work, t.l, t.c, t.a.Contact, now)
	if why != "" {
		t.unclaim()
		t.giveBack(work, Pending, due, why)
		return false
	}
	t.from, t.counted = from, counted
	return true
}

// claim counts the call against what limits all calls.
func (t *try) claim(ctx context.Context, to string) error {
	if t.r.cfg.Claim == nil {
		return nil
	}
	return t.r.cfg.Claim(ctx, to)
}

// refused is a limit of all calls that is reached.
func (t *try) refused(work context.Context, now time.Time, err error) {
	var denied *Denied
	switch {
	case errors.As(err, &denied) && denied.Spent:
		t.giveBack(work, Pending, now.UTC().Truncate(24*time.Hour).Add(24*time.Hour), denied.Why)
	case denied != nil:
		t.giveBack(work, Failed, time.Time{}, denied.Why)
	default:
		t.giveBack(work, Pending, now.Add(soon), err.Error())
	}
}

// unclaim takes a call back that did not leave.
func (t *try) unclaim() {
	if t.r.cfg.Unclaim != nil {
		t.r.cfg.Unclaim()
	}
}

// fenced is a fence that did not open. Whether it was passed when the store went
// away nobody knows; no INVITE has left, that much is certain.
func (t *try) fenced(work context.Context, err error) {
	due := t.a.Contact.Due // paused, or not to be called: the ledger knows where it goes then
	if !errors.Is(err, ErrNotClaimed) {
		due = t.now().Add(soon)
	}
	t.giveBack(work, Pending, due, "no fence: "+err.Error())
}

// giveBack keeps that an attempt was not dialled, and why.
func (t *try) giveBack(work context.Context, next State, due time.Time, why string) {
	t.log.Info("contact is not dialled", zap.String("why", why), zap.String("state", string(next)),
		zap.Time("due", due))
	t.keep(work, func(ctx context.Context) error {
		err := t.r.cfg.Ledger.Release(ctx, t.a, next, due, why)
		if errors.Is(err, ErrNotClaimed) { // somebody has given it back, or stopped it
			return nil
		}
		return err
	})
}

// finish keeps what became of an attempt.
func (t *try) finish(work context.Context, res Result) {
	res.From = t.from
	t.decide(&res)
	t.log.Info("contact was called", zap.String("call_id", string(t.call)), zap.String("outcome", string(res.Outcome)),
		zap.Int("sip", res.SIP), zap.String("why", res.Why), zap.String("answered_by", res.AnsweredBy),
		zap.String("state", string(res.Next)), zap.Time("due", res.Due))
	if !t.keep(work, func(ctx context.Context) error { return t.r.cfg.Ledger.Finish(ctx, t.a, res) }) {
		return
	}
	a := t.a
	a.Call = t.call
	t.r.tell(News{Name: EventAttempt, Campaign: t.c, Attempt: a, Result: res})
}

// keep tells the ledger something until it has it, however long the store is
// away; false: it is none of ours any more, or the node has ended.
func (t *try) keep(work context.Context, tell func(context.Context) error) bool {
	for pause := retryFirst; ; pause = min(2*pause, retryMost) {
		err := tell(work)
		switch {
		case err == nil:
			return true
		case errors.Is(err, ErrNotClaimed), work.Err() != nil:
			t.log.Warn("what became of an attempt is not kept", zap.Error(err))
			return false
		}
		t.r.away(work, "what became of attempts", err)
		wait(work, time.Now().Add(pause))
	}
}

// wait waits until a time; false: ctx has ended before.
func wait(ctx context.Context, at time.Time) bool {
	d := time.Until(at)
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// whyOf is the reason of an error, without the number that the log shall not hold.
func whyOf(err error) string {
	var d *Denied
	if errors.As(err, &d) {
		return d.Why
	}
	return err.Error()
}
