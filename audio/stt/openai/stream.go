package openai

import (
	"context"
	"errors"
	"time"

	"github.com/patchcord/patchcord/audio/stt"
)

// shortest is the least sound that the API takes, and longestQueue how many
// utterances may wait for their answers before the stream gives up.
const (
	shortest     = 100 * time.Millisecond
	longestQueue = 16
)

var errBehind = errors.New("16 utterances wait for their words")

// stream is one call's recognition. One goroutine asks for the words of one
// utterance after the other.
type stream struct {
	*stt.Feed // keeps longestQueue events: one Final per utterance that may wait
	p         *Provider
	rate      int
	language  string

	seg   *stt.Segmenter // of the goroutine that sends
	pcm   []int16        // of the open utterance
	queue chan utterance // longestQueue
}

type utterance struct {
	pcm        []int16
	start, end time.Duration // stream time
}

var _ stt.Stream = (*stream)(nil)

func newStream(ctx context.Context, p *Provider, rate int, language string) *stream {
	s := &stream{
		Feed: stt.NewFeed(ctx, Name, longestQueue), p: p, rate: rate, language: language,
		seg: stt.NewSegmenter(rate), queue: make(chan utterance, longestQueue),
	}
	s.Run(s.run)
	return s
}

func (s *stream) Send(pcm []int16) error {
	if err := s.Over(); err != nil {
		return err
	}
	voice, cut := s.seg.Send(pcm)
	s.pcm = append(s.pcm, voice...)
	if !cut {
		return nil
	}
	if err := s.Speech(false); err != nil {
		return err
	}
	return s.Speech(true)
}

func (s *stream) Speech(on bool) error {
	if err := s.Over(); err != nil {
		return err
	}
	if on {
		if before, opened := s.seg.Begin(); opened {
			s.pcm = before
		}
		return nil
	}
	start, end, closed := s.seg.End()
	if !closed {
		return nil
	}
	u := utterance{s.pcm, start, end}
	s.pcm = nil
	select {
	case s.queue <- u:
		return nil
	default:
		return s.Fail(&stt.Error{Provider: Name, Op: "send", Temporary: true, Err: errBehind})
	}
}

// run asks for the words of each utterance until the stream is over.
func (s *stream) run() error {
	ctx := s.Context()
	for {
		select {
		case u := <-s.queue:
			ev, err := s.hear(ctx, u)
			if err != nil {
				return err
			}
			s.Deliver(ev)
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *stream) hear(ctx context.Context, u utterance) (stt.Event, error) {
	ev := stt.Event{Kind: stt.Final, Language: s.language, Start: u.start, End: u.end}
	if u.end-u.start < shortest {
		return ev, nil
	}
	text, err := s.p.transcribe(ctx, u.pcm, s.rate, s.language)
	ev.Text = text
	return ev, err
}
