package rtp

import (
	"errors"
	"time"

	"github.com/patchcord/patchcord/audio"
)

// errNotSending means that digits were asked for while the direction forbids
// to send.
var errNotSending = errors.New("rtp: send digits: the session is on hold")

// halfTick is the unit in which packets are paced: 10, 20, 30, 40 and 60 ms
// are whole numbers of it.
const halfTick = 10 * time.Millisecond

// sender is the outgoing half of a session. It belongs to the shard.
type sender struct {
	ssrc uint32
	seq  uint16
	ts   uint32 // of the next frame; runs on whether sent or not

	have    int    // samples in settings.part
	half    bool   // packets also leave between ticks
	units   uint64 // half ticks since the session began
	next    uint64 // when the next packet may leave, in units
	marker  bool   // the next packet begins a talk-spurt
	talking bool

	packets, octets uint32 // as in a sender report
	sent, failed    uint64
	late            lateness
}

// speak pulls the Source's frame and sends what is due.
func (s *Session) speak(sh *shard, now time.Duration) {
	set, o := s.set, &s.out
	o.units = 2*s.ticks - 2 // ticks counts the present one already
	ts := o.ts
	o.ts += set.spec.Ticks(set.frame)
	to := s.in.latch.destination(now)
	job := s.digits.Load()
	if !set.Send || !sendable(to) {
		o.have, o.talking = 0, false
		if job != nil {
			s.digitsDone(job, errNotSending)
		}
		return
	}
	if job != nil && job.pcm == nil {
		o.have, o.talking = 0, false
		s.press(sh, job, ts, now)
		return
	}
	frame := sh.frame[:audio.Samples(audio.FrameTime, set.Rate)]
	src := s.ends.Load().src
	var talking bool
	if job != nil {
		talking = true
		if !job.play(frame) {
			s.digitsDone(job, nil)
		}
	} else if talking = src != nil && src.Next(frame); !talking {
		clear(frame)
	}
	if talking && !o.talking {
		o.marker = true
	}
	o.talking = talking
	if set.down != nil {
		frame = resample(set.down, sh.wire[:set.frame], frame)
	}
	if o.have == 0 && set.PTime == audio.FrameTime {
		s.sendAudio(sh, frame, ts, now)
		return
	}
	o.have += copy(set.part[o.have:], frame)
	s.flush(sh, now)
}

// betweenTicks sends what is due in the middle of two answers.
func (s *Session) betweenTicks(sh *shard, now time.Duration) {
	if s.set == nil || s.ticks == 0 {
		return
	}
	s.out.units = 2*s.ticks - 1
	s.flush(sh, now)
}

// flush sends the whole packets whose time has come.
func (s *Session) flush(sh *shard, now time.Duration) {
	set, o := s.set, &s.out
	samples := audio.Samples(set.PTime, set.spec.Rate)
	pace := uint64(set.PTime / halfTick) //nolint:gosec // 1 to 6
	for o.have >= samples && o.units >= o.next {
		// o.ts is the end of what waits.
		s.sendAudio(sh, set.part[:samples], o.ts-set.spec.Ticks(o.have), now)
		o.have = copy(set.part, set.part[samples:o.have])
		o.next = max(o.next, o.units-min(o.units, pace-1)) + pace
	}
}

// sendAudio encodes samples that begin at ts and sends them.
func (s *Session) sendAudio(sh *shard, pcm []int16, ts uint32, now time.Duration) {
	o := &s.out
	n := s.set.enc.Encode(sh.packet[headerSize:], pcm)
	s.send(sh, header{marker: o.marker, pt: s.set.PT, ts: ts}, n, now)
	o.marker = false
}

// send sends the n bytes after the header's place in sh.packet.
func (s *Session) send(sh *shard, h header, n int, now time.Duration) {
	o := &s.out
	h.seq, h.ssrc = o.seq, o.ssrc
	h.put(sh.packet[:])
	o.seq++
	packet, ok := sh.packet[:headerSize+n], true
	if s.set.seal != nil {
		packet, ok = s.set.seal.packet(packet)
	}
	o.late.add(sh.clock.now() - now)
	if !ok || !s.rtp.write(packet, s.in.latch.destination(now)) {
		o.failed++
		return
	}
	o.sent++
	o.packets++
	o.octets += uint32(n) //nolint:gosec // wraps as RFC 3550 has it
}

// press sends what a key press has to send in the frame that begins at ts.
func (s *Session) press(sh *shard, job *digitJob, ts uint32, now time.Duration) {
	if s.set.EventPT < 0 {
		s.digitsDone(job, ErrNoTelephoneEvent)
		return
	}
	ticks := audio.Samples(audio.FrameTime, s.set.EventClock)
	e, start, marker, count, over := job.next(ts, ticks)
	if over {
		s.digitsDone(job, nil)
	}
	pt := uint8(s.set.EventPT) //nolint:gosec // at most 127
	for i := range count {
		e.put(sh.packet[headerSize:])
		s.send(sh, header{marker: marker && i == 0, pt: pt, ts: start}, 4, now)
	}
}

func (s *Session) digitsDone(job *digitJob, err error) {
	s.digits.Store(nil)
	job.done <- err
}

// refuseDigits ends what SendDigits waits for.
func (s *Session) refuseDigits() {
	if job := s.digits.Load(); job != nil {
		s.digitsDone(job, ErrClosed)
	}
}
