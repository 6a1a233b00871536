// Package jitter gives the packets of one RTP stream back in order and on
// time: a ring of 64 packets and a delay that follows the network.
//
// The delay is the 95th percentile of how much later than the fastest packet
// of the last seconds packets came, with some headroom and enough for packets
// that were overtaken, within 20 to 200 ms.
// It grows where the ring runs dry or in silence, and shrinks only in silence.
// A packet that comes after its time is counted, not queued; a duplicate is
// counted, once queued it is played once. A new SSRC or a jump of the
// timestamps starts over.
//
// Nothing here reads a clock, starts a goroutine or, after New, allocates, but
// once each for a stream whose packets are longer than 20 ms, and for one of
// which more than 16 packets wait: time arrives as data.
package jitter

import "time"

const (
	slots = 64 // packets; a power of two
	few   = 16 // packets there is room for at first, another

	frame = 20 * time.Millisecond // what the reader takes at once

	// jump is how far a timestamp may be from where the clock says it is.
	jump = time.Second
	// early is how much faster than the fastest packet one may come before its
	// timestamps must have jumped forward.
	early = 100 * time.Millisecond
	// excess above the target delay is dropped even in speech.
	excess = 200 * time.Millisecond
	// dry is how long nothing may come before the timeline starts over with
	// the next packet.
	dry = 200 * time.Millisecond

	// shortPayload is what nearly every packet holds, 20 ms of G.711 or G.722,
	// bytes: room for longer ones is made when the first of them comes.
	shortPayload = 160

	maxMisorder = 100  // RFC 3550 appendix A.1
	maxDropout  = 3000 // RFC 3550 appendix A.1
)

// Kind is what a packet or an [Output] holds.
type Kind uint8

// The kinds. The first three are packets', the last three outputs' alone.
const (
	Audio Kind = iota // sound of the codec
	Noise             // comfort noise (RFC 3389): the sender falls silent
	Other             // no sound: telephone-event, a redundant or unknown payload

	Lost  // sound is missing: conceal it
	Pause // the sender pauses: comfort noise or silence
	Idle  // nothing has come yet, or for long: silence
)

// Config says what the stream is. The zero value is G.711.
type Config struct {
	Clock      int           // Hz of the RTP timestamps; 0: 8000
	Min, Max   time.Duration // of the delay; 0: 20 and 200 ms
	MaxPayload int           // bytes; 0: 500, 60 ms of G.711
}

// Packet is one packet of the stream.
type Packet struct {
	Seq     uint16
	TS      uint32
	SSRC    uint32
	Kind    Kind          // Audio, Noise or Other
	Dur     uint32        // ticks of sound in Payload; 0 unless Audio
	At      time.Duration // arrival, on a monotonic clock
	Payload []byte        // copied
}

// Verdict is what became of a packet.
type Verdict uint8

// The verdicts.
const (
	Queued    Verdict = iota
	Late              // came after its time; dropped
	Duplicate         // came before; dropped
	Oversize          // Payload above MaxPayload; dropped
)

// Output is the next piece of the stream.
type Output struct {
	Kind Kind // Audio, Noise, Lost, Pause or Idle
	// Payload is that of Audio and Noise; of Lost that of the packet right
	// behind, where it is there: it may have a copy of what is lost. It is valid
	// until the next Put.
	Payload []byte
	Dur     uint32        // ticks; 0 for Noise, which lasts by the outputs after it
	At      time.Duration // arrival of the packet; 0 where none came
}

// Stats count since New.
type Stats struct {
	Queued, Late, Duplicates, Oversize uint64
	Skipped                            uint64 // packets dropped to shorten the delay
	Restarts                           uint64 // new SSRC, jumps
	Target                             time.Duration
}

type slot struct {
	at   time.Duration // arrival
	ext  int64         // timestamp, unwrapped
	dur  uint32
	n    uint16 // bytes
	seq  uint16
	kind Kind
	full bool
	used bool // seq means something: full, or given out before
}

// Buffer is one stream's. It belongs to one goroutine.
type Buffer struct {
	cfg   Config
	ring  [slots]slot
	room  int    // packets whose payloads there is place for, by sequence number: few or slots
	bytes []byte // room × shortPayload
	long  []byte // room × MaxPayload, of packets that are longer; nil before the first

	started bool // ssrc and nextSeq are known
	ssrc    uint32
	nextSeq uint16 // the next to be given out
	queued  int    // full slots
	lastExt int64  // the newest timestamp, unwrapped

	playing bool
	next    int64 // timestamp due next, unwrapped
	silent  bool  // the sender said that it pauses
	dryFor  time.Duration

	lateRun   int // Late in order, one after the other
	lateSince time.Duration

	net   spread
	stats Stats
}

// New makes a Buffer.
func New(cfg Config) *Buffer {
	if cfg.Clock <= 0 {
		cfg.Clock = 8000
	}
	if cfg.Min <= 0 {
		cfg.Min = 20 * time.Millisecond
	}
	if cfg.Max < cfg.Min {
		cfg.Max = max(200*time.Millisecond, cfg.Min)
	}
	if cfg.MaxPayload <= 0 {
		cfg.MaxPayload = 500
	}
	b := &Buffer{cfg: cfg, room: few, bytes: make([]byte, few*shortPayload)}
	b.net.reset()
	return b
}

// Reset forgets the stream; the counters stay.
func (b *Buffer) Reset() {
	b.ring = [slots]slot{}
	b.started, b.playing, b.silent = false, false, false
	b.queued, b.lateRun, b.dryFor = 0, 0, 0
	b.net.reset()
}

// Stats are the counters and the present target.
func (b *Buffer) Stats() Stats {
	s := b.stats
	s.Target = b.target()
	return s
}

// target is the delay the network asks for.
func (b *Buffer) target() time.Duration { return min(max(b.net.target(), b.cfg.Min), b.cfg.Max) }

func (b *Buffer) duration(ticks int64) time.Duration {
	return time.Duration(ticks * int64(time.Second) / int64(b.cfg.Clock))
}

// Put takes a packet that has come.
func (b *Buffer) Put(p Packet) Verdict {
	if len(p.Payload) > b.cfg.MaxPayload {
		b.stats.Oversize++
		return Oversize
	}
	if b.started && p.SSRC != b.ssrc {
		b.restart()
	}
	if !b.started {
		b.start(p)
	}
	ahead := int(int16(p.Seq - b.nextSeq)) //nolint:gosec // wraps on purpose
	if ahead < -maxMisorder || ahead > maxDropout {
		b.restart()
		b.start(p)
		ahead = 0
	}
	if sl := &b.ring[p.Seq%slots]; sl.used && sl.seq == p.Seq {
		b.stats.Duplicates++
		return Duplicate
	}
	ext := b.lastExt + int64(int32(p.TS-uint32(b.lastExt))) //nolint:gosec // wraps on purpose
	if p.Kind != Other {
		transit := p.At - b.duration(ext)
		if !b.net.known || !b.playing && b.queued == 0 {
			b.net.begin(p.At, transit) // the first, or the first after a pause
		}
		if d := transit - b.net.fastest(); ahead >= 0 && (d > jump || d < -early) {
			b.restart()
			b.start(p)
			ahead, ext = 0, b.lastExt
			transit = p.At - b.duration(ext)
		}
		if p.Kind == Audio {
			b.net.add(p.At, transit, b.duration(int64(p.Dur)), ext < b.lastExt)
		}
	}
	if ahead < 0 || b.playing && p.Kind == Audio && ext+int64(p.Dur) <= b.next {
		if !b.late(p, ahead) {
			b.stats.Late++
			return Late
		}
		b.restart()
		b.start(p)
		ahead, ext = 0, b.lastExt
	}
	b.lateRun = 0
	b.makeRoom(p.Seq, ahead)
	b.store(p, ext)
	return Queued
}

// late tells whether a late packet is one of a run that keeps its order and
// pace: then not the network is slow, the timestamps have jumped back.
func (b *Buffer) late(p Packet, ahead int) bool {
	if ahead < 0 {
		return false
	}
	if b.lateRun == 0 {
		b.lateSince = p.At
	}
	b.lateRun++
	return b.lateRun >= 3 && p.At-b.lateSince >= 3*frame/2
}

// makeRoom forgets what is older than the ring is long.
func (b *Buffer) makeRoom(seq uint16, ahead int) {
	if ahead < slots {
		return
	}
	if b.queued == 0 || ahead >= 2*slots {
		b.stats.Skipped += uint64(b.queued) //nolint:gosec // not negative
		b.ring, b.queued, b.nextSeq = [slots]slot{}, 0, seq
		return
	}
	for b.nextSeq+slots-1 != seq {
		if sl := &b.ring[b.nextSeq%slots]; sl.full && sl.seq == b.nextSeq {
			sl.full = false
			b.queued--
			b.stats.Skipped++
		}
		b.nextSeq++
	}
}

func (b *Buffer) store(p Packet, ext int64) {
	k := int(p.Seq % slots)
	for other := k % b.room; b.room < slots && other < slots; other += b.room {
		if other != k && b.ring[other].full {
			b.widen()
		}
	}
	b.ring[k] = slot{
		at: p.At, ext: ext, dur: p.Dur, n: uint16(len(p.Payload)), //nolint:gosec // at most MaxPayload
		seq: p.Seq, kind: p.Kind, full: true, used: true,
	}
	if len(p.Payload) > shortPayload && b.long == nil {
		b.long = make([]byte, b.room*b.cfg.MaxPayload)
	}
	copy(b.at(k, len(p.Payload)), p.Payload)
	b.queued++
	b.stats.Queued++
	b.lastExt = max(b.lastExt, ext)
	b.dryFor = 0
}

// at is where the n bytes of slot k are kept.
func (b *Buffer) at(k, n int) []byte {
	if k %= b.room; n <= shortPayload {
		return b.bytes[k*shortPayload:][:n]
	}
	return b.long[k*b.cfg.MaxPayload:][:n]
}

// widen makes a place of its own for each slot.
func (b *Buffer) widen() {
	old := *b
	b.room, b.bytes = slots, make([]byte, slots*shortPayload)
	if b.long != nil {
		b.long = make([]byte, slots*b.cfg.MaxPayload)
	}
	for k := range b.ring {
		if n := int(b.ring[k].n); b.ring[k].full && n > 0 {
			copy(b.at(k, n), old.at(k, n))
		}
	}
}

// start makes p the first packet.
func (b *Buffer) start(p Packet) {
	b.started, b.ssrc, b.nextSeq, b.lastExt = true, p.SSRC, p.Seq, int64(p.TS)
	if p.Kind != Other {
		b.net.begin(p.At, p.At-b.duration(b.lastExt))
	}
}

func (b *Buffer) restart() {
	b.Reset()
	b.stats.Restarts++
}
