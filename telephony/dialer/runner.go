package dialer

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/telephony"
)

// How the runner goes about its work.
const (
	roundEvery   = 100 * time.Millisecond // between two looks for contacts that are due
	listEvery    = time.Second            // that the list of running campaigns is believed
	claimAhead   = time.Second            // of calls that are claimed before their turn
	askForTurn   = 200 * time.Millisecond // of a campaign that dials; within claimAhead, else turns are lost
	askAgain     = time.Second            // of one without contacts that are due
	mostClaims   = 64                     // in one transaction
	unpacedBatch = 16                     // of a campaign without calls a second
	judgeEvery   = time.Second            // between two looks at the breakers of a campaign
	endEvery     = 2 * time.Second        // between two tries to complete a campaign
	recoverEvery = 15 * time.Second       // between two looks for nodes that are gone
	lastResults  = 10 * time.Second       // that results are tried to be kept after the end
	awayEvery    = 10 * time.Second       // between two lines of the log about a store that is away
)

// RunnerConfig is what a Runner works with.
type RunnerConfig struct {
	Ledger Ledger
	Seats  Seats
	Placer Placer
	Rules  Profiles // by the names that campaigns have

	// Gate says by a *Denied which numbers may not be dialled (Gate.Check).
	Gate func(number string) error
	// Claim counts a call against what limits all calls, by a *Denied where none is
	// left; Unclaim takes it back. nil: there is no such limit.
	Claim   func(ctx context.Context, number string) error
	Unclaim func()
	// Room says by a *telephony.FullError where a trunk has no room for another
	// call; nil: it always has.
	Room func(telephony.TrunkID) error
	// Tell hears what becomes of campaigns and attempts, after it is kept. It must
	// not block; nil: nobody does.
	Tell func(News)
	// Now is the clock of hours and days, which may be set; nil: this machine's.
	// What only lasts, such as the time to a turn, does not go by it.
	Now func() time.Time
	Log *zap.Logger
}

// Runner dials the campaigns of a ledger, as far as this node has room for calls.
// Each node has one.
//
// A contact's call goes this way: a seat is taken, the ledger claims the contact,
// its turn is awaited, the rules are asked once more, the fence is passed, the
// INVITE leaves. Until the fence a claim can be given back; behind it the attempt
// counts, whatever happens to this process.
type Runner struct {
	cfg    RunnerConfig
	log    *zap.Logger
	halted chan struct{}  // closed by Drain
	tries  sync.WaitGroup // attempts, until their results are kept

	mu       sync.Mutex // guards what follows, and the lines
	draining bool
	undialed sync.WaitGroup // claims that may still be given back, and the round that takes them
	lines    map[string]*line
	counts   Counts
	awayAt   time.Time // that the log told of it
}

// Counts are what a runner has to do now.
type Counts struct {
	Waiting int // claims that have not been dialled yet
	Calls   int // calls that are dialled or up
	Unkept  int // results that the store has not taken yet
}

// line is a campaign on this node.
type line struct {
	c       Campaign
	running bool
	pace    pace
	waiting int       // of Counts, its own
	calls   int       // the same
	ended   int       // attempts since the breakers were asked
	since   time.Time // the breakers judge what was later: it was resumed then
	ask     time.Time // no contact is due before
	dials   time.Time // until then there was no turn, perhaps: it dials
	idle    bool      // nobody was due when it was last asked for
	judge   time.Time // the breakers are not asked before
	end     time.Time // nor whether it is complete
	shown   shown
}

// NewRunner makes a runner.
func NewRunner(cfg RunnerConfig) (*Runner, error) {
	if cfg.Ledger == nil || cfg.Seats == nil || cfg.Placer == nil {
		return nil, errors.New("dialer: a runner needs a ledger, seats and a placer")
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	return &Runner{cfg: cfg, log: cfg.Log, halted: make(chan struct{}), lines: map[string]*line{}}, nil
}

// now is the clock of hours and days.
func (r *Runner) now() time.Time {
	if r.cfg.Now != nil {
		return r.cfg.Now()
	}
	return time.Now().Round(0) // what it is compared with may be from before it was set
}

// Serve dials until ctx ends. Calls that are up then are the placer's to end; their
// results are kept as long as the store takes them within ten seconds.
func (r *Runner) Serve(ctx context.Context) error {
	claims, halt := context.WithCancel(ctx) // of what is not dialled yet
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-r.halted:
		case <-claims.Done():
		}
		halt()
	})
	r.rounds(claims, work)
	halt()
	wg.Wait()
	<-ctx.Done()
	late := time.AfterFunc(lastResults, stop)
	defer late.Stop()
	r.tries.Wait()
	return nil
}

// Drain takes no further claims and gives those back that are not dialled yet. It
// returns when nothing more will be dialled, or with ctx.
func (r *Runner) Drain(ctx context.Context) {
	r.mu.Lock()
	if !r.draining {
		r.draining = true
		close(r.halted)
	}
	r.mu.Unlock()
	done := make(chan struct{})
	go func() { // ends with Serve at the latest
		r.undialed.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// Counts is what there is to do now.
func (r *Runner) Counts() Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts
}

// rounds looks for contacts that are due, again and again.
func (r *Runner) rounds(claims, work context.Context) {
	var list []*line
	var listAt, recoverAt time.Time
	first := true
	for {
		if !r.begin() {
			return
		}
		now := time.Now()
		if !now.Before(recoverAt) && r.recovered(claims) {
			recoverAt = now.Add(recoverEvery)
		}
		if !now.Before(listAt) && !recoverAt.IsZero() {
			if found, err := r.running(claims, first); err != nil {
				r.away(claims, "running campaigns", err)
				list, listAt = nil, now.Add(listEvery)
			} else {
				list, listAt, first = found, now.Add(listEvery), false
			}
		}
		for _, l := range list {
			r.serve(claims, work, l)
		}
		r.undialed.Done()
		if !wait(claims, r.next(list, listAt)) {
			return
		}
	}
}

// next is when there is something to look for again.
func (r *Runner) next(list []*line, listAt time.Time) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := listAt
	for _, l := range list {
		if l.ended > 0 {
			at = earlier(at, l.judge)
		}
		if l.running {
			at = earlier(at, l.ask)
		}
	}
	return later(at, time.Now().Add(roundEvery))
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// begin begins a round, false: there are none any more.
func (r *Runner) begin() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.draining {
		return false
	}
	r.undialed.Add(1)
	return true
}

// recovered looks after what nodes that are gone have left.
func (r *Runner) recovered(ctx context.Context) bool {
	back, review, err := r.cfg.Ledger.Recover(ctx)
	if err != nil {
		r.away(ctx, "what other nodes left", err)
		return false
	}
	if back+review > 0 {
		r.log.Warn("attempts of nodes that are gone", zap.Int("given_back", back), zap.Int("review", review))
	}
	return true
}

// running reads the campaigns that run. With the first list nothing is known of
// what was before: breakers judge all that is within their window.
func (r *Runner) running(ctx context.Context, first bool) ([]*line, error) {
	all, err := r.cfg.Ledger.Running(ctx)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	was := map[string]bool{}
	for id, l := range r.lines {
		was[id], l.running = l.running, false
	}
	list := make([]*line, 0, len(all))
	for _, c := range all {
		l := r.lines[c.ID]
		if l == nil {
			l = &line{}
			r.lines[c.ID] = l
		}
		if !was[c.ID] {
			l.ask, l.end = time.Time{}, time.Time{}
			if l.since = now; first {
				l.since = time.Time{}
			}
			r.log.Info("campaign runs here", zap.String("campaign", c.ID), zap.Int("concurrency", c.Concurrency),
				zap.Float64("cps", c.CPS))
		}
		l.c, l.running = c, true
		list = append(list, l)
	}
	for id, l := range r.lines {
		if !l.running && l.waiting+l.calls == 0 {
			delete(r.lines, id)
		}
	}
	return list, nil
}

// serve does for a campaign what is due: claims, or its end.
func (r *Runner) serve(claims, work context.Context, l *line) {
	r.judged(claims, l)
	r.mu.Lock()
	c, most := l.c, l.wants(time.Now())
	r.mu.Unlock()
	if most == 0 {
		return
	}
	seats := make([]func(), 0, most)
	for len(seats) < most {
		release, ok := r.cfg.Seats.Take()
		if !ok {
			break
		}
		seats = append(seats, release)
	}
	if len(seats) == 0 {
		return
	}
	begun := time.Now()
	got, err := r.cfg.Ledger.Claim(work, c.ID, len(seats), r.judge(c, time.Time{}))
	end := time.Now()
	if err != nil {
		r.later(l)
		r.away(claims, "claims", err)
	}
	for i, release := range seats {
		if i >= len(got) {
			release()
			continue
		}
		r.take(claims, work, l, got[i], turnOf(got[i], begun, end), release)
	}
	switch {
	case err != nil:
	case len(got) == 0:
		r.nothing(claims, l)
	default:
		r.mu.Lock()
		if l.idle = false; c.CPS > 0 {
			l.dials = time.Now().Add(2*time.Duration(float64(time.Second)/c.CPS) + time.Second)
		}
		r.mu.Unlock()
	}
}

// wants is how many contacts are to be claimed. The lock is held.
func (l *line) wants(now time.Time) int {
	if !l.running || now.Before(l.ask) {
		return 0
	}
	n := unpacedBatch
	if l.c.CPS > 0 {
		n = max(1, int(math.Ceil(l.c.CPS*claimAhead.Seconds())))
	}
	n -= l.waiting
	if l.idle { // one seat is enough to see whether that has changed: the others are for who calls in
		n = min(n, 1)
	}
	if l.c.Concurrency > 0 {
		n = min(n, l.c.Concurrency-l.waiting-l.calls)
	}
	return max(0, min(n, mostClaims))
}

// later has a campaign wait for the store.
func (r *Runner) later(l *line) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l.ask = time.Now().Add(listEvery)
}

// nothing is a claim that brought nobody: the next one has time, and perhaps the
// campaign has come to its end.
func (r *Runner) nothing(ctx context.Context, l *line) {
	now := time.Now()
	r.mu.Lock()
	l.ask, l.idle = now.Add(askAgain), true
	if now.Before(l.dials) {
		l.ask, l.idle = now.Add(askForTurn), false
	}
	c, over := l.c, l.waiting+l.calls == 0 && !now.Before(l.end)
	if over {
		l.end = now.Add(endEvery)
	}
	r.mu.Unlock()
	if !over {
		return
	}
	done, err := r.cfg.Ledger.Complete(ctx, c.ID)
	if err != nil {
		r.away(ctx, "the end of a campaign", err)
	}
	if done {
		r.stop(l, c, Completed, "")
	}
}

// away is the store that does not answer.
func (r *Runner) away(ctx context.Context, what string, err error) {
	now := time.Now()
	r.mu.Lock()
	told := now.Before(r.awayAt)
	if !told {
		r.awayAt = now.Add(awayEvery)
	}
	r.mu.Unlock()
	if !told && ctx.Err() == nil {
		r.log.Warn("campaigns wait for the store", zap.String("for", what), zap.Error(err))
	}
}

func (r *Runner) tell(n News) {
	if r.cfg.Tell != nil {
		r.cfg.Tell(n)
	}
}
