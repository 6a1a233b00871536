package wsmedia

import (
	"sync"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/codec"
	"github.com/patchcord/patchcord/audio/jitter"
	"github.com/patchcord/patchcord/telephony"
)

const (
	// maxChunk is the longest chunk of sound that is taken: 125 ms of L16 at
	// 16 kHz, 500 ms of G.711.
	maxChunk = 4000 // bytes
	// snap is how far the time of a chunk, which is told in whole milliseconds,
	// may be from the end of the one before and still follow it.
	snap = 10 * time.Millisecond
)

// receiver orders what a carrier sends and gives it out by the frame.
type receiver struct {
	spec codec.Spec
	rate int // Hz of the frames

	mu      sync.Mutex // guards what follows
	buf     *jitter.Buffer
	dec     codec.Codec
	conceal *codec.Concealer
	up      *audio.Resampler // nil where spec's rate is that of the frames
	fifo    []int16          // decoded and not given out yet, at spec's rate
	have    int              // samples in it
	frame   []int16          // 20 ms at spec's rate
	wide    []int16          // 20 ms at rate

	known     bool
	seq       uint64        // of the newest chunk
	end       time.Duration // where it ends, since the stream began
	received  uint64
	lost      uint64
	bad       uint64
	concealed uint64
	arrived   time.Duration // of the newest chunk, on the leg's clock
	transit   time.Duration
	spread    time.Duration // RFC 3550 appendix A.8
}

func newReceiver(spec codec.Spec, rate int) *receiver {
	n := audio.Samples(audio.FrameTime, spec.Rate)
	r := &receiver{
		spec: spec, rate: rate, dec: coder(spec), conceal: codec.NewConcealer(spec.Rate),
		buf:   jitter.New(jitter.Config{Clock: spec.ClockRate, MaxPayload: maxChunk}),
		frame: make([]int16, n), fifo: make([]int16, n+samplesOf(spec, maxChunk)),
		wide: make([]int16, audio.Samples(audio.FrameTime, rate)),
	}
	if rate != spec.Rate {
		r.up = audio.NewResampler(spec.Rate, rate)
	}
	return r
}

// chunk takes a chunk that arrived at now.
func (r *receiver) chunk(m *message, now time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	samples := samplesOf(r.spec, len(m.payload))
	dur := audio.Duration(samples, r.spec.Rate)
	seq, at := m.seq, m.at
	if seq == 0 { // not told: they come in order
		seq = r.seq + 1
	}
	follows := r.known && seq == r.seq+1
	if off := at - r.end; follows && off < snap && off > -snap {
		at = r.end
	}
	r.received++
	r.arrived = now
	switch {
	case samples == 0:
		r.bad++
		return
	case !r.known || seq > r.seq:
		if r.known {
			r.lost += seq - r.seq - 1
			d := (now - at) - r.transit
			r.spread += (d.Abs() - r.spread) / 16
		}
		r.known, r.seq, r.end, r.transit = true, seq, at+dur, now-at
	case r.lost > 0:
		r.lost-- // one that was overtaken
	}
	p := jitter.Packet{
		Seq: uint16(seq), TS: uint32(int64(audio.Samples(at, r.spec.ClockRate))), Kind: jitter.Audio,
		Dur: r.spec.Ticks(samples), At: now, Payload: m.payload,
	}
	switch r.buf.Put(p) {
	case jitter.Oversize, jitter.Duplicate:
		r.bad++
	case jitter.Queued, jitter.Late:
	}
}

// malformed counts a message that could not be read.
func (r *receiver) malformed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bad++
}

// next is the frame that is heard at now, valid until the next one, and whether
// any of it is made up.
func (r *receiver) next(now time.Duration) (pcm []int16, lost bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	concealed := false
	for r.have < len(r.frame) {
		missing := len(r.frame) - r.have
		o := r.buf.Next(now, r.spec.Ticks(missing), false)
		dst := r.fifo[r.have:]
		if o.Kind == jitter.Audio {
			n := r.dec.Decode(dst, o.Payload)
			r.conceal.Good(dst[:n])
			r.have += n
			continue
		}
		dst = dst[:min(missing, int(o.Dur)*r.spec.Rate/r.spec.ClockRate)]
		if o.Kind == jitter.Lost {
			r.conceal.Conceal(dst)
			concealed, lost = true, true
		} else {
			clear(dst)
			lost = lost || o.Kind == jitter.Idle
		}
		r.have += len(dst)
	}
	if concealed {
		r.concealed++
	}
	copy(r.frame, r.fifo[:len(r.frame)])
	r.have = copy(r.fifo, r.fifo[len(r.frame):r.have])
	if r.up == nil {
		return r.frame, lost
	}
	n := len(r.up.Append(r.wide[:0:len(r.wide)], r.frame))
	clear(r.wide[min(n, len(r.wide)):])
	return r.wide, lost
}

// silent is how long no chunk has come.
func (r *receiver) silent(now time.Duration) (d time.Duration, heard bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return now - r.arrived, r.known
}

func (r *receiver) stats() telephony.Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.buf.Stats()
	return telephony.Stats{
		PacketsReceived: r.received, PacketsLost: r.lost, PacketsLate: b.Late + b.Skipped, PacketsDiscarded: r.bad,
		Concealed: r.concealed, Jitter: r.spread, BufferDelay: b.Target,
	}
}
