package rtp

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/pion/rtcp"
	"go.uber.org/zap"

	"github.com/patchcord/patchcord/telephony"
)

const (
	// reportEvery is the mean distance of reports (RFC 3550 section 6.2); each
	// is moved by up to half of it, so that reports do not come in step.
	reportEvery = 5 * time.Second
	reportSize  = 1024 // bytes; a longer compound is dropped
	// longestRTT is what a round trip may take before it is taken for nonsense.
	longestRTT = 10 * time.Second
)

// schedule is when the shard hands out the next report.
type schedule struct {
	next time.Duration
	sent uint64 // packets at the last report
}

// report is what the shard knows when a report is due; it is made into packets
// by the Media's own goroutine.
type report struct {
	s    *Session
	to   netip.AddrPort
	by   conn
	seal *sealer // nil: in the clear

	ssrc            uint32
	sending         bool // packets were sent since the last report
	at              time.Time
	ts              uint32 // timestamp that belongs to at
	packets, octets uint32

	hearing  bool // the fields below mean a source
	of       uint32
	fraction uint8
	lost     uint32
	highest  uint32
	jitter   uint32 // ticks
}

// arrivedReport is a compound packet from the peer.
type arrivedReport struct {
	s  *Session
	at time.Time
	n  int
	b  [reportSize]byte
}

// figures are the shard's part of Stats.
type figures struct {
	telephony.Stats
	expected uint64
	clock    int // Hz of the peer's timestamps; 0 before the first packet
}

// farSide is what the peer reports.
type farSide struct {
	reported bool
	lost     int64
	loss     float64
	jitter   time.Duration
	rtt      time.Duration

	lsr   uint32 // middle of the NTP time of its last sender report
	lsrAt time.Time
	ours  [2]struct { // our last sender reports
		middle uint32
		at     time.Time
	}
}

// report hands out a report and plans the next.
func (s *Session) report(now time.Duration) {
	first := s.reports.next == 0
	s.reports.next = now + reportEvery/2 + time.Duration(rand.Int64N(int64(reportEvery))) //nolint:gosec // a timer
	if first {
		return
	}
	r := s.makeReport(now)
	if !sendable(r.to) {
		return
	}
	select {
	case s.media.due <- r:
		s.reports.sent = s.out.sent
	default:
		s.reports.next = now + reportEvery/10 // the goroutine is behind
	}
}

func (s *Session) makeReport(now time.Duration) report {
	o, q := &s.out, &s.in.quality
	r := report{
		s: s, seal: s.set.seal, ssrc: o.ssrc, at: time.Now(), ts: o.ts,
		sending: o.sent != s.reports.sent, packets: o.packets, octets: o.octets,
		hearing: q.known, of: q.ssrc, highest: q.highest,
	}
	r.to, r.by = s.reportAddress(now)
	if q.known {
		r.fraction = q.interval()
		r.lost = uint32(min(q.lost(), 0x7fffff))                              //nolint:gosec // 24 bits
		r.jitter = uint32(q.jitter.Seconds() * float64(s.set.spec.ClockRate)) //nolint:gosec // below a second
	}
	return r
}

// reportAddress is where reports go, and from which port.
func (s *Session) reportAddress(now time.Duration) (netip.AddrPort, conn) {
	to := s.in.latch.destination(now)
	switch {
	case s.set.RTCPMux:
		return to, s.rtp
	case to == s.set.Remote:
		return s.set.RemoteRTCP, s.rtcp
	case s.in.rtcpFrom.IsValid() && s.in.rtcpFrom.Addr() == to.Addr():
		return s.in.rtcpFrom, s.rtcp
	}
	return netip.AddrPortFrom(to.Addr(), to.Port()+1), s.rtcp // wraps to 0: not sendable
}

// rtcpPacket passes a report of the peer on. Others' are dropped.
func (s *Session) rtcpPacket(b []byte, from netip.AddrPort, at, now time.Duration) {
	r := &s.in
	ip := from.Addr()
	if s.set.open != nil {
		var ok bool
		if b, ok = s.unsealReport(b, now); !ok {
			return
		}
	} else if ip != r.latch.announced.Addr() && ip != s.set.RemoteRTCP.Addr() &&
		(!r.latch.locked || ip != r.latch.addr.Addr()) {
		r.strangers++
		return
	}
	if len(b) > reportSize || !isRTCP(b) {
		r.malformed++
		return
	}
	r.rtcpFrom = from
	a := arrivedReport{s: s, at: s.shard.clock.start.Add(at)}
	a.n = copy(a.b[:], b)
	select {
	case s.media.arrived <- a:
	default: // the next one will do
	}
}

// sendReport sends a compound of sender or receiver report and CNAME, and BYE
// at the end.
func (m *Media) sendReport(r report, bye bool) {
	b, err := rtcp.Marshal(m.compound(r, bye))
	if err != nil {
		m.log.Error("rtp: encode report", zap.Error(err))
		return
	}
	r.s.wireMu.Lock()
	defer r.s.wireMu.Unlock()
	if r.seal != nil {
		if b, err = r.seal.rtcp.EncryptRTCP(nil, b, nil); err != nil {
			m.log.Error("rtp: encrypt report", zap.Error(err))
			return
		}
	}
	if !r.s.cut {
		r.by.write(b, r.to)
	}
}

func (m *Media) compound(r report, bye bool) []rtcp.Packet {
	s := r.s
	s.statsMu.Lock()
	defer s.statsMu.Unlock()
	var blocks []rtcp.ReceptionReport
	if r.hearing {
		block := rtcp.ReceptionReport{
			SSRC: r.of, FractionLost: r.fraction, TotalLost: r.lost,
			LastSequenceNumber: r.highest, Jitter: r.jitter,
		}
		if !s.far.lsrAt.IsZero() {
			block.LastSenderReport = s.far.lsr
			block.Delay = uint32(min(time.Since(s.far.lsrAt), 18*time.Hour).Seconds() * 65536)
		}
		blocks = append(blocks, block)
	}
	var packets []rtcp.Packet
	if r.sending {
		ntp := ntpTime(r.at)
		s.far.ours[1] = s.far.ours[0]
		s.far.ours[0].middle, s.far.ours[0].at = uint32(ntp>>16), r.at //nolint:gosec // the middle 32 bits
		packets = append(packets, &rtcp.SenderReport{
			SSRC: r.ssrc, NTPTime: ntp, RTPTime: r.ts,
			PacketCount: r.packets, OctetCount: r.octets, Reports: blocks,
		})
	} else {
		packets = append(packets, &rtcp.ReceiverReport{SSRC: r.ssrc, Reports: blocks})
	}
	packets = append(packets, rtcp.NewCNAMESourceDescription(r.ssrc, m.cfg.CNAME))
	if bye {
		packets = append(packets, &rtcp.Goodbye{Sources: []uint32{r.ssrc}})
	}
	return packets
}

// bye ends the stream for the peer. The shard has let go.
func (s *Session) bye() {
	if s.set == nil || s.out.sent == 0 && !s.in.got {
		return
	}
	r := s.makeReport(s.in.since)
	if sendable(r.to) {
		s.media.sendReport(r, true)
	}
}

// readReport takes a compound packet of the peer. What cannot be parsed is
// dropped and counted.
func (s *Session) readReport(b []byte, at time.Time) {
	packets, err := rtcp.Unmarshal(b)
	s.statsMu.Lock()
	defer s.statsMu.Unlock()
	if err != nil {
		s.media.badReports.Add(1)
		return
	}
	for _, p := range packets {
		switch p := p.(type) {
		case *rtcp.SenderReport:
			s.far.lsr, s.far.lsrAt = uint32(p.NTPTime>>16), at //nolint:gosec // the middle 32 bits
			s.readBlocksLocked(p.Reports, at)
		case *rtcp.ReceiverReport:
			s.readBlocksLocked(p.Reports, at)
		}
	}
}

func (s *Session) readBlocksLocked(blocks []rtcp.ReceptionReport, at time.Time) {
	for _, b := range blocks {
		if b.SSRC != s.out.ssrc {
			continue
		}
		f := &s.far
		f.reported = true
		f.lost = int64(int32(b.TotalLost<<8)) >> 8 //nolint:gosec // 24 bits, signed
		f.loss = 0
		if sent := s.figures.PacketsSent; sent > 0 {
			f.loss = min(max(float64(f.lost)/float64(sent), 0), 1)
		}
		f.jitter = time.Duration(b.Jitter) * time.Second / time.Duration(max(s.figures.clock, 8000))
		for _, ours := range f.ours {
			if b.LastSenderReport == 0 || ours.middle != b.LastSenderReport {
				continue
			}
			held := time.Duration(b.Delay) * time.Second / 65536
			if rtt := at.Sub(ours.at) - held; rtt < longestRTT {
				f.rtt = max(rtt, time.Microsecond) // 0 is unknown
			}
			break
		}
	}
}

// ntpTime is t in the format of RFC 3550 section 4: seconds since 1900 and
// their fraction.
func ntpTime(t time.Time) uint64 {
	const since1900 = 2208988800
	ns := uint64(t.Nanosecond())
	return uint64(t.Unix()+since1900)<<32 | ns<<32/uint64(time.Second) //nolint:gosec // after 1900
}
