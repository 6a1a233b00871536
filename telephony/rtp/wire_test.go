package rtp

import (
	"bytes"
	"math"
	"testing"
	"time"

	pionrtcp "github.com/pion/rtcp"
	pionrtp "github.com/pion/rtp"

	"pgregory.net/rapid"
)

// FuzzPacket holds our reader to pion's.
func FuzzPacket(f *testing.F) {
	for _, p := range []pionrtp.Packet{
		{Header: pionrtp.Header{Version: 2, SequenceNumber: 1, SSRC: 2}, Payload: []byte{1, 2, 3}},
		{Header: pionrtp.Header{Version: 2, Marker: true, CSRC: []uint32{1, 2}}, Payload: []byte{9}},
		{Header: pionrtp.Header{Version: 2, Padding: true}, PaddingSize: 4, Payload: []byte{9}},
		{
			Header:  pionrtp.Header{Version: 2, Extension: true, ExtensionProfile: 0xBEDE},
			Payload: []byte{7},
		},
	} {
		if b, err := p.Marshal(); err == nil {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, payload, ok := parseHeader(b)
		var p pionrtp.Packet
		err := p.Unmarshal(b)
		if ok && err == nil && p.Version == 2 {
			if h.marker != p.Marker || h.pt != p.PayloadType || h.seq != p.SequenceNumber ||
				h.ts != p.Timestamp || h.ssrc != p.SSRC || !bytes.Equal(payload, p.Payload) {
				t.Fatalf("%+v and % x, pion %+v", h, payload, p)
			}
		}
		// pion also reads into the extension, which we step over: it may
		// refuse more, never less.
		if !ok && err == nil && p.Version == 2 {
			t.Fatalf("refused, pion reads %+v", p)
		}
		if !ok {
			return
		}
		out := make([]byte, headerSize)
		h.put(out)
		if back, _, ok := parseHeader(out); !ok || back != h {
			t.Fatalf("%+v became %+v", h, back)
		}
	})
}

func FuzzReport(f *testing.F) {
	b, err := pionrtcp.Marshal([]pionrtcp.Packet{
		&pionrtcp.SenderReport{SSRC: 1, Reports: []pionrtcp.ReceptionReport{{SSRC: 2, LastSenderReport: 3, Delay: 4}}},
		pionrtcp.NewCNAMESourceDescription(1, "a"), &pionrtcp.Goodbye{Sources: []uint32{1}},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{0x81, 201, 0, 7})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := New(Config{Shards: 1})
		if err != nil {
			t.Fatal(err)
		}
		s := newSession(m, &wire{}, &wire{}, 20000)
		s.readReport(b, time.Now())
		if st := s.Stats(); math.IsNaN(st.RemoteLoss) || st.RemoteLoss < 0 || st.RemoteLoss > 1 || st.RTT < 0 {
			t.Fatalf("%+v", st)
		}
	})
}

// What one session reports, the other reads: loss, jitter, round trip.
func TestReports(t *testing.T) {
	t.Parallel()
	a, b := newRig(t, negotiated()), newRig(t, negotiated())
	v := &voice{src: peer, ssrc: a.out.ssrc}
	for n := range 100 {
		a.step()
		v.send(b)
		if n%4 == 3 {
			b.rtp.in = nil
		}
		b.step()
	}
	start := time.Now()
	a.publishNow()
	ra := a.makeReport(a.now)
	ra.at = start
	compound := func(r *rig, rep report) []byte {
		t.Helper()
		raw, err := pionrtcp.Marshal(r.media.compound(rep, true))
		if err != nil {
			t.Fatal(err)
		}
		if !isRTCP(raw) {
			t.Fatalf("not RTCP: % x", raw)
		}
		return raw
	}
	b.readReport(compound(a, ra), start.Add(30*time.Millisecond))
	// The answer is held for a while; then 40 ms back.
	rb := b.makeReport(b.now)
	raw := compound(b, rb)
	sr, err := pionrtcp.Unmarshal(raw)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := sr[0].(*pionrtcp.SenderReport); !ok || len(sr) != 3 {
		t.Fatalf("compound %v: want sender report, CNAME, BYE", sr)
	}
	block := sr[0].(*pionrtcp.SenderReport).Reports[0]
	if block.TotalLost != 24 || block.SSRC != a.out.ssrc { // the 25th is the last, nobody knows of it yet
		t.Errorf("block %+v", block)
	}
	held := time.Duration(block.Delay) * time.Second / 65536
	a.readReport(raw, start.Add(30*time.Millisecond+held+40*time.Millisecond))
	st := a.Stats()
	if st.RemoteLost != 24 || st.RemoteLoss < 0.22 || st.RemoteLoss > 0.26 {
		t.Errorf("remote lost %d, %.3f", st.RemoteLost, st.RemoteLoss)
	}
	if d := st.RTT - 70*time.Millisecond; d < -time.Millisecond || d > time.Millisecond {
		t.Errorf("round trip %v, want 70 ms", st.RTT)
	}
	a.bye()
	last, err := pionrtcp.Unmarshal(a.rtcp.out[len(a.rtcp.out)-1].b)
	if err != nil {
		t.Fatal(err)
	}
	if bye, ok := last[len(last)-1].(*pionrtcp.Goodbye); !ok || bye.Sources[0] != a.out.ssrc {
		t.Errorf("the last packet is %v, want BYE", last)
	}
	if st.RemoteMOS < 1 || st.RemoteMOS > 2.5 {
		t.Errorf("remote MOS %.2f at 24 %% loss", st.RemoteMOS)
	}
}

// Reports go out every 5 s, moved by up to a half, to the port above; and only
// to the peer.
func TestReportSchedule(t *testing.T) {
	t.Parallel()
	r := newRig(t, negotiated())
	r.steps(int(100 * time.Second / (20 * time.Millisecond)))
	if n := len(r.media.due); n < 14 || n > 40 {
		t.Errorf("%d reports in 100 s", n)
	}
	for range len(r.media.due) {
		rep := <-r.media.due
		if rep.to.Addr() != peer.Addr() || rep.to.Port() != peer.Port()+1 || rep.by != r.rtcp {
			t.Fatalf("report goes to %v", rep.to)
		}
	}
}

// RFC 3550 appendix A.8; a steady stream has none.
func TestJitter(t *testing.T) {
	t.Parallel()
	var q reception
	for n := range uint16(500) {
		q.packet(1, n, time.Duration(n%2)*10*time.Millisecond, true)
	}
	if q.jitter < 9*time.Millisecond || q.jitter > 10*time.Millisecond {
		t.Errorf("jitter %v, want nearly 10 ms", q.jitter)
	}
}

// Whatever is lost, doubled and reordered, loss is what is missing.
func TestReceptionCountsLoss(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var q reception
		start := rapid.Uint16().Draw(t, "start")
		n := rapid.IntRange(2, 2000).Draw(t, "packets")
		lost := uint64(0)
		for i := range n {
			switch {
			case i > 0 && i < n-1 && rapid.IntRange(0, 9).Draw(t, "fate") == 0:
				lost++
			default:
				q.packet(7, start+uint16(i), 0, true)
			}
		}
		if got := q.lost(); got != lost {
			t.Fatalf("%d lost, want %d", got, lost)
		}
		if e, _ := q.total(); e != uint64(n) {
			t.Fatalf("%d expected, want %d", e, n)
		}
	})
}

func TestLateness(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var l lateness
		most := time.Duration(0)
		for range 100 {
			d := time.Duration(rapid.Int64Range(0, int64(3*time.Second)).Draw(t, "late"))
			l.add(d)
			most = max(most, d)
		}
		got := percentile99(&l)
		if got > most+most/4+lateUnit {
			t.Fatalf("p99 %v, most %v", got, most)
		}
	})
	var l lateness
	for range 990 {
		l.add(time.Millisecond)
	}
	for range 10 {
		l.add(time.Second)
	}
	if got := percentile99(&l); got < time.Millisecond || got > 1300*time.Microsecond {
		t.Errorf("p99 %v, want about 1 ms", got)
	}
}
