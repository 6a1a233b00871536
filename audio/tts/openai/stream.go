package openai

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/patchcord/patchcord/audio/tts"
)

var (
	errSlow   = errors.New("no sound came in time")
	errClosed = errors.New("the stream is closed")
)

// stream is one sentence as it arrives.
type stream struct {
	ctx    context.Context // of the request: ends with the caller's, with Close, and when the sound pauses too long
	cancel context.CancelCauseFunc
	pause  *time.Timer // ends ctx
	wait   time.Duration
	rate   int // Hz
	body   io.ReadCloser
	once   sync.Once

	buf  [chunkBytes]byte
	half int // bytes of a sample whose other half has not come: 0 or 1
	any  bool
	err  error // the end, once it came
}

var _ tts.Stream = (*stream)(nil)

func newStream(ctx context.Context, c Config) *stream {
	s := &stream{wait: c.Timeout, rate: c.SampleRate}
	s.ctx, s.cancel = context.WithCancelCause(ctx)
	s.pause = time.AfterFunc(s.wait, func() { s.cancel(errSlow) })
	return s
}

// abandon ends a stream that never began, because of err.
func (s *stream) abandon(err error) error {
	err = s.why("synthesize", err)
	s.pause.Stop()
	s.cancel(errClosed)
	return err
}

// why is err, or what ended the stream where that is behind it.
func (s *stream) why(op string, err error) error {
	switch cause := context.Cause(s.ctx); {
	case errors.Is(cause, errSlow):
		return &tts.Error{Provider: Name, Op: op, Temporary: true, Err: fmt.Errorf("%w: %v", errSlow, s.wait)}
	case errors.Is(cause, errClosed):
		return &tts.Error{Provider: Name, Op: op, Err: errClosed}
	case cause != nil:
		return cause
	}
	var e *tts.Error
	if errors.As(err, &e) {
		return err
	}
	return &tts.Error{Provider: Name, Op: op, Temporary: true, Err: err}
}

func (s *stream) Next() (tts.Chunk, error) {
	for s.err == nil {
		if pcm := s.read(); len(pcm) > 0 {
			s.any = true
			return tts.Chunk{PCM: pcm, Rate: s.rate}, nil
		}
	}
	return tts.Chunk{}, s.err
}

// read is the next sound that arrives, which may be none. An end is noted for
// the call after it.
func (s *stream) read() (pcm []int16) {
	s.pause.Reset(s.wait) // only while reading: who plays the sound may take his time
	n, err := s.body.Read(s.buf[s.half:])
	s.pause.Stop()
	n += s.half
	s.half = n % 2
	for i := 0; i+1 < n; i += 2 {
		pcm = append(pcm, int16(binary.LittleEndian.Uint16(s.buf[i:])))
	}
	if s.half == 1 {
		s.buf[0] = s.buf[n-1]
	}
	if err != nil {
		s.finish(err, s.any || len(pcm) > 0)
	}
	return pcm
}

// finish notes how the sound ended.
func (s *stream) finish(err error, some bool) {
	switch {
	case errors.Is(err, io.EOF) && some:
		s.err = io.EOF
	case errors.Is(err, io.EOF):
		s.err = &tts.Error{Provider: Name, Op: "read", Temporary: true, Err: errors.New("no sound came")}
	default:
		s.err = s.why("read", err)
	}
	s.release()
}

func (s *stream) Close() error {
	if s.err == nil {
		s.err = &tts.Error{Provider: Name, Op: "read", Err: errClosed}
	}
	s.release()
	return nil
}

func (s *stream) release() {
	s.once.Do(func() {
		s.pause.Stop()
		s.cancel(errClosed)
		s.body.Close()
	})
}
