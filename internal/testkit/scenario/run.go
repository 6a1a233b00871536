package scenario

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Run plays a scenario on a call that is up, and hangs up when it is over. It
// stops at the first step that fails. It returns when the phone's Events are
// closed or, after a hang-up, at most hangupWait later.
func Run(ctx context.Context, s *Scenario, p Phone) *Report {
	ctx, cancel := context.WithTimeoutCause(ctx, s.Timeout,
		fmt.Errorf("the scenario's timeout of %s is over", s.Timeout))
	defer cancel()
	r := &runner{s: s, phone: p, events: p.Events(), start: time.Now(), report: &Report{Name: s.Name, File: s.File}}
	for i := range s.Steps {
		if !r.step(ctx, &s.Steps[i]) {
			break
		}
	}
	r.finish(ctx)
	return r.report
}

// hangupWait is how long the end of the call may take after the hang-up, the
// words that are still owed included.
const hangupWait = 15 * time.Second

// runner plays one scenario. One goroutine runs it; the phone's blocking
// methods have one of their own while they last.
type runner struct {
	s      *Scenario
	phone  Phone
	events <-chan Event // nil when the call is over
	start  time.Time
	report *Report

	ear      ear
	speaking bool
	edge     time.Time // of speaking
	voice    time.Time // when the agent's voice last began
	turn     time.Time // the same, short pauses not counted
	spoke    bool      // the agent has begun to speak since the caller did something
	owed     bool      // words of the last utterance are still to come
	stopped  time.Time // the first end of the agent's voice since it was reset
	silent   time.Time // the same on the wire; zero: not known
	uttered  time.Time // the end of what the caller said last, while its answer is awaited
	waits    int       // the step that said it
	ended    *Ended
}

// step plays one step and notes how it went.
func (r *runner) step(ctx context.Context, s *Step) bool {
	began := time.Now()
	res := Result{Step: s.String(), Line: s.Line, At: began.Sub(r.start)}
	var err error
	switch s.Verb {
	case Say, Play, Press:
		err = r.utter(ctx, s)
	case BargeIn:
		res.Note, err = r.bargeIn(ctx, s)
	case Wait:
		err = r.until(ctx, s.For, func(time.Time) (bool, time.Time) { return false, time.Time{} })
		if errors.Is(err, errLate) || errors.Is(err, ErrEnded) {
			err = nil // a step behind it tells whether the call may be over
		}
	case WaitFor, ExpectWords:
		res.Heard, err = r.words(ctx, s)
	case WaitQuiet, ExpectSilence:
		res.Note, err = r.silence(ctx, s)
	case ExpectHangup:
		err = r.hungUp(ctx, s)
	case Mumble, Cough, Hum, Knock:
		if s.After > 0 {
			err = r.spoken(ctx, s)
		}
		if err == nil {
			err = r.do(ctx, func() error { return r.phone.Disturb(ctx, s) })
		}
	case Noise, Echo, Mute, Loss, Hold:
		err = r.do(ctx, func() error { return r.phone.Disturb(ctx, s) })
	case Hangup:
		err = r.do(ctx, func() error { return r.phone.Hangup(ctx) })
	default:
		err = fmt.Errorf("no verb %q", s.Verb)
	}
	res.Took = time.Since(began)
	if res.OK = err == nil; !res.OK {
		res.Fault = err.Error()
		if r.ended != nil && errors.Is(err, ErrEnded) {
			res.Fault = fmt.Sprintf("the call ended at %s: %s", clock(r.ended.At.Sub(r.start)), r.ended.Reason)
		}
		if words, _ := r.ear.fresh(); res.Heard == "" {
			res.Heard = join(words)
		}
	}
	r.report.Steps = append(r.report.Steps, res)
	return res.OK
}

// utter is the caller doing something: what the agent said before does not
// count as its answer.
func (r *runner) utter(ctx context.Context, s *Step) error {
	if r.events == nil {
		return ErrEnded
	}
	began := time.Now()
	r.ear.since, r.ear.from = began, len(r.ear.settled)
	err := r.do(ctx, r.act(ctx, s))
	r.spoke = r.speaking && !r.voice.Before(began)
	r.uttered, r.waits = time.Time{}, len(r.report.Steps)
	if err == nil && !r.speaking {
		r.uttered = time.Now()
	}
	return err
}

// act is the phone's part of a step.
func (r *runner) act(ctx context.Context, s *Step) func() error {
	voice := s.Voice
	if voice == "" {
		voice = r.s.Voice
	}
	return func() error {
		switch {
		case s.Digits != "":
			return r.phone.Press(ctx, s.Digits)
		case s.File != "":
			return r.phone.Play(ctx, s.File)
		}
		return r.phone.Say(ctx, s.Text, voice)
	}
}

// words waits for words.
func (r *runner) words(ctx context.Context, s *Step) (heard string, err error) {
	var absent []string
	var words []word
	err = r.until(ctx, s.Within, func(now time.Time) (bool, time.Time) {
		var at, last int
		words, at = r.ear.fresh()
		if absent, last = missing(s.Words, words); len(absent) > 0 {
			return false, time.Time{}
		}
		if s.Verb == ExpectWords { // judged when the agent has finished
			if done, wake := r.quiet(now, s.For); !done {
				return false, wake
			}
			if wake := r.edge.Add(wordsOwed); r.owed && r.ended == nil && now.Before(wake) {
				return false, wake
			}
			words, at = r.ear.fresh()
			_, last = missing(s.Words, words)
		}
		r.ear.from = at + last
		return true, time.Time{}
	})
	heard = join(words)
	switch {
	case errors.Is(err, errLate) && len(absent) > 0:
		return heard, fmt.Errorf("not heard within %s: %s", s.Within, quoted(absent))
	case errors.Is(err, errLate):
		return heard, fmt.Errorf("the agent did not finish within %s", s.Within)
	case err != nil:
		return heard, err
	}
	for _, w := range s.Not {
		if find(w, words) >= 0 {
			return heard, fmt.Errorf("%q was heard and must not be", w)
		}
	}
	return heard, nil
}

// wordsOwed is how long after an utterance its words are waited for, at most.
const wordsOwed = 10 * time.Second

// quiet tells whether the agent has spoken since the caller did something and
// then been silent for d, and if not, when that may be.
func (r *runner) quiet(now time.Time, d time.Duration) (done bool, wake time.Time) {
	if !r.spoke {
		return false, time.Time{}
	}
	if r.ended != nil {
		return true, time.Time{}
	}
	if r.speaking {
		return false, time.Time{}
	}
	wake = r.edge.Add(d)
	return !now.Before(wake), wake
}

// silence waits until the agent is silent.
func (r *runner) silence(ctx context.Context, s *Step) (note string, err error) {
	began := time.Now()
	err = r.until(ctx, s.Within, func(now time.Time) (bool, time.Time) {
		if s.Verb == WaitQuiet {
			return r.quiet(now, s.For)
		}
		if r.speaking {
			return false, time.Time{}
		}
		from := r.edge
		if from.Before(began) {
			from = began
		}
		wake := from.Add(s.For)
		return !now.Before(wake), wake
	})
	switch {
	case err == nil && s.Verb == ExpectSilence && r.edge.After(began):
		note = "silent after " + millis(r.edge.Sub(began))
	case !errors.Is(err, errLate):
	case s.Verb == WaitQuiet && !r.spoke:
		err = fmt.Errorf("the agent said nothing within %s", s.Within)
	case r.speaking:
		err = fmt.Errorf("the agent is still speaking after %s, for %s by now", s.Within, clock(time.Since(r.voice)))
	default:
		err = fmt.Errorf("no silence of %s within %s", s.For, s.Within)
	}
	return note, err
}

// spoken waits until the agent has spoken for s.After.
func (r *runner) spoken(ctx context.Context, s *Step) error {
	var longest time.Duration // of the agent's turns while we waited
	err := r.until(ctx, s.Within, func(now time.Time) (bool, time.Time) {
		if !r.speaking {
			if r.spoke {
				longest = max(longest, r.edge.Sub(r.turn))
			}
			return false, time.Time{}
		}
		wake := r.turn.Add(s.After)
		return !now.Before(wake), wake
	})
	switch {
	case errors.Is(err, errLate) && longest > 0:
		return fmt.Errorf("the agent did not speak for %s within %s, only for %s", s.After, s.Within, clock(longest))
	case errors.Is(err, errLate):
		return fmt.Errorf("the agent did not speak within %s", s.Within)
	}
	return err
}

// bargeIn speaks into the agent's speech. How soon the agent stops counts on the
// wire, from the first loud packet to the agent's last, where the phone knows it.
func (r *runner) bargeIn(ctx context.Context, s *Step) (note string, err error) {
	if err := r.spoken(ctx, s); err != nil {
		return "", err
	}
	at := time.Now()
	r.stopped, r.silent = time.Time{}, time.Time{}
	if err := r.utter(ctx, s); err != nil {
		return "", err
	}
	if r.stopped.IsZero() {
		// That a voice has ended is found out late.
		deadline := time.Second
		if s.StopsWithin > 0 {
			deadline += s.StopsWithin - time.Since(at)
		}
		_ = r.until(ctx, max(deadline, 0), func(time.Time) (bool, time.Time) { return !r.stopped.IsZero(), time.Time{} })
	}
	stopped, note := r.stopped.Sub(at), ""
	if w, ok := r.phone.(Wired); ok && !r.silent.IsZero() && w.Onset().After(at) {
		note = " on the wire, " + millis(stopped) + " heard here"
		stopped = r.silent.Sub(w.Onset())
	}
	switch still := r.stopped.IsZero(); {
	case still && s.StopsWithin > 0:
		return "", fmt.Errorf("the agent spoke on for %s, it must stop within %s", clock(time.Since(at)), s.StopsWithin)
	case still:
		return "the agent spoke on", nil
	case s.StopsWithin > 0 && stopped > s.StopsWithin:
		return "", fmt.Errorf("the agent stopped after %s%s, it must within %s", millis(stopped), note, s.StopsWithin)
	}
	return "the agent stopped after " + millis(stopped) + note, nil
}

// hungUp waits for the agent to hang up.
func (r *runner) hungUp(ctx context.Context, s *Step) error {
	err := r.until(ctx, s.Within, func(time.Time) (bool, time.Time) { return false, time.Time{} })
	switch {
	case errors.Is(err, ErrEnded) && r.ended.Remote:
		return nil
	case errors.Is(err, errLate):
		return fmt.Errorf("the agent did not hang up within %s", s.Within)
	}
	return err
}

// finish ends the call and judges its key words.
func (r *runner) finish(ctx context.Context) {
	// What the recogniser still owes comes with the end of the call.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), hangupWait)
	defer cancel()
	if r.ended == nil {
		_ = r.do(ctx, func() error { return r.phone.Hangup(ctx) })
	}
	for r.events != nil && ctx.Err() == nil {
		select {
		case ev, ok := <-r.events:
			r.next(ev, ok)
		case <-ctx.Done():
		}
	}
	rep := r.report
	rep.Took = time.Since(r.start)
	if r.ended != nil {
		rep.Took, rep.EndReason, rep.EndedByAgent = r.ended.At.Sub(r.start), r.ended.Reason, r.ended.Remote
	}
	all := r.ear.all()
	rep.Words = join(all)
	rep.Unheard, _ = missing(r.s.Heard.Words, all)
	rep.KeyWords, rep.Needed = len(r.s.Heard.Words), r.s.Heard.Share
	rep.OK = len(rep.Steps) == len(r.s.Steps)
	for _, s := range rep.Steps {
		rep.OK = rep.OK && s.OK
	}
	rep.Skipped = len(r.s.Steps) - len(rep.Steps)
	if n := len(r.s.Heard.Words); n > 0 && rep.Share() < r.s.Heard.Share {
		rep.OK = false
		rep.Fault = fmt.Sprintf("%d of %d key words were heard, at least %.0f %% must be; not heard: %s",
			n-len(rep.Unheard), n, 100*r.s.Heard.Share, strings.Join(rep.Unheard, ", "))
	}
}
