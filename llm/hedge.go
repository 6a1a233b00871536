package llm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"
	"time"
)

// ErrOvertaken is why a provider was left that had not failed: another
// answered first.
var ErrOvertaken = errors.New("another answered first")

const (
	// hedgeSamples is how many first tokens of a provider are remembered, and
	// hedgeLeast how many must be for their p95 to mean something.
	hedgeSamples = 100
	hedgeLeast   = 20
)

// hedged lets the first provider and the chain behind it race: the chain is
// asked when the first has taken longer for its first useful token than it does
// nineteen times of twenty, and whoever is useful first is heard (conv:L3).
type hedged struct {
	first Named
	head  Provider // first, with its retry and its wait
	rest  Provider // the others, one after the other
	next  string   // name of the first of them
	took  firsts
}

var (
	_ Provider = (*hedged)(nil)
	_ Warmer   = (*hedged)(nil)
)

func newHedged(cfg FallbackConfig, providers []Named) *hedged {
	rest := cfg
	rest.First = cfg.Next
	return &hedged{
		first: providers[0], next: providers[1].Name,
		head: newFallback(cfg, providers[:1]),
		rest: newFallback(rest, providers[1:]),
	}
}

// Warm warms the first provider.
func (h *hedged) Warm(ctx context.Context) error { return h.head.(Warmer).Warm(ctx) }

// Stream begins the race. It does not wait: the first Next does.
func (h *hedged) Stream(ctx context.Context, r Request) (Stream, error) {
	return &race{h: h, ctx: ctx, req: r, heads: make(chan runner, 2)}, nil
}

// runner is one provider's way to its first useful token.
type runner struct {
	first bool
	st    Stream
	held  []Delta // up to the useful one, or to Done
	err   error
}

// race is one completion that two may answer. It belongs to the goroutine that
// reads it; a runner's stream is its own goroutine's until it is in heads.
type race struct {
	h     *hedged
	ctx   context.Context // of this completion
	req   Request
	begun time.Time

	heads   chan runner // capacity 2: each runner leaves itself once, whoever reads
	wg      sync.WaitGroup
	cancels []context.CancelFunc
	running int
	after   time.Duration // when the chain runs as well
	late    *time.Timer   // … nil: when the first has failed
	hedge   <-chan time.Time
	failed  bool // the first has
	won     *runner
	done    []runner // those whose stream is ours to close
	err     error
}

// run lets one provider run.
func (s *race) run(p Provider, req Request, first bool) {
	ctx, cancel := context.WithCancel(s.ctx)
	s.cancels = append(s.cancels, cancel)
	s.running++
	s.wg.Go(func() {
		r := runner{first: first}
		r.err = r.run(ctx, p, req)
		if first && r.err == nil {
			s.h.took.add(time.Since(s.begun))
		}
		s.heads <- r
	})
}

// run reads up to the first useful delta. A fault of the provider's own is an
// error like any other.
func (r *runner) run(ctx context.Context, p Provider, req Request) (err error) {
	defer func() {
		if x := recover(); x != nil {
			err = fmt.Errorf("panic: %v", x)
		}
	}()
	if r.st, err = p.Stream(ctx, req); err != nil {
		return err
	}
	for {
		d, err := r.st.Next()
		if err != nil {
			return err
		}
		r.held = append(r.held, d)
		if d.Useful() || d.Kind == Done {
			return nil
		}
	}
}

// Next waits for the next delta of whoever won.
func (s *race) Next() (Delta, error) {
	if s.begun.IsZero() {
		s.begin()
	}
	for s.err == nil && s.won == nil {
		if fell, ok := s.decide(); ok {
			return fell, nil
		}
	}
	switch {
	case s.err != nil:
		return Delta{}, s.err
	case len(s.won.held) > 0:
		d := s.won.held[0]
		s.won.held = s.won.held[1:]
		return d, nil
	}
	return s.won.st.Next()
}

// begin lets the first provider run, and says when the others do.
func (s *race) begin() {
	s.begun = time.Now()
	s.run(s.h.head, s.req, true)
	if after, ok := s.h.took.p95(); ok {
		s.after, s.late = after, time.NewTimer(after)
		s.hedge = s.late.C
	}
}

// both lets the chain behind the first run as well, once.
func (s *race) both() {
	if s.hedge = nil; len(s.cancels) == 1 {
		req := s.req
		req.Model = "" // it is the first provider's
		s.run(s.h.rest, req, false)
	}
}

// decide waits for the next that happens in the race. It returns what is to be
// told of it, if anything is.
func (s *race) decide() (fell Delta, ok bool) {
	select {
	case <-s.hedge:
		s.both()
	case r := <-s.heads:
		s.running--
		s.done = append(s.done, r)
		if r.err == nil {
			return s.win(r)
		}
		var e *Error
		if !errors.As(r.err, &e) {
			e = &Error{Provider: s.h.first.Name, Op: "request", Err: r.err}
		}
		if r.first {
			s.failed = true
			s.both()
		}
		if s.running == 0 {
			s.err = e
			return Delta{}, false
		}
		return Delta{Kind: Fell, Failed: e, Provider: s.h.next}, r.first
	case <-s.ctx.Done():
		s.err = context.Cause(s.ctx)
	}
	return Delta{}, false
}

// win ends the race. That another was chosen than the first is told once.
func (s *race) win(r runner) (fell Delta, ok bool) {
	s.won = &r
	for i, cancel := range s.cancels {
		if (i == 0) != r.first {
			cancel()
		}
	}
	if r.first || s.failed {
		return Delta{}, false
	}
	// It was slower than its p95: to leave it out would make the p95 sink from
	// race to race, to count its whole time would make it rise.
	s.h.took.add(s.after)
	e := &Error{Provider: s.h.first.Name, Op: "first token", Temporary: true, Err: ErrOvertaken}
	return Delta{Kind: Fell, Failed: e, Provider: s.h.next}, true
}

// Close ends both and waits for the one that lost.
func (s *race) Close() error {
	if s.err == nil {
		s.err = io.ErrClosedPipe
	}
	if s.late != nil {
		s.late.Stop()
	}
	for _, cancel := range s.cancels {
		cancel()
	}
	s.wg.Wait()
	for len(s.heads) > 0 {
		s.done = append(s.done, <-s.heads)
	}
	for _, r := range s.done {
		if r.st != nil {
			_ = r.st.Close() // nothing of it is wanted any more
		}
	}
	s.done = nil
	return nil
}

// firsts are how long a provider took for its last first tokens.
type firsts struct {
	mu   sync.Mutex // guards what follows
	took []time.Duration
	at   int
}

func (f *firsts) add(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.took) < hedgeSamples {
		f.took = append(f.took, d)
		return
	}
	f.took[f.at%hedgeSamples] = d
	f.at++
}

// p95 is what nineteen of twenty did not take longer than; false: too few are
// known.
func (f *firsts) p95() (time.Duration, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.took) < hedgeLeast {
		return 0, false
	}
	sorted := slices.Sorted(slices.Values(f.took))
	return sorted[int(math.Ceil(0.95*float64(len(sorted))))-1], true
}
