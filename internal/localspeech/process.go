package localspeech

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Config of a [Process].
type Config struct {
	// Path of the helper. Default: beside the running binary, then on PATH.
	Path string
	// Ping is how often the helper is asked whether it still lives; one that
	// does not answer before the next is killed. Default 5 s.
	Ping time.Duration
	// Log is told when the helper starts and dies. Default: nobody.
	Log *zap.Logger
}

func (c Config) withDefaults() Config {
	if c.Ping <= 0 {
		c.Ping = 5 * time.Second
	}
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	return c
}

// A helper that dies within quick of its start is started again after a wait,
// which doubles from firstWait to lastWait; any other at once.
const (
	quick     = time.Second
	firstWait = 100 * time.Millisecond
	lastWait  = 5 * time.Second
)

// ErrClosed is what a closed Process answers.
var ErrClosed = errors.New("localspeech: closed")

// Process is the helper and the streams through it, for many goroutines. It
// is started by the first stream and started again whenever it dies, until
// Close; the streams that were open then end with a temporary *Error.
type Process struct {
	config Config
	ctx    context.Context // ends with Close: how the supervisor is told
	cancel context.CancelFunc
	wg     sync.WaitGroup // the supervisor

	mu      sync.Mutex // guards what follows; never held across I/O
	running bool       // the supervisor is
	conn    *conn      // nil while the helper is down
	err     error      // why it could not be started, until the next try
	changed chan struct{}
}

// New makes a Process. Nothing is started yet.
func New(c Config) *Process {
	p := &Process{config: c.withDefaults(), changed: make(chan struct{})}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// Close ends the helper and every stream, and waits for both.
func (p *Process) Close() error {
	p.cancel()
	p.wg.Wait()
	return nil
}

// PID is the process id of the helper, 0 while it is down.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn == nil {
		return 0
	}
	return p.conn.cmd.Process.Pid
}

// live is the running helper; it waits while that starts.
func (p *Process) live(ctx context.Context) (*conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	tried := false
	for {
		switch {
		case p.ctx.Err() != nil:
			return nil, ErrClosed
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case p.conn != nil:
			return p.conn, nil
		case !p.running && tried:
			return nil, p.err
		case !p.running:
			p.running, p.err = true, nil
			p.wg.Go(p.supervise)
		}
		tried = true
		changed := p.changed
		p.mu.Unlock()
		var err error
		select {
		case <-changed:
		case <-p.ctx.Done():
			err = ErrClosed
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		p.mu.Lock()
		if err != nil {
			return nil, err
		}
	}
}

// set publishes the state of the helper and wakes who waits for it.
func (p *Process) set(c *conn, running bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conn, p.running, p.err = c, running, err
	close(p.changed)
	p.changed = make(chan struct{})
}

// supervise keeps a helper alive until Close, or until one cannot be started.
func (p *Process) supervise() {
	var wait time.Duration
	for p.ctx.Err() == nil {
		select {
		case <-time.After(wait):
		case <-p.ctx.Done():
			p.set(nil, false, ErrClosed)
			return
		}
		begun := time.Now()
		c, err := start(p.ctx, p.config)
		if err != nil {
			p.set(nil, false, err)
			return
		}
		p.config.Log.Debug("local speech helper is up", zap.Int("pid", c.cmd.Process.Pid))
		p.set(c, true, nil)
		err = c.run(p.ctx, p.config.Ping, func() { p.set(nil, true, nil) })
		if p.ctx.Err() != nil {
			break
		}
		p.config.Log.Warn("local speech helper died and is started again", zap.Error(err),
			zap.String("stderr", c.stderr.String()))
		switch {
		case time.Since(begun) > quick:
			wait = 0
		default:
			wait = min(max(2*wait, firstWait), lastWait)
		}
	}
	p.set(nil, false, ErrClosed)
}
