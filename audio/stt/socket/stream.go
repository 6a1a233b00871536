package socket

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/codec"
	"github.com/patchcord/patchcord/audio/stt"
)

const (
	keepAlive   = 3 * time.Second        // without anything sent; Deepgram hangs up after 10 s
	silentAfter = 500 * time.Millisecond // without sound: silence takes its place
	silentEvery = 100 * time.Millisecond
	pingEvery   = 10 * time.Second // and 5 s for the answer
	deadAfter   = 15 * time.Second // without anything received
	writeWait   = 2 * time.Second
	byeWait     = 250 * time.Millisecond // from the end of a stream to that of its connection
	burst       = time.Second            // of sound that may go before the pace counts
	maxFrame    = 1 << 20                // bytes of a message: every word of a turn of many minutes, with its times
)

// stream is one connection: Send and Speech write to it, one goroutine reads
// it, one keeps it alive, one closes it. Close tells the vendor that the sound
// is over and does not wait for its last words.
type stream struct {
	*stt.Feed // keeps 64 events: what the engine leaves waiting at most, some seconds of interim results
	Session
	conn  *websocket.Conn
	said  chan struct{} // closed when bye is said, or cannot be
	begun time.Time

	writing sync.Mutex // guards writes to conn and what follows
	piece   int        // bytes of a full message; 0: as it comes
	frame   []byte     // sound that waits for a full message
	sent    time.Time  // when something was last sent
	sound   time.Time  // when sound last came
	out     int64      // samples taken and made up
	gaps    []gap      // what was made up
}

// gap is silence that was made up: n samples of the wire from at on.
type gap struct{ at, n int64 }

// mostGaps bounds what is remembered of silence made up; older ones count as
// one at the place of the oldest.
const mostGaps = 64

var _ stt.Stream = (*stream)(nil)

func newStream(ctx context.Context, conn *websocket.Conn, session Session) *stream {
	now := time.Now()
	s := &stream{
		Feed: stt.NewFeed(ctx, session.Name, 64), Session: session, conn: conn,
		begun: now, sent: now, sound: now, said: make(chan struct{}),
	}
	s.piece = audio.Samples(s.Piece, s.Rate) * s.width()
	conn.SetReadLimit(maxFrame)
	conn.SetReadDeadline(now.Add(deadAfter)) //nolint:errcheck // a closed connection says so at the next read
	conn.SetPongHandler(func(string) error { return conn.SetReadDeadline(time.Now().Add(deadAfter)) })
	s.Run(s.read)
	s.Go(s.keep)
	s.Go(s.hangUp)
	return s
}

// width is how many bytes a sample has on the wire.
func (s *stream) width() int {
	if s.Encoding == audio.MuLaw {
		return 1
	}
	return 2
}

// Send implements [stt.Stream].
func (s *stream) Send(pcm []int16) error {
	if err := s.Over(); err != nil || len(pcm) == 0 {
		return err
	}
	if err := s.pace(len(pcm)); err != nil {
		return err
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	s.sound = time.Now()
	return s.soundLocked(pcm)
}

// pace waits until the vendor may be sent n samples more.
func (s *stream) pace(n int) error {
	if s.Pace == 0 {
		return nil
	}
	s.writing.Lock()
	ahead := audio.Duration(int(s.out)+n, s.Rate) - burst
	s.writing.Unlock()
	wait := time.Duration(float64(ahead)/s.Pace) - time.Since(s.begun)
	if wait <= 0 {
		return nil
	}
	select {
	case <-time.After(wait):
		return nil
	case <-s.Context().Done():
		return s.Over()
	}
}

// soundLocked sends sound in messages of the vendor's length.
func (s *stream) soundLocked(pcm []int16) error {
	s.out += int64(len(pcm))
	if s.Encoding == audio.MuLaw {
		n := len(s.frame)
		s.frame = append(s.frame, make([]byte, len(pcm))...)
		codec.EncodeMuLaw(s.frame[n:], pcm)
	} else {
		for _, v := range pcm {
			s.frame = binary.LittleEndian.AppendUint16(s.frame, uint16(v))
		}
	}
	size, done := s.piece, 0
	if size == 0 {
		size = len(s.frame)
	}
	for ; len(s.frame)-done >= size; done += size {
		if err := s.writeLocked(websocket.BinaryMessage, s.frame[done:done+size]); err != nil {
			return err
		}
	}
	s.frame = s.frame[:copy(s.frame, s.frame[done:])]
	return nil
}

// Speech matters only to vendors that are told of the end of a voice: the
// endpointer is theirs.
func (s *stream) Speech(on bool) error {
	if err := s.Over(); err != nil || on || s.VoiceEnd == "" {
		return err
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.writeLocked(websocket.TextMessage, []byte(s.VoiceEnd))
}

// writeLocked sends one message; what cannot be sent ends the stream.
func (s *stream) writeLocked(kind int, data []byte) error {
	s.conn.SetWriteDeadline(time.Now().Add(writeWait)) //nolint:errcheck // a closed connection says so below
	if err := s.conn.WriteMessage(kind, data); err != nil {
		return s.Fail(&stt.Error{Provider: s.Name, Op: "send", Temporary: true, Err: err})
	}
	s.sent = time.Now()
	return nil
}

// bye ends the stream on the wire: it is what ends the billing. A connection
// that is lost already does not take it.
func (s *stream) bye() {
	defer close(s.said)
	s.writing.Lock()
	defer s.writing.Unlock()
	s.conn.SetWriteDeadline(time.Now().Add(byeWait)) //nolint:errcheck // a closed connection says so below
	_ = s.conn.WriteMessage(websocket.TextMessage, []byte(s.Bye))
	end := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	if s.conn.WriteMessage(websocket.CloseMessage, end) == nil {
		s.conn.Close()
	}
}

// hangUp closes the connection when bye is said, at the latest byeWait after
// the stream's end: neither a write to a peer that is gone nor TLS's own
// goodbye to it holds up Close. It ends read.
func (s *stream) hangUp() {
	<-s.Context().Done()
	select {
	case <-s.said:
	case <-time.After(byeWait):
	}
	conn := s.conn.NetConn()
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	conn.Close()
}

// read turns messages into events until the connection ends.
func (s *stream) read() error {
	for {
		kind, data, err := s.conn.ReadMessage()
		if err != nil {
			return s.ended(err)
		}
		s.conn.SetReadDeadline(time.Now().Add(deadAfter)) //nolint:errcheck // a closed connection says so at the next read
		if kind != websocket.TextMessage {
			continue
		}
		events, err := s.Read(data)
		if err != nil {
			return s.fault(err)
		}
		s.Alive()
		for _, ev := range events {
			ev.Start, ev.End = s.place(ev.Start), s.place(ev.End)
			s.Deliver(ev)
		}
	}
}

// place is a position of the wire in the sound that Send was given.
func (s *stream) place(at time.Duration) time.Duration {
	if !s.Silence || at == 0 {
		return at
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	n := int64(audio.Samples(at, s.Rate))
	made := int64(0)
	for _, g := range s.gaps {
		made += max(0, min(n-g.at, g.n))
	}
	return audio.Duration(int(n-made), s.Rate)
}

// fill sends silence where no sound comes any more.
func (s *stream) fill(quiet []int16) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if time.Since(s.sound) < silentAfter {
		return
	}
	if n := len(s.gaps); n > 0 && s.gaps[n-1].at+s.gaps[n-1].n == s.out {
		s.gaps[n-1].n += int64(len(quiet))
	} else {
		if n == mostGaps {
			s.gaps[1].at, s.gaps[1].n = s.gaps[0].at, s.gaps[0].n+s.gaps[1].n
			s.gaps = append(s.gaps[:0], s.gaps[1:]...)
		}
		s.gaps = append(s.gaps, gap{s.out, int64(len(quiet))})
	}
	_ = s.soundLocked(quiet) // it failed the stream itself
}

// keep keeps the connection alive while the call is silent, notices when it is
// dead, and says goodbye when the stream ends.
func (s *stream) keep() {
	defer s.bye()
	alive, ping := time.NewTicker(keepAlive/2), time.NewTicker(pingEvery)
	defer alive.Stop()
	defer ping.Stop()
	var silent <-chan time.Time
	var quiet []int16
	if s.Silence {
		t := time.NewTicker(silentEvery)
		defer t.Stop()
		silent, quiet = t.C, make([]int16, audio.Samples(silentEvery, s.Rate))
	}
	for {
		select {
		case <-alive.C:
			s.writing.Lock()
			if s.KeepAlive != "" && time.Since(s.sent) >= keepAlive/2 {
				_ = s.writeLocked(websocket.TextMessage, []byte(s.KeepAlive)) // it failed the stream itself
			}
			s.writing.Unlock()
		case <-silent:
			s.fill(quiet)
		case <-ping.C:
			_ = s.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeWait)) // the answer counts
		case <-s.Context().Done():
			return
		}
	}
}
