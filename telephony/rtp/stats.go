package rtp

import (
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/telephony"
)

// farBuffer is what the peer's jitter buffer is taken to add.
const farBuffer = 40 * time.Millisecond

// publish leaves the figures for Stats, unless somebody is reading them.
func (s *Session) publish() {
	if s.statsMu.TryLock() {
		s.figuresLocked()
		s.statsMu.Unlock()
	}
}

// publishNow is publish for the last time.
func (s *Session) publishNow() {
	s.statsMu.Lock()
	s.figuresLocked()
	s.statsMu.Unlock()
}

func (s *Session) figuresLocked() {
	r, o, f := &s.in, &s.out, &s.figures
	buf := s.set.buf.Stats()
	f.PacketsSent, f.PacketsReceived = o.sent, r.packets
	f.PacketsLost = r.quality.lost()
	f.PacketsLate = buf.Late + buf.Skipped + r.frozen.late + r.frozen.skipped
	f.PacketsDiscarded = r.malformed + r.strangers + r.unknown + r.doubles + r.forged
	f.PacketsForged = r.forged
	f.Concealed = r.concealed
	f.Jitter = r.quality.jitter
	f.BufferDelay = buf.Target
	f.expected, _ = r.quality.total()
	f.clock = r.quality.clock
	if s.ticks%50 == 0 {
		f.SendDelayP99 = percentile99(&o.late)
	}
}

// Stats are the figures of this moment, at most 100 ms old.
func (s *Session) Stats() telephony.Stats {
	s.statsMu.Lock()
	defer s.statsMu.Unlock()
	st, far := s.figures.Stats, &s.far
	st.RTT = far.rtt
	if n := s.figures.expected; n > 0 {
		st.Loss = float64(st.PacketsLost) / float64(n)
		gone := float64(st.PacketsLost+st.PacketsLate) / float64(n)
		st.MOS = telephony.MOS(far.rtt/2+audio.FrameTime+st.BufferDelay, gone)
	}
	if far.reported {
		st.RemoteLost, st.RemoteLoss, st.RemoteJitter = far.lost, far.loss, far.jitter
		st.RemoteMOS = telephony.MOS(far.rtt/2+audio.FrameTime+farBuffer, far.loss)
	}
	return st
}
