package rtp

import (
	"net/netip"
	"testing"
	"time"

	"github.com/patchcord/patchcord/audio"
	"github.com/patchcord/patchcord/telephony"
)

// wire is a conn in memory.
type wire struct {
	addr   netip.AddrPort
	in     []datagram
	out    []datagram
	closed bool
}

type datagram struct {
	b    []byte
	peer netip.AddrPort
	at   time.Duration
}

func (w *wire) read(in *batch) int {
	n := min(len(w.in), batchSize)
	for i, d := range w.in[:n] {
		in.size[i], in.from[i], in.at[i] = copy(in.buf[i][:], d.b), d.peer, d.at
	}
	w.in = w.in[n:]
	return n
}

func (w *wire) write(p []byte, to netip.AddrPort) bool {
	w.out = append(w.out, datagram{b: append([]byte(nil), p...), peer: to})
	return true
}

func (w *wire) local() netip.AddrPort { return w.addr }
func (w *wire) close()                { w.closed = true }

// rig drives one session by hand: no sockets, no clock.
type rig struct {
	*Session
	t      *testing.T
	sh     *shard
	rtp    *wire
	rtcp   *wire
	now    time.Duration
	events []telephony.Event
	heard  []audio.Frame   // without their sound
	loud   []bool          // of each frame
	caller *voice          // of pass
	left   []time.Duration // when packets left, in pass
}

var (
	peer      = netip.MustParseAddrPort("192.0.2.1:4000")
	attacker  = netip.MustParseAddrPort("203.0.113.66:4000")
	trunkPeer = netip.MustParseAddrPort("198.51.100.7:5000")
)

func newRig(t *testing.T, p Params) *rig {
	t.Helper()
	m, err := New(Config{Shards: 1})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, sh: m.shards[0], rtp: &wire{}, rtcp: &wire{}}
	r.sh.clock, r.sh.in = newClock(), newBatch()
	r.Session = newSession(m, r.rtp, r.rtcp, 20000)
	r.Session.shard = r.sh // as if placed
	r.Notify(func(ev telephony.Event) { r.events = append(r.events, ev) })
	r.Connect(sinkFunc(func(f audio.Frame) {
		loud := false
		for _, v := range f.PCM {
			loud = loud || v > 3000 || v < -3000
		}
		f.PCM = nil
		r.heard, r.loud = append(r.heard, f), append(r.loud, loud)
	}), nil)
	r.apply(p)
	return r
}

func negotiated() Params {
	return Params{Remote: peer, Codec: "PCMU", EventPT: 101, Send: true, Receive: true}
}

func (r *rig) apply(p Params) {
	r.t.Helper()
	if err := r.Apply(p); err != nil {
		r.t.Fatal(err)
	}
	r.Session.mu.Lock()
	r.rate = r.pending.Rate
	r.Session.mu.Unlock()
}

// step is one tick.
func (r *rig) step() {
	r.tick(r.sh, r.now)
	r.answer(r.sh, r.now+replySlots*tickTime)
	r.now += audio.FrameTime
}

// steps is n ticks.
func (r *rig) steps(n int) {
	for range n {
		r.step()
	}
}

// from puts a packet in the socket.
func (r *rig) from(src netip.AddrPort, h header, payload []byte) {
	b := make([]byte, headerSize, headerSize+len(payload))
	h.put(b)
	r.rtp.in = append(r.rtp.in, datagram{b: append(b, payload...), peer: src, at: r.now - 3*time.Millisecond})
}

// sender is a peer that sends loud G.711.
type voice struct {
	src  netip.AddrPort
	ssrc uint32
	seq  uint16
	ts   uint32
}

var loudFrame = func() []byte {
	b := make([]byte, 160)
	for i := range b {
		b[i] = []byte{0x00, 0x80}[i/8%2] // full scale, both signs
	}
	return b
}()

func (v *voice) send(r *rig) {
	r.from(v.src, header{seq: v.seq, ts: v.ts, ssrc: v.ssrc}, loudFrame)
	v.seq++
	v.ts += 160
}

// sent takes what the session sent, RTP only.
func (r *rig) sent() (hs []header, payloads [][]byte, to []netip.AddrPort) {
	r.t.Helper()
	for _, d := range r.rtp.out {
		if isRTCP(d.b) {
			continue
		}
		h, payload, ok := parseHeader(d.b)
		if !ok {
			r.t.Fatalf("sent a malformed packet % x", d.b)
		}
		hs, payloads, to = append(hs, h), append(payloads, payload), append(to, d.peer)
	}
	r.rtp.out = nil
	return hs, payloads, to
}

func (r *rig) loudFrames() (n int) {
	for _, l := range r.loud {
		if l {
			n++
		}
	}
	return n
}
