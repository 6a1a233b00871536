package virtual

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/stt"
)

// Ears are a recogniser that reads the caller's words from the sound it is
// sent, and nothing else: what is not sent is not understood, what is sent
// twice is understood twice.
type Ears struct {
	line   *Line
	faults STTFaults

	mu     sync.Mutex // guards what follows
	finals int
	told   map[int]time.Time
}

// NewEars makes a recogniser of a line's words.
func NewEars(l *Line, f STTFaults) *Ears { return &Ears{line: l, faults: f, told: map[int]time.Time{}} }

// Told is when the call was first told of a word, by its place in Line.Said.
func (e *Ears) Told(word int) (time.Time, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	at, ok := e.told[word]
	return at, ok
}

func (e *Ears) tell(words []int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, w := range words {
		if _, ok := e.told[w]; !ok {
			e.told[w] = time.Now()
		}
	}
}

// Open makes a stream.
func (e *Ears) Open(ctx context.Context, _ stt.Options) (stt.Stream, error) {
	s := &stream{
		Feed: stt.NewFeed(ctx, "virtual", 64), ears: e, have: map[int]int{},
		due: make(chan timed, 256), // more words than are ever on their way
	}
	s.Run(s.deliver)
	return s, nil
}

// timed is an event on its way.
type timed struct {
	at  time.Time
	ev  stt.Event
	ids []int // of its words
}

type stream struct {
	*stt.Feed
	ears  *Ears
	due   chan timed
	have  map[int]int // samples of each word
	words []string    // of the utterance
	ids   []int       // … by their numbers
	sent  int         // samples
	last  int         // where the last word was, in samples
	said  time.Time   // when the last event is due
}

// ownEnd is the silence after which a recogniser takes an utterance for ended
// that nobody told it the end of: all that listen to a stream do.
const ownEnd = 800 * time.Millisecond

var errTorn = errors.New("connection reset")

// deliver gives the events at their times.
func (s *stream) deliver() error {
	for {
		select {
		case t := <-s.due:
			select {
			case <-time.After(time.Until(t.at)):
				s.Deliver(t.ev)
				s.ears.tell(t.ids)
			case <-s.Context().Done():
				return nil
			}
		case <-s.Context().Done():
			return nil
		}
	}
}

// Send reads the words in the samples.
func (s *stream) Send(pcm []int16) error {
	if err := s.Context().Err(); err != nil {
		return &stt.Error{Provider: "virtual", Op: "send", Temporary: true, Err: err}
	}
	s.sent += len(pcm)
	if d := s.ears.faults.Cut; d > 0 && s.sent > audio.Samples(d, Rate) {
		return s.Fail(&stt.Error{Provider: "virtual", Op: "read", Temporary: true, Err: errTorn})
	}
	if len(s.words) > 0 && s.sent-s.last > audio.Samples(ownEnd, Rate) {
		s.final()
	}
	book := s.ears.line.caller
	book.runs(pcm, func(id, n int) {
		w := book.get(id)
		was := 2*s.have[id] > w.Samples
		s.last = s.sent
		s.have[id] += n
		if !was && 2*s.have[id] > w.Samples {
			s.words, s.ids = append(s.words, w.Text), append(s.ids, id)
			if d := s.ears.faults.Interim; d >= 0 {
				s.later(or(d, 100*time.Millisecond), stt.Event{Kind: stt.Interim, Text: strings.Join(s.words, " ")})
			}
		}
	})
	return nil
}

// later lets an event come after d, and not before those that are on their way.
func (s *stream) later(d time.Duration, ev stt.Event) {
	at := time.Now().Add(d)
	if at.Before(s.said) {
		at = s.said
	}
	s.said = at
	s.due <- timed{at, ev, s.ids}
}

// Speech ends an utterance.
func (s *stream) Speech(on bool) error {
	if !on {
		s.final()
	}
	return nil
}

// final gives the words of an utterance for good.
func (s *stream) final() {
	f := s.ears.faults
	s.ears.mu.Lock()
	s.ears.finals++
	n := s.ears.finals
	s.ears.mu.Unlock()
	text := strings.Join(s.words, " ")
	if text != "" && nth(n, f.Empty) {
		text, s.ids = "", nil
	}
	ev := stt.Event{
		Kind: stt.Final, Text: text, Confidence: 0.9, End: time.Duration(s.sent) * time.Second / Rate,
	}
	s.later(or(f.Final, 100*time.Millisecond), ev)
	if f.Duplicate && text != "" {
		s.later(f.Final+400*time.Millisecond, ev)
	}
	s.words, s.ids = nil, nil
}
