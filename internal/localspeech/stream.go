package localspeech

import (
	"context"
	"io"
	"sync"
)

// maxWaiting is how many messages a stream keeps for a reader that does not
// come: 10 minutes of 50 ms pieces.
const maxWaiting = 12000

// stream is one voice or recogniser of a helper.
type stream struct {
	conn *conn
	id   uint32
	// ready holds one token while there may be something to read: capacity 1,
	// since the reader takes all that is there.
	ready chan struct{}

	mu      sync.Mutex
	waiting []Frame // guarded by mu; bodies are copies
	err     error   // guarded by mu; set once, after the last frame
}

// take keeps a frame for the reader and tells whether it was the last. It is
// called by the helper's one reader and never waits.
func (s *stream) take(f Frame) (over bool) {
	switch f.Kind {
	case KindDone:
		s.end(io.EOF)
		return true
	case KindFailure:
		e := &Error{}
		if err := e.Parse(f.Body); err != nil {
			s.end(err)
		} else {
			s.end(e)
		}
		return true
	default:
	}
	f.Body = append([]byte(nil), f.Body...)
	s.mu.Lock()
	full := len(s.waiting) >= maxWaiting
	if !full && s.err == nil {
		s.waiting = append(s.waiting, f)
	}
	s.mu.Unlock()
	if full {
		s.end(&Error{Text: "nobody reads the stream"})
		return true
	}
	s.wake()
	return false
}

func (s *stream) end(err error) {
	s.mu.Lock()
	if s.err == nil {
		s.err = err
	}
	s.mu.Unlock()
	s.wake()
}

func (s *stream) wake() {
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

// next waits for the next frame. An ended ctx comes before what is there.
func (s *stream) next(ctx context.Context) (Frame, error) {
	for {
		if ctx.Err() != nil {
			return Frame{}, context.Cause(ctx)
		}
		s.mu.Lock()
		if len(s.waiting) > 0 {
			f := s.waiting[0]
			s.waiting = s.waiting[1:]
			s.mu.Unlock()
			return f, nil
		}
		err := s.err
		s.mu.Unlock()
		if err != nil {
			s.wake() // so does the next call
			return Frame{}, err
		}
		select {
		case <-s.ready:
		case <-ctx.Done():
			return Frame{}, context.Cause(ctx)
		}
	}
}

func (s *stream) send(kind Kind, body []byte) error {
	s.mu.Lock()
	err := s.err
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return s.conn.write(Frame{Stream: s.id, Kind: kind, Body: body})
}

// close gives the stream up; what the helper still says of it is dropped.
func (s *stream) close() {
	s.mu.Lock()
	over := s.err != nil
	s.err = ErrClosed
	s.waiting = nil
	s.mu.Unlock()
	s.wake()
	if !over {
		_ = s.conn.write(Frame{Stream: s.id, Kind: KindClose}) // a dead helper has closed it itself
	}
	s.conn.drop(s)
}

// Voice is a sentence being spoken by the helper, read by one goroutine.
type Voice struct{ s *stream }

// Speak starts to speak text.
func (p *Process) Speak(ctx context.Context, voice, text string) (*Voice, error) {
	c, err := p.live(ctx)
	if err != nil {
		return nil, err
	}
	s, err := c.open(KindSpeak, Speak{Voice: voice, Text: text}.Append(nil))
	if err != nil {
		return nil, err
	}
	return &Voice{s}, nil
}

// Next waits for the next piece of sound; io.EOF after the last.
func (v *Voice) Next(ctx context.Context) (Sound, error) {
	f, err := v.s.next(ctx)
	if err != nil {
		return Sound{}, err
	}
	var m Sound
	err = m.Parse(f.Body)
	return m, err
}

// Close gives up what is left. Idempotent.
func (v *Voice) Close() { v.s.close() }

// Recogniser is a decoder in the helper. Audio, Begin and End are called by
// one goroutine, Next by another.
type Recogniser struct {
	s    *stream
	body []byte // of audio, reused
}

// Recognise opens a recogniser and waits until it is ready.
func (p *Process) Recognise(ctx context.Context, m Recognise) (*Recogniser, error) {
	c, err := p.live(ctx)
	if err != nil {
		return nil, err
	}
	s, err := c.open(KindRecognise, m.Append(nil))
	if err != nil {
		return nil, err
	}
	if _, err := s.next(ctx); err != nil {
		s.close()
		return nil, err
	}
	return &Recogniser{s: s}, nil
}

// Audio hands over samples of the open utterance.
func (r *Recogniser) Audio(pcm []int16) error {
	r.body = AppendPCM(r.body[:0], pcm)
	return r.s.send(KindAudio, r.body)
}

// Begin opens an utterance.
func (r *Recogniser) Begin() error { return r.s.send(KindBegin, nil) }

// End closes it; its final hypothesis follows.
func (r *Recogniser) End() error { return r.s.send(KindEnd, nil) }

// Next waits for the next hypothesis.
func (r *Recogniser) Next(ctx context.Context) (Hypothesis, error) {
	f, err := r.s.next(ctx)
	if err != nil {
		return Hypothesis{}, err
	}
	var m Hypothesis
	err = m.Parse(f.Body)
	return m, err
}

// Close frees the decoder. Idempotent.
func (r *Recogniser) Close() { r.s.close() }
