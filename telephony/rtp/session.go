package rtp

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/codec"
	"github.com/patchcord/patchcord/audio/jitter"
	"github.com/patchcord/patchcord/telephony"
)

// Session is the media of one leg. Its methods may be called by any goroutine
// but not from a Sink, a Source or the function given to Notify.
type Session struct {
	media *Media
	rtp   conn
	rtcp  conn // port above rtp's; nil of a wired one
	port  int  // 0 of a wired one
	wired bool // a Wire carries its packets

	digitTurn chan struct{} // held by the SendDigits at work; capacity 1: one at a time
	digits    atomic.Pointer[digitJob]
	ends      atomic.Pointer[ends]
	gone      chan struct{} // closed when the shard has let go
	closing   atomic.Bool
	changed   atomic.Bool // pending is set

	// mu guards what Apply leaves for the shard.
	mu      sync.Mutex
	pending *settings
	notify  func(telephony.Event)
	rate    int    // of the frames; 0 before the first Apply
	shard   *shard // nil before the first Apply
	closed  bool

	// statsMu guards the figures; the shard only tries to lock it.
	statsMu sync.Mutex
	figures figures
	far     farSide

	// wireMu guards the sockets against being closed while a report is sent.
	wireMu sync.Mutex
	cut    bool

	// The rest belongs to the shard's thread.
	slot    int
	skips   uint32 // of the shard, as far as this session has followed
	dead    bool   // a Sink or Source panicked
	set     *settings
	in      receiver
	out     sender
	ticks   uint64
	heard   time.Duration // media time of the next frame
	reports schedule
}

// ends is where sound goes and comes from.
type ends struct {
	sink audio.Sink
	src  audio.Source
}

// settings is one Apply, made ready by its caller so that the shard has
// nothing to allocate.
type settings struct {
	Params
	notify   func(telephony.Event)
	spec     codec.Spec
	frame    int // samples of 20 ms on the wire
	enc, dec codec.Codec
	recover  codec.Recoverer // what the codec itself makes of a loss; nil: nothing
	conceal  *codec.Concealer
	inband   *audio.KeyDetector // nil: keys come as telephone-events
	buf      *jitter.Buffer
	fifo     []int16          // decoded, not heard yet
	part     []int16          // samples that wait for a whole packet; nil: packets are frames
	up, down *audio.Resampler // wire to frames, frames to wire; nil at equal rates

	seal       *sealer // nil: in the clear, as open
	open       *opener
	before     *opener       // of the peer's key before, until beforeEnds; nil: none
	beforeEnds time.Duration // on the shard's clock
}

// partFrames is how many frames may wait for a packet of another length to be whole:
// two of the longest packets and some.
const partFrames = 8

func newSettings(p Params, notify func(telephony.Event)) (*settings, error) {
	spec, ok := codec.Lookup(p.Codec)
	if !ok {
		return nil, fmt.Errorf("rtp: codec %q is not known", p.Codec)
	}
	if p.Rate == 0 {
		p.Rate = spec.Rate
	}
	if spec.Frames && p.PTime == 30*time.Millisecond {
		p.PTime = audio.FrameTime // Opus has no such frame, and ptime is a wish (RFC 8866 section 6.4)
	}
	if p.EventClock <= 0 {
		p.EventClock = spec.ClockRate
	}
	s := &settings{
		Params: p, notify: notify, spec: spec,
		frame: audio.Samples(audio.FrameTime, spec.Rate),
		enc:   spec.New(), dec: spec.New(),
		conceal: codec.NewConcealer(spec.Rate),
		buf:     jitter.New(jitter.Config{Clock: spec.ClockRate, MaxPayload: spec.MaxPayload}),
	}
	s.recover, _ = s.dec.(codec.Recoverer)
	if p.EventPT < 0 {
		s.inband = audio.NewKeyDetector(spec.Rate)
	}
	s.fifo = make([]int16, s.frame+spec.MaxSamples())
	if p.PTime != audio.FrameTime {
		s.part = make([]int16, partFrames*s.frame)
	}
	if p.Rate != spec.Rate {
		s.up, s.down = audio.NewResampler(spec.Rate, p.Rate), audio.NewResampler(p.Rate, spec.Rate)
	}
	return s, s.secure()
}

func newSession(m *Media, rtp, rtcp conn, port int) *Session {
	s := &Session{
		media: m, rtp: rtp, rtcp: rtcp, port: port,
		digitTurn: make(chan struct{}, 1),
		gone:      make(chan struct{}),
	}
	// Nothing of the stream can be guessed (RFC 3550 section 5.1, SEC-2):
	// math/rand/v2 is a ChaCha8 generator seeded by the system.
	s.out.ssrc, s.out.ts = rand.Uint32(), rand.Uint32() //nolint:gosec // see above
	s.out.seq = uint16(rand.Uint32())                   //nolint:gosec // see above
	s.ends.Store(&ends{})
	return s
}

// Local is the address packets are received at.
func (s *Session) Local() netip.AddrPort { return s.rtp.local() }

// Apply sets what was negotiated; a session on a [Wire] needs no addresses. The
// first time it starts the session, later it takes effect as a whole at the
// session's next tick; SSRC, sequence and timestamps go on.
func (s *Session) Apply(p Params) error {
	if s.wired {
		p.Remote, p.RTCPMux = wirePeer, true
	}
	p, err := p.withDefaults()
	if err != nil {
		return err
	}
	s.mu.Lock()
	if s.rate != 0 {
		p.Rate = s.rate
	}
	notify := s.notify
	s.mu.Unlock()
	set, err := newSettings(p, notify)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	s.pending = set
	s.changed.Store(true)
	if s.shard != nil {
		return nil
	}
	s.rate = set.Rate
	s.shard = s.media.place()
	s.shard.add(s)
	return nil
}

// Connect sets where the caller's sound goes and where ours comes from; nil is
// nowhere and silence. The frame being served may still use the old ones.
func (s *Session) Connect(sink audio.Sink, src audio.Source) {
	s.ends.Store(&ends{sink, src})
}

// Notify sets who is told of [telephony.Digit], [telephony.MediaLost] and
// [telephony.MediaFailed]. It is called on the media plane and must not block.
// It must be set before the first Apply.
func (s *Session) Notify(f func(telephony.Event)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notify = f
}

// Close ends the session, sends BYE (RFC 3550 section 6.6) and returns when the
// shard has let go of Sink and Source. The ports go to quarantine.
func (s *Session) Close() {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	shard := s.shard
	s.mu.Unlock()
	s.closing.Store(true)
	if shard != nil {
		shard.drop(s)
	} else if first {
		close(s.gone)
	}
	<-s.gone
	if !first {
		return
	}
	s.bye()
	s.wireMu.Lock()
	s.cut = true
	s.wireMu.Unlock()
	s.media.leave(s)
}

// tell gives an event to the one who is notified.
func (s *Session) tell(ev telephony.Event) {
	if s.set != nil && s.set.notify != nil {
		s.set.notify(ev)
	}
}

// adopt takes what Apply left. It never waits: a caller in Apply means later.
func (s *Session) adopt(sh *shard, now time.Duration) {
	if !s.mu.TryLock() {
		return
	}
	set := s.pending
	s.pending = nil
	s.changed.Store(false)
	s.mu.Unlock()
	if set == nil {
		return
	}
	old := s.set
	if old != nil {
		set.keep(old, now)
	}
	if old != nil && old.spec.Name == set.spec.Name {
		set.enc, set.dec, set.recover, set.conceal, set.buf = old.enc, old.dec, old.recover, old.conceal, old.buf
		set.up, set.down, set.fifo = old.up, old.down, old.fifo
		if set.inband != nil && old.inband != nil {
			set.inband = old.inband
		}
		if set.part == nil {
			set.part = old.part // which may hold samples still
		} else {
			copy(set.part, old.part[:min(s.out.have, len(old.part))])
		}
	} else {
		s.in.clear()
		s.in.frozen.add(old)
		s.out.have = 0
	}
	s.set = set
	s.in.latch.set(&set.Params, now)
	s.in.watchFrom(now)
	s.in.keys.clock, s.in.keys.stamps = set.EventClock, set.spec.ClockRate
	s.in.quality.clock = set.spec.ClockRate
	if !set.Receive {
		set.buf.Reset()
		s.in.clear()
	}
	half := set.PTime == 10*time.Millisecond || set.PTime == 30*time.Millisecond
	if half != s.out.half {
		s.out.half = half
		if half {
			sh.half[s.slot]++
		} else {
			sh.half[s.slot]--
		}
	}
}

// tick serves the incoming half of the session: once in 20 ms, at now.
func (s *Session) tick(sh *shard, now time.Duration) {
	if s.changed.Load() {
		s.adopt(sh, now)
	}
	if s.set == nil {
		return
	}
	if n := sh.skips - s.skips; n != 0 {
		s.skips = sh.skips
		s.skip(int(n))
	}
	s.receive(sh, now)
	s.hear(sh, now)
	s.watch(now)
	if now >= s.reports.next {
		s.report(now)
	}
	if s.ticks%5 == 0 {
		s.publish()
	}
	s.ticks++
}

// answer serves the outgoing half: replySlots after tick, so that what the
// engine makes of a frame at once leaves at once, not a frame later.
func (s *Session) answer(sh *shard, now time.Duration) {
	if s.set != nil && s.ticks > 0 { // else it came between the two
		s.speak(sh, now)
	}
}

// skip moves every clock of the session on by frames that nobody served.
func (s *Session) skip(frames int) {
	d := time.Duration(frames) * audio.FrameTime
	s.heard += d
	s.set.buf.Skip(d)
	s.out.ts += uint32(frames) * s.set.spec.Ticks(s.set.frame) //nolint:gosec // wraps on purpose
}

// end is the shard's last touch.
func (s *Session) end() {
	if s.set != nil {
		s.publishNow()
	}
	close(s.gone)
}
