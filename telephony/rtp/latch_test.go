package rtp

import (
	"net/netip"
	"testing"
	"time"
)

// SEC-2.
func TestStrangerIsNeverHeardNorAnswered(t *testing.T) {
	t.Parallel()
	for _, nat := range []bool{false, true} {
		p := negotiated()
		p.NATAny = nat
		r := newRig(t, p)
		good := &voice{src: peer, ssrc: 1}
		if nat {
			good.src = trunkPeer // behind NAT: not the address of the SDP
		}
		bad := &voice{src: attacker, ssrc: 2, seq: 1000}
		for n := range 500 {
			if n%50 < 45 { // pauses, but none that is long
				good.send(r)
			} else {
				good.seq, good.ts = good.seq+1, good.ts+160
			}
			if n > 3 {
				for range 20 {
					bad.send(r)
				}
			}
			r.step()
		}
		st := r.in
		if st.latch.addr != good.src || st.latch.ssrc != 1 {
			t.Errorf("nat %v: latched to %v", nat, st.latch.addr)
		}
		if st.packets > 460 || st.strangers < 9900 {
			t.Errorf("nat %v: %d packets taken, %d of strangers", nat, st.packets, st.strangers)
		}
		for _, d := range r.rtp.out {
			if d.peer == attacker {
				t.Fatalf("nat %v: a packet was sent to the attacker", nat)
			}
		}
	}
}

func TestStrangerBeforeTheCallerIsNotHeard(t *testing.T) {
	t.Parallel()
	r := newRig(t, negotiated())
	bad := &voice{src: attacker, ssrc: 2}
	for range 100 {
		bad.send(r)
		r.step()
	}
	if r.loudFrames() != 0 || r.in.packets != 0 {
		t.Errorf("%d loud frames, %d packets taken", r.loudFrames(), r.in.packets)
	}
	_, _, to := r.sent()
	for _, a := range to {
		if a != peer {
			t.Fatalf("sent to %v", a)
		}
	}
}

// latchStep is one source sending n packets 20 ms apart, or time passing.
type latchStep struct {
	from  netip.AddrPort
	ssrc  uint32
	seq   uint16
	n     int
	wait  time.Duration
	apply *Params
	want  netip.AddrPort // where packets go after the step
}

func TestLatch(t *testing.T) {
	t.Parallel()
	sdp := negotiated()
	otherPort := netip.AddrPortFrom(peer.Addr(), 4444)
	trunk := negotiated()
	trunk.Allow = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
	nat := negotiated()
	nat.NATAny = true
	moved := negotiated()
	moved.Remote = netip.MustParseAddrPort("192.0.2.99:7000")
	natMoved := moved
	natMoved.NATAny = true
	for _, c := range []struct {
		name  string
		p     Params
		steps []latchStep
	}{
		{name: "the address of the SDP until three packets came", p: nat, steps: []latchStep{
			{n: 0, want: peer},
			{from: trunkPeer, ssrc: 1, n: 2, want: peer},
			{from: trunkPeer, ssrc: 1, seq: 2, n: 1, want: trunkPeer},
		}},
		{name: "another port of the SDP's address", p: sdp, steps: []latchStep{
			{from: otherPort, ssrc: 1, n: 3, want: otherPort},
		}},
		{name: "an address of the trunk", p: trunk, steps: []latchStep{
			{from: trunkPeer, ssrc: 1, n: 3, want: trunkPeer},
			{from: attacker, ssrc: 1, n: 9, want: trunkPeer},
		}},
		{name: "changing SSRCs are no source", p: nat, steps: []latchStep{
			{from: trunkPeer, ssrc: 1, n: 1, want: peer},
			{from: trunkPeer, ssrc: 2, n: 1, want: peer},
			{from: trunkPeer, ssrc: 3, n: 1, want: peer},
			{from: trunkPeer, ssrc: 4, n: 1, want: peer},
		}},
		{name: "wild sequence numbers are no source", p: nat, steps: []latchStep{
			{from: trunkPeer, ssrc: 1, seq: 5000, n: 1, want: peer},
			{from: trunkPeer, ssrc: 1, seq: 100, n: 1, want: peer},
			{from: trunkPeer, ssrc: 1, seq: 30000, n: 1, want: peer},
		}},
		{name: "not while the locked source is alive", p: nat, steps: []latchStep{
			{from: peer, ssrc: 1, n: 3, want: peer},
			{from: trunkPeer, ssrc: 2, n: 40, want: peer},
		}},
		{name: "the SDP's address after one second of silence", p: sdp, steps: []latchStep{
			{from: peer, ssrc: 1, n: 3, want: peer},
			{wait: 900 * time.Millisecond, want: peer},
			{from: otherPort, ssrc: 2, n: 3, want: peer},
			{wait: 100 * time.Millisecond, want: peer},
			{from: otherPort, ssrc: 2, seq: 3, n: 3, want: otherPort},
		}},
		{name: "a learned address after two seconds of silence", p: nat, steps: []latchStep{
			{from: peer, ssrc: 1, n: 3, want: peer},
			{wait: 1500 * time.Millisecond, want: peer},
			{from: trunkPeer, ssrc: 2, n: 3, want: peer},
			{wait: 500 * time.Millisecond, want: peer},
			{from: trunkPeer, ssrc: 2, seq: 9, n: 3, want: trunkPeer},
		}},
		{name: "a re-INVITE moves at once", p: sdp, steps: []latchStep{
			{from: peer, ssrc: 1, n: 3, want: peer},
			{apply: &moved, want: moved.Remote},
			{from: peer, ssrc: 1, seq: 3, n: 20, want: moved.Remote},
			{from: moved.Remote, ssrc: 1, seq: 30, n: 3, want: moved.Remote},
			{from: peer, ssrc: 1, seq: 50, n: 9, want: moved.Remote},
		}},
		{name: "a phone behind NAT tells another inside address", p: nat, steps: []latchStep{
			{from: trunkPeer, ssrc: 1, n: 3, want: trunkPeer},
			{apply: &natMoved, want: moved.Remote},
			{from: trunkPeer, ssrc: 1, seq: 3, n: 30, want: trunkPeer},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var l latch
			now := time.Second
			l.set(&c.p, now)
			for i, st := range c.steps {
				if st.apply != nil {
					l.set(st.apply, now)
				}
				now += st.wait
				for n := range st.n {
					l.packet(st.from, st.ssrc, st.seq+uint16(n), now)
					now += 20 * time.Millisecond
				}
				if got := l.destination(now); got != st.want {
					t.Fatalf("step %d: packets go to %v, want %v", i, got, st.want)
				}
			}
		})
	}
}

func TestOldSourceIsHeardForTwoSecondsAfterAMove(t *testing.T) {
	t.Parallel()
	var l latch
	p := negotiated()
	l.set(&p, 0)
	for n := range uint16(3) {
		l.packet(peer, 1, n, 0)
	}
	p.Remote = trunkPeer
	l.set(&p, 0)
	for ms := range 3000 {
		v, _ := l.packet(peer, 1, uint16(3+ms), time.Duration(ms)*time.Millisecond)
		if want := ms < 2000; (v == accept) != want {
			t.Fatalf("after %d ms: verdict %d", ms, v)
		}
	}
}

// What came while a source was being learned is heard too.
func TestFirstPacketsAreHeard(t *testing.T) {
	t.Parallel()
	r := newRig(t, negotiated())
	v := &voice{src: peer, ssrc: 9}
	for range 50 {
		v.send(r)
		r.step()
	}
	r.steps(10)
	if n := r.loudFrames(); n < 50 || r.in.packets != 50 {
		t.Errorf("%d loud frames, %d packets of 50", n, r.in.packets)
	}
}

// A new SSRC from the same address: another sender behind it.
func TestNewSSRCIsHeard(t *testing.T) {
	t.Parallel()
	r := newRig(t, negotiated())
	a, b := &voice{src: peer, ssrc: 1, seq: 100}, &voice{src: peer, ssrc: 2, seq: 40000, ts: 1 << 30}
	for range 50 {
		a.send(r)
		r.step()
	}
	before := r.loudFrames()
	for range 50 {
		b.send(r)
		r.step()
	}
	if n := r.loudFrames() - before; n < 45 {
		t.Errorf("%d of 50 frames after the change are loud", n)
	}
	if got, _ := r.in.quality.total(); got != 100 {
		t.Errorf("%d packets expected, want 100", got)
	}
}
