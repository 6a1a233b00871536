package rtp

import (
	"net/netip"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/audio/codec"
	"github.com/patchcord/patchcord/audio/jitter"
	"github.com/patchcord/patchcord/telephony"
)

const (
	// floodLimit is how many packets of one session are read in one tick: a
	// flood to one call costs the others little.
	floodLimit = 64

	// The RTCP port is looked at every 25 ticks, 500 ms.
	rtcpEvery = 25

	keptSize = 540 // bytes: a header and 60 ms of G.711, and some
)

// receiver is the incoming half of a session. It belongs to the shard.
type receiver struct {
	latch   latch
	kept    [classes]kept
	quality reception
	keys    keyReader
	noise   codec.Noise
	comfort bool // the peer sends comfort noise in its pauses

	have  int           // samples in settings.fifo
	quiet bool          // the last frame was silence
	floor float32       // mean level of the silence
	came  time.Duration // arrival of the packet decoded last

	got     bool          // a packet has come
	since   time.Duration // of the last packet, or of what was applied
	missing bool          // MediaLost was told

	rtcpFrom netip.AddrPort

	packets, malformed, strangers, unknown, doubles, forged uint64
	concealed                                               uint64
	frozen                                                  frozen
}

// kept are the packets of a source that may be latched soon.
type kept struct {
	n      int
	packet [latchPackets - 1]struct {
		size int
		at   time.Duration
		buf  [keptSize]byte
	}
}

// frozen are the counters of jitter buffers given up.
type frozen struct{ late, skipped uint64 }

func (f *frozen) add(s *settings) {
	if s != nil {
		st := s.buf.Stats()
		f.late += st.Late
		f.skipped += st.Skipped
	}
}

// clear forgets sound that was not heard yet.
func (r *receiver) clear() { r.have, r.comfort = 0, false }

// watchFrom starts the wait for media anew.
func (r *receiver) watchFrom(now time.Duration) { r.since, r.missing = now, false }

// receive reads what has come.
func (s *Session) receive(sh *shard, now time.Duration) {
	in := sh.in
	for total := 0; total < floodLimit; {
		n := s.rtp.read(in)
		for i := range n {
			s.packet(in.data(i), in.from[i], in.at[i], now)
		}
		total += n
		if n < batchSize {
			break
		}
	}
	if s.ticks%rtcpEvery == 0 && !s.set.RTCPMux {
		for i := range s.rtcp.read(in) {
			s.rtcpPacket(in.data(i), in.from[i], in.at[i], now)
		}
	}
}

// packet sorts out one datagram.
func (s *Session) packet(b []byte, from netip.AddrPort, at, now time.Duration) {
	r := &s.in
	if isRTCP(b) {
		s.rtcpPacket(b, from, at, now)
		return
	}
	secured := s.set.open != nil
	if secured {
		if !r.latch.worth(from, now) {
			r.strangers++
			return
		}
		var ok bool
		if b, ok = s.unseal(b, now); !ok {
			return
		}
	}
	h, payload, ok := parseHeader(b)
	if !ok {
		r.malformed++
		return
	}
	kind, ok := s.kind(h.pt)
	if !ok || h.ssrc == s.out.ssrc { // our own comes back: a loop
		r.unknown++
		return
	}
	if secured {
		r.latch.proven(from, h.ssrc, now)
		s.take(h, payload, kind, at, now)
		return
	}
	v, class := r.latch.packet(from, h.ssrc, h.seq, now)
	switch v {
	case stranger:
		r.strangers++
	case wait:
		k := &r.kept[class]
		if r.latch.candidates[class].n == 1 {
			k.n = 0
		}
		if k.n < len(k.packet) && len(b) <= keptSize {
			p := &k.packet[k.n]
			p.size, p.at = copy(p.buf[:], b), at
			k.n++
		}
	case latched:
		k := &r.kept[class]
		for i := range k.n {
			p := &k.packet[i]
			if h, payload, ok := parseHeader(p.buf[:p.size]); ok {
				if kind, ok := s.kind(h.pt); ok {
					s.take(h, payload, kind, p.at, now)
				}
			}
		}
		k.n = 0
		s.take(h, payload, kind, at, now)
	case accept:
		s.take(h, payload, kind, at, now)
	}
}

// kind is what a payload type was negotiated for.
func (s *Session) kind(pt uint8) (jitter.Kind, bool) {
	switch int(pt) {
	case int(s.set.PT):
		return jitter.Audio, true
	case s.set.EventPT:
		return jitter.Other, true
	case s.set.CNPT:
		return jitter.Noise, true
	}
	return 0, false
}

// take takes a packet of the locked source.
func (s *Session) take(h header, payload []byte, kind jitter.Kind, at, now time.Duration) {
	r := &s.in
	r.packets++
	r.got = true
	r.watchFrom(now)
	if !s.set.Receive {
		return
	}
	if h.ssrc != r.quality.ssrc {
		if d, ok := r.keys.restart(); ok {
			s.tell(d)
		}
	}
	p := jitter.Packet{Seq: h.seq, TS: h.ts, SSRC: h.ssrc, Kind: kind, At: at}
	switch kind {
	case jitter.Audio:
		p.Payload = payload
		p.Dur = s.set.spec.Ticks(s.set.spec.Samples(payload))
	case jitter.Noise:
		p.Payload = payload
	default:
		s.key(h, payload, now)
	}
	stamp := time.Duration(h.ts) * time.Second / time.Duration(s.set.spec.ClockRate)
	r.quality.packet(h.ssrc, h.seq, at-stamp, kind == jitter.Audio)
	switch s.set.buf.Put(p) {
	case jitter.Duplicate:
		r.quality.again()
		r.doubles++
	case jitter.Oversize:
		r.malformed++
	}
}

// key takes a telephone-event.
func (s *Session) key(h header, payload []byte, now time.Duration) {
	e, ok := parseKeyEvent(payload)
	if !ok {
		s.in.malformed++
		return
	}
	done, n := s.in.keys.packet(h.seq, h.ts, h.marker, e, now)
	for _, d := range done[:n] {
		s.tell(d)
	}
}

// hear gives the Sink its frame.
func (s *Session) hear(sh *shard, now time.Duration) {
	set, r := s.set, &s.in
	frame := sh.wire[:set.frame]
	lost := !set.Receive
	if lost {
		clear(frame)
	} else {
		lost = s.fill(frame, now)
		if r.quiet && set.buf.Excess(now) {
			lost = s.fill(frame, now) // one frame of silence less
		}
	}
	if set.inband != nil && set.Receive {
		if key, long, ok := set.inband.Push(frame); ok {
			s.tell(telephony.Digit{Key: key, Duration: long, Source: "inband"})
		}
	}
	pcm := frame
	if set.up != nil {
		pcm = resample(set.up, sh.frame[:audio.Samples(audio.FrameTime, set.Rate)], frame)
	}
	at := s.heard
	s.heard += audio.FrameTime
	if sink := s.ends.Load().sink; sink != nil {
		f := audio.Frame{PCM: pcm, Rate: set.Rate, At: at, Lost: lost}
		if !lost && r.came > 0 {
			f.Age = now - r.came
		}
		sink.Hear(f)
	}
}

// resample fills dst with src at dst's rate.
func resample(r *audio.Resampler, dst, src []int16) []int16 {
	n := len(r.Append(dst[:0:len(dst)], src))
	clear(dst[min(n, len(dst)):])
	return dst
}

// fill fills frame with the next 20 ms of what was sent to us and tells
// whether any of it is made up.
func (s *Session) fill(frame []int16, now time.Duration) (lost bool) {
	set, r := s.set, &s.in
	concealed := false
	for r.have < len(frame) {
		missing := len(frame) - r.have
		o := set.buf.Next(now, set.spec.Ticks(missing), r.quiet)
		dst := set.fifo[r.have:]
		if o.Kind < jitter.Lost {
			r.have += s.sound(o, dst)
			continue
		}
		dst = dst[:min(missing, set.samples(o.Dur))]
		switch {
		case o.Kind == jitter.Lost:
			set.lose(dst, o.Payload)
			concealed, lost = true, true
		case o.Kind == jitter.Pause && r.comfort:
			r.noise.Fill(dst)
		default:
			clear(dst)
			lost = lost || o.Kind == jitter.Idle
		}
		r.have += len(dst)
	}
	if concealed {
		r.concealed++
	}
	copy(frame, set.fifo[:len(frame)])
	r.have = copy(set.fifo, set.fifo[len(frame):r.have])
	r.quiet = r.silence(frame)
	return lost
}

// sound decodes a packet to dst and tells how many samples that were.
func (s *Session) sound(o jitter.Output, dst []int16) int {
	r := &s.in
	r.comfort = o.Kind == jitter.Noise
	if r.comfort {
		r.noise.Set(o.Payload)
		return 0
	}
	r.came = o.At
	n := s.set.dec.Decode(dst, o.Payload)
	s.set.conceal.Good(dst[:n])
	if all := s.set.samples(o.Dur); n < all && all <= len(dst) { // it cannot be read
		s.set.lose(dst[n:all], nil)
		n = all
	}
	return n
}

// samples is how many samples ticks last on the wire.
func (s *settings) samples(ticks uint32) int { return int(ticks) * s.spec.Rate / s.spec.ClockRate }

// lose fills dst with what may have been in what is lost; next is the payload
// behind it, nil where that is not there.
func (s *settings) lose(dst []int16, next []byte) {
	if s.recover != nil && s.recover.Recover(dst, next) {
		s.conceal.Good(dst)
		return
	}
	s.conceal.Conceal(dst)
}

// silence tells whether a frame is no louder than the background.
func (r *receiver) silence(frame []int16) bool {
	sum := int32(0)
	for _, v := range frame {
		sum += max(int32(v), -int32(v))
	}
	level := float32(sum) / float32(len(frame))
	if level < r.floor {
		r.floor = level
	} else {
		r.floor += (level - r.floor) / 512 // up within some 10 s
	}
	return level <= max(100, 2*min(r.floor, 400))
}

// watch looks for a key whose end was lost and for media that stays away.
func (s *Session) watch(now time.Duration) {
	r := &s.in
	if d, ok := r.keys.over(now); ok {
		s.tell(d)
	}
	limit := s.set.MediaTimeout
	if !r.got {
		limit = s.set.MediaTimeoutStart
	}
	if silent := now - r.since; limit > 0 && s.set.Receive && !r.missing && silent >= limit {
		r.missing = true
		s.tell(telephony.MediaLost{Silent: silent})
	}
}
