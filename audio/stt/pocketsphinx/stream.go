package pocketsphinx

import (
	"context"
	"sync"
	"time"

	"github.com/patchcord/patchcord/audio/stt"
	"github.com/patchcord/patchcord/internal/localspeech"
)

// stream is one call's recognition. One goroutine reads the helper; Send and
// Speech write to it.
type stream struct {
	*stt.Feed // keeps 16 events: what a reader that is busy for 3 s leaves waiting
	r         *localspeech.Recogniser
	judge     judge
	lang      string
	seg       *stt.Segmenter

	mu   sync.Mutex // guards open
	open []span     // utterances whose Final has not come, oldest first
}

// span is where an utterance lies, stream time.
type span struct{ start, end time.Duration }

var _ stt.Stream = (*stream)(nil)

func newStream(ctx context.Context, r *localspeech.Recogniser, j judge, o stt.Options) *stream {
	s := &stream{
		Feed: stt.NewFeed(ctx, Name, 16),
		r:    r, judge: j, lang: o.Language, seg: stt.NewSegmenter(o.Format.Rate),
	}
	s.Run(s.read)
	return s
}

func (s *stream) Send(pcm []int16) error {
	if err := s.Over(); err != nil {
		return err
	}
	voice, cut := s.seg.Send(pcm)
	if len(voice) == 0 {
		return nil
	}
	err := s.r.Audio(voice)
	if err == nil && cut {
		if err = s.end(); err == nil {
			err = s.begin()
		}
	}
	return s.failed(err)
}

func (s *stream) Speech(on bool) error {
	if err := s.Over(); err != nil {
		return err
	}
	if on {
		return s.failed(s.begin())
	}
	return s.failed(s.end())
}

func (s *stream) begin() error {
	before, opened := s.seg.Begin()
	if !opened {
		return nil
	}
	s.mu.Lock()
	s.open = append(s.open, span{start: s.seg.Start()})
	s.mu.Unlock()
	if err := s.r.Begin(); err != nil || len(before) == 0 {
		return err
	}
	return s.r.Audio(before)
}

func (s *stream) end() error {
	_, end, closed := s.seg.End()
	if !closed {
		return nil
	}
	s.mu.Lock()
	if n := len(s.open); n > 0 {
		s.open[n-1].end = end
	}
	s.mu.Unlock()
	return s.r.End()
}

// read turns what the helper says into events until the stream is over.
func (s *stream) read() error {
	defer s.r.Close()
	for {
		h, err := s.r.Next(s.Context())
		if err != nil {
			return failure("read", err)
		}
		if ev, say := s.event(h); say {
			s.Deliver(ev)
		}
	}
}

// event is what a hypothesis means; say is false where it means nothing new.
func (s *stream) event(h localspeech.Hypothesis) (ev stt.Event, say bool) {
	s.mu.Lock()
	var at span
	if len(s.open) > 0 {
		at = s.open[0]
		if h.Final {
			s.open = s.open[1:]
		}
	}
	s.mu.Unlock()
	v := s.judge.hear(h)
	ev = stt.Event{Kind: stt.Interim, Text: v.text, Confidence: v.confidence, Language: "en", Start: at.start, End: at.end}
	if s.lang != "" {
		ev.Language = s.lang
	}
	if h.Final {
		ev.Kind = stt.Final
	}
	if v.text != "" {
		ev.Start, ev.End = at.start+v.start, at.start+v.end
	}
	return ev, h.Final || v.text != ""
}

// failed ends the stream where the helper took nothing any more.
func (s *stream) failed(err error) error {
	if err == nil {
		return nil
	}
	return s.Fail(failure("send", err))
}
