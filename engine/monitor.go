package engine

import (
	"bytes"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/record"
	"github.com/patchcord/patchcord/telephony"
)

const (
	// MostListeners is how many may listen in to one call at a time.
	MostListeners = 8
	// listenBehind is how much sound may wait for one of them.
	listenBehind = 2 * time.Second
)

// ErrListeners tells that as many listen in to a call as may.
var ErrListeners = errors.New("engine: as many listen in to the call as may")

// Listen lets one more listen in to a live call: to what both sides say, as a
// recording has it, from now on. Neither side is told. ErrNoCall where the call
// is not answered, or over.
func (e *Engine) Listen(id telephony.CallID) (*Listening, error) {
	e.mu.Lock()
	s := e.calls[id]
	e.mu.Unlock()
	if s == nil {
		return nil, ErrNoCall
	}
	return s.monitor.listen()
}

// Listening is one who listens in to a call. It must be closed.
type Listening struct {
	// Rate of the sound, Hz: that of the call.
	Rate int
	// Sound is of both sides: samples of 16 bits in little-endian order, the
	// caller's and the agent's (or that of whom the caller was handed over to) in
	// turn, at most half a second after they were said. It is closed when the call
	// is over, and when its reader does not keep up.
	Sound <-chan []byte

	sound chan []byte // 2 s: who is further behind is cut
	feed  *feed
	of    *monitor // nil: relayed
	over  bool     // closed; guarded by of.mu, as cut is
	cut   bool

	relayed Relayed
}

// Relayed is the sound of a call of another process.
type Relayed struct {
	Rate  int // Hz
	Sound <-chan []byte
	Cut   func() bool // when Sound is closed: its reader did not keep up
	Lost  func() bool // the same: that process is out of reach
	Close func()
}

// Relay is a listening to it.
func Relay(r Relayed) *Listening { return &Listening{Rate: r.Rate, Sound: r.Sound, relayed: r} }

// Lost tells, when Sound is closed, that the call's process is out of reach: the
// call may go on.
func (l *Listening) Lost() bool { return l.of == nil && l.relayed.Lost() }

// Cut tells, when Sound is closed, that its reader did not keep up.
func (l *Listening) Cut() bool {
	if l.of == nil {
		return l.relayed.Cut()
	}
	l.of.mu.Lock()
	defer l.of.mu.Unlock()
	return l.cut
}

// Close ends the listening.
func (l *Listening) Close() {
	if l.of == nil {
		l.relayed.Close()
		return
	}
	l.of.leave(l)
}

// monitor is where a call is listened in to. The media plane never waits in it:
// while nobody listens it loads a pointer, else it fills the rings of a recorder.
type monitor struct {
	taps atomic.Pointer[record.Recorder] // nil: nobody listens

	mu     sync.Mutex // guards what follows
	rate   int        // 0: not answered, or over
	masked bool       // the caller is not to be heard
	feed   *feed      // nil: nobody listens
}

// feed is the sound of a call for all who listen at a time.
type feed struct {
	of  *monitor
	rec *record.Recorder
	all map[*Listening]struct{} // guarded by of.mu
}

// open lets others listen, once the call is answered.
func (m *monitor) open(rate int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rate = rate
}

func (m *monitor) listen() (*Listening, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.rate == 0:
		return nil, ErrNoCall
	case m.feed != nil && len(m.feed.all) >= MostListeners:
		return nil, ErrListeners
	case m.feed == nil:
		f := &feed{of: m, all: map[*Listening]struct{}{}}
		rec, err := record.Stream(f, m.rate)
		if err != nil {
			return nil, err
		}
		rec.Mask(m.masked)
		f.rec, m.feed = rec, f
		m.taps.Store(rec)
	}
	l := &Listening{Rate: m.rate, feed: m.feed, of: m}
	l.sound = make(chan []byte, audio.Samples(listenBehind, m.rate)/record.Block+1)
	l.Sound = l.sound
	m.feed.all[l] = struct{}{}
	return l, nil
}

// Write gives sound to all who listen. Who does not keep up hears no more.
func (f *feed) Write(b []byte) (int, error) {
	b = bytes.Clone(b)
	f.of.mu.Lock()
	defer f.of.mu.Unlock()
	for l := range f.all {
		select {
		case l.sound <- b:
		default:
			l.cut = true
			f.endLocked(l)
		}
	}
	return len(b), nil
}

func (f *feed) endLocked(l *Listening) {
	delete(f.all, l)
	if !l.over {
		l.over = true
		close(l.sound)
	}
}

// leave ends one's listening, and with the last one's the taps.
func (m *monitor) leave(l *Listening) {
	m.mu.Lock()
	f := l.feed
	f.endLocked(l)
	last := m.feed == f && len(f.all) == 0
	if last {
		m.dropLocked()
	}
	m.mu.Unlock()
	if last {
		_, _ = f.rec.Close() // it writes to memory
	}
}

func (m *monitor) dropLocked() {
	m.feed = nil
	m.taps.Store(nil)
}

// close ends the listening of all: the call is over.
func (m *monitor) close() {
	m.mu.Lock()
	f := m.feed
	m.rate = 0
	m.dropLocked()
	m.mu.Unlock()
	if f == nil {
		return
	}
	_, _ = f.rec.Close() // all hear the end
	m.mu.Lock()
	defer m.mu.Unlock()
	for l := range f.all {
		f.endLocked(l)
	}
}

// mask keeps the caller from being heard, or lets them be heard again.
func (m *monitor) mask(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.masked = on
	if m.feed != nil {
		m.feed.rec.Mask(on)
	}
}

// caller is told what the caller says.
func (m *monitor) caller(f audio.Frame) {
	if rec := m.taps.Load(); rec != nil {
		rec.Caller(f)
	}
}

// agent is told what the caller hears.
func (m *monitor) agent(pcm []int16, at time.Duration) {
	if rec := m.taps.Load(); rec != nil {
		rec.Agent(pcm, at)
	}
}
