package rtp

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/telephony"
)

// now and then talks by turns.
type byTurns struct {
	talk
	on func(n int) bool
	at int
}

func (b *byTurns) Next(dst []int16) bool {
	b.at++
	return b.on(b.at-1) && b.talk.Next(dst)
}

// INV43: packets leave at once and go on, timestamps by the count of ticks,
// the marker where a talk-spurt starts.
func TestStreamRunsThroughSilence(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		ptime   time.Duration
		packets int
		ticks   uint32
	}{
		{10 * time.Millisecond, 200, 80},
		{20 * time.Millisecond, 100, 160},
		{30 * time.Millisecond, 66, 240},
		{40 * time.Millisecond, 50, 320},
		{60 * time.Millisecond, 33, 480},
	} {
		p := negotiated()
		p.PTime = c.ptime
		r := newRig(t, p)
		src := &byTurns{on: func(n int) bool { return n/20%2 == 1 }}
		r.Connect(nil, src)
		for range 100 {
			r.step()
			if r.out.half {
				r.betweenTicks(r.sh, r.now)
			}
		}
		hs, payloads, _ := r.sent()
		if d := len(hs) - c.packets; d < -1 || d > 0 {
			t.Errorf("ptime %v: %d packets, want %d", c.ptime, len(hs), c.packets)
		}
		markers := 0
		for i, h := range hs {
			if len(payloads[i]) != int(c.ticks) {
				t.Fatalf("ptime %v: payload of %d bytes", c.ptime, len(payloads[i]))
			}
			if i > 0 && (h.seq != hs[i-1].seq+1 || h.ts != hs[i-1].ts+c.ticks || h.ssrc != hs[0].ssrc) {
				t.Fatalf("ptime %v: packet %d does not follow", c.ptime, i)
			}
			if h.marker {
				markers++
			}
		}
		if markers != 2 { // frames 20 and 60
			t.Errorf("ptime %v: %d markers, want 2", c.ptime, markers)
		}
	}
}

// What a Sink hears can change the packet that leaves 4 ms later; packets of 10
// and 30 ms leave also half-way between two of those.
func TestFramesComeBeforePacketsLeave(t *testing.T) {
	t.Parallel()
	for ptime, want := range map[time.Duration]string{
		20 * time.Millisecond: "hear@7 send@11 hear@27 send@31",
		10 * time.Millisecond: "hear@7 send@11 send@21 hear@27 send@31 send@41",
	} {
		p := negotiated()
		p.PTime = ptime
		r := newRig(t, p)
		r.slot = 7
		r.sh.sessions[7] = []*Session{r.Session}
		var got []string
		tick := int64(0)
		r.Connect(sinkFunc(func(audio.Frame) { got = append(got, fmt.Sprintf("hear@%d", tick)) }), nil)
		for ; tick < 42; tick++ {
			r.sh.serve(tick%slots, time.Duration(tick)*tickTime)
			if hs, _, _ := r.sent(); len(hs) > 0 {
				got = append(got, fmt.Sprintf("send@%d", tick))
			}
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("ptime %v: %s, want %s", ptime, s, want)
		}
	}
}

func TestHoldStopsTheStreamAndTheClockRunsOn(t *testing.T) {
	t.Parallel()
	r := newRig(t, negotiated())
	r.steps(10)
	first, _, _ := r.sent()
	hold := negotiated()
	hold.Send, hold.Receive = false, false
	r.apply(hold)
	r.steps(50)
	if hs, _, _ := r.sent(); len(hs) != 0 {
		t.Errorf("%d packets on hold", len(hs))
	}
	frames := len(r.heard)
	r.apply(negotiated())
	r.steps(10)
	again, _, _ := r.sent()
	if len(again) != 10 || again[0].ssrc != first[0].ssrc || again[0].seq != first[9].seq+1 ||
		again[0].ts != first[9].ts+51*160 {
		t.Errorf("after hold: %d packets, first %+v after %+v", len(again), again[0], first[9])
	}
	// The Sink is the clock of the call: one frame each tick, on hold too.
	if frames != 60 || r.heard[59].At != 59*audio.FrameTime || !r.heard[59].Lost {
		t.Errorf("%d frames, the last %+v", frames, r.heard[59])
	}
}

// What was not served is skipped, timestamps and media time counting on.
func TestSkippedFrames(t *testing.T) {
	t.Parallel()
	r := newRig(t, negotiated())
	v := &voice{src: peer, ssrc: 1}
	src := &talk{}
	r.Connect(nil, src)
	for range 20 {
		v.send(r)
		r.step()
	}
	for range 5 { // 100 ms away; what came meanwhile comes at once
		v.send(r)
		r.now += audio.FrameTime
	}
	r.sh.skips += 5
	for range 20 {
		v.send(r)
		r.step()
	}
	hs, _, _ := r.sent()
	if len(hs) != 40 || hs[20].ts != hs[19].ts+6*160 || hs[20].seq != hs[19].seq+1 {
		t.Errorf("%d packets, %+v after %+v", len(hs), hs[20], hs[19])
	}
	if src.n != 40*160 {
		t.Errorf("the Source was pulled for %d samples", src.n)
	}
	if d := r.set.buf.Stats(); d.Skipped+d.Late < 3 || d.Skipped+d.Late > 7 {
		t.Errorf("%d packets dropped of the 5 that nobody heard", d.Skipped+d.Late)
	}
}

func TestMediaLost(t *testing.T) {
	t.Parallel()
	r := newRig(t, negotiated())
	second := int(time.Second / audio.FrameTime)
	r.steps(15*second - 1)
	if len(r.events) != 0 {
		t.Fatalf("events %v before 15 s", r.events)
	}
	r.steps(2)
	if len(r.events) != 1 || r.events[0] != (telephony.MediaLost{Silent: 15 * time.Second}) {
		t.Fatalf("events %v", r.events)
	}
	v := &voice{src: peer, ssrc: 1}
	for range 5 {
		v.send(r)
		r.step()
	}
	r.steps(29 * second)
	if len(r.events) != 1 {
		t.Fatalf("events %v before 30 s", r.events)
	}
	r.steps(second + 2)
	if len(r.events) != 2 {
		t.Fatalf("events %v after 30 s", r.events)
	}
	// Paused on hold.
	hold := negotiated()
	hold.Receive = false
	r.apply(hold)
	r.steps(120 * second)
	r.apply(negotiated())
	r.steps(29 * second)
	if len(r.events) != 2 {
		t.Fatalf("events %v: hold counts as silence", r.events)
	}
}

// Comfort noise counts as alive.
func TestComfortNoiseIsAlive(t *testing.T) {
	t.Parallel()
	r := newRig(t, negotiated())
	v := &voice{src: peer, ssrc: 1}
	for range 10 {
		v.send(r)
		r.step()
	}
	for range 20 { // 200 s of a sender that is silent: a packet in 10 s
		r.from(peer, header{pt: 13, seq: v.seq, ts: v.ts, ssrc: 1}, []byte{40})
		v.seq++
		v.ts += 500 * 160
		r.steps(500)
	}
	if len(r.events) != 0 {
		t.Errorf("events %v", r.events)
	}
	if r.in.concealed > 5 || r.in.quality.lost() != 0 {
		t.Errorf("%d frames concealed, %d packets lost", r.in.concealed, r.in.quality.lost())
	}
}

func TestLossIsConcealedAndCounted(t *testing.T) {
	t.Parallel()
	r := newRig(t, negotiated())
	v := &voice{src: peer, ssrc: 1}
	for n := range 500 {
		v.send(r)
		if n%10 == 5 {
			r.rtp.in = r.rtp.in[:len(r.rtp.in)-1]
		}
		r.step()
	}
	r.publishNow()
	st := r.Stats()
	if st.PacketsLost != 50 || st.Concealed < 49 || st.Concealed > 52 {
		t.Errorf("%d lost, %d concealed, want 50", st.PacketsLost, st.Concealed)
	}
	if st.Loss < 0.09 || st.Loss > 0.11 || st.MOS < 2 || st.MOS > 3.5 {
		t.Errorf("loss %.3f, MOS %.2f", st.Loss, st.MOS)
	}
	lost := 0
	for _, f := range r.heard[10:] {
		if f.Lost {
			lost++
		}
	}
	if lost < 49 || lost > 52 {
		t.Errorf("%d frames marked lost", lost)
	}
	// A single lost packet of a loud tone is made up for.
	if quiet := len(r.loud) - r.loudFrames(); quiet > 10 {
		t.Errorf("%d frames are quiet", quiet)
	}
}

func TestKeysComeOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, negotiated())
	v := &voice{src: peer, ssrc: 1}
	for range 10 {
		v.send(r)
		r.step()
	}
	for _, p := range pressOf('7', v.ts, 0, 5) {
		var b [4]byte
		p.e.put(b[:])
		r.from(peer, header{pt: 101, marker: p.marker, seq: v.seq, ts: p.ts, ssrc: 1}, b[:])
		v.seq++
		r.step()
	}
	v.ts += 7 * 160
	for range 20 {
		v.send(r)
		r.step()
	}
	want := telephony.Digit{Key: '7', Duration: 100 * time.Millisecond, Source: "rfc4733"}
	if len(r.events) != 1 || r.events[0] != want {
		t.Errorf("events %v", r.events)
	}
	if r.in.concealed != 0 {
		t.Errorf("%d frames concealed: a key is no loss", r.in.concealed)
	}
}

// The rate of the frames stays when a re-INVITE changes the codec.
func TestCodecChange(t *testing.T) {
	t.Parallel()
	r := newRig(t, negotiated())
	v := &voice{src: peer, ssrc: 1}
	r.Connect(sinkFunc(func(f audio.Frame) {
		if f.Rate != 8000 || len(f.PCM) != 160 {
			t.Errorf("frame of %d samples at %d Hz", len(f.PCM), f.Rate)
		}
	}), &talk{})
	for range 10 {
		v.send(r)
		r.step()
	}
	p := negotiated()
	p.Codec, p.PT, p.Rate = "G722", 9, 16000
	r.apply(p)
	for range 20 {
		r.from(peer, header{pt: 9, seq: v.seq, ts: v.ts, ssrc: 1}, make([]byte, 160))
		v.seq++
		v.ts += 160
		r.step()
	}
	hs, payloads, _ := r.sent()
	for i, h := range hs[10:] {
		if h.pt != 9 || len(payloads[10+i]) != 160 || h.ts != hs[0].ts+uint32(10+i)*160 {
			t.Fatalf("packet %d: %+v", i, h)
		}
	}
}

// SEC-1.
func TestMalformedIsCountedAndDropped(t *testing.T) {
	t.Parallel()
	r := newRig(t, negotiated())
	bad := [][]byte{
		{}, {0x80}, make([]byte, 11), append([]byte{0x40}, make([]byte, 40)...), // no version 2
		append([]byte{0x9f, 0}, make([]byte, 20)...),                            // more sources than there is room for
		append([]byte{0xb0, 0}, make([]byte, 12)...),                            // padding of 0
		{0x90, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff},               // an extension longer than the packet
		{0x80, 200, 0, 200, 0, 0, 0, 0},                                         // RTCP cut off
		append([]byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}, make([]byte, 12)...), // STUN
		append([]byte{0x80, 77}, make([]byte, 20)...),                           // a payload type nobody negotiated
	}
	v := &voice{src: peer, ssrc: 1}
	for n := range 50 {
		for _, b := range bad {
			r.rtp.in = append(r.rtp.in, datagram{b: b, peer: peer, at: r.now})
			r.rtcp.in = append(r.rtcp.in, datagram{b: b, peer: peer, at: r.now})
		}
		if n > 10 {
			v.send(r)
		}
		r.step()
	}
	r.publishNow()
	if st := r.Stats(); st.PacketsReceived != 39 || st.PacketsDiscarded < 50*8 {
		t.Errorf("%d received, %d discarded", st.PacketsReceived, st.PacketsDiscarded)
	}
	if r.loudFrames() < 35 {
		t.Errorf("%d loud frames", r.loudFrames())
	}
}

func TestTickDoesNotAllocate(t *testing.T) {
	r := newRig(t, negotiated())
	r.Connect(&ear{}, &talk{})
	v := &voice{src: peer, ssrc: 1}
	packets := make([]datagram, 1)
	out := r.rtp
	out.out = make([]datagram, 0, 8)
	var buf [headerSize + 160]byte
	copy(buf[headerSize:], loudFrame)
	w := &silentWire{wire: out}
	r.Session.rtp = w
	if got := testing.AllocsPerRun(500, func() {
		header{seq: v.seq, ts: v.ts, ssrc: 1}.put(buf[:])
		v.seq++
		v.ts += 160
		packets[0] = datagram{b: buf[:], peer: peer, at: r.now}
		out.in = packets
		r.reports.next = r.now + time.Hour
		r.step()
	}); got != 0 {
		t.Errorf("%v allocations per tick", got)
	}
}

// silentWire drops what is sent.
type silentWire struct{ *wire }

func (silentWire) write([]byte, netip.AddrPort) bool { return true }
