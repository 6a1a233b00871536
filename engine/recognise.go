package engine

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/stt"
	"github.com/patchcord/patchcord/engine/turn"
)

const (
	// sttOpen is how long a recogniser may take to open, and sttTries how often
	// in a row one fails before the next in its chain is asked.
	sttOpen  = 3 * time.Second
	sttTries = 2
	// sttSilent is how long after a voice of sttVoiced a recogniser may say
	// nothing before it counts as hung. What it said in the hang of the call's
	// own detector, sttHang, was said after the voice.
	sttSilent = 5 * time.Second
	sttVoiced = 800 * time.Millisecond / audio.FrameTime // frames, the detector's hang among them
	sttHang   = 500 * time.Millisecond
	// sttSteady is how long a stream that follows a failure has to last, where
	// nothing is said, to count as working.
	sttSteady = time.Second
)

// Waits between attempts to open a recogniser again.
var sttBackoff = []time.Duration{250 * time.Millisecond, 500 * time.Millisecond, time.Second}

// ears are the recogniser that a call listens with.
type ears struct {
	chain   stt.Chain
	options stt.Options
	stream  stt.Stream // open already; nil: to be opened
	cancel  context.CancelFunc
}

// close frees a stream that nobody took.
func (e ears) close() {
	if e.stream != nil {
		_ = e.stream.Close() // nobody wants it any more
		e.cancel()
	}
}

// sttEvent is a recogniser's event on its way to the session; or that the
// recogniser name failed (err), and next goes on ("" for nobody else); or that
// it listens (up).
type sttEvent struct {
	ev   stt.Event
	err  error
	name string
	next string
	up   *stt.Profile

	doubted int // times that it was put off: its words are likely our echo
}

// recogniser keeps one listening until the call is over. Its fields belong to
// the goroutine of run, but for what it says itself.
type recogniser struct {
	ring *ring
	work *mailbox
	hand chan ears // capacity 1: what is to listen from now on, open already

	ears
	at      int       // in the chain
	fails   int       // of the present one, in a row, without a word
	outage  int       // of all, in a row
	suspect int64     // the end of the last voice that was taken for a sign of a hung stream
	quiet   time.Time // since when nothing has been heard of the stream, after a voice; zero: nothing is owed
	heard   atomic.Int64
	settled atomic.Int64 // the frame after the last voice whose end was told
}

func newRecogniser(r *ring, work *mailbox, e ears) *recogniser {
	return &recogniser{ring: r, work: work, hand: make(chan ears, 1), ears: e}
}

// run listens until ctx ends.
func (r *recogniser) run(ctx context.Context) {
	for ctx.Err() == nil {
		heard := false
		name := r.chain[r.at].Name
		err := guarded(func() error { return r.session(ctx, &heard) })
		r.ring.away()
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errHandedOver):
			continue
		}
		next, wait := r.failed(err, heard)
		r.work.put(sttEvent{err: err, name: name, next: next})
		select {
		case <-time.After(wait):
		case r.ears = <-r.hand:
			r.at, r.fails = 0, 0
		case <-ctx.Done():
		}
	}
	r.drop()
}

// change lets another recogniser listen. Only the session asks for it.
func (r *recogniser) change(e ears) {
	r.drop()
	r.hand <- e
}

// drop closes a stream that was handed over and not taken.
func (r *recogniser) drop() {
	select {
	case e := <-r.hand:
		e.close()
	default:
	}
}

// failed decides who is asked next, and when.
func (r *recogniser) failed(err error, heard bool) (next string, wait time.Duration) {
	if heard {
		r.fails, r.outage = 0, 0
	}
	r.fails++
	r.outage++
	var e *stt.Error
	lasting := errors.As(err, &e) && !e.Temporary || errors.Is(err, errStreamHung)
	if len(r.chain) > 1 && (lasting || r.fails >= sttTries) {
		r.at, r.fails = (r.at+1)%len(r.chain), 0
		next = r.chain[r.at].Name
		if r.outage <= sttTries*len(r.chain) && r.at != 0 { // one that was not asked yet
			return next, 0
		}
	}
	return next, sttBackoff[min(r.outage-1, len(sttBackoff)-1)]
}

// open is the stream that listens now.
func (r *recogniser) open(ctx context.Context, stop context.CancelCauseFunc) (stt.Stream, error) {
	if s := r.stream; s != nil {
		r.stream = nil
		context.AfterFunc(ctx, r.cancel)
		return s, nil
	}
	slow := time.AfterFunc(sttOpen, func() { stop(errStreamSlow) })
	s, err := r.chain[r.at].Provider.Open(ctx, r.options)
	switch {
	case err == nil && slow.Stop():
		return s, nil
	case err == nil: // it came in the moment it was given up
		_ = s.Close()
		return nil, errStreamSlow
	case errors.Is(context.Cause(ctx), errStreamSlow):
		return nil, errStreamSlow
	}
	slow.Stop()
	return nil, err
}

// session is one stream from its opening to its failure.
func (r *recogniser) session(ctx context.Context, heard *bool) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	s, err := r.open(ctx, stop)
	if err != nil {
		return err
	}
	base := r.ring.rewind(time.Now())
	r.settled.Store(base)
	r.heard.Store(time.Now().UnixNano())
	name, profile := r.chain[r.at].Name, r.chain[r.at].Profile()
	up := sync.OnceFunc(func() { r.work.put(sttEvent{up: &profile, name: name}) })
	if r.outage == 0 {
		up()
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-time.After(sttSteady):
			up()
		case <-ctx.Done():
		}
	})
	wg.Go(func() {
		for ev := range s.Events() {
			up()
			r.heard.Store(time.Now().UnixNano())
			if ev.Kind == stt.Final {
				*heard = true
				r.settle(base, ev)
			}
			ev.Start, ev.End = placed(base, ev.Start), placed(base, ev.End)
			r.work.put(sttEvent{ev: ev})
		}
		err := s.Err()
		if err == nil {
			err = errStreamOver
		}
		stop(err)
	})
	err = r.feed(ctx, s)
	stop(err)
	_ = s.Close() // what failed is known already
	wg.Wait()
	return err
}

// placed is a position of a stream that began with a frame in the call's sound.
func placed(base int64, at time.Duration) time.Duration {
	if at == 0 {
		return 0
	}
	return time.Duration(base)*audio.FrameTime + at
}

// settle notes how far a Final goes: to where its words end, or to the end of
// the last voice where the provider does not tell.
func (r *recogniser) settle(base int64, ev stt.Event) {
	to := r.settled.Load()
	if ev.End > 0 {
		to = base + int64(ev.End/audio.FrameTime)
	}
	r.ring.settle(to)
}

// feed sends what was heard to a stream until it fails or ctx ends.
func (r *recogniser) feed(ctx context.Context, s stt.Stream) error {
	buf := make([]int16, r.ring.frame)
	told, began := false, int64(0)
	r.quiet = time.Time{}
	for {
		n, i, voice, ok := r.ring.take(buf)
		if !ok {
			if r.hung(s) {
				return errStreamHung
			}
			select {
			case <-r.ring.signal:
			case r.ears = <-r.hand:
				r.at, r.fails = 0, 0
				return errHandedOver
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			continue
		}
		if err := s.Send(buf[:n]); err != nil {
			return err
		}
		if voice == told {
			continue
		}
		told = voice
		if err := s.Speech(voice); err != nil {
			return err
		}
		r.quiet = time.Time{}
		if voice {
			began = i
			continue
		}
		r.settled.Store(i + 1)
		if i-began >= int64(sttVoiced) && i > r.suspect {
			r.quiet, r.suspect = time.Now(), i
		}
	}
}

// hung tells that nothing came of a voice that ended a while ago. Each voice is
// such a sign once: a noise without words does not end one stream after the other.
func (r *recogniser) hung(s stt.Stream) bool {
	if r.quiet.IsZero() || time.Since(r.quiet) < sttSilent {
		return false
	}
	seen := time.Unix(0, r.heard.Load())
	if w, ok := s.(stt.Watched); ok && w.Seen().After(seen) {
		seen = w.Seen()
	}
	since := r.quiet
	r.quiet = time.Time{}
	return seen.Before(since.Add(-sttHang))
}

// recognised is a recogniser's news, in the order that they came in: what comes
// behind last words that are put off waits with them.
func (s *session) recognised(e sttEvent) {
	words := e.err == nil && e.up == nil && !s.server.listening()
	switch {
	case s.doubting && e.doubted == 0:
		s.behind = append(s.behind, e)
		return
	case words && e.ev.Kind == stt.Final && e.doubted < doubtMost && s.listen.sound.likely():
		e.doubted++
		s.doubting = true
		time.AfterFunc(doubtEvery, func() { s.work.must(e) })
		return
	}
	s.recogniserSaid(e)
	if e.doubted > 0 {
		behind := s.behind
		s.doubting, s.behind = false, nil
		for _, b := range behind {
			s.recognised(b)
		}
	}
}

// recogniserSaid takes one of them.
func (s *session) recogniserSaid(e sttEvent) {
	switch {
	case s.server.listening() && e.err != nil:
		s.server.lost(e)
		return
	case s.server.listening():
		return // its session says itself what it hears
	case e.err != nil:
		s.failed("stt", e.name, e.err)
		if e.next != "" {
			s.event(EventProviderFallback, F("kind", "stt"), F("from", e.name), F("to", e.next))
		}
		s.deaf = true
		s.lastWords.away()
		s.step(turn.STTDown{Down: true})
		return
	case e.up != nil:
		s.hearer = e.name
		wait := time.Duration(0)
		if s.agent.Turn.STTWait == 0 {
			wait = s.e.waits.wait(e.name, e.up.Wait)
		}
		s.step(turn.Recogniser{Turns: e.up.Turns, Wait: wait})
		if s.deaf {
			s.deaf = false
			s.step(turn.STTDown{})
		}
		return
	}
	s.hear(e.ev)
}
