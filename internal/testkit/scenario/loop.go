package scenario

import (
	"context"
	"errors"
	"time"
)

var errLate = errors.New("too late")

// turnGap is a pause of the agent between two sentences of one turn.
const turnGap = 700 * time.Millisecond

// take notes what the agent did.
func (r *runner) take(ev Event) {
	switch ev := ev.(type) {
	case AgentSpeaks:
		if ev.On == r.speaking {
			return
		}
		if ev.On {
			if ev.At.Sub(r.edge) > turnGap || !r.spoke {
				r.turn = ev.At
			}
			r.voice, r.spoke, r.owed = ev.At, true, true
			r.answered(ev.At)
		} else if r.stopped.IsZero() {
			r.stopped, r.silent = ev.At, ev.Wire
		}
		r.speaking, r.edge = ev.On, ev.At
	case Heard:
		r.ear.hear(ev)
		if ev.Final {
			r.owed = false
		}
		if ev.Final && ev.Text != "" {
			r.report.Heard = append(r.report.Heard, Utterance{At: ev.Start.Sub(r.start), Text: ev.Text})
		}
	case Ended:
		r.ended = &ev
	}
}

// answered notes how long the agent took, from the caller's last sound to its
// own first one, with the step it answers.
func (r *runner) answered(at time.Time) {
	if r.uttered.IsZero() || at.Before(r.uttered) || r.waits >= len(r.report.Steps) {
		return
	}
	s := &r.report.Steps[r.waits]
	s.Answer = at.Sub(r.uttered)
	r.uttered = time.Time{}
}

// until takes events until cond holds. It is asked after each event and at the
// time it names. errLate after within, ErrEnded when the call is over first.
func (r *runner) until(ctx context.Context, within time.Duration, cond func(now time.Time) (bool, time.Time)) error {
	deadline := time.Now().Add(within)
	timer := time.NewTimer(within)
	defer timer.Stop()
	for {
		now := time.Now()
		done, wake := cond(now)
		switch {
		case done:
			return nil
		case r.events == nil:
			return ErrEnded
		case !now.Before(deadline):
			return errLate
		}
		if wake.IsZero() || wake.After(deadline) {
			wake = deadline
		}
		timer.Reset(wake.Sub(now))
		select {
		case ev, ok := <-r.events:
			r.next(ev, ok)
		case <-timer.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// do runs one of the phone's methods to its end while events are taken.
func (r *runner) do(ctx context.Context, act func() error) error {
	if r.events == nil {
		return ErrEnded
	}
	done := make(chan error, 1) // one result, so that the goroutine never waits for us
	go func() { done <- act() }()
	for {
		select {
		case ev, ok := <-r.events:
			r.next(ev, ok)
			if !ok {
				// The methods end with the call.
				if err := <-done; err != nil {
					return ErrEnded
				}
				return nil
			}
		case err := <-done:
			switch {
			case errors.Is(err, ErrEnded):
				return r.until(ctx, hangupWait, func(time.Time) (bool, time.Time) { return false, time.Time{} })
			case err != nil && ctx.Err() != nil:
				return context.Cause(ctx)
			}
			return err
		}
	}
}

func (r *runner) next(ev Event, ok bool) {
	if !ok {
		r.events = nil
		if r.ended == nil {
			r.ended = &Ended{At: time.Now(), Reason: "no reason told"}
		}
		return
	}
	r.take(ev)
}
