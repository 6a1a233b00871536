package llm

import (
	"context"
	"errors"
	"io"
	"time"
)

// FallbackConfig holds the waits of a fallback. A zero
// field means the default beside it.
type FallbackConfig struct {
	First    time.Duration // 4s to the first useful token of the first provider
	Next     time.Duration // 6s to that of the others
	Stall    time.Duration // 5s between deltas once something was passed on
	Retry    time.Duration // 300ms before the one retry of a provider that refused
	RetryMax time.Duration // 2s: a longer Retry-After goes to the next provider at once
	// A provider that failed BreakAfter times (5) within BreakWithin (30s) is
	// left out for BreakFor (10s), then one completion tries it again. The last
	// of a chain is always asked.
	BreakAfter            int
	BreakWithin, BreakFor time.Duration
	// Hedge lets the second provider start as soon as the first takes longer
	// than it does nineteen times of twenty, and the first useful token wins
	// (conv:L3): two completions are paid for in one of twenty.
	Hedge bool
}

func (c FallbackConfig) withDefaults() FallbackConfig {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.First, 4 * time.Second},
		{&c.Next, 6 * time.Second},
		{&c.Stall, 5 * time.Second},
		{&c.Retry, 300 * time.Millisecond},
		{&c.RetryMax, 2 * time.Second},
		{&c.BreakWithin, 30 * time.Second},
		{&c.BreakFor, 10 * time.Second},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	if c.BreakAfter <= 0 {
		c.BreakAfter = 5
	}
	return c
}

// Named is a provider with the name it has in the configuration.
type Named struct {
	Name     string
	Provider Provider
}

// NewFallback makes one provider of several that are asked one after the
// other. Nothing of a completion is passed on before its first useful token,
// so a provider that fails before leaves no trace but a Fell delta; once a
// word was passed on there is no second try: the stream ends with an error and
// the one who asked decides (conv:L5).
//
// A provider that refuses for the moment (connection, 429, 5xx) is asked once
// more after Retry or its own Retry-After; one that completes with nothing is
// asked once more at once (conv:L6). A model named in the request is the first
// provider's; the others use their own.
func NewFallback(cfg FallbackConfig, providers ...Named) Provider {
	cfg = cfg.withDefaults()
	if cfg.Hedge && len(providers) > 1 {
		return newHedged(cfg, providers)
	}
	return newFallback(cfg, providers)
}

func newFallback(cfg FallbackConfig, providers []Named) *fallback {
	f := &fallback{cfg: cfg, providers: providers}
	for range providers {
		f.breakers = append(f.breakers, &breaker{after: cfg.BreakAfter, within: cfg.BreakWithin, rest: cfg.BreakFor})
	}
	return f
}

type fallback struct {
	cfg       FallbackConfig
	providers []Named
	breakers  []*breaker // of each
}

var (
	_ Provider = (*fallback)(nil)
	_ Warmer   = (*fallback)(nil)
)

// Stream begins with the first provider. It does not wait: the first Next does.
func (f *fallback) Stream(ctx context.Context, r Request) (Stream, error) {
	if len(f.providers) == 0 {
		return nil, &Error{Provider: "fallback", Op: "request", Err: errors.New("no provider")}
	}
	return &fallbackStream{f: f, ctx: ctx, req: r}, nil
}

// Warm warms the first provider.
func (f *fallback) Warm(ctx context.Context) error {
	if len(f.providers) > 0 {
		if w, ok := f.providers[0].Provider.(Warmer); ok {
			return w.Warm(ctx)
		}
	}
	return nil
}

// fallbackStream belongs to the goroutine that reads it.
type fallbackStream struct {
	f   *fallback
	ctx context.Context // of this completion; each attempt has one below it
	req Request

	at      int       // index of the provider that is asked
	until   time.Time // by when its first useful token must come; zero: not asked yet
	retried bool      // it was asked a second time
	passed  bool      // something useful was passed on
	err     error     // the stream is over; io.EOF after Done

	cur     Stream // the attempt, nil: to be asked
	attempt context.Context
	cancel  context.CancelCauseFunc
}

// Next waits for the next delta of whichever provider answers.
func (s *fallbackStream) Next() (Delta, error) {
	for s.err == nil {
		d, ok, err := s.step()
		if err != nil {
			s.finish(err)
			break
		}
		if d.Kind == Done && ok {
			s.finish(io.EOF)
		}
		if ok {
			return d, nil
		}
	}
	return Delta{}, s.err
}

// step asks, or reads on. Neither ok nor an error means: once more.
func (s *fallbackStream) step() (d Delta, ok bool, err error) {
	if s.cur == nil {
		if s.until.IsZero() && s.at+1 < len(s.f.providers) && !s.f.breakers[s.at].allow(time.Now()) {
			return s.next(&Error{Provider: s.name(), Op: "request", Temporary: true, Err: ErrLeftOut})
		}
		if err := s.ask(); err != nil {
			return s.failed(err)
		}
	}
	cause, wait := ErrStalled, s.f.cfg.Stall
	if !s.passed {
		cause, wait = ErrNoToken, time.Until(s.until)
	}
	watch := time.AfterFunc(wait, func() { s.cancel(cause) })
	d, err = s.cur.Next()
	watch.Stop()
	switch {
	case errors.Is(err, io.EOF): // without Done
		return s.failed(&Error{Provider: s.name(), Op: "stream", Temporary: true, Err: ErrCut})
	case err != nil:
		return s.failed(err)
	case d.Kind == Done && !s.passed:
		return s.empty()
	}
	if !s.passed && d.Useful() {
		s.passed = true
		s.f.breakers[s.at].ok()
	}
	// What is not useful waits for what is; a fallback inside this one may
	// tell of its own change at once.
	return d, s.passed || d.Kind == Fell, nil
}

func (s *fallbackStream) name() string { return s.f.providers[s.at].Name }

// ask begins an attempt with the provider at hand.
func (s *fallbackStream) ask() error {
	if s.until.IsZero() {
		wait := s.f.cfg.First
		if s.at > 0 {
			wait = s.f.cfg.Next
			s.req.Model = ""
		}
		s.until = time.Now().Add(wait)
	}
	ctx, cancel := context.WithCancelCause(s.ctx)
	s.attempt, s.cancel = ctx, cancel
	watch := time.AfterFunc(time.Until(s.until), func() { cancel(ErrNoToken) })
	defer watch.Stop()
	cur, err := s.f.providers[s.at].Provider.Stream(ctx, s.req)
	if err != nil {
		return err
	}
	s.cur = cur
	return nil
}

// failed says what follows on an error of the attempt at hand.
func (s *fallbackStream) failed(err error) (Delta, bool, error) {
	cause := context.Cause(s.attempt)
	s.end()
	var e *Error
	switch {
	case s.ctx.Err() != nil:
		return Delta{}, false, context.Cause(s.ctx)
	case errors.Is(cause, ErrNoToken):
		e = &Error{Provider: s.name(), Op: "first token", Temporary: true, Err: cause}
	case errors.Is(cause, ErrStalled):
		e = &Error{Provider: s.name(), Op: "stream", Temporary: true, Err: cause}
	case !errors.As(err, &e):
		e = &Error{Provider: s.name(), Op: "request", Err: err}
	}
	if s.passed {
		return Delta{}, false, e
	}
	if e.Temporary && cause == nil && !s.retried && e.RetryAfter <= s.f.cfg.RetryMax {
		wait := s.f.cfg.Retry
		if e.RetryAfter > 0 {
			wait = e.RetryAfter
		}
		if time.Until(s.until) > wait {
			s.retried = true
			return Delta{}, false, s.pause(wait)
		}
	}
	s.f.breakers[s.at].fail(time.Now())
	return s.next(e)
}

// empty is a completion that brought nothing: once more, then the next.
func (s *fallbackStream) empty() (Delta, bool, error) {
	s.end()
	if !s.retried {
		s.retried = true
		return Delta{}, false, nil
	}
	s.f.breakers[s.at].fail(time.Now())
	return s.next(&Error{Provider: s.name(), Op: "stream", Temporary: true, Err: ErrEmpty})
}

// next goes to the next provider, and says so.
func (s *fallbackStream) next(e *Error) (Delta, bool, error) {
	if s.at+1 >= len(s.f.providers) {
		return Delta{}, false, e
	}
	s.at++
	s.until, s.retried = time.Time{}, false
	return Delta{Kind: Fell, Failed: e, Provider: s.name()}, true, nil
}

// pause waits before a retry.
func (s *fallbackStream) pause(d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
}

// end gives the attempt up.
func (s *fallbackStream) end() {
	if s.cancel != nil {
		s.cancel(nil)
	}
	if s.cur != nil {
		_ = s.cur.Close() // nothing of it is wanted any more
		s.cur = nil
	}
}

func (s *fallbackStream) finish(err error) {
	s.err = err
	s.end()
}

// Close gives up what is left.
func (s *fallbackStream) Close() error {
	if s.err == nil {
		s.err = io.ErrClosedPipe
	}
	s.end()
	return nil
}
