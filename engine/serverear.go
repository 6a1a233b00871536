package engine

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/stt"
	"github.com/patchcord/patchcord/llm"
)

// serverEar is a speech-to-speech model as what hears the call: its session is
// opened, fed, and opened again after an outage, as a recogniser's stream is.
type serverEar struct {
	model   llm.Realtime
	options llm.RealtimeOptions
	work    *mailbox
}

// serverUp is a session that is open now, serverSays what it says.
type (
	serverUp   struct{ conn llm.RealtimeSession }
	serverSays struct {
		conn llm.RealtimeSession
		ev   llm.RealtimeEvent
	}
)

// Open implements [stt.Provider].
func (e *serverEar) Open(ctx context.Context, o stt.Options) (stt.Stream, error) {
	conn, err := e.model.Connect(ctx, e.options)
	if err != nil {
		return nil, asSTT(err)
	}
	st := &earStream{Feed: stt.NewFeed(ctx, o.CallID, 4), conn: conn, rate: o.Format.Rate} // an end of turn now and then
	e.work.put(serverUp{conn})
	st.Run(func() error {
		st.listen(func(ev llm.RealtimeEvent) { e.work.put(serverSays{conn, ev}) })
		if err := conn.Err(); err != nil {
			return asSTT(err)
		}
		return errStreamOver
	})
	return st, nil
}

// asSTT is a model's error as the recogniser's goroutine weighs it.
func asSTT(err error) error {
	var e *llm.Error
	if errors.As(err, &e) {
		return &stt.Error{Provider: e.Provider, Op: e.Op, Temporary: e.Temporary, Err: e.Err}
	}
	return err
}

// earStream is a session.
type earStream struct {
	*stt.Feed
	conn llm.RealtimeSession
	rate int
	sent atomic.Int64 // samples
}

// wordsLate is how long the words of a turn are waited for before its sound
// counts as understood without them.
const wordsLate = 3 * time.Second

// listen hands on what the server says. A turn whose words it has told is
// settled: its sound is not sent again, to a session that follows. One that it
// has not is, for its words are lost with it.
func (s *earStream) listen(each func(llm.RealtimeEvent)) {
	type ended struct {
		item     string
		at       time.Duration // in the sound
		deadline time.Time
	}
	var turns []ended // whose words are to come
	late := time.NewTimer(wordsLate)
	defer late.Stop()
	settle := func(n int) {
		for _, t := range turns[:n] {
			s.Deliver(stt.Event{Kind: stt.Final, End: t.at})
		}
		if turns = turns[n:]; len(turns) > 0 {
			late.Reset(time.Until(turns[0].deadline))
		}
	}
	for {
		select {
		case ev, ok := <-s.conn.Events():
			if !ok {
				return
			}
			s.Alive()
			each(ev)
			switch ev.Kind {
			case llm.TurnEnded:
				at := audio.Duration(int(s.sent.Load()), s.rate)
				turns = append(turns, ended{ev.Item, at, time.Now().Add(wordsLate)})
				late.Reset(time.Until(turns[0].deadline))
			case llm.TurnWords:
				settle(1 + slices.IndexFunc(turns, func(t ended) bool { return t.item == ev.Item }))
			}
		case <-late.C:
			if len(turns) > 0 {
				settle(1)
			}
		}
	}
}

// Send implements [stt.Stream].
func (s *earStream) Send(pcm []int16) error {
	if err := s.Over(); err != nil {
		return err
	}
	s.sent.Add(int64(len(pcm)))
	return s.conn.Send(pcm)
}

// Speech implements [stt.Stream]: the server has its own ear (conv:R10).
func (s *earStream) Speech(bool) error { return s.Over() }

// Close implements [stt.Stream].
func (s *earStream) Close() error {
	err := s.conn.Close()
	return errors.Join(err, s.Feed.Close())
}
