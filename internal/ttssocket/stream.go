package ttssocket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/codec"
	"github.com/patchcord/patchcord/audio/tts"
)

var (
	errSlow   = errors.New("no sound came in time")
	errClosed = errors.New("the stream is closed")
	errFull   = errors.New("too much sound waits for its reader")
	errSilent = errors.New("no sound came")
)

// stream is one sentence as it arrives. Next and Close belong to its reader.
type stream struct {
	ctx     context.Context // of Synthesize: the contract ends the stream with it
	pool    *Pool
	request tts.Request
	id      string
	format  audio.Format
	fresh   bool // the connection was made for it
	again   bool // it was asked for a second time
	unwatch func() bool
	pause   *time.Timer

	mu      sync.Mutex // guards what follows
	conn    *conn
	queue   []Message
	waiting int   // bytes in it
	gone    error // the connection's end
	any     bool  // something came
	left    bool  // nothing more is wanted

	wake chan struct{} // capacity 1: one signal stands for all that waits

	half  []byte // of a sample whose other half has not come
	at    int    // bytes of the text that were marked
	said  int    // samples
	after time.Duration
	err   error // the end, once it came
}

var _ tts.Stream = (*stream)(nil)

func newStream(ctx context.Context, p *Pool, r tts.Request) *stream {
	s := &stream{
		ctx: ctx, pool: p, request: r, wake: make(chan struct{}, 1), pause: time.NewTimer(p.config.Pause),
	}
	s.unwatch = context.AfterFunc(ctx, s.leave) // a reader that is elsewhere does not keep the vendor at work
	return s
}

// begin asks for the sentence.
func (s *stream) begin() error {
	c, err := s.pool.take(s)
	if err != nil {
		return err
	}
	messages, err := s.pool.vendor.Ask(s.id, s.request)
	if err != nil {
		c.leave(s)
		return s.pool.fault("synthesize", false, err)
	}
	s.mu.Lock()
	s.conn = c
	left := s.left
	s.mu.Unlock()
	c.send(messages...)
	if left { // given up in the meantime
		c.leave(s)
	}
	return nil
}

// put has a message for the reader.
func (s *stream) put(m Message) {
	s.mu.Lock()
	s.any = true
	full := s.waiting > maxWaiting || len(s.queue) > maxMessages // it ends with that already
	s.waiting += len(m.Sound)
	if s.waiting > maxWaiting || len(s.queue) == maxMessages {
		m = Message{Err: s.pool.fault("read", false, errFull)}
	}
	if !full {
		s.queue = append(s.queue, m)
	}
	s.mu.Unlock()
	s.poke()
}

// lost tells of the connection's end.
func (s *stream) lost(err error) {
	s.mu.Lock()
	s.gone = err
	s.mu.Unlock()
	s.poke()
}

func (s *stream) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// leave gives the rest of the sentence up.
func (s *stream) leave() {
	s.mu.Lock()
	c, first := s.conn, !s.left
	s.left = true
	s.mu.Unlock()
	if first && c != nil {
		c.leave(s)
	}
}

// next is the oldest message, or the end of the connection.
func (s *stream) next() (m Message, ok bool, gone error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 {
		return m, false, s.gone
	}
	m = s.queue[0]
	s.queue = s.queue[1:]
	s.waiting -= len(m.Sound)
	return m, true, nil
}

// Next implements [tts.Stream].
func (s *stream) Next() (tts.Chunk, error) {
	s.pause.Reset(s.pool.config.Pause) // only while reading: who plays the sound may take his time
	for s.err == nil {
		if s.ctx.Err() != nil {
			s.finish(context.Cause(s.ctx))
			break
		}
		m, ok, gone := s.next()
		switch {
		case ok:
			c := s.chunk(m)
			s.over(m)
			if len(c.PCM) > 0 || len(c.Words) > 0 {
				return c, nil
			}
		case gone != nil:
			s.retry(gone)
		default:
			s.wait()
		}
	}
	return tts.Chunk{}, s.err
}

func (s *stream) wait() {
	select {
	case <-s.wake:
	case <-s.ctx.Done():
	case <-s.pause.C:
		err := fmt.Errorf("%w: %v", errSlow, s.pool.config.Pause)
		if note := s.note(); note != "" {
			err = fmt.Errorf("%w; %s", err, note)
		}
		s.finish(s.pool.fault("read", true, err))
	}
}

// note is what the vendor remarked last.
func (s *stream) note() string {
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	return s.conn.note
}

// retry asks again, once, where a connection that was kept turns out to be
// dead before it said anything.
func (s *stream) retry(gone error) {
	s.mu.Lock()
	stale := !s.any && !s.fresh && !s.again && !s.left
	if stale {
		s.gone, s.conn = nil, nil
	}
	s.mu.Unlock()
	if !stale {
		s.finish(gone)
		return
	}
	s.again = true
	if err := s.begin(); err != nil {
		s.finish(err)
	}
}

// over ends the stream where a message does.
func (s *stream) over(m Message) {
	switch {
	case m.Err != nil:
		s.finish(s.pool.fault(m.Err.Op, m.Err.Temporary, m.Err.Err))
	case m.End != NotOver && s.said == 0:
		s.finish(s.pool.fault("read", true, errSilent))
	case m.End != NotOver:
		s.finish(io.EOF)
	}
}

func (s *stream) finish(err error) {
	if s.err == nil {
		s.err = err
		s.stop()
	}
}

// stop lets go of everything.
func (s *stream) stop() {
	s.unwatch()
	s.pause.Stop()
	s.leave()
	s.mu.Lock()
	s.queue, s.waiting = nil, 0
	s.mu.Unlock()
}

// Close implements [tts.Stream].
func (s *stream) Close() error {
	s.finish(s.pool.fault("read", false, errClosed))
	return nil
}

// chunk is a message's sound and words.
func (s *stream) chunk(m Message) tts.Chunk {
	c := tts.Chunk{Rate: s.format.Rate, PCM: s.samples(m.Sound)}
	base := audio.Duration(s.said, s.format.Rate)
	s.said += len(c.PCM)
	for _, mark := range m.Marks {
		end := mark.End
		if mark.Local {
			end = min(base+end, audio.Duration(s.said, s.format.Rate))
		}
		s.after = max(s.after, end)
		if s.mark(mark.Text) {
			c.Words = append(c.Words, tts.WordMark{TextEnd: s.at, End: s.after})
		}
	}
	return c
}

// samples decodes sound, whose messages may end inside of a sample.
func (s *stream) samples(sound []byte) []int16 {
	if len(s.half) > 0 {
		sound = append(s.half, sound...)
		s.half = nil
	}
	if s.format.Encoding == audio.PCM16 && len(sound)%2 == 1 {
		s.half = []byte{sound[len(sound)-1]}
		sound = sound[:len(sound)-1]
	}
	if len(sound) == 0 {
		return nil
	}
	pcm, err := codec.AppendSamples(make([]int16, 0, len(sound)), s.format.Encoding, sound)
	if err != nil {
		return nil // no vendor's address has another encoding
	}
	return pcm
}

// lookAhead is how far behind the last mark a piece of the text is looked for:
// further on it is another word of the same letters.
const lookAhead = 64 // bytes

// mark moves behind a piece of the text and reports whether that ends a word.
func (s *stream) mark(piece string) bool {
	rest := s.request.Text[s.at:]
	piece = strings.TrimSpace(piece)
	i := -1
	if piece != "" {
		i = strings.Index(rest[:min(len(rest), lookAhead+len(piece))], piece)
	}
	if i < 0 { // a space, or said otherwise than written
		return false
	}
	s.at += i + len(piece)
	if utf8.RuneCountInString(piece) > 1 { // a word: the marks behind it are of it
		tail := s.request.Text[s.at:]
		n := strings.IndexFunc(tail, func(r rune) bool { return unicode.IsSpace(r) || spoken(r) })
		if n < 0 {
			n = len(tail)
		}
		s.at += n
	}
	r, _ := utf8.DecodeRuneInString(s.request.Text[s.at:])
	return s.at == len(s.request.Text) || unicode.IsSpace(r)
}
