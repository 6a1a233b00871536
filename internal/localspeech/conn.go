package localspeech

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"
)

// A helper has to say hello, and to take what is written, within these.
const (
	helloWait = 10 * time.Second
	writeWait = 2 * time.Second
)

// conn is one life of the helper.
type conn struct {
	cmd    *exec.Cmd
	in     *os.File // our end of its standard input
	out    *os.File // our end of its standard output
	reader *Reader
	stderr *tail
	pongs  atomic.Int64

	writing sync.Mutex // guards frame and writes to in
	frame   []byte

	mu      sync.Mutex // guards what follows
	streams map[uint32]*stream
	last    uint32
	dead    error // set once: no stream is added after
}

// start runs a helper and waits for its hello.
func start(ctx context.Context, config Config) (*conn, error) {
	path, err := Find(config.Path)
	if err != nil {
		return nil, err
	}
	theirIn, in, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("localspeech: pipe: %w", err)
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		theirIn.Close()
		in.Close()
		return nil, fmt.Errorf("localspeech: pipe: %w", err)
	}
	c := &conn{in: in, out: out, reader: NewReader(out), stderr: &tail{}, streams: make(map[uint32]*stream)}
	c.cmd = exec.CommandContext(context.WithoutCancel(ctx), path) //nolint:gosec // the operator's own helper
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = theirIn, theirOut, c.stderr
	err = c.cmd.Start()
	theirIn.Close()
	theirOut.Close()
	if err != nil {
		in.Close()
		out.Close()
		return nil, fmt.Errorf("localspeech: start helper: %w", err)
	}
	if err := c.hello(ctx); err != nil {
		c.kill()
		err = fmt.Errorf("localspeech: helper %s says no hello: %w", path, err)
		if said := c.stderr.String(); said != "" {
			err = fmt.Errorf("%w: %s", err, said)
		}
		return nil, err
	}
	return c, nil
}

func (c *conn) hello(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { c.in.Close(); c.out.Close() })()
	c.out.SetReadDeadline(time.Now().Add(helloWait)) //nolint:errcheck // a pipe takes deadlines
	f, err := c.reader.Next()
	c.out.SetReadDeadline(time.Time{}) //nolint:errcheck // as above
	switch {
	case err != nil:
		return err
	case f.Kind != KindHello || len(f.Body) != 2:
		return fmt.Errorf("%w: kind %d for hello", errFrame, f.Kind)
	}
	if v := binary.LittleEndian.Uint16(f.Body); v != Version {
		return fmt.Errorf("it speaks version %d, want %d: build both from the same source", v, Version)
	}
	return nil
}

// kill ends the helper and waits for it.
func (c *conn) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
	c.in.Close()
	c.out.Close()
}

// run reads what the helper says until it dies or ctx ends, then ends every
// stream. gone is called first: no new stream shall come.
func (c *conn) run(ctx context.Context, ping time.Duration, gone func()) error {
	var wg sync.WaitGroup
	over := make(chan struct{})
	wg.Go(func() { c.watch(ctx, ping, over) })
	err := c.read()
	close(over)
	wg.Wait()
	gone()
	c.kill()
	if ctx.Err() != nil {
		c.end(ErrClosed)
		return ErrClosed
	}
	if errors.Is(err, io.EOF) || errors.Is(err, os.ErrClosed) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New(c.cmd.ProcessState.String())
	}
	c.end(&Error{Temporary: true, Text: fmt.Sprintf("the local speech helper died (%v) and is started again", err)})
	return err
}

// watch pings the helper, and closes the pipes when it is silent or when ctx
// ends, which ends read.
func (c *conn) watch(ctx context.Context, ping time.Duration, over <-chan struct{}) {
	tick := time.NewTicker(ping)
	defer tick.Stop()
	for sent := int64(0); ; sent++ {
		if sent > c.pongs.Load() {
			c.out.Close()
			return
		}
		if c.write(Frame{Kind: KindPing}) != nil {
			c.out.Close()
			return
		}
		select {
		case <-tick.C:
		case <-over:
			return
		case <-ctx.Done():
			c.out.Close()
			return
		}
	}
}

func (c *conn) read() error {
	for {
		f, err := c.reader.Next()
		if err != nil {
			return err
		}
		if f.Kind == KindPong {
			c.pongs.Add(1)
			continue
		}
		c.mu.Lock()
		s := c.streams[f.Stream]
		c.mu.Unlock()
		if s == nil {
			continue // of a stream that was closed meanwhile
		}
		if over := s.take(f); over {
			c.drop(s)
		}
	}
}

// write sends a frame. It may wait for the pipe, at most writeWait: then the
// helper hangs and is given up.
func (c *conn) write(f Frame) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.frame = AppendFrame(c.frame[:0], f)
	c.in.SetWriteDeadline(time.Now().Add(writeWait)) //nolint:errcheck // a closed pipe says so below
	if _, err := c.in.Write(c.frame); err != nil {
		c.out.Close() // half a frame may have gone: this life is over
		return &Error{Temporary: true, Text: "write to the local speech helper: " + err.Error()}
	}
	return nil
}

// open adds a stream and sends its first frame.
func (c *conn) open(kind Kind, body []byte) (*stream, error) {
	c.mu.Lock()
	if c.dead != nil {
		c.mu.Unlock()
		return nil, c.dead
	}
	c.last++
	s := &stream{conn: c, id: c.last, ready: make(chan struct{}, 1)}
	c.streams[s.id] = s
	c.mu.Unlock()
	if err := c.write(Frame{Stream: s.id, Kind: kind, Body: body}); err != nil {
		c.drop(s)
		return nil, err
	}
	return s, nil
}

func (c *conn) drop(s *stream) {
	c.mu.Lock()
	delete(c.streams, s.id)
	c.mu.Unlock()
}

// end gives every stream its last error.
func (c *conn) end(err error) {
	c.mu.Lock()
	c.dead = err
	streams := c.streams
	c.streams = map[uint32]*stream{}
	c.mu.Unlock()
	for _, s := range streams {
		s.end(err)
	}
}

// tail keeps the beginning of what the helper writes to its standard error:
// of a crash that is the signal and the place.
type tail struct {
	mu  sync.Mutex
	buf []byte // guarded by mu
}

const tailSize = 2000 // bytes

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf = append(t.buf, b[:min(len(b), tailSize-len(t.buf))]...)
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.buf)
}
