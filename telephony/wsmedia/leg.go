package wsmedia

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/telephony"
)

// leg is one call of a carrier. The fields of the first part never change, those
// under a mutex are guarded by it. Three goroutines work for it: read takes the
// carrier's messages, write sends ours, clock is the media plane.
type leg struct {
	s       *Server
	log     *zap.Logger
	d       *dialect
	account Account
	stream  string // the carrier's name of the stream
	call    string // that of the call
	began   time.Time
	ctx     context.Context
	cancel  context.CancelCauseFunc
	over    chan struct{} // closed when the leg has ended

	mu       sync.Mutex // guards what follows, up to the blank line
	info     telephony.Info
	sink     audio.Sink
	source   audio.Source
	answered bool
	handed   bool // to other instructions of the carrier's
	keys     *keys
	far      far
	out      outbox
	sent     uint64 // frames
	flushes  int    // so far: what was pulled before one is not given after it
	rtt      time.Duration

	events  chan telephony.Event // legEvents
	eventMu sync.Mutex           // guards ended, and sends to events
	ended   *telephony.Cause     // nil while the leg is up

	in *receiver
}

var (
	_ telephony.Leg     = (*leg)(nil)
	_ telephony.Flusher = (*leg)(nil)
)

// legEvents is how many events wait for whoever uses the leg: some seconds of
// key presses.
const legEvents = 64

// now is the leg's time.
func (l *leg) now() time.Duration { return time.Since(l.began) }

// Info is what is known of the leg.
func (l *leg) Info() telephony.Info {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.info
}

// Progress does nothing: the carrier has answered the call to open the stream.
func (l *leg) Progress(context.Context, bool) error { return nil }

// Answer starts the leg's clock.
func (l *leg) Answer(context.Context) error {
	if c := l.cause(); c != nil {
		return &telephony.HangupError{Cause: *c}
	}
	l.mu.Lock()
	first := !l.answered
	l.answered = true
	l.mu.Unlock()
	if first && !l.s.goes(l.clock) {
		return errClosed
	}
	return nil
}

// Connect sets where the caller's sound goes and where ours comes from.
func (l *leg) Connect(in audio.Sink, out audio.Source) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sink, l.source = in, out
}

// Events are what happens to the leg.
func (l *leg) Events() <-chan telephony.Event { return l.events }

// emit sends an event. It never waits: a user who does not read loses what is
// oldest.
func (l *leg) emit(e telephony.Event) {
	l.eventMu.Lock()
	defer l.eventMu.Unlock()
	if l.ended == nil {
		l.emitLocked(e)
	}
}

func (l *leg) emitLocked(e telephony.Event) {
	for {
		select {
		case l.events <- e:
			return
		default:
		}
		select {
		case <-l.events:
		default:
		}
	}
}

// end makes the leg over, once.
func (l *leg) end(c telephony.Cause) {
	l.eventMu.Lock()
	if l.ended != nil {
		l.eventMu.Unlock()
		return
	}
	l.ended = &c
	l.emitLocked(telephony.Ended{Cause: c})
	close(l.events)
	l.eventMu.Unlock()
	close(l.over)
	l.mu.Lock()
	l.out.queue, l.out.spare, l.out.closed = nil, nil, true
	l.mu.Unlock()
	l.cancel(&telephony.HangupError{Cause: c})
	l.log.Debug("wsmedia: call ended", zap.String("reason", string(c.Reason)), zap.String("text", c.Text),
		zap.Bool("remote", c.Remote))
}

// cause is why the leg ended, nil while it is up.
func (l *leg) cause() *telephony.Cause {
	l.eventMu.Lock()
	defer l.eventMu.Unlock()
	return l.ended
}

// Hangup closes the stream, behind which the carrier's instructions say to hang
// up, and says so over the carrier's API where the trunk has an account_sid.
func (l *leg) Hangup(_ context.Context, c telephony.Cause) error {
	if l.cause() == nil && l.account.AccountSID != "" {
		l.s.goes(func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(l.ctx), orderTimeout)
			defer cancel()
			if err := l.s.order(ctx, l, order{}); err != nil {
				l.s.failed(l.account.Trunk, "hang up over the carrier's API: "+err.Error())
				l.log.Info("wsmedia: the carrier did not take the end of the call; its stream is closed", zap.Error(err))
			}
		})
	}
	l.end(c)
	return nil
}

// Hold does nothing: a carrier is told of none, and what is heard meanwhile is
// for Connect to say.
func (l *leg) Hold(context.Context, bool) error { return nil }

// Refer gives the call other instructions over the carrier's API: it dials the
// target and the stream ends. Without an account_sid, or where the carrier does
// not take them, the error is a [telephony.ErrNoRefer]: the transfer has to be
// bridged.
func (l *leg) Refer(ctx context.Context, to telephony.ReferTo) error {
	if c := l.cause(); c != nil {
		return &telephony.HangupError{Cause: *c}
	}
	refuse := func(why string) error {
		return fmt.Errorf("wsmedia: transfer of a %s call: %w: %s", l.d.name, telephony.ErrNoRefer, why)
	}
	switch {
	case to.Replaces != nil:
		return refuse("a carrier's WebSocket joins no two calls")
	case l.account.NoRefer:
		return refuse("trunk " + string(l.account.Trunk) + " has refer: never")
	}
	l.mu.Lock()
	l.handed = true
	l.mu.Unlock()
	if err := l.s.order(ctx, l, order{document: dialing(to.Target)}); err != nil {
		l.mu.Lock()
		l.handed = false
		l.mu.Unlock()
		l.s.failed(l.account.Trunk, "transfer over the carrier's API: "+err.Error())
		return refuse(err.Error())
	}
	l.emit(telephony.ReferProgress{Status: 200, Reason: "OK", Final: true})
	return nil
}

// stopped is the end of the stream from the carrier's side.
func (l *leg) stopped(text string) {
	c := telephony.Cause{Reason: telephony.ReasonNormal, Remote: true, Text: text}
	l.mu.Lock()
	switch {
	case l.handed:
		c.Reason = telephony.ReasonTransferred
	case !l.answered:
		c.Reason = telephony.ReasonCancelled
	}
	l.mu.Unlock()
	l.end(c)
}

// Flush drops what the carrier has not played yet, and what waits to be sent to
// it; the message that says so is the next one written.
func (l *leg) Flush() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flushes++
	l.out.replace(func(dst []byte) []byte { return l.d.clear(dst, l.stream) })
	return l.far.flush(l.now())
}

// Ahead is how much the carrier was given and has not played.
func (l *leg) Ahead() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.far.unheard(l.now())
}

// Stats are the figures of the sound; those of the far end it does not tell.
func (l *leg) Stats() telephony.Stats {
	st := l.in.stats()
	l.mu.Lock()
	defer l.mu.Unlock()
	st.PacketsSent = l.sent
	st.RTT = l.rtt
	if total := st.PacketsReceived + st.PacketsLost; total > 0 {
		st.Loss = float64(st.PacketsLost) / float64(total)
		st.MOS = telephony.MOS(l.rtt/2+audio.FrameTime+st.BufferDelay, float64(st.PacketsLost+st.PacketsLate)/float64(total))
	}
	return st
}
