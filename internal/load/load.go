// Package load is a crowd of callers on this machine, for measuring an engine
// from its wire: it dials with SIP of its own, sends G.711 speech and judges
// what comes back by the packets alone.
//
// It guarantees that nothing of it is the engine's own code, so that a fault
// of ours cannot hide on both ends, and that its own lateness does not enter a
// figure: what comes in is dated by the kernel (SO_TIMESTAMPNS), what goes out
// by the clock just before it is sent. All times are Unix time in ns, which an
// engine in another process of the same machine shares.
//
// One thread sends and receives for all calls, by absolute deadlines 20 ms
// apart and spread evenly over the calls. It decides nothing but when the
// caller speaks; every figure is made afterwards, from the packets kept.
package load

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// Config is what the crowd does.
type Config struct {
	To     netip.AddrPort // the engine's SIP address, UDP
	User   string         // whom to call there, "bench" where it is empty
	Calls  int
	Rate   float64       // calls begun in a second
	Alone  time.Duration // how long the first call stays the only one
	Warmup time.Duration // from the last call's answer to the first figure
	Window time.Duration // how long figures are taken, then all hang up
	// Each, where it is set, is how long every call lasts: calls come and go,
	// and the window is all of it.
	Each time.Duration
	// Ramp, where it is set beside Each, is how long calls are placed before the
	// window begins, which lasts until the last of them is placed.
	Ramp time.Duration
	// Sources are how many addresses the calls come from, on loopback; 0: one.
	Sources int
	// Goodbye, where it is set, is how long the callers are silent when the
	// window is over, for the engine to hang up first.
	Goodbye time.Duration
	Talk    Talk
}

// Phase is a moment of a run.
type Phase string

// The phases, in order.
const (
	Alone Phase = "alone" // one call is up and has been greeted
	Begin Phase = "begin" // all calls are up: figures count from here
	End   Phase = "end"   // figures count up to here; the calls hang up now
)

// answerWithin is how long an INVITE may take.
const answerWithin = 10 * time.Second

// Run places the calls and returns when all are over. tell hears of the phases,
// on the goroutine of Run.
func Run(ctx context.Context, c Config, tell func(Phase)) (*Report, error) {
	if c.Calls < 1 {
		return nil, fmt.Errorf("load: %d calls: want at least 1", c.Calls)
	}
	if c.Rate <= 0 {
		return nil, fmt.Errorf("load: a rate of %v calls per second: want more than 0", c.Rate)
	}
	if c.User == "" {
		c.User = "bench"
	}
	cr := &crowd{cfg: c, pump: newPump(), hangUp: make(chan struct{})}
	var helpers sync.WaitGroup
	var err error
	for i := range max(1, c.Sources) {
		var l *line
		if l, err = openLine(c.To, i); err != nil {
			break
		}
		cr.lines = append(cr.lines, l)
		helpers.Go(l.read)
	}
	stop := make(chan struct{})
	helpers.Go(func() { cr.pump.run(stop) })
	if err == nil {
		err = cr.place(ctx, tell)
	}
	cr.calls.Wait()
	close(stop)
	for _, l := range cr.lines {
		l.close()
	}
	helpers.Wait()
	if err != nil {
		return nil, err
	}
	return cr.report(), nil
}

// crowd is a run.
type crowd struct {
	cfg    Config
	lines  []*line
	pump   *pump
	hangUp chan struct{} // closed when the window is over
	calls  sync.WaitGroup

	from, to int64 // the window

	mu   sync.Mutex // guards what follows
	done []*caller
}

// place begins the calls and waits for the window to pass.
func (c *crowd) place(ctx context.Context, tell func(Phase)) error {
	defer close(c.hangUp)
	up := make(chan error, c.cfg.Calls) // one answer or failure of each
	next, begun := time.Now(), false
	begins := next.Add(c.cfg.Ramp)
	if c.cfg.Each > 0 {
		c.from = begins.UnixNano()
	}
	for i := range c.cfg.Calls {
		if err := sleepUntil(ctx, next); err != nil {
			return err
		}
		if c.cfg.Each > 0 && !begun && !time.Now().Before(begins) {
			begun = true
			tell(Begin)
		}
		c.calls.Go(func() { c.call(ctx, i, up) })
		next = next.Add(time.Duration(float64(time.Second) / c.cfg.Rate))
		if i == 0 && c.cfg.Alone > 0 {
			if err := <-up; err != nil {
				return fmt.Errorf("load: the first call: %w", err)
			}
			up <- nil
			if err := sleepUntil(ctx, time.Now().Add(c.cfg.Alone)); err != nil {
				return err
			}
			tell(Alone)
			next = time.Now()
		}
	}
	if c.cfg.Each > 0 && !begun {
		tell(Begin)
	}
	if c.cfg.Ramp > 0 {
		c.to = time.Now().UnixNano()
		tell(End)
	}
	answered := 0
	for range c.cfg.Calls {
		if err := <-up; err == nil {
			answered++
		}
	}
	if answered == 0 {
		return errors.New("load: no call was answered")
	}
	if c.cfg.Each > 0 {
		c.calls.Wait()
		if c.cfg.Ramp == 0 {
			c.to = time.Now().UnixNano()
			tell(End)
		}
		return nil
	}
	if err := sleepUntil(ctx, time.Now().Add(c.cfg.Warmup)); err != nil {
		return err
	}
	c.from = time.Now().UnixNano()
	tell(Begin)
	err := sleepUntil(ctx, time.Now().Add(c.cfg.Window))
	c.to = time.Now().UnixNano()
	tell(End)
	return err
}

func sleepUntil(ctx context.Context, at time.Time) error {
	t := time.NewTimer(time.Until(at))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// call is one call from INVITE to BYE.
func (c *crowd) call(ctx context.Context, i int, up chan<- error) {
	cl := &caller{}
	cl.fault = c.talk(ctx, i, cl, up)
	c.mu.Lock()
	c.done = append(c.done, cl)
	c.mu.Unlock()
}

func (c *crowd) talk(ctx context.Context, i int, cl *caller, up chan<- error) error {
	sock, err := openSocket(c.cfg.To.Addr())
	if err != nil {
		up <- err
		return err
	}
	defer sock.close()
	d := newDialog(c.lines[i%len(c.lines)], c.cfg.User, i)
	cl.id, cl.placed = d.id, time.Now().UnixNano()
	limit, cancel := context.WithTimeout(ctx, answerWithin)
	media, err := d.invite(limit, sock.local())
	cancel()
	var no *refusal
	if errors.As(err, &no) {
		cl.refused, cl.status, cl.after = time.Now().UnixNano(), no.status, no.after
	}
	if err == nil {
		err = sock.connect(media)
	}
	up <- err
	if err != nil {
		d.close()
		return err
	}
	cl.answered = time.Now().UnixNano()
	s := newStream(sock, cl, c.cfg.Talk, i)
	c.pump.add(s)
	var over <-chan time.Time
	if c.cfg.Each > 0 {
		t := time.NewTimer(c.cfg.Each)
		defer t.Stop()
		over = t.C
	}
	select {
	case <-over:
	case <-c.hangUp:
		if c.cfg.Goodbye > 0 {
			s.hush.Store(true)
			err = d.awaitBye(ctx, c.cfg.Goodbye)
		}
	case <-ctx.Done():
	case <-d.byed:
		err = errors.New("the engine hung up")
	}
	cl.byed = d.byeAt()
	cl.ended = time.Now().UnixNano()
	s.end()
	bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerWithin)
	defer cancel()
	return errors.Join(err, d.hangUp(bye))
}
